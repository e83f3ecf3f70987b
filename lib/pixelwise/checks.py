"""Checks of arguments that data sets, models and measures share, each one sentence long."""

import numbers

import numpy as np


def whole(name, value, least=1):
    """Refuses an argument that is no whole number, or less than the least.

    Args:
        name: of the argument, for the sentence.
        value: anything.
        least: whole number.

    Raises:
        ValueError: if it is refused.
    """
    if not isinstance(value, numbers.Integral) or isinstance(value, bool) or value < least:
        raise ValueError(f"{name} is {value!r}: give a whole number from {least}.")


def choice(name, value, known):
    """Refuses an argument that is none of the names that are known.

    Args:
        name: of the argument, for the sentence.
        value: anything.
        known: the names, and ``None`` where that is one of the choices.

    Raises:
        ValueError: if it is refused.
    """
    if value is None and None in known:
        return
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"{name} is {value!r}: choose one of {', '.join(map(repr, known))}.")


def sequence(name, values, least=1):
    """Refuses an argument that is no list or tuple of whole numbers; see ``whole``."""
    if not isinstance(values, list | tuple):
        raise ValueError(f"{name} is {values!r}: give a list of whole numbers from {least}.")
    for value in values:
        whole(f"a number in {name}", value, least)


def void(label):
    """Returns the label of pixels to leave out as an int, or raises one sentence."""
    if not isinstance(label, numbers.Integral) or isinstance(label, bool):
        raise ValueError(f"void is {label!r}: give the label of pixels to leave out, as 255.")
    return int(label)


def reals(name, values):
    """Returns a list of numbers as floats, or raises one sentence; ``name`` is the argument's."""
    found = np.asarray(values)
    if found.ndim != 1 or found.dtype.kind not in "iuf":
        raise ValueError(f"{name} is {values!r}: give a list of numbers.")
    return [float(value) for value in found]


def generator(seed):
    """Returns NumPy's random generator for a seed.

    Args:
        seed: whole number from 0, a list of such, or ``None``, which draws anew.

    Raises:
        ValueError: if it is no seed.
    """
    several = isinstance(seed, list | tuple)
    for number in seed if several else [seed]:
        if several or number is not None:
            whole("seed", number, 0)
    return np.random.default_rng(seed)


def fractions(images):
    """Checks that pictures of any shape are fractions in [0, 1].

    Args:
        images: NumPy array of one value or more.

    Returns:
        The pictures, float32.

    Raises:
        ValueError: if the values are whole numbers, outside [0, 1], or NaN.
    """
    if images.dtype.kind in "iub":
        raise ValueError(
            f"The pictures have dtype {images.dtype}: give float32 in [0, 1], which is "
            'images.astype("float32") / 255 for eight bits.'
        )
    low, high = float(images.min()), float(images.max())
    if not -0.01 <= low <= high <= 1.01:  # a little over is left to interpolation
        raise ValueError(
            f"The pictures have values from {low:.4g} to {high:.4g}: give float32 in [0, 1] "
            "(divide eight-bit values by 255), without NaN."
        )
    return images.astype("float32", copy=False)
