"""Filling holes: the network, its two losses, training, filling, saving, and bad input."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise import training
from pixelwise.models.classical import METHODS, fill_classical
from pixelwise.models.inpaint import Inpainter, inpainter, patch_discriminator
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.two_players import TwoPlayerAdam

JAX = keras.backend.backend() == "jax"


def small(adversarial=0.1, convolution="gated", **options):
    keras.utils.set_random_seed(0)
    judge = patch_discriminator(width=2) if adversarial else None
    network = inpainter(width=4, convolution=convolution, dilations=(1, 2))
    return Inpainter(network, judge, adversarial=adversarial, **options)


def batch(rows=2, height=16, width=16, seed=0):
    """Smooth pictures, of which a rectangle is missing; in it the images hold another colour."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    slopes = rng.uniform(0, 0.5, (3, rows, 3))
    truth = slopes[0][:, None, None] * x[..., None] + slopes[1][:, None, None] * y[..., None]
    truth = truth.astype("float32")
    holes = np.zeros((rows, height, width), bool)
    holes[:, 4:10, 5:11] = True
    return np.where(holes[..., None], np.float32(0.9), truth), holes, truth


class Batches(keras.utils.PyDataset):
    """The same batch again and again, as the data set removal makes them."""

    num_batches = None

    def __getitem__(self, index):
        images, holes, truth = batch(4)
        return {"images": images, "holes": holes}, truth


@pytest.mark.parametrize("convolution", ["gated", "partial"])
@pytest.mark.parametrize("height, width", [(16, 16), (19, 33), (8, 17)])
def test_any_size_is_filled_and_known_pixels_stay(convolution, height, width):
    model = small(0, convolution)
    images, holes, _ = batch(2, height, width)
    filled = model.fill(images, holes)
    assert filled.shape == images.shape and filled.dtype == np.float32
    assert np.array_equal(filled[~holes], images[~holes])
    assert np.isfinite(filled).all() and filled.min() >= 0 and filled.max() <= 1
    assert not np.allclose(filled[holes], images[holes])


def test_one_model_fills_one_size_after_another():
    model = Inpainter(inpainter(4))
    for height, width in ((16, 24), (24, 16), (21, 30)):
        image, hole = np.full((1, height, width, 3), 0.5, "float32"), np.zeros((height, width))
        hole[4:9, 5:11] = 1
        assert np.isfinite(model.fill(image, hole)).all()


def test_what_stands_in_the_hole_is_not_seen():
    images, holes, _ = batch()
    for convolution in ("gated", "partial"):
        model = small(0, convolution)
        other = np.where(holes[..., None], np.nan, images)
        assert np.array_equal(model.fill(images, holes), model.fill(other, holes))
    one = small().fill(images, holes[0].astype("int32"))
    assert np.array_equal(one, small().fill(images, holes))


def test_layers_are_named_for_the_two_players():
    model = small()
    assert all(v.path.startswith("generator-") for v in model.generator.weights)
    assert all(v.path.startswith("discriminator-") for v in model.discriminator.weights)
    logits = model.discriminator([np.zeros((2, 32, 24, 3)), np.zeros((2, 32, 24))])
    assert tuple(logits.shape) == (2, 4, 3, 1)


def test_the_loss_by_hand():
    images, holes, truth = batch()
    model = small(0.25, hole=3.0, known=0.5)
    x = {"images": images, "holes": holes}
    made = model(x, training=True)
    loss = float(ops.convert_to_numpy(model.compute_loss(x, truth, made)))
    error = np.abs(ops.convert_to_numpy(made) - truth)
    filled = np.where(holes[..., None], ops.convert_to_numpy(made), truth)
    numbers = holes.astype("float32")
    real = ops.convert_to_numpy(model.discriminator([truth, numbers]))
    fake = ops.convert_to_numpy(model.discriminator([filled, numbers]))
    expected = {
        "loss_hole": error[holes].mean(),
        "loss_known": error[~holes].mean(),
        "loss_d": np.maximum(0, 1 - real).mean() + np.maximum(0, 1 + fake).mean(),
        "loss_g": -fake.mean(),
    }
    found = {name: float(mean.result()) for name, mean in model.means.items()}
    # Power iteration moves the spectral norms a little between the calls.
    assert found == pytest.approx(expected, rel=0.05, abs=0.05)
    weighted = 3 * found["loss_hole"] + 0.5 * found["loss_known"]
    assert loss == pytest.approx(weighted + 0.25 * found["loss_g"] + found["loss_d"], rel=1e-4)


def test_each_player_gets_its_own_gradient(few_steps):
    """No gradient of the generator's reaches the judge, none of the judge's the generator."""
    images, holes, truth = batch()
    model, numbers = small(), ops.convert_to_tensor(holes.astype("float32"))
    known = ops.convert_to_tensor(truth)
    made = ops.stop_gradient(model({"images": images, "holes": holes}))

    def loss_of(part):
        return lambda pixels: model.play(known, pixels, numbers, training=False)[part]

    assert np.abs(gradient(loss_of("loss_d"), made)).max() == 0
    by_pixel = np.abs(gradient(loss_of("loss_g"), made))
    assert by_pixel[holes].max() > 0 and by_pixel[~holes].max() == 0

    after = {}
    for weight in (0.1, 10.0):
        model = small(weight)
        model.compile(keras.optimizers.SGD(0.01), **few_steps)
        model.train_on_batch({"images": images, "holes": holes}, truth)
        after[weight] = [
            network.get_weights() for network in (model.generator, model.discriminator)
        ]
    (made_a, judge_a), (made_b, judge_b) = after.values()
    assert all(np.array_equal(a, b) for a, b in zip(judge_a, judge_b, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(made_a, made_b, strict=True))
    assert not np.array_equal(judge_a[0], small().discriminator.get_weights()[0])


@pytest.mark.parametrize("adversarial, convolution", [(0.05, "gated"), (0, "partial")])
def test_training_lowers_the_error_in_the_hole(adversarial, convolution):
    model = small(adversarial, convolution)
    optimizer = TwoPlayerAdam(1e-2) if adversarial else keras.optimizers.Adam(1e-2)
    model.compile(optimizer, jit_compile=JAX)
    history = training.fit(model, Batches(), 30, show=False)
    errors = history.parts["hole"]
    assert np.mean(errors[-5:]) < 0.5 * np.mean(errors[:3])
    assert ("d" in history.parts) == bool(adversarial)


def test_a_truth_that_is_no_picture_stops_the_training(few_steps):
    model = small(0)
    model.compile(keras.optimizers.Adam(1e-3), **few_steps)
    images, holes, truth = batch()
    loss = model.train_on_batch({"images": images, "holes": holes}, truth + 2)
    assert np.isnan(np.ravel(loss)[0])
    with pytest.raises(ValueError, match="as the data set removal has them"):
        model.compute_loss({"images": images, "holes": holes}, None, ops.convert_to_tensor(truth))


def test_a_model_survives_saving(tmp_path):
    images, holes, _ = batch()
    for adversarial in (0.1, 0):
        model = small(adversarial)
        path = tmp_path / f"model{adversarial}.keras"
        model.save(path)
        copy = keras.saving.load_model(path)
        assert copy.adversarial == model.adversarial
        assert np.allclose(copy.fill(images, holes), model.fill(images, holes), atol=1e-6)


def test_arguments_that_are_not_possible(sentence):
    with pytest.raises(ValueError, match="there is no discriminator") as caught:
        Inpainter(inpainter(width=4), adversarial=0.1)
    sentence(caught)
    for call in (
        lambda: inpainter(convolution="plain"),
        lambda: inpainter(width=0),
        lambda: Inpainter(inpainter(width=4), hole=-1.0),
        lambda: Inpainter(inpainter(width=4), loss="soft"),
        lambda: fill_classical(*batch()[:2], method="magic"),
        lambda: fill_classical(*batch()[:2], method=["mean"]),
        lambda: fill_classical(*batch()[:2], method=None),
        lambda: Inpainter(None),
        lambda: Inpainter(inpainter(width=4), "judge", adversarial=0.1),
        lambda: Inpainter(inpainter(width=4), loss=["hinge"]),
        lambda: inpainter(convolution=None),
        lambda: inpainter(dilations=2),
        lambda: inpainter(dilations=(1, 0)),
        lambda: patch_discriminator(width=None),
    ):
        with pytest.raises(ValueError) as caught:
            call()
        sentence(caught)


IMAGES, HOLES, TRUTH = batch()
NOWHERE, EVERYWHERE = np.zeros_like(HOLES), np.ones_like(HOLES)
WRONG = {
    "covers everything": (IMAGES, EVERYWHERE, "picture 0 covers all of it"),
    "one covers everything": (IMAGES, HOLES | (np.arange(2) == 1)[:, None, None], "picture 1 cov"),
    "empty": (IMAGES, NOWHERE, "picture 0 is empty"),
    "one is empty": (IMAGES, HOLES & (np.arange(2) == 0)[:, None, None], "picture 1 is empty"),
    "another size": (IMAGES, HOLES[:, :12], "holes have the shape (2, 12, 16)"),
    "another number": (IMAGES, HOLES[:1], "holes have the shape (1, 16, 16)"),
    "labels": (IMAGES, 3 * HOLES.astype("int32"), "other values than 0 and 1"),
    "NaN": (np.where(HOLES[..., None], IMAGES, np.nan), HOLES, "from nan"),
    "0..255": (IMAGES * 255, HOLES, "known pixels go from"),
    "eight bits": (np.uint8(IMAGES * 255), HOLES, "dtype uint8"),
    "grey": (IMAGES[..., :1], HOLES, "shape (2, 16, 16, 1)"),
    "one picture": (IMAGES[0], HOLES[0], "image[None]"),
    "none": (IMAGES[:0], HOLES[:0], "shape (0, 16, 16, 3)"),
}


UNTRAINABLE = {
    "pictures alone": (IMAGES, TRUTH, "What was given is no dict"),
    "no holes": ({"images": IMAGES}, TRUTH, "What was given is ['images']"),
    "holes of another size": ({"images": IMAGES, "holes": HOLES[:, :8]}, TRUTH, "(2, 8, 16)"),
    "another truth": ({"images": IMAGES, "holes": HOLES}, TRUTH[:, :8], "the truth (2, 8, 16, 3)"),
    "no truth": ({"images": IMAGES, "holes": HOLES}, None, "There is no truth"),
    "grey": ({"images": IMAGES[..., :1], "holes": HOLES}, TRUTH, "(2, 16, 16, 1)"),
    "odd": ({"images": IMAGES[:, :15], "holes": HOLES[:, :15]}, TRUTH[:, :15], "15 x 16 pixels"),
}


@pytest.mark.parametrize("x, y, said", UNTRAINABLE.values(), ids=UNTRAINABLE.keys())
def test_batches_that_cannot_be_learnt_from(sentence, few_steps, x, y, said):
    model = small(0)
    model.compile("adam", **few_steps)
    with pytest.raises(ValueError) as caught:
        model.fit(x, y, batch_size=2, verbose=0)
    assert said in sentence(caught)


def test_a_compiled_model_says_the_same(sentence):
    model = small(0)
    model.compile("adam", jit_compile=JAX)
    with pytest.raises(ValueError) as caught:
        model.fit({"images": IMAGES, "holes": HOLES[:, :8]}, TRUTH, batch_size=2, verbose=0)
    assert "8, 16)" in sentence(caught)


@pytest.mark.parametrize("images, holes, said", WRONG.values(), ids=WRONG.keys())
def test_pictures_and_holes_that_cannot_be_filled(sentence, images, holes, said):
    for fill in (small().fill, fill_classical):
        with pytest.raises(ValueError) as caught:
            fill(images, holes)
        assert said in sentence(caught)


@pytest.mark.parametrize("method", METHODS)
def test_classical_methods_keep_what_is_known(method):
    images, holes, truth = batch(2, 19, 16)
    filled = fill_classical(images, holes, method)
    assert filled.dtype == np.float32 and np.array_equal(filled[~holes], images[~holes])
    if method in ("biharmonic", "harmonic"):  # both continue a plane exactly
        assert filled == pytest.approx(truth, abs=1e-4)
    if method == "mean":
        assert filled[0][holes[0]] == pytest.approx(
            np.tile(images[0][~holes[0]].mean(0), (36, 1)), abs=1e-5
        )
    if method == "nearest":
        assert filled[0, 4, 6] == pytest.approx(images[0, 3, 6])


def test_one_hole_for_all_pictures():
    images, holes, _ = batch(3)
    for method in METHODS:
        expected = fill_classical(images, np.stack([holes[0]] * 3), method)
        assert np.array_equal(fill_classical(images, holes[0], method), expected)


def test_nothing_in_the_hole_is_seen_in_training_not_even_nan():
    model = small(0)
    images, holes, truth = batch(2)
    images[holes] = np.nan
    made = model({"images": images, "holes": holes})
    assert np.isfinite(float(model.compute_loss({"images": images, "holes": holes}, truth, made)))


@pytest.mark.parametrize("where", ["truth", "known"])
def test_nan_never_enters_the_networks(where, survives, few_steps):
    model = small(0.1)
    model.compile(TwoPlayerAdam(1e-3), **few_steps)
    images, holes, truth = batch()
    {"truth": truth, "known": images}[where][1, 2, 3, 1] = np.nan
    survives(model, {"images": images, "holes": holes}, truth)


def test_known_pixels_and_holes_that_are_none_have_no_loss():
    model = small(0)

    def loss(images, holes):
        x = {"images": images, "holes": holes}
        return float(ops.convert_to_numpy(model.compute_loss(x, truth, model(x))))

    images, holes, truth = batch()
    assert np.isfinite(loss(images, holes)) and np.isfinite(loss(images, holes.astype("int32")))
    assert np.isnan(loss(images + 1, holes))
    for value in (0.5, 2, np.nan):
        assert np.isnan(loss(images, np.where(holes, np.float32(value), np.float32(0))))


def test_harmonic_at_the_border_of_the_picture():
    images = np.full((1, 12, 12, 3), 0.25, "float32")
    holes = np.zeros((1, 12, 12), bool)
    holes[0, :5, 3:] = True  # two sides of it are the picture's own
    images[holes] = 1.0
    assert fill_classical(images, holes, "harmonic") == pytest.approx(0.25, abs=1e-5)
