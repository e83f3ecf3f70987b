"""The losses of detectors against hand-computed values and naive loops."""

import numpy as np
import pytest
from keras import ops

from pixelwise.nn import detection_losses as losses
from pixelwise.nn.autodiff import gradient


def array(x):
    return ops.convert_to_numpy(x)


def test_smooth_l1_by_hand():
    """With beta = 1: half the square of 0.4, and 2 less one half."""
    assert np.allclose(
        array(losses.smooth_l1(np.float32([0.4, -2, 0, 1]), 1.0)), [0.08, 1.5, 0, 0.5]
    )


def test_smooth_l1_and_its_slope_join_at_beta():
    at = np.float32([losses.BETA - 1e-4, losses.BETA + 1e-4])
    values = array(losses.smooth_l1(at))
    assert values[1] - values[0] == pytest.approx(2e-4, rel=0.01)  # the slope there is 1


def test_binary_cross_entropy_by_hand_and_without_overflow():
    assert float(losses.binary_cross_entropy(np.float32(0), np.float32(1))) == pytest.approx(
        np.log(2)
    )
    found = array(losses.binary_cross_entropy(np.float32([500, -500, 500]), np.float32([0, 1, 1])))
    assert np.allclose(found, [500, 500, 0])


def test_objectness_loss_is_the_mean_over_what_was_sampled():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 6)).astype("float32")
    positive, sampled = rng.random((2, 6)) < 0.5, rng.random((2, 6)) < 0.6
    expected = [
        -np.log(1 / (1 + np.exp(-z if p else z)))
        for z, p, s in zip(logits.ravel(), positive.ravel(), sampled.ravel(), strict=True)
        if s
    ]
    found = float(losses.objectness_loss(logits, positive, sampled))
    assert found == pytest.approx(np.mean(expected), rel=1e-5)


def test_box_loss_counts_positives_above_and_all_samples_below():
    deltas = np.float32([[[0, 0, 0, 0], [1, 0, 0, 0], [9, 9, 9, 9]]])
    targets = np.float32([[[0, 0, 0, 0.5], [0, 0, 0, 0], [0, 0, 0, 0]]])
    positive = np.array([[True, True, False]])
    line = 1 - losses.BETA / 2 + 0.5 - losses.BETA / 2
    assert float(losses.box_loss(deltas, targets, positive, 4)) == pytest.approx(line / 4, rel=1e-5)


def test_class_loss_is_the_mean_cross_entropy():
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(2, 3, 4)).astype("float32")
    labels, sampled = np.array([[0, 1, 3], [2, 0, 1]]), np.array([[1, 1, 0], [1, 0, 1]], bool)
    probabilities = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    expected = [
        -np.log(probabilities[b, n, labels[b, n]])
        for b in range(2)
        for n in range(3)
        if sampled[b, n]
    ]
    assert float(losses.class_loss(logits, labels, sampled)) == pytest.approx(
        np.mean(expected), rel=1e-5
    )


@pytest.fixture(scope="module")
def masks():
    rng = np.random.default_rng(2)
    return {
        "logits": rng.normal(size=(2, 3, 4, 4, 3)).astype("float32"),
        "targets": rng.random((2, 3, 4, 4)).astype("float32"),
        "labels": np.array([[1, 2, 0], [2, 0, 0]]),
        "positive": np.array([[True, True, False], [True, False, False]]),
    }


def test_sigmoid_mask_loss_asks_the_true_class_alone(masks):
    total = []
    for b, n in [(0, 0), (0, 1), (1, 0)]:
        z, t = masks["logits"][b, n, :, :, masks["labels"][b, n]], masks["targets"][b, n]
        p = 1 / (1 + np.exp(-z.astype("float64")))
        total.append(np.mean(-t * np.log(p) - (1 - t) * np.log(1 - p)))
    assert float(losses.sigmoid_mask_loss(**masks)) == pytest.approx(np.mean(total), rel=1e-5)
    slope = array(
        gradient(lambda z: losses.sigmoid_mask_loss(**(masks | {"logits": z})), masks["logits"])
    )
    assert not slope[0, 0, ..., [0, 2]].any() and slope[0, 0, ..., 1].all()
    assert not slope[~masks["positive"]].any()


def test_softmax_mask_loss_lets_the_classes_compete(masks):
    total = []
    for b, n in [(0, 0), (0, 1), (1, 0)]:
        e = np.exp(masks["logits"][b, n].astype("float64"))
        p, t = e / e.sum(-1, keepdims=True), masks["targets"][b, n]
        total.append(
            np.mean(-t * np.log(p[..., masks["labels"][b, n]]) - (1 - t) * np.log(p[..., 0]))
        )
    assert float(losses.softmax_mask_loss(**masks)) == pytest.approx(np.mean(total), rel=1e-5)
    slope = array(
        gradient(lambda z: losses.softmax_mask_loss(**(masks | {"logits": z})), masks["logits"])
    )
    assert slope[0, 0].all()  # every class of a positive region is moved
    assert not slope[~masks["positive"]].any()


def test_nothing_sampled_costs_nothing(masks):
    none = np.zeros((2, 3), bool)
    logits = np.ones((2, 3), "float32")
    assert float(losses.objectness_loss(logits, none, none)) == 0
    assert (
        float(
            losses.box_loss(np.ones((2, 3, 4), "float32"), np.zeros((2, 3, 4), "float32"), none, 0)
        )
        == 0
    )
    assert float(losses.class_loss(np.ones((2, 3, 4), "float32"), np.zeros((2, 3), int), none)) == 0
    for loss in (losses.sigmoid_mask_loss, losses.softmax_mask_loss):
        assert float(loss(**(masks | {"positive": none}))) == 0


def test_of_class_picks_along_the_last_axis():
    values = np.arange(2 * 3 * 2 * 4, dtype="float32").reshape(2, 3, 2, 4)
    labels = np.array([[0, 1, 2], [3, 0, 1]])
    found = array(losses.of_class(values, labels))
    for b in range(2):
        for n in range(3):
            assert np.array_equal(found[b, n], values[b, n, :, labels[b, n]])
