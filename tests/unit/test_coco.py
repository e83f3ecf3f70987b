"""COCO: a small set in the official layout, every kind of mask, and files that are wrong."""

import io
import json
import pickle
import zipfile

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask

from pixelwise import data
from pixelwise.data import coco, shapes
from pixelwise.data.archives import Archive, UnsafeArchive
from pixelwise.data.download import IncompleteDownload, WrongHash

# pycocotools 2.0.11 does not know NumPy 2's ``copy`` keyword yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# COCO's numbers of categories have gaps, and its files do not sort them.
CATEGORIES = [{"id": 7, "name": "kite"}, {"id": 1, "name": "person"}, {"id": 90, "name": "brush"}]
SHAPES = {"000000000009.jpg": (40, 60), "000000000025.jpg": (60, 40), "000000000030.jpg": (32, 32)}
YEARS = ("train2017", "val2017")


def rectangle(x, y, width, height):
    """The polygon of a box."""
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def filled(shape, x, y, width, height):
    mask = np.zeros(shape, np.uint8)
    mask[y : y + height, x : x + width] = 1
    return mask


def runs(mask):
    """Run lengths down the columns, counted one by one."""
    counts, value = [0], 0
    for pixel in mask.T.ravel():
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def packed(mask):
    found = coco_mask.encode(np.asfortranarray(mask))
    return found | {"counts": found["counts"].decode()}


def content():
    """Three pictures: polygons; run lengths, packed ones and a crowd; nothing."""
    first, second, third = SHAPES
    crowd = filled((60, 40), 20, 30, 15, 20)
    annotations = [
        {
            "id": 11,
            "image_id": 9,
            "category_id": 7,
            "bbox": [4, 6, 20, 10],
            "area": 200.5,
            "iscrowd": 0,
            "segmentation": [rectangle(4, 6, 8, 10), rectangle(16, 6, 8, 10)],
        },
        {
            "id": 12,
            "image_id": 25,
            "category_id": 1,
            "bbox": [2, 3, 9, 12],
            "area": 108,
            "iscrowd": 0,
            "segmentation": runs(filled((60, 40), 2, 3, 9, 12)),
        },
        {
            "id": 13,
            "image_id": 25,
            "category_id": 90,
            "bbox": [30, 0, 6, 6],
            "area": 36,
            "iscrowd": 0,
            "segmentation": packed(filled((60, 40), 30, 0, 6, 6)),
        },
        {
            "id": 14,
            "image_id": 25,
            "category_id": 1,
            "bbox": [20, 30, 15, 20],
            "area": 300,
            "iscrowd": 1,
            "segmentation": runs(crowd),
        },
    ]
    images = [
        {
            "id": int(name[:12]),
            "file_name": name,
            "height": SHAPES[name][0],
            "width": SHAPES[name][1],
        }
        for name in (first, second, third)
    ]
    return {"images": images, "annotations": annotations, "categories": CATEGORIES}


def jpeg(index, shape):
    stream = io.BytesIO()
    Image.fromarray(np.full((*shape, 3), 40 + 60 * index, np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


def official():
    """The content of a small set: names below the root and bytes."""
    files = {f"annotations/instances_{y}.json": json.dumps(content()).encode() for y in YEARS}
    files["annotations/captions_val2017.json"] = b"{}"
    for year in YEARS:
        for index, (name, shape) in enumerate(SHAPES.items()):
            files[f"{year}/{name}"] = jpeg(index, shape)
    return files


@pytest.fixture
def root(tmp_path):
    """A folder in the official layout."""
    for name, body in official().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(body)
    return tmp_path


@pytest.fixture
def own(root):
    """A function that loads the val pictures with a changed file of one's own."""

    def load(change=lambda content: None, split="val", **options):
        changed = content()
        changed = change(changed) or changed
        text = changed if isinstance(changed, str) else json.dumps(changed)
        (root / "own.json").write_text(text)
        options = {"annotations": "own.json", "images": "val2017", "size": 32, **options}
        return data.load("coco", split, root=root, **options)

    return load


@pytest.fixture
def archives(server):
    """A function that puts the official zips, small, on a server: what ``fetch`` takes."""

    def serve(folder, name, extra=()):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            members = [(n, body) for n, body in official().items() if n.startswith(folder)]
            for member, body in [*members, *extra]:
                file.writestr(member, body)
        url, checks = server.add(name, stream.getvalue())
        return Archive(url, checks["size"], None, folder, checks["sha256"])

    serve.both = lambda year: (
        serve("annotations", "annotations_trainval2017.zip"),
        serve(year, f"{year}.zip"),
    )
    return serve


def test_from_the_server_to_the_batch(archives, server, tmp_path, monkeypatch):
    monkeypatch.setitem(coco.ARCHIVES, "val2017", archives.both("val2017"))
    dataset = data.load("coco", "val", root=tmp_path, download=True, size=40, batch_size=2)
    there = sorted(path.name for path in tmp_path.iterdir())
    assert there == ["annotations", "annotations_trainval2017.zip", "val2017", "val2017.zip"]
    images, targets = dataset[0]
    assert images.shape == (2, 40, 40, 3) and targets["masks"].shape == (2, 100, 40, 40)
    coco.load("val", root=tmp_path, download=True)
    assert len(server.requests) == 2


def test_default_folder_is_in_the_cache(archives, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path))
    monkeypatch.setitem(coco.ARCHIVES, "train2017", archives.both("train2017"))
    assert coco.load("train", download=True).root == tmp_path / "coco"
    assert coco.load("train").split == "train"


def test_pictures_that_are_there_are_not_downloaded(archives, server, root):
    (root / "images").mkdir()
    (root / "val2017").rename(root / "images" / "val2017")
    coco.fetch("val", root, archives.both("val2017"))
    assert server.requests == [] and not (root / "val2017").exists()
    assert coco.load("val", root=root, size=32)[0][0].shape == (3, 32, 32, 3)


def test_download_cut_in_half_goes_on(archives, server, tmp_path, sentence):
    both = archives.both("val2017")
    server.cut = both[0].size // 2
    with pytest.raises(IncompleteDownload) as caught:
        coco.fetch("val", tmp_path, both)
    assert "run again" in sentence(caught)
    server.cut = None
    coco.fetch("val", tmp_path, both)
    assert server.requests[1] == (f"bytes={both[0].size // 2}-", 206)
    assert coco.load("val", root=tmp_path).names == list(SHAPES)


def test_wrong_hash_and_evil_archives_unpack_nothing(archives, tmp_path, tree, sentence):
    good = archives("val2017", "val2017.zip")
    with pytest.raises(WrongHash) as caught:
        coco.fetch("val", tmp_path / "a", [good._replace(sha256="0" * 64)])
    assert "val2017.zip" in sentence(caught)
    evil = archives("val2017", "val2017.zip", [("val2017/../../evil", b"evil")])
    with pytest.raises(UnsafeArchive) as caught:
        coco.fetch("val", tmp_path / "b", [evil])
    assert "evil" in sentence(caught)
    assert [name for name in tree(tmp_path) if "jpg" in name or "evil" in name] == []


def test_official_addresses():
    for year in YEARS:
        annotations, images = coco.ARCHIVES[year]
        assert annotations.url.endswith("/annotations/annotations_trainval2017.zip")
        assert len(annotations.sha256) == 64 and annotations.folder == "annotations"
        assert images.url.endswith(f"/zips/{year}.zip") and images.folder == year
    assert len(coco.ARCHIVES["val2017"][1].sha256) == 64


def test_classes_are_numbered_without_gaps_in_the_order_of_the_files_numbers(root):
    dataset = coco.load("val", root=root, size=60)
    assert dataset.classes == ("background", "person", "kite", "brush")
    assert dataset.category_ids == (0, 1, 7, 90) and dataset.num_classes == 4
    _, targets = dataset[0]
    np.testing.assert_array_equal(targets["classes"][:, :3], [[2, 0, 0], [1, 3, 0], [0, 0, 0]])


def test_splits(root):
    train = coco.load("train", root=root)
    assert (
        train.num_batches is None and train.augment and train.shuffle and train.max_objects == 100
    )
    val = coco.load("validation", root=root, batch_size=2)
    assert val.split == "val" and val.num_batches == 2 and not val.augment
    assert val.names == list(SHAPES) and val.left_out == {}


def test_every_kind_of_mask(root):
    dataset = coco.load("val", root=root)
    _, polygons = dataset.original(0)
    both = filled((40, 60), 4, 6, 8, 10) + filled((40, 60), 16, 6, 8, 10)
    np.testing.assert_array_equal(polygons["masks"][0, 0], both)
    _, lengths = dataset.original(1)
    expected = [(2, 3, 9, 12), (30, 0, 6, 6), (20, 30, 15, 20)]
    for mask, box in zip(lengths["masks"][0], expected, strict=True):
        np.testing.assert_array_equal(mask, filled((60, 40), *box))


def test_crowds_are_measured_with_and_not_trained_on(root):
    dataset = coco.load("val", root=root, size=60, batch_size=3)
    assert (dataset[0][1]["classes"][1] > 0).sum() == 2
    _, truth = dataset.evaluation_batch(0)
    np.testing.assert_array_equal(truth["crowd"], [[False] * 3, [False, False, True], [False] * 3])
    np.testing.assert_array_equal(truth["classes"][1], [1, 3, 1])
    assert truth["masks"][1, 2].sum() == 300


def test_the_original_picture_has_the_files_boxes_and_areas(root):
    images, truth = coco.load("val", root=root, size=16).original(0)
    assert images.shape == (1, 40, 60, 3)
    np.testing.assert_array_equal(truth["boxes"][0], [[4, 6, 24, 16]])
    np.testing.assert_array_equal(truth["areas"][0], [200.5])


def test_boxes_and_areas_of_the_masks_where_the_file_has_none(own):
    def change(content):
        for annotation in content["annotations"]:
            del annotation["bbox"], annotation["area"], annotation["iscrowd"]

    _, truth = own(change).original(1)
    np.testing.assert_array_equal(truth["boxes"][0, 0], [2, 3, 11, 15])
    np.testing.assert_array_equal(truth["areas"][0], [108, 36, 300])
    assert not truth["crowd"].any()


def test_sizes_may_be_missing_and_names_may_hold_folders(own, root):
    def change(content):
        for image in content["images"]:
            del image["height"], image["width"]
            image["file_name"] = f"val2017/{image['file_name']}"

    dataset = own(change, images=".")
    assert len(dataset[0][0]) == 3 and dataset.names[0] == "val2017/000000000009.jpg"
    (root / "val2017" / "_annotations.json").write_text(json.dumps(content()))
    beside = data.load(
        "coco", "all", root=root / "val2017", annotations="_annotations.json", size=8
    )
    assert len(beside.names) == 3


def test_one_file_for_all_splits(own):
    assert own(split="train").names == own(split="test").names == list(SHAPES)
    parts = {s: own(split=s, val=0.3, test=0.3).names for s in ("train", "val", "test", "all")}
    assert sorted(parts["train"] + parts["val"] + parts["test"]) == parts["all"] == list(SHAPES)
    assert all(parts.values())
    assert own(split="train").shuffle and not own(split="test").shuffle


def test_it_can_be_sent_to_other_processes(own):
    dataset = own()
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[0][1]["masks"], dataset[0][1]["masks"])


def of(content, identity):
    return next(a for a in content["annotations"] if a["id"] == identity)


def set_(identity, **values):
    return lambda content: of(content, identity).update(values)


FAULTS = {
    "no such picture": (set_(12, image_id=99), "annotation 12 of own.json has the picture 99"),
    "no picture": (set_(12, image_id=None), "annotation 12 of own.json has no image_id"),
    "no such class": (set_(13, category_id=2), "annotation 13 of own.json has the category 2"),
    "box of no height": (set_(11, bbox=[4, 6, 20, 0]), "annotation 11 of own.json has the box"),
    "box inside out": (set_(11, bbox=[24, 16, -20, -10]), "of no area"),
    "box of three": (set_(11, bbox=[4, 6, 20]), "not [x, y, width, height]"),
    "box of NaN": (set_(11, bbox=[4, 6, float("nan"), 10]), "not [x, y, width, height]"),
    "box as corners": (set_(12, bbox=[30, 10, 38, 20]), "reaches 28 pixels out of its picture"),
    "area of text": (set_(11, area="200"), "annotation 11 of own.json has the area '200', which"),
    "area of NaN": (set_(11, area=float("nan")), "annotation 11 of own.json has the area nan"),
    "id twice": (set_(12, id=11), "annotation 11 of own.json has an id that another one has too"),
    "box outside": (set_(11, bbox=[70, 6, 20, 10]), "reaches 30 pixels out of its picture"),
}
MASK_FAULTS = {
    "no mask": (set_(11, segmentation=None), "annotation 11 of own.json has no mask"),
    "no polygon": (set_(11, segmentation=[]), "its list of polygons is empty"),
    "flat polygon": (set_(11, segmentation=rectangle(4, 6, 20, 10)), "no lists of numbers"),
    "two points": (set_(11, segmentation=[[4, 6, 24, 16]]), "a polygon of 4 numbers"),
    "odd numbers": (set_(11, segmentation=[[4, 6, 24, 6, 24, 16, 4]]), "a polygon of 7 numbers"),
    "far out": (
        set_(11, segmentation=[[1e30, 6, 24, 6, 24, 16, 4, 1e30]]),
        "has the coordinate 1e+30, far out of its picture of 40 x 60",
    ),
    "size of no list": (set_(12, segmentation={"size": 3, "counts": [2400]}), "of the size 3"),
    "empty mask": (
        set_(12, segmentation=runs(filled((60, 40), 0, 0, 0, 0))),
        "has a mask without a pixel",
    ),
    "elsewhere": (set_(12, bbox=[12, 3, 9, 12]), "a box (12, 3, 21, 15) that is not around"),
    "x and y swapped": (set_(11, bbox=[6, 4, 10, 20]), "which is in (4, 6, 24, 16)"),
    "other size": (
        set_(12, segmentation=runs(filled((40, 60), 2, 3, 9, 12))),
        "a mask of 40 x 60 pixels where its picture has 60 x 40",
    ),
    "short runs": (
        set_(12, segmentation={"size": [60, 40], "counts": [2, 3, 4]}),
        "do not add up to the 2400 pixels",
    ),
    "negative runs": (
        set_(12, segmentation={"size": [60, 40], "counts": [2410, -10]}),
        "do not add up to the 2400 pixels",
    ),
    "packed too long": (
        set_(13, segmentation=packed(filled((90, 90), 3, 3, 80, 80)) | {"size": [60, 40]}),
        "packed run lengths that cannot be unpacked",
    ),
    "counts of no kind": (
        set_(13, segmentation={"size": [60, 40], "counts": 3}),
        "neither a list nor a text",
    ),
}


@pytest.mark.parametrize(("change", "said"), FAULTS.values(), ids=FAULTS.keys())
def test_faulty_annotations_are_seen_at_once(own, sentence, change, said):
    with pytest.raises(ValueError) as caught:
        own(change)
    text = sentence(caught)
    assert said in text and "correct it, take it out of the file, or pass faulty='skip'" in text
    dataset = own(change, faulty="skip")
    assert list(dataset.left_out.values()) == [text]
    assert (dataset.evaluation_batch(0)[1]["classes"] > 0).sum() == 3


@pytest.mark.parametrize(("change", "said"), MASK_FAULTS.values(), ids=MASK_FAULTS.keys())
def test_faulty_masks_are_seen_when_their_picture_is_read(own, sentence, change, said):
    with pytest.raises(ValueError) as caught:
        own(change)[0]
    text = sentence(caught)
    assert said in text and "of own.json" in text
    dataset = own(change, faulty="skip", size=60)
    assert (dataset.evaluation_batch(0)[1]["classes"] > 0).sum() == 3
    assert list(dataset.left_out.values()) == [text]


def test_masks_and_boxes_may_differ_by_rounding(own):
    own(set_(11, bbox=[3.4, 6.3, 21.2, 9.9]))[0]
    own(set_(11, bbox=[4, 4, 20, 12]))[0]
    # A pixel more or less makes a great difference for something small.
    own(set_(13, bbox=[30.6, 0.6, 4.4, 4.4]))[0]


def test_the_official_files_may_have_faults_and_say_so(root):
    file = root / "annotations/instances_train2017.json"
    changed = content()
    of(changed, 12)["bbox"] = [2, 3, 9, 0]
    file.write_text(json.dumps(changed))
    dataset = coco.load("train", root=root)
    assert list(dataset.left_out) == [12]
    with pytest.raises(ValueError, match="annotation 12 of instances_train2017.json"):
        coco.load("train", root=root, faulty="error")


def drop(name):
    return lambda content: {k: v for k, v in content.items() if k != name}


FILES = {
    "no annotations": (lambda c: c | {"annotations": []}, "has no annotations at all"),
    "no table": (drop("annotations"), "has no list 'annotations'"),
    "no categories": (drop("categories"), "has no list 'categories'"),
    "no pictures": (lambda c: c | {"images": []}, "names no picture"),
    "a list": (lambda c: [c], "has no list 'images'"),
    "no JSON": (lambda c: "{'images': []}", "is no JSON"),
    "picture twice": (lambda c: c | {"images": c["images"] * 2}, "for the picture"),
    "name twice": (
        lambda c: c | {"images": [*c["images"], c["images"][0] | {"id": 77}]},
        "names the picture 000000000009.jpg twice",
    ),
    "id twice": (lambda c: c | {"categories": [CATEGORIES[0], CATEGORIES[1] | {"id": 7}]}, "id 7"),
    "name of two categories": (
        lambda c: c | {"categories": [CATEGORIES[0], CATEGORIES[0] | {"id": 9}]},
        "more than one category 'kite'",
    ),
    "named background": (
        lambda c: c | {"categories": [CATEGORIES[0] | {"name": "background"}]},
        "none to the background",
    ),
    "numbers and texts": (
        lambda c: c | {"categories": [CATEGORIES[0], CATEGORIES[1] | {"id": "x"}]},
        "numbers and texts as ids",
    ),
    "deep": (lambda c: "[" * 100_000, "is no JSON"),
    "nameless": (lambda c: c | {"categories": [{"id": 1}]}, "category in place 0"),
    "no table either": (lambda c: c | {"annotations": [3]}, "annotation in place 0"),
}


@pytest.mark.parametrize(("change", "said"), FILES.values(), ids=FILES.keys())
def test_files_that_are_not_of_the_format(own, sentence, change, said):
    with pytest.raises(ValueError) as caught:
        own(change)
    text = sentence(caught)
    assert said in text and "own.json" in text


def test_missing_and_damaged_pictures(own, root, sentence):
    (root / "val2017/000000000025.jpg").write_bytes(jpeg(0, (60, 40))[:300])
    with pytest.raises(ValueError) as caught:
        own()[0]
    assert "000000000025.jpg is damaged" in sentence(caught)
    (root / "val2017/000000000025.jpg").write_bytes(jpeg(0, (40, 60)))
    with pytest.raises(ValueError) as caught:
        own()[0]
    assert "has 40 x 60 pixels (height x width) where own.json says 60 x 40" in sentence(caught)
    (root / "val2017/000000000025.jpg").unlink()
    with pytest.raises(ValueError) as caught:
        own()
    assert "val2017 misses 000000000025.jpg, which own.json names" in sentence(caught)
    with pytest.raises(ValueError) as caught:
        own(images="photographs")
    assert "There is no folder" in sentence(caught)


def test_more_objects_than_there_is_room_for_are_seen_at_once(own, sentence):
    with pytest.raises(ValueError) as caught:
        own(max_objects=1)
    text = sentence(caught)
    assert "picture 000000000025.jpg has 2 objects, more than max_objects=1" in text
    own(max_objects=2)[0]  # the crowd needs no room


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "test"}, "never published"),
        ({"split": "training"}, "no split 'training'"),
        ({"root": 3}, "root is 3: give the path"),
        ({"annotations": 3}, "annotations is 3"),
        ({"annotations": "own.json", "images": 3}, "images is 3"),
        ({"faulty": "ignore"}, "faulty is 'ignore'"),
        ({"sise": 3}, "Coco has no option 'sise': the nearest"),
        ({"max_objects": "many"}, "max_objects is 'many'"),
        ({"annotations": "own.json", "download": True}, "download=True is for the official set"),
        ({"annotations": "nowhere.json"}, "There is no"),
        ({"annotations": "annotations/instances_val2017.json", "split": "tset"}, "no split 'tset'"),
        (
            {
                "annotations": "annotations/instances_val2017.json",
                "images": "val2017",
                "val": 2,
            },
            "val is 2",
        ),
    ],
)
def test_wrong_options(root, sentence, options, said):
    with pytest.raises(ValueError) as caught:
        data.load("coco", **{"split": "val", "root": root, **options})
    assert said in sentence(caught)


def test_set_that_is_not_there(tmp_path, sentence):
    for folders in ((), ("annotations",)):
        for folder in folders:
            (tmp_path / folder).mkdir()
        with pytest.raises(ValueError) as caught:
            coco.load("val", root=tmp_path)
        text = sentence(caught)
        assert "download=True" in text and "instances_val2017.json" in text


def test_a_polygon_beyond_the_picture_is_cut():
    mask = shapes.from_polygons([rectangle(-5, 4, 10, 30)], 12, 9)
    np.testing.assert_array_equal(mask, filled((12, 9), 0, 4, 5, 8))
