"""Copy-paste: what is laid on top, what is covered, and what stays a target."""

import keras
import numpy as np
import pytest

from pixelwise import data
from pixelwise.data.copy_paste import CopyPaste

SIDE = 24


class Squares(keras.utils.PyDataset):
    """Batches of pictures of one grey, each with two squares in a colour of their own."""

    classes, num_classes, batch_size, max_objects = ("background", "a", "b"), 3, 3, 5

    def __init__(self, num_batches=2, count=3, places=((2, 2), (10, 12)), change=lambda b: b):
        super().__init__(workers=2, max_queue_size=5)
        self.length, self.count, self.places, self.change = num_batches, count, places, change

    @property
    def num_batches(self):
        return self.length

    def __getitem__(self, index):
        images = np.zeros((self.count, SIDE, SIDE, 3), "float32")
        masks = np.zeros((self.count, self.max_objects, SIDE, SIDE), "uint8")
        classes = np.zeros((self.count, self.max_objects), "int32")
        boxes = np.zeros((self.count, self.max_objects, 4), "float32")
        for picture in range(self.count):
            images[picture] = 0.1 * picture
            for place, (top, left) in enumerate(self.places):
                top, left = top + picture, left + 2 * picture
                masks[picture, place, top : top + 6, left : left + 6] = 1
                boxes[picture, place] = left, top, left + 6, top + 6
                classes[picture, place] = 1 + place % 2
                images[picture][masks[picture, place] > 0] = 0.5 + 0.1 * picture + 0.05 * place
        return self.change((images, {"boxes": boxes, "classes": classes, "masks": masks}))


def equal(one, other):
    pairs = zip([one[0], *one[1].values()], [other[0], *other[1].values()], strict=True)
    return all(np.array_equal(a, b) for a, b in pairs)


def owner(value):
    """The picture that a colour comes from."""
    return int((value - 0.5 + 1e-3) // 0.1)


def test_nothing_is_pasted_at_probability_or_share_zero():
    for options in ({"probability": 0}, {"share": 0}):
        assert equal(CopyPaste(Squares(), **options)[1], Squares()[1])


def test_a_batch_is_the_same_whenever_it_is_asked_for_and_every_time_through_is_another():
    one, other = CopyPaste(Squares(), seed=3), CopyPaste(Squares(), seed=3)
    assert one.num_batches is None
    for index in (5, 0):
        assert equal(one[index], other[index])
    assert not equal(one[1], one[3])
    assert any(not equal(one[i], CopyPaste(Squares(), seed=4)[i]) for i in range(3))


def test_what_is_pasted_is_on_top_and_boxes_are_those_of_what_is_left():
    dataset = CopyPaste(Squares(), probability=1, share=1, visible=0, flip=0)
    for index in range(6):
        (images, targets), (before, labelled) = dataset[index], Squares()[index % 2]
        for picture in range(3):
            strangers = set()
            covered = np.zeros((SIDE, SIDE), bool)
            for mask, number in zip(targets["masks"][picture] > 0, range(5), strict=True):
                if not mask.any():
                    continue
                colours = np.unique(images[picture][mask])
                assert len(colours) == 1  # no mask holds a pixel of another object
                rows, columns = np.nonzero(mask)
                box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
                np.testing.assert_array_equal(targets["boxes"][picture, number], box)
                if owner(colours[0]) != picture:
                    strangers.add(owner(colours[0]))
                    covered |= mask
            assert len(strangers) == 1
            np.testing.assert_array_equal(images[picture][~covered], before[picture][~covered])
            (stranger,) = strangers
            np.testing.assert_array_equal(images[picture][covered], before[stranger][covered])
            np.testing.assert_array_equal(covered, labelled["masks"][stranger].any(axis=0))


def test_objects_that_are_covered_too_much_are_no_targets():
    # The squares of the next picture lie one row lower and two columns to the right: of 36 pixels
    # 5 x 4 are covered, and 16 are left.
    few = Squares(count=2, places=((2, 2),))
    for visible, own_stays in ((16 / 36 - 0.01, True), (16 / 36 + 0.01, False), (1, False)):
        dataset = CopyPaste(few, probability=1, share=1, visible=visible, flip=0)
        _, targets = dataset[0]
        areas = targets["masks"].sum(axis=(2, 3))
        expected = [16, 36, 0, 0, 0] if own_stays else [36, 0, 0, 0, 0]
        np.testing.assert_array_equal(areas[0], expected)
    apart = Squares(count=2, places=((2, 2), (16, 16)))
    _, targets = CopyPaste(apart, probability=1, share=1, visible=0.3, flip=0)[0]
    assert ((targets["classes"] > 0).sum(axis=1) == 4).all()


def test_a_fully_covered_object_goes_even_if_nothing_need_be_visible():
    def same_place(batch):
        images, targets = batch
        return images, {name: array[[0, 0]] for name, array in targets.items()}

    dataset = CopyPaste(Squares(count=2, change=same_place), 1, 1, visible=0, flip=0)
    assert ((dataset[0][1]["classes"] > 0).sum(axis=1) == 2).all()


def test_mirrored_with_the_whole_picture():
    few = Squares(count=2, places=((2, 2),))
    _, plain = few[0]
    _, targets = CopyPaste(few, probability=1, share=1, flip=1)[0]
    pasted = targets["masks"][0, (targets["classes"][0] > 0).sum() - 1]
    np.testing.assert_array_equal(pasted, plain["masks"][1, 0, :, ::-1])


def test_there_is_never_more_than_there_is_room_for():
    class Tight(Squares):
        max_objects = 3

    seen = set()
    for index in range(8):
        _, targets = CopyPaste(Tight(), probability=1, share=1, visible=0)[index]
        assert targets["masks"].shape[1] == 3
        seen |= {*(targets["classes"] > 0).sum(axis=1).tolist()}
    assert max(seen) == 3

    class Full(Squares):
        max_objects = 2

    assert equal(CopyPaste(Full(), probability=1, share=1)[0], Full()[0])


def test_the_share_of_objects_and_the_probability():
    own = Squares(count=3, places=tuple((r, 0) for r in (0, 7, 14)))
    own.max_objects = 9
    dataset = CopyPaste(own, probability=0.5, share=0.5, visible=0)
    counts = [np.abs(dataset[i][0] - own[0][0]).any(axis=(1, 2, 3)) for i in range(120)]
    # Half of the pictures, and of these all but one in eight, in which none of three was chosen.
    assert np.mean(counts) == pytest.approx(0.5 * 7 / 8, abs=0.08)


def test_a_picture_that_is_alone_stays_as_it_is():
    last = Squares(count=1)
    assert equal(CopyPaste(last, probability=1, share=1)[0], last[0])


def test_it_has_what_the_data_set_has_and_takes_the_wardrobe():
    wardrobe = data.load("wardrobe", "test", targets="instances", size=48, batch_size=4)
    dataset = CopyPaste(wardrobe, probability=1, num_batches=3)
    assert (dataset.num_classes, dataset.classes) == (6, wardrobe.classes)
    assert (dataset.batch_size, dataset.max_objects, dataset.workers) == (4, 8, 2)
    images, targets = dataset[2]
    assert images.shape == (4, 48, 48, 3) and targets["masks"].shape == (4, 8, 48, 48)
    assert targets["classes"].dtype == np.int32 and targets["masks"].dtype == np.uint8
    assert not equal(dataset[2], wardrobe[2])
    with pytest.raises(IndexError, match="Batch 3 is outside the 3"):
        dataset[3]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"probability": 2}, "probability is 2"),
        ({"share": -0.1}, "share is -0.1"),
        ({"visible": "half"}, "visible is 'half'"),
        ({"flip": None}, "flip is None"),
        ({"seed": -1}, "seed is -1"),
        ({"num_batches": 0}, "num_batches is 0"),
        ({"scale": (1, 2)}, "no option 'scale'"),
        ({"dataset": [1, 2]}, "dataset is a list"),
        ({"dataset": Squares(0)}, "The data set is empty"),
    ],
)
def test_wrong_options(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        CopyPaste(**{"dataset": Squares(), **options})
    assert said in sentence(caught)


def test_one_picture_a_batch_has_nobody_to_take_from(sentence):
    with pytest.raises(ValueError) as caught:
        CopyPaste(data.load("wardrobe", targets="instances", batch_size=1))
    assert "one picture a batch" in sentence(caught)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda b: (b[0] * 255, b[1]), "give float32 in [0, 1]"),
        (lambda b: (b[0], b[1]["masks"]), "has no classes and masks"),
        (lambda b: (b[0], {"classes": b[1]["classes"]}), "has no classes and masks"),
        (lambda b: (b[0], b[1] | {"masks": b[1]["masks"][:, :2]}), "masks (3, 2, 24, 24)"),
        (lambda b: (b[0][:2], b[1]), "images (2, 24, 24, 3)"),
    ],
)
def test_batches_that_are_no_instances(sentence, change, said):
    with pytest.raises(ValueError) as caught:
        CopyPaste(Squares(change=change))[0]
    assert said in sentence(caught)
