"""Non-maximum suppression: of boxes that overlap, the one with the best score stays.

Chapter: Mask R-CNN.
"""

from keras import ops

from pixelwise.nn.boxes import iou
from pixelwise.nn.matching import first_true


def nms(boxes, scores, threshold, limit, groups=None):
    """Returns the boxes that stay when the best suppresses what overlaps it, then the next, ...

    Greedy suppression goes through the boxes one by one. Here all go at once. With the boxes by
    falling score, greedy suppression says of each

        keep[j] = no kept i < j overlaps j,

    which settles the boxes in order: whether j stays depends on those before it alone. Computing
    all ``keep`` from the last ones, again and again until nothing changes, ends with the one answer
    that fits: the first box is right after one round, and j as soon as those that overlap it are.
    Rounds are as many as the longest chain of boxes that decide about one another, which is a
    handful in practice, where a loop over boxes takes thousands of steps.

    A picture costs tables of n x n: boxes that cannot suppress one another anyway, as those of two
    levels, cost less along a leading axis than in groups.

    Args:
        boxes: float ``(..., n, 4)`` as (x1, y1, x2, y2) in pixels.
        scores: float ``(..., n)``; -inf marks padding, and NaN counts as padding. Of equal scores
            the first counts as better.
        threshold: boxes are suppressed by a better one with an IoU above this, 0 to 1.
        limit: how many indices are returned, the best ones.
        groups: int ``(..., n)``, such as class or level: boxes suppress their own group alone.
            ``None`` is one group.

    Returns:
        ``(indices, valid)``, int32 and bool ``(..., limit)``: the boxes that stay by falling score,
        and which entries are no padding (whose index is 0). No gradient passes.

    Raises:
        ValueError: if ``limit`` is below 1, the threshold beyond 0 to 1, or the shapes do not fit.

    Source: the greedy algorithm as in Girshick et al. 2014 (R-CNN), section 2.2.
    """
    if limit < 1 or not 0 <= threshold <= 1:
        raise ValueError(
            f"limit is {limit} and threshold {threshold}: give at least 1, and an IoU from 0 to 1."
        )
    # Indices have no gradient: PyTorch need not keep the tables below for one.
    boxes, scores = (ops.stop_gradient(ops.convert_to_tensor(x)) for x in (boxes, scores))
    _check_shapes(boxes, scores, "scores")
    scores = ops.where(scores > float("-inf"), scores, float("-inf"))
    order = ops.argsort(-scores, axis=-1)  # of equal scores the first comes first
    real = ops.take_along_axis(scores, order, axis=-1) > float("-inf")
    boxes = ops.take_along_axis(boxes, order[..., None], axis=-2)
    blocks = iou(boxes, boxes) > threshold
    if groups is not None:
        groups = ops.convert_to_tensor(groups)
        _check_shapes(boxes, groups, "groups")
        groups = ops.take_along_axis(groups, order, axis=-1)
        blocks = ops.logical_and(blocks, groups[..., :, None] == groups[..., None, :])

    places, valid = first_true(_settle(real, blocks), limit)
    indices = ops.take_along_axis(order, places, axis=-1)
    return ops.where(valid, ops.cast(indices, "int32"), 0), valid


def _settle(real, blocks):
    """Finds which boxes stay: those that are real and blocked by no earlier one that stays.

    Args:
        real: bool ``(..., n)``, boxes by falling score.
        blocks: bool ``(..., n, n)``, symmetric: which would block which.

    Returns:
        bool ``(..., n)``.
    """
    place = ops.arange(real.shape[-1])
    blocks = ops.logical_and(blocks, place[:, None] > place[None, :])

    def again(keep, _):
        blocked = ops.any(ops.logical_and(blocks, keep[..., None, :]), axis=-1)
        settled = ops.logical_and(real, ops.logical_not(blocked))
        return settled, ops.any(settled != keep)

    # Two variables: with one, the backends do not agree whether a tuple comes back.
    start = (real, ops.convert_to_tensor(True))
    return ops.while_loop(lambda _, changed: changed, again, start)[0]


def _check_shapes(boxes, given, name):
    boxes, given = tuple(boxes.shape), tuple(given.shape)
    if (
        len(boxes) < 2
        or boxes[-1] != 4
        or boxes[-2:-1] != given[-1:]
        or len(boxes) != len(given) + 1
    ):
        raise ValueError(
            f"NMS needs boxes (..., n, 4) and {name} (..., n), but got {boxes} and {given}."
        )
