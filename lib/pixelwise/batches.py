"""The batches of a training run: which one comes at which step, and how many pictures it holds."""

import keras
import numpy as np


class ArrayBatches(keras.utils.PyDataset):
    """Endless batches of arrays in an order drawn anew for each pass, fixed by the seed.

    Args:
        x: array ``(examples, ...)``.
        y: array ``(examples, ...)``.
        batch_size: examples a batch.
        seed: whole number that fixes the order.

    Raises:
        ValueError: if the arrays are empty or differ in length.
    """

    num_batches = None

    def __init__(self, x, y, batch_size=32, seed=0):
        super().__init__()
        if np.ndim(x) == 0 or np.ndim(y) == 0:
            raise ValueError("The data are single numbers: give arrays (examples, ...).")
        if len(x) != len(y):
            raise ValueError(f"There are {len(x)} inputs but {len(y)} targets: give one each.")
        if len(x) == 0:
            raise ValueError("The data set is empty: there is nothing to train on.")
        self.x, self.y = x, y
        self.batch_size = min(batch_size, len(x))
        self.seed = seed

    def __getitem__(self, index):
        places = np.arange(index * self.batch_size, (index + 1) * self.batch_size)
        passes = places // len(self.x)
        orders = {
            p: np.random.default_rng([self.seed, p]).permutation(len(self.x))
            for p in range(passes[0], passes[-1] + 1)
        }
        rows = [orders[p][place % len(self.x)] for p, place in zip(passes, places, strict=True)]
        return self.x[rows], self.y[rows]


class View(keras.utils.PyDataset):
    """The batches ``start`` to ``stop`` of an endless repetition of a data set.

    It keeps the first error of the data set, which TensorFlow wraps in a page of its own words.
    """

    def __init__(self, data, start, stop):
        super().__init__(
            workers=data.workers,
            use_multiprocessing=data.use_multiprocessing,
            max_queue_size=data.max_queue_size,
        )
        self.data = data
        self.start = start
        self.stop = stop
        self.period = num_batches(data)
        self.error = None

    @property
    def num_batches(self):
        return self.stop - self.start

    def __getitem__(self, index):
        step = self.start + index
        try:
            batch = self.data[step if self.period is None else step % self.period]
            _check(batch, step)
            return batch
        except Exception as error:
            self.error = self.error or error
            raise


class Weights:
    """The sizes of the batches, by which Keras weights the mean loss."""

    def __init__(self, data):
        self.period = num_batches(data)
        self.full = self.short = 1
        if self.period is not None and self.period > 1:
            self.full, self.short = _batch_size(data[0]), _batch_size(data[self.period - 1])

    def between(self, before, step):
        """Returns the number of examples in the steps after ``before`` up to ``step``."""
        if self.period is None:
            return step - before
        shorts = step // self.period - before // self.period
        return (step - before - shorts) * self.full + shorts * self.short


def dataset(data):
    """Returns the ``PyDataset`` that ``fit`` was given, or makes one of a pair of arrays."""
    if isinstance(data, (tuple, list)) and len(data) == 2:
        data = ArrayBatches(np.asarray(data[0]), np.asarray(data[1]))
    if not isinstance(data, keras.utils.PyDataset):
        raise ValueError(
            "data must be a keras.utils.PyDataset or a pair of arrays (x, y), "
            f"not {type(data).__name__}."
        )
    if num_batches(data) == 0:
        raise ValueError("The data set is empty: there is nothing to train on.")
    return data


def _check(batch, step):
    """Refuses a batch without examples, or with more inputs than targets."""
    sizes = {array.shape[0] for array in keras.tree.flatten(batch) if np.ndim(array)}
    if 0 in sizes:
        raise ValueError(f"Batch {step} is empty: give at least one example.")
    if len(sizes) > 1:
        raise ValueError(
            f"Batch {step} has arrays of {' and '.join(map(str, sorted(sizes)))} examples: give "
            "each input its target."
        )


def num_batches(data):
    """Returns the length of a data set in batches, None if it is endless.

    Raises:
        ValueError: if it is none.
    """
    try:
        return data.num_batches
    except NotImplementedError:
        return None
    except AttributeError as error:
        raise ValueError(
            f"The data set is of the type {type(data).__name__}: give a keras.utils.PyDataset, as "
            "pixelwise.data.load returns."
        ) from error


def check_length(count):
    """Refuses to measure on no batch, or on endless ones.

    Args:
        count: of batches, as ``num_batches`` returns it.

    Returns:
        The same.

    Raises:
        ValueError: if it is not a positive number.
    """
    if not count or count < 0:
        raise ValueError(
            f"The data set has {count} batches: measure on a split of known, positive length."
        )
    return count


def _batch_size(batch):
    return keras.tree.flatten(batch)[0].shape[0]
