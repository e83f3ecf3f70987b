"""Penn-Fudan: a small set in the official layout, from the server to the batch, and bad input."""

import io
import pickle
import shutil
import zipfile

import numpy as np
import pytest
from PIL import Image

from pixelwise import data
from pixelwise.data import penn_fudan
from pixelwise.data.archives import Archive, UnsafeArchive
from pixelwise.data.download import IncompleteDownload, WrongHash

NAMES = [f"FudanPed0000{i}" for i in range(1, 6)] + [f"PennPed0000{i}" for i in range(1, 6)]


def scene(index):
    """A picture and the mask that numbers its pedestrians, 1 to 3 of them."""
    shape = [(40, 60), (60, 40)][index % 2]
    mask = np.zeros(shape, np.uint8)
    for number in range(1, 2 + index % 3):
        left = 12 * number - 8
        mask[6 + number : 30 - index, left : left + 8] = number
    image = np.full((*shape, 3), 20 + 5 * index, np.uint8)
    image[mask > 0] = 220
    return image, mask


def encode(array, mode=None):
    stream = io.BytesIO()
    picture = Image.fromarray(array)
    if mode == "P":  # as in the official archive
        picture = Image.fromarray(array, "P")
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(stream, "PNG")
    return stream.getvalue()


def official():
    """The content of a small set: names in the archive and bytes."""
    files = {"readme.txt": b"Penn-Fudan"}
    for index, name in enumerate(NAMES):
        image, mask = scene(index)
        files[f"PNGImages/{name}.png"] = encode(image)
        files[f"PedMasks/{name}_mask.png"] = encode(mask, "P")
        files[f"Annotation/{name}.txt"] = b"# PASCAL Annotation Version 1.00"
    return {f"PennFudanPed/{name}": content for name, content in files.items()}


@pytest.fixture
def root(tmp_path):
    """The folder ``PennFudanPed``."""
    for name, content in official().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path / "PennFudanPed"


@pytest.fixture
def archive(server):
    """A function that puts a small official archive on the server: what ``fetch`` takes."""

    def serve(extra=()):
        stream = io.BytesIO()
        with zipfile.ZipFile(stream, "w") as file:
            for name, content in [*official().items(), *extra]:
                file.writestr(name, content)
        url, checks = server.add("PennFudanPed.zip", stream.getvalue())
        return Archive(url, None, checks["md5"], "PennFudanPed")

    return serve


def test_from_the_server_to_the_batch(archive, server, tmp_path, monkeypatch):
    monkeypatch.setattr(penn_fudan, "ARCHIVES", (archive(),))
    options = {"root": tmp_path, "download": True, "size": 60, "batch_size": 4}
    dataset = data.load("penn_fudan", "all", **options)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["PennFudanPed", "PennFudanPed.zip"]
    assert dataset.names == NAMES and dataset.classes == ("background", "pedestrian")
    images, targets = dataset[0]
    assert images.shape == (4, 60, 60, 3) and targets["masks"].shape == (4, 32, 60, 60)
    np.testing.assert_array_equal((targets["classes"] == 1).sum(axis=1), [1, 2, 3, 1])
    penn_fudan.load("all", root=tmp_path / "PennFudanPed", download=True)
    assert len(server.requests) == 1


def test_default_folder_is_in_the_cache(archive, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path))
    monkeypatch.setattr(penn_fudan, "ARCHIVES", (archive(),))
    penn_fudan.load(download=True)
    assert penn_fudan.load().root == tmp_path / "penn_fudan" / "PennFudanPed"


def test_download_cut_in_half_goes_on(archive, server, tmp_path, sentence):
    whole = archive()
    server.cut = 2000
    with pytest.raises(IncompleteDownload) as caught:
        penn_fudan.fetch(tmp_path, [whole])
    assert "run again" in sentence(caught)
    server.cut = None
    penn_fudan.fetch(tmp_path, [whole])
    assert server.requests[1] == ("bytes=2000-", 206)
    assert penn_fudan.load("all", root=tmp_path).names == NAMES


def test_wrong_hash_and_evil_archives_unpack_nothing(archive, tmp_path, tree, sentence):
    with pytest.raises(WrongHash) as caught:
        penn_fudan.fetch(tmp_path / "a", [archive()._replace(md5="0" * 32)])
    assert "PennFudanPed.zip" in sentence(caught)
    with pytest.raises(UnsafeArchive) as caught:
        penn_fudan.fetch(tmp_path / "b", [archive([("PennFudanPed/../../evil", b"evil")])])
    assert "evil" in sentence(caught)
    assert [name for name in tree(tmp_path) if "PennFudanPed/" in name or "evil" in name] == []


def test_official_address():
    (archive,) = penn_fudan.ARCHIVES
    assert archive.url.endswith("/PennFudanPed.zip") and len(archive.md5) == 32


def test_each_pedestrian_is_an_object(root):
    dataset = penn_fudan.load("all", root=root)
    for place in range(3):
        image, mask = scene(place)
        images, truth = dataset.original(place)
        np.testing.assert_array_equal(images[0] * 255, image)
        for number, found in enumerate(truth["masks"][0], start=1):
            np.testing.assert_array_equal(found, mask == number)
    np.testing.assert_array_equal(truth["boxes"][0, 1], [16, 8, 24, 28])
    np.testing.assert_array_equal(truth["areas"][0], truth["masks"][0].sum(axis=(1, 2)))


def test_splits_are_drawn_once_and_for_all(root):
    parts = {s: penn_fudan.load(s, root=root).names for s in ("train", "test", "all")}
    assert len(parts["test"]) == 3 and len(parts["train"]) == 7
    assert sorted(parts["train"] + parts["test"]) == parts["all"] == NAMES
    assert penn_fudan.load("test", root=root).names == parts["test"]
    assert penn_fudan.load("test", root=root, split_seed=1).names != parts["test"]
    val = penn_fudan.load("validation", root=root, val=0.2)
    assert val.split == "val" and len(val.names) == 2 and not val.shuffle
    assert penn_fudan.load("trainval", root=root, val=0.2).augment


def test_numbers_may_have_gaps(root):
    _, mask = scene(2)
    mask[mask == 2] = 7
    (root / "PedMasks" / f"{NAMES[2]}_mask.png").write_bytes(encode(mask))
    _, truth = penn_fudan.load("all", root=root).original(2)
    assert truth["classes"].shape == (1, 3) and truth["masks"][0, 2].sum() == (mask == 7).sum()


def test_it_can_be_sent_to_other_processes(root):
    dataset = penn_fudan.load("train", root=root, size=32)
    again = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(again[2][1]["masks"], dataset[2][1]["masks"])


def wrong(sentence, root, split="all", **options):
    """Loads the set and reads it once, expects a ValueError; returns its sentence."""
    with pytest.raises(ValueError) as caught:
        dataset = penn_fudan.load(split, root=root, shuffle=False, size=32, **options)
        for index in range(dataset.num_batches):
            dataset[index]
    return sentence(caught)


def test_set_that_is_not_there(tmp_path, sentence):
    for place in (tmp_path, tmp_path / "nowhere"):
        text = wrong(sentence, place)
        assert "download=True" in text and str(place) in text


@pytest.mark.parametrize(
    ("gone", "said"),
    [
        ("PNGImages/PennPed00002.png", "has no picture named PennPed00002"),
        ("PedMasks/PennPed00002_mask.png", "has no mask named PennPed00002_mask"),
        ("PedMasks", "There is no folder"),
    ],
)
def test_missing_files_are_seen_at_once(root, sentence, gone, said):
    path = root / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError) as caught:
        penn_fudan.load("train", root=root)
    assert said in sentence(caught)


def test_a_root_that_is_no_path(sentence):
    assert "root is 3" in wrong(sentence, 3)


def test_files_that_are_wrong(root, sentence):
    mask = root / "PedMasks" / f"{NAMES[0]}_mask.png"
    mask.write_bytes(encode(scene(1)[1]))
    assert "FudanPed00001 has shape (60, 40) but its picture is 40 x 60" in wrong(sentence, root)
    mask.write_bytes(encode(scene(0)[0]))
    assert "mode RGB" in wrong(sentence, root)
    mask.write_bytes(mask.read_bytes()[:60])
    assert "FudanPed00001_mask.png is damaged" in wrong(sentence, root)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"split": "valid"}, "Penn-Fudan has no split 'valid'"),
        ({"split": "val"}, "The split 'val' is empty"),
        ({"test": 1}, "test is 1"),
        ({"split_seed": -1}, "split_seed is -1"),
        ({"sise": 3}, "PennFudan has no option 'sise': the nearest"),
        ({"max_objects": 2}, "The picture FudanPed00003 has 3 objects, more than max_objects=2"),
    ],
)
def test_wrong_options(root, sentence, options, said):
    assert said in wrong(sentence, root, **options)
