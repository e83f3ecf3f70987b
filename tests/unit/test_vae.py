"""The VAE: shapes, training that resumes, saving, classes, the backends, and bad input."""

import importlib.util
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise import data, training, weights
from pixelwise.metrics import generation
from pixelwise.metrics import likelihood as measure
from pixelwise.models import generative
from pixelwise.models.vae import VAE
from pixelwise.models.vae_networks import (
    convolutional_decoder,
    convolutional_encoder,
    dense_decoder,
    dense_encoder,
    vae,
    vqvae,
)

HERE = Path(__file__).parent


def array(x):
    return ops.convert_to_numpy(x)


def tiny(**options):
    """A dense VAE that is built and trained in a moment."""
    keras.utils.set_random_seed(0)
    return vae(**{"network": "dense", "latent": 3, "width": 8, **options})


def garments(count=8, split="train", **options):
    return data.load("garments", split, batch_size=count, binarise="dynamic", **options)


def fitted(model, steps=12, **options):
    model.compile(keras.optimizers.Adam(1e-2))
    return training.fit(model, garments(), steps, show=False, **options)


@pytest.fixture(scope="module")
def trained():
    model = tiny(num_classes=10)
    fitted(model, 60)
    return model


def test_the_losses_are_those_of_the_backend_that_made_the_golden_ones():
    spec = importlib.util.spec_from_file_location("maker", HERE / "make_vae_losses.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    with np.load(HERE / "golden" / "vae_losses.npz") as golden:
        assert str(golden["backend"]) == "tensorflow"
        for name, ours in maker.losses().items():
            np.testing.assert_allclose(ours, golden[name], rtol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "options",
    [
        {"network": "convolutional", "width": 2, "likelihood": "discretised_logistic", "size": 64,
         "channels": 3},
        {"network": "convolutional", "size": 32},
        {"network": "dense", "width": 4, "likelihood": "gaussian"},
    ],
)  # fmt: skip
def test_sizes_channels_and_likelihoods(options):
    model = vae(latent=2, **options)
    shape = (options.get("size", 28),) * 2 + (options.get("channels", 1),)
    pictures = np.random.default_rng(0).random((1, *shape), dtype="float32")  # a batch of one
    for made in (model.reconstruct(pictures), model.sample(1, seed=0, pixels=True)):
        assert made.shape == (1, *shape) and made.dtype == np.float32
        assert made.min() >= 0 and made.max() <= 1
    assert model.encode(pictures).shape == (1, 2)
    model.compile("adam")
    logs = model.train_on_batch(pictures, return_dict=True)
    total = logs["loss_reconstruction"] + logs["loss_kl"]
    assert logs["loss"] == pytest.approx(total, rel=1e-5)
    bits = model.likelihood.bits(-total, np.prod(shape))
    assert logs["bits_per_dimension"] == pytest.approx(bits, rel=1e-5)


def test_it_trains_and_every_weight_learns():
    model = tiny()
    before = [array(v) for v in model.trainable_variables]
    history = fitted(model, 60)
    assert np.mean(history.loss[-10:]) < 0.8 * np.mean(history.loss[:5])
    assert set(history.parts) == {"reconstruction", "kl"}
    both = np.add(history.parts["reconstruction"], history.parts["kl"])
    np.testing.assert_allclose(both, history.loss, rtol=1e-3)
    for variable, old in zip(model.trainable_variables, before, strict=True):
        assert not np.array_equal(array(variable), old), variable.path


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path):
    options = {"anneal_steps": 8, "free_bits": 0.1}
    whole = tiny(**options)
    expected = fitted(whole, name="whole", directory=tmp_path)

    def stop(model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(tiny(**options), name="cut", directory=tmp_path, validate=stop, validate_every=5)
    resumed = tiny(**options)
    history = fitted(
        resumed, name="cut", directory=tmp_path, validate=lambda model: {}, validate_every=5
    )
    assert history.resumed_from == 5 and float(array(resumed.steps_done)) == 12
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-4)
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_annealing_starts_without_the_kl():
    model = tiny(anneal_steps=1000)
    history = fitted(model, 3)
    first = history.parts["reconstruction"][0]
    assert history.loss[0] == pytest.approx(first, rel=1e-5)
    assert history.loss[2] == pytest.approx(
        history.parts["reconstruction"][2] + 0.002 * history.parts["kl"][2], rel=1e-4
    )


def test_measuring_does_not_count_as_a_step():
    model = tiny(anneal_steps=10)
    model.compile("adam")
    model.evaluate(*garments()[0], verbose=0)
    assert float(array(model.steps_done)) == 0


def test_saved_and_loaded_it_says_the_same(trained, tmp_path):
    trained.save(tmp_path / "vae.keras")
    again = keras.models.load_model(tmp_path / "vae.keras")
    assert isinstance(again, VAE) and again.get_config()["num_classes"] == 10
    assert float(array(again.steps_done)) == 60
    x, labels = garments(split="test")[0]
    for one, other in zip(again.posterior(x), trained.posterior(x), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)
    np.testing.assert_allclose(
        again.reconstruct(x, labels), trained.reconstruct(x, labels), atol=1e-5
    )
    with_options = tiny(likelihood="gaussian", beta=2.0, anneal_steps=5)
    with_options.save(tmp_path / "other.keras")
    other = keras.models.load_model(tmp_path / "other.keras")
    assert (other.beta, other.anneal_steps) == (2.0, 5)
    assert other.likelihood.get_config() == with_options.likelihood.get_config()


def test_samples_depend_on_their_seed_and_class(trained):
    first = trained.sample(5, seed=3)
    np.testing.assert_array_equal(first, trained.sample(5, seed=3))
    assert not np.array_equal(first, trained.sample(5, seed=4))
    latents = np.zeros((2, 3))
    shirt, trouser = trained.decode(latents, [0, 1])
    assert np.abs(shirt - trouser).max() > 1e-3
    drawn = trained.sample(5, seed=3, labels=np.arange(5), pixels=True)
    assert set(np.unique(drawn)) == {0, 1}


def test_the_bound_and_its_terms_are_measured(trained):
    test = garments(20, "test", examples=50)
    found = measure.evaluate(trained, test, samples=30, pictures=25)
    assert all(isinstance(value, float) for value in found.values())
    assert found["elbo"] == pytest.approx(-found["reconstruction"] - found["kl"], rel=1e-5)
    assert found["pictures"] == 50 and found["bound_pictures"] == 25
    assert found["bound_samples"] == 30 and 0 < found["elbo_error"] < 60
    bits = -found["elbo"] / 784 / np.log(2)
    assert found["bits_per_dimension"] == pytest.approx(bits, rel=1e-5)
    means = np.concatenate([trained.encode(test[index][0]) for index in range(3)])
    assert found["active_units"] == measure.active_units(means).sum() and found["latents"] == 3
    x, labels = test[0]
    one, many = (trained.bound(x, k, labels=labels).mean() for k in (1, 300))
    assert many > one
    grey = data.load("garments", "test", batch_size=20, examples=50)
    with pytest.warns(generation.FewSamples):  # than features
        again = measure.evaluate(trained, test, samples=0, extractors=("garments",))
        alone = generation.evaluate(trained, grey, extractors=("garments",))
    assert "bound" not in again and again["elbo"] == found["elbo"]
    assert {name: again[name] for name in alone} == alone


def test_active_units_by_hand():
    means = np.array([[0, 1, 5], [0.01, -1, 5], [0, 0.2, 5]])
    assert measure.active_units(means).tolist() == [False, True, False]


def test_more_examples_than_a_batch_and_none_is_lost():
    network = keras.Sequential([keras.Input((2,)), keras.layers.Rescaling(2.0)])
    x = np.arange(14, dtype="float32").reshape(7, 2)
    for size in (1, 3, 7, 20):
        np.testing.assert_array_equal(generative.in_batches(network, x, size=size), 2 * x)


def nan(x, labels):
    x[1, 3, 4] = np.nan
    return x, labels


@pytest.fixture(scope="module")
def compiled():
    """A model that is compiled once for several tests, and its weights."""
    model = tiny(num_classes=10)
    model.compile("adam")
    return model, model.get_weights()


@pytest.mark.parametrize(
    "spoil",
    [
        nan,
        lambda x, labels: (x * 255, labels),
        lambda x, labels: (x - 0.5, labels),
        lambda x, labels: (x, labels + 10),
        lambda x, labels: (x, labels - 10),
    ],
)
def test_values_that_are_none_stop_the_training(compiled, sentence, spoil):
    model, weights = compiled
    model.set_weights(weights)
    batch = spoil(*garments()[0])
    with pytest.raises(training.TrainingDiverged) as caught:
        training.fit(model, batch, 2, show=False)
    assert "step 1" in sentence(caught)


@pytest.mark.parametrize("trained_before", [False, True])
def test_fit_says_that_the_pictures_have_another_size(refuses_another_size, trained_before):
    model = tiny(num_classes=10)
    model.compile("adam")
    refuses_another_size(model, *garments()[0], trained_before)


def test_nan_never_enters_the_networks(compiled, survives):
    model, weights = compiled
    model.set_weights(weights)
    survives(model, *nan(*garments()[0]))


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda m: m.encode(np.zeros((2, 28, 28))), "shape (2, 28, 28): give (n, 28, 28, 1)"),
        (lambda m: m.encode(np.zeros((0, 28, 28, 1))), "n at least 1"),
        (lambda m: m.encode(np.full((1, 28, 28, 1), 3)), "from 3 to 3: scale them"),
        (lambda m: m.encode(np.full((1, 28, 28, 1), np.nan)), "hold NaN"),
        (lambda m: m.decode(np.zeros((2, 4)), [0, 1]), "shape (2, 4): give (n, 3)"),
        (lambda m: m.decode(np.zeros((2, 3))), "the class of each of the 2 pictures"),
        (lambda m: m.decode(np.zeros((2, 3)), [0.0, 1.0]), "whole numbers of the shape (2,)"),
        (lambda m: m.decode(np.zeros((2, 3)), [0, 10]), "from 0 to 10: give classes from 0 to 9"),
        (lambda m: m.sample(0), "n is 0"),
        (lambda m: m.sample(2.0), "n is 2.0"),
        (lambda m: m.sample(2, seed="x"), "seed is 'x'"),
        (lambda m: m.bound(np.zeros((1, 28, 28, 1)), 5, "x", [1]), "seed is 'x'"),
        (lambda m: m.bound(np.zeros((1, 28, 28, 1)), 0, labels=[1]), "k is 0"),
        (lambda m: m.bound(np.zeros((1, 28, 28, 1)), 5), "needs the class"),
        (lambda m: measure.evaluate(m, garments()), "None batches"),
        (lambda m: measure.evaluate(m, garments(split="test"), samples=-1), "samples is -1"),
        (lambda m: measure.evaluate(m, garments(split="test"), pictures=0), "pictures is 0"),
    ],
)
def test_bad_input_is_one_sentence(trained, sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call(trained)
    assert said in sentence(caught)


def networks(**options):
    return {
        "encoder": dense_encoder((28, 28, 1), options.get("encoded", 3), 4),
        "decoder": dense_decoder((28, 28, options.get("maps", 1)), 3, 4, options.get("classes")),
    }


@pytest.mark.parametrize(
    "build, said",
    [
        (lambda: vae("resnet"), "choose one of 'convolutional', 'dense'"),
        (lambda: vae(size=30), "size is 30"),
        (lambda: vae(channels=2), "channels is 2"),
        (lambda: vae(latent=0), "latent is 0"),
        (lambda: vae(num_classes=1), "num_classes is 1"),
        (lambda: vae(likelihood="normal"), "no likelihood 'normal'"),
        (lambda: tiny(beta=-1), "beta is -1"),
        (lambda: tiny(free_bits="much"), "free_bits is 'much'"),
        (lambda: tiny(anneal_steps=1.5), "anneal_steps is 1.5"),
        (lambda: tiny(importance_samples=0), "importance_samples is 0"),
        (lambda: tiny(importance_samples=5, beta=2.0), "leave beta at 1"),
        (lambda: tiny(importance_samples=5, free_bits=0.1), "free_bits at 0"),
        (lambda: tiny(seed=-1), "seed is -1"),
        (lambda: VAE(**networks(encoded=4)), "gives the shapes [(4,), (4,)]"),
        (lambda: VAE(**networks(maps=2)), "a Bernoulli likelihood of these pictures"),
        (lambda: VAE(**networks(classes=10)), "has 2 inputs: give it the latents only"),
        (lambda: VAE(**networks(), num_classes=10), "as its second input"),
        (lambda: vqvae(size=28, codes=0), "codes is 0"),
        (lambda: VAE(None, None), "encoder is None: give a keras.Model"),
        (lambda: VAE(networks()["encoder"], None), "decoder is None"),
        (lambda: VAE(**networks(classes=4), num_classes=10), "decoder was built for 4 classes"),
        (lambda: vae(["dense"]), "network is ['dense']"),
        (lambda: vae(size="28"), "size is '28'"),
        (lambda: vae(channels=[1]), "channels is [1]"),
        (lambda: vae(width=0), "width is 0"),
        (lambda: vae(likelihood=["bernoulli"]), "no likelihood ['bernoulli']"),
        (lambda: vae(likelihood=None), "no likelihood None"),
        (lambda: tiny(seed="x"), "seed is 'x'"),
        (lambda: dense_encoder((28, 28, 1), 0), "latent is 0"),
        (lambda: dense_encoder((28, 28), 3), "shape is (28, 28): give (height, width, channels)"),
        (lambda: dense_encoder((28, 28, 1), 3, hidden=-1), "hidden is -1"),
        (lambda: dense_decoder((28, 28, 1), 3, 0), "width is 0"),
        (lambda: dense_decoder((28, 28, 1), 3, num_classes=1), "num_classes is 1"),
        (lambda: convolutional_encoder((30, 30, 1), 3), "a multiple of 4"),
        (lambda: convolutional_decoder((28, 32, 1), 3), "shape is (28, 32, 1): give a square"),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(sentence, build, said):
    with pytest.raises(ValueError) as caught:
        build()
    assert said in sentence(caught)


@pytest.mark.parametrize(
    "batch, said",
    [
        (lambda x, labels: (x[:, :20], labels), "built for (28, 28, 1)"),
        (lambda x, labels: (x, np.eye(10)[labels]), "with integer labels (batch,)"),
        (lambda x, labels: (x, labels.astype("float32")), "labels have the type float32: give"),
    ],
)
def test_batches_that_do_not_fit_are_one_sentence(sentence, batch, said):
    model = tiny(num_classes=10)
    model.compile("adam")
    x, labels = batch(*garments()[0])
    with pytest.raises(ValueError) as caught:
        model.compute_loss(x, labels, {})
    assert said in sentence(caught)


@pytest.mark.parametrize("network", ["convolutional", "dense", "quantised"])
def test_the_file_of_its_weights_holds_encoder_and_decoder(network, tmp_path):
    def make():
        if network == "quantised":
            return vqvae(codes=5, code_width=2, width=2, prior_width=4, prior_blocks=1)
        return vae(network, latent=3, width=2, num_classes=10)

    first, second = make(), make()
    weights.save(first, tmp_path / "weights.npz", half=False)
    weights.load(second, tmp_path / "weights.npz")
    for ours, theirs in zip(first.weights, second.weights, strict=True):
        if "seed_generator" not in ours.path:
            np.testing.assert_array_equal(array(ours), array(theirs))
