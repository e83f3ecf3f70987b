"""MNIST: 70,000 handwritten digits, 28 x 28, the set on which likelihoods are compared.

LeCun, Bottou, Bengio and Haffner 1998; downloaded by Keras (11 MB, once), or read from MNIST's own
files. A figure in nats says nothing without its binarisation: ``"static"`` is the one that
Larochelle published where his files are at hand, and a draw of our own elsewhere, whose figures
differ by some tenths of a nat; ``"dynamic"`` draws anew each time. Chapter: VAE.
"""

from pathlib import Path

import numpy as np

from pixelwise.data import generation, idx, splits

CLASSES = tuple("0123456789")
HELD_OUT = 10_000  # training pictures for validation
STATIC = {"train": "train", "validation": "valid", "test": "test"}
NO_LABEL = -1
ZERO, ONE = b"01"
SPACES = np.frombuffer(b" \t\r\n", np.uint8)


def load(split="train", *, root=None, held_out=HELD_OUT, **options):
    """Loads one split.

    Args:
        split: ``"train"``, ``"validation"`` (the last of the training pictures) or ``"test"``.
        root: folder of MNIST's own four files (see ``idx``); ``None`` downloads them through
            Keras. With ``binarise="static"`` and Larochelle's ``binarized_mnist_train.amat``,
            ``_valid.amat`` and ``_test.amat`` in it, which the reader gets, these are taken: as
            they have no labels, all are -1.
        held_out: how many training pictures are for validation; 0 trains on all 60,000.
            Larochelle's files have 10,000 of their own.
        **options: of ``generation.Generation``: ``size``, ``batch_size``, ``seed``,
            ``binarise``...

    Returns:
        ``generation.Generation``.

    Raises:
        ValueError: if the split or an option is wrong, or a file is missing or damaged.
        pixelwise.data.download.NoNetwork: if the set cannot be downloaded.
    """
    splits.check(split, "MNIST", splits.NUMBERS)
    if root is not None and options.get("binarise") == "static":
        file = Path(root) / f"binarized_mnist_{STATIC[split]}.amat"
        if file.is_file():
            images = 255 * read_amat(file)
            return generation.Generation(
                split, images, np.full(len(images), NO_LABEL), CLASSES, **options
            )
    part = "test" if split == "test" else "train"
    read = idx.from_keras if root is None else idx.load
    images, labels = read("mnist" if root is None else root, part)
    images, labels = generation.split_off(images, labels, split, held_out)
    return generation.Generation(split, images, labels, CLASSES, **options)


def read_amat(path):
    """Reads one of Larochelle's files: a picture a line, 784 times 0 or 1.

    Args:
        path: ``Path`` of the file.

    Returns:
        uint8 ``(n, 28, 28)``, 0 or 1.

    Raises:
        ValueError: if it holds anything else, or ends within a picture.
    """
    content = np.frombuffer(path.read_bytes(), np.uint8)
    digits = content[~np.isin(content, SPACES)]
    pixels = idx.SIDE**2
    if not len(digits) or len(digits) % pixels or not np.isin(digits, (ZERO, ONE)).all():
        raise ValueError(
            f"{path} is damaged or something else: it should hold {pixels} times 0 or 1 a line; "
            "get the file again."
        )
    return (digits == ONE).astype("uint8").reshape(-1, idx.SIDE, idx.SIDE)
