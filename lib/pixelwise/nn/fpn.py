"""The feature pyramid network (FPN): every level as rich in meaning as the coarsest one.

A backbone's fine maps know where and little of what, its coarse maps the reverse. From the top
down, each map is brought to the same channels by a 1x1 convolution, the coarser one is laid over
it, each cell repeated, and a 3x3 convolution smooths the sum (Lin et al. 2017, section 3). Chapter:
Mask R-CNN.

The layers carry torchvision's names below the prefix they are given (``inner_blocks-0-0``,
``layer_blocks-0-0``, ...), so that its checkpoints load.
"""

import re

import keras
from keras import layers, ops

NORM_EPSILON = 1e-5  # PyTorch's; Keras' default is 1e-3


def feature_pyramid(levels, channels=256, name="fpn", groups=None, pool=True):
    """Builds the pyramid P2 to P6 over the levels C2 to C5 of a backbone.

    Args:
        levels: dict of float maps ``(batch, height, width, features)`` by level, as ``"C2"``; any
            number of levels without a gap. Height and width may be open.
        channels: of each level of the pyramid.
        name: prefix of the layers' names.
        groups: ``None``, or into how many groups a group normalisation divides the channels behind
            each convolution, which then has no bias (Wu and He 2018).
        pool: ``True`` adds a level above the coarsest, every other cell of it, for large anchors.

    Returns:
        dict of ``(batch, height, width, channels)``: for each level Ck a Pk of the same size, and
        the level above with ``pool``; finest first.

    Raises:
        ValueError: if the levels have other names or a gap, or the groups do not divide the
            channels.

    Source: Lin et al. 2017, figure 3 and section 4.1 (P6); equal to torchvision's
    ``FeaturePyramidNetwork`` with ``LastLevelMaxPool``.
    """
    if groups is not None and channels % groups:
        raise ValueError(f"{channels} channels cannot be divided into {groups} groups.")
    numbers = _numbers(levels)
    pyramid, above = {}, None
    for place, number in reversed(list(enumerate(numbers))):
        x = _conv(levels[f"C{number}"], channels, 1, f"{name}-inner_blocks-{place}", groups)
        if above is not None:
            above = NearestTo(name=f"{name}-up-{place}")([above, x])
            x = layers.Add(name=f"{name}-add-{place}")([x, above])
        above = x
        pyramid[number] = _conv(x, channels, 3, f"{name}-layer_blocks-{place}", groups)
    if pool:
        top = layers.MaxPooling2D(1, strides=2, name=f"{name}-pool")(pyramid[numbers[-1]])
        pyramid[numbers[-1] + 1] = top
    return {f"P{number}": pyramid[number] for number in sorted(pyramid)}


def _numbers(levels):
    """The numbers of the levels, finest first."""
    found = [re.fullmatch(r"C(\d+)", level) for level in levels]
    numbers = sorted(int(match[1]) for match in found if match)
    if not all(found) or not found or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise ValueError(
            f"The levels are {list(levels)}: give neighbouring ones by their names, as C2, C3, C4."
        )
    return numbers


def _conv(x, channels, kernel, name, groups):
    """Convolution that keeps the size, with group normalisation if there are groups."""
    x = layers.Conv2D(
        channels,
        kernel,
        padding="same",
        use_bias=groups is None,
        kernel_initializer="lecun_uniform",  # as torchvision: Kaiming with the slope 1
        name=f"{name}-0",
    )(x)
    if groups is None:
        return x
    return layers.GroupNormalization(groups, epsilon=NORM_EPSILON, name=f"{name}-1")(x)


@keras.saving.register_keras_serializable(package="pixelwise")
class NearestTo(layers.Layer):
    """Brings a map to the height and width of another by repeating cells.

    See ``resize_nearest``.

    Call arguments: ``[map (batch, h, w, channels), like (batch, height, width, ...)]``.
    Returns: ``(batch, height, width, channels)``.
    """

    def call(self, inputs):
        x, like = inputs
        return resize_nearest(x, ops.shape(like)[1:3])

    def compute_output_shape(self, input_shapes):
        x, like = input_shapes
        return (x[0], like[1], like[2], x[3])


def resize_nearest(x, size):
    """Resizes maps to any height and width: cell i of the result is floor(i * old / new).

    Args:
        x: float ``(batch, height, width, channels)``.
        size: ``(height, width)``, whole numbers or scalar tensors, at least 1.

    Returns:
        float ``(batch, *size, channels)``.

    Source: PyTorch's ``interpolate(..., mode="nearest")``.
    """
    for axis in (1, 2):
        old, new = ops.shape(x)[axis], size[axis - 1]
        if isinstance(old, int) and isinstance(new, int) and new in (2 * old, 2 * old - 1):
            # The usual case; the gradient of repeating is a sum, that of taking is slower.
            x = ops.repeat(x, 2, axis=axis)
            x = x[:, :new] if axis == 1 else x[:, :, :new]
        else:
            x = ops.take(x, ops.arange(new, dtype="int32") * old // new, axis=axis)
    return x
