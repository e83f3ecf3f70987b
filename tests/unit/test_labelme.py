"""LabelMe: a folder as the tool leaves it, every kind of shape, and bad input."""

import base64
import io
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from pixelwise import data
from pixelwise.data import labelme

# pycocotools 2.0.11 does not know NumPy 2's ``copy`` keyword yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPE = (40, 60)


def shape(label, points, kind="polygon", **others):
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, **others}


def png(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def content(name, shapes):
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": f"{name}.jpg",
        "imageData": None,
        "imageHeight": SHAPE[0],
        "imageWidth": SHAPE[1],
    }


LEAF = shape("leaf", [[4, 6], [24, 6], [24, 16], [4, 16]])
STONE = shape("stone", [[50.5, 30.5], [30.5, 20.5]], "rectangle")
SHAPES = {
    "a": [LEAF, STONE],
    "b": [shape("stone", [[20.0, 20.0], [20.0, 28.0]], "circle")],
    "c": [],
    "d": [LEAF, shape("leaf", [[40, 20], [55, 20], [55, 35]])],
    "e": [STONE, LEAF, shape("leaf", [[1, 30], [9, 30], [9, 38], [1, 38]])],
}


@pytest.fixture
def root(tmp_path):
    """A folder of five labelled pictures, and one without a label."""
    for name, shapes in SHAPES.items():
        write(tmp_path, name, shapes)
    Image.fromarray(np.zeros((*SHAPE, 3), np.uint8)).save(tmp_path / "unlabelled.jpg")
    return tmp_path


def write(folder, name, shapes, change=lambda content: content):
    changed = change(content(name, shapes))
    text = changed if isinstance(changed, str) else json.dumps(changed)
    (folder / f"{name}.json").write_text(text)
    image = np.full((*SHAPE, 3), 80 + ord(name[0]) - ord("a"), np.uint8)
    Image.fromarray(image).save(folder / f"{name}.jpg")


def masks_of(root, shapes):
    write(root, "a", shapes)
    _, truth = labelme.load("all", root=root).original(0)
    return truth["masks"][0].astype(bool)


def box(x1, y1, x2, y2):
    mask = np.zeros(SHAPE, bool)
    mask[y1:y2, x1:x2] = True
    return mask


def test_a_folder_is_enough(root):
    dataset = data.load("labelme", "all", root=root, size=60, batch_size=5)
    assert dataset.names == list("abcde") and dataset.classes == ("background", "leaf", "stone")
    images, targets = dataset[0]
    assert images.shape == (5, 60, 60, 3) and targets["masks"].shape == (5, 32, 60, 60)
    np.testing.assert_array_equal(
        targets["classes"][:, :3], [[1, 2, 0], [2, 0, 0], [0, 0, 0], [1, 1, 0], [2, 1, 1]]
    )
    np.testing.assert_array_equal(targets["boxes"][0, 0], [4, 6, 24, 16])
    assert not dataset.evaluation_batch(0)[1]["crowd"].any()


def test_polygons_and_rectangles_of_any_corners(root):
    found = masks_of(root, [LEAF, shape("leaf", [[50, 30], [30, 20]], "rectangle")])
    np.testing.assert_array_equal(found, [box(4, 6, 24, 16), box(30, 20, 50, 30)])


def test_a_circle_holds_the_pixels_whose_middle_is_in_it(root):
    (found,) = masks_of(root, [shape("leaf", [[20.0, 20.0], [23.0, 24.0]], "circle")])
    for row, column in np.ndindex(SHAPE):
        inside = (column + 0.5 - 20) ** 2 + (row + 0.5 - 20) ** 2 <= 25
        assert found[row, column] == inside
    (cut,) = masks_of(root, [shape("leaf", [[0.0, 0.0], [0.0, 9.0]], "circle")])
    assert cut[:5, :5].all() and not cut[9:].any()


def test_masks_are_pictures_at_a_place(root):
    part = np.random.default_rng(0).integers(0, 2, (7, 5)).astype(np.uint8) * 255
    points = [[10, 20], [14, 26]]
    (found,) = masks_of(root, [shape("leaf", points, "mask", mask=png(part))])
    np.testing.assert_array_equal(found[20:27, 10:15], part > 0)
    assert found.sum() == (part > 0).sum()
    (cut,) = masks_of(root, [shape("leaf", [[57, 38], [61, 44]], "mask", mask=png(part | 1))])
    np.testing.assert_array_equal(cut, box(57, 38, 60, 40))


def test_shapes_of_one_label_and_one_group_are_one_object(root):
    left, right = LEAF | {"group_id": 1}, shape("leaf", [[40, 20], [55, 20], [55, 35], [40, 35]])
    found = masks_of(root, [left, STONE | {"group_id": 1}, right | {"group_id": 1}, right])
    assert len(found) == 3
    np.testing.assert_array_equal(found[0], box(4, 6, 24, 16) | box(40, 20, 55, 35))


def test_classes_in_an_order_of_ones_own(root, sentence):
    dataset = labelme.load("all", root=root, classes=["stone", "leaf", "twig"], size=60)
    assert dataset.classes == ("background", "stone", "leaf", "twig")
    np.testing.assert_array_equal(dataset[0][1]["classes"][0, :2], [2, 1])
    with pytest.raises(ValueError) as caught:
        labelme.load("all", root=root, classes=["stone", "leave"])
    assert "a.json has the label 'leaf', which is not among classes: the nearest" in sentence(
        caught
    )


def test_splits_are_drawn_or_listed(root):
    drawn = {s: labelme.load(s, root=root).names for s in ("train", "val", "test", "all")}
    assert sorted(drawn["train"] + drawn["val"] + drawn["test"]) == drawn["all"] == list("abcde")
    assert labelme.load("train", root=root).augment and drawn["test"]
    # All labels are classes in every split.
    assert labelme.load("test", root=root).classes == ("background", "leaf", "stone")
    (root / "train.txt").write_text("a.jpg\nb\n")
    (root / "test.txt").write_text("d\n")
    assert labelme.load("train", root=root).names == ["a", "b"]
    assert labelme.load("test", root=root).names == ["d"]


def test_pictures_are_where_the_file_says_or_beside_it(root):
    (root / "photographs").mkdir()
    (root / "a.jpg").rename(root / "photographs" / "a.jpg")
    for path in ("photographs/a.jpg", "photographs\\a.jpg"):
        write(root, "a", SHAPES["a"], lambda c, path=path: c | {"imagePath": path})
        (root / "a.jpg").unlink()
        assert labelme.load("all", root=root).original(0)[0].shape == (1, *SHAPE, 3)
    write(root, "b", SHAPES["b"], lambda c: c | {"imagePath": "..\\elsewhere\\b.jpg"})
    write(root, "c", SHAPES["c"], lambda c: c | {"imagePath": "renamed.png"})
    labelme.load("all", root=root)[0]


def test_old_files_without_shape_type(root):
    old = {k: v for k, v in LEAF.items() if k not in ("shape_type", "group_id")}
    np.testing.assert_array_equal(masks_of(root, [old]), [box(4, 6, 24, 16)])


def test_it_can_be_sent_to_other_processes(root):
    dataset = labelme.load("train", root=root, size=32)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[2][1]["masks"], dataset[2][1]["masks"])


WRONG_SHAPES = {
    "point": (shape("leaf", [[3, 4]], "point"), "is a point, which encloses nothing"),
    "line": (shape("leaf", [[3, 4], [9, 9]], "line"), "is a line, which encloses nothing"),
    "two corners": (shape("leaf", [[3, 4], [9, 9]]), "is a polygon of 2 points where 3 are needed"),
    "no label": (shape(None, LEAF["points"]), "in place 0 of"),
    "no pairs": (shape("leaf", [3, 4, 5, 6, 7, 8]), "no pairs of numbers"),
    "no numbers": (shape("leaf", [["3", "4"]] * 3), "no pairs of numbers"),
    "not a table": ("leaf", "has no label"),
    "outside": (shape("leaf", [[70, 4], [90, 4], [90, 20]]), "has no pixel in its picture"),
    "far out": (shape("leaf", [[1e30, 4], [9, 9], [4, 9e30]]), "far out of its picture of 40 x 60"),
    "large circle": (shape("leaf", [[5, 5], [1e200, 5]], "circle"), "has the coordinate 1e+200"),
    "kind of no text": (shape("leaf", LEAF["points"], ["polygon"]), "encloses nothing"),
    "group of no number": (shape("leaf", LEAF["points"]) | {"group_id": [1]}, "the group_id [1]"),
    "no mask": (shape("leaf", [[3, 4], [9, 9]], "mask"), "cannot be decoded"),
    "broken mask": (shape("leaf", [[3, 4], [9, 9]], "mask", mask="####"), "cannot be decoded"),
}


@pytest.mark.parametrize(("wrong", "said"), WRONG_SHAPES.values(), ids=WRONG_SHAPES.keys())
def test_shapes_that_are_no_objects(root, sentence, wrong, said):
    with pytest.raises(ValueError) as caught:
        masks_of(root, [wrong])
    assert said in sentence(caught)


WRONG_FILES = {
    "no JSON": (lambda c: "shapes", "a.json is no JSON"),
    "deep": (lambda c: "[" * 100_000, "a.json is no JSON"),
    "COCO": (lambda c: {"images": [], "annotations": []}, "a.json has no 'shapes'"),
    "a list": (lambda c: [c], "a.json has no 'shapes'"),
    "shapes of no list": (lambda c: c | {"shapes": 3}, "has 'shapes' that are no list"),
    "no size": (lambda c: c | {"imageWidth": None}, "a.json has no 'imageWidth'"),
    "other size": (lambda c: c | {"imageWidth": 30}, "has 40 x 60 pixels (height x width) where"),
}


@pytest.mark.parametrize(("change", "said"), WRONG_FILES.values(), ids=WRONG_FILES.keys())
def test_files_that_are_not_labelmes(root, sentence, change, said):
    write(root, "a", SHAPES["a"], change)
    with pytest.raises(ValueError) as caught:
        labelme.load("all", root=root, size=32)[0]
    assert said in sentence(caught)


def test_missing_and_damaged_pictures(root, sentence):
    (root / "b.jpg").write_bytes((root / "b.jpg").read_bytes()[:200])
    with pytest.raises(ValueError) as caught:
        labelme.load("all", root=root, size=32)[0]
    assert "b.jpg is damaged" in sentence(caught)
    (root / "b.jpg").unlink()
    with pytest.raises(ValueError) as caught:
        labelme.load("all", root=root)
    assert "There is no picture b.jpg for" in sentence(caught)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "valid"}, "A folder of LabelMe has no split 'valid'"),
        ({"root": None}, "needs root="),
        ({"root": 3}, "needs root="),
        ({"classes": "leaf"}, "classes is 'leaf'"),
        ({"classes": [1]}, "classes is [1]"),
        ({"root": "nowhere"}, "There is no folder nowhere"),
        ({"classes": []}, "classes is ()"),
        ({"classes": ["leaf", "leaf", "stone"]}, "each once"),
        ({"classes": ["background", "leaf", "stone"]}, "without 'background'"),
        ({"test": -1}, "test is -1"),
        ({"split": "val", "val": 0}, "The split 'val' is empty"),
        ({"sise": 3}, "LabelMe has no option 'sise': the nearest"),
        ({"max_objects": 2}, "The picture e has 3 objects, more than max_objects=2"),
    ],
)
def test_wrong_options(root, sentence, options, said):
    with pytest.raises(ValueError) as caught:
        data.load("labelme", **{"split": "all", "root": root, **options})
    assert said in sentence(caught)


def test_a_folder_without_labels(tmp_path, sentence):
    with pytest.raises(ValueError) as caught:
        labelme.load("all", root=tmp_path)
    assert "has no JSON file" in sentence(caught)
    write(tmp_path, "a", [])
    with pytest.raises(ValueError) as caught:
        labelme.load("all", root=tmp_path)
    assert "classes is ()" in sentence(caught)
