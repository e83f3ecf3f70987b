"""Penn-Fudan: 170 photographs of streets with a mask for each of 345 pedestrians.

Wang, Shi, Song and Shen, Object Detection Combining Recognition and Segmentation, ACCV 2007. A mask
file numbers its pedestrians from 1. There is no official split: papers and tutorials draw one, as
is done here, the same one each time.
"""

import os
from pathlib import Path

import numpy as np

from pixelwise import paths
from pixelwise.data import archives as official
from pixelwise.data import listing, objects, pictures, splits
from pixelwise.data.instances import Instances

CLASSES = ("background", "pedestrian")
IMAGES, MASKS, TAIL = "PNGImages", "PedMasks", "_mask"
ARCHIVES = (
    official.Archive(
        "https://www.cis.upenn.edu/~jshi/ped_html/PennFudanPed.zip",
        None,
        "5aaa3dee905cef73325923716e38fc6d",
        "PennFudanPed",
    ),
)


def fetch(root=None, archives=None):
    """Downloads and unpacks the set, unless it is there already; interrupted, it resumes.

    Args:
        root: folder that gets ``PennFudanPed/``, or has it; ``None`` is ``penn_fudan/`` in the
            cache folder. An archive put there by hand is used, and stays.
        archives: ``Archive`` tuples; ``None`` is the official set, 54 MB.

    Returns:
        The ``Path`` of ``PennFudanPed``.

    Raises:
        pixelwise.data.download.DownloadError: if the download or the archive goes wrong.
    """
    root = _default_root() if root is None else Path(root)
    if _locate(root) is None:
        official.fetch(root, ARCHIVES if archives is None else archives)
    return _locate(root) or root


class PennFudan(Instances):
    """Batches of Penn-Fudan.

    Args:
        split: ``"train"``, ``"val"`` (also ``"validation"``), ``"test"``, ``"trainval"`` or
            ``"all"``. Of the 170 pictures 119 are for train and 51 for test, unless ``val`` and
            ``test`` say otherwise.
        root: folder in the official layout: ``PennFudanPed/`` with ``PNGImages/`` and
            ``PedMasks/``, or ``PennFudanPed`` itself; ``None`` is ``penn_fudan/`` in the cache
            folder.
        val: fraction of the pictures for val.
        test: the same for test.
        split_seed: another seed draws another split.
        **options: of ``instances.Instances``: ``size``, ``batch_size``, ``seed``, ``augment``...;
            ``train`` and ``trainval`` are to train on.

    Raises:
        ValueError: if an option is wrong, the folder is missing, a picture has no mask or a mask no
            picture, or the split is empty; while batches are made, if a picture is damaged, a mask
            does not belong to it, or it has more objects than ``max_objects``.

    Chapter: 04_mask_rcnn.
    """

    def __init__(self, split="train", root=None, val=0, test=0.3, split_seed=0, **options):
        splits.check(split, "Penn-Fudan")
        if not isinstance(root, str | os.PathLike | None):
            raise ValueError(f"root is {root!r}: give the path of a folder.")
        self.split = "val" if split == "validation" else split
        root = _default_root() if root is None else Path(root)
        self.root = _locate(root)
        if self.root is None:
            raise ValueError(
                f"There is no Penn-Fudan in {root}: pass download=True for the official set (54 "
                "MB), or root= (--data-root of 'pixelwise train'), a folder that holds "
                f"PennFudanPed with {IMAGES} and {MASKS}."
            )
        images = listing.pictures_in(self.root / IMAGES)
        masks = listing.pictures_in(self.root / MASKS, TAIL)
        listing.check_partners(images, masks, self.root / MASKS, TAIL)
        listing.check_partners(masks, images, self.root / IMAGES, kind="mask", partner="picture")
        parts = splits.drawn(images, val, test, split_seed)
        names = splits.select(parts, split, self.root)
        if not names:
            raise ValueError(
                f"The split {split!r} is empty: none of the {len(images)} pictures in {self.root} "
                f"is for it, with val={val} and test={test}."
            )
        self._files = {name: (images[name], masks[name]) for name in names}
        super().__init__(names, self.read, CLASSES, splits.training(self.split), **options)

    def read(self, name):
        """Reads a picture and its pedestrians at their full size.

        Args:
            name: as ``"FudanPed00001"``.

        Returns:
            uint8 image ``(height, width, 3)`` and its ``objects.Objects``.

        Raises:
            ValueError: if a file is damaged, or the mask has another size than the picture.
        """
        image, mask = self._files[name]
        image, mask = pictures.read_image(image), pictures.read_mask(mask)
        pictures.check_pair(image, mask, int(mask.max()) + 1, name=name)
        return image, objects.of_labels(mask, np.ones(mask.max(), int))


def load(split="train", *, download=False, root=None, **options):
    """Loads one split of Penn-Fudan.

    Args:
        split: see ``PennFudan``.
        download: ``True`` downloads the official set (54 MB) to ``root`` if it is not there.
        root: see ``PennFudan``.
        **options: of ``PennFudan``.

    Returns:
        A ``PennFudan``, batches of images float32 ``(b, h, w, 3)`` in [0, 1] and dicts of targets,
        see ``instances``.

    Raises:
        ValueError: as ``PennFudan``.
        pixelwise.data.download.DownloadError: if the download goes wrong.
    """
    if download:
        fetch(root)
    return PennFudan(split, root, **options)


def _default_root():
    return paths.cache_dir() / "penn_fudan"


def _locate(root):
    """Returns the folder ``PennFudanPed`` in, or at, the folder that was given; or ``None``."""
    for folder in (root, root / "PennFudanPed"):
        if any((folder / part).is_dir() for part in (IMAGES, MASKS)):
            return folder
    return None
