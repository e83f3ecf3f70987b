"""Divergences and the pieces of the ELBO: closed forms against sums and against Monte Carlo."""

import numpy as np
import pytest
from keras import ops

from pixelwise.nn import divergences as dv
from pixelwise.nn.autodiff import gradient


def _value(x):
    return ops.convert_to_numpy(x)


def _histograms(seed=0, bins=8):
    p, q = np.random.default_rng(seed).dirichlet(np.ones(bins), size=2)
    return p, q


def test_kl_by_hand():
    p, q = np.array([0.5, 0.5, 0]), np.array([0.25, 0.25, 0.5])
    assert dv.kl(p, q) == pytest.approx(np.log(2))
    assert dv.kl(q, p) == np.inf
    assert dv.kl(p, p) == 0
    assert dv.entropy(q) == pytest.approx(1.5 * np.log(2))


def test_js_is_symmetric_and_at_most_log_2():
    p, q = _histograms()
    assert dv.js(p, q) == pytest.approx(dv.js(q, p))
    assert 0 < dv.js(p, q) < np.log(2)
    assert dv.js([1, 0, 0], [0, 0.5, 0.5]) == pytest.approx(np.log(2))
    middle = dv.entropy((p + q) / 2) - (dv.entropy(p) + dv.entropy(q)) / 2
    assert dv.js(p, q) == pytest.approx(middle)


def test_optimal_discriminator_is_the_histogram_ratio():
    rng = np.random.default_rng(0)
    p, q = _histograms(bins=5)
    draws = 200_000
    real = np.bincount(rng.choice(5, draws, p=p), minlength=5)
    fake = np.bincount(rng.choice(5, draws, p=q), minlength=5)
    ratio = real / (real + fake)
    best = dv.optimal_discriminator(p, q)
    error = np.sqrt(best * (1 - best) / (real + fake))
    assert np.all(np.abs(ratio - best) < 4.5 * error)
    assert dv.optimal_discriminator([0.0, 1], [0.0, 0]).tolist() == [0.5, 1]


def test_no_other_discriminator_reaches_a_higher_value():
    p, q = _histograms()
    best = dv.optimal_discriminator(p, q)
    value = dv.game_value(p, q, best)
    assert value == pytest.approx(2 * dv.js(p, q) - 2 * np.log(2))
    rng = np.random.default_rng(1)
    for _ in range(50):
        other = np.clip(best + rng.normal(scale=0.05, size=8), 0.001, 0.999)
        assert dv.game_value(p, q, other) < value
    p, q = ops.cast(p, "float32"), ops.cast(q, "float32")
    slope = gradient(lambda d: ops.sum(p * ops.log(d) + q * ops.log(1 - d)), best.astype("float32"))
    assert slope == pytest.approx(0, abs=1e-5)


def test_kl_of_normals_is_monte_carlo():
    rng = np.random.default_rng(0)
    mean, log_variance = np.array([0.5, -1.0, 0.0]), np.array([-1.0, 0.5, 0.0])
    z = mean + np.exp(log_variance / 2) * rng.normal(size=(400_000, 3))
    samples = _value(dv.log_normal(z, mean, log_variance)) - _value(dv.log_normal(z))
    average, error = dv.mean_and_error(samples)
    exact = float(dv.kl_normal(mean, log_variance))
    assert error < 0.005
    assert abs(average - exact) < 4 * error
    assert float(dv.kl_normal(np.zeros(3), np.zeros(3))) == 0


def test_kl_of_two_general_normals_is_the_sum_over_a_fine_histogram():
    x = np.linspace(-12, 12, 4001)[:, None]
    p = np.exp(_value(dv.log_normal(x, 0.7, -0.5)).astype(float))
    q = np.exp(_value(dv.log_normal(x, -0.2, 0.4)).astype(float))
    exact = float(dv.kl_normal(np.array([0.7]), np.array([-0.5]), -0.2, 0.4))
    assert dv.kl(p / p.sum(), q / q.sum()) == pytest.approx(exact, rel=1e-4)


def test_kl_adds_up_over_coordinates_and_has_its_hand_gradient():
    mean, log_variance = np.array([0.5, -1.0], "float32"), np.array([-1.0, 0.5], "float32")
    parts = [float(dv.kl_normal(mean[i : i + 1], log_variance[i : i + 1])) for i in range(2)]
    assert float(dv.kl_normal(mean, log_variance)) == pytest.approx(sum(parts), rel=1e-6)
    by_mean = gradient(lambda m: dv.kl_normal(m, log_variance), mean)
    by_log_variance = gradient(lambda s: dv.kl_normal(mean, s), log_variance)
    assert by_mean == pytest.approx(mean, rel=1e-5)
    assert by_log_variance == pytest.approx((np.exp(log_variance) - 1) / 2, rel=1e-5)


def test_elbo_of_a_linear_model_is_below_the_evidence_by_the_kl_from_the_posterior():
    # z ~ N(0, 1), x given z ~ N(z, s2): the evidence and the posterior have closed forms.
    s2, x, mean, log_variance = 0.25, 1.2, 0.6, -1.0
    variance = np.exp(log_variance)
    square = ((x - mean) ** 2 + variance) / s2
    reconstruction = np.array(-0.5 * (np.log(2 * np.pi * s2) + square), "float32")
    bound = float(dv.elbo(reconstruction, np.array([mean]), np.array([log_variance])))
    evidence = float(dv.log_normal(np.array([x]), 0.0, np.log(1 + s2)))
    posterior = x / (1 + s2), np.log(s2 / (1 + s2))
    gap = float(dv.kl_normal(np.array([mean]), np.array([log_variance]), *posterior))
    assert evidence - bound == pytest.approx(gap, rel=1e-5)
    assert gap > 0.01


def test_reparameterisation_and_score_function_agree_and_the_first_varies_less():
    rng = np.random.default_rng(0)
    mean, noise = 1.5, rng.normal(size=400_000)
    z = _value(dv.reparameterise(mean, 0.0, noise))
    path, path_error = dv.mean_and_error(2 * z)  # f(z) = z^2, so the derivative is 2 * mean
    score, score_error = dv.mean_and_error(z**2 * noise)
    assert abs(path - 2 * mean) < 4 * path_error
    assert abs(score - 2 * mean) < 4 * score_error
    ratio = (score_error / path_error) ** 2
    assert ratio == pytest.approx((mean**4 + 18 * mean**2 + 15 - 4 * mean**2) / 4, rel=0.05)


def test_log_bernoulli_by_hand():
    logits = np.log(np.array([[[0.25 / 0.75], [0.5 / 0.5]]], "float32"))
    x = np.array([[[1.0], [0.0]]], "float32")
    assert _value(dv.log_bernoulli(x, logits)) == pytest.approx([np.log(0.25) + np.log(0.5)])


@pytest.mark.parametrize("bad", [[0.5, 0.4], [1.5, -0.5]])
def test_what_is_no_histogram(bad):
    with pytest.raises(ValueError, match="divide the counts by their sum"):
        dv.kl(bad, [0.5, 0.5])
