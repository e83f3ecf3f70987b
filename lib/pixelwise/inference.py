"""Segmenting one picture of any size: at several scales, mirrored, and through a sliding window.

A picture is looked at as one or more *views*: scaled copies of it, each seen through one or more
*windows*, each as it is and, if wanted, mirrored. Every window gives logits at the view's size.
They are interpolated to the picture's own pixels *before* the softmax (the other order blurs the
border between two classes where the network is sure of both sides), and the probabilities of all
views are averaged, as DeepLab does. Where windows overlap, a window counts most at its middle and
little near its own edge, beyond which the network saw padding instead of the picture.

What is held does not grow with the number of views and windows: one scaled picture, one window's
logits and one sum of probabilities. For batches of one size there is
``metrics.segmentation.predict``.

A view that is smaller than the model takes, or no multiple of what it needs, is padded on the right
and at the bottom with the mean colour of ImageNet, and the logits are cut again. A network that
subtracts this mean sees there what its convolutions pad with, zeros; repeated edge pixels would
look like more of the picture. Chapter 3.

Source: Chen, Papandreou, Schroff, Adam 2017 (DeepLab v3, arXiv 1706.05587), section 4, for scales
and mirroring.
"""

import math
import numbers

import numpy as np
from PIL import Image

from pixelwise import windows
from pixelwise.data import pictures, single

MEAN = np.float32(pictures.PADDING) / 255


def segment(
    model,
    image,
    *,
    size=None,
    scales=(1.0,),
    flip=False,
    window=None,
    overlap=0.25,
    multiple=1,
    memory=1024,
):
    """Finds the class of every pixel of one picture.

    Args:
        model: ``keras.Model`` from pictures float ``(batch, height, width, 3)`` in [0, 1] to logits
            ``(batch, height, width, classes)`` of the same height and width.
        image: the path of a picture, or an array ``(height, width, 3)``, uint8 or float in [0, 1].
            As in files, grey ``(height, width)`` or ``(height, width, 1)`` gets three equal
            channels, and the transparent parts of ``(height, width, 4)`` are laid on white.
        size: side in pixels, or ``(height, width)``: the picture is first scaled, undistorted, to
            fit just inside this frame; ``None`` takes it as it is. Objects should be about as
            large as they were in training.
        scales: factors by which it is scaled further, one view each.
        flip: ``True`` also looks at everything mirrored left and right.
        window: side in pixels, or ``(height, width)``, of what the model sees at a time; ``None``
            shows it the whole view, as does a window that is larger than the view. All windows of
            a view have one shape, for which the model is compiled once.
        overlap: least share of a window that it has in common with the next, in [0, 1); one pixel
            is the least.
        multiple: the sides of what the model sees are made multiples of this, by padding.
        memory: MiB for the sum of probabilities, float32 ``(height, width, classes)``. A picture
            that needs more is done in strips, and windows that reach into two strips twice.

    Returns:
        int32 ``(height, width)``, the picture's own.

    Raises:
        pixelwise.data.pictures.DamagedPicture: if the file cannot be read.
        ValueError: if the picture, an option or what the model returns is not as above.
    """
    limit = _bytes_of(memory)
    views = _Views(model, image, size, scales, flip, window, overlap, multiple)
    rows = max(1, limit // views.bytes_for(1))
    classes = np.empty((views.height, views.width), np.int32)
    for top in range(0, views.height, rows):
        bottom = min(top + rows, views.height)
        classes[top:bottom] = views.average(top, bottom).argmax(axis=-1)
    return classes


def probabilities(
    model,
    image,
    *,
    size=None,
    scales=(1.0,),
    flip=False,
    window=None,
    overlap=0.25,
    multiple=1,
    memory=1024,
):
    """Finds the probability of every class at every pixel of one picture.

    Args, Raises: as for ``segment``, but a picture whose probabilities need more than ``memory``
        is refused.

    Returns:
        float32 ``(height, width, classes)`` in [0, 1], the picture's own height and width.
    """
    limit = _bytes_of(memory)
    views = _Views(model, image, size, scales, flip, window, overlap, multiple)
    needed = views.bytes_for(views.height)
    if needed > limit:
        raise ValueError(
            f"The probabilities of {views.classes} classes for {views.height} x {views.width} "
            f"pixels take {math.ceil(needed / 2**20)} MiB, more than memory={memory}: raise it, "
            "shrink the picture, or ask for the classes alone with segment, which works in strips."
        )
    return views.average(0, views.height)


def smallest_side(model):
    """Returns the least height and width, in pixels, of the pictures that a model takes."""
    return max([1, *(getattr(layer, "smallest", 1) for layer in getattr(model, "layers", []))])


def _fixed_size(model):
    """The only height and width that a model takes, None if it takes others."""
    shape = getattr(model, "input_shape", None)
    fixed = isinstance(shape, tuple) and len(shape) == 4 and None not in shape[1:3]
    return shape[1:3] if fixed else None


class _Views:
    """The views of a picture, and what a model says about them."""

    def __init__(self, model, image, size, scales, flip, window, overlap, multiple):
        _check(scales, flip, overlap, multiple)
        if not hasattr(model, "predict_on_batch"):
            raise ValueError(
                f"The model is {model!r}: give a keras.Model from pictures to logits, as "
                "models.fcn.fcn builds it."
            )
        self.model = model
        self.fixed = _fixed_size(model)
        self.least = self.fixed or (smallest_side(model),) * 2
        self.multiple = multiple
        window = _window(window, self.least, multiple)
        self.picture = single.read(image)
        self.height, self.width = self.picture.shape[:2]
        self.mirrored = (False, True) if flip else (False,)
        fit = 1.0 if size is None else pictures.fit(self.picture.shape, size)
        self.views = []
        for scale in scales:
            shape = [max(1, round(side * fit * scale)) for side in (self.height, self.width)]
            tiles = [
                windows.tiles(side, new, new if window is None else min(window[axis], new), overlap)
                for axis, (side, new) in enumerate(zip(self.picture.shape, shape, strict=False))
            ]
            self.views.append((shape, *tiles))
        self._last = (None, None)
        shape, rows, columns = self.views[0]
        view = _resize(self.picture, shape)
        self.classes = self._logits(view, 0, rows[0], columns[0], False).shape[-1]

    def bytes_for(self, rows):
        """Returns the size of so many rows of probabilities, in bytes."""
        return 4 * rows * self.width * self.classes

    def average(self, top, bottom):
        """Returns the mean probabilities of the picture's rows from ``top`` to before ``bottom``.

        Returns:
            float32 ``(bottom - top, width, classes)``.
        """
        total = np.zeros((bottom - top, self.width, self.classes), np.float32)
        for number, (shape, rows, columns) in enumerate(self.views):
            view = _resize(self.picture, shape)
            for row in rows:
                if row.first >= bottom or row.last <= top:
                    continue
                for column in columns:
                    for mirrored in self.mirrored:
                        logits = self._logits(view, number, row, column, mirrored)
                        windows.add(total, top, logits, row, column)
        total /= len(self.views) * len(self.mirrored)
        return total

    def _logits(self, view, number, row, column, mirrored):
        """The logits of one window; the last are kept, for the next strip may want them again."""
        place = (number, row.start, column.start, mirrored)
        if self._last[0] != place:
            self._last = (None, None)  # lets go of them before there are others
            crop = view[row.start : row.stop, column.start : column.stop]
            logits = self._ask(crop[:, ::-1])[:, ::-1] if mirrored else self._ask(crop)
            self._last = (place, logits)
        return self._last[1]

    def _ask(self, crop):
        height, width = crop.shape[:2]
        shape = tuple(
            math.ceil(max(sides) / self.multiple) * self.multiple
            for sides in zip((height, width), self.least, strict=True)
        )
        if self.fixed and shape != self.fixed:
            raise ValueError(
                f"The model takes pictures of {self.fixed[0]} x {self.fixed[1]} pixels only, but "
                f"would see {shape[0]} x {shape[1]}: give window={self.fixed}."
            )
        padded = np.empty((1, *shape, 3), np.float32)
        padded[:] = MEAN
        padded[0, :height, :width] = crop
        logits = self.model.predict_on_batch(padded)
        found = getattr(logits, "shape", None)
        if found is None or len(found) != 4 or tuple(found[:3]) != padded.shape[:3]:
            raise ValueError(
                f"For pictures {padded.shape} the model returns "
                f"{type(logits).__name__ if found is None else tuple(found)}: give a model that "
                "returns logits (batch, height, width, classes) and nothing else."
            )
        return np.asarray(logits[0, :height, :width], np.float32)


def _resize(picture, shape):
    """Resizes bilinearly, averaging where it shrinks, as ``pictures.resize_image`` without bits."""
    if picture.shape[:2] == tuple(shape):
        return picture
    size, how = (shape[1], shape[0]), Image.Resampling.BILINEAR
    channels = (np.ascontiguousarray(picture[..., c]) for c in range(3))
    return np.stack([Image.fromarray(c).resize(size, how) for c in channels], axis=-1)


def _check(scales, flip, overlap, multiple):
    if np.ndim(scales) != 1 or len(scales) == 0 or not all(_positive(s) for s in scales):
        raise ValueError(
            f"scales is {scales!r}: give one or more positive factors, as (0.75, 1.0)."
        )
    if not isinstance(flip, bool | np.bool_):
        raise ValueError(f"flip is {flip!r}: give True or False.")
    if not isinstance(overlap, numbers.Real) or not 0 <= overlap < 1:
        raise ValueError(
            f"overlap is {overlap!r}: give the share of a window that the next one repeats, from 0 "
            "to below 1."
        )
    if not isinstance(multiple, numbers.Integral) or multiple < 1:
        raise ValueError(f"multiple is {multiple!r}: give a whole number of at least 1.")


def _window(window, least, multiple):
    if window is None:
        return None
    window, least = pictures.as_size(window, "window"), tuple(max(2, side) for side in least)
    said = f"window is {window[0]} x {window[1]} pixels"
    if window[0] < least[0] or window[1] < least[1]:
        raise ValueError(
            f"{said}, but the model needs at least {least[0]} x {least[1]}: enlarge it."
        )
    if any(side % multiple for side in window):
        raise ValueError(
            f"{said}: give multiples of multiple={multiple}, or every window would be padded."
        )
    return window


def _bytes_of(memory):
    if not _positive(memory):
        raise ValueError(f"memory is {memory!r}: give a positive number of MiB.")
    return int(memory * 2**20)


def _positive(number):
    return isinstance(number, numbers.Real) and 0 < number < math.inf
