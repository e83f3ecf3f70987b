"""The VQ-VAE: training that resumes, codes in use, two-stage samples, saving, and bad input."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise import data, training
from pixelwise.metrics import likelihood as measure
from pixelwise.models.vae_networks import code_prior, vqvae
from pixelwise.models.vqvae import VQVAE, log_prior
from pixelwise.nn.codebook import Codebook
from pixelwise.nn.masked_convolution import MaskedConv2D

TINY = {"codes": 16, "code_width": 4, "width": 4, "prior_width": 8, "prior_blocks": 2}


def array(x):
    return ops.convert_to_numpy(x)


def tiny(**options):
    keras.utils.set_random_seed(0)
    return vqvae(**(TINY | options))


def garments(split="train", **options):
    return data.load("garments", split, batch_size=8, **options)


def fitted(model, steps=8, **options):
    model.compile(keras.optimizers.Adam(5e-3))
    return training.fit(model, garments(), steps, show=False, **options)


@pytest.fixture(scope="module")
def trained():
    model = tiny(num_classes=10)
    model.history = fitted(model, 60)
    return model


def test_it_trains_and_its_codes_are_in_use(trained):
    history = trained.history
    assert set(history.parts) == {"reconstruction", "commitment", "prior"}
    for part in ("reconstruction", "prior"):
        values = history.parts[part]
        assert np.mean(values[-10:]) < 0.9 * np.mean(values[:5]), part
    found = measure.evaluate(trained, garments("test", examples=40))
    assert found["codes_used"] >= 8 and found["code_perplexity"] > 4 and found["codes"] == 16
    assert found["elbo"] == pytest.approx(-found["reconstruction"] - found["kl"], rel=1e-5)
    assert "bound" not in found and "active_units" not in found


def test_every_weight_learns_and_the_prior_teaches_the_encoder_nothing(trained):
    fresh = tiny(num_classes=10)
    for ours, other in zip(trained.trainable_variables, fresh.trainable_variables, strict=True):
        assert not np.array_equal(array(ours), array(other)), ours.path
    # The same steps without a prior's gradient: encoder and decoder end the same.
    ends = []
    for trainable in (True, False):
        model = tiny(prior_blocks=1)
        model.prior.trainable = trainable
        fitted(model, 4)
        ends.append([array(v) for v in model.encoder.weights + model.decoder.weights])
    for one, other in zip(*ends, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_a_run_that_was_stopped_ends_as_if_it_had_not_been(tmp_path):
    def short():
        return tiny(prior_blocks=1)

    whole = short()
    expected = fitted(whole, name="whole", directory=tmp_path)

    def stop(model):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted(short(), name="cut", directory=tmp_path, validate=stop, validate_every=5)
    resumed = short()
    history = fitted(
        resumed, name="cut", directory=tmp_path, validate=lambda model: {}, validate_every=5
    )
    assert history.resumed_from == 5
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-4)
    for ours, theirs in zip(resumed.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_shapes_ranges_and_a_batch_of_one(trained):
    x, _ = garments("test")[0]
    for pictures in (x, x[:1]):
        count = len(pictures)
        codes = trained.codes(pictures)
        assert codes.shape == (count, 7, 7) and codes.dtype == np.int32
        assert codes.min() >= 0 and codes.max() < 16
        assert trained.encode(pictures).shape == (count, 7 * 7 * 4)
        made = trained.reconstruct(pictures)
        assert made.shape == pictures.shape and made.min() >= 0 and made.max() <= 1
    table = array(trained.codebook.table)
    expected = table[trained.codes(x)].reshape(8, -1)
    np.testing.assert_allclose(trained.encode(x), expected, rtol=1e-6)


def test_samples_depend_on_their_seed_and_class(trained):
    first = trained.sample(2, seed=0)
    assert first.shape == (2, 28, 28, 1) and first.dtype == np.float32
    np.testing.assert_array_equal(first, trained.sample(2, seed=0))
    assert not np.array_equal(first, trained.sample(2, seed=1))
    assert trained.sample(1, seed=0, labels=[3]).shape == (1, 28, 28, 1)


def test_codes_are_drawn_as_often_as_the_prior_says():
    """Of a map of one cell, whose prior sees nothing, the shares are the softmax of its logits."""
    keras.utils.set_random_seed(0)
    picture = keras.Input((4, 4, 1))
    encoder = keras.Model(picture, keras.layers.Conv2D(2, 4)(picture))
    vectors = keras.Input((1, 1, 2))
    decoder = keras.Model(vectors, keras.layers.Conv2DTranspose(1, 4)(vectors))
    prior = code_prior(3, (1, 1), width=4, blocks=2)
    prior.get_layer("logits").bias.assign([0.0, 1.0, -0.5])
    model = VQVAE(encoder, decoder, prior, Codebook(3, 2))
    draws = 3000
    found = model.draw_codes(draws, np.random.default_rng(0)).ravel()
    every = np.arange(3, dtype="int32").reshape(3, 1, 1)
    share = np.exp(array(log_prior(prior(every), every)))
    error = np.sqrt(share * (1 - share) / draws)
    assert share.sum() == pytest.approx(1, rel=1e-5)
    assert (np.abs(np.bincount(found, minlength=3) / draws - share) < 4.5 * error).all()


def test_saved_and_loaded_it_says_the_same(trained, tmp_path):
    trained.save(tmp_path / "vqvae.keras")
    again = keras.models.load_model(tmp_path / "vqvae.keras")
    assert isinstance(again, VQVAE)
    x, labels = garments("test")[0]
    np.testing.assert_array_equal(again.codes(x), trained.codes(x))
    for name, values in trained.terms(x, labels).items():
        np.testing.assert_allclose(again.terms(x, labels)[name], values, rtol=1e-4)


@pytest.fixture(scope="module")
def compiled():
    """A model that is compiled once for several tests, and its weights."""
    model = tiny(num_classes=10, prior_blocks=1)
    model.compile("adam")
    return model, model.get_weights()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x, labels: (x * 3, labels),
        lambda x, labels: (np.where(x > 0.5, np.nan, x), labels),
        lambda x, labels: (x, labels + 10),
    ],
)
def test_values_that_are_none_stop_the_training(compiled, sentence, spoil):
    model, weights = compiled
    model.set_weights(weights)
    with pytest.raises(training.TrainingDiverged) as caught:
        training.fit(model, spoil(*garments()[0]), 2, show=False)
    assert "step 1" in sentence(caught)


@pytest.mark.parametrize("trained_before", [False, True])
def test_fit_says_that_the_pictures_have_another_size(refuses_another_size, trained_before):
    model = tiny(num_classes=10, prior_blocks=1)
    model.compile("adam")
    refuses_another_size(model, *garments()[0], trained_before)


def test_nan_never_enters_the_networks(compiled, survives):
    model, weights = compiled
    model.set_weights(weights)
    x, labels = garments()[0]
    survives(model, np.where(x > 0.5, np.nan, x).astype("float32"), labels)


def test_labels_of_a_float_type_are_refused(compiled, sentence):
    x, labels = garments()[0]
    with pytest.raises(ValueError) as caught:
        training.fit(compiled[0], (x, labels.astype("float32")), 1, show=False)
    assert "labels have the type float32" in sentence(caught)


def with_parts(**changes):
    """The parts of a tiny model, some of them from another."""
    model, other = tiny(), tiny(**changes)
    return lambda *names: VQVAE(
        **{
            name: getattr(other if name in names else model, name)
            for name in ("encoder", "decoder", "prior", "codebook")
        }
    )


def told_of(built, num_classes):
    """A model of another number of classes than its prior was built for."""
    model = tiny(num_classes=built, prior_blocks=1)
    parts = model.encoder, model.decoder, model.prior, model.codebook
    return VQVAE(*parts, num_classes=num_classes)


@pytest.mark.parametrize(
    "build, said",
    [
        (lambda: tiny(codes=0), "codes is 0: give a whole number from 1"),
        (lambda: tiny(code_width=2.5), "code_width is 2.5"),
        (lambda: Codebook(4, 2.5), "width is 2.5"),
        (lambda: tiny(size=48), "size is 48"),
        (lambda: tiny(commitment=-1), "commitment is -1"),
        (lambda: tiny(num_classes=1), "num_classes is 1"),
        (lambda: tiny(prior_blocks=0), "prior_blocks is 0"),
        (lambda: tiny(likelihood="mse"), "no likelihood 'mse'"),
        (lambda: Codebook(4, 2, decay=1), "decay is 1"),
        (lambda: Codebook(4, 2, least_use=-0.1), "least_use is -0.1"),
        (lambda: MaskedConv2D(4, 2, "left"), "size is 2"),
        (lambda: MaskedConv2D(4, 3, "right"), "sees is 'right'"),
        (lambda: with_parts(code_width=5)("codebook"), "a code has 5 numbers"),
        (lambda: with_parts(likelihood="gaussian")("decoder"), "a Bernoulli likelihood"),
        (lambda: with_parts(codes=9)("prior"), "gives (7, 7, 9)"),
        (lambda: with_parts(num_classes=10)("prior"), "has 2 inputs"),
        (lambda: VQVAE(None, None, None, None), "encoder is None: give a keras.Model"),
        (lambda: VQVAE(*[with_parts()().encoder] * 3, None), "codebook is None"),
        (lambda: told_of(9, 10), "prior was built for 9 classes and num_classes is 10"),
        (lambda: tiny(width=0), "width is 0"),
        (lambda: tiny(code_width=0), "code_width is 0"),
        (lambda: code_prior(4, 7), "map_shape is 7"),
        (lambda: code_prior(4, (7, 7), blocks=0), "blocks is 0"),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(sentence, build, said):
    with pytest.raises(ValueError) as caught:
        build()
    assert said in sentence(caught)


@pytest.mark.parametrize(
    "call, said",
    [
        (lambda m: m.codes(np.zeros((1, 14, 14, 1))), "shape (1, 14, 14, 1)"),
        (lambda m: m.encode(np.full((1, 28, 28, 1), -1)), "scale them"),
        (lambda m: m.decode(np.zeros((1, 10))), "give (n, 196)"),
        (lambda m: m.sample(2, labels=[0, 11]), "classes from 0 to 9"),
        (lambda m: m.terms(np.zeros((1, 28, 28, 1))), "needs the class"),
        (lambda m: m.sample(-1), "n is -1"),
        (lambda m: m.sample(1, seed="x"), "seed is 'x'"),
    ],
)
def test_bad_input_is_one_sentence(trained, sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call(trained)
    assert said in sentence(caught)
