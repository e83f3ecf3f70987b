"""Making feature maps larger: bilinear kernels, the transposed convolution, and resizing.

Chapter: The mathematics of pixels; used by Fully convolutional networks and DeepLab.
"""

import keras
import numpy as np
from keras import ops


def bilinear_weights(stride):
    """Returns the 1-D kernel of bilinear upsampling by a whole factor.

    A triangle of width 2 * stride, sampled at its ``2 * stride - stride % 2`` middles.

    Args:
        stride: the factor, an integer of at least 1.

    Returns:
        float64 array ``(k,)`` with k = 2 * stride - stride % 2; it sums to ``stride``.

    Raises:
        ValueError: if the stride is not a positive integer.

    Source: Long, Shelhamer, Darrell 2015, section 3.3 and their released initialiser.
    """
    if int(stride) != stride or stride < 1:
        raise ValueError(f"The stride must be a positive whole number, but got {stride!r}.")
    size = int(2 * stride - stride % 2)
    return _triangle(size)


def _triangle(size):
    """The triangle of ``size`` samples whose half-width is the factor that ``size`` belongs to."""
    factor = (size + 1) // 2
    centre = (size - 1) / 2
    return 1 - np.abs(np.arange(size) - centre) / factor


def bilinear_kernel(stride, channels):
    """Returns the kernel that makes a transposed convolution upsample each channel bilinearly.

    Args:
        stride: the factor, an integer of at least 1.
        channels: number of channels.

    Returns:
        float32 array ``(k, k, channels, channels)`` (rows, columns, out, in), the layout of
        ``keras.layers.Conv2DTranspose``; zero between different channels.
    """
    return _each_channel(bilinear_weights(stride), channels).astype("float32")


def _each_channel(line, channels):
    """The kernel (k, k, channels, channels) that applies one 1-D kernel both ways to each."""
    return np.outer(line, line)[:, :, None, None] * np.eye(channels)


def bilinear_layer(channels, stride, **options):
    """Returns a ``Conv2DTranspose`` that starts as bilinear upsampling and may learn from there.

    Near the border it fades towards zero, where a bilinear resize would repeat the last pixel.

    Args:
        channels: number of channels, in and out.
        stride: the factor, an integer of at least 1.
        **options: passed to the layer, such as ``name`` or ``trainable``.

    Returns:
        A layer from ``(batch, height, width, channels)`` to
        ``(batch, stride * height, stride * width, channels)``.
    """
    return keras.layers.Conv2DTranspose(
        channels,
        len(bilinear_weights(stride)),
        strides=stride,
        padding="same",
        use_bias=False,
        kernel_initializer=BilinearInitializer(),
        **options,
    )


@keras.saving.register_keras_serializable(package="pixelwise")
class BilinearInitializer(keras.initializers.Initializer):
    """Starts a ``Conv2DTranspose`` as bilinear upsampling of each channel by itself.

    The kernel's shape is ``(k, k, out, in)`` with in = out. For a factor s use
    ``kernel_size=2 * s - s % 2`` and ``padding="same"``; the kernel size alone tells the factor.

    Raises:
        ValueError: if the kernel is not square or the channels differ.

    Source: Long, Shelhamer, Darrell 2015, section 3.3. Chapter: The mathematics of pixels.
    """

    def __call__(self, shape, dtype=None):
        shape = tuple(int(n) for n in shape)
        if len(shape) != 4 or shape[0] != shape[1] or shape[2] != shape[3]:
            raise ValueError(
                f"A bilinear kernel has the shape (k, k, channels, channels), but got {shape}: "
                "use a square kernel and as many filters as there are input channels."
            )
        kernel = _each_channel(_triangle(shape[0]), shape[2])
        return ops.convert_to_tensor(kernel, dtype=dtype or keras.config.floatx())


def resize_bilinear(x, size):
    """Resizes maps bilinearly to any height and width, also to those only a running graph knows.

    Cells are squares side by side (half-pixel centres), nothing is averaged when a map shrinks
    (no antialiasing), and beyond the outermost centres the outermost value holds: torchvision's
    ``interpolate(..., align_corners=False)``.

    Args:
        x: float ``(batch, height, width, channels)``.
        size: ``(height, width)``, whole numbers or scalar tensors, at least 1.

    Returns:
        float ``(batch, *size, channels)``.
    """
    if all(isinstance(n, int) for n in (*size, *x.shape[1:3])):
        return ops.image.resize(x, size, interpolation="bilinear")
    shape = ops.shape(x)
    for axis in (1, 2):
        below, above, share = _neighbours(shape[axis], size[axis - 1], x.dtype)
        share = ops.reshape(share, (-1, 1, 1) if axis == 1 else (-1, 1))
        x = ops.take(x, below, axis=axis) * (1 - share) + ops.take(x, above, axis=axis) * share
    return x


@keras.saving.register_keras_serializable(package="pixelwise")
class DoubleBilinear(keras.layers.Layer):
    """Doubles maps bilinearly, also those whose height and width only a running graph knows.

    ``keras.layers.UpSampling2D`` does the same, but fails in a compiled TensorFlow model at the
    second size of picture (Keras 3.15).

    Call arguments: float ``(batch, height, width, channels)``.
    Returns: float ``(batch, 2 height, 2 width, channels)``.
    """

    def call(self, x):
        return resize_bilinear(x, [2 * side for side in ops.shape(x)[1:3]])

    def compute_output_shape(self, shape):
        sides = [None if side is None else 2 * side for side in shape[1:3]]
        return (shape[0], *sides, shape[3])


def _neighbours(old, new, dtype):
    """The two cells that each new cell lies between, and how far it is from the first, 0 to 1."""
    centre = (ops.arange(new, dtype="float32") + 0.5) * (
        ops.cast(old, "float32") / ops.cast(new, "float32")
    ) - 0.5
    centre = ops.clip(centre, 0.0, ops.cast(old - 1, "float32"))
    below = ops.cast(ops.floor(centre), "int32")
    above = ops.minimum(below + 1, old - 1)
    return below, above, ops.cast(centre - ops.floor(centre), dtype)
