"""Finding the objects of one picture of any size: their boxes, classes and masks.

A detector sees objects best at the size they had in training, so the picture is resized to a
shorter side of fixed length, as long as the longer one does not become too long; it is padded to
the multiple that the strides need; and what is found there goes back to the picture's own pixels.

The numbers and the order are torchvision's, so that its weights give its answers: bilinear without
averaging, sides rounded down, padding on the right and at the bottom that is zero once it is
normalised, anchors over the padded picture, boxes cut at the picture's true border, and masks
pasted last, at the picture's own size. Chapter 4.
"""

import math
import numbers

import numpy as np

from pixelwise.data import single
from pixelwise.models.backbones import IMAGENET_MEAN
from pixelwise.nn.masks import paste


def detect(model, image, *, short_side=800, long_side=1333, multiple=32):
    """Finds the objects of one picture.

    Args:
        model: ``MaskRCNN``, as from ``zoo.load("maskrcnn_resnet50_fpn", weights="coco")``, or
            another model with its method ``find``. It is compiled once for each size that it sees,
            of which there are few, since they are multiples.
        image: the path of a picture, or an array ``(height, width, 3)``, uint8 or float in [0, 1];
            grey and transparent ones as for ``data.single.read``.
        short_side: to which the shorter side is resized, in pixels, unless the longer one would
            become longer than ...
        long_side: ... this. The defaults are those of torchvision's weights; objects should be
            about as large as they were in training, so a network trained on pictures of 128 pixels
            wants ``short_side=128, long_side=256``.
        multiple: the sides of what the model sees are made multiples of this, by padding.

    Returns:
        dict of NumPy arrays, the best object first and without padding: ``boxes`` float32
        ``(objects, 4)`` as (x1, y1, x2, y2) in pixels of the picture, ``classes`` int32
        ``(objects,)``, ``scores`` float32 ``(objects,)`` in (0, 1], and ``masks`` bool ``(objects,
        height, width)``, of the picture's own size, which is a byte a pixel and object.

    Raises:
        pixelwise.data.pictures.DamagedPicture: if the file cannot be read.
        ValueError: if the picture, an option or the model is not as above.
    """
    find = getattr(model, "find", None)
    if not callable(find) or isinstance(model, str | type):
        raise ValueError(
            f"{_named(model)} finds no objects: give a MaskRCNN, and a model that gives a "
            "class for each pixel to inference.segment."
        )
    picture = single.read(image)
    padded, (height, width) = prepare(picture, short_side, long_side, multiple)
    found = {name: value[0] for name, value in find(padded[None], [(height, width)]).items()}
    found = {name: value[found["classes"] > 0] for name, value in found.items()}
    down, right = (new / old for new, old in zip(picture.shape, (height, width), strict=False))
    boxes = found["boxes"] * np.array([right, down, right, down], "float32")
    masks = paste(found["masks"], boxes, *picture.shape[:2])
    return {"boxes": boxes, "classes": found["classes"], "scores": found["scores"], "masks": masks}


def prepare(picture, short_side=800, long_side=1333, multiple=32):
    """Resizes and pads a picture as a detector of torchvision wants it.

    Args:
        picture: float32 ``(height, width, 3)`` in [0, 1].
        short_side, long_side, multiple: as for ``detect``.

    Returns:
        The padded picture, float32, and the height and width of what is no padding, in pixels.

    Raises:
        ValueError: if a number is not possible.

    Source: equal to torchvision's ``GeneralizedRCNNTransform`` but for the normalisation.
    """
    _check(short_side, long_side, multiple)
    sides = picture.shape[:2]
    factor = min(short_side / min(sides), long_side / max(sides))
    height, width = size = tuple(max(1, math.floor(side * factor)) for side in sides)
    padded = np.empty([-(-side // multiple) * multiple for side in size] + [3], "float32")
    padded[:] = IMAGENET_MEAN
    padded[:height, :width] = resize_bilinear(picture, size)
    return padded, size


def resize_bilinear(picture, size):
    """Resizes a picture bilinearly between the nearest pixels, also where it shrinks.

    Args:
        picture: float32 ``(height, width, channels)``.
        size: ``(height, width)`` in pixels.

    Returns:
        float32 ``(*size, channels)``.

    Source: PyTorch's ``interpolate(..., mode="bilinear", align_corners=False)``.
    """
    for axis, new in enumerate(size):
        old = picture.shape[axis]
        if new == old:
            continue
        place = (np.arange(new, dtype="float32") + 0.5) * np.float32(old / new) - np.float32(0.5)
        place = np.clip(
            place, 0, old - 1
        )  # beyond the middle of an outermost pixel its value holds
        share = (place % 1).reshape(-1, *[1] * (picture.ndim - axis - 1))
        below = place.astype(int)
        above = np.minimum(below + 1, old - 1)
        picture = picture.take(below, axis) * (1 - share) + picture.take(above, axis) * share
    return picture


def _named(model):
    """The type of a model, or of what was given in its place."""
    return f"The class {model.__name__}" if isinstance(model, type) else type(model).__name__


def _check(short_side, long_side, multiple):
    for name, value in (("short_side", short_side), ("long_side", long_side)):
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or value < 1:
            raise ValueError(f"{name} is {value!r}: give a whole number of pixels from 1.")
    if long_side < short_side:
        raise ValueError(
            f"long_side is {long_side} and short_side {short_side}: give a longer side that is at "
            "least as long as the shorter one."
        )
    if not isinstance(multiple, numbers.Integral) or isinstance(multiple, bool) or multiple < 1:
        raise ValueError(f"multiple is {multiple!r}: give a whole number of at least 1.")
