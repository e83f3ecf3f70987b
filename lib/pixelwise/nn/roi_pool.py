"""What came before RoIAlign, and what is mistaken for it.

Fast R-CNN's RoI max pooling rounds the box to whole cells and each bin again to whole cells, which
at stride 32 moves a feature by up to a cell, 32 pixels. TensorFlow's ``crop_and_resize`` rounds
nothing, but reads one point a bin and puts the first and the last on the box's edges. Chapter: Mask
R-CNN, its classic mistakes.
"""

import math
import typing

import numpy as np
from keras import ops

from pixelwise.nn.gathering import cell_table
from pixelwise.nn.roi_align import check_pyramid, line_weights, map_numbers, separable


def roi_max_pool(pyramid, strides, boxes, output_size, levels=None):
    """Returns the largest feature in each bin of a RoI, both rounded to whole cells.

    The largest of a rectangle is the largest of four overlapping ones whose sides are powers of 2,
    and those are computed once for all places. So a bin of any size is four reads, at the price of
    some copies of the maps: 9 where the largest bin has 4 to 7 cells a side, 25 from 16 on.

    Args:
        pyramid, strides, output_size, levels: as for ``roi_align``.
        boxes: float ``(batch, rois, 4)`` as (x1, y1, x2, y2) in pixels; what lies outside the
            picture is cut off first.

    Returns:
        ``(batch, rois, output_size, output_size, channels)``; 0 in a bin without cells.

    Raises:
        ValueError: if maps, strides or boxes do not fit.

    Source: Girshick 2015 (Fast R-CNN), section 2.1; equal to torchvision's ``roi_pool``.
    """
    check_pyramid(pyramid, strides, boxes, output_size)
    bins = output_size
    boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
    number = map_numbers(boxes, strides, levels)
    heights, widths = ([x.shape[axis] for x in pyramid] for axis in (1, 2))
    doublings = [
        (_doublings(height, bins), _doublings(width, bins))
        for height, width in zip(heights, widths, strict=True)
    ]
    table, starts, pictures = cell_table(
        [t for x, n in zip(pyramid, doublings, strict=True) for t in _range_maxima(x, n)]
    )
    first = np.cumsum([0] + [(down + 1) * (across + 1) for down, across in doublings])

    def of_level(values):
        return ops.take(np.asarray(values, "int32"), number, axis=0)[..., None]

    boxes = boxes / ops.cast(of_level(strides), "float32")
    width = of_level(widths)
    rows = _windows(boxes[..., 1::2], of_level(heights), heights, bins)
    columns = _windows(boxes[..., 0::2], width, widths, bins)
    # (batch, rois, bins, bins): which of the tables, by the doublings of both sides.
    place = rows.doublings * of_level([across + 1 for _, across in doublings])
    place = of_level(first[:-1])[..., None] + place[..., None] + columns.doublings[..., None, :]
    start = ops.take(np.asarray(starts, "int32"), place, axis=0) + pictures[..., None, None]
    corners = [
        ops.take(table, start + (row * width)[..., None] + column[..., None, :], axis=0)
        for row in rows.starts
        for column in columns.starts
    ]
    largest = corners[0]
    for corner in corners[1:]:
        largest = ops.maximum(largest, corner)
    empty = ops.logical_or(rows.empty[..., None], columns.empty[..., None, :])
    return ops.where(empty[..., None], ops.zeros_like(largest), largest)


def crop_and_resize(x, boxes, size):
    """Returns the part of a map in each box, resized bilinearly: TensorFlow's operation.

    Gradients reach the map, and not the boxes.

    Args:
        x: float ``(batch, height, width, channels)``, all but the batch known.
        boxes: float ``(batch, rois, 4)`` as (y1, x1, y2, x2), where 0 is the middle of the first
            row or column and 1 that of the last. Beyond them the map is 0.
        size: rows and columns of the result, of which the first and the last lie on the box's
            edges; 1 reads its middle.

    Returns:
        ``(batch, rois, size, size, channels)``.

    Raises:
        ValueError: if map or boxes have another shape.

    Source: ``tf.image.crop_and_resize``. Neither half cells nor bins: it is no RoIAlign.
    """
    check_pyramid([x], [1], boxes, size)
    boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
    steps = np.linspace(0, 1, size, dtype="float32") if size > 1 else np.float32([0.5])
    steps = ops.convert_to_tensor(steps)
    first, last = boxes[..., :2, None], boxes[..., 2:, None]
    lines = []
    for side, cells in enumerate(x.shape[1:3]):
        points = (first[:, :, side] + (last - first)[:, :, side] * steps) * (cells - 1)
        inside = ops.logical_and(points >= 0, points <= cells - 1)
        weights = line_weights(points[..., None], cells) * ops.cast(inside, "float32")[..., None]
        lines.append(ops.cast(weights, x.dtype))
    return separable(x, *lines)


class _Windows(typing.NamedTuple):
    """The cells of each bin along one side, int32 ``(batch, rois, bins)`` each.

    A bin is covered by two pieces of the same length, the largest power of 2 in it.
    """

    doublings: object  # log2 of that length
    starts: tuple  # first cell of the two pieces
    empty: object  # whether there is no cell, bool


def _windows(ends, size, sizes, bins):
    """Both ends of a side in cells, ``(batch, rois, 2)``, to the cells of its bins.

    ``size`` int32 ``(batch, rois, 1)`` is that of the RoI's map, ``sizes`` those of all maps.
    """
    ends = ops.minimum(ops.maximum(_rounded(ends), 0), size)
    start, end = ends[..., :1], ends[..., 1:]
    length = ops.maximum(end - start + 1, 1)
    offsets = ops.take(_bin_ends(max(sizes) + 1, bins), length[..., 0], axis=0)
    first = ops.minimum(start + offsets[..., 0], size)
    last = ops.minimum(start + offsets[..., 1], size)
    length = ops.maximum(last - first, 1)
    doublings = ops.zeros_like(length)
    for exponent in range(1, max(_doublings(n, bins) for n in sizes) + 1):
        doublings = doublings + ops.cast(length >= 2**exponent, "int32")
    piece = ops.take(2 ** np.arange(31, dtype="int32"), doublings, axis=0)
    inside = ops.minimum(first, size - 1)
    return _Windows(doublings, (inside, inside + length - piece), last <= first)


def _rounded(x):
    """Rounded to whole numbers as in C, halves away from 0; int32."""
    down = ops.floor(ops.abs(x))
    return ops.cast(ops.sign(x) * (down + ops.cast(ops.abs(x) - down >= 0.5, x.dtype)), "int32")


def _bin_ends(longest, bins):
    """First cell of each bin of a side, and the one behind its last, from the side's length.

    int32 ``(longest + 1, bins, 2)``. In NumPy and in float32, as torchvision computes it: the last
    bit of the quotient decides, and compilers may change it.
    """
    length = np.arange(longest + 1, dtype="float32")[:, None] / np.float32(bins)
    number = np.arange(bins, dtype="float32")
    ends = [np.floor(number * length), np.ceil((number + 1) * length)]
    return np.stack(ends, axis=-1).astype("int32")


def _doublings(size, bins):
    """log2 of the largest power of 2 in the largest bin that a side of ``size`` cells can have."""
    return int(math.log2(min(size, math.ceil((size + 1) / bins) + 1)))


def _range_maxima(x, doublings):
    """Largest values in the rectangles of 2^i x 2^j cells that begin at each cell: a list.

    i runs from 0 to ``doublings[0]`` and j, the faster one, to ``doublings[1]``. What a rectangle
    beyond the border takes in from the other side is never read.
    """
    found = []
    for i in range(doublings[0] + 1):
        wide = x
        for j in range(doublings[1] + 1):
            found.append(wide)
            if j < doublings[1]:
                wide = ops.maximum(wide, ops.roll(wide, -(2**j), axis=2))
        if i < doublings[0]:
            x = ops.maximum(x, ops.roll(x, -(2**i), axis=1))
    return found
