"""How likely a VAE takes a picture to be, measured: the importance-weighted bound.

The bound that a VAE learns by may be far below log p(x). With k latents drawn from q(z | x),

    log p(x) >= E[log 1/k sum_i p(x | z_i) p(z_i) / q(z_i | x)],

which is the same bound for k = 1, grows with k and reaches log p(x) as k grows without end.
Published figures have k = 5,000. Chapter 7.
"""

import keras
import numpy as np
from keras import ops

from pixelwise import checks
from pixelwise.models import generative
from pixelwise.nn.divergences import kl_normal, log_normal, reparameterise

DRAWS = 1000  # latents that are weighed at a time


class Importance(keras.Model):
    """Weighs latents of a VAE, as a model of its own, which is compiled once for a size.

    Args:
        vae: a ``VAE``.

    Call arguments: dict of ``pictures``, ``noise`` float ``(batch, k, latents)`` and, with classes,
        ``classes`` int ``(batch,)``. Returns: as ``weigh``, tensors.
    """

    def __init__(self, vae):
        super().__init__(name="importance")
        self.vae = vae
        self.built = True

    def call(self, inputs):
        q = self.vae(inputs["pictures"])
        noise = ops.swapaxes(inputs["noise"], 0, 1)
        z = reparameterise(q["mean"], q["log_variance"], noise)
        log_x = self.vae.log_likelihood(inputs["pictures"], inputs.get("classes"), z)
        ratio = log_normal(z) - log_normal(z, q["mean"], q["log_variance"])
        return {
            "log_x": ops.swapaxes(log_x, 0, 1),
            "log_ratio": ops.swapaxes(ratio, 0, 1),
            "kl": kl_normal(q["mean"], q["log_variance"]),
        }

    def weigh(self, pictures, labels, k, rng):
        """Draws k latents of each picture from q(z | x), and says how likely all is.

        Args:
            pictures: float ``(n, height, width, channels)`` in [0, 1].
            labels: int ``(n,)``, needed if there are classes.
            k: number of draws.
            rng: ``numpy.random.Generator``.

        Returns:
            dict of NumPy arrays in nats: ``log_x`` ``(n, k)``, log p(x | z); ``log_ratio``
            ``(n, k)``, log p(z) - log q(z | x); ``kl`` ``(n,)``.

        Raises:
            ValueError: if pictures or labels do not fit.
        """
        pictures = generative.pictures(pictures, self.vae.encoder.input.shape)
        labels = generative.labels(labels, len(pictures), self.vae.num_classes)
        noise = rng.standard_normal((len(pictures), k, self.vae.latents), "float32")
        inputs = {"pictures": pictures, "noise": noise}
        inputs |= {} if labels is None else {"classes": labels}
        return generative.in_batches(self, inputs, size=max(1, DRAWS // k))

    def bound(self, pictures, k, seed=0, labels=None):
        """Returns the bound of log p(x) with k samples, as above.

        Args:
            pictures: float ``(n, height, width, channels)`` in [0, 1].
            k: importance samples, 1 or more; they are drawn in parts, so that only patience limits
                them.
            seed: of the samples.
            labels: int ``(n,)``, needed if there are classes.

        Returns:
            NumPy array, float64 ``(n,)`` in nats.

        Raises:
            ValueError: if pictures, labels or k are not possible.

        Source: Burda, Grosse, Salakhutdinov 2016, equation 8.
        """
        checks.whole("k", k)
        rng = checks.generator(seed)
        pictures = generative.pictures(pictures, self.vae.encoder.input.shape)
        labels = generative.labels(labels, len(pictures), self.vae.num_classes)
        # The noise of some pictures at a time: of all it may not fit into memory.
        size = max(1, 20 * DRAWS // k)
        total = np.full(len(pictures), -np.inf)
        for first in range(0, len(pictures), size):
            part = slice(first, first + size)
            for done in range(0, k, DRAWS):
                some = None if labels is None else labels[part]
                found = self.weigh(pictures[part], some, min(DRAWS, k - done), rng)
                weights = (found["log_x"] + found["log_ratio"]).astype("float64")
                total[part] = np.logaddexp(total[part], np.logaddexp.reduce(weights, axis=1))
        return total - np.log(k)
