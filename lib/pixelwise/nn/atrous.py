"""Atrous (dilated) convolution, with its normalisation: the block that DeepLab is made of.

A kernel whose taps lie ``rate`` pixels apart sees more without more weights and without a smaller
map (Chen et al. 2018, section 3.1). Zeros are padded alike on both sides, so that output i stays
over input ``stride * i``. Chapter: DeepLab; the convolution itself, and the proof that it is a
convolution with a zero-stuffed kernel, are in The mathematics of pixels.
"""

import numpy as np
from keras import initializers, layers

from pixelwise.nn.taps import AtrousConv2D

BATCH_NORM_EPSILON = 1e-5  # PyTorch's; Keras' default is 1e-3
BATCH_NORM_MOMENTUM = 0.9  # what PyTorch calls 0.1


def conv_bn(
    x,
    filters,
    kernel,
    conv_name,
    bn_name,
    *,
    stride=1,
    rate=1,
    activation=None,
    depthwise=False,
):
    """Convolution padded alike on both sides, batch normalisation and, if named, an activation.

    Args:
        x: float ``(batch, height, width, channels)``.
        filters: output channels; without meaning if ``depthwise``, which keeps the channels.
        kernel: side of the kernel, odd.
        conv_name, bn_name: names of the two layers, which carry the weights' names of PyTorch.
        stride: distance between outputs, in pixels of the input.
        rate: distance between the taps of the kernel; 1 is the ordinary convolution.
        activation: ``None`` or a name, as ``"relu"``.
        depthwise: ``True`` filters each channel by itself.

    Returns:
        float ``(batch, ceil(height / stride), ceil(width / stride), filters)``.

    Raises:
        ValueError: if the kernel is even, or stride or rate is no positive whole number, or both
            are larger than 1, which Keras cannot compute.
    """
    for name, value in (("kernel", kernel), ("stride", stride), ("rate", rate)):
        if not isinstance(value, int | np.integer) or value < 1:
            raise ValueError(f"The {name} of {conv_name} is {value!r}: give a whole number from 1.")
    if kernel % 2 == 0:
        raise ValueError(f"The kernel of {conv_name} is {kernel}: give an odd side.")
    if stride > 1 and rate > 1:
        raise ValueError(
            f"{conv_name} has the stride {stride} and the rate {rate}: one of them must be 1, "
            "since a dilated convolution takes the place of a stride."
        )
    # With stride 1 and an odd kernel "same" is the symmetric padding; with a stride it is not.
    same = stride == 1
    if not same and kernel > 1:
        x = layers.ZeroPadding2D((kernel - 1) // 2, name=f"{conv_name}-pad")(x)
    options = {
        "strides": stride,
        "dilation_rate": rate,
        "padding": "same" if same else "valid",
        "use_bias": False,
        "name": conv_name,
    }
    if depthwise:
        # Each output has kernel * kernel inputs; Keras' initialisers would count all channels, and
        # start with filters so small that a step of Adam overturns them.
        start = initializers.RandomNormal(stddev=float(np.sqrt(2 / kernel**2)))
        x = layers.DepthwiseConv2D(kernel, depthwise_initializer=start, **options)(x)
    else:
        convolution = AtrousConv2D if rate > 1 else layers.Conv2D
        x = convolution(filters, kernel, kernel_initializer="he_normal", **options)(x)
    x = batch_norm(x, bn_name)
    return layers.Activation(activation, name=f"{bn_name}-{activation}")(x) if activation else x


def batch_norm(x, name):
    """Batch normalisation with PyTorch's epsilon and momentum."""
    layer = layers.BatchNormalization(
        epsilon=BATCH_NORM_EPSILON, momentum=BATCH_NORM_MOMENTUM, name=name
    )
    return layer(x)


def separable_conv_bn(x, filters, name, *, rate=1):
    """Atrous separable convolution: each channel filtered by itself, then mixed by a 1x1.

    Both halves are followed by batch normalisation and ReLU. A 3x3 with ``filters`` outputs costs
    ``9 * channels * filters`` products a pixel, this one ``(9 + filters) * channels``.

    Args:
        x: float ``(batch, height, width, channels)``.
        filters: output channels.
        name: prefix of the names of the four layers.
        rate: distance between the taps of the 3x3 kernel.

    Returns:
        float ``(batch, height, width, filters)``.

    Raises:
        ValueError: as ``conv_bn``.

    Source: Chen et al. 2018 (v3+), section 3.1 and figure 3.
    """
    x = conv_bn(
        x,
        None,
        3,
        f"{name}-depthwise",
        f"{name}-depthwise_bn",
        rate=rate,
        activation="relu",
        depthwise=True,
    )
    return conv_bn(x, filters, 1, f"{name}-pointwise", f"{name}-pointwise_bn", activation="relu")
