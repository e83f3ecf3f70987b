"""The parts of Mask R-CNN that read a pyramid and handle masks give torchvision's numbers."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise import weights
from pixelwise.nn.fpn import feature_pyramid
from pixelwise.nn.masks import mask_targets, paste
from pixelwise.nn.roi_align import roi_align, roi_levels
from pixelwise.nn.roi_pool import roi_max_pool

sys.path.insert(0, str(Path(__file__).parent))
import cases_detection_parts as cases  # noqa: E402
from cases import GOLDEN, sample  # noqa: E402

FORMS = ("matmul", "gather")


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "detection_parts.npz") as file:
        return dict(file)


def check(found, expected):
    gap = np.abs(sample(ops.convert_to_numpy(found)) - expected).max()
    assert gap < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("bins", "samples", "aligned"), cases.ALIGNED)
def test_roi_align(golden, form, bins, samples, aligned):
    x, boxes = cases.maps()[1], cases.boxes_beyond()
    found = roi_align([x], [cases.STRIDES[1]], boxes, bins, samples, aligned, form=form)
    check(found, golden[f"roi_align/{bins}/{samples}/{aligned}"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bins", cases.OUTPUTS)
def test_roi_align_of_a_pyramid(golden, form, bins):
    found = roi_align(cases.maps(), cases.STRIDES, cases.boxes(), bins, form=form)
    check(found, golden[f"pyramid/{bins}"])


def test_levels(golden):
    levels = ops.convert_to_numpy(roi_levels(cases.level_boxes(), 2, 5))
    assert levels.tolist() == golden["levels"].tolist()
    assert set(levels.tolist()) == {2, 3, 4, 5}


@pytest.mark.parametrize("bins", cases.OUTPUTS)
def test_roi_max_pool(golden, bins):
    found = roi_max_pool(cases.maps()[1:2], cases.STRIDES[1:2], cases.boxes(), bins)
    check(found, golden[f"roi_pool/{bins}"])


def test_mask_targets(golden):
    check(mask_targets(*cases.objects(), cases.MASK_SIZE), golden["targets"])


def test_pasted_masks(golden):
    masks, boxes = cases.probabilities()
    check(paste(masks, boxes, *cases.PASTED, threshold=None), golden["pasted"])
    found = paste(masks, boxes, *cases.PASTED)
    # A probability of one half may fall on either side.
    bits = np.unpackbits(golden["pasted/masks"], count=found.size).reshape(found.shape)
    assert np.sum(found != bits) <= 3
    assert bits.any(axis=(1, 2)).sum() >= 10


def test_feature_pyramid_takes_torchvisions_weights(golden):
    maps = cases.fpn_levels()
    inputs = {k: keras.Input(x.shape[1:]) for k, x in maps.items()}
    model = keras.Model(inputs, feature_pyramid(inputs, cases.FPN_CHANNELS))
    weights.load_state_dict(model, cases.fpn_state(weights.torchvision.tensor_shapes(model)))
    found = model.predict_on_batch(maps)
    assert list(found) == ["P2", "P3", "P4", "P5", "P6"]
    for level, x in found.items():
        check(x, golden[f"fpn/{level}"])
