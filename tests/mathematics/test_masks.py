"""Mask targets and pasting, against loops over points and pixels."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn import gathering
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.masks import mask_targets, paste


def _masks(batch, objects, height, width, seed=0):
    """Ellipses, uint8."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width]
    found = np.zeros((batch, objects, height, width), "uint8")
    for place in np.ndindex(batch, objects):
        middle = rng.uniform(0.2, 0.8, 2) * [height, width]
        half = rng.uniform(0.1, 0.4, 2) * [height, width]
        inside = ((rows - middle[0]) / half[0]) ** 2 + ((columns - middle[1]) / half[1]) ** 2 < 1
        found[place] = inside
    return found


def _read(mask, row, column):
    """A mask at one point, bilinearly."""
    height, width = mask.shape
    if not (-1 <= row <= height and -1 <= column <= width):
        return 0
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    value = 0
    for i in {int(row), min(int(row) + 1, height - 1)}:
        for j in {int(column), min(int(column) + 1, width - 1)}:
            value += (1 - abs(row - i)) * (1 - abs(column - j)) * mask[i, j]
    return value


def _target(mask, box, size):
    """The mask of one RoI by the definition: as many points a bin as it has pixels, rounded up."""
    x1, y1, x2, y2 = (float(v) for v in box)
    height, width = max(y2 - y1, 1), max(x2 - x1, 1)
    down, across = math.ceil(height / size), math.ceil(width / size)
    out = np.zeros((size, size))
    for i, j, m, n in np.ndindex(size, size, down, across):
        row = y1 + (i + (m + 0.5) / down) * height / size
        column = x1 + (j + (n + 0.5) / across) * width / size
        out[i, j] += _read(mask, row, column) / (down * across)
    return out


@pytest.mark.parametrize("size", [1, 4, 7])
def test_targets_are_the_loop_over_their_points(size, monkeypatch):
    masks = _masks(2, 3, 30, 41)
    boxes = np.float32(
        [
            [[2.3, 4.1, 35.2, 26], [0, 0, 41, 30], [10, 10, 11, 11], [5, 3, 6.5, 28], [0] * 4],
            [[12, 8, 28, 20], [3.5, 20, 38, 22.5], [39, 28, 41, 30], [1, 1, 8, 8], [0] * 4],
        ]
    )
    matched = np.int32([[0, 2, 1, 1, 0], [2, 0, 0, 1, -1]])
    for rois in (5, 2, 1):
        monkeypatch.setattr(gathering, "PIECE", rois * 30 * 41)
        found = mask_targets(masks, boxes, matched, size)
        assert keras.backend.standardize_dtype(found.dtype) == "float32"
        found = ops.convert_to_numpy(found)
        assert found.shape == (2, 5, size, size)
        for picture, roi in np.ndindex(2, 5):
            mask = masks[picture, max(matched[picture, roi], 0)]
            expected = _target(mask, boxes[picture, roi], size)
            np.testing.assert_allclose(found[picture, roi], expected, atol=2e-5)


def test_targets_by_hand():
    # The left half of 4 x 4 pixels. A box over all of it with 2 x 2 bins has two points a bin along
    # each side, at 0.5 and 1.5, and at 2.5 and 3.5 (which reads the last column). Between the
    # columns 1 and 2 the mask falls from 1 to 0, so that 1.5 reads one half.
    mask = np.zeros((1, 1, 4, 4), "uint8")
    mask[..., :2] = 1
    found = mask_targets(mask, np.float32([[[0, 0, 4, 4]]]), np.int32([[0]]), 2)
    assert ops.convert_to_numpy(found)[0, 0].tolist() == [[0.75, 0], [0.75, 0]]


def test_targets_are_soft_and_nearly_the_mask(compiled):
    masks = _masks(1, 2, 80, 80, seed=3)
    boxes = np.float32([[[8, 8, 72, 72], [0, 0, 80, 80]]])
    matched = np.int32([[0, 1]])
    found = compiled(lambda *given: mask_targets(*given, 28), masks, boxes, matched)
    assert found.min() >= 0 and found.max() <= 1 + 1e-6
    assert np.any((found > 0.1) & (found < 0.9))
    for roi, mask in enumerate(masks[0]):
        back = paste(found[0, roi][None], boxes[0, roi][None], 80, 80)[0]
        x1, y1, x2, y2 = boxes[0, roi].astype(int)
        inside = np.zeros((80, 80), bool)
        inside[y1:y2, x1:x2] = mask[y1:y2, x1:x2]
        assert (back & inside).sum() / (back | inside).sum() > 0.9


def test_targets_have_no_gradient_and_a_box_beyond_the_picture_is_finite():
    masks, boxes = _masks(1, 1, 12, 12).astype("float32"), np.float32([[[1, 1, 9, 9]]])
    matched = np.int32([[0]])
    assert not gradient(lambda b: ops.sum(mask_targets(masks, b, matched, 4)), boxes).any()
    assert not gradient(lambda m: ops.sum(mask_targets(m, boxes, matched, 4)), masks).any()
    larger = mask_targets(masks, np.float32([[[-50, -50, 90, 90]]]), matched, 4)
    assert np.isfinite(ops.convert_to_numpy(larger)).all()


def _pasted(mask, box, height, width):
    """One mask's probabilities pixel by pixel, by the definition."""
    size = len(mask)
    grid = np.pad(mask.astype(float), 1)
    x1, y1, x2, y2 = (float(v) for v in box)
    larger = (size + 2) / size
    ends = []
    for first, last in ((x1, x2), (y1, y2)):
        middle, half = (first + last) / 2, (last - first) / 2 * larger
        ends.append((math.trunc(middle - half), math.trunc(middle + half)))
    (left, right), (top, bottom) = ends
    out = np.zeros((height, width))
    for i, j in np.ndindex(height, width):
        if top <= i <= bottom and left <= j <= right:
            # The middle of pixel i - top of so many, in cells of the grid, whose middles are whole.
            row = (i - top + 0.5) * (size + 2) / (bottom - top + 1) - 0.5
            column = (j - left + 0.5) * (size + 2) / (right - left + 1) - 0.5
            out[i, j] = _read(grid, max(row, 0), max(column, 0))
    return out


PASTED = np.float32(
    [
        [4.2, 3.7, 20.9, 17.1],
        [-6.3, -2.1, 9.4, 8.8],
        [15, 12, 40, 31],
        [0, 0, 30, 24],
        [12.5, 9.5, 13.25, 10],
        [-20, -20, 60, 50],
        [7, 20, 7, 20],
        [0, 0, 0, 0],
    ]
)


@pytest.mark.parametrize("size", [3, 7])
def test_pasting_is_the_loop_over_the_pixels(size):
    masks = np.random.default_rng(0).uniform(size=(len(PASTED), size, size)).astype("float32")
    found = paste(masks, PASTED, 24, 30, threshold=None)
    assert found.shape == (len(PASTED), 24, 30) and found.dtype == np.float32
    for number, (mask, box) in enumerate(zip(masks, PASTED, strict=True)):
        expected = _pasted(mask, box, 24, 30)
        np.testing.assert_allclose(found[number], expected, atol=1e-5)
    for threshold in (0.5, 0.2):
        whole = paste(masks, PASTED, 24, 30, threshold)
        assert whole.dtype == bool
        np.testing.assert_array_equal(whole, found > threshold)


def test_pasting_by_hand():
    # One cell of probability 1 over the box of 3 x 3 pixels from (3, 3): with the border the grid
    # has 3 x 3 cells, the box 9 pixels from 0, and with it the tenth (both ends count). Pixel i has
    # its middle at (i + 0.5) * 3 / 10 - 0.5 = -0.35, -0.05, 0.25, ..., 2.35.
    found = paste(np.ones((1, 1, 1)), np.float32([[3, 3, 6, 6]]), 12, 12, threshold=None)[0]
    line = [0, 0, 0.25, 0.55, 0.85, 0.85, 0.55, 0.25, 0, 0, 0, 0]
    np.testing.assert_allclose(found, np.outer(line, line), atol=1e-6)


def test_what_is_outside_is_empty_and_no_detections_are_no_masks():
    outside = np.float32([[50, 50, 60, 60], [-30, -30, -20, -20], [50, 2, 60, 9], [3, 40, 9, 50]])
    assert not paste(np.ones((4, 5, 5)), outside, 24, 30).any()
    assert paste(np.zeros((0, 28, 28)), np.zeros((0, 4)), 24, 30).shape == (0, 24, 30)


MASKS = np.zeros((1, 2, 8, 8), "uint8")
BOXES, MATCHED = np.zeros((1, 3, 4), "float32"), np.zeros((1, 3), "int32")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: mask_targets(MASKS[0], BOXES, MATCHED, 28), r"but got \(2, 8, 8\)"),
        (lambda: mask_targets(MASKS, BOXES[:, :2], MATCHED, 28), r"\(1, 2, 4\) and \(1, 3\)"),
        (lambda: mask_targets(MASKS, BOXES[0], MATCHED[0], 28), r"\(3, 4\) and \(3,\)"),
        (lambda: paste(np.zeros((2, 28, 28)), np.zeros((3, 4)), 9, 9), "one box a mask"),
        (lambda: paste(np.zeros((28, 28)), np.zeros((28, 4)), 9, 9), r"\(28, 28\) and \(28, 4\)"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
