"""Measures of segmentation against hand-computed cases, scikit-learn and naive loops."""

import warnings

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from pixelwise.metrics import segmentation as seg


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, (3, 20, 17))
    predictions = np.where(
        rng.uniform(size=labels.shape) < 0.6, labels, rng.integers(0, 4, labels.shape)
    )
    return labels, predictions


def test_a_case_by_hand():
    labels = np.array([[0, 0, 1], [1, 1, 255]])
    predictions = np.array([[0, 1, 1], [1, 0, 0]])
    matrix = seg.confusion_matrix(labels, predictions, 3)
    assert matrix.tolist() == [[1, 1, 0], [1, 2, 0], [0, 0, 0]]
    np.testing.assert_allclose(seg.iou(matrix), [1 / 3, 2 / 4, np.nan])
    assert seg.mean_iou(matrix) == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert seg.pixel_accuracy(matrix) == pytest.approx(3 / 5)
    assert seg.mean_accuracy(matrix) == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert seg.frequency_weighted_iou(matrix) == pytest.approx(2 / 5 / 3 + 3 / 5 / 2)


def test_equal_to_scikit_learn(pair):
    labels, predictions = pair
    matrix = seg.confusion_matrix(labels, predictions, 4)
    assert np.array_equal(
        matrix, sklearn_metrics.confusion_matrix(labels.ravel(), predictions.ravel())
    )
    jaccard = sklearn_metrics.jaccard_score(labels.ravel(), predictions.ravel(), average=None)
    np.testing.assert_allclose(seg.iou(matrix), jaccard)
    weighted = sklearn_metrics.jaccard_score(
        labels.ravel(), predictions.ravel(), average="weighted"
    )
    assert seg.frequency_weighted_iou(matrix) == pytest.approx(weighted)
    balanced = sklearn_metrics.balanced_accuracy_score(labels.ravel(), predictions.ravel())
    assert seg.mean_accuracy(matrix) == pytest.approx(balanced)


@pytest.fixture
def gaps():
    """Void pixels, class 2 nowhere, class 3 never predicted and class 4 never labelled."""
    rng = np.random.default_rng(2)
    labels = rng.choice([0, 1, 3, 255], (4, 20, 17), p=[0.4, 0.3, 0.2, 0.1])
    labels[3] = 255
    predictions = rng.choice([0, 1, 4], labels.shape)
    return labels, predictions


def test_equal_to_scikit_learn_with_void_and_classes_that_are_absent(gaps):
    labels, predictions = gaps
    matrix = seg.confusion_matrix(labels, predictions, 5)
    valid = labels != 255
    true, said = labels[valid], predictions[valid]
    five = {"labels": range(5)}
    assert np.array_equal(matrix, sklearn_metrics.confusion_matrix(true, said, **five))

    each = {**five, "average": None, "zero_division": np.nan}
    for ours, theirs in (
        (seg.precision, sklearn_metrics.precision_score),
        (seg.class_accuracy, sklearn_metrics.recall_score),
        (seg.dice, sklearn_metrics.f1_score),
    ):
        np.testing.assert_allclose(ours(matrix), theirs(true, said, **each))
    seen = [0, 1, 3, 4]
    with warnings.catch_warnings():
        # scikit-learn warns of class 3, never predicted, and of class 4, never labelled.
        warnings.simplefilter("ignore")
        jaccard = sklearn_metrics.jaccard_score(true, said, labels=seen, average=None)
        macro = sklearn_metrics.jaccard_score(true, said, labels=seen, average="macro")
        weighted = sklearn_metrics.jaccard_score(true, said, average="weighted")
        balanced = sklearn_metrics.balanced_accuracy_score(true, said)
    found = seg.iou(matrix)
    np.testing.assert_allclose(found[seen], jaccard)
    assert np.isnan(found[2]) and found[3] == found[4] == 0
    assert seg.mean_iou(matrix) == pytest.approx(macro)
    assert seg.frequency_weighted_iou(matrix) == pytest.approx(weighted)
    assert seg.mean_accuracy(matrix) == pytest.approx(balanced)
    accuracy = sklearn_metrics.accuracy_score(true, said)
    assert seg.pixel_accuracy(matrix) == pytest.approx(accuracy)


def test_measures_of_each_class_by_hand():
    # Class 0: 3 hits of 4 labelled and 5 predicted; class 1: 2 of 4 and 3; class 2: nothing.
    matrix = np.array([[3, 1, 0], [2, 2, 0], [0, 0, 0]])
    np.testing.assert_allclose(seg.class_accuracy(matrix), [3 / 4, 2 / 4, np.nan])
    np.testing.assert_allclose(seg.precision(matrix), [3 / 5, 2 / 3, np.nan])
    np.testing.assert_allclose(seg.dice(matrix), [6 / 9, 4 / 7, np.nan])
    np.testing.assert_allclose(seg.iou(matrix), [3 / 6, 2 / 5, np.nan])
    np.testing.assert_allclose(seg.dice(matrix), 2 * seg.iou(matrix) / (1 + seg.iou(matrix)))


@pytest.mark.parametrize("case", ["pair", "gaps"])
def test_streaming_equals_all_at_once(case, request):
    labels, predictions = request.getfixturevalue(case)
    whole, parts, batches = (seg.SegmentationScore(5, boundaries=True) for _ in range(3))
    whole.update(labels, predictions)
    for true, predicted in zip(labels, predictions, strict=True):
        parts.update(true, predicted)
    for some in (slice(0, 2), slice(2, None)):
        batches.update(labels[some], predictions[some])
    assert np.array_equal(whole.matrix, seg.confusion_matrix(labels, predictions, 5))
    for other in (parts, batches):
        assert np.array_equal(other.matrix, whole.matrix)
        assert str(other.result()) == str(whole.result())  # as text, for NaN is not NaN


def naive_boundary(mask, distance):
    """Pixels of the mask with a pixel outside (or the picture's end) within the square window."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for i in range(height):
        for j in range(width):
            for a in range(i - distance, i + distance + 1):
                for b in range(j - distance, j + distance + 1):
                    outside = not (0 <= a < height and 0 <= b < width) or not mask[a, b]
                    found[i, j] |= mask[i, j] and outside
    return found


@pytest.mark.parametrize("distance", [1, 2])
def test_boundary_equals_a_naive_loop(distance):
    rng = np.random.default_rng(1)
    mask = rng.uniform(size=(12, 15)).repeat(2, 0).repeat(2, 1)[:15, :17] > 0.3
    assert np.array_equal(seg.boundary(mask, distance), naive_boundary(mask, distance))


@pytest.mark.parametrize("distance", [None, 1, 3])
def test_boundary_iou_equals_a_naive_loop(distance):
    rng = np.random.default_rng(3)
    labels, predictions = rng.integers(0, 3, (2, 2, 4, 5)).repeat(6, 2).repeat(8, 3)
    predictions = np.where(rng.uniform(size=labels.shape) < 0.02, 2, predictions)
    labels[0, 5:9, 3:30] = 255
    score = seg.SegmentationScore(4, boundaries=True)
    overlap, union = np.zeros((2, 4))
    found = np.zeros((2, 4))
    for true, said in zip(labels, predictions, strict=True):
        width = distance or max(1, round(0.02 * np.hypot(24, 40)))  # 2 % of the diagonal
        counted = true != 255
        for c in range(4):
            one, other = (naive_boundary((x == c) & counted, width) for x in (true, said))
            overlap[c] += (one & other).sum()
            union[c] += (one | other).sum()
        found += seg.boundary_counts(true, said, 4, distance)
    assert np.array_equal(found, [overlap, union])
    if distance is None:
        score.update(labels, predictions)
        expected = overlap[:3] / union[:3]  # class 3 is nowhere
        measures = score.result()
        np.testing.assert_allclose(measures["boundary_iou"], [*expected, np.nan])
        assert measures["mean_boundary_iou"] == pytest.approx(expected.mean())


def test_boundary_iou_sees_a_shift_that_iou_hardly_sees():
    labels = np.zeros((100, 100), int)
    labels[10:90, 10:90] = 1
    shifted = np.roll(labels, 2, axis=1)
    plain = seg.iou(seg.confusion_matrix(labels, shifted, 2))[1]
    intersection, union = seg.boundary_counts(labels, shifted, 2, distance=2)
    assert plain > 0.95
    assert intersection[1] / union[1] < 0.6
    same, all_of_it = seg.boundary_counts(labels, labels, 2)
    assert np.array_equal(same, all_of_it)


@pytest.mark.parametrize(
    ("labels", "predictions", "sentence"),
    [
        (np.zeros((2, 2), int), np.zeros((2, 3), int), r"shape \(2, 2\) and predictions \(2, 3\)"),
        (np.zeros((2, 2)), np.zeros((2, 2), int), "Labels have the type float64"),
        (np.zeros((2, 2), int), np.zeros((2, 2), np.float32), "Predictions have the type float32"),
        (np.full((2, 2), 7), np.zeros((2, 2), int), "label 7 among 3 classes"),
        (np.zeros((2, 2), int), np.full((2, 2), -1), "prediction -1 among 3 classes"),
    ],
)
def test_bad_input_is_named(labels, predictions, sentence):
    with pytest.raises(ValueError, match=sentence):
        seg.confusion_matrix(labels, predictions, 3)


def test_only_void_gives_nan_and_no_error():
    score = seg.SegmentationScore(2, boundaries=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        score.update(np.full((3, 3), 255), np.zeros((3, 3), int))
        measures = score.result()
    assert score.matrix.sum() == 0
    assert len(measures) == 7 and all(np.isnan(value).all() for value in measures.values())


def test_the_edge_of_a_void_region_is_a_border_of_both():
    labels = np.zeros((20, 20), int)
    labels[:, 10:] = 1
    labels[:, 8:12] = 255
    intersection, union = seg.boundary_counts(labels, labels >= 1, 2, distance=1)
    assert np.array_equal(intersection, union) and union[1] == 2 * 20 + 2 * 6


def test_a_band_needs_a_width():
    with pytest.raises(ValueError, match="distance is 0"):
        seg.boundary_counts(np.zeros((4, 4), int), np.zeros((4, 4), int), 2, distance=0)


class Fixed:
    """A data set of two batches, and a network that finds all but the last row."""

    num_classes = 2

    def __init__(self, num_batches):
        self.num_batches = num_batches

    def __getitem__(self, index):
        masks = np.zeros((3 - index, 4, 4), np.int32)
        masks[:, :, 2:] = 1
        return np.repeat(masks[..., None], 3, axis=-1).astype("float32"), masks

    def predict_on_batch(self, images):
        said = images[..., 0].astype(int)
        said[:, -1] = 1
        return np.eye(2)[said]


def test_a_model_is_measured_on_every_batch():
    data = Fixed(2)
    assert seg.predict(data, data[0][0]).dtype == np.int32
    measures = seg.evaluate(data, data, boundaries=True)
    assert measures["pictures"] == 5
    assert measures["iou"] == pytest.approx([6 / 8, 8 / 10])
    assert 0 < measures["mean_boundary_iou"] < 1


@pytest.mark.parametrize("num_batches", [0, None])
def test_an_empty_or_endless_set_cannot_be_measured(num_batches):
    with pytest.raises(ValueError, match=f"has {num_batches} batches"):
        seg.evaluate(None, Fixed(num_batches))
