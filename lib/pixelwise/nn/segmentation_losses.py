"""More losses for segmentation: focal, Dice and Lovász-softmax, and sums of losses.

Cross-entropy, which lies in ``losses``, counts pixels, and a measure such as IoU counts regions:
where a class has few pixels, the two disagree. The focal loss weights pixels by how hard they are;
Dice and Lovász-softmax are soft forms of the measures themselves.

All take labels ``(batch, height, width)`` and logits ``(batch, height, width, classes)``, leave out
void pixels, and are NaN where a label is neither a class nor void, as the cross-entropy is.

Chapter: DeepLab.
"""

import numbers

import keras
from keras import ops

from pixelwise import checks
from pixelwise.nn.losses import SegmentationCrossEntropy, read_labels, soft_dice

# Below this distance from certainty (1 - p) a pixel's focal weight does not fall any further: the
# slope of (1 - p)^gamma is infinite at p = 1 for gamma < 1.
CERTAIN = 1e-7


@keras.saving.register_keras_serializable(package="pixelwise")
class FocalLoss(SegmentationCrossEntropy):
    """Cross-entropy of which each pixel counts ``(1 - p)^gamma``, p the probability of its class.

    Pixels that are already right weigh little: at gamma 2, one with p = 0.9 counts a hundredth.
    With gamma 0 it is the cross-entropy. As there, the mean is over the labelled pixels of the
    batch, and weighted where there are class weights: they are the paper's alpha, but only their
    ratios matter. The focal weight itself does not enter the divisor, so a batch of easy pixels
    has a small loss.

    Args:
        gamma: 0 or more.
        void: the label of pixels to leave out, an integer.
        class_weights: None, or one non-negative number a class.
        name: name of the loss.
        reduction: as in ``SegmentationCrossEntropy``.

    Raises:
        ValueError: if gamma is negative; as ``SegmentationCrossEntropy``.

    Source: Lin, Goyal, Girshick, He, Dollár 2017, equations 4 and 5 (arXiv 1708.02002), with the
    softmax in place of the sigmoid.
    """

    def __init__(
        self,
        gamma=2.0,
        void=255,
        class_weights=None,
        name="focal_loss",
        reduction="sum_over_batch_size",
        **kwargs,
    ):
        super().__init__(void, class_weights, name=name, reduction=reduction, **kwargs)
        if not isinstance(gamma, numbers.Real) or not gamma >= 0:
            raise ValueError(
                f"gamma is {gamma!r}: give 0, which is the cross-entropy, or more, which counts "
                "easy pixels less."
            )
        self.gamma = float(gamma)

    def of_pixels(self, log_p):
        if self.gamma == 0:
            return -log_p
        # expm1 keeps the digits of 1 - p where p is close to 1.
        doubt = ops.maximum(-ops.expm1(log_p), CERTAIN)
        return -(doubt**self.gamma) * log_p

    def get_config(self):
        return {**super().get_config(), "gamma": self.gamma}


class _RegionLoss(keras.losses.Loss):
    """One loss a class over all pixels of a batch, or of a picture, averaged over the classes."""

    def __init__(self, void, classes, per_image, name, reduction, **kwargs):
        super().__init__(name=name, reduction=reduction, **kwargs)
        if classes not in ("present", "all"):
            raise ValueError(f"classes is {classes!r}: choose 'present' or 'all'.")
        self.void = checks.void(void)
        self.classes = classes
        self.per_image = bool(per_image)

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None and not self.per_image:
            raise ValueError(
                f"{self.name} is one number a batch and cannot weight its pictures: set "
                "per_image=True, or leave out the sample weights."
            )
        return super().__call__(y_true, y_pred, sample_weight)

    def call(self, y_true, y_pred):
        target, labelled, known = read_labels(y_true, y_pred, self.void)
        unknown = ops.any(ops.logical_and(labelled, ops.logical_not(known)))
        classes = y_pred.shape[-1]
        probabilities = self._in_rows(ops.softmax(y_pred, axis=-1), classes)
        dtype = probabilities.dtype
        counted = ops.cast(self._in_rows(labelled), dtype)
        truth = ops.cast(ops.one_hot(self._in_rows(target), classes), dtype) * counted[..., None]

        loss = self.of_classes(probabilities, truth, counted)
        weight = ops.ones_like(loss)
        if self.classes == "present":
            weight = ops.cast(ops.max(truth, axis=1) > 0, dtype)
        loss = ops.sum(weight * loss, axis=-1) / ops.maximum(ops.sum(weight, axis=-1), 1.0)
        # Scaled so that the mean over all pictures is the mean over those with a labelled pixel.
        seen = ops.max(counted, axis=-1)
        total = ops.mean(seen)
        loss = seen * loss / ops.where(total > 0, total, 1.0)
        return ops.where(unknown, float("nan"), loss)

    def of_classes(self, probabilities, truth, counted):
        """Returns the loss of each class.

        Args:
            probabilities: float ``(pictures, pixels, classes)``.
            truth: the same shape, 1 for the class of a labelled pixel, else 0.
            counted: ``(pictures, pixels)``, 1 for a labelled pixel and 0 for a void one.

        Returns:
            ``(pictures, classes)``.
        """
        raise NotImplementedError

    def _in_rows(self, x, *channels):
        """Lays the pixels of each picture, or of the whole batch, in a row."""
        pictures = ops.shape(x)[0] if self.per_image else 1
        return ops.reshape(x, (pictures, -1, *channels))

    def get_config(self):
        config = super().get_config()
        return {
            **config,
            "void": self.void,
            "classes": self.classes,
            "per_image": self.per_image,
        }


@keras.saving.register_keras_serializable(package="pixelwise")
class DiceLoss(_RegionLoss):
    """One minus the soft Dice coefficient of each class, averaged over the classes.

    Sums run over the labelled pixels of the whole batch, so that a class that one picture lacks
    may be in another. A class without any label in the batch has no overlap to gain: its
    coefficient is close to 0 whatever the network says, and its gradient with it. By default such
    classes are left out of the mean. Where they are predicted, the loss still rises, since the
    class that should stand there lacks the pixel.

    Args:
        void: the label of pixels to leave out, an integer.
        classes: ``"present"`` averages over the classes that are labelled, ``"all"`` over all.
        per_image: ``True`` sums over each picture by itself and averages over the pictures that
            have a labelled pixel.
        smooth: positive number above and below the fraction bar, in pixels. It decides the value
            of a class that is absent in ``"all"``: ``smooth / (sum p + smooth)``.
        name: name of the loss.
        reduction: as in ``keras.losses.Loss``, over pictures if ``per_image``.

    Raises:
        ValueError: if an argument is none of these, labels and logits do not fit, or sample
            weights are given without ``per_image``.

    Source: Milletari, Navab, Ahmadi 2016 (V-Net), section 3; see ``losses.soft_dice``.
    """

    def __init__(
        self,
        void=255,
        classes="present",
        per_image=False,
        smooth=1e-6,
        name="dice_loss",
        reduction="sum_over_batch_size",
        **kwargs,
    ):
        super().__init__(void, classes, per_image, name, reduction, **kwargs)
        if not isinstance(smooth, numbers.Real) or not smooth > 0:
            raise ValueError(
                f"smooth is {smooth!r}: give a positive number, or a class without pixels would be "
                "0 / 0."
            )
        self.smooth = float(smooth)

    def of_classes(self, probabilities, truth, counted):
        return 1.0 - soft_dice(probabilities * counted[..., None], truth, 1, self.smooth)

    def get_config(self):
        return {**super().get_config(), "smooth": self.smooth}


@keras.saving.register_keras_serializable(package="pixelwise")
class LovaszSoftmax(_RegionLoss):
    """The Lovász extension of one minus the IoU of each class, averaged over the classes.

    1 - IoU is a function of the set of wrong pixels. Its Lovász extension is the convex function
    of the errors ``|truth - p|`` that is linear between neighbouring sets: it equals 1 - IoU where
    all errors are 0 or 1, and has a gradient elsewhere. Sorting costs ``classes`` sorts of all
    pixels a step, in the memory of about ten arrays ``(batch, height, width, classes)``.

    Void pixels are sorted with the others, since compilers want arrays of fixed size. They are in
    no set, so they move neither intersection nor union, and their slope is 0 wherever they come.

    Args:
        void: the label of pixels to leave out, an integer.
        classes: ``"present"`` averages over the classes that are labelled, ``"all"`` over all; the
            loss of a class without labels is then the largest probability that it has anywhere.
        per_image: ``True`` sorts the pixels of each picture by themselves and averages over the
            pictures that have a labelled pixel, ``False`` sorts those of the batch.
        name: name of the loss.
        reduction: as in ``keras.losses.Loss``, over pictures if ``per_image``.

    Raises:
        ValueError: if an argument is none of these, labels and logits do not fit, or sample
            weights are given without ``per_image``.

    Source: Berman, Rannen Triki, Blaschko 2018, definition 2 and section 3 (arXiv 1705.08790).
    """

    def __init__(
        self,
        void=255,
        classes="present",
        per_image=False,
        name="lovasz_softmax",
        reduction="sum_over_batch_size",
        **kwargs,
    ):
        super().__init__(void, classes, per_image, name, reduction, **kwargs)

    def of_classes(self, probabilities, truth, counted):
        p, truth = (ops.transpose(x, (0, 2, 1)) for x in (probabilities, truth))
        counted = ops.broadcast_to(counted[:, None, :], ops.shape(truth))
        errors = ops.abs(truth - p)
        order = ops.argsort(-errors, axis=-1)
        errors, truth, counted = (
            ops.take_along_axis(x, order, axis=-1) for x in (errors, truth, counted)
        )
        return ops.sum(errors * lovasz_slope(truth, counted), axis=-1)


def lovasz_slope(truth, counted):
    """Returns the slope of the Lovász extension of 1 - IoU by each error, errors falling.

    The slope of a pixel is what 1 - IoU rises by when this pixel becomes wrong after all before
    it. With I right pixels of the object left and U pixels in the union, a pixel of the object
    adds 1 / U (I falls by one), and one outside adds I / (U - 1) - I / U (U rises by one to U).
    Taken from I and U, these keep all digits; differences of neighbouring values of 1 - IoU, which
    are close to one another, would lose most of them.

    Args:
        truth: float ``(..., pixels)``, 1 in the object and 0 elsewhere, in the order of falling
            errors; 0 where a pixel does not count. Below 2^24 pixels float32 counts exactly.
        counted: the same shape, 1 for pixels that count and 0 for the others.

    Returns:
        The same shape: 0 or more; it sums to 1 where there is a pixel to count.

    Source: Berman, Rannen Triki, Blaschko 2018, definition 2 and algorithm 1.
    """
    truth, counted = ops.convert_to_tensor(truth), ops.convert_to_tensor(counted)
    outside = counted - truth
    object_size = ops.sum(truth, axis=-1, keepdims=True)
    right = object_size - ops.cumsum(truth, axis=-1)
    union = object_size + ops.cumsum(outside, axis=-1)
    before = union - outside
    # Without an object the first pixel outside makes 1 - IoU jump from 0, nothing wrong, to 1.
    rise = ops.where(before > 0, right / ops.maximum(union * before, 1.0), 1.0)
    return truth / ops.maximum(union, 1.0) + outside * rise


@keras.saving.register_keras_serializable(package="pixelwise")
class SumLoss(keras.losses.Loss):
    """A weighted sum of losses, such as cross-entropy plus Dice.

    Args:
        losses: one or more ``keras.losses.Loss`` of the same labels and logits.
        weights: None (1 each), or one non-negative number a loss.
        name: name of the loss.
        reduction: does nothing: each of the losses has its own.

    Raises:
        ValueError: if there is no loss, if one is not a loss, or if the weights are negative or
            not one a loss.
    """

    def __init__(
        self, losses, weights=None, name="sum_loss", reduction="sum_over_batch_size", **kwargs
    ):
        super().__init__(name=name, reduction=reduction, **kwargs)
        self.losses = list(losses) if isinstance(losses, list | tuple) else []
        if not self.losses or not all(isinstance(x, keras.losses.Loss) for x in self.losses):
            raise ValueError(f"losses is {losses!r}: give one or more keras.losses.Loss in a list.")
        weights = [1.0] * len(self.losses) if weights is None else weights
        self.weights = checks.reals("weights", weights)
        if len(self.weights) != len(self.losses) or not all(w >= 0 for w in self.weights):
            raise ValueError(
                f"The weights are {self.weights}: give each of the {len(self.losses)} losses one "
                "of 0 or more."
            )

    def __call__(self, y_true, y_pred, sample_weight=None):
        pairs = zip(self.weights, self.losses, strict=True)
        return sum(weight * loss(y_true, y_pred, sample_weight) for weight, loss in pairs)

    def get_config(self):
        losses = [keras.losses.serialize(loss) for loss in self.losses]
        return {**super().get_config(), "losses": losses, "weights": self.weights}

    @classmethod
    def from_config(cls, config):
        losses = [keras.losses.deserialize(loss) for loss in config["losses"]]
        return cls(**{**config, "losses": losses})
