"""The variational autoencoder (Kingma and Welling 2014): a model of pictures with latent variables.

    z from N(0, I) -> decoder -> a distribution of pictures, p(x | z)
    picture -> encoder -> mean and variance of q(z | x), where in the latent space it came from

Both networks learn together, by making the evidence lower bound large:

    log p(x) >= E_q[log p(x | z)] - KL(q(z | x) || p(z))

The first term asks for pictures that are found again, the second that what the encoder says stays
near the prior, from which new pictures are drawn. Both are in nats a picture; the KL is the *sum*
over the latent dimensions. ``vae_networks.py`` builds the networks, ``nn/likelihoods.py`` has
p(x | z). Chapter 7.
"""

import math

import keras
import numpy as np
from keras import ops

from pixelwise import checks
from pixelwise.models import generative
from pixelwise.models.detector import Untracked
from pixelwise.models.importance import Importance
from pixelwise.nn import likelihoods
from pixelwise.nn.divergences import kl_normal, log_normal, reparameterise

PARTS = ("reconstruction", "kl")
SAVED = ("encoder", "decoder", "likelihood")


@keras.saving.register_keras_serializable(package="pixelwise")
class VAE(keras.Model):
    """An encoder and a decoder, and the bound that they learn by.

    It trains on batches of pictures, float ``(batch, height, width, channels)`` in [0, 1], with
    their classes, int ``(batch,)``, which a VAE without classes ignores. A picture outside [0, 1],
    or a class that is none, makes the loss NaN, since a compiled graph cannot raise an error for a
    value: training stops at that step.

    It reports ``loss_reconstruction``, -log p(x | z), and ``loss_kl``, the KL divergence summed
    over the latent dimensions, in nats a picture, and their sum as ``bits_per_dimension``. The loss
    is what is minimised: it differs from their sum by what the options below change.

    Called on pictures, it returns what the encoder says: a dict of ``mean`` and ``log_variance``.

    Args:
        encoder: ``keras.Model`` from pictures to mean and log-variance, two ``(batch, latents)``.
        decoder: ``keras.Model`` from latents ``(batch, latents)``, with classes from a list of
            latents and classes ``(batch,)``, to the likelihood's parameters. The encoder is not
            told the class: the picture shows it, and the bound holds for every q.
        likelihood: a key of ``likelihoods.LIKELIHOODS``, or a ``Likelihood``.
        beta: weight of the KL divergence, not negative (Higgins et al. 2017); the bound has 1.
        anneal_steps: steps over which that weight grows from 0 (Bowman et al. 2016, section 3.1).
            The steps done are counted in a weight of the model, so that a run goes on where it was.
        free_bits: nats that each latent dimension may cost, on average over the batch, before its
            KL divergence counts (Kingma et al. 2016, appendix C.8).
        importance_samples: 1 for the bound above. With k > 1 the bound is tighter, log of the mean
            of k weights p(x, z) / q(z | x) (Burda, Grosse, Salakhutdinov 2016, equation 8).
        num_classes: ``None``, or number of classes that the decoder is told.
        seed: of the noise, whole number.

    Raises:
        ValueError: if an argument is not possible or the networks do not fit each other.
    """

    def __init__(
        self,
        encoder,
        decoder,
        *,
        likelihood="bernoulli",
        beta=1.0,
        anneal_steps=0,
        free_bits=0.0,
        importance_samples=1,
        num_classes=None,
        seed=0,
        name="vae",
    ):
        super().__init__(name=name)
        generative.networks(encoder=encoder, decoder=decoder)
        self.likelihood = likelihoods.read(likelihood)
        generative.numbers(beta=beta, free_bits=free_bits)
        checks.whole("anneal_steps", anneal_steps, 0)
        checks.whole("seed", seed, 0)
        checks.whole("importance_samples", importance_samples)
        if importance_samples > 1 and (beta != 1 or free_bits):
            raise ValueError(
                f"importance_samples is {importance_samples}, whose bound has no KL term to weigh: "
                "leave beta at 1 and free_bits at 0."
            )
        self.latents = _check_networks(encoder, decoder, self.likelihood, num_classes)
        self.encoder, self.decoder, self.num_classes = encoder, decoder, num_classes
        self.beta, self.anneal_steps, self.free_bits = float(beta), anneal_steps, float(free_bits)
        self.importance_samples, self.seed = importance_samples, seed
        self.seed_generator = keras.random.SeedGenerator(int(seed))
        self.steps_done = self.add_weight(
            shape=(), initializer="zeros", trainable=False, name="steps_done"
        )
        names = [f"loss_{part}" for part in PARTS] + ["bits_per_dimension"]
        self.means = {name: keras.metrics.Mean(name=name) for name in names}
        self._importance = Untracked(None)
        self.built = True

    def __call__(self, pictures, *args, **options):
        """Looks at the shape before Keras does."""
        generative.as_built(pictures, self.encoder.input.shape)
        return super().__call__(pictures, *args, **options)

    def call(self, pictures, training=False):
        """Returns mean and log-variance of q(z | x), each float ``(batch, latents)``."""
        generative.as_built(pictures, self.encoder.input.shape)
        mean, log_variance = self.encoder(generative.finite(pictures), training=training)
        return {
            "mean": ops.cast(mean, "float32"),
            "log_variance": ops.cast(log_variance, "float32"),
        }

    def told(self, latents, classes):
        """Returns what the decoder is given: the classes beside the latents, if it is told them."""
        return [latents, ops.convert_to_tensor(classes)] if self.num_classes else latents

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the mean loss of a batch of pictures, in nats a picture."""
        x, y, valid = generative.batch(x, y, self.encoder.input.shape, self.num_classes)
        shape = (self.importance_samples, *ops.shape(y_pred["mean"]))
        noise = self._noise(shape)
        weight = self.kl_weight()
        if training:
            self.steps_done.assign_add(1.0)
        loss, parts = self.objective(x, y, y_pred, noise, weight, training)
        self.report(parts, math.prod(x.shape[1:]))
        return ops.where(valid, loss, float("nan"))

    def _noise(self, shape):
        return keras.random.normal(shape, seed=self.seed_generator)

    def kl_weight(self):
        """Returns the weight of the KL divergence at this step: beta, or less while it grows."""
        if not self.anneal_steps:
            return self.beta
        return self.beta * ops.minimum(1.0, self.steps_done / self.anneal_steps)

    def objective(self, x, classes, q, noise, weight=1.0, training=True):
        """Returns the loss of a batch for given noise, and its parts.

        Args:
            x: float ``(batch, height, width, channels)`` in [0, 1].
            classes: int ``(batch,)``, or ``None`` without classes.
            q: dict of ``mean`` and ``log_variance``, as the model returns it.
            noise: float ``(k, batch, latents)``, standard normal.
            weight: of the KL divergence (with k = 1) or of log p(z) - log q(z | x).
            training: passed to the decoder.

        Returns:
            (scalar loss, dict of scalars ``reconstruction`` and ``kl``), in nats a picture.
        """
        count = noise.shape[0]
        z = reparameterise(q["mean"], q["log_variance"], noise)
        log_x = self.log_likelihood(x, classes, z, training)
        parts = {
            "reconstruction": -ops.mean(log_x),
            "kl": ops.mean(kl_normal(q["mean"], q["log_variance"])),
        }
        if count > 1:
            ratio = log_normal(z) - log_normal(z, q["mean"], q["log_variance"])
            bound = ops.logsumexp(log_x + weight * ratio, axis=0) - math.log(count)
            return -ops.mean(bound), parts
        # Of each dimension by itself, since free bits are given to each.
        kl = kl_normal(q["mean"][..., None], q["log_variance"][..., None])
        kl = ops.sum(ops.maximum(ops.mean(kl, axis=0), self.free_bits))
        return parts["reconstruction"] + weight * kl, parts

    def log_likelihood(self, x, classes, z, training=False):
        """Returns log p(x | z) in nats, ``(k, batch)``, of latents ``(k, batch, latents)``."""
        count = ops.shape(z)[0]
        flat = ops.reshape(z, (-1, self.latents))
        if self.num_classes:
            classes = ops.tile(classes, [count])
        parameters = ops.cast(self.decoder(self.told(flat, classes), training=training), "float32")
        repeated = ops.tile(x, [count] + [1] * (len(x.shape) - 1))
        return ops.reshape(self.likelihood.log_prob(repeated, parameters), (count, -1))

    def report(self, parts, dimensions):
        """Updates the reported means with the parts of a loss."""
        for name, value in parts.items():
            self.means[f"loss_{name}"].update_state(value)
        total = sum(parts.values())
        self.means["bits_per_dimension"].update_state(self.likelihood.bits(-total, dimensions))

    def posterior(self, pictures):
        """Returns what the encoder says of pictures.

        Args:
            pictures: float ``(n, height, width, channels)`` in [0, 1].

        Returns:
            (mean, log-variance), NumPy arrays, float32 ``(n, latents)``.

        Raises:
            ValueError: if the pictures do not fit.
        """
        pictures = generative.pictures(pictures, self.encoder.input.shape)
        return tuple(generative.in_batches(self.encoder, pictures))

    def encode(self, pictures):
        """Returns the latents of pictures, the mean of q(z | x); see ``posterior``."""
        return self.posterior(pictures)[0]

    def decode(self, latents, labels=None):
        """Returns the mean pictures of latents.

        Args:
            latents: float ``(n, latents)``.
            labels: int ``(n,)``, needed if there are classes.

        Returns:
            NumPy array, float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: if latents or labels do not fit.
        """
        return np.asarray(ops.convert_to_numpy(self.likelihood.mean(self._read(latents, labels))))

    def _read(self, latents, labels):
        latents = generative.latents(latents, self.latents)
        labels = generative.labels(labels, len(latents), self.num_classes)
        return generative.in_batches(
            self.decoder, *([latents] if labels is None else [latents, labels])
        )

    def reconstruct(self, pictures, labels=None):
        """Encodes pictures and decodes them again; see ``encode`` and ``decode``."""
        return self.decode(self.encode(pictures), labels)

    def sample(self, n, seed=None, labels=None, pixels=False):
        """Draws pictures: latents from the prior, decoded.

        Args:
            n: how many, a whole number of at least 1.
            seed: whole number that fixes them, the same latents on every backend; None draws anew.
            labels: int ``(n,)``; None draws them too, if there are classes.
            pixels: True draws the pixels as well, which is what the model says pictures are; False
                gives the mean picture of each latent, which is what is usually shown.

        Returns:
            NumPy array, float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: if ``n`` or the labels are not possible.
        """
        checks.whole("n", n)
        rng = checks.generator(seed)
        latents = rng.standard_normal((n, self.latents), "float32")
        if labels is None and self.num_classes:
            labels = rng.integers(0, self.num_classes, n)
        if not pixels:
            return self.decode(latents, labels)
        return self.likelihood.sample(self._read(latents, labels), rng)

    def terms(self, pictures, labels=None, seed=0):
        """Returns the two terms of the bound of each picture, for one draw of its latents.

        Args:
            pictures: float ``(n, height, width, channels)`` in [0, 1].
            labels: int ``(n,)``, needed if there are classes.
            seed: of the draw.

        Returns:
            dict of NumPy arrays ``(n,)`` in nats: ``reconstruction``, -log p(x | z), and ``kl``.

        Raises:
            ValueError: if pictures or labels do not fit.
        """
        found = self.importance().weigh(pictures, labels, 1, checks.generator(seed))
        return {"reconstruction": -found["log_x"][:, 0], "kl": found["kl"]}

    def bound(self, pictures, k, seed=0, labels=None):
        """Returns the importance-weighted bound of log p(x) with k samples of each picture.

        float64 ``(n,)`` in nats; see ``Importance.bound``.
        """
        return self.importance().bound(pictures, k, seed, labels)

    def importance(self):
        """Returns what weighs latents, which is made when it is first asked for."""
        if self._importance.value is None:
            self._importance.value = Importance(self)
        return self._importance.value

    def get_config(self):
        networks = generative.serialised(self, SAVED)
        own = "beta anneal_steps free_bits importance_samples num_classes seed name".split()
        return {**networks, **{name: getattr(self, name) for name in own}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**generative.deserialised(config, SAVED, custom_objects))


def _check_networks(encoder, decoder, likelihood, num_classes):
    """Raises one sentence if the networks do not fit; returns the number of latents."""
    if num_classes is not None:
        checks.whole("num_classes", num_classes, 2)
    inputs = decoder.inputs
    wanted = 1 if num_classes is None else 2
    if len(inputs) != wanted:
        raise ValueError(
            f"num_classes is {num_classes} and the decoder has {len(inputs)} inputs: give it "
            f"{'the latents only' if wanted == 1 else 'the classes as its second input'}, or "
            "change num_classes."
        )
    generative.told(num_classes, decoder=decoder)
    said, taken = (
        [tuple(output.shape[1:]) for output in encoder.outputs],
        tuple(inputs[0].shape[1:]),
    )
    if said != [taken, taken]:
        raise ValueError(
            f"The encoder gives the shapes {said} and the decoder takes {taken}: give an encoder "
            "of a mean and a log-variance of what the decoder takes."
        )
    *sides, channels = encoder.input.shape[1:]
    needed = (*sides, channels * likelihood.parameters)
    made = tuple(decoder.output.shape[1:])
    if made != needed:
        raise ValueError(
            f"The decoder gives {made} and a {type(likelihood).__name__} likelihood of these "
            f"pictures takes {needed}: build the decoder for it."
        )
    return inputs[0].shape[-1]
