"""Generative adversarial networks (Goodfellow et al. 2014): two networks that play against another.

    noise -> generator -> pictures that the other player takes for real, if it plays well
    pictures, real or generated -> discriminator -> one logit each: how real it looks

``GAN`` holds any two such networks, and trains by plain ``compile`` and ``fit``. Both players learn
in one step from one pass: the discriminator sees real pictures and generated ones through which no
gradient goes back; the generator is judged by a copy of the discriminator that does not learn. So
the sum of both losses gives each player its own gradient and no other. ``gan_networks.py`` builds
the networks of the papers. Chapter 6.
"""

import keras
import numpy as np
from keras import ops

from pixelwise import checks
from pixelwise.models import generative
from pixelwise.nn.diffaugment import diffaugment, read_policy
from pixelwise.nn.gan_losses import gradient_penalty, players, r1_penalty
from pixelwise.nn.two_players import judge, values

NETWORKS = ("generator", "discriminator")
PENALTIES = (None, "gradient", "r1")


@keras.saving.register_keras_serializable(package="pixelwise")
class GAN(keras.Model):
    """A generator and a discriminator, and the game that they learn by.

    It trains on batches of pictures, float ``(batch, height, width, channels)`` in [0, 1], with
    their classes, int ``(batch,)``, which a GAN without classes ignores. A picture outside [0, 1],
    or a class that is none, makes the loss NaN, since a compiled graph cannot raise an error for a
    value: training stops at that step.

    Called on a batch, it generates as many pictures from new noise (of classes drawn at random) and
    returns them; ``compute_loss`` lets the discriminator judge both. It reports the players' losses
    as ``loss_d`` and ``loss_g``, the penalty, weighted, as ``loss_penalty``, and the mean logits of
    real and generated pictures as ``score_real`` and ``score_fake``. The loss is the sum of the
    three: it says that all is finite, and not how well the game goes.

    Args:
        generator: ``keras.Model`` from latents ``(batch, latent)`` to pictures in [0, 1]; with
            classes, from a list of latents and classes ``(batch,)``.
        discriminator: ``keras.Model`` from pictures in [0, 1], with classes from a list of pictures
            and classes, to logits ``(batch, 1)``. Its batch normalisation sees real and generated
            pictures in batches of their own, as in DCGAN.
        loss: a key of ``gan_losses.LOSSES``.
        penalty: ``None``, ``"gradient"`` (as in WGAN-GP) or ``"r1"``; see ``gan_losses``.
        penalty_weight: its factor, lambda or gamma in the papers; not negative.
        augment: ``None``, or what DiffAugment does, as ``"colour,translation,cutout"``.
        num_classes: ``None``, or number of classes that both networks are told.
        bounds: least and largest value of the data; ``None`` allows all, for data that are no
            pictures, as points ``(batch, dimensions)``.
        seed: of the noise, whole number.

    Raises:
        ValueError: if an argument is not possible or the networks do not fit each other.

    Source: Goodfellow et al. 2014, equation 1 and algorithm 1, with one step of each player at the
        same time; Mirza and Osindero 2014 (arXiv 1411.1784) for the classes.
    """

    def __init__(
        self,
        generator,
        discriminator,
        *,
        loss="non_saturating",
        penalty=None,
        penalty_weight=10.0,
        augment=None,
        num_classes=None,
        bounds=(0.0, 1.0),
        seed=0,
        name="gan",
    ):
        super().__init__(name=name)
        generative.networks(generator=generator, discriminator=discriminator)
        self.generator, self.discriminator = generator, discriminator
        self.num_classes = _check_networks(generator, discriminator, num_classes)
        self.latent = generator.inputs[0].shape[-1]
        self.players = players(loss)
        checks.choice("penalty", penalty, PENALTIES)
        checks.whole("seed", seed, 0)
        generative.numbers(penalty_weight=penalty_weight)
        if augment is not None:
            read_policy(augment)
        self.penalty, self.penalty_weight, self.augment = penalty, float(penalty_weight), augment
        self.bounds = (-np.inf, np.inf) if bounds is None else tuple(bounds)
        self.arguments = {"loss": loss, "bounds": bounds, "seed": seed}
        self.seed_generator = keras.random.SeedGenerator(int(seed))
        names = ("loss_d", "loss_g", "loss_penalty", "score_real", "score_fake")
        self.means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    def call(self, pictures, training=False):
        """Returns as many generated pictures, in a dict of ``pictures`` and ``classes``."""
        count = ops.shape(pictures)[0]
        latents = self._noise((count, self.latent))
        classes = None
        if self.num_classes:
            classes = keras.random.randint((count,), 0, self.num_classes, seed=self.seed_generator)
        made = self.generator(self.told(latents, classes), training=training)
        return {"pictures": made} if classes is None else {"pictures": made, "classes": classes}

    def told(self, inputs, classes):
        """Returns what a network is given: the classes beside its inputs, if it is told them."""
        if not self.num_classes:
            return inputs
        return [ops.convert_to_tensor(part) for part in (inputs, classes)]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the sum of both players' losses and the penalty."""
        shape = y_pred["pictures"].shape
        real, classes, valid = generative.batch(x, y, shape, self.num_classes, self.bounds)
        classes = classes if self.num_classes else None
        fake = ops.cast(y_pred["pictures"], "float32")
        if self.augment:
            real = diffaugment(real, self.augment, self.seed_generator)
            fake = diffaugment(fake, self.augment, self.seed_generator)
        mix = keras.random.uniform(ops.shape(real)[:1], seed=self.seed_generator)
        parts = self.play(real, fake, classes, y_pred.get("classes"), mix, training)
        for name, value in parts.items():
            self.means[name].update_state(value)
        loss = parts["loss_d"] + parts["loss_g"] + parts["loss_penalty"]
        return ops.where(valid, loss, float("nan"))

    def play(self, real, fake, classes=None, fake_classes=None, mix=0.5, training=True):
        """Returns what a round of the game comes to.

        Args:
            real, fake: float ``(batch, height, width, channels)`` as the discriminator sees them,
                ``fake`` with its gradient by the generator's weights.
            classes, fake_classes: int ``(batch,)`` of both, if there are classes.
            mix: float ``(batch,)`` for ``gradient_penalty``.
            training: whether the discriminator uses the statistics of the batches.

        Returns:
            dict of scalars: what the model reports.
        """
        held = values(self.discriminator)
        told_real, told_fake = self.told(real, classes), self.told(fake, fake_classes)
        real_logits, fake_logits, judged = judge(
            self.discriminator, held, told_real, told_fake, training
        )

        def critic(pictures):
            told = self.told(pictures, classes)
            return self.discriminator.stateless_call(*held, told, training=training)[0]

        penalty = 0.0
        if self.penalty == "gradient":
            penalty = gradient_penalty(critic, real, ops.stop_gradient(fake), mix)
        elif self.penalty == "r1":
            penalty = r1_penalty(critic, real)
        return {
            "loss_d": self.players.discriminator(real_logits, fake_logits),
            "loss_g": self.players.generator(judged),
            "loss_penalty": ops.convert_to_tensor(self.penalty_weight * penalty, dtype="float32"),
            "score_real": ops.mean(real_logits),
            "score_fake": ops.mean(fake_logits),
        }

    def generate(self, latents, labels=None):
        """Turns latents into pictures.

        Args:
            latents: float ``(n, latent)``, from a standard normal distribution.
            labels: int ``(n,)`` in [0, num_classes), needed if there are classes.

        Returns:
            NumPy array, float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: if latents or labels do not fit.
        """
        latents = generative.latents(latents, self.latent)
        labels = self._checked_labels(labels, len(latents))
        told = [latents] if labels is None else [latents, labels]
        return generative.in_batches(self.generator, *told).astype("float32")

    def sample(self, n, seed=None, labels=None):
        """Draws pictures.

        Args:
            n: how many, a whole number of at least 1.
            seed: whole number that fixes them, the same latents on every backend; None draws anew.
            labels: int ``(n,)`` in [0, num_classes); None draws them too, if there are classes.

        Returns:
            NumPy array, float32 ``(n, height, width, channels)`` in [0, 1].

        Raises:
            ValueError: if ``n`` or the labels are not possible.
        """
        checks.whole("n", n)
        rng = checks.generator(seed)
        latents = rng.standard_normal((n, self.latent), "float32")
        if labels is None and self.num_classes:
            labels = rng.integers(0, self.num_classes, n)
        return self.generate(latents, labels)

    def _noise(self, shape):
        return keras.random.normal(shape, seed=self.seed_generator)

    def _checked_labels(self, labels, count):
        if labels is not None and not self.num_classes:
            raise ValueError("This GAN knows no classes: leave the labels out.")
        return generative.labels(labels, count, self.num_classes)

    def get_config(self):
        networks = generative.serialised(self, NETWORKS)
        own = ("penalty", "penalty_weight", "augment", "num_classes", "name")
        return {**networks, **self.arguments, **{name: getattr(self, name) for name in own}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**generative.deserialised(config, NETWORKS, custom_objects))


def _check_networks(generator, discriminator, num_classes):
    """Raises one sentence if the networks do not fit; returns the number of classes."""
    if num_classes is not None:
        checks.whole("num_classes", num_classes, 2)
    wanted = 1 if num_classes is None else 2
    for what, network in (("generator", generator), ("discriminator", discriminator)):
        found = len(network.inputs)
        if found != wanted:
            raise ValueError(
                f"num_classes is {num_classes} and the {what} has {found} inputs: give it "
                f"{'one input' if wanted == 1 else 'the classes as its second input'}, or change "
                "num_classes."
            )
    generative.told(num_classes, generator=generator, discriminator=discriminator)
    made, seen = tuple(generator.outputs[0].shape[1:]), tuple(discriminator.inputs[0].shape[1:])
    if made != seen:
        raise ValueError(
            f"The generator makes pictures of the shape {made} and the discriminator sees {seen}: "
            "build both for one size and number of channels."
        )
    return num_classes
