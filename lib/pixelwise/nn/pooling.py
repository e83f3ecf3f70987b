"""Pooling to a fixed number of bins, whatever the size of the picture.

Chapter: The mathematics of pixels.
"""

import keras
from keras import ops


def adaptive_average_pool(x, bins):
    """Returns the mean of each cell of a ``bins`` x ``bins`` grid laid over the picture.

    Cell i covers the rows floor(i * height / bins) to ceil((i + 1) * height / bins): all pixels
    are covered, and neighbouring cells share a row where the height does not divide.

    Args:
        x: float array ``(batch, height, width, channels)``.
        bins: cells along each side; 1 is global average pooling.

    Returns:
        Array ``(batch, bins, bins, channels)``.

    Source: He, Zhang, Ren, Sun 2014, section 2.2; the grid is that of torch's adaptive pooling.
    """
    height, width = ops.shape(x)[1], ops.shape(x)[2]
    rows, columns = _cells(height, bins), _cells(width, bins)
    rows = ops.cast(rows, x.dtype) / ops.sum(ops.cast(rows, x.dtype), axis=1, keepdims=True)
    columns = ops.cast(columns, x.dtype) / ops.sum(
        ops.cast(columns, x.dtype), axis=1, keepdims=True
    )
    return ops.einsum("ih,bhwc,jw->bijc", rows, x, columns)


def adaptive_max_pool(x, bins):
    """Returns the largest value in each cell of a ``bins`` x ``bins`` grid over the picture.

    Args, Returns, Source: as for ``adaptive_average_pool``.
    """
    height, width = ops.shape(x)[1], ops.shape(x)[2]
    low = ops.cast(float("-inf"), x.dtype)
    rows, columns = _cells(height, bins), _cells(width, bins)
    x = ops.stack(
        [ops.max(ops.where(rows[i][:, None, None], x, low), axis=1) for i in range(bins)], axis=1
    )
    return ops.stack(
        [ops.max(ops.where(columns[j][:, None], x, low), axis=2) for j in range(bins)], axis=2
    )


def _cells(size, bins):
    """Which pixels of a side belong to which cell: boolean ``(bins, size)``."""
    cell = ops.arange(bins)[:, None]
    first = cell * size // bins
    last = ((cell + 1) * size + bins - 1) // bins
    pixel = ops.arange(size)[None, :]
    return ops.logical_and(pixel >= first, pixel < last)


@keras.saving.register_keras_serializable(package="pixelwise")
class SpatialPyramidPooling(keras.layers.Layer):
    """Turns a picture of any size into one vector of fixed length: pools over grids of cells.

    With ``bins=(1, 2, 4)`` the vector holds 1 + 4 + 16 numbers a channel: the whole picture, its
    quarters and its sixteenths, in this order, rows first, channels last.

    Args:
        bins: cells along a side, one whole number a level of the pyramid.
        mode: "max" (as in the paper) or "average".

    Raises:
        ValueError: for an unknown mode or a level below 1.

    Call arguments: float ``(batch, height, width, channels)``; height and width may vary.
    Returns: ``(batch, channels * sum of bins squared)``.

    Source: He, Zhang, Ren, Sun 2014 (SPP-net), section 2.2.
    """

    def __init__(self, bins=(1, 2, 4), mode="max", **kwargs):
        super().__init__(**kwargs)
        if mode not in ("max", "average"):
            raise ValueError(f'The mode must be "max" or "average", but got {mode!r}.')
        if not bins or min(bins) < 1:
            raise ValueError(f"Each level needs at least one cell along a side, but got {bins}.")
        self.bins = tuple(int(n) for n in bins)
        self.mode = mode

    def call(self, x):
        pool = adaptive_max_pool if self.mode == "max" else adaptive_average_pool
        channels = x.shape[-1]
        levels = [ops.reshape(pool(x, n), (-1, n * n * channels)) for n in self.bins]
        return ops.concatenate(levels, axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[-1] * sum(n * n for n in self.bins))

    def get_config(self):
        return {**super().get_config(), "bins": self.bins, "mode": self.mode}
