"""Which pictures a batch has: the order of every data set, fixed by its seed.

The pictures stand in a sequence of positions, endless where they are shuffled anew for each pass.
"""

import functools

import numpy as np


def positions(index, batch_size, num_batches, length=None):
    """Returns the positions of batch ``index`` in the sequence.

    Args:
        index: number of the batch.
        batch_size: pictures a batch; the last of a sequence that ends may have fewer.
        num_batches: how many batches there are, or ``None``.
        length: of the sequence, ``None`` if it is endless.

    Returns:
        ``range``.

    Raises:
        IndexError: if there is no such batch.
    """
    first = index * batch_size
    last = first + batch_size if length is None else min(first + batch_size, length)
    beyond = num_batches is not None and index >= num_batches
    if beyond or not 0 <= first < last:
        raise IndexError(f"Batch {index} is outside the {num_batches} of this split.")
    return range(first, last)


def shuffled(position, length, seed):
    """Returns the number of the picture at a position, in a new order for each pass.

    Args:
        position: in the endless sequence.
        length: number of pictures.
        seed: whole number that fixes the orders.

    Returns:
        Whole number from 0 to ``length - 1``.
    """
    times, place = divmod(position, length)
    return _order(seed, times, length)[place]


@functools.lru_cache(maxsize=4)
def _order(seed, times, length):
    return np.random.default_rng([seed, 0, times]).permutation(length)
