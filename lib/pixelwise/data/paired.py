"""Batches of pictures and masks that lie in files: what the public sets and your own folder share.

Training pictures are scaled, cropped and mirrored at random. Test pictures are letterboxed: scaled
to fit inside the frame with nothing cut and nothing distorted, and what surrounds them is void
(255), so that it counts neither for nor against a model.
"""

import functools

import numpy as np

from pixelwise.data import pictures
from pixelwise.data.colours import read_labels
from pixelwise.data.series import Series


class Paired(Series):
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

    def __getitem__(self, index):
        """Returns batch ``index``: images float32 (b, h, w, 3) in [0, 1], masks int32 (b, h, w)."""
        pairs = [self.pair(position) for position in self._positions(index)]
        images = np.stack([image for image, _ in pairs]).astype("float32") / 255
        return images, np.stack([mask for _, mask in pairs]).astype("int32")

    def pair(self, position):
        """Returns the pair at one position of the (endless, when shuffled) sequence of pictures.

        Args:
            position: 0, 1, ...; batch ``i`` begins at ``i * batch_size``.

        Returns:
            uint8 image ``(height, width, 3)`` and uint8 mask ``(height, width)``.
        """
        image, mask = self._small(self._name(position))
        if self.augment:
            rng = np.random.default_rng([self.seed, 1, position])
            return pictures.augment_pair(image, mask, self.size, rng, scale=self.scale)
        return image, mask

    def _shrink(self, image, mask):
        if self.augment:
            factor = min(1.0, self.scale[1] * pictures.fit(image.shape, self.size))
            return pictures.scale_pair(image, mask, factor)
        return pictures.letterbox_pair(image, mask, self.size)


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
