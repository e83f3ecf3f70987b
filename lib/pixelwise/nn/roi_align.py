"""RoIAlign: the features of a rectangle of any size, as a small grid of fixed size.

A region of interest (RoI) is cut into bins x bins cells. In each, the map is read bilinearly at a
few points, and the mean of these is the cell's feature. Nothing is rounded: a box that moves by a
tenth of a pixel has features that change a little (He et al. 2017, section 3). Of a pyramid, each
RoI reads one map, which its size chooses (Lin et al. 2017, equation 1). Chapter: Mask R-CNN.

Two forms give the same numbers. Bilinear reading is separable, so that a RoI is two products of
matrices, rows x map x columns, whose gradients are products again: fastest for small maps, but each
RoI is multiplied with all of every map. For large maps the few cells that are read are gathered,
piece by piece.
"""

import math

import numpy as np
from keras import ops

from pixelwise.nn.boxes import area
from pixelwise.nn.gathering import cell_table, in_pieces

CANONICAL_SIZE = 224  # the RoI of an ImageNet picture's size belongs to level 4
CANONICAL_LEVEL = 4
FORMS = ("auto", "matmul", "gather")
# How many products of the matrices cost as much as one number gathered, forward and backward, on a
# CPU with 64 channels: 50 to 100 on TensorFlow and PyTorch, some 10 where XLA compiles.
PRODUCTS = 64


def roi_levels(
    boxes, lowest, highest, canonical_size=CANONICAL_SIZE, canonical_level=CANONICAL_LEVEL
):
    """Returns the level of the pyramid that each RoI reads: one more for the double size.

    Args:
        boxes: float ``(..., 4)`` as (x1, y1, x2, y2) in pixels.
        lowest, highest: the levels there are; level k has the stride 2^k.
        canonical_size: square root of the area, in pixels, from which a RoI belongs to ...
        canonical_level: ... this level.

    Returns:
        int32 ``(...)`` from ``lowest`` to ``highest``; an empty box has the lowest.

    Source: Lin et al. 2017 (FPN), equation 1; torchvision adds the 1e-6, so that a RoI of exactly
    the canonical size is not rounded down.
    """
    size = ops.sqrt(area(boxes))
    level = ops.floor(canonical_level + ops.log2(size / canonical_size) + 1e-6)
    return ops.cast(ops.clip(level, lowest, highest), "int32")


def sampling_points(boxes, bins, samples=2, aligned=False, most=None):
    """Returns where along its two sides a RoI is read.

    Args:
        boxes: float ``(..., 4)`` as (x1, y1, x2, y2) in cells of the map (pixels / stride).
        bins: bins along each side.
        samples: points a bin along each side: a whole number, or float ``(..., 2)`` with that of
            the rows and of the columns of each RoI.
        aligned: ``True`` puts the value of a cell in its middle, so that a position loses half a
            cell; ``False`` puts it in the corner, as the first published code did, and makes each
            side at least one cell long.
        most: the largest number of ``samples``, needed where they are an array.

    Returns:
        rows ``(..., bins, most)`` and columns ``(..., bins, most)``: positions in cells, 0 on the
        first. Where a RoI has fewer samples, the rest of them lies behind its bin.

    Source: He et al. 2017, section 3, and the code released with it.
    """
    shift = 0.5 if aligned else 0.0
    first = boxes[..., :2] - shift
    sides = boxes[..., 2:] - shift - first
    sides = sides if aligned else ops.maximum(sides, 1)
    # From (x, y) to (row, column), with the axes of the bins and of the points behind.
    first, sides = (ops.flip(side, axis=-1)[..., None, None] for side in (first, sides))
    whole = isinstance(samples, int | np.integer)
    share = ops.arange(samples if whole else most, dtype="float32") + 0.5
    share = share / (samples if whole else samples[..., None, None])
    length = sides / bins
    points = first + ops.arange(bins, dtype="float32")[:, None] * length + share * length
    return points[..., 0, :, :], points[..., 1, :, :]


def line_weights(points, size, samples=None):
    """Returns what each cell of a line contributes to the mean of the points of a bin.

    A point up to one cell outside reads the outermost cell, one further away reads 0.

    Args:
        points: float ``(..., bins, most)``, positions in cells.
        size: cells of the line.
        samples: float ``(...)``, how many of the points count; ``None`` for all.

    Returns:
        float32 ``(..., bins, size)``; the sum is 1 for a bin whose points lie on the line.
    """
    most = points.shape[-1]
    samples = None if samples is None else ops.cast(samples, "float32")[..., None, None]
    cells = ops.arange(size, dtype="float32")
    total = 0
    for number in range(most):
        point = points[..., number, None]
        reads = _reads(point, size)
        if samples is not None:
            reads = ops.logical_and(reads, number < samples)
        tent = ops.maximum(1 - ops.abs(ops.clip(point, 0, size - 1) - cells), 0)
        total = total + ops.where(reads, tent, 0.0)
    return total / (most if samples is None else samples)


def roi_align(
    pyramid,
    strides,
    boxes,
    output_size,
    sampling_ratio=2,
    aligned=False,
    levels=None,
    form="auto",
):
    """Returns the features of each RoI on a grid of fixed size, from the map of its level.

    Gradients reach the maps, and not the boxes.

    Args:
        pyramid: list of float maps ``(batch, height, width, channels)``, finest first; all but the
            batch is known when the computation is traced.
        strides: pixels a cell of each map; of several maps each has the double of the one before
            and is a power of 2.
        boxes: float ``(batch, rois, 4)`` as (x1, y1, x2, y2) in pixels. Boxes of zeros (padding)
            give finite features and gradients. Use float32: half precision moves a box by a pixel.
        output_size: bins along each side.
        sampling_ratio: points a bin along each side.
        aligned: see ``sampling_points``.
        levels: int ``(batch, rois)``, log2 of the stride of the map that each RoI reads; ``None``
            takes ``roi_levels``.
        form: ``"matmul"``, ``"gather"``, or ``"auto"``: the one that should be faster.

    Returns:
        ``(batch, rois, output_size, output_size, channels)`` in the dtype of the maps.

    Raises:
        ValueError: if maps, strides or boxes do not fit, or the form is unknown.

    Source: He et al. 2017, section 3; equal to torchvision's ``MultiScaleRoIAlign``.
    """
    if form not in FORMS:
        raise ValueError(f"There is no form {form!r} of RoIAlign: choose one of {FORMS}.")
    check_pyramid(pyramid, strides, boxes, output_size, sampling_ratio)
    boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
    number = map_numbers(boxes, strides, levels)
    if form == "auto":
        matmul = _products(pyramid, boxes.shape[1], output_size)
        gather = boxes.shape[1] * (2 * sampling_ratio * output_size) ** 2 * pyramid[0].shape[-1]
        form = "matmul" if matmul < PRODUCTS * gather else "gather"
    align = _by_products if form == "matmul" else _by_gathering
    return align(pyramid, strides, boxes, number, output_size, sampling_ratio, aligned)


def check_pyramid(pyramid, strides, boxes, *counts):
    """Raises one sentence if maps, strides, boxes and whole numbers cannot go together."""
    if len(pyramid) == 0 or len(pyramid) != len(strides):
        raise ValueError(
            f"There are {len(pyramid)} maps and {len(strides)} strides: give one stride a map."
        )
    shapes = [tuple(x.shape) for x in pyramid]
    if (
        any(len(shape) != 4 or None in shape[1:] for shape in shapes)
        or len({shape[-1] for shape in shapes}) > 1
    ):
        raise ValueError(
            "Maps have the shape (batch, height, width, channels), of which all but the batch is "
            f"known and the channels are the same, but got {shapes}."
        )
    doubled = [strides[0] * 2**i for i in range(len(strides))]
    if len(strides) > 1 and (list(strides) != doubled or not math.log2(strides[0]).is_integer()):
        raise ValueError(
            f"The strides of the maps are {tuple(strides)}: give powers of 2, each the double of "
            "the one before."
        )
    if len(boxes.shape) != 3 or boxes.shape[-1] != 4 or boxes.shape[1] is None:
        raise ValueError(
            f"The boxes of a batch have the shape (batch, rois, 4), but got {tuple(boxes.shape)}."
        )
    if any(not isinstance(n, int | np.integer) or n < 1 for n in counts):
        raise ValueError(f"Bins and points are counted in whole numbers from 1, but got {counts}.")


def map_numbers(boxes, strides, levels=None):
    """Returns the place in the list of the map that each RoI reads, int32 ``(batch, rois)``."""
    if len(strides) == 1:
        return ops.zeros_like(boxes[..., 0], dtype="int32")
    lowest = int(math.log2(strides[0]))
    highest = lowest + len(strides) - 1
    if levels is None:
        levels = roi_levels(boxes, lowest, highest)
    return ops.clip(ops.cast(levels, "int32"), lowest, highest) - lowest


def separable(x, rows, columns):
    """Returns rows x map x columns for each RoI.

    Args:
        x: float ``(batch, height, width, channels)``.
        rows: float ``(batch, rois, bins, height)``.
        columns: float ``(batch, rois, bins, width)``.

    Returns:
        ``(batch, rois, bins, bins, channels)``.
    """
    height, width, channels = x.shape[1:]
    rois, bins = rows.shape[1:3]
    # Rows first: what stands between the two products has the rows of the bins, not of the map.
    lines = ops.matmul(
        ops.reshape(rows, (-1, rois * bins, height)),
        ops.reshape(x, (-1, height, width * channels)),
    )
    lines = ops.reshape(lines, (-1, rois, bins, width, channels))
    return ops.matmul(columns[:, :, None], lines)


def _by_products(pyramid, strides, boxes, number, bins, samples, aligned):
    total = None
    for place, (x, stride) in enumerate(zip(pyramid, strides, strict=True)):
        rows, columns = sampling_points(boxes / stride, bins, samples, aligned)
        rows, columns = line_weights(rows, x.shape[1]), line_weights(columns, x.shape[2])
        # A RoI of another level reads zeros.
        rows = rows * ops.cast(number == place, "float32")[..., None, None]
        part = separable(x, ops.cast(rows, x.dtype), ops.cast(columns, x.dtype))
        total = part if total is None else total + part
    return total


def _products(pyramid, rois, bins):
    """Multiplications of ``_by_products`` for one picture."""
    return sum(rois * bins * (x.shape[1] + bins) * x.shape[2] * x.shape[3] for x in pyramid)


def _by_gathering(pyramid, strides, boxes, number, bins, samples, aligned):
    table, starts, pictures = cell_table(pyramid)

    def of_level(values, dtype):
        return ops.take(np.asarray(values, dtype), number, axis=0)

    boxes = boxes / of_level(strides, "float32")[..., None]
    rows, columns = sampling_points(boxes, bins, samples, aligned)
    rows, down = _neighbours(rows, of_level([x.shape[1] for x in pyramid], "float32"))
    columns, across = _neighbours(columns, of_level([x.shape[2] for x in pyramid], "float32"))
    first = pictures + of_level(starts, "int32")
    width = of_level([x.shape[2] for x in pyramid], "int32")
    rows = first[..., None, None] + rows * width[..., None, None]
    # Bins of the rows, of the columns, then the points' neighbours among the rows and columns.
    cells = rows[:, :, :, None, :, None] + columns[:, :, None, :, None, :]
    weights = down[:, :, :, None, :, None] * across[:, :, None, :, None, :]
    rois, reads, channels = cells.shape[1], (2 * samples) ** 2, table.shape[-1]
    cells = ops.reshape(cells, (-1, rois, bins * bins, reads))
    weights = ops.cast(ops.reshape(weights, (-1, rois, bins * bins, 1, reads)), table.dtype)

    def read(piece):
        cells, weights = piece
        return ops.matmul(weights, ops.take(table, cells, axis=0))

    pooled = in_pieces(read, (cells, weights), bins * bins * reads * channels)
    return ops.reshape(pooled, (-1, rois, bins, bins, channels))


def _neighbours(points, size):
    """The two cells of a line that each point lies between, and their weights in the bin's mean.

    points ``(batch, rois, bins, samples)``, size ``(batch, rois)`` -> int32 and float32
    ``(batch, rois, bins, 2 * samples)``.
    """
    size = size[..., None, None]
    reads = ops.cast(_reads(points, size), "float32") / points.shape[-1]
    points = ops.minimum(ops.maximum(points, 0), size - 1)
    below = ops.floor(points)
    above = ops.minimum(below + 1, size - 1)
    share = points - below
    cells = ops.concatenate([below, above], axis=-1)
    weights = ops.concatenate([(1 - share) * reads, share * reads], axis=-1)
    return ops.cast(cells, "int32"), weights


def _reads(points, size):
    """Whether a point is at most one cell outside, where it still reads the outermost one."""
    return ops.logical_and(points >= -1, points <= size)
