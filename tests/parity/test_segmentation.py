"""fcn_resnet50 and deeplabv3_resnet50 give torchvision's logits and take its checkpoints."""

import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from pixelwise import weights
from pixelwise.models import zoo

sys.path.insert(0, str(Path(__file__).parent))
from cases import (  # noqa: E402
    GOLDEN,
    RESNET_SIZES,
    picture,
    published,
    random_network,
    sample,
)

PARAMETERS = {"fcn_resnet50": 35_322_218, "deeplabv3_resnet50": 42_004_074}
AUXILIARY = 2_365_205


def parameters(model):
    """Counted as PyTorch counts: the statistics of batch normalisation are not among them."""
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


@pytest.mark.parametrize("name", PARAMETERS)
def test_random_weights_give_torchvisions_logits(name):
    """The random tensors have the published file's names and shapes: all of them have a place."""
    model = zoo.load(name)
    assert parameters(model) == PARAMETERS[name]
    weights.load_state_dict(model, random_network(name))
    both = keras.Model(model.input, model.output)  # the auxiliary logits at inference too
    with np.load(GOLDEN / "segmentation.npz") as golden:
        for height, width in RESNET_SIZES:
            found = both.predict_on_batch(picture((height, width)))
            for kind in ("logits", "aux"):
                assert found[kind].shape == (1, height, width, 21)
                key = f"{name}/{height}x{width}/{kind}"
                gap = np.abs(sample(found[kind]) - golden[key]).max()
                assert gap < 1e-4 * golden[f"{key}/largest"], key


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_auxiliary_head_may_be_left_out_of_a_published_file(name):
    model = zoo.load(name, auxiliary=False)
    assert parameters(model) == PARAMETERS[name] - AUXILIARY
    check_left_out(model, published(name), "aux_classifier.")


def test_mobilenet_v2_takes_its_published_file_without_the_classifier():
    model = zoo.load("mobilenet_v2")
    check_left_out(model, published("mobilenet_v2"), "classifier.")


def check_left_out(model, state, start):
    """Every tensor but those has its place, every variable its tensor, and none goes unsaid."""
    with pytest.raises(weights.WeightsError, match=rf"left over \({start}"):
        weights.load_state_dict(model, state)
    weights.load_state_dict(model, state, leave_out=start)
    kernels = [w for w in model.weights if w.path.endswith("kernel")]
    assert kernels and not any(np.any(keras.ops.convert_to_numpy(w)) for w in kernels)
