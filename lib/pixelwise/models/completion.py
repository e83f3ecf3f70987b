"""What a model of pictures can do besides drawing new ones: complete, clean, blend, change.

Every function takes any model with ``encode``, from pictures to latents ``(n, latents)``, and
``decode``, back to pictures. A generator that has no encoder is asked for the latents that explain
what is known best; so is any decoder, where an encoder would have to look at a picture with a hole.
Chapter 7.
"""

import numbers

import numpy as np
from keras import ops

from pixelwise import checks
from pixelwise.models import generative
from pixelwise.nn.autodiff import gradient

METHODS = ("latents", "repeat")
PATHS = ("spherical", "linear")
NOISE = 0.1  # standard deviation of what a decoded picture may be off, a pixel


def complete(model, pictures, known, method="latents", labels=None, steps=None, seed=0):
    """Fills in the missing part of pictures.

    Args:
        model: with ``encode`` and ``decode``; ``"latents"`` takes ``VAE`` and ``GAN``.
        pictures: float ``(n, height, width, channels)`` in [0, 1]; missing pixels may be anything.
        known: bool ``(n, height, width)`` or ``(height, width)``, False where a pixel is missing.
        method: ``"latents"`` searches the latents whose picture is nearest to the known pixels
            (``search``). ``"repeat"`` encodes and decodes again and again, with the known pixels
            put back each time (Rezende, Mohamed, Wierstra 2014, section 6.5 and appendix F).
        labels: int ``(n,)``, needed if the model is told classes.
        steps: how often; ``None`` is 200 for ``"latents"`` and 20 for ``"repeat"``.
        seed: of where the search starts, and of what missing pixels are at first.

    Returns:
        float32 ``(n, height, width, channels)``: known pixels as they are, the others made up.

    Raises:
        ValueError: if an argument does not fit.
    """
    pictures, known = _pictures_and_mask(pictures, known)
    _check_shape(model, pictures)
    checks.choice("method", method, METHODS)
    steps = {"latents": 200, "repeat": 20}[method] if steps is None else steps
    checks.whole("steps", steps)
    if method == "latents":
        made = _decode(
            model, search(model, pictures, known[..., 0], labels, steps, seed=seed), labels
        )
        return np.where(known, pictures, made)
    made = checks.generator(seed).random(pictures.shape, dtype="float32")
    for _ in range(steps):
        whole = np.where(known, pictures, made)
        made = _decode(model, encode(model, whole, labels), labels)
    return np.where(known, pictures, made)


def search(model, pictures, known=None, labels=None, steps=200, noise=NOISE, rate=0.1, seed=0):
    """Searches the latents that explain pictures best, or what is known of them.

    It minimises, by Adam from a draw of the prior,

        sum over known pixels of (x - decoded)^2 / (2 noise^2) + |z|^2 / 2,

    which is -log p(z | x) where a pixel is the decoded one with normal noise.

    Args:
        model: ``VAE``, ``GAN``, or any model with a latent size, and a decoder or generator.
        pictures: float ``(n, height, width, channels)`` in [0, 1].
        known: as for ``complete``; ``None`` knows all.
        labels: int ``(n,)``, needed if the model is told classes.
        steps: of Adam.
        noise: standard deviation of what a pixel may be off.
        rate: of Adam, which falls to nothing along half a cosine.
        seed: of the start.

    Returns:
        float32 ``(n, latents)``.

    Raises:
        ValueError: if the model has no such network or something does not fit.

    Source: Yeh et al. 2017 (arXiv 1607.07539), for completion with a generator.
    """
    known = np.ones(np.shape(pictures)[1:3], bool) if known is None else known
    pictures, known = _pictures_and_mask(pictures, known)
    _check_shape(model, pictures)
    checks.whole("steps", steps)
    decoded, width = differentiable(model, labels, len(pictures))
    weight = ops.convert_to_tensor(known.astype("float32") / (2 * noise**2))
    target = ops.convert_to_tensor(pictures)

    def energy(z):
        error = ops.square(decoded(z) - target) * weight
        return ops.sum(error) + 0.5 * ops.sum(ops.square(z))

    z = checks.generator(seed).standard_normal((len(pictures), width), "float32")
    mean, square = np.zeros_like(z), np.zeros_like(z)
    for step in range(1, steps + 1):
        slope = gradient(energy, z)
        mean += 0.1 * (slope - mean)
        square += 0.01 * (slope**2 - square)
        size = rate * 0.5 * (1 + np.cos(np.pi * (step - 1) / steps))
        direction = mean / (1 - 0.9**step) / (np.sqrt(square / (1 - 0.99**step)) + 1e-8)
        z = z - np.float32(size) * direction.astype("float32")
    return z


def differentiable(model, labels, count):
    """Finds a model's way from latents to pictures, as a function of tensors.

    Args:
        model: ``VAE`` or ``GAN``, or what has the same parts.
        labels: int ``(count,)``, needed if the model is told classes.
        count: number of pictures.

    Returns:
        (function from latents ``(count, latents)`` to pictures in [0, 1], number of latents).

    Raises:
        ValueError: if the model has no such parts, or the labels do not fit.
    """
    labels = generative.labels(labels, count, getattr(model, "num_classes", None))
    if hasattr(model, "generator"):
        return lambda z: model.generator(model.told(z, labels), training=False), model.latent
    if hasattr(model, "latents") and hasattr(model, "decoder"):

        def decoded(z):
            return model.likelihood.mean(model.decoder(model.told(z, labels), training=False))

        return decoded, model.latents
    raise ValueError(
        f"A search needs a decoder or a generator with latents, and {type(model).__name__} has "
        "none: use a VAE or a GAN, or complete with method='repeat'."
    )


def denoise(model, pictures, noise, method="latents", labels=None, steps=200, seed=0):
    """Returns what a model takes noisy pictures to be without the noise.

    Args:
        model: as for ``complete``.
        pictures: float ``(n, height, width, channels)`` in [0, 1], with noise.
        noise: standard deviation of the noise, a pixel; the larger, the more the prior counts.
        method: ``"latents"`` as for ``complete``; ``"repeat"`` encodes and decodes once.
        labels: int ``(n,)``, needed if the model is told classes.
        steps, seed: of the search.

    Returns:
        float32 ``(n, height, width, channels)`` in [0, 1].

    Raises:
        ValueError: if an argument does not fit.
    """
    checks.choice("method", method, METHODS)
    real = isinstance(noise, numbers.Real) and not isinstance(noise, bool)
    if not real or not 0 < noise < np.inf:
        raise ValueError(f"noise is {noise!r}: give a number above 0, its standard deviation.")
    pictures = np.asarray(pictures)
    if pictures.dtype.kind in "fiu" and pictures.size:
        low, high = pictures.min(), pictures.max()
        if low < 0 or high > 1:
            raise ValueError(
                f"The noisy pictures go from {low:.4g} to {high:.4g}: clip them to [0, 1], as by "
                "np.clip(pictures, 0, 1)."
            )
    if method == "repeat":
        return _decode(model, encode(model, pictures, labels), labels)
    latents = search(model, pictures, None, labels, steps, noise, seed=seed)
    return _decode(model, latents, labels)


def between(start, end, count, path="spherical"):
    """Returns latents on the way from one point to another, both included.

    Draws of a normal distribution in many dimensions lie near a sphere. The straight way leaves it
    and passes where no picture was ever drawn; the spherical way keeps to it.

    Args:
        start, end: float ``(latents,)``.
        count: number of points, at least 2.
        path: ``"spherical"`` turns the direction evenly and changes the length evenly (White 2016,
            arXiv 1609.04468); ``"linear"`` goes straight.

    Returns:
        float32 ``(count, latents)``.

    Raises:
        ValueError: if an argument does not fit.
    """
    start, end = np.asarray(start, float), np.asarray(end, float)
    if start.ndim != 1 or start.shape != end.shape:
        raise ValueError(
            f"The ends have the shapes {start.shape} and {end.shape}: give two latents, (latents,)."
        )
    checks.whole("count", count, 2)
    checks.choice("path", path, PATHS)
    share = np.linspace(0, 1, count)[:, None]
    straight = (1 - share) * start + share * end
    lengths = np.linalg.norm(start), np.linalg.norm(end)
    if path == "linear" or min(lengths) == 0:
        return straight.astype("float32")
    cosine = np.clip(start @ end / (lengths[0] * lengths[1]), -1, 1)
    angle = np.arccos(cosine)
    if np.sin(angle) < 1e-6:  # the same direction, or the opposite one, which has no one way
        return straight.astype("float32")
    turn = (
        np.sin((1 - share) * angle) * start / lengths[0] + np.sin(share * angle) * end / lengths[1]
    )
    length = (1 - share) * lengths[0] + share * lengths[1]
    return (length * turn / np.sin(angle)).astype("float32")


def interpolate(model, start, end, count, path="spherical", label=None):
    """Returns the pictures between two.

    Args:
        model: with ``encode`` and ``decode``.
        start, end: float ``(height, width, channels)`` in [0, 1].
        count: number of pictures, at least 2.
        path: as for ``between``.
        label: class of all of them, needed if the model is told classes.

    Returns:
        float32 ``(count, height, width, channels)``.

    Raises:
        ValueError: if an argument does not fit.
    """
    if np.shape(start) != np.shape(end):
        raise ValueError(
            f"The pictures have the shapes {np.shape(start)} and {np.shape(end)}: give two of the "
            "model's own (height, width, channels)."
        )
    ends = encode(model, np.stack([start, end]), None if label is None else np.full(2, label))
    labels = None if label is None else np.full(count, label)
    return _decode(model, between(ends[0], ends[1], count, path), labels)


def direction(model, having, lacking, labels=(None, None)):
    """Returns what pictures that have something differ in from those that lack it, in the latents.

    Args:
        model: with ``encode``.
        having, lacking: float ``(n, height, width, channels)`` and ``(m, ...)`` in [0, 1].
        labels: int ``(n,)`` and ``(m,)``, needed if the model is told classes and has no encoder.

    Returns:
        float32 ``(latents,)``: mean latents of the one minus those of the other. Added to the
        latents of another picture, it gives that picture what the first have.

    Source: Radford, Metz, Chintala 2016, section 6.3.2.
    """
    first, second = (encode(model, *of) for of in zip((having, lacking), labels, strict=True))
    return first.mean(0) - second.mean(0)


def shift(model, pictures, towards, amount=1.0, labels=None):
    """Moves pictures in a direction of the latents, and decodes them.

    Args:
        model: with ``encode`` and ``decode``.
        pictures: float ``(n, height, width, channels)`` in [0, 1].
        towards: float ``(latents,)``, as ``direction`` gives it.
        amount: how far; negative goes the other way.
        labels: int ``(n,)``, needed if the model is told classes.

    Returns:
        float32 ``(n, height, width, channels)``.

    Raises:
        ValueError: if an argument does not fit.
    """
    latents = encode(model, pictures, labels)
    towards = np.asarray(towards, "float32")
    if towards.shape != latents.shape[1:]:
        raise ValueError(
            f"The direction has the shape {towards.shape} and the latents {latents.shape[1:]}: "
            "take it from the same model."
        )
    return _decode(model, latents + amount * towards, labels)


def encode(model, pictures, labels=None):
    """Returns the latents of pictures; a model without an encoder gets them by ``search``, which
    needs int ``(n,)`` labels if the model is told classes."""
    _check_shape(model, np.asarray(pictures))
    if hasattr(model, "encode"):
        return np.asarray(model.encode(pictures), "float32")
    return search(model, pictures, labels=labels)


def _decode(model, latents, labels):
    decode = model.decode if hasattr(model, "decode") else model.generate
    return np.asarray(decode(latents) if labels is None else decode(latents, labels), "float32")


def _check_shape(model, pictures):
    """Raises one sentence if pictures have another size or channels than a model's own."""
    shape = _made_by(model)
    if shape is not None and (pictures.shape[1:] != shape or not len(pictures)):
        raise ValueError(
            f"The pictures have the shape {pictures.shape}, and this {type(model).__name__} makes "
            f"pictures of {shape}: give (n, {', '.join(map(str, shape))}), n at least 1."
        )


def _made_by(model):
    """The shape of a model's pictures, (height, width, channels); ``None`` if it does not say."""
    for part, ends in (("generator", "outputs"), ("encoder", "inputs")):
        found = getattr(getattr(model, part, None), ends, None)
        if found:
            return tuple(found[0].shape[1:])
    return None


def _pictures_and_mask(pictures, known):
    """Returns pictures float32, and where they are known, bool ``(n or 1, height, width, 1)``."""
    pictures, known = np.asarray(pictures), np.asarray(known)
    if pictures.ndim != 4 or known.shape not in (pictures.shape[:3], pictures.shape[1:3]):
        raise ValueError(
            f"The pictures have the shape {pictures.shape} and what is known {known.shape}: give "
            "(n, height, width, channels) and (n, height, width) or (height, width)."
        )
    if known.dtype != bool:
        raise ValueError(f"What is known has the type {known.dtype}: give True and False.")
    known = np.broadcast_to(known, pictures.shape[:3])[..., None]
    seen = np.where(known, pictures, 0)
    if not ((seen >= 0) & (seen <= 1)).all():
        raise ValueError(
            f"The known pixels go from {seen.min():.4g} to {seen.max():.4g}: scale them to [0, 1]."
        )
    return seen.astype("float32"), known
