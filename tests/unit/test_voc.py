"""Pascal VOC 2012: a small set in the official layout, masks as tools write them, and bad input."""

import io
import pickle
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from pixelwise import data
from pixelwise.data import colours, pictures, voc
from pixelwise.data.archives import Archive, UnsafeArchive
from pixelwise.data.download import IncompleteDownload, WrongHash

TRAIN = ["2007_000032", "2007_000039", "2007_000063", "2008_000008"]
VAL = ["2007_000033", "2007_000042", "2011_003276"]
INSIDE = "VOCdevkit/VOC2012"
# As the development kit prints them.
SOME_COLOURS = {
    0: (0, 0, 0),
    1: (128, 0, 0),
    2: (0, 128, 0),
    5: (128, 0, 128),
    8: (64, 0, 0),
    15: (192, 128, 128),
    20: (0, 64, 128),
    255: (224, 224, 192),
}


def scene(index):
    """A photograph and its mask: an object of class ``index + 1`` in a rim of void."""
    shape = [(50, 75), (75, 50), (60, 60)][index % 3]
    mask = np.zeros(shape, np.uint8)
    mask[10:40, 15:45] = 255
    mask[12:38, 17:43] = index + 1
    image = np.full((*shape, 3), 20 + 10 * index, np.uint8)
    image[11:39, 16:44] = 220
    return image, mask


def as_palette(mask, palette=None):
    picture = Image.fromarray(mask, "P")
    picture.putpalette((voc.voc_colours() if palette is None else palette).tobytes())
    return picture


def as_colours(mask):
    return Image.fromarray(colours.voc_colours()[mask])


def encode(picture, kind="PNG", **options):
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def official():
    """The content of a small set: names in the archive and bytes."""
    files = {}
    for index, name in enumerate(TRAIN + VAL):
        image, mask = scene(index)
        files[f"JPEGImages/{name}.jpg"] = encode(Image.fromarray(image), "JPEG", quality=95)
        files[f"SegmentationClass/{name}.png"] = encode(as_palette(mask))
        files[f"SegmentationObject/{name}.png"] = encode(as_palette((mask > 0) * mask))
        files[f"Annotations/{name}.xml"] = b"<annotation/>"
    files["JPEGImages/2007_000027.jpg"] = b"a picture without a mask, which no list names"
    for split, names in {"train": TRAIN, "val": VAL, "trainval": sorted(TRAIN + VAL)}.items():
        files[f"ImageSets/Segmentation/{split}.txt"] = "".join(n + "\n" for n in names).encode()
    return {f"{INSIDE}/{name}": content for name, content in files.items()}


@pytest.fixture
def root(tmp_path):
    """The folder ``VOC2012``."""
    for name, content in official().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path / INSIDE


@pytest.fixture
def archive(server):
    """A function that puts a small official archive on the server: what ``fetch`` takes."""

    def serve(extra=()):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as file:
            for name, content in [*official().items(), *extra]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        url, checks = server.add("VOCtrainval_11-May-2012.tar", stream.getvalue())
        return Archive(url, checks["size"], checks["md5"], INSIDE)

    return serve


def test_from_the_server_to_the_batch(archive, server, tmp_path, monkeypatch):
    monkeypatch.setattr(voc, "ARCHIVES", (archive(),))
    val = data.load("voc2012", "val", root=tmp_path, download=True, size=32, batch_size=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "VOCdevkit",
        "VOCtrainval_11-May-2012.tar",
    ]
    assert val.root == tmp_path / INSIDE
    images, masks = val[0]
    assert images.shape == (2, 32, 32, 3) and images.dtype == np.float32
    assert masks.shape == (2, 32, 32) and masks.dtype == np.int32
    assert set(np.unique(masks)) == {0, 5, 6, 255}
    data.load("voc2012", "train", root=tmp_path, download=True)
    data.load("voc2012", "train", root=tmp_path / INSIDE, download=True)
    assert len(server.requests) == 1


def test_default_folder_is_in_the_cache(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path))
    monkeypatch.setattr(voc, "ARCHIVES", (archive(),))
    voc.load("val", download=True)
    assert voc.load("train").root == tmp_path / "voc2012" / INSIDE


def test_another_year_in_the_development_kit_is_not_the_set(archive, tmp_path):
    (tmp_path / "VOCdevkit" / "VOC2007" / "JPEGImages").mkdir(parents=True)
    assert voc.fetch(tmp_path, [archive()]) == tmp_path / INSIDE


def test_download_cut_in_half_goes_on(archive, server, tmp_path, sentence):
    whole = archive()
    server.cut = whole.size // 2
    with pytest.raises(IncompleteDownload) as caught:
        voc.fetch(tmp_path, [whole])
    assert "run again" in sentence(caught)
    assert not (tmp_path / "VOCdevkit").exists()
    server.cut = None
    voc.fetch(tmp_path, [whole])
    assert server.requests[1] == (f"bytes={whole.size // 2}-", 206)
    assert voc.load("val", root=tmp_path).names == VAL


def test_wrong_hash_and_evil_archives_unpack_nothing(archive, tmp_path, tree, sentence):
    with pytest.raises(WrongHash) as caught:
        voc.fetch(tmp_path / "a", [archive()._replace(md5="0" * 32)])
    assert "VOCtrainval_11-May-2012.tar" in sentence(caught)
    with pytest.raises(UnsafeArchive) as caught:
        voc.fetch(tmp_path / "b", [archive([(f"{INSIDE}/../../../evil", b"evil")])])
    assert "evil" in sentence(caught)
    assert [name for name in tree(tmp_path) if "VOCdevkit/" in name or "evil" in name] == []


def test_official_address():
    (archive,) = voc.ARCHIVES
    assert archive.size == 1_999_639_040 and len(archive.md5) == 32
    assert archive.url.endswith("/VOCtrainval_11-May-2012.tar")


@pytest.mark.parametrize("place", ["parent", "VOCdevkit", "VOC2012"])
def test_root_is_the_set_or_a_folder_around_it(root, place):
    given = {"parent": root.parents[1], "VOCdevkit": root.parent, "VOC2012": root}[place]
    assert voc.load("val", root=str(given)).root == root


def test_splits(root):
    train = voc.load("train", root=root)
    assert train.names == TRAIN and train.num_batches is None and train.augment
    val = voc.load("validation", root=root, batch_size=2)
    assert val.names == VAL and val.split == "val" and val.num_batches == 2 and not val.augment
    assert voc.load("trainval", root=root).names == sorted(TRAIN + VAL)
    assert len(val.classes) == val.num_classes == 21
    assert (val.classes[0], val.classes[15], val.classes[20]) == (
        "background",
        "person",
        "tvmonitor",
    )


def test_lists_of_other_systems(root):
    file = root / "ImageSets/Segmentation/val.txt"
    file.write_bytes(b"\xef\xbb\xbf" + "".join(f"{n}  \r\n" for n in VAL).encode() + b"\r\n")
    assert voc.load("val", root=root).names == VAL


def test_batches_depend_on_seed_and_index_only(root):
    first = voc.load("train", root=root, size=32, batch_size=3)
    late = pickle.loads(pickle.dumps(voc.load("train", root=root, size=32, batch_size=3)))[4]
    for k in range(4):
        first[k]
    np.testing.assert_array_equal(first[4][0], late[0])
    np.testing.assert_array_equal(first[4][1], late[1])
    other = voc.load("train", root=root, size=32, batch_size=3, seed=1)
    assert not np.array_equal(first[0][0], other[0][0])


def test_pairs_stay_aligned(root):
    images, masks = voc.load("train", root=root, size=48, batch_size=24)[0]
    grey = images.mean(axis=-1)
    assert (grey[(masks > 0) & (masks < 255)] > 0.5).mean() > 0.98
    assert (grey[masks == 0] < 0.5).mean() > 0.98


def test_the_colours_are_those_of_the_development_kit():
    table = colours.voc_colours()
    assert table.shape == (256, 3) and len({tuple(c) for c in table.tolist()}) == 256
    for number, colour in SOME_COLOURS.items():
        assert tuple(table[number].tolist()) == colour


def mask_of(root, picture, name="2007_000032", **options):
    """Replaces the mask of a picture and reads it as the data set does."""
    content = picture if isinstance(picture, bytes) else encode(picture, **options)
    (root / "SegmentationClass" / f"{name}.png").write_bytes(content)
    return voc.load("train", root=root, size=scene(0)[1].shape, shuffle=False, augment=False).pair(
        0
    )[1]


def test_masks_as_tools_write_them(root):
    mask = scene(0)[1]
    grey, rgb = Image.fromarray(mask), as_colours(mask)
    rgba = rgb.convert("RGBA")
    rgba.putalpha(Image.fromarray((mask > 0).astype(np.uint8) * 255))
    wrong_palette = as_palette(mask, np.full((256, 3), 7, np.uint8))
    for picture in (as_palette(mask), grey, rgb, rgba, wrong_palette):
        np.testing.assert_array_equal(mask_of(root, picture), mask)
    np.testing.assert_array_equal(mask_of(root, as_palette(mask), transparency=0), mask)


def test_every_class_is_read_from_its_colour(root, tmp_path):
    every = np.array([[*range(21), 255]], np.uint8)
    as_colours(every).save(tmp_path / "every.png")
    np.testing.assert_array_equal(colours.read_labels(tmp_path / "every.png", voc.LEGEND), every)


def wrong(sentence, root, split="train", **options):
    """Loads the set and reads it once, expects a ValueError; returns its sentence."""
    with pytest.raises(ValueError) as caught:
        list(voc.load(split, root=root, shuffle=False, size=32, **options))
    return sentence(caught)


def test_colour_masks_that_were_changed(root, sentence):
    mask = scene(0)[1]
    small = as_colours(mask).resize((40, 30), Image.Resampling.BILINEAR)
    back = small.resize(mask.shape[::-1], Image.Resampling.NEAREST)
    with pytest.raises(ValueError) as caught:
        mask_of(root, back)
    text = sentence(caught)
    known = {tuple(c) for c in colours.voc_colours()[[*range(21), 255]].tolist()}
    row, column = next(
        place for place in np.ndindex(mask.shape) if tuple(np.asarray(back)[place]) not in known
    )
    colour = tuple(np.asarray(back)[row, column].tolist())
    assert f"2007_000032.png has the unknown colour {colour} at row {row}, column {column}" in text
    with pytest.raises(ValueError, match="unknown colour") as caught:
        mask_of(root, encode(as_colours(mask), "JPEG"))
    assert "Pascal VOC" in sentence(caught)
    swapped = Image.fromarray(np.asarray(as_colours(mask))[..., ::-1])
    with pytest.raises(ValueError, match="unknown colour \\(192, 224, 224\\)"):
        mask_of(root, swapped)


def test_numbers_that_are_no_class(root, sentence):
    mask = scene(0)[1]
    mask[3, 4] = 21
    with pytest.raises(ValueError) as caught:
        mask_of(root, as_palette(mask))
    assert "unknown class 21 at row 3, column 4: Pascal VOC has 0 to 20 and 255" in sentence(caught)
    with pytest.raises(ValueError, match="unknown class 38") as caught:  # colours turned to grey
        mask_of(root, as_colours(np.ones_like(mask)).convert("L"))
    sentence(caught)
    with pytest.raises(ValueError, match="pixels of mode F") as caught:
        mask_of(root, Image.fromarray(mask.astype(np.float32)), kind="TIFF")
    sentence(caught)


def test_set_that_is_not_there(tmp_path, sentence):
    for place in (tmp_path, tmp_path / "nowhere"):
        text = wrong(sentence, place)
        assert "download=True" in text and str(place) in text


@pytest.mark.parametrize("content", ["", "\n \n", "# nothing\n"])
def test_empty_split(root, sentence, content):
    (root / "ImageSets/Segmentation/val.txt").write_text(content)
    text = wrong(sentence, root, "val")
    assert "'val' is empty" in text and "val.txt" in text


def test_lists_that_are_missing_or_no_text(root, sentence):
    (root / "ImageSets/Segmentation/train.txt").write_bytes(b"\xff\xfe\x00")
    assert "train.txt is damaged" in wrong(sentence, root)
    (root / "ImageSets/Segmentation/train.txt").unlink()
    assert "There is no" in wrong(sentence, root)


@pytest.mark.parametrize(
    "name", ["JPEGImages/2007_000063.jpg", "SegmentationClass/2007_000063.png"]
)
def test_missing_files_are_seen_at_once(root, sentence, name):
    (root / name).unlink()
    with pytest.raises(ValueError) as caught:
        voc.load("train", root=root)
    assert f"misses {name.rpartition('/')[2]}, which train.txt names" in sentence(caught)
    voc.load("val", root=root)


def test_missing_folder(root, sentence):
    shutil.rmtree(root / "SegmentationClass")
    assert "SegmentationClass misses 2007_000032.png and 3 more" in wrong(sentence, root)


def test_damaged_files(root, sentence):
    for name in ("JPEGImages/2007_000063.jpg", "SegmentationClass/2007_000032.png"):
        content = (root / name).read_bytes()
        (root / name).write_bytes(content[: len(content) // 2])
        assert f"{name.rpartition('/')[2]} is damaged" in wrong(sentence, root)


def test_mask_of_another_size(root, sentence):
    with pytest.raises(ValueError) as caught:
        mask_of(root, as_palette(scene(1)[1]))
    assert "2007_000032 has shape (75, 50) but its picture is 50 x 75" in sentence(caught)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"split": "test"}, "never published"),
        ({"split": "training"}, "no split 'training'"),
        ({"sise": 3}, "VOC2012 has no option 'sise': the nearest are size"),
        ({"rot": "x"}, "VOC2012 has no option 'rot': the nearest is root"),
        ({"size": 0}, "size is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"scale": (2, 1)}, "scale is (2, 1)"),
    ],
)
def test_wrong_options(root, sentence, options, part):
    with pytest.raises(ValueError) as caught:
        voc.load(**{"root": root, **options})
    assert part in sentence(caught)


def test_void_is_the_void_of_the_book():
    assert voc.LEGEND.numbers[255] == pictures.VOID == 255
