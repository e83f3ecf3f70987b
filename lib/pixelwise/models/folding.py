"""Folding batch normalisation into the convolutions before it, for inference.

In inference a batch normalisation multiplies each channel by a constant and adds another. So does
nothing else than a convolution with other numbers in its kernel and a bias:

    scale = gamma / sqrt(variance + epsilon)
    kernel' = kernel * scale,   bias' = beta + (bias - mean) * scale

The network gives the same answers with one pass over each feature map less. Compilers find most of
it by themselves; what runs layer by layer gains. Chapter 3.
"""

import keras
import numpy as np
from keras import layers

from pixelwise.models.segmenter import Segmenter

CONVOLUTIONS = (layers.Conv2D, layers.DepthwiseConv2D)


def folded(model):
    """Returns a copy of a network with batch normalisation folded into the convolutions.

    Where a two-dimensional convolution (also a depthwise one) without activation is followed by a
    batch normalisation, both become one convolution with a bias. Everything else is copied. An
    auxiliary head, which counts in training only, is left out. The copy is for inference: trained
    further it would be a network without normalisation.

    Args:
        model: a functional ``keras.Model``, models inside it included; it does not change.

    Returns:
        ``keras.Model`` with the same inputs and, but for rounding, the same outputs.

    Raises:
        ValueError: if the model is not made of layers that are called one on another.
    """
    if not getattr(model, "inputs", None):
        raise ValueError(
            f"{getattr(model, 'name', model)!r} has no graph of layers to fold: give a model made "
            "by keras.Model(inputs, outputs)."
        )
    outputs = model.output
    if isinstance(model, Segmenter) and model.auxiliary:
        outputs = outputs["logits"]
    copier = _Copier()
    copy = keras.models.clone_model(
        keras.Model(model.input, outputs, name=model.name),
        clone_function=copier.clone,
        call_function=copier.call,
        recursive=True,
    )
    copier.fill()
    return copy


class _Copier:
    """Copies a graph layer by layer, and puts one convolution where two layers can be one."""

    def __init__(self):
        self.sources = {}  # copy of a layer, by identity -> (the copy, the layer)
        self.convolved = {}  # output of a convolution, by identity -> (output, convolution, input)
        self.merged = {}  # the two layers, by identity -> the convolution in their place

    def clone(self, layer):
        copy = type(layer).from_config(layer.get_config())
        self.sources[id(copy)] = (copy, layer)
        return copy

    def call(self, layer, *args, **kwargs):
        if isinstance(layer, layers.BatchNormalization) and id(args[0]) in self.convolved:
            _, convolution, x = self.convolved[id(args[0])]
            if _fit(convolution, layer):
                return self._merge(convolution, layer, x)
        outputs = layer(*args, **kwargs)
        if isinstance(layer, CONVOLUTIONS):
            self.convolved[id(outputs)] = (outputs, layer, args[0])
        return outputs

    def _merge(self, convolution, norm, x):
        """Calls the convolution that takes the place of both."""
        key = (id(convolution), id(norm))
        if key in self.merged:
            return self.merged[key](x)
        # Both names, since the first convolution may have other readers and then stays as well.
        name = f"{convolution.name}-{norm.name}"
        config = {**convolution.get_config(), "use_bias": True, "name": name}
        merged = self.merged[key] = type(convolution).from_config(config)
        outputs = merged(x)
        kernel, bias = folded_weights(self.sources[key[0]][1], self.sources[key[1]][1])
        merged.set_weights([kernel, bias])
        return outputs

    def fill(self):
        """Gives the copies their weights, when all of them are built."""
        for copy, layer in self.sources.values():
            if copy.built:
                copy.set_weights(layer.get_weights())


def folded_weights(convolution, norm):
    """Returns the kernel and the bias of a convolution that takes the place of two layers.

    Args:
        convolution: a built ``Conv2D`` or ``DepthwiseConv2D``.
        norm: the built ``BatchNormalization`` behind it.

    Returns:
        ``(kernel, bias)``, float32 arrays of the convolution's own shapes.
    """

    def values(variable, default):
        value = default if variable is None else keras.ops.convert_to_numpy(variable)
        return np.asarray(value, "float64")

    kernel = values(convolution.kernel, None)
    mean, variance = values(norm.moving_mean, None), values(norm.moving_variance, None)
    gamma = values(norm.gamma, np.ones_like(mean))
    beta = values(norm.beta, np.zeros_like(mean))
    scale = gamma / np.sqrt(variance + norm.epsilon)
    bias = beta + (values(convolution.bias, np.zeros_like(mean)) - mean) * scale
    # A depthwise kernel has the outputs in its last two axes: (height, width, channels, multiple).
    depthwise = isinstance(convolution, layers.DepthwiseConv2D)
    kernel = kernel * (scale.reshape(kernel.shape[2:]) if depthwise else scale)
    return kernel.astype("float32"), bias.astype("float32")


def _fit(convolution, norm):
    """Whether nothing stands between the two, and they mean the same axis by channels."""
    channels = 3 if convolution.data_format == "channels_last" else 1
    return convolution.activation is keras.activations.linear and norm.axis % 4 == channels
