"""Batches of pictures and masks that lie in files: what the public sets and your own folder share.

Training pictures are scaled, cropped and mirrored at random. Test pictures are letterboxed: scaled
to fit inside the frame with nothing cut and nothing distorted, and what surrounds them is void
(255), so that it counts neither for nor against a model.
"""

import functools
import math
import numbers

import keras
import numpy as np

from pixelwise.data import options, pictures
from pixelwise.data.colours import read_labels


class Paired(keras.utils.PyDataset):
    """Batches of pairs; batch ``i`` is the same whenever it is asked for.

    The first four arguments come from the data set that is built on this one, the rest from its
    user.

    Args:
        names: the names of the pairs, in the order of their list.
        read: function of a name that returns a uint8 image ``(height, width, 3)`` and its uint8
            mask ``(height, width)`` with 255 for void. A function of a module, or a
            ``functools.partial`` of one, can be sent to other processes.
        classes: the names of the classes.
        training: whether these are pictures to train on.
        size: side of the pictures in pixels, or ``(height, width)``.
        batch_size: pictures a batch; the last batch of an ordered split may be smaller.
        seed: another seed gives another order and other crops.
        augment: random scale, crop and mirroring instead of letterboxing; ``None`` is yes for
            training.
        shuffle: random order, a new one each time through; ``None`` is yes for training.
        num_batches: length of an epoch; ``None`` is endless when shuffled, else once through.
        scale: range of the random scale; at 1 the whole picture fits just inside the frame.
        cache: MiB of memory for decoded pictures (they are kept small); 0 decodes at each use.
        **kwargs: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``.

    Attributes:
        names: as given.
        classes: as given; ``num_classes`` is their number.

    Raises:
        ValueError: if an option is unknown or wrong; while batches are made, what ``read`` raises.

    Chapter: 03_deeplab.
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

    def __getitem__(self, index):
        """Returns batch ``index``: images float32 (b, h, w, 3) in [0, 1], masks int32 (b, h, w)."""
        first = index * self.batch_size
        last = first + self.batch_size
        if not self.shuffle:
            last = min(last, len(self.names))
        beyond = self.num_batches is not None and index >= self.num_batches
        if beyond or not 0 <= first < last:
            raise IndexError(f"Batch {index} is outside the {self.num_batches} of this split.")
        pairs = [self.pair(position) for position in range(first, last)]
        images = np.stack([image for image, _ in pairs]).astype("float32") / 255
        return images, np.stack([mask for _, mask in pairs]).astype("int32")

    def pair(self, position):
        """Returns the pair at one position of the (endless, when shuffled) sequence of pictures.

        Args:
            position: 0, 1, ...; batch ``i`` begins at ``i * batch_size``.

        Returns:
            uint8 image ``(height, width, 3)`` and uint8 mask ``(height, width)``.
        """
        times, place = divmod(position, len(self.names))
        if self.shuffle:
            order = np.random.default_rng([self.seed, 0, times]).permutation(len(self.names))
            place = order[place]
        image, mask = self._small(self.names[place])
        if self.augment:
            rng = np.random.default_rng([self.seed, 1, position])
            return pictures.augment_pair(image, mask, self.size, rng, scale=self.scale)
        return image, mask

    def _small(self, name):
        """Reads a pair at the size it is used at, the largest one if it is augmented."""
        if name in self._cache:
            return self._cache[name]
        image, mask = self._read(name)
        if self.augment:
            factor = min(1.0, self.scale[1] * pictures.fit(image.shape, self.size))
            image, mask = pictures.scale_pair(image, mask, factor)
        else:
            image, mask = pictures.letterbox_pair(image, mask, self.size)
        if image.nbytes + mask.nbytes <= self._room:
            self._room -= image.nbytes + mask.nbytes
            self._cache[name] = image, mask
        return image, mask


class PairedFiles(Paired):
    """Batches of pairs, each a picture file and a mask file.

    Args:
        files: dict from the names of the pairs, in the order of their list, to the paths of picture
            and mask.
        legend: ``colours.Legend``, what the masks' pixels stand for.
        classes: the names of the classes.
        training: whether these are pictures to train on.
        **options: of ``Paired``.

    Raises:
        ValueError: as ``Paired`` and ``read_pair``.

    Chapter: 03_deeplab.
    """

    def __init__(self, files, legend, classes, training, /, **options):
        read = functools.partial(read_pair, files, legend, len(classes))
        super().__init__(list(files), read, classes, training, **options)


def read_pair(files, legend, num_classes, name):
    """Reads one picture and its mask at their full size.

    Args:
        files: dict from names to the paths of picture and mask.
        legend: ``colours.Legend``.
        num_classes: number of classes, the background included.
        name: the name of the pair.

    Returns:
        uint8 image ``(height, width, 3)`` and uint8 mask ``(height, width)``, 255 for void.

    Raises:
        ValueError: if a file is damaged, the mask has a number or a colour that is not in the
            legend, or its size is not that of the picture.
    """
    image, mask = files[name]
    image, mask = pictures.read_image(image), read_labels(mask, legend)
    pictures.check_pair(image, mask, num_classes, name=name)
    return image, mask


def _check_scale_and_cache(scale, cache):
    if np.shape(scale) != (2,) or not 0 < scale[0] <= scale[1]:
        raise ValueError(
            f"scale is {scale!r}: give the least and the largest, two positive numbers."
        )
    if not isinstance(cache, numbers.Real) or not cache >= 0:
        raise ValueError(f"cache is {cache!r}: give MiB of memory, 0 or more.")
