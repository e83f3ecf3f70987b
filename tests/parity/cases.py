"""What the golden files were computed on: pictures, weights and sampled positions, from seeds."""

import json
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden"
CHECKPOINTS = GOLDEN / "checkpoints.json"
SIZES = ((96, 96), (193, 161))
# torchvision's module behind which each level of our pyramid stands.
MOBILENET_LEVELS = {
    "C1": "features.2.conv.0",
    "C2": "features.4.conv.0",
    "C3": "features.7.conv.0",
    "C4": "features.14.conv.0",
    "C5": "features.18",
}
RESNET_LEVELS = {"C1": "relu", "C2": "layer1", "C3": "layer2", "C4": "layer3", "C5": "layer4"}
# The networks with ResNet-50 are compared at a size that all strides divide and at an odd one.
RESNET_SIZES = ((224, 224), (193, 161))
RESNET_SEEDS = {"resnet50": 6, "fcn_resnet50": 7, "deeplabv3_resnet50": 8}


def picture(size):
    """A picture of smooth noise, float32 (1, height, width, 3) in [0, 1]."""
    rng = np.random.default_rng(size)
    noise = rng.uniform(size=(1, size[0] // 4 + 1, size[1] // 4 + 1, 3))
    return noise.repeat(4, 1).repeat(4, 2)[:, : size[0], : size[1]].astype("float32")


def sample(value, count=500):
    """The values at ``count`` fixed positions of an array."""
    flat = np.asarray(value).ravel()
    return flat[np.random.default_rng(count).integers(0, flat.size, count)]


def published(network):
    """Zeros with the names and shapes of the tensors in a published checkpoint."""
    shapes = json.loads(CHECKPOINTS.read_text(encoding="utf-8"))[network]
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def random_network(network):
    """Seeded random tensors for one of the networks with ResNet-50, with its published names."""
    like = published(network)
    like = {name: like[name] for name in like if not name.endswith("num_batches_tracked")}
    return random_state(like, RESNET_SEEDS[network])


def random_state(like, seed):
    """Random tensors of the same names and shapes, scaled so that activations stay alive."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, tensor in like.items():
        if name.endswith("running_var"):
            state[name] = rng.uniform(0.5, 2, tensor.shape)
        elif tensor.ndim == 1:
            centre = 1.0 if name.endswith("weight") else 0.0
            state[name] = centre + rng.uniform(-0.3, 0.3, tensor.shape)
        else:
            fan_in = np.prod(tensor.shape[1:])
            state[name] = rng.normal(0, np.sqrt(2 / fan_in), tensor.shape)
    return {name: value.astype("float32") for name, value in state.items()}
