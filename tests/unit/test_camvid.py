"""CamVid: a small set in each of its layouts, the grouping of labels, the split, and bad input."""

import io
import shutil
import sys
import tarfile
import types

import keras
import numpy as np
import pytest
from PIL import Image

from pixelwise import data, training
from pixelwise.data import camvid, camvid_layouts
from pixelwise.data.archives import Archive, UnsafeArchive
from pixelwise.data.download import IncompleteDownload

PARTS = {
    "train": ["0001TP_006690", "0001TP_008520", "0006R0_f00930", "0016E5_08190"],
    "val": ["0016E5_07959", "0016E5_08159"],
    "test": ["0001TP_008550", "Seq05VD_f00000", "Seq05VD_f05100"],
}
FRAMES = sorted(name for names in PARTS.values() for name in names)
CODES = list(camvid.LABELS)  # in the order of codes.txt
SHAPE = (48, 64)
# The frames that are labelled: sequence, letter before the number, and first, last and step.
SEQUENCES = [
    ("0001TP_0", 6690, 10380, 30),
    ("0006R0_f", 930, 3930, 30),
    ("0016E5_", 390, 870, 30),
    ("0016E5_", 901, 901, 30),
    ("0016E5_", 930, 2400, 30),
    ("0016E5_", 4350, 7920, 30),
    ("0016E5_", 7959, 8159, 2),
    ("0016E5_", 8190, 8640, 30),
    ("Seq05VD_f", 0, 5100, 30),
]


def scene(name):
    """A frame and the numbers of its 32 labels, in stripes; the grey tells the frames apart."""
    shift = FRAMES.index(name)
    labels = np.repeat((np.arange(SHAPE[1]) // 2 + shift) % 32, SHAPE[0])
    labels = labels.reshape(SHAPE[1], SHAPE[0]).T.astype(np.uint8)
    return np.full((*SHAPE, 3), 20 * shift, np.uint8), labels


def classes_of(labels):
    return np.array([camvid.CLASS_OF[code] for code in CODES], np.uint8)[labels]


def encode(array):
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, "PNG")
    return stream.getvalue()


def in_colours(labels):
    return np.array([camvid.LABELS[code][0] for code in CODES], np.uint8)[labels]


def fastai():
    """fast.ai's archive: names below ``camvid/`` and bytes."""
    files = {"codes.txt": "".join(f"{code}\n" for code in CODES).encode()}
    files["valid.txt"] = "\n".join(f"{name}.png" for name in PARTS["val"]).encode()
    for name in FRAMES:
        image, labels = scene(name)
        files[f"images/{name}.png"] = encode(image)
        files[f"labels/{name}_P.png"] = encode(labels)
        files[f"labels/._{name}_P.png"] = b"what some systems add"
    return files


def segnet():
    """SegNet's folders."""
    files = {}
    for part, names in PARTS.items():
        for name in names:
            image, labels = scene(name)
            files[f"{part}/{name}.png"] = encode(image)
            files[f"{part}annot/{name}.png"] = encode(np.minimum(classes_of(labels), 11))
        rows = (f"/SegNet/CamVid/{part}/{n}.png /SegNet/CamVid/{part}annot/{n}.png" for n in names)
        files[f"{part}.txt"] = "".join(f"{row} \n" for row in rows).encode()
    return files


def cambridge():
    """Cambridge's folders."""
    files = {}
    for name in FRAMES:
        image, labels = scene(name)
        files[f"701_StillsRaw_full/{name}.png"] = encode(image)
        files[f"LabeledApproved_full/{name}_L.png"] = encode(in_colours(labels))
    return files


def cambridge_parts():
    """Cambridge's files in a folder for each part."""
    files = {"class_dict.csv": b"name,r,g,b\nAnimal,64,128,64\n"}
    for part, names in PARTS.items():
        for name in names:
            image, labels = scene(name)
            files[f"{part}/{name}.png"] = encode(image)
            files[f"{part}_labels/{name}_L.png"] = encode(in_colours(labels))
    return files


LAYOUTS = [fastai, segnet, cambridge, cambridge_parts]


@pytest.fixture
def make(tmp_path):
    """A function that writes a layout to a folder."""

    def write(layout, folder="camvid"):
        for name, content in layout().items():
            path = tmp_path / folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return tmp_path / folder

    return write


@pytest.fixture
def archive(server):
    """A function that puts a small archive of fast.ai's on the server: what ``fetch`` takes."""

    def serve(extra=()):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as file:
            members = [(f"camvid/{name}", content) for name, content in fastai().items()]
            for name, content in [*members, *extra]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        url, checks = server.add("camvid.tgz", stream.getvalue())
        return Archive(url, checks["size"], checks["md5"], "camvid")

    return serve


def test_from_the_server_to_the_batch(archive, server, tmp_path, monkeypatch):
    monkeypatch.setattr(camvid, "ARCHIVES", (archive(),))
    test = data.load("camvid", "test", root=tmp_path, download=True, size=SHAPE, batch_size=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["camvid", "camvid.tgz"]
    images, masks = test[0]
    assert images.shape == (2, *SHAPE, 3) and images.dtype == np.float32
    assert masks.shape == (2, *SHAPE) and masks.dtype == np.int32
    assert set(np.unique(masks)) == {*range(11), 255}
    data.load("camvid", "train", root=tmp_path, download=True)
    data.load("camvid", "train", root=tmp_path / "camvid", download=True)
    assert len(server.requests) == 1


def test_default_folder_is_in_the_cache(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path))
    monkeypatch.setattr(camvid, "ARCHIVES", (archive(),))
    camvid.load("val", download=True)
    assert camvid.load("train").root == tmp_path / "camvid" / "camvid"


def test_bad_downloads_leave_nothing(archive, server, tmp_path, tree, sentence):
    whole = archive()
    server.cut = whole.size // 2
    with pytest.raises(IncompleteDownload) as caught:
        camvid.fetch(tmp_path, [whole])
    assert "run again" in sentence(caught)
    server.cut = None
    assert camvid.fetch(tmp_path, [whole]) == tmp_path / "camvid"
    with pytest.raises(UnsafeArchive) as caught:
        camvid.fetch(tmp_path / "b", [archive([("camvid/../../evil", b"evil")])])
    assert "evil" in sentence(caught)
    assert tree(tmp_path / "b") == ["camvid.tgz"]


def test_official_address():
    (archive,) = camvid.ARCHIVES
    assert archive.size == 598_913_237 and len(archive.md5) == 32
    assert archive.url.endswith("/camvid.tgz")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_layout_gives_the_same_pairs(make, layout):
    root = make(layout)
    for split, names in PARTS.items():
        for given in (root, root.parent, str(root)):
            frames = camvid.load(split, root=given, size=SHAPE, augment=False, shuffle=False)
            assert frames.names == names
        for position, name in enumerate(names):
            image, labels = scene(name)
            found, mask = frames.pair(position)
            np.testing.assert_array_equal(found, image)
            np.testing.assert_array_equal(mask, classes_of(labels))
    assert camvid.load("trainval", root=root).names == (
        sorted(PARTS["train"] + PARTS["val"])
        if layout in (fastai, cambridge)
        else PARTS["train"] + PARTS["val"]
    )


def test_classes_and_grouping():
    assert camvid.CLASSES[0] == "Sky" and camvid.CLASSES[10] == "Bicyclist"
    assert len(camvid.CLASSES) == 11 and len(camvid.LABELS) == 32
    assert len({colour for colour, _ in camvid.LABELS.values()}) == 32
    assert [label for label, number in camvid.CLASS_OF.items() if number == 255] == ["Void"]
    assert set(camvid.CLASS_OF.values()) == {*range(11), 255}
    # Each class has the label that it is called by, the pole's and the pavement's apart.
    for number, name in enumerate(camvid.CLASSES):
        label = {"Pole": "Column_Pole", "Pavement": "Sidewalk"}.get(name, name)
        assert camvid.CLASS_OF[label] == number


def test_the_split_of_all_frames():
    names = [
        f"{before}{number:05d}"
        for before, first, last, step in SEQUENCES
        for number in range(first, last + 1, step)
    ]
    assert len(set(names)) == 701
    found = [camvid_layouts.split_of(name) for name in names]
    assert [found.count(part) for part in ("train", "val", "test")] == [367, 101, 233]


def test_protocol_of_fastai(make, sentence):
    root = make(fastai)
    val = camvid.load("val", root=root, protocol="fastai")
    train = camvid.load("train", root=root, protocol="fastai")
    assert val.names == PARTS["val"]
    assert train.names == sorted(PARTS["train"] + PARTS["test"])
    with pytest.raises(ValueError, match="'test' is empty") as caught:
        camvid.load("test", root=root, protocol="fastai")
    sentence(caught)
    with pytest.raises(ValueError, match="a folder for each part") as caught:
        camvid.load("val", root=make(segnet, "segnet"), protocol="fastai")
    sentence(caught)


def test_lists_in_one_line_with_names_of_their_own(make):
    root = make(segnet)
    for folder in ("val", "valannot"):
        for number, name in enumerate(PARTS["val"], start=1):
            (root / folder / f"{name}.png").rename(root / folder / f"{folder}_{number:05d}.png")
    (root / "val.txt").write_text(
        "/SegNet/CamVid/val/val_00001.png /SegNet/CamVid/valannot/valannot_00001.png "
        "/SegNet/CamVid/val/val_00002.png /SegNet/CamVid/valannot/valannot_00002.png "
    )
    val = camvid.load("val", root=root, size=SHAPE)
    assert val.names == ["val_00001", "val_00002"]
    np.testing.assert_array_equal(val.pair(1)[1], classes_of(scene(PARTS["val"][1])[1]))


def test_lists_choose_and_folders_do_without_them(make):
    root = make(segnet)
    (root / "train.txt").write_bytes(f"{PARTS['train'][2]}.png\r\n".encode())
    assert camvid.load("train", root=root).names == [PARTS["train"][2]]
    (root / "train.txt").unlink()
    assert camvid.load("train", root=root).names == PARTS["train"]


def test_void_of_segnet_may_be_255(make):
    root = make(segnet)
    name = PARTS["val"][0]
    (root / "valannot" / f"{name}.png").write_bytes(encode(classes_of(scene(name)[1])))
    val = camvid.load("val", root=root, size=SHAPE)
    np.testing.assert_array_equal(val.pair(0)[1], classes_of(scene(name)[1]))


def test_batches_depend_on_seed_and_index_only(make):
    root = make(fastai)
    first, second = (camvid.load("train", root=root, size=32, batch_size=3) for _ in range(2))
    first[0], first[1]
    np.testing.assert_array_equal(first[5][1], second[5][1])
    other = camvid.load("train", root=root, size=32, batch_size=3, seed=1)
    assert not np.array_equal(first[0][1], other[0][1])


def one_pixel(num_classes):
    """A model that sees one pixel."""
    return keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(num_classes, 1)])


def test_a_recipe_trains_on_it(make, tmp_path, monkeypatch):
    module = types.ModuleType("pixelwise.models.one_pixel")
    monkeypatch.setattr(one_pixel, "__module__", module.__name__)
    module.one_pixel = one_pixel
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path / "cache"))
    (tmp_path / "tiny.toml").write_text(
        'name = "tiny"\nchapter = "03_deeplab"\ndescription = "a try"\n'
        '[data]\nname = "camvid"\nall = { size = [32, 64] }\n'
        '[model]\nuse = "pixelwise.models.one_pixel:one_pixel"\nnum_classes = 11\n'
        '[loss]\nuse = "pixelwise.nn.losses:SegmentationCrossEntropy"\n'
        '[optimizer]\nname = "SGD"\n[training]\nsteps = 1\nbatch_size = 2\n'
        '[evaluation]\nuse = "pixelwise.metrics.segmentation:evaluate"\n'
    )
    root = make(fastai)
    found = training.train(tmp_path / "tiny.toml", data_root=root, write=False)
    assert found["test"]["pictures"] == len(PARTS["test"])
    assert len(found["test"]["iou"]) == 11


def wrong(sentence, root, split="train", **options):
    """Loads the set and reads it once, expects a ValueError; returns its sentence."""
    with pytest.raises(ValueError) as caught:
        list(camvid.load(split, root=root, shuffle=False, size=32, **options))
    return sentence(caught)


def test_set_that_is_not_there(tmp_path, make, sentence):
    for place in (tmp_path, tmp_path / "nowhere"):
        text = wrong(sentence, place)
        assert "download=True" in text and str(place) in text
    root = make(fastai)
    shutil.rmtree(root / "labels")
    assert "There is no CamVid" in wrong(sentence, root)


@pytest.mark.parametrize(
    ("layout", "file", "mask"),
    [
        (fastai, "labels/0001TP_006690_P.png", "named 0001TP_006690_P in"),
        (cambridge, "LabeledApproved_full/0001TP_006690_L.png", "named 0001TP_006690_L in"),
        (cambridge_parts, "train_labels/0001TP_006690_L.png", "named 0001TP_006690_L in"),
    ],
)
def test_picture_without_a_mask(make, sentence, layout, file, mask):
    root = make(layout)
    (root / file).unlink()
    text = wrong(sentence, root)
    assert "0001TP_006690.png has no mask" in text and mask in text


@pytest.mark.parametrize("folder", ["val", "valannot"])
def test_list_that_names_a_missing_file(make, sentence, folder):
    root = make(segnet)
    (root / folder / "0016E5_07959.png").unlink()
    assert f"{folder} misses 0016E5_07959, which val.txt names" in wrong(sentence, root, "val")


def test_lists_that_cannot_be_used(make, sentence):
    root = make(segnet)
    content = (root / "val.txt").read_text()
    (root / "val.txt").write_text(content + "/SegNet/CamVid/val/0016E5_07961.png\n")
    assert "val.txt names 3 pictures but 2 masks" in wrong(sentence, root, "val")
    (root / "val.txt").write_text("\n")
    assert "'val' is empty" in wrong(sentence, root, "val")
    (root / "val.txt").write_bytes(b"\xff\xfe\x00")
    assert "val.txt is damaged" in wrong(sentence, root, "val")
    shutil.copy(root / "train/0006R0_f00930.png", root / "val")
    shutil.copy(root / "trainannot/0006R0_f00930.png", root / "valannot")
    (root / "val.txt").unlink()
    assert "0006R0_f00930 in train and val" in wrong(sentence, root, "trainval")


def test_fastai_lists_that_cannot_be_used(make, sentence):
    root = make(fastai)
    (root / "valid.txt").write_text("0016E5_07959.png\n0016E5_07961.png\n")
    text = wrong(sentence, root, "val", protocol="fastai")
    assert "misses 0016E5_07961, which valid.txt names" in text
    (root / "codes.txt").write_text("Animal\nArchwey\n")
    assert "'Archwey', which is no label of CamVid: the nearest is Archway" in wrong(sentence, root)
    (root / "codes.txt").write_text("\n")
    assert "codes.txt is empty" in wrong(sentence, root)
    (root / "codes.txt").unlink()
    assert "codes.txt" in wrong(sentence, root)


def test_frames_that_are_not_of_camvid(make, sentence):
    root = make(fastai)
    (root / "images/holiday.png").write_bytes(encode(scene(FRAMES[0])[0]))
    (root / "labels/holiday_P.png").write_bytes(encode(scene(FRAMES[0])[1]))
    assert "holiday has no name of a frame" in wrong(sentence, root)
    assert "holiday" in camvid.load("train", root=root, protocol="fastai").names


@pytest.mark.parametrize(
    ("layout", "file", "value", "part"),
    [
        (fastai, "labels/0001TP_006690_P.png", 32, "unknown class 32 at row 3, column 4"),
        (segnet, "trainannot/0001TP_006690.png", 12, "unknown class 12 at row 3, column 4"),
        (
            cambridge,
            "LabeledApproved_full/0001TP_006690_L.png",
            (64, 128, 65),
            "unknown colour (64, 128, 65) at row 3, column 4",
        ),
    ],
)
def test_masks_that_are_not_of_camvid(make, sentence, layout, file, value, part):
    root = make(layout)
    mask = np.array(Image.open(root / file))
    mask[3, 4] = value
    (root / file).write_bytes(encode(mask))
    assert part in wrong(sentence, root)
    (root / file).write_bytes(encode(mask[:-1]))
    mask[3, 4] = mask[0, 0]
    (root / file).write_bytes(encode(mask[:-1]))
    assert "0001TP_006690 has shape (47, 64) but its picture is 48 x 64" in wrong(sentence, root)
    (root / file).write_bytes(encode(mask)[:60])
    assert "is damaged" in wrong(sentence, root)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"split": "training"}, "no split 'training'"),
        ({"protocol": "tiramisu"}, "protocol is 'tiramisu'"),
        ({"sise": 3}, "CamVid has no option 'sise'"),
        ({"protokol": "fastai"}, "CamVid has no option 'protokol': the nearest are protocol"),
        ({"size": 0}, "size is 0"),
    ],
)
def test_wrong_options(make, sentence, options, part):
    with pytest.raises(ValueError) as caught:
        camvid.load(**{"root": make(fastai), **options})
    assert part in sentence(caught)
