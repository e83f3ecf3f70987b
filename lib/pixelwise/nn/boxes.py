"""Boxes: rectangles along the axes, as ``(x1, y1, x2, y2)``.

x runs to the right and y down, in pixels from the corner of the picture: pixel (row 0, column 0)
is the square from (0, 0) to (1, 1), so a box around one pixel has the area 1 and no ``+ 1`` is
needed anywhere.

Chapter: The mathematics of pixels.
"""

import numpy as np
from keras import ops


def area(boxes):
    """Returns the area of each box in square pixels, 0 for a box turned inside out.

    Args:
        boxes: float ``(..., 4)`` as (x1, y1, x2, y2) in pixels.

    Returns:
        Array ``(...)``.
    """
    sides = ops.maximum(boxes[..., 2:] - boxes[..., :2], 0)
    return sides[..., 0] * sides[..., 1]


def intersection(a, b):
    """Returns the area that each box of one list shares with each of another.

    Args:
        a: float ``(n, 4)`` as (x1, y1, x2, y2) in pixels.
        b: float ``(m, 4)``.

    Returns:
        Array ``(n, m)`` in square pixels.
    """
    corner = ops.maximum(a[:, None, :2], b[None, :, :2])
    other = ops.minimum(a[:, None, 2:], b[None, :, 2:])
    return area(ops.concatenate([corner, other], axis=-1))


def iou(a, b):
    """Returns the intersection over union of each pair of boxes.

    Args:
        a: float ``(n, 4)`` as (x1, y1, x2, y2) in pixels; n may be 0.
        b: float ``(m, 4)``.

    Returns:
        Array ``(n, m)`` in [0, 1]; 0, and not NaN, where both boxes are empty.

    Raises:
        ValueError: if a list has another shape than ``(n, 4)``.

    Source: Everingham et al. 2010 (Pascal VOC).
    """
    a, b = ops.convert_to_tensor(a), ops.convert_to_tensor(b)
    for boxes in (a, b):
        if len(boxes.shape) != 2 or boxes.shape[-1] != 4:
            raise ValueError(f"Boxes have the shape (n, 4), but got {tuple(boxes.shape)}.")
    shared = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - shared
    return shared / ops.where(union > 0, union, 1)


def from_mask(mask):
    """Returns the smallest box around the pixels of a mask.

    Args:
        mask: boolean array ``(height, width)``.

    Returns:
        float32 array ``(4,)`` as (x1, y1, x2, y2) in pixels; four zeros for an empty mask.
    """
    rows, columns = np.flatnonzero(np.any(mask, 1)), np.flatnonzero(np.any(mask, 0))
    if not len(rows):
        return np.zeros(4, "float32")
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], "float32")
