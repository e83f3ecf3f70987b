"""Boxes, against counting pixels and against loops."""

import math

import keras
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


def _random_boxes(rng, *shape, side=100.0, shortest=1.0):
    """Boxes in a square picture, some of them at its border."""
    first = rng.uniform(0, side - shortest, (*shape, 2))
    last = first + shortest + rng.uniform(0, 1, (*shape, 2)) * (side - shortest - first)
    boxes_ = np.concatenate([first, last], axis=-1)
    border = rng.uniform(size=boxes_.shape) < 0.1
    edge = np.broadcast_to([0, 0, side, side], boxes_.shape)
    return np.where(border, edge, boxes_).astype("float32")


def _encode_one(box, reference, weights):
    centre = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in (box, reference)]
    width, height = ([b[2 + i] - b[i] for b in (box, reference)] for i in (0, 1))
    return [
        weights[0] * (centre[0][0] - centre[1][0]) / width[1],
        weights[1] * (centre[0][1] - centre[1][1]) / height[1],
        weights[2] * math.log(width[0] / width[1]),
        weights[3] * math.log(height[0] / height[1]),
    ]


def _decode_one(delta, reference, weights, clamp):
    dx, dy, dw, dh = (d / w for d, w in zip(delta, weights, strict=True))
    width, height = reference[2] - reference[0], reference[3] - reference[1]
    x = (reference[0] + reference[2]) / 2 + dx * width
    y = (reference[1] + reference[3]) / 2 + dy * height
    half_width = width * math.exp(min(dw, clamp)) / 2
    half_height = height * math.exp(min(dh, clamp)) / 2
    return [x - half_width, y - half_height, x + half_width, y + half_height]


def test_batches_of_boxes_are_compared_picture_by_picture():
    rng = np.random.default_rng(1)
    a, b = _random_boxes(rng, 3, 5), _random_boxes(rng, 3, 4)
    found = ops.convert_to_numpy(boxes.iou(a, b))
    assert found.shape == (3, 5, 4)
    for picture in range(3):
        alone = ops.convert_to_numpy(boxes.iou(a[picture], b[picture]))
        np.testing.assert_allclose(found[picture], alone, rtol=1e-6)
    # One list of anchors goes with the boxes of every picture.
    with_anchors = ops.convert_to_numpy(boxes.iou(a, b[0]))
    np.testing.assert_allclose(with_anchors[0], found[0], rtol=1e-6)
    assert with_anchors.shape == (3, 5, 4)


def test_formats_by_hand():
    corners = np.array([[10, 20, 40, 30]], "float32")
    centre, xywh = [[25, 25, 30, 10]], [[10, 20, 30, 10]]
    assert ops.convert_to_numpy(boxes.to_centre(corners)).tolist() == centre
    assert ops.convert_to_numpy(boxes.to_corners(np.float32(centre))).tolist() == corners.tolist()
    assert ops.convert_to_numpy(boxes.to_xywh(corners)).tolist() == xywh
    assert ops.convert_to_numpy(boxes.from_xywh(np.float32(xywh))).tolist() == corners.tolist()


def test_formats_come_back():
    given = _random_boxes(np.random.default_rng(2), 2, 50)
    for there, back in [(boxes.to_centre, boxes.to_corners), (boxes.to_xywh, boxes.from_xywh)]:
        np.testing.assert_allclose(ops.convert_to_numpy(back(there(given))), given, atol=1e-4)


def test_encoding_by_hand():
    reference = np.array([[0, 0, 10, 20]], "float32")
    box = np.array([[5, 5, 15, 45]], "float32")  # centre half a width and 3/4 of a height away
    found = ops.convert_to_numpy(boxes.encode(box, reference))
    np.testing.assert_allclose(found, [[0.5, 0.75, 0, math.log(2)]], rtol=1e-6)
    found = ops.convert_to_numpy(boxes.encode(box, reference, (10, 10, 5, 5)))
    np.testing.assert_allclose(found, [[5, 7.5, 0, 5 * math.log(2)]], rtol=1e-6)


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (10, 10, 5, 5), (1, 2, 3, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_encoding_is_the_loop_and_decoding_undoes_it(weights, seed):
    rng = np.random.default_rng(seed)
    given, references = _random_boxes(rng, 2, 30), _random_boxes(rng, 2, 30, shortest=4.0)
    deltas = ops.convert_to_numpy(boxes.encode(given, references, weights))
    for place in np.ndindex(2, 30):
        expected = _encode_one(given[place].tolist(), references[place].tolist(), weights)
        np.testing.assert_allclose(deltas[place], expected, rtol=1e-4, atol=1e-4)
    back = ops.convert_to_numpy(boxes.decode(deltas, references, weights))
    np.testing.assert_allclose(back, given, atol=1e-3)


@pytest.mark.parametrize("weights", [(1, 1, 1, 1), (10, 10, 5, 5)])
@pytest.mark.parametrize("clamp", [boxes.CLAMP, 0.5])
def test_decoding_is_the_loop_and_encoding_undoes_it_below_the_clamp(weights, clamp):
    rng = np.random.default_rng(3)
    references = _random_boxes(rng, 40, shortest=2.0)
    deltas = (rng.normal(size=(40, 4)) * weights).astype("float32")
    found = ops.convert_to_numpy(boxes.decode(deltas, references, weights, clamp))
    for i in range(40):
        expected = _decode_one(deltas[i].tolist(), references[i].tolist(), weights, clamp)
        np.testing.assert_allclose(found[i], expected, rtol=1e-4, atol=1e-3)
    # What is not undone is the clamp: the sides' logarithms come back cut off at it.
    back = ops.convert_to_numpy(boxes.encode(found, references, weights))
    cut = np.concatenate(
        [deltas[:, :2], np.minimum(deltas[:, 2:], clamp * np.float32(weights[2:]))], axis=1
    )
    np.testing.assert_allclose(back, cut, rtol=1e-3, atol=2e-3)
    assert (cut != deltas).any() == (clamp == 0.5)


def test_the_clamp_by_hand():
    reference = np.array([[100, 100, 116, 116]], "float32")
    found = boxes.decode(np.array([[0, 0, 50, -200]], "float32"), reference)
    np.testing.assert_allclose(ops.convert_to_numpy(found), [[-392, 108, 608, 108]], rtol=1e-5)


def test_decoding_takes_half_precision_and_one_delta_a_class():
    rng = np.random.default_rng(4)
    references = _random_boxes(rng, 2, 6, side=1000.0)
    deltas = rng.normal(size=(2, 6, 3, 4)).astype("float16")
    found = boxes.decode(ops.convert_to_tensor(deltas), references[:, :, None])
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    assert tuple(found.shape) == (2, 6, 3, 4)
    for k in range(3):
        alone = boxes.decode(np.float32(deltas[:, :, k]), references)
        np.testing.assert_allclose(
            ops.convert_to_numpy(found)[:, :, k], ops.convert_to_numpy(alone), rtol=1e-5
        )


def test_padding_is_encoded_to_finite_numbers():
    zeros, anchor = np.zeros((1, 4), "float32"), np.array([[-23, -11, 23, 11]], "float32")
    for box, reference in [(zeros, anchor), (anchor, zeros), (zeros, zeros)]:
        assert np.isfinite(ops.convert_to_numpy(boxes.encode(box, reference))).all()


def test_clipping_by_hand():
    given = np.array([[-5, 2, 30, 9], [3, -4, 8, 40], [50, 60, 70, 80], [0, 0, 20, 10]], "float32")
    inside = [[0, 2, 20, 9], [3, 0, 8, 10], [20, 10, 20, 10], [0, 0, 20, 10]]
    assert ops.convert_to_numpy(boxes.clip(given, 10, 20)).tolist() == inside


def test_pictures_of_a_batch_are_clipped_to_their_own_size():
    given = np.broadcast_to(np.float32([-1, -1, 99, 99]), (2, 3, 4))
    heights, widths = np.array([[10], [30]]), np.array([[20], [40]])
    found = ops.convert_to_numpy(boxes.clip(given, heights, widths))
    assert found[0].tolist() == [[0, 0, 20, 10]] * 3
    assert found[1].tolist() == [[0, 0, 40, 30]] * 3


def test_large_enough_by_hand():
    given = np.array([[0, 0, 2, 2], [0, 0, 2, 1], [0, 0, 1, 2], [5, 5, 2, 2], [3, 3, 3, 3]])
    found = boxes.large_enough(given.astype("float32"), 2)
    assert ops.convert_to_numpy(found).tolist() == [True, False, False, False, False]


def test_compiled_boxes_are_the_same(compiled):
    rng = np.random.default_rng(5)
    given, references = _random_boxes(rng, 2, 20), _random_boxes(rng, 2, 20, shortest=4.0)

    def all_of_them(a, b):
        deltas = boxes.encode(a, b)
        moved = boxes.clip(boxes.decode(deltas * 2, b), 90, 80)
        return deltas, moved, boxes.iou(a, b), boxes.large_enough(moved, 5.0)

    for eager, traced in zip(
        all_of_them(given, references), compiled(all_of_them, given, references), strict=True
    ):
        np.testing.assert_allclose(ops.convert_to_numpy(eager), traced, rtol=1e-4, atol=1e-4)


GOOD = [[0, 0, 20, 10], [3, 4, 4, 5], [0, 0, 20.01, 10]]  # the border, one pixel, COCO's rounding
WRONG = {
    "nan": ([0, float("nan"), 2, 2], "is not finite"),
    "infinite": ([0, 0, float("inf"), 2], "is not finite"),
    "left and right swapped": ([8, 1, 3, 4], "turned inside out"),
    "top and bottom swapped": ([3, 4, 8, 1], "turned inside out"),
    "no width": ([3, 1, 3, 4], "has no area"),
    "no height": ([3, 4, 8, 4], "has no area"),
    "beyond the left": ([-1, 1, 3, 4], "beyond its 10 x 20 pixels"),
    "beyond the top": ([1, -1, 3, 4], "beyond its 10 x 20 pixels"),
    "beyond the right": ([1, 1, 20.1, 4], "beyond its 10 x 20 pixels"),
    "beyond the bottom": ([1, 1, 3, 11], "beyond its 10 x 20 pixels"),
}


@pytest.mark.parametrize(("box", "said"), WRONG.values(), ids=WRONG.keys())
def test_a_label_that_is_no_box_is_named(box, said):
    with pytest.raises(ValueError) as caught:
        boxes.check([*GOOD, box, box], 10, 20, "The picture a.jpg")
    text = str(caught.value)
    assert text.startswith("The picture a.jpg has a box, number 3, (")
    assert said in text
    assert text.endswith(".") and "\n" not in text and ". " not in text.replace("a.jpg", "")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.zeros(4), r"of the shape \(4,\): give \(n, 4\)"),
        (np.zeros((2, 5)), r"of the shape \(2, 5\)"),
        ([], r"or \(0, 4\) without a box\.$"),
        ([[0, 0, 1], [0, 0, 1, 1]], "that are no table of numbers"),
        ([["a", "b", "c", "d"]], "that are no table of numbers"),
        (None, r"of the shape \(\)"),
    ],
)
def test_labels_that_are_no_table_of_boxes(given, said):
    with pytest.raises(ValueError, match=f"^The picture a.jpg has boxes .*{said}"):
        boxes.check(given, 10, 20, "The picture a.jpg")


def test_labels_that_are_boxes():
    boxes.check(GOOD, 10, 20, "The picture a.jpg")
    boxes.check(np.zeros((0, 4)), 10, 20, "The picture a.jpg")
