"""Your own pictures: a folder with pictures, a folder with masks and a small table of classes.

Thirty photographs and what a labelling tool made of them are enough::

    leaves/
        images/    a.jpg  b.JPG  c.png ...
        masks/     a.png  b.png  c.png ...
        classes.csv

    background,0
    leaf,1

    train = pixelwise.data.load("folder", "train", root="leaves", size=128)
    test = pixelwise.data.load("folder", "test", root="leaves", size=128)
    model = pixelwise.models.fcn.fcn(train.num_classes)
    model.compile("adam", pixelwise.nn.losses.SegmentationCrossEntropy())
    pixelwise.training.fit(model, train, steps=300)
    print(pixelwise.metrics.segmentation.evaluate(model, test))

A mask has the name of its picture and is a grey or palette PNG with class numbers, or has a colour
for each class; ``class_table`` says how the table is written.
"""

import os
from pathlib import Path

from pixelwise.data import class_table, listing, splits
from pixelwise.data.paired import PairedFiles

TABLES = ("classes.csv", "classes.txt")
LOSSY = (".jpg", ".jpeg")


class Folder(PairedFiles):
    """Batches of your own pictures.

    Where there are lists ``train.txt``, ``val.txt`` or ``test.txt`` beside the folders, which name
    a picture a line, they say which picture belongs to which split. Otherwise the split is drawn,
    the same one each time; write lists to keep it when pictures are added.

    Args:
        split: ``"train"``, ``"val"`` (also ``"validation"``), ``"test"``, ``"trainval"`` or
            ``"all"``.
        root: the folder that holds the folders of pictures and masks.
        images: name of the folder of pictures, of any kind that Pillow reads.
        masks: name of the folder of masks, in a format without loss.
        mask_tail: what a mask's name has after its picture's, as ``"_mask"``.
        classes: file of the table of classes, relative to ``root``; or a list of names, numbered
            from 0; ``None`` is ``classes.csv`` or ``classes.txt``.
        void: number of pixels without a label; ``None`` is that of the class ``void`` in the table,
            else 255 unless a class has it.
        val: fraction of the pictures for val, where there are no lists.
        test: the same for test.
        split_seed: another seed draws another split.
        **others: of ``paired.Paired``: ``size``, ``batch_size``, ``seed``, ``augment``...;
            ``train`` and ``trainval`` are to train on.

    Attributes:
        classes: the names of the classes, in the order of the table's numbers or colours.

    Raises:
        ValueError: if an option is wrong, a folder or a list is missing, a picture has no mask or a
            mask no picture, the table cannot be read, or the split is empty; while batches are
            made, if a picture is damaged or a mask does not belong to it.

    Chapter: 03_deeplab.
    """

    def __init__(
        self,
        split="train",
        root=None,
        images="images",
        masks="masks",
        mask_tail="",
        classes=None,
        void=None,
        val=0.15,
        test=0.15,
        split_seed=0,
        **others,
    ):
        splits.check(split, "A folder")
        if root is None:
            raise ValueError(
                "The data set 'folder' needs root= (--data-root of 'pixelwise train'): a folder "
                "with images/, masks/ and a table classes.csv."
            )
        self.split = "val" if split == "validation" else split
        self.root = Path(root)
        if not self.root.is_dir():
            raise ValueError(f"There is no folder {root}: check the name given as root.")
        names, legend = _read_classes(self.root, classes, void)
        pairs = _Pairs(self.root, images, masks, mask_tail)
        lists = splits.lists(self.root)
        if lists:
            parts = splits.listed(lists, pairs.images, pairs.image_folder)
        else:
            parts = pairs.drawn(val, test, split_seed)
        files = pairs.files(splits.select(parts, split, self.root))
        if not files:
            raise ValueError(
                f"The split {split!r} is empty: none of the {len(pairs.images)} pictures in "
                f"{pairs.image_folder} is for it."
            )
        super().__init__(files, legend, names, splits.training(self.split), **others)


def load(split="train", **others):
    """Loads one split of your own pictures.

    Args:
        split: see ``Folder``.
        **others: of ``Folder``.

    Returns:
        A ``Folder``, batches of images float32 ``(b, h, w, 3)`` in [0, 1] and masks int32
        ``(b, h, w)``.

    Raises:
        ValueError: as ``Folder``.
    """
    return Folder(split, **others)


class _Pairs:
    """The pictures and masks of a folder by name, and how they are split."""

    def __init__(self, root, images, masks, tail):
        self.image_folder, self.mask_folder, self.tail = root / images, root / masks, tail
        self.images = listing.pictures_in(self.image_folder)
        self.masks = listing.pictures_in(self.mask_folder, tail)
        lossy = [file for file in self.masks.values() if file.suffix.lower() in LOSSY]
        if lossy:
            raise ValueError(
                f"The mask {lossy[0]} is a JPEG, whose compression changes numbers and colours: "
                "export the masks again as PNG."
            )

    def drawn(self, val, test, seed):
        """Returns the names of each part of a random split, the same for the same seed."""
        listing.check_partners(self.images, self.masks, self.mask_folder, self.tail)
        listing.check_partners(
            self.masks, self.images, self.image_folder, kind="mask", partner="picture"
        )
        return splits.drawn(self.images, val, test, seed)

    def files(self, names):
        """Returns the paths of picture and mask of some names."""
        chosen = {name: self.images[name] for name in names}
        listing.check_partners(chosen, self.masks, self.mask_folder, self.tail)
        return {name: (image, self.masks[name]) for name, image in chosen.items()}


def _read_classes(root, classes, void):
    """Returns the names of the classes and the legend of the masks."""
    if isinstance(classes, list | tuple):
        return class_table.from_names(classes, void)
    if classes is not None:
        if not isinstance(classes, str | os.PathLike):
            raise ValueError(
                f"classes is {classes!r}: give the file of the table of classes, a list of their "
                "names, or None for classes.csv."
            )
        return class_table.read(root / classes, void)
    files = [root / name for name in TABLES if (root / name).is_file()]
    if len(files) > 1:
        raise ValueError(f"{root} has both {' and '.join(TABLES)}: keep one.")
    if not files:
        raise ValueError(
            f"{root} has no table of classes: write classes.csv with a line for each class, as "
            "'background,0' and 'leaf,1', or pass classes=, a list of names."
        )
    return class_table.read(files[0], void)
