"""Makes tests/unit/golden/trained_logits.npz: what the trained FCN-8s says, on one backend.

    KERAS_BACKEND=tensorflow python tests/unit/make_trained_logits.py

``test_backends.py`` holds every backend to these numbers.
"""

from pathlib import Path

import keras
import numpy as np

import pixelwise as pw
from pixelwise.models.fcn import fcn

SIZES = ((96, 96), (75, 110))


def picture(size):
    """A picture of noise in squares of 5 pixels, float32 (1, height, width, 3)."""
    coarse = np.random.default_rng(size).uniform(size=(size[0] // 5 + 1, size[1] // 5 + 1, 3))
    return coarse.repeat(5, 0).repeat(5, 1)[None, : size[0], : size[1]].astype("float32")


def logits():
    """The logits of the trained network, (1, height, width, 6), by the size of the picture."""
    network = pw.weights.checkpoint(fcn(6, "8s"), "fcn8s_wardrobe")
    return {
        f"{height}x{width}": keras.ops.convert_to_numpy(network(picture((height, width))))
        for height, width in SIZES
    }


if __name__ == "__main__":
    target = Path(__file__).parent / "golden" / "trained_logits.npz"
    target.parent.mkdir(exist_ok=True)
    values = {name: value[:, ::7, ::7] for name, value in logits().items()}
    np.savez_compressed(target, backend=keras.backend.backend(), **values)
    print(target.name, f"{target.stat().st_size:,} bytes")
