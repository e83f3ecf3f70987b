"""Makes tests/unit/golden/vae_losses.npz: losses of given weights and noise, on one backend.

    KERAS_BACKEND=tensorflow python tests/unit/make_vae_losses.py

``test_vae.py`` and ``test_vqvae.py`` hold every backend to these numbers.
"""

from pathlib import Path

import keras
import numpy as np
from keras import ops

from pixelwise.models.vae_networks import vae, vqvae

CASES = {
    "dense": {"network": "dense", "width": 16},
    "importance": {"network": "dense", "width": 16, "importance_samples": 5},
    "free bits": {"network": "dense", "width": 16, "free_bits": 0.3},
    "gaussian": {"network": "convolutional", "width": 4, "likelihood": "gaussian"},
    "levels": {
        "network": "convolutional",
        "width": 4,
        "likelihood": "discretised_logistic",
        "num_classes": 10,
        "size": 32,
        "channels": 3,
    },
}
LATENT = 4
BATCH = 6


def fill(model):
    """Gives all weights but those of the random generators values from a fixed seed."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "seed_generator" not in variable.path and variable.path.split("/")[-1] != "steps_done":
            fan_in = max(1, int(np.prod(variable.shape[:-1])))
            variable.assign(rng.normal(scale=fan_in**-0.5, size=variable.shape))


def batch(size, channels):
    """Pictures in whole grey levels, and classes."""
    rng = np.random.default_rng(1)
    levels = rng.integers(0, 256, (BATCH, size, size, channels))
    return (levels / 255).astype("float32"), rng.integers(0, 10, BATCH).astype("int32")


def losses():
    """The loss and its parts, float arrays by case."""
    found = {}
    for name, options in CASES.items():
        model = vae(latent=LATENT, **options)
        fill(model)
        x, labels = batch(options.get("size", 28), options.get("channels", 1))
        samples = options.get("importance_samples", 1)
        noise = np.random.default_rng(2).normal(size=(samples, BATCH, LATENT)).astype("float32")
        classes = labels if "num_classes" in options else None
        loss, parts = model.objective(x, classes, model(x), noise, weight=0.7)
        values = [loss, parts["reconstruction"], parts["kl"]]
        found[name] = np.array([ops.convert_to_numpy(value) for value in values])
    found["vqvae"] = np.array(list(quantised().values()))
    return found


def quantised():
    """The parts of a VQ-VAE's loss, and the mean of its codes after a step of theirs."""
    model = vqvae(codes=8, code_width=4, width=4, prior_width=8, prior_blocks=2, num_classes=10)
    fill(model)
    x, labels = batch(28, 1)
    vectors = model(x)
    parts, numbers = model.objective(x, labels, vectors)
    found = {name: ops.convert_to_numpy(value) for name, value in parts.items()}
    flat = ops.reshape(vectors, (-1, 4))
    model.codebook.learn(flat, ops.reshape(numbers, (-1,)), np.arange(8))
    found["codes"] = np.abs(ops.convert_to_numpy(model.codebook.table)).mean()
    return found


if __name__ == "__main__":
    target = Path(__file__).parent / "golden" / "vae_losses.npz"
    np.savez_compressed(target, backend=keras.backend.backend(), **losses())
    print(target.name, f"{target.stat().st_size:,} bytes")
