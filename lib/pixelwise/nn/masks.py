"""Masks of objects: from the picture into a box's grid for training, and back for the answer.

The mask head answers on a grid of fixed size, 28 x 28, laid over the box. For training the true
mask is read on the same grid; for the answer the grid's probabilities are stretched over the box's
pixels. Chapter: Mask R-CNN (He et al. 2017, sections 3 and 3.1).
"""

import numpy as np
from keras import ops

from pixelwise.nn.gathering import in_pieces
from pixelwise.nn.roi_align import line_weights, sampling_points


def mask_targets(masks, boxes, matched, size):
    """Returns the share of each cell of a RoI's grid that the true mask covers.

    It is RoIAlign of the mask, with as many points a bin as the bin has pixels along a side,
    rounded up. So the targets are soft: between 0 and 1 at the edge of the object.

    Args:
        masks: ``(batch, objects, height, width)``, 1 on the object and 0 elsewhere, all but the
            batch known.
        boxes: float ``(batch, rois, 4)`` as (x1, y1, x2, y2) in pixels, inside the picture. Boxes
            of zeros (padding) have finite targets, of no meaning.
        matched: int ``(batch, rois)``, the object of each RoI; below 0 (no object) the targets have
            no meaning.
        size: cells along each side of the grid.

    Returns:
        float32 ``(batch, rois, size, size)`` in [0, 1], without a gradient.

    Raises:
        ValueError: if the shapes do not fit.

    Source: He et al. 2017, section 3.1; equal to torchvision's ``project_masks_on_boxes``.
    """
    if len(masks.shape) != 4 or None in masks.shape[1:]:
        raise ValueError(
            "Masks have the shape (batch, objects, height, width), of which all but the batch is "
            f"known, but got {tuple(masks.shape)}."
        )
    if tuple(boxes.shape[1:]) != (*matched.shape[1:], 4) or len(boxes.shape) != 3:
        raise ValueError(
            f"For boxes (batch, rois, 4) and objects (batch, rois) the shapes are "
            f"{tuple(boxes.shape)} and {tuple(matched.shape)}: give one object a box."
        )
    objects, height, width = masks.shape[1:]
    boxes = ops.stop_gradient(ops.cast(boxes, "float32"))
    sides = ops.flip(boxes[..., 2:] - boxes[..., :2], axis=-1)  # height and width
    most = [-(-side // size) for side in (height, width)]
    samples = ops.maximum(ops.minimum(ops.ceil(sides / size), np.asarray(most, "float32")), 1)
    points = sampling_points(boxes, size, samples, most=max(most))
    rows, columns = (
        line_weights(points[i][..., : most[i]], side, samples[..., i])
        for i, side in enumerate((height, width))
    )
    flat = ops.reshape(masks, (-1, height, width))
    pictures = ops.arange(ops.shape(masks)[0], dtype="int32")[:, None] * objects
    number = pictures + ops.clip(ops.cast(matched, "int32"), 0, objects - 1)

    def read(piece):
        number, rows, columns = piece
        mask = ops.cast(ops.take(flat, number, axis=0), "float32")
        return ops.matmul(ops.matmul(rows, mask), ops.swapaxes(columns, -1, -2))

    targets = in_pieces(read, (number, rows, columns), height * width)
    return ops.stop_gradient(targets)


def paste(masks, boxes, height, width, threshold=0.5):
    """Returns masks at the picture's size, from the probabilities on the grids of their boxes.

    A grid gets a border of zeros, the box one cell more on each side, and its ends lose their
    fractions. Then the grid is resized bilinearly to the pixels of the box.

    Args:
        masks: float ``(detections, size, size)``, probabilities.
        boxes: float ``(detections, 4)`` as (x1, y1, x2, y2) in pixels of the picture; parts outside
            are cut off.
        height, width: of the picture.
        threshold: probability above which a pixel belongs to the object; ``None`` returns the
            probabilities themselves.

    Returns:
        NumPy array ``(detections, height, width)``: bool, or float32 if there is no threshold.

    Raises:
        ValueError: if the shapes do not fit.

    Source: equal to torchvision's ``paste_masks_in_image``.
    """
    masks, boxes = np.asarray(masks, "float32"), np.asarray(boxes, "float32")
    if masks.ndim != 3 or boxes.shape != (len(masks), 4):
        raise ValueError(
            "Masks (detections, size, size) and boxes (detections, 4) have the shapes "
            f"{masks.shape} and {boxes.shape}: give one box a mask."
        )
    pasted = np.zeros((len(masks), height, width), "float32" if threshold is None else bool)
    grids = np.pad(masks, ((0, 0), (1, 1), (1, 1)))
    for canvas, grid, box in zip(pasted, grids, _with_border(boxes, masks.shape[1:]), strict=True):
        x1, y1, x2, y2 = box.tolist()
        rows, down = _stretch(y1, y2, height, len(grid))
        columns, across = _stretch(x1, x2, width, len(grid[0]))
        found = down @ grid @ across.T
        canvas[rows, columns] = found if threshold is None else found > threshold
    return pasted


def _with_border(boxes, size):
    """The boxes one cell larger on each side, without fractions; int64."""
    larger = np.array([(n + 2) / n for n in reversed(size)], "float32")
    half = (boxes[:, 2:] - boxes[:, :2]) / 2 * larger
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    return np.concatenate([middle - half, middle + half], axis=1).astype("int64")


def _stretch(first, last, limit, size):
    """Where a side of the box lies in the picture, and the weights of the grid's cells there.

    Returns:
        A slice of the picture's rows or columns, and float32 ``(its length, size)``.
    """
    pixels = max(last - first + 1, 1)
    begin, end = max(first, 0), min(last + 1, limit)
    end = max(begin, end)
    position = np.arange(begin - first, end - first, dtype="float32") + np.float32(0.5)
    position = position * np.float32(size / pixels) - np.float32(0.5)
    # Beyond the middle of an outermost cell its value holds.
    position = np.clip(position, 0, size - 1)[:, None]
    weights = np.maximum(1 - np.abs(position - np.arange(size, dtype="float32")), 0)
    return slice(begin, end), weights
