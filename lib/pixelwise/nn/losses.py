"""Losses for pixels and for players: cross-entropy, overlap (IoU, Dice) and the GAN losses.

Chapter: The mathematics of pixels.
"""

import keras
import numpy as np
from keras import ops

from pixelwise import checks


@keras.saving.register_keras_serializable(package="pixelwise")
class SegmentationCrossEntropy(keras.losses.Loss):
    """Cross-entropy of a softmax at every pixel, averaged over the labelled pixels of the batch.

    The loss works on logits and never forms a probability, so that no logit, however large,
    overflows. Pixels labelled ``void`` count neither above nor below the fraction bar: a batch
    without any labelled pixel has loss 0 (and gradient 0), not NaN.

    A compiled graph cannot raise an error for a value, so a label that is neither a class nor
    ``void``, or a fraction of one, makes the loss NaN: training stops at that step instead of
    learning something else.

    Args:
        void: the label of pixels to leave out, an integer.
        class_weights: None, or one non-negative number a class. The mean is then weighted:
            the sum of ``w[label] * loss`` divided by the sum of ``w[label]``.
        name: name of the loss.
        reduction: as in ``keras.losses.Loss``. The default gives the mean over labelled pixels;
            ``None`` gives the map ``(batch, height, width)`` whose mean is that number.

    Raises:
        ValueError: if the class weights are negative or not one a class, or if labels and logits
            differ in batch, height or width.

    Call arguments: labels ``(batch, height, width)``, integer (a float array that holds integers
    is accepted, since Keras converts); logits ``(batch, height, width, classes)``, float.

    Source: Long, Shelhamer, Darrell 2015, section 4 (per-pixel softmax loss, void left out).
    Chapter: The mathematics of pixels.
    """

    def __init__(
        self,
        void=255,
        class_weights=None,
        name="segmentation_cross_entropy",
        reduction="sum_over_batch_size",
        **kwargs,
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.void = checks.void(void)
        self.class_weights = None
        if class_weights is not None:
            self.class_weights = checks.reals("class_weights", class_weights)
            if not all(weight >= 0 for weight in self.class_weights):
                raise ValueError(
                    f"Class weights must not be negative, but got {self.class_weights}: "
                    "give each class a weight of 0 or more."
                )

    def call(self, y_true, y_pred):
        target, labelled, known = read_labels(y_true, y_pred, self.void)
        self._check_weights(y_pred.shape[-1])
        log_p = ops.take_along_axis(log_softmax(y_pred), target[..., None], axis=-1)[..., 0]
        loss = ops.where(known, self.of_pixels(log_p), float("nan"))
        weight = ops.cast(labelled, loss.dtype)
        if self.class_weights is not None:
            table = ops.convert_to_tensor(np.asarray(self.class_weights), dtype=loss.dtype)
            weight = weight * ops.take(table, target, axis=0)
        loss = ops.where(labelled, loss, 0.0) * weight
        # Scaled so that the mean over all pixels is the (weighted) mean over labelled pixels.
        total = ops.mean(weight)
        return loss / ops.where(total > 0, total, 1.0)

    def of_pixels(self, log_p):
        """Returns the loss of each pixel from the log-probability of its class."""
        return -log_p

    def _check_weights(self, classes):
        if self.class_weights is not None and len(self.class_weights) != classes:
            raise ValueError(
                f"Got {len(self.class_weights)} class weights for {classes} classes: "
                "give one weight a class."
            )

    def get_config(self):
        config = super().get_config()
        return {**config, "void": self.void, "class_weights": self.class_weights}


def read_labels(labels, logits, void):
    """Tells labelled pixels from void ones and classes from unknown labels, in a compiled graph.

    Args:
        labels: ``(batch, height, width)``, integers, or floats that should be whole.
        logits: ``(batch, height, width, classes)``; only the shape is looked at.
        void: the label of pixels to leave out, an integer.

    Returns:
        ``(target, labelled, known)``, each ``(batch, height, width)``: the int32 class of every
        pixel, 0 where it has none; whether the label is anything but void; whether it is a class.

    Raises:
        ValueError: if labels and logits differ in batch, height or width.
    """
    labels = ops.convert_to_tensor(labels)
    _check_shapes(labels.shape, logits.shape)
    whole_labels = ops.cast(labels, "int32")
    whole = ops.equal(ops.cast(whole_labels, labels.dtype), labels)
    labelled = ops.logical_or(ops.not_equal(whole_labels, void), ops.logical_not(whole))
    known = ops.logical_and(whole_labels >= 0, whole_labels < logits.shape[-1])
    known = ops.logical_and(known, whole)
    return ops.where(known, whole_labels, 0), labelled, known


def _check_shapes(labels, logits):
    if len(labels) != 3 or len(logits) != 4:
        raise ValueError(
            "The loss needs labels (batch, height, width) and logits (batch, height, width, "
            f"classes), but got labels {tuple(labels)} and logits {tuple(logits)}."
        )
    if not alike(labels, logits[:3]):
        raise ValueError(
            f"Labels {tuple(labels)} and logits {tuple(logits)} differ in batch, height or "
            "width: upsample the logits to the size of the mask."
        )


def alike(one, other):
    """Returns whether two shapes are the same, as far as a compiled graph knows them."""
    pairs = zip(one, other, strict=False)
    return len(one) == len(other) and all(a == b for a, b in pairs if None not in (a, b))


def log_softmax(logits):
    """Returns the logarithm of the softmax over the last axis, without overflow.

    The largest logit is subtracted first: it changes nothing on paper, and on a machine every
    exponent is then at most 0.

    Args:
        logits: float array ``(..., classes)``, any real numbers, no unit.

    Returns:
        Array of the same shape: log-probabilities in nats, at most 0.
    """
    logits = ops.convert_to_tensor(logits)
    shifted = logits - ops.stop_gradient(ops.max(logits, axis=-1, keepdims=True))
    return shifted - ops.log(ops.sum(ops.exp(shifted), axis=-1, keepdims=True))


def softmax_cross_entropy_gradient(logits, labels):
    """Returns the derivative of one pixel's cross-entropy by its logits: softmax minus one-hot.

    Args:
        logits: float array ``(..., classes)``.
        labels: integer array ``(...)`` in [0, classes).

    Returns:
        Array ``(..., classes)``, in nats per unit of logit; it sums to 0 over the classes.
    """
    probabilities = ops.softmax(logits, axis=-1)
    dtype = keras.backend.standardize_dtype(probabilities.dtype)
    return probabilities - ops.one_hot(labels, logits.shape[-1], dtype=dtype)


def iou(prediction, target):
    """Returns the intersection over union of two masks, |A and B| / |A or B|.

    Args:
        prediction, target: boolean or 0/1 arrays of the same shape.

    Returns:
        float in [0, 1]; NaN if both masks are empty (there is nothing to find, and nothing said).

    Raises:
        ValueError: if the shapes differ.
    """
    a, b = _two_masks(prediction, target)
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else float("nan")


def dice(prediction, target):
    """Returns the Dice coefficient of two masks, 2 |A and B| / (|A| + |B|) = 2 IoU / (1 + IoU).

    Args and Raises: as for ``iou``.

    Returns:
        float in [0, 1]; NaN if both masks are empty.

    Source: Dice 1945.
    """
    a, b = _two_masks(prediction, target)
    size = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero(a & b) / size if size else float("nan")


def _two_masks(prediction, target):
    a, b = np.asarray(prediction), np.asarray(target)
    if a.shape != b.shape:
        raise ValueError(
            f"The masks have the shapes {a.shape} and {b.shape}: resize the prediction first."
        )
    for mask in (a, b):
        if ((mask != 0) & (mask != 1)).any():
            raise ValueError(
                f"A mask holds the value {mask[(mask != 0) & (mask != 1)][0]}: give 0 and 1, which "
                "is one class at a time, as labels == 2."
            )
    return a.astype(bool), b.astype(bool)


def soft_iou(probabilities, targets, axis=(0, 1, 2), smooth=1e-6):
    """Returns the soft IoU of each class, sum p t / sum (p + t - p t), which has a gradient.

    On probabilities that are 0 or 1 it is the IoU. Two empty masks give 1.

    Args:
        probabilities: float ``(batch, height, width, classes)`` in [0, 1], softmax or sigmoid.
        targets: the same shape, 0 or 1 (one-hot); multiply both by a mask to leave out void.
        axis: axes to sum over; what remains (the classes) is returned.
        smooth: small number above and below the fraction bar, in pixels.

    Returns:
        Array ``(classes,)`` in [0, 1].

    Source: Rahman and Wang 2016.
    """
    overlap, sizes = _overlap(probabilities, targets, axis)
    return (overlap + smooth) / (sizes - overlap + smooth)


def soft_dice(probabilities, targets, axis=(0, 1, 2), smooth=1e-6):
    """Returns the soft Dice coefficient of each class, 2 sum p t / sum (p + t).

    Args, Returns: as for ``soft_iou``. The loss is one minus its mean over the classes.

    Source: Milletari, Navab, Ahmadi 2016 (V-Net), section 3, with plain sums below the bar.
    """
    overlap, sizes = _overlap(probabilities, targets, axis)
    return (2 * overlap + smooth) / (sizes + smooth)


def _overlap(probabilities, targets, axis):
    p = ops.convert_to_tensor(probabilities)
    t = ops.cast(targets, p.dtype)
    if not alike(p.shape, t.shape):
        raise ValueError(
            f"The probabilities have the shape {tuple(p.shape)} and the targets {tuple(t.shape)}: "
            "give one-hot targets of the same shape."
        )
    return ops.sum(p * t, axis=axis), ops.sum(p + t, axis=axis)


def discriminator_loss(real_logits, fake_logits):
    """Returns the discriminator's loss: -mean log D(real) - mean log(1 - D(fake)), in nats.

    Args:
        real_logits, fake_logits: float arrays; D is the sigmoid of the logit.

    Returns:
        Scalar; 2 log 2 for a discriminator that always answers one half.

    Source: Goodfellow et al. 2014, equation 1 (with the sign changed: a loss is minimised).
    """
    return ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))


def generator_loss(fake_logits, saturating=False):
    """Returns the generator's loss in nats: non-saturating -log D(fake), or log(1 - D(fake)).

    Args:
        fake_logits: float array; D is the sigmoid of the logit.
        saturating: True for the loss of the minimax game.

    Returns:
        Scalar.

    Source: Goodfellow et al. 2014, equation 1 and the end of section 3.
    """
    if saturating:
        return -ops.mean(ops.softplus(fake_logits))
    return ops.mean(ops.softplus(-fake_logits))
