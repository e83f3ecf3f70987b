"""Encoders and decoders of variational autoencoders: dense, as in the papers, and convolutional.

    dense:          784 -> 200 -> 200 -> mean and log-variance, and back (Burda et al. 2016)
    convolutional:  28 x 28 -> 14 x 14 -> 7 x 7 -> dense -> mean and log-variance, and back

``vae`` and ``vqvae`` make a model of them in one call, as recipes do. Chapter 7.
"""

import keras
import numpy as np
from keras import layers

from pixelwise import checks
from pixelwise.models import generative
from pixelwise.models.vae import VAE
from pixelwise.models.vqvae import VQVAE
from pixelwise.nn import likelihoods
from pixelwise.nn.codebook import Codebook
from pixelwise.nn.masked_convolution import gated_block

SIZES = (28, 32, 64)
SILU = {"activation": "silu", "kernel_initializer": "he_uniform"}
SMALLEST = 8  # cells along a side of the smallest map, at most


def vae(
    network="convolutional",
    *,
    size=28,
    channels=1,
    latent=32,
    width=None,
    likelihood="bernoulli",
    num_classes=None,
    **options,
):
    """Builds a VAE with the networks of this file.

    Args:
        network: ``"convolutional"``, or ``"dense"`` with two hidden layers of tanh.
        size: side of the pictures in pixels, 28, 32 or 64.
        channels: of the pictures, 1 or 3.
        latent: number of latent dimensions.
        width: channels of the first convolution, by default 32, or units of each dense layer, by
            default 200.
        likelihood: as for ``VAE``.
        num_classes: as for ``VAE``.
        **options: of ``VAE``: ``beta``, ``anneal_steps``, ``free_bits``, ``importance_samples``...

    Returns:
        ``VAE``.

    Raises:
        ValueError: if an argument is not possible.
    """
    checks.choice("network", network, NETWORKS)
    _check_pictures(size, channels)
    likelihood = likelihoods.read(likelihood)
    encode, decode, usual = NETWORKS[network]
    width = usual if width is None else width
    checks.whole("latent", latent)
    checks.whole("width", width)
    _check_classes(num_classes)
    shape = (size, size, channels)
    decoder = decode((size, size, channels * likelihood.parameters), latent, width, num_classes)
    return VAE(
        encode(shape, latent, width),
        decoder,
        likelihood=likelihood,
        num_classes=num_classes,
        **options,
    )


def vqvae(
    *,
    size=28,
    channels=1,
    codes=128,
    code_width=16,
    width=32,
    prior_width=64,
    prior_blocks=4,
    likelihood="bernoulli",
    num_classes=None,
    **options,
):
    """Builds a VQ-VAE: the convolutions of the VAE without its dense layers, and a PixelCNN.

    Args:
        size, channels: as for ``vae``.
        codes, code_width: number of codes, and numbers in each.
        width: channels of the first convolution.
        prior_width, prior_blocks: as for ``code_prior``.
        likelihood, num_classes: as for ``VQVAE``.
        **options: of ``VQVAE``: ``commitment``, ``seed``.

    Returns:
        ``VQVAE``.

    Raises:
        ValueError: if an argument is not possible.
    """
    _check_pictures(size, channels)
    likelihood = likelihoods.read(likelihood)
    checks.whole("width", width)
    checks.whole("codes", codes)
    checks.whole("code_width", code_width)
    checks.whole("prior_width", prior_width)
    checks.whole("prior_blocks", prior_blocks)
    codebook = Codebook(codes, code_width, name="codebook")
    pictures = keras.Input((size, size, channels), name="pictures")
    x = layers.Conv2D(2 * width, 3, padding="same", name=_e("hidden"), **SILU)(
        _down(pictures, width)
    )
    vectors = layers.Conv2D(code_width, 1, name=_e("vectors"))(x)
    encoder = keras.Model(pictures, vectors, name="encoder")
    seen = keras.Input(vectors.shape[1:], name="codes")
    halvings = _halvings(size)
    filters = width * 2 ** (halvings - 1)
    x = layers.Conv2D(filters, 3, padding="same", name=_d("hidden"), **SILU)(seen)
    x = _up(x, width, halvings)
    maps = channels * likelihood.parameters
    decoder = keras.Model(
        seen, layers.Conv2D(maps, 3, padding="same", name=_d("parameters"))(x), name="decoder"
    )
    prior = code_prior(codes, vectors.shape[1:3], prior_width, prior_blocks, num_classes)
    return VQVAE(
        encoder,
        decoder,
        prior,
        codebook,
        likelihood=likelihood,
        num_classes=num_classes,
        **options,
    )


def dense_encoder(shape, latent, width=200, hidden=2):
    """Builds a dense encoder.

    Args:
        shape: of the pictures, (height, width, channels).
        latent: number of latent dimensions.
        width: units of each hidden layer, followed by tanh.
        hidden: number of hidden layers.

    Returns:
        ``keras.Model`` from pictures in [0, 1] to mean and log-variance, two ``(batch, latent)``.

    Raises:
        ValueError: if an argument is not possible.

    Source: Burda, Grosse, Salakhutdinov 2016, section 5 (one stochastic layer), whose 200, 200 and
        50 are the defaults and the latents.
    """
    _check_network(shape, latent, width)
    checks.whole("hidden", hidden, 0)
    pictures = keras.Input(shape, name="pictures")
    x = layers.Flatten(name=_e("flatten"))(pictures)
    for number in range(hidden):
        x = layers.Dense(width, "tanh", name=_e(f"hidden{number}"))(x)
    return keras.Model(pictures, _mean_and_log_variance(x, latent), name="encoder")


def dense_decoder(shape, latent, width=200, num_classes=None, hidden=2):
    """Builds a dense decoder, the mirror image of ``dense_encoder``.

    Args:
        shape: of the likelihood's parameters, (height, width, maps).
        latent, width, hidden: as for ``dense_encoder``.
        num_classes: ``None``, or number of classes that it is told beside the latents.

    Returns:
        ``keras.Model`` from latents, or a list of latents and classes, to parameters.

    Raises:
        ValueError: if an argument is not possible.
    """
    _check_network(shape, latent, width)
    checks.whole("hidden", hidden, 0)
    inputs, x = _decoder_inputs(latent, num_classes)
    for number in range(hidden):
        x = layers.Dense(width, "tanh", name=_d(f"hidden{number}"))(x)
    x = layers.Dense(int(np.prod(shape)), name=_d("parameters"))(x)
    return keras.Model(inputs, layers.Reshape(shape, name=_d("pictures"))(x), name="decoder")


def convolutional_encoder(shape, latent, width=32):
    """Builds a convolutional encoder: strided convolutions, each with half the cells a side.

    Args:
        shape: of the pictures, (height, width, channels).
        latent: number of latent dimensions.
        width: channels of the first convolution, which double with each.

    Returns:
        ``keras.Model`` from pictures in [0, 1] to mean and log-variance, two ``(batch, latent)``.

    Raises:
        ValueError: if an argument is not possible.
    """
    _check_network(shape, latent, width)
    _check_halved(shape)
    pictures = keras.Input(shape, name="pictures")
    x = layers.Flatten(name=_e("flatten"))(_down(pictures, width))
    x = layers.Dense(8 * width, name=_e("hidden"), **SILU)(x)
    return keras.Model(pictures, _mean_and_log_variance(x, latent), name="encoder")


def convolutional_decoder(shape, latent, width=32, num_classes=None):
    """Builds a convolutional decoder, the mirror image of ``convolutional_encoder``.

    Args:
        shape: of the likelihood's parameters, (height, width, maps).
        latent, width: as for ``convolutional_encoder``.
        num_classes: ``None``, or number of classes that it is told beside the latents.

    Returns:
        ``keras.Model`` from latents, or a list of latents and classes, to parameters.

    Raises:
        ValueError: if an argument is not possible.
    """
    _check_network(shape, latent, width)
    _check_halved(shape)
    inputs, x = _decoder_inputs(latent, num_classes)
    x = layers.Dense(8 * width, name=_d("hidden"), **SILU)(x)
    halvings = _halvings(shape[0])
    side, maps = shape[0] // 2**halvings, width * 2 ** (halvings - 1)
    x = layers.Dense(side * side * maps, name=_d("start"), **SILU)(x)
    x = layers.Reshape((side, side, maps), name=_d("map"))(x)
    x = _up(x, width, halvings)
    x = layers.Conv2D(shape[-1], 3, padding="same", name=_d("parameters"))(x)
    return keras.Model(inputs, x, name="decoder")


def code_prior(codes, map_shape, width=64, blocks=4, num_classes=None):
    """Builds a small gated PixelCNN: logits of each code of a map from those before it.

    Args:
        codes: number of codes.
        map_shape: (height, width) of a map.
        width: channels of its layers.
        blocks: gated blocks; the first sees a window of 5 cells, the others of 3.
        num_classes: ``None``, or number of classes that it is told.

    Returns:
        ``keras.Model`` from int ``(batch, h, w)``, or a list of them and classes ``(batch,)``, to
        logits ``(batch, h, w, codes)``.

    Raises:
        ValueError: if an argument is not possible.

    Source: van den Oord et al. 2016 (arXiv 1606.05328), section 2.
    """
    for name, value in {"codes": codes, "width": width, "blocks": blocks}.items():
        checks.whole(name, value)
    _check_classes(num_classes)
    _check_shape("map_shape", map_shape, 2)
    numbers = keras.Input(map_shape, dtype="int32", name="numbers")
    above = row = layers.Embedding(codes, width, name="embedding")(numbers)
    inputs, told = numbers, None
    if num_classes is not None:
        classes = keras.Input((), dtype="int32", name="classes")
        inputs, told = [numbers, classes], generative.OneHot(num_classes, name="one_hot")(classes)
    for number in range(blocks):
        first = number == 0
        above, row = gated_block(
            above, row, width, 5 if first else 3, first, told, name=f"block{number}"
        )
    x = layers.Conv2D(width, 1, activation="relu", name="hidden")(row)
    return keras.Model(inputs, layers.Conv2D(codes, 1, name="logits")(x), name="prior")


def _down(x, width):
    """Halves a map until it is small, with twice the channels each time."""
    for number in range(_halvings(x.shape[1])):
        filters = width * 2**number
        x = layers.Conv2D(filters, 4, 2, padding="same", name=_e(f"down{number}"), **SILU)(x)
    return x


def _up(x, width, halvings):
    """Doubles a map again, the mirror image of ``_down``.

    With kernel 4 and stride 2 every pixel is reached by as many weights as any other, and all
    backends agree.
    """
    for number in reversed(range(halvings)):
        maps = width * 2 ** max(0, number - 1)
        x = layers.Conv2DTranspose(maps, 4, 2, padding="same", name=_d(f"up{number}"), **SILU)(x)
    return x


def _mean_and_log_variance(x, latent):
    """The last layers of an encoder; the variance starts at 1, the prior's."""
    log_variance = layers.Dense(latent, kernel_initializer="zeros", name=_e("log_variance"))
    return [layers.Dense(latent, name=_e("mean"))(x), log_variance(x)]


def _decoder_inputs(latent, num_classes):
    """Returns the inputs of a decoder, and what its first layer sees."""
    _check_classes(num_classes)
    latents = keras.Input((latent,), name="latents")
    if num_classes is None:
        return latents, latents
    classes = keras.Input((), dtype="int32", name="classes")
    one_hot = generative.OneHot(num_classes, name=_d("one_hot"))(classes)
    return [latents, classes], layers.Concatenate(name=_d("told"))([latents, one_hot])


def _e(name):
    """The name of a layer of the encoder; those of one model must differ for its weights' file."""
    return f"encoder-{name}"


def _d(name):
    """The name of a layer of the decoder."""
    return f"decoder-{name}"


def _check_network(shape, latent, width):
    _check_shape("shape", shape, 3)
    checks.whole("latent", latent)
    checks.whole("width", width)


def _check_shape(name, shape, length):
    checks.sequence(name, shape)
    if len(shape) != length:
        kinds = ("height", "width", "channels")[:length]
        raise ValueError(f"{name} is {shape}: give ({', '.join(kinds)}).")


def _check_halved(shape):
    """Refuses pictures that, halved and doubled again, would have another size."""
    side, factor = shape[0], 2 ** _halvings(shape[0])
    if shape[1] != side or side % factor:
        raise ValueError(
            f"shape is {tuple(shape)}: give a square, whose side of {side} is a multiple of "
            f"{factor}, since a convolutional network halves and doubles it."
        )


def _check_classes(num_classes):
    if num_classes is not None:
        checks.whole("num_classes", num_classes, 2)


def _check_pictures(size, channels):
    checks.whole("size", size)
    checks.whole("channels", channels)
    if size not in SIZES or channels not in (1, 3):
        raise ValueError(
            f"size is {size!r} and channels is {channels!r}: choose 28, 32 or 64 pixels, and 1 or "
            "3 channels."
        )


def _halvings(side):
    """Returns how often a side is halved until the map is small."""
    count = 0
    while side > SMALLEST:
        side, count = side // 2, count + 1
    return count


# Name -> the functions that build encoder and decoder, and their usual width.
NETWORKS = {
    "convolutional": (convolutional_encoder, convolutional_decoder, 32),
    "dense": (dense_encoder, dense_decoder, 200),
}
