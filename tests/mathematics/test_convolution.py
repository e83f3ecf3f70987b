"""The definitions in NumPy give what the layers of Keras give."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn import convolution as conv

DOT = np.ones((1, 1, 1))


def _layer(layer, image, kernel):
    layer.build((None, *image.shape))
    layer.set_weights([kernel])
    return ops.convert_to_numpy(layer(image[None].astype("float32")))[0]


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


@pytest.mark.parametrize("padding", ["valid", "same"])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2), (1, 3)])
@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(13, 15), (16, 14)])
def test_naive_convolution_is_the_keras_layer(padding, stride, dilation, kernel_size, size):
    image, kernel = _random(*size, 2), _random(kernel_size, kernel_size, 2, 3, seed=1)
    layer = keras.layers.Conv2D(
        3, kernel_size, stride, padding, dilation_rate=dilation, use_bias=False
    )
    expected = conv.conv2d_naive(image, kernel, None, stride, padding, dilation)
    assert _layer(layer, image, kernel) == pytest.approx(expected, abs=2e-5)
    for axis in (0, 1):
        n = conv.output_size(size[axis], kernel_size, stride, padding, dilation)
        assert expected.shape[axis] == n


def test_two_by_two_by_hand():
    image = np.arange(1, 10).reshape(3, 3, 1)  # 1 2 3 / 4 5 6 / 7 8 9
    kernel = np.array([[1, 2], [3, 4]]).reshape(2, 2, 1, 1)
    out = conv.conv2d_naive(image, kernel, bias=[1])[:, :, 0]
    # 1*1 + 2*2 + 4*3 + 5*4 = 37, and so on, plus the bias 1: not flipped.
    assert out.tolist() == [[38, 48], [68, 78]]


def test_whole_number_padding_is_zero_padding_then_valid():
    image, kernel = _random(7, 6, 2), _random(3, 3, 2, 1)
    padded = np.pad(image, [(2, 2), (2, 2), (0, 0)])
    assert conv.conv2d_naive(image, kernel, stride=2, padding=2) == pytest.approx(
        conv.conv2d_naive(padded, kernel, stride=2)
    )


@pytest.mark.parametrize("dilation", [1, 2, 3, 4])
def test_dilated_convolution_is_convolution_with_the_zero_stuffed_kernel(dilation):
    image, kernel = _random(15, 14, 2), _random(3, 3, 2, 2)
    stuffed = conv.dilate_kernel(kernel, dilation)
    assert stuffed.shape[0] == conv.reach(3, dilation)
    assert np.count_nonzero(stuffed) == kernel.size
    dilated = keras.layers.Conv2D(2, 3, dilation_rate=dilation, use_bias=False)
    large = keras.layers.Conv2D(2, stuffed.shape[0], use_bias=False)
    a, b = _layer(dilated, image, kernel), _layer(large, image, stuffed)
    assert a == pytest.approx(b, abs=2e-5)
    assert a == pytest.approx(conv.conv2d_naive(image, kernel, dilation=dilation), abs=2e-5)


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"),
    [(3, 1, "valid"), (3, 1, "same"), (4, 2, "same"), (2, 2, "valid"), (3, 2, 1)],
)
def test_convolution_is_a_matrix_product(kernel_size, stride, padding):
    image, kernel = _random(8, 6, 1), _random(kernel_size, kernel_size)
    matrix = conv.convolution_matrix(kernel, 8, 6, stride, padding)
    expected = conv.conv2d_naive(image, kernel[:, :, None, None], None, stride, padding)
    assert matrix @ image.reshape(-1) == pytest.approx(expected.reshape(-1))


@pytest.mark.parametrize(
    ("kernel_size", "stride", "padding"),
    # Kernel 3, stride 2, "same" is left out on purpose: there the backends of Keras differ.
    [(3, 1, "valid"), (3, 1, "same"), (4, 2, "same"), (2, 2, "valid"), (2, 2, "same")],
)
def test_transposed_convolution_is_the_transposed_matrix(kernel_size, stride, padding):
    height, width = 8, 6
    kernel = _random(kernel_size, kernel_size)
    matrix = conv.convolution_matrix(kernel, height, width, stride, padding)
    small = (
        conv.output_size(height, kernel_size, stride, padding),
        conv.output_size(width, kernel_size, stride, padding),
    )
    features = _random(*small, 1, seed=2)
    expected = (matrix.T @ features.reshape(-1)).reshape(height, width, 1)
    stamped = conv.conv2d_transpose_naive(features, kernel[:, :, None, None], stride, padding)
    assert stamped == pytest.approx(expected)
    layer = keras.layers.Conv2DTranspose(1, kernel_size, stride, padding, use_bias=False)
    assert _layer(layer, features, kernel[:, :, None, None]) == pytest.approx(expected, abs=1e-5)


def test_transposed_convolution_with_channels_is_the_keras_layer():
    image, kernel = _random(4, 5, 3), _random(4, 4, 2, 3)
    for stride, padding in [(1, "valid"), (2, "same"), (2, "valid"), (4, "same")]:
        layer = keras.layers.Conv2DTranspose(2, 4, stride, padding, use_bias=False)
        expected = conv.conv2d_transpose_naive(image, kernel, stride, padding)
        assert _layer(layer, image, kernel) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: conv.output_size(4, 3, dilation=2), "reaches over 5 pixels does not fit into 4"),
        (lambda: conv.output_size(4, 3, padding="full"), "got 'full'"),
        (lambda: conv.output_size(4, 3, padding=-1), "got -1"),
        (lambda: conv.conv2d_naive(np.ones((4, 4)), np.ones((3, 3))), r"got \(4, 4\)"),
        (lambda: conv.conv2d_naive(np.ones((4, 4, 2)), np.ones((3, 3, 1, 1))), "kernel"),
        (
            lambda: conv.conv2d_transpose_naive(np.ones((2, 2, 2)), np.ones((3, 3, 1, 1))),
            "kernel",
        ),
        (
            lambda: conv.conv2d_transpose_naive(DOT, DOT[None], 3, "same"),
            "smaller by 2",
        ),
    ],
)
def test_bad_input_gives_one_clear_sentence(call, message):
    with pytest.raises(ValueError, match=message):
        call()
