"""Random scale, crop and mirroring on top of any data set of batches.

The data sets that read files do this themselves, before they make a batch. This wrapper is for the
others: the wardrobe, or batches of your own.
"""

import numbers

import keras
import numpy as np

from pixelwise import batches
from pixelwise.data import options, pictures

# Keeps these draws apart from those of a data set with the same seed.
STREAM = 2018


class Augmented(keras.utils.PyDataset):
    """The batches of another data set, each pair scaled, cropped and mirrored at random.

    Batch ``i`` is the same whenever it is asked for. It is made of batch ``i`` of the other data
    set, which begins again after its last batch; every time through has other scales and crops.

    Args:
        dataset: ``keras.utils.PyDataset`` of images float ``(batch, height, width, 3)`` in [0, 1]
            and masks, integers ``(batch, height, width)``, or a pair of such arrays. The images
            are rounded to eight bits, as those of this book are anyway.
        scale: range of the scale, log-uniform; 1 leaves a picture as large as it is.
        crop: side of the crop in pixels, or ``(height, width)``; ``None`` is the picture's size.
            Where it looks beyond the picture, the mask is void.
        flip: probability of mirroring left and right, 0..1.
        seed: another seed gives other scales, crops and mirrors, 0 or more.
        num_batches: length of an epoch; ``None`` is endless, as for training.
        void: value of the mask where the crop looks beyond the picture.
        **kwargs: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``; by
            default those of the other data set.

    Attributes:
        classes, num_classes, batch_size: of the other data set, where it has them.

    Raises:
        ValueError: if an option is unknown or wrong, or the data set is empty; while batches are
            made, if one is not images and masks as above.

    Source: Chen et al. 2017 (DeepLab v3), section 4.1: scales from 0.5 to 2, random crops and
    mirroring. Chapter: 03_deeplab.
    """

    def __init__(
        self,
        dataset,
        scale=(0.5, 2.0),
        crop=None,
        flip=0.5,
        seed=0,
        num_batches=None,
        void=pictures.VOID,
        **kwargs,
    ):
        dataset = batches.dataset(dataset)
        options.check(Augmented, 1, num_batches, seed, kwargs)
        if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1]:
            raise ValueError(
                f"scale is {scale!r}: give the least and the largest, two positive numbers."
            )
        if not isinstance(flip, numbers.Real) or not 0 <= flip <= 1:
            raise ValueError(f"flip is {flip!r}: give a probability from 0 to 1.")
        for name in options.OF_KERAS:
            kwargs.setdefault(name, getattr(dataset, name))
        super().__init__(**kwargs)
        self.dataset = dataset
        self.scale = scale
        self.crop = None if crop is None else pictures.as_size(crop, "crop")
        self.flip = flip
        self.seed = seed
        self.void = void
        self._num_batches = num_batches
        self._period = batches.num_batches(dataset)
        for name in ("classes", "num_classes", "batch_size"):
            if hasattr(dataset, name):
                setattr(self, name, getattr(dataset, name))

    @property
    def num_batches(self):
        return self._num_batches

    def __getitem__(self, index):
        """Returns batch ``index``: images float32 (b, h, w, 3) in [0, 1], masks int32 (b, h, w)."""
        if index < 0 or (self.num_batches is not None and index >= self.num_batches):
            raise IndexError(f"Batch {index} is outside the {self.num_batches} of this data set.")
        images, masks = self.dataset[index if self._period is None else index % self._period]
        images, masks = pictures.check_batch(images), np.asarray(masks)
        if masks.shape != images.shape[:3]:
            raise ValueError(
                f"Batch {index} has images {images.shape} and masks {masks.shape}: give each image "
                "a mask of its height and width."
            )
        images = np.rint(255 * images).clip(0, 255).astype("uint8")
        rng = np.random.default_rng([self.seed, STREAM, index])
        size = self.crop or images.shape[1:3]
        # augment_pair counts from the scale at which the picture just fits into the crop.
        scale = np.divide(self.scale, pictures.fit(images.shape[1:], size))
        pairs = [
            pictures.augment_pair(
                image, mask, size, rng, scale=scale, flip=self.flip, void=self.void
            )
            for image, mask in zip(images, masks, strict=True)
        ]
        images = np.stack([image for image, _ in pairs]).astype("float32") / 255
        return images, np.stack([mask for _, mask in pairs]).astype("int32")
