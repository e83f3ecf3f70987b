"""Fills holes of any shape: a gated encoder-decoder, taught by what is there and by a judge.

    picture and hole -> stride 2 -> 4 -> 8, dilated convolutions -> 4 -> 2 -> 1 -> whole picture

The network is shown a smooth first guess (``push_pull``), about as good as a classical method, and
changes it, by next to nothing at the start of the training. Of what it makes, only the hole is
kept. Each decoder step doubles the map bilinearly, sets the encoder's map of that size beside it
and convolves: the decoder of the chapters before, with gates. A loss of the distance to the truth
alone makes a smooth guess, the median of all that might be there; a patch discriminator, which sees
the filled picture and its hole, asks for one that might be real. The game is that of ``gan.py``.
Chapter 8.
"""

import keras
import numpy as np
from keras import layers, ops

from pixelwise import checks
from pixelwise.holes import checked
from pixelwise.models import generative
from pixelwise.nn.gan_losses import players
from pixelwise.nn.gated_convolution import GatedConv2D, PartialConv2D
from pixelwise.nn.losses import alike
from pixelwise.nn.push_pull import push_pull
from pixelwise.nn.spectral import spectral_if
from pixelwise.nn.two_players import judge, values
from pixelwise.nn.upsampling import DoubleBilinear

LEVELS = 3  # how often maps are halved; sizes that are no multiple of 8 are mirrored on to one
STRIDE = 2**LEVELS
CONVOLUTIONS = ("gated", "partial")
NETWORKS = ("generator", "discriminator")
PARTS = ("loss_hole", "loss_known", "loss_g", "loss_d")
FORM = (
    'the inpainter learns from batches ({"images", "holes"}, truth), all of one height and width '
    "in multiples of 8, as the data set removal has them"
)
BATCH = 64  # pictures that are filled at a time


def inpainter(width=24, convolution="gated", dilations=(1, 2, 4)):
    """Builds the network that fills holes.

    Args:
        width: channels of the map at stride 2; those at stride 4 and 8 have twice as many.
        convolution: ``"gated"``, or ``"partial"``, which is told what is known and passes it on.
        dilations: of the convolutions at stride 8, each added to what it reads.

    Returns:
        ``keras.Model`` from a list of pictures float ``(batch, height, width, 3)`` in [0, 1] and
        holes float ``(batch, height, width)``, 1 where a picture is not known, to pictures, which
        may leave [0, 1] a little. Height and width are multiples of 8. All layers have names that
        begin with ``generator``.

    Raises:
        ValueError: if an argument is not possible.

    Source: Yu et al. 2019, section 3.1 (gates, dilation), narrower and in one stage; Liu et al.
        2018, section 3.3 (skips), for the partial one.
    """
    checks.whole("width", width, 1)
    checks.choice("convolution", convolution, CONVOLUTIONS)
    checks.sequence("dilations", dilations)
    pictures = keras.Input((None, None, 3), name="pictures")
    holes = keras.Input((None, None), name="holes")
    *known, smooth = Known(name=_g("known"))([pictures, holes])
    start = _start(known, smooth, convolution)
    fine = _step(start, width, "down2", kernel_size=5, strides=2)
    middle = _step(fine, 2 * width, "down4", strides=2)
    x = _step(middle, 2 * width, "down8", strides=2)
    for number, rate in enumerate(dilations, 1):
        x = _added(x, _step(x, 2 * width, f"middle{number}", dilation_rate=rate), number)
    x = _step(_joined(x, middle, "up4"), width, "up4")
    x = _step(_joined(x, fine, "up2"), max(8, width // 2), "up2")
    x = _step(_joined(x, start, "up1"), 8, "up1")
    change = layers.Conv2D(
        3,
        3,
        padding="same",
        activation="tanh",
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.002),
        name=_g("change"),
    )(x[0])
    made = layers.Add(name=_g("pictures"))([smooth, change])
    return keras.Model([pictures, holes], made, name="generator")


def patch_discriminator(width=24, spectral=True):
    """Builds the judge of filled pictures: one logit for each patch, not one for the picture.

    Args:
        width: channels of the first map; the next have twice and four times as many.
        spectral: ``True`` divides every kernel by its spectral norm.

    Returns:
        ``keras.Model`` from a list of pictures ``(batch, height, width, 3)`` in [0, 1] and holes
        float ``(batch, height, width)``, to logits ``(batch, height / 8, width / 8, 1)``, each of
        which sees 46 pixels to a side.

    Raises:
        ValueError: if the width is not possible.

    Source: Yu et al. 2019, section 3.2 (SN-PatchGAN); Isola et al. 2017, section 3.2.2.
    """
    checks.whole("width", width, 1)
    pictures = keras.Input((None, None, 3), name="pictures")
    holes = keras.Input((None, None), name="holes")
    x = Seen(name="discriminator-seen")([pictures, holes])
    for number in (1, 2, 3):
        x = _judging(width * 2 ** (number - 1), f"down{number}", 2, spectral)(x)
        x = layers.LeakyReLU(0.2, name=f"discriminator-activation{number}")(x)
    logits = _judging(1, "score", 1, spectral, side=4)(x)
    return keras.Model([pictures, holes], logits, name="discriminator")


@keras.saving.register_keras_serializable(package="pixelwise")
class Inpainter(keras.Model):
    """A network that fills holes, and what it learns from.

    It trains on batches ``({"images", "holes"}, truth)``: images and truth float ``(batch, height,
    width, 3)`` in [0, 1], height and width multiples of 8, holes bool or 0 and 1 ``(batch, height,
    width)``. What an image shows in its hole, the network never sees, be it NaN. A truth or a known
    pixel outside [0, 1], or a hole of other values, makes the loss NaN, since a compiled graph
    cannot raise an error for a value.

    It reports the mean absolute error in the hole and outside, before weighting, as ``loss_hole``
    and ``loss_known``, and the players' losses as ``loss_g`` and ``loss_d``. The loss is the
    weighted sum. With a judge it needs ``nn.two_players.TwoPlayerAdam``; without, any optimizer.

    Args:
        generator: as ``inpainter`` builds it.
        discriminator: as ``patch_discriminator`` builds it, or ``None`` with ``adversarial=0``.
        adversarial: weight of the generator's loss in the game; 0 leaves the game out.
        hole, known: weights of the error in the hole and outside.
        loss: a key of ``gan_losses.LOSSES``.

    Raises:
        ValueError: if an argument is not possible.

    Source: Yu et al. 2019, section 3.2 (L1 and hinge); Liu et al. 2018, equation 7 (weights).
    """

    def __init__(
        self,
        generator,
        discriminator=None,
        *,
        adversarial=0.0,
        hole=6.0,
        known=1.0,
        loss="hinge",
        name="inpainter",
    ):
        super().__init__(name=name)
        given = {} if discriminator is None else {"discriminator": discriminator}
        generative.networks(generator=generator, **given)
        generative.numbers(adversarial=adversarial, hole=hole, known=known)
        if adversarial and discriminator is None:
            raise ValueError(
                f"adversarial is {adversarial!r} and there is no discriminator: give one, as "
                "patch_discriminator(), or set adversarial=0."
            )
        self.generator = generator
        self.discriminator = discriminator if adversarial else None
        self.adversarial, self.hole, self.known = float(adversarial), float(hole), float(known)
        self.players, self.game = players(loss), loss
        parts = PARTS if adversarial else PARTS[:2]
        self.means = {part: keras.metrics.Mean(name=part) for part in parts}
        self.built = True

    def __call__(self, inputs, *args, **options):
        """Looks at the shapes before Keras does, whose sentence has several lines."""
        _check_inputs(inputs)
        return super().__call__(inputs, *args, **options)

    def call(self, inputs, training=False):
        """Returns what the network makes, float ``(batch, height, width, 3)``, hole or not."""
        _check_inputs(inputs)  # JAX trains by ``call`` alone
        told = [generative.finite(inputs[name]) for name in ("images", "holes")]
        return self.generator(told, training=training)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the weighted sum of the errors and, with a judge, of both players' losses."""
        _check_inputs(x)
        if y is None:
            raise ValueError(f"There is no truth: {FORM}.")
        if not alike(y.shape, x["images"].shape):
            raise ValueError(
                f"The images have the shape {tuple(x['images'].shape)} and the truth "
                f"{tuple(y.shape)}: {FORM}."
            )
        truth, made = generative.finite(y), ops.cast(y_pred, "float32")
        holes = generative.finite(x["holes"])
        parts = self.errors(truth, made, holes)
        if self.discriminator is not None:
            parts |= self.play(truth, made, holes, training)
        for part, value in parts.items():
            self.means[part].update_state(value)
        loss = self.hole * parts["loss_hole"] + self.known * parts["loss_known"]
        if self.discriminator is not None:
            loss += self.adversarial * parts["loss_g"] + parts["loss_d"]
        return ops.where(_possible(x["images"], x["holes"], y), loss, float("nan"))

    def errors(self, truth, made, holes):
        """Returns the mean absolute error a value in the holes and outside, a dict of scalars."""
        error, holes = ops.mean(ops.abs(made - truth), axis=-1), ops.cast(holes, "float32")
        known = 1 - holes
        return {
            "loss_hole": ops.sum(error * holes) / ops.maximum(ops.sum(holes), 1),
            "loss_known": ops.sum(error * known) / ops.maximum(ops.sum(known), 1),
        }

    def play(self, truth, made, holes, training=True):
        """Returns both players' losses for true pictures and those whose hole is filled."""
        filled = ops.where(holes[..., None] > 0, made, truth)
        held = values(self.discriminator)
        real, fake, judged = judge(
            self.discriminator, held, [truth, holes], [filled, holes], training
        )
        return {
            "loss_g": self.players.generator(judged),
            "loss_d": self.players.discriminator(real, fake),
        }

    def fill(self, images, holes):
        """Fills holes.

        Args:
            images: float ``(n, height, width, 3)`` in [0, 1], any size; in the holes they may hold
                anything.
            holes: bool, or 0 and 1, ``(n, height, width)``, or ``(height, width)`` for all.

        Returns:
            NumPy array, float32 ``(n, height, width, 3)`` in [0, 1]; outside of the holes it is
            ``images``, to the bit for float32.

        Raises:
            ValueError: if shapes, sizes or values do not fit, or if a hole is empty or covers all.
        """
        known, holes = checked(images, holes)
        height, width = known.shape[1:3]
        beyond = [(0, 0), (0, -height % STRIDE), (0, -width % STRIDE)]
        pictures = np.pad(known, [*beyond, (0, 0)], mode="symmetric")
        missing = np.pad(holes, beyond, mode="symmetric").astype("float32")
        made = generative.in_batches(self.generator, pictures, missing, size=BATCH)
        made = np.clip(made[:, :height, :width], 0, 1)
        return np.where(holes[..., None], made, known).astype("float32")

    def get_config(self):
        networks = generative.serialised(self, NETWORKS)
        own = {name: getattr(self, name) for name in ("adversarial", "hole", "known", "name")}
        return {**networks, **own, "loss": self.game}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**generative.deserialised(config, NETWORKS, custom_objects))


@keras.saving.register_keras_serializable(package="pixelwise")
class Known(layers.Layer):
    """Turns pictures and holes into what is known, a map of it, and a smooth first guess.

    Call arguments: ``[pictures, holes]``. Returns: ``[x, known, smooth]``: the known pixels in
    [-1, 1], 0 in the holes; 1 where they are known; and the pictures, filled by ``push_pull``.
    """

    def call(self, inputs):
        pictures, holes = inputs
        known = 1 - ops.cast(holes, pictures.dtype)[..., None]
        pictures = ops.where(known > 0, pictures, 0.0)  # and not times 0, which keeps NaN
        smooth = push_pull(pictures, known, LEVELS)
        return [(2 * pictures - 1) * known, known, smooth]

    def compute_output_shape(self, shapes):
        return [tuple(shapes[0]), (*shapes[1], 1), tuple(shapes[0])]


@keras.saving.register_keras_serializable(package="pixelwise")
class Seen(layers.Layer):
    """Puts holes beside pictures in [-1, 1]. Call arguments: ``[pictures, holes]``."""

    def call(self, inputs):
        pictures, holes = inputs
        holes = ops.cast(holes, pictures.dtype)[..., None]
        return ops.concatenate([2 * pictures - 1, holes], axis=-1)

    def compute_output_shape(self, shapes):
        return (*shapes[0][:-1], shapes[0][-1] + 1)


# A state is (features, known), where known is None for gated convolutions.
def _start(known, smooth, convolution):
    x, where = known
    if convolution == "gated":
        return layers.Concatenate(name=_g("start"))([*known, smooth]), None
    return x, layers.Concatenate(name=_g("start"))([where] * 3)


def _step(state, filters, name, kernel_size=3, **options):
    x, known = state
    if known is None:
        return GatedConv2D(filters, kernel_size, name=_g(name), **options)(x), None
    return PartialConv2D(filters, kernel_size, name=_g(name), **options)([x, known])


def _added(state, made, number):
    return layers.Add(name=_g(f"add{number}"))([state[0], made[0]]), made[1]


def _joined(state, skip, name):
    """Doubles a map and sets the encoder's map of that size beside it."""
    x = DoubleBilinear(name=_g(f"{name}-double"))(state[0])
    x = layers.Concatenate(name=_g(f"{name}-join"))([x, skip[0]])
    if state[1] is None:
        return x, None
    known = layers.UpSampling2D(name=_g(f"{name}-double_known"))(state[1])
    return x, layers.Concatenate(name=_g(f"{name}-join_known"))([known, skip[1]])


def _judging(filters, name, strides, spectral, side=4):
    layer = layers.Conv2D(
        filters, side, strides=strides, padding="same", name=f"discriminator-{name}"
    )
    return spectral_if(layer, spectral)


def _check_inputs(inputs):
    """Raises one sentence if images and holes are missing or do not fit each other."""
    if not isinstance(inputs, dict) or not {"images", "holes"} <= set(inputs):
        found = sorted(inputs) if isinstance(inputs, dict) else "no dict"
        raise ValueError(f"What was given is {found}: {FORM}.")
    images, holes = (tuple(inputs[name].shape) for name in ("images", "holes"))
    if len(images) != 4 or images[-1] != 3 or not alike(images[:3], holes):
        raise ValueError(f"The images have the shape {images} and the holes {holes}: {FORM}.")
    if any(side is not None and side % STRIDE for side in images[1:3]):
        raise ValueError(f"The images have {images[1]} x {images[2]} pixels: {FORM}.")


def _possible(images, holes, truth):
    """Whether truth and known pixels are in [0, 1], and holes 0 or 1, a scalar."""
    images, holes, truth = (ops.cast(part, "float32") for part in (images, holes, truth))
    known = ops.where(holes[..., None] > 0, 0.0, images)
    fit = [generative.within(part, 0, 1) for part in (known, truth)]
    return ops.all(ops.stack([*fit, ops.all((holes == 0) | (holes == 1))]))


def _g(name):
    return f"generator-{name}"
