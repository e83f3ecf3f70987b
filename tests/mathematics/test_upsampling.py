"""A transposed convolution with the bilinear kernel interpolates linearly, exactly."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn import upsampling
from pixelwise.nn.upsampling import (
    BilinearInitializer,
    bilinear_kernel,
    bilinear_layer,
    bilinear_weights,
)


def _upsample(x, stride):
    return ops.convert_to_numpy(bilinear_layer(x.shape[-1], stride)(x.astype("float32")))


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 8, 16, 32])
def test_bilinear_kernel_is_linear_interpolation(stride):
    line = np.random.default_rng(0).normal(size=6)
    picture = np.tile(line[None, :, None], (5, 1, 1))
    up = _upsample(picture[None], stride)[0, 2 * stride, :, 0]
    # Output pixel j has its middle at (j + 1/2) / stride - 1/2 in input pixels.
    where = (np.arange(6 * stride) + 0.5) / stride - 0.5
    inside = (where >= 0) & (where <= 5)
    assert up[inside] == pytest.approx(np.interp(where, np.arange(6), line)[inside], abs=1e-5)


@pytest.mark.parametrize("stride", [2, 3, 4, 8])
def test_it_is_the_bilinear_resize_of_keras_away_from_the_border(stride):
    x = np.random.default_rng(1).normal(size=(2, 5, 4, 3)).astype("float32")
    resized = ops.image.resize(x, (5 * stride, 4 * stride), interpolation="bilinear")
    inside = (slice(None), slice(stride, -stride), slice(stride, -stride))
    expected = ops.convert_to_numpy(resized)[inside]
    assert _upsample(x, stride)[inside] == pytest.approx(expected, abs=1e-5)


def test_weights_by_hand():
    assert bilinear_weights(1).tolist() == [1]
    assert bilinear_weights(2).tolist() == [0.25, 0.75, 0.75, 0.25]
    assert bilinear_weights(3) == pytest.approx(np.array([1, 2, 3, 2, 1]) / 3)
    for stride in range(1, 9):
        assert bilinear_weights(stride).sum() == pytest.approx(stride)


def test_kernel_is_diagonal_in_the_channels_and_equals_the_initialiser():
    kernel = bilinear_kernel(2, 3)
    assert kernel.shape == (4, 4, 3, 3) and kernel.dtype == np.float32
    assert np.all(kernel[..., ~np.eye(3, dtype=bool)] == 0)
    same = ops.convert_to_numpy(BilinearInitializer()((4, 4, 3, 3), "float32"))
    assert np.array_equal(kernel, same)


def test_initialiser_survives_saving():
    copy = keras.initializers.deserialize(keras.initializers.serialize(BilinearInitializer()))
    assert isinstance(copy, BilinearInitializer)


@pytest.mark.parametrize("stride", [0, -1, 1.5])
def test_a_stride_that_is_no_positive_whole_number(stride):
    with pytest.raises(ValueError, match="positive whole number"):
        bilinear_weights(stride)


@pytest.mark.parametrize("shape", [(4, 3, 2, 2), (4, 4, 2, 3), (4, 4)])
def test_a_kernel_that_cannot_be_bilinear(shape):
    with pytest.raises(ValueError, match="as many filters as there are input channels"):
        BilinearInitializer()(shape)


@pytest.mark.parametrize("size", [(9, 14), (3, 30), (5, 7), (2, 3), (1, 1)])
def test_resizing_in_a_running_graph_is_keras_resize(size):
    """Sizes that only the running graph knows take another way to the same numbers."""
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype("float32")
    expected = ops.convert_to_numpy(ops.image.resize(x, size, interpolation="bilinear"))
    late = upsampling.resize_bilinear(x, [ops.convert_to_tensor(n) for n in size])
    np.testing.assert_allclose(ops.convert_to_numpy(late), expected, atol=1e-6)
    assert upsampling.resize_bilinear(x, size).shape == expected.shape


def test_resizing_by_hand():
    row = np.array([0.0, 4.0], "float32").reshape(1, 1, 2, 1)
    # Centres of four cells in two: 0.25, 0.75, 1.25, 1.75, less 0.5: -0.25, 0.25, 0.75, 1.25.
    for size in ((1, 4), (ops.convert_to_tensor(1), ops.convert_to_tensor(4))):
        resized = ops.convert_to_numpy(upsampling.resize_bilinear(row, size)).ravel()
        assert resized.tolist() == [0, 1, 3, 4]
