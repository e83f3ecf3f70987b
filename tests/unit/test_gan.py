"""GANs: their networks, the gradient of each player, training, sampling, saving, and bad input."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers, ops

from pixelwise import training
from pixelwise.models import gan_networks as networks
from pixelwise.models.gan import GAN
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.gan_losses import gradient_penalty
from pixelwise.nn.two_players import TwoPlayerAdam

HERE = Path(__file__).parent


def small(num_classes=None, norm="batch", spectral=False, **options):
    """A DCGAN of few channels for 28 x 28."""
    keras.utils.set_random_seed(0)
    generator = networks.dcgan_generator(latent=5, width=2, num_classes=num_classes)
    discriminator = networks.dcgan_discriminator(
        width=2, norm=norm, spectral=spectral, num_classes=num_classes
    )
    return GAN(generator, discriminator, num_classes=num_classes, **options)


def pictures(rows=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((rows, 28, 28, 1), "float32"), np.arange(rows, dtype="int32") % 3


def on_a_line(**options):
    """A GAN of points on a line."""
    keras.utils.set_random_seed(0)
    generator = keras.Sequential(
        [keras.Input((2,)), layers.Dense(16, "relu"), layers.Dense(1)], name="generator"
    )
    # Slopes and places all over the line: a discriminator of straight pieces would see no spread.
    wide = [keras.initializers.RandomNormal(0.0, 2.0, seed=seed) for seed in (0, 1)]
    steep = {"kernel_initializer": wide[0], "bias_initializer": wide[1]}
    discriminator = keras.Sequential(
        [keras.Input((1,)), layers.Dense(32, "tanh", **steep), layers.Dense(1)],
        name="discriminator",
    )
    return GAN(generator, discriminator, **{"bounds": None, **options})


class FixedNoise(GAN):
    """A GAN that always plays with the same latents."""

    def call(self, pictures, training=False):
        latents = np.random.default_rng(1).normal(size=(4, self.latent)).astype("float32")
        latents, classes = ops.convert_to_tensor(latents), ops.convert_to_tensor(np.arange(4) % 3)
        made = self.generator(self.told(latents, classes), training=training)
        return {"pictures": made, "classes": classes}


@pytest.mark.parametrize("size, channels, num_classes", [(28, 1, None), (32, 3, 4), (64, 3, None)])
@pytest.mark.parametrize("kind", ["mlp", "dcgan", "resnet"])
def test_networks_fit_each_other(kind, size, channels, num_classes):
    width = {"mlp": {"hidden": (4, 6)}}.get(kind, {"width": 2})
    shared = {"size": size, "channels": channels, "num_classes": num_classes, **width}
    generator = getattr(networks, f"{kind}_generator")(latent=5, **shared)
    discriminator = getattr(networks, f"{kind}_discriminator")(spectral=size == 64, **shared)
    gan = GAN(generator, discriminator, num_classes=num_classes)
    made = gan.sample(3, seed=0)
    assert made.shape == (3, size, size, channels) and made.dtype == np.float32
    assert made.min() >= 0 and made.max() <= 1
    labels = np.array([0, 1, 1])
    assert gan.discriminator(gan.told(made, labels)).shape == (3, 1)
    assert all(v.path.startswith("generator-") for v in generator.weights)
    assert all(v.path.startswith("discriminator-") for v in discriminator.weights)


def test_the_rules_of_dcgan_can_be_broken_one_at_a_time():
    usual = networks.dcgan_generator(width=2)
    names = {layer.name: layer for layer in usual.layers}
    assert isinstance(names["generator-up1"], layers.Conv2DTranspose)
    assert "generator-norm1" in names and "generator-norm3" not in names
    plain = networks.dcgan_generator(width=2, norm="none", up="resize", activation="tanh")
    names = {layer.name: layer for layer in plain.layers}
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in plain.layers)
    assert isinstance(names["generator-up1"], layers.Conv2D)
    assert plain.output.shape == usual.output.shape
    other = networks.dcgan_discriminator(width=2, down="pool", norm="none", hidden=6, stddev=None)
    assert {"discriminator-pool1", "discriminator-fc"} <= {layer.name for layer in other.layers}
    drawn = networks.dcgan_discriminator(width=32, stddev=0.5).get_layer("discriminator-down2")
    assert ops.convert_to_numpy(drawn.kernel).std() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize(
    "loss, norm, num_classes",
    [("non_saturating", "batch", None), ("hinge", "batch", 3), ("wasserstein", "none", None)],
)
def test_each_player_gets_its_own_gradient_and_the_statistics_are_its_own(
    loss, norm, num_classes, recorder
):
    model = small(num_classes, norm)
    penalty = "gradient" if norm == "none" else None
    gan = FixedNoise(
        model.generator, model.discriminator, num_classes=num_classes, loss=loss, penalty=penalty
    )
    if penalty:  # the slope between both ends, at one end: the points do not depend on chance
        gan.play = lambda *rest, **options: GAN.play(
            gan, *rest[:4], ops.ones((4,)), training=rest[5]
        )
    real, classes = pictures()
    fake = ops.stop_gradient(gan(real, training=True)["pictures"])
    told_real = gan.told(ops.convert_to_tensor(real), ops.convert_to_tensor(classes))
    told_fake = gan.told(fake, ops.convert_to_tensor(classes))
    noise = np.random.default_rng(1).normal(size=(4, gan.latent)).astype("float32")

    def asked(network, weights, inputs):
        statistics = [v.value for v in network.non_trainable_variables]
        return network.stateless_call(weights, statistics, inputs, training=True)[0]

    def parts(network, vector):
        """A vector as values of the network's variables."""
        values, start = [], 0
        for variable in network.trainable_variables:
            end = start + int(np.prod(variable.shape))
            values.append(ops.reshape(vector[start:end], variable.shape))
            start = end
        return values

    def loss_of_discriminator(vector):
        weights = parts(gan.discriminator, vector)
        logits = (asked(gan.discriminator, weights, told) for told in (told_real, told_fake))
        total = gan.players.discriminator(*logits)
        if penalty:
            total += 10 * gradient_penalty(
                lambda x: asked(gan.discriminator, weights, x), real, fake, np.ones(4)
            )
        return total

    def loss_of_generator(vector):
        inputs = gan.told(ops.convert_to_tensor(noise), ops.convert_to_tensor(classes))
        made = asked(gan.generator, parts(gan.generator, vector), inputs)
        weights = [v.value for v in gan.discriminator.trainable_variables]
        return gan.players.generator(asked(gan.discriminator, weights, gan.told(made, classes)))

    expected = {}
    for network, function in (
        (gan.generator, loss_of_generator),
        (gan.discriminator, loss_of_discriminator),
    ):
        variables = network.trainable_variables
        vector = np.concatenate([ops.convert_to_numpy(v).ravel() for v in variables])
        found = map(ops.convert_to_numpy, parts(network, gradient(function, vector)))
        expected |= {v.path: value for v, value in zip(variables, found, strict=True)}

    twin = keras.models.clone_model(gan.discriminator)
    twin.set_weights(gan.discriminator.get_weights())
    twin(told_real, training=True)
    twin(told_fake, training=True)

    gan.compile(recorder)
    gan.train_on_batch(real, classes)
    for variable, kept in zip(gan.trainable_variables, gan.optimizer.kept, strict=True):
        wanted = expected[variable.path]
        scale = np.abs(wanted).max()
        assert ops.convert_to_numpy(kept) == pytest.approx(wanted, abs=float(1e-3 * scale + 1e-6))
    statistics = zip(
        gan.discriminator.non_trainable_variables, twin.non_trainable_variables, strict=True
    )
    for ours, theirs in statistics:
        assert ops.convert_to_numpy(ours) == pytest.approx(ops.convert_to_numpy(theirs), abs=1e-5)


def test_losses_from_the_same_weights_and_noise_are_those_of_every_backend():
    spec = importlib.util.spec_from_file_location("maker", HERE / "make_gan_losses.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    with np.load(HERE / "golden" / "gan_losses.npz") as golden:
        assert str(golden["backend"]) == "tensorflow"
        for name, ours in maker.losses().items():
            assert ours == pytest.approx(golden[name], rel=1e-4, abs=1e-4), name


def test_points_on_a_line_come_to_lie_where_the_data_do():
    data = np.random.default_rng(0).normal(2.0, 0.5, (512, 1)).astype("float32")
    gan = on_a_line(penalty="r1", penalty_weight=0.05)
    start = gan.sample(500, seed=0)
    assert abs(start.mean() - 2) > 1.5
    gan.compile(TwoPlayerAdam(5e-3))
    training.fit(gan, (data, np.zeros(512)), 400, ema=0.9, show=False)
    made = gan.sample(500, seed=0)
    assert abs(made.mean() - 2) < 0.4
    assert 0.2 < made.std() < 1.0


def test_all_parts_at_once_and_what_is_reported():
    gan = small(3, "none", True, loss="hinge", penalty="r1", augment="colour,translation,cutout")
    gan.compile(TwoPlayerAdam(1e-3, generator_factor=0.5, every=2))
    history = training.fit(gan, pictures(6), 3, show=False)
    assert set(history.parts) == {"d", "g", "penalty"}
    sums = np.sum([history.parts[name] for name in history.parts], axis=0)
    assert sums == pytest.approx(history.loss, abs=1e-3)
    assert np.isfinite(history.loss).all() and min(history.parts["penalty"]) > 0
    assert {"score_real", "score_fake"} <= set(gan.get_metrics_result())


@pytest.fixture(scope="module")
def compiled():
    """A GAN that is compiled once for several tests, and its weights."""
    gan = small(3)
    gan.compile(TwoPlayerAdam(1e-3))
    return gan, gan.get_weights()


def test_a_batch_of_one(compiled):
    gan, _ = compiled
    x, y = pictures(1)
    assert np.isfinite(training.fit(gan, (x, y), 2, show=False).loss).all()
    assert np.isfinite(gan.sample(1, seed=0)).all()


def test_a_killed_run_goes_on_where_it_was(tmp_path):
    x, y = pictures(8)

    def run(steps, **options):
        keras.utils.set_random_seed(0)
        gan = GAN(*networks_of(28, num_classes=3), num_classes=3, augment="translation")
        gan.compile(TwoPlayerAdam(1e-2, every=2))
        data = training.ArrayBatches(x, y, batch_size=4)
        history = training.fit(
            gan, data, 6, ema=0.8, name="gan", directory=tmp_path, show=False, **options
        )
        return gan, history

    def stop(model):
        raise KeyboardInterrupt

    whole, history = run(6, resume=False)
    with pytest.raises(KeyboardInterrupt):
        run(6, resume=False, validate=stop, validate_every=3)
    resumed, again = run(6)
    assert again.resumed_from == 3
    assert again.loss == pytest.approx(history.loss, abs=1e-4)
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        assert ours == pytest.approx(theirs, abs=1e-4)


def test_the_average_is_the_generators_alone():
    x, y = pictures(8)
    models = []
    for ema in (None, 0.8):
        keras.utils.set_random_seed(0)
        gan = GAN(*networks_of(28))
        gan.compile(TwoPlayerAdam(1e-2))
        training.fit(gan, training.ArrayBatches(x, y, batch_size=4), 12, ema=ema, show=False)
        models.append(gan)
    plain, averaged = models
    for ours, theirs in zip(
        averaged.discriminator.get_weights(), plain.discriminator.get_weights(), strict=True
    ):
        assert ours == pytest.approx(theirs, abs=1e-4)
    kernels = [model.generator.get_weights()[0] for model in models]
    assert np.abs(kernels[0] - kernels[1]).max() > 1e-3


def test_saved_and_loaded(tmp_path):
    gan = small(3, "none", True, loss="hinge", penalty="r1", penalty_weight=2, augment="cutout")
    gan.compile(TwoPlayerAdam(1e-3, every=2))
    gan.train_on_batch(*pictures())
    gan.save(tmp_path / "gan.keras")
    again = keras.models.load_model(tmp_path / "gan.keras")
    assert isinstance(again.optimizer, TwoPlayerAdam)
    for name in ("penalty", "penalty_weight", "augment", "num_classes", "latent", "players"):
        assert getattr(again, name) == getattr(gan, name)
    assert again.sample(4, seed=3) == pytest.approx(gan.sample(4, seed=3), abs=1e-5)
    again.train_on_batch(*pictures())


def test_samples_are_fixed_by_the_seed_and_their_number_is_free():
    gan = small(3)
    assert (gan.sample(4, seed=1) == gan.sample(4, seed=1)).all()
    assert (gan.sample(4, seed=1) != gan.sample(4, seed=2)).any()
    assert gan.sample(203, seed=1).shape == (203, 28, 28, 1)
    gan.generator.get_layer("generator-norm1").shift.assign(np.eye(3, 4))  # classes start alike
    chosen = gan.sample(4, seed=1, labels=[0, 0, 0, 0])
    assert (chosen != gan.sample(4, seed=1, labels=[1, 1, 1, 1])).any()
    latents = np.random.default_rng(0).normal(size=(203, 5))
    many, few = gan.generate(latents, np.arange(203) % 3), gan.generate(latents[:3], [0, 1, 2])
    assert many[:3] == pytest.approx(few, abs=1e-5)


@pytest.mark.parametrize("value, label", [(1.5, 0), (-0.1, 0), (np.nan, 0), (0.5, 3), (0.5, -1)])
def test_what_cannot_be_learnt_from_stops_the_training(compiled, value, label, sentence):
    gan, weights = compiled
    gan.set_weights(weights)
    x, y = pictures()
    x[2, 3, 4, 0], y[1] = value, label
    with pytest.raises(training.TrainingDiverged) as caught:
        training.fit(gan, (x, y), 3, show=False)
    assert "step 1" in sentence(caught)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_never_enters_the_networks(compiled, value, survives):
    gan, weights = compiled
    gan.set_weights(weights)
    x, y = pictures()
    x[2, 3, 4, 0] = value
    survives(gan, x, y)


def test_infinity_is_no_value_even_without_bounds(survives):
    gan = on_a_line()
    gan.compile(TwoPlayerAdam(1e-3))
    survives(gan, np.array([[0.5], [np.inf]], "float32"), np.zeros(2))


def networks_of(size, latent=5, channels=1, num_classes=None):
    shared = {"size": size, "channels": channels, "hidden": (4,), "num_classes": num_classes}
    return networks.mlp_generator(latent=latent, **shared), networks.mlp_discriminator(**shared)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"loss": "hing"}, "the nearest is hinge"),
        ({"penalty": "gp"}, "penalty is 'gp'"),
        ({"penalty_weight": -1}, "penalty_weight is -1"),
        ({"augment": "color"}, "augment is 'color'"),
        ({"num_classes": 3}, "the generator has 1 inputs"),
        ({"num_classes": 1}, "num_classes is 1"),
        ({"loss": ["hinge"]}, "no GAN loss ['hinge']"),
        ({"loss": None}, "no GAN loss None"),
        ({"penalty": ["r1"]}, "penalty is ['r1']"),
        ({"seed": "x"}, "seed is 'x'"),
    ],
)
def test_an_impossible_game(options, said, sentence):
    with pytest.raises(ValueError) as caught:
        GAN(*networks_of(28), **options)
    assert said in sentence(caught)


def test_networks_that_do_not_fit(sentence):
    with pytest.raises(ValueError) as caught:
        GAN(networks_of(28)[0], networks_of(32)[1])
    assert "(28, 28, 1)" in sentence(caught)
    for wrong in (None, keras.Sequential([layers.Dense(1)]), "dcgan"):
        with pytest.raises(ValueError) as caught:
            GAN(networks_of(28)[0], wrong)
        assert "discriminator is " in sentence(caught)
    with pytest.raises(ValueError) as caught:
        GAN(None, None)
    assert "generator is None: give a keras.Model" in sentence(caught)


@pytest.mark.parametrize("kind", ["mlp", "dcgan"])
def test_networks_for_another_number_of_classes(kind, sentence):
    """The generator of dense layers has a table of classes, the other one its normalisations."""

    def build(player, num_classes):
        width = {"hidden": (4,)} if kind == "mlp" else {"width": 2}
        return getattr(networks, f"{kind}_{player}")(num_classes=num_classes, **width)

    right = build("generator", 3), build("discriminator", 3)
    GAN(*right, num_classes=3)
    for pair, named in (
        ((build("generator", 4), right[1]), "generator"),
        ((right[0], build("discriminator", 4)), "discriminator"),
    ):
        with pytest.raises(ValueError) as caught:
            GAN(*pair, num_classes=3)
        assert f"The {named} was built for 4 classes and num_classes is 3" in sentence(caught)


@pytest.mark.parametrize(
    "build, options, said",
    [
        ("mlp_generator", {"size": 30}, "size is 30"),
        ("mlp_discriminator", {"channels": 0}, "channels is 0"),
        ("dcgan_generator", {"norm": "layer"}, "norm is 'layer'"),
        ("dcgan_generator", {"up": "nearest"}, "up is 'nearest'"),
        ("dcgan_discriminator", {"down": "mean"}, "down is 'mean'"),
        ("mlp_generator", {"size": [28]}, "size is [28]"),
        ("mlp_generator", {"latent": 0}, "latent is 0"),
        ("mlp_generator", {"hidden": 64}, "hidden is 64"),
        ("mlp_generator", {"num_classes": 1}, "num_classes is 1"),
        ("mlp_discriminator", {"hidden": (64, 0)}, "a number in hidden is 0"),
        ("mlp_discriminator", {"dropout": 1}, "dropout is 1"),
        ("dcgan_generator", {"width": 0}, "width is 0"),
        ("dcgan_generator", {"width": 2.5}, "width is 2.5"),
        ("dcgan_generator", {"kernel": 0}, "kernel is 0"),
        ("dcgan_generator", {"stddev": -1}, "stddev is -1"),
        ("dcgan_discriminator", {"width": "wide"}, "width is 'wide'"),
        ("dcgan_discriminator", {"hidden": -1}, "hidden is -1"),
        ("resnet_generator", {"size": 30}, "size is 30"),
        ("resnet_generator", {"latent": None}, "latent is None"),
        ("resnet_discriminator", {"width": 0}, "width is 0"),
        ("resnet_discriminator", {"blocks": -1}, "blocks is -1"),
    ],
)
def test_an_impossible_network(build, options, said, sentence):
    with pytest.raises(ValueError) as caught:
        getattr(networks, build)(**options)
    assert said in sentence(caught)


def test_data_that_do_not_fit(sentence):
    x, y = pictures()
    for data, said in (
        ((x[:, :14], y), "(14, 28, 1)"),
        ((x, y[:, None]), "labels (batch,)"),
        ((x, y.astype("float32")), "labels have the type float32"),
    ):
        gan = small(3)
        gan.compile(TwoPlayerAdam(1e-3))
        with pytest.raises(ValueError) as caught:
            training.fit(gan, data, 1, show=False)
        assert said in sentence(caught)


@pytest.mark.parametrize(
    "arguments, said",
    [
        ({"n": 0}, "n is 0"),
        ({"n": 2.0}, "n is 2.0"),
        ({"n": 2, "labels": [0, 3]}, "from 0 to 3"),
        ({"n": 2, "labels": [0]}, "the shape (2,)"),
        ({"n": 2, "labels": [0.5, 1]}, "whole numbers"),
        ({"n": 2, "seed": "x"}, "seed is 'x'"),
    ],
)
def test_impossible_samples(arguments, said, sentence):
    with pytest.raises(ValueError) as caught:
        small(3).sample(**arguments)
    assert said in sentence(caught)


def test_impossible_latents_and_labels_without_classes(sentence):
    with pytest.raises(ValueError) as caught:
        small().generate(np.zeros((2, 4)))
    assert "(n, 5)" in sentence(caught)
    with pytest.raises(ValueError) as caught:
        small().sample(2, labels=[0, 1])
    assert "no classes" in sentence(caught)
