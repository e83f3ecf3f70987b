"""Which object an anchor or proposal stands for, and which of them a training step looks at.

All shapes are fixed, so that training compiles: objects are padded, and so are samples.
Chapter: Mask R-CNN.
"""

from keras import ops

BELOW = -1  # overlaps no object enough: background
BETWEEN = -2  # neither background nor an object: left out of the loss
# Qualities that differ by less than this share count as equal when the best of an object is looked
# for. Compilers may compute the table twice, once for its maximum and once to compare it with that,
# and round differently: with == an object could end up without any match.
ROUNDING = 1e-6


def match(quality, valid, high, low, allow_low_quality=False):
    """Gives each candidate (anchor, proposal) the object that it overlaps most, or none.

    Args:
        quality: float ``(..., objects, candidates)``, such as the IoU of each pair, 0 or more.
        valid: bool ``(..., objects)``: which objects are no padding. Padding is matched to nothing.
        high: the quality from which on a candidate stands for its object.
        low: the quality below which it is background.
        allow_low_quality: whether the best candidates of each object, those that tie included,
            stand for the object that they overlap most, however little that is, so that each
            object has one. An object that nothing overlaps has no best candidate.

    Returns:
        int32 ``(..., candidates)``: the number of the object, ``BELOW`` or ``BETWEEN``. Of objects
        that tie, the first counts. Without an object all is ``BELOW``.

    Raises:
        ValueError: if ``low`` is above ``high`` or below 0, or the shapes do not fit.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.1.2; torchvision's Matcher, except that there
    an object that overlaps nothing ties with every candidate, and makes an object of each.
    """
    if not 0 <= low <= high:
        raise ValueError(f"low is {low} and high is {high}: give 0 <= low <= high.")
    quality, valid = ops.convert_to_tensor(quality), ops.convert_to_tensor(valid)
    if len(quality.shape) < 2 or quality.shape[-2] != valid.shape[-1] or not valid.shape[-1]:
        raise ValueError(
            "Matching needs qualities (..., objects, candidates) and valid (..., objects), at "
            f"least one, but got {tuple(quality.shape)} and {tuple(valid.shape)}."
        )
    quality = ops.where(valid[..., None], quality, -1)
    best = ops.max(quality, axis=-2)
    nearest = ops.cast(ops.argmax(quality, axis=-2), "int32")
    matched = ops.where(best >= high, nearest, ops.where(best >= low, BETWEEN, BELOW))
    if not allow_low_quality:
        return matched
    of_object = ops.max(quality, axis=-1)
    enough = ops.where(of_object > 0, of_object * (1 - ROUNDING), float("inf"))
    return ops.where(ops.any(quality >= enough[..., None], axis=-2), nearest, matched)


def balanced_sample(labels, noise, size, positive_share):
    """Draws positive and negative candidates for a loss, at random and in a fixed number.

    At most ``int(positive_share * size)`` are positive; negatives fill up the rest. Where there
    are not enough of them either, padding does.

    Args:
        labels: int ``(..., candidates)``: above 0 positive, 0 negative, below 0 left out. What
            ``match`` returns, plus 1, is such a list.
        noise: float in [0, 1) of the same shape, drawn anew for each step: of each kind the
            candidates with the largest are taken.
        size: how many to draw.
        positive_share: the largest share of positives, 0 to 1.

    Returns:
        ``(indices, positive, valid)``, each ``(..., size)``: int32 numbers of candidates;
        which of them are positive; which are positive or negative, and no padding. Positives come
        first and none comes twice; padding comes last, with the number 0.

    Raises:
        ValueError: if ``size`` is below 1, the share is beyond 0 to 1, or the shapes differ.

    Source: Ren et al. 2015 (Faster R-CNN), section 3.1.3.
    """
    if size < 1 or not 0 <= positive_share <= 1:
        raise ValueError(
            f"size is {size} and positive_share {positive_share}: give at least 1, and a share "
            "from 0 to 1."
        )
    labels, noise = ops.convert_to_tensor(labels), ops.convert_to_tensor(noise)
    if len(labels.shape) != len(noise.shape) or labels.shape[-1] != noise.shape[-1]:
        raise ValueError(
            "Each label needs one random number, but got labels of the shape "
            f"{tuple(labels.shape)} and noise of {tuple(noise.shape)}."
        )
    positives, first = _largest(labels > 0, noise, int(positive_share * size))
    negatives, second = _largest(labels == 0, noise, size)
    indices = ops.concatenate([positives, negatives], axis=-1)
    is_positive = ops.concatenate([first, ops.zeros_like(second)], axis=-1)
    drawn = ops.concatenate([first, second], axis=-1)
    places, valid = first_true(drawn, size)
    indices = ops.where(valid, ops.take_along_axis(indices, places, axis=-1), 0)
    positive = ops.logical_and(valid, ops.take_along_axis(is_positive, places, axis=-1))
    return indices, positive, valid


def first_true(flags, limit):
    """Returns the places of the first values that are true, in a list of fixed length.

    Args:
        flags: bool ``(..., n)``, n below 2^23.
        limit: length of the list.

    Returns:
        ``(places, valid)``, int32 and bool ``(..., limit)``: rising places, and which of them hold
        a true value; the others are padding, with the place 0.
    """
    count = flags.shape[-1]
    place = ops.arange(count, dtype="float32")
    # Keys fall, the true ones before the others, and none is there twice: on PyTorch top_k may
    # answer equal keys in any order. Compilers have a fast top_k for floats only.
    keys = ops.where(flags, -place, -place - count)
    places = ops.top_k(keys, min(limit, count))[1]
    places = _pad(ops.cast(places, "int32"), limit)
    valid = ops.arange(limit) < ops.sum(ops.cast(flags, "int32"), axis=-1, keepdims=True)
    return ops.where(valid, places, 0), valid


def _largest(candidates, noise, limit):
    """The candidates with the largest noise, at most so many, and which of the list are any."""
    keys = ops.where(candidates, noise, -1)
    values, indices = ops.top_k(keys, min(limit, keys.shape[-1]))
    return ops.cast(indices, "int32"), values >= 0


def _pad(x, length):
    """Fills up the last axis with zeros."""
    missing = length - x.shape[-1]
    return ops.pad(x, [(0, 0)] * (len(x.shape) - 1) + [(0, missing)])
