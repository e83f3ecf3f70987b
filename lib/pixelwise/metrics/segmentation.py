"""Measures of semantic segmentation, all from one confusion matrix, and boundary IoU.

The matrix counts pixels: row = true class, column = predicted class. It can be added up over any
number of pictures, so nothing but ``classes x classes`` numbers is kept. IoU is computed over the
whole set, as Pascal VOC and Cityscapes do, never averaged over pictures. Chapters 1 and 2.
"""

import numpy as np
from scipy import ndimage

from pixelwise import checks
from pixelwise.batches import check_length, num_batches
from pixelwise.data.pictures import check_batch
from pixelwise.inference import smallest_side

VOID = 255


def confusion_matrix(labels, predictions, num_classes, void=VOID):
    """Counts the pixels of every pair of true and predicted class.

    Args:
        labels: integer array of any shape, classes ``0 .. num_classes - 1`` or ``void``.
        predictions: integer array of the same shape, classes ``0 .. num_classes - 1``.
        num_classes: number of classes.
        void: label of the pixels that are not counted.

    Returns:
        int64 ``(num_classes, num_classes)``, row = true, column = predicted.

    Raises:
        ValueError: if the shapes differ, or a value is no class.
    """
    labels, predictions = _same_shape(labels, predictions)
    for name, array in (("Labels", labels), ("Predictions", predictions)):
        if not np.issubdtype(array.dtype, np.integer):
            raise ValueError(
                f"{name} have the type {array.dtype}: give whole numbers, the index of the class."
            )
    counted = labels != void
    true = labels[counted].astype(np.int64)
    predicted = predictions[counted].astype(np.int64)
    for name, array in (("label", true), ("prediction", predicted)):
        if array.size and not 0 <= array.min() <= array.max() < num_classes:
            raise ValueError(
                f"Found the {name} {array.min() if array.min() < 0 else array.max()} among "
                f"{num_classes} classes: use 0 .. {num_classes - 1}, or void ({void})."
            )
    pairs = np.bincount(true * num_classes + predicted, minlength=num_classes**2)
    return pairs.reshape(num_classes, num_classes)


def _same_shape(labels, predictions):
    labels, predictions = np.asarray(labels), np.asarray(predictions)
    if labels.shape != predictions.shape:
        raise ValueError(
            f"Labels have the shape {labels.shape} and predictions {predictions.shape}: bring "
            "the predictions to the size of the labels."
        )
    return labels, predictions


def iou(matrix):
    """IoU of each class: hits / (hits + misses + false alarms); NaN for a class never seen.

    Args:
        matrix: confusion matrix ``(classes, classes)``.

    Returns:
        float64 ``(classes,)``. NaN where a class is neither labelled nor predicted.
    """
    hits, labelled, predicted = _counts(matrix)
    return _ratio(hits, labelled + predicted - hits)


def dice(matrix):
    """Dice coefficient (F1) of each class, 2 hits / (labelled + predicted) = 2 IoU / (1 + IoU).

    Args, Returns: as for ``iou``.
    """
    hits, labelled, predicted = _counts(matrix)
    return _ratio(2 * hits, labelled + predicted)


def class_accuracy(matrix):
    """Share of each class's pixels that are found (recall).

    Args: as for ``iou``.

    Returns:
        float64 ``(classes,)``. NaN where a class has no labelled pixel.
    """
    hits, labelled, _ = _counts(matrix)
    return _ratio(hits, labelled)


def precision(matrix):
    """Share of the pixels predicted as a class that are of it.

    Args: as for ``iou``.

    Returns:
        float64 ``(classes,)``. NaN where a class is never predicted.
    """
    hits, _, predicted = _counts(matrix)
    return _ratio(hits, predicted)


def _counts(matrix):
    """The hits, the labelled and the predicted pixels of each class."""
    matrix = np.asarray(matrix, np.float64)
    return np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0)


def _ratio(part, whole):
    """The quotient; NaN where the whole is 0."""
    return np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)


def mean_iou(matrix):
    """Mean of the classes' IoU, classes never seen left out; section 5 of Long et al. 2015."""
    return mean_of_seen(iou(matrix))


def mean_of_seen(values):
    """The mean of what is not NaN; NaN if nothing is left."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def frequency_weighted_iou(matrix):
    """Mean of the classes' IoU weighted by their pixels; section 5 of Long et al. 2015.

    NaN without any pixel.
    """
    matrix = np.asarray(matrix, np.float64)
    if not matrix.sum():
        return float("nan")
    return float(np.nansum(matrix.sum(1) * iou(matrix)) / matrix.sum())


def pixel_accuracy(matrix):
    """Share of the labelled pixels that are right; NaN without any pixel."""
    matrix = np.asarray(matrix, np.float64)
    return float(np.diag(matrix).sum() / matrix.sum()) if matrix.sum() else float("nan")


def mean_accuracy(matrix):
    """Mean of the classes' accuracy, classes without labelled pixels left out."""
    return mean_of_seen(class_accuracy(matrix))


def boundary(mask, distance):
    """The pixels of a mask at most ``distance`` from its border, as bool (height, width).

    The picture's own border counts as border of the mask, as in the reference implementation.
    """
    padded = np.pad(mask, 1)
    inner = ndimage.binary_erosion(padded, np.ones((3, 3)), iterations=distance)
    return (padded & ~inner)[1:-1, 1:-1]


def boundary_counts(labels, predictions, num_classes, distance=None, void=VOID):
    """Counts, for one picture, the pixels whose ratio is the boundary IoU.

    Void pixels are taken out of both masks, so the edge of a void region counts as a border of
    both. Where the annotators left the border itself void, as in the pets, the measure says little.

    Args:
        labels: integer ``(height, width)``.
        predictions: integer ``(height, width)``.
        num_classes: number of classes.
        distance: width of the band in pixels; ``None`` is 2 % of the diagonal, at least 1.
        void: label of the pixels that are not counted.

    Returns:
        ``(intersection, union)``, int64 ``(num_classes,)`` each.

    Raises:
        ValueError: if the shapes differ, or the distance is below 1.

    Source: Cheng et al. 2021, Boundary IoU, equation 1 (arXiv 2103.16562).
    """
    labels, predictions = _same_shape(labels, predictions)
    if labels.ndim != 2:
        raise ValueError(
            f"Labels have the shape {labels.shape}: boundaries are counted picture by picture, "
            "(height, width)."
        )
    if distance is None:
        distance = max(1, round(0.02 * np.hypot(*labels.shape)))
    if distance < 1:
        raise ValueError(f"distance is {distance}: the band is at least 1 pixel wide.")
    counted = labels != void
    intersection, union = np.zeros((2, num_classes), np.int64)
    for c in range(num_classes):
        true = boundary((labels == c) & counted, distance)
        predicted = boundary((predictions == c) & counted, distance)
        intersection[c] = (true & predicted).sum()
        union[c] = (true | predicted).sum()
    return intersection, union


class SegmentationScore:
    """Adds up picture after picture and gives every measure of this file.

    Args:
        num_classes: number of classes.
        void: label of the pixels that are not counted.
        boundaries: ``True`` also measures boundary IoU (2 ms a picture of 96 x 96).

    Raises:
        ValueError: if there is no class, or ``void`` is one of the classes.
    """

    def __init__(self, num_classes, void=VOID, boundaries=False):
        if not isinstance(num_classes, int | np.integer) or num_classes < 1:
            raise ValueError(f"num_classes is {num_classes!r}: give a whole number of at least 1.")
        if 0 <= checks.void(void) < num_classes:
            raise ValueError(
                f"void is {void}, one of the {num_classes} classes: choose a value beyond them."
            )
        self.num_classes = num_classes
        self.void = void
        self.boundaries = boundaries
        self.matrix = np.zeros((num_classes, num_classes), np.int64)
        self._boundary = np.zeros((2, num_classes), np.int64)

    def update(self, labels, predictions):
        """Adds a batch: integer arrays ``(batch, height, width)`` or ``(height, width)``."""
        labels, predictions = np.asarray(labels), np.asarray(predictions)
        self.matrix += confusion_matrix(labels, predictions, self.num_classes, self.void)
        if self.boundaries:
            shape = (-1, *labels.shape[-2:])
            for true, predicted in zip(
                labels.reshape(shape), predictions.reshape(shape), strict=True
            ):
                self._boundary += np.stack(
                    boundary_counts(true, predicted, self.num_classes, void=self.void)
                )

    def result(self):
        """Returns a dict of floats, with ``iou`` a list, one number a class."""
        measures = {
            "mean_iou": mean_iou(self.matrix),
            "iou": [float(value) for value in iou(self.matrix)],
            "frequency_weighted_iou": frequency_weighted_iou(self.matrix),
            "pixel_accuracy": pixel_accuracy(self.matrix),
            "mean_accuracy": mean_accuracy(self.matrix),
        }
        if self.boundaries:
            measures["boundary_iou"] = [
                float(i / u) if u else float("nan") for i, u in self._boundary.T
            ]
            measures["mean_boundary_iou"] = mean_of_seen(measures["boundary_iou"])
        return measures


def predict(model, images):
    """The most likely class of every pixel.

    Args:
        model: pictures to logits ``(batch, height, width, classes)``.
        images: float32 ``(batch, height, width, 3)``.

    Returns:
        int32 ``(batch, height, width)``.

    Raises:
        ValueError: if the pictures are of another shape, type or range, smaller than the model's
            output stride, or none.
    """
    return _logits(model, images).argmax(-1).astype(np.int32)


def _logits(model, images):
    images = check_batch(images, smallest_side(model))
    return np.asarray(model.predict_on_batch(images))


def evaluate(model, dataset, *, boundaries=False, void=VOID):
    """Measures a model on every batch of a data set.

    Args:
        model: pictures to logits.
        dataset: ``keras.utils.PyDataset`` of (images, masks) with ``num_classes``.
        boundaries: also boundary IoU.
        void: label of the pixels that are not counted.

    Returns:
        As ``SegmentationScore.result``, with ``pictures``, their number.

    Raises:
        ValueError: if the data set is empty or endless, if the model has another number of
            classes, or if the pictures are not what ``predict`` takes.
    """
    if not hasattr(dataset, "num_classes"):
        raise ValueError(
            f"The data set is a {type(dataset).__name__} without num_classes: give what "
            "pixelwise.data.load returns, or a keras.utils.PyDataset with num_classes."
        )
    count = check_length(num_batches(dataset))
    score = SegmentationScore(dataset.num_classes, void, boundaries)
    pictures = 0
    for index in range(count):
        images, masks = dataset[index]
        logits = _logits(model, images)
        check_classes(logits, dataset)
        score.update(masks, logits.argmax(-1))
        pictures += len(images)
    return {**score.result(), "pictures": pictures}


def check_classes(logits, dataset):
    """Refuses logits ``(..., classes)`` of another number of classes than the data set has."""
    if logits.shape[-1] != dataset.num_classes:
        raise ValueError(
            f"The model tells {logits.shape[-1]} classes apart but the data set has "
            f"{dataset.num_classes}: measure it on the classes that it was trained for."
        )
