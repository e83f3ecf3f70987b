"""Convolution and its transpose in plain NumPy: the definitions that the layers are held to.

One picture at a time, loops where the equation has sums, float64. Nothing here is fast: networks
use ``keras.layers.Conv2D`` and ``keras.layers.Conv2DTranspose``, and the tests assert that these
give the same numbers.

Chapter: The mathematics of pixels.
"""

import numpy as np


def output_size(size, kernel, stride=1, padding="valid", dilation=1):
    """Returns how many outputs a convolution gives along one side.

    Args:
        size: input size in pixels.
        kernel: kernel size in pixels, before dilation.
        stride: step between outputs in pixels.
        padding: "valid" (none), "same" (output is size / stride, rounded up), or a whole number
            of zeros on each side.
        dilation: distance between neighbouring taps of the kernel in pixels.

    Returns:
        int, at least 1: floor((size + padding before and after - reach) / stride) + 1.

    Raises:
        ValueError: if the kernel does not fit into the padded input.

    Source: Dumoulin and Visin 2016, section 5.1.
    """
    before, after = padding_sizes(size, kernel, stride, padding, dilation)
    free = size + before + after - reach(kernel, dilation)
    if free < 0:
        raise ValueError(
            f"A kernel that reaches over {reach(kernel, dilation)} pixels does not fit into "
            f"{size} + {before + after} pixels: pad more or use a smaller kernel or dilation."
        )
    return free // stride + 1


def reach(kernel, dilation=1):
    """Returns the pixels from the first to the last tap of a dilated kernel, both counted."""
    return dilation * (kernel - 1) + 1


def padding_sizes(size, kernel, stride=1, padding="valid", dilation=1):
    """Returns the zeros before and after one side, (before, after).

    "same" adds as many as make ceil(size / stride) outputs; an odd one goes after, which is the
    rule of TensorFlow and Keras.

    Raises:
        ValueError: for a negative number or another word.
    """
    if padding == "valid":
        return 0, 0
    if padding == "same":
        outputs = -(-size // stride)
        total = max((outputs - 1) * stride + reach(kernel, dilation) - size, 0)
        return total // 2, total - total // 2
    if isinstance(padding, (int, np.integer)) and padding >= 0:
        return int(padding), int(padding)
    raise ValueError(f'The padding must be "valid", "same" or 0, 1, 2, ..., but got {padding!r}.')


def conv2d_naive(image, kernel, bias=None, stride=1, padding="valid", dilation=1):
    """Returns the convolution of one picture, by the sums of the definition.

    Args:
        image: float array ``(height, width, in_channels)``.
        kernel: float array ``(rows, columns, in_channels, out_channels)``.
        bias: None or ``(out_channels,)``.
        stride, padding, dilation: as in ``output_size``.

    Returns:
        float64 array ``(out_height, out_width, out_channels)``.

    Raises:
        ValueError: if the channels differ or the kernel does not fit.

    Source: Dumoulin and Visin 2016, section 2 (a cross-correlation: the kernel is not flipped).
    """
    image, kernel = np.asarray(image, float), np.asarray(kernel, float)
    if image.ndim != 3 or kernel.ndim != 4 or image.shape[2] != kernel.shape[2]:
        raise ValueError(
            "Convolution needs an image (height, width, in) and a kernel (rows, columns, in, out), "
            f"but got {image.shape} and {kernel.shape}."
        )
    rows, columns, _, filters = kernel.shape
    height = output_size(image.shape[0], rows, stride, padding, dilation)
    width = output_size(image.shape[1], columns, stride, padding, dilation)
    pads = [
        padding_sizes(image.shape[0], rows, stride, padding, dilation),
        padding_sizes(image.shape[1], columns, stride, padding, dilation),
    ]
    padded = np.pad(image, [*pads, (0, 0)])
    out = np.zeros((height, width, filters))
    for i in range(height):
        for j in range(width):
            for u in range(rows):
                for v in range(columns):
                    pixel = padded[i * stride + u * dilation, j * stride + v * dilation]
                    out[i, j] += pixel @ kernel[u, v]
    return out if bias is None else out + np.asarray(bias, float)


def dilate_kernel(kernel, dilation):
    """Returns the kernel with dilation - 1 rows and columns of zeros between its taps.

    Convolving with it is convolving with the small kernel at that dilation.

    Args:
        kernel: array ``(rows, columns, ...)``.
        dilation: whole number, at least 1.

    Returns:
        Array ``(dilation * (rows - 1) + 1, dilation * (columns - 1) + 1, ...)``.
    """
    kernel = np.asarray(kernel)
    shape = (reach(kernel.shape[0], dilation), reach(kernel.shape[1], dilation))
    stuffed = np.zeros(shape + kernel.shape[2:], kernel.dtype)
    stuffed[::dilation, ::dilation] = kernel
    return stuffed


def convolution_matrix(kernel, height, width, stride=1, padding="valid", dilation=1):
    """Returns the matrix C with ``flat(convolution of x) = C @ flat(x)``, for one channel.

    Each column is the convolution of a picture that is 1 at one pixel and 0 elsewhere.

    Args:
        kernel: float array ``(rows, columns)``.
        height, width: size of the input in pixels.
        stride, padding, dilation: as in ``output_size``.

    Returns:
        float64 array ``(out_height * out_width, height * width)``, rows and columns in the order
        of ``reshape(-1)``.

    Source: Dumoulin and Visin 2016, section 4.1.
    """
    kernel = np.asarray(kernel, float)[:, :, None, None]
    columns = []
    for position in range(height * width):
        dot = np.zeros(height * width)
        dot[position] = 1
        image = dot.reshape(height, width, 1)
        columns.append(conv2d_naive(image, kernel, None, stride, padding, dilation).reshape(-1))
    return np.stack(columns, axis=1)


def conv2d_transpose_naive(image, kernel, stride=1, padding="valid"):
    """Returns the transposed convolution of one picture: each pixel stamps the kernel.

    The stamp is multiplied by the pixel, and stamps that overlap add up.

    Args:
        image: float array ``(height, width, in_channels)``.
        kernel: float array ``(rows, columns, out_channels, in_channels)``, the layout of Keras.
        stride: distance between stamps in the output, in pixels.
        padding: "valid" (all of it), or "same" (cropped to stride times the input; an odd row or
            column is cropped at the end), or a number of pixels to crop on each side.

    Returns:
        float64 array ``(out_height, out_width, out_channels)``; with "valid" a side has
        (n - 1) * stride + k pixels.

    Raises:
        ValueError: if the channels differ, or if "same" is asked of a kernel below the stride.

    Source: Dumoulin and Visin 2016, section 4.
    """
    image, kernel = np.asarray(image, float), np.asarray(kernel, float)
    if image.ndim != 3 or kernel.ndim != 4 or image.shape[2] != kernel.shape[3]:
        raise ValueError(
            "Transposed convolution needs an image (height, width, in) and a kernel (rows, "
            f"columns, out, in), but got {image.shape} and {kernel.shape}."
        )
    height, width = image.shape[:2]
    rows, columns, filters, _ = kernel.shape
    out = np.zeros(((height - 1) * stride + rows, (width - 1) * stride + columns, filters))
    for i in range(height):
        for j in range(width):
            stamp = kernel @ image[i, j]
            out[i * stride : i * stride + rows, j * stride : j * stride + columns] += stamp
    return _crop(_crop(out, 0, rows - stride, padding), 1, columns - stride, padding)


def _crop(out, axis, surplus, padding):
    if padding == "same":
        if surplus < 0:
            raise ValueError(
                'Padding "same" needs a kernel at least as large as the stride: '
                f"it is smaller by {-surplus}."
            )
        before, after = surplus // 2, surplus - surplus // 2
    else:
        before, after = padding_sizes(out.shape[axis], 1, 1, padding)
    return np.take(out, np.arange(before, out.shape[axis] - after), axis=axis)
