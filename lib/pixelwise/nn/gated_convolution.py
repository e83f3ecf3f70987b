"""Convolutions for pictures with holes: gated ones, and partial ones.

A plain convolution treats what stands in a hole as picture. A partial convolution is told where the
picture is known, leaves the rest out, and says where its output is known. A gated convolution
learns what to let through: a second convolution of the same window gives every output channel at
every place a factor from 0 to 1. Chapter 8.
"""

import keras
from keras import layers, ops


@keras.saving.register_keras_serializable(package="pixelwise")
class GatedConv2D(layers.Layer):
    """A convolution whose output is multiplied by a gate, which a second one computes.

        output = activation(W * x + b) * sigmoid(V * x + c)

    Both are one convolution of ``2 * filters`` channels, the values first and then the gates.

    Args:
        filters: number of output channels.
        kernel_size: side of the window.
        strides, dilation_rate: as for ``keras.layers.Conv2D``; padding is ``"same"``.
        activation: of the values, a name that Keras knows; ``None`` for none.
        **kwargs: of ``keras.layers.Layer``.

    Call arguments: float ``(batch, height, width, channels)``.
    Returns: float ``(batch, height, width, filters)``, divided by the stride, rounded up.

    Source: Yu et al. 2019 (arXiv 1806.03589), section 3.1.
    """

    def __init__(
        self, filters, kernel_size, strides=1, dilation_rate=1, activation="elu", **kwargs
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size
        self.strides, self.dilation_rate = strides, dilation_rate
        self.activation = keras.activations.get(activation)
        self.convolution = layers.Conv2D(
            2 * filters,
            kernel_size,
            strides=strides,
            dilation_rate=dilation_rate,
            padding="same",
            kernel_initializer="he_normal",
            name="both",
        )

    def build(self, shape):
        self.convolution.build(shape)

    def call(self, inputs):
        values, gates = ops.split(self.convolution(inputs), 2, axis=-1)
        return self.activation(values) * ops.sigmoid(gates)

    def compute_output_shape(self, shape):
        return (*self.convolution.compute_output_shape(shape)[:-1], self.filters)

    def get_config(self):
        own = ("filters", "kernel_size", "strides", "dilation_rate")
        config = {**super().get_config(), **{name: getattr(self, name) for name in own}}
        return {**config, "activation": keras.activations.serialize(self.activation)}


@keras.saving.register_keras_serializable(package="pixelwise")
class PartialConv2D(layers.Layer):
    """A convolution of the known part of its window, made up for what is missing.

        output = W * (x known) window / sum(known) + b   where anything is known, else 0

    ``window`` is the number of values in the window, so that a window of which half is known counts
    double. Beyond the picture nothing is known. The output is known wherever anything was.

    Args:
        filters, kernel_size, strides, dilation_rate, activation: as for ``GatedConv2D``.
        **kwargs: of ``keras.layers.Layer``.

    Call arguments: ``[x, known]``, float ``(batch, height, width, channels)`` both, known 0 or 1.
    Returns: ``[output, known]``, float ``(batch, height, width, filters)`` both.

    Source: Liu et al. 2018 (arXiv 1804.07723), equations 1 and 2.
    """

    def __init__(
        self, filters, kernel_size, strides=1, dilation_rate=1, activation="relu", **kwargs
    ):
        super().__init__(**kwargs)
        self.filters, self.kernel_size = filters, kernel_size
        self.strides, self.dilation_rate = strides, dilation_rate
        self.activation = keras.activations.get(activation)

    def build(self, shapes):
        side = self.kernel_size
        self.kernel = self.add_weight(
            shape=(side, side, shapes[0][-1], self.filters),
            initializer="he_normal",
            name="kernel",
        )
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs):
        x, known = inputs
        side, channels = self.kernel_size, x.shape[-1]
        ones = ops.ones((side, side, 1, 1), dtype=x.dtype)
        count = self._convolve(ops.sum(known, axis=-1, keepdims=True), ones)
        any_known = ops.cast(count > 0, x.dtype)
        made_up = side * side * channels / ops.maximum(count, 1)
        values = (self._convolve(x * known, self.kernel) * made_up + self.bias) * any_known
        return [self.activation(values), ops.repeat(any_known, self.filters, axis=-1)]

    def _convolve(self, x, kernel):
        return ops.conv(
            x,
            ops.cast(kernel, x.dtype),
            strides=self.strides,
            dilation_rate=self.dilation_rate,
            padding="same",
            data_format="channels_last",
        )

    def compute_output_shape(self, shapes):
        side = [None if n is None else -(-n // self.strides) for n in shapes[0][1:3]]
        return [(shapes[0][0], *side, self.filters)] * 2

    def get_config(self):
        own = ("filters", "kernel_size", "strides", "dilation_rate")
        config = {**super().get_config(), **{name: getattr(self, name) for name in own}}
        return {**config, "activation": keras.activations.serialize(self.activation)}
