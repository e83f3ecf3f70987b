"""Pictures to learn to generate: garments and digits, grey, in black and white, or in colour.

A data set for segmentation pairs a picture with a mask. Here the picture itself is what is to be
learned, and its label is there for networks that are told what to make. Chapters: GAN, VAE.
"""

import math

import keras
import numpy as np
from PIL import Image

from pixelwise import checks
from pixelwise.data import backgrounds, idx, options, order, scenes, splits

SIZES = (28, 32, 64)
BINARISE = (None, "static", "dynamic")
BACKGROUNDS = ("black", "photographs")
TEST_SEED = 2014
STATIC_SEED = 2008
BLOCK = 4096  # pictures that are binarised at a time
# What is drawn for a picture has a generator of its own; 0 is that of the order.
PIXELS, COLOURS = 1, 2


class Generation(keras.utils.PyDataset):
    """Batches of small pictures; batch ``i`` is the same whenever it is asked for.

    The first four arguments come from the data set that is built on this one (``garments``,
    ``mnist``), the rest from its user.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``.
        images: uint8 ``(n, 28, 28)``, the pictures of the split; 0 is the background.
        labels: integer ``(n,)``.
        classes: names of the classes.
        size: side of the pictures in pixels: 28; 32, which adds two black pixels around them; or
            64, which doubles them to 56 and adds four.
        batch_size: pictures a batch.
        seed: another seed gives another order, other black-and-white pixels and other colours;
            ``None`` is 0 for training and a fixed seed otherwise, so that everybody measures on
            the same pictures.
        binarise: ``None`` leaves grey pictures. ``"static"`` makes each pixel 1 with its grey
            value as probability, once and for all (the same for every seed); ``"dynamic"`` does it
            anew each time that a picture comes.
        colour: True tints the pictures as the composer of the wardrobe's scenes does.
        background: of pictures in colour: ``"black"``, or ``"photographs"``, those of the
            wardrobe.
        examples: use the first so many pictures of the split; ``None`` is all of them.
        num_batches: length of an epoch; ``None`` is endless for training and every picture once
            otherwise.
        **kwargs: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``.

    Attributes:
        images, labels: the pictures as they came, uint8, and int32 labels.
        classes, num_classes: names and number of the classes.
        shape: (height, width, channels) of a picture in a batch.

    Raises:
        ValueError: if an option is unknown or wrong, or two do not go together.

    Chapter: GAN and VAE. Source of the binarisation: Salakhutdinov and Murray 2008, section 4.2
    (static); Burda, Grosse, Salakhutdinov 2016, section 5 (dynamic).
    """

    def __init__(
        self,
        split,
        images,
        labels,
        classes,
        /,
        size=28,
        batch_size=64,
        seed=None,
        binarise=None,
        colour=False,
        background="black",
        examples=None,
        num_batches=None,
        **kwargs,
    ):
        options.check(type(self), batch_size, num_batches, seed, kwargs)
        _check(size, binarise, colour, background)
        super().__init__(**kwargs)
        images, labels = _first(images, labels, examples)
        self.split, self.size, self.batch_size = split, size, batch_size
        self.seed = (0 if split == "train" else TEST_SEED) if seed is None else seed
        self.images, self.labels = images, np.asarray(labels).astype("int32")
        self.classes, self.num_classes = classes, len(classes)
        self.binarise, self.colour, self.background = binarise, colour, background
        self.shape = (size, size, 3 if colour else 1)
        if num_batches is None and split != "train":
            num_batches = math.ceil(len(images) / batch_size)
        self._num_batches = num_batches
        self._static = binarised_once(images, split) if binarise == "static" else None

    @property
    def num_batches(self):
        return self._num_batches

    def __getitem__(self, index):
        """Returns batch ``index``.

        Returns:
            ``(images, labels)``: float32 ``(b, size, size, channels)`` in [0, 1], and int32
            ``(b,)``. The last batch of an epoch that is not for training may be shorter.
        """
        length = None if self.split == "train" else len(self.images)
        positions = order.positions(index, self.batch_size, self.num_batches, length)
        rows = [self._row(position) for position in positions]
        if self.colour:
            pictures = [self._coloured(*pair) for pair in zip(rows, positions, strict=True)]
        elif self.binarise == "dynamic":
            pictures = 255 * self._drawn(rows, positions[0])
        elif self.binarise == "static":
            pictures = 255 * self._static[rows]
        else:
            pictures = [enlarged(self.images[row], self.size) for row in rows]
        x = framed(np.stack(pictures), self.size).astype("float32") / 255
        return (x if self.colour else x[..., None]), self.labels[rows]

    def grey(self):
        """Returns the same pictures in the same order, with the grey values they came with."""
        return Generation(
            self.split,
            self.images,
            self.labels,
            self.classes,
            size=self.size,
            batch_size=self.batch_size,
            seed=self.seed,
            colour=self.colour,
            background=self.background,
            num_batches=self._num_batches,
        )

    def _row(self, position):
        """Returns the number of the picture at a position: in a new order for each pass."""
        if self.split != "train":
            return position
        return order.shuffled(position, len(self.images), self.seed)

    def _drawn(self, rows, first):
        """Returns pictures in black and white, uint8 (b, 28, 28) of 0 and 1, for these positions.

        One stream of numbers serves all positions, whatever the batch size: two single-precision
        numbers for each of its steps, and it can be entered anywhere.
        """
        stream = np.random.PCG64([self.seed, PIXELS, splits.NUMBERS[self.split]])
        stream.advance(first * idx.SIDE**2 // 2)
        return bernoulli(self.images[rows], np.random.Generator(stream))

    def _coloured(self, row, position):
        """Returns a picture in colour on its ground, uint8 (size, size, 3)."""
        rng = np.random.default_rng([self.seed, COLOURS, splits.NUMBERS[self.split], position])
        grey = self.images[row]
        alpha = framed(enlarged(scenes.cut_out(grey), self.size), self.size)[..., None] / 255
        grey = framed(enlarged(grey, self.size), self.size) / 255
        colour = np.clip(scenes.tint(grey, rng), 0, 255)
        ground = np.zeros(self.shape)
        if self.background == "photographs":
            ground = scenes.background(backgrounds.load(self.split), rng, self.size, self.size)
        return np.uint8(ground + alpha * (colour - ground) + 0.5)


def split_off(images, labels, split, held_out):
    """Divides the training pictures into those to train on and the last, held out for validation.

    Args:
        images, labels: arrays ``(n, ...)``, the pictures for training or for test.
        split: ``"train"``, ``"validation"`` or ``"test"``.
        held_out: how many pictures at the end are for validation, fewer than ``n``.

    Returns:
        ``(images, labels)`` of the split.

    Raises:
        ValueError: if there are none to validate with, or none left to train on.
    """
    checks.whole("held_out", held_out, 0)
    if split == "test":
        return images, labels
    if held_out >= len(images) or (split == "validation" and held_out == 0):
        raise ValueError(
            f"held_out is {held_out}, which leaves no picture for {split}: give how many of the "
            f"{len(images):,} training pictures are for validation."
        )
    border = len(images) - held_out
    part = slice(border, None) if split == "validation" else slice(border)
    return images[part], labels[part]


def bernoulli(images, rng):
    """Draws black-and-white pictures, each pixel 1 with its grey value as probability.

    Args:
        images: uint8 array of any shape.
        rng: ``numpy.random.Generator``.

    Returns:
        uint8 array of the same shape, 0 or 1.
    """
    return np.uint8(rng.random(images.shape, dtype="float32") * 255 < images)


def binarised_once(images, split):
    """Returns the static binarisation of a split, uint8 0 or 1, the same at every call."""
    rng = np.random.default_rng([STATIC_SEED, splits.NUMBERS[split]])
    blocks = (images[start : start + BLOCK] for start in range(0, len(images), BLOCK))
    return np.concatenate([bernoulli(block, rng) for block in blocks])


def enlarged(image, size):
    """Doubles a uint8 picture (28, 28) for the size 64, and leaves it as it is for the others."""
    if size < 2 * idx.SIDE:
        return image
    doubled = Image.fromarray(image).resize((2 * idx.SIDE,) * 2, Image.Resampling.BICUBIC)
    return np.asarray(doubled)


def framed(images, size):
    """Puts black pixels around pictures ``(..., h, w)``, or ``(..., h, w, 3)`` of the right size.

    Returns:
        Array with the size on both sides, the picture in its middle.
    """
    if images.shape[-1] == 3 or images.shape[-1] == size:
        return images
    margin = (size - images.shape[-1]) // 2
    return np.pad(images, [(0, 0)] * (images.ndim - 2) + [(margin, margin)] * 2)


def _first(images, labels, examples):
    if examples is None:
        return images, labels
    checks.whole("examples", examples, 1)
    if examples > len(images):
        raise ValueError(
            f"examples is {examples}, but this split has {len(images):,} pictures: ask for fewer."
        )
    return images[:examples], labels[:examples]


def _check(size, binarise, colour, background):
    for name, value, known in (
        ("size", size, SIZES),
        ("binarise", binarise, BINARISE),
        ("colour", colour, (False, True)),
        ("background", background, BACKGROUNDS),
    ):
        if value not in known:
            raise ValueError(f"{name} is {value!r}: choose one of {', '.join(map(repr, known))}.")
    if binarise is not None and (colour or size > 2 * idx.SIDE):
        raise ValueError(
            f"binarise is {binarise!r}, which is for grey pictures of 28 or 32 pixels: leave out "
            "colour and the size 64."
        )
    if background != "black" and not colour:
        raise ValueError(f"background is {background!r}, which needs colour=True: say so.")
