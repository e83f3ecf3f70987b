"""Annotations in COCO's JSON: read, checked one by one, and turned into the objects of a picture.

Lin et al. 2014. Classes may be numbered with gaps, as COCO's 80 are from 1 to 90: here they are 1
to 80, in the order of their numbers, and 0 is the background.
"""

import json
from collections import Counter
from typing import NamedTuple

import numpy as np

from pixelwise.data import listing, pictures, shapes
from pixelwise.data.objects import Objects
from pixelwise.nn.boxes import from_mask

FAULTY = ("error", "skip")
# Polygons lie between the pixels and boxes are rounded: how far they may reach out of the picture,
# or be from the border of the mask, in pixels.
SLACK = 2.0
# The least IoU of an annotation's box and the box around its mask, if they differ by more than
# SLACK; spikes of a polygon that cover no pixel's middle make boxes a little larger than masks.
AGREEMENT = 0.7
AGAIN = "export the file again in the format COCO"


class Annotation(NamedTuple):
    """One object of a picture, as its file has it."""

    id: object
    category: int  # from 1, without gaps
    segmentation: object
    box: tuple | None  # (x1, y1, x2, y2)
    area: float | None
    crowd: bool


class Annotations:
    """The pictures, classes and objects of one file.

    Args:
        file: ``Path`` of the JSON.
        folder: ``Path`` of the folder of the pictures that it names.
        faulty: ``"error"`` stops at the first annotation that cannot be right; ``"skip"`` leaves
            such annotations out and notes the sentence about each in ``left_out``.

    Attributes:
        names: the pictures' file names, in the order of the file.
        classes: ``"background"`` and the names of the categories, in the order of their numbers.
        category_ids: the number that each class has in the file; 0 for the background.
        left_out: dict from ids of annotations to sentences. Masks are looked at when their picture
            is read.

    Raises:
        ValueError: if the file is not of COCO's form, names no picture, has no annotation at all,
            or a picture is missing; with ``faulty="error"`` also if an annotation has an unknown
            picture or category, the id of another, an area that is no number, or a box that is
            none or lies outside its picture.
    """

    def __init__(self, file, folder, faulty="error"):
        if faulty not in FAULTY:
            raise ValueError(f"faulty is {faulty!r}: choose 'error' or 'skip'.")
        self.file, self.folder, self.faulty = file, folder, faulty
        self.left_out, self._identities = {}, set()
        content = _read(file)
        images = _by_id(content["images"], "picture", "file_name", file)
        categories = _by_id(content["categories"], "category", "name", file)
        if not images:
            raise ValueError(f"{file} names no picture: export it again with its pictures.")
        if not content["annotations"]:
            raise ValueError(
                f"{file} has no annotations at all, so there is nothing to train on or to measure: "
                "export it again with its objects."
            )
        if len({type(identity) for identity in categories}) > 1:
            raise ValueError(f"{file} has categories with numbers and texts as ids: {AGAIN}.")
        self.category_ids = (0, *sorted(categories))
        self.classes = ("background", *(categories[i]["name"] for i in sorted(categories)))
        twice = [name for name, count in Counter(self.classes).items() if count > 1]
        if twice:
            raise ValueError(
                f"{file} has more than one category {twice[0]!r}, or one of the background: give "
                "each its own name, and none to the background."
            )
        self.names = [image["file_name"] for image in images.values()]
        self._check_names()
        self._sizes = {i["file_name"]: (i.get("height"), i.get("width")) for i in images.values()}
        self._found = {name: [] for name in self.names}
        numbers = {category: number for number, category in enumerate(self.category_ids)}
        for place, entry in enumerate(content["annotations"]):
            self._add(place, entry, images, numbers)

    def counts(self, names):
        """Returns the number of objects of some pictures, without crowds: a dict."""
        return {name: sum(not a.crowd for a in self._found[name]) for name in names}

    def read(self, name):
        """Reads a picture and its objects at their full size.

        Args:
            name: one of ``names``.

        Returns:
            uint8 image ``(height, width, 3)`` and its ``objects.Objects``, with the boxes and areas
            of the file where it has them, else those of the masks.

        Raises:
            ValueError: if the picture is damaged or has another size than the file says; with
                ``faulty="error"`` also if a mask cannot be read, is empty, or lies elsewhere than
                its box.
        """
        image = pictures.read_image(self.folder / name)
        said, size = self._sizes[name], image.shape[:2]
        if None not in said and tuple(said) != size:
            raise ValueError(
                f"The picture {self.folder / name} has {size[0]} x {size[1]} pixels (height x "
                f"width) where {self.file.name} says {said[0]} x {said[1]}: masks and boxes would "
                "not fit, so take the picture that was annotated."
            )
        found = [(a, self._mask(a, *size)) for a in self._found[name]]
        found = [(annotation, mask) for annotation, mask in found if mask is not None]
        boxes = [from_mask(mask) if a.box is None else a.box for a, mask in found]
        areas = [mask.sum() if a.area is None else a.area for a, mask in found]
        return image, Objects(
            np.array(boxes, "float32").reshape(-1, 4),
            np.array([a.category for a, _ in found], "int32"),
            np.array([mask for _, mask in found], bool).reshape(-1, *size),
            np.array([a.crowd for a, _ in found], bool),
            np.array(areas, "float32"),
        )

    def _check_names(self):
        """Checks that no picture is named twice, and that all are there."""
        twice = [name for name, count in Counter(self.names).items() if count > 1]
        if twice:
            raise ValueError(f"{self.file} names the picture {twice[0]} twice: keep one.")
        if not self.folder.is_dir():
            raise ValueError(
                f"There is no folder {self.folder} with the pictures of {self.file.name}: check "
                "the name given as images, or the layout."
            )
        there = {path.name for path in self.folder.iterdir()}
        missing = [n for n in self.names if n not in there and not (self.folder / n).is_file()]
        if missing:
            raise ValueError(
                f"{self.folder} misses {missing[0]}"
                + (f" and {len(missing) - 1} more" if len(missing) > 1 else "")
                + f", which {self.file.name} names: put the pictures there, or give their folder "
                "as images=."
            )

    def _add(self, place, entry, images, numbers):
        """Checks an annotation and adds it to its picture."""
        if not isinstance(entry, dict):
            raise ValueError(
                f"The annotation in place {place} of {self.file} is no table: {AGAIN}."
            )
        identity = entry.get("id")
        known = isinstance(identity, int | float | str)
        identity = identity if known else f"in place {place}"
        try:
            _check_identity(identity, self._identities)
            area = _area(entry.get("area"))
            image = _lookup(images, entry, "image_id", "picture")
            category = _lookup(numbers, entry, "category_id", "category")
            box = _box(entry.get("bbox"), image.get("height"), image.get("width"))
        except ValueError as error:
            self._fault(identity, error)
            return
        annotation = Annotation(
            identity,
            category,
            entry.get("segmentation"),
            box,
            area,
            bool(entry.get("iscrowd", 0)),
        )
        self._found[image["file_name"]].append(annotation)

    def _mask(self, annotation, height, width):
        """Returns the mask of an annotation, or ``None`` if it is faulty and such are left out."""
        try:
            mask = shapes.from_segmentation(annotation.segmentation, height, width)
            _check_mask(mask, annotation.box)
        except ValueError as error:
            self._fault(annotation.id, error)
            return None
        return mask

    def _fault(self, identity, error):
        sentence = (
            f"The annotation {identity} of {self.file.name} {error}: correct it, take it out of "
            "the file, or pass faulty='skip' to leave out all that are like it."
        )
        if self.faulty == "error":
            raise ValueError(sentence) from error
        self.left_out[identity] = sentence


def _read(file):
    """Returns the content of the file, which has the three tables."""
    try:
        content = json.loads(listing.read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON ({error}): {AGAIN}.") from error
    tables = ("images", "annotations", "categories")
    for table in tables:
        if not isinstance(content, dict) or not isinstance(content.get(table), list):
            raise ValueError(
                f"{file} has no list {table!r}, while COCO's instances have the lists "
                f"{', '.join(tables)}: {AGAIN}."
            )
    return content


def _by_id(entries, what, field, file):
    """Returns the entries of a table by their ids, which are checked."""
    found = {}
    for place, entry in enumerate(entries):
        named = isinstance(entry, dict) and isinstance(entry.get(field), str)
        if not named or not isinstance(entry.get("id"), int | str):
            raise ValueError(
                f"The {what} in place {place} of {file} has no id or no {field}: {AGAIN}."
            )
        if entry["id"] in found:
            raise ValueError(
                f"{file} has the id {entry['id']} for the {what} {found[entry['id']][field]!r} and "
                f"for {entry[field]!r}: give each its own."
            )
        found[entry["id"]] = entry
    return found


def _lookup(table, entry, field, what):
    if not isinstance(entry.get(field), int | str):
        raise ValueError(f"has no {field}")
    if entry[field] not in table:
        raise ValueError(f"has the {what} {entry[field]!r}, which the file does not list")
    return table[entry[field]]


def _check_identity(identity, others):
    if identity in others:
        raise ValueError("has an id that another one has too")
    others.add(identity)


def _area(area):
    """Checks an area in pixels; returns it as a float, or ``None`` without one."""
    if area is None:
        return None
    if not shapes.numbers([area]):
        raise ValueError(f"has the area {area!r}, which is no number")
    return float(area)


def _box(box, height, width):
    """Checks ``[x, y, width, height]``; returns ``(x1, y1, x2, y2)``, or ``None`` without a box."""
    if box is None:
        return None
    if not isinstance(box, list) or len(box) != 4 or not shapes.numbers(box):
        raise ValueError(f"has the box {box!r}, which is not [x, y, width, height]")
    x, y, wide, high = map(float, box)
    if wide <= 0 or high <= 0:
        raise ValueError(f"has the box {box} of no area, where [x, y, width, height] is expected")
    if shapes.numbers([height, width]):
        beyond = max(-x, -y, x + wide - width, y + high - height)
        if beyond > SLACK:
            raise ValueError(
                f"has the box {box}, which as [x, y, width, height] reaches {beyond:g} pixels out "
                f"of its picture of {height} x {width} (height x width)"
            )
    return x, y, x + wide, y + high


def _check_mask(mask, box):
    """Checks that a mask has pixels, and that they are where the box is."""
    if not mask.any():
        raise ValueError("has a mask without a pixel in its picture")
    if box is None:
        return
    found = from_mask(mask)
    if np.abs(found - box).max() <= SLACK:
        return
    sides = np.minimum(found[2:], box[2:]) - np.maximum(found[:2], box[:2])
    shared = np.prod(np.maximum(sides, 0))
    areas = [np.prod(np.subtract(b[2:], b[:2])) for b in (found, box)]
    if shared < AGREEMENT * (sum(areas) - shared):
        where = ", ".join(f"{value:g}" for value in found)
        raise ValueError(
            f"has a box ({', '.join(f'{value:g}' for value in box)}) that is not around its mask, "
            f"which is in ({where}), both as (x1, y1, x2, y2)"
        )
