"""The CC0 photographs that garments are pasted on: panoramas seen in perspective, and pictures.

A panorama shows the whole sphere in equirectangular projection; ``perspective`` looks into it as a
camera would, so each of the 18 gives as many different photographs as there are directions.
"""

import functools

import numpy as np
from PIL import Image

from pixelwise.data import manifest, splits

SPLITS = {
    "train": {
        "panorama": (
            "apartment bridge dawn esplanade lab night park sky studio sunrise workshop".split()
        ),
        "photo": ["brick", "grass", "chelsea"],
    },
    "validation": {"panorama": ["city", "warehouse"], "photo": ["camera"]},
    "test": {
        "panorama": ["forest", "hall", "lobby", "sunset", "venice"],
        "photo": ["coffee", "gravel"],
    },
}
VIEWS = 24  # photographs taken in each panorama
VIEW_SIZE = 192  # pixels


def perspective(panorama, yaw, pitch, field_of_view, size):
    """Looks into an equirectangular panorama as a pinhole camera.

    Args:
        panorama: uint8 ``(height, 2 * height, 3)``.
        yaw: direction in degrees, 0 is the middle of the panorama, positive to the right.
        pitch: degrees above the horizon.
        field_of_view: horizontal opening angle in degrees, below 180.
        size: side of the square picture in pixels.

    Returns:
        uint8 ``(size, size, 3)``, bilinearly interpolated.
    """
    focal = 0.5 / np.tan(np.deg2rad(field_of_view) / 2)
    ticks = (np.arange(size) + 0.5) / size - 0.5
    x, y = np.meshgrid(ticks, -ticks)
    z = np.full_like(x, focal)
    tilt, turn = np.deg2rad(pitch), np.deg2rad(yaw)
    y, z = y * np.cos(tilt) + z * np.sin(tilt), z * np.cos(tilt) - y * np.sin(tilt)
    x, z = x * np.cos(turn) + z * np.sin(turn), z * np.cos(turn) - x * np.sin(turn)
    longitude = np.arctan2(x, z)
    latitude = np.arcsin(y / np.sqrt(x**2 + y**2 + z**2))

    height, width = panorama.shape[:2]
    column = (longitude / (2 * np.pi) + 0.5) * width - 0.5
    row = np.clip((0.5 - latitude / np.pi) * height - 0.5, 0, height - 1)
    left, top = np.floor(column).astype(int), np.floor(row).astype(int)
    right, bottom = (left + 1) % width, np.minimum(top + 1, height - 1)
    left %= width
    across, down = (column - np.floor(column))[..., None], (row - top)[..., None]
    upper = panorama[top, left] * (1 - across) + panorama[top, right] * across
    lower = panorama[bottom, left] * (1 - across) + panorama[bottom, right] * across
    return np.uint8(upper * (1 - down) + lower * down + 0.5)


@functools.cache
def load(split):
    """Loads the backgrounds of one split.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``; no picture is in two of them.

    Returns:
        A list of uint8 ``(height, width, 3)`` pictures, the same at every call.

    Raises:
        ValueError: if the split is unknown.
    """
    splits.check(split, "The set of backgrounds", SPLITS)
    rng = np.random.default_rng(7)
    pictures = []
    for name in SPLITS[split]["panorama"]:
        panorama = read(f"panorama_{name}")
        for yaw in np.linspace(0, 360, VIEWS, endpoint=False):
            pitch, opening = rng.uniform(-60, 35), rng.uniform(45, 95)
            pictures.append(perspective(panorama, yaw, pitch, opening, VIEW_SIZE))
    for name in SPLITS[split]["photo"]:
        pictures += [read(f"photo_{name}")] * (VIEWS // 2)
    return pictures


def read(name):
    """Returns one embedded picture, such as ``"panorama_lobby"``, as uint8 (height, width, 3)."""
    with Image.open(manifest.path(f"backgrounds/{name}.png")) as picture:
        return np.asarray(picture.convert("RGB"))
