"""The players' losses by hand, slopes and penalties of known critics, and spectral norms by SVD."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn import diffaugment, gan_losses
from pixelwise.nn.autodiff import derivative, gradient
from pixelwise.nn.conditional import ClassBatchNorm, ProjectionScore
from pixelwise.nn.spectral import SpectralNorm

REAL = np.array([[0.5], [-1.5], [3.0]], "float32")
FAKE = np.array([[-0.2], [2.0], [-4.0]], "float32")


def _log_sigmoid(x):
    return -np.log1p(np.exp(-x.astype(float)))


BY_HAND = {
    "minimax": (
        -_log_sigmoid(REAL).mean() - _log_sigmoid(-FAKE).mean(),
        _log_sigmoid(-FAKE).mean(),
    ),
    "non_saturating": (
        -_log_sigmoid(REAL).mean() - _log_sigmoid(-FAKE).mean(),
        -_log_sigmoid(FAKE).mean(),
    ),
    "least_squares": (
        ((REAL - 1) ** 2).mean() / 2 + (FAKE**2).mean() / 2,
        ((FAKE - 1) ** 2).mean() / 2,
    ),
    "hinge": ((0.5 + 2.5 + 0) / 3 + (0.8 + 3.0 + 0) / 3, -FAKE.mean()),
    "wasserstein": (FAKE.mean() - REAL.mean(), -FAKE.mean()),
}


@pytest.mark.parametrize("name", list(gan_losses.LOSSES))
def test_both_losses_by_hand(name):
    ours, (discriminator, generator) = gan_losses.players(name), BY_HAND[name]
    assert float(ours.discriminator(REAL, FAKE)) == pytest.approx(discriminator, rel=1e-6)
    assert float(ours.generator(FAKE)) == pytest.approx(generator, rel=1e-6)


@pytest.mark.parametrize("name", list(gan_losses.LOSSES))
def test_a_sure_discriminator_overflows_nothing(name):
    ours = gan_losses.players(name)
    sure = np.array([[1e4], [-1e4]], "float32")
    for loss in (ours.generator, lambda x: ours.discriminator(x, x)):
        assert np.isfinite(float(loss(sure)))
        assert np.isfinite(gradient(loss, sure)).all()


def test_the_minimax_gradient_vanishes_where_the_discriminator_wins():
    lost = np.array([[-10.0]], "float32")
    slopes = {
        name: abs(gradient(gan_losses.players(name).generator, lost).item())
        for name in gan_losses.LOSSES
    }
    assert slopes["minimax"] < 1e-4
    assert all(slopes[name] > 0.9 for name in slopes if name != "minimax")


def test_an_unknown_loss():
    with pytest.raises(ValueError, match="no GAN loss 'hing': the nearest is hinge"):
        gan_losses.players("hing")


def _batch(seed, rows=4):
    return np.random.default_rng(seed).normal(size=(rows, 3)).astype("float32")


def test_penalties_of_a_linear_critic():
    weights = np.array([[1.0], [-2.0], [2.0]], "float32")  # its slope is 3 everywhere

    def penalty(w):
        return gan_losses.gradient_penalty(lambda x: x @ w, _batch(0), _batch(1), np.ones(4) / 2)

    def r1(w):
        return gan_losses.r1_penalty(lambda x: x @ w, _batch(0))

    weights = ops.convert_to_tensor(weights)
    assert float(penalty(weights)) == pytest.approx((3 - 1) ** 2, rel=1e-6)
    assert float(r1(weights)) == pytest.approx(9 / 2, rel=1e-6)
    by_hand = 2 * (3 - 1) * ops.convert_to_numpy(weights) / 3
    assert gradient(penalty, weights) == pytest.approx(by_hand, rel=1e-5)
    assert gradient(r1, weights) == pytest.approx(ops.convert_to_numpy(weights), rel=1e-5)


def test_the_penalty_is_taken_between_real_and_fake_each_at_its_own_point():
    real, fake, mix = _batch(0), _batch(1), np.array([0.0, 0.25, 0.5, 1.0], "float32")
    points = mix[:, None] * real + (1 - mix[:, None]) * fake
    norms = np.linalg.norm(2 * points, axis=1)  # of the gradient of x . x

    def critic(x):
        return ops.sum(x * x, axis=1, keepdims=True)

    found = gan_losses.gradient_penalty(critic, *map(ops.convert_to_tensor, (real, fake, mix)))
    assert float(found) == pytest.approx(((norms - 1) ** 2).mean(), rel=1e-5)


def test_slopes_by_finite_differences():
    keras.utils.set_random_seed(0)
    critic = keras.Sequential(
        [keras.Input((3,)), keras.layers.Dense(5, "tanh"), keras.layers.Dense(1)]
    )
    x, step = _batch(2), 1e-2
    moves = step * np.eye(3, dtype="float32")
    slopes = [
        ops.convert_to_numpy(critic(x + move) - critic(x - move))[:, 0] / (2 * step)
        for move in moves
    ]
    found = ops.convert_to_numpy(gan_losses.squared_slopes(critic, x))
    assert found == pytest.approx(np.square(slopes).sum(0), rel=1e-2)


def test_a_critic_without_slope_has_penalty_one_and_no_nan():
    def penalty(w):
        return gan_losses.gradient_penalty(lambda x: x @ w, _batch(0), _batch(1), np.ones(4) / 2)

    flat = ops.zeros((3, 1))
    assert float(penalty(flat)) == 1
    assert gradient(penalty, flat).tolist() == [[0], [0], [0]]


def test_a_derivative_within_a_compiled_function(compiled):
    def slopes(x):
        return derivative(lambda point: ops.sum(point**3), x)

    x = _batch(3)
    assert compiled(slopes, x) == pytest.approx(3 * x**2, rel=1e-5)


def test_a_derivative_by_its_own_point():
    x = np.array([0.5, -2.0], "float32")
    found = gradient(lambda x: ops.sum(derivative(lambda p: ops.sum(p**3), x)), x)
    assert found == pytest.approx(6 * x, rel=1e-5)


LAYERS = {
    "dense": (lambda: keras.layers.Dense(5), (7,)),
    "convolution": (lambda: keras.layers.Conv2D(5, 3, padding="same"), (6, 6, 2)),
    "embedding": (lambda: keras.layers.Embedding(9, 5), ()),
}


def _built(kind, iterations=1):
    keras.utils.set_random_seed(1)
    make, shape = LAYERS[kind]
    layer = SpectralNorm(make(), iterations=iterations)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *shape)).astype("float32") if shape else rng.integers(0, 9, 2)
    layer(x)
    return layer, x


@pytest.mark.parametrize("kind", list(LAYERS))
def test_the_spectral_norm_by_svd(kind):
    layer, x = _built(kind)
    before = ops.convert_to_numpy(layer.kernel)
    largest = np.linalg.svd(before.reshape(-1, before.shape[-1]), compute_uv=False)[0]
    for _ in range(60):
        layer(x, training=True)
    assert float(layer.norm()) == pytest.approx(largest, rel=1e-4)
    assert (ops.convert_to_numpy(layer.kernel) == before).all()
    biased = [np.full(w.shape, 0.3) if w.ndim == 1 else w for w in layer.layer.get_weights()]
    layer.layer.set_weights(biased)
    found = ops.convert_to_numpy(layer(x))
    layer.layer.set_weights([w / largest if w.ndim > 1 else w for w in biased])
    assert found == pytest.approx(ops.convert_to_numpy(layer.layer(x)), abs=1e-4)


def test_the_vector_moves_in_training_only():
    layer, x = _built("dense")
    start = ops.convert_to_numpy(layer.vector)
    layer(x)
    assert (ops.convert_to_numpy(layer.vector) == start).all()
    layer(x, training=True)
    assert np.abs(ops.convert_to_numpy(layer.vector) - start).max() > 0.01


def test_the_gradient_goes_through_the_norm():
    layer, x = _built("dense", iterations=100)
    for _ in range(8):  # two singular values may lie near each other
        layer(x, training=True)
    kernel, bias = layer.layer.get_weights()

    def total(weights):
        return ops.sum(layer.stateless_call([weights, bias], [layer.vector.value], x)[0])

    u, s, v = np.linalg.svd(kernel)
    pulled = x.sum(0)[:, None] * np.ones((1, 5))  # the derivative by the divided kernel
    by_hand = pulled / s[0] - (pulled * kernel).sum() / s[0] ** 2 * np.outer(u[:, 0], v[0])
    assert gradient(total, kernel) == pytest.approx(by_hand, abs=1e-4)


def test_a_kernel_of_zeros_and_a_layer_without_one():
    layer, x = _built("dense")
    layer.layer.set_weights([np.zeros((7, 5)), np.zeros(5)])
    assert (ops.convert_to_numpy(layer(x, training=True)) == 0).all()
    with pytest.raises(ValueError, match="no kernel"):
        SpectralNorm(keras.layers.ReLU(name="r"))(x)
    with pytest.raises(ValueError, match="iterations is 0: give a whole number from 1"):
        SpectralNorm(keras.layers.Dense(1), iterations=0)


def test_class_batch_norm_by_hand():
    layer = ClassBatchNorm(3, epsilon=1e-5)
    x = np.random.default_rng(0).normal(2, 3, (6, 4, 4, 2)).astype("float32")
    classes = np.array([0, 1, 2, 2, 1, 0])
    layer([x, classes])
    rng = np.random.default_rng(1)
    scale, shift = rng.normal(size=(2, 3, 2)).astype("float32")
    layer.scale.assign(scale)
    layer.shift.assign(shift)
    whitened = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    expected = scale[classes][:, None, None] * whitened + shift[classes][:, None, None]
    found = ops.convert_to_numpy(layer([x, classes], training=True))
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("spectral", [False, True])
def test_projection_by_hand(spectral):
    layer = ProjectionScore(3, spectral)
    f = np.random.default_rng(0).normal(size=(4, 5)).astype("float32")
    classes = np.array([2, 0, 1, 2])
    for _ in range(50):
        layer([f, classes], training=True)
    w, b, v = (
        next(ops.convert_to_numpy(x) for x in layer.weights if x.name == name)
        for name in ("kernel", "bias", "embeddings")
    )
    if spectral:
        w, v = w / np.linalg.norm(w, 2), v / np.linalg.norm(v, 2)
    expected = f @ w + b + (v[classes] * f).sum(1, keepdims=True)
    assert ops.convert_to_numpy(layer([f, classes])) == pytest.approx(expected, abs=1e-4)


def test_distortions_by_hand():
    x = np.random.default_rng(0).random((2, 8, 6, 3)).astype("float32")
    grown = x + np.array([0.1, -0.2]).reshape(2, 1, 1, 1)
    grey = grown.mean(3, keepdims=True)
    grown = grey + np.array([0.0, 1.5]).reshape(2, 1, 1, 1) * (grown - grey)
    mean = grown.mean((1, 2, 3), keepdims=True)
    grown = mean + np.array([1.2, 0.7]).reshape(2, 1, 1, 1) * (grown - mean)
    draws = (np.array(pair, "float32") for pair in ([0.1, -0.2], [0, 1.5], [1.2, 0.7]))
    found = diffaugment.colour(x, *map(ops.convert_to_tensor, draws))
    assert ops.convert_to_numpy(found) == pytest.approx(grown, abs=1e-5)

    moved = np.zeros_like(x)
    moved[0, 2:, :-1] = x[0, :-2, 1:]  # 2 down, 1 to the left
    moved[1] = x[1]
    found = ops.convert_to_numpy(diffaugment.translate(x, np.array([2, 0]), np.array([-1, 0])))
    assert (found == moved).all()

    holed = x.copy()
    holed[0, 2:6, 0:3] = 0  # 4 x 3 pixels around (4, 1), as far as they are inside
    holed[1, 6:8, 4:6] = 0
    found = ops.convert_to_numpy(diffaugment.cutout(x, np.array([4, 8]), np.array([1, 5])))
    assert (found == holed).all()


def test_distortions_have_a_gradient_and_are_fixed_by_the_seed():
    x = np.random.default_rng(0).random((3, 8, 8, 1)).astype("float32")
    policy = "colour,translation,cutout"
    one, again, other = (
        ops.convert_to_numpy(diffaugment.diffaugment(x, policy, seed)) for seed in (1, 1, 2)
    )
    assert (one == again).all() and (one != other).any()
    slopes = gradient(lambda x: ops.sum(diffaugment.diffaugment(x, policy, 1) ** 2), x)
    assert np.isfinite(slopes).all() and np.abs(slopes).max() > 0.1


@pytest.mark.parametrize("policy", ["", "color", "colour,,cutout", 3])
def test_an_unknown_policy(policy):
    with pytest.raises(ValueError, match="augment is .*colour, translation, cutout"):
        diffaugment.read_policy(policy)
