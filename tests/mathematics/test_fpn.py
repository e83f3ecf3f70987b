"""The feature pyramid, against its definition in NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn.autodiff import gradient
from pixelwise.nn.convolution import conv2d_naive
from pixelwise.nn.fpn import NearestTo, feature_pyramid, resize_nearest


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _nearest(x, size):
    """Cell by cell: floor(i * old / new), in whole numbers."""
    out = np.zeros((x.shape[0], *size, x.shape[3]), x.dtype)
    for i, j in np.ndindex(*size):
        out[:, i, j] = x[:, i * x.shape[1] // size[0], j * x.shape[2] // size[1]]
    return out


def _levels(sizes, channels, size_is_open=False):
    """Levels of random numbers, and a model from them to their pyramid's inputs."""
    maps = {
        f"C{i + 2}": _random(2, *size, n, seed=i)
        for i, (size, n) in enumerate(zip(sizes, channels, strict=True))
    }
    shapes = {k: (None, None, x.shape[3]) if size_is_open else x.shape[1:] for k, x in maps.items()}
    return maps, {k: keras.Input(shape, name=k) for k, shape in shapes.items()}


SIZES = ((13, 16), (7, 8), (4, 4), (2, 2))


@pytest.mark.parametrize(
    ("old", "new"), [((3, 4), (6, 8)), ((3, 4), (5, 7)), ((2, 3), (7, 4)), ((5, 5), (5, 3))]
)
def test_nearest_takes_the_cell_by_its_definition(old, new):
    x = _random(2, *old, 3)
    np.testing.assert_array_equal(ops.convert_to_numpy(resize_nearest(x, new)), _nearest(x, new))
    late = resize_nearest(x, [ops.convert_to_tensor(n) for n in new])
    np.testing.assert_array_equal(ops.convert_to_numpy(late), _nearest(x, new))


@pytest.mark.parametrize("new", [(6, 8), (5, 7), (7, 4)])
def test_gradient_of_nearest_counts_the_copies(new):
    x = _random(1, 3, 4, 1)
    weights = _random(1, *new, 1, seed=1)
    found = gradient(lambda x: ops.sum(resize_nearest(x, new) * ops.cast(weights, x.dtype)), x)
    expected = np.zeros_like(x)
    for i, j in np.ndindex(*new):
        expected[:, i * 3 // new[0], j * 4 // new[1]] += weights[:, i, j]
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("size_is_open", [False, True])
def test_the_pyramid_is_its_definition(size_is_open):
    maps, inputs = _levels(SIZES, (2, 3, 4, 5), size_is_open)
    model = keras.Model(inputs, feature_pyramid(inputs, channels=4))
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(size=w.shape) for w in model.get_weights()])
    found = {k: ops.convert_to_numpy(v) for k, v in model(maps).items()}
    assert list(found) == ["P2", "P3", "P4", "P5", "P6"]
    inner = None
    for place in (3, 2, 1, 0):
        x = maps[f"C{place + 2}"]
        kernel, bias = model.get_layer(f"fpn-inner_blocks-{place}-0").get_weights()
        lateral = x @ kernel[0, 0] + bias
        inner = lateral if inner is None else lateral + _nearest(inner, lateral.shape[1:3])
        kernel, bias = model.get_layer(f"fpn-layer_blocks-{place}-0").get_weights()
        for picture in range(2):
            expected = conv2d_naive(inner[picture], kernel, padding=1) + bias
            np.testing.assert_allclose(found[f"P{place + 2}"][picture], expected, atol=1e-3)
    np.testing.assert_array_equal(found["P6"], found["P5"][:, ::2, ::2])


def test_two_levels_without_a_third_above():
    maps, inputs = _levels(((8, 8), (4, 4)), (3, 3))
    found = feature_pyramid(inputs, channels=6, name="neck", pool=False)
    assert list(found) == ["P2", "P3"]
    assert [tuple(x.shape[1:]) for x in found.values()] == [(8, 8, 6), (4, 4, 6)]
    model = keras.Model(inputs, found)
    names = {layer.name for layer in model.layers if layer.weights}
    assert names == {f"neck-{kind}_blocks-{i}-0" for kind in ("inner", "layer") for i in (0, 1)}


def test_group_normalisation_takes_the_place_of_the_bias():
    maps, inputs = _levels(SIZES, (2, 3, 4, 5))
    model = keras.Model(inputs, feature_pyramid(inputs, channels=6, groups=2))
    found = ops.convert_to_numpy(model(maps)["P3"])
    grouped = found.reshape(2, -1, 2, 3)
    np.testing.assert_allclose(grouped.mean(axis=(1, 3)), 0, atol=1e-4)
    np.testing.assert_allclose(grouped.var(axis=(1, 3)), 1, atol=1e-2)
    norms = [x for x in model.layers if isinstance(x, keras.layers.GroupNormalization)]
    assert len(norms) == 8 and all(norm.epsilon == 1e-5 for norm in norms)
    assert model.get_layer("fpn-inner_blocks-0-1") in norms
    assert all(x.bias is None for x in model.layers if isinstance(x, keras.layers.Conv2D))


def test_it_is_saved_and_trains_compiled(tmp_path):
    maps, inputs = _levels(SIZES, (2, 3, 4, 5))
    keras.utils.set_random_seed(0)
    pyramid = feature_pyramid(inputs, channels=4)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(pyramid["P2"]))
    jit = keras.backend.backend() != "torch"
    model.compile(keras.optimizers.Adam(0.02), "mse", jit_compile=jit)
    history = model.fit(maps, np.ones((2, 4), "float32"), epochs=10, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    model.save(tmp_path / "pyramid.keras")
    again = keras.models.load_model(tmp_path / "pyramid.keras")
    assert any(isinstance(layer, NearestTo) for layer in again.layers)
    np.testing.assert_allclose(
        again.predict(maps, verbose=0), model.predict(maps, verbose=0), atol=1e-6
    )


@pytest.mark.parametrize("names", [("C2", "C4"), ("P2", "P3"), ("C3", "x"), ()])
def test_other_levels(names):
    levels = {name: keras.Input((8, 8, 2)) for name in names}
    with pytest.raises(ValueError, match="give neighbouring ones by their names"):
        feature_pyramid(levels, 4)


def test_groups_that_do_not_divide():
    with pytest.raises(ValueError, match="64 channels cannot be divided into 7 groups"):
        feature_pyramid({"C2": keras.Input((8, 8, 2))}, 64, groups=7)
