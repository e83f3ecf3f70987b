"""Segmenting one picture: windows, scales, mirroring, padding and memory, against plain answers."""

import tracemalloc

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image

from pixelwise import inference, windows
from pixelwise.data import pictures
from pixelwise.metrics import segmentation as seg
from pixelwise.models.fcn import fcn

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (37, 61, 3), dtype=np.uint8)


class Toy:
    """A model in NumPy that notes what it was shown."""

    def __init__(self, logits, smallest=1):
        self.logits, self.shapes = logits, []
        self.layers = [type("Check", (), {"smallest": smallest})]

    def predict_on_batch(self, images):
        self.shapes.append(images.shape)
        return self.logits(images)


def pointwise(images):
    """Logits of four classes that depend on a pixel's own colour only."""
    return images @ np.random.default_rng(1).normal(0, 5, (3, 4)).astype("float32")


def lopsided(images):
    """Logits that depend on the neighbours to the left and above."""
    return pointwise(images) + 2 * np.roll(pointwise(images), (3, 1), (2, 1))


def softmax(logits):
    return ops.convert_to_numpy(ops.softmax(logits, axis=-1))


def plain(logits, image=PICTURE):
    """The probabilities of one look at a uint8 picture."""
    return softmax(logits(np.float32(image[None]) / 255))[0]


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return fcn(3)  # with the embedded weights: random ones make all logits equal


# One view


def test_one_look_is_what_predict_says(network):
    image = RNG.uniform(size=(40, 50, 3)).astype("float32")
    expected = seg.predict(network, image[None])[0]
    found = inference.segment(network, image)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(inference.segment(network, image, window=96), expected)


def test_probabilities_are_the_softmax_of_the_logits():
    found = inference.probabilities(Toy(lopsided), PICTURE)
    assert found.dtype == np.float32 and found.shape == (37, 61, 4)
    np.testing.assert_allclose(found, plain(lopsided), atol=1e-6)
    classes = inference.segment(Toy(lopsided), PICTURE)
    np.testing.assert_array_equal(classes, found.argmax(-1))


@pytest.mark.parametrize("window", [(37, 61), 61, (40, 200), 4000])
def test_a_window_that_holds_the_picture_changes_nothing(window):
    model = Toy(lopsided)
    found = inference.probabilities(model, PICTURE, window=window)
    np.testing.assert_array_equal(found, inference.probabilities(Toy(lopsided), PICTURE))
    assert model.shapes == [(1, 37, 61, 3)]


def test_files_and_arrays_of_all_kinds(tmp_path):
    alpha = RNG.integers(0, 256, (37, 61, 1), dtype=np.uint8)
    cases = {
        "rgb": PICTURE,
        "grey": PICTURE[..., 0],
        "rgba": np.concatenate([PICTURE, alpha], axis=-1),
    }
    for name, array in cases.items():
        file = tmp_path / f"{name}.png"
        Image.fromarray(array).save(file)
        expected = plain(pointwise, pictures.read_image(file))
        for image in (file, str(file), array, array / 255, np.float16(array / 255)):
            found = inference.probabilities(Toy(pointwise), image)
            np.testing.assert_allclose(found, expected, atol=0.05)  # Pillow rounds, so does float16
        if name == "rgb":
            found = inference.probabilities(Toy(pointwise), file)
            np.testing.assert_allclose(found, expected, atol=1e-6)
    one = inference.segment(Toy(pointwise), PICTURE[..., :1])
    np.testing.assert_array_equal(one, inference.segment(Toy(pointwise), PICTURE[..., 0]))


# Windows


@pytest.mark.parametrize("overlap", [0, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("window", [8, 13, (20, 2), (2, 61), 36])
def test_windows_do_not_matter_to_a_pointwise_network(window, overlap):
    model = Toy(pointwise)
    found = inference.probabilities(model, PICTURE, window=window, overlap=overlap)
    np.testing.assert_allclose(found, plain(pointwise), atol=1e-5)
    assert set(model.shapes) == {(1, *np.minimum(pictures.as_size(window), (37, 61)), 3)}


@pytest.mark.parametrize("scale", [0.3, 0.77, 1.4, 2.5])
@pytest.mark.parametrize("window", [5, (9, 40)])
def test_nor_at_any_scale(scale, window):
    options = {"scales": (scale,), "flip": True}
    whole = inference.probabilities(Toy(pointwise), PICTURE, **options)
    parts = inference.probabilities(Toy(pointwise), PICTURE, window=window, overlap=0, **options)
    np.testing.assert_allclose(parts, whole, atol=1e-5)


@pytest.mark.parametrize("size", [64, 65, 100, 301])
@pytest.mark.parametrize("overlap", [0, 0.1, 0.25, 0.8])
def test_windows_cover_every_pixel_and_overlap_as_asked(size, overlap):
    for pixels in (size, size // 3, 2 * size):
        tiles = windows.tiles(pixels, size, 64, overlap)
        total, last = np.zeros(pixels), 0
        for tile in tiles:
            total[tile.first : tile.last] += tile.weight
            assert tile.stop - tile.start == 64 and 0 <= tile.start <= tile.stop <= size
            assert tile.lower.min() >= 0 and (tile.lower + (tile.fraction > 0)).max() < 64
            assert (tile.weight > 0).all()
        np.testing.assert_allclose(total, 1, atol=1e-6)
        assert tiles[0].start == 0 and tiles[-1].stop == size
        for one, other in zip(tiles, tiles[1:], strict=False):
            last = one.stop - other.start
            assert last >= max(1, np.floor(64 * overlap))


def test_windows_are_joined_smoothly():
    """A network that says something else in every window: the joint has no step."""

    def moody(images):
        yes = len(model.shapes) % 2
        return np.broadcast_to(np.float32([40 * yes, 40 - 40 * yes]), (*images.shape[:3], 2))

    model = Toy(moody)
    image = np.zeros((32, 112, 3), np.uint8)
    found = inference.probabilities(model, image, window=64, overlap=0.25)[..., 0]
    assert model.shapes == [(1, 32, 64, 3)] * 2  # columns 0 to 63 and 48 to 111
    assert (found[:, :48] > 0.999).all() and (found[:, 64:] < 0.001).all()
    falls = -np.diff(found[0, 47:65])
    assert (falls > 0).all() and falls.max() < 0.2


def test_the_edge_of_a_window_counts_little():
    """What a network says at the edge of a window, where it saw padding, is outvoted."""
    blur = np.outer(*[np.hanning(13)[1:-1]] * 2).astype("float32")

    def smooth(images):
        kernel = (blur / blur.sum())[..., None, None] * np.eye(3, dtype="float32")
        return pointwise(ops.convert_to_numpy(ops.conv(images, kernel, padding="same")))

    image = RNG.integers(0, 256, (9, 142, 3), dtype=np.uint8).repeat(8, 0)
    whole = inference.probabilities(Toy(smooth), image)
    errors = [
        np.abs(
            inference.probabilities(Toy(smooth), image, window=48, overlap=overlap) - whole
        ).mean()
        for overlap in (0, 0.25, 0.5)
    ]
    assert errors[0] > 10 * errors[1] and errors[1] > errors[2] > 0


def test_one_shape_for_pictures_of_all_sizes():
    model = Toy(pointwise)
    for size in ((100, 64), (64, 231), (97, 101)):
        image = np.zeros((*size, 3), np.uint8)
        inference.segment(model, image, window=64, scales=(1.0, 1.3), flip=True)
    assert set(model.shapes) == {(1, 64, 64, 3)}


# Scales and mirroring


@pytest.mark.parametrize("size", [(37, 61), 30, (90, 200), 150])
@pytest.mark.parametrize("scale", [1.0, 0.5, 1.75])
def test_logits_are_resized_as_keras_does_and_before_the_softmax(size, scale):
    model = Toy(lopsided)
    found = inference.probabilities(model, PICTURE, size=size, scales=[scale])
    factor = scale * min(np.array(pictures.as_size(size)) / (37, 61))
    shape = tuple(round(side * factor) for side in (37, 61))
    assert model.shapes == [(1, *shape, 3)]
    view = ops.image.resize(np.float32(PICTURE[None]) / 255, shape, antialias=True)
    logits = ops.image.resize(lopsided(ops.convert_to_numpy(view)), (37, 61))
    np.testing.assert_allclose(found, softmax(logits)[0], atol=2e-3)


def test_scaled_views_are_those_of_the_training_data():
    small = inference._resize(np.float32(PICTURE) / 255, (20, 33))
    theirs = pictures.resize_image(PICTURE, (20, 33))
    np.testing.assert_allclose(small, theirs / 255, atol=1.01 / 255)


def test_several_scales_are_averaged():
    scales = (0.5, 1.0, 1.6)
    each = [inference.probabilities(Toy(lopsided), PICTURE, scales=(s,)) for s in scales]
    together = inference.probabilities(Toy(lopsided), PICTURE, scales=scales)
    np.testing.assert_allclose(together, np.mean(each, axis=0), atol=1e-6)
    np.testing.assert_allclose(together.sum(-1), 1, atol=1e-5)
    np.testing.assert_array_equal(each[1], inference.probabilities(Toy(lopsided), PICTURE))


def test_a_mirrored_look_is_averaged_with_the_plain_one():
    mirrored = plain(lopsided, PICTURE[:, ::-1])[:, ::-1]
    found = inference.probabilities(Toy(lopsided), PICTURE, flip=True)
    np.testing.assert_allclose(found, (plain(lopsided) + mirrored) / 2, atol=1e-6)
    swapped = inference.probabilities(Toy(lopsided), PICTURE[:, ::-1], flip=True)
    np.testing.assert_allclose(swapped[:, ::-1], found, atol=1e-6)


def test_to_a_symmetric_network_mirroring_is_nothing():
    found = inference.probabilities(Toy(pointwise), PICTURE, flip=True)
    np.testing.assert_allclose(found, plain(pointwise), atol=1e-6)


# Sizes that a network does not take


def test_a_long_picture(network):
    image = RNG.integers(0, 256, (37, 301, 3), dtype=np.uint8)
    whole = inference.segment(network, image)
    np.testing.assert_array_equal(whole, seg.predict(network, np.float32(image[None]) / 255)[0])
    parts = inference.segment(network, image, window=96, flip=True)
    assert parts.shape == (37, 301)


def test_a_small_picture_is_padded_with_the_mean_colour(network):
    image = PICTURE[:20, :40]
    padded = np.full((1, 32, 40, 3), np.float32(pictures.PADDING) / 255, np.float32)
    padded[0, :20] = np.float32(image) / 255
    expected = softmax(network.predict_on_batch(padded))[0, :20]
    np.testing.assert_allclose(inference.probabilities(network, image), expected, atol=1e-5)


def test_padding_lies_on_the_right_of_a_mirrored_picture_too():
    model = Toy(lopsided, smallest=48)
    padded = np.full((1, 48, 61, 3), np.float32(pictures.PADDING) / 255, np.float32)
    padded[0, :37] = np.float32(PICTURE[:, ::-1]) / 255
    mirrored = softmax(lopsided(padded))[0, :37, ::-1]
    found = inference.probabilities(model, PICTURE, flip=True)
    one = inference.probabilities(Toy(lopsided, smallest=48), PICTURE)
    np.testing.assert_allclose(found, (one + mirrored) / 2, atol=1e-6)


def test_sides_become_multiples():
    model = Toy(pointwise)
    found = inference.probabilities(model, PICTURE, multiple=16)
    assert model.shapes == [(1, 48, 64, 3)]
    np.testing.assert_allclose(found, plain(pointwise), atol=1e-6)


def test_a_network_of_one_size():
    inputs = keras.Input((32, 48, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(2, 1)(inputs))
    found = inference.segment(model, PICTURE, window=(32, 48))
    np.testing.assert_array_equal(
        found, np.float32(PICTURE).dot(model.get_weights()[0][0, 0]).argmax(-1)
    )
    assert inference.segment(model, PICTURE[:9, :9]).shape == (9, 9)
    with pytest.raises(ValueError, match=r"of 32 x 48 pixels only.* give window=\(32, 48\)"):
        inference.segment(model, PICTURE)


# Memory


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"window": 16},
        {"window": 16, "scales": (0.6, 1.3), "flip": True},
        {"scales": (2.0, 0.25)},
    ],
)
def test_strips_change_nothing(options):
    expected = inference.segment(Toy(lopsided), PICTURE, **options)
    for rows in (1, 5, 36):
        memory = rows * 61 * 4 * 4 / 2**20
        found = inference.segment(Toy(lopsided), PICTURE, memory=memory, **options)
        np.testing.assert_array_equal(found, expected)


def test_strips_of_one_look_are_one_look():
    model = Toy(lopsided)
    inference.segment(model, PICTURE, memory=0.01)
    assert len(model.shapes) == 1


def test_a_large_picture_in_bounded_memory():
    """2000 x 3000 in eight classes: the probabilities alone would take 184 MiB."""
    weights = np.random.default_rng(1).normal(0, 5, (3, 8)).astype("float32")
    image = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8).repeat(100, 0).repeat(100, 1)
    model = Toy(lambda images: images @ weights)
    tracemalloc.start()
    try:
        found = inference.segment(model, image, window=512, memory=32)
        peak = tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()
    expected = (np.float32(image[::100, ::100]) / 255 @ weights).argmax(-1)
    np.testing.assert_array_equal(found, expected.repeat(100, 0).repeat(100, 1))
    assert set(model.shapes) == {(1, 512, 512, 3)}
    # MiB: the picture as float 69, its classes 23, a strip 32, two windows' logits 8 each, and a
    # few rows.
    assert peak < 69 + 23 + 32 + 2 * 8 + 10
    with pytest.raises(ValueError, match="take 184 MiB, more than memory=100"):
        inference.probabilities(model, image, window=512, memory=100)


# What is refused


IMAGE = np.float32(PICTURE) / 255
WRONG_PICTURES = {
    "nothing": (None, "shape ()"),
    "a batch": (IMAGE[None], "shape (1, 37, 61, 3)"),
    "channels first": (IMAGE.transpose(2, 0, 1), "shape (3, 37, 61)"),
    "two channels": (IMAGE[..., :2], "shape (37, 61, 2)"),
    "empty": (IMAGE[:0], "shape (0, 61, 3)"),
    "sixteen bits": (np.uint16(PICTURE), "dtype uint16"),
    "integers": (PICTURE.astype(int), "dtype int64"),
    "a mask": (PICTURE > 7, "dtype bool"),
    "0..255 in float": (np.float32(PICTURE), "to 255"),
    "NaN": (np.where(IMAGE > 0.9, np.nan, IMAGE), "without NaN"),
    "Pillow": (Image.fromarray(PICTURE), "Pillow"),
    "no file": ("there/is/no.png", "There is no picture"),
}


@pytest.mark.parametrize(("image", "said"), WRONG_PICTURES.values(), ids=WRONG_PICTURES.keys())
def test_wrong_pictures(sentence, image, said):
    for ask in (inference.segment, inference.probabilities):
        with pytest.raises(ValueError) as caught:
            ask(Toy(pointwise), image)
        assert said in sentence(caught)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scales": ()}, "scales is ()"),
        ({"scales": 1.0}, "scales is 1.0"),
        ({"scales": (1.0, 0)}, "scales is (1.0, 0)"),
        ({"scales": (float("inf"),)}, "scales is (inf,)"),
        ({"scales": ("1",)}, "scales is ('1',)"),
        ({"flip": "no"}, "flip is 'no'"),
        ({"overlap": -0.1}, "overlap is -0.1"),
        ({"overlap": 1}, "overlap is 1"),
        ({"overlap": float("nan")}, "overlap is nan"),
        ({"window": 31}, "window is 31 x 31 pixels, but the model needs at least 32 x 32"),
        ({"window": (64, 20)}, "window is 64 x 20 pixels"),
        ({"window": 0}, "window is 0"),
        ({"window": 64.0}, "window is 64.0"),
        ({"window": 40, "multiple": 32}, "give multiples of multiple=32"),
        ({"multiple": 0}, "multiple is 0"),
        ({"size": -1}, "size is -1"),
        ({"memory": 0}, "memory is 0"),
        ({"memory": float("nan")}, "memory is nan"),
    ],
)
def test_wrong_options(sentence, options, said):
    model = Toy(pointwise, smallest=32)
    for ask in (inference.segment, inference.probabilities):
        with pytest.raises(ValueError) as caught:
            ask(model, PICTURE, **options)
        assert said in sentence(caught)
    assert model.shapes == []  # before any work


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda x: {"logits": pointwise(x)}, "returns dict"),
        (lambda x: [pointwise(x), pointwise(x)], "returns list"),
        (lambda x: pointwise(x)[:, ::8, ::8], "returns (1, 5, 8, 4)"),
        (lambda x: pointwise(x).argmax(-1), "returns (1, 37, 61)"),
    ],
)
def test_networks_that_return_something_else(sentence, answer, said):
    with pytest.raises(ValueError) as caught:
        inference.segment(Toy(answer), PICTURE)
    assert said in sentence(caught)


@pytest.mark.parametrize("model", [None, "fcn8s"])
def test_what_is_no_network(sentence, model):
    for ask in (inference.segment, inference.probabilities):
        with pytest.raises(ValueError) as caught:
            ask(model, PICTURE)
        assert f"The model is {model!r}: give a keras.Model" in sentence(caught)
