"""Pictures and masks: read from files, checked against each other, resized and augmented in pairs.

A picture is uint8 ``(height, width, 3)`` here, and becomes float32 in [0, 1] when a batch is made.
A mask holds one integer a pixel, its class, and ``void`` (255) where nobody said what it is.
Classes are names: a mask is never interpolated, or what lies between 1 and 3 would become class 2.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from pixelwise import checks

VOID = 255
# What surrounds a picture that does not fill its frame: the mean colour of ImageNet's photographs.
PADDING = (124, 116, 104)
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, Image.DecompressionBombError)
INTEGER_MODES = ("1", "L", "P", "I", "I;16", "I;16L", "I;16B", "I;16N")
COLOUR_MODES = ("1", "L", "P", "LA", "PA", "RGB", "RGBA")


class DamagedPicture(ValueError):
    """A picture file that cannot be decoded."""


def read_image(path):
    """Reads a picture of any common kind as eight-bit RGB, the right way up.

    Grey pictures get three equal channels; transparent parts are laid on white; 16-bit grey is
    scaled to eight bits; the camera's orientation (EXIF) is applied.

    Args:
        path: a file that Pillow can read: JPEG, PNG, GIF, TIFF, WebP and others.

    Returns:
        uint8 ``(height, width, 3)``, RGB in 0..255.

    Raises:
        DamagedPicture: if the file is missing, cut or not a picture.
    """
    picture = _open(path)
    if picture.mode.startswith("I") or picture.mode == "F":
        return _from_deep(np.asarray(picture), path)
    if picture.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return np.array(picture.convert("RGB"))


def read_mask(path):
    """Reads a mask, one integer a pixel, from a grey or palette picture (the palette's indices).

    Args:
        path: a file in a format without loss, as PNG.

    Returns:
        uint8 or int32 ``(height, width)``.

    Raises:
        DamagedPicture: if the file is missing, cut or not a picture.
        ValueError: if the file holds colours or fractions.
    """
    picture = _open(path)
    if picture.mode not in INTEGER_MODES:
        raise ValueError(
            f"The mask {path} has pixels of mode {picture.mode}, not one integer a pixel: save "
            "class numbers as a grey or palette PNG."
        )
    return _numbers(picture)


def read_coded(path, shown=False):
    """Reads a mask as it is coded: one integer a pixel, or one colour a pixel.

    Args:
        path: a file in a format without loss, as PNG.
        shown: ``True`` reads grey and palette pictures too by the colours that they show.

    Returns:
        uint8 or int32 ``(height, width)``, as ``read_mask``; or uint8 ``(height, width, 3)``, RGB,
        whose transparency is passed over.

    Raises:
        DamagedPicture: if the file is missing, cut or not a picture.
        ValueError: if the file holds fractions, or more than eight bits where colours are read.
    """
    picture = _open(path)
    if picture.mode in INTEGER_MODES and not shown:
        return _numbers(picture)
    if picture.mode not in COLOUR_MODES:
        raise ValueError(
            f"The mask {path} has pixels of mode {picture.mode}: save it with eight bits a "
            "channel, as a grey, palette or RGB PNG."
        )
    return np.array(picture.convert("RGBA"))[..., :3]


def check_pair(image, mask, num_classes, void=VOID, name="this pair"):
    """Checks that a mask belongs to its picture and holds known classes only.

    Args:
        image: ``(height, width, 3)``.
        mask: integers ``(height, width)`` in 0..num_classes - 1, or ``void``.
        num_classes: number of classes, the background included.
        void: the value of pixels without a label.
        name: what the pair is called in the sentence.

    Raises:
        ValueError: if the picture has another shape; if the mask is not made of integers, has
            another size than the picture, or holds an unknown class.
    """
    image, mask = np.asarray(image), np.asarray(mask)
    if image.ndim != 3 or image.shape[-1] != 3 or 0 in image.shape:
        raise ValueError(f"The picture of {name} has shape {image.shape}: give (height, width, 3).")
    if not np.issubdtype(mask.dtype, np.integer):
        raise ValueError(
            f"The mask of {name} has dtype {mask.dtype}: a mask holds class numbers, so give "
            "integers (and resize masks with nearest neighbour only)."
        )
    if mask.shape != image.shape[:2]:
        raise ValueError(
            f"The mask of {name} has shape {mask.shape} but its picture is "
            f"{image.shape[0]} x {image.shape[1]} (height x width): they must be the same."
        )
    unknown = (mask != void) & ((mask < 0) | (mask >= num_classes))
    if unknown.any():
        row, column = np.argwhere(unknown)[0]
        raise ValueError(
            f"The mask of {name} has the unknown class {mask[row, column]} at row {row}, column "
            f"{column}: classes are 0 to {num_classes - 1}, and {void} is void."
        )


def check_batch(images, smallest=1):
    """Checks that pictures are what the models of this book take.

    Args:
        images: array ``(batch, height, width, 3)`` in [0, 1], of NumPy or of the backend.
        smallest: least height and width, in pixels.

    Returns:
        The pictures, float32 NumPy.

    Raises:
        ValueError: if there is no picture, the shape is another, a side is too small, or the
            values are not fractions in [0, 1].
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            f"The pictures have the shape {images.shape}: give (batch, height, width, 3); one "
            "picture is a batch with image[None], and pictures.read_image turns grey and "
            "transparent files into three channels."
        )
    if len(images) == 0:
        raise ValueError("There is no picture in the batch: give one or more.")
    if min(images.shape[1:3]) < smallest:
        raise ValueError(
            f"The pictures are {images.shape[1]} x {images.shape[2]} pixels, smaller than the "
            f"output stride {smallest}: enlarge them to at least {smallest} pixels a side."
        )
    return checks.fractions(images)


def as_size(size, name="size"):
    """Returns ``(height, width)`` from a side in pixels or a pair; ``name`` is for the sentence.

    Raises:
        ValueError: if it is neither one nor two positive integers.
    """
    pair = (size, size) if np.ndim(size) == 0 else tuple(size)
    if len(pair) != 2 or not all(isinstance(n, int | np.integer) and n > 0 for n in pair):
        raise ValueError(f"{name} is {size!r}: give a side in pixels, or (height, width).")
    return int(pair[0]), int(pair[1])


def resize_image(image, size):
    """Resizes a uint8 picture bilinearly, averaging over what becomes one pixel (antialiased).

    Args:
        image: uint8 ``(height, width, 3)``.
        size: side in pixels, or ``(height, width)``.

    Returns:
        uint8 ``(*size, 3)``.

    Raises:
        ValueError: if the picture is not uint8 ``(height, width, 3)``, or the size is not a size.
    """
    height, width = as_size(size)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
        raise ValueError(
            f"The picture has dtype {image.dtype} and shape {image.shape}: give uint8 (height, "
            "width, 3)."
        )
    if image.shape[:2] == (height, width):
        return image
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    return np.array(picture)


def resize_mask(mask, size):
    """Resizes a mask to the nearest pixel: no label is invented.

    Args:
        mask: integers ``(height, width)``.
        size: side in pixels, or ``(height, width)``.

    Returns:
        ``size``, the dtype of ``mask``; each value is one that ``mask`` has.

    Raises:
        ValueError: if the mask is not made of integers ``(height, width)``, or the size is not a
            size.
    """
    size = as_size(size)
    if mask.dtype.kind not in "iub" or mask.ndim != 2:
        raise ValueError(
            f"The mask has dtype {mask.dtype} and shape {mask.shape}: give integers (height, "
            "width)."
        )
    rows, columns = (
        ((np.arange(new) + 0.5) * old / new).astype(int)
        for new, old in zip(size, mask.shape, strict=True)
    )
    return mask[rows[:, None], columns]


def resize_pair(image, mask, size):
    """Resizes a picture bilinearly and its mask to the nearest pixel; the aspect ratio may change.

    Args:
        image: uint8 ``(height, width, 3)``.
        mask: integers ``(height, width)``.
        size: side in pixels, or ``(height, width)``.

    Returns:
        ``(image, mask)`` of shapes ``(*size, 3)`` and ``size``.

    Raises:
        ValueError: as ``resize_image`` and ``resize_mask``, or if the two differ in size.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(
            f"The mask has shape {mask.shape} but its picture has {image.shape}: they must have "
            "the same height and width."
        )
    return resize_image(image, size), resize_mask(mask, size)


def fit(shape, size):
    """Returns the factor by which a picture is scaled to fit just inside a frame.

    Args:
        shape: ``(height, width, ...)`` of the picture.
        size: side of the frame in pixels, or ``(height, width)``.
    """
    return min(new / old for new, old in zip(as_size(size), shape[:2], strict=True))


def scale_pair(image, mask, factor):
    """Scales a picture and its mask by one factor, to at least one pixel a side."""
    size = tuple(max(1, round(side * factor)) for side in image.shape[:2])
    return resize_pair(image, mask, size)


def place_pair(image, mask, top, left, size, void=VOID):
    """Lays a picture and its mask into a frame: what sticks out is cut, what is free is void.

    Args:
        image: uint8 ``(height, width, 3)``.
        mask: integers ``(height, width)``.
        top: row of the frame where row 0 of the picture comes; negative cuts.
        left: the same for columns.
        size: side of the frame in pixels, or ``(height, width)``.
        void: value of the mask around the picture.

    Returns:
        ``(image, mask)`` of shapes ``(*size, 3)`` and ``size``; around the picture the image has
        the colour ``PADDING``.
    """
    height, width = as_size(size)
    framed = np.full((height, width, 3), PADDING, image.dtype)
    labels = np.full((height, width), void, mask.dtype)
    rows = slice(max(top, 0), min(top + image.shape[0], height))
    columns = slice(max(left, 0), min(left + image.shape[1], width))
    source = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    framed[rows, columns], labels[rows, columns] = image[source], mask[source]
    return framed, labels


def letterbox_pair(image, mask, size, void=VOID):
    """Scales a pair to fit inside a frame and centres it: all of it is there, undistorted.

    Args, returns: as ``place_pair``.
    """
    size = as_size(size)
    image, mask = scale_pair(image, mask, fit(image.shape, size))
    top, left = ((new - old) // 2 for new, old in zip(size, mask.shape, strict=True))
    return place_pair(image, mask, top, left, size, void)


def augment_pair(image, mask, size, rng, *, scale=(0.75, 1.5), flip=0.5, void=VOID):
    """Scales a pair at random, takes a random crop of it and mirrors it now and then.

    Args:
        image: uint8 ``(height, width, 3)``.
        mask: integers ``(height, width)``.
        size: side of the crop in pixels, or ``(height, width)``.
        rng: ``numpy.random.Generator``.
        scale: range of the scale, log-uniform; at 1 the picture fits just inside the crop.
        flip: probability of mirroring left and right, 0..1.
        void: value of the mask where the crop looks beyond the picture.

    Returns:
        ``(image, mask)`` of shapes ``(*size, 3)`` and ``size``.
    """
    size = as_size(size)
    factor = np.exp(rng.uniform(*np.log(scale)))
    image, mask = scale_pair(image, mask, fit(image.shape, size) * factor)
    spare = [new - old for new, old in zip(size, mask.shape, strict=True)]
    top, left = (int(rng.integers(min(free, 0), max(free, 0) + 1)) for free in spare)
    image, mask = place_pair(image, mask, top, left, size, void)
    if rng.random() < flip:
        image, mask = image[:, ::-1], mask[:, ::-1]
    return image, mask


def _open(path):
    """Decodes a file with Pillow, the right way up."""
    if not Path(path).is_file():
        raise DamagedPicture(f"There is no picture {path}: check the name, or download it again.")
    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture)
    except UNREADABLE as error:
        raise DamagedPicture(
            f"The picture {path} is damaged ({error}): download it again, or take it out of the "
            "list."
        ) from error


def _numbers(picture):
    """Returns the integers of a grey or palette picture."""
    mask = np.array(picture)
    return mask.astype("uint8" if mask.dtype in (np.uint8, np.bool_) else "int32")


def _from_deep(values, path):
    """Turns grey values of more than eight bits into eight-bit RGB."""
    top = values.max(initial=0)
    if values.dtype.kind == "f" or values.min(initial=0) < 0 or top > 65535:
        raise ValueError(
            f"The picture {path} has values of {values.dtype} from {values.min()} to {top}: save "
            "it with eight or sixteen bits a channel."
        )
    deep = values.dtype.itemsize == 2 or top > 255
    grey = (values.astype("int64") + 128) // 257 if deep else values
    return np.repeat(grey.astype("uint8")[..., None], 3, axis=2)
