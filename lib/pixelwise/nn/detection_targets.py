"""What a two-stage detector should answer: targets of the anchors, and of sampled proposals.

Chapter 4.
"""

import numpy as np
from keras import ops

from pixelwise.nn import boxes as box_ops
from pixelwise.nn.matching import BELOW, balanced_sample, match

BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # by which the heads' deltas are multiplied; torchvision's


def anchor_targets(anchors, boxes, valid, high=0.7, low=0.3):
    """Finds which anchors are objects, and how each has to move.

    An anchor is positive if its IoU with an object is at least ``high``, or the highest that this
    object has with any anchor; negative if it is below ``low`` with all objects.

    Args:
        anchors: float ``(anchors, 4)`` in pixels.
        boxes: float ``(batch, objects, 4)`` in pixels.
        valid: bool ``(batch, objects)``, False where there is padding.
        high, low: IoU.

    Returns:
        ``(labels, deltas)``: int32 ``(batch, anchors)``, 1 for an object, 0 for background and -1
        for neither; float32 ``(batch, anchors, 4)``, anything where there is no object.

    Source: Ren et al. 2015, section 3.1.2.
    """
    matched = match(box_ops.iou(boxes, anchors), valid, high, low, allow_low_quality=True)
    labels = ops.where(matched >= 0, 1, ops.where(matched == BELOW, 0, -1))
    objects = _objects(boxes, matched)
    return labels, box_ops.encode(objects, anchors)


def sampled(labels, noise, size, positive_share):
    """Draws a balanced sample and returns it as a mask over all candidates.

    Args:
        labels, noise, size, positive_share: as for ``matching.balanced_sample``.

    Returns:
        bool of the shape of ``labels``.
    """
    indices, _, valid = balanced_sample(labels, noise, size, positive_share)
    place = ops.arange(labels.shape[-1], dtype="int32")
    # Whoever was not drawn is compared with -1, which is no place.
    indices = ops.where(valid, indices, -1)
    return ops.any(indices[..., None] == place, axis=-2)


def sample_regions(proposals, scores, boxes, classes, noise, size, positive_share, threshold=0.5):
    """Draws the regions that the heads learn from, and what they should say of them.

    The objects' own boxes are among the candidates, so that there is something to learn from the
    first step on.

    Args:
        proposals: float ``(batch, proposals, 4)`` in pixels.
        scores: float ``(batch, proposals)``; -inf marks padding.
        boxes: float ``(batch, objects, 4)``.
        classes: int ``(batch, objects)``, 0 where there is padding.
        noise: float ``(batch, proposals + objects)`` in [0, 1), which chooses.
        size: regions a picture.
        positive_share: largest share of regions that stand for an object; they come first.
        threshold: IoU from which on a region stands for an object.

    Returns:
        dict: ``boxes`` ``(batch, size, 4)``, zeros for padding; ``labels`` int32 ``(batch, size)``,
        the class, 0 for background; ``matched`` int32, the number of the object; ``deltas``
        ``(batch, size, 4)``; ``positive`` and ``valid``, bool ``(batch, size)``. No gradient
        passes.

    Source: Girshick 2015, section 2.3; Ren et al. 2015, section 3.2.
    """
    valid = classes > 0
    candidates = ops.concatenate([proposals, boxes], axis=1)
    present = ops.concatenate([scores > -float("inf"), valid], axis=1)
    matched = match(box_ops.iou(boxes, candidates), valid, threshold, threshold)
    labels = ops.where(present, ops.cast(matched >= 0, "int32"), -1)
    indices, positive, drawn = balanced_sample(labels, noise, size, positive_share)

    regions = ops.take_along_axis(candidates, indices[..., None], axis=1)
    regions = ops.where(drawn[..., None], regions, 0.0)
    matched = ops.maximum(ops.take_along_axis(matched, indices, axis=1), 0)
    found = ops.take_along_axis(classes, matched, axis=1)
    objects = _objects(boxes, matched)
    # Padding and background get deltas of something, which no loss reads but must be finite.
    something = np.array([0, 0, 1, 1], "float32")
    references = ops.where(positive[..., None], regions, something)
    objects = ops.where(positive[..., None], objects, something)
    result = {
        "boxes": regions,
        "labels": ops.where(positive, found, 0),
        "matched": matched,
        "deltas": box_ops.encode(objects, references, BOX_WEIGHTS),
        "positive": positive,
        "valid": drawn,
    }
    return {name: ops.stop_gradient(value) for name, value in result.items()}


def _objects(boxes, matched):
    """The box of the object that each candidate matches; of the first object where it has none."""
    return ops.take_along_axis(boxes, ops.maximum(matched, 0)[..., None], axis=1)
