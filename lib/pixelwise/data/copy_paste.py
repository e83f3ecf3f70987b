"""Copy-paste: objects of one picture of a batch laid into another, on top of any instance data set.

It makes pictures with more objects, that cover each other in more ways, without a new label.
"""

import numbers

import keras
import numpy as np

from pixelwise import batches
from pixelwise.data import objects, options, pictures

# Keeps these draws apart from those of a data set with the same seed.
STREAM = 2021


class CopyPaste(keras.utils.PyDataset):
    """The batches of another data set, with objects of the same batch pasted into its pictures.

    Each picture gets objects of another one of its batch, at the place where they are there, or
    mirrored with their whole picture. What they cover is cut off from the masks below, whose boxes
    are those of what is left; an object of which too little is left is no target any more. Batch
    ``i`` is the same whenever it is asked for. It is made of batch ``i`` of the other data set,
    which begins again after its last batch; every time through has other objects. A picture that is
    alone in the last batch stays as it is. What comes to lie on padding is an object there too.

    The paper also scales and mirrors both pictures at random first; the data sets that read files
    do so with ``augment``.

    Args:
        dataset: ``keras.utils.PyDataset`` of images and targets as at the head of ``instances``.
        probability: of pasting anything into a picture, 0..1.
        share: probability of each object of the other picture to be pasted, 0..1. There are never
            more than the arrays have room for.
        visible: share of an object's pixels that must be left uncovered for it to stay a target,
            0..1; one pixel is the least.
        flip: probability of mirroring what is pasted, 0..1.
        seed: another seed gives other draws, 0 or more.
        num_batches: length of an epoch; ``None`` is endless, as for training.
        **kwargs: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``; by
            default those of the other data set.

    Attributes:
        classes, num_classes, batch_size, max_objects: of the other data set, where it has them.

    Raises:
        ValueError: if an option is unknown or wrong, or the data set is empty or has one picture a
            batch; while batches are made, if one is not images and targets as above.

    Source: Ghiasi et al. 2021, Simple Copy-Paste is a Strong Data Augmentation Method for Instance
    Segmentation, section 3 (arXiv 2012.07177). Chapter: 04_mask_rcnn.
    """

    def __init__(
        self,
        dataset,
        probability=0.5,
        share=0.5,
        visible=0.3,
        flip=0.5,
        seed=0,
        num_batches=None,
        **kwargs,
    ):
        if not isinstance(dataset, keras.utils.PyDataset):
            raise ValueError(
                f"dataset is a {type(dataset).__name__}: give a keras.utils.PyDataset of instances."
            )
        dataset = batches.dataset(dataset)
        options.check(CopyPaste, 1, num_batches, seed, kwargs)
        given = {"probability": probability, "share": share, "visible": visible, "flip": flip}
        for name, value in given.items():
            if not isinstance(value, numbers.Real) or not 0 <= value <= 1:
                raise ValueError(f"{name} is {value!r}: give a number from 0 to 1.")
        if getattr(dataset, "batch_size", None) == 1:
            raise ValueError(
                "The data set has one picture a batch, and objects come from the others of a "
                "batch: give it batch_size=2 or more."
            )
        for name in options.OF_KERAS:
            kwargs.setdefault(name, getattr(dataset, name))
        super().__init__(**kwargs)
        self.dataset = dataset
        self.probability, self.share, self.visible, self.flip = given.values()
        self.seed = seed
        self._num_batches = num_batches
        self._period = batches.num_batches(dataset)
        for name in ("classes", "num_classes", "batch_size", "max_objects"):
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))

    @property
    def num_batches(self):
        return self._num_batches

    def __getitem__(self, index):
        """Returns batch ``index``: images and targets as those of the data set."""
        if index < 0 or (self.num_batches is not None and index >= self.num_batches):
            raise IndexError(f"Batch {index} is outside the {self.num_batches} of this data set.")
        images, targets = self.dataset[index if self._period is None else index % self._period]
        images = pictures.check_batch(images)
        _check_targets(index, images, targets)
        room, count = targets["classes"].shape[1], len(images)
        rng = np.random.default_rng([self.seed, STREAM, index])
        # Each gets from another: the picture so many places further on, around the end.
        shift = int(rng.integers(1, count)) if count > 1 else 0
        many = [
            objects.of_masks(masks[classes > 0].astype(bool), classes[classes > 0])
            for masks, classes in zip(targets["masks"], targets["classes"], strict=True)
        ]
        pasted = [
            self._paste(images, many, i, (i + shift) % count, room, rng) for i in range(count)
        ]
        images = np.stack([image for image, _ in pasted])
        return images, objects.targets([found for _, found in pasted], range(count), room)

    def _paste(self, images, many, own, other, room, rng):
        """Returns a picture and its objects with some of another's laid on top of them."""
        image, below, above = images[own], many[own], many[other]
        chosen = np.flatnonzero(rng.random(len(above)) < self.share)
        chosen = rng.permutation(chosen)[: room - len(below)]
        mirror = rng.random() < self.flip
        if rng.random() >= self.probability or own == other or not len(chosen):
            return image, below
        source, above = images[other], above.chosen(chosen)
        if mirror:
            source, above = source[:, ::-1], above.mirrored()
        cover = above.masks.any(axis=0)
        return np.where(cover[..., None], source, image), _on_top(below, above, cover, self.visible)


def _on_top(below, above, cover, visible):
    """Returns the objects that can still be seen, and those that lie on top of them."""
    masks = below.masks & ~cover
    left = masks.sum(axis=(1, 2))
    seen = (left > 0) & (left >= visible * below.areas)
    masks = np.concatenate([masks[seen], above.masks])
    return objects.of_masks(masks, np.concatenate([below.classes[seen], above.classes]))


def _check_targets(index, images, targets):
    """Checks that the targets of a batch are those of instances."""
    if not isinstance(targets, dict) or not {"classes", "masks"} <= targets.keys():
        raise ValueError(
            f"Batch {index} has no classes and masks: give a data set of instances, as "
            "pixelwise.data.load('wardrobe', targets='instances')."
        )
    classes, masks = np.shape(targets["classes"]), np.shape(targets["masks"])
    if len(classes) != 2 or masks != (*classes, *images.shape[1:3]) or classes[0] != len(images):
        raise ValueError(
            f"Batch {index} has images {images.shape}, classes {classes} and masks {masks}: give "
            "classes (batch, objects) and masks (batch, objects, height, width)."
        )
