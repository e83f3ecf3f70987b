"""The losses of two-stage detectors: of the region proposal network, of the boxes, of the masks.

Each takes what was sampled as a weight, 1 or 0, so that all shapes are fixed, and divides by the
number of samples: no picture without objects makes it NaN.

Source: Girshick 2015 (Fast R-CNN, arXiv 1504.08083), equations 1 to 3; Ren et al. 2015, equation
1; He et al. 2017, section 3. Chapter 4.
"""

from keras import ops

from pixelwise.nn.losses import log_softmax

BETA = 1 / 9  # where the smooth L1 loss turns from a parabola into a line; torchvision's


def smooth_l1(errors, beta=BETA):
    """Returns the smooth L1 loss of each error: a parabola up to ``beta``, a line beyond.

    Args:
        errors: float array of any shape.
        beta: above 0.

    Returns:
        Array of the same shape: ``e^2 / (2 beta)`` where ``|e| < beta``, else ``|e| - beta / 2``.

    Source: Girshick 2015, equation 3 (there with beta = 1).
    """
    errors = ops.convert_to_tensor(errors)
    size = ops.abs(errors)
    return ops.where(size < beta, 0.5 * errors * errors / beta, size - 0.5 * beta)


def binary_cross_entropy(logits, targets):
    """Returns the cross-entropy of each logit with a target in [0, 1], in nats.

    ``max(z, 0) - z t + log(1 + exp(-|z|))``, which no logit can make infinite.

    Args:
        logits, targets: float arrays of one shape.

    Returns:
        Array of the same shape.
    """
    logits, targets = ops.convert_to_tensor(logits), ops.convert_to_tensor(targets)
    return ops.maximum(logits, 0) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))


def objectness_loss(logits, positive, sampled):
    """Returns the mean cross-entropy of the sampled anchors: object or not.

    Args:
        logits: float ``(batch, anchors)``.
        positive: bool ``(batch, anchors)``, whether the anchor matches an object.
        sampled: bool ``(batch, anchors)``.

    Returns:
        Scalar, in nats; 0 if nothing was sampled.
    """
    logits = ops.convert_to_tensor(logits)
    weight = ops.cast(sampled, logits.dtype)
    losses = binary_cross_entropy(logits, ops.cast(positive, logits.dtype))
    return ops.sum(losses * weight) / ops.maximum(ops.sum(weight), 1)


def box_loss(deltas, targets, positive, samples):
    """Returns the smooth L1 loss of the deltas of the positive samples, over all samples.

    Dividing by all of them, and not by the positive ones, weights every object alike, however many
    boxes matched it (Girshick 2015, section 2.3, and torchvision).

    Args:
        deltas: float ``(batch, n, 4)``.
        targets: float ``(batch, n, 4)``; of others than the positive ones any finite number.
        positive: bool ``(batch, n)``, sampled and matched to an object.
        samples: scalar, how many were sampled in all.

    Returns:
        Scalar; 0 if there is no positive sample.
    """
    deltas, targets = ops.convert_to_tensor(deltas), ops.convert_to_tensor(targets)
    weight = ops.cast(positive, deltas.dtype)[..., None]
    losses = smooth_l1((deltas - targets) * weight)
    return ops.sum(losses) / ops.maximum(ops.cast(samples, deltas.dtype), 1)


def class_loss(logits, labels, sampled):
    """Returns the mean cross-entropy of the classes of the sampled regions.

    Args:
        logits: float ``(batch, regions, classes)``, class 0 being the background.
        labels: integer ``(batch, regions)``.
        sampled: bool ``(batch, regions)``.

    Returns:
        Scalar, in nats; 0 if nothing was sampled.
    """
    logits = ops.convert_to_tensor(logits)
    weight = ops.cast(sampled, logits.dtype)
    one_hot = ops.one_hot(labels, logits.shape[-1], dtype=logits.dtype)
    losses = -ops.sum(one_hot * log_softmax(logits), axis=-1)
    return ops.sum(losses * weight) / ops.maximum(ops.sum(weight), 1)


def sigmoid_mask_loss(logits, targets, labels, positive):
    """Returns the mean binary cross-entropy of the true class's mask, over the positive regions.

    The masks of other classes are not asked: so classes do not compete (He et al. 2017, section
    3: with a softmax over the classes mask AP falls from 30.3 to 24.8).

    Args:
        logits: float ``(batch, regions, side, side, classes)``.
        targets: float ``(batch, regions, side, side)`` in [0, 1].
        labels: integer ``(batch, regions)``, the true class.
        positive: bool ``(batch, regions)``.

    Returns:
        Scalar, in nats a pixel; 0 if there is no positive region.
    """
    logits = ops.convert_to_tensor(logits)
    losses = binary_cross_entropy(of_class(logits, labels), targets)
    weight = ops.cast(positive, logits.dtype)
    return ops.sum(ops.mean(losses, axis=(-1, -2)) * weight) / ops.maximum(ops.sum(weight), 1)


def softmax_mask_loss(logits, targets, labels, positive):
    """Returns the mean cross-entropy of the pixels' classes, the true one or the background.

    Args:
        logits, targets, labels, positive: as for ``sigmoid_mask_loss``, with class 0 the
            background. A target between 0 and 1 shares its pixel among the two.

    Returns:
        Scalar, in nats a pixel; 0 if there is no positive region.
    """
    logits, targets = ops.convert_to_tensor(logits), ops.convert_to_tensor(targets)
    scores = log_softmax(logits)
    losses = -targets * of_class(scores, labels) - (1 - targets) * scores[..., 0]
    weight = ops.cast(positive, logits.dtype)
    return ops.sum(ops.mean(losses, axis=(-1, -2)) * weight) / ops.maximum(ops.sum(weight), 1)


def of_class(values, labels):
    """Picks from the last axis the value of one class for each region.

    Args:
        values: float ``(batch, regions, ..., classes)``.
        labels: integer ``(batch, regions)``.

    Returns:
        Array ``(batch, regions, ...)``.
    """
    values = ops.convert_to_tensor(values)
    one_hot = ops.one_hot(labels, values.shape[-1], dtype=values.dtype)
    extra = (1,) * (len(values.shape) - 3)
    shape = (-1, values.shape[1], *extra, values.shape[-1])
    return ops.sum(values * ops.reshape(one_hot, shape), axis=-1)
