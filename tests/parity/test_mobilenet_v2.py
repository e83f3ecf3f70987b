"""Our MobileNetV2 gives torchvision's outputs: golden files of the real network."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from pixelwise import weights
from pixelwise.models import backbones
from pixelwise.weights.torchvision import modern_names

sys.path.insert(0, str(Path(__file__).parent))
from cases import MOBILENET_LEVELS, SIZES, picture, random_state, sample  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "mobilenet_v2.npz"


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN) as arrays:
        return {key: arrays[key] for key in arrays.files}


@pytest.fixture(scope="module")
def model():
    return backbones.mobilenet_v2()


def embedded_state():
    from pixelwise.data import manifest

    with np.load(manifest.path("weights/mobilenet_v2_imagenet.npz")) as arrays:
        return {key: arrays[key].astype("float32") for key in arrays.files}


def worst(model, golden, kind, size):
    levels = model.predict_on_batch(picture(size))
    gaps = []
    for level in MOBILENET_LEVELS:
        key = f"{kind}/{size[0]}x{size[1]}/{level}"
        ours = sample(np.asarray(levels[level]))
        gaps.append(np.abs(ours - golden[key]).max() / golden[f"{key}/largest"])
    return max(gaps)


@pytest.mark.parametrize("size", SIZES)
def test_embedded_weights_give_torchvisions_features(model, golden, size):
    assert worst(model, golden, "embedded", size) < 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_rounding_to_half_precision_costs_little(model, golden, size):
    """Against the original float32 weights only the rounding is left: 2.1 % of the level."""
    assert 1e-5 < worst(model, golden, "original", size) < 0.03


def test_the_original_weights_were_equal_before_rounding(golden):
    assert 0 < golden["original/apart"] < 1e-4


@pytest.mark.parametrize("size", SIZES)
def test_random_weights_give_torchvisions_features(golden, size):
    model = backbones.mobilenet_v2(weights=None)
    weights.load_state_dict(model, random_state(embedded_state(), 5))
    assert worst(model, golden, "random", size) < 1e-4


def test_old_names_are_read():
    old = {
        "features.0.0.weight": 1,
        "features.1.conv.0.weight": 2,
        "features.1.conv.1.bias": 3,
        "features.1.conv.3.weight": 4,
        "features.1.conv.4.bias": 5,
        "features.2.conv.3.weight": 6,
        "features.2.conv.6.weight": 7,
        "features.2.conv.7.bias": 8,
    }
    assert modern_names(old) == {
        "features.0.0.weight": 1,
        "features.1.conv.0.0.weight": 2,
        "features.1.conv.0.1.bias": 3,
        "features.1.conv.1.weight": 4,
        "features.1.conv.2.bias": 5,
        "features.2.conv.1.0.weight": 6,
        "features.2.conv.2.weight": 7,
        "features.2.conv.3.bias": 8,
    }


def test_a_missing_extra_or_misshapen_tensor_is_named_and_nothing_is_loaded():
    model = backbones.mobilenet_v2(weights=None)
    before = [keras.ops.convert_to_numpy(w) for w in model.weights]
    state = embedded_state()
    missing = {k: v for k, v in state.items() if k != "features.3.conv.2.weight"}
    with pytest.raises(weights.WeightsError, match=r"1 missing \(features.3.conv.2.weight\)"):
        weights.load_state_dict(model, missing)
    with pytest.raises(weights.WeightsError, match=r"1 left over \(classifier.1.weight\)"):
        weights.load_state_dict(model, {**state, "classifier.1.weight": np.zeros(3)})
    with pytest.raises(weights.WeightsError, match=r"features.18.0.weight has the shape \(2, 2\)"):
        weights.load_state_dict(model, {**state, "features.18.0.weight": np.zeros((2, 2))})
    for value, variable in zip(before, model.weights, strict=True):
        assert np.array_equal(value, keras.ops.convert_to_numpy(variable))
