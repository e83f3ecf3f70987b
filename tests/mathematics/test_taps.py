"""Atrous convolution tap by tap is the convolution that it stands for."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn import taps


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _by_definition(x, kernel, rates):
    """Every output as the sum over its taps, float64, zeros around the map."""
    height, width = x.shape[1:3]
    result = np.zeros((*x.shape[:3], kernel.shape[3]))
    for place in np.ndindex(height, width):
        for tap in np.ndindex(kernel.shape[:2]):
            seen = [
                p + (t - k // 2) * r
                for p, t, k, r in zip(place, tap, kernel.shape[:2], rates, strict=True)
            ]
            if 0 <= seen[0] < height and 0 <= seen[1] < width:
                result[:, *place] += x[:, *seen].astype(float) @ kernel[tap]
    return result


@pytest.mark.parametrize(
    ("size", "sides", "rates"),
    [
        ((9, 7), (3, 3), (2, 5)),
        ((5, 5), (3, 3), (5, 5)),  # the middle tap alone
        ((8, 5), (3, 3), (9, 1)),  # the middle row alone
        ((6, 8), (5, 1), (2, 3)),
        ((4, 4), (1, 1), (1, 1)),
    ],
)
def test_tap_by_tap_is_the_sum_by_definition(size, sides, rates):
    x, kernel = _random(2, *size, 4), _random(*sides, 4, 3, seed=1)
    found = taps.convolve_by_taps(ops.convert_to_tensor(x), ops.convert_to_tensor(kernel), rates)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found), _by_definition(x, kernel, rates), atol=1e-5
    )


def test_the_share_of_the_taps_by_hand():
    # Along 4 cells at the rate 3, the outer taps of three lie on the map at 1 place each: 4 + 2 of
    # 12; along 5 cells at the rate 1 at 4 places each: 5 + 8 of 15.
    assert taps.share_on_map((4, 5), (3, 3), (3, 1)) == pytest.approx(6 / 12 * 13 / 15)
    assert taps.share_on_map((4, 4), (3, 3), (4, 4)) == pytest.approx(1 / 9)


def test_the_share_is_what_counting_gives():
    ones = np.ones((1, 7, 6, 1), "float32")
    counted = _by_definition(ones, np.ones((3, 5, 1, 1)), (2, 1)).mean() / 15
    assert taps.share_on_map((7, 6), (3, 5), (2, 1)) == pytest.approx(counted)


@pytest.mark.parametrize(
    ("options", "size", "worthwhile"),
    [
        ({"dilation_rate": 6}, 12, True),
        ({"dilation_rate": (1, 6)}, 12, True),
        ({"dilation_rate": 2, "kernel_size": 5}, 12, True),
        ({"dilation_rate": 1}, 12, False),
        ({"dilation_rate": 2}, 65, False),  # nearly all taps lie on the map
        ({"dilation_rate": 6, "padding": "valid"}, 14, False),
        ({"dilation_rate": 6, "kernel_size": 2}, 12, False),
        ({"dilation_rate": 6, "groups": 2}, 12, False),
    ],
)
def test_the_layer_equals_keras_own_and_chooses(monkeypatch, options, size, worthwhile):
    called = []
    by_taps = taps.convolve_by_taps
    monkeypatch.setattr(
        taps, "convolve_by_taps", lambda *args: called.append(args) or by_taps(*args)
    )
    options = {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu", **options}
    x = _random(2, size, size, 6)
    layers = [kind(**options) for kind in (taps.AtrousConv2D, keras.layers.Conv2D)]
    for layer in layers:
        layer.build(x.shape)
    weights = [_random(*w.shape, seed=1) for w in layers[0].get_weights()]
    for layer in layers:
        layer.set_weights(weights)
    ours, theirs = (ops.convert_to_numpy(layer(x)) for layer in layers)
    np.testing.assert_allclose(ours, theirs, atol=2e-5)
    assert bool(called) == (worthwhile and keras.backend.backend() in taps.BACKENDS)
    called.clear()
    with taps.direct():
        np.testing.assert_allclose(ops.convert_to_numpy(layers[0](x)), theirs, atol=1e-6)
    assert not called


def test_gradients_are_those_of_the_direct_convolution():
    x, target = _random(2, 6, 6, 3), _random(2, 6, 6, 2, seed=2)
    weights = []
    for kind in (taps.AtrousConv2D, keras.layers.Conv2D):
        inputs = keras.Input((6, 6, 3))
        model = keras.Model(inputs, kind(2, 3, dilation_rate=4, padding="same")(inputs))
        model.set_weights([_random(*w.shape, seed=1) for w in model.get_weights()])
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.train_on_batch(x, target)
        weights.append(model.get_weights())
    for ours, theirs in zip(*weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_saved_layer_comes_back(tmp_path):
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, taps.AtrousConv2D(2, 3, dilation_rate=4, padding="same")(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert isinstance(again.layers[-1], taps.AtrousConv2D)
    x = _random(1, 6, 6, 3)
    np.testing.assert_array_equal(*(ops.convert_to_numpy(m(x)) for m in (model, again)))
