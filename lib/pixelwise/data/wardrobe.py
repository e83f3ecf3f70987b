"""The wardrobe: scenes of garments on photographs, composed on the fly. The book's data set.

The garments are Fashion-MNIST's, the backgrounds CC0 photographs. Train, validation and test share
neither garments nor backgrounds.
"""

import functools

import keras
import numpy as np

from pixelwise import checks
from pixelwise.data import backgrounds, fashion, objects, options, order, pictures, scenes, splits

CLASSES = ("background", "top", "trousers", "dress", "shoe", "bag")
# Fashion-MNIST's ten classes in our five: T-shirt, trouser, pullover, dress, coat, sandal, shirt,
# sneaker, bag, ankle boot.
FROM_FASHION = np.array([1, 2, 1, 3, 1, 4, 1, 4, 5, 4])
VALIDATION_GARMENTS = 1000  # the last of the training pictures
TEST_SEED = 2015
DEFAULT_BATCHES = {"train": None, "validation": 13, "test": 25}
TARGETS = ("semantic", "instances")


@functools.cache
def garments(split):
    """Returns the garments of a split: (uint8 (n, 28, 28), classes int64 (n,) from 1 to 5).

    Raises:
        ValueError: if the split is unknown.
    """
    splits.check(split, "The wardrobe", splits.NUMBERS)
    images, labels = fashion.load("test" if split == "test" else "train")
    if split == "train":
        images, labels = images[:-VALIDATION_GARMENTS], labels[:-VALIDATION_GARMENTS]
    elif split == "validation":
        images, labels = images[-VALIDATION_GARMENTS:], labels[-VALIDATION_GARMENTS:]
    return images, FROM_FASHION[labels]


class Wardrobe(keras.utils.PyDataset):
    """Batches of wardrobe scenes; batch ``i`` is the same whenever it is asked for.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        size: side of the pictures in pixels, or ``(height, width)``.
        batch_size: scenes a batch.
        seed: another seed gives other scenes; ``None`` is 0 for training and a fixed seed for
            validation and test, so that everybody measures on the same pictures.
        num_batches: length of an epoch; ``None`` is endless for training and 400 scenes (at batch
            size 16) for test, 208 for validation.
        varied: strong variation of backgrounds; default: only in training.
        targets: ``"semantic"``, masks int32 ``(batch, height, width)``; or ``"instances"``, a dict
            as at the head of ``instances``.
        max_objects: garments a scene that the arrays of instances have room for; a scene has at
            most 6.
        scenes: use the first so many scenes only, each time through in another order, as if no
            more had been photographed and labelled; ``None`` composes new ones without end.
        **kwargs: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``.

    Raises:
        ValueError: if the split or an option is unknown, or a value is not possible.
    """

    def __init__(
        self,
        split="train",
        size=96,
        batch_size=16,
        seed=None,
        num_batches=None,
        varied=None,
        targets="semantic",
        max_objects=8,
        scenes=None,
        **kwargs,
    ):
        splits.check(split, "The wardrobe", splits.NUMBERS)
        options.check(Wardrobe, batch_size, num_batches, seed, kwargs)
        checks.whole("max_objects", max_objects, 1)
        if scenes is not None:
            checks.whole("scenes", scenes, 1)
        if targets not in TARGETS:
            raise ValueError(f"targets is {targets!r}: choose 'semantic' or 'instances'.")
        kwargs.setdefault("workers", 2)
        kwargs.setdefault("max_queue_size", 8)
        super().__init__(**kwargs)
        self.split = split
        self.size = pictures.as_size(size)
        self.batch_size = batch_size
        self.seed = (0 if split == "train" else TEST_SEED) if seed is None else seed
        default = DEFAULT_BATCHES[split]
        if num_batches is None and default is not None:
            num_batches = -(-default * 16 // batch_size)
        self._num_batches = num_batches
        self.varied = split == "train" if varied is None else varied
        self.targets = targets
        self.max_objects = max_objects
        self.scenes = scenes
        self.classes = CLASSES
        self.num_classes = len(CLASSES)

    @property
    def num_batches(self):
        return self._num_batches

    def scene(self, index):
        """Composes scene number ``index`` of this split and seed; see ``scenes.Scene``."""
        rng = np.random.default_rng([self.seed, splits.NUMBERS[self.split], index])
        images, labels = garments(self.split)
        return scenes.compose(
            images, labels, backgrounds.load(self.split), rng, self.size, varied=self.varied
        )

    def __getitem__(self, index):
        """Returns batch ``index``.

        Returns:
            ``(images, targets)``: images float32 ``(b, h, w, 3)`` in [0, 1]; targets int32 ``(b, h,
            w)``, or a dict with ``targets="instances"``.
        """
        numbers, batch = self._scenes(index)
        if self.targets == "semantic":
            return _images(batch), np.stack([scene.semantic for scene in batch]).astype("int32")
        names = [f"{number} of the wardrobe's {self.split}" for number in numbers]
        return _images(batch), objects.targets(_objects(batch), names, self.max_objects)

    def evaluation_batch(self, index):
        """Returns batch ``index`` with all that measuring instances needs, whatever ``targets`` is.

        Returns:
            ``(images, targets)`` as ``instances.Instances.evaluation_batch``; no garment is a
            crowd.
        """
        _, batch = self._scenes(index)
        return _images(batch), objects.batch(_objects(batch))

    def _scenes(self, index):
        """Returns the numbers and the scenes of a batch."""
        numbers = order.positions(index, self.batch_size, self.num_batches)
        if self.scenes is not None:
            numbers = [order.shuffled(number, self.scenes, self.seed) for number in numbers]
        return numbers, [self.scene(number) for number in numbers]


def _images(batch):
    return np.stack([scene.image for scene in batch]).astype("float32") / 255


def _objects(batch):
    return [objects.of_labels(scene.instances, scene.classes) for scene in batch]


def load(split="train", **options):
    """Loads the wardrobe; see ``Wardrobe`` for the options."""
    return Wardrobe(split, **options)
