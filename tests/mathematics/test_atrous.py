"""Atrous convolution and ASPP are what their definitions say."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.models import backbones
from pixelwise.nn import aspp as pyramid
from pixelwise.nn import convolution as conv
from pixelwise.nn import receptive_field
from pixelwise.nn.atrous import conv_bn, separable_conv_bn


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _block(height, width, channels, build):
    """A model of one block, with random normalisation, so that nothing cancels by chance."""
    inputs = keras.Input((height, width, channels))
    model = keras.Model(inputs, build(inputs))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            n = layer.gamma.shape[0]
            layer.set_weights([rng.uniform(0.5, 2, n) for _ in range(4)])
    return model


def _normalised(x, layer):
    """Batch normalisation by its definition, float64."""
    gamma, beta, mean, variance = (np.asarray(w, float) for w in layer.get_weights())
    return gamma * (x - mean) / np.sqrt(variance + layer.epsilon) + beta


def _run(model, x):
    return ops.convert_to_numpy(model(x[None], training=False))[0]


@pytest.mark.parametrize("rate", [1, 2, 3, 5])
def test_atrous_convolution_is_convolution_with_the_zero_stuffed_kernel(rate):
    x = _random(12, 9, 2)
    model = _block(12, 9, 2, lambda x: conv_bn(x, 3, 3, "conv", "bn", rate=rate))
    kernel = ops.convert_to_numpy(model.get_layer("conv").kernel)
    stuffed = conv.dilate_kernel(kernel, rate)
    assert stuffed.shape[:2] == (2 * rate + 1, 2 * rate + 1)
    dense = conv.conv2d_naive(x, stuffed, padding=rate)  # rate zeros on each side
    expected = _normalised(dense, model.get_layer("bn"))
    np.testing.assert_allclose(_run(model, x), expected, atol=2e-5)


@pytest.mark.parametrize(("kernel", "stride", "size"), [(3, 2, 11), (3, 2, 12), (7, 2, 14)])
def test_padding_is_the_same_on_both_sides_also_with_a_stride(kernel, stride, size):
    x = _random(size, size, 1)
    model = _block(size, size, 1, lambda x: conv_bn(x, 2, kernel, "conv", "bn", stride=stride))
    weights = ops.convert_to_numpy(model.get_layer("conv").kernel)
    dense = conv.conv2d_naive(x, weights, stride=stride, padding=(kernel - 1) // 2)
    np.testing.assert_allclose(_run(model, x), _normalised(dense, model.get_layer("bn")), atol=2e-5)


@pytest.mark.parametrize("rate", [1, 3])
def test_separable_convolution_is_one_filter_a_channel_and_a_mixture(rate):
    x = _random(8, 7, 3)
    model = _block(8, 7, 3, lambda x: separable_conv_bn(x, 4, "sep", rate=rate))
    filters = ops.convert_to_numpy(model.get_layer("sep-depthwise").kernel)  # (3, 3, 3, 1)
    maps = [
        conv.conv2d_naive(
            x[..., c : c + 1], conv.dilate_kernel(filters[:, :, c : c + 1], rate), padding=rate
        )
        for c in range(3)
    ]
    filtered = np.concatenate(maps, axis=-1)
    filtered = np.maximum(_normalised(filtered, model.get_layer("sep-depthwise_bn")), 0)
    mixture = ops.convert_to_numpy(model.get_layer("sep-pointwise").kernel)[0, 0]
    mixed = _normalised(filtered @ mixture, model.get_layer("sep-pointwise_bn"))
    np.testing.assert_allclose(_run(model, x), np.maximum(mixed, 0), atol=2e-5)


def test_aspp_is_its_branches_side_by_side():
    x = _random(7, 6, 3)
    model = _block(7, 6, 3, lambda x: pyramid.aspp(x, 2, (1, 3), "a"))

    def branch(x, conv_name, bn_name, rate=1):
        kernel = conv.dilate_kernel(ops.convert_to_numpy(model.get_layer(conv_name).kernel), rate)
        dense = conv.conv2d_naive(x, kernel, padding=(kernel.shape[0] - 1) // 2)
        return np.maximum(_normalised(dense, model.get_layer(bn_name)), 0)

    mean = branch(x.mean((0, 1), keepdims=True), "a-convs-3-1", "a-convs-3-2")
    branches = [
        branch(x, "a-convs-0-0", "a-convs-0-1"),
        branch(x, "a-convs-1-0", "a-convs-1-1", rate=1),
        branch(x, "a-convs-2-0", "a-convs-2-1", rate=3),
        np.broadcast_to(mean, (7, 6, 2)),
    ]
    expected = branch(np.concatenate(branches, -1), "a-project-0", "a-project-1")
    np.testing.assert_allclose(_run(model, x), expected, atol=2e-5)


@pytest.mark.parametrize("size", [1, 5, 12])
@pytest.mark.parametrize("rate", [1, 2, 4, 5, 11, 12, 30])
def test_mean_taps_are_those_on_the_map(size, rate):
    count = np.zeros((size, size), int)
    for i in range(size):
        for j in range(size):
            for di in (-rate, 0, rate):
                for dj in (-rate, 0, rate):
                    count[i, j] += 0 <= i + di < size and 0 <= j + dj < size
    assert pyramid.mean_taps(size, rate) == pytest.approx(count.mean())
    if rate >= size:
        assert pyramid.mean_taps(size, rate) == 1


def test_rates_keep_their_distance_in_the_picture():
    assert pyramid.scaled_rates((6, 12, 18), 16) == (6, 12, 18)
    assert pyramid.scaled_rates((6, 12, 18), 8) == (12, 24, 36)
    assert pyramid.scaled_rates((2, 4), 32) == (1, 2)
    for wrong in ((0,), (1.5,), (-2, 4), (True,)):
        with pytest.raises(ValueError, match="whole numbers of at least 1"):
            pyramid.scaled_rates(wrong, 16)
    with pytest.raises(ValueError, match=r"rate 3 at output stride 16 is 1.5 at output stride 32"):
        pyramid.scaled_rates((3,), 32)


def test_dilation_keeps_the_receptive_field_of_the_stride_it_replaces():
    """A stride of 2 and a 3x3 see as far as no stride and a 3x3 at rate 2."""
    strided = receptive_field.computed([(3, 2, 1, 1), (3, 1, 1, 1)])
    dilated = receptive_field.computed([(3, 1, 1, 1), (3, 1, 2, 2)])
    assert (strided.size, dilated.size) == (7, 7)
    assert (strided.stride, dilated.stride) == (2, 1)


@pytest.mark.parametrize("backbone", ["mobilenet_v2", "resnet50"])
def test_a_dilated_backbone_holds_the_strided_ones_features(backbone):
    """At every second cell the finer map is the coarse one: dilation only fills in between."""
    keras.utils.set_random_seed(0)
    build = getattr(backbones, backbone)
    options = {} if backbone == "mobilenet_v2" else {"weights": None}
    coarse = build(output_stride=32, **options)
    fine = build(output_stride=16, **options)
    fine.set_weights(coarse.get_weights())
    x = np.random.default_rng(0).uniform(size=(1, 129, 97, 3)).astype("float32")
    level = "C5"
    ours = ops.convert_to_numpy(fine(x)[level])[:, ::2, ::2]
    theirs = ops.convert_to_numpy(coarse(x)[level])
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=2e-4 * np.abs(theirs).max())
