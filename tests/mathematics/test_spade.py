"""Spatially adaptive normalisation is what a loop over the places computes."""

import numpy as np
import pytest
from keras import ops

from pixelwise.nn.spade import EPSILON, SPADE, OneHotMap, nearest

RNG = np.random.default_rng(0)


def naive_convolution(x, kernel, bias):
    """A 3x3 convolution with zeros around, place by place."""
    batch, height, width, _ = x.shape
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    y = np.empty((batch, height, width, kernel.shape[-1]))
    for b in range(batch):
        for i in range(height):
            for j in range(width):
                window = padded[b, i : i + 3, j : j + 3]
                y[b, i, j] = np.tensordot(window, kernel, 3) + bias
    return y


def weights_of(layer):
    return [ops.convert_to_numpy(w).astype("float64") for w in (layer.kernel, layer.bias)]


@pytest.mark.parametrize("norm", ["layer", "batch"])
@pytest.mark.parametrize("hidden", [0, 5])
@pytest.mark.parametrize("factor", [1, 2, 3])
def test_each_place_has_the_scale_and_shift_of_its_labels(norm, hidden, factor):
    features = RNG.normal(2.0, 3.0, (2, 4, 5, 3)).astype("float32")
    masks = RNG.integers(0, 4, (2, 4 * factor, 5 * factor))
    layer = SPADE(hidden, norm)
    found = layer([features, OneHotMap(4)(masks)], training=True)

    small = np.empty((2, 4, 5, 4))
    for i in range(4):
        for j in range(5):
            label = masks[:, factor * i + factor // 2, factor * j + factor // 2]
            small[:, i, j] = np.eye(4)[label]
    told = small
    if hidden:
        told = np.maximum(naive_convolution(told, *weights_of(layer.shared)), 0)
    modulation = naive_convolution(told, *weights_of(layer.modulation))
    axes = (1, 2, 3) if norm == "layer" else (0, 1, 2)
    mean, variance = features.mean(axes, keepdims=True), features.var(axes, keepdims=True)
    normal = (features - mean) / np.sqrt(variance + EPSILON)
    expected = (1 + modulation[..., :3]) * normal + modulation[..., 3:]
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=2e-4)


def test_the_label_of_a_region_survives_it_and_not_normalisation_before_it():
    """Two pictures of one class each: what SPADE exists for."""
    layer = SPADE(0, "layer")
    features = np.ones((2, 4, 4, 3), "float32")
    masks = np.stack([np.full((4, 4), k) for k in (0, 1)])
    found = ops.convert_to_numpy(layer([features, OneHotMap(2)(masks)]))
    assert np.abs(found[0] - found[1]).max() > 0.05
    labels = ops.convert_to_numpy(OneHotMap(2)(masks))
    mean = labels.mean((1, 2), keepdims=True)
    assert np.abs(labels - mean).max() == 0  # nothing of a constant region is left


def test_shrinking_takes_the_centre_and_invents_no_class():
    masks = RNG.integers(0, 6, (3, 32, 32))
    labels = OneHotMap(6)(masks)
    for factor in (1, 2, 4, 8):
        small = ops.convert_to_numpy(nearest(labels, factor))
        assert set(np.unique(small)) <= {0, 1} and (small.sum(-1) == 1).all()
        middle = factor // 2
        assert np.array_equal(small.argmax(-1), masks[:, middle::factor, middle::factor])


def test_void_is_no_class():
    found = ops.convert_to_numpy(OneHotMap(3)(np.array([[[0, 2, 255]]])))
    assert found.tolist() == [[[[1, 0, 0], [0, 0, 1], [0, 0, 0]]]]


def test_batch_statistics_are_kept_and_those_of_a_picture_are_its_own():
    features = RNG.normal(size=(2, 4, 4, 3)).astype("float32")
    labels = OneHotMap(2)(RNG.integers(0, 2, (2, 4, 4)))
    alone = SPADE(0, "layer")
    both = ops.convert_to_numpy(alone([features, labels], training=True))
    single = ops.convert_to_numpy(alone([features[:1], labels[:1]], training=False))
    np.testing.assert_allclose(both[:1], single, atol=1e-5)
    together = SPADE(0, "batch")
    trained = ops.convert_to_numpy(together([features, labels], training=True))
    after = ops.convert_to_numpy(together([features, labels], training=False))
    assert np.abs(trained - after).max() > 1e-3


@pytest.mark.parametrize(
    "options, said",
    [({"hidden": -1}, "hidden is -1"), ({"norm": "instance"}, "norm is 'instance'")],
)
def test_an_impossible_layer(options, said):
    with pytest.raises(ValueError) as caught:
        SPADE(**options)
    assert said in str(caught.value)


def test_sizes_that_do_not_fit():
    with pytest.raises(ValueError) as caught:
        SPADE(0)([np.zeros((1, 4, 4, 3), "float32"), np.zeros((1, 6, 8, 2), "float32")])
    assert "6 x 8" in str(caught.value) and "4 x 4" in str(caught.value)
