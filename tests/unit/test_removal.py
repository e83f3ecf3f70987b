"""Scenes without one garment, the data set of removals, and growing a mask to a hole."""

import numpy as np
import pytest

import pixelwise as pw
from pixelwise import holes
from pixelwise.data import backgrounds, removal, scenes, wardrobe


def composed(seed, **options):
    garments, ground = wardrobe.garments("test"), backgrounds.load("test")
    return scenes.compose(*garments, ground, np.random.default_rng(seed), 64, **options)


def test_without_a_garment_all_else_stays():
    for seed in range(4):
        whole = composed(seed)
        for number in range(1, len(whole.classes) + 1):
            less = composed(seed, without=number)
            assert np.array_equal(less.classes, np.delete(whole.classes, number - 1))
            others = (whole.instances != number) & (whole.instances > 0)
            kept = whole.instances - (whole.instances > number)
            assert np.array_equal(less.instances[others], kept[others])
            assert less.instances.max() <= len(less.classes)
            # It and its shadow are gone, and no other pixel has changed but for shadows of it
            # that came out behind another garment.
            near = holes.grow(whole.instances == number, scenes.shadow_reach(64, 64))
            changed = (whole.image != less.image).any(axis=-1)
            assert changed[whole.instances == number].mean() > 0.8
            assert changed[~near].mean() < 0.01


def test_a_scene_has_no_such_garment(sentence):
    count = len(composed(0).classes)
    for number in (0, count + 1, 1.5, True):
        with pytest.raises(ValueError) as caught:
            composed(0, without=number)
        sentence(caught)


def test_batches_of_removals():
    data = pw.data.load("removal", "test", batch_size=3, workers=1)
    inputs, truth = data[1]
    images, hole = inputs["images"], inputs["holes"]
    assert images.shape == truth.shape == (3, 64, 64, 3) and hole.shape == (3, 64, 64)
    assert images.dtype == truth.dtype == np.float32 and hole.dtype == bool
    assert data.num_batches * 3 >= 400
    again, _ = pw.data.load("removal", "test", batch_size=3)[1]
    assert np.array_equal(again["images"], images) and np.array_equal(again["holes"], hole)
    assert (np.abs(images - truth).max(-1)[hole]).mean() > 0.05
    assert (np.abs(images - truth).max(-1)[~hole] > 0.02).mean() < 0.002
    example = data.example(4)
    assert np.array_equal(np.float32(example.truth) / 255, truth[1])
    mask = example.scene.instances == example.number
    assert mask.sum() >= removal.LEAST * mask.size and example.hole[mask].all()


def test_they_are_the_scenes_of_the_wardrobe():
    for split in ("validation", "test"):
        data = pw.data.load("removal", split, size=(48, 64))
        scene = pw.data.load("wardrobe", split, size=(48, 64)).scene(5)
        assert np.array_equal(data.example(5).image, scene.image)
        assert data.num_batches == pw.data.load("wardrobe", split).num_batches


def test_training_holes_lie_on_whole_pictures():
    data = pw.data.load("removal", batch_size=12)
    inputs, truth = data[0]
    assert data.num_batches is None and np.array_equal(inputs["images"], truth)
    shares = inputs["holes"].mean(axis=(1, 2))
    assert shares.min() > 0 and shares.max() < 0.7 and shares.std() > 0.01
    other, _ = pw.data.load("removal", batch_size=12, seed=1)[0]
    assert not np.array_equal(other["holes"], inputs["holes"])


def test_options_that_are_not_possible(sentence):
    for options in ({"split": "dev"}, {"grow": -1}, {"grow": 1.5}, {"sice": 3}, {"batch_size": 0}):
        with pytest.raises(ValueError) as caught:
            pw.data.load("removal", **options)
        sentence(caught)


def test_strokes_differ_and_are_connected_to_nothing():
    found = [removal.strokes(np.random.default_rng(seed), 40, 60) for seed in range(20)]
    assert all(s.shape == (40, 60) and s.dtype == bool for s in found)
    assert 0.03 < np.mean(found) < 0.5 and not np.array_equal(found[0], found[1])


def test_growing_by_a_plain_loop():
    mask = np.random.default_rng(0).random((2, 13, 9)) < 0.05
    mask[1] = False
    for pixels in (0, 1, 2.5):
        expected = np.zeros_like(mask)
        for picture, row, column in np.argwhere(mask):
            for y in range(13):
                for x in range(9):
                    near = (y - row) ** 2 + (x - column) ** 2 <= pixels**2
                    expected[picture, y, x] |= near
        assert np.array_equal(holes.grow(mask, pixels), expected)
        assert np.array_equal(holes.grow(mask[0].astype("uint8"), pixels), expected[0])


@pytest.mark.parametrize(
    "mask, pixels",
    [
        (np.ones((4, 4), bool), -1),
        (np.ones((4, 4), bool), True),
        (np.full((4, 4), 2), 1),
        (np.ones((2, 4, 4, 1), bool), 1),
        (np.array(["a"]), 1),
        (np.full((4, 4), np.nan), 1),
    ],
)
def test_masks_that_cannot_grow(sentence, mask, pixels):
    with pytest.raises(ValueError) as caught:
        holes.grow(mask, pixels)
    sentence(caught)
