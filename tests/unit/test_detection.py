"""Finding objects on one picture: resizing, padding, and the way back to the picture's pixels."""

import keras
import numpy as np
import pytest
from PIL import Image

from pixelwise import detection
from pixelwise.data import pictures
from pixelwise.models.backbones import IMAGENET_MEAN
from pixelwise.models.mask_rcnn import small_mask_rcnn

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (37, 61, 3), dtype=np.uint8)
SMALL = {"short_side": 32, "long_side": 64}


class Toy:
    """A detector that notes what it was shown and answers the same boxes always."""

    def __init__(self, boxes, classes):
        self.boxes = np.array([boxes], "float32").reshape(1, -1, 4)
        self.classes = np.array([classes], "int32")
        self.shown = []

    def find(self, images, sizes):
        self.shown.append((images, sizes))
        count = self.classes.shape[1]
        return {
            "boxes": self.boxes,
            "classes": self.classes,
            "scores": np.linspace(0.9, 0.5, count, dtype="float32")[None] * (self.classes > 0),
            "masks": np.ones((1, count, 28, 28), "float32"),
        }


# The picture that the model sees


def test_sides_are_resized_as_torchvision_does():
    """The shorter side has its length, unless the longer would become too long; rounded down."""
    for shape, sides, expected in (
        ((480, 640), {}, (800, 1066)),
        ((640, 480), {}, (1066, 800)),
        ((300, 1000), {}, (399, 1333)),
        ((1000, 300), {}, (1333, 399)),
        ((800, 1000), {}, (800, 1000)),
        ((100, 130), {"short_side": 150, "long_side": 200}, (150, 195)),
        ((130, 90), {"short_side": 150, "long_side": 200}, (200, 138)),
        ((1, 500), {"short_side": 32, "long_side": 64}, (1, 64)),
    ):
        padded, size = detection.prepare(np.zeros((*shape, 3), "float32"), **sides)
        assert size == expected
        assert padded.shape[:2] == tuple(-(-side // 32) * 32 for side in size)


@pytest.mark.parametrize("size", [(50, 90), (20, 21), (37, 122), (36, 60), (1, 1)])
def test_resizing_reads_the_nearest_pixels_bilinearly(size):
    image = RNG.random((37, 61, 3), dtype="float32")
    expected = np.zeros((*size, 3))
    for row, column in np.ndindex(size):
        y = np.clip((row + 0.5) * 37 / size[0] - 0.5, 0, 36)
        x = np.clip((column + 0.5) * 61 / size[1] - 0.5, 0, 60)
        top, left, down, right = int(y), int(x), y % 1, x % 1
        bottom, beside = min(top + 1, 36), min(left + 1, 60)
        above = (1 - right) * image[top, left] + right * image[top, beside]
        below = (1 - right) * image[bottom, left] + right * image[bottom, beside]
        expected[row, column] = (1 - down) * above + down * below
    found = detection.resize_bilinear(image, size)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_picture_of_the_right_size_stays_as_it_is():
    image = RNG.random((32, 64, 3), dtype="float32")
    padded, size = detection.prepare(image, **SMALL)
    assert size == (32, 64)
    np.testing.assert_array_equal(padded, image)


def test_padding_is_the_mean_so_that_it_is_zero_once_normalised():
    padded, size = detection.prepare(np.zeros((37, 61, 3), "float32"), multiple=48, **SMALL)
    assert size == (32, 52) and padded.shape == (48, 96, 3)
    assert not padded[:32, :52].any()
    for free in (padded[32:], padded[:, 52:]):
        np.testing.assert_array_equal(free - np.float32(IMAGENET_MEAN), 0)


def test_the_model_sees_one_picture_and_its_true_size():
    model = Toy([(0, 0, 8, 8)], [1])
    detection.detect(model, PICTURE, **SMALL)
    ((images, sizes),) = model.shown
    assert images.shape == (1, 32, 64, 3) and images.dtype == np.float32
    assert np.asarray(sizes).tolist() == [[32, 52]]
    expected, _ = detection.prepare(np.float32(PICTURE) / 255, **SMALL)
    np.testing.assert_array_equal(images[0], expected)


# The way back


def test_boxes_and_masks_are_of_the_pictures_own_size():
    model = Toy([(0, 0, 52, 32), (13, 8, 26, 24)], [2, 1])
    found = detection.detect(model, PICTURE, **SMALL)
    np.testing.assert_allclose(
        found["boxes"], [(0, 0, 61, 37), (15.25, 9.25, 30.5, 27.75)], rtol=1e-6
    )
    assert found["classes"].tolist() == [2, 1] and found["classes"].dtype == np.int32
    assert found["scores"].tolist() == pytest.approx([0.9, 0.5])
    assert found["masks"].shape == (2, 37, 61) and found["masks"].dtype == bool
    assert found["masks"][0].mean() > 0.99  # a corner reads three parts of the grid's border
    rows, columns = np.nonzero(found["masks"][1])
    assert abs(rows.min() - 9.25) < 1 and abs(rows.max() + 1 - 27.75) < 1
    assert abs(columns.min() - 15.25) < 1 and abs(columns.max() + 1 - 30.5) < 1


def test_padding_of_the_detections_is_left_out():
    model = Toy([(0, 0, 8, 8), (0, 0, 0, 0), (0, 0, 0, 0)], [1, 0, 0])
    found = detection.detect(model, PICTURE, **SMALL)
    assert [found[k].shape for k in ("boxes", "classes", "scores")] == [(1, 4), (1,), (1,)]
    assert found["masks"].shape == (1, 37, 61)


def test_a_picture_without_objects():
    found = detection.detect(Toy([(0, 0, 0, 0)], [0]), PICTURE, **SMALL)
    assert {name: value.shape for name, value in found.items()} == {
        "boxes": (0, 4),
        "classes": (0,),
        "scores": (0,),
        "masks": (0, 37, 61),
    }


def test_files_and_arrays_of_all_kinds(tmp_path):
    for name, array in (("rgb", PICTURE), ("grey", PICTURE[..., 0])):
        file = tmp_path / f"{name}.png"
        Image.fromarray(array).save(file)
        shown = []
        for image in (file, str(file), array, array / 255):
            model = Toy([(0, 0, 8, 8)], [1])
            detection.detect(model, image, **SMALL)
            shown.append(model.shown[0][0])
        for other in shown[1:]:
            np.testing.assert_allclose(other, shown[0], atol=1e-6)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return small_mask_rcnn(
        3,
        channels=16,
        box_channels=32,
        mask_convolutions=1,
        test_before=30,
        test_proposals=20,
        detections=5,
        least_score=0.0,
    )


# The network sees 64 x 32 pixels, 32 x 32, and 64 x 32 once more.
@pytest.mark.parametrize("shape", [(61, 37), (40, 40), (130, 80)])
def test_pictures_of_several_sizes_one_after_another(network, shape):
    """Sizes change from call to call, and so does what has to be compiled."""
    image = RNG.integers(0, 256, (*shape, 3), dtype=np.uint8)
    found = detection.detect(network, image, **SMALL)
    count = len(found["classes"])
    assert 0 < count <= 5 and found["masks"].shape == (count, *shape)
    assert (found["classes"] > 0).all() and (np.diff(found["scores"]) <= 0).all()
    assert (found["boxes"] >= 0).all()
    assert found["boxes"][:, 2].max() <= shape[1] and found["boxes"][:, 3].max() <= shape[0]


def test_it_finds_what_the_model_itself_finds(network):
    """Without resizing and padding there is nothing left to do."""
    image = RNG.random((32, 32, 3), dtype="float32")
    expected = network.detect(image[None])
    found = detection.detect(network, image, short_side=32, long_side=32)
    count = len(found["classes"])
    for name, value in found.items():
        np.testing.assert_allclose(value, expected[name][0, :count], atol=1e-5)


# Bad input


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"short_side": 0}, "short_side is 0: give a whole number"),
        ({"short_side": 3.5}, "short_side is 3.5"),
        ({"short_side": True}, "short_side is True"),
        ({"long_side": "wide"}, "long_side is 'wide'"),
        ({"short_side": 100, "long_side": 99}, "long_side is 99 and short_side 100"),
        ({"multiple": 0}, "multiple is 0"),
        ({"multiple": 1.5}, "multiple is 1.5"),
    ],
)
def test_bad_options_are_named(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        detection.detect(Toy([(0, 0, 8, 8)], [1]), PICTURE, **options)
    assert said in sentence(caught)


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((2, 5, 5, 3), "uint8"), "has the shape (2, 5, 5, 3)"),
        (np.zeros((5, 5, 2), "uint8"), "has the shape (5, 5, 2)"),
        (np.zeros((0, 5, 3), "uint8"), "has the shape (0, 5, 3)"),
        (np.zeros((5, 5, 3), "int64"), "dtype int64"),
        (np.full((5, 5, 3), 255.0), "values from 255 to 255"),
        (np.full((5, 5, 3), np.nan), "without NaN"),
        (Image.new("RGB", (5, 5)), "is a Pillow image"),
    ],
)
def test_bad_pictures_are_named(sentence, image, said):
    with pytest.raises(ValueError) as caught:
        detection.detect(Toy([(0, 0, 8, 8)], [1]), image)
    assert said in sentence(caught)


def test_a_missing_file(sentence, tmp_path):
    with pytest.raises(pictures.DamagedPicture) as caught:
        detection.detect(Toy([(0, 0, 8, 8)], [1]), tmp_path / "none.jpg")
    assert "There is no picture" in sentence(caught)


def test_a_model_that_is_no_detector(sentence):
    pictures_only = keras.Sequential([keras.Input((None, None, 3))])
    with pytest.raises(ValueError) as caught:
        detection.detect(pictures_only, PICTURE)
    assert "Sequential finds no objects" in sentence(caught)
    for wrong, said in (("mask_rcnn", "str finds"), (Toy, "The class Toy finds"), (None, "None")):
        with pytest.raises(ValueError) as caught:
            detection.detect(wrong, PICTURE)
        assert said in sentence(caught)
