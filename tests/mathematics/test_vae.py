"""The bounds of the VAE: by hand, against a model whose likelihood is known, and as k grows."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import special, stats

from pixelwise.models.vae import VAE
from pixelwise.models.vae_networks import dense_decoder, dense_encoder
from pixelwise.nn.divergences import kl_normal

SIGMA = 0.2
SHAPE = (2, 2, 1)
# Orthogonal columns, so that the posterior of the linear model is a diagonal normal.
LOADINGS = np.array([[0.3, 0.1], [0.3, -0.1], [0.1, 0.3], [-0.1, 0.3]])
LOADINGS[:, 1] -= LOADINGS[:, 0] * (LOADINGS[:, 0] @ LOADINGS[:, 1]) / (LOADINGS[:, 0] ** 2).sum()


def array(x):
    return ops.convert_to_numpy(x)


def linear_gaussian(exact):
    """The VAE of x = W z + 1/2 + noise, with the exact posterior as its encoder or a wrong one."""
    pictures = keras.Input(SHAPE)
    mean, log_variance = layers.Dense(2), layers.Dense(2)
    flat = layers.Flatten()(pictures)
    encoder = keras.Model(pictures, [mean(flat), log_variance(flat)])
    latents = keras.Input((2,))
    decoder = layers.Dense(8)
    vae = VAE(
        encoder,
        keras.Model(latents, layers.Reshape((2, 2, 2))(decoder(latents))),
        likelihood="gaussian",
    )
    # For each pixel a mean and a log-scale, one after the other.
    kernel, bias = np.zeros((2, 4, 2)), np.zeros((4, 2))
    kernel[..., 0], bias[:, 0], bias[:, 1] = LOADINGS.T, 0.5, np.log(SIGMA)
    decoder.set_weights([kernel.reshape(2, 8), bias.ravel()])
    variance = 1 / (1 + (LOADINGS**2).sum(0) / SIGMA**2)
    weights = LOADINGS * variance / SIGMA**2
    shift = np.zeros(2) if exact else np.array([0.5, -0.3])
    mean.set_weights([weights, -0.5 * weights.sum(0) + shift])
    widened = np.log(variance) + (0 if exact else 0.7)
    log_variance.set_weights([np.zeros((4, 2)), widened])
    return vae


def pictures_and_log_likelihood(count=30):
    rng = np.random.default_rng(0)
    x = 0.5 + rng.normal(size=(4 * count, 2)) @ LOADINGS.T + SIGMA * rng.normal(size=(4 * count, 4))
    x = x[((x >= 0) & (x <= 1)).all(1)][:count]
    covariance = LOADINGS @ LOADINGS.T + SIGMA**2 * np.eye(4)
    exact = stats.multivariate_normal(np.full(4, 0.5), covariance).logpdf(x)
    return x.reshape(count, *SHAPE), exact


def test_with_the_exact_posterior_one_sample_gives_the_log_likelihood():
    vae, (x, exact) = linear_gaussian(exact=True), pictures_and_log_likelihood()
    for seed in range(3):
        np.testing.assert_allclose(vae.bound(x, 1, seed), exact, atol=1e-4)
    # The bound with the analytic KL is exact on average only.
    draws = np.stack([vae.terms(x, seed=seed)["reconstruction"] for seed in range(400)])
    error = draws.std(0) / np.sqrt(len(draws))
    kl = vae.terms(x)["kl"]
    assert (np.abs(-draws.mean(0) - kl - exact) < 4.5 * error).all()


def test_the_bound_grows_with_k_to_the_log_likelihood():
    vae, (x, exact) = linear_gaussian(exact=False), pictures_and_log_likelihood()
    seeds = {1: 300, 5: 100, 50: 20, 5000: 1}
    found = {
        k: np.mean([vae.bound(x, k, seed) for seed in range(count)], axis=0)
        for k, count in seeds.items()
    }
    means = [values.mean() for values in found.values()]
    assert np.all(np.diff(means) > 0)
    assert means[0] < exact.mean() - 0.3
    np.testing.assert_allclose(found[5000], exact, atol=0.1)
    assert means[-1] == pytest.approx(exact.mean(), abs=0.02)


def test_the_bound_does_not_depend_on_how_it_is_divided(monkeypatch):
    from pixelwise.models import importance

    vae, (x, _) = linear_gaussian(exact=False), pictures_and_log_likelihood(5)
    whole = vae.importance().weigh(x, None, 40, np.random.default_rng(3))
    weights = (whole["log_x"] + whole["log_ratio"]).astype(float)
    expected = special.logsumexp(weights, axis=1) - np.log(40)
    np.testing.assert_allclose(vae.bound(x, 40, 3), expected, rtol=1e-6)
    monkeypatch.setattr(importance, "DRAWS", 16)
    divided = np.mean([vae.bound(x, 40, seed) for seed in range(30)], axis=0)
    again = np.mean([vae.bound(x, 40, seed) for seed in range(30, 60)], axis=0)
    assert np.abs(divided - again).max() < 0.2 and np.abs(divided - expected).max() < 0.5


def test_the_analytic_kl_is_that_of_monte_carlo():
    vae, (x, _) = linear_gaussian(exact=False), pictures_and_log_likelihood(4)
    drawn = -vae.importance().weigh(x, None, 900, np.random.default_rng(0))["log_ratio"]
    error = drawn.std(1) / np.sqrt(900)
    assert (np.abs(drawn.mean(1) - vae.terms(x)["kl"]) < 4.5 * error).all()


def parts(**options):
    """A dense VAE, a batch for it, what its encoder says, and noise."""
    keras.utils.set_random_seed(0)
    vae = VAE(dense_encoder(SHAPE, 3, 5), dense_decoder(SHAPE, 3, 5), **options)
    rng = np.random.default_rng(0)
    x = rng.random((6, *SHAPE), dtype="float32")
    q = {name: rng.normal(size=(6, 3)).astype("float32") for name in ("mean", "log_variance")}
    return vae, x, q, rng.normal(size=(4, 6, 3)).astype("float32")


def log_likelihood(vae, x, z):
    """log p(x | z) of NumPy latents (k, batch, latents), by the decoder and NumPy."""
    logits = np.stack([array(vae.decoder(some)) for some in z])
    return (x * logits - np.logaddexp(0, logits)).sum((2, 3, 4))


def test_the_loss_is_the_negative_bound_with_the_kl_summed_over_the_latents():
    vae, x, q, noise = parts()
    loss, found = vae.objective(x, None, q, noise[:1])
    z = q["mean"] + np.exp(q["log_variance"] / 2) * noise[:1]
    kl = 0.5 * (np.exp(q["log_variance"]) + q["mean"] ** 2 - 1 - q["log_variance"])
    assert array(found["reconstruction"]) == pytest.approx(-log_likelihood(vae, x, z).mean(), 1e-5)
    assert array(found["kl"]) == pytest.approx(kl.sum(1).mean(), rel=1e-5)
    assert array(loss) == pytest.approx(array(sum(found.values())), rel=1e-6)
    half, _ = vae.objective(x, None, q, noise[:1], weight=0.5)
    assert array(loss - half) == pytest.approx(0.5 * kl.sum(1).mean(), rel=1e-4)


def test_free_bits_are_given_to_each_dimension_on_average_over_the_batch():
    vae, x, q, noise = parts(free_bits=0.9)
    q["log_variance"] *= np.float32([1, 0.1, 0.1])
    q["mean"] *= np.float32([1, 0.1, 1])
    loss, found = vae.objective(x, None, q, noise[:1], weight=2.0)
    kl = 0.5 * (np.exp(q["log_variance"]) + q["mean"] ** 2 - 1 - q["log_variance"]).mean(0)
    assert (kl < 0.9).any() and (kl > 0.9).any()
    expected = array(found["reconstruction"]) + 2 * np.maximum(kl, 0.9).sum()
    assert array(loss) == pytest.approx(expected, rel=1e-5)
    assert array(found["kl"]) == pytest.approx(kl.sum(), rel=1e-5)


def test_the_importance_weighted_loss_by_hand():
    vae, x, q, noise = parts(importance_samples=4)
    loss, _ = vae.objective(x, None, q, noise)
    scale = np.exp(q["log_variance"] / 2)
    z = q["mean"] + scale * noise
    weights = log_likelihood(vae, x, z) + stats.norm.logpdf(z).sum(-1)
    weights -= stats.norm.logpdf(z, q["mean"], scale).sum(-1)
    bound = special.logsumexp(weights, axis=0) - np.log(4)
    assert array(loss) == pytest.approx(-bound.mean(), rel=1e-5)


def test_the_weight_of_the_kl_grows_over_the_steps():
    vae, *_ = parts(beta=3.0, anneal_steps=4)
    found = []
    for step in range(6):
        vae.steps_done.assign(step)
        found.append(float(vae.kl_weight()))
    np.testing.assert_allclose(found, [0, 0.75, 1.5, 2.25, 3, 3])
    assert parts(beta=3.0)[0].kl_weight() == 3


def test_a_mean_of_the_kl_over_the_latents_would_be_another_model():
    """The classic mistake: with the mean, the KL counts for a third here."""
    _, _, q, _ = parts()
    kl = array(kl_normal(q["mean"][..., None], q["log_variance"][..., None]))
    assert array(kl_normal(q["mean"], q["log_variance"])) == pytest.approx(kl.sum(-1), rel=1e-5)
    assert kl.mean(-1).mean() == pytest.approx(kl.sum(-1).mean() / 3, rel=1e-5)
