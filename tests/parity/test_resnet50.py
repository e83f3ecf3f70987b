"""Our ResNet-50 gives torchvision's features: golden files of the real network."""

import sys
from pathlib import Path

import numpy as np
import pytest

from pixelwise import weights
from pixelwise.models import backbones

sys.path.insert(0, str(Path(__file__).parent))
from cases import GOLDEN, RESNET_LEVELS, picture, random_network, sample  # noqa: E402


@pytest.fixture(scope="module")
def state():
    return random_network("resnet50")


@pytest.mark.parametrize(
    ("output_stride", "sizes"), [(32, ((224, 224), (193, 161))), (8, ((193, 161),))]
)
def test_random_weights_give_torchvisions_features(state, output_stride, sizes):
    model = backbones.resnet50(output_stride=output_stride)
    weights.load_state_dict(model, state, leave_out=("fc.",))
    with np.load(GOLDEN / "resnet50.npz") as golden:
        for height, width in sizes:
            levels = model.predict_on_batch(picture((height, width)))
            for level in RESNET_LEVELS:
                key = f"{output_stride}/{height}x{width}/{level}"
                gap = np.abs(sample(levels[level]) - golden[key]).max()
                assert gap < 1e-4 * golden[f"{key}/largest"], key
