"""The data sets of the book, one file a data set.

``load(name, split)`` is the one door: it returns a ``keras.utils.PyDataset`` whose batches are
``(images, masks)``, images float32 ``(batch, height, width, 3)`` in [0, 1] and masks int32
``(batch, height, width)`` with 255 for pixels that are not labelled. Sets with a mask for each
object (COCO, LabelMe, Penn-Fudan, and the wardrobe with ``targets="instances"``) have dicts in the
place of masks, which ``instances`` describes. Sets to learn to generate (garments, MNIST) have
labels int32 ``(batch,)`` there, one a picture. The set to fill holes (removal) has a dict of
pictures and holes, and in the place of masks the pictures without holes.
"""

import importlib
import inspect

from pixelwise.lazy import attach

__getattr__, __dir__ = attach(__name__)

DATASETS = {
    "wardrobe": "pixelwise.data.wardrobe",
    "removal": "pixelwise.data.removal",
    "fashion": "pixelwise.data.fashion",
    "oxford_pets": "pixelwise.data.pets",
    "voc2012": "pixelwise.data.voc",
    "camvid": "pixelwise.data.camvid",
    "folder": "pixelwise.data.folder",
    "coco": "pixelwise.data.coco",
    "labelme": "pixelwise.data.labelme",
    "penn_fudan": "pixelwise.data.penn_fudan",
    "garments": "pixelwise.data.garments",
    "mnist": "pixelwise.data.mnist",
    "painted": "pixelwise.painted",
}


def load(name, split="train", **options):
    """Loads one split of a data set by name.

    Args:
        name: one of ``DATASETS``, for example ``"wardrobe"``.
        split: the split's name, for example ``"train"`` or ``"test"``.
        **options: passed to the data set's own ``load``; its docstring lists them.

    Returns:
        What the data set's ``load`` returns, a ``keras.utils.PyDataset`` for the labelled sets.

    Raises:
        ValueError: if the name or an option is unknown.
    """
    if not isinstance(name, str) or name not in DATASETS:
        raise ValueError(
            f"There is no data set {name!r}: choose one of {', '.join(sorted(DATASETS))}."
        )
    loader = importlib.import_module(DATASETS[name]).load
    try:
        inspect.signature(loader).bind(split, **options)
    except TypeError as error:
        raise ValueError(
            f"The data set {name!r} {error}: {DATASETS[name]}.load says which options it has."
        ) from error
    return loader(split, **options)
