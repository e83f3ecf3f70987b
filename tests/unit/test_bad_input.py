"""What a user may get wrong with models, measures and data sets, and the sentence that comes back.

Files, archives and downloads have their bad input in ``test_pictures``, ``test_pets``,
``test_archives``, ``test_download`` and ``test_manifest``.
"""

import keras
import numpy as np
import pytest

import pixelwise as pw
from pixelwise.data import pictures, scenes
from pixelwise.metrics import segmentation as seg
from pixelwise.models.fcn import fcn
from pixelwise.nn import losses

IMAGES = np.random.default_rng(0).uniform(size=(2, 64, 64, 3)).astype("float32")
MASKS = np.zeros((2, 64, 64), "int32")


@pytest.fixture(scope="module")
def model():
    return fcn(6, weights=None)


class Batches(keras.utils.PyDataset):
    """One batch, again and again."""

    def __init__(self, images=IMAGES, masks=MASKS, num_batches=1, num_classes=6):
        super().__init__()
        self.batch, self.length, self.num_classes = (images, masks), num_batches, num_classes

    @property
    def num_batches(self):
        return self.length

    def __getitem__(self, index):
        return self.batch


WRONG_PICTURES = {
    "eight bits": (np.uint8(IMAGES * 255), "dtype uint8: give float32 in [0, 1]"),
    "0..255": (IMAGES * 255, "values from 0.0"),
    "-1..1": (IMAGES * 2 - 1, "values from -"),
    "NaN": (np.where(IMAGES > 0.99, np.nan, IMAGES), "values from nan"),
    "infinite": (np.where(IMAGES > 0.99, np.inf, IMAGES), "to inf"),
    "grey": (IMAGES[..., 0], "shape (2, 64, 64)"),
    "grey with a channel": (IMAGES[..., :1], "shape (2, 64, 64, 1)"),
    "RGBA": (np.concatenate([IMAGES, IMAGES[..., :1]], -1), "shape (2, 64, 64, 4)"),
    "one picture without batch": (IMAGES[0], "image[None]"),
    "channels first": (IMAGES.transpose(0, 3, 1, 2), "shape (2, 3, 64, 64)"),
    "none": (IMAGES[:0], "no picture in the batch"),
    "nothing": (None, "shape ()"),
    "smaller than the stride": (IMAGES[:, :31], "31 x 64 pixels, smaller than the output stride"),
}


@pytest.mark.parametrize(("images", "said"), WRONG_PICTURES.values(), ids=WRONG_PICTURES.keys())
def test_pictures_that_a_model_cannot_take(model, sentence, images, said):
    for ask in (seg.predict, lambda model, x: seg.evaluate(model, Batches(x))):
        with pytest.raises(ValueError) as caught:
            ask(model, images)
        assert said in sentence(caught)


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (40, 32)])
def test_odd_sizes_and_a_small_one_after_them(model, sentence, size):
    """A compiled graph for all sizes lets small pictures through; ``predict`` does not."""
    height, width = size
    assert seg.predict(model, IMAGES[:, :height, :width]).shape == (2, height, width)
    with pytest.raises(ValueError) as caught:
        seg.predict(model, IMAGES[:, :20])
    assert "enlarge them to at least 32 pixels" in sentence(caught)


def test_a_little_beyond_the_range_is_interpolation():
    wide = 1.004 * IMAGES - 0.002
    np.testing.assert_array_equal(pictures.check_batch(wide), wide)
    assert pictures.check_batch(IMAGES.tolist()).dtype == np.float32


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Batches(num_classes=3), "tells 6 classes apart but the data set has 3"),
        (Batches(num_classes=10), "tells 6 classes apart but the data set has 10"),
        (Batches(masks=MASKS + 7), "label 7 among 6 classes"),
        (Batches(masks=MASKS + 0.5), "type float"),
        (Batches(masks=MASKS[:, :60]), "shape (2, 60, 64)"),
        (Batches(num_batches=-1), "has -1 batches"),
        ((IMAGES, MASKS), "a tuple without num_classes"),
        (None, "a NoneType without num_classes"),
    ],
)
def test_what_cannot_be_measured(model, sentence, data, said):
    with pytest.raises(ValueError) as caught:
        seg.evaluate(model, data)
    assert said in sentence(caught)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: seg.SegmentationScore(0), "num_classes is 0"),
        (lambda: seg.SegmentationScore(2.5), "num_classes is 2.5"),
        (lambda: seg.SegmentationScore(300), "void is 255, one of the 300 classes"),
        (lambda: seg.SegmentationScore(6, void=None), "void is None"),
        (lambda: seg.boundary_counts(MASKS, MASKS, 6), "shape (2, 64, 64)"),
        (lambda: fcn("6"), "num_classes is '6'"),
        (lambda: fcn(2.5), "num_classes is 2.5"),
        (lambda: fcn(6, input_shape=(64, 64)), "input_shape is (64, 64)"),
        (lambda: fcn(6, input_shape=(64, 64, 1)), "input_shape is (64, 64, 1)"),
        (lambda: pw.weights.checkpoint(None, "fcn8s_wardrob"), "checkpoints/fcn8s_wardrobe.npz"),
    ],
)
def test_wrong_arguments(sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in sentence(caught)


def test_weights_that_cannot_be_written_or_read(model, tmp_path, tree, sentence):
    for place in (tmp_path / "none" / "w.npz", tmp_path):
        with pytest.raises(pw.weights.WeightsError) as caught:
            pw.weights.save(model, place)
        assert f"Cannot write the weights {place}" in sentence(caught)
    with pytest.raises(pw.weights.WeightsError) as caught:
        pw.weights.save(keras.Sequential([keras.layers.Dense(2)], name="net"), tmp_path / "w.npz")
    assert "net has no weights yet" in sentence(caught)
    assert tree(tmp_path) == []
    np.save(tmp_path / "w.npy", np.zeros(3))
    with pytest.raises(pw.weights.WeightsError) as caught:
        pw.weights.load(model, tmp_path / "w.npy")
    assert "not a file of weights" in sentence(caught)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"batch_size": "4"}, "batch_size is '4'"),
        ({"batch_size": None}, "batch_size is None"),
        ({"num_batches": 0}, "num_batches is 0"),
        ({"num_batches": -1}, "num_batches is -1"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"split": ["all"]}, "no split ['all']"),
        ({"name": ["wardrobe"]}, "no data set ['wardrobe']"),
        ({"name": "garments", "split": ["all"]}, "['all']"),
        ({"sise": 96}, "Wardrobe has no option 'sise': the nearest"),
        ({"root": "pets"}, "Wardrobe has no option 'root'"),
        ({"name": "fashion", "size": 96}, "'fashion' got an unexpected keyword argument 'size'"),
    ],
)
def test_options_that_a_data_set_does_not_take(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        pw.data.load(**{"name": "wardrobe", **options})
    assert said in sentence(caught)


GARMENT = np.full((20, 20), 200, np.uint8)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rng": 3}, "rng is 3"),
        ({"labels": np.array([[1], [2]])}, "received int64 of shape (2, 1)"),
        ({"labels": np.array(["top", "bag"])}, "of shape (2,)"),
        ({"objects": 3}, "objects is 3"),
        ({"objects": (1, 2.5)}, "objects is (1, 2.5)"),
        ({"backgrounds": ["room.png"]}, "A background has dtype <U8"),
        ({"backgrounds": [np.zeros((0, 9, 3), np.uint8)]}, "shape (0, 9, 3)"),
    ],
)
def test_what_cannot_be_composed(sentence, change, said):
    call = {
        "garments": [GARMENT, GARMENT],
        "labels": np.array([1, 2]),
        "backgrounds": [np.zeros((50, 70, 3), np.uint8)],
        "rng": np.random.default_rng(0),
        "size": 64,
    }
    with pytest.raises(ValueError) as caught:
        scenes.compose(**{**call, **change})
    assert said in sentence(caught)


def test_masks_of_another_size_or_of_fractions_are_not_resized(sentence):
    image = np.zeros((8, 6, 3), np.uint8)
    for resize in (pictures.resize_pair, pictures.letterbox_pair):
        with pytest.raises(ValueError) as caught:
            resize(image, np.zeros((9, 9), int), 4)
        assert "mask has shape (9, 9) but its picture has (8, 6, 3)" in sentence(caught)
        with pytest.raises(ValueError) as caught:
            resize(image, np.zeros((8, 6)), 4)
        assert "mask has dtype float64" in sentence(caught)


def two_pixels(**options):
    model = keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(6, 1)])
    model.compile("sgd", losses.SegmentationCrossEntropy(**options))
    return model


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (Batches(masks=MASKS + 7), "diverged at step 1"),
        (Batches(masks=MASKS + 0.5), "diverged at step 1"),
        (Batches(masks=MASKS + 255.5), "diverged at step 1"),
        (Batches(IMAGES * np.nan), "diverged at step 1"),
        (Batches(masks=MASKS[:, :32]), "differ in batch, height or width"),
        (Batches(masks=MASKS[..., None]), "labels (batch, height, width)"),
        (Batches(masks=MASKS[:1]), "Batch 0 has arrays of 1 and 2 examples"),
        (Batches(IMAGES[:0], MASKS[:0]), "Batch 0 is empty"),
    ],
)
def test_what_cannot_be_trained_on(sentence, data, said):
    with pytest.raises(ValueError) as caught:
        pw.training.fit(two_pixels(), data, 2, show=False)
    assert said in sentence(caught)


def test_whole_labels_may_come_as_floats():
    model = two_pixels()
    whole = model.evaluate(IMAGES, MASKS, verbose=0)
    assert model.evaluate(IMAGES, MASKS.astype("float32"), verbose=0) == pytest.approx(whole)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: losses.iou(MASKS + 2, MASKS + 1), "holds the value 2"),
        (lambda: losses.dice(MASKS, MASKS + 0.3), "holds the value 0.3"),
        (lambda: losses.soft_iou(IMAGES, IMAGES[:1]), "targets (1, 64, 64, 3)"),
        (lambda: losses.soft_dice(IMAGES, MASKS), "one-hot targets of the same shape"),
        (lambda: losses.SegmentationCrossEntropy(class_weights=[1, np.nan]), "negative"),
        (lambda: losses.SegmentationCrossEntropy(void=None), "void is None"),
        (lambda: losses.SegmentationCrossEntropy(class_weights=0.5), "class_weights is 0.5"),
    ],
)
def test_what_cannot_be_compared(sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in sentence(caught)
