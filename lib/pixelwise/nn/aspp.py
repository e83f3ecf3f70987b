"""Atrous spatial pyramid pooling (ASPP): the same map filtered at several rates at once.

An object that fills the picture and one that fills a corner need different fields of view. ASPP
looks at each place with several of them side by side: a 1x1 convolution, 3x3 convolutions at
growing rates, and the mean of the whole map. Chapter: DeepLab.

The layers carry torchvision's names below the prefix they are given (``convs-0-0``, ...,
``project-0``), so that its checkpoints load.
"""

import keras
import numpy as np
from keras import layers, ops

from pixelwise.nn.atrous import conv_bn, separable_conv_bn

REFERENCE_STRIDE = 16  # rates are given for this output stride, as in the papers


def scaled_rates(rates, output_stride):
    """Returns the rates for another output stride: the same distance in pixels of the picture.

    Args:
        rates: whole numbers for the output stride 16, as ``(6, 12, 18)``.
        output_stride: 8, 16 or 32.

    Returns:
        tuple of int: at stride 8 the double.

    Raises:
        ValueError: if the rates are no tuple of positive whole numbers, or one is no whole number
            at that stride.

    Source: Chen et al. 2017 (v3), section 3.3.
    """
    check_rates(rates)
    scaled = []
    for rate in rates:
        if rate * REFERENCE_STRIDE % output_stride:
            raise ValueError(
                f"The rate {rate} at output stride 16 is {rate * 16 / output_stride} at output "
                f"stride {output_stride}: choose rates that stay whole numbers."
            )
        scaled.append(int(rate) * REFERENCE_STRIDE // output_stride)
    return tuple(scaled)


def mean_taps(size, rate):
    """Returns how many of the nine taps of an atrous 3x3 kernel lie on a square map, on average.

    Along one side the middle tap always does, and each outer one at ``size - rate`` of the places.

    Args:
        size: side of the map, in cells.
        rate: distance between the taps, in cells.

    Returns:
        float from 1 to 9, the mean over all places. From ``rate = size`` on it is 1: the kernel has
        become a 1x1.

    Source: Chen et al. 2017 (v3), section 3.3 and figure 4.
    """
    return (1 + 2 * max(size - rate, 0) / size) ** 2


def aspp(x, channels, rates, name, *, image_pooling=True, separable=False, dropout=0.1):
    """Filters a map at several rates, concatenates and projects.

    Args:
        x: float ``(batch, height, width, features)``.
        channels: of each branch and of the result.
        rates: of the 3x3 convolutions, at the stride of ``x``; empty leaves the 1x1 alone.
        name: prefix of the layers' names.
        image_pooling: ``True`` adds the branch that sees the mean of the whole map.
        separable: ``True`` makes the 3x3 convolutions separable, as in v3+.
        dropout: share of the result set to 0 in training.

    Returns:
        float ``(batch, height, width, channels)``.

    Raises:
        ValueError: if a rate is not possible, or the map's size is known and a rate reaches beyond
            it at every place.

    Source: Chen et al. 2017 (v3), figure 5 and section 3.3.
    """
    check_rates(rates, x.shape[1:3])
    branches = [
        conv_bn(x, channels, 1, f"{name}-convs-0-0", f"{name}-convs-0-1", activation="relu")
    ]
    for number, rate in enumerate(rates, start=1):
        prefix = f"{name}-convs-{number}"
        if separable:
            branch = separable_conv_bn(x, channels, prefix, rate=rate)
        else:
            branch = conv_bn(
                x, channels, 3, f"{prefix}-0", f"{prefix}-1", rate=rate, activation="relu"
            )
        branches.append(branch)
    if image_pooling:
        branches.append(_image_pooling(x, channels, f"{name}-convs-{len(branches)}"))
    x = layers.Concatenate(name=f"{name}-concatenate")(branches) if branches[1:] else branches[0]
    x = conv_bn(x, channels, 1, f"{name}-project-0", f"{name}-project-1", activation="relu")
    return layers.Dropout(dropout, name=f"{name}-project-3")(x)


def _image_pooling(x, channels, name):
    """The mean over all places, filtered, and given back to every place."""
    pooled = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}-0")(x)
    pooled = conv_bn(pooled, channels, 1, f"{name}-1", f"{name}-2", activation="relu")
    return SpreadOver(name=f"{name}-spread")([pooled, x])


@keras.saving.register_keras_serializable(package="pixelwise")
class SpreadOver(layers.Layer):
    """Gives one vector a picture, ``(batch, 1, 1, channels)``, to every place of a second map."""

    def call(self, inputs):
        vector, like = inputs
        shape = ops.shape(like)
        return ops.broadcast_to(vector, (shape[0], shape[1], shape[2], vector.shape[-1]))

    def compute_output_shape(self, input_shapes):
        vector, like = input_shapes
        return (*like[:3], vector[-1])


def check_rates(rates, size=(None, None)):
    """Checks the rates of 3x3 convolutions.

    Args:
        rates: tuple of whole numbers of at least 1, at the stride of the map.
        size: height and width of the map, in cells; ``None`` where they are not known.

    Raises:
        ValueError: if the rates are none of these, or one reaches beyond the map at every place.
    """
    if not isinstance(rates, tuple | list | np.ndarray):
        raise ValueError(f"rates is {rates!r}: give a tuple of whole numbers, as (6, 12, 18).")
    for rate in rates:
        if isinstance(rate, bool) or not isinstance(rate, int | np.integer) or rate < 1:
            raise ValueError(f"The rates are {tuple(rates)}: give whole numbers of at least 1.")
        if None not in size and rate >= max(size):
            raise ValueError(
                f"The rate {rate} reaches beyond a map of {size[0]} x {size[1]} cells from every "
                "place, so that a 3x3 is left with its middle: choose rates below "
                f"{max(size)}, or a larger picture or a smaller output stride."
            )
