"""The two networks of a GAN: the original perceptrons, DCGAN, and a small ResNet.

Each architecture is a pair of functions, one a player, for pictures of 28, 32 or 64 pixels. Latents
are standard normal; pictures are in [0, 1] outside and in [-1, 1] inside, where zero is grey. With
``num_classes`` both players are told the class: the generator by class-conditional batch
normalisation or, where it has none, beside the latents; the discriminator by its last layer, a
projection. Layers of the generator have names that begin with ``generator``, as the optimizer for
two players expects. Chapter 6.
"""

import keras
from keras import layers

from pixelwise import checks
from pixelwise.models import generative
from pixelwise.nn.conditional import ClassBatchNorm, ProjectionScore
from pixelwise.nn.spectral import spectral_if

# Side of the picture -> side of the first map, and how often it is doubled.
SIDES = {28: (7, 2), 32: (4, 3), 64: (4, 4)}
NORMS = ("batch", "none")
SLOPE = 0.2  # of the leaky ReLU where its input is negative


def mlp_generator(size=28, channels=1, latent=64, hidden=(256, 512), num_classes=None):
    """Builds the generator of the original GAN: dense layers with ReLU, then a sigmoid.

    Args:
        size: side of the pictures, 28, 32 or 64.
        channels: of the pictures, 1 or 3.
        latent: length of the noise vector.
        hidden: widths of the hidden layers.
        num_classes: ``None``, or number of classes.

    Returns:
        ``keras.Model`` from float ``(batch, latent)``, or a list of it and int ``(batch,)``, to
        pictures ``(batch, size, size, channels)`` in [0, 1].

    Raises:
        ValueError: if an argument is not possible.

    Source: Goodfellow et al. 2014, section 5.
    """
    _check(size, channels, num_classes, latent=latent)
    checks.sequence("hidden", hidden)
    inputs, x, _ = _latents(latent, num_classes, beside=True)
    for number, width in enumerate(hidden, 1):
        x = layers.Dense(width, "relu", kernel_initializer="he_normal", name=_g(f"fc{number}"))(x)
    x = layers.Dense(size * size * channels, "sigmoid", name=_g("pixels"))(x)
    pictures = layers.Reshape((size, size, channels), name=_g("pictures"))(x)
    return keras.Model(inputs, pictures, name="generator")


def mlp_discriminator(
    size=28, channels=1, hidden=(512, 256), dropout=0.3, spectral=False, num_classes=None
):
    """Builds a discriminator of dense layers, with leaky ReLU in the place of the paper's maxout.

    Args:
        size, channels, hidden, num_classes: as for ``mlp_generator``.
        dropout: share of each hidden layer that is left out at random, 0 for none.
        spectral: ``True`` divides every kernel by its spectral norm.

    Returns:
        ``keras.Model`` from pictures ``(batch, size, size, channels)``, or a list of them and int
        ``(batch,)``, to logits ``(batch, 1)``.

    Raises, Source: as for ``mlp_generator``.
    """
    _check(size, channels, num_classes)
    checks.sequence("hidden", hidden)
    generative.share(dropout=dropout)
    inputs, x, classes = _pictures(size, channels, num_classes)
    x = layers.Flatten(name=_d("flatten"))(x)
    for number, width in enumerate(hidden, 1):
        dense = layers.Dense(width, kernel_initializer="he_normal", name=_d(f"fc{number}"))
        x = spectral_if(dense, spectral)(x)
        x = layers.LeakyReLU(SLOPE, name=_d(f"fc{number}-activation"))(x)
        if dropout:
            x = layers.Dropout(dropout, name=_d(f"fc{number}-dropout"))(x)
    return _scored(inputs, x, classes, num_classes, spectral)


def dcgan_generator(
    size=28,
    channels=1,
    latent=64,
    width=32,
    *,
    norm="batch",
    activation="relu",
    up="strided",
    kernel=4,
    stddev=0.02,
    num_classes=None,
):
    """Builds the generator of DCGAN, whose rules can be broken one at a time.

    Args:
        size, channels, latent, num_classes: as for ``mlp_generator``.
        width: channels of the last hidden map; each coarser one has twice as many.
        norm: ``"batch"`` normalises all layers but the last; ``"none"`` none.
        activation: of the hidden layers, a name that Keras knows.
        up: how a map is doubled: ``"strided"``, a transposed convolution of stride 2, or
            ``"resize"``, doubled bilinearly and then convolved.
        kernel: side of the kernels. Transposed convolutions overlap unevenly, which shows as a
            checkerboard, unless it is even; the backends place odd ones differently.
        stddev: of the normal distribution that the kernels are drawn from; ``None`` takes Keras'
            default, Glorot's.

    Returns, Raises: as for ``mlp_generator``.

    Source: Radford, Metz, Chintala 2016, section 3 and figure 1.
    """
    _check(size, channels, num_classes, latent=latent, width=width, kernel=kernel)
    checks.choice("norm", norm, NORMS)
    checks.choice("up", up, ("strided", "resize"))
    side, doublings = SIDES[size]
    start = _initialiser(stddev)
    inputs, x, classes = _latents(latent, num_classes, beside=norm == "none")
    filters = width * 2 ** (doublings - 1)
    x = layers.Dense(
        side * side * filters, use_bias=norm == "none", kernel_initializer=start, name=_g("fc")
    )(x)
    x = layers.Reshape((side, side, filters), name=_g("map"))(x)
    for number in range(1, doublings + 1):
        x = _normalised(x, norm, classes, num_classes, _g(f"norm{number}"))
        x = layers.Activation(activation, name=_g(f"activation{number}"))(x)
        last = number == doublings
        options = {
            "padding": "same",
            "use_bias": last or norm == "none",
            "kernel_initializer": start,
        }
        filters = channels if last else filters // 2
        if up == "strided":
            name = _g(f"up{number}")
            x = layers.Conv2DTranspose(filters, kernel, strides=2, name=name, **options)(x)
        else:
            x = layers.UpSampling2D(interpolation="bilinear", name=_g(f"double{number}"))(x)
            x = layers.Conv2D(filters, kernel, name=_g(f"up{number}"), **options)(x)
    return _generator(inputs, x)


def dcgan_discriminator(
    size=28,
    channels=1,
    width=32,
    *,
    norm="batch",
    activation="leaky_relu",
    down="strided",
    kernel=4,
    hidden=0,
    stddev=0.02,
    spectral=False,
    num_classes=None,
):
    """Builds the discriminator of DCGAN, whose rules can be broken one at a time.

    Args:
        size, channels, num_classes: as for ``mlp_generator``.
        width: channels of the first map; each coarser one has twice as many.
        norm: ``"batch"`` normalises all layers but the first; ``"none"`` none.
        activation: ``"leaky_relu"`` of slope 0.2, or another that Keras knows.
        down: how a map is halved: ``"strided"``, a convolution of stride 2, or ``"pool"``, a
            convolution and then a max-pool.
        kernel, stddev: as for ``dcgan_generator``; an odd kernel does no harm here.
        hidden: width of a dense layer before the last, 0 for none, as the paper wants it.
        spectral: ``True`` divides every kernel by its spectral norm.

    Returns: as for ``mlp_discriminator``.

    Raises, Source: as for ``dcgan_generator``.
    """
    _check(size, channels, num_classes, width=width, kernel=kernel)
    checks.choice("norm", norm, NORMS)
    checks.choice("down", down, ("strided", "pool"))
    checks.whole("hidden", hidden, 0)
    start = _initialiser(stddev)
    act = _leaky(activation)
    inputs, x, classes = _pictures(size, channels, num_classes)
    for number in range(1, SIDES[size][1] + 1):
        normalised = norm != "none" and number > 1
        convolution = layers.Conv2D(
            width * 2 ** (number - 1),
            kernel,
            strides=2 if down == "strided" else 1,
            padding="same",
            use_bias=not normalised,
            kernel_initializer=start,
            name=_d(f"down{number}"),
        )
        x = spectral_if(convolution, spectral)(x)
        if normalised:
            x = _normalised(x, norm, None, None, _d(f"norm{number}"))
        x = layers.Activation(act, name=_d(f"activation{number}"))(x)
        if down == "pool":
            x = layers.MaxPooling2D(name=_d(f"pool{number}"))(x)
    x = layers.Flatten(name=_d("flatten"))(x)
    if hidden:
        dense = layers.Dense(hidden, kernel_initializer=start, name=_d("fc"))
        x = layers.Activation(act, name=_d("fc-activation"))(spectral_if(dense, spectral)(x))
    return _scored(inputs, x, classes, num_classes, spectral, start)


def resnet_generator(size=32, channels=3, latent=64, width=64, *, norm="batch", num_classes=None):
    """Builds a small generator of residual blocks, each of which doubles the map.

    Args:
        size, channels, latent, num_classes: as for ``mlp_generator``.
        width: channels of every map.
        norm: as for ``dcgan_generator``.

    Returns, Raises: as for ``mlp_generator``.

    Source: Gulrajani et al. 2017, appendix C; Miyato et al. 2018, table 4.
    """
    _check(size, channels, num_classes, latent=latent, width=width)
    checks.choice("norm", norm, NORMS)
    side, doublings = SIDES[size]
    inputs, x, classes = _latents(latent, num_classes, beside=norm == "none")
    x = layers.Dense(side * side * width, name=_g("fc"))(x)
    x = layers.Reshape((side, side, width), name=_g("map"))(x)

    def active(x, name):
        x = _normalised(x, norm, classes, num_classes, _g(f"{name}-norm"))
        return layers.ReLU(name=_g(f"{name}-relu"))(x)

    for number in range(1, doublings + 1):
        name = f"block{number}"
        doubled = layers.UpSampling2D(name=_g(f"{name}-double"))(active(x, f"{name}-1"))
        inner = _convolution(width, _g(f"{name}-conv1"))(doubled)
        inner = _convolution(width, _g(f"{name}-conv2"))(active(inner, f"{name}-2"))
        shortcut = layers.UpSampling2D(name=_g(f"{name}-shortcut"))(x)
        x = layers.Add(name=_g(name))([shortcut, inner])
    return _generator(inputs, _convolution(channels, _g("pixels"))(active(x, "last")))


def resnet_discriminator(
    size=32, channels=3, width=64, *, blocks=1, spectral=False, num_classes=None
):
    """Builds a small discriminator of residual blocks without batch normalisation.

    Args:
        size, channels, num_classes: as for ``mlp_generator``.
        width: channels of every map.
        blocks: how many follow at the coarsest map, after those that halve it.
        spectral: ``True`` divides every kernel by its spectral norm.

    Returns, Raises: as for ``mlp_discriminator``.

    Source: as for ``resnet_generator``.
    """
    _check(size, channels, num_classes, width=width)
    checks.whole("blocks", blocks, 0)
    inputs, x, classes = _pictures(size, channels, num_classes)
    halvings = SIDES[size][1]
    for number in range(1, halvings + blocks + 1):
        name, halve = f"block{number}", number <= halvings
        inner = x if number == 1 else layers.ReLU(name=_d(f"{name}-relu1"))(x)
        inner = spectral_if(_convolution(width, _d(f"{name}-conv1")), spectral)(inner)
        inner = layers.ReLU(name=_d(f"{name}-relu2"))(inner)
        inner = spectral_if(_convolution(width, _d(f"{name}-conv2")), spectral)(inner)
        if number == 1:  # the picture's channels have to become those of the map
            x = spectral_if(_convolution(width, _d(f"{name}-project"), side=1), spectral)(x)
        x = layers.Add(name=_d(name))([x, inner])
        if halve:
            x = layers.AveragePooling2D(2, name=_d(f"{name}-halve"))(x)
    x = layers.ReLU(name=_d("relu"))(x)
    x = layers.GlobalAveragePooling2D(name=_d("mean"))(x)
    return _scored(inputs, x, classes, num_classes, spectral)


def _g(name):
    return f"generator-{name}"


def _d(name):
    return f"discriminator-{name}"


def _latents(latent, num_classes, beside):
    """Returns the generator's inputs, what its first layer reads, and the classes, if any."""
    latents = keras.Input((latent,), name="latents")
    if not num_classes:
        return latents, latents, None
    classes = keras.Input((), dtype="int32", name="classes")
    x = latents
    if beside:
        table = layers.Embedding(num_classes, latent, name=_g("classes"))
        x = layers.Concatenate(name=_g("told"))([latents, table(classes)])
    return [latents, classes], x, classes


def _pictures(size, channels, num_classes):
    """Returns the discriminator's inputs, its pictures in [-1, 1], and the classes, if any."""
    pictures = keras.Input((size, size, channels), name="pictures")
    x = layers.Rescaling(2.0, -1.0, name=_d("centred"))(pictures)
    if not num_classes:
        return pictures, x, None
    classes = keras.Input((), dtype="int32", name="classes")
    return [pictures, classes], x, classes


def _generator(inputs, x):
    x = layers.Activation("tanh", name=_g("tanh"))(x)
    return keras.Model(inputs, layers.Rescaling(0.5, 0.5, name=_g("pictures"))(x), name="generator")


def _scored(inputs, x, classes, num_classes, spectral, start="glorot_uniform"):
    if classes is not None:
        logits = ProjectionScore(num_classes, spectral, name=_d("score"))([x, classes])
    else:
        score = layers.Dense(1, kernel_initializer=start, name=_d("score"))
        logits = spectral_if(score, spectral)(x)
    return keras.Model(inputs, logits, name="discriminator")


def _normalised(x, norm, classes, num_classes, name):
    if norm == "none":
        return x
    if classes is not None:
        return ClassBatchNorm(num_classes, name=name)([x, classes])
    return layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=name)(x)


def _convolution(filters, name, side=3):
    return layers.Conv2D(filters, side, padding="same", kernel_initializer="he_normal", name=name)


def _initialiser(stddev):
    if stddev is None:
        return "glorot_uniform"
    generative.numbers(stddev=stddev)
    return keras.initializers.RandomNormal(0.0, stddev)


def _leaky(activation):
    return layers.LeakyReLU(SLOPE) if activation == "leaky_relu" else activation


def _check(size, channels, num_classes, **wholes):
    checks.whole("size", size)
    if size not in SIDES:
        raise ValueError(f"size is {size!r}: choose 28, 32 or 64 pixels.")
    checks.whole("channels", channels)
    if num_classes is not None:
        checks.whole("num_classes", num_classes, 2)
    for name, value in wholes.items():
        checks.whole(name, value)
