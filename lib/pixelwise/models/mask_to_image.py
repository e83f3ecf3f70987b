"""From a label map to a picture: a conditional GAN with spatially adaptive normalisation.

    noise, label map -> generator -> a picture of what the label map says, in the style of the noise
    picture, label map -> discriminator -> a logit for every patch: does it look real, and fit?

A segmentation network turned round. The label map says what is where, and leaves open how it looks:
one label map has many pictures, and the noise chooses one. Both networks are told the label map,
the generator after every normalisation (``nn/spade.py``), the discriminator beside the picture.

The mean absolute error to the real picture of the label map (``l1``), which pix2pix adds, asks for
the median of all pictures that could be meant. Where the label map decides nearly all, as for a
building's front, that is a sharp picture; where it leaves garments their colours and backgrounds
everything, it is a grey one. With a style encoder the two go together: in training the noise is
drawn near what the encoder says of the real picture, as in a VAE, and the rest is left to the label
map. Then the error asks for *this* picture, and the KL divergence keeps the noise standard normal,
so that new pictures can be drawn from it. Chapter 8.
"""

import keras
import numpy as np
from keras import layers, ops

from pixelwise import checks
from pixelwise.models import generative
from pixelwise.nn.divergences import kl_normal, reparameterise
from pixelwise.nn.gan_losses import players
from pixelwise.nn.spade import SPADE, OneHotMap
from pixelwise.nn.spectral import spectral_if
from pixelwise.nn.two_players import judge, values

NETWORKS = ("generator", "discriminator", "encoder")
VOID = 255
DOUBLINGS = 4  # of the generator's first map
BATCH = 50  # pictures that are painted at a time
SLOPE = 0.2  # of the leaky ReLU where its input is negative


def spade_generator(num_classes, size=64, latent=64, width=16, hidden=0):
    """Builds a generator of pictures from noise and label maps.

    The noise becomes a small map, which is doubled four times. Every convolution reads a map that
    was normalised by ``SPADE``, picture by picture: so the pictures of a batch do not look at each
    other, and an average of the weights needs no statistics of its own.

    Args:
        num_classes: number of classes, the background counted.
        size: side of the pictures in pixels, a multiple of 16.
        latent: length of the noise vector.
        width: channels of the last map; each coarser one has twice as many, at most eight times.
        hidden: of ``SPADE``.

    Returns:
        ``keras.Model`` from a list of float ``(batch, latent)`` and int ``(batch, size, size)`` to
        pictures ``(batch, size, size, 3)`` in [0, 1].

    Raises:
        ValueError: if an argument is not possible.

    Source: Park et al. 2019, section 3 and figure 4, with one convolution in the place of each
        residual block.
    """
    _check(num_classes, size, width)
    checks.whole("latent", latent, 1)
    latents = keras.Input((latent,), name="latents")
    masks = keras.Input((size, size), dtype="int32", name="masks")
    labels = OneHotMap(num_classes, name=_g("labels"))(masks)

    def adapted(x, number):
        x = SPADE(hidden, norm="layer", name=_g(f"spade{number}"))([x, labels])
        return layers.LeakyReLU(SLOPE, name=_g(f"activation{number}"))(x)

    side, filters = size // 2**DOUBLINGS, 8 * width
    x = layers.Dense(side * side * filters, name=_g("fc"))(latents)
    x = layers.Reshape((side, side, filters), name=_g("map"))(x)
    for number in range(1, DOUBLINGS + 1):
        filters = min(filters, width * 2 ** (DOUBLINGS - number))
        x = layers.UpSampling2D(name=_g(f"double{number}"))(adapted(x, number))
        x = layers.Conv2D(
            filters, 3, padding="same", kernel_initializer="he_normal", name=_g(f"conv{number}")
        )(x)
    x = layers.Conv2D(3, 3, padding="same", name=_g("pixels"))(adapted(x, DOUBLINGS + 1))
    x = layers.Activation("tanh", name=_g("tanh"))(x)
    pictures = layers.Rescaling(0.5, 0.5, name=_g("pictures"))(x)
    return keras.Model([latents, masks], pictures, name="generator")


def style_encoder(size=64, latent=64, width=16):
    """Builds an encoder of a picture's style: what its label map does not say.

    Args:
        size, latent: as for ``spade_generator``.
        width: channels of the first map; each of the next three has twice as many, at most four
            times.

    Returns:
        ``keras.Model`` from pictures ``(batch, size, size, 3)`` in [0, 1] to mean and log-variance,
        two ``(batch, latent)``. Its layers have names that begin with ``generator``: it learns with
        the generator.

    Raises:
        ValueError: if an argument is not possible.

    Source: Park et al. 2019, section 3 (multi-modal synthesis) and appendix A.
    """
    _check(2, size, width)
    checks.whole("latent", latent, 1)
    pictures = keras.Input((size, size, 3), name="pictures")
    x = layers.Rescaling(2.0, -1.0, name=_g("style-centred"))(pictures)
    for number in range(1, DOUBLINGS + 1):
        filters = width * min(4, 2 ** (number - 1))
        x = layers.Conv2D(filters, 3, strides=2, padding="same", name=_g(f"style-down{number}"))(x)
        x = layers.LeakyReLU(SLOPE, name=_g(f"style-activation{number}"))(x)
    x = layers.Flatten(name=_g("style-flatten"))(x)
    heads = [layers.Dense(latent, name=_g(f"style-{head}"))(x) for head in ("mean", "log_variance")]
    return keras.Model(pictures, heads, name="encoder")


def patch_discriminator(num_classes, size=64, width=32, spectral=True):
    """Builds a discriminator that judges patches of a picture beside its label map.

    Args:
        num_classes, size: as for ``spade_generator``.
        width: channels of the first map; the next two have twice and four times as many.
        spectral: ``True`` divides every kernel by its spectral norm.

    Returns:
        ``keras.Model`` from a list of pictures ``(batch, size, size, 3)`` in [0, 1] and int
        ``(batch, size, size)`` to a list: logits ``(batch, size / 8, size / 8, 1)``, each of a
        patch of 38 x 38 pixels, and the three hidden maps.

    Raises:
        ValueError: if an argument is not possible.

    Source: Isola et al. 2017 (arXiv 1611.07004), section 3.2.2 (patches); Park et al. 2019,
        appendix A (the label map beside the picture, spectral normalisation).
    """
    _check(num_classes, size, width)
    pictures = keras.Input((size, size, 3), name="pictures")
    masks = keras.Input((size, size), dtype="int32", name="masks")
    labels = OneHotMap(num_classes, name=_d("labels"))(masks)
    x = layers.Rescaling(2.0, -1.0, name=_d("centred"))(pictures)
    x = layers.Concatenate(name=_d("told"))([x, labels])
    hidden = []
    for number in range(1, 4):
        convolution = layers.Conv2D(
            width * 2 ** (number - 1),
            4,
            strides=2,
            padding="same",
            kernel_initializer="he_normal",
            name=_d(f"down{number}"),
        )
        x = spectral_if(convolution, spectral)(x)
        x = layers.LeakyReLU(SLOPE, name=_d(f"activation{number}"))(x)
        hidden.append(x)
    score = layers.Conv2D(1, 3, padding="same", name=_d("score"))
    logits = spectral_if(score, spectral)(x)
    return keras.Model([pictures, masks], [logits, *hidden], name="discriminator")


@keras.saving.register_keras_serializable(package="pixelwise")
class MaskToImage(keras.Model):
    """A generator and a discriminator of pictures with label maps, and the game they learn by.

    It trains by ``compile`` and ``fit`` on batches of pictures, float ``(batch, height, width, 3)``
    in [0, 1], and their label maps, int ``(batch, height, width)``, 255 for void, which is told to
    both players as no class at all. A picture outside [0, 1], or a label that is neither a class
    nor void, makes the loss NaN, since a compiled graph cannot raise an error for a value: training
    stops at that step.

    Called on a batch of pictures it draws the noise for as many, near their styles if there is an
    encoder; ``compute_loss``, which knows the label maps, paints with it. It reports ``loss_d`` and
    ``loss_g`` of the players, ``loss_l1``, ``loss_matching`` and ``loss_kl``, weighted, and the
    mean logits ``score_real`` and ``score_fake``.

    Args:
        generator: ``keras.Model`` as ``spade_generator`` builds.
        discriminator: ``keras.Model`` as ``patch_discriminator`` builds.
        encoder: ``None``, or ``keras.Model`` as ``style_encoder`` builds.
        loss: a key of ``gan_losses.LOSSES``.
        l1: weight of the mean absolute difference to the real picture of the label map; not
            negative. Without an encoder it asks for the median of all that the label map can mean.
        matching: weight of the difference between real and painted pictures in the mean of each
            channel of the discriminator's hidden maps; not negative. It asks for the same
            statistics in a batch, not for the same picture, and leaves the noise its say.
        kl: weight of the KL divergence of the encoder's normals from the standard normal, in nats a
            picture; not negative.
        seed: of the noise, whole number.

    Raises:
        ValueError: if an argument is not possible or the networks do not fit each other.

    Source: Park et al. 2019, section 3 and appendix A (hinge loss); Isola et al. 2017, equation 4,
        for ``l1`` (where it is weighted by 100); Salimans et al. 2016 (arXiv 1606.03498), section
        3.1, for ``matching``.
    """

    def __init__(
        self,
        generator,
        discriminator,
        encoder=None,
        *,
        loss="hinge",
        l1=0.0,
        matching=0.0,
        kl=0.05,
        seed=0,
        name="mask_to_image",
    ):
        super().__init__(name=name)
        given = {} if encoder is None else {"encoder": encoder}
        generative.networks(generator=generator, discriminator=discriminator, **given)
        checks.whole("seed", seed, 0)
        generative.numbers(l1=l1, matching=matching, kl=kl)
        self.generator, self.discriminator, self.encoder = generator, discriminator, encoder
        self.num_classes = _check_networks(generator, discriminator, encoder)
        self.latent = generator.inputs[0].shape[-1]
        self.size = generator.outputs[0].shape[1]
        self.players = players(loss)
        self.l1, self.matching, self.kl = float(l1), float(matching), float(kl)
        self.arguments = {"loss": loss, "seed": seed}
        self.seed_generator = keras.random.SeedGenerator(int(seed))
        names = ("d", "g", "l1", "matching", "kl")
        names = (*(f"loss_{name}" for name in names), "score_real", "score_fake")
        self.means = {name: keras.metrics.Mean(name=name) for name in names}
        self.built = True

    def __call__(self, pictures, *args, **options):
        """Looks at the shape before Keras does."""
        generative.as_built(pictures, self.generator.outputs[0].shape)
        return super().__call__(pictures, *args, **options)

    def call(self, pictures, training=False):
        """Returns noise for as many pictures, in a dict of ``latents`` float ``(batch, latent)``,
        and of ``mean`` and ``log_variance`` of the same shape, if there is an encoder."""
        generative.as_built(pictures, self.generator.outputs[0].shape)
        noise = keras.random.normal((ops.shape(pictures)[0], self.latent), seed=self.seed_generator)
        if self.encoder is None:
            return {"latents": noise}
        mean, log_variance = self.encoder(generative.finite(pictures), training=training)
        latents = reparameterise(mean, log_variance, noise)
        return {"latents": latents, "mean": mean, "log_variance": log_variance}

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the sum of both players' losses and of the weighted terms."""
        real, masks, valid = self._batch(x, y)
        fake = self.generator([y_pred["latents"], masks], training=training)
        parts = self.play(real, ops.cast(fake, "float32"), masks, training)
        if self.encoder is not None:
            divergence = kl_normal(y_pred["mean"], y_pred["log_variance"])
            parts["loss_kl"] = self.kl * ops.mean(divergence)
        for name, value in parts.items():
            self.means[name].update_state(value)
        loss = sum(value for name, value in parts.items() if name.startswith("loss_"))
        return ops.where(valid, loss, float("nan"))

    def play(self, real, fake, masks, training=True):
        """Returns what a round of the game comes to.

        Args:
            real, fake: float ``(batch, height, width, 3)`` in [0, 1], ``fake`` with its gradient by
                the generator's weights.
            masks: int32 ``(batch, height, width)``, of both.
            training: whether the spectral norms are refined.

        Returns:
            dict of scalars: what the model reports.
        """
        held = values(self.discriminator)
        (real_logits, *wanted), (fake_logits, *_), (judged, *found) = judge(
            self.discriminator, held, [real, masks], [fake, masks], training
        )
        zero = ops.zeros(())
        return {
            "loss_d": self.players.discriminator(real_logits, fake_logits),
            "loss_g": self.players.generator(judged),
            "loss_l1": self.l1 * ops.mean(ops.abs(fake - real)) if self.l1 else zero,
            "loss_matching": self.matching * _difference(wanted, found) if self.matching else zero,
            "loss_kl": zero,
            "score_real": ops.mean(real_logits),
            "score_fake": ops.mean(fake_logits),
        }

    def paint(self, masks, seed=None, latents=None):
        """Paints a picture for each label map.

        Args:
            masks: int ``(n, size, size)``, classes from 0; every place needs one.
            seed: whole number that fixes the noise, the same on every backend; None draws anew.
            latents: float ``(n, latent)``, the noise itself, in the place of a seed.

        Returns:
            NumPy array, float32 ``(n, size, size, 3)`` in [0, 1].

        Raises:
            ValueError: if the label maps or the noise do not fit the model.
        """
        masks = self._checked(masks)
        if latents is None:
            rng = checks.generator(seed)
            latents = rng.standard_normal((len(masks), self.latent), "float32")
        latents = generative.latents(latents, self.latent)
        if len(latents) != len(masks):
            raise ValueError(
                f"There are {len(masks)} label maps and {len(latents)} latents: give one each."
            )
        return generative.in_batches(self.generator, latents, masks, size=BATCH).astype("float32")

    def _batch(self, pictures, masks):
        """Reads a batch for training: float32 pictures, int32 masks, whether all is possible."""
        shape = self.generator.outputs[0].shape
        if masks is None or tuple(masks.shape[1:]) != tuple(shape[1:3]):
            found = "none" if masks is None else f"of the shape {tuple(masks.shape[1:])}"
            raise ValueError(
                f"The label maps are {found} and the networks were built for {self.size} x "
                f"{self.size}: give batches of (pictures, label maps), loaded with this size."
            )
        generative.whole_labels("label maps", masks)
        pictures, _, valid = generative.batch(pictures, None, shape, None)
        masks = ops.cast(masks, "int32")
        known = ops.logical_or(masks == VOID, (masks >= 0) & (masks < self.num_classes))
        return pictures, masks, ops.logical_and(valid, ops.all(known))

    def _checked(self, masks):
        """Returns label maps as int32, or raises one sentence."""
        masks = np.asarray(masks)
        if masks.ndim != 3 or masks.shape[1:] != (self.size, self.size) or not len(masks):
            raise ValueError(
                f"The label maps have the shape {masks.shape}, and this model paints {self.size} x "
                f"{self.size}: give (n, {self.size}, {self.size}), n at least 1, resized by taking "
                "the nearest label."
            )
        if masks.dtype.kind not in "iu":
            why = ", with NaN among them" if np.isnan(masks.astype("float64")).any() else ""
            raise ValueError(
                f"The label maps have the type {masks.dtype}{why}: give whole numbers, the class "
                "of each place."
            )
        if (masks == VOID).any():
            raise ValueError(
                f"{(masks == VOID).mean():.1%} of the label maps is void ({VOID}), and a painter "
                "needs to know what is where: put a class there, such as 0, the background."
            )
        if masks.min() < 0 or masks.max() >= self.num_classes:
            wrong = masks.min() if masks.min() < 0 else masks.max()
            raise ValueError(
                f"Found the class {wrong} in the label maps, and the generator knows "
                f"{self.num_classes}, 0 to {self.num_classes - 1}: give it these, or train one "
                "with more classes."
            )
        return masks.astype("int32")

    def get_config(self):
        networks = generative.serialised(self, NETWORKS)
        own = {name: getattr(self, name) for name in ("l1", "matching", "kl", "name")}
        return {**networks, **self.arguments, **own}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**generative.deserialised(config, NETWORKS, custom_objects))


def _difference(wanted, found):
    """The mean difference, over maps and channels, of two lists of maps in a channel's mean."""
    means = [[ops.mean(x, axis=(0, 1, 2)) for x in maps] for maps in (wanted, found)]
    pairs = zip(*means, strict=True)
    return sum(ops.mean(ops.abs(ops.stop_gradient(w) - f)) for w, f in pairs) / len(found)


def _check_networks(generator, discriminator, encoder):
    """Raises one sentence if the networks do not fit each other; returns the number of classes."""
    told = []
    for network in (generator, discriminator):
        maps = [layer for layer in network.layers if isinstance(layer, OneHotMap)]
        if len(network.inputs) != 2 or len(maps) != 1:
            raise ValueError(
                f"The network {network.name} is not told label maps: build it with "
                "spade_generator or patch_discriminator."
            )
        told.append(maps[0].num_classes)
    sides = [generator.outputs[0].shape[1], discriminator.inputs[0].shape[1]]
    for what, (first, second) in {"classes": told, "pixels a side": sides}.items():
        if first != second:
            raise ValueError(
                f"The generator has {first} {what} and the discriminator {second}: build both for "
                "the same."
            )
    if encoder is not None:
        styles, wanted = encoder.outputs[0].shape[-1], generator.inputs[0].shape[-1]
        if len(encoder.outputs) != 2 or styles != wanted or encoder.inputs[0].shape[1] != sides[0]:
            raise ValueError(
                f"The encoder reads {encoder.inputs[0].shape[1]} pixels a side and says {styles} "
                f"numbers, and the generator has {sides[0]} and {wanted}: build it with "
                "style_encoder for the same."
            )
    return told[0]


def _check(num_classes, size, width):
    checks.whole("num_classes", num_classes, 2)
    checks.whole("size", size, 16)
    checks.whole("width", width, 1)
    if size % 2**DOUBLINGS:
        raise ValueError(
            f"size is {size}: give a multiple of {2**DOUBLINGS}, as 64, since the first map is "
            f"doubled {DOUBLINGS} times."
        )


def _g(name):
    return f"generator-{name}"


def _d(name):
    return f"discriminator-{name}"
