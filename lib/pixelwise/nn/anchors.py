"""Anchors: the boxes that a region proposal network starts from, the same for every picture.

Each cell of each level of a feature pyramid has a few, of one size and several shapes. They depend
on sizes alone, so they are NumPy constants: a compiled model holds them, and computes none.

As torchvision has them, so that its weights fit: the corners of the anchors of the cell (0, 0) are
rounded to whole pixels; an anchor's centre is the upper left corner of its cell; and the cells lie
``picture size // grid size`` pixels apart, which is 61 and not 64 for the 13 cells of the coarsest
level on 800 pixels. Chapter: Mask R-CNN.
"""

import functools

import numpy as np

RATIOS = (0.5, 1.0, 2.0)


def base_anchors(sizes, ratios=RATIOS):
    """Returns the anchors of one cell, around (0, 0).

    Args:
        sizes: side of a square of the anchor's area, in pixels: a number or several.
        ratios: height over width, positive.

    Returns:
        float32 ``(len(ratios) * len(sizes), 4)`` as (x1, y1, x2, y2) in whole pixels, the sizes of
        the first ratio first.

    Raises:
        ValueError: if there is no size or no ratio, or one is not positive.
    """
    sizes, ratios = (np.atleast_1d(np.asarray(x, "float32")) for x in (sizes, ratios))
    for name, values in (("size", sizes), ("ratio", ratios)):
        if not values.size or not (values > 0).all():
            raise ValueError(
                f"Anchors need at least one {name} and only positive ones, but got "
                f"{values.tolist()}."
            )
    # In float32 and in this order, since halves are rounded: 0.5 to 0, 1.5 to 2.
    tall = np.sqrt(ratios)
    heights = (tall[:, None] * sizes).ravel()
    widths = ((1 / tall)[:, None] * sizes).ravel()
    return np.round(np.stack([-widths, -heights, widths, heights], axis=1) / 2)


def grid_anchors(grid, stride, base):
    """Returns the anchors of all cells of one level.

    Args:
        grid: height and width of the level's feature map, in cells.
        stride: pixels from one cell to the next: a number, or one down and one to the right.
        base: float ``(a, 4)``, the anchors of the cell (0, 0), as from ``base_anchors``.

    Returns:
        float32 ``(height * width * a, 4)`` as (x1, y1, x2, y2) in pixels: by rows, cells from the
        left, and then in the order of ``base``. They may reach beyond the picture.
    """
    down, right = np.broadcast_to(stride, 2)
    y, x = np.meshgrid(np.arange(grid[0]) * down, np.arange(grid[1]) * right, indexing="ij")
    corners = np.stack([x, y, x, y], axis=-1).astype("float32")
    return (corners[:, :, None, :] + np.asarray(base, "float32")).reshape(-1, 4)


def pyramid_anchors(grids, picture_size, sizes, ratios=RATIOS):
    """Returns the anchors of all levels of a feature pyramid, one level after the other.

    They are computed once for each set of arguments; every call returns a copy.

    Args:
        grids: height and width of each level's feature map in cells, the finest first.
        picture_size: height and width in pixels of the (padded) picture that the network sees.
        sizes: one entry a level: side of a square of the anchor's area in pixels, or several.
        ratios: height over width, the same on all levels.

    Returns:
        float32 ``(anchors, 4)`` as (x1, y1, x2, y2) in pixels: by level, row, column, ratio.

    Raises:
        ValueError: if levels and sizes differ in number, a map is empty or has more cells than the
            picture has pixels, or sizes or ratios are not positive.

    Source: Lin et al. 2017 (FPN), section 4.1; the strides and the rounding are torchvision's.
    """
    grids = tuple((int(height), int(width)) for height, width in grids)
    picture_size = tuple(int(side) for side in picture_size)
    sizes = tuple(tuple(np.atleast_1d(of_level).tolist()) for of_level in sizes)
    return _pyramid(grids, picture_size, sizes, tuple(float(ratio) for ratio in ratios)).copy()


@functools.lru_cache(maxsize=32)
def _pyramid(grids, picture_size, sizes, ratios):
    if not grids or len(grids) != len(sizes):
        raise ValueError(
            f"The pyramid has {len(grids)} levels, but there are anchor sizes for {len(sizes)}: "
            "give one size a level."
        )
    levels = []
    for grid, of_level in zip(grids, sizes, strict=True):
        if not all(0 < cells <= side for cells, side in zip(grid, picture_size, strict=True)):
            raise ValueError(
                f"A feature map of {grid[0]} x {grid[1]} cells does not fit a picture of "
                f"{picture_size[0]} x {picture_size[1]} pixels: give (height, width) of both."
            )
        stride = [side // cells for cells, side in zip(grid, picture_size, strict=True)]
        levels.append(grid_anchors(grid, stride, base_anchors(of_level, ratios)))
    return np.concatenate(levels)
