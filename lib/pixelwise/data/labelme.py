"""Your own objects, as the labelling tool LabelMe writes them: a JSON file for each picture.

A folder of pictures and JSON files is enough::

    leaves/
        a.jpg  a.json  b.jpg  b.json ...

    train = pixelwise.data.load("labelme", "train", root="leaves", size=256)
    test = pixelwise.data.load("labelme", "test", root="leaves", size=256)

Each polygon, rectangle, circle or mask is an object; shapes of one label and one group belong to
one object. Pictures without a JSON file are not labelled and are passed over; a picture without
objects has a JSON file without shapes. Points and lines enclose nothing and are refused.
"""

import base64
import binascii
import io
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image

from pixelwise.data import listing, objects, pictures, shapes, splits
from pixelwise.data.instances import Instances
from pixelwise.results import nearest

AGAIN = "save it again with LabelMe, or move it away"
# Kinds of shapes that enclose something, and the points they need.
NEEDED = {"polygon": 3, "rectangle": 2, "circle": 2, "mask": 2}


class LabelMe(Instances):
    """Batches of a folder that was labelled with LabelMe.

    Where there are lists ``train.txt``, ``val.txt`` or ``test.txt`` in the folder, which name a
    picture a line, they say which picture belongs to which split. Otherwise the split is drawn, the
    same one each time; write lists to keep it when pictures are added.

    Args:
        split: ``"train"``, ``"val"`` (also ``"validation"``), ``"test"``, ``"trainval"`` or
            ``"all"``.
        root: the folder that holds the JSON files; the pictures lie where these say, or beside
            them.
        classes: list of the labels, the first gets the number 1; ``None`` is all labels of the
            folder by the alphabet.
        val: fraction of the pictures for val, where there are no lists.
        test: the same for test.
        split_seed: another seed draws another split.
        max_objects: as for ``instances.Instances``.
        **options: of ``instances.Instances``: ``size``, ``batch_size``, ``seed``, ``augment``...;
            ``train`` and ``trainval`` are to train on.

    Attributes:
        classes: ``"background"`` and the labels.

    Raises:
        ValueError: if an option is wrong, the folder has no JSON file, one is not LabelMe's, a
            picture is missing, a shape has an unknown label or encloses nothing, a picture has more
            objects than ``max_objects``, or the split is empty; while batches are made, if a
            picture is damaged or of another size than its JSON file says.

    Chapter: 04_mask_rcnn.
    """

    def __init__(
        self,
        split="train",
        root=None,
        classes=None,
        val=0.15,
        test=0.15,
        split_seed=0,
        max_objects=32,
        **options,
    ):
        splits.check(split, "A folder of LabelMe")
        if not isinstance(root, str | os.PathLike):
            raise ValueError(
                "The data set 'labelme' needs root= (--data-root of 'pixelwise train'): a folder "
                "of pictures with the JSON files that LabelMe writes."
            )
        self.root = Path(root)
        if not self.root.is_dir():
            raise ValueError(f"There is no folder {root}: check the name given as root.")
        self.split = "val" if split == "validation" else split
        files = {file.stem: file for file in sorted(self.root.glob("*.json"))}
        if not files:
            raise ValueError(
                f"{root} has no JSON file: label the pictures with LabelMe and save them there."
            )
        self._labelled = {name: _read(file) for name, file in files.items()}
        labels = {label for _, found in self._labelled.values() for label, _ in found}
        classes = sorted(labels) if classes is None else classes
        if not isinstance(classes, list | tuple) or not all(isinstance(c, str) for c in classes):
            raise ValueError(f"classes is {classes!r}: give the labels of {root} as a list.")
        self._classes = ("background", *classes)
        self._check_labels()
        lists = splits.lists(self.root)
        if lists:
            parts = splits.listed(lists, files, self.root)
        else:
            parts = splits.drawn(files, val, test, split_seed)
        names = splits.select(parts, split, self.root)
        if not names:
            raise ValueError(
                f"The split {split!r} is empty: none of the {len(files)} JSON files in {root} is "
                "for it."
            )
        training = splits.training(self.split)
        super().__init__(
            names, self.read, self._classes, training, max_objects=max_objects, **options
        )
        for name in names:
            objects.check_room(name, len(self._labelled[name][1]), max_objects)

    def read(self, name):
        """Reads a picture and its objects at their full size.

        Args:
            name: of a JSON file, without its ending.

        Returns:
            uint8 image ``(height, width, 3)`` and its ``objects.Objects``.

        Raises:
            ValueError: if the picture is damaged or has another size than the file says, or a shape
                has no pixel in the picture.
        """
        content, found = self._labelled[name]
        file = self.root / f"{name}.json"
        image = pictures.read_image(content["picture"])
        height, width = image.shape[:2]
        if content["size"] != (height, width):
            said = " x ".join(map(str, content["size"]))
            raise ValueError(
                f"The picture {content['picture']} has {height} x {width} pixels (height x width) "
                f"where {file} says {said}: its shapes would not fit, so take the picture that was "
                "labelled."
            )
        masks = np.zeros((len(found), height, width), bool)
        for mask, (label, parts) in zip(masks, found, strict=True):
            for part in parts:
                try:
                    mask |= _mask(part, height, width)
                except ValueError as error:
                    raise ValueError(
                        f"The shape {label!r} of {file} {error}: draw it again, or delete it."
                    ) from error
            if not mask.any():
                raise ValueError(
                    f"The shape {label!r} of {file} has no pixel in its picture: draw it again, or "
                    "delete it."
                )
        return image, objects.of_masks(masks, [self._classes.index(label) for label, _ in found])

    def _check_labels(self):
        """Checks that every label is a class, and that no class is there twice."""
        known = self._classes[1:]
        if not known or len({*self._classes}) != len(self._classes):
            raise ValueError(
                f"classes is {known!r}: give the labels of {self.root}, each once and without "
                "'background'."
            )
        for name, (_, found) in self._labelled.items():
            for label, _ in found:
                if label not in known:
                    raise ValueError(
                        f"{self.root / name}.json has the label {label!r}, which is not among "
                        f"classes: {nearest(label, known)}."
                    )


def load(split="train", **options):
    """Loads one split of a folder that was labelled with LabelMe.

    Args:
        split: see ``LabelMe``.
        **options: of ``LabelMe``.

    Returns:
        A ``LabelMe``, batches of images float32 ``(b, h, w, 3)`` in [0, 1] and dicts of targets,
        see ``instances``.

    Raises:
        ValueError: as ``LabelMe``.
    """
    return LabelMe(split, **options)


def _read(file):
    """Reads a JSON file of LabelMe.

    Returns:
        ``({"picture": Path, "size": (height, width)}, objects)``: the objects are pairs of a label
        and its shapes.
    """
    try:
        content = json.loads(listing.read_text(file))
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"{file} is no JSON ({error}): {AGAIN}.") from error
    fields = ("shapes", "imagePath", "imageHeight", "imageWidth")
    for field in fields:
        if not isinstance(content, dict) or content.get(field) is None:
            raise ValueError(f"{file} has no {field!r}, which LabelMe writes: {AGAIN}.")
    if not isinstance(content["shapes"], list):
        raise ValueError(f"{file} has 'shapes' that are no list: {AGAIN}.")
    found = {}
    for place, shape in enumerate(content["shapes"]):
        try:
            label, group = _check_shape(shape)
        except ValueError as error:
            raise ValueError(
                f"The shape in place {place} of {file} {error}: correct it with LabelMe, or delete "
                "it."
            ) from error
        key = (place,) if group is None else (label, group)
        found.setdefault(key, (label, []))[1].append(shape)
    size = (content["imageHeight"], content["imageWidth"])
    return {"picture": _picture(file, content["imagePath"]), "size": size}, [*found.values()]


def _picture(file, said):
    """Returns the picture that a JSON file names, or the one beside it that has its name."""
    named = file.parent / str(said).replace("\\", "/")
    beside = [file.with_suffix(ending) for ending in listing.ENDINGS]
    for path in (named, file.parent / named.name, *beside):
        if path.is_file():
            return path
    raise ValueError(
        f"There is no picture {said} for {file}: put it beside the JSON file, under its name."
    )


def _check_shape(shape):
    """Checks that a shape encloses something; returns its label and its group."""
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
        raise ValueError("has no label")
    kind, points = shape.get("shape_type", "polygon"), shape.get("points")
    if not isinstance(kind, str) or kind not in NEEDED:
        raise ValueError(f"is a {kind}, which encloses nothing: choose among {', '.join(NEEDED)}")
    pairs = isinstance(points, list) and all(isinstance(p, list) and len(p) == 2 for p in points)
    if not pairs or not shapes.numbers([value for point in points for value in point]):
        raise ValueError("has points that are no pairs of numbers, [[x, y], ...]")
    if len(points) < NEEDED[kind]:
        raise ValueError(f"is a {kind} of {len(points)} points where {NEEDED[kind]} are needed")
    group = shape.get("group_id")
    if not isinstance(group, int | str | None):
        raise ValueError(f"has the group_id {group!r}, which is no number")
    return shape["label"], group


def _mask(shape, height, width):
    """Returns the mask of one shape, bool ``(height, width)``."""
    kind, points = shape.get("shape_type", "polygon"), shape["points"]
    if kind == "circle":
        return shapes.from_circle(points[0], points[1], height, width)
    if kind == "mask":
        return _decode(shape, height, width)
    if kind == "rectangle":
        (left, top), (right, bottom) = np.min(points, axis=0), np.max(points, axis=0)
        points = [[left, top], [right, top], [right, bottom], [left, bottom]]
    return shapes.from_polygons([np.ravel(points).tolist()], height, width)


def _decode(shape, height, width):
    """Returns the mask that a shape holds as a picture, whose corner is its first point."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(shape["mask"], validate=True))) as picture:
            part = np.array(picture.convert("L")) > 0
    except (KeyError, TypeError, binascii.Error, *pictures.UNREADABLE) as error:
        raise ValueError(f"has a mask that cannot be decoded ({error})") from error
    left, top = (round(value) for value in shape["points"][0])
    return objects.place(part, top, left, (height, width))
