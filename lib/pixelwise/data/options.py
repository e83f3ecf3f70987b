"""The options that the labelled data sets share, checked when a data set is made."""

import inspect

import keras
import numpy as np

from pixelwise import checks
from pixelwise.results import nearest

OF_KERAS = ("workers", "use_multiprocessing", "max_queue_size")


def check(kind, batch_size, num_batches, seed, others):
    """Checks what every data set takes.

    Args:
        kind: the class of the data set, whose parameters are the options that it knows.
        batch_size: pictures a batch, 1 or more.
        num_batches: length of an epoch, 1 or more, or ``None``.
        seed: 0 or more, or ``None``.
        others: dict of the options that go to ``keras.utils.PyDataset``.

    Raises:
        ValueError: naming the first option that is unknown or wrong.
    """
    for name in others:
        if name not in OF_KERAS:
            known = [*_own(kind), *OF_KERAS]
            raise ValueError(f"{kind.__name__} has no option {name!r}: {nearest(name, known)}.")
    checks.whole("batch_size", batch_size, 1)
    if num_batches is not None:
        checks.whole("num_batches", num_batches, 1)
    if seed is not None:
        checks.whole("seed", seed, 0)


def check_switches(**values):
    """Refuses options that are neither ``None`` nor true or false, by their names."""
    for name, value in values.items():
        if value is not None and not isinstance(value, bool | np.bool_):
            raise ValueError(f"{name} is {value!r}: give True or False, or None for the default.")


def _own(kind):
    """Returns the names of the options of a data set and of those that it is built on."""
    named = inspect.Parameter.POSITIONAL_OR_KEYWORD
    kinds = kind.__mro__[: kind.__mro__.index(keras.utils.PyDataset)]
    found = [p for k in kinds for p in inspect.signature(k).parameters.values() if p.kind is named]
    return list(dict.fromkeys(p.name for p in found))
