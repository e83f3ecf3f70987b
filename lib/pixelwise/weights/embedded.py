"""The weights that come with the book, by name."""

import numpy as np

from pixelwise.data import manifest
from pixelwise.weights.torchvision import load_state_dict


def load(model, name):
    """Loads embedded weights that carry torchvision's names.

    Args:
        model: a built ``keras.Model``.
        name: for example ``"mobilenet_v2_imagenet"``, a file of ``data/weights/``.

    Returns:
        The model.

    Raises:
        pixelwise.data.manifest.DamagedFile: if the file is not what it was.
        pixelwise.weights.WeightsError: if model and weights do not fit.
    """
    path = manifest.path(f"weights/{name}.npz")
    with np.load(path, allow_pickle=False) as arrays:
        state = {key: arrays[key].astype("float32") for key in arrays.files}
    return load_state_dict(model, state, source=f"weights/{name}.npz")
