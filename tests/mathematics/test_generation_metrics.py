"""FID, KID, precision and recall: closed forms, naive loops, and what holds on average."""

import numpy as np
import pytest
from scipy import linalg

from pixelwise.metrics import distances, generation


def drawn(seed, samples, dimensions=6, shift=0.0):
    return shift + np.random.default_rng(seed).normal(size=(samples, dimensions))


def whitened(samples):
    """Samples with mean 0 and exactly the unit covariance."""
    centred = samples - samples.mean(axis=0)
    return centred @ np.linalg.inv(np.linalg.cholesky(np.cov(centred, rowvar=False)).T)


def test_frechet_distance_of_two_gaussians_on_a_line():
    """(m - n)^2 + (s - t)^2, the only case that needs no matrix."""
    assert generation.frechet_distance([1.0], [[4.0]], [3.0], [[25.0]]) == pytest.approx(4 + 9)


def test_frechet_distance_of_gaussians_that_share_their_axes():
    spreads, others = np.array([1.0, 2.0, 0.0]), np.array([3.0, 0.5, 4.0])
    mean = np.array([1.0, -2.0, 0.5])
    turn = linalg.expm(np.array([[0, 1, 2], [-1, 0, 3], [-2, -3, 0]]))
    one, other = (turn @ np.diag(s**2) @ turn.T for s in (spreads, others))
    expected = mean @ mean + ((spreads - others) ** 2).sum()
    assert generation.frechet_distance(mean, one, 0 * mean, other) == pytest.approx(expected)


def test_frechet_distance_of_any_two_gaussians_is_the_formula_with_a_matrix_root():
    rng = np.random.default_rng(0)
    one, other = (a @ a.T for a in rng.normal(size=(2, 5, 5)))
    means = rng.normal(size=(2, 5))
    root = linalg.sqrtm(one @ other)
    expected = ((means[0] - means[1]) ** 2).sum() + np.trace(one + other - 2 * root).real
    found = generation.frechet_distance(means[0], one, means[1], other)
    assert found == pytest.approx(expected)
    assert generation.frechet_distance(means[1], other, means[0], one) == pytest.approx(found)


def test_fid_of_samples_with_given_moments():
    rng = np.random.default_rng(1)
    mixing = rng.normal(size=(2, 6, 6))
    means = rng.normal(size=(2, 6))
    samples = [
        whitened(drawn(i, 50 + 30 * i)) @ a.T + m
        for i, (a, m) in enumerate(zip(mixing, means, strict=True))
    ]
    expected = generation.frechet_distance(
        means[0], mixing[0] @ mixing[0].T, means[1], mixing[1] @ mixing[1].T
    )
    assert generation.fid(*samples) == pytest.approx(expected, rel=1e-9)


def test_fid_is_the_distance_of_the_samples_moments():
    for seed in range(5):
        real, fake = drawn(seed, 40), drawn(seed + 10, 25, shift=0.3) ** 2
        moments = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (real, fake)]
        expected = generation.frechet_distance(*moments[0], *moments[1])
        assert generation.fid(real, fake) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore::pixelwise.metrics.distances.FewSamples")
@pytest.mark.parametrize(("samples", "dimensions"), [(200, 5), (7, 30), (2, 30)])
def test_identical_sets_have_no_distance(samples, dimensions):
    real = 1000 * drawn(2, samples, dimensions)
    assert 0 <= generation.fid(real, real[::-1]) < 1e-12 * np.sum(real**2)
    assert generation.fid(real, real + 1) == pytest.approx(dimensions)
    found = generation.precision_recall(real, real, k=1)
    assert found.precision == found.recall == 1


@pytest.mark.filterwarnings("ignore::pixelwise.metrics.distances.FewSamples")
def test_fid_of_rank_deficient_covariances():
    """Fewer samples than features: rotated into the plane that they span, nothing changes."""
    rng = np.random.default_rng(3)
    real, fake = rng.normal(size=(6, 8)), rng.normal(size=(7, 8)) + 0.5
    turn, _ = np.linalg.qr(rng.normal(size=(300, 8)))
    expected = generation.fid(real, fake)
    found = generation.fid(real @ turn.T, fake @ turn.T)
    assert found == pytest.approx(float(expected), rel=1e-9)
    assert isinstance(float(found), float) and found > 0


@pytest.mark.filterwarnings("ignore::pixelwise.metrics.distances.FewSamples")
def test_fid_of_all_equal_samples_is_the_trace_and_the_gap():
    """A generator that makes one picture only has the covariance 0."""
    real, fake = drawn(4, 30), np.ones((10, 6))
    gap = real.mean(axis=0) - 1
    expected = gap @ gap + np.trace(np.cov(real, rowvar=False))
    assert generation.fid(real, fake) == pytest.approx(expected)


def test_fid_is_too_high_with_few_samples_and_kid_is_not():
    """Two sets of one distribution: FID falls with their number, KID is 0 on average."""
    rng = np.random.default_rng(5)
    mean_fid, kids = {}, {}
    for samples in (25, 100, 400):
        pairs = [rng.normal(size=(2, samples, 20)) for _ in range(40)]
        mean_fid[samples] = np.mean([generation.fid(*pair) for pair in pairs])
        kids[samples] = np.array([generation.mmd2(*pair) for pair in pairs])
    assert mean_fid[25] > 3 * mean_fid[100] > 9 * mean_fid[400] > 0
    for values in kids.values():
        assert abs(values.mean()) < 3 * values.std(ddof=1) / np.sqrt(len(values))
        assert values.min() < 0 < values.max()
    assert kids[25].std() > 3 * kids[400].std()


def test_kid_has_the_expectation_of_the_kernel():
    """Distributions on two points each: the squared MMD is a sum of 4 + 4 - 8 kernel values."""
    points, weights = np.array([[0.0, 1.0], [2.0, -1.0]]), np.array([[0.7, 0.3], [0.2, 0.8]])
    kernel = (points @ points.T / 2 + 1) ** 3
    gap = weights[0] - weights[1]
    expected = gap @ kernel @ gap
    rng = np.random.default_rng(6)
    values = [
        generation.mmd2(*(points[rng.choice(2, size=12, p=w)] for w in weights))
        for _ in range(3000)
    ]
    assert abs(np.mean(values) - expected) < 4 * np.std(values) / np.sqrt(len(values))


def test_mmd2_is_a_naive_loop():
    real, fake = drawn(7, 9, 4), drawn(8, 7, 4, shift=0.5)

    def kernel(x, y):
        return (np.dot(x, y) / 4 + 1) ** 3

    within = [
        np.mean([kernel(x, y) for i, x in enumerate(s) for j, y in enumerate(s) if i != j])
        for s in (real, fake)
    ]
    across = np.mean([kernel(x, y) for x in real for y in fake])
    assert generation.mmd2(real, fake) == pytest.approx(sum(within) - 2 * across)


def test_kid_is_the_mean_over_its_subsets():
    real, fake = drawn(9, 30), drawn(10, 20, shift=0.2)
    whole = generation.kid(real, fake, subsets=3, subset_size=20)
    assert whole == generation.kid(real, fake, subsets=3)  # as many as the fewer of the two
    rng = np.random.RandomState(11)
    values = []
    for _ in range(5):
        rows = rng.choice(20, 8, replace=False), rng.choice(30, 8, replace=False)
        values.append(generation.mmd2(real[rows[1]], fake[rows[0]]))
    found = generation.kid(real, fake, subsets=5, subset_size=8, seed=11)
    assert found == pytest.approx(np.mean(values)) and found.spread == pytest.approx(np.std(values))


def naive_share(samples, others, k):
    """The share of samples that lie in the ball of one of the others, by loops."""
    inside = 0
    radii = []
    for i, center in enumerate(others):
        gaps = [np.linalg.norm(center - other) for j, other in enumerate(others) if j != i]
        radii.append(sorted(gaps)[k - 1])
    for sample in samples:
        gaps = [np.linalg.norm(sample - center) for center in others]
        inside += any(gap <= radius for gap, radius in zip(gaps, radii, strict=True))
    return inside / len(samples)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_precision_and_recall_are_naive_loops(k, monkeypatch):
    monkeypatch.setattr(generation, "ROWS", 7)  # several blocks, the last one shorter
    real, fake = drawn(12, 40, 3), 0.7 * drawn(13, 30, 3, shift=0.8)
    found = generation.precision_recall(real, fake, k)
    assert found.precision == pytest.approx(naive_share(fake, real, k))
    assert found.recall == pytest.approx(naive_share(real, fake, k))
    assert 0 < found.recall < found.precision < 1
    swapped = generation.precision_recall(fake, real, k)
    assert (swapped.precision, swapped.recall) == (found.recall, found.precision)


def test_a_collapsed_generator_has_precision_without_recall():
    real = drawn(14, 60, 4)
    found = generation.precision_recall(real, np.repeat(real[:1], 50, axis=0))
    # Far from the origin too, where squared distances are small differences of large numbers.
    far = generation.precision_recall(real + 1e4, np.repeat(real[:1] + 1e4, 50, axis=0))
    assert found.precision == far.precision == 1
    assert found.recall == far.recall == pytest.approx(1 / 60)


def test_samples_far_away_have_neither():
    found = generation.precision_recall(drawn(15, 30), drawn(16, 30, shift=100.0))
    assert found.precision == found.recall == 0


def test_coverage_by_hand():
    labels = np.repeat([0, 1, 3], [97, 2, 1])
    found = generation.coverage(labels, 5)
    assert found.classes == 2 and found.samples == 100
    assert found.shares == (0.97, 0.02, 0, 0.01, 0)
    assert generation.coverage(labels, 5, least=0.01).classes == 3


def test_the_roots_of_the_covariances_are_roots():
    samples = drawn(17, 5, 9)
    covariance = np.cov(samples, rowvar=False)
    for root in (distances._root_of(samples), distances._symmetric_root(covariance)):
        np.testing.assert_allclose(root.T @ root, covariance, atol=1e-12)
