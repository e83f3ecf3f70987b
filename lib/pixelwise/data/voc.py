"""Pascal VOC 2012, segmentation: 2,913 photographs with masks of 20 classes and background.

Everingham, Van Gool, Williams, Winn and Zisserman, The PASCAL Visual Object Classes (VOC)
Challenge, IJCV 2010. The masks are palette PNGs whose indices are the classes; 255 is void, the rim
around each object. A mask that another tool saved in colours is read by the same palette, exactly.

The official lists are train (1,464), val (1,449) and trainval. The masks of the test pictures were
never published, so papers report on val; in a recipe, ``test = { split = "val" }`` says so.
"""

from pathlib import Path

from pixelwise import paths
from pixelwise.data import archives as official
from pixelwise.data import listing, pictures, splits
from pixelwise.data.colours import Legend, voc_colours
from pixelwise.data.paired import PairedFiles

CLASSES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "diningtable",
    "dog",
    "horse",
    "motorbike",
    "person",
    "pottedplant",
    "sheep",
    "sofa",
    "train",
    "tvmonitor",
)
SPLITS = {"train": "train", "val": "val", "validation": "val", "trainval": "trainval"}
LISTS = "ImageSets/Segmentation"
FOLDERS = {"JPEGImages": ".jpg", "SegmentationClass": ".png"}
ARCHIVES = (
    official.Archive(
        "https://thor.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
        1_999_639_040,
        "6cd6e144f989b92b3379bac3b3de84fd",
        "VOCdevkit/VOC2012",
    ),
)
_NUMBERS = {number: number for number in (*range(len(CLASSES)), pictures.VOID)}
LEGEND = Legend(
    "Pascal VOC", _NUMBERS, {tuple(voc_colours()[n].tolist()): n for n in _NUMBERS.values()}
)


def fetch(root=None, archives=None):
    """Downloads and unpacks the set, unless it is there already; interrupted, it resumes.

    Args:
        root: folder that gets ``VOCdevkit/VOC2012/``, or has it; ``None`` is ``voc2012/`` in the
            cache folder. An archive put there by hand is used, and stays.
        archives: ``Archive`` tuples; ``None`` is the official set, 2.0 GB.

    Returns:
        The ``Path`` of ``VOC2012``.

    Raises:
        pixelwise.data.download.DownloadError: if the download or the archive goes wrong.
    """
    root = _default_root() if root is None else Path(root)
    if _locate(root) is None:
        official.fetch(root, ARCHIVES if archives is None else archives)
    return _locate(root) or root


class VOC2012(PairedFiles):
    """Batches of Pascal VOC 2012.

    Args:
        split: ``"train"``, ``"val"`` (also ``"validation"``) or ``"trainval"``.
        root: folder in the official layout: ``VOCdevkit/VOC2012/`` with ``JPEGImages/``,
            ``SegmentationClass/`` and ``ImageSets/Segmentation/{train,val,trainval}.txt``, or
            ``VOCdevkit`` or ``VOC2012`` themselves; ``None`` is ``voc2012/`` in the cache folder.
        **options: of ``paired.Paired``: ``size``, ``batch_size``, ``seed``, ``augment``...;
            ``train`` and ``trainval`` are to train on.

    Raises:
        ValueError: if an option is wrong, if the folder, a list, a picture or a mask is missing, or
            the split is empty; while batches are made, if a picture is damaged or a mask does not
            belong to it.

    Chapter: 03_deeplab.
    """

    def __init__(self, split="train", root=None, **options):
        if split == "test":
            raise ValueError(
                "Pascal VOC 2012 has no split 'test' with masks, since they were never published: "
                "measure on 'val', as papers do; a recipe says test = { split = \"val\" }."
            )
        splits.check(split, "Pascal VOC 2012", SPLITS)
        self.split = SPLITS[split]
        root = _default_root() if root is None else Path(root)
        self.root = _locate(root)
        if self.root is None:
            raise ValueError(
                f"There is no Pascal VOC 2012 in {root}: pass download=True for the official set "
                "(2.0 GB), or root= (--data-root of 'pixelwise train'), a folder that holds "
                f"VOCdevkit/VOC2012 with {', '.join(FOLDERS)} and {LISTS}."
            )
        files = _read_list(self.root, self.split)
        super().__init__(files, LEGEND, CLASSES, self.split != "val", **options)


def load(split="train", *, download=False, root=None, **options):
    """Loads one split of Pascal VOC 2012.

    Args:
        split: ``"train"``, ``"val"`` (also ``"validation"``) or ``"trainval"``.
        download: ``True`` downloads the official set (2.0 GB) to ``root`` if it is not there.
        root: folder in the official layout, see ``VOC2012``; ``None`` is ``voc2012/`` in the cache
            folder.
        **options: of ``VOC2012``.

    Returns:
        A ``VOC2012``, batches of images float32 ``(b, h, w, 3)`` in [0, 1] and masks int32
        ``(b, h, w)``.

    Raises:
        ValueError: as ``VOC2012``.
        pixelwise.data.download.DownloadError: if the download goes wrong.
    """
    if download:
        fetch(root)
    return VOC2012(split, root, **options)


def _default_root():
    return paths.cache_dir() / "voc2012"


def _locate(root):
    """Returns the folder ``VOC2012`` in, or at, the folder that was given; ``None`` without it."""
    for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if any((folder / part).is_dir() for part in (*FOLDERS, LISTS)):
            return folder
    return None


def _read_list(root, split):
    """Returns the paths of picture and mask of each name of a split, which are checked."""
    file = root / LISTS / f"{split}.txt"
    names = [line.split()[0] for line in listing.read_lines(file)]
    if not names:
        raise ValueError(f"The split {split!r} is empty: {file} names no picture.")
    for folder, ending in FOLDERS.items():
        there = {path.stem for path in (root / folder).glob(f"*{ending}")}
        listing.check_listed(names, there, root / folder, ending, file.name)
    return {name: tuple(root / f / (name + end) for f, end in FOLDERS.items()) for name in names}
