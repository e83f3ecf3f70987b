"""Boxes: rectangles along the axes, as ``(x1, y1, x2, y2)``.

x runs to the right and y down, in pixels from the corner of the picture: pixel (row 0, column 0)
is the square from (0, 0) to (1, 1), so a box around one pixel has the area 1 and no ``+ 1`` is
needed anywhere.

Chapters: The mathematics of pixels (areas and IoU); Mask R-CNN (the rest).
"""

import math

import numpy as np
from keras import ops

# The logarithm of how many times the sides of its reference a decoded box may have: from 16 pixels
# to 1,000, as in torchvision. An untrained network's answers would soon overflow exp().
CLAMP = math.log(1000 / 16)
# Sides below this many pixels count as this long when boxes are encoded, so that padding (0, 0, 0,
# 0) gives finite numbers: a loss that is masked by zeros would still have NaN as its gradient.
SMALLEST = 1e-6
# How far out of the picture a label may reach, in pixels: COCO rounds corner and side to 0.01.
SLACK = 0.02


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
        a: float ``(..., n, 4)`` as (x1, y1, x2, y2) in pixels.
        b: float ``(..., m, 4)``; leading axes as in ``a``, or broadcast to them.

    Returns:
        Array ``(..., n, m)`` in square pixels.
    """
    a, b = a[..., :, None, :], b[..., None, :, :]

    def shared(axis):
        """The length that each pair shares along x (0) or y (1)."""
        last = ops.minimum(a[..., axis + 2], b[..., axis + 2])
        return ops.maximum(last - ops.maximum(a[..., axis], b[..., axis]), 0)

    return shared(0) * shared(1)


def iou(a, b):
    """Returns the intersection over union of each pair of boxes.

    Args:
        a: float ``(..., n, 4)`` as (x1, y1, x2, y2) in pixels; n may be 0.
        b: float ``(..., m, 4)``; leading axes as in ``a``, or broadcast to them: anchors ``(m, 4)``
            go with the boxes of a batch ``(batch, n, 4)``.

    Returns:
        Array ``(..., n, m)`` in [0, 1]; 0, and not NaN, where both boxes are empty.

    Raises:
        ValueError: if a list has another shape than ``(..., n, 4)``.

    Source: Everingham et al. 2010 (Pascal VOC).
    """
    a, b = ops.convert_to_tensor(a), ops.convert_to_tensor(b)
    for boxes in (a, b):
        if len(boxes.shape) < 2 or boxes.shape[-1] != 4:
            raise ValueError(f"Boxes have the shape (..., n, 4), but got {tuple(boxes.shape)}.")
    shared = intersection(a, b)
    union = area(a)[..., :, None] + area(b)[..., None, :] - shared
    return shared / ops.where(union > 0, union, 1)


def to_centre(boxes):
    """Returns boxes as (centre x, centre y, width, height), from (x1, y1, x2, y2).

    Args:
        boxes: float ``(..., 4)`` in pixels.

    Returns:
        The same shape.
    """
    first, last = boxes[..., :2], boxes[..., 2:]
    return ops.concatenate([(first + last) / 2, last - first], axis=-1)


def to_corners(boxes):
    """Returns boxes as (x1, y1, x2, y2), from (centre x, centre y, width, height).

    Args:
        boxes: float ``(..., 4)`` in pixels.

    Returns:
        The same shape.
    """
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return ops.concatenate([centre - half, centre + half], axis=-1)


def to_xywh(boxes):
    """Returns boxes as (x1, y1, width, height), the way COCO writes them, from (x1, y1, x2, y2).

    Args:
        boxes: float ``(..., 4)`` in pixels.

    Returns:
        The same shape.
    """
    return ops.concatenate([boxes[..., :2], boxes[..., 2:] - boxes[..., :2]], axis=-1)


def from_xywh(boxes):
    """Returns boxes as (x1, y1, x2, y2), from COCO's (x1, y1, width, height).

    Args:
        boxes: float ``(..., 4)`` in pixels.

    Returns:
        The same shape.
    """
    return ops.concatenate([boxes[..., :2], boxes[..., :2] + boxes[..., 2:]], axis=-1)


def encode(boxes, references, weights=(1.0, 1.0, 1.0, 1.0)):
    """Returns what a network has to answer to turn a reference (anchor, proposal) into a box.

    With centre (x, y), width w and height h of the box, and x', y', w', h' of the reference:

        dx = wx (x - x') / w',  dy = wy (y - y') / h',  dw = ww log(w / w'),  dh = wh log(h / h').

    Sides shorter than ``SMALLEST`` pixels, as those of padding, count as that long.

    Args:
        boxes: float ``(..., 4)`` as (x1, y1, x2, y2) in pixels.
        references: float ``(..., 4)``, one a box, or broadcast to them.
        weights: wx, wy, ww, wh, positive; (10, 10, 5, 5) for the heads of Mask R-CNN, which brings
            the targets to a spread of about 1.

    Returns:
        float ``(..., 4)`` as (dx, dy, dw, dh).

    Source: Girshick et al. 2014 (R-CNN), appendix C, equations 6 to 9.
    """
    boxes, references = to_centre(boxes), to_centre(references)
    sides = ops.maximum(boxes[..., 2:], SMALLEST)
    of_reference = ops.maximum(references[..., 2:], SMALLEST)
    shift = (boxes[..., :2] - references[..., :2]) / of_reference
    deltas = ops.concatenate([shift, ops.log(sides / of_reference)], axis=-1)
    return deltas * _constant(weights, deltas)


def decode(deltas, references, weights=(1.0, 1.0, 1.0, 1.0), clamp=CLAMP):
    """Returns the boxes that a network's answers make of their references: undoes ``encode``.

    It does so up to rounding, except where dw / ww or dh / wh is above ``clamp``: such a side is
    cut to e^clamp times the reference's.

    Args:
        deltas: float ``(..., 4)`` as (dx, dy, dw, dh); half precision is widened first.
        references: float32 ``(..., 4)`` as (x1, y1, x2, y2) in pixels, one a delta, or broadcast to
            them: ``(batch, n, 1, 4)`` for deltas ``(batch, n, classes, 4)``.
        weights: as they were encoded with.
        clamp: the largest logarithm by which a side may grow.

    Returns:
        float32 ``(..., 4)`` as (x1, y1, x2, y2), which may reach beyond the picture.

    Source: Girshick et al. 2014 (R-CNN), appendix C, equations 1 to 4; the clamp is torchvision's.
    """
    references = to_centre(ops.convert_to_tensor(references))
    deltas = ops.cast(deltas, references.dtype)
    deltas = deltas / _constant(weights, deltas)
    centre = references[..., :2] + deltas[..., :2] * references[..., 2:]
    sides = ops.exp(ops.minimum(deltas[..., 2:], clamp)) * references[..., 2:]
    return to_corners(ops.concatenate([centre, sides], axis=-1))


def clip(boxes, height, width):
    """Returns boxes cut off at the border of the picture.

    Args:
        boxes: float ``(..., n, 4)`` as (x1, y1, x2, y2) in pixels.
        height, width: of the picture in pixels: numbers, or arrays ``(..., 1)`` if the pictures of
            a batch differ before they are padded.

    Returns:
        The same shape; a box outside the picture becomes empty, at the border.
    """
    boxes = ops.convert_to_tensor(boxes)
    height, width = ops.cast(height, boxes.dtype), ops.cast(width, boxes.dtype)
    border = ops.stack([width, height, width, height], axis=-1)
    return ops.minimum(ops.maximum(boxes, 0), border)


def large_enough(boxes, side):
    """Tells which boxes have no side shorter than ``side`` pixels.

    Args:
        boxes: float ``(..., 4)`` as (x1, y1, x2, y2) in pixels.
        side: pixels; above 0 it sorts out empty boxes and those turned inside out.

    Returns:
        bool ``(...)``.
    """
    return ops.all(boxes[..., 2:] - boxes[..., :2] >= side, axis=-1)


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


def check(boxes, height, width, what):
    """Makes sure that labelled boxes are boxes of things in a picture.

    Args:
        boxes: ``(n, 4)`` as (x1, y1, x2, y2) in pixels, a NumPy array or nested lists; n may be 0.
        height, width: of the picture in pixels. A box may reach ``SLACK`` pixels beyond it.
        what: whose boxes they are, for the sentence, as "The picture 000012.jpg".

    Raises:
        ValueError: if they have another shape or are no numbers, or if one is not finite, turned
            inside out, without area or beyond the picture; it names the first such box.
    """
    try:
        boxes = np.asarray(boxes, "float64")
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{what} has boxes that are no table of numbers: give an array of the shape (n, 4)."
        ) from error
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(
            f"{what} has boxes of the shape {boxes.shape}: give (n, 4), or (0, 4) without a box."
        )
    x1, y1, x2, y2 = boxes.T
    # In this order: what is compared later on is finite and the right way round.
    faults = {
        "is not finite: leave it out, or find what made it": ~np.isfinite(boxes).all(axis=1),
        "is turned inside out: give (x1, y1, x2, y2) with x1 < x2 and y1 < y2, not (x, y, width, "
        "height)": (x2 < x1) | (y2 < y1),
        "has no area: leave it out, or give it at least a pixel": (x2 == x1) | (y2 == y1),
        f"reaches beyond its {height} x {width} pixels (height x width): clip it, and check that x "
        "comes first and that it was scaled with its picture": (
            (x1 < -SLACK) | (y1 < -SLACK) | (x2 > width + SLACK) | (y2 > height + SLACK)
        ),
    }
    for fault, bad in faults.items():
        if bad.any():
            first = int(np.argmax(bad))
            corners = ", ".join(f"{value:g}" for value in boxes[first])
            raise ValueError(f"{what} has a box, number {first}, ({corners}), that {fault}.")


def _constant(values, like):
    """Four numbers as a tensor of the same kind as another."""
    return ops.convert_to_tensor(np.asarray(values), dtype=like.dtype)
