"""The benchmark of Mask R-CNN: the same work on both sides, the stages of the whole, training."""

import importlib.util

import keras
import numpy as np
import pytest

from pixelwise.bench import detection, detectors, runner, training_step
from pixelwise.bench.stages import STAGES

SIZE = 64
ENGINE = {"tensorflow": "tensorflow", "jax": "jax_xla", "torch": "torch"}[keras.backend.backend()]
_, OPTIONS = detection.ENGINES[ENGINE]


@pytest.fixture(scope="module")
def ours():
    return detectors.ours(SIZE, threads=1, **OPTIONS)


@pytest.fixture(scope="module")
def answer(ours):
    return ours[0]()


def test_there_is_work_for_every_stage(answer):
    """The heads and pasting have as many detections as there can be."""
    assert answer.shape == (100, 7)
    classes, scores = answer[:, 0] * detectors.CLASSES, answer[:, 1]
    assert np.allclose(classes, np.round(classes), atol=1e-4) and classes.min() > 0.5
    assert scores.min() > 0.05
    sides = (answer[:, 4:6] - answer[:, 2:4]) * SIZE
    assert np.median(sides) > 10 and answer[:, 2:6].min() >= 0 and answer[:, 2:6].max() <= 1
    covered = answer[:, 6]
    assert covered.max() > 0.1 and len(np.unique(covered)) > 5


def test_the_stages_make_the_whole(ours, answer):
    calls = ours[1]()
    assert list(calls) == [*STAGES, "paste"]
    found = {name: np.asarray(v)[0] for name, v in calls["boxes"]().items()}
    whole = detectors.answer(found["boxes"], found["classes"], found["scores"], calls["paste"]())
    assert np.abs(whole - answer).max() < 1e-5


def test_what_is_compared_does_not_depend_on_the_order():
    rng = np.random.default_rng(0)
    boxes = np.sort(rng.uniform(0, 8, (5, 2, 2)), axis=1).reshape(5, 4).astype("float32")
    found = {"boxes": boxes, "classes": np.array([3, 1, 3, 2, 1]), "scores": rng.random(5)}
    found["masks"] = rng.random((5, 8, 8)) > 0.5
    order = [4, 2, 0, 1, 3]
    rows = detectors.answer(**found)
    other = detectors.answer(**{name: value[order] for name, value in found.items()})
    np.testing.assert_array_equal(rows, other)
    assert rows.shape == (100, 7) and not rows[5:].any()
    assert np.round(rows[:5, 0] * detectors.CLASSES).tolist() == [1, 1, 2, 3, 3]
    others = detectors.answer(**{**found, "masks": ~found["masks"]})
    assert np.abs(rows[:5, 6] + others[:5, 6] - 1).max() < 1e-6


def chosen(monkeypatch, network, *engines):
    """Runs these engines of the benchmark; their rows by name."""
    if importlib.util.find_spec("torchvision") is None:  # importing it here could crash TensorFlow
        pytest.skip("torchvision is not installed")
    few = [one for one in detection.cases() if one.network == network and one.engine in engines]
    monkeypatch.setattr(detection, "cases", lambda: few)
    found = runner.run("detection", size=SIZE, runs=1, threads=1, say=lambda line: None)
    assert not [row for row in found["rows"] if "error" in row], found["rows"]
    return {row["engine"]: row for row in found["rows"]}


def test_torchvisions_network_finds_the_same(monkeypatch):
    rows = chosen(monkeypatch, detection.WHOLE, "torchvision", ENGINE)
    assert rows[ENGINE]["gap"] < 1e-4
    assert list(rows["torchvision"]["parts_ms"]) == list(rows[ENGINE]["parts_ms"])


def test_openvino_finds_the_same_and_has_every_stage(answer):
    pytest.importorskip("openvino")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the graphs are written in a process of its own, by TensorFlow")
    call, stages = detectors.openvino(SIZE, threads=1)
    assert np.abs(call() - answer).max() < 1e-4
    assert list(stages()) == [*STAGES, "paste"]


def test_both_networks_train(monkeypatch):
    rows = chosen(monkeypatch, detection.TRAINING, "torchvision", ENGINE)
    assert all(row["pictures"] == detection.BATCH for row in rows.values())
    assert all(row["gap"] is None for row in rows.values())  # ours is the first one compared


# Of the first step at 64 pixels, as TensorFlow computes it.
FIRST_LOSS = 4.40366


def test_the_losses_of_the_first_step_do_not_depend_on_the_backend():
    step = training_step.ours(SIZE, threads=1, **OPTIONS)
    losses = [step(), step()]
    assert losses[0].shape == (6,) and losses[0][0] == pytest.approx(FIRST_LOSS, rel=1e-4)
    assert losses[0][0] == pytest.approx(losses[0][1:].sum(), rel=1e-5)
    assert not np.allclose(losses[1], losses[0], rtol=1e-3)  # the weights have moved


def test_what_is_trained_on():
    images, targets = training_step.batch(SIZE)
    boxes, classes, masks = (targets[name] for name in ("boxes", "classes", "masks"))
    assert images.shape == (detection.BATCH, SIZE, SIZE, 3)
    assert classes.min() == 1 and classes.max() == training_step.CLASSES - 1
    assert boxes.min() >= 0 and boxes.max() <= SIZE
    for box, mask in zip(boxes.reshape(-1, 4), masks.reshape(-1, SIZE, SIZE), strict=True):
        rows, columns = np.nonzero(mask)
        around = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert np.abs(box - around).max() < 3  # an ellipse that touches the sides of its box
        area = np.prod(box[2:] - box[:2])
        assert mask.sum() == pytest.approx(np.pi / 4 * area, rel=0.1)
