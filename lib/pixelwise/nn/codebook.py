"""Vector quantisation: every vector becomes the nearest of a learned list, the codebook.

The choice of the nearest has no derivative. Straight through, the gradient of the chosen code is
handed to the vector as it is. The codes themselves need no gradient: each is the running mean of
the vectors that chose it. Chapter: VAE.
"""

import keras
from keras import layers, ops

from pixelwise import checks


@keras.saving.register_keras_serializable(package="pixelwise")
class Codebook(layers.Layer):
    """A list of codes, and the choice of the nearest one.

    Args:
        codes: number of codes.
        width: length of each.
        decay: of the running means, in [0, 1).
        least_use: share of the average use below which a code is dead; it is then moved to a
            vector of the batch, drawn at random.
        **kwargs: of ``keras.layers.Layer``.

    Raises:
        ValueError: if an argument is not possible.

    Source: van den Oord, Vinyals, Kavukcuoglu 2017 (arXiv 1711.00937), section 3 and appendix A.1;
        the revival of dead codes, Dhariwal et al. 2020 (arXiv 2005.00341), section 3.2.
    """

    def __init__(self, codes, width, decay=0.99, least_use=0.03, **kwargs):
        super().__init__(**kwargs)
        checks.whole("codes", codes)
        checks.whole("width", width)
        for name, value in (("decay", decay), ("least_use", least_use)):
            if not 0 <= value < 1:
                raise ValueError(f"{name} is {value!r}: give a number of at least 0, less than 1.")
        self.codes, self.width, self.decay, self.least_use = codes, width, decay, least_use
        self.table = self.add_weight(
            shape=(codes, width), initializer="random_normal", trainable=False, name="table"
        )
        self.count = self.add_weight(
            shape=(codes,), initializer="zeros", trainable=False, name="count"
        )
        self.total = self.add_weight(
            shape=(codes, width), initializer="zeros", trainable=False, name="total"
        )
        self.built = True

    def nearest(self, vectors):
        """Returns the number of the code nearest to each vector, int32: (...) of (..., width)."""
        vectors = ops.convert_to_tensor(vectors)
        table = ops.cast(self.table, vectors.dtype)
        # |v - e|^2 without |v|^2, which is the same for all codes.
        distance = ops.sum(ops.square(table), axis=-1) - 2 * ops.matmul(
            vectors, ops.transpose(table)
        )
        return ops.cast(ops.argmin(distance, axis=-1), "int32")

    def look_up(self, numbers):
        """Returns the codes, float ``(..., width)``, of numbers ``(...)``."""
        return ops.take(self.table, numbers, axis=0)

    def straight_through(self, vectors, numbers):
        """Returns the codes, with the gradient of the vectors in place of their own."""
        vectors = ops.convert_to_tensor(vectors)
        return vectors + ops.stop_gradient(self.look_up(numbers) - vectors)

    def learn(self, vectors, numbers, picks):
        """Moves the codes to the running means of the vectors that chose them, and revives.

        Args:
            vectors: float ``(n, width)``.
            numbers: int ``(n,)``, what ``nearest`` said of them.
            picks: int ``(codes,)`` in [0, n), the vector that each code is moved to if it is dead.
        """
        vectors = ops.stop_gradient(ops.convert_to_tensor(vectors))
        chosen = ops.one_hot(numbers, self.codes, dtype=vectors.dtype)
        rate = 1 - self.decay
        count = self.decay * self.count + rate * ops.sum(chosen, axis=0)
        total = self.decay * self.total + rate * ops.matmul(ops.transpose(chosen), vectors)
        average = ops.mean(count)
        dead = count < self.least_use * average
        count = ops.where(dead, average, count)
        total = ops.where(dead[:, None], average * ops.take(vectors, picks, axis=0), total)
        self.count.assign(count)
        self.total.assign(total)
        # A count of nothing is there only where every vector is missing.
        self.table.assign(total / ops.maximum(count, 1e-12)[:, None])

    def get_config(self):
        own = {name: getattr(self, name) for name in ("codes", "width", "decay", "least_use")}
        return {**super().get_config(), **own}
