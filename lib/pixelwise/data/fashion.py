"""Fashion-MNIST: the embedded subset, or the full set downloaded by Keras.

70,000 grey pictures of garments, 28 x 28, in ten classes (Xiao, Rasul and Vollgraf 2017,
arXiv 1708.07747; MIT). 12,000 training and 2,000 test pictures come with the book.
"""

import numpy as np

from pixelwise.data import idx, manifest

CLASSES = (
    "T-shirt/top",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)


def load(split="train", *, full=False):
    """Loads one split.

    Args:
        split: ``"train"`` or ``"test"``.
        full: ``True`` downloads the whole set through ``keras.datasets`` (31 MB, once).

    Returns:
        ``(images, labels)``: uint8 ``(n, 28, 28)`` with 0 for the background, and uint8 ``(n,)``,
        indices into ``CLASSES``.

    Raises:
        ValueError: if the split is unknown.
        pixelwise.data.manifest.DamagedFile: if the embedded file is not what it was.
        pixelwise.data.download.NoNetwork: if the whole set cannot be downloaded.
    """
    if split not in ("train", "test"):
        raise ValueError(f"Fashion-MNIST has no split {split!r}: choose 'train' or 'test'.")
    if full:
        return idx.from_keras("fashion_mnist", split)
    with np.load(manifest.path(f"fashion/{split}.npz"), allow_pickle=False) as arrays:
        return arrays["images"], arrays["labels"]
