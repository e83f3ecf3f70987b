"""What one output sees of the input: computed from the layers, and measured by a gradient.

Chapter: The mathematics of pixels.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import ops

from pixelwise.nn.autodiff import gradient
from pixelwise.nn.convolution import padding_sizes, reach


class ReceptiveField(NamedTuple):
    """Output i sees the input pixels ``start + i * stride`` to that plus ``size - 1``.

    All in input pixels; ``start`` is negative where padding lets the window hang over the border.
    """

    size: int
    stride: int
    start: int

    def interval(self, index):
        """Returns the first and the last input pixel that output ``index`` sees."""
        first = self.start + index * self.stride
        return first, first + self.size - 1


class Window(NamedTuple):
    """One layer along one side: kernel size, stride, dilation, zeros padded before the input."""

    kernel: int
    stride: int = 1
    dilation: int = 1
    before: int = 0


def computed(layers, axis=0):
    """Returns the receptive field of a chain of layers, by the recursion of the chapter.

    With r the size and j the stride so far, a layer of reach k and stride s gives
    r + (k - 1) * j and j * s.

    Args:
        layers: a sequential ``keras.Model``, or a list whose items are Keras layers or
            ``Window(kernel, stride, dilation, before)`` (plain tuples do).
        axis: 0 for rows, 1 for columns.

    Returns:
        ReceptiveField(size, stride, start) in input pixels. For "same" padding the input is
        taken to be a multiple of the stride.

    Raises:
        ValueError: for a layer whose window is not known.

    Source: Araujo, Norris, Sim 2019, "Single-path networks".
    """
    size, stride, start = 1, 1, 0
    for layer in getattr(layers, "layers", layers):
        window = _window(layer, axis)
        size += (reach(window.kernel, window.dilation) - 1) * stride
        start -= window.before * stride
        stride *= window.stride
    return ReceptiveField(size, stride, start)


_POINTWISE = (
    keras.layers.InputLayer,
    keras.layers.Activation,
    keras.layers.BatchNormalization,
    keras.layers.Dropout,
    keras.layers.ReLU,
    keras.layers.Rescaling,
)


def _window(layer, axis):
    if isinstance(layer, tuple):
        return Window(*layer)
    if isinstance(layer, _POINTWISE):
        return Window(1)
    if isinstance(layer, keras.layers.ZeroPadding2D):
        return Window(1, before=layer.padding[axis][0])
    if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
        kernel, dilation = layer.kernel_size[axis], layer.dilation_rate[axis]
    elif isinstance(layer, (keras.layers.MaxPooling2D, keras.layers.AveragePooling2D)):
        kernel, dilation = layer.pool_size[axis], 1
    else:
        raise ValueError(
            f"The window of a {type(layer).__name__} is not known: "
            "give Window(kernel, stride, dilation, before) instead."
        )
    stride = layer.strides[axis]
    size = stride * reach(kernel, dilation)  # any multiple of the stride
    before, _ = padding_sizes(size, kernel, stride, layer.padding, dilation)
    return Window(kernel, stride, dilation, before)


def positive_chain(layout, size, channels=4):
    """Returns a chain of convolutions whose random weights are positive, so that no paths cancel.

    Args:
        layout: one ``(kernel, stride, dilation)`` a layer; padding is "same".
        size: side of the square input in pixels; it has three channels.
        channels: of each layer.

    Returns:
        A ``keras.Sequential`` without biases or activations.
    """
    weights = keras.initializers.RandomUniform(0.1, 1.0, seed=0)
    chain = [
        keras.layers.Conv2D(
            channels, k, s, "same", dilation_rate=d, use_bias=False, kernel_initializer=weights
        )
        for k, s, d in layout
    ]
    return keras.Sequential([keras.Input((size, size, 3)), *chain])


def measured(model, height, width, position=None, draws=1, seed=0):
    """Returns how much each input pixel moves one output: the size of a gradient, as a picture.

    Args:
        model: a ``keras.Model`` from ``(batch, height, width, channels)`` to a feature map.
        height, width: size of the random input in pixels.
        position: (row, column) of the output in the feature map; None for the middle.
        draws: random inputs (normal, mean 0, variance 1) to average over: with ReLU or max-pooling
            one input opens only some of the paths.
        seed: of the random inputs.

    Returns:
        float array ``(height, width)``: the sum over output channels of the chosen output,
        differentiated by the input, absolute, summed over input channels; 0 where nothing is seen.
    """
    channels = model.input_shape[-1]
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for _ in range(draws):
        x = rng.normal(size=(1, height, width, channels)).astype("float32")
        total += np.abs(gradient(lambda x: _one_output(model, x, position), x)[0]).sum(-1)
    return total / draws


def _one_output(model, x, position):
    features = model(x, training=False)
    row, column = position or (features.shape[1] // 2, features.shape[2] // 2)
    return ops.sum(features[0, row, column])


def extent(seen):
    """Returns the rectangle outside of which a measured map is exactly 0.

    Args:
        seen: array ``(height, width)`` from ``measured``.

    Returns:
        (first row, last row, first column, last column), the last ones included.

    Raises:
        ValueError: if the map is 0 everywhere.
    """
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    if not len(rows):
        raise ValueError("The output does not depend on the input: the map is 0 everywhere.")
    return int(rows[0]), int(rows[-1]), int(columns[0]), int(columns[-1])
