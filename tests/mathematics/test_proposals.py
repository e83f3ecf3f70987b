"""Region proposals against a naive loop."""

import numpy as np
import pytest
from keras import ops

from pixelwise.nn import boxes as box_ops
from pixelwise.nn.proposals import propose

HEIGHT, WIDTH = 60, 80


def array(x):
    return ops.convert_to_numpy(x)


def naive(objectness, deltas, anchors, before, after, threshold):
    """One picture: lists of ``(score, box)``, the best first."""
    kept = []
    for scores, moves, boxes in zip(objectness, deltas, anchors, strict=True):
        best = np.argsort(-scores, kind="stable")[:before]
        decoded = array(box_ops.decode(moves, boxes))
        decoded = np.clip(decoded, 0, np.float32([WIDTH, HEIGHT, WIDTH, HEIGHT]))
        overlap = array(box_ops.iou(decoded, decoded))
        stay = []
        for k in best:
            if min(decoded[k, 2:] - decoded[k, :2]) < 1e-3:
                continue
            if all(overlap[k, other] <= threshold for other in stay):
                stay.append(k)
        kept += [(scores[k], decoded[k]) for k in stay]
    return sorted(kept, key=lambda pair: -pair[0])[:after]


@pytest.fixture(scope="module")
def levels():
    rng = np.random.default_rng(0)
    objectness, deltas, anchors = [], [], []
    for count, side in ((40, 12), (12, 30)):
        corner = rng.uniform(-10, (WIDTH, HEIGHT), (count, 2))
        anchors.append(np.concatenate([corner, corner + side], 1).astype("float32"))
        objectness.append(rng.normal(size=(2, count)).astype("float32"))
        deltas.append(rng.normal(0, 0.3, (2, count, 4)).astype("float32"))
    return objectness, deltas, anchors


@pytest.mark.parametrize("before, after, threshold", [(30, 20, 0.7), (40, 200, 0.3), (5, 3, 0.5)])
def test_proposals_agree_with_a_naive_loop(levels, before, after, threshold):
    options = {"before": before, "after": after, "threshold": threshold}
    boxes, scores = (array(x) for x in propose(*levels, HEIGHT, WIDTH, **options))
    for picture in range(2):
        one = [[of_level[picture] for of_level in what] for what in levels[:2]]
        expected = naive(*one, levels[2], **options)
        count = len(expected)
        assert np.allclose(scores[picture, :count], [score for score, _ in expected])
        assert np.allclose(boxes[picture, :count], [box for _, box in expected], atol=1e-3)
        assert np.isneginf(scores[picture, count:]).all() and not boxes[picture, count:].any()


def test_a_picture_that_is_smaller_than_its_padding_cuts_its_own_boxes(levels):
    sizes = np.float32([[60, 80], [30, 40]])
    boxes, scores = (array(x) for x in propose(*levels, sizes[:, :1], sizes[:, 1:]))
    assert boxes[1, :, 3].max() <= 30 and boxes[1, :, 2].max() <= 40
    assert boxes[0, :, 3].max() > 30 and np.isfinite(scores[1]).any()
