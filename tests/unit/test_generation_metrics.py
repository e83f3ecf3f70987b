"""Features of pictures, the measures of a generator, and what a user may get wrong with them."""

import hashlib
import json
import pickle
import warnings

import keras
import numpy as np
import pytest

from pixelwise import data
from pixelwise.metrics import classification, features, generation, likelihood, painting
from pixelwise.models import inception, zoo
from pixelwise.models.classifier import FEATURES, feature_extractor, garment_classifier
from pixelwise.weights import published

RNG = np.random.default_rng(0)
REAL = RNG.normal(size=(20, 5))
FAKE = RNG.normal(size=(20, 5)) + 0.3
GREY = RNG.uniform(size=(3, 28, 28, 1)).astype("float32")


@pytest.fixture(scope="module")
def garments():
    images, labels = data.load("garments", "test", batch_size=200)[0]
    return images, labels


class Generator:
    """Gives back pictures that it has, and remembers how it was asked."""

    def __init__(self, pictures):
        self.pictures, self.asked = pictures, []

    def sample(self, n, seed=None):
        self.asked.append((n, seed))
        return self.pictures[:n]


# What a measure returns


def test_an_estimate_is_a_number_that_says_what_it_was_measured_on():
    found = generation.fid(REAL, FAKE)
    assert isinstance(found, float) and found == float(found) and found < found + 1
    assert (found.real_samples, found.fake_samples, found.dimensions) == (20, 20, 5)
    assert f"{found:.2f}" == f"{float(found):.2f}"
    assert str(found).endswith("(20 real and 20 fake samples of 5 features)")
    assert json.dumps({"fid": found}) == json.dumps({"fid": float(found)})
    assert found.spread is None and found.note == ""
    kernel = generation.kid(REAL, FAKE, subsets=5, subset_size=10)
    assert f"+- {kernel.spread:.2g} (20 real" in str(kernel)
    again = pickle.loads(pickle.dumps(kernel))
    assert again == kernel and again.spread == kernel.spread


def test_few_samples_are_said_with_what_they_do(sentence):
    with pytest.warns(generation.FewSamples) as caught:
        found = generation.fid(np.tile(REAL, 4), np.tile(FAKE, 4)[:15])
    text = str(caught[0].message)
    assert caught[0].filename == __file__  # it points at the caller
    assert text.startswith("With 15 samples of 20 features") and text.endswith(".")
    assert "FID comes out too high" in text and found.note in str(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert generation.fid(REAL, FAKE).note == ""
        generation.kid(np.tile(REAL, 4), np.tile(FAKE, 4)[:15])  # without bias


def test_measures_take_what_a_network_returns():
    """float32, and arrays of the backend."""
    pair = REAL.astype("float32"), FAKE.astype("float32")
    tensors = [keras.ops.convert_to_tensor(x) for x in pair]
    assert generation.fid(*tensors) == generation.fid(*pair)
    assert generation.fid(*pair) == pytest.approx(float(generation.fid(REAL, FAKE)), rel=1e-5)


# Features


def test_features_of_the_embedded_networks(garments):
    images, labels = garments
    for name, dimensions in (("garments", FEATURES), ("mobilenet", 1280)):
        found = features.features(images[:6], name, batch_size=4)
        assert found.shape == (6, dimensions) and found.dtype == np.float64
        assert found.min() >= 0 and found.std(axis=0).max() > 0.1
        others = features.features(images[2:6], name)
        np.testing.assert_allclose(others, found[2:], rtol=1e-4, atol=1e-5)
        assert features.EXTRACTORS[name].dimensions == dimensions
    assert (features.classify(images) == labels).mean() > 0.85


def test_the_frame_around_a_garment_makes_no_difference(garments):
    images, labels = garments
    framed = np.pad(images, [(0, 0), (2, 2), (2, 2), (0, 0)])
    tripled = np.repeat(framed, 3, axis=-1)
    wanted = features.features(images[:5])
    np.testing.assert_allclose(features.features(framed[:5]), wanted, atol=1e-5)
    np.testing.assert_allclose(features.features(tripled[:5]), wanted, rtol=1e-4, atol=1e-4)
    large, labels = data.load("garments", "test", batch_size=200, size=64)[0]
    assert (features.classify(large) == labels).mean() > 0.8


@pytest.mark.parametrize("shape", [(40, 28, 1), (28, 28, 3), (130, 97, 3), (1, 1, 1)])
def test_pictures_of_any_size(shape):
    pictures = np.random.default_rng(1).uniform(size=(2, *shape)).astype("float32")
    for name in ("garments", "mobilenet"):
        assert np.isfinite(features.features(pictures, name)).all()


def test_resizing_is_the_same_on_all_backends():
    """A step: enlarged with half-pixel centres, and averaged, not sampled, where made smaller."""
    step = np.zeros((1, 4, 4, 1), "float32")
    step[:, :, 2:] = 1
    wider = features._resized(step, 8)
    np.testing.assert_allclose(wider[0, 0, :, 0], [0, 0, 0, 0.25, 0.75, 1, 1, 1], atol=1e-6)
    stripes = np.tile([0.0, 1.0], 32).astype("float32")[None, None, :, None].repeat(64, axis=1)
    smaller = features._resized(stripes, 16)
    assert np.abs(smaller[0, 0, 1:-1, 0] - 0.5).max() < 0.07


def test_resizing_like_tensorflow_1_by_hand():
    ramp = np.arange(4, dtype="float32")[None, None, :, None].repeat(2, axis=1)
    found = inception.resize_like_tensorflow1(ramp, 8)
    assert found.shape == (1, 8, 8, 1) and found.dtype == np.float32
    np.testing.assert_allclose(found[0, 3, :, 0], [0, 0.5, 1, 1.5, 2, 2.5, 3, 3])
    np.testing.assert_allclose(inception.resize_like_tensorflow1(ramp, 2)[0, :, :, 0], [[0, 2]] * 2)


def test_pictures_are_rounded_to_eight_bits():
    seen = []
    watch = features.Extractor(
        lambda x: x, lambda x: (seen.append(x), x.reshape(len(x), -1))[1], 784
    )
    found = features.features(GREY, watch, batch_size=2)
    assert [len(batch) for batch in seen] == [2, 2]  # filled up, to be compiled once
    np.testing.assert_allclose(found, np.rint(GREY * 255).reshape(3, -1) / 255, atol=1e-7)
    slightly_out = np.array([1.004, -0.003], "float32").reshape(2, 1, 1, 1)
    assert features.features(slightly_out, watch).ravel().tolist() == [1, 0]


# A generator


def test_a_perfect_generator_and_one_that_collapsed(garments):
    images, labels = garments
    dataset = data.load("garments", "test", batch_size=50, examples=200)
    perfect, collapsed = Generator(images), Generator(images[labels == 1][[0] * 200])
    found = generation.evaluate(perfect, dataset, extractors=["garments"], seed=5)
    worse = generation.evaluate(collapsed, dataset, extractors=["garments"])
    assert perfect.asked == [(200, 5)]
    assert list(found)[0] == "fid_garments" and set(found) == {
        *("fid_garments", "kid_garments", "kid_garments_spread", "precision", "recall"),
        *("classes", "shares", "samples", "real"),
    }
    assert found["fid_garments"] < 1e-6 < 1 < worse["fid_garments"]
    assert found["kid_garments"] < worse["kid_garments"]
    assert found["precision"] == found["recall"] == worse["precision"] == 1
    assert worse["recall"] < 0.1
    assert found["classes"] == 10 and worse["classes"] == 1 and worse["shares"][1] == 1
    assert found["samples"] == found["real"] == 200
    numbers = [v for k, v in found.items() if k != "shares"]
    assert all(type(value) in (float, int) for value in numbers)


@pytest.mark.filterwarnings("ignore::pixelwise.metrics.distances.FewSamples")
def test_a_generator_of_something_else_is_measured_without_classes():
    class Pictures(keras.utils.PyDataset):
        num_batches = 2

        def __getitem__(self, index):
            return RNG.uniform(size=(4, 20, 30, 3)).astype("float32")

    model = Generator(RNG.uniform(size=(8, 20, 30, 3)))
    found = generation.evaluate(model, Pictures(), extractors=("mobilenet",))
    assert set(found) == {
        *("fid_mobilenet", "kid_mobilenet", "kid_mobilenet_spread", "precision", "recall"),
        *("samples", "real"),
    }
    assert found["real"] == 8 and found["fid_mobilenet"] > 0


# The classifier


def test_the_classifier_trains_saves_and_loads(tmp_path):
    images, labels = data.load("garments", "train", batch_size=32)[0]
    model = garment_classifier(dropout=0.0)
    assert model.count_params() < 220_000
    model.compile(keras.optimizers.Adam(3e-3))
    history = model.fit(images, labels, batch_size=32, epochs=15, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    wanted = model.predict_on_batch(images)
    np.testing.assert_allclose(again.predict_on_batch(images), wanted, atol=1e-5)
    both = feature_extractor(model).predict_on_batch(images)
    assert both["features"].shape == (32, FEATURES)
    np.testing.assert_allclose(both["logits"], wanted, atol=1e-5)


def test_the_loss_of_the_classifier_is_its_cross_entropy():
    model = garment_classifier(num_classes=3)
    logits = np.log([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]]).astype("float32")
    loss = model.compute_loss(y=np.array([0, 2]), y_pred=keras.ops.convert_to_tensor(logits))
    assert float(loss) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)


def test_pictures_shift_in_training_by_whole_pixels_only():
    layer = garment_classifier(shift=2).get_layer("shift")
    pictures = np.zeros((50, 28, 28, 1), "float32")
    pictures[:, 10, 12] = 1
    moved = keras.ops.convert_to_numpy(layer(pictures, training=True))
    assert set(np.unique(moved)) == {0, 1}
    rows, columns = np.nonzero(moved[..., 0])[1:]
    assert set(rows) == {8, 9, 10, 11, 12} and set(columns) == {10, 11, 12, 13, 14}
    still = keras.ops.convert_to_numpy(layer(pictures, training=False))
    assert np.array_equal(still, pictures)


def test_the_accuracy_of_a_classifier_by_hand():
    class Answers:
        def predict_on_batch(self, images):
            return np.eye(3)[[0, 1, 1, 0]][: len(images)]

    class Two(keras.utils.PyDataset):
        num_batches, num_classes = 2, 3

        def __getitem__(self, index):
            return (np.zeros((4, 2)), np.array([0, 1, 0, 0])) if index == 0 else (GREY[:1], [1])

    found = classification.evaluate(Answers(), Two())
    assert found["accuracy"] == pytest.approx(3 / 5) and found["pictures"] == 5
    np.testing.assert_allclose(found["class_accuracy"], [2 / 3, 1 / 2, np.nan])


# The Inception-V3


def test_inception_of_any_size_and_frozen():
    model = zoo.load("inception_v3_fid", input_shape=None, freeze_bn=True)
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 94 and not any(layer.trainable for layer in norms)
    assert model.predict_on_batch(np.zeros((1, 75, 90, 3), "float32")).shape == (1, 2048)


def test_inception_is_fetched_from_its_own_server(server, monkeypatch, tmp_path):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path))
    file = tmp_path / "made.pth"
    torch.save({"fc.bias": torch.arange(3.0)}, file)
    name = f"x-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth"
    server.add(name, file.read_bytes())
    monkeypatch.setitem(published.FILES, "inception_v3_fid", {"fid": name})
    monkeypatch.setitem(published.SERVERS, "inception_v3_fid", f"http://127.0.0.1:{server.port}")
    assert published.fetch("inception_v3_fid", "fid")["fc.bias"].tolist() == [0, 1, 2]
    assert server.requests == [(None, 200)]


# Wrong input


class Endless(keras.utils.PyDataset):
    num_batches = None


def nan(array):
    return np.where(np.arange(array.size).reshape(array.shape) == 3, np.nan, array)


WRONG = {
    "NaN features": (lambda: generation.fid(REAL, nan(FAKE)), "1 of the 20 fake samples have"),
    "infinite features": (lambda: generation.kid(nan(REAL) * np.inf, FAKE), "20 of the 20 real"),
    "different widths": (
        lambda: generation.fid(REAL, FAKE[:, :4]),
        "The real samples have 5 features and the fake ones 4",
    ),
    "one sample": (lambda: generation.fid(REAL, FAKE[:1]), "There are 1 fake samples, too few: gi"),
    "no sample": (lambda: generation.kid(REAL[:0], FAKE), "There are 0 real samples, too few"),
    "as many as the neighbour": (
        lambda: generation.precision_recall(REAL[:3], FAKE),
        "There are 3 real samples, too few for a neighbour number 3: give 4 or more",
    ),
    "pictures in the place of features": (
        lambda: generation.fid(GREY, GREY),
        "The real features have the shape (3, 28, 28, 1)",
    ),
    "words": (lambda: generation.fid([["a"]] * 3, REAL), "the type <U1: give numbers"),
    "complex": (lambda: generation.mmd2(REAL, FAKE * 1j), "the type complex128: give numbers"),
    "no neighbour": (lambda: generation.precision_recall(REAL, FAKE, k=0), "k is 0: give a whole"),
    "no subset": (lambda: generation.kid(REAL, FAKE, subsets=0), "subsets is 0: give"),
    "subsets of one": (lambda: generation.kid(REAL, FAKE, subset_size=1), "subset_size is 1: give"),
    "large subsets": (
        lambda: generation.kid(REAL, FAKE, subset_size=21),
        "subset_size is 21, but there are 20 real and 20 fake samples",
    ),
    "a seed below 0": (lambda: generation.kid(REAL, FAKE, seed=-1), "seed is -1: give a whole"),
    "means of two sizes": (
        lambda: generation.frechet_distance([0.0], [[1.0]], [0.0, 1.0], np.eye(2)),
        "have the shapes (1,), (1, 1), (2,), (2, 2): give (dimensions,)",
    ),
    "not symmetric": (
        lambda: generation.frechet_distance([0, 0], [[1, 1], [0, 1]], [0, 0], np.eye(2)),
        "A covariance is not symmetric",
    ),
    "negative spread": (
        lambda: generation.frechet_distance([0, 0], -np.eye(2), [0, 0], np.eye(2)),
        "A covariance has the eigenvalue -1: no spread is negative",
    ),
    "NaN covariance": (
        lambda: generation.frechet_distance([0.0], [[np.nan]], [0.0], [[1.0]]),
        "A covariance is not symmetric, or not finite",
    ),
    "no label": (lambda: generation.coverage([], 10), "The labels have the shape (0,)"),
    "probabilities": (lambda: generation.coverage([0.5, 0.5], 10), "the type float64: give whole"),
    "an unknown label": (lambda: generation.coverage([0, 10], 10), "Found the label 10 among 10"),
    "no share": (lambda: generation.coverage([0], 10, least=0), "least is 0: give a share"),
    "outside [0, 1]": (
        lambda: features.features(2 * GREY - 1),
        "The pictures have values from -",
    ),
    "eight bits": (lambda: features.features(np.uint8(255 * GREY)), "have dtype uint8: give fl"),
    "NaN pictures": (lambda: features.classify(nan(GREY)), "without NaN"),
    "four channels": (lambda: features.features(np.zeros((1, 8, 8, 4))), "(1, 8, 8, 4): give one"),
    "one picture": (lambda: features.features(GREY[0]), "shape (28, 28, 1): give one or more"),
    "no picture": (lambda: features.features(GREY[:0]), "shape (0, 28, 28, 1): give one or more"),
    "another extractor": (
        lambda: features.features(GREY, "vgg"),
        "There is no extractor 'vgg': choose one of garments, mobilenet, inception",
    ),
    "batches of nothing": (
        lambda: features.features(GREY, batch_size=0),
        "batch_size is 0: give a whole number",
    ),
    "no data set": (
        lambda: generation.evaluate(Generator(GREY), GREY),
        "The data set is of the type ndarray: give a keras.utils.PyDataset",
    ),
    "no sampler": (
        lambda: generation.evaluate(None, data.load("garments", "test", examples=9)),
        "A NoneType draws no pictures",
    ),
    "no likelihood": (
        lambda: likelihood.evaluate(Generator(GREY), data.load("garments", "test", examples=9)),
        "A Generator gives no likelihood",
    ),
    "endless data": (
        lambda: generation.evaluate(Generator(GREY), Endless()),
        "The data set has None batches: measure on a split of known",
    ),
    "samples of another size": (
        lambda: generation.evaluate(
            Generator(np.zeros((9, 32, 32, 1))), data.load("garments", "test", examples=9)
        ),
        "samples have the shape (9, 32, 32, 1) and the real pictures (9, 28, 28, 1)",
    ),
    "an extractor that is no list": (
        lambda: generation.evaluate(Generator(GREY), Endless(), extractors="garments"),
        "extractors is 'garments': give a list",
    ),
    "an unknown extractor, the second of two": (
        lambda: generation.evaluate(Generator(GREY), Endless(), extractors=("garments", "vgg")),
        "a name in extractors is 'vgg': choose one of 'garments'",
    ),
    "an extractor in a list": (
        lambda: generation.evaluate(Generator(GREY), Endless(), extractors=[["garments"]]),
        "a name in extractors is ['garments']",
    ),
    "no neighbour at all": (lambda: generation.evaluate(Generator(GREY), Endless(), k=0), "k is 0"),
    "a share of text": (
        lambda: generation.evaluate(Generator(GREY), Endless(), least="a"),
        "least is",
    ),
    "an unknown extractor of a VAE": (
        lambda: likelihood.evaluate(Generator(GREY), Endless(), extractors=("vgg",)),
        "a name in extractors is 'vgg'",
    ),
    "an unknown extractor of a painter": (
        lambda: painting.evaluate(Generator(GREY), Endless(), judge=None, extractors=("vgg",)),
        "a name in extractors is 'vgg'",
    ),
    "no painter": (lambda: painting.evaluate(None, Endless()), "A NoneType does not paint"),
    "one class": (lambda: garment_classifier(1), "num_classes is 1: give a whole number"),
    "a negative shift": (lambda: garment_classifier(shift=-1), "shift is -1: give a whole number"),
    "all dropped": (lambda: garment_classifier(dropout=1), "dropout is 1: give a share"),
    "a small Inception": (
        lambda: zoo.load("inception_v3_fid", input_shape=(74, 299, 3)),
        "input_shape is (74, 299, 3): give (height, width, 3) with 75",
    ),
    "unknown Inception weights": (
        lambda: zoo.load("inception_v3_fid", weights="imagenet"),
        "inception_v3_fid has no weights 'imagenet': choose 'fid'",
    ),
    "accuracy without end": (
        lambda: classification.evaluate(None, Endless()),
        "The data set has None batches",
    ),
}


@pytest.mark.parametrize(("call", "said"), WRONG.values(), ids=WRONG.keys())
def test_wrong_input_gives_one_sentence(sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in sentence(caught)
