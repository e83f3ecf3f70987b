"""What the two players of a GAN minimise, by name, and what keeps the discriminator smooth.

All losses take logits, the discriminator's answers before any sigmoid, and form no probability, so
that no answer, however sure, overflows. Chapter: GAN.
"""

import typing
from collections.abc import Callable

from keras import ops

from pixelwise.nn.autodiff import derivative
from pixelwise.nn.losses import discriminator_loss, generator_loss
from pixelwise.results import nearest


class Players(typing.NamedTuple):
    """The losses of both players, each a function to a scalar.

    Attributes:
        discriminator: of ``(real_logits, fake_logits)``.
        generator: of ``fake_logits``.
    """

    discriminator: Callable
    generator: Callable


def saturating_loss(fake_logits):
    """Returns mean log(1 - D(fake)) in nats, what the discriminator maximises.

    Its gradient vanishes where the discriminator is sure: see ``losses.generator_loss``.
    """
    return generator_loss(fake_logits, saturating=True)


def least_squares_discriminator(real_logits, fake_logits):
    """Returns half the mean squares of D(real) - 1 and of D(fake).

    Source: Mao et al. 2017 (arXiv 1611.04076), equations 2 and 9.
    """
    real, fake = ops.mean(ops.square(real_logits - 1)), ops.mean(ops.square(fake_logits))
    return (real + fake) / 2


def least_squares_generator(fake_logits):
    """Returns half the mean square of D(fake) - 1; the source is the same."""
    return ops.mean(ops.square(fake_logits - 1)) / 2


def hinge_discriminator(real_logits, fake_logits):
    """Returns mean max(0, 1 - D(real)) + mean max(0, 1 + D(fake)).

    Source: Lim and Ye 2017 (arXiv 1705.02894); Miyato et al. 2018, equation 16.
    """
    return ops.mean(ops.relu(1 - real_logits)) + ops.mean(ops.relu(1 + fake_logits))


def wasserstein_critic(real_logits, fake_logits):
    """Returns mean D(fake) - mean D(real): minus the distance that the critic finds.

    It has no lower bound unless something keeps the critic's slope in bounds, as
    ``gradient_penalty`` or spectral normalisation.

    Source: Arjovsky, Chintala, Bottou 2017, equation 2.
    """
    return ops.mean(fake_logits) - ops.mean(real_logits)


def raise_answers(fake_logits):
    """Returns -mean D(fake), the generator's loss of the hinge and the Wasserstein game."""
    return -ops.mean(fake_logits)


LOSSES = {
    "minimax": Players(discriminator_loss, saturating_loss),
    "non_saturating": Players(discriminator_loss, generator_loss),
    "least_squares": Players(least_squares_discriminator, least_squares_generator),
    "hinge": Players(hinge_discriminator, raise_answers),
    "wasserstein": Players(wasserstein_critic, raise_answers),
}


def players(name):
    """Returns the losses of both players.

    Args:
        name: a key of ``LOSSES``.

    Returns:
        ``Players``.

    Raises:
        ValueError: if there is no such pair.
    """
    if not isinstance(name, str) or name not in LOSSES:
        raise ValueError(f"There is no GAN loss {name!r}: {nearest(str(name), list(LOSSES))}.")
    return LOSSES[name]


def gradient_penalty(critic, real, fake, mix):
    """Returns how far the critic's slope is from 1 between real and generated pictures.

    It is the mean of ``(|gradient| - 1)^2`` at one point of the line between each real picture and
    a generated one. Batch normalisation in the critic would make one picture's slope depend on the
    others of the batch: use a critic without.

    Args:
        critic: function from pictures ``(batch, ...)`` to one score each, without side effects.
        real, fake: float arrays ``(batch, ...)`` of one shape.
        mix: float ``(batch,)``, uniform in [0, 1]: the share of the real one in each point.

    Returns:
        Scalar, at least 0, which has a gradient by the critic's weights. A slope of exactly 0
        counts 1 and has gradient 0, not NaN.

    Source: Gulrajani et al. 2017, equation 3 and algorithm 1 (where it is weighted by 10).
    """
    real, fake = ops.convert_to_tensor(real), ops.convert_to_tensor(fake)
    mix = ops.reshape(ops.cast(mix, real.dtype), (-1, *[1] * (len(real.shape) - 1)))
    slopes = squared_slopes(critic, mix * real + (1 - mix) * fake)
    # The root has no derivative at 0: where there is no slope it is taken of 1 instead.
    steep = slopes > 0
    norms = ops.where(steep, ops.sqrt(ops.where(steep, slopes, 1.0)), 0.0)
    return ops.mean(ops.square(norms - 1))


def r1_penalty(critic, real):
    """Returns half the mean squared slope of the discriminator at real pictures.

    Args:
        critic: as for ``gradient_penalty``.
        real: float array ``(batch, ...)``.

    Returns:
        Scalar, at least 0, which has a gradient by the critic's weights.

    Source: Mescheder, Geiger, Nowozin 2018, equation 9 (where it is weighted by gamma = 10).
    """
    return ops.mean(squared_slopes(critic, real)) / 2


def squared_slopes(critic, pictures):
    """Returns the squared length of the critic's gradient at each picture, float ``(batch,)``."""
    slopes = derivative(lambda point: ops.sum(critic(point)), pictures)
    return ops.sum(ops.square(slopes), axis=tuple(range(1, len(slopes.shape))))
