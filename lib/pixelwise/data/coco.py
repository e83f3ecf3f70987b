"""COCO 2017, or any annotations in COCO's JSON with a folder of pictures.

Lin, Maire, Belongie, Hays, Perona, Ramanan, Dollar and Zitnick, Microsoft COCO: Common Objects in
Context, ECCV 2014 (arXiv 1405.0312): 118,287 photographs to train and 5,000 to validate, with the
masks of objects of 80 classes. Annotations CC BY 4.0; the pictures have the licences of their
photographers.

Most labelling tools export the same JSON. What one of yours needs is its name and the folder of its
pictures::

    train = pixelwise.data.load(
        "coco", "train", root="leaves", annotations="leaves.json", images="photographs", test=0.3
    )
"""

import os
from pathlib import Path

from pixelwise import paths
from pixelwise.data import archives as official
from pixelwise.data import splits
from pixelwise.data.coco_json import Annotations
from pixelwise.data.instances import Instances
from pixelwise.data.objects import check_room

YEARS = {"train": "train2017", "val": "val2017", "validation": "val2017"}
FILE = "annotations/instances_{}.json"
_SERVER = "http://images.cocodataset.org"
_ANNOTATIONS = official.Archive(
    f"{_SERVER}/annotations/annotations_trainval2017.zip",
    252_907_541,
    None,
    "annotations",
    "113a836d90195ee1f884e704da6304dfaaecff1f023f49b6ca93c4aaae470268",
)
# Nobody publishes a hash of train2017.zip: its size and the checksums inside the zip are checked.
ARCHIVES = {
    "train2017": (
        _ANNOTATIONS,
        official.Archive(f"{_SERVER}/zips/train2017.zip", 19_336_861_798, None, "train2017"),
    ),
    "val2017": (
        _ANNOTATIONS,
        official.Archive(
            f"{_SERVER}/zips/val2017.zip",
            815_585_330,
            None,
            "val2017",
            "4f7e2ccb2866ec5041993c9cf2a952bbed69647b115d0f74da7ce8f4bef82f05",
        ),
    ),
}


def fetch(split="val", root=None, archives=None):
    """Downloads and unpacks what a split needs, unless it is there already; it resumes.

    Args:
        split: ``"train"`` (19.3 GB) or ``"val"`` (0.8 GB); the annotations of both are 0.25 GB.
        root: folder that gets ``annotations/`` and ``train2017/`` or ``val2017/``; ``None`` is
            ``coco/`` in the cache folder. Archives put there by hand are used, and stay.
        archives: ``Archive`` tuples; ``None`` is the official ones of the split.

    Returns:
        The ``Path`` of the folder.

    Raises:
        ValueError: if the split is another.
        pixelwise.data.download.DownloadError: if the download or an archive goes wrong.
    """
    year = _year(split)
    root = _default_root() if root is None else Path(root)
    wanted = ARCHIVES[year] if archives is None else archives
    if _pictures(root, year).is_dir():
        wanted = [archive for archive in wanted if archive.folder != year]
    return official.fetch(root, wanted)


class Coco(Instances):
    """Batches of COCO, or of any annotations in its format.

    Args:
        split: ``"train"`` or ``"val"`` (also ``"validation"``); with ``annotations`` also
            ``"test"``, ``"trainval"`` or ``"all"``.
        root: folder in the official layout: ``annotations/instances_{train,val}2017.json`` and the
            pictures in ``train2017/`` and ``val2017/``, or in ``images/train2017/`` and so on;
            ``None`` is ``coco/`` in the cache folder, or the present folder with ``annotations``.
        annotations: file of annotations, relative to ``root``; ``None`` is the official one.
        images: folder of its pictures, relative to ``root``; ``None`` is that of the file.
        val: fraction of the pictures for val, drawn at random, if one file is to be split; by
            default, with ``val`` and ``test`` 0, the file as a whole is the split that is asked
            for.
        test: the same for test.
        split_seed: another seed draws another split.
        faulty: ``"error"`` stops at the first annotation that cannot be right: without picture or
            category, with a box of no area, outside the picture or not around its mask, or without
            a mask. ``"skip"`` leaves them out and lists them in ``left_out``. ``None`` is
            ``"skip"`` for the official files, of which train2017 has two boxes of no height, and
            ``"error"`` otherwise.
        max_objects: as for ``instances.Instances``.
        **options: of ``instances.Instances``: ``size``, ``batch_size``, ``seed``, ``augment``...;
            ``train`` and ``trainval`` are to train on.

    Attributes:
        classes: ``"background"`` and the categories, in the order of their numbers in the file.
        category_ids: these numbers; 0 for the background.
        left_out: with ``faulty="skip"``, dict from ids of annotations to sentences that say what is
            wrong. Masks are looked at when their picture is read.

    Raises:
        ValueError: if an option is wrong, the file, a folder or a picture is missing, the file is
            not in COCO's format or has no annotation, a picture has more objects than
            ``max_objects``, or, with ``faulty="error"``, an annotation is faulty; while batches are
            made, if a picture is damaged or of another size, or a mask is faulty.

    Chapter: 04_mask_rcnn.
    """

    def __init__(
        self,
        split="train",
        root=None,
        annotations=None,
        images=None,
        val=0,
        test=0,
        split_seed=0,
        faulty=None,
        max_objects=100,
        **options,
    ):
        for name, value in (("root", root), ("annotations", annotations), ("images", images)):
            if not isinstance(value, str | os.PathLike | None):
                raise ValueError(f"{name} is {value!r}: give the path of a file or folder.")
        if annotations is None:
            year = _year(split)
            self.root = _default_root() if root is None else Path(root)
            file, folder = self.root / FILE.format(year), _pictures(self.root, year)
            _check_there(file, folder, self.root)
            faulty = "skip" if faulty is None else faulty
        else:
            splits.check(split, "A COCO file")
            self.root = Path() if root is None else Path(root)
            file = self.root / annotations
            folder = file.parent if images is None else self.root / images
            faulty = "error" if faulty is None else faulty
        self.split = "val" if split == "validation" else split
        self._annotations = Annotations(file, folder, faulty)
        self.category_ids = self._annotations.category_ids
        names = self._annotations.names
        if val or test:
            names = splits.select(splits.drawn(names, val, test, split_seed), split, self.root)
        if not names:
            raise ValueError(f"The split {split!r} is empty: {file} names too few pictures for it.")
        super().__init__(
            names,
            self._annotations.read,
            self._annotations.classes,
            splits.training(self.split),
            max_objects=max_objects,
            **options,
        )
        for name, count in self._annotations.counts(names).items():
            check_room(name, count, max_objects)

    @property
    def left_out(self):
        return self._annotations.left_out


def load(split="train", *, download=False, root=None, **options):
    """Loads one split of COCO 2017, or of your own annotations in its format.

    Args:
        split: see ``Coco``.
        download: ``True`` downloads the official set to ``root`` if it is not there: 19.6 GB for
            train, 1.1 GB for val.
        root: see ``Coco``.
        **options: of ``Coco``.

    Returns:
        A ``Coco``, batches of images float32 ``(b, h, w, 3)`` in [0, 1] and dicts of targets, see
        ``instances``.

    Raises:
        ValueError: as ``Coco``, or if a file of your own should be downloaded.
        pixelwise.data.download.DownloadError: if the download goes wrong.
    """
    if download and options.get("annotations") is not None:
        raise ValueError(
            "download=True is for the official set, but annotations= names a file of your own: "
            "leave one of them out."
        )
    if download:
        fetch(split, root)
    return Coco(split, root, **options)


def _default_root():
    return paths.cache_dir() / "coco"


def _year(split):
    if split == "test":
        raise ValueError(
            "COCO has no split 'test' with masks, since they were never published: measure on "
            "'val', as papers do; a recipe says test = { split = \"val\" }."
        )
    splits.check(split, "COCO, without annotations= of your own,", YEARS)
    return YEARS[split]


def _pictures(root, year):
    """Returns the folder of the pictures, in ``images/`` if that is there."""
    inside = root / "images" / year
    return inside if inside.is_dir() else root / year


def _check_there(file, folder, root):
    if not file.is_file() or not folder.is_dir():
        raise ValueError(
            f"There is no {file if not file.is_file() else folder}: pass download=True for the "
            "official set (1.1 GB for val, 19.6 GB for train), or root= (--data-root of 'pixelwise "
            f"train'), a folder with annotations/ and {folder.name}/, or annotations= and images=, "
            "a file of your own and the folder of its pictures."
        )
