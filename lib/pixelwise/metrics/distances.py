"""Distances between two sets of features: FID and KID, and the numbers that they return.

What a user calls is in ``generation``. NumPy in float64 throughout. Chapter: GAN.
"""

import warnings

import numpy as np

from pixelwise.checks import whole

SUBSETS, SUBSET_SIZE = 100, 1000  # of KID, in the paper's code and in torch-fidelity
KID_SEED = 2020  # torch-fidelity's


class FewSamples(UserWarning):
    """A measurement on so few samples that it says something else than one on many."""


class Estimate(float):
    """A measured number that knows what it was measured on; otherwise a float like any other.

    ``print`` shows all of it, ``f"{estimate:.1f}"`` the number alone.

    Attributes:
        real_samples, fake_samples: how many there were.
        dimensions: number of features of a sample.
        spread: standard deviation over the subsets, for KID; ``None`` for FID.
        note: a sentence on what the sample counts do to the number, empty if there is nothing to
            say.
    """

    def __new__(cls, value, real_samples=0, fake_samples=0, dimensions=0, *, spread=None, note=""):
        self = super().__new__(cls, value)
        self.real_samples, self.fake_samples = real_samples, fake_samples
        self.dimensions, self.spread, self.note = dimensions, spread, note
        return self

    def __repr__(self):
        spread = "" if self.spread is None else f" +- {self.spread:.2g}"
        said = f"; {self.note}" if self.note else ""
        return (
            f"{float(self):.5g}{spread} ({self.real_samples:,} real and {self.fake_samples:,} fake "
            f"samples of {self.dimensions:,} features{said})"
        )

    __str__ = __repr__


def fid(real, fake):
    """Returns the Frechet distance between Gaussians fitted to two sets of features (FID).

    The covariances are never formed: see ``_frechet`` for the formula. It holds for any number of
    samples from 2 and any rank, and gives neither a complex nor a negative number.

    FID is an estimate with a bias: fewer samples give a larger value, the more so the more features
    there are. Compare only figures of the same features and the same numbers of samples.

    Args:
        real, fake: float ``(samples, features)``, 2 samples or more each.

    Returns:
        ``Estimate`` of at least 0. With no more samples than features its ``note`` says what that
        does, which is also a warning, ``FewSamples``.

    Raises:
        ValueError: if the features are no such arrays, are not finite, or differ in their number.

    Source: Heusel et al. 2017, equation 6 (arXiv 1706.08500). Chapter: GAN.
    """
    real, fake = check_features(real, fake, least=2)
    samples, dimensions = (len(real), len(fake)), real.shape[1]
    value = _frechet(real.mean(axis=0) - fake.mean(axis=0), _root_of(real), _root_of(fake))
    note = ""
    if min(samples) <= dimensions:
        note = (
            f"with {min(samples):,} samples of {dimensions:,} features a covariance has not its "
            "full rank and FID comes out too high, so compare it with figures of the same numbers "
            "of samples only"
        )
        warnings.warn(f"{note[0].upper()}{note[1:]}.", FewSamples, stacklevel=2)
    return Estimate(value, *samples, dimensions, note=note)


def frechet_distance(mean_a, covariance_a, mean_b, covariance_b):
    """Returns the squared Frechet distance between two Gaussians.

    It is what FID is for two samples: the squared distance between the means, plus the least mean
    squared distance that is left between the centred Gaussians when their samples are paired.

    Args:
        mean_a, mean_b: float ``(dimensions,)``.
        covariance_a, covariance_b: float ``(dimensions, dimensions)``, symmetric, without negative
            eigenvalues beyond rounding; of any rank.

    Returns:
        float of at least 0.

    Raises:
        ValueError: if the shapes do not fit each other, or a matrix is no covariance.

    Source: Dowson and Landau 1982; Heusel et al. 2017, equation 6. Chapter: GAN.
    """
    means = [np.asarray(mean, np.float64) for mean in (mean_a, mean_b)]
    covariances = [np.asarray(matrix, np.float64) for matrix in (covariance_a, covariance_b)]
    wanted = [means[0].shape, means[0].shape * 2] * 2
    found = [means[0].shape, covariances[0].shape, means[1].shape, covariances[1].shape]
    if means[0].ndim != 1 or found != wanted:
        raise ValueError(
            f"The means and covariances have the shapes {', '.join(map(str, found))}: give "
            "(dimensions,) and (dimensions, dimensions), the same for both."
        )
    return _frechet(means[0] - means[1], *map(_symmetric_root, covariances))


def _frechet(gap, root_a, root_b):
    """|gap|^2 + trace(A) + trace(B) - 2 trace((A B)^1/2), from matrices with R^T R = A and B.

    The eigenvalues of A B are the squares of the singular values of ``root_a root_b^T``, which are
    real, not negative, and computed without squaring anything. And trace(A) is the sum of squares
    of the root.
    """
    shared = np.linalg.svd(root_a @ root_b.T, compute_uv=False).sum()
    value = gap @ gap + np.sum(root_a**2) + np.sum(root_b**2) - 2 * shared
    return max(float(value), 0.0)  # below 0 by rounding only


def _root_of(samples):
    """A matrix R, at most square, for which R^T R is the covariance of the samples."""
    centred = (samples - samples.mean(axis=0)) / np.sqrt(len(samples) - 1)
    return np.linalg.qr(centred, mode="r")


def _symmetric_root(covariance):
    largest = np.abs(covariance).max(initial=0.0)
    if not np.isfinite(largest) or not np.allclose(covariance, covariance.T, atol=1e-8 * largest):
        raise ValueError(
            "A covariance is not symmetric, or not finite: give np.cov(features, rowvar=False)."
        )
    values, vectors = np.linalg.eigh(covariance)
    if values.min() < -1e-8 * largest:
        raise ValueError(
            f"A covariance has the eigenvalue {values.min():.3g}: no spread is negative, give "
            "np.cov(features, rowvar=False)."
        )
    return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


def mmd2(real, fake):
    """Returns the unbiased estimate of the squared MMD with the kernel (x.y / features + 1)^3.

    Its mean over samples is 0 for equal distributions, whatever their number: it can be negative.

    Args, Raises: as for ``fid``.

    Returns:
        float.

    Source: Gretton et al. 2012, equation 3; Binkowski et al. 2018, section 4 (arXiv 1801.01401).
    """
    return _mmd2(*check_features(real, fake, least=2))


def _mmd2(real, fake):
    def kernel(a, b):
        return (a @ b.T / a.shape[1] + 1) ** 3

    def between_different(a):
        values = kernel(a, a)
        return (values.sum() - np.trace(values)) / (len(a) * (len(a) - 1))

    return between_different(real) + between_different(fake) - 2 * kernel(real, fake).mean()


def kid(real, fake, subsets=SUBSETS, subset_size=None, seed=KID_SEED):
    """Returns the kernel distance (KID): the mean of ``mmd2`` over random subsets.

    Unlike FID it has no bias: fewer samples make it less certain, not larger. The subsets are those
    that torch-fidelity draws with the same seed.

    Args:
        real, fake: float ``(samples, features)``.
        subsets: how many.
        subset_size: samples of each kind in a subset, drawn without repetition, 2 or more; ``None``
            is 1,000, or all where there are fewer.
        seed: whole number.

    Returns:
        ``Estimate``; its ``spread`` is the standard deviation of a subset's value.

    Raises:
        ValueError: as for ``fid``, or if the number or the size of the subsets is not possible.

    Source: Binkowski et al. 2018, section 4 (arXiv 1801.01401). Chapter: GAN.
    """
    real, fake = check_features(real, fake, least=2)
    fewest = min(len(real), len(fake))
    size = min(SUBSET_SIZE, fewest) if subset_size is None else subset_size
    whole("subsets", subsets, 1)
    whole("subset_size", size, 2)
    whole("seed", seed, 0)
    if size > fewest:
        raise ValueError(
            f"subset_size is {size:,}, but there are {len(real):,} real and {len(fake):,} fake "
            "samples: take smaller subsets or more samples."
        )
    # NumPy's old generator, whose numbers never change, in torch-fidelity's order: fake first.
    rng = np.random.RandomState(seed)
    values = []
    for _ in range(subsets):
        some = [x[rng.choice(len(x), size, replace=False)] for x in (fake, real)]
        values.append(_mmd2(some[1], some[0]))
    return Estimate(
        np.mean(values), len(real), len(fake), real.shape[1], spread=float(np.std(values))
    )


def check_features(real, fake, least, why=""):
    """Checks two sets of features.

    Args:
        real, fake: numbers ``(samples, features)``.
        least: how many samples each must have.
        why: what for, for the sentence.

    Returns:
        Both as float64.

    Raises:
        ValueError: if one has another form, too few samples, or a number that is not finite, or
            they differ in the number of features.
    """
    arrays = []
    for name, values in (("real", real), ("fake", fake)):
        values = np.asarray(values)
        if values.ndim != 2 or values.shape[1] == 0 or values.dtype.kind not in "fiu":
            raise ValueError(
                f"The {name} features have the shape {values.shape} and the type {values.dtype}: "
                "give numbers (samples, features), as features.features returns."
            )
        if len(values) < least:
            raise ValueError(
                f"There are {len(values)} {name} samples, too few{why}: give {least} or more."
            )
        values = values.astype(np.float64)
        bad = len(values) - np.isfinite(values).all(axis=1).sum()
        if bad:
            raise ValueError(
                f"{bad} of the {len(values)} {name} samples have features that are NaN or "
                "infinite: look at the pictures that they come from."
            )
        arrays.append(values)
    if arrays[0].shape[1] != arrays[1].shape[1]:
        raise ValueError(
            f"The real samples have {arrays[0].shape[1]} features and the fake ones "
            f"{arrays[1].shape[1]}: take both from the same extractor."
        )
    return arrays
