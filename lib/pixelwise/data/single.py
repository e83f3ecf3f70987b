"""One picture as its owner has it: a file, or an array of one kind or another."""

import os

import numpy as np
from PIL import Image

from pixelwise.data import pictures


def read(image):
    """Returns a picture as the models of this book take it, but for the batch.

    Args:
        image: the path of a picture, or an array ``(height, width, 3)``, uint8 or float in [0, 1].
            As in files, grey ``(height, width)`` or ``(height, width, 1)`` gets three equal
            channels, and the transparent parts of ``(height, width, 4)`` are laid on white.

    Returns:
        float32 ``(height, width, 3)`` in [0, 1].

    Raises:
        pixelwise.data.pictures.DamagedPicture: if the file cannot be read.
        ValueError: if the array is no such picture.
    """
    if isinstance(image, str | os.PathLike):
        image = pictures.read_image(image)
    if isinstance(image, Image.Image):
        raise ValueError(
            "The picture is a Pillow image: give its path, or the array "
            'np.asarray(image.convert("RGB")).'
        )
    image = np.asarray(image)
    shape = image.shape if image.ndim == 3 else (*image.shape, 1)
    if len(shape) != 3 or shape[-1] not in (1, 3, 4) or 0 in shape:
        raise ValueError(
            f"The picture has the shape {image.shape}: give one picture, (height, width, 3), or "
            "its path."
        )
    if image.dtype != np.uint8 and image.dtype.kind != "f":
        raise ValueError(f"The picture has dtype {image.dtype}: give uint8, or float in [0, 1].")
    top = 255 if image.dtype == np.uint8 else 1
    image = image.reshape(shape).astype(np.float32)
    image /= top
    if shape[-1] == 4:
        image = 1 + (image[..., :3] - 1) * image[..., 3:]
    elif shape[-1] == 1:
        image = image.repeat(3, axis=-1)
    return pictures.check_batch(image[None])[0]
