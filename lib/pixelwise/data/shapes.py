"""Masks from what labelling tools write: polygons, run lengths, circles.

Run lengths (RLE) count pixels down the columns, from the left, first those outside the object.
COCO writes them as a list of numbers or packed into a text; pycocotools unpacks both.
"""

import numpy as np
from pycocotools import mask as coco_mask

# How far out of its picture a shape may reach, in longer sides of the picture.
REACH = 10


def from_segmentation(segmentation, height, width):
    """Makes a mask of COCO's ``segmentation``: polygons, run lengths, or packed run lengths.

    Args:
        segmentation: list of polygons, whose pixels belong to one object; or dict of ``"size"``,
            ``[height, width]``, and ``"counts"``, a list of numbers or a text.
        height, width: of the picture in pixels.

    Returns:
        bool ``(height, width)``.

    Raises:
        ValueError: if it is neither, or does not belong to a picture of this size; the text says
            what is wrong and goes on a sentence that begins with whose it is.
    """
    if isinstance(segmentation, list):
        return from_polygons(segmentation, height, width)
    if not isinstance(segmentation, dict) or not {"size", "counts"} <= segmentation.keys():
        raise ValueError("has no mask, which is a list of polygons or a dict of size and counts")
    size, counts = segmentation["size"], segmentation["counts"]
    if not isinstance(size, list):
        raise ValueError(f"has a mask of the size {size!r}, which is not [height, width]")
    if size != [height, width]:
        raise ValueError(
            f"has a mask of {' x '.join(map(str, size))} pixels where its picture has {height} x "
            f"{width} (height x width)"
        )
    if isinstance(counts, list):
        numbers = all(isinstance(count, int) and count >= 0 for count in counts)
        if not numbers or sum(counts) != height * width:
            raise ValueError(
                f"has run lengths that do not add up to the {height * width} pixels of its picture"
            )
        segmentation = coco_mask.frPyObjects(segmentation, height, width)
    elif not isinstance(counts, str | bytes):
        raise ValueError("has run lengths that are neither a list nor a text")
    try:
        return coco_mask.decode(segmentation).astype(bool)
    except ValueError as error:
        raise ValueError("has packed run lengths that cannot be unpacked") from error


def from_polygons(polygons, height, width):
    """Makes the mask of what some polygons enclose.

    Args:
        polygons: list of flat lists ``[x1, y1, x2, y2, ...]`` in pixels from the picture's corner.
        height, width: of the picture in pixels; what lies outside is cut.

    Returns:
        bool ``(height, width)``.

    Raises:
        ValueError: as ``from_segmentation``.
    """
    if not polygons:
        raise ValueError("has no mask: its list of polygons is empty")
    for polygon in polygons:
        if not isinstance(polygon, list) or not numbers(polygon):
            raise ValueError("has polygons that are no lists of numbers, [[x1, y1, x2, y2, ...]]")
        if len(polygon) < 6 or len(polygon) % 2:
            raise ValueError(
                f"has a polygon of {len(polygon)} numbers where at least three points, x and y of "
                "each, are needed"
            )
        _check_reach(polygon, height, width)
    polygons = [list(map(float, polygon)) for polygon in polygons]
    whole = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return coco_mask.decode(whole).astype(bool)


def from_circle(centre, edge, height, width):
    """Makes the mask of a circle: the pixels whose middle is in it.

    Args:
        centre: (x, y) of its middle, in pixels from the picture's corner.
        edge: (x, y) of a point on it.
        height, width: of the picture in pixels; what lies outside is cut.

    Returns:
        bool ``(height, width)``.

    Raises:
        ValueError: as ``from_segmentation``.
    """
    _check_reach([*centre, *edge], height, width)
    y, x = np.ogrid[:height, :width]
    squared = (x + 0.5 - centre[0]) ** 2 + (y + 0.5 - centre[1]) ** 2
    return squared <= (edge[0] - centre[0]) ** 2 + (edge[1] - centre[1]) ** 2


def _check_reach(values, height, width):
    """Refuses what is so far out that pycocotools would need all memory, and crash."""
    far = max(values, key=abs)
    if abs(far) > REACH * max(height, width):
        raise ValueError(
            f"has the coordinate {far:g}, far out of its picture of {height} x {width} pixels"
        )


def numbers(values):
    """Says whether all values of a list are finite numbers."""
    real = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)
    return real and bool(np.isfinite(values).all())
