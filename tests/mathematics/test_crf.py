"""The fully connected CRF against loops over all pairs of pixels, and over all labellings."""

import itertools

import numpy as np
import pytest
from keras import ops

from pixelwise.models.crf import (
    NORMALISATIONS,
    DenseCRF,
    expected_energy,
    free_energy,
    mean_field_step,
    unaries,
)
from pixelwise.nn import gaussians
from pixelwise.nn.gaussians import BilateralGaussian, SpatialGaussian

APPEARANCE, SMOOTHNESS = (1.7, 2.0, 0.3), (0.9, 1.2)


def _case(height, width, classes, seed=0):
    """Logits ``(1, h, w, classes)`` and a picture ``(1, h, w, 3)``."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(1, height, width, classes)).astype("float32")
    return logits, rng.uniform(size=(1, height, width, 3)).astype("float32")


def _cells_by_loop(height, width, stride):
    """The samples of the strided form: flat index -> number of pixels it speaks for."""
    samples = {}
    for top in range(0, height, stride):
        for left in range(0, width, stride):
            rows, columns = min(stride, height - top), min(stride, width - left)
            samples[(top + rows // 2) * width + left + columns // 2] = rows * columns
    return samples


def _couplings(image, appearance, smoothness, normalisation, stride=1):
    """The matrix K of the docstrings, pair by pair, with zeros on its diagonal (float64)."""
    height, width, _ = image.shape
    pixels = [(y, x) for y in range(height) for x in range(width)]
    samples = _cells_by_loop(height, width, stride)
    total = np.zeros((len(pixels), len(pixels)))
    for name, (weight, sigma, *colour_sigma) in (("a", appearance), ("s", smoothness)):
        k = np.zeros_like(total)
        for i, p in enumerate(pixels):
            for j, q in enumerate(pixels):
                exponent = ((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2) / (2 * sigma**2)
                for beta in colour_sigma:
                    difference = image[p].astype(float) - image[q].astype(float)
                    exponent += (difference**2).sum() / (2 * beta**2)
                sent = samples.get(j, 0) if name == "a" else 1
                k[i, j] = max(0, sent - (i == j)) * np.exp(-exponent)
        n = k.sum(1) + 1
        if normalisation == "symmetric":
            k /= np.sqrt(np.outer(n, n))
        elif normalisation == "after":
            k /= n[:, None]
        total += weight * k
    return total


def _softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _mean_field_by_loop(logits, k, iterations):
    """Algorithm 1 with a loop over the pairs: probabilities ``(pixels, classes)``."""
    unary = -np.log(_softmax(logits.reshape(-1, logits.shape[-1]).astype(float)))
    q = np.exp(-unary)
    for _ in range(iterations):
        cost = unary.copy()
        for i, j in itertools.product(range(len(q)), repeat=2):
            for c in range(q.shape[1]):
                cost[i, c] += k[i, j] * (q[j].sum() - q[j, c])  # Potts: the other classes
        q = _softmax(-cost)
    return q


def _energy_by_loop(x, logits, k):
    """The Gibbs energy of a flat labelling, pair by pair."""
    log_p = np.log(_softmax(logits.reshape(-1, logits.shape[-1]).astype(float)))
    energy = -sum(log_p[i, c] for i, c in enumerate(x))
    for i, j in itertools.combinations(range(len(x)), 2):
        energy += (x[i] != x[j]) * (k[i, j] + k[j, i]) / 2
    return energy


def _distribution(logits, k):
    """All labellings, their probabilities P and log Z, by enumeration."""
    pixels, classes = logits[0, ..., 0].size, logits.shape[-1]
    x = np.array(list(itertools.product(range(classes), repeat=pixels)))
    minus_energy = -np.array([_energy_by_loop(row, logits[0], k) for row in x])
    log_z = np.logaddexp.reduce(minus_energy)
    return x, np.exp(minus_energy - log_z), log_z


def _marginals(x, p, classes):
    return np.stack([(p[:, None] * (x == c)).sum(0) for c in range(classes)], -1)


def _divergence(log_q, x, p):
    """KL(Q || P), summed over all labellings."""
    log_q = np.asarray(ops.convert_to_numpy(log_q), float).reshape(x.shape[1], -1)
    log_of_labelling = log_q[np.arange(x.shape[1]), x].sum(1)
    return (np.exp(log_of_labelling) * (log_of_labelling - np.log(p))).sum()


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
@pytest.mark.parametrize(("size", "classes"), [((3, 4), 2), ((5, 3), 3), ((1, 7), 2)])
def test_mean_field_is_the_loop_over_pairs(size, classes, normalisation):
    logits, image = _case(*size, classes)
    k = _couplings(image[0], APPEARANCE, SMOOTHNESS, normalisation)
    crf = DenseCRF(APPEARANCE, SMOOTHNESS, iterations=4, normalisation=normalisation)
    refined = crf.refine(logits, image)
    expected = _mean_field_by_loop(logits[0], k, 4).reshape(logits.shape)
    np.testing.assert_allclose(np.exp(refined), expected, atol=1e-5)
    assert np.abs(expected - _softmax(logits)).max() > 0.05  # it did something


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_the_energy_is_the_loop_over_pairs(normalisation):
    logits, image = _case(4, 3, 3)
    k = _couplings(image[0], APPEARANCE, SMOOTHNESS, normalisation)
    crf = DenseCRF(APPEARANCE, SMOOTHNESS, normalisation=normalisation)
    for seed in range(3):
        x = np.random.default_rng(seed).integers(0, 3, (1, 4, 3))
        expected = _energy_by_loop(x.ravel(), logits[0], k)
        np.testing.assert_allclose(crf.energy(x, logits, image), [expected], rtol=1e-5)


def test_a_labelling_of_one_class_costs_its_unaries_only():
    logits, image = _case(4, 3, 3)
    expected = ops.convert_to_numpy(unaries(logits))[..., 1].sum()
    energy = DenseCRF(APPEARANCE, SMOOTHNESS).energy(np.ones((1, 4, 3), int), logits, image)
    np.testing.assert_allclose(energy, [expected], rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_free_energy_is_the_divergence_less_log_z(classes):
    logits, image = _case(2, 3, classes)
    crf = DenseCRF(APPEARANCE, SMOOTHNESS)
    k = _couplings(image[0], APPEARANCE, SMOOTHNESS, "symmetric")
    x, p, log_z = _distribution(logits, k)
    unary, kernel = unaries(logits[0]), crf.kernel(image[0])
    log_q = crf.refine(logits, image)[0]
    assert float(free_energy(log_q, unary, kernel)) + log_z == pytest.approx(
        _divergence(log_q, x, p), abs=1e-5
    )


@pytest.mark.parametrize("seed", range(5))
def test_the_divergence_falls_at_every_step(seed):
    """K_ii = w1 + w2 = 2, the largest for which no step can raise it."""
    logits, image = _case(2, 3, 2, seed)
    appearance, smoothness = (1.2, 1.5, 0.4), (0.8, 1.0)
    x, p, _ = _distribution(logits, _couplings(image[0], appearance, smoothness, "none"))
    kernel = DenseCRF(appearance, smoothness, normalisation="none").kernel(image[0])
    unary = unaries(logits[0])
    log_q, divergences = -unary, []
    for _ in range(12):
        divergences.append(_divergence(log_q, x, p))
        log_q = mean_field_step(log_q, unary, kernel)
    assert np.diff(divergences).max() < 1e-5
    assert divergences[-1] < 0.8 * divergences[0]


def test_couplings_that_are_too_strong_make_two_pixels_swap_for_ever():
    """Both pixels change at once, each into what the other was: the limit of 2 is needed."""
    logits = np.array([[[[3.0, 0], [0, 3]]]], "float32")
    image = np.full((1, 1, 2, 3), 0.5, "float32")
    for iterations, first in ((1, [1, 0]), (2, [0, 1]), (11, [1, 0])):
        crf = DenseCRF((20, 100, 1), (0, 1), normalisation="none", iterations=iterations)
        assert crf.refine(logits, image)[0, 0].argmax(-1).tolist() == first


@pytest.mark.parametrize("classes", [2, 3])
def test_mean_field_is_right_to_first_order(classes):
    """Half the couplings, a quarter of the error of the marginals; the softmax's only halves."""
    logits, image = _case(2, 3, classes)
    errors, softmax_errors = [], []
    for weight in (0.1, 0.05):
        appearance, smoothness = (weight, 2.0, 0.5), (weight, 1.0)
        k = _couplings(image[0], appearance, smoothness, "none")
        x, p, _ = _distribution(logits, k)
        exact = _marginals(x, p, classes)
        crf = DenseCRF(appearance, smoothness, normalisation="none", iterations=20)
        q = np.exp(crf.refine(logits, image)).reshape(-1, classes)
        errors.append(np.abs(q - exact).max())
        softmax_errors.append(np.abs(_softmax(logits).reshape(-1, classes) - exact).max())
    assert 3.3 < errors[0] / errors[1] < 4.7
    assert 1.7 < softmax_errors[0] / softmax_errors[1] < 2.3
    assert errors[0] < softmax_errors[0] / 3


def test_without_couplings_or_neighbours_it_is_the_softmax():
    logits, image = _case(4, 5, 3)
    none = DenseCRF((0, 2, 0.1), (0, 1))
    alone = DenseCRF((50, 2, 0.1), (50, 1))  # one pixel hears nobody, not even itself
    np.testing.assert_allclose(np.exp(none.refine(logits, image)), _softmax(logits), atol=1e-6)
    np.testing.assert_allclose(
        np.exp(alone.refine(logits[:, :1, :1], image[:, :1, :1])),
        _softmax(logits[:, :1, :1]),
        atol=1e-6,
    )


def test_on_a_constant_picture_appearance_is_a_gaussian_of_position():
    q = np.random.default_rng(0).uniform(size=(6, 5, 2)).astype("float32")
    flat = BilateralGaussian(np.full((6, 5, 3), 0.3, "float32"), 1.7, 0.1)
    np.testing.assert_allclose(
        ops.convert_to_numpy(flat.gather(q)),
        ops.convert_to_numpy(SpatialGaussian((6, 5), 1.7).gather(q)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("stride", [2, 3, 4])
def test_the_strided_form_is_the_loop_over_samples(stride):
    logits, image = _case(7, 5, 2)
    assert sum(_cells_by_loop(7, 5, stride).values()) == 35
    k = _couplings(image[0], APPEARANCE, SMOOTHNESS, "symmetric", stride)
    refined = DenseCRF(APPEARANCE, SMOOTHNESS, iterations=3, stride=stride).refine(logits, image)
    expected = _mean_field_by_loop(logits[0], k, 3).reshape(logits.shape)
    np.testing.assert_allclose(np.exp(refined), expected, atol=1e-5)


def _two_halves(side=24, seed=0):
    """A picture of two noisy halves, and logits whose border is three pixels off and noisy."""
    rng = np.random.default_rng(seed)
    right = np.broadcast_to(np.arange(side) >= side // 2, (side, side))
    image = np.where(right[..., None], (0.7, 0.4, 0.3), (0.3, 0.4, 0.6))
    image = image + rng.normal(0, 0.03, image.shape)
    shifted = np.broadcast_to(np.arange(side) >= side // 2 + 3, (side, side))
    logits = np.stack([~shifted, shifted], -1) * 2.0 + rng.normal(0, 0.5, (side, side, 2))
    return right, logits[None].astype("float32"), image[None].astype("float32")


def test_labels_move_to_the_edge_of_the_picture():
    right, logits, image = _two_halves()
    crf = DenseCRF((5.0, 8.0, 0.1), (1.0, 1.0))
    refined = crf.refine(logits, image)
    assert (logits[0].argmax(-1) != right).mean() > 0.12
    np.testing.assert_array_equal(refined[0].argmax(-1), right)
    energies = [crf.energy(x.argmax(-1), logits, image)[0] for x in (logits, refined)]
    assert energies[1] < 0.8 * energies[0]


def test_the_error_of_the_strided_form():
    """On average over the probabilities, beside what the appearance kernel changes of them."""
    _, logits, image = _two_halves()

    def probabilities(weight, stride=1):
        crf = DenseCRF((weight, 8.0, 0.1), (1.0, 1.0), iterations=5, stride=stride)
        return np.exp(crf.refine(logits, image))

    exact = probabilities(2.0)
    changed = np.abs(probabilities(0.0) - exact).mean()
    error = {s: np.abs(probabilities(2.0, s) - exact).mean() / changed for s in (2, 3, 4, 8)}
    assert changed > 0.05
    # An even cell has no pixel in its very middle: its sample lies half a pixel off.
    assert error[3] < 0.05
    assert max(error[2], error[4]) < 0.15
    assert error[8] > 0.2  # as wide as alpha: too coarse


@pytest.mark.parametrize("memory", [0.001, 0.02, 256])
def test_blocks_give_what_the_whole_matrix_gives(memory, monkeypatch):
    logits, image = _case(9, 11, 3)
    whole = DenseCRF(APPEARANCE, SMOOTHNESS, iterations=2).refine(logits, image)
    if memory == 256:
        monkeypatch.setattr(gaussians, "KEPT", 0)  # computed again in every iteration
    crf = DenseCRF(APPEARANCE, SMOOTHNESS, iterations=2, memory=memory)
    gaussian = crf.kernel(image[0]).parts[0][0]
    assert gaussian.kept is None
    assert len(gaussian.senders) == {0.001: 99, 0.02: 8, 256: 1}[memory]
    np.testing.assert_allclose(crf.refine(logits, image), whole, atol=1e-5)


def test_products_and_differences_give_the_same_gaussian():
    points = np.random.default_rng(0).normal(0, 3, (50, 5))
    differences = ops.convert_to_numpy(
        gaussians.difference_exponents(*[ops.convert_to_tensor(points, "float32")] * 2)
    )
    expected = -((points[:, None] - points) ** 2).sum(-1) / 2
    np.testing.assert_allclose(differences, expected, rtol=1e-4, atol=1e-5)
    products = gaussians.product_exponents(*map(ops.convert_to_tensor, gaussians.lift(points)))
    np.testing.assert_allclose(ops.convert_to_numpy(products), expected, atol=1e-3)


def test_sigmas_too_small_for_the_product_are_computed_from_differences():
    """A colour of 1000 sigmas has a square of which float32 keeps no thousandths."""
    logits, image = _case(3, 4, 2)
    image = image * 0.002 + np.where(np.arange(12).reshape(1, 3, 4, 1) % 2, 0.9, 0.1)
    image = image.astype("float32")
    appearance = (1.7, 2.0, 0.0004)
    assert gaussians.product_is_exact(image[0].reshape(-1, 3) / 0.3)
    assert not gaussians.product_is_exact(image[0].reshape(-1, 3) / 0.0004)
    k = _couplings(image[0], appearance, SMOOTHNESS, "symmetric")
    refined = DenseCRF(appearance, SMOOTHNESS, iterations=4).refine(logits, image)
    expected = _mean_field_by_loop(logits[0], k, 4).reshape(logits.shape)
    np.testing.assert_allclose(np.exp(refined), expected, atol=2e-4)


def test_one_hot_probabilities_have_the_energy_of_their_labelling():
    logits, image = _case(4, 3, 3)
    crf = DenseCRF(APPEARANCE, SMOOTHNESS)
    x = logits.argmax(-1)
    q = np.eye(3, dtype="float32")[x[0]]
    expected = expected_energy(ops.convert_to_tensor(q), unaries(logits[0]), crf.kernel(image[0]))
    np.testing.assert_allclose(crf.energy(x, logits, image), [float(expected)], rtol=1e-6)
