"""Mask to image: networks, each player's gradient, training, painting, saving, and bad input."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise import training
from pixelwise.models import mask_to_image
from pixelwise.models.mask_to_image import (
    MaskToImage,
    patch_discriminator,
    spade_generator,
    style_encoder,
)
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.two_players import TwoPlayerAdam


def small(
    num_classes=3, size=16, hidden=0, spectral=True, style=False, kind=MaskToImage, **options
):
    """Networks of few channels for 16 x 16."""
    keras.utils.set_random_seed(0)
    return kind(
        spade_generator(num_classes, size, latent=4, width=2, hidden=hidden),
        patch_discriminator(num_classes, size, width=2, spectral=spectral),
        style_encoder(size, latent=4, width=2) if style else None,
        **options,
    )


def scenes(rows=4, size=16, num_classes=3, seed=0):
    """Pictures whose colour says the class: class k has the grey k / (num_classes - 1), less some.

    Returns:
        Pictures float32 ``(rows, size, size, 3)`` and label maps int32 ``(rows, size, size)``.
    """
    rng = np.random.default_rng(seed)
    masks = np.repeat(
        np.repeat(rng.integers(0, num_classes, (rows, 2, 2)), size // 2, 1), size // 2, 2
    )
    grey = 0.1 + 0.8 * masks / (num_classes - 1)
    pictures = grey[..., None] + rng.uniform(-0.1, 0.1, (rows, 1, 1, 3))
    return pictures.astype("float32"), masks.astype("int32")


class FixedNoise(MaskToImage):
    """Always plays with the same noise."""

    def call(self, pictures, training=False):
        rng = np.random.default_rng(1)
        noise = ops.convert_to_tensor(rng.normal(size=(4, self.latent)).astype("float32"))
        return {"latents": noise}


@pytest.mark.parametrize("size, hidden", [(16, 0), (32, 3)])
def test_networks_fit_each_other(size, hidden):
    model = small(size=size, hidden=hidden)
    made = model.paint(scenes(3, size)[1], seed=0)
    assert made.shape == (3, size, size, 3) and made.dtype == np.float32
    assert 0 <= made.min() and made.max() <= 1 and made.std() > 0.01
    logits, *hidden_maps = model.discriminator.predict_on_batch([made, scenes(3, size)[1]])
    assert logits.shape == (3, size // 8, size // 8, 1) and len(hidden_maps) == 3
    assert all(v.path.startswith("generator-") for v in model.generator.weights)
    assert all(v.path.startswith("discriminator-") for v in model.discriminator.weights)


def test_a_logit_sees_the_patch_that_is_said():
    model = small(size=64, spectral=False)
    masks = ops.zeros((1, 64, 64), "int32")

    def middle(pictures):
        return ops.sum(model.discriminator([pictures, masks])[0][:, 4, 4])

    slope = gradient(middle, np.random.default_rng(0).random((1, 64, 64, 3), "float32"))
    rows = np.flatnonzero(np.abs(slope).sum((0, 2, 3)))
    assert rows[-1] - rows[0] + 1 == 38


def test_the_label_map_and_the_noise_both_decide():
    model = small()
    masks = scenes(2)[1]
    one = model.paint(masks, seed=0)
    assert np.abs(one - model.paint(masks, seed=1)).max() > 0.01
    assert np.abs(one - model.paint((masks + 1) % 3, seed=0)).max() > 0.01
    assert (one == model.paint(masks, seed=0)).all()
    many = np.resize(masks, (mask_to_image.BATCH + 3, 16, 16))
    latents = np.resize(np.random.default_rng(0).normal(size=(2, 4)), (len(many), 4))
    made = model.paint(many, latents=latents)
    assert made[:2] == pytest.approx(model.paint(masks, latents=latents[:2]), abs=1e-5)
    assert made[-1] == pytest.approx(made[(len(many) - 1) % 2], abs=1e-5)


def test_each_player_gets_its_own_gradient(recorder):
    model = small(kind=FixedNoise, spectral=False, l1=2.0, matching=3.0)
    real, masks = scenes()
    real, masks = ops.convert_to_tensor(real), ops.convert_to_tensor(masks)
    noise = model(real)["latents"]
    fake = model.generator([noise, masks])

    def with_value(network, place, value):
        values = [v.value for v in network.trainable_variables]
        values[place] = value
        return values

    def of_discriminator(place):
        def loss_of(value):
            weights = with_value(model.discriminator, place, value)
            real_logits, fake_logits = (
                model.discriminator.stateless_call(weights, [], [x, masks])[0][0]
                for x in (real, fake)
            )
            return model.players.discriminator(real_logits, fake_logits)

        return loss_of

    def of_generator(place):
        def loss_of(value):
            weights = with_value(model.generator, place, value)
            made, _ = model.generator.stateless_call(weights, [], [noise, masks])
            logits, *found = model.discriminator([made, masks])
            _, *wanted = model.discriminator([real, masks])
            total = model.players.generator(logits) + model.l1 * ops.mean(ops.abs(made - real))
            for one, other in zip(found, wanted, strict=True):
                apart = ops.mean(one, axis=(0, 1, 2)) - ops.mean(other, axis=(0, 1, 2))
                total += model.matching / 3 * ops.mean(ops.abs(apart))
            return total

        return loss_of

    expected = {}
    for network, function in (
        (model.generator, of_generator),
        (model.discriminator, of_discriminator),
    ):
        for place in (0, 3, len(network.trainable_variables) - 2):
            variable = network.trainable_variables[place]
            expected[variable.path] = gradient(function(place), variable.value)

    model.compile(recorder)
    model.train_on_batch(*scenes())
    found = dict(
        zip([v.path for v in model.trainable_variables], model.optimizer.kept, strict=True)
    )
    for path, wanted in expected.items():
        scale = np.abs(wanted).max()
        assert scale > 0, path
        kept = ops.convert_to_numpy(found[path])
        assert kept == pytest.approx(wanted, abs=float(1e-3 * scale + 1e-6)), path


def test_it_learns_which_grey_a_class_has():
    model = small(num_classes=2, style=True)
    before = model.encoder.get_weights()
    model.compile(TwoPlayerAdam(8e-3, beta_1=0.0))
    data = training.ArrayBatches(*scenes(64, num_classes=2), batch_size=4)
    history = training.fit(model, data, 50, ema=0.9, show=False)
    for old, new in zip(before, model.encoder.get_weights(), strict=True):
        assert np.abs(old - new).max() > 0
    assert set(history.parts) == {"d", "g", "l1", "matching", "kl"}
    sums = np.sum([history.parts[name] for name in history.parts], axis=0)
    assert sums == pytest.approx(history.loss, abs=1e-3)
    masks = scenes(16, num_classes=2, seed=1)[1]
    made = model.paint(masks, seed=0)
    assert made[masks == 1].mean() - made[masks == 0].mean() > 0.4


def loss_of(model, pictures, masks):
    """The loss of one batch, without a step."""
    pictures, masks = ops.convert_to_tensor(pictures), ops.convert_to_tensor(masks)
    return ops.convert_to_numpy(model.compute_loss(pictures, masks, model(pictures)))


def test_the_noise_is_drawn_near_the_style_and_its_divergence_is_paid_for():
    model = small(style=True, l1=1.0, kl=0.5)
    pictures, masks = scenes(64)
    told = model(pictures)
    mean, log_variance = (ops.convert_to_numpy(told[k]) for k in ("mean", "log_variance"))
    off = (ops.convert_to_numpy(told["latents"]) - mean) / np.exp(log_variance / 2)
    assert abs(off.mean()) < 0.2 and abs(off.std() - 1) < 0.2
    expected = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum(1).mean()
    model.reset_metrics()
    model.compute_loss(pictures, ops.convert_to_tensor(masks), told)
    assert float(model.means["loss_kl"].result()) == pytest.approx(0.5 * expected, rel=1e-4)


def test_void_is_told_as_no_class_and_trained_on():
    pictures, masks = scenes()
    masks[:, :4] = 255
    assert np.isfinite(loss_of(small(), pictures, masks))


def test_saved_and_loaded(tmp_path):
    model = small(hidden=2, style=True, loss="least_squares", l1=1, matching=2, kl=3)
    model.compile(TwoPlayerAdam(1e-3))
    model.optimizer.build(model.trainable_variables)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    for name in ("l1", "matching", "kl", "num_classes", "latent", "size", "players"):
        assert getattr(again, name) == getattr(model, name)
    masks = scenes()[1]
    assert again.encoder.name == "encoder"
    assert again.paint(masks, seed=3) == pytest.approx(model.paint(masks, seed=3), abs=1e-5)
    assert isinstance(again.optimizer, TwoPlayerAdam)


@pytest.mark.parametrize(
    "value, label", [(1.5, 0), (-0.1, 0), (np.nan, 0), (0.5, 3), (0.5, -1), (0.5, 254)]
)
def test_what_cannot_be_learnt_from_has_no_loss(value, label):
    pictures, masks = scenes()
    pictures[2, 3, 4, 0], masks[1, 2, 3] = value, label
    assert np.isnan(loss_of(small(), pictures, masks))


def test_nan_never_enters_the_networks(survives, few_steps):
    model = small(style=True, l1=1.0, matching=1.0)
    model.compile(TwoPlayerAdam(1e-3), **few_steps)
    pictures, masks = scenes()
    pictures[2, 3, 4, 0] = np.nan
    survives(model, pictures, masks)


@pytest.mark.parametrize("style", [True, False])
def test_fit_says_in_one_sentence_that_the_pictures_have_another_size(style, sentence):
    model = small(style=style)
    model.compile(TwoPlayerAdam(1e-3))
    pictures, masks = scenes()
    with pytest.raises(ValueError) as caught:
        model.fit(pictures[:, :8], masks, verbose=0)
    assert "shape (8, 16, 3) and the networks were built for (16, 16, 3)" in sentence(caught)


def test_batches_that_do_not_fit(sentence):
    pictures, masks = scenes()
    for x, y, said in (
        (pictures, masks[:, :8], "of the shape (8, 16)"),
        (pictures[:, :8], masks, "(8, 16, 3)"),
        (pictures, np.arange(4), "of the shape ()"),
        (pictures, masks.astype("float32"), "label maps have the type float32: give whole"),
    ):
        with pytest.raises(ValueError) as caught:
            loss_of(small(), x, y)
        assert said in sentence(caught)


def changed(value, dtype="int32"):
    masks = np.zeros((2, 16, 16), dtype)
    masks[1, 2, 3] = value
    return masks


@pytest.mark.parametrize(
    "masks, said",
    [
        (changed(3), "Found the class 3 in the label maps, and the generator knows 3, 0 to 2"),
        (changed(-1), "Found the class -1"),
        (changed(255), "void (255)"),
        (changed(np.nan, "float32"), "float32, with NaN among them"),
        (changed(1.0, "float32"), "the type float32: give whole numbers"),
        (np.zeros((2, 16, 32), "int32"), "this model paints 16 x 16"),
        (np.zeros((16, 16), "int32"), "the shape (16, 16)"),
        (np.zeros((0, 16, 16), "int32"), "n at least 1"),
    ],
)
def test_label_maps_that_cannot_be_painted(masks, said, sentence):
    with pytest.raises(ValueError) as caught:
        small().paint(masks)
    assert said in sentence(caught)


def test_noise_that_does_not_fit(sentence):
    for latents, said in ((np.zeros((2, 3)), "(n, 4)"), (np.zeros((3, 4)), "2 label maps and 3")):
        with pytest.raises(ValueError) as caught:
            small().paint(changed(0), latents=latents)
        assert said in sentence(caught)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"loss": "hing"}, "the nearest is hinge"),
        ({"l1": -1}, "l1 is -1"),
        ({"matching": "some"}, "matching is 'some'"),
        ({"size": 24}, "size is 24: give a multiple of 16"),
        ({"num_classes": 1}, "num_classes is 1"),
        ({"loss": ["hinge"]}, "no GAN loss ['hinge']"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"hidden": -1}, "hidden is -1"),
    ],
)
def test_an_impossible_model(options, said, sentence):
    with pytest.raises(ValueError) as caught:
        small(**options)
    assert said in sentence(caught)


@pytest.mark.parametrize(
    "build, said",
    [
        (lambda: spade_generator(3, 30), "size is 30"),
        (lambda: spade_generator(3, latent=0), "latent is 0"),
        (lambda: spade_generator("3"), "num_classes is '3'"),
        (lambda: style_encoder(30), "size is 30"),
        (lambda: style_encoder(width=0), "width is 0"),
        (lambda: style_encoder(latent=None), "latent is None"),
        (lambda: patch_discriminator(3, 16.0), "size is 16.0"),
    ],
)
def test_an_impossible_network(build, said, sentence):
    with pytest.raises(ValueError) as caught:
        build()
    assert said in sentence(caught)


def test_a_seed_that_is_none(sentence):
    with pytest.raises(ValueError) as caught:
        small().paint(changed(0), seed="x")
    assert "seed is 'x'" in sentence(caught)


def test_networks_that_do_not_fit(sentence):
    generator = spade_generator(3, 16, latent=4, width=2)
    for other, said in (
        (patch_discriminator(4, 16, width=2), "3 classes and the discriminator 4"),
        (patch_discriminator(3, 32, width=2), "16 pixels a side and the discriminator 32"),
        (keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)]), "is not told label maps"),
    ):
        with pytest.raises(ValueError) as caught:
            MaskToImage(generator, other)
        assert said in sentence(caught)
    for networks, named in (
        ((None, None), "generator"),
        ((generator, None), "discriminator"),
        ((generator, generator, "style"), "encoder"),
    ):
        with pytest.raises(ValueError) as caught:
            MaskToImage(*networks)
        assert f"{named} is " in sentence(caught)
    with pytest.raises(ValueError) as caught:
        MaskToImage(generator, patch_discriminator(3, 16, width=2), style_encoder(16, 5, 2))
    assert "says 5 numbers, and the generator has 16 and 4" in sentence(caught)
