"""Boxes, against counting pixels."""

import numpy as np
import pytest
from keras import ops

from pixelwise.nn import boxes, losses


def _mask(box, size=12):
    x1, y1, x2, y2 = box
    mask = np.zeros((size, size), bool)
    mask[y1:y2, x1:x2] = True
    return mask


def test_iou_of_boxes_is_iou_of_their_pixels():
    rng = np.random.default_rng(0)
    first, sides = rng.integers(0, 7, (20, 2)), rng.integers(1, 6, (20, 2))
    all_boxes = np.concatenate([first, first + sides], axis=1)
    exact = all_boxes.astype("float32")
    found = ops.convert_to_numpy(boxes.iou(exact, exact[:7]))
    assert found.shape == (20, 7)
    for i in range(20):
        for j in range(7):
            expected = losses.iou(_mask(all_boxes[i]), _mask(all_boxes[j]))
            assert found[i, j] == pytest.approx(expected, abs=1e-6)


def test_by_hand():
    a = np.array([[0, 0, 4, 3], [0, 0, 1, 1]], "float32")
    b = np.array([[2, 1, 6, 4]], "float32")
    assert ops.convert_to_numpy(boxes.area(a)).tolist() == [12, 1]
    assert ops.convert_to_numpy(boxes.intersection(a, b)).tolist() == [[4], [0]]
    assert ops.convert_to_numpy(boxes.iou(a, b)) == pytest.approx(np.array([[0.2], [0]]))


def test_empty_boxes_give_zero_and_empty_lists_an_empty_table():
    empty = np.array([[3, 3, 3, 3], [5, 5, 2, 2]], "float32")
    assert ops.convert_to_numpy(boxes.iou(empty, empty)).tolist() == [[0, 0], [0, 0]]
    none = np.zeros((0, 4), "float32")
    assert tuple(boxes.iou(none, empty).shape) == (0, 2)


def test_box_of_a_mask():
    assert boxes.from_mask(_mask((2, 3, 7, 5))).tolist() == [2, 3, 7, 5]
    assert boxes.from_mask(np.zeros((4, 4), bool)).tolist() == [0, 0, 0, 0]


def test_bad_input():
    with pytest.raises(ValueError, match=r"got \(4,\)"):
        boxes.iou(np.zeros(4, "float32"), np.zeros((1, 4), "float32"))
