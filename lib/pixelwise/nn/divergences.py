"""What generation optimises: divergences between distributions and the pieces of the ELBO.

Everything in nats (natural logarithms). Functions on histograms use NumPy; functions that a
network trains through use ``keras.ops``.

Chapter: The mathematics of pixels; used by the chapters on GANs and on VAEs.
"""

import numpy as np
from keras import ops

LOG_2PI = float(np.log(2 * np.pi))


def entropy(p):
    """Returns the entropy -sum p log p of a histogram, in nats, with 0 log 0 = 0.

    Args:
        p: float ``(..., bins)``, non-negative, summing to 1.
    """
    p = _histogram(p)
    return -np.sum(p * np.log(np.where(p > 0, p, 1)), axis=-1)


def kl(p, q):
    """Returns the Kullback-Leibler divergence sum p log(p / q) of two histograms, in nats.

    Args:
        p, q: float ``(..., bins)``, non-negative, summing to 1.

    Returns:
        Array ``(...)``, at least 0; infinite where q is 0 in a bin in which p is not.

    Raises:
        ValueError: for negative entries or a sum that is not 1.

    Source: Kullback and Leibler 1951.
    """
    p, q = _histogram(p), _histogram(q)
    with np.errstate(divide="ignore"):
        ratio = np.log(np.where(p > 0, p, 1)) - np.log(np.where(p > 0, q, 1))
    return np.sum(p * ratio, axis=-1)


def js(p, q):
    """Returns the Jensen-Shannon divergence of two histograms, in nats, from 0 to log 2.

    It is the mean KL divergence of p and of q from their middle (p + q) / 2.

    Args, Raises: as for ``kl``.

    Source: Lin 1991; Goodfellow et al. 2014, theorem 1.
    """
    p, q = _histogram(p), _histogram(q)
    middle = (p + q) / 2
    return (kl(p, middle) + kl(q, middle)) / 2


def _histogram(p):
    p = np.asarray(p, float)
    if np.any(p < 0) or not np.allclose(p.sum(-1), 1, atol=1e-5):
        raise ValueError(
            f"A histogram must be non-negative and sum to 1, but got a minimum of {p.min():.3g} "
            f"and sums of {np.unique(np.round(p.sum(-1), 4))[:3]}: divide the counts by their sum."
        )
    return p


def optimal_discriminator(p, q):
    """Returns the best answer of a discriminator, D*(x) = p(x) / (p(x) + q(x)).

    Args:
        p: density or histogram of the real data, non-negative, any shape.
        q: of the generated data, the same shape.

    Returns:
        Array in [0, 1]: the probability that an x seen is real. One half where neither has mass
        (there every answer is as good).

    Source: Goodfellow et al. 2014, proposition 1.
    """
    p, q = np.asarray(p, float), np.asarray(q, float)
    total = p + q
    return np.where(total > 0, p / np.where(total > 0, total, 1), 0.5)


def game_value(p, q, d):
    """Returns the value of the minimax game, sum p log D + sum q log(1 - D), in nats.

    Args:
        p, q: histograms ``(bins,)`` of the real and of the generated data.
        d: the discriminator's answer in each bin, in [0, 1].

    Returns:
        Scalar, at most 2 JS(p, q) - 2 log 2.

    Source: Goodfellow et al. 2014, equation 1.
    """
    p, q, d = _histogram(p), _histogram(q), np.asarray(d, float)
    with np.errstate(divide="ignore"):
        return np.sum(p * np.log(np.where(p > 0, d, 1)) + q * np.log(np.where(q > 0, 1 - d, 1)))


def kl_normal(mean, log_variance, prior_mean=0.0, prior_log_variance=0.0):
    """Returns KL(N(mean, variance) || N(prior)) of diagonal normals, summed over the last axis.

    The sum, never the mean: the KL divergence of independent coordinates adds up.

    Args:
        mean: float ``(..., latents)``.
        log_variance: float ``(..., latents)``, the natural logarithm of the variance.
        prior_mean, prior_log_variance: of the second normal; by default the standard one.

    Returns:
        Array ``(...)`` in nats, at least 0.

    Source: Kingma and Welling 2014, appendix B.
    """
    mean, log_variance = ops.convert_to_tensor(mean), ops.convert_to_tensor(log_variance)
    prior_log_variance = ops.cast(prior_log_variance, log_variance.dtype)
    shift = ops.square(ops.subtract(mean, prior_mean)) * ops.exp(-prior_log_variance)
    ratio = log_variance - prior_log_variance
    return 0.5 * ops.sum(ops.exp(ratio) + shift - 1 - ratio, axis=-1)


def log_normal(x, mean=0.0, log_variance=0.0):
    """Returns the log-density of a diagonal normal, summed over the last axis, in nats.

    Args:
        x: float ``(..., latents)``.
        mean, log_variance: broadcast against x; the default is the standard normal.

    Returns:
        Array ``(...)``.
    """
    x = ops.convert_to_tensor(x)
    log_variance = ops.cast(log_variance, x.dtype)
    square = ops.square(ops.subtract(x, mean)) * ops.exp(-log_variance)
    return -0.5 * ops.sum(LOG_2PI + log_variance + square, axis=-1)


def log_bernoulli(x, logits):
    """Returns the log-likelihood of pixels under independent Bernoullis, summed over a picture.

    Args:
        x: float ``(batch, ...)`` in [0, 1], the pixels (0 or 1 for a true likelihood).
        logits: float, the same shape.

    Returns:
        Array ``(batch,)`` in nats.

    Source: Kingma and Welling 2014, appendix C.1.
    """
    logits = ops.convert_to_tensor(logits)
    x = ops.cast(x, logits.dtype)
    each = x * logits - ops.softplus(logits)
    return ops.sum(each, axis=tuple(range(1, len(each.shape))))


def reparameterise(mean, log_variance, noise):
    """Returns samples z = mean + sigma * noise, through which gradients reach mean and variance.

    Args:
        mean, log_variance: float ``(..., latents)``.
        noise: standard normal draws, the same shape.

    Source: Kingma and Welling 2014, section 2.4.
    """
    sigma = ops.exp(0.5 * ops.convert_to_tensor(log_variance))
    return ops.add(mean, ops.multiply(sigma, noise))


def elbo(log_likelihood, mean, log_variance):
    """Returns the evidence lower bound of each example: log-likelihood minus KL from the prior.

    Args:
        log_likelihood: ``(batch,)``, log p(x given z) for a z drawn from N(mean, variance), nats.
        mean, log_variance: ``(batch, latents)``, what the encoder said.

    Returns:
        Array ``(batch,)`` in nats; its expectation is at most log p(x).

    Source: Kingma and Welling 2014, equation 3.
    """
    return ops.subtract(log_likelihood, kl_normal(mean, log_variance))


def mean_and_error(samples):
    """Returns the mean of independent draws and its standard error, s / sqrt(n).

    Args:
        samples: float array ``(draws, ...)``, at least two draws.

    Returns:
        (mean, standard error), arrays ``(...)``.
    """
    samples = np.asarray(samples, float)
    return samples.mean(0), samples.std(0, ddof=1) / np.sqrt(len(samples))
