"""DiffAugment: both players see distorted pictures, and the generator learns through it.

A discriminator that sees few pictures learns them by heart. Distorting the real ones alone would
teach the generator to make distorted pictures. So real and generated ones are distorted in the same
ways before the discriminator sees either, and every distortion has a gradient by the picture.
Source: Zhao et al. 2020 (arXiv 2006.10738), section 3.2. Chapter: GAN.
"""

import keras
from keras import ops

SHIFT = 1 / 8  # the largest translation, as a share of the side
HOLE = 1 / 2  # the side of the square that is cut out, as a share of the picture's


def read_policy(policy):
    """Returns the distortions that a policy names, in its order.

    Args:
        policy: names of ``DISTORTIONS``, separated by commas, as ``"colour,translation,cutout"``.

    Returns:
        tuple of str.

    Raises:
        ValueError: if a name is unknown or none is given.
    """
    names = tuple(name.strip() for name in policy.split(",")) if isinstance(policy, str) else ()
    if not names or not set(names) <= set(DISTORTIONS):
        raise ValueError(
            f"augment is {policy!r}: give None, or one or more of {', '.join(DISTORTIONS)}, "
            "separated by commas."
        )
    return names


def diffaugment(pictures, policy, seed=None):
    """Distorts each picture of a batch anew.

    Args:
        pictures: float ``(batch, height, width, channels)`` in [0, 1].
        policy: as for ``read_policy``.
        seed: ``keras.random.SeedGenerator``, whole number or None.

    Returns:
        float array of the same shape; brightness and contrast may leave [0, 1].

    Raises:
        ValueError: as ``read_policy``.
    """
    pictures = ops.convert_to_tensor(pictures)
    for name in read_policy(policy):
        pictures = DISTORTIONS[name](pictures, seed)
    return pictures


def _colour(pictures, seed):
    draws = [_uniform(pictures, seed) for _ in range(3)]
    return colour(pictures, (draws[0] - 0.5) / 2, 2 * draws[1], draws[2] + 0.5)


def colour(pictures, brightness, saturation, contrast):
    """Changes brightness, saturation and contrast, in this order.

    Args:
        pictures: float ``(batch, height, width, channels)``.
        brightness: float ``(batch,)`` that is added; drawn from [-1/4, 1/4], which is the paper's
            half in its range of two.
        saturation: float ``(batch,)``, factor of each pixel's distance from its own grey; drawn
            from [0, 2]. A picture of one channel stays as it is.
        contrast: float ``(batch,)``, factor of the distance from the picture's mean; drawn from
            [1/2, 3/2].

    Returns:
        float array of the same shape.
    """
    pictures = ops.convert_to_tensor(pictures)
    brightness, saturation, contrast = (
        ops.reshape(ops.cast(value, pictures.dtype), (-1, 1, 1, 1))
        for value in (brightness, saturation, contrast)
    )
    pictures = pictures + brightness
    grey = ops.mean(pictures, axis=3, keepdims=True)
    pictures = grey + saturation * (pictures - grey)
    mean = ops.mean(pictures, axis=(1, 2, 3), keepdims=True)
    return mean + contrast * (pictures - mean)


def _translation(pictures, seed):
    down, right = (
        _whole(pictures, seed, -_largest(side), _largest(side)) for side in pictures.shape[1:3]
    )
    return translate(pictures, down, right)


def translate(pictures, down, right):
    """Moves each picture by whole pixels; black comes in where it has left.

    A shift is a product with a unit matrix whose diagonal has moved, which has a gradient and
    needs no index.

    Args:
        pictures: float ``(batch, height, width, channels)``.
        down, right: int ``(batch,)``, in pixels, of either sign.

    Returns:
        float array of the same shape.
    """
    height, width = pictures.shape[1:3]
    pictures = ops.convert_to_tensor(pictures)
    rows, columns = (
        ops.cast(_shifted_unit(side, shift), pictures.dtype)
        for side, shift in ((height, down), (width, right))
    )
    moved = ops.einsum("bij,bjwc->biwc", rows, pictures)
    return ops.einsum("bij,bhjc->bhic", columns, moved)


def _shifted_unit(side, shift):
    places = ops.arange(side, dtype="int32")
    target, source = places[None, :, None], places[None, None, :]
    return ops.equal(target - source, ops.reshape(ops.cast(shift, "int32"), (-1, 1, 1)))


def _cutout(pictures, seed):
    row, column = (_whole(pictures, seed, 0, side) for side in pictures.shape[1:3])
    return cutout(pictures, row, column)


def cutout(pictures, row, column):
    """Makes a square of half the side black, as far as it lies within the picture.

    Args:
        pictures: float ``(batch, height, width, channels)``.
        row, column: int ``(batch,)``, its middle, in pixels.

    Returns:
        float array of the same shape.
    """
    height, width = pictures.shape[1:3]
    inside = ops.logical_and(
        _strip(height, row)[:, :, None, None], _strip(width, column)[:, None, :, None]
    )
    return ops.where(inside, 0.0, pictures)


def _strip(side, middle):
    """Returns which of ``side`` places lie within the hole, bool ``(batch, side)``."""
    places, width = ops.arange(side, dtype="int32"), round(side * HOLE)
    first = ops.reshape(ops.cast(middle, "int32"), (-1, 1)) - width // 2
    return ops.logical_and(places[None] >= first, places[None] < first + width)


def _largest(side):
    return round(side * SHIFT)


def _uniform(pictures, seed):
    return keras.random.uniform(ops.shape(pictures)[:1], dtype=pictures.dtype, seed=seed)


def _whole(pictures, seed, low, high):
    """Draws a whole number from ``low`` to ``high``, both counted, for each picture."""
    return keras.random.randint(ops.shape(pictures)[:1], low, high + 1, seed=seed)


DISTORTIONS = {"colour": _colour, "translation": _translation, "cutout": _cutout}
