"""Pictures of all kinds, pairs that do not belong together, resizing and augmenting."""

import numpy as np
import pytest
from PIL import Image

from pixelwise.data import pictures
from pixelwise.data.pictures import DamagedPicture, check_pair, read_image, read_mask

RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)
GREY = RNG.integers(0, 256, (5, 7), dtype=np.uint8)


def save(path, array, mode=None, **options):
    picture = Image.fromarray(array)
    (picture.convert(mode) if mode else picture).save(path, **options)
    return path


def test_rgb(tmp_path):
    image = read_image(save(tmp_path / "a.png", COLOURS))
    assert image.dtype == np.uint8 and image.flags.writeable
    np.testing.assert_array_equal(image, COLOURS)


def test_grey_becomes_three_equal_channels(tmp_path):
    image = read_image(save(tmp_path / "a.png", GREY))
    np.testing.assert_array_equal(image, np.repeat(GREY[..., None], 3, axis=2))


def test_rgba_lies_on_white(tmp_path):
    alpha = np.zeros((5, 7, 1), np.uint8)
    alpha[0], alpha[1] = 255, 128
    image = read_image(save(tmp_path / "a.png", np.concatenate([COLOURS, alpha], axis=2)))
    np.testing.assert_array_equal(image[0], COLOURS[0])
    half = COLOURS[1].astype(float) * 128 / 255 + 255 * 127 / 255
    np.testing.assert_allclose(image[1], half, atol=1)
    assert (image[2:] == 255).all()


def test_grey_with_alpha_and_transparent_palette(tmp_path):
    grey = np.stack([GREY, np.zeros_like(GREY)], axis=2)
    assert (read_image(save(tmp_path / "a.png", grey)) == 255).all()
    file = tmp_path / "b.png"
    palette = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.save(file, transparency=1)
    np.testing.assert_array_equal(read_image(file), [[[10, 20, 30], [255, 255, 255]]])


def test_palette_shows_its_colours(tmp_path):
    picture = Image.fromarray(COLOURS).quantize(256)
    picture.save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image, np.asarray(picture.convert("RGB")))


def test_sixteen_bits_become_eight(tmp_path):
    deep = np.array([[0, 257, 128 * 257, 65535]], np.uint16)
    image = read_image(save(tmp_path / "a.png", deep))
    np.testing.assert_array_equal(image[0, :, 0], [0, 1, 128, 255])
    dark = read_image(save(tmp_path / "b.png", np.full((2, 2), 200, np.uint16)))
    assert (dark == 1).all()  # 200 of 65535, not of 255


def test_black_and_white_and_cmyk(tmp_path):
    image = read_image(save(tmp_path / "a.png", np.array([[True, False]])))
    np.testing.assert_array_equal(image[0, :, 0], [255, 0])
    assert read_image(save(tmp_path / "a.tif", COLOURS, "CMYK")).shape == (5, 7, 3)


def test_exif_orientation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the top of the scene is the right side of the file
    image = read_image(save(tmp_path / "a.png", COLOURS, exif=exif))
    np.testing.assert_array_equal(image, np.rot90(COLOURS, -1))


@pytest.mark.parametrize("kind", ["png", "jpg", "gif", "tif"])
@pytest.mark.parametrize("reader", [read_image, read_mask])
def test_damaged_picture(tmp_path, sentence, reader, kind):
    picture = Image.fromarray(RNG.integers(0, 256, (64, 64), dtype=np.uint8))
    picture.save(tmp_path / f"a.{kind}")
    content = (tmp_path / f"a.{kind}").read_bytes()
    (tmp_path / f"a.{kind}").write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedPicture) as caught:
        reader(tmp_path / f"a.{kind}")
    assert f"a.{kind} is damaged" in sentence(caught)


@pytest.mark.parametrize("reader", [read_image, read_mask])
def test_what_is_no_picture(tmp_path, sentence, reader):
    (tmp_path / "a.png").write_text("<html>not found</html>")
    with pytest.raises(DamagedPicture, match="a.png is damaged") as caught:
        reader(tmp_path / "a.png")
    sentence(caught)
    with pytest.raises(DamagedPicture, match="no picture .*b.png") as caught:
        reader(tmp_path / "b.png")
    sentence(caught)


@pytest.mark.parametrize("top", [0.5, 70000.0])
def test_picture_of_fractions(tmp_path, sentence, top):
    file = save(tmp_path / "a.tif", np.full((2, 2), top, np.float32))
    with pytest.raises(ValueError, match="float32") as caught:
        read_image(file)
    sentence(caught)


def test_masks_keep_their_numbers(tmp_path):
    labels = np.array([[0, 1, 2], [20, 254, 255]], np.uint8)
    np.testing.assert_array_equal(read_mask(save(tmp_path / "a.png", labels)), labels)
    palette = Image.fromarray(labels, "P")
    palette.putpalette(list(RNG.integers(0, 256, 768)))
    palette.save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png"), labels)
    deep = read_mask(save(tmp_path / "c.png", np.array([[0, 40000]], np.uint16)))
    assert deep.dtype == np.int32 and deep.tolist() == [[0, 40000]]
    assert read_mask(save(tmp_path / "d.png", np.array([[True, False]]))).tolist() == [[1, 0]]


@pytest.mark.parametrize(
    "array", [COLOURS, np.ones((2, 2), np.float32), np.zeros((2, 2, 4), np.uint8)]
)
def test_mask_file_of_colours_or_fractions(tmp_path, sentence, array):
    with pytest.raises(ValueError, match="one integer a pixel") as caught:
        read_mask(save(tmp_path / "a.tif", array))
    sentence(caught)


LABELS = RNG.integers(0, 3, (5, 7)).astype("int32")


def test_right_pairs_pass():
    check_pair(COLOURS, LABELS, 3)
    check_pair(COLOURS / 255, np.full((5, 7), 255, np.uint8), 3)
    check_pair(COLOURS, np.full((5, 7), -1), 3, void=-1)


@pytest.mark.parametrize("value", [3, 254, -1])
def test_unknown_class(sentence, value):
    labels = LABELS.copy()
    labels[2, 4] = value
    with pytest.raises(ValueError) as caught:
        check_pair(COLOURS, labels, 3, name="dog_1")
    text = sentence(caught)
    assert f"dog_1 has the unknown class {value} at row 2, column 4" in text
    assert "classes are 0 to 2, and 255 is void" in text


@pytest.mark.parametrize("shape", [(7, 5), (5, 6), (5, 7, 1)])
def test_mask_of_another_size(sentence, shape):
    with pytest.raises(ValueError) as caught:
        check_pair(COLOURS, np.zeros(shape, int), 3, name="dog_1")
    assert f"dog_1 has shape {shape} but its picture is 5 x 7" in sentence(caught)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bool])
def test_float_mask(sentence, dtype):
    with pytest.raises(ValueError) as caught:
        check_pair(COLOURS, LABELS.astype(dtype), 3)
    text = sentence(caught)
    assert np.dtype(dtype).name in text and "integers" in text


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 4), (5, 7, 1), (0, 7, 3)])
def test_picture_of_another_shape(sentence, shape):
    with pytest.raises(ValueError) as caught:
        check_pair(np.zeros(shape), np.zeros(shape[:2], int), 3)
    assert str(shape) in sentence(caught)


@pytest.mark.parametrize("size", [0, -1, 2.5, (3, 0), (1, 2, 3), "96"])
def test_size_that_is_none(sentence, size):
    with pytest.raises(ValueError) as caught:
        pictures.as_size(size)
    assert repr(size) in sentence(caught)


def test_resizing_invents_no_label():
    labels = np.where(np.arange(60)[:, None] < 30, 1, 3) * np.ones((1, 80), int)
    for size in [(17, 23), 1, (121, 90)]:
        _, small = pictures.resize_pair(np.zeros((60, 80, 3), np.uint8), labels, size)
        assert small.shape == pictures.as_size(size) and small.dtype == labels.dtype
        assert set(np.unique(small)) <= {1, 3}


def test_nearest_takes_the_pixel_in_the_middle():
    assert pictures.resize_mask(np.arange(9)[None], (1, 3)).tolist() == [[1, 4, 7]]
    assert pictures.resize_mask(np.arange(3)[None], (2, 6)).tolist() == [[0, 0, 1, 1, 2, 2]] * 2
    labels = RNG.integers(0, 256, (60, 80), dtype=np.uint8)
    nearest = Image.fromarray(labels).resize((23, 17), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(pictures.resize_mask(labels, (17, 23)), np.asarray(nearest))


def test_resized_pair_stays_aligned():
    yy, xx = np.mgrid[:60, :80]
    disc = ((yy - 20) ** 2 + (xx - 50) ** 2 < 15**2).astype("uint8")
    image = np.repeat(disc[..., None] * 255, 3, axis=2).astype("uint8")
    for size in [(30, 40), (75, 31), 128]:
        small, mask = pictures.resize_pair(image, disc, size)
        assert ((small[..., 0] > 127) == mask).mean() > 0.98


def test_shrinking_averages():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    small = pictures.resize_image(stripes, 8)
    assert abs(small.astype(float) - 127.5).max() < 20


def test_pictures_of_other_types_are_not_resized(sentence):
    with pytest.raises(ValueError, match="float64") as caught:
        pictures.resize_image(np.zeros((4, 4, 3)), 2)
    sentence(caught)


def test_letterbox_keeps_geometry_and_pads_with_void():
    image, mask = np.full((10, 20, 3), 9, np.uint8), np.ones((10, 20), np.uint8)
    framed, labels = pictures.letterbox_pair(image, mask, 8)
    assert framed.shape == (8, 8, 3) and labels.shape == (8, 8)
    assert labels[:, 0].tolist() == [255, 255, 1, 1, 1, 1, 255, 255]
    assert (framed[2:6] == 9).all()
    assert (framed[[0, 1, 6, 7]] == pictures.PADDING).all()


def test_letterbox_of_a_thin_picture_keeps_a_pixel():
    image, mask = np.zeros((1, 100, 3), np.uint8), np.zeros((1, 100), np.uint8)
    _, labels = pictures.letterbox_pair(image, mask, 16)
    assert (labels == 0).sum() == 16


@pytest.mark.parametrize("shape", [(40, 60), (60, 40), (7, 5), (200, 20)])
def test_augmented_pair_stays_aligned(shape):
    diagonal = np.add.outer(np.arange(shape[0]), np.arange(shape[1]))
    mask = (diagonal // (max(shape) // 3) % 2).astype("uint8")
    image = np.repeat((mask * 255)[..., None], 3, axis=2)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        out, labels = pictures.augment_pair(image, mask, (32, 48), rng)
        assert out.shape == (32, 48, 3) and labels.shape == (32, 48)
        inside = labels != 255
        assert inside.any()
        assert ((out[..., 0] > 127) == labels)[inside].mean() > 0.85
        assert (out[~inside] == pictures.PADDING).all()


def test_augmentation_depends_on_the_generator_only():
    image, mask = RNG.integers(0, 256, (40, 60, 3), dtype=np.uint8), np.zeros((40, 60), np.uint8)
    first, again, other = (
        pictures.augment_pair(image, mask, 32, np.random.default_rng(seed))[0] for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_flip_mirrors_the_pair():
    image = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    mask = np.arange(64, dtype=np.uint8).reshape(8, 8)
    rng = np.random.default_rng(0)
    out, labels = pictures.augment_pair(image, mask, 8, rng, scale=(1, 1), flip=1)
    np.testing.assert_array_equal(out, image[:, ::-1])
    np.testing.assert_array_equal(labels, mask[:, ::-1])
