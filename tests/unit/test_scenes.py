"""The composer of scenes and the wardrobe data set."""

import time

import numpy as np
import pytest

import pixelwise as pw
from pixelwise.data import backgrounds, scenes, splits, wardrobe


@pytest.fixture(scope="module")
def own():
    """Somebody else's pictures: squares and discs on plain colours."""
    square = np.zeros((20, 20), np.uint8)
    square[4:16, 4:16] = 200
    y, x = np.mgrid[:20, :20] - 9.5
    disc = np.uint8(200 * (x**2 + y**2 < 49))
    pictures = [np.full((50, 70, 3), grey, np.uint8) for grey in (30, 220)]
    return np.stack([square, disc]), np.array([1, 2]), pictures


def test_masks_agree_with_each_other(own):
    for seed in range(20):
        scene = scenes.compose(*own, np.random.default_rng(seed), (64, 80))
        assert scene.image.shape == (64, 80, 3) and scene.image.dtype == np.uint8
        assert scene.semantic.shape == scene.instances.shape == (64, 80)
        numbers = np.unique(scene.instances)
        assert set(numbers) - {0} == set(range(1, len(scene.classes) + 1))
        expected = np.concatenate([[0], scene.classes])[scene.instances]
        assert np.array_equal(scene.semantic, expected)


def test_the_seed_decides_everything(own):
    first = scenes.compose(*own, np.random.default_rng(3), 48, varied=True)
    again = scenes.compose(*own, np.random.default_rng(3), 48, varied=True)
    other = scenes.compose(*own, np.random.default_rng(4), 48, varied=True)
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.instances, again.instances)
    assert not np.array_equal(first.image, other.image)


def test_objects_overlap_and_stay_visible(own):
    """Garments cover each other, and those that are covered too much are taken out."""
    garments, labels, pictures = own
    areas, counts = [], []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scene = scenes.compose(garments[:1], labels[:1], pictures, rng, 64, objects=(5, 6))
        areas += [np.mean(scene.instances == k + 1) for k in range(len(scene.classes))]
        counts.append(len(scene.classes))
    assert min(counts) < 5 and max(counts) == 6
    # A lone square covers at least (0.28 * 12 / 20)^2 of the picture; 70 % of its box stays inside.
    assert min(areas) > 0.28**2 * 0.36 * scenes.MIN_VISIBLE * 0.5


def square(top, left=0, side=10, cloth=True):
    """A layer as ``compose`` makes them, without colour and shadow."""
    alpha = np.full((side, side), float(cloth))
    return slice(top, top + side), slice(left, left + side), None, alpha, None


@pytest.mark.parametrize(
    ("layers", "kept"),
    [
        ([square(0), square(4)], [0, 1]),  # 40 % of the lower one is visible
        ([square(0), square(3)], [1]),  # 30 %
        ([square(3), square(0)], [1]),
        ([square(0), square(7), square(-7)], [0, 1, 2]),
        ([square(0), square(6), square(-5)], [1, 2]),  # covered from both sides
        ([square(0), square(0, left=20)], [0, 1]),
        ([square(0), square(5, cloth=False)], [0]),  # nothing of it is there
    ],
)
def test_what_is_covered_too_much_is_taken_out(layers, kept):
    assert scenes._visible(layers) == kept


def test_the_image_shows_what_the_mask_says(own):
    """On a dark ground the cloth can be found by its light, and lies where the mask says."""
    garments, labels, pictures = own
    for seed in range(10):
        rng = np.random.default_rng(seed)
        scene = scenes.compose(garments, labels, pictures[:1], rng, 64)
        found, mask = scene.image.max(-1) > 50, scene.semantic > 0
        assert (found & mask).sum() > 0.85 * (found | mask).sum()


def test_cut_outs_may_be_wide_and_lists_will_do(own):
    """A wide garment is scaled by its longer side, and not cut."""
    wide = np.zeros((10, 40), np.uint8)
    wide[1:9, 1:39] = 200
    for seed in range(10):
        rng = np.random.default_rng(seed)
        scene = scenes.compose([wide], [3], own[2][:1], rng, 100, objects=(1, 1))
        share = np.mean(scene.semantic == 3) / (0.55**2 * 0.19)  # 38 x 8 of 40 x 40 pixels
        assert (0.28 / 0.55) ** 2 * 0.4 < share < 1.05


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"garments": np.zeros((0, 9, 9), np.uint8), "labels": []}, "0 garments and 2 backgrounds"),
        ({"backgrounds": []}, "2 garments and 0 backgrounds"),
        ({"labels": np.array([1])}, "2 garments and 1 labels"),
        ({"labels": np.array([0, 1])}, "start at 1"),
        ({"labels": np.array([1, 255])}, "from 1 to 255"),
        ({"labels": np.array([1.0, 2.0])}, "received float64"),
        ({"garments": np.ones((2, 9, 9))}, "garment has dtype float64"),
        ({"garments": np.ones((2, 9, 9, 3), np.uint8)}, r"shape \(9, 9, 3\)"),
        (
            {"backgrounds": [np.ones((50, 70), np.uint8)]},
            r"background has dtype uint8 .*\(50, 70\)",
        ),
        ({"backgrounds": [np.ones((50, 70, 3))]}, "background has dtype float64"),
        ({"size": 8}, "8 x 8 pixels has no room"),
        ({"size": (64, 64, 3)}, r"size is \(64, 64, 3\)"),
        ({"objects": (4, 2)}, r"objects is \(4, 2\)"),
    ],
)
def test_bad_input_is_named(own, change, sentence):
    garments, labels, pictures = own
    call = {"garments": garments, "labels": labels, "backgrounds": pictures, "size": 64, **change}
    with pytest.raises(ValueError, match=sentence):
        scenes.compose(rng=np.random.default_rng(0), **call)


@pytest.mark.parametrize("split", ["train", "test"])
def test_two_hundred_scenes_a_second(split):
    """The bound of the design, on one core; a quarter of it here, since machines differ."""
    data = pw.data.load("wardrobe", split, size=96)
    data.scene(0)
    best = 0.0
    for _ in range(3):
        start = time.thread_time()
        for index in range(40):
            data.scene(index)
        best = max(best, 40 / (time.thread_time() - start))
    assert best > 50


def test_splits_share_neither_garments_nor_backgrounds():
    seen = [{picture.tobytes() for picture in wardrobe.garments(s)[0]} for s in splits.NUMBERS]
    walls = [{picture.tobytes() for picture in backgrounds.load(split)} for split in splits.NUMBERS]
    for parts in (seen, walls):
        assert not parts[0] & parts[1] and not parts[0] & parts[2] and not parts[1] & parts[2]


def test_batches_are_fixed_by_their_number():
    data = pw.data.load("wardrobe", "train", size=48, batch_size=3, seed=5)
    images, masks = data[7]
    assert images.shape == (3, 48, 48, 3) and images.dtype == np.float32
    assert masks.shape == (3, 48, 48) and masks.dtype == np.int32
    assert 0 <= images.min() and images.max() <= 1 and masks.max() < data.num_classes
    assert np.array_equal(data[7][0], images)
    other = pw.data.load("wardrobe", "train", size=48, batch_size=3, seed=6)
    assert not np.array_equal(other[7][0], images)
    assert data.num_batches is None
    assert pw.data.load("wardrobe", "test").num_batches * 16 == 400


def test_a_split_of_known_length_ends():
    data = pw.data.load("wardrobe", "validation", size=32, batch_size=4, num_batches=3)
    assert len(list(data)) == 3
    for index in (-1, 3):
        with pytest.raises(IndexError, match=f"Batch {index} is outside the 3"):
            data[index]


def test_every_class_is_common():
    data = pw.data.load("wardrobe", "test", size=48)
    share = np.mean(
        [np.bincount(data.scene(k).semantic.ravel(), minlength=6) for k in range(60)], 0
    )
    assert (share[1:] / share.sum() > 0.015).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"split": "dev"}, "no split 'dev'"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"size": 96.5}, "size is 96.5"),
    ],
)
def test_bad_options_are_named(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        pw.data.load("wardrobe", **options)


def test_an_unknown_split_has_no_garments():
    with pytest.raises(ValueError, match="no split 'dev'"):
        wardrobe.garments("dev")


def test_an_unknown_data_set_is_named():
    with pytest.raises(ValueError, match="no data set 'wardobe'"):
        pw.data.load("wardobe")


def test_perspective_looks_where_it_is_told():
    """A panorama painted with its own directions shows them at the middle of the view."""
    height = 64
    panorama = np.zeros((height, 2 * height, 3), np.uint8)
    panorama[..., 0] = np.arange(2 * height)  # longitude
    panorama[..., 1] = np.arange(height)[:, None]  # latitude
    for yaw, pitch in [(0, 0), (40, 20), (-90, -45)]:
        view = backgrounds.perspective(panorama, yaw, pitch, 60, 33)
        red, green = view[16, 16, :2]
        assert abs(red - (yaw / 360 + 0.5) * 128) <= 1
        assert abs(green - (0.5 - pitch / 180) * 64) <= 1


def test_cut_out_fills_holes_and_drops_crumbs():
    garment = np.zeros((28, 28), np.uint8)
    garment[5:20, 5:20] = 90
    garment[10:13, 10:13] = 0  # a black print
    garment[25, 25] = 200  # a speck
    mask = scenes.cut_out(garment) > 0
    assert mask[11, 11] and not mask[25, 25] and mask.sum() == 225
