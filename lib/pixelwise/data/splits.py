"""How one's own pictures are split: by lists that lie beside them, or drawn at random."""

import numbers
from pathlib import PurePosixPath

import numpy as np

from pixelwise import checks
from pixelwise.data import listing

PARTS = ("train", "val", "test")
SPLITS = {part: (part,) for part in PARTS} | {
    "validation": ("val",),
    "trainval": ("train", "val"),
    "all": PARTS,
}
# The splits of the book's own sets, and the number that seeds what is drawn for each.
NUMBERS = {"train": 0, "validation": 1, "test": 2}
LISTS = {
    "train": ("train.txt",),
    "val": ("val.txt", "valid.txt", "validation.txt"),
    "test": ("test.txt",),
}


def check(split, what, known=SPLITS):
    """Refuses a split that there is not.

    Args:
        split: the name that was given.
        what: what has no such split, for the sentence, as ``"A folder"``.
        known: the names that there are.

    Raises:
        ValueError: if it is none of them.
    """
    if not isinstance(split, str) or split not in known:
        raise ValueError(
            f"{what} has no split {split!r}: choose one of {', '.join(map(repr, known))}."
        )


def training(split):
    """Says whether a split is to train on."""
    return split in ("train", "trainval")


def lists(root):
    """Finds the lists ``train.txt``, ``val.txt`` and ``test.txt`` in a folder.

    Args:
        root: ``Path`` of the folder.

    Returns:
        Dict from parts to ``Path``, empty if there is none.

    Raises:
        ValueError: if a part has two lists.
    """
    found = {}
    for part, names in LISTS.items():
        files = [root / name for name in names if (root / name).is_file()]
        if len(files) > 1:
            raise ValueError(f"{root} has both {files[0].name} and {files[1].name}: keep one.")
        if files:
            found[part] = files[0]
    return found


def listed(lists, names, folder):
    """Reads which names belong to which part.

    Args:
        lists: dict from parts to the ``Path`` of their list, see ``lists``. A line is a name, a
            file, its path, or the paths of a pair.
        names: container of the names that there are.
        folder: ``Path`` of the folder that they are in, for sentences.

    Returns:
        Dict from parts to lists of names.

    Raises:
        ValueError: if a list cannot be read or names a picture that is not there, or a picture is
            both to train on and to measure on.
    """
    parts = {}
    for part, file in lists.items():
        parts[part] = [_name(line, names) for line in listing.read_lines(file)]
        listing.check_listed(parts[part], names, folder, by=file.name, advice="put it there")
    for part in ("val", "test"):
        both = sorted({*parts.get("train", ())} & {*parts.get(part, ())})
        if both:
            raise ValueError(
                f"{lists['train']} and {lists[part].name} both name {both[0]}: a picture that "
                "was trained on measures nothing, so take it out of one."
            )
    return parts


def drawn(names, val, test, seed):
    """Draws a split, the same for the same names and the same seed.

    Args:
        names: the names, in an order that is always the same.
        val: fraction for val, at least 0, below 1; above 0 it gets at least one.
        test: the same for test.
        seed: another seed draws another split, 0 or more.

    Returns:
        Dict from ``"train"``, ``"val"`` and ``"test"`` to sorted lists of names.

    Raises:
        ValueError: if a fraction or the seed is wrong.
    """
    fractions = {"val": val, "test": test}
    for part, fraction in fractions.items():
        if not isinstance(fraction, numbers.Real) or not 0 <= fraction < 1:
            raise ValueError(f"{part} is {fraction!r}: give a fraction, at least 0, below 1.")
    checks.whole("split_seed", seed, 0)
    order = np.random.default_rng(seed).permutation(list(names)).tolist()
    parts = {}
    for part, fraction in fractions.items():
        count = max(1, round(fraction * len(names))) if fraction else 0
        parts[part], order = sorted(order[:count]), order[count:]
    return parts | {"train": sorted(order)}


def select(parts, split, root):
    """Returns the names of a split: of one part, of two, or of all that there are.

    Args:
        parts: dict from parts to lists of names.
        split: a key of ``SPLITS``.
        root: ``Path`` of the folder with the lists, for the sentence.

    Raises:
        ValueError: if there are lists, but not for this split.
    """
    if split == "all":
        return sorted(name for names in parts.values() for name in names)
    for part in SPLITS[split]:
        if part not in parts:
            raise ValueError(
                f"The split {split!r} needs {LISTS[part][0]}, since {root} has lists, but not this "
                'one: add it, or take another split; a recipe says so as test = { split = "val" }.'
            )
    return [name for part in SPLITS[split] for name in parts[part]]


def _name(line, names):
    """Returns the name that a line means, or the line if there is no such name."""
    for text in (line, line.split()[0]):
        path = PurePosixPath(text.replace("\\", "/"))
        stem = path.stem if path.suffix.lower() in listing.ENDINGS else path.name
        for name in (path.name, stem):
            if name in names:
                return name
    return line
