"""Makes tests/unit/golden/trained_logits.npz: what the trained networks say, on one backend.

    KERAS_BACKEND=tensorflow python tests/unit/make_trained_logits.py

``test_backends.py`` holds every backend to these numbers.
"""

from pathlib import Path

import keras
import numpy as np

import pixelwise as pw
from pixelwise.models.deeplab import deeplab
from pixelwise.models.fcn import fcn

SIZES = ((96, 96), (75, 110))


def picture(size):
    """A picture of noise in squares of 5 pixels, float32 (1, height, width, 3)."""
    coarse = np.random.default_rng(size).uniform(size=(size[0] // 5 + 1, size[1] // 5 + 1, 3))
    return coarse.repeat(5, 0).repeat(5, 1)[None, : size[0], : size[1]].astype("float32")


def networks():
    """The trained networks, by the name of their checkpoint."""
    small = {"features": ("C4", "C5"), "rates": (1, 2, 3), "channels": 128}
    untrained = {"fcn8s_wardrobe": fcn(6, "8s"), "deeplabv3plus_wardrobe": deeplab(6, **small)}
    return {name: pw.weights.checkpoint(model, name) for name, model in untrained.items()}


def logits():
    """The logits of each network, (1, height, width, 6), by its name and the picture's size."""
    return {
        f"{name}/{height}x{width}": keras.ops.convert_to_numpy(network(picture((height, width))))
        for name, network in networks().items()
        for height, width in SIZES
    }


if __name__ == "__main__":
    target = Path(__file__).parent / "golden" / "trained_logits.npz"
    target.parent.mkdir(exist_ok=True)
    values = {name: value[:, ::7, ::7] for name, value in logits().items()}
    np.savez_compressed(target, backend=keras.backend.backend(), **values)
    print(target.name, f"{target.stat().st_size:,} bytes")
