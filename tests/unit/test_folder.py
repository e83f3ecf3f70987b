"""Your own folder: pictures and masks side by side, the table of classes, the split, bad input."""

import io
import pickle

import numpy as np
import pytest
from PIL import Image

from pixelwise import data
from pixelwise.data import class_table, folder, pictures

SHAPE = (40, 56)
NAMES = [f"leaf {i:02d}" for i in range(20)]


def scene(index):
    """A picture and its mask: a bright square of class 1 on the ground 0."""
    image = np.full((*SHAPE, 3), 10 + 5 * index, np.uint8)
    mask = np.zeros(SHAPE, np.uint8)
    image[8:24, 10:40], mask[8:24, 10:40] = 220, 1
    return image, mask


def save(path, array, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = array if isinstance(array, Image.Image) else Image.fromarray(array)
    picture.save(path, **options)
    return path


@pytest.fixture
def root(tmp_path):
    """A folder with 20 pictures of several kinds, masks and a table."""
    for index, name in enumerate(NAMES):
        image, mask = scene(index)
        save(tmp_path / "images" / (name + [".png", ".JPG", ".bmp"][index % 3]), image)
        save(tmp_path / "masks" / f"{name}.png", mask)
    (tmp_path / "images" / "Thumbs.db").write_bytes(b"of another system")
    (tmp_path / "masks" / ".hidden.png").write_bytes(b"not a picture")
    (tmp_path / "classes.csv").write_text("name,index\nbackground,0\nleaf,1\n")
    return tmp_path


def first_mask(root, **options):
    """Reads the first mask of the folder at its own size."""
    everything = folder.load("all", root=root, size=SHAPE, shuffle=False, **options)
    return everything.pair(0)[1]


def wrong(sentence, root, split="all", **options):
    """Loads the folder and reads it once, expects a ValueError; returns its sentence."""
    with pytest.raises(ValueError) as caught:
        list(folder.load(split, root=root, **{"shuffle": False, "size": 32, **options}))
    return sentence(caught)


def test_from_the_folder_to_the_batch(root):
    train = data.load("folder", "train", root=str(root), size=SHAPE, batch_size=4)
    assert train.classes == ("background", "leaf") and train.num_classes == 2
    assert train.num_batches is None and train.augment and train.shuffle
    images, masks = train[0]
    assert images.shape == (4, *SHAPE, 3) and images.dtype == np.float32
    assert masks.shape == (4, *SHAPE) and masks.dtype == np.int32
    assert (images.mean(axis=-1)[masks == 1] > 0.5).mean() > 0.95
    assert (images.mean(axis=-1)[masks == 0] < 0.5).mean() > 0.95
    test = data.load("folder", "test", root=root, size=32)
    assert test.num_batches == 1 and not test.augment
    image, mask = test.pair(0)
    assert set(np.unique(mask)) == {0, 1, 255} and image.shape == (32, 32, 3)


def test_batches_depend_on_seed_and_index_only(root):
    first = folder.load("train", root=root, size=32, batch_size=3)
    late = pickle.loads(pickle.dumps(folder.load("train", root=root, size=32, batch_size=3)))[5]
    first[0], first[1]
    np.testing.assert_array_equal(first[5][0], late[0])
    other = folder.load("train", root=root, size=32, batch_size=3, seed=1)
    assert not np.array_equal(first[0][0], other[0][0])


def test_the_drawn_split(root):
    parts = {split: folder.load(split, root=root).names for split in ("train", "val", "test")}
    assert [len(names) for names in parts.values()] == [14, 3, 3]
    assert sorted(sum(parts.values(), [])) == NAMES
    assert parts["train"] == folder.load("train", root=root, seed=7).names
    assert parts["test"] != folder.load("test", root=root, split_seed=1).names
    assert folder.load("trainval", root=root).names == parts["train"] + parts["val"]
    assert folder.load("all", root=root).names == NAMES
    half = folder.load("train", root=root, val=0, test=0.5)
    assert len(half.names) == 10
    assert folder.load("validation", root=root).names == parts["val"]
    few = folder.load("test", root=root, test=0.001)
    assert len(few.names) == 1


def test_lists_say_how_to_split(root):
    (root / "train.txt").write_text("# mine\nleaf 00\nleaf 01.JPG\n\nimages/leaf 02.bmp\n")
    (root / "valid.txt").write_bytes(b"\xef\xbb\xbfimages\\leaf 03.png  \r\nleaf 04\r\n")
    assert folder.load("train", root=root).names == NAMES[:3]
    assert folder.load("val", root=root).names == NAMES[3:5]
    assert folder.load("all", root=root).names == NAMES[:5]


def test_pictures_that_no_list_names_need_no_mask(root, sentence):
    (root / "masks" / "leaf 05.png").unlink()
    (root / "train.txt").write_text("leaf 00\n")
    assert folder.load("train", root=root).names == ["leaf 00"]
    (root / "train.txt").write_text("leaf 05\n")
    assert "leaf 05.bmp has no mask named leaf 05 in" in wrong(sentence, root, "train")


def test_lists_of_pairs(tmp_path):
    for name in ("a", "b.v2"):
        save(tmp_path / "images" / f"{name}.png", scene(0)[0])
        save(tmp_path / "masks" / f"{name}.png", scene(0)[1])
    (tmp_path / "train.txt").write_text("images/a.png masks/a.png\nb.v2\n")
    train = folder.load("train", root=tmp_path, classes=["ground", "leaf"])
    assert train.names == ["a", "b.v2"] and train.classes == ("ground", "leaf")


def test_folders_and_masks_of_other_names(tmp_path):
    save(tmp_path / "JPEGImages" / "a.jpg", scene(0)[0])
    save(tmp_path / "Labels" / "a_mask.tif", scene(0)[1])
    save(tmp_path / "Labels" / "a_colours.png", scene(0)[0])
    (tmp_path / "labelmap.txt").write_text(
        "# label:color_rgb:parts:actions\nground:0,0,0::\nleaf:1,1,1::\n"
    )
    found = folder.load(
        "all",
        root=tmp_path,
        images="JPEGImages",
        masks="Labels",
        mask_tail="_mask",
        classes="labelmap.txt",
    )
    assert found.names == ["a"] and found.classes == ("ground", "leaf")


def test_masks_as_tools_write_numbers(root):
    mask = scene(0)[1]
    mask[0, 0] = 255
    palette = Image.fromarray(mask, "P")
    palette.putpalette([9] * 768)
    three = np.repeat(mask[..., None], 3, axis=2)
    for picture in (mask, palette, mask.astype(np.uint16), three):
        save(root / "masks" / "leaf 00.png", picture)
        np.testing.assert_array_equal(first_mask(root, classes="classes.csv"), mask)


def test_black_and_white_masks(root):
    for index, name in enumerate(NAMES):
        save(root / "masks" / f"{name}.png", scene(index)[1] * 255)
    for table in ("ground,0\nleaf,255\n", "ground,0,0,0\nleaf,255,255,255\n"):
        (root / "classes.csv").write_text(table)
        np.testing.assert_array_equal(first_mask(root), scene(0)[1])


def test_masks_as_tools_write_colours(root):
    mask = scene(0)[1]
    mask[0, 0] = 255
    table = np.zeros((256, 3), np.uint8)
    table[1], table[255] = (128, 192, 0), (224, 224, 192)
    (root / "classes.csv").write_text("ground;#000000\nvoid;#E0E0C0\nleaf;128;192;0\n")
    palette = Image.fromarray(np.where(mask == 255, 7, 5 * mask).astype(np.uint8), "P")
    colours = np.zeros((256, 3), np.uint8)
    colours[5], colours[7] = table[1], table[255]
    palette.putpalette(colours.tobytes())
    rgba = np.dstack([table[mask], 255 - mask])
    for picture in (table[mask], rgba, palette):
        save(root / "masks" / "leaf 00.png", picture)
        everything = folder.load("all", root=root, size=SHAPE, shuffle=False)
        assert everything.classes == ("ground", "leaf")
        np.testing.assert_array_equal(everything.pair(0)[1], mask)


@pytest.mark.parametrize(
    ("text", "classes", "numbers"),
    [
        ("ground\nleaf\n", ("ground", "leaf"), {0: 0, 1: 1, 255: 255}),
        ("name\nground\nred leaf\n", ("ground", "red leaf"), {0: 0, 1: 1, 255: 255}),
        ("\ufeffleaf,7\r\nground , 0\r\n\r\n", ("ground", "leaf"), {0: 0, 7: 1, 255: 255}),
        ("0 ground\n3 red leaf\n", ("ground", "red leaf"), {0: 0, 3: 1, 255: 255}),
        ("id\tlabel\n0\tground\n2\tleaf 2\n", ("ground", "leaf 2"), {0: 0, 2: 1, 255: 255}),
        ('"ground","0"\n"leaf","1"\n', ("ground", "leaf"), {0: 0, 1: 1, 255: 255}),
        ("ground,0\nleaf,1\nVoid,2\n", ("ground", "leaf"), {0: 0, 1: 1, 2: 255}),
        ("red\ngreen\nblue\n", ("red", "green", "blue"), {0: 0, 1: 1, 2: 2, 255: 255}),
        ("ground,0\nleaf,255\n", ("ground", "leaf"), {0: 0, 255: 1}),
    ],
)
def test_tables_of_numbers(tmp_path, text, classes, numbers):
    (tmp_path / "classes.txt").write_text(text, encoding="utf-8", newline="")
    names, legend = class_table.read(tmp_path / "classes.txt")
    assert names == classes and legend.numbers == numbers
    assert legend.colours == {(n, n, n): label for n, label in numbers.items()}


@pytest.mark.parametrize(
    "text",
    [
        "ground,0,0,0\nleaf,128,192,0\n",
        "name,r,g,b\nground,0,0,0\nleaf,128,192,0\n",
        "0 0 0 ground\n128 192 0\tleaf\n".replace("\t", " "),
        "0 0 0\tground\n128 192 0\t\tleaf\n",
        'name,rgb\nground,"(0, 0, 0)"\nleaf,"(128, 192, 0)"\n',
        "#000000,ground\n#80C000,leaf\n# and no more\n",
    ],
)
def test_tables_of_colours(tmp_path, text):
    (tmp_path / "classes.csv").write_text(text)
    names, legend = class_table.read(tmp_path / "classes.csv")
    assert names == ("ground", "leaf") and legend.numbers == {}
    assert legend.colours == {(0, 0, 0): 0, (128, 192, 0): 1}


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("ground,0\nleaf,0\n", "has 0 twice, at line 1 and line 2"),
        ("ground,0\n\nground,1\n", "has 'ground' twice, at line 1 and line 3"),
        ("a,#010203\nb,1,2,3\n", "has (1, 2, 3) twice, at line 1 and line 2"),
        ("ground,0\nleaf\n", "tells 'ground' and 'leaf' (line 2) apart in two ways"),
        ("ground,0\nleaf,1,2\n", "cannot be read at line 2, 'leaf,1,2'"),
        ("ground,0\nleaf,-1\n", "cannot be read at line 2"),
        ("ground 0\nleaf 0.5\n", "cannot be read at line 2"),
        ("ground,0\nleaf,1,2,300\n", "cannot be read at line 2"),
        ("ground,0\nleaf,70000\n", "cannot be read at line 2"),
        ("ground,0\n1,2\n", "cannot be read at line 2"),
        ("ground,0\nleaf,green,1\n", "cannot be read at line 2"),
        ("", "has 0 classes"),
        ("name,index\n", "has 0 classes"),
        ("void,255\n", "has 0 classes"),
        ("".join(f"c{i}\n" for i in range(256)), "has 256 classes"),
    ],
)
def test_tables_that_cannot_be_used(root, sentence, text, part):
    (root / "classes.csv").write_text(text)
    assert part in wrong(sentence, root)


def test_void(root, sentence):
    mask = scene(0)[1]
    mask[0, 0] = 9
    save(root / "masks" / "leaf 00.png", mask)
    assert first_mask(root, void=9)[0, 0] == pictures.VOID
    text = wrong(sentence, root)
    assert "leaf 00.png has the unknown class 9 at row 0, column 0" in text
    assert "classes.csv has 0 to 1 and 255" in text
    assert "void is 1, but" in wrong(sentence, root, void=1)
    (root / "classes.csv").write_text("ground,0\nleaf,1\nvoid,9\n")
    assert first_mask(root)[0, 0] == pictures.VOID
    assert "void is 255, but" in wrong(sentence, root, void=255)
    assert "void is 'none': give a whole number" in wrong(sentence, root, void="none")
    (root / "classes.csv").write_text("ground,#000000\nleaf,#010101\n")
    assert "has colours: leave void out" in wrong(sentence, root, void=9)


def test_colours_that_are_not_in_the_table(root, sentence):
    (root / "classes.csv").write_text("ground,#000000\nleaf,#80c000\n")
    picture = np.zeros((*SHAPE, 3), np.uint8)
    picture[3:, 4:] = (128, 191, 0)
    save(root / "masks" / "leaf 00.png", picture)
    text = wrong(sentence, root)
    assert "leaf 00.png has the unknown colour (128, 191, 0) at row 3, column 4" in text
    save(root / "masks" / "leaf 00.png", np.zeros(SHAPE, np.uint16))
    assert "pixels of mode I;16" in wrong(sentence, root)


def test_no_table_or_two(root, sentence):
    (root / "classes.txt").write_text("ground\nleaf\n")
    assert "has both classes.csv and classes.txt: keep one" in wrong(sentence, root)
    assert folder.load("all", root=root, classes="classes.txt").classes == ("ground", "leaf")
    assert "There is no" in wrong(sentence, root, classes="other.csv")
    (root / "classes.txt").unlink()
    (root / "classes.csv").unlink()
    assert "has no table of classes: write classes.csv" in wrong(sentence, root)
    assert folder.load("all", root=root, classes=("ground", "leaf")).num_classes == 2
    (root / "classes.csv").write_bytes(b"\xff\xfeg\x00")
    assert "classes.csv is damaged" in wrong(sentence, root)


def test_picture_without_a_mask_and_mask_without_a_picture(root, sentence):
    (root / "masks" / "leaf 03.png").unlink()
    assert "leaf 03.png has no mask named leaf 03 in" in wrong(sentence, root)
    (root / "masks" / "leaf 04.png").unlink()
    assert ", nor have 1 more: add the mask" in wrong(sentence, root)
    for name in ("leaf 03.png", "leaf 04.JPG"):
        (root / "images" / name).unlink()
    (root / "images" / "leaf 00.png").unlink()
    assert "The mask" in wrong(sentence, root) and "leaf 00" in wrong(sentence, root)


def test_missing_and_empty_folders(root, sentence):
    assert "needs root=" in wrong(sentence, None)
    assert "There is no folder" in wrong(sentence, root / "nowhere")
    assert "There is no folder" in wrong(sentence, root, masks="labels")
    (root / "empty").mkdir()
    assert "'all' is empty" in wrong(sentence, root, images="empty", masks="empty")


def test_two_pictures_of_one_name(root, sentence):
    save(root / "images" / "leaf 00.webp", scene(0)[0])
    text = wrong(sentence, root)
    assert "two pictures of the name 'leaf 00', leaf 00.png and leaf 00.webp" in text


def test_masks_with_loss(root, sentence):
    (root / "masks" / "leaf 00.png").unlink()
    save(root / "masks" / "leaf 00.jpg", scene(0)[1])
    assert "leaf 00.jpg is a JPEG" in wrong(sentence, root)


def test_lists_that_cannot_be_used(root, sentence):
    (root / "val.txt").write_text("leaf 00\n")
    assert "needs train.txt" in wrong(sentence, root, "train")
    (root / "train.txt").write_text("leaf 01\nleaf 77\n")
    text = wrong(sentence, root, "train")
    assert "misses leaf 77, which train.txt names: put it there" in text
    (root / "train.txt").write_text("leaf 00.png\nleaf 01\n")
    text = wrong(sentence, root, "train")
    assert "train.txt and val.txt both name leaf 00" in text
    (root / "train.txt").write_text("\n")
    assert "'train' is empty" in wrong(sentence, root, "train")
    (root / "valid.txt").write_text("leaf 00\n")
    assert "has both val.txt and valid.txt" in wrong(sentence, root, "val")


def test_damaged_files_and_another_size(root, sentence):
    save(root / "masks" / "leaf 00.png", scene(0)[1].T)
    text = wrong(sentence, root)
    assert "leaf 00 has shape (56, 40) but its picture is 40 x 56" in text
    stream = io.BytesIO()
    Image.fromarray(scene(0)[1]).save(stream, "PNG")
    (root / "masks" / "leaf 00.png").write_bytes(stream.getvalue()[:50])
    assert "leaf 00.png is damaged" in wrong(sentence, root)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"split": "training"}, "no split 'training'"),
        ({"val": 1.5}, "val is 1.5"),
        ({"test": "some"}, "test is 'some'"),
        ({"val": 0.5, "test": 0.5}, "'train' is empty"),
        ({"split": "test", "test": 0}, "'test' is empty"),
        ({"split_seed": -1}, "split_seed is -1"),
        ({"sise": 3}, "Folder has no option 'sise': the nearest are size"),
        ({"download": True}, "Folder has no option 'download'"),
        ({"mask_tial": "_m"}, "Folder has no option 'mask_tial': the nearest are mask_tail"),
        ({"size": 0}, "size is 0"),
        ({"classes": 5}, "classes is 5: give the file of the table"),
        ({"shuffle": 3}, "shuffle is 3: give True or False"),
        ({"augment": "no"}, "augment is 'no'"),
        ({"split": ["all"]}, "no split ['all']"),
    ],
)
def test_wrong_options(root, sentence, options, part):
    with pytest.raises(ValueError) as caught:
        folder.load(**{"root": root, **options})
    assert part in sentence(caught)
