"""Convolutions that do not see what comes later in reading order, and the gated block of them.

An autoregressive model of a map says each cell from those before it: all rows above, and what is
left of it in its own row. A masked kernel has zeros where the others would be. Two stacks are
needed, since masks in one leave a blind spot: one reads the rows above, the other the row itself.
Chapter: VAE.
"""

import keras
import numpy as np
from keras import layers, ops

SEES = ("above", "above and row", "left", "left and here")


@keras.saving.register_keras_serializable(package="pixelwise")
class MaskedConv2D(layers.Layer):
    """A convolution of stride 1 that sees part of its window, and keeps height and width.

    Args:
        filters: number of output channels.
        size: side of the window in cells, odd.
        sees: ``"above"``: the rows above, at full width; ``"above and row"``: the cell's own row
            as well; ``"left"``: the cells left of it in its row; ``"left and here"``: and itself.
        **kwargs: of ``keras.layers.Layer``.

    Raises:
        ValueError: if an argument is not possible.

    Call arguments: float ``(batch, height, width, channels)``.
    Returns: float ``(batch, height, width, filters)``.

    Source: van den Oord, Kalchbrenner, Kavukcuoglu 2016 (arXiv 1601.06759), section 3.3.
    """

    def __init__(self, filters, size, sees, **kwargs):
        super().__init__(**kwargs)
        if size < 1 or size % 2 == 0:
            raise ValueError(f"size is {size!r}: give an odd number of cells, such as 3.")
        if sees not in SEES:
            raise ValueError(f"sees is {sees!r}: choose one of {', '.join(map(repr, SEES))}.")
        self.filters, self.size, self.sees = filters, size, sees

    def mask(self):
        """Returns the window, float32 ``(height, width)`` of 0 and 1: what is seen."""
        middle = self.size // 2
        if self.sees.startswith("left"):
            mask = np.zeros((1, self.size), "float32")
            mask[0, : middle + (self.sees == "left and here")] = 1
        else:
            mask = np.zeros((self.size, self.size), "float32")
            mask[: middle + (self.sees == "above and row")] = 1
        return mask

    def build(self, shape):
        kernel = (*self.mask().shape, shape[-1], self.filters)
        self.kernel = self.add_weight(shape=kernel, initializer="glorot_uniform", name="kernel")
        self.bias = self.add_weight(shape=(self.filters,), initializer="zeros", name="bias")

    def call(self, inputs):
        mask = ops.convert_to_tensor(self.mask()[..., None, None], dtype=self.compute_dtype)
        return ops.conv(inputs, self.kernel * mask, padding="same") + self.bias

    def compute_output_shape(self, shape):
        return (*shape[:-1], self.filters)

    def get_config(self):
        own = {name: getattr(self, name) for name in ("filters", "size", "sees")}
        return {**super().get_config(), **own}


def gated_block(above, row, filters, size=3, first=False, told=None, name="block"):
    """Adds one layer of the gated PixelCNN: a step of both stacks.

    Args:
        above: float ``(batch, h, w, channels)``, the stack that knows the rows above each cell.
        row: the same of the stack that knows the row left of it, and through ``above`` the rest.
        filters: number of output channels of both.
        size: side of the window, odd.
        first: True for the first layer, which does not see the cell itself.
        told: ``None``, or float ``(batch, n)`` that every cell is told, such as a class.
        name: before the names of the layers.

    Returns:
        (above, row), float ``(batch, h, w, filters)`` each.

    Source: van den Oord et al. 2016 (arXiv 1606.05328), figure 2 and equations 2 and 4.
    """
    sees = ("above", "left") if first else ("above and row", "left and here")
    down = MaskedConv2D(2 * filters, size, sees[0], name=f"{name}-above")(above)
    across = MaskedConv2D(2 * filters, size, sees[1], name=f"{name}-row")(row)
    across = across + layers.Conv2D(2 * filters, 1, name=f"{name}-down_to_row")(down)
    made = layers.Conv2D(filters, 1, name=f"{name}-mix")(_gate(across, told, f"{name}-row"))
    if not first:
        made = made + row
    return _gate(down, told, f"{name}-above"), made


def _gate(x, told, name):
    """tanh of one half of the channels times the sigmoid of the other."""
    if told is not None:
        said = layers.Dense(x.shape[-1], use_bias=False, name=f"{name}-told")(told)
        x = x + layers.Reshape((1, 1, x.shape[-1]), name=f"{name}-everywhere")(said)
    value, gate = ops.split(x, 2, axis=-1)
    return ops.tanh(value) * ops.sigmoid(gate)
