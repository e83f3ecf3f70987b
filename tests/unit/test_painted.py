"""Painted scenes to train on, the measures of a painter, and the wardrobe with few scenes."""

import numpy as np
import pytest

import pixelwise as pw
from pixelwise import evaluation, painted
from pixelwise.metrics import painting, segmentation


class Flat:
    """A painter whose pictures are its label maps, as greys, brighter or darker by the seed."""

    size = 32

    def __init__(self, step=0.15):
        self.step = step

    def paint(self, masks, seed=None):
        light = np.random.default_rng(seed).uniform(0, 0.1, (len(masks), 1, 1, 1))
        grey = self.step * np.asarray(masks)[..., None] + light
        return np.repeat(grey, 3, axis=-1).astype("float32")


class Reader:
    """A network that reads the pictures of ``Flat``: the class by the grey."""

    layers = ()

    def predict_on_batch(self, images):
        classes = np.floor(np.asarray(images).mean(-1) / 0.15 + 1e-3).clip(0, 5)
        return np.eye(6)[classes.astype(int)]


FLAT = Flat()


def painted_set(**options):
    return painted.Painted(
        **{"real": 3, "size": 32, "batch_size": 4, "painter": FLAT, "pool": 5} | options
    )


def test_few_scenes_come_again_in_another_order():
    endless = pw.data.load("wardrobe", "train", size=32, batch_size=5)
    few = pw.data.load("wardrobe", "train", size=32, batch_size=5, scenes=5)
    first, again, known = few[0], few[1], endless[0]

    def order(batch):
        return [
            next(k for k in range(5) if np.array_equal(image, known[0][k])) for image in batch[0]
        ]

    assert sorted(order(first)) == sorted(order(again)) == list(range(5))
    assert order(first) != order(again)
    assert np.array_equal(first[1], known[1][order(first)])
    assert np.array_equal(few[1][0], again[0])


@pytest.mark.parametrize("scenes", [0, 2.5, True])
def test_an_impossible_number_of_scenes(scenes, sentence):
    with pytest.raises(ValueError) as caught:
        pw.data.load("wardrobe", scenes=scenes)
    assert f"scenes is {scenes!r}" in sentence(caught)


def test_batches_are_part_real_part_painted():
    data = painted_set(share=0.5)
    images, masks = data[0]
    assert images.shape == (4, 32, 32, 3) and images.dtype == np.float32
    assert masks.shape == (4, 32, 32) and masks.dtype == np.int32
    real = pw.data.load("wardrobe", "train", size=32, batch_size=2, scenes=3, seed=0)[0]
    assert np.array_equal(images[:2], real[0]) and np.array_equal(masks[:2], real[1])
    assert np.array_equal(Reader().predict_on_batch(images[2:]).argmax(-1), masks[2:])
    assert np.array_equal(data[7][0], data[7][0])
    assert not np.array_equal(data[0][0], painted_set(share=0.5, seed=1)[0][0])


def test_all_painted_and_all_real():
    whole = painted_set(share=1, batch_size=5)
    assert np.array_equal(Reader().predict_on_batch(whole[3][0]).argmax(-1), whole[3][1])
    pools = [sorted(whole[k][0].mean((1, 2, 3))) for k in (0, 1)]
    assert pools[0] == pytest.approx(pools[1])  # each pass has every painted scene once
    real = painted_set(share=0, painter="no such recipe")
    assert np.array_equal(
        real[0][0], pw.data.load("wardrobe", "train", size=32, batch_size=4, scenes=3)[0][0]
    )


def test_label_maps_are_of_no_real_scene():
    masks = painted.maps(4, 32, seed=0)
    assert masks.shape == (4, 32, 32) and masks.dtype == np.uint8
    real = pw.data.load("wardrobe", "train", size=32, batch_size=16)[0][1]
    assert not any(np.array_equal(m, r) for m in masks for r in real)
    assert np.array_equal(masks[:2], painted.maps(2, 32, seed=0))


def test_a_named_painter_is_that_of_the_recipe(monkeypatch):
    asked = []
    monkeypatch.setattr(evaluation, "recorded", lambda name: asked.append(name) or FLAT)
    painted._pool.cache_clear()
    for _ in range(2):
        data = pw.data.load("painted", size=32, pool=3, batch_size=4, painter="some_recipe")
    painted._pool.cache_clear()
    assert asked == ["some_recipe"] and len(data.images) == 3


def test_the_other_splits_are_the_wardrobes():
    test = pw.data.load("painted", "test", size=32, batch_size=4, real=5, share=1.0)
    plain = pw.data.load("wardrobe", "test", size=32, batch_size=4)
    assert test.num_batches == plain.num_batches == 100
    assert np.array_equal(test[2][0], plain[2][0])


@pytest.mark.parametrize(
    "options, said",
    [
        ({"share": 1.5}, "share is 1.5"),
        ({"share": True}, "share is True"),
        ({"share": 0.1}, "rounds to 0 painted scenes"),
        ({"pool": 0}, "pool is 0"),
        ({"real": 0}, "scenes is 0"),
        ({"painter": object()}, "has no paint"),
        ({"painter": "no_such_recipe"}, "There is no recipe 'no_such_recipe'"),
        ({"painter": "segment_50"}, "keeps no checkpoint"),
        ({"batches": 3}, "has no option 'batches'"),
    ],
)
def test_impossible_options(options, said, sentence):
    with pytest.raises(ValueError) as caught:
        painted_set(**options)
    assert said in sentence(caught)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"painter": None}, "The painter None has no paint"),
        ({"size": 64}, "The painter paints 32 x 32 pixels and size is 64: give size=32"),
    ],
)
def test_the_painter_is_looked_at_before_the_label_maps(options, said, sentence, monkeypatch):
    monkeypatch.setattr(painted, "maps", lambda *_: pytest.fail("label maps were laid out"))
    with pytest.raises(ValueError) as caught:
        painted_set(**options)
    assert said in sentence(caught)


def test_a_segmenter_is_measured_on_both():
    dataset = pw.data.load("wardrobe", "test", size=32, batch_size=4, num_batches=2)
    found = painted.evaluate(Reader(), dataset, painter=FLAT)
    assert found["painted_mean_iou"] == 1.0 and len(found["painted_iou"]) == 6
    real = segmentation.evaluate(Reader(), dataset)
    assert found["mean_iou"] == real["mean_iou"] < 0.5 and found["pictures"] == 8


def test_a_painter_is_measured_by_what_a_reader_sees():
    dataset = pw.data.load("wardrobe", "test", size=32, batch_size=4, num_batches=2)
    found = painting.evaluate(FLAT, dataset, judge=Reader(), extractors=["garments"])
    assert found["consistency"] == 1.0 > found["consistency_real"]
    assert found["variety"] < 0.05 < found["variety_real"]
    assert 0 < found["style"] < 0.05
    assert found["kid_garments"] > 0 and {"precision", "recall"} <= set(found)
    wrong = painting.evaluate(Flat(0.05), dataset, judge=Reader(), extractors=["garments"])
    assert wrong["consistency"] < 0.5


def test_variety_is_the_deviation_of_a_pixel():
    rng = np.random.default_rng(0)
    images = rng.normal(0.5, 0.2, (40, 16, 16, 3))
    masks = rng.integers(0, 2, (40, 16, 16))
    assert painting.variety(images, masks) == pytest.approx(0.2, rel=0.05)
    images[masks == 1] = 0.3
    assert painting.variety(images, masks, label=1) == 0
    assert np.isnan(painting.variety(images, np.arange(40)[:, None, None] + 0 * masks))
    with pytest.raises(ValueError, match="two or more"):
        painting.variety(images[:1], masks[:1])
