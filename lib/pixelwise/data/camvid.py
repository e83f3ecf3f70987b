"""CamVid: 701 frames of drives through Cambridge, 960 x 720, in 11 classes and void.

Brostow, Fauqueur and Cipolla, Semantic Object Classes in Video: A High-Definition Ground Truth
Database, Pattern Recognition Letters 30(2), 2009. Its 32 labels are grouped into the 11 classes
that Sturgess, Alahari, Ladicky and Torr (BMVC 2009) report on, in the order of SegNet's masks
(Badrinarayanan, Kendall and Cipolla 2017). ``LABELS`` has the grouping of SegNet's training as
MathWorks' SegNet example and others list it. Sources differ on the rarer labels: some count
RoadShoulder as road, and some leave void what is not named like its class, as Wall or TrafficCone.

Three layouts are read; which of them it is, the folders tell:

- fast.ai's archive, which ``download=True`` fetches: ``images/NAME.png``, ``labels/NAME_P.png``
  with the numbers of the 32 labels, whose names stand in ``codes.txt``.
- SegNet's folders: ``train/NAME.png`` and ``trainannot/NAME.png`` with classes 0 to 10 and void 11,
  ``val`` and ``test`` likewise, and if wanted ``train.txt``, ``val.txt`` and ``test.txt``, which
  name pairs of files.
- Cambridge's own: ``701_StillsRaw_full/NAME.png`` and ``LabeledApproved_full/NAME_L.png`` in
  colours; also split into ``train`` and ``train_labels`` and so on.

SegNet's split, 367 frames to train, 101 to validate and 233 to test, goes by the frames' names, so
that it is the same in each layout.
"""

from pathlib import Path

from pixelwise import paths
from pixelwise.data import archives as official
from pixelwise.data import listing, pictures, splits
from pixelwise.data.camvid_layouts import FASTAI, SEGNET, files_of, locate
from pixelwise.data.colours import Legend, as_greys
from pixelwise.data.paired import PairedFiles
from pixelwise.results import nearest

CLASSES = (
    "Sky",
    "Building",
    "Pole",
    "Road",
    "Pavement",
    "Tree",
    "SignSymbol",
    "Fence",
    "Car",
    "Pedestrian",
    "Bicyclist",
)
# The 32 labels: their colours in Cambridge's masks, and the classes that they are grouped in.
LABELS = {
    "Animal": ((64, 128, 64), "Pedestrian"),
    "Archway": ((192, 0, 128), "Building"),
    "Bicyclist": ((0, 128, 192), "Bicyclist"),
    "Bridge": ((0, 128, 64), "Building"),
    "Building": ((128, 0, 0), "Building"),
    "Car": ((64, 0, 128), "Car"),
    "CartLuggagePram": ((64, 0, 192), "Pedestrian"),
    "Child": ((192, 128, 64), "Pedestrian"),
    "Column_Pole": ((192, 192, 128), "Pole"),
    "Fence": ((64, 64, 128), "Fence"),
    "LaneMkgsDriv": ((128, 0, 192), "Road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "Road"),
    "Misc_Text": ((128, 128, 64), "SignSymbol"),
    "MotorcycleScooter": ((192, 0, 192), "Bicyclist"),
    "OtherMoving": ((128, 64, 64), "Car"),
    "ParkingBlock": ((64, 192, 128), "Pavement"),
    "Pedestrian": ((64, 64, 0), "Pedestrian"),
    "Road": ((128, 64, 128), "Road"),
    "RoadShoulder": ((128, 128, 192), "Pavement"),
    "Sidewalk": ((0, 0, 192), "Pavement"),
    "SignSymbol": ((192, 128, 128), "SignSymbol"),
    "Sky": ((128, 128, 128), "Sky"),
    "SUVPickupTruck": ((64, 128, 192), "Car"),
    "TrafficCone": ((0, 0, 64), "Pole"),
    "TrafficLight": ((0, 64, 64), "SignSymbol"),
    "Train": ((192, 64, 128), "Car"),
    "Tree": ((128, 128, 0), "Tree"),
    "Truck_Bus": ((192, 128, 192), "Car"),
    "Tunnel": ((64, 0, 64), "Building"),
    "VegetationMisc": ((192, 192, 0), "Tree"),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), "Building"),
}
CLASS_OF = {
    label: pictures.VOID if group is None else CLASSES.index(group)
    for label, (_, group) in LABELS.items()
}
SPLITS = {
    "train": ("train",),
    "val": ("val",),
    "validation": ("val",),
    "test": ("test",),
    "trainval": ("train", "val"),
}
PROTOCOLS = ("segnet", "fastai")
SEGNET_VOID = len(CLASSES)
ARCHIVES = (
    official.Archive(
        "https://s3.amazonaws.com/fast-ai-imagelocal/camvid.tgz",
        598_913_237,
        "648371e4f3a833682afb39b08a3ce2aa",
        "camvid",
    ),
)


def fetch(root=None, archives=None):
    """Downloads and unpacks the set, unless it is there already; interrupted, it resumes.

    Args:
        root: folder that gets ``camvid/``, or has the set; ``None`` is ``camvid/`` in the cache
            folder. An archive put there by hand is used, and stays.
        archives: ``Archive`` tuples; ``None`` is fast.ai's, 599 MB.

    Returns:
        The ``Path`` of the folder of the set.

    Raises:
        pixelwise.data.download.DownloadError: if the download or the archive goes wrong.
    """
    root = _default_root() if root is None else Path(root)
    if locate(root)[0] is None:
        official.fetch(root, ARCHIVES if archives is None else archives)
    return locate(root)[0] or root


class CamVid(PairedFiles):
    """Batches of CamVid.

    Args:
        split: ``"train"``, ``"val"`` (also ``"validation"``), ``"test"``, or ``"trainval"``, train
            and val together.
        size: side of the pictures in pixels, or ``(height, width)``; SegNet's is the default.
        root: folder in one of the three layouts of this module, or the folder around it;
            ``None`` is ``camvid/`` in the cache folder.
        protocol: ``"segnet"``, its split in 367, 101 and 233 frames; or ``"fastai"``, whose
            ``valid.txt`` names the 101 of val, all others are train, and there is no test.
        **options: of ``paired.Paired``: ``batch_size``, ``seed``, ``augment``...; ``train`` and
            ``trainval`` are to train on.

    Raises:
        ValueError: if an option is wrong, if the folder, a list, a picture or a mask is missing, or
            the split is empty; while batches are made, if a picture is damaged or a mask does not
            belong to it.

    Chapter: 03_deeplab.
    """

    def __init__(self, split="train", size=(360, 480), root=None, protocol="segnet", **options):
        splits.check(split, "CamVid", SPLITS)
        if protocol not in PROTOCOLS:
            raise ValueError(f"protocol is {protocol!r}: choose one of {', '.join(PROTOCOLS)}.")
        self.split = "val" if split == "validation" else split
        root = _default_root() if root is None else Path(root)
        self.root, layout = locate(root)
        if self.root is None:
            raise ValueError(
                f"There is no CamVid in {root}: pass download=True for fast.ai's archive (599 MB), "
                "or root= (--data-root of 'pixelwise train'), a folder with images/ and labels/, "
                "train/ and trainannot/, or 701_StillsRaw_full/ and LabeledApproved_full/."
            )
        files = files_of(self.root, layout, SPLITS[split], protocol)
        if not files:
            raise ValueError(
                f"The split {split!r} is empty: {self.root} has no frame of it, with protocol="
                f"{protocol!r}."
            )
        training = self.split in ("train", "trainval")
        legend = _legend(self.root, layout)
        super().__init__(files, legend, CLASSES, training, size=size, **options)


def load(split="train", *, download=False, root=None, **options):
    """Loads one split of CamVid.

    Args:
        split: ``"train"``, ``"val"`` (also ``"validation"``), ``"test"`` or ``"trainval"``.
        download: ``True`` downloads fast.ai's archive (599 MB) to ``root`` if no CamVid is there.
        root: folder in one of the layouts, see ``CamVid``; ``None`` is ``camvid/`` in the cache
            folder.
        **options: of ``CamVid``.

    Returns:
        A ``CamVid``, batches of images float32 ``(b, h, w, 3)`` in [0, 1] and masks int32
        ``(b, h, w)``.

    Raises:
        ValueError: as ``CamVid``.
        pixelwise.data.download.DownloadError: if the download goes wrong.
    """
    if download:
        fetch(root)
    return CamVid(split, root=root, **options)


def _default_root():
    return paths.cache_dir() / "camvid"


def _legend(root, layout):
    """Returns what the pixels of the masks in a layout stand for."""
    colours = {colour: CLASS_OF[label] for label, (colour, _) in LABELS.items()}
    if layout == FASTAI:
        numbers = dict(enumerate(_read_codes(root / "codes.txt")))
    elif layout == SEGNET:
        numbers = {number: number for number in range(len(CLASSES))}
        numbers |= dict.fromkeys((SEGNET_VOID, pictures.VOID), pictures.VOID)
        colours = as_greys(numbers)
    else:
        numbers = {}
    return Legend("CamVid", numbers, colours)


def _read_codes(file):
    """Returns the class of each label that ``codes.txt`` names, in its order."""
    labels = listing.read_lines(file)
    for label in labels:
        if label not in LABELS:
            raise ValueError(
                f"{file} names {label!r}, which is no label of CamVid: "
                f"{nearest(label, list(LABELS))}."
            )
    if not labels:
        raise ValueError(f"{file} is empty: unpack the archive again.")
    return [CLASS_OF[label] for label in labels]
