"""The composer of scenes and the wardrobe data set."""

import time

import numpy as np
import pytest

import pixelwise as pw
from pixelwise.data import backgrounds, scenes, wardrobe


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
    """Some garments are covered in part, none by more than the share allowed."""
    garments, labels, pictures = own
    areas = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        scene = scenes.compose(garments[:1], labels[:1], pictures, rng, 64, objects=(5, 6))
        areas += [np.mean(scene.instances == k + 1) for k in range(len(scene.classes))]
        assert 1 <= len(scene.classes) <= 6
    # A lone square covers at least (0.28 * 12 / 20)^2 of the picture; 70 % of its box stays inside.
    assert min(areas) > 0.28**2 * 0.36 * scenes.MIN_VISIBLE * 0.5
    assert np.std(areas) > 0.005


def test_the_image_shows_what_the_mask_says(own):
    garments, labels, pictures = own
    scene = scenes.compose(garments, labels, pictures[:1], np.random.default_rng(1), 64)
    inside = scene.image[scene.semantic > 0].mean()
    outside = scene.image[scene.semantic == 0].mean()
    assert inside > outside + 20  # light cloth on a dark ground


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"garments": np.zeros((0, 9, 9), np.uint8), "labels": []}, "0 garments and 2 backgrounds"),
        ({"backgrounds": []}, "2 garments and 0 backgrounds"),
        ({"labels": np.array([1])}, "2 garments and 1 labels"),
        ({"labels": np.array([0, 1])}, "start at 1"),
        ({"size": 8}, "8 x 8 pixels has no room"),
    ],
)
def test_bad_input_is_named(own, change, sentence):
    garments, labels, pictures = own
    call = {"garments": garments, "labels": labels, "backgrounds": pictures, "size": 64, **change}
    with pytest.raises(ValueError, match=sentence):
        scenes.compose(rng=np.random.default_rng(0), **call)


def test_two_hundred_scenes_a_second():
    """The bound of the design, on one core; half of it here, since a test may share its core."""
    data = pw.data.load("wardrobe", "test", size=96)
    data.scene(0)
    best = 0.0
    for _ in range(3):
        start = time.process_time()
        for index in range(40):
            data.scene(index)
        best = max(best, 40 / (time.process_time() - start))
    assert best > 100


def test_splits_share_neither_garments_nor_backgrounds():
    seen = [{picture.tobytes() for picture in wardrobe.garments(s)[0]} for s in wardrobe.SPLITS]
    walls = [
        {picture.tobytes() for picture in backgrounds.load(split)} for split in wardrobe.SPLITS
    ]
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


def test_every_class_is_common():
    data = pw.data.load("wardrobe", "test", size=48)
    share = np.mean(
        [np.bincount(data.scene(k).semantic.ravel(), minlength=6) for k in range(60)], 0
    )
    assert (share[1:] / share.sum() > 0.015).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"split": "dev"}, "no split 'dev'"), ({"batch_size": 0}, "batch_size is 0")],
)
def test_bad_options_are_named(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        pw.data.load("wardrobe", **options)


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
