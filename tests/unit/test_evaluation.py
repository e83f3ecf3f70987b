"""Measuring recorded networks again, alone and with what may follow them."""

import numpy as np
import pytest

from pixelwise import data, evaluation, paths, recipe, results, weights
from pixelwise.metrics import segmentation
from pixelwise.models.crf import DenseCRF

RECIPE = """
name = "small"
chapter = "02_fcn"
description = "The recorded FCN-8s on two test scenes"
[data]
name = "wardrobe"
all = { size = 64 }
test = { num_batches = 1 }
[model]
use = "pixelwise.models.fcn:fcn"
num_classes = 6
[optimizer]
name = "Adam"
[training]
steps = 1
batch_size = 2
[evaluation]
use = "pixelwise.metrics.segmentation:evaluate"
"""
CHECKPOINT = """
[checkpoint]
file = "fcn8s_wardrobe"
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A recipe whose checkpoint is the recorded FCN-8s, and a folder for its records."""
    monkeypatch.setattr(paths, "results_dir", lambda: tmp_path)
    path = tmp_path / "small.toml"
    path.write_text(RECIPE + CHECKPOINT, encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def pieces():
    """The network, and the pictures and masks that it is measured on."""
    plan = recipe.read("fcn8s_wardrobe")
    model = weights.checkpoint(recipe.make(plan.model, "model"), "fcn8s_wardrobe")
    return model, data.load("wardrobe", "test", size=64, batch_size=2, num_batches=1)[0]


def _mean_iou(scores, masks):
    return segmentation.mean_iou(segmentation.confusion_matrix(masks, scores.argmax(-1), 6))


def test_as_it_is_it_gives_what_the_metric_gives(written, pieces):
    model, (images, masks) = pieces
    found = evaluation.evaluate(written)
    assert found["test"]["mean_iou"] == _mean_iou(model.predict_on_batch(images), masks)
    assert found["test"]["pictures"] == 2 and found["written"] == []


def test_with_the_crf_it_is_measured_and_recorded(written, pieces):
    model, (images, masks) = pieces
    found = evaluation.evaluate(written, after="crf", write=True)
    refined = DenseCRF().refine(model.predict_on_batch(images), images)
    assert found["test"]["mean_iou"] == pytest.approx(_mean_iou(refined, masks), abs=1e-6)
    kept = results.read("small-crf")
    assert kept["test"]["mean_iou"] == found["test"]["mean_iou"]
    assert kept["command"] == "pixelwise evaluate small --after crf --record"


def test_mirrored_it_is_the_mean_of_two_answers(written, pieces):
    model, (images, masks) = pieces
    found = evaluation.evaluate(written, after="mirror")

    def softmax(logits):
        exponentials = np.exp(logits - logits.max(-1, keepdims=True))
        return exponentials / exponentials.sum(-1, keepdims=True)

    there = softmax(model.predict_on_batch(images))
    back = softmax(model.predict_on_batch(images[:, :, ::-1].copy()))[:, :, ::-1]
    assert found["test"]["mean_iou"] == pytest.approx(_mean_iou(there + back, masks), abs=1e-3)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"after": "magic"}, "choose one of 'nothing', 'crf'"),
        ({"write": True}, "say what comes after it"),
    ],
)
def test_what_cannot_be_measured_is_one_sentence(written, sentence, options, said):
    with pytest.raises(ValueError) as caught:
        evaluation.evaluate(written, **options)
    assert said in sentence(caught)


def test_a_recipe_without_a_checkpoint_is_one_sentence(tmp_path, sentence):
    path = tmp_path / "small.toml"
    path.write_text(RECIPE, encoding="utf-8")
    with pytest.raises(ValueError) as caught:
        evaluation.evaluate(str(path))
    assert "keeps no checkpoint" in sentence(caught)
