"""The pets: a small set in the official layout, from the server to the batch, and bad input."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from pixelwise import data
from pixelwise.data import pets
from pixelwise.data.archives import UnsafeArchive
from pixelwise.data.download import IncompleteDownload, WrongHash

TRAINVAL = ["Abyssinian_1", "Abyssinian_2", "Bengal_1", "pug_dog_1", "pug_dog_2"]
TEST = ["Abyssinian_3", "Bengal_2", "Bengal_3"]
SHAPES = [(80, 120), (120, 80), (60, 60), (50, 160), (96, 72)]


def scene(index):
    """A photograph and its trimap: a bright square (the pet) on a dark ground, the edge amid the
    border; the ground's grey tells the pictures apart."""
    height, width = SHAPES[index % len(SHAPES)]
    image = np.full((height, width, 3), 10 + 10 * index, np.uint8)
    trimap = np.full((height, width), 2, np.uint8)
    top, left, side = height // 4, width // 4, min(height, width) // 2
    trimap[top - 4 : top + side + 4, left - 4 : left + side + 4] = 3
    trimap[top : top + side, left : left + side] = 1
    image[top - 2 : top + side + 2, left - 2 : left + side + 2] = 220
    return image, trimap


def encode(array, kind):
    stream = io.BytesIO()
    options = {"quality": 95} if kind == "JPEG" else {}
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def official():
    """The content of a small set: names below the root and bytes."""
    files = {}
    for index, name in enumerate(TRAINVAL + TEST):
        image, trimap = scene(index)
        files[f"images/{name}.jpg"] = encode(image, "JPEG")
        files[f"annotations/trimaps/{name}.png"] = encode(trimap, "PNG")
        files[f"annotations/trimaps/._{name}.png"] = b"not a picture"  # as in the official archive
    lists = {"trainval": TRAINVAL, "test": TEST, "list": sorted(TRAINVAL + TEST)}
    for split, names in lists.items():
        head = "#Image CLASS-ID SPECIES BREED ID\n" if split == "list" else ""
        text = head + "".join(f"{name} 1 1 1\n" for name in names)
        files[f"annotations/{split}.txt"] = text.encode()
    return files


@pytest.fixture
def root(tmp_path):
    """A folder in the official layout."""
    for name, content in official().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    return tmp_path


@pytest.fixture
def archives(server):
    """The two official archives, small, on a server: what ``fetch`` takes."""

    def serve(folder, extra=()):
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w:gz") as file:
            members = [(n, c) for n, c in official().items() if n.startswith(folder)]
            for name, content in [*members, *extra]:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                file.addfile(info, io.BytesIO(content))
        url, checks = server.add(f"{folder}.tar.gz", stream.getvalue())
        return pets.Archive(url, checks["size"], checks["md5"], folder)

    serve.both = lambda: (serve("images"), serve("annotations"))
    return serve


def test_from_the_server_to_the_batch(archives, server, tmp_path, tree, monkeypatch):
    monkeypatch.setattr(pets, "ARCHIVES", archives.both())
    root = tmp_path / "pets"
    test = data.load("oxford_pets", "test", root=root, download=True, size=32, batch_size=2)
    assert sorted(path.name for path in root.iterdir()) == [
        "annotations", "annotations.tar.gz", "images", "images.tar.gz"
    ]  # fmt: skip
    assert not [name for name in tree(root) if "unpacking" in name or ".part" in name]
    images, masks = test[0]
    assert images.shape == (2, 32, 32, 3) and images.dtype == np.float32
    assert masks.shape == (2, 32, 32) and masks.dtype == np.int32
    assert set(np.unique(masks)) == {0, 1, 255}
    asked = len(server.requests)
    data.load("oxford_pets", "trainval", root=root, download=True, size=32)
    assert len(server.requests) == asked == 2


def test_default_folder_is_in_the_cache(archives, tmp_path, monkeypatch):
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path))
    monkeypatch.setattr(pets, "ARCHIVES", archives.both())
    pets.load("test", download=True)
    assert len(pets.load("trainval").names) == 5
    assert (tmp_path / "oxford_pets" / "images").is_dir()


def test_download_cut_in_half_goes_on(archives, server, tmp_path, sentence):
    both = archives.both()
    server.cut = both[0].size // 2
    with pytest.raises(IncompleteDownload) as caught:
        pets.fetch(tmp_path, both)
    assert "run again" in sentence(caught)
    assert not (tmp_path / "images").exists()
    server.cut = None
    pets.fetch(tmp_path, both)
    assert server.requests[1] == (f"bytes={both[0].size // 2}-", 206)
    assert len(pets.load("test", root=tmp_path).names) == 3


def test_wrong_hash_unpacks_nothing(archives, tmp_path, tree, sentence):
    wrong = archives("images")._replace(md5="0" * 32)
    with pytest.raises(WrongHash) as caught:
        pets.fetch(tmp_path, [wrong])
    assert "images.tar.gz" in sentence(caught)
    assert tree(tmp_path) == []


def test_evil_archive_unpacks_nothing(archives, tmp_path, tree, sentence):
    evil = archives("images", [("images/../../evil", b"evil")])
    with pytest.raises(UnsafeArchive) as caught:
        pets.fetch(tmp_path / "pets", [evil])
    assert "evil" in sentence(caught)
    assert tree(tmp_path) == ["pets", "pets/images.tar.gz"]


def test_official_addresses():
    assert sum(archive.size for archive in pets.ARCHIVES) == 811_092_049
    assert all(len(archive.md5) == 32 for archive in pets.ARCHIVES)


def test_trimap_becomes_classes(root):
    image, mask = pets.read_pair(root, "Abyssinian_1")
    trimap = scene(0)[1]
    for value, label in [(1, 1), (2, 0), (3, 255)]:
        assert (mask[trimap == value] == label).all()
    assert image.shape == (80, 120, 3)
    assert image[mask == 1].min() > 150 > image[mask == 0].max()


def test_test_split_is_ordered_and_letterboxed(root):
    test = pets.load("test", root=root, size=(32, 48), batch_size=2)
    assert test.num_batches == 2 and test.names == TEST
    assert test.classes == ("background", "pet") and test.num_classes == 2
    batches = list(test)
    assert [len(images) for images, _ in batches] == [2, 1]
    images, masks = (np.concatenate(part) for part in zip(*batches, strict=True))
    assert images.min() >= 0 and images.max() <= 1
    assert (images[masks == 1] > 0.6).all()
    # 120 x 80 in a frame of 32 x 48 becomes 32 x 21: the sides are void, and nothing else
    assert (masks[1][:, :13] == 255).all() and (masks[1][:, 34:] == 255).all()
    assert (masks[1][:, 13] == 0).all() and (masks[1][:, 33] == 0).all()


def test_training_is_endless_and_shuffled(root):
    train = pets.load("train", root=root, size=32, batch_size=4)
    assert train.num_batches is None and train.split == "trainval"
    plain = pets.load("trainval", root=root, size=32, batch_size=5, augment=False)
    orders = [
        [round(25.5 * np.median(image[mask == 0])) for image, mask in zip(*plain[k], strict=True)]
        for k in range(3)
    ]
    assert [sorted(order) for order in orders] == [[1, 2, 3, 4, 5]] * 3
    assert not orders[0] == orders[1] == orders[2]


def test_batches_depend_on_seed_and_index_only(root):
    options = {"root": root, "size": 32, "batch_size": 3}
    first, second = pets.load("train", **options), pets.load("train", cache=0, **options)
    late = second[7]
    for k in range(7):
        first[k]
    np.testing.assert_array_equal(first[7][0], late[0])
    np.testing.assert_array_equal(first[7][1], late[1])
    assert not np.array_equal(first[0][0], pets.load("train", seed=1, **options)[0][0])
    assert not np.array_equal(first[0][0], first[5][0])


def test_one_picture_is_seen_in_many_ways(root):
    train = pets.load("train", root=root, size=32, breeds="Bengal")
    views = {train.pair(position)[1].tobytes() for position in range(8)}
    assert len(views) == 8


def test_augmented_pairs_stay_aligned(root):
    images, masks = pets.load("train", root=root, size=32, batch_size=40)[0]
    assert (images.mean(axis=-1)[masks == 1] > 0.5).mean() > 0.98
    assert (images.mean(axis=-1)[masks == 0] < 0.5).mean() > 0.98


def test_pictures_are_decoded_once(root, monkeypatch):
    read, names = pets.read_pair, []
    monkeypatch.setattr(pets, "read_pair", lambda *args: names.append(args[1]) or read(*args))
    train = pets.load("train", root=root, size=32, batch_size=10)
    train[0], train[1]
    assert sorted(names) == sorted(TRAINVAL)
    pets.load("train", root=root, size=32, batch_size=10, cache=0)[0]
    assert len(names) == 15


def test_breeds_and_number_of_batches(root):
    some = pets.load("trainval", root=root, breeds=("Bengal", "pug_dog"), num_batches=7)
    assert some.names == ["Bengal_1", "pug_dog_1", "pug_dog_2"]
    assert some.num_batches == 7 and len(list(some)) == 7
    assert pets.load("test", root=root, breeds="Bengal").names == ["Bengal_2", "Bengal_3"]


def wrong(sentence, root, split="trainval", **options):
    """Loads the set and reads it once, expects a ValueError; returns its sentence."""
    with pytest.raises(ValueError) as caught:
        list(pets.load(split, root=root, shuffle=False, size=32, **options))
    return sentence(caught)


def test_set_that_is_not_there(tmp_path, sentence):
    text = wrong(sentence, tmp_path)
    assert "download=True" in text and str(tmp_path) in text


@pytest.mark.parametrize("content", ["", "\n \n", "# nothing\n"])
def test_empty_data_set(root, sentence, content):
    (root / "annotations" / "trainval.txt").write_text(content)
    text = wrong(sentence, root)
    assert "'trainval' is empty" in text and "trainval.txt" in text


def test_a_list_that_is_no_text(root, sentence):
    (root / "annotations" / "trainval.txt").write_bytes(b"\xff\xfe\x00")
    text = wrong(sentence, root)
    assert "trainval.txt is damaged" in text


@pytest.mark.parametrize("name", ["images/Bengal_1.jpg", "annotations/trimaps/Bengal_1.png"])
def test_missing_files_are_seen_at_once(root, sentence, name):
    (root / name).unlink()
    with pytest.raises(ValueError) as caught:
        pets.load("trainval", root=root)
    assert f"misses {name.rpartition('/')[2]}, which the list names" in sentence(caught)
    pets.load("test", root=root)


def test_missing_folder(root, sentence):
    (root / "images").rename(root / "pictures")
    assert "misses Abyssinian_1.jpg and 4 more" in wrong(sentence, root)


def test_damaged_photograph(root, sentence):
    file = root / "images" / "Bengal_1.jpg"
    file.write_bytes(file.read_bytes()[:200])
    assert "Bengal_1.jpg is damaged" in wrong(sentence, root)


@pytest.mark.parametrize("value", [0, 4, 255])
def test_trimap_with_an_unknown_value(root, sentence, value):
    trimap = scene(2)[1]
    trimap[3, 4] = value
    (root / "annotations/trimaps/Bengal_1.png").write_bytes(encode(trimap, "PNG"))
    text = wrong(sentence, root)
    assert f"Bengal_1.png has the unknown value {value}" in text


def test_trimap_of_another_size(root, sentence):
    (root / "annotations/trimaps/Bengal_1.png").write_bytes(encode(scene(0)[1], "PNG"))
    text = wrong(sentence, root)
    assert "Bengal_1 has shape (80, 120) but its picture is 60 x 60" in text


def test_grey_and_rgba_photographs(root):
    image, _ = scene(2)
    rgba = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    (root / "images/Bengal_1.jpg").write_bytes(encode(image[..., 0], "JPEG"))
    (root / "images/pug_dog_1.jpg").write_bytes(encode(scene(3)[0], "PNG"))
    (root / "images/Abyssinian_1.jpg").write_bytes(encode(scene(0)[0], "GIF"))
    assert next(iter(pets.load("trainval", root=root, size=60)))[0].shape[-1] == 3
    (root / "images/Bengal_1.jpg").write_bytes(encode(rgba, "PNG"))
    np.testing.assert_array_equal(pets.read_pair(root, "Bengal_1")[0], image)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"split": "validation"}, "'validation'"),
        ({"size": 0}, "size is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": 2.5}, "batch_size is 2.5"),
        ({"num_batches": 0}, "num_batches is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"sise": 3}, "Pets has no option 'sise'"),
        ({"scale": (0, 1)}, "scale is (0, 1)"),
        ({"scale": (2, 1)}, "scale is (2, 1)"),
        ({"scale": 1}, "scale is 1"),
        ({"cache": -1}, "cache is -1"),
        ({"breeds": ["poodle"]}, "no breed 'poodle'"),
        ({"breeds": []}, "is empty"),
    ],
)
def test_wrong_options(root, sentence, options, part):
    with pytest.raises(ValueError) as caught:
        pets.load(**{"root": root, **options})
    assert part in sentence(caught)


def test_batch_beyond_the_end(root):
    test = pets.load("test", root=root, batch_size=2)
    for index in (2, -1):
        with pytest.raises(IndexError, match=str(index)):
            test[index]
