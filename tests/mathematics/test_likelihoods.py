"""Likelihoods of pixels: that they sum to 1, stay finite, and draw what they say."""

import numpy as np
import pytest
from keras import ops
from scipy import special, stats

from pixelwise.nn import likelihoods as lk
from pixelwise.nn.autodiff import gradient


def array(x):
    return ops.convert_to_numpy(x)


def log_masses(mean, log_scale, likelihood=None):
    """Log-probabilities of all 256 levels of one pixel, float64 (256,)."""
    likelihood = likelihood or lk.DiscretisedLogistic()
    x = (np.arange(256, dtype="float32") / 255).reshape(256, 1, 1, 1)
    parameters = np.broadcast_to(np.float32([mean, log_scale]), (256, 1, 1, 2))
    return array(likelihood.log_prob(x, parameters)).astype("float64")


@pytest.mark.parametrize("mean", [-3.0, -0.01, 0.0, 0.3, 0.5, 0.999, 1.0, 1.7])
@pytest.mark.parametrize("log_scale", [-12.0, -7.0, -4.0, -1.0, 0.0, 3.0])
def test_the_256_levels_sum_to_one(mean, log_scale):
    found = log_masses(mean, log_scale)
    assert np.isfinite(found).all() and (found <= 0).all()
    assert np.exp(found).sum() == pytest.approx(1, abs=2e-4)


@pytest.mark.parametrize("mean, log_scale", [(0.2, -3.0), (0.5, -5.0), (0.9, -1.0), (1.2, -2.0)])
def test_a_level_has_the_mass_of_the_logistic_over_its_width(mean, log_scale):
    edges = (np.arange(257) - 0.5) / 255
    edges[0], edges[-1] = -np.inf, np.inf
    masses = np.diff(special.expit((edges - mean) / np.exp(log_scale)))
    expected = np.log(masses, where=masses > 1e-9, out=np.full(256, np.nan))
    found = log_masses(mean, log_scale)
    seen = np.isfinite(expected)
    np.testing.assert_allclose(found[seen], expected[seen], atol=2e-3)
    # Where float64's difference of two numbers near 1 has no digit left, ours still falls evenly.
    assert np.isfinite(found).all()


def test_far_from_the_mean_it_is_finite_and_has_a_gradient():
    likelihood = lk.DiscretisedLogistic()
    for x in (0.0, 0.5, 1.0):
        for parameters in ([50.0, -20.0], [-50.0, -20.0], [0.5, 60.0], [0.5, -60.0]):
            point = np.float32(parameters).reshape(1, 1, 1, 2)
            x_array = np.full((1, 1, 1, 1), x, "float32")
            slope = gradient(lambda p, x=x_array: ops.sum(likelihood.log_prob(x, p)), point)
            assert np.isfinite(slope).all(), (x, parameters)


def test_pixels_between_two_levels_count_as_the_nearest():
    parameters = np.float32([0.4, -3]).reshape(1, 1, 1, 2)
    likelihood = lk.DiscretisedLogistic()
    pair = [np.full((1, 1, 1, 1), level / 255, "float32") for level in (100, 100.3)]
    found = [array(likelihood.log_prob(x, parameters)).item() for x in pair]
    assert found[0] == pytest.approx(found[1], abs=1e-6)


def test_a_gaussian_by_scipy_and_its_least_width():
    rng = np.random.default_rng(0)
    x, mean = rng.random((2, 3, 4, 5, 2)).astype("float32")
    log_scale = rng.normal(-1, 0.5, (3, 4, 5, 2)).astype("float32")
    parameters = np.concatenate([mean, log_scale], axis=-1)
    expected = stats.norm.logpdf(x, mean, np.exp(log_scale)).sum((1, 2, 3))
    np.testing.assert_allclose(array(lk.Gaussian().log_prob(x, parameters)), expected, rtol=1e-4)
    narrow = np.concatenate([x, np.full_like(x, -30)], axis=-1)
    best = stats.norm.logpdf(0, 0, 1 / 255) * 40
    np.testing.assert_allclose(array(lk.Gaussian().log_prob(x, narrow)), best, rtol=1e-5)
    # One variance for all pixels: that of the mean log-scale.
    shared = array(lk.Gaussian(shared=True).log_prob(x, parameters))
    scale = np.exp(log_scale.mean((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(shared, stats.norm.logpdf(x, mean, scale).sum((1, 2, 3)), rtol=1e-4)


def test_bernoulli_sums_to_one_over_all_pictures_of_four_pixels():
    logits = np.random.default_rng(0).normal(size=(1, 2, 2, 1)).astype("float32")
    every = np.array(np.meshgrid(*[[0, 1]] * 4)).reshape(4, -1).T.reshape(16, 2, 2, 1)
    found = lk.Bernoulli().log_prob(every.astype("float32"), np.repeat(logits, 16, axis=0))
    assert np.exp(array(found)).sum() == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("name", lk.LIKELIHOODS)
def test_what_is_drawn_is_as_likely_as_it_says(name):
    """The mean of -log p over draws is the entropy; here, over all levels or by closed form."""
    likelihood, draws = lk.read(name), 40_000
    rng = np.random.default_rng(0)
    one = np.float32([0.4, -2.0])[: likelihood.parameters].reshape(1, 1, 1, -1)
    parameters = np.broadcast_to(one, (draws, 1, 1, likelihood.parameters))
    drawn = likelihood.sample(parameters, rng)
    assert drawn.dtype == np.float32 and drawn.min() >= 0 and drawn.max() <= 1
    values = array(likelihood.log_prob(drawn, parameters)).astype(float)
    if name == "bernoulli":
        p = special.expit(0.4)
        expected, mean = p * np.log(p) + (1 - p) * np.log(1 - p), p
    elif name == "discretised_logistic":
        masses = log_masses(0.4, -2.0)
        expected = (np.exp(masses) * masses).sum()
        mean = (np.exp(masses) * np.arange(256) / 255).sum()
    else:
        expected, mean = -stats.norm(0.4, np.exp(-2.0)).entropy(), 0.4
        # Draws beyond black and white are cut, one in a thousand.
        assert values.mean() == pytest.approx(expected, abs=0.02)
        assert drawn.mean() == pytest.approx(mean, abs=0.01)
        return
    error = values.std() / np.sqrt(draws)
    assert abs(values.mean() - expected) < 5 * error
    assert abs(drawn.mean() - mean) < 5 * drawn.std() / np.sqrt(draws)


def test_the_mean_picture_and_bits_per_dimension():
    assert array(lk.Bernoulli().mean(np.zeros((1, 1, 1, 1), "float32"))).item() == 0.5
    wide = np.float32([1.3, 0, 0.25, 0]).reshape(2, 1, 1, 2)
    assert array(lk.DiscretisedLogistic().mean(wide)).ravel().tolist() == [1.0, 0.25]
    assert lk.Bernoulli().bits(-np.log(2) * 784, 784) == pytest.approx(1)
    # The uniform density on [0, 1] says nothing about 255 widths of a level: log2 of 255 bits.
    assert lk.Gaussian().bits(0.0, 784) == pytest.approx(np.log2(255))


@pytest.mark.parametrize(
    "make, said",
    [
        (lambda: lk.read("bernouli"), "no likelihood 'bernouli': the nearest is bernoulli"),
        (lambda: lk.Gaussian(least_scale=0), "least_scale is 0"),
        (lambda: lk.DiscretisedLogistic(least_scale=-1.0), "least_scale is -1.0"),
    ],
)
def test_what_is_no_likelihood_is_one_sentence(make, said):
    with pytest.raises(ValueError) as caught:
        make()
    assert said in str(caught.value) and str(caught.value).endswith(".")
