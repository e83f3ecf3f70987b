"""Windows that slide over a picture, and how what they say is joined; used by ``inference``.

Rows and columns are independent of one another, so that everything is worked out for one axis at a
time: where the windows lie, which pixels of the picture each gives an answer to, and with what
weight. Chapter 3.
"""

import math
from typing import NamedTuple

import numpy as np

# Rows that are interpolated and normalised at a time, so that these copies stay small.
ROWS = 64


class Tile(NamedTuple):
    """One window along one axis: where it lies, and which pixels of the picture it answers for."""

    start: int  # in the view
    stop: int
    first: int  # in the picture: the pixels whose neighbours in the view all lie in the window
    last: int
    lower: np.ndarray  # of each of these pixels: the neighbour before it, counted in the window
    fraction: np.ndarray  # how far it lies from there to the next, in [0, 1)
    weight: np.ndarray  # share of this window in the pixel; those of all windows sum to 1


def tiles(pixels, size, window, overlap):
    """Cuts one axis of a view into windows.

    Args:
        pixels: length of the picture's axis.
        size: length of the view's axis.
        window: length of a window, at most ``size``.
        overlap: least share of a window that it has in common with the next.

    Returns:
        List of ``Tile``; together they give every pixel, also one between two of the view's, as
        neighbours have at least one pixel in common.
    """
    step = max(1, min(window - 1, math.floor(window * (1 - overlap))))
    starts = np.linspace(0, size - window, math.ceil((size - window) / step) + 1).round()
    # Where the middle of each pixel lies in the view, whose pixels have their middles at 0, 1, ...
    places = np.clip((np.arange(pixels) + 0.5) * size / pixels - 0.5, 0, size - 1)
    lower, upper = np.floor(places).astype(int), np.ceil(places).astype(int)
    found, total = [], np.zeros(pixels)
    for start in starts.astype(int):
        first = int(np.searchsorted(lower, start))
        last = int(np.searchsorted(upper, start + window))
        inside = slice(first, last)
        weight = np.sin(np.pi * (places[inside] - start + 0.5) / window) ** 2
        total[inside] += weight
        fraction = np.float32(places[inside] - lower[inside])
        found.append(
            Tile(start, start + window, first, last, lower[inside] - start, fraction, weight)
        )
    return [t._replace(weight=np.float32(t.weight / total[t.first : t.last])) for t in found]


def add(total, top, logits, row, column):
    """Adds a window's share of the probabilities to some rows of a picture.

    Args:
        total: float32 ``(rows, width, classes)``, changed in place.
        top: the picture's row that is the first of ``total``.
        logits: float32 ``(rows of the window, columns of the window, classes)``; stays as it is.
        row: the window's ``Tile`` along the rows.
        column: the one along the columns.
    """
    begin, end = max(row.first, top), min(row.last, top + len(total))
    for first in range(begin, end, ROWS):
        last = min(first + ROWS, end)
        rows = slice(first - row.first, last - row.first)
        share = _between(logits, row.lower[rows], row.fraction[rows], axis=0)
        share = _between(share, column.lower, column.fraction, axis=1)
        share -= share.max(axis=-1, keepdims=True)
        np.exp(share, out=share)
        share /= share.sum(axis=-1, keepdims=True)
        share *= row.weight[rows, None, None] * column.weight[:, None]
        total[first - top : last - top, column.first : column.last] += share


def _between(values, lower, fraction, axis):
    """Interpolates along one axis of ``(rows, columns, channels)``; returns a copy."""
    found = values.take(lower, axis)
    if fraction.any():
        upper = values.take(np.minimum(lower + 1, values.shape[axis] - 1), axis)
        upper -= found
        upper *= fraction[:, None, None] if axis == 0 else fraction[:, None]
        found += upper
    return found
