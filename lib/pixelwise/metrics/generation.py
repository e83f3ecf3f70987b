"""How good generated pictures are: distances between two sets of features, and what is missing.

FID and KID say how far the generated pictures are from the real ones as a whole. Precision and
recall take that apart: how many of the generated look real, and how much of the real is generated.
Mode coverage counts the classes that are made at all. All of them compare features (``features``
says which) of two samples, and depend on how many there are: every result says so. NumPy in float64
throughout. Chapters: GAN, VAE.

The numbers are those of torch-fidelity 0.4 on the same features (tests/parity).
"""

import dataclasses
import numbers

import numpy as np

from pixelwise.checks import whole
from pixelwise.metrics import features as extraction
from pixelwise.metrics.distances import (
    Estimate,
    FewSamples,
    check_features,
    fid,
    frechet_distance,
    kid,
    mmd2,
)

__all__ = [
    "Coverage",
    "Estimate",
    "FewSamples",
    "PrecisionRecall",
    "coverage",
    "evaluate",
    "fid",
    "frechet_distance",
    "kid",
    "mmd2",
    "precision_recall",
]

KID_SUBSETS = 20  # in ``evaluate``, which may run many times in a training
ROWS = 1000  # of a matrix of distances that are held at a time
# Squared distances below this share of the squared lengths are rounding errors of equal features.
EQUAL = 1e-12


@dataclasses.dataclass(frozen=True)
class PrecisionRecall:
    """Precision and recall, each in [0, 1], and what they were measured on.

    Attributes:
        precision: share of the fake samples that lie among the real ones.
        recall: share of the real samples that lie among the fake ones.
        k: the neighbour whose distance is the radius around each sample.
        real_samples, fake_samples: how many there were.
    """

    precision: float
    recall: float
    k: int
    real_samples: int
    fake_samples: int


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Which classes are generated.

    Attributes:
        classes: number of classes with at least the share ``least`` of the samples.
        shares: the share of each class, a tuple of floats that sum to 1.
        least: the share from which a class counts.
        samples: how many there were.
    """

    classes: int
    shares: tuple
    least: float
    samples: int


def precision_recall(real, fake, k=3):
    """Measures how many fake samples lie among the real ones, and the other way round.

    A sample lies among others if it is at most as far from one of them as the k-th nearest of the
    others is from that one: each sample has a ball around it that reaches to its k-th neighbour.

    Args:
        real, fake: float ``(samples, features)``, more than ``k`` samples each.
        k: whole number of at least 1.

    Returns:
        ``PrecisionRecall``.

    Raises:
        ValueError: as for ``fid``, or if there are not more than ``k`` samples.

    Source: Kynkaanniemi et al. 2019, equations 1 and 2 (arXiv 1904.06991). Chapter: GAN.
    """
    whole("k", k, 1)
    real, fake = check_features(real, fake, least=k + 1, why=f" for a neighbour number {k}")
    return PrecisionRecall(
        precision=float(_inside(fake, real, k).mean()),
        recall=float(_inside(real, fake, k).mean()),
        k=k,
        real_samples=len(real),
        fake_samples=len(fake),
    )


def _inside(samples, others, k):
    """Whether each of the samples lies in a ball of one of the others, bool ``(samples,)``."""
    radii = np.empty(len(others))
    for rows, distances in _squared_distances(others, others):
        distances[np.arange(len(distances)), np.arange(rows.start, rows.stop)] = np.inf  # itself
        radii[rows] = np.partition(distances, k - 1, axis=1)[:, k - 1]
    found = np.empty(len(samples), bool)
    for rows, distances in _squared_distances(samples, others):
        found[rows] = (distances <= radii).any(axis=1)
    return found


def _squared_distances(a, b):
    """Yields some rows of the matrix of squared distances at a time, and which they are."""
    middle = b.mean(axis=0)  # the shorter the vectors, the less is lost to rounding
    a, b = a - middle, b - middle
    lengths = (b**2).sum(axis=1)
    for start in range(0, len(a), ROWS):
        rows = slice(start, min(start + ROWS, len(a)))
        both = (a[rows] ** 2).sum(axis=1)[:, None] + lengths
        distances = both - 2 * a[rows] @ b.T
        yield rows, np.where(distances > EQUAL * both, distances, 0.0)


def coverage(labels, num_classes, least=0.02):
    """Counts the classes that are generated.

    Args:
        labels: integer ``(samples,)``, the class of each picture, as ``features.classify`` says.
        num_classes: how many there are.
        least: share of the samples from which a class counts, in (0, 1].

    Returns:
        ``Coverage``.

    Raises:
        ValueError: if there is no label, one is no class, or ``least`` is no such share.

    Chapter: GAN.
    """
    labels = np.asarray(labels)
    whole("num_classes", num_classes, 1)
    if labels.ndim != 1 or len(labels) == 0 or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"The labels have the shape {labels.shape} and the type {labels.dtype}: give whole "
            "numbers (samples,), one or more."
        )
    if not 0 <= labels.min() <= labels.max() < num_classes:
        wrong = labels.min() if labels.min() < 0 else labels.max()
        raise ValueError(
            f"Found the label {wrong} among {num_classes} classes: use 0 .. {num_classes - 1}."
        )
    _check_least(least)
    shares = np.bincount(labels, minlength=num_classes) / len(labels)
    return Coverage(
        classes=int((shares >= least).sum()),
        shares=tuple(shares.tolist()),
        least=least,
        samples=len(labels),
    )


def _check_least(least):
    if not isinstance(least, numbers.Real) or not 0 < least <= 1:
        raise ValueError(f"least is {least!r}: give a share of the samples above 0, at most 1.")


def evaluate(model, dataset, *, extractors=("garments", "mobilenet"), k=3, least=0.02, seed=0):
    """Measures a generator against all pictures of a data set, with as many samples as those.

    Args:
        model: has ``sample(n, seed=...)``, which returns float ``(n, height, width, channels)`` in
            [0, 1].
        dataset: ``keras.utils.PyDataset`` of known length whose batches are pictures of that shape,
            or begin with them.
        extractors: names of ``features.EXTRACTORS``. Precision and recall are measured in the
            features of the first; the classes are counted if ``"garments"`` is among them.
        k: of ``precision_recall``.
        least: of ``coverage``.
        seed: of the samples.

    Returns:
        dict: for each extractor ``fid_NAME``, ``kid_NAME`` and ``kid_NAME_spread``; ``precision``,
        ``recall``; ``classes`` and ``shares``, of ``Coverage``; ``samples`` and ``real``, how many
        there were.

    Raises:
        ValueError: if an argument is not possible, or the samples are no such pictures.

    Chapters: GAN, VAE.
    """
    extraction.check_names(extractors)
    whole("k", k, 1)
    _check_least(least)
    real = extraction.pictures_of(dataset)
    if not hasattr(model, "sample"):
        raise ValueError(
            f"A {type(model).__name__} draws no pictures: measure a GAN, a VAE or a VQVAE."
        )
    fake = np.asarray(model.sample(len(real), seed=seed))
    if fake.shape != real.shape:
        raise ValueError(
            f"The model's samples have the shape {fake.shape} and the real pictures {real.shape}: "
            "measure it on pictures of the size that it makes."
        )
    distances, others = {}, {}
    for name in extractors:
        pair = extraction.features(real, name), extraction.features(fake, name)
        kernel = kid(*pair, subsets=KID_SUBSETS)
        distances[f"fid_{name}"] = float(fid(*pair))
        distances |= {f"kid_{name}": float(kernel), f"kid_{name}_spread": kernel.spread}
        if name == "garments":
            found = coverage(extraction.classes_of(pair[1]), extraction.NUM_CLASSES, least)
            others |= {"classes": found.classes, "shares": list(found.shares)}
        if name == extractors[0]:
            found = precision_recall(*pair, k=k)
            others |= {"precision": found.precision, "recall": found.recall}
    return {**distances, **others, "samples": len(fake), "real": len(real)}
