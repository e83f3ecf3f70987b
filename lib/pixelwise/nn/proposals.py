"""Region proposals: from a score and four numbers at every anchor to a few hundred boxes.

Source: Ren et al. 2015 (Faster R-CNN, arXiv 1506.01497), section 3.1; Lin et al. 2017 (FPN, arXiv
1612.03144), section 4.1. Chapter 4.
"""

from keras import ops

from pixelwise.nn import boxes as box_ops
from pixelwise.nn.nms import nms

SMALLEST = 1e-3  # pixels; a box with a shorter side is no proposal


def propose(objectness, deltas, anchors, height, width, *, before=1000, after=1000, threshold=0.7):
    """Turns what the region proposal network says of the anchors into proposals.

    Of each level the ``before`` anchors with the highest scores are taken, moved by their deltas,
    cut at the picture's border and thinned by non-maximum suppression within the level; the
    ``after`` best of all levels stay.

    Args:
        objectness: list, one a level, of logits ``(batch, anchors)``.
        deltas: list of ``(batch, anchors, 4)``, as ``boxes.encode`` gives them.
        anchors: list of ``(anchors, 4)``, in pixels.
        height, width: of the picture in pixels, numbers or ``(batch, 1)``.
        before: anchors taken of each level.
        after: proposals left; if the levels hold fewer, as many as they hold.
        threshold: IoU above which the lower of two boxes of one level is suppressed.

    Returns:
        ``(boxes, scores)``: ``(batch, proposals, 4)`` and ``(batch, proposals)``, the logits in
        falling order. Places without a proposal have zeros and the score -inf.
    """
    kept_boxes, kept_scores = [], []
    for level_scores, level_deltas, level_anchors in zip(objectness, deltas, anchors, strict=True):
        count = min(before, level_scores.shape[1])
        scores, index = ops.top_k(level_scores, count)
        chosen = ops.take_along_axis(level_deltas, index[..., None], axis=1)
        found = box_ops.decode(chosen, ops.take(level_anchors, index, axis=0))
        found = box_ops.clip(found, height, width)
        scores = ops.where(box_ops.large_enough(found, SMALLEST), scores, -float("inf"))
        index, valid = nms(found, scores, threshold, min(count, after))
        found, scores = _gather(found, scores, index, valid)
        kept_boxes.append(found)
        kept_scores.append(scores)
    found = ops.concatenate(kept_boxes, axis=1)
    scores = ops.concatenate(kept_scores, axis=1)
    scores, index = ops.top_k(scores, min(after, scores.shape[1]))
    return ops.take_along_axis(found, index[..., None], axis=1), scores


def _gather(boxes, scores, index, valid):
    """The boxes and scores at an index, zeros and -inf where it is not valid."""
    boxes = ops.take_along_axis(boxes, index[..., None], axis=1)
    scores = ops.take_along_axis(scores, index, axis=1)
    boxes = ops.where(valid[..., None], boxes, 0.0)
    return boxes, ops.where(valid, scores, -float("inf"))
