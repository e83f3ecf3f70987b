"""What a decoder's numbers say of a picture: three distributions of pixels given the latents.

A decoder ends in ``parameters`` maps for each channel of the picture. A likelihood turns them into
the log-probability of a picture, summed over its pixels, in nats; into a mean picture; and into
pixels drawn at random. Chapter: VAE.
"""

import keras
import numpy as np
from keras import ops

from pixelwise.nn.divergences import log_bernoulli, log_normal
from pixelwise.results import nearest

LEVELS = 255  # a grey level is a whole number from 0 to this, divided by it
LOG_2 = float(np.log(2.0))
LARGEST_LOG_SCALE = 8.0  # a scale of 3,000 for pixels in [0, 1]: nothing is said, and no overflow


class Likelihood:
    """The common form of the three.

    Attributes:
        parameters: maps that the decoder gives for each channel of the picture.
        level_width: 1, or the width of a grey level where the likelihood is a density.
    """

    parameters = 1
    level_width = 1.0

    def log_prob(self, x, parameters):
        """Returns the log-probability of pictures, summed over each.

        Args:
            x: float ``(batch, height, width, channels)`` in [0, 1].
            parameters: float ``(batch, height, width, channels * self.parameters)``.

        Returns:
            Array ``(batch,)`` in nats.
        """
        raise NotImplementedError

    def mean(self, parameters):
        """Returns the mean pictures ``(batch, height, width, channels)`` in [0, 1]."""
        raise NotImplementedError

    def sample(self, parameters, rng):
        """Draws the pixels of pictures.

        Args:
            parameters: as for ``log_prob``, an array.
            rng: ``numpy.random.Generator``.

        Returns:
            NumPy array, float32 ``(batch, height, width, channels)`` in [0, 1].
        """
        raise NotImplementedError

    def bits(self, log_prob, dimensions):
        """Returns bits per dimension: what a pixel costs on average, of a log-probability in nats.

        A density is taken times the width of a grey level, so that its figure stands beside those
        of 256 levels.

        Args:
            log_prob: of pictures, in nats.
            dimensions: number of values a picture has.
        """
        return (-log_prob / dimensions - np.log(self.level_width)) / LOG_2

    def get_config(self):
        """Returns the arguments that make this likelihood again."""
        return {}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


@keras.saving.register_keras_serializable(package="pixelwise")
class Bernoulli(Likelihood):
    """Pixels that are black or white, independent given the latents; a logit for each.

    Grey pictures are taken too, as the mean of what they may be drawn to; that mean is what
    the cross-entropy of many published figures is, and no likelihood of the grey picture.

    Source: Kingma and Welling 2014, appendix C.1.
    """

    def log_prob(self, x, parameters):
        return log_bernoulli(x, parameters)

    def mean(self, parameters):
        return ops.sigmoid(parameters)

    def sample(self, parameters, rng):
        mean = ops.convert_to_numpy(self.mean(parameters))
        return (rng.random(mean.shape, dtype="float32") < mean).astype("float32")


class _MeanAndScale(Likelihood):
    """What the other two share: a mean and the logarithm of a scale for each value."""

    parameters = 2

    def __init__(self, least_scale):
        if isinstance(least_scale, bool) or not least_scale > 0:
            raise ValueError(f"least_scale is {least_scale!r}: give a number above 0.")
        self.least_scale = float(least_scale)

    def mean(self, parameters):
        return ops.clip(self.read(parameters)[0], 0.0, 1.0)

    def read(self, parameters):
        """Returns mean and log-scale, each ``(batch, height, width, channels)``."""
        mean, log_scale = ops.split(ops.convert_to_tensor(parameters), 2, axis=-1)
        return mean, ops.clip(log_scale, float(np.log(self.least_scale)), LARGEST_LOG_SCALE)

    def get_config(self):
        return {"least_scale": self.least_scale}


@keras.saving.register_keras_serializable(package="pixelwise")
class Gaussian(_MeanAndScale):
    """Pixels that are normal with a mean and a variance that the decoder learns.

    It gives a density. Where pixels are exactly black in every picture, the likeliest normal has no
    width at all and a density without bound; so the width stops at a grey level, below which
    a density says nothing about pictures of 256 levels.

    Args:
        least_scale: smallest standard deviation, in units of the pixels.
        shared: True learns one variance for all pixels of a picture.

    Raises:
        ValueError: if the least scale is not above 0.

    Source: Kingma and Welling 2014, appendix C.2; shared, Rybkin, Daniilidis, Levine 2021 (arXiv
        2006.13202).
    """

    level_width = 1 / LEVELS

    def __init__(self, least_scale=1 / LEVELS, shared=False):
        super().__init__(least_scale)
        self.shared = shared

    def read(self, parameters):
        if self.shared:
            mean, log_scale = ops.split(ops.convert_to_tensor(parameters), 2, axis=-1)
            one = ops.mean(log_scale, axis=tuple(range(1, len(log_scale.shape))), keepdims=True)
            parameters = ops.concatenate([mean, ops.broadcast_to(one, ops.shape(mean))], axis=-1)
        return super().read(parameters)

    def log_prob(self, x, parameters):
        mean, log_scale = self.read(parameters)
        each = log_normal(ops.cast(x, mean.dtype), mean, 2 * log_scale)
        return ops.sum(each, axis=tuple(range(1, len(each.shape))))

    def sample(self, parameters, rng):
        mean, log_scale = (ops.convert_to_numpy(part) for part in self.read(parameters))
        drawn = mean + np.exp(log_scale) * rng.standard_normal(mean.shape, "float32")
        return np.clip(drawn, 0, 1).astype("float32")

    def get_config(self):
        return {**super().get_config(), "shared": self.shared}


@keras.saving.register_keras_serializable(package="pixelwise")
class DiscretisedLogistic(_MeanAndScale):
    """Pixels of 256 grey levels: each has the mass of a logistic distribution over its width.

    Level k stands for the values from (k - 1/2) / 255 to (k + 1/2) / 255; the lowest takes all
    below and the highest all above, so that the 256 masses sum to 1. Pixels between two levels
    count as the nearest. With F the logistic function, a = (x + half a level - mean) / scale and b
    the same with a minus, the mass is F(a) - F(b), and its logarithm is computed as

        log F(a) + log(1 - F(b)) + log(1 - exp(b - a)),

    which is the same and loses no digit when both are near 0 or near 1. ``mean`` is the logistic's,
    cut to [0, 1].

    Args:
        least_scale: smallest scale, in units of the pixels.

    Raises:
        ValueError: if the least scale is not above 0.

    Source: Kingma et al. 2016 (arXiv 1606.04934), section 5.2; Salimans et al. 2017 (arXiv
        1701.05517), section 2.1.
    """

    def __init__(self, least_scale=5e-4):
        super().__init__(least_scale)

    def log_prob(self, x, parameters):
        mean, log_scale = self.read(parameters)
        x = ops.round(ops.cast(x, mean.dtype) * LEVELS) / LEVELS
        half = 0.5 / LEVELS
        inverse = ops.exp(-log_scale)
        above, below = (x - mean + half) * inverse, (x - mean - half) * inverse
        log_below, log_above = -ops.softplus(-above), -ops.softplus(below)
        inside = log_below + log_above + ops.log(-ops.expm1(-2 * half * inverse))
        each = ops.where(x < half, log_below, ops.where(x > 1 - half, log_above, inside))
        return ops.sum(each, axis=tuple(range(1, len(each.shape))))

    def sample(self, parameters, rng):
        mean, log_scale = (ops.convert_to_numpy(part) for part in self.read(parameters))
        drawn = mean + np.exp(log_scale) * rng.logistic(size=mean.shape)
        return (np.round(np.clip(drawn, 0, 1) * LEVELS) / LEVELS).astype("float32")


LIKELIHOODS = {
    "bernoulli": Bernoulli,
    "gaussian": Gaussian,
    "discretised_logistic": DiscretisedLogistic,
}


def read(likelihood):
    """Returns a likelihood: one by its name, or one as it is.

    Raises:
        ValueError: if there is none of that name.
    """
    if isinstance(likelihood, Likelihood):
        return likelihood
    if not isinstance(likelihood, str) or likelihood not in LIKELIHOODS:
        raise ValueError(
            f"There is no likelihood {likelihood!r}: {nearest(likelihood, list(LIKELIHOODS))}."
        )
    return LIKELIHOODS[likelihood]()
