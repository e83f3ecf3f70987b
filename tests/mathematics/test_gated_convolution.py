"""Gated and partial convolutions and push-pull are what their equations say, by plain loops."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.models.classical import fill_classical
from pixelwise.nn.gated_convolution import GatedConv2D, PartialConv2D
from pixelwise.nn.push_pull import push_pull


def windows(x, side, stride, rate):
    """Yields (row, column, window) of a "same" convolution; beyond the picture there are zeros."""
    height, width = x.shape[:2]
    reach = (side - 1) * rate + 1
    before = [max(0, (-(-n // stride) - 1) * stride + reach - n) // 2 for n in (height, width)]
    for row in range(-(-height // stride)):
        for column in range(-(-width // stride)):
            window = np.zeros((side, side, x.shape[2]))
            for i in range(side):
                for j in range(side):
                    y = row * stride - before[0] + i * rate
                    z = column * stride - before[1] + j * rate
                    if 0 <= y < height and 0 <= z < width:
                        window[i, j] = x[y, z]
            yield row, column, window


def picture(height=6, width=5, channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(height, width, channels)).astype("float32")


def randomised(layer, seed=1):
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape).astype("float32") for w in layer.get_weights()])
    return [np.asarray(w, "float64") for w in layer.get_weights()]


@pytest.mark.parametrize("side, stride, rate", [(3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 2, 1)])
def test_gated_is_values_times_gates(side, stride, rate):
    x = picture()
    layer = GatedConv2D(3, side, strides=stride, dilation_rate=rate, activation="tanh")
    found = ops.convert_to_numpy(layer(x[None]))
    kernel, bias = randomised(layer)
    found = ops.convert_to_numpy(layer(x[None]))[0]
    for row, column, window in windows(x, side, stride, rate):
        both = np.tensordot(window, kernel, 3) + bias
        expected = np.tanh(both[:3]) / (1 + np.exp(-both[3:]))
        assert found[row, column] == pytest.approx(expected, abs=1e-5)
    assert layer.compute_output_shape((None, 6, 5, 2)) == (None, *found.shape)


@pytest.mark.parametrize("side, stride, rate", [(3, 1, 1), (3, 2, 1), (3, 1, 2), (5, 2, 1)])
def test_partial_counts_the_known_part_only(side, stride, rate):
    x, known = picture(), (np.random.default_rng(3).random((6, 5, 2)) < 0.6).astype("float32")
    known[:4, :4] = 0  # so that of some windows nothing is known
    layer = PartialConv2D(3, side, strides=stride, dilation_rate=rate, activation=None)
    layer([x[None], known[None]])
    kernel, bias = randomised(layer)
    found, where = (ops.convert_to_numpy(part)[0] for part in layer([x[None], known[None]]))
    counts = [w.sum() for _, _, w in windows(known, side, stride, rate)]
    places = windows(x * known, side, stride, rate)
    for (row, column, window), count in zip(places, counts, strict=True):
        expected = np.zeros(3)
        if count:
            expected = np.tensordot(window, kernel, 3) * side * side * 2 / count + bias
        assert found[row, column] == pytest.approx(expected, abs=1e-4)
        assert where[row, column] == pytest.approx(np.full(3, float(count > 0)))
    assert min(counts) == 0 and max(counts) > 1
    assert layer.compute_output_shape([(None, 6, 5, 2)] * 2) == [(None, *found.shape)] * 2


def test_partial_does_not_see_what_is_unknown():
    x, known = picture(), np.ones((6, 5, 2), "float32")
    known[2:4, 1:4] = 0
    layer = PartialConv2D(4, 3)
    first, _ = layer([x[None], known[None]])
    second, _ = layer([(x + 100 * (1 - known))[None], known[None]])
    assert np.array_equal(ops.convert_to_numpy(first), ops.convert_to_numpy(second))


def test_partial_of_a_known_picture_is_a_convolution_inside():
    x = picture()
    layer = PartialConv2D(4, 3, activation=None)
    found, _ = layer([x[None], np.ones_like(x)[None]])
    plain = ops.conv(x[None], layer.kernel, padding="same", data_format="channels_last")
    inside = (slice(None), slice(1, -1), slice(1, -1))
    assert ops.convert_to_numpy(found)[inside] == pytest.approx(
        ops.convert_to_numpy(plain)[inside], abs=1e-5
    )


def test_push_pull_by_plain_loops():
    x = np.random.default_rng(0).random((4, 4, 1))
    known = np.ones((4, 4, 1))
    known[:2, :3] = known[2, 0] = 0
    given = (ops.cast(a[None], "float32") for a in (x * known, known))
    found = push_pull(*given, levels=1, sweeps=0)
    found = ops.convert_to_numpy(found)[0, ..., 0]
    cells = np.full((2, 2), (x * known).sum() / known.sum())  # what no cell knows: of all, below
    shares = np.zeros((2, 2))
    for i in range(2):
        for j in range(2):
            part = (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
            shares[i, j] = known[part].sum()
            if shares[i, j]:
                cells[i, j] = (x * known)[part].sum() / shares[i, j]
    cells[0, 0] = cells[shares > 0].mean()
    where = np.clip((np.arange(4) + 0.5) / 2 - 0.5, 0, 1)
    lines = np.stack([1 - where, where], axis=1)
    expected = np.where(known[..., 0], x[..., 0], lines @ cells @ lines.T)
    assert found == pytest.approx(expected, abs=1e-5)


def test_many_sweeps_solve_the_harmonic_equation():
    image = np.random.default_rng(0).random((1, 9, 8, 3)).astype("float32")
    hole = np.zeros((1, 9, 8), bool)
    hole[0, 2:6, 3:8] = hole[0, 0, 0] = True
    known = ~hole[..., None]
    given = (ops.cast(a, "float32") for a in (image * known, known))
    found = ops.convert_to_numpy(push_pull(*given, levels=0, sweeps=400))
    assert found == pytest.approx(fill_classical(image, hole, "harmonic"), abs=1e-5)


def test_push_pull_keeps_a_flat_picture_flat():
    known = np.ones((1, 16, 24, 1), "float32")
    known[:, 3:13, 2:20] = 0
    found = push_pull(ops.convert_to_tensor(0.3 * known), ops.convert_to_tensor(known))
    assert ops.convert_to_numpy(found) == pytest.approx(0.3, abs=1e-5)


@pytest.mark.parametrize("kind", [GatedConv2D, PartialConv2D])
def test_layers_survive_saving(kind):
    layer = kind(3, 5, strides=2, activation="relu", name="here")
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert isinstance(copy, kind) and copy.get_config() == layer.get_config()
