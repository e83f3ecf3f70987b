"""Completion, noise, ways between pictures, directions: by hand on a linear model, and shapes."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from pixelwise.models import completion, gan_networks
from pixelwise.models.gan import GAN
from pixelwise.models.vae import VAE
from pixelwise.models.vae_networks import vae, vqvae

RNG = np.random.default_rng(0)
SHAPE = (2, 3, 1)
LOADINGS = RNG.normal(scale=0.15, size=(6, 2))


class Linear:
    """Pictures that are 1/2 + W z exactly, encoded by the pseudo-inverse; clipped to [0, 1]."""

    def encode(self, pictures):
        flat = np.reshape(pictures, (len(pictures), -1)) - 0.5
        return (flat @ np.linalg.pinv(LOADINGS).T).astype("float32")

    def decode(self, latents):
        flat = 0.5 + latents @ LOADINGS.T
        return np.clip(flat, 0, 1).reshape(len(latents), *SHAPE).astype("float32")


class Generator:
    """The same pictures from a generator without an encoder, as a GAN has it."""

    latent, num_classes = 2, None

    def generator(self, z, training=False):
        return ops.reshape(0.5 + ops.matmul(z, LOADINGS.T.astype("float32")), (-1, *SHAPE))

    def told(self, latents, classes):
        return latents

    def generate(self, latents, labels=None):
        return ops.convert_to_numpy(self.generator(np.asarray(latents, "float32")))


def linear_vae():
    """A VAE whose decoder's mean is the same linear map."""
    pictures, latents = keras.Input(SHAPE), keras.Input((2,))
    flat = layers.Flatten()(pictures)
    encoder = keras.Model(pictures, [layers.Dense(2)(flat), layers.Dense(2)(flat)])
    dense = layers.Dense(12)
    decoder = keras.Model(latents, layers.Reshape((2, 3, 2))(dense(latents)))
    kernel, bias = np.zeros((2, 6, 2)), np.zeros((6, 2))
    kernel[..., 0], bias[:, 0] = LOADINGS.T, 0.5
    dense.set_weights([kernel.reshape(2, 12), bias.ravel()])
    return VAE(encoder, decoder, likelihood="gaussian")


@pytest.fixture
def pictures():
    return Linear().decode(np.random.default_rng(1).normal(size=(4, 2)))


@pytest.fixture
def known():
    mask = np.ones(SHAPE[:2], bool)
    mask[1, 1:] = False
    return mask


def ridge(pictures, known, noise):
    """The latents that minimise what ``search`` does, in closed form."""
    rows = LOADINGS[known.ravel()]
    target = (pictures.reshape(len(pictures), -1) - 0.5)[:, known.ravel()]
    matrix = rows.T @ rows / noise**2 + np.eye(2)
    return np.linalg.solve(matrix, rows.T @ target.T / noise**2).T


@pytest.mark.parametrize("model", [Generator(), linear_vae()], ids=["generator", "vae"])
def test_the_search_finds_the_likeliest_latents(model, pictures, known):
    found = completion.search(model, pictures, known, steps=400, noise=0.2)
    np.testing.assert_allclose(found, ridge(pictures, known, 0.2), atol=0.01)


def test_a_missing_part_is_found_again(pictures, known):
    holed = np.where(known[..., None], pictures, np.nan)
    made = completion.complete(Linear(), holed, known, "repeat", steps=300)
    np.testing.assert_array_equal(made[:, known], pictures[:, known])
    np.testing.assert_allclose(made, pictures, atol=0.01)
    made = completion.complete(Generator(), holed, known, steps=400)
    np.testing.assert_array_equal(made[:, known], pictures[:, known])
    expected = Linear().decode(ridge(pictures, known, completion.NOISE))
    np.testing.assert_allclose(made[:, ~known], expected[:, ~known], atol=0.01)
    assert made.dtype == np.float32


def test_a_mask_for_each_picture(pictures, known):
    masks = np.stack([known, ~known, known, np.ones_like(known)])
    made = completion.complete(Linear(), pictures, masks, "repeat", steps=3)
    np.testing.assert_array_equal(made[masks], pictures[masks])


def test_noise_is_removed(pictures):
    rng = np.random.default_rng(2)
    noisy = np.clip(pictures + rng.normal(scale=0.1, size=pictures.shape), 0, 1)
    before = np.square(noisy - pictures).mean()
    for model, method in ((Linear(), "repeat"), (Generator(), "latents")):
        cleaned = completion.denoise(model, noisy, 0.1, method)
        assert np.square(cleaned - pictures).mean() < 0.8 * before, method


def test_the_spherical_way_keeps_the_length_and_turns_evenly():
    start, end = np.array([3.0, 0, 0]), np.array([0, 0, 3.0])
    way = completion.between(start, end, 4)
    np.testing.assert_allclose(np.linalg.norm(way, axis=1), 3, rtol=1e-6)
    angles = np.degrees(np.arctan2(way[:, 2], way[:, 0]))
    np.testing.assert_allclose(angles, [0, 30, 60, 90], atol=1e-4)
    straight = completion.between(start, end, 3, "linear")
    np.testing.assert_allclose(straight[1], [1.5, 0, 1.5])
    longer = completion.between(start, 2 * end, 3)
    assert np.linalg.norm(longer[1]) == pytest.approx(4.5, rel=1e-6)


@pytest.mark.parametrize("end", [[2.0, 2], [-1, -1], [0, 0]])
def test_where_there_is_no_angle_the_way_is_straight(end):
    way = completion.between([1.0, 1], end, 3)
    np.testing.assert_allclose(way, np.linspace([1.0, 1], end, 3), atol=1e-6)


def test_pictures_between_two(pictures):
    way = completion.interpolate(Linear(), pictures[0], pictures[1], 5, "linear")
    np.testing.assert_allclose(way, np.linspace(pictures[0], pictures[1], 5), atol=1e-5)
    way = completion.interpolate(Linear(), pictures[0], pictures[1], 5)
    np.testing.assert_allclose(way[[0, -1]], pictures[:2], atol=1e-5)


def test_a_direction_is_the_difference_of_means(pictures):
    having, lacking = np.array([[1.0, 0.5], [0.8, 0.7]]), np.array([[0, 0.4], [0.2, 0.8]])
    model = Linear()
    found = completion.direction(model, model.decode(having), model.decode(lacking))
    np.testing.assert_allclose(found, [0.8, 0], atol=1e-5)
    moved = completion.shift(model, model.decode(lacking), found, 0.5)
    np.testing.assert_allclose(moved, model.decode(lacking + [0.4, 0]), atol=1e-5)


def test_the_networks_of_the_book_with_classes_and_codes():
    garments = RNG.random((2, 28, 28, 1), dtype="float32")
    half = np.zeros((28, 28), bool)
    half[:14] = True
    told = vae("dense", latent=2, width=4, num_classes=10)
    for method in completion.METHODS:
        made = completion.complete(told, garments, half, method, labels=[1, 2], steps=2)
        np.testing.assert_array_equal(made[:, :14], garments[:, :14])
    codes = vqvae(codes=4, code_width=2, width=2, prior_width=2, prior_blocks=1)
    assert completion.complete(codes, garments, half, "repeat", steps=2).shape == garments.shape
    assert completion.interpolate(codes, *garments, 3).shape == (3, 28, 28, 1)


def test_a_gan_of_classes_is_searched_and_told_them(monkeypatch):
    told = GAN(
        gan_networks.dcgan_generator(latent=3, width=2, num_classes=4),
        gan_networks.dcgan_discriminator(width=2, num_classes=4),
        num_classes=4,
    )
    garments = RNG.random((2, 28, 28, 1), dtype="float32")
    half = np.zeros((28, 28), bool)
    half[:14] = True
    made = completion.complete(told, garments, half, labels=[1, 2], steps=2)
    np.testing.assert_array_equal(made[:, :14], garments[:, :14])
    search, asked = completion.search, []

    def quick(model, pictures, known=None, labels=None, steps=2, **options):
        asked.append(list(labels))
        return search(model, pictures, known, labels, 1)

    monkeypatch.setattr(completion, "search", quick)
    completion.complete(told, garments, half, "repeat", labels=[1, 2], steps=1)
    completion.denoise(told, garments, 0.1, "repeat", labels=[2, 3])
    completion.shift(told, garments, np.ones(3), labels=[3, 0])
    completion.interpolate(told, *garments, 3, label=1)
    completion.direction(told, garments, garments, labels=([0, 1], [2, 3]))
    assert asked == [[1, 2], [2, 3], [3, 0], [1, 1], [0, 1], [2, 3]]


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda x, k: completion.complete(Linear(), x, k, "guess"), "method is 'guess'"),
        (lambda x, k: completion.complete(Linear(), x, k, steps=0), "steps is 0"),
        (lambda x, k: completion.complete(Linear(), x, k), "Linear has none"),
        (lambda x, k: completion.complete(Linear(), x, k[:1]), "what is known (1, 3)"),
        (lambda x, k: completion.complete(Linear(), x[0], k), "shape (2, 3, 1) and what"),
        (lambda x, k: completion.complete(Linear(), x, k * 1), "type int64"),
        (lambda x, k: completion.complete(Linear(), 9 + x, k), "scale them to [0, 1]"),
        (lambda x, k: completion.denoise(Linear(), x, 0), "noise is 0"),
        (lambda x, k: completion.denoise(Linear(), x, np.inf), "noise is inf"),
        (lambda x, k: completion.denoise(Linear(), x - 0.9, 0.1), "clip them to [0, 1]"),
        (lambda x, k: completion.denoise(Linear(), x, 0.1, "blur"), "method is 'blur'"),
        (lambda x, k: completion.between([1.0], [1.0, 2], 3), "shapes (1,) and (2,)"),
        (lambda x, k: completion.between([1.0], [2.0], 1), "count is 1"),
        (lambda x, k: completion.between([1.0], [2.0], 3, "round"), "path is 'round'"),
        (lambda x, k: completion.shift(Linear(), x, np.ones(3)), "shape (3,)"),
        (lambda x, k: completion.denoise(Linear(), x, 0.1, ["repeat"]), "method is ['repeat']"),
        (lambda x, k: completion.complete(Linear(), x, k, None), "method is None"),
        (lambda x, k: completion.complete(Linear(), x, k, "repeat", seed="x"), "seed is 'x'"),
        (lambda x, k: completion.search(Generator(), x, seed="x"), "seed is 'x'"),
        (lambda x, k: completion.interpolate(Linear(), x[0], x[0, 1:], 3), "and (1, 3, 1)"),
    ],
)
def test_bad_input_is_one_sentence(pictures, known, sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call(pictures, known)
    assert said in sentence(caught)


@pytest.mark.parametrize("small", [True, False], ids=["another size", "other channels"])
@pytest.mark.parametrize(
    "call",
    [
        lambda m, x, k: completion.complete(m, x, k),
        lambda m, x, k: completion.complete(m, x, k, "repeat"),
        lambda m, x, k: completion.denoise(m, x, 0.1),
        lambda m, x, k: completion.denoise(m, x, 0.1, "repeat"),
        lambda m, x, k: completion.encode(m, x),
        lambda m, x, k: completion.search(m, x),
        lambda m, x, k: completion.interpolate(m, x[0], x[1], 3),
        lambda m, x, k: completion.direction(m, x, x),
    ],
)
def test_pictures_that_the_model_does_not_make(pictures, known, sentence, small, call):
    x, known = (pictures[:, :1], known[:1]) if small else (np.repeat(pictures, 3, -1), known)
    generator = keras.Sequential([keras.Input((2,)), layers.Dense(6), layers.Reshape(SHAPE)])
    judge = keras.Sequential([keras.Input(SHAPE), layers.Flatten(), layers.Dense(1)])
    for model in (linear_vae(), GAN(generator, judge)):
        with pytest.raises(ValueError) as caught:
            call(model, x, known)
        assert "makes pictures of (2, 3, 1): give (n, 2, 3, 1)" in sentence(caught)
