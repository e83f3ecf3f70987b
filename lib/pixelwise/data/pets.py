"""The Oxford-IIIT Pet set: 7,349 photographs of 37 breeds of cats and dogs, with trimaps.

Parkhi, Vedaldi, Zisserman and Jawahar, Cats and Dogs, CVPR 2012; CC BY-SA 4.0. A trimap says 1 on
the pet, 2 on the background and 3 on the border between them, which annotators leave undecided;
here the classes are 0 background and 1 pet, and the border is void (255).

Training pictures are scaled, cropped and mirrored at random. Test pictures are letterboxed: scaled
to fit inside the frame with nothing cut and nothing distorted, and what surrounds them is void too,
so that it counts neither for nor against a model.
"""

import functools
from pathlib import Path

import numpy as np

from pixelwise import paths
from pixelwise.data import listing, pictures, splits
from pixelwise.data.archives import Archive
from pixelwise.data.archives import fetch as fetch_archives
from pixelwise.data.paired import Paired

CLASSES = ("background", "pet")
SPLITS = {"train": "trainval", "trainval": "trainval", "test": "test"}
# From the trimap's values to ours; -1 marks values that no trimap has.
FROM_TRIMAP = np.full(256, -1, "int16")
FROM_TRIMAP[[1, 2, 3]] = 1, 0, pictures.VOID


_SERVER = "https://www.robots.ox.ac.uk/~vgg/data/pets/data"
ARCHIVES = (
    Archive(f"{_SERVER}/images.tar.gz", 791_918_971, "5c4f3ee8e5d25df40f4fd59a7f44e54c", "images"),
    Archive(
        f"{_SERVER}/annotations.tar.gz",
        19_173_078,
        "95a8c909bbe2e81eed6a22bccdf3f68f",
        "annotations",
    ),
)


def fetch(root=None, archives=None):
    """Downloads and unpacks the set, unless it is there already; interrupted, it resumes.

    Args:
        root: folder that gets ``images/`` and ``annotations/``; ``None`` is ``oxford_pets/`` in
            the cache folder. Archives put there by hand are used, and stay.
        archives: ``Archive`` tuples; ``None`` is the official set, 811 MB.

    Returns:
        The ``Path`` of the folder.

    Raises:
        pixelwise.data.download.DownloadError: if the download or the archive goes wrong.
    """
    root = _default_root() if root is None else Path(root)
    return fetch_archives(root, ARCHIVES if archives is None else archives)


class Pets(Paired):
    """Batches of pets; batch ``i`` is the same whenever it is asked for.

    Args:
        split: ``"trainval"`` (also ``"train"``) or ``"test"``, as the official lists have them.
        size: side of the pictures in pixels, or ``(height, width)``.
        batch_size: pictures a batch; the last batch of an ordered split may be smaller.
        seed: another seed gives another order and other crops.
        root: folder in the official layout: ``images/``, ``annotations/trimaps/`` and
            ``annotations/{trainval,test}.txt``; ``None`` is ``oxford_pets/`` in the cache folder.
        augment: random scale, crop and mirroring instead of letterboxing; ``None`` is yes for
            trainval and no for test.
        shuffle: random order, a new one each time through; ``None`` as ``augment``.
        num_batches: length of an epoch; ``None`` is endless when shuffled, else once through.
        scale: range of the random scale; at 1 the whole picture fits just inside the frame.
        breeds: names as ``("Abyssinian", "Bengal")``; ``None`` is all.
        cache: MiB of memory for decoded pictures (they are kept small); 0 decodes at each use.
        **kwargs: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``.

    Raises:
        ValueError: if an option is wrong, if the folder, a list, a picture or a trimap is missing,
            or the split is empty; while batches are made, if a picture is damaged or a trimap does
            not belong to it.

    Chapter: 02_fcn.
    """

    def __init__(
        self,
        split="trainval",
        size=224,
        batch_size=16,
        seed=0,
        root=None,
        augment=None,
        shuffle=None,
        num_batches=None,
        scale=(0.8, 1.6),
        breeds=None,
        cache=1024,
        **kwargs,
    ):
        splits.check(split, "Oxford-IIIT Pet", SPLITS)
        self.split = SPLITS[split]
        self.root = _default_root() if root is None else Path(root)
        names = _select(_read_list(self.root, self.split), breeds, self.split)
        _check_files(self.root, names)
        super().__init__(
            names,
            functools.partial(read_pair, self.root),
            CLASSES,
            self.split == "trainval",
            size=size,
            batch_size=batch_size,
            seed=seed,
            augment=augment,
            shuffle=shuffle,
            num_batches=num_batches,
            scale=scale,
            cache=cache,
            **kwargs,
        )


def load(split="trainval", *, download=False, root=None, **options):
    """Loads one split of the pets.

    Args:
        split: ``"trainval"`` (also ``"train"``) or ``"test"``.
        download: ``True`` downloads the official set (811 MB) to ``root`` if it is not there.
        root: folder in the official layout; ``None`` is ``oxford_pets/`` in the cache folder.
        **options: of ``Pets``: ``size``, ``batch_size``, ``seed``, ``augment``, ``num_batches``...

    Returns:
        A ``Pets``, batches of images float32 ``(b, h, w, 3)`` in [0, 1] and masks int32
        ``(b, h, w)``.

    Raises:
        ValueError: as ``Pets``.
        pixelwise.data.download.DownloadError: if the download goes wrong.
    """
    if download:
        fetch(root)
    return Pets(split, root=root, **options)


def read_pair(root, name):
    """Reads one photograph and its mask at their full size.

    Args:
        root: folder in the official layout.
        name: as ``"Abyssinian_100"``.

    Returns:
        uint8 image ``(height, width, 3)``; uint8 mask ``(height, width)``: 0 background, 1 pet,
        255 border.

    Raises:
        ValueError: if a file is damaged, the trimap has a value other than 1, 2 and 3, or its size
            is not that of the photograph.
    """
    image = pictures.read_image(Path(root) / "images" / f"{name}.jpg")
    file = Path(root) / "annotations" / "trimaps" / f"{name}.png"
    trimap = pictures.read_mask(file)
    mask = FROM_TRIMAP[np.clip(trimap, 0, 255)]
    if (mask < 0).any():
        raise ValueError(
            f"The trimap {file} has the unknown value {trimap[mask < 0][0]}: a trimap holds 1 "
            "(pet), 2 (background) and 3 (border)."
        )
    mask = mask.astype("uint8")
    pictures.check_pair(image, mask, len(CLASSES), name=name)
    return image, mask


def breed(name):
    """Returns the breed of a picture's name: ``"Abyssinian"`` of ``"Abyssinian_100"``."""
    return name.rpartition("_")[0]


def _default_root():
    return paths.cache_dir() / "oxford_pets"


def _read_list(root, split):
    """Reads the names of one split; lines are ``name class species breed``, ``#`` a comment."""
    file = root / "annotations" / f"{split}.txt"
    if not file.is_file():
        raise ValueError(
            f"There is no {file}: pass download=True for the official set (811 MB), or root= "
            "(--data-root of 'pixelwise train'), a folder with images/ and annotations/ in the "
            "official layout."
        )
    names = [line.split()[0] for line in listing.read_lines(file)]
    if not names:
        raise ValueError(f"The split {split!r} is empty: {file} names no picture.")
    return names


def _select(names, breeds, split):
    if breeds is None:
        return names
    breeds = (breeds,) if isinstance(breeds, str) else tuple(breeds)
    known = sorted({breed(name) for name in names})
    for wanted in breeds:
        if wanted not in known:
            raise ValueError(
                f"The split {split!r} has no breed {wanted!r}: choose among {', '.join(known)}."
            )
    chosen = [name for name in names if breed(name) in breeds]
    if not chosen:
        raise ValueError(f"The split {split!r} is empty: breeds is {breeds!r}, name at least one.")
    return chosen


def _check_files(root, names):
    """Checks that every picture that a list names is there, and its trimap."""
    for folder, ending in (("images", ".jpg"), ("annotations/trimaps", ".png")):
        there = {file.stem for file in (root / folder).glob(f"*{ending}")}
        listing.check_listed(names, there, root / folder, ending)
