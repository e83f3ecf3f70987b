"""How near filled holes are to the truth: PSNR, SSIM, and KID of what lies around the hole.

PSNR and SSIM compare each filled picture with the true one, and like a smooth guess, which is never
far off. KID compares the filled crops with the true ones as two sets, and asks whether they look
alike. No one of the three says all. NumPy in float64. Chapter 8.
"""

import numpy as np
from keras import ops

from pixelwise import checks, holes
from pixelwise.batches import check_length, num_batches
from pixelwise.metrics import features
from pixelwise.metrics.distances import kid
from pixelwise.models.classical import METHODS, fill_classical

WINDOW = 11  # side of SSIM's window in pixels
CROP = 64  # side in pixels that crops are resized to, before an extractor does so once more
LEAST_CROP = 16  # side of the smallest crop in pixels
SUBSETS, SUBSET_SIZE = 50, 100  # of KID


def psnr(truth, filled, where=None):
    """Returns the peak signal-to-noise ratio of each picture, in dB.

    It is -10 log10 of the mean squared error over pixels and channels; infinite without an error.

    Args:
        truth, filled: float ``(n, height, width, channels)`` in [0, 1].
        where: bool ``(n, height, width)``, the pixels that count, one or more a picture; ``None``
            is all.

    Returns:
        float64 ``(n,)``.

    Raises:
        ValueError: if shapes or values do not fit, or a picture has no pixel that counts.
    """
    truth, filled, where = _pairs(truth, filled, where)
    error = ((truth - filled) ** 2).mean(axis=-1)
    mean = (error * where).sum(axis=(1, 2)) / where.sum(axis=(1, 2))
    with np.errstate(divide="ignore"):
        return -10 * np.log10(mean)


def ssim(truth, filled, where=None):
    """Returns the structural similarity of each picture, at most 1.

    It is computed over the whole pictures, in a Gaussian window of 11 pixels (sigma 1.5), and then
    averaged over the pixels that count. Near the edge of a hole the window sees known pixels too.

    Args, Raises: as for ``psnr``; pictures of at least 11 pixels to a side.

    Returns:
        float64 ``(n,)``.

    Source: Wang et al. 2004, section III.B, as scikit-image computes it.
    """
    truth, filled, where = _pairs(truth, filled, where)
    return _mean_over(_similarity(truth, filled), where)


def _similarity(truth, filled):
    """The similarity of checked pictures at each pixel, float64 ``(n, height, width)``."""
    from skimage.metrics import structural_similarity

    if min(truth.shape[1:3]) < WINDOW:
        raise ValueError(
            f"The pictures are {truth.shape[1]} x {truth.shape[2]} pixels, smaller than the window "
            f"of SSIM: give at least {WINDOW} x {WINDOW}."
        )
    found = []
    for pair in zip(truth, filled, strict=True):
        _, similarity = structural_similarity(
            *pair,
            data_range=1.0,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )
        found.append(similarity.mean(axis=-1))
    return np.array(found)


def _mean_over(maps, where):
    """The mean of each map over the pixels that count, float64 ``(n,)``."""
    return np.array([one[counts].mean() for one, counts in zip(maps, where, strict=True)])


def crops(images, where):
    """Cuts out the square around each hole.

    Args:
        images: float ``(n, height, width, 3)`` in [0, 1].
        where: bool ``(n, height, width)``, the holes, none of them empty.

    Returns:
        float32 ``(n, 64, 64, 3)``: the smallest square around the hole, of 16 pixels or more and
        no larger than the picture, moved inside it, resized bilinearly.

    Raises:
        ValueError: if shapes or values do not fit, or a hole is empty.
    """
    images, _, where = _pairs(images, images, where)
    cut = []
    for image, hole in zip(images.astype("float32"), where, strict=True):
        spans = [np.flatnonzero(hole.any(axis=axis)) for axis in (1, 0)]
        side = max(LEAST_CROP, *(span[-1] - span[0] + 1 for span in spans))
        side = min(side, *hole.shape)
        view = []
        for span, length in zip(spans, hole.shape, strict=True):
            first = (span[0] + span[-1] + 1 - side) // 2
            first = min(max(first, 0), length - side)
            view.append(slice(first, first + side))
        resized = ops.image.resize(
            image[tuple(view)], (CROP, CROP), "bilinear", data_format="channels_last"
        )
        cut.append(ops.convert_to_numpy(resized))
    return np.clip(np.stack(cut), 0, 1)


def compare(truth, filled, where, extractor="mobilenet"):
    """Measures filled pictures against the true ones.

    Args:
        truth, filled: float ``(n, height, width, 3)`` in [0, 1].
        where: bool ``(n, height, width)``, the holes.
        extractor: of ``features.features``, in which KID compares the ``crops``; ``None`` leaves
            KID out.

    Returns:
        dict: ``psnr_hole`` and ``ssim_hole``, over the pixels of the hole, ``psnr`` and ``ssim``,
        over all pixels: means over the pictures. ``l1_hole``, the mean absolute error in the hole.
        ``kid``, of subsets of 100 pictures or all, and ``kid_spread``. ``pictures``, how many.

    Raises:
        ValueError: as ``psnr`` and ``ssim``, or if there are fewer than two pictures for KID.
    """
    described = None if extractor is None else _described(truth, where, extractor)
    return _compare(truth, filled, where, extractor, described)


def _compare(truth, filled, where, extractor, described):
    """As ``compare``, told what the extractor says of the truth."""
    right, made, counts = _pairs(truth, filled, where)
    similarity = _similarity(right, made)
    found = {
        "psnr_hole": float(psnr(truth, filled, where).mean()),
        "ssim_hole": float(_mean_over(similarity, counts).mean()),
        "psnr": float(psnr(truth, filled).mean()),
        "ssim": float(similarity.mean()),
        "l1_hole": float(_mean_over(np.abs(right - made).mean(axis=-1), counts).mean()),
    }
    if extractor is not None:
        pair = described, _described(filled, where, extractor)
        kernel = kid(*pair, subsets=SUBSETS, subset_size=min(SUBSET_SIZE, len(truth)))
        found |= {"kid": float(kernel), "kid_spread": kernel.spread}
    return found | {"pictures": len(truth)}


def _described(images, where, extractor):
    return features.features(crops(images, where), extractor)


def evaluate(model, dataset, *, baselines=(), pictures=None, extractor="mobilenet"):
    """Measures an inpainter on a data set of holes whose truth is known.

    Args:
        model: has ``fill(images, holes)``, as ``Inpainter``; or a function of the two.
        dataset: ``keras.utils.PyDataset`` of known length whose batches are ``({"images",
            "holes"}, truth)``.
        baselines: methods of ``fill_classical`` that are measured on the same pictures.
        pictures: measure on so many of the first pictures; ``None`` is all.
        extractor: as for ``compare``.

    Returns:
        dict: what ``compare`` returns, and for each baseline a dict of the same under its name.
        ``hole``, the mean share of the picture that is missing.

    Raises:
        ValueError: if a name is unknown, the length of the data set is not known, or a batch does
            not fit.
    """
    fill = getattr(model, "fill", model)
    if not callable(fill):
        raise ValueError(f"A {type(model).__name__} fills no holes: measure an Inpainter.")
    if not isinstance(baselines, list | tuple):
        raise ValueError(f"baselines is {baselines!r}: give a list of names, which may be empty.")
    for method in baselines:
        checks.choice("a name in baselines", method, METHODS)
    if extractor is not None:
        features.named(extractor)
    images, where, truth = collected(dataset, pictures)
    told = where, extractor, None if extractor is None else _described(truth, where, extractor)
    found = _compare(truth, fill(images, where), *told)
    for method in baselines:
        found[method] = _compare(truth, fill_classical(images, where, method), *told)
    return found | {"hole": float(where.mean())}


def collected(dataset, pictures=None):
    """Returns images, holes and truth of a whole data set, or of its first pictures.

    Args:
        dataset, pictures: as for ``evaluate``.

    Returns:
        ``(images, holes, truth)``: float ``(n, height, width, 3)``, bool ``(n, height, width)``,
        and as images.

    Raises:
        ValueError: as ``evaluate``.
    """
    length = check_length(num_batches(dataset))
    if pictures is not None:
        checks.whole("pictures", pictures, 2)
    found = []
    for index in range(length):
        inputs, truth = dataset[index]
        found.append((inputs["images"], holes.as_mask(inputs["holes"]), truth))
        if pictures is not None and sum(len(part[2]) for part in found) >= pictures:
            break
    arrays = [np.concatenate(parts)[:pictures] for parts in zip(*found, strict=True)]
    return tuple(arrays)


def _pairs(truth, filled, where):
    """Returns both as float64 and what counts as bool, or raises one sentence."""
    truth, filled = np.asarray(truth), np.asarray(filled)
    if truth.ndim != 4 or truth.shape != filled.shape or 0 in truth.shape:
        raise ValueError(
            f"The true pictures have the shape {truth.shape} and the filled ones {filled.shape}: "
            "give one or more pairs, both (n, height, width, channels)."
        )
    truth, filled = (checks.fractions(images).astype(np.float64) for images in (truth, filled))
    where = np.ones(truth.shape[:3], bool) if where is None else holes.as_mask(where)
    if where.shape != truth.shape[:3]:
        raise ValueError(
            f"The holes have the shape {where.shape} and the pictures {truth.shape}: give (n, "
            "height, width)."
        )
    empty = ~where.any(axis=(1, 2))
    if empty.any():
        raise ValueError(
            f"The hole of picture {empty.argmax()} is empty, so that nothing in it can be "
            "measured: leave that picture out."
        )
    return truth, filled, where
