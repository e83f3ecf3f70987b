"""What the instance data sets share: frames, targets, evaluation batches, and the wardrobe's."""

import pickle

import keras
import numpy as np
import pytest

from pixelwise import data
from pixelwise.data import objects
from pixelwise.data.instances import Instances

SHAPES = {"wide": (20, 40), "high": (60, 30), "square": (50, 50), "empty": (16, 16)}
CLASSES = ("background", "square", "dot")
JAX = keras.backend.backend() == "jax"  # without its compiler it compiles each operation alone


def scene(name):
    """A picture with a bright square (class 1, its left half red), a dot (class 2) and a crowd."""
    height, width = SHAPES[name]
    image = np.full((height, width, 3), 40, np.uint8)
    if name == "empty":
        return image, objects.of_masks(np.zeros((0, height, width), bool), [])
    masks = np.zeros((3, height, width), bool)
    masks[0, 4:14, 6:20] = masks[1, 2, 1] = masks[2, -3:, -5:] = True
    image[masks[0]], image[masks[2]] = 220, 120
    image[4:14, 6:13] = (220, 0, 0)
    return image, objects.of_masks(masks, [1, 2, 1], [False, False, True])


def made(names=("wide", "high", "square", "empty"), training=False, **options):
    return Instances(list(names), scene, CLASSES, training, **{"batch_size": 4, **options})


def boxes_of(masks):
    """The boxes around masks, pixel by pixel."""
    found = []
    for mask in masks:
        rows, columns = np.nonzero(mask)
        box = (
            (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else 4 * [0]
        )
        found.append(box)
    return np.array(found, "float32").reshape(-1, 4)


def test_a_batch_of_pictures_and_padded_targets():
    images, targets = made(size=(30, 40), max_objects=5)[0]
    assert images.shape == (4, 30, 40, 3) and images.dtype == np.float32 and images.max() <= 1
    expected = {
        "boxes": ((4, 5, 4), np.float32),
        "classes": ((4, 5), np.int32),
        "masks": ((4, 5, 30, 40), np.uint8),
    }
    assert {name: (array.shape, array.dtype) for name, array in targets.items()} == expected
    # The dots of the pictures that become smaller vanish, and the crowds are no targets.
    np.testing.assert_array_equal(
        targets["classes"][:, :3], [[1, 2, 0], [1, 0, 0], [1, 0, 0], [0, 0, 0]]
    )
    assert not targets["boxes"][3].any() and not targets["masks"][3].any()


def test_a_picture_lies_in_the_upper_left_corner_and_zeros_around_it():
    images, targets = made(size=40)[0]
    for image, name in zip(images, SHAPES, strict=True):
        height, width = (round(s * 40 / max(SHAPES[name])) for s in SHAPES[name])
        assert (image[:height, :width] > 0).any(axis=-1).all()
        assert not image[height:].any() and not image[:, width:].any()
    assert not targets["masks"][0, :, 20:].any() and not targets["masks"][1, :, :, 20:].any()


def test_masks_by_nearest_neighbour_and_boxes_around_them():
    _, full = scene("wide")
    for size in (40, 80, 23):
        _, targets = made(["wide"], size=size)[0]
        assert set(np.unique(targets["masks"])) == {0, 1}
        count = (targets["classes"][0] > 0).sum()
        np.testing.assert_array_equal(targets["boxes"][0], boxes_of(targets["masks"][0]))
        scaled = full.boxes[:count] * size / 40
        assert np.abs(targets["boxes"][0, :count] - scaled).max() <= 1
    _, targets = made(["wide"], size=80)[0]
    np.testing.assert_array_equal(
        targets["masks"][0, 0, :40], full.masks[0].repeat(2, 0).repeat(2, 1)
    )


def test_nothing_changes_at_the_pictures_own_size():
    image, found = scene("square")
    images, targets = made(["square"], size=50)[0]
    np.testing.assert_array_equal(images[0] * 255, image)
    np.testing.assert_array_equal(targets["masks"][0, :2], found.masks[:2])
    np.testing.assert_array_equal(targets["boxes"][0, :2], found.boxes[:2])


def test_evaluation_has_the_same_pictures_and_crowds_and_areas():
    dataset = made(size=40, max_objects=2)
    images, targets = dataset.evaluation_batch(0)
    np.testing.assert_array_equal(images, dataset[0][0])
    assert targets["classes"].shape == (4, 3) and targets["masks"].shape == (4, 3, 40, 40)
    np.testing.assert_array_equal(targets["crowd"].sum(axis=1), [1, 1, 1, 0])
    np.testing.assert_array_equal(targets["areas"], targets["masks"].sum(axis=(2, 3)))
    np.testing.assert_array_equal(targets["classes"][0], [1, 2, 1])
    assert made(["empty"]).evaluation_batch(0)[1]["classes"].shape == (1, 0)


def test_the_original_picture_has_the_boxes_and_areas_of_its_file():
    def read(name):
        image, found = scene(name)
        return image, objects.Objects(
            found.boxes + 0.25, found.classes, found.masks, found.crowd, found.areas + 0.5
        )

    dataset = Instances(["wide", "high"], read, CLASSES, False, size=16)
    images, targets = dataset.original(1)
    assert images.shape == (1, 60, 30, 3) and targets["masks"].shape == (1, 3, 60, 30)
    np.testing.assert_array_equal(targets["boxes"][0], scene("high")[1].boxes + 0.25)
    np.testing.assert_array_equal(targets["areas"][0], scene("high")[1].areas + 0.5)


def test_augmented_masks_stay_on_their_pictures():
    dataset = made(["square", "high"], True, size=48, batch_size=40, scale=(0.5, 2))
    images, targets = dataset[0]
    sizes, cut, red_is_right = set(), 0, []
    for image, boxes, classes, masks in zip(images, *targets.values(), strict=True):
        np.testing.assert_array_equal(boxes, boxes_of(masks))
        for place in np.flatnonzero(classes == 1):
            inside = masks[place] > 0
            assert (image[inside].max(axis=-1) > 0.45).mean() > 0.85
            sizes.add(int(inside.sum()))
            cut += boxes[place, :2].min() == 0
        red = (image[..., 0] > 0.7) & (image[..., 1] < 0.2)
        white = image.min(axis=-1) > 0.7
        if red.any() and white.any():
            red_is_right.append(np.nonzero(red)[1].mean() > np.nonzero(white)[1].mean())
    assert len(sizes) > 15 and cut
    assert 8 < sum(red_is_right) < len(red_is_right) - 8  # mirrored now and then


def test_padding_stays_right_of_and_below_mirrored_pictures():
    dataset = made(["wide"], True, size=48, batch_size=30, scale=(0.5, 0.9), flip=1)
    for image in dataset[0][0]:
        there = image.any(axis=-1)
        height, width = there.any(1).sum(), there.any(0).sum()
        assert there[:height, :width].all() and width < 48 and height < 48


def test_flip_and_scale_are_options():
    still = made(["wide"], True, size=40, scale=(1, 1), flip=0, batch_size=2)[3]
    plain = made(["wide"], size=40)[0]
    np.testing.assert_array_equal(still[0][:1], plain[0])
    mirrored = made(["wide"], True, size=40, scale=(1, 1), flip=1, batch_size=2)[3]
    np.testing.assert_array_equal(mirrored[0][0], plain[0][0][:, ::-1])
    np.testing.assert_array_equal(mirrored[1]["masks"][0], plain[1]["masks"][0][..., ::-1])
    assert made(["wide"], True, augment=False, shuffle=False).num_batches == 1


def test_batches_depend_on_seed_and_index_only():
    def batch(index, **options):
        images, targets = made(training=True, size=32, **options)[index]
        return [images, *targets.values()]

    first = made(training=True, size=32)
    for index in range(3):
        first[index]
    again = first[3]
    for one, other in zip(batch(3), [again[0], *again[1].values()], strict=True):
        np.testing.assert_array_equal(one, other)
    assert not np.array_equal(batch(3)[0], batch(3, seed=1)[0])
    uncached = batch(3, cache=0)
    np.testing.assert_array_equal(uncached[0], again[0])
    sent = pickle.loads(pickle.dumps(first))[3]
    np.testing.assert_array_equal(sent[1]["masks"], again[1]["masks"])


def test_more_objects_than_there_is_room_for(sentence):
    with pytest.raises(ValueError) as caught:
        made(max_objects=1)[0]
    text = sentence(caught)
    assert "The picture wide has 2 objects, more than max_objects=1" in text
    assert "set max_objects to at least 2" in text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_objects": 0}, "max_objects is 0"),
        ({"flip": 2}, "flip is 2"),
        ({"flip": "yes"}, "flip is 'yes'"),
        ({"scale": (2, 1)}, "scale is (2, 1)"),
        ({"size": (4, 5, 6)}, "size is (4, 5, 6)"),
        ({"max_object": 3}, "no option 'max_object': the nearest"),
        ({"cache": -1}, "cache is -1"),
    ],
)
def test_wrong_options(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        made(**options)
    assert said in sentence(caught)


def test_the_end_of_an_ordered_split():
    dataset = made(batch_size=3)
    assert dataset.num_batches == 2 and len(dataset[1][0]) == 1
    with pytest.raises(IndexError, match="Batch 2 is outside the 2"):
        dataset.evaluation_batch(2)


def test_objects_of_labels_and_of_masks():
    labels = np.array([[0, 1, 1], [3, 0, 1]])
    found = objects.of_labels(labels, [5, 6, 7])  # the second has no pixel
    np.testing.assert_array_equal(found.classes, [5, 7])
    np.testing.assert_array_equal(found.boxes, [[1, 0, 3, 2], [0, 1, 1, 2]])
    np.testing.assert_array_equal(found.areas, [3, 1])
    np.testing.assert_array_equal(found.masks[0], labels == 1)
    assert len(objects.of_labels(np.zeros((2, 2), int), [])) == 0
    np.testing.assert_array_equal(found.mirrored().boxes, [[0, 0, 2, 2], [2, 1, 3, 2]])


@pytest.mark.parametrize(("top", "left"), [(0, 0), (-1, -2), (3, 1), (-5, 0), (0, 9)])
def test_what_sticks_out_of_a_frame_is_cut(top, left):
    array = np.arange(1, 13).reshape(3, 4)
    framed = objects.place(array, top, left, (5, 6))
    for row, column in np.ndindex(5, 6):
        y, x = row - top, column - left
        assert framed[row, column] == (array[y, x] if 0 <= y < 3 and 0 <= x < 4 else 0)


def test_wardrobe_instances_are_the_objects_of_its_scenes():
    options = {"size": 64, "batch_size": 3, "num_batches": 2}
    semantic = data.load("wardrobe", "test", **options)
    dataset = data.load("wardrobe", "test", targets="instances", **options)
    images, targets = dataset[1]
    np.testing.assert_array_equal(images, semantic[1][0])
    assert targets["masks"].shape == (3, 8, 64, 64)
    for number in range(3):
        classes, masks = targets["classes"][number], targets["masks"][number]
        count = (classes > 0).sum()
        assert count == len(dataset.scene(3 + number).classes) > 0 and not masks[count:].any()
        np.testing.assert_array_equal(targets["boxes"][number], boxes_of(masks))
        drawn = (classes[:, None, None] * masks).sum(axis=0)  # garments do not overlap in the truth
        np.testing.assert_array_equal(drawn, semantic[1][1][number])
    evaluated = semantic.evaluation_batch(1)[1]
    most = (targets["classes"] > 0).sum(axis=1).max()
    np.testing.assert_array_equal(evaluated["masks"], targets["masks"][:, :most])
    assert not evaluated["crowd"].any()


def test_wardrobe_bad_input(sentence):
    with pytest.raises(ValueError) as caught:
        data.load("wardrobe", targets="boxes")
    assert "targets is 'boxes'" in sentence(caught)
    dataset = data.load("wardrobe", "test", targets="instances", size=32, max_objects=1)
    with pytest.raises(ValueError) as caught:
        for index in range(4):
            dataset[index]
    text = sentence(caught)
    assert "of the wardrobe's test has" in text and "more than max_objects=1" in text


def test_fit_takes_the_dicts():
    class Counter(keras.Model):
        """Learns the number of objects, to show that targets reach ``compute_loss``."""

        def __init__(self):
            super().__init__()
            self.head = keras.layers.Dense(1)

        def call(self, images):
            return self.head(keras.ops.mean(images, axis=(1, 2)))

        def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
            valid = keras.ops.cast(y["classes"] > 0, "float32")
            return keras.ops.mean((y_pred[:, 0] - keras.ops.sum(valid, axis=1)) ** 2)

    model = Counter()
    model.compile("sgd", jit_compile=JAX)
    dataset = made(training=True, size=32, num_batches=3)
    history = model.fit(dataset, epochs=1, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
