"""Holes in pictures: how a mask becomes one, and which pictures and holes can be filled.

A hole is True where a picture is not known, whatever its pixels hold there. Chapter 8.
"""

import numbers

import numpy as np
from scipy import ndimage

MARGIN = 0.05  # pixels of a picture may be so far outside [0, 1], which interpolation does


def grow(mask, pixels):
    """Grows masks in all directions, so that they cover an object's edge and its shadow too.

    Args:
        mask: ``(height, width)`` or ``(n, height, width)``, True or 1 on the object.
        pixels: how far, 0 or more: all pixels are taken in whose middle is at most so far from
            that of a pixel of the mask.

    Returns:
        bool array of the same shape. What is empty stays empty.

    Raises:
        ValueError: if it is no such mask or number.
    """
    mask = as_mask(mask)
    if not isinstance(pixels, numbers.Real) or isinstance(pixels, bool) or not pixels >= 0:
        raise ValueError(f"pixels is {pixels!r}: give how far to grow the mask, 0 or more.")
    if mask.ndim == 3:
        return np.stack([grow(one, pixels) for one in mask]) if len(mask) else mask
    if mask.ndim != 2:
        raise ValueError(
            f"The mask has the shape {mask.shape}: give (height, width) or (n, height, width)."
        )
    if not mask.any():
        return mask.copy()
    return ndimage.distance_transform_edt(~mask) <= pixels


def as_mask(mask):
    """Returns a mask as bool, or raises one sentence if it holds more than 0 and 1."""
    mask = np.asarray(mask)
    if mask.dtype == bool:
        return mask
    if mask.dtype.kind not in "iuf" or not np.isin(mask, (0, 1)).all():
        raise ValueError(
            f"A mask of dtype {mask.dtype} holds other values than 0 and 1: give True and False, "
            "as labels == 3 does for one class or instances == 1 for one object."
        )
    return mask.astype(bool)


def checked(images, holes):
    """Checks pictures and their holes before they are filled.

    Args:
        images: float ``(n, height, width, 3)``, in [0, 1] outside of the holes; inside they may
            hold anything.
        holes: bool, or 0 and 1, ``(n, height, width)``, or ``(height, width)`` for one hole in all
            pictures.

    Returns:
        ``(images, holes)``: float32 ``(n, height, width, 3)``, 0 in the holes, and bool ``(n,
        height, width)``.

    Raises:
        ValueError: if shapes or types are others, sizes differ, a hole is empty or covers all, or
            a known pixel is no number in [0, 1].
    """
    images, holes = np.asarray(images), as_mask(holes)
    if images.ndim != 4 or images.shape[-1] != 3 or 0 in images.shape:
        raise ValueError(
            f"The pictures have the shape {images.shape}: give one or more, (n, height, width, 3); "
            "a single one is image[None]."
        )
    if holes.shape not in (images.shape[:3], images.shape[1:3]):
        raise ValueError(
            f"The holes have the shape {holes.shape} and the pictures {images.shape}: give each "
            "picture a hole of its own height and width."
        )
    if images.dtype.kind != "f":
        raise ValueError(
            f"The pictures have dtype {images.dtype}: give float32 in [0, 1], which is "
            'images.astype("float32") / 255 for eight bits.'
        )
    holes = np.array(np.broadcast_to(holes, images.shape[:3]), order="C")
    missing = holes.reshape(len(holes), -1).mean(axis=1)
    if (missing == 0).any():
        raise ValueError(
            f"The hole of picture {missing.argmin()} is empty, so that there is nothing to fill: "
            "leave that picture out, or check the mask that the hole was made from."
        )
    if (missing == 1).any():
        raise ValueError(
            f"The hole of picture {missing.argmax()} covers all of it, so that there is nothing to "
            "go by: give a hole that leaves some of the picture, or a generator the task."
        )
    known = np.where(holes[..., None], 0, images).astype("float32")
    low, high = known.min(), known.max()
    if not -MARGIN <= low <= high <= 1 + MARGIN:
        raise ValueError(
            f"The known pixels go from {low:.4g} to {high:.4g}: give float32 in [0, 1], without "
            "NaN (divide eight-bit values by 255)."
        )
    return known, holes
