"""Batches of pictures that lie in files: their order, their number, and what is kept in memory.

What the labels are, and what a batch looks like, the classes say that are built on this one:
``paired.Paired`` for one mask a picture, ``instances.Instances`` for one mask an object.
"""

import math
import numbers

import keras
import numpy as np

from pixelwise.data import options, order, pictures


class Series(keras.utils.PyDataset):
    """Pictures by name, in the order of their list or shuffled; a position always has the same.

    The first four arguments come from the data set that is built on this one, the rest from its
    user; ``paired.Paired`` describes them.

    Args:
        names: the names of the pictures, in the order of their list.
        read: function of a name that returns a uint8 image ``(height, width, 3)`` and its label.
        classes: the names of the classes.
        training: whether these are pictures to train on.

    Attributes:
        names, classes: as given; ``num_classes`` is the number of classes.

    Raises:
        ValueError: if an option is unknown or wrong.
    """

    def __init__(
        self,
        names,
        read,
        classes,
        training,
        /,
        size=224,
        batch_size=16,
        seed=0,
        augment=None,
        shuffle=None,
        num_batches=None,
        scale=(0.8, 1.6),
        cache=1024,
        **kwargs,
    ):
        options.check(type(self), batch_size, num_batches, seed, kwargs)
        options.check_switches(augment=augment, shuffle=shuffle)
        _check_scale_and_cache(scale, cache)
        kwargs.setdefault("workers", 2)
        kwargs.setdefault("max_queue_size", 8)
        super().__init__(**kwargs)
        self.names = names
        self.classes = classes
        self.num_classes = len(classes)
        self.size = pictures.as_size(size)
        self.batch_size = batch_size
        self.seed = seed
        self.augment = training if augment is None else augment
        self.shuffle = training if shuffle is None else shuffle
        self.scale = scale
        if num_batches is None and not self.shuffle:
            num_batches = math.ceil(len(names) / batch_size)
        self._num_batches = num_batches
        self._read = read
        self._cache = {}
        self._room = cache * 2**20

    @property
    def num_batches(self):
        return self._num_batches

    def _positions(self, index):
        """Returns the positions of batch ``index`` in the (endless, when shuffled) sequence."""
        length = None if self.shuffle else len(self.names)
        return order.positions(index, self.batch_size, self.num_batches, length)

    def _name(self, position):
        """Returns the name of the picture at a position of the sequence."""
        count = len(self.names)
        if self.shuffle:
            return self.names[order.shuffled(position, count, self.seed)]
        return self.names[position % count]

    def _small(self, name):
        """Reads a picture and its label at the size they are used at, or takes them from memory."""
        if name in self._cache:
            return self._cache[name]
        image, label = self._shrink(*self._read(name))
        if image.nbytes + label.nbytes <= self._room:
            self._room -= image.nbytes + label.nbytes
            self._cache[name] = image, label
        return image, label

    def _shrink(self, image, label):
        """Scales a picture and its label to the (largest) size they are used at."""
        raise NotImplementedError


def _check_scale_and_cache(scale, cache):
    if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1]:
        raise ValueError(
            f"scale is {scale!r}: give the least and the largest, two positive numbers."
        )
    if not isinstance(cache, numbers.Real) or not cache >= 0:
        raise ValueError(f"cache is {cache!r}: give MiB of memory, 0 or more.")
