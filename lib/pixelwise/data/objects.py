"""The labelled objects of one picture: boxes, classes and one mask each.

Masks are never interpolated: they are resized to the nearest pixel, and boxes and areas are then
taken from the masks again. What has no pixel left is no object any more.
"""

import dataclasses

import numpy as np

from pixelwise.data import pictures
from pixelwise.nn.boxes import from_mask


@dataclasses.dataclass(frozen=True)
class Objects:
    """What is labelled in one picture.

    Attributes:
        boxes: float32 ``(objects, 4)`` as (x1, y1, x2, y2) in pixels from the picture's corner.
        classes: int32 ``(objects,)`` from 1; 0 is the background.
        masks: bool ``(objects, height, width)``.
        crowd: bool ``(objects,)``, whether it is a crowd: many objects of one class that nobody
            told apart. It is neither trained on nor counted, but what is found there is no mistake.
        areas: float32 ``(objects,)`` in square pixels, by which sizes are told apart.
    """

    boxes: np.ndarray
    classes: np.ndarray
    masks: np.ndarray
    crowd: np.ndarray
    areas: np.ndarray

    def __len__(self):
        return len(self.classes)

    @property
    def nbytes(self):
        """Bytes of memory."""
        return sum(array.nbytes for array in vars(self).values())

    def chosen(self, which):
        """Returns some of the objects.

        Args:
            which: bool ``(objects,)``, or their numbers.
        """
        return Objects(**{name: array[which] for name, array in vars(self).items()})

    def remasked(self, masks):
        """Returns the objects with other masks, and the boxes and areas of these.

        Args:
            masks: bool ``(objects, height, width)``; objects without a pixel are left out.
        """
        return of_masks(masks, self.classes, self.crowd)

    def resized(self, size):
        """Returns the objects of the picture at another size; those that vanish are left out.

        Args:
            size: side in pixels, or ``(height, width)``.
        """
        if self.masks.shape[1:] == pictures.as_size(size):
            return self.remasked(self.masks)
        masks = [pictures.resize_mask(mask, size) for mask in self.masks]
        return self.remasked(np.array(masks, bool).reshape(-1, *pictures.as_size(size)))

    def placed(self, top, left, size):
        """Returns the objects of the picture laid into a frame, see ``place``."""
        return self.remasked(
            place(self.masks.transpose(1, 2, 0), top, left, size).transpose(2, 0, 1)
        )

    def mirrored(self):
        """Returns the objects of the picture mirrored left and right."""
        return self.remasked(self.masks[:, :, ::-1])


def of_masks(masks, classes, crowd=None):
    """Makes objects of masks; boxes and areas are those of the masks.

    Args:
        masks: bool ``(objects, height, width)``; objects without a pixel are left out.
        classes: integers ``(objects,)``.
        crowd: bool ``(objects,)``; ``None`` is no crowd.

    Returns:
        ``Objects``.
    """
    seen = masks.any(axis=(1, 2))
    masks, classes = masks[seen], np.asarray(classes, "int32")[seen]
    boxes = np.array([from_mask(mask) for mask in masks], "float32").reshape(-1, 4)
    crowd = np.zeros(len(masks), bool) if crowd is None else np.asarray(crowd, bool)[seen]
    return Objects(boxes, classes, masks, crowd, masks.sum(axis=(1, 2)).astype("float32"))


def of_labels(labels, classes):
    """Makes objects of a picture in which each pixel has the number of its object.

    Args:
        labels: integers ``(height, width)``, 0 is the background, k the k-th object.
        classes: integers ``(objects,)``, the class of each object; objects without a pixel are left
            out.

    Returns:
        ``Objects``.
    """
    numbers = np.arange(1, len(classes) + 1)
    return of_masks(labels == numbers[:, None, None], classes)


def place(array, top, left, size):
    """Lays an array into a frame of zeros; what sticks out is cut.

    Args:
        array: ``(height, width, ...)``.
        top: row of the frame where row 0 of the array comes; negative cuts.
        left: the same for columns.
        size: ``(height, width)`` of the frame.

    Returns:
        ``(*size, ...)``, the dtype of ``array``.
    """
    framed = np.zeros((*size, *array.shape[2:]), array.dtype)
    source = array[max(-top, 0) :, max(-left, 0) :]
    target = framed[max(top, 0) :, max(left, 0) :]
    height, width = np.minimum(source.shape[:2], target.shape[:2])
    target[:height, :width] = source[:height, :width]
    return framed


def batch(many, length=None):
    """Puts the objects of some pictures into arrays of one shape, padded with zeros.

    Args:
        many: list of ``Objects`` of pictures of one size.
        length: objects a picture in the arrays; ``None`` is the largest number there is.

    Returns:
        Dict of ``"boxes"`` float32 ``(batch, length, 4)``, ``"classes"`` int32 ``(batch, length)``
        with 0 for padding, ``"masks"`` uint8 ``(batch, length, height, width)``, ``"crowd"`` bool
        ``(batch, length)`` and ``"areas"`` float32 ``(batch, length)``.
    """
    length = max(map(len, many)) if length is None else length
    shape = (len(many), length)
    arrays = {
        "boxes": np.zeros((*shape, 4), "float32"),
        "classes": np.zeros(shape, "int32"),
        "masks": np.zeros((*shape, *many[0].masks.shape[1:]), "uint8"),
        "crowd": np.zeros(shape, bool),
        "areas": np.zeros(shape, "float32"),
    }
    for name, array in arrays.items():
        for row, objects in zip(array, many, strict=True):
            row[: len(objects)] = getattr(objects, name)
    return arrays


def check_room(name, count, max_objects):
    """Refuses a picture with more objects than the padded arrays of a batch hold.

    Args:
        name: of the picture.
        count: its objects.
        max_objects: objects that there is room for.

    Raises:
        ValueError: if there are more.
    """
    if count > max_objects:
        raise ValueError(
            f"The picture {name} has {count} objects, more than max_objects={max_objects}: set "
            f"max_objects to at least {count}, since none is left out."
        )


def targets(many, names, max_objects):
    """Makes the targets of a batch to train on, without crowds.

    Args:
        many: list of ``Objects`` of pictures of one size.
        names: the names of the pictures, for the sentence.
        max_objects: objects a picture in the arrays.

    Returns:
        Dict of ``"boxes"`` float32 ``(batch, max_objects, 4)`` in pixels, ``"classes"`` int32
        ``(batch, max_objects)`` with 0 for padding, and ``"masks"`` uint8 ``(batch, max_objects,
        height, width)``.

    Raises:
        ValueError: as ``check_room``.
    """
    many = [objects.chosen(~objects.crowd) for objects in many]
    for name, objects in zip(names, many, strict=True):
        check_room(name, len(objects), max_objects)
    arrays = batch(many, max_objects)
    return {name: arrays[name] for name in ("boxes", "classes", "masks")}
