"""The VQ-VAE: pictures as maps of whole numbers, and a model of those maps (van den Oord 2017).

    picture -> encoder -> 7 x 7 vectors -> each the nearest of a list of codes -> decoder -> picture
    map of code numbers -> prior, one number from those before it -> probabilities of each number

There is no noise and no KL divergence to make small: a picture has one map of codes, and
-log p(x) <= -log p(x | codes) - log p(codes). The first term teaches encoder and decoder, the
second the prior. Since codes are whole numbers, no gradient of the prior reaches the encoder, so
that the paper's two stages can run side by side. New pictures are made in two stages too: the prior
draws a map, number by number, and the decoder makes the picture. Chapter 7.
"""

import math

import keras
import numpy as np
from keras import ops

from pixelwise import checks
from pixelwise.models import generative
from pixelwise.nn import likelihoods
from pixelwise.nn.codebook import Codebook

PARTS = ("reconstruction", "commitment", "prior")
SAVED = ("encoder", "decoder", "prior", "codebook", "likelihood")


@keras.saving.register_keras_serializable(package="pixelwise")
class VQVAE(keras.Model):
    """An encoder, a codebook, a decoder, and the prior of the codes.

    It trains on batches as ``VAE`` does, and its loss becomes NaN for the same reasons. It reports
    ``loss_reconstruction`` and ``loss_prior``, in nats a picture, ``loss_commitment``, and
    ``bits_per_dimension`` of the sum of the first two. Only the prior is told classes.

    Called on pictures, it returns the encoder's vectors, float ``(batch, h, w, width)``.

    Args:
        encoder: ``keras.Model`` from pictures to vectors ``(batch, h, w, width)``.
        decoder: ``keras.Model`` from such vectors to the likelihood's parameters.
        prior: ``keras.Model`` from code numbers ``(batch, h, w)``, with classes from a list of them
            and classes ``(batch,)``, to logits ``(batch, h, w, codes)`` of which each depends on
            the numbers before it only; ``vae_networks.code_prior`` builds one.
        codebook: ``Codebook``.
        likelihood: as for ``VAE``.
        commitment: weight of the squared distance of the vectors from their codes, which keeps the
            encoder near them; summed over the map, as the first term is over the picture.
        num_classes: ``None``, or number of classes that the prior is told.
        seed: of the revival of dead codes.

    Raises:
        ValueError: if an argument is not possible or the networks do not fit each other.
    """

    def __init__(
        self,
        encoder,
        decoder,
        prior,
        codebook,
        *,
        likelihood="bernoulli",
        commitment=0.25,
        num_classes=None,
        seed=0,
        name="vqvae",
    ):
        super().__init__(name=name)
        generative.networks(encoder=encoder, decoder=decoder, prior=prior)
        if not isinstance(codebook, Codebook):
            raise ValueError(f"codebook is {codebook!r}: give a pixelwise.nn.codebook.Codebook.")
        self.likelihood = likelihoods.read(likelihood)
        generative.numbers(commitment=commitment)
        checks.whole("seed", seed, 0)
        _check_networks(encoder, decoder, prior, codebook, self.likelihood, num_classes)
        self.encoder, self.decoder = encoder, decoder
        self.prior, self.codebook = prior, codebook
        self.commitment, self.num_classes, self.seed = float(commitment), num_classes, seed
        self.map_shape = tuple(encoder.output.shape[1:3])
        self.seed_generator = keras.random.SeedGenerator(int(seed))
        names = [f"loss_{part}" for part in PARTS] + ["bits_per_dimension"]
        self.means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    def __call__(self, pictures, *args, **options):
        """Looks at the shape before Keras does."""
        generative.as_built(pictures, self.encoder.input.shape)
        return super().__call__(pictures, *args, **options)

    def call(self, pictures, training=False):
        """Returns the encoder's vectors, float ``(batch, h, w, width)``."""
        generative.as_built(pictures, self.encoder.input.shape)
        pictures = generative.finite(pictures)
        return ops.cast(self.encoder(pictures, training=training), "float32")

    def told(self, numbers, classes):
        """Returns what the prior is given: the classes beside the codes, if it is told them."""
        return [numbers, ops.convert_to_tensor(classes)] if self.num_classes else numbers

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the mean loss of a batch of pictures, in nats a picture."""
        x, y, valid = generative.batch(x, y, self.encoder.input.shape, self.num_classes)
        parts, numbers = self.objective(x, y, y_pred, training)
        if training:
            flat = ops.reshape(y_pred, (-1, self.codebook.width))
            picks = keras.random.randint(
                (self.codebook.codes,), 0, ops.shape(flat)[0], seed=self.seed_generator
            )
            self.codebook.learn(flat, ops.reshape(numbers, (-1,)), picks)
        for name, value in parts.items():
            self.means[f"loss_{name}"].update_state(value)
        total = parts["reconstruction"] + parts["prior"]
        bits = self.likelihood.bits(-total, math.prod(x.shape[1:]))
        self.means["bits_per_dimension"].update_state(bits)
        loss = total + self.commitment * parts["commitment"]
        return ops.where(valid, loss, float("nan"))

    def objective(self, x, classes, vectors, training=True):
        """Returns the parts of the loss, and the codes.

        Args:
            x: float ``(batch, height, width, channels)`` in [0, 1].
            classes: int ``(batch,)``, or ``None`` without classes.
            vectors: of ``call``.
            training: passed to decoder and prior.

        Returns:
            (dict of scalars by ``PARTS``, int32 ``(batch, h, w)``).
        """
        numbers = self.codebook.nearest(ops.stop_gradient(vectors))
        codes = ops.stop_gradient(self.codebook.look_up(numbers))
        passed = self.codebook.straight_through(vectors, numbers)
        parameters = ops.cast(self.decoder(passed, training=training), "float32")
        logits = self.prior(self.told(numbers, classes), training=training)
        distance = ops.sum(ops.square(vectors - codes), axis=(1, 2, 3))
        parts = {
            "reconstruction": -ops.mean(self.likelihood.log_prob(x, parameters)),
            "commitment": ops.mean(distance),
            "prior": -ops.mean(log_prior(logits, numbers)),
        }
        return parts, numbers

    def codes(self, pictures):
        """Returns the codes of pictures.

        Args:
            pictures: float ``(n, height, width, channels)`` in [0, 1].

        Returns:
            NumPy array, int32 ``(n, h, w)``.

        Raises:
            ValueError: if the pictures do not fit.
        """
        pictures = generative.pictures(pictures, self.encoder.input.shape)
        vectors = generative.in_batches(self.encoder, pictures).astype("float32")
        return ops.convert_to_numpy(self.codebook.nearest(ops.convert_to_tensor(vectors)))

    def encode(self, pictures):
        """Returns the codes of pictures as vectors, float32 ``(n, h * w * width)``; see ``codes``.

        They are flat, as the latents of other models are; ``decode`` takes what lies between codes
        too.
        """
        found = ops.convert_to_numpy(self.codebook.look_up(self.codes(pictures)))
        return found.reshape(len(found), -1)

    def decode(self, latents, labels=None):
        """Returns the mean pictures of latents; see ``VAE.decode``. Labels are not needed."""
        width = math.prod((*self.map_shape, self.codebook.width))
        latents = generative.latents(latents, width)
        vectors = latents.reshape(len(latents), *self.map_shape, self.codebook.width)
        return np.asarray(ops.convert_to_numpy(self.likelihood.mean(self._read(vectors))))

    def _read(self, vectors):
        return generative.in_batches(self.decoder, vectors)

    def reconstruct(self, pictures, labels=None):
        """Encodes pictures and decodes them again; labels are not needed."""
        return self.decode(self.encode(pictures))

    def sample(self, n, seed=None, labels=None):
        """Draws pictures in two stages: codes from the prior, one after the other, then decoded.

        Args, Returns, Raises: as ``VAE.sample``.
        """
        checks.whole("n", n)
        rng = checks.generator(seed)
        if labels is None and self.num_classes:
            labels = rng.integers(0, self.num_classes, n)
        codes = self.draw_codes(n, rng, generative.labels(labels, n, self.num_classes))
        return self.decode(ops.convert_to_numpy(self.codebook.look_up(codes)).reshape(n, -1))

    def draw_codes(self, n, rng, labels=None):
        """Returns maps of codes drawn from the prior, int32 ``(n, h, w)``.

        The prior looks at the whole map each time, and one more number of it is kept.
        """
        codes = np.zeros((n, *self.map_shape), "int32")
        for row, column in np.ndindex(*self.map_shape):
            told = [codes] if labels is None else [codes, labels]
            logits = generative.in_batches(self.prior, *told)[:, row, column].astype("float64")
            odds = np.exp(logits - logits.max(-1, keepdims=True)).cumsum(-1)
            threshold = rng.random((n, 1)) * odds[:, -1:]
            codes[:, row, column] = np.minimum((odds <= threshold).sum(-1), odds.shape[-1] - 1)
        return codes

    def terms(self, pictures, labels=None, seed=0):
        """Returns the two terms of -log p(x) of each picture, which has one map of codes.

        Args, Raises: as ``VAE.terms``; nothing is drawn, so that the seed changes nothing.

        Returns:
            dict of NumPy arrays ``(n,)`` in nats: ``reconstruction``, -log p(x | codes), and
            ``kl``, -log p(codes), which is the KL divergence of a certain choice from the prior.
        """
        pictures = generative.pictures(pictures, self.encoder.input.shape)
        labels = generative.labels(labels, len(pictures), self.num_classes)
        codes = self.codes(pictures)
        vectors = ops.convert_to_numpy(self.codebook.look_up(codes))
        log_x = self.likelihood.log_prob(pictures, self._read(vectors))
        logits = generative.in_batches(
            self.prior, *([codes] if labels is None else [codes, labels])
        )
        return {
            "reconstruction": -ops.convert_to_numpy(log_x),
            "kl": -ops.convert_to_numpy(log_prior(logits, codes)),
        }

    def get_config(self):
        networks = generative.serialised(self, SAVED)
        own = ("commitment", "num_classes", "seed", "name")
        return {**networks, **{name: getattr(self, name) for name in own}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**generative.deserialised(config, SAVED, custom_objects))


def log_prior(logits, numbers):
    """Returns the log-probability of maps of codes, float ``(batch,)`` in nats.

    Args:
        logits: float ``(batch, h, w, codes)``.
        numbers: int ``(batch, h, w)``.
    """
    logits = ops.cast(logits, "float32")
    chosen = ops.take_along_axis(logits, ops.cast(numbers, "int32")[..., None], axis=-1)[..., 0]
    return ops.sum(chosen - ops.logsumexp(logits, axis=-1), axis=(1, 2))


def _check_networks(encoder, decoder, prior, codebook, likelihood, num_classes):
    """Raises one sentence if the parts do not fit each other."""
    if num_classes is not None:
        checks.whole("num_classes", num_classes, 2)
    seen = tuple(encoder.output.shape[1:])
    if len(seen) != 3 or seen[-1] != codebook.width or tuple(decoder.input.shape[1:]) != seen:
        raise ValueError(
            f"The encoder gives {seen}, a code has {codebook.width} numbers and the decoder takes "
            f"{tuple(decoder.input.shape[1:])}: build all three for one map."
        )
    *sides, channels = encoder.input.shape[1:]
    needed, made = (*sides, channels * likelihood.parameters), tuple(decoder.output.shape[1:])
    if made != needed:
        raise ValueError(
            f"The decoder gives {made} and a {type(likelihood).__name__} likelihood of these "
            f"pictures takes {needed}: build the decoder for it."
        )
    wanted, said = (*seen[:2], codebook.codes), tuple(prior.output.shape[1:])
    if said != wanted or len(prior.inputs) != (1 if num_classes is None else 2):
        raise ValueError(
            f"The prior has {len(prior.inputs)} inputs and gives {said}, and {wanted} are needed "
            f"with num_classes = {num_classes}: build it for this map, these codes and classes."
        )
    generative.told(num_classes, prior=prior)
