"""What the golden files were computed on: pictures, weights and sampled positions, from seeds."""

import numpy as np

SIZES = ((96, 96), (193, 161))
# torchvision's module behind which each level of our pyramid stands.
MOBILENET_LEVELS = {
    "C1": "features.2.conv.0",
    "C2": "features.4.conv.0",
    "C3": "features.7.conv.0",
    "C4": "features.14.conv.0",
    "C5": "features.18",
}


def picture(size):
    """A picture of smooth noise, float32 (1, height, width, 3) in [0, 1]."""
    rng = np.random.default_rng(size)
    noise = rng.uniform(size=(1, size[0] // 4 + 1, size[1] // 4 + 1, 3))
    return noise.repeat(4, 1).repeat(4, 2)[:, : size[0], : size[1]].astype("float32")


def sample(value, count=500):
    """The values at ``count`` fixed positions of an array."""
    flat = np.asarray(value).ravel()
    return flat[np.random.default_rng(count).integers(0, flat.size, count)]


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
