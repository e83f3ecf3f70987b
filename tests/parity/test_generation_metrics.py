"""FID, KID, precision and recall are torch-fidelity's, and so is the Inception-V3."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pixelwise import weights
from pixelwise.metrics import features, generation
from pixelwise.models import inception, zoo

sys.path.insert(0, str(Path(__file__).parent))
from cases import (  # noqa: E402
    FEATURE_SETS,
    GOLDEN,
    INCEPTION_SIZES,
    KID_SETTINGS,
    eight_bits,
    feature_sets,
    published,
    random_network,
)

NAME = "inception_v3_fid"
PARAMETERS = 21_785_568  # of torchvision's inception_v3 without its classifiers


@pytest.fixture(scope="module")
def golden():
    with np.load(GOLDEN / "generation_metrics.npz") as arrays:
        return {key: float(arrays[key]) for key in arrays.files}


@pytest.mark.filterwarnings("ignore::pixelwise.metrics.distances.FewSamples")
@pytest.mark.parametrize("name", FEATURE_SETS)
def test_the_measures_are_those_of_the_published_programs(golden, name):
    real, fake = feature_sets(name)
    subsets, size = KID_SETTINGS[name]
    kernel = generation.kid(real, fake, subsets=subsets, subset_size=size)
    fewest = min(len(real), len(fake))
    overlap = generation.precision_recall(real, fake)
    found = {
        "fid": generation.fid(real, fake),
        "kid": kernel,
        "kid_spread": kernel.spread,
        "mmd2": generation.mmd2(real[:fewest], fake[:fewest]),
        "precision": overlap.precision,
        "recall": overlap.recall,
    }
    wanted = {key: golden[f"{name}/{key}"] for key in found}
    assert found == pytest.approx(wanted, rel=1e-6)
    assert 0.5 < wanted["recall"] < wanted["precision"] < 1


@pytest.fixture(scope="module")
def network():
    model = zoo.load(NAME)
    weights.load_state_dict(model, random_network(NAME), leave_out=("fc.",))
    return model


@pytest.mark.parametrize("size", INCEPTION_SIZES)
def test_random_weights_give_torch_fidelitys_features(network, monkeypatch, size):
    """From the picture of eight bits on: through the channels, the resizing and the scaling."""
    monkeypatch.setattr(features, "_inception_network", lambda: network)
    pixels = eight_bits(size)
    grey = size == INCEPTION_SIZES[2]
    pictures = (pixels[..., :1] if grey else pixels).astype("float32") / 255
    found = features.features(pictures, "inception")
    with np.load(GOLDEN / "inception.npz") as arrays:
        wanted = arrays[f"{size[0]}x{size[1]}/2048"]
    assert found.shape == wanted.shape == (1, inception.FEATURES)
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_the_pictures_make_a_difference():
    """Random weights let less than a tenth of the spread depend on the picture; not nothing."""
    with np.load(GOLDEN / "inception.npz") as arrays:
        found = np.concatenate([arrays[f"{h}x{w}/2048"] for h, w in INCEPTION_SIZES])
    assert found.std(axis=0).mean() > 0.05 * found.std()


def test_the_network_takes_all_tensors_of_the_published_file(network):
    trained = [weight for weight in network.weights if "moving" not in weight.path]
    assert sum(int(np.prod(weight.shape)) for weight in trained) == PARAMETERS
    names = {name for name in published(NAME) if not name.startswith("fc.")}
    tensors = weights.torchvision.tensor_shapes(network)
    assert set(tensors) == {name for name in names if not name.endswith("num_batches_tracked")}


def test_a_classifier_that_is_not_left_out_is_named(network):
    with pytest.raises(weights.WeightsError, match=r"2 left over \(fc.bias, fc.weight\)"):
        weights.load_state_dict(network, random_network(NAME))
