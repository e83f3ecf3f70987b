"""The Inception-V3 that the published FID, KID and precision figures were measured with.

It is TensorFlow's network of December 2015 (Szegedy et al. 2016, arXiv 1512.00567), not the one
that is called Inception-V3 today, and has its traits: an average over the pixels inside the map
only, at the borders too; a maximum in the place of one average, in the very last block; pictures
resized by a rule that TensorFlow has since given up. Its weights are those that pytorch-fid and
torch-fidelity converted for PyTorch, and the layers have their names (with a dash for the dot).
Other weights, or another way to resize, give other figures (Parmar et al. 2022, arXiv 2104.11222).
Chapter: GAN.
"""

import keras
import numpy as np
from keras import layers

from pixelwise.models.backbones import freeze, is_frozen

SIDE = 299
FEATURES = 2048
SMALLEST = 75  # pixels: the last map then has one cell
EPSILON = 1e-3


def inception_v3_fid(weights=None, *, freeze_bn=None, input_shape=(SIDE, SIDE, 3)):
    """Builds the network up to its 2,048 features, the mean over the last map.

    21.8 million parameters. It has no classifier: that of the published weights is passed over.

    Args:
        weights: ``"fid"`` (91 MB, downloaded and converted once, which needs PyTorch), the path of
            a ``.pth`` file of the network, or ``None``.
        freeze_bn: ``True`` keeps the batch normalisation as it is; ``None`` does so if weights were
            loaded.
        input_shape: ``(height, width, 3)`` of at least 75 pixels a side; ``None`` leaves the size
            open. The published figures have 299, see ``resize_like_tensorflow1``.

    Returns:
        ``keras.Model``: pictures float ``(batch, height, width, 3)`` in [0, 1] to float ``(batch,
        2048)``.

    Raises:
        ValueError: if the shape is not possible, or the weights do not fit.
        pixelwise.data.download.DownloadError, ImportError: if the weights cannot be had.
    """
    shape = (None, None, 3) if input_shape is None else tuple(input_shape)
    small = any(side is not None and side < SMALLEST for side in shape[:2])
    if len(shape) != 3 or shape[2] != 3 or small:
        raise ValueError(
            f"input_shape is {input_shape!r}: give (height, width, 3) with {SMALLEST} pixels or "
            "more, or None."
        )
    pictures = keras.Input(shape, name="pictures")
    x = layers.Rescaling(255 / 128, offset=-1.0, name="scale")(pictures)  # (255 x - 128) / 128
    x = _conv(x, 32, 3, "Conv2d_1a_3x3", stride=2, padding="valid")
    x = _conv(x, 32, 3, "Conv2d_2a_3x3", padding="valid")
    x = _conv(x, 64, 3, "Conv2d_2b_3x3")
    x = layers.MaxPooling2D(3, 2, name="MaxPool_1")(x)
    x = _conv(x, 80, 1, "Conv2d_3b_1x1")
    x = _conv(x, 192, 3, "Conv2d_4a_3x3", padding="valid")
    x = layers.MaxPooling2D(3, 2, name="MaxPool_2")(x)
    for name, pooled in (("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)):
        x = _squares(x, pooled, name)
    x = _first_reduction(x, "Mixed_6a")
    for name, width in (("6b", 128), ("6c", 160), ("6d", 160), ("6e", 192)):
        x = _sevens(x, width, f"Mixed_{name}")
    x = _second_reduction(x, "Mixed_7a")
    x = _fans(x, layers.AveragePooling2D, "Mixed_7b")
    x = _fans(x, layers.MaxPooling2D, "Mixed_7c")
    x = layers.GlobalAveragePooling2D(name="features")(x)
    model = keras.Model(pictures, x, name="inception_v3_fid")
    if weights is not None:
        from pixelwise.weights import published

        published.load(model, "inception_v3_fid", weights, leave_out=("fc.",))
    return freeze(model) if is_frozen(freeze_bn, weights) else model


def resize_like_tensorflow1(images, side=SIDE):
    """Resizes pictures bilinearly by the rule of TensorFlow 1, which the FID network was used with.

    Output pixel i is taken from the place ``i * size / side`` of the input, so that the first
    pixels coincide and the picture moves up and to the left; today's rule has ``(i + 1/2) * size /
    side - 1/2``. Nothing is averaged where pictures become smaller.

    Args:
        images: float ``(batch, height, width, channels)``.
        side: height and width of the result, in pixels.

    Returns:
        float32 ``(batch, side, side, channels)``.

    Source: torch-fidelity has the same rule, pytorch-fid today's.
    """
    images = np.asarray(images, np.float32)
    for axis in (1, 2):
        size = images.shape[axis]
        place = np.arange(side, dtype=np.float32) * np.float32(size / side)
        lower = np.minimum(place.astype(int), size - 1)
        upper = np.minimum(lower + 1, size - 1)
        share = place - lower.astype(np.float32)
        share = share.reshape([side if a == axis else 1 for a in range(4)])
        low, high = np.take(images, lower, axis), np.take(images, upper, axis)
        images = low + (high - low) * share
    return images


def _conv(x, filters, kernel, name, *, stride=1, padding="same"):
    """Convolution, batch normalisation and ReLU, under PyTorch's names."""
    x = layers.Conv2D(
        filters, kernel, stride, padding=padding, use_bias=False, name=f"{name}-conv"
    )(x)
    x = layers.BatchNormalization(epsilon=EPSILON, momentum=0.9, name=f"{name}-bn")(x)
    return layers.Activation("relu", name=f"{name}-relu")(x)


def _chain(x, name, *convolutions, **last):
    """Convolutions one after the other, each ``(filters, kernel)``; ``last`` is for the last."""
    for place, (filters, kernel) in enumerate(convolutions, start=1):
        options = last if place == len(convolutions) else {}
        x = _conv(x, filters, kernel, f"{name}_{place}", **options)
    return x


def _pooled(x, filters, name, pooling=layers.AveragePooling2D):
    """A 3x3 pooling that keeps the size, and a 1x1 convolution."""
    x = pooling(3, 1, padding="same", name=f"{name}-pool")(x)
    return _conv(x, filters, 1, f"{name}-branch_pool")


def _joined(branches, name):
    return layers.Concatenate(name=name)(branches)


def _squares(x, pooled, name):
    """Figure 5 of the paper: 1x1, 5x5, and two 3x3, beside a pooling."""
    branches = [
        _conv(x, 64, 1, f"{name}-branch1x1"),
        _chain(x, f"{name}-branch5x5", (48, 1), (64, 5)),
        _chain(x, f"{name}-branch3x3dbl", (64, 1), (96, 3), (96, 3)),
        _pooled(x, pooled, name),
    ]
    return _joined(branches, name)


def _first_reduction(x, name):
    """Figure 10 of the paper: half the size by strides, beside a pooling."""
    last = {"stride": 2, "padding": "valid"}
    branches = [
        _conv(x, 384, 3, f"{name}-branch3x3", **last),
        _chain(x, f"{name}-branch3x3dbl", (64, 1), (96, 3), (96, 3), **last),
        layers.MaxPooling2D(3, 2, name=f"{name}-pool")(x),
    ]
    return _joined(branches, name)


def _sevens(x, width, name):
    """Figure 6 of the paper with n = 7: a row and a column in the place of a square."""
    row, column = (1, 7), (7, 1)
    twice = [(width, column), (width, row), (width, column), (192, row)]
    branches = [
        _conv(x, 192, 1, f"{name}-branch1x1"),
        _chain(x, f"{name}-branch7x7", (width, 1), (width, row), (192, column)),
        _chain(x, f"{name}-branch7x7dbl", (width, 1), *twice),
        _pooled(x, 192, name),
    ]
    return _joined(branches, name)


def _second_reduction(x, name):
    last = {"stride": 2, "padding": "valid"}
    branches = [
        _chain(x, f"{name}-branch3x3", (192, 1), (320, 3), **last),
        _chain(x, f"{name}-branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3), **last),
        layers.MaxPooling2D(3, 2, name=f"{name}-pool")(x),
    ]
    return _joined(branches, name)


def _fans(x, pooling, name):
    """Figure 7 of the paper: a row and a column side by side."""

    def fan(x, start):
        pair = [_conv(x, 384, (1, 3), f"{start}a"), _conv(x, 384, (3, 1), f"{start}b")]
        return _joined(pair, f"{start}-fan")

    narrow = _conv(x, 384, 1, f"{name}-branch3x3_1")
    deep = _chain(x, f"{name}-branch3x3dbl", (448, 1), (384, 3))
    branches = [
        _conv(x, 320, 1, f"{name}-branch1x1"),
        fan(narrow, f"{name}-branch3x3_2"),
        fan(deep, f"{name}-branch3x3dbl_3"),
        _pooled(x, 192, name, pooling),
    ]
    return _joined(branches, name)
