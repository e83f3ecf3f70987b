"""Panoptic quality: every pixel has a class and, where things are counted, an object.

A panoptic map is an int32 array ``(height, width, 2)``: the class of each pixel and the number of
its object. Classes are *things*, which are counted, or *stuff*, as sky and floor, which is one
segment a picture whatever the numbers are. Void pixels (255) are not labelled; in a truth, pixels
of a thing with a negative number are a crowd, objects that nobody told apart.

A segment is found if one of the same class overlaps it with an IoU above 1/2, which then is the
only one. With TP, FP and FN the found segments, the wrong ones and those that were missed,

    PQ = sum of IoU over TP / (TP + FP / 2 + FN / 2) = SQ x RQ,
    SQ = sum of IoU over TP / TP,    RQ = TP / (TP + FP / 2 + FN / 2).

Source: Kirillov, He, Girshick, Rother, Dollar 2019, Panoptic Segmentation, section 4 (arXiv
1801.00868). Chapter 5.
"""

import numpy as np
from scipy import ndimage

from pixelwise.metrics.segmentation import mean_of_seen

VOID = 255
STUFF = 0  # the number that every segment of stuff gets
SPREAD = 2**40  # more than there are numbers of objects, so that class and number are one integer


class PanopticQuality:
    """Adds up picture after picture and gives PQ, SQ and RQ.

    Args:
        classes: the names of the classes, or their number.
        things: the classes that are counted, from 0 on; ``None`` is all but 0, the background.
        void: class of the pixels that are not labelled.

    Raises:
        ValueError: if there is no class, a thing is no class, or void is one.
    """

    def __init__(self, classes, things=None, void=VOID):
        count = len(classes) if np.ndim(classes) else classes
        if not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"classes is {classes!r}: give the names of at least one class.")
        things = tuple(range(1, count)) if things is None else tuple(things)
        if not all(isinstance(thing, int | np.integer) and 0 <= thing < count for thing in things):
            raise ValueError(f"things is {things!r}: give classes from 0 to {count - 1}.")
        if 0 <= void < count:
            raise ValueError(
                f"void is {void}, one of the {count} classes: choose a value beyond them."
            )
        self.num_classes, self.things, self.void = count, things, void
        self.iou = np.zeros(count)
        self.found, self.wrong, self.missed = np.zeros((3, count), np.int64)

    def update(self, truth, predictions):
        """Adds panoptic maps ``(batch, height, width, 2)`` or ``(height, width, 2)``.

        Args:
            truth: integers, the labels.
            predictions: integers of the same shape; void pixels belong to no segment.

        Raises:
            ValueError: if the shapes differ or are others, or a value is no class.
        """
        truth, predictions = np.asarray(truth), np.asarray(predictions)
        for name, array in (("The truth", truth), ("The prediction", predictions)):
            self._check(name, array)
        if truth.shape != predictions.shape:
            raise ValueError(
                f"The truth has the shape {truth.shape} and the prediction {predictions.shape}: "
                "give maps of the same pictures."
            )
        shape = (-1, *truth.shape[-3:])
        for one, other in zip(truth.reshape(shape), predictions.reshape(shape), strict=True):
            self._add(one, other)

    def result(self):
        """Returns the measures as a dict.

        Returns:
            ``"pq"``, ``"sq"`` and ``"rq"``, floats in [0, 1], means over the classes that are
            labelled or predicted anywhere; ``"pq_things"`` and ``"pq_stuff"``, means over these;
            ``"pq_per_class"``, ``"sq_per_class"`` and ``"rq_per_class"``, lists with one number a
            class, NaN where a class is neither labelled nor predicted. SQ is 0 where nothing of a
            class is found.
        """
        whole = self.found + (self.wrong + self.missed) / 2
        seen = whole > 0
        pq, sq, rq = (
            np.where(seen, top / np.maximum(bottom, 0.5), np.nan)
            for top, bottom in ((self.iou, whole), (self.iou, self.found), (self.found, whole))
        )
        thing = np.isin(np.arange(self.num_classes), self.things)
        return {
            "pq": mean_of_seen(pq),
            "sq": mean_of_seen(sq),
            "rq": mean_of_seen(rq),
            "pq_things": mean_of_seen(pq[thing]),
            "pq_stuff": mean_of_seen(pq[~thing]),
            "pq_per_class": pq.tolist(),
            "sq_per_class": sq.tolist(),
            "rq_per_class": rq.tolist(),
        }

    def _check(self, name, array):
        if array.ndim not in (3, 4) or array.shape[-1] != 2 or array.dtype.kind not in "iu":
            raise ValueError(
                f"{name} has the shape {array.shape} and the type {array.dtype}: give integers "
                "(height, width, 2), class and object of each pixel, or a batch of these."
            )
        classes = array[..., 0]
        unknown = (classes != self.void) & ((classes < 0) | (classes >= self.num_classes))
        if unknown.any():
            raise ValueError(
                f"{name} has the class {classes[unknown][0]} among {self.num_classes}: use 0 .. "
                f"{self.num_classes - 1}, or void ({self.void})."
            )

    def _add(self, truth, prediction):
        """Adds one picture: counts the pixels of each pair of segments, and matches them."""
        shared, of_truth, of_prediction = self._overlaps(truth, prediction)
        matched_truth, matched_prediction = set(), set()
        for (one, other), pixels in shared.items():
            if one[0] != other[0] or one[0] == self.void or _is_crowd(one):
                continue
            void = shared.get(((self.void, STUFF), other), 0)
            union = of_truth[one] + of_prediction[other] - void - pixels
            if 2 * pixels > union:
                self.iou[one[0]] += pixels / union
                self.found[one[0]] += 1
                matched_truth.add(one)
                matched_prediction.add(other)
        for one in of_truth.keys() - matched_truth:
            if one[0] != self.void and not _is_crowd(one):
                self.missed[one[0]] += 1
        for other in of_prediction.keys() - matched_prediction:
            if other[0] != self.void and not self._forgiven(other, shared, of_prediction):
                self.wrong[other[0]] += 1

    def _forgiven(self, segment, shared, of_prediction):
        """Says whether a predicted segment is mostly void or a crowd of its class: no mistake."""
        open_pixels = sum(
            pixels
            for (one, other), pixels in shared.items()
            if other == segment
            and (one[0] == self.void or (one[0] == segment[0] and _is_crowd(one)))
        )
        return 2 * open_pixels > of_prediction[segment]

    def _overlaps(self, truth, prediction):
        """Returns the pixels of each pair of segments, of each labelled and each predicted one.

        A segment is ``(class, number)``.
        """
        (labelled, rows), (predicted, columns) = map(self._segments, (truth, prediction))
        counts = np.bincount(
            rows * len(predicted) + columns, minlength=len(labelled) * len(predicted)
        ).reshape(len(labelled), len(predicted))
        shared = {
            (labelled[i], predicted[j]): int(counts[i, j]) for i, j in np.argwhere(counts).tolist()
        }
        of_truth = dict(zip(labelled, counts.sum(axis=1).tolist(), strict=True))
        return shared, of_truth, dict(zip(predicted, counts.sum(axis=0).tolist(), strict=True))

    def _segments(self, array):
        """Returns the segments of a map, ``(class, number)`` each, and that of each pixel.

        All void is one segment, and so is each class of stuff.
        """
        classes, numbers = np.moveaxis(array.astype(np.int64), -1, 0)
        numbers = np.where(np.isin(classes, self.things), numbers, STUFF)
        codes, places = np.unique(classes * SPREAD + numbers, return_inverse=True)
        classes = (codes + SPREAD // 2) // SPREAD
        return list(zip(classes.tolist(), (codes - classes * SPREAD).tolist(), strict=True)), (
            places.ravel()
        )


def combine(predictions, semantic, things=None, score=0.5, overlap=0.5, area=0, void=VOID):
    """Makes panoptic maps of detections and semantic maps, by the paper's rules of thumb.

    Detections are laid down from the best score on. What others have taken is cut off, and if less
    than ``overlap`` of a detection is left it is dropped. The other pixels get the class of the
    semantic map if that is stuff; they are void if it is a thing, or a stretch of stuff of fewer
    than ``area`` pixels.

    Args:
        predictions: dict of ``"classes"`` ``(batch, detections)`` with 0 for padding, ``"scores"``
            ``(batch, detections)`` and ``"masks"`` ``(batch, detections, height, width)``.
        semantic: integers ``(batch, height, width)``, the class of each pixel.
        things: the classes that are counted; ``None`` is all but 0, the background.
        score: least score of a detection.
        overlap: least share of a detection that must be left, 0..1.
        area: least pixels of a class of stuff in a picture.
        void: class of the pixels that are left.

    Returns:
        int32 ``(batch, height, width, 2)``; objects are numbered from 1, the best first.

    Raises:
        ValueError: if the shapes do not belong together.

    Source: Kirillov et al. 2019, section 7, the combination of instance and semantic segmentation.
    """
    classes, scores, masks = (
        np.asarray(predictions[name]) for name in ("classes", "scores", "masks")
    )
    semantic = np.asarray(semantic)
    _check_shapes(classes, scores, masks, semantic)
    return np.stack(
        [
            _combine(*picture, things, score, overlap, area, void)
            for picture in zip(classes, scores, masks > 0, semantic, strict=True)
        ]
    )


def _combine(classes, scores, masks, semantic, things, score, overlap, area, void):
    thing = semantic != 0 if things is None else np.isin(semantic, things)
    found = np.full((*semantic.shape, 2), (void, STUFF), np.int32)
    free = np.ones(semantic.shape, bool)
    good = np.flatnonzero((classes > 0) & (scores >= score))
    number = 0
    for place in good[np.argsort(-scores[good], kind="stable")]:
        left = masks[place] & free
        if not left.any() or left.sum() < overlap * masks[place].sum():
            continue
        number += 1
        found[left] = classes[place], number
        free &= ~left
    for stuff in np.unique(semantic[free & ~thing]):
        left = free & (semantic == stuff)
        if left.sum() >= area:
            found[left] = stuff, STUFF
    return found


def from_targets(targets, stuff=0):
    """Makes the panoptic maps of labelled objects.

    Args:
        targets: dict of ``"classes"`` ``(batch, objects)`` with 0 for padding, ``"masks"``
            ``(batch, objects, height, width)``, and if wanted ``"crowd"`` ``(batch, objects)``.
            Where masks overlap, the later object is above; crowds are below all others.
        stuff: class of the pixels without an object; 255 for void, where a set labels objects only.

    Returns:
        int32 ``(batch, height, width, 2)``; objects are numbered from 1, crowds from -1 downwards.
    """
    classes, masks = np.asarray(targets["classes"]), np.asarray(targets["masks"]) > 0
    crowd = np.asarray(targets.get("crowd", np.zeros(classes.shape, bool)))
    maps = np.full((len(classes), *masks.shape[2:], 2), (stuff, STUFF), np.int32)
    for picture, has, labels, crowds in zip(maps, masks, classes, crowd, strict=True):
        for place in np.argsort(~crowds, kind="stable"):
            if labels[place]:
                number = -1 - place if crowds[place] else place + 1
                picture[has[place]] = labels[place], number
    return maps


def from_semantic(semantic, things=None):
    """Makes panoptic maps of semantic maps: each connected piece of a thing is an object.

    It is the best that a semantic map alone can do: objects of one class that touch become one.

    Args:
        semantic: integers ``(batch, height, width)``, the class of each pixel.
        things: the classes that are counted; ``None`` is all but 0, the background.

    Returns:
        int32 ``(batch, height, width, 2)``.
    """
    semantic = np.asarray(semantic)
    maps = np.stack([semantic, np.zeros_like(semantic)], axis=-1).astype(np.int32)
    for picture in maps:
        classes = np.setdiff1d(picture[..., 0], (0, VOID))
        number = 0
        for thing in classes if things is None else np.intersect1d(classes, things):
            pieces, count = ndimage.label(picture[..., 0] == thing, np.ones((3, 3)))
            picture[..., 1] += np.where(pieces > 0, pieces + number, 0)
            number += count
    return maps


def _check_shapes(classes, scores, masks, semantic):
    belong = (
        classes.ndim == 2
        and scores.shape == classes.shape
        and semantic.shape == (len(classes), *masks.shape[2:])
        and masks.shape[:2] == classes.shape
        and masks.ndim == 4
    )
    if not belong:
        raise ValueError(
            f"Classes {classes.shape}, scores {scores.shape}, masks {masks.shape} and semantic "
            f"maps {semantic.shape} do not belong together: give (batch, detections) twice, "
            "(batch, detections, height, width) and (batch, height, width)."
        )


def _is_crowd(segment):
    return segment[1] < 0
