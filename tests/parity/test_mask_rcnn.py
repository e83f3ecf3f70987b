"""maskrcnn_resnet50_fpn gives torchvision's answers, stage by stage and from end to end."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pixelwise import detection, weights
from pixelwise.models import zoo
from pixelwise.models.backbones import IMAGENET_MEAN, IMAGENET_STD
from pixelwise.nn.masks import paste

sys.path.insert(0, str(Path(__file__).parent))
from cases import (  # noqa: E402
    GOLDEN,
    MASK_RCNN_RESIZING,
    MASK_RCNN_SETTINGS,
    MASK_RCNN_SIZES,
    beside,
    detection_rows,
    picture,
    published,
    random_network,
    sample,
)
from mask_rcnn_stages import BODY, PYRAMID, stages  # noqa: E402

NETWORK = "maskrcnn_resnet50_fpn"
TOLERANCE = 1e-4  # of the largest value
SAMPLED = (
    *BODY,
    *PYRAMID,
    *("objectness", "deltas", "boxes", "pooled", "logits", "box_deltas", "masks"),
)


@pytest.fixture(scope="module")
def network():
    model = zoo.load(NETWORK, bn_epsilon=0.0, **MASK_RCNN_SETTINGS)
    return weights.load_state_dict(model, random_network(NETWORK))


@pytest.fixture(scope="module", params=MASK_RCNN_SIZES, ids=["landscape", "portrait"])
def case(request):
    """A picture, and what torchvision finds on it."""
    height, width = request.param
    start = f"{height}x{width}/"
    with np.load(GOLDEN / "mask_rcnn.npz") as arrays:
        theirs = {k.removeprefix(start): arrays[k] for k in arrays.files if k.startswith(start)}
    return picture(request.param)[0], theirs


@pytest.fixture(scope="module")
def found(network, case):
    """Our stages, the heads fed with torchvision's proposals and detections."""
    image, theirs = case
    return stages(network, *detection.prepare(image, **MASK_RCNN_RESIZING), theirs)


def check(ours, theirs, name, stored=None):
    stored = theirs[name] if stored is None else stored
    assert ours.shape == stored.shape, name
    gap = np.abs(ours - stored).max() / theirs[f"{name}/largest"]
    assert gap < TOLERANCE, f"{name} is {gap:.1e} of its largest value away"


def test_every_tensor_has_a_place(network):
    """The random tensors have the names of the published file, which are old ones."""
    names = published(NETWORK)
    assert "roi_heads.mask_head.mask_fcn1.weight" in names
    assert sum(int(np.prod(w.shape)) for w in network.weights if "seed" not in w.path) == sum(
        tensor.size for tensor in names.values()
    )
    learning = [w for w in network.trainable_weights if not w.path.endswith(("gamma", "beta"))]
    # Without scales and shifts, which torchvision freezes.
    assert sum(int(np.prod(w.shape)) for w in learning) == 44_401_393


def test_the_picture_is_resized_and_padded(case):
    image, theirs = case
    padded, size = detection.prepare(image, **MASK_RCNN_RESIZING)
    assert size == tuple(theirs["size"])
    assert padded.shape[0] % 32 == padded.shape[1] % 32 == 0 and padded.shape[:2] != size
    normalised = (padded - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD)
    check(sample(normalised), theirs, "picture")


@pytest.mark.parametrize("name", SAMPLED)
def test_a_stage(found, case, name):
    stored = case[1][name]
    check(sample(found[name], len(stored)), case[1], name)


def test_proposals_are_the_same_set(found, case):
    theirs = case[1]
    assert len(theirs["proposals"]) == MASK_RCNN_SETTINGS["test_proposals"]
    same = beside(found["proposals"], theirs["proposals"])
    check(found["proposals"][same], theirs, "proposals")


def test_boxes_are_cut_at_the_true_border(found, case):
    theirs = case[1]
    height, width = theirs["size"]
    for boxes in (found["proposals"], found["boxes"], theirs["detected"]):
        assert boxes[:, 2].max() == width and boxes[:, 3].max() == height


def test_from_end_to_end(network, case):
    image, theirs = case
    ours = detection.detect(network, image, **MASK_RCNN_RESIZING)
    assert len(theirs["classes"]) in (
        MASK_RCNN_SETTINGS["detections"],
        MASK_RCNN_SETTINGS["detections"] - 2,
    )
    same = beside(
        detection_rows(ours["boxes"], ours["classes"]),
        detection_rows(theirs["final"], theirs["classes"]),
    )
    check(ours["boxes"][same], theirs, "final")
    check(ours["scores"][same], theirs, "scores")
    np.testing.assert_array_equal(ours["classes"][same], theirs["classes"])
    # A pixel may be on either side of the threshold if it is next to it.
    masks, stored = sample(ours["masks"][same], len(theirs["pasted"])), theirs["pasted"]
    clear = np.abs(stored - 0.5) > 1e-3
    np.testing.assert_array_equal(masks[clear], stored[clear] > 0.5)
    assert 100 < masks.sum() < 0.5 * masks.size and clear.mean() > 0.99


def test_the_grids_are_pasted_at_the_pictures_size(network, case, found):
    image, theirs = case
    ours = paste(found["masks"], theirs["final"], *image.shape[:2], threshold=None)
    check(sample(ours, len(theirs["pasted"])), theirs, "pasted")
