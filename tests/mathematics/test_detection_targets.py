"""What detectors should answer, against naive loops and by hand."""

import numpy as np
from keras import ops

from pixelwise.nn import boxes as box_ops
from pixelwise.nn import detection_targets as targets


def array(x):
    return ops.convert_to_numpy(x)


ANCHORS = np.float32([[0, 0, 10, 10], [0, 0, 20, 20], [40, 40, 60, 60], [5, 0, 15, 10]])


def test_anchor_targets_by_hand():
    """The object is the first anchor; the last shares a third with it; the second a quarter."""
    boxes, valid = np.float32([[[0, 0, 10, 10], [0, 0, 0, 0]]]), np.array([[True, False]])
    labels, deltas = targets.anchor_targets(ANCHORS, boxes, valid)
    assert array(labels).tolist() == [[1, 0, 0, -1]]
    assert np.allclose(array(deltas)[0, 0], 0, atol=1e-6)


def test_the_best_anchor_of_an_object_is_positive_however_poor():
    boxes, valid = np.float32([[[41, 41, 49, 49]]]), np.array([[True]])  # a sixth of the third
    labels, deltas = targets.anchor_targets(ANCHORS, boxes, valid)
    assert array(labels).tolist() == [[0, 0, 1, 0]]
    # The centre moves from 50 to 45, a quarter of 20 to the left; 20 shrinks to 8.
    assert np.allclose(array(deltas)[0, 2], [-0.25, -0.25, np.log(0.4), np.log(0.4)], atol=1e-6)


def test_without_objects_every_anchor_is_background():
    labels, deltas = targets.anchor_targets(
        ANCHORS, np.zeros((2, 3, 4), "float32"), np.zeros((2, 3), bool)
    )
    assert not array(labels).any() and np.isfinite(array(deltas)).all()


def test_sampled_is_a_mask_of_the_right_size():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 2, (3, 50))
    labels[2] = 0
    drawn = array(targets.sampled(labels, rng.random((3, 50)).astype("float32"), 16, 0.5))
    assert drawn.sum(1).tolist() == [16, 16, 16]
    assert not (drawn & (labels < 0)).any()
    assert (drawn & (labels == 1)).sum(1).tolist() == [8, 8, 0]


def test_sampled_takes_all_there_is_and_no_place_for_padding():
    labels = np.array([[1, -1, 0, -1]])
    drawn = array(targets.sampled(labels, np.float32([[0, 0, 0, 0]]), 16, 0.5))
    assert drawn.tolist() == [[True, False, True, False]]


def naive_regions(proposals, scores, boxes, classes):
    """The candidates with their labels and objects, one by one."""
    found = []
    candidates = [b for b, s in zip(proposals, scores, strict=True) if np.isfinite(s)]
    candidates += [b for b, c in zip(boxes, classes, strict=True) if c > 0]
    for candidate in candidates:
        overlaps = [
            float(box_ops.iou(candidate[None], box[None])[0, 0]) if c > 0 else -1.0
            for box, c in zip(boxes, classes, strict=True)
        ]
        best = int(np.argmax(overlaps))
        found.append((candidate, classes[best] if overlaps[best] >= 0.5 else 0, best))
    return found


def test_sample_regions_agrees_with_a_naive_loop():
    rng = np.random.default_rng(3)
    corner = rng.uniform(0, 60, (12, 2))
    proposals = np.concatenate([corner, corner + rng.uniform(10, 40, (12, 2))], 1).astype("float32")
    boxes = np.concatenate([proposals[:2] + 2, np.zeros((1, 4), "float32")])
    classes, scores = np.array([2, 1, 0]), np.where(np.arange(12) < 9, 1.0, -np.inf)
    found = targets.sample_regions(
        proposals[None],
        scores[None].astype("float32"),
        boxes[None],
        classes[None],
        rng.random((1, 15)).astype("float32"),
        size=20,
        positive_share=1.0,
    )
    found = {name: array(value)[0] for name, value in found.items()}
    expected = naive_regions(proposals, scores, boxes, classes)
    assert found["valid"].sum() == len(expected) == 11
    positives = sum(label > 0 for _, label, _ in expected)
    assert found["positive"].tolist() == [k < positives for k in range(20)] and positives >= 4
    listed = {tuple(box): (label, matched) for box, label, matched in expected}
    for k in np.flatnonzero(found["valid"]):
        label, matched = listed.pop(tuple(found["boxes"][k]))
        assert found["labels"][k] == label
        if label:
            back = box_ops.decode(found["deltas"][k], found["boxes"][k], targets.BOX_WEIGHTS)
            assert found["matched"][k] == matched
            assert np.allclose(array(back), boxes[matched], atol=1e-3)
    assert not listed  # each once
    assert not found["boxes"][~found["valid"]].any() and np.isfinite(found["deltas"]).all()


def test_without_objects_all_regions_are_background():
    proposals = np.float32([[[0, 0, 9, 9], [3, 3, 30, 30]]])
    found = targets.sample_regions(
        proposals,
        np.float32([[1, 0]]),
        np.zeros((1, 2, 4), "float32"),
        np.zeros((1, 2), "int32"),
        np.float32([[0.1, 0.2, 0.3, 0.4]]),
        size=4,
        positive_share=0.25,
    )
    found = {name: array(value) for name, value in found.items()}
    assert not found["labels"].any() and not found["positive"].any()
    assert found["valid"].tolist() == [[True, True, False, False]]
    assert np.isfinite(found["deltas"]).all()
