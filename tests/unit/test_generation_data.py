"""Garments and digits to generate: sizes, colours, binarisation, MNIST's files, and bad input."""

import gzip
import struct

import keras
import numpy as np
import pytest

from pixelwise import data, training
from pixelwise.data import fashion, idx, mnist, splits
from pixelwise.data.download import NoNetwork


def pack(array):
    """The bytes of an IDX file."""
    head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


def digits(count, seed):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 28, 28)).astype("uint8")
    return images, (np.arange(count) % 10).astype("uint8")


@pytest.fixture
def files(tmp_path):
    """A folder with a small MNIST in its own format, the test pictures packed and with a dot."""
    for part, count, form in (
        ("train", 40, "{}-{}-idx{}-ubyte"),
        ("t10k", 15, "{}-{}.idx{}-ubyte.gz"),
    ):
        for kind, array in zip(("images", "labels"), digits(count, count), strict=True):
            content = pack(array)
            path = tmp_path / form.format(part, kind, array.ndim)
            path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return tmp_path


def garments(split="train", **options):
    return data.load("garments", split, **options)


def test_a_batch_of_garments():
    images, labels = garments(batch_size=7)[2]
    assert images.shape == (7, 28, 28, 1) and images.dtype == np.float32
    assert labels.shape == (7,) and labels.dtype == np.int32
    assert images.min() == 0 and 0.9 < images.max() <= 1
    assert garments().classes == fashion.CLASSES and garments().num_classes == 10


def test_the_splits_share_no_picture_and_are_all_there():
    train, validation, test = (garments(split) for split in splits.NUMBERS)
    whole, labels = fashion.load("train")
    assert (len(train.images), len(validation.images), len(test.images)) == (11_000, 1000, 2000)
    np.testing.assert_array_equal(np.concatenate([train.images, validation.images]), whole)
    np.testing.assert_array_equal(np.concatenate([train.labels, validation.labels]), labels)
    np.testing.assert_array_equal(test.images, fashion.load("test")[0])
    assert len(garments(held_out=0).images) == 12_000
    assert train.num_batches is None and test.num_batches == 32 and len(test[31][0]) == 16


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"binarise": "dynamic"},
        {"binarise": "static", "size": 32},
        {"colour": True},
        {"size": 64, "colour": True, "background": "photographs"},
    ],
)
def test_a_batch_depends_on_its_seed_and_number_only(options):
    one, other = garments(batch_size=4, **options), garments(batch_size=4, **options)
    late = one[5]
    for index in (7, 5, 0):
        other[index]
    for found, expected in zip(other[5], late, strict=True):
        np.testing.assert_array_equal(found, expected)
    assert not np.array_equal(garments(batch_size=4, seed=1, **options)[5][0], late[0])
    # Twice as many in a batch are the same pictures.
    double = garments(batch_size=8, **options)
    np.testing.assert_array_equal(double[2][0][4:], late[0])


def test_each_pass_has_every_picture_once_in_another_order():
    few = garments(examples=24, batch_size=16)
    rows = np.concatenate([few[index][0] for index in range(3)])
    first, second = rows[:24], rows[24:]
    np.testing.assert_array_equal(first[:8], few[0][0][:8])
    expected = np.sort(few.images.reshape(24, -1).sum(1))
    for one in (first, second):
        np.testing.assert_array_equal(np.sort((one * 255).round().reshape(24, -1).sum(1)), expected)
    assert not np.array_equal(first, second)


def test_32_pixels_are_28_in_a_black_frame_and_64_the_double():
    small, framed, large = (garments("test", size=size)[0][0] for size in (28, 32, 64))
    np.testing.assert_array_equal(framed[:, 2:-2, 2:-2], small)
    assert framed.sum() == small.sum() and large.shape == (64, 64, 64, 1)
    assert not large[:, :4].any() and not large[:, :, -4:].any()
    # Halved again, the picture that was doubled is nearly itself.
    halved = large[:, 4:-4, 4:-4].reshape(64, 28, 2, 28, 2, 1).mean((2, 4))
    assert np.abs(halved - small).mean() < 0.02


def test_static_pixels_are_drawn_once_and_dynamic_ones_anew():
    static = garments(examples=8, batch_size=8, binarise="static")
    again = garments(examples=8, batch_size=8, binarise="static", seed=3)
    dynamic = garments(examples=8, batch_size=8, binarise="dynamic")

    def sorted_batch(dataset, index):
        images, labels = dataset[index]
        assert set(np.unique(images)) == {0, 1}
        order = [dataset._row(position) for position in range(8 * index, 8 * index + 8)]
        return images[np.argsort(order)]

    np.testing.assert_array_equal(sorted_batch(static, 0), sorted_batch(static, 1))
    np.testing.assert_array_equal(sorted_batch(static, 0), sorted_batch(again, 2))
    draws = np.stack([sorted_batch(dynamic, index)[..., 0] for index in range(400)])
    grey = dynamic.images / 255
    error = np.abs(draws.mean(0) - grey) / np.sqrt(grey * (1 - grey) / 400 + 1e-9)
    assert not np.array_equal(draws[0], draws[1])
    assert error.max() < 5 and np.array_equal(draws.mean(0)[grey == 0], grey[grey == 0])


def test_the_grey_pictures_behind_the_binarised_ones():
    options = {"size": 32, "batch_size": 6, "seed": 4, "examples": 10, "num_batches": 2}
    grey = data.load("garments", "train", **options)
    again = data.load("garments", "train", binarise="dynamic", **options).grey()
    assert again.num_batches == 2 and again.binarise is None
    for number in range(2):
        for one, other in zip(grey[number], again[number], strict=True):
            assert np.array_equal(one, other)


def test_colour_is_a_tint_of_the_garment_on_its_ground():
    black = garments("test", colour=True, batch_size=32)[0][0]
    photograph = garments("test", colour=True, background="photographs", batch_size=32)[0][0]
    grey = garments("test", batch_size=32)[0][0]
    assert black.shape == (32, 28, 28, 3) and photograph.max() <= 1
    assert not black[grey[..., 0] == 0][:, 0].mean() > 0.02
    assert (photograph[:, 0, 0].std(0) > 0.05).all()
    # Channels of a tint are multiples of each other, but for the rounding to whole levels.
    for image in black[:8]:
        values = np.linalg.svd(image.reshape(-1, 3), compute_uv=False)
        assert values[1] < 0.02 * values[0]


def test_mnist_from_its_own_files(files):
    train = data.load("mnist", "train", root=files, held_out=10, batch_size=10)
    validation = data.load("mnist", "validation", root=files, held_out=10)
    test = data.load("mnist", "test", root=files)
    images, labels = digits(40, 40)
    np.testing.assert_array_equal(train.images, images[:30])
    np.testing.assert_array_equal(validation.labels, labels[30:])
    np.testing.assert_array_equal(test.images, digits(15, 15)[0])
    np.testing.assert_array_equal(test[0][0][..., 0], digits(15, 15)[0].astype("float32") / 255)
    assert train.classes == tuple("0123456789")


def test_all_of_fashion_mnist_from_its_own_files(files):
    found = garments("test", root=files)
    np.testing.assert_array_equal(found.images, digits(15, 15)[0])
    assert len(garments("validation", root=files, held_out=5).images) == 5


def test_larochelles_pixels_are_taken_where_they_are(files):
    pixels = np.random.default_rng(0).integers(0, 2, (6, 784))
    text = "\n".join(" ".join(map(str, row)) for row in pixels)
    (files / "binarized_mnist_valid.amat").write_text(text + "\n")
    found = data.load("mnist", "validation", root=files, binarise="static")
    images, labels = found[0]
    np.testing.assert_array_equal(images.reshape(6, 784), pixels)
    assert (labels == mnist.NO_LABEL).all()
    # The other splits have no such file and are drawn.
    drawn = data.load("mnist", "train", root=files, binarise="static", held_out=10)
    assert len(drawn.images) == 30 and set(np.unique(drawn[0][0])) == {0, 1}


@pytest.mark.parametrize("content", ["0 1 " * 391, "0 2 " * 392, "0.0 " * 784, ""])
def test_damaged_binarised_files_are_one_sentence(files, sentence, content):
    (files / "binarized_mnist_test.amat").write_text(content)
    with pytest.raises(ValueError) as caught:
        data.load("mnist", "test", root=files, binarise="static")
    assert "784 times 0 or 1" in sentence(caught)


def cut(content):
    return content[:-5]


def damaged_end(content):
    packed = bytearray(gzip.compress(content))
    packed[-5] ^= 255
    return bytes(packed)


@pytest.mark.parametrize(
    "damage, said",
    [
        (cut, "5 fewer"),
        (lambda content: content[:9], "within its first bytes"),
        (lambda content: b"\0\0\x0d\x03" + content[4:], "does not begin"),
        (lambda content: b"", "does not begin"),
        (lambda content: cut(gzip.compress(content)), "cannot be unpacked"),
        (damaged_end, "cannot be unpacked"),
        (lambda content: pack(np.zeros((40, 20, 28), "uint8")), "(40, 20, 28)"),
        (lambda content: pack(np.zeros((39, 28, 28), "uint8")), "for 39 pictures"),
    ],
)
def test_damaged_pictures_are_one_sentence(files, sentence, damage, said):
    path = files / "train-images-idx3-ubyte"
    content = path.read_bytes()
    path.write_bytes(damage(content))
    with pytest.raises(ValueError) as caught:
        data.load("mnist", "train", root=files, held_out=5)
    if said == "5 fewer":
        said = f"{len(content) - 5:,} bytes where {len(content):,}"
    assert said in sentence(caught)


def test_labels_beyond_the_digits_are_one_sentence(files, sentence):
    labels = np.full(40, 10, "uint8")
    (files / "train-labels-idx1-ubyte").write_bytes(pack(labels))
    with pytest.raises(ValueError) as caught:
        data.load("mnist", "train", root=files, held_out=5)
    assert "numbers from 0 to 9" in sentence(caught)


def test_missing_files_are_one_sentence(tmp_path, sentence):
    with pytest.raises(ValueError) as caught:
        data.load("mnist", "train", root=tmp_path)
    assert "no train-images-idx3-ubyte" in sentence(caught)


@pytest.mark.parametrize("name, module", [("mnist", "mnist"), ("garments", "fashion_mnist")])
def test_without_a_network_it_says_so(monkeypatch, sentence, name, module):
    def unreachable():
        raise Exception("URL fetch failure on https://example.org/x.gz: None -- no\nroute.")

    monkeypatch.setattr(getattr(keras.datasets, module), "load_data", unreachable)
    with pytest.raises(NoNetwork) as caught:
        data.load(name, **({} if name == "mnist" else {"full": True}))
    assert "as root" in sentence(caught)


def test_downloaded_by_keras(monkeypatch):
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: (digits(30, 1), digits(12, 2)))
    np.testing.assert_array_equal(data.load("mnist", "test").images, digits(12, 2)[0])
    assert len(data.load("mnist", "train", held_out=4).images) == 26


@pytest.mark.parametrize(
    "options, said",
    [
        ({"split": "val"}, "no split 'val'"),
        ({"size": 48}, "choose one of 28, 32, 64"),
        ({"binarise": "always"}, "'static', 'dynamic'"),
        ({"binarise": "static", "colour": True}, "leave out colour"),
        ({"binarise": "dynamic", "size": 64}, "leave out colour"),
        ({"background": "photographs"}, "needs colour=True"),
        ({"background": "white", "colour": True}, "'black', 'photographs'"),
        ({"colour": "red"}, "choose one of False, True"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"num_batches": 0}, "num_batches is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"examples": 0}, "examples is 0"),
        ({"examples": 12_000}, "has 11,000 pictures"),
        ({"held_out": 12_000}, "leaves no picture for train"),
        ({"held_out": 0, "split": "validation"}, "leaves no picture for validation"),
        ({"held_out": 0.1}, "held_out is 0.1"),
        ({"binarize": "static"}, "no option 'binarize': the nearest are binarise"),
    ],
)
def test_wrong_options_are_one_sentence(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        garments(**options)
    assert said in sentence(caught)


def test_a_batch_that_is_not_there(sentence):
    with pytest.raises(IndexError) as caught:
        garments("test", batch_size=1000)[2]
    assert "outside the 2" in sentence(caught)


def test_training_takes_it():
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = training.fit(model, garments(batch_size=8), 30, show=False)
    assert np.mean(history.loss[-5:]) < np.mean(history.loss[:5])


def test_idx_files_say_their_axes(tmp_path):
    array = np.arange(24, dtype="uint8").reshape(2, 3, 4)
    (tmp_path / "a").write_bytes(pack(array))
    np.testing.assert_array_equal(idx.read(tmp_path / "a"), array)
