"""Scaling, cropping and mirroring the batches of any data set."""

import keras
import numpy as np
import pytest
from scipy import ndimage

from pixelwise import data, training
from pixelwise.data.augmented import Augmented
from pixelwise.data.pictures import PADDING, VOID
from pixelwise.nn.losses import SegmentationCrossEntropy

COLOURS = np.random.default_rng(0).integers(0, 256, (4, 3)).astype("float32") / 255
PAD = np.float32(PADDING) / 255


class Blocks(keras.utils.PyDataset):
    """Batches of blocks of four classes, each in its colour."""

    classes, num_classes, batch_size = tuple("abcd"), 4, 3

    def __init__(self, num_batches=2, change=lambda images, masks: (images, masks)):
        super().__init__(workers=2, max_queue_size=5)
        self.length, self.change = num_batches, change

    @property
    def num_batches(self):
        return self.length

    def __getitem__(self, index):
        masks = np.random.default_rng(index).integers(0, 4, (3, 3, 4)).repeat(8, 1).repeat(8, 2)
        return self.change(COLOURS[masks], masks)


def equal(one, other):
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def test_nothing_changes_at_scale_one_without_mirrors():
    same = Augmented(Blocks(), scale=(1, 1), flip=0)
    images, masks = same[1]
    assert (images.dtype, masks.dtype) == (np.float32, np.int32)
    assert equal((images, masks), Blocks()[1])


def test_mirrors_only():
    images, masks = Augmented(Blocks(), scale=(1, 1), flip=1)[0]
    assert equal((images[:, :, ::-1], masks[:, :, ::-1]), Blocks()[0])


def test_a_batch_is_the_same_whenever_it_is_asked_for():
    one, other = Augmented(Blocks()), Augmented(Blocks())
    for index in (3, 0):
        assert equal(one[index], other[index])
    assert not equal(one[0], Augmented(Blocks(), seed=1)[0])


def test_every_time_through_is_another():
    batches = Augmented(Blocks(2), crop=16)
    assert batches.num_batches is None
    assert not equal(batches[0], batches[2])
    assert Augmented(Blocks(None))[7][0].shape == (3, 24, 32, 3)  # endless as well


def test_a_mask_stays_on_its_picture():
    seen = set()
    for index in range(8):
        images, masks = Augmented(Blocks(), crop=(40, 24))[index]
        assert images.shape == (3, 40, 24, 3) and set(np.unique(masks)) <= {0, 1, 2, 3, VOID}
        seen |= set(np.unique(masks))
        colours = np.concatenate([COLOURS, np.tile(PAD, (252, 1))])[masks]
        # Within a block the colour is its own; near the border of one it is mixed.
        around = (1, 5, 5)
        inside = ndimage.maximum_filter(masks, around) == ndimage.minimum_filter(masks, around)
        assert inside.mean() > 0.2
        assert np.abs(images - colours)[inside].max() < 0.01
    assert seen == {0, 1, 2, 3, VOID}


def test_what_lies_beyond_the_picture_is_void():
    for void, options in ((VOID, {}), (9, {"void": 9})):
        images, masks = Augmented(Blocks(), scale=(0.5, 0.5), **options)[0]
        for image, mask in zip(images, masks, strict=True):
            rows, columns = np.nonzero(mask != void)
            assert np.ptp(rows) + 1 == 12 and np.ptp(columns) + 1 == 16
            assert (mask != void).sum() == 12 * 16
            assert np.allclose(image[mask == void], PAD)


def test_a_crop_at_scale_one_is_a_part_of_the_picture():
    places = np.arange(24 * 32).reshape(1, 24, 32)
    images = np.zeros((1, 24, 32, 3), "float32")
    corners = set()
    for index in range(40):
        batches = Augmented((images, places), (1, 1), crop=(10, 20), flip=0, void=10_000)
        (mask,) = batches[index][1]
        top, left = divmod(int(mask[0, 0]), 32)
        assert np.array_equal(mask, places[0, top : top + 10, left : left + 20])
        corners.add((top, left))
    tops, lefts = zip(*corners, strict=True)
    assert len(corners) > 30 and min(tops) < 3 and max(tops) > 11 and min(lefts) < 3


def test_scales_are_spread_evenly_by_their_logarithm():
    wide = np.zeros((50, 40, 40, 3), "float32")
    masks = np.zeros((50, 40, 40), int)
    batches = Augmented((wide, masks), (0.25, 1), flip=0)
    shares = np.concatenate([(batches[i][1] == 0).mean((1, 2)) for i in range(4)])
    scales = np.log2(np.sqrt(shares))  # from -2 to 0
    assert -2.1 < scales.min() < -1.9 and -0.1 < scales.max() <= 0
    assert np.abs(np.quantile(scales, [0.25, 0.5, 0.75]) - [-1.5, -1, -0.5]).max() < 0.2


def test_it_has_what_the_data_set_has_and_is_trained_on():
    wardrobe = data.load("wardrobe", size=32, batch_size=2)
    batches = Augmented(wardrobe, crop=24)
    assert (batches.num_classes, batches.classes) == (6, wardrobe.classes)
    assert (batches.workers, batches.max_queue_size) == (2, 8)
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(6, 1)(inputs))
    model.compile("sgd", SegmentationCrossEntropy())
    history = training.fit(model, batches, 3, show=False)
    assert np.isfinite(history.loss).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scale": 2}, "scale is 2"),
        ({"scale": (0, 1)}, "scale is (0, 1)"),
        ({"scale": (2, 1)}, "scale is (2, 1)"),
        ({"crop": 0}, "crop is 0"),
        ({"crop": (3, 4, 5)}, "crop is (3, 4, 5)"),
        ({"flip": 1.5}, "flip is 1.5"),
        ({"flip": "yes"}, "flip is 'yes'"),
        ({"seed": -1}, "seed is -1"),
        ({"num_batches": 0}, "num_batches is 0"),
        ({"scales": (1, 2)}, "no option 'scales'"),
        ({"dataset": [1, 2, 3]}, "must be a keras.utils.PyDataset or a pair of arrays"),
        ({"dataset": Blocks(0)}, "The data set is empty"),
    ],
)
def test_wrong_options(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        Augmented(**{"dataset": Blocks(), **options})
    assert said in sentence(caught)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda images, masks: (images * 255, masks), "give float32 in [0, 1]"),
        (lambda images, masks: (images, masks[:2]), "masks (2, 24, 32)"),
        (lambda images, masks: (images, masks[..., None]), "masks (3, 24, 32, 1)"),
        (lambda images, masks: (images, masks + 0.5), "dtype float64"),
    ],
)
def test_batches_that_are_no_pictures_and_masks(sentence, change, said):
    with pytest.raises(ValueError) as caught:
        Augmented(Blocks(change=change))[0]
    assert said in sentence(caught)


def test_the_end():
    batches = Augmented(Blocks(), num_batches=5)
    assert batches.num_batches == 5 and batches[4][0].shape == (3, 24, 32, 3)
    for index in (5, -1):
        with pytest.raises(IndexError, match=f"Batch {index} is outside the 5"):
            batches[index]
