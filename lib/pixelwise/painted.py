"""Scenes that a generator painted, to train a segmentation network on: alone, or beside real ones.

The label maps are free, since the composer of the wardrobe lays out as many garments as one likes.
What a labelled scene costs in the world, the photograph and the hours of whoever draws its mask, is
asked of the generator. It had scenes to learn from itself: what it can give is what it has seen,
laid out anew. Chapter 8.
"""

import functools
import numbers

import keras
import numpy as np

from pixelwise import batches, checks, evaluation
from pixelwise.data import options, order, pictures, wardrobe
from pixelwise.metrics import segmentation

PAINTER = "mask_to_image_wardrobe"
FIRST_MAP = 1_000_000  # number of the scene with the first label map: far from all real ones


class Painted(keras.utils.PyDataset):
    """Batches of real and painted scenes; batch ``i`` is the same whenever it is asked for.

    Args:
        real: how many different real scenes there are, the first of the wardrobe's training split
            with this seed; ``None`` composes new ones without end.
        share: of painted scenes in each batch, from 0, real scenes only, to 1, painted only.
        painter: name of the recipe whose recorded generator paints, or a model with ``paint``.
        pool: how many scenes are painted, once and for all, when the data set is made.
        size: side of the pictures in pixels, as the painter was built for.
        batch_size: scenes a batch.
        seed: another seed gives other real scenes, other label maps and other noise; ``None`` is 0.
        num_batches: length of an epoch; ``None`` is endless.
        **kwargs: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``.

    Attributes:
        classes, num_classes: names and number of the classes.

    Raises:
        ValueError: if an option is unknown or not possible, or the painter paints another size.

    Chapter: 08_segment_then_generate.
    """

    def __init__(
        self,
        real=50,
        share=0.5,
        painter=PAINTER,
        pool=1000,
        size=64,
        batch_size=16,
        seed=None,
        num_batches=None,
        **kwargs,
    ):
        options.check(Painted, batch_size, num_batches, seed, kwargs)
        checks.whole("pool", pool, 1)
        kwargs.setdefault("workers", 2)
        super().__init__(**kwargs)
        self.batch_size, self.seed = batch_size, seed or 0
        self._num_batches = num_batches
        self.painted = _painted_of(share, batch_size)
        self.pool = pool if self.painted else 0
        self.classes, self.num_classes = wardrobe.CLASSES, len(wardrobe.CLASSES)
        shared = {"size": size, "seed": self.seed}
        self.real = wardrobe.Wardrobe(
            batch_size=max(1, batch_size - self.painted), scenes=real, **shared
        )
        if self.painted:
            paint = _pool if isinstance(painter, str) else _pool.__wrapped__
            self.images, self.masks = paint(painter, pool, size, self.seed)

    @property
    def num_batches(self):
        return self._num_batches

    def __getitem__(self, index):
        """Returns batch ``index``: images float32 (b, h, w, 3) in [0, 1], masks int32 (b, h, w).

        The real scenes come first, then the painted ones.
        """
        order.positions(index, self.batch_size, self.num_batches)
        if not self.painted:
            return self.real[index]
        places = order.positions(index, self.painted, None)
        rows = [order.shuffled(place, self.pool, self.seed) for place in places]
        images = self.images[rows].astype("float32") / 255
        masks = self.masks[rows].astype("int32")
        if self.painted == self.batch_size:
            return images, masks
        real = self.real[index]
        return np.concatenate([real[0], images]), np.concatenate([real[1], masks])


def load(split="train", real=50, share=0.5, painter=PAINTER, pool=1000, **options):
    """Loads real and painted scenes to train on; the other splits are the wardrobe's, all real.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        real, share, painter, pool: of ``Painted``; the other splits pass over them.
        **options: of ``Painted``, or of ``Wardrobe`` for the other splits.

    Returns:
        ``keras.utils.PyDataset``.
    """
    if split != "train":
        return wardrobe.load(split, **{"size": 64, **options})
    return Painted(real, share, painter, pool, **options)


def evaluate(model, dataset, *, painter=PAINTER, seed=0):
    """Measures a segmentation network on real scenes, and on painted ones of the same label maps.

    The two tell why painted scenes help, or do not. A network that learnt from them and reads them
    well, but not the real ones, has learnt what painted pictures have in common. One that learnt
    from real scenes and cannot read painted ones has met pictures that do not show what their label
    maps say.

    Args:
        model: pictures to logits.
        dataset: of real scenes, as for ``metrics.segmentation.evaluate``, without void.
        painter: as for ``Painted``.
        seed: of the noise.

    Returns:
        dict: what ``metrics.segmentation.evaluate`` returns for the real scenes, and
        ``painted_mean_iou`` and ``painted_iou``, a number a class, for the painted ones.

    Raises:
        ValueError: as ``metrics.segmentation.evaluate``, or if the painter does not fit the scenes.
    """
    repainted = Repainted(dataset, _named(painter), seed)
    found = segmentation.evaluate(model, repainted)
    real = segmentation.evaluate(model, dataset)
    return {**real, "painted_mean_iou": found["mean_iou"], "painted_iou": found["iou"]}


class Repainted(keras.utils.PyDataset):
    """The label maps of a data set with painted pictures in the place of its own.

    Args:
        dataset: ``keras.utils.PyDataset`` of pictures and label maps, without void.
        painter: model with ``paint``.
        seed: whole number, of the noise.
    """

    def __init__(self, dataset, painter, seed=0):
        super().__init__()
        self.dataset, self.painter, self.seed = dataset, painter, seed
        self.num_classes = dataset.num_classes

    @property
    def num_batches(self):
        return batches.num_batches(self.dataset)

    def __getitem__(self, index):
        """Returns batch ``index``: painted pictures float32 (b, h, w, 3), and the label maps."""
        masks = self.dataset[index][1]
        return as_saved(self.painter.paint(masks, seed=[self.seed, index])), masks


def as_saved(images):
    """Rounds pictures float in [0, 1] to eight bits, as if they had been saved and read."""
    return (np.rint(255 * images) / 255).astype("float32")


def maps(count, size, seed=0):
    """Lays out garments of the training split: label maps that no real scene of this book has.

    Args:
        count: how many, at least 1.
        size: side in pixels.
        seed: whole number.

    Returns:
        uint8 ``(count, size, size)``, the wardrobe's classes.
    """
    checks.whole("count", count, 1)
    scenes = wardrobe.Wardrobe(size=size, seed=seed)
    return np.stack([scenes.scene(FIRST_MAP + number).semantic for number in range(count)])


@functools.lru_cache(maxsize=1)
def _pool(painter, count, size, seed):
    """Paints scenes: (uint8 pictures (count, size, size, 3), uint8 label maps)."""
    model = _named(painter, size)  # before the label maps, which take long
    masks = maps(count, size, seed)
    images = model.paint(masks, seed=seed)
    return np.rint(255 * images).astype("uint8"), masks


def _named(painter, size=None):
    """Returns the model that paints, by the name of its recipe if need be, of a size if given."""
    model = evaluation.recorded(painter) if isinstance(painter, str) else painter
    if not hasattr(model, "paint"):
        raise ValueError(
            f"The painter {painter!r} has no paint: give the recipe of a MaskToImage, as "
            f"{PAINTER!r}, or such a model."
        )
    side = getattr(model, "size", None)
    if None not in (size, side) and pictures.as_size(size) != (side, side):
        raise ValueError(
            f"The painter paints {side} x {side} pixels and size is {size}: give size={side}, or "
            "a painter that was built for this size."
        )
    return model


def _painted_of(share, batch_size):
    """Returns how many scenes of a batch are painted."""
    real = isinstance(share, numbers.Real) and not isinstance(share, bool)
    if not real or not 0 <= share <= 1:
        raise ValueError(f"share is {share!r}: give the painted share of a batch, from 0 to 1.")
    count = round(share * batch_size)
    if (share > 0) != (count > 0) or (share < 1) != (count < batch_size):
        raise ValueError(
            f"A share of {share} of a batch of {batch_size} rounds to {count} painted scenes: take "
            "larger batches, or 0 or 1."
        )
    return count
