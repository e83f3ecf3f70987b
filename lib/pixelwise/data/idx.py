"""MNIST's own files: the IDX format, packed with gzip or not.

Four bytes say what is stored (0, 0, the type, the number of axes), four bytes an axis how long it
is, most significant byte first; then come the values. MNIST and Fashion-MNIST are four such files:

    train-images-idx3-ubyte   train-labels-idx1-ubyte   t10k-images-idx3-ubyte   t10k-labels-...

Chapter: VAE.
"""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from pixelwise.data.download import NoNetwork

SIDE = 28  # pixels
CLASSES = 10
PARTS = {"train": "train", "test": "t10k"}
UNSIGNED_BYTES = 8


def read(path):
    """Reads one IDX file of unsigned bytes.

    Args:
        path: ``Path`` of the file; whether it is packed is seen from its content.

    Returns:
        uint8 array with the axes that the file names.

    Raises:
        ValueError: if the file is cut, damaged, or no IDX file of unsigned bytes.
    """
    content = path.read_bytes()
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (EOFError, OSError, zlib.error) as error:
            raise _damaged(path, f"it cannot be unpacked ({error})") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, UNSIGNED_BYTES]):
        raise _damaged(path, "it does not begin as an IDX file of bytes does")
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise _damaged(path, "it ends within its first bytes, which say how long it is")
    shape = struct.unpack(f">{content[3]}I", content[4:start])
    expected = start + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        raise _damaged(path, f"it has {len(content):,} bytes where {expected:,} are said")
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def load(root, split):
    """Reads the pictures and labels of one split.

    Args:
        root: folder of the four files; each may end in ``.gz`` and may have a dot in place of the
            hyphen before ``idx``, as some copies do.
        split: ``"train"`` or ``"test"``.

    Returns:
        ``(images, labels)``: uint8 ``(n, 28, 28)`` and uint8 ``(n,)`` from 0 to 9.

    Raises:
        ValueError: if a file is missing or damaged, or holds something else.
    """
    images_file = _find(root, f"{PARTS[split]}-images-idx3-ubyte")
    labels_file = _find(root, f"{PARTS[split]}-labels-idx1-ubyte")
    images, labels = read(images_file), read(labels_file)
    if images.ndim != 3 or images.shape[1:] != (SIDE, SIDE):
        raise _damaged(images_file, f"its shape is {images.shape}, not (n, {SIDE}, {SIDE})")
    if labels.shape != images.shape[:1]:
        raise _damaged(labels_file, f"its shape is {labels.shape} for {len(images):,} pictures")
    if len(labels) == 0 or labels.max() >= CLASSES:
        raise _damaged(labels_file, "its labels are not numbers from 0 to 9, one a picture")
    return images, labels


def from_keras(name, split):
    """Downloads one split through Keras, which keeps it.

    Args:
        name: ``"mnist"`` or ``"fashion_mnist"``, a module of ``keras.datasets``.
        split: ``"train"`` or ``"test"``.

    Returns:
        As ``load``.

    Raises:
        pixelwise.data.download.NoNetwork: if the server cannot be reached.
    """
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises the base class where there is no network
        if type(error) is not Exception and not isinstance(error, OSError):
            raise
        raise NoNetwork(
            f"Keras could not download {name} ({' '.join(str(error).split()).rstrip('.')}): check "
            "the network, or give the folder of its four files as root."
        ) from error
    return train if split == "train" else test


def _find(root, name):
    """Returns the path of a file, packed or not, under one of the two names it is known by."""
    names = [name, name.replace("-idx", ".idx")]
    for candidate in [*names, *(f"{one}.gz" for one in names)]:
        path = Path(root) / candidate
        if path.is_file():
            return path
    raise ValueError(f"There is no {name} or {name}.gz in {root}: give the folder of the files.")


def _damaged(path, what):
    return ValueError(f"{path} is damaged or something else: {what}; get the file again.")
