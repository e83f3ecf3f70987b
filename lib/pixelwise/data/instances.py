"""Batches of pictures with a mask for each object: what the instance data sets share.

A batch is ``(images, targets)``: images float32 ``(batch, height, width, 3)`` in [0, 1] and a dict
of arrays that are padded to ``max_objects`` objects a picture, so that a model is compiled once:

    boxes     float32 (batch, max_objects, 4)               (x1, y1, x2, y2) in pixels
    classes   int32   (batch, max_objects)                  0 where there is padding
    masks     uint8   (batch, max_objects, height, width)   1 on the object

A picture is scaled to fit into the frame, undistorted, and lies in its upper left corner; right of
it and below it is padding, zeros. (A box is then its original times one factor, and a detector that
asks for the height and width of the picture knows where it ends.) Masks are resized to the nearest
pixel. Boxes and areas are those of the resized masks, also where the file has others: what a
network is taught about a box is then exactly what it is taught about the mask. Objects that have no
pixel left, because they became too small or were cut off, are left out.

Training pictures are scaled, cropped and mirrored at random. Crowd regions are no targets; for
measuring, ``Instances.evaluation_batch`` has them.
"""

import numbers

import numpy as np

from pixelwise import checks
from pixelwise.data import objects, pictures
from pixelwise.data.series import Series


class Instances(Series):
    """Batches of pictures and their objects; batch ``i`` is the same whenever it is asked for.

    The first four arguments come from the data set that is built on this one, the rest from its
    user.

    Args:
        names: the names of the pictures, in the order of their list.
        read: function of a name that returns a uint8 image ``(height, width, 3)`` and its
            ``objects.Objects``, as they stand in the files.
        classes: the names of the classes, ``"background"`` first.
        training: whether these are pictures to train on.
        size: side of the frame in pixels, or ``(height, width)``.
        max_objects: objects a picture that the arrays have room for.
        batch_size: pictures a batch; the last batch of an ordered split may be smaller.
        seed: another seed gives another order, other crops and other mirrors.
        augment: random scale, crop and mirroring; ``None`` is yes for training.
        scale: range of the random scale, log-uniform; at 1 the picture fits just inside the frame,
            below it is smaller, above it a part of it is taken.
        flip: probability of mirroring left and right, 0..1, where ``augment`` is on.
        shuffle: random order, a new one each time through; ``None`` is yes for training.
        num_batches: length of an epoch; ``None`` is endless when shuffled, else once through.
        cache: MiB of memory for decoded pictures (they are kept small); 0 decodes at each use.
        **others: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``.

    Attributes:
        names, classes, max_objects: as given; ``num_classes`` counts the background too.

    Raises:
        ValueError: if an option is unknown or wrong; while batches are made, what ``read`` raises,
            or if a picture has more objects than ``max_objects``.

    Source: the random scale with padding or crop is that of Ghiasi et al. 2021 (Copy-Paste),
    section 3. Chapter: 04_mask_rcnn.
    """

    def __init__(
        self,
        names,
        read,
        classes,
        training,
        /,
        size=256,
        max_objects=32,
        batch_size=8,
        scale=(0.8, 1.25),
        flip=0.5,
        **others,
    ):
        checks.whole("max_objects", max_objects, 1)
        if not isinstance(flip, numbers.Real) or not 0 <= flip <= 1:
            raise ValueError(f"flip is {flip!r}: give a probability from 0 to 1.")
        super().__init__(
            names, read, classes, training, size=size, batch_size=batch_size, scale=scale, **others
        )
        self.max_objects = max_objects
        self.flip = flip

    def __getitem__(self, index):
        """Returns batch ``index``: images and targets as at the head of this module."""
        images, many, names = self._batch(index)
        return images, objects.targets(many, names, self.max_objects)

    def evaluation_batch(self, index):
        """Returns batch ``index`` with all that measuring needs: the same pictures, crowds too.

        Args:
            index: 0 to ``num_batches - 1``.

        Returns:
            ``(images, targets)``: images as in a batch; targets padded to the largest number of
            objects in this batch, so that ``max_objects`` does not matter here, with ``"crowd"``
            bool ``(batch, objects)`` and ``"areas"`` float32 ``(batch, objects)``, the pixels of
            each mask, beside the three of a batch.
        """
        images, many, _ = self._batch(index)
        return images, objects.batch(many)

    def original(self, place):
        """Reads one picture at its own size, with the boxes and areas of its file.

        Published figures are measured so, and not on pictures that were made smaller.

        Args:
            place: of the picture in ``names``.

        Returns:
            ``(images, targets)`` as ``evaluation_batch``, a batch of one.
        """
        image, labelled = self._read(self.names[place])
        return image[None].astype("float32") / 255, objects.batch([labelled])

    def example(self, position):
        """Returns the picture at one position of the (endless, when shuffled) sequence.

        Args:
            position: 0, 1, ...; batch ``i`` begins at ``i * batch_size``.

        Returns:
            uint8 image ``(height, width, 3)`` and its ``objects.Objects``.
        """
        image, labelled = self._small(self._name(position))
        if self.augment:
            rng = np.random.default_rng([self.seed, 1, position])
            return self._varied(image, labelled, rng)
        return image, labelled

    def _batch(self, index):
        positions = self._positions(index)
        examples = [self.example(position) for position in positions]
        images = np.stack([image for image, _ in examples]).astype("float32") / 255
        return images, [found for _, found in examples], [self._name(p) for p in positions]

    def _shrink(self, image, labelled):
        fit = pictures.fit(image.shape, self.size)
        if self.augment:
            return scale_objects(image, labelled, min(1.0, self.scale[1] * fit))
        return self._framed(*scale_objects(image, labelled, fit), 0, 0)

    def _varied(self, image, labelled, rng):
        """Scales a picture at random, cuts out or pads a frame, and mirrors it now and then."""
        factor = np.exp(rng.uniform(*np.log(self.scale)))
        fit = pictures.fit(image.shape, self.size)
        image, labelled = scale_objects(image, labelled, fit * factor)
        over = [max(0, have - want) for have, want in zip(image.shape, self.size, strict=False)]
        top, left = (-int(rng.integers(rest + 1)) for rest in over)
        if rng.random() < self.flip:  # before the padding, which stays right of the picture
            image, labelled = image[:, ::-1], labelled.mirrored()
        return self._framed(image, labelled, top, left)

    def _framed(self, image, labelled, top, left):
        return (
            objects.place(image, top, left, self.size),
            labelled.placed(top, left, self.size),
        )


def scale_objects(image, labelled, factor):
    """Scales a picture and its objects by one factor, to at least one pixel a side.

    Args:
        image: uint8 ``(height, width, 3)``.
        labelled: its ``objects.Objects``.
        factor: above 0.

    Returns:
        The image and the ``Objects``, without those that vanish.
    """
    size = tuple(max(1, round(side * factor)) for side in image.shape[:2])
    return pictures.resize_image(image, size), labelled.resized(size)
