"""Composes wardrobe scenes: garments lying about on photographs, with exact masks.

``compose`` takes plain arrays, so anyone can feed it other cut-outs and other backgrounds. Every
random choice comes from the generator it is given: the same seed makes the same scene, on every
machine that has the same versions of NumPy, SciPy and Pillow. Chapters 0 and 2.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from pixelwise import checks
from pixelwise.data.pictures import as_size

GARMENT_THRESHOLD = 16  # grey level (0..255) above which a Fashion-MNIST pixel is cloth
MIN_VISIBLE = 0.35  # share of a garment that must stay visible, or it is taken out of the scene
MIN_PICTURE = 16  # pixels; a smaller scene has no room for a garment
SMALLEST, LARGEST = 0.28, 0.55  # longer side of a garment, as a share of the picture's shorter one
MAX_LABEL = 254  # masks are uint8, and 255 is void


@dataclass(frozen=True)
class Scene:
    """One composed picture and everything that is true about it.

    Attributes:
        image: uint8 ``(height, width, 3)``.
        semantic: uint8 ``(height, width)``, 0 is background, else the garment's class.
        instances: uint8 ``(height, width)``, 0 is background, k is the k-th garment (from 1).
        classes: int64 ``(instances,)``, the class of each garment.
    """

    image: np.ndarray
    semantic: np.ndarray
    instances: np.ndarray
    classes: np.ndarray


def cut_out(garment, threshold=GARMENT_THRESHOLD):
    """Finds the cloth in a grey picture of one garment on black.

    Args:
        garment: uint8 ``(height, width)``.
        threshold: grey level above which a pixel is cloth.

    Returns:
        uint8 ``(height, width)``, 255 on the garment (largest piece, holes filled) and 0 elsewhere.
    """
    mask = ndimage.binary_fill_holes(np.asarray(garment) > threshold)
    pieces, count = ndimage.label(mask)
    if count > 1:
        mask = pieces == 1 + np.argmax(np.bincount(pieces.ravel())[1:])
    return np.uint8(mask) * 255


def compose(
    garments, labels, backgrounds, rng, size, *, objects=(2, 6), varied=False, without=None
):
    """Composes one scene.

    Args:
        garments: uint8 ``(n, h, w)``, grey pictures of single objects on black.
        labels: integer ``(n,)``, the class of each garment, 1 to 254 (0 is the background).
        backgrounds: sequence of uint8 ``(h, w, 3)`` pictures of any size.
        rng: ``numpy.random.Generator``.
        size: side of the picture in pixels, or ``(height, width)``.
        objects: fewest and most garments laid into a scene, 0 to 255; those that others cover by
            more than 65 % are taken out again.
        varied: ``True`` alters the background strongly (colours, mirror, mixtures of two pictures,
            pasted patches that are no garments), as training needs; ``False`` leaves it natural.
        without: number of a garment of this scene, from 1, that is left out; the same seed makes
            the same scene otherwise, to the last grain of noise. The garments above it move up by
            one number. ``None`` leaves out none.

    Returns:
        A ``Scene``.

    Raises:
        ValueError: if there is no garment or no background, if one is not a uint8 picture of the
            shape above, if a label is not 1 to 254, if lengths differ, if the size is too small, if
            ``objects`` is no range, or if the scene has no garment ``without``.
    """
    height, width = as_size(size)
    labels = np.asarray(labels)
    _check(garments, labels, backgrounds, rng, height, width, objects)
    image = background(backgrounds, rng, height, width, varied=varied)
    count = int(rng.integers(objects[0], objects[1] + 1))
    light = rng.uniform(0.75, 1.15) * (1 + rng.uniform(-0.06, 0.06, 3))
    layers, classes = [], []
    present = np.flatnonzero(np.bincount(labels))
    for label in rng.choice(present, count):  # every class as often as any other
        garment = garments[rng.choice(np.flatnonzero(labels == label))]
        layers.append(_place(garment, rng, height, width, light))
        classes.append(int(label))
    keep = _visible(layers)
    if without is not None:
        keep = _leave_out(keep, without)
    instances = np.zeros((height, width), np.uint8)
    semantic = np.zeros((height, width), np.uint8)
    for number, index in enumerate(keep, start=1):
        rows, columns, colour, alpha, shadow = layers[index]
        patch = image[rows, columns]
        patch *= 1 - 0.35 * shadow[..., None]
        patch += alpha[..., None] * (colour - patch)
        instances[rows, columns][alpha > 0.5] = number
        semantic[rows, columns][alpha > 0.5] = classes[index]
    image += rng.normal(0, rng.uniform(0.5, 4), (height, width, 1)).astype(np.float32)
    picture = np.uint8(np.clip(image + 0.5, 0, 255))
    return Scene(picture, semantic, instances, np.array([classes[i] for i in keep], np.int64))


def background(backgrounds, rng, height, width, *, varied=False):
    """Crops one background out of a collection; with ``varied`` it is altered strongly.

    Args:
        backgrounds: sequence of uint8 ``(h, w, 3)`` pictures.
        rng: ``numpy.random.Generator``.
        height: of the result, in pixels.
        width: of the result, in pixels.
        varied: as in ``compose``.

    Returns:
        float32 ``(height, width, 3)`` in [0, 255].
    """
    picture = _crop(backgrounds, rng, height, width, varied)
    if varied:
        if rng.random() < 0.25:
            picture = _mix(picture, _crop(backgrounds, rng, height, width, varied), rng)
        for _ in range(int(rng.integers(0, 4)) if rng.random() < 0.5 else 0):
            picture = _paste_patch(picture, _crop(backgrounds, rng, height, width, varied), rng)
        return picture
    return np.clip(picture * rng.uniform(0.8, 1.2), 0, 255).astype(np.float32)


def silhouette(garment, rng, height, width):
    """Returns where a garment would lie in a scene, bool ``(height, width)``, True on its cloth.

    Args:
        garment: uint8 ``(h, w)``, grey on black.
        rng: ``numpy.random.Generator``, which places, turns and scales it as ``compose`` does.
        height, width: of the scene, in pixels.
    """
    mask = np.zeros((height, width), bool)
    rows, columns, _, alpha, _ = _place(garment, rng, height, width, 1.0)
    mask[rows, columns] = alpha > 0.5
    return mask


def shadow_reach(height, width):
    """Returns how many pixels at most a garment's shadow reaches beyond its cloth."""
    return int(np.ceil(2 * _reach(LARGEST * min(height, width)))) + 1


def _reach(side):
    """How far the shadow of a garment is moved, and how far it is blurred, in pixels."""
    return max(1.0, side * 0.04)


def _leave_out(keep, without):
    checks.whole("without", without, 1)
    if without > len(keep):
        raise ValueError(
            f"This scene has {len(keep)} garments, and number {without} should be left out: choose "
            "one of its own, as scene.instances numbers them."
        )
    return [index for number, index in enumerate(keep, start=1) if number != without]


def _check(garments, labels, backgrounds, rng, height, width, objects):
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng is {rng!r}: give a generator, as numpy.random.default_rng(0).")
    if len(garments) == 0 or len(backgrounds) == 0:
        raise ValueError(
            f"A scene needs garments and backgrounds, received {len(garments)} garments and "
            f"{len(backgrounds)} backgrounds: give at least one of each."
        )
    if len(labels) != len(garments):
        raise ValueError(
            f"Every garment needs one label, received {len(garments)} garments and {len(labels)} "
            "labels: pass arrays of equal length."
        )
    whole = labels.ndim == 1 and labels.dtype.kind in "iu"
    if not whole or labels.min() < 1 or labels.max() > MAX_LABEL:
        found = f"from {labels.min()} to {labels.max()}" if whole else f"of shape {labels.shape}"
        raise ValueError(
            "Garment labels start at 1 because 0 is the background, and end at "
            f"{MAX_LABEL}, received {labels.dtype} {found}: give whole numbers (n,)."
        )
    shape, dtype = np.shape(garments[0]), np.asarray(garments[0]).dtype
    if dtype != np.uint8 or len(shape) != 2:
        raise ValueError(
            f"A garment has dtype {dtype} and shape {shape}: give uint8 (height, width), grey on "
            "black."
        )
    whole = np.shape(objects) == (2,) and np.asarray(objects).dtype.kind in "iu"
    if not whole or not 0 <= objects[0] <= objects[1] <= 255:
        raise ValueError(
            f"objects is {objects!r}: give the fewest and the most garments of a scene, 0 to 255."
        )
    if min(height, width) < MIN_PICTURE:
        raise ValueError(
            f"A scene of {height} x {width} pixels has no room for a garment: ask for at least "
            f"{MIN_PICTURE} x {MIN_PICTURE}."
        )


def _crop(backgrounds, rng, height, width, varied):
    """A random crop at a random scale, as float32 (height, width, 3) in [0, 255]."""
    source = np.asarray(backgrounds[int(rng.integers(len(backgrounds)))])
    if source.dtype != np.uint8 or source.ndim != 3 or source.shape[2] != 3 or not source.size:
        raise ValueError(
            f"A background has dtype {source.dtype} and shape {source.shape}: give uint8 (height, "
            "width, 3)."
        )
    full_height, full_width = source.shape[:2]
    largest = min(full_height / height, full_width / width)
    scale = largest * rng.uniform(0.35 if varied else 0.6, 1.0)
    crop_height, crop_width = scale * height, scale * width
    top = rng.uniform(0, full_height - crop_height)
    left = rng.uniform(0, full_width - crop_width)
    box = (left, top, left + crop_width, top + crop_height)
    picture = Image.fromarray(source).resize((width, height), Image.Resampling.BILINEAR, box=box)
    pixels = np.asarray(picture, np.float32)
    if rng.random() < 0.5:
        pixels = pixels[:, ::-1]
    if not varied:
        return pixels
    if rng.random() < 0.2:
        pixels = pixels[::-1]
    return _recolour(pixels, rng)


def _recolour(pixels, rng):
    """Random contrast, light, saturation, tint and channel order."""
    grey = pixels.mean(axis=2, keepdims=True)
    pixels = grey + rng.uniform(0, 1.6) * (pixels - grey)
    if rng.random() < 0.3:
        pixels = pixels[..., rng.permutation(3)]
    mean = pixels.mean()
    pixels = (pixels - mean) * rng.uniform(0.5, 1.5) + mean * rng.uniform(0.5, 1.5)
    pixels = pixels * rng.uniform(0.8, 1.2, 3).astype(np.float32)
    return np.clip(pixels, 0, 255).astype(np.float32)


def _mix(first, second, rng):
    """Two backgrounds along a random straight border, as where a floor meets a wall."""
    height, width = first.shape[:2]
    angle, offset = rng.uniform(0, 2 * np.pi), rng.uniform(-0.3, 0.3)
    y, x = np.ogrid[-0.5 : 0.5 : height * 1j, -0.5 : 0.5 : width * 1j]
    distance = np.cos(angle) * x + np.sin(angle) * y - offset
    weight = np.clip(distance * rng.uniform(10, 100) + 0.5, 0, 1)[..., None].astype(np.float32)
    return first + weight * (second - first)


def _paste_patch(picture, texture, rng):
    """Pastes an ellipse or polygon of another background: an object that is no garment."""
    height, width = picture.shape[:2]
    stencil = Image.new("L", (width, height))
    draw = ImageDraw.Draw(stencil)
    radius_x, radius_y = rng.uniform(0.05, 0.3, 2) * (width, height)
    centre_x, centre_y = rng.uniform(0, 1, 2) * (width, height)
    if rng.random() < 0.4:
        box = [centre_x - radius_x, centre_y - radius_y, centre_x + radius_x, centre_y + radius_y]
        draw.ellipse(box, fill=255)
    else:
        angles = np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8))))
        reach = rng.uniform(0.5, 1, angles.size)
        corners = zip(
            centre_x + radius_x * reach * np.cos(angles),
            centre_y + radius_y * reach * np.sin(angles),
            strict=True,
        )
        draw.polygon([(float(x), float(y)) for x, y in corners], fill=255)
    alpha = np.asarray(stencil, np.float32)[..., None] / 255
    if rng.random() < 0.5:  # flat colour instead of texture
        texture = texture.mean(axis=(0, 1)) * rng.uniform(0.5, 1.5)
    return picture + alpha * (texture - picture)


def _place(garment, rng, height, width, light):
    """Turns, scales and tints one garment; returns (rows, columns, colour, alpha, shadow)."""
    side = rng.uniform(SMALLEST, LARGEST) * min(height, width)
    angle = np.deg2rad(rng.uniform(-25, 25))
    if rng.random() < 0.5:
        garment = garment[:, ::-1]
    scale = max(garment.shape) / side  # source pixels a picture pixel
    box = int(np.ceil(side * (abs(np.cos(angle)) + abs(np.sin(angle))))) + 4
    matrix = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    origin = np.array(garment.shape[::-1]) / 2 - matrix @ [box / 2, box / 2]
    coefficients = (*matrix[0], origin[0], *matrix[1], origin[1])

    mask = cut_out(garment)
    planes = Image.merge("LA", [Image.fromarray(np.ascontiguousarray(p)) for p in (garment, mask)])
    warped = planes.convert("RGBA").transform(
        (box, box), Image.Transform.AFFINE, coefficients, Image.Resampling.BICUBIC
    )
    grey, _, _, alpha = warped.split()
    reach = _reach(side)
    shadow = np.asarray(alpha.filter(ImageFilter.BoxBlur(reach)), np.float32) / 255
    shadow = np.roll(shadow, (int(reach), int(reach)), axis=(0, 1))
    alpha = np.asarray(alpha, np.float32) / 255
    colour = tint(np.asarray(grey, np.float32) / 255, rng) * light

    # The box may leave the picture by up to 30 % of the garment.
    overhang = 0.3 * side
    top = int(rng.uniform(-overhang, height - box + overhang))
    left = int(rng.uniform(-overhang, width - box + overhang))
    inside_y = slice(max(0, -top), min(box, height - top))
    inside_x = slice(max(0, -left), min(box, width - left))
    rows = slice(max(0, top), min(height, top + box))
    columns = slice(max(0, left), min(width, left + box))
    view = (inside_y, inside_x)
    return rows, columns, colour[view].astype(np.float32), alpha[view], shadow[view]


def tint(grey, rng):
    """Colours a grey garment: dark cloth and light cloth of one hue.

    Args:
        grey: float ``(height, width)`` in [0, 1].
        rng: ``numpy.random.Generator``.

    Returns:
        float ``(height, width, 3)`` in [0, 255].
    """
    hue = rng.uniform(0, 1)
    saturation = rng.beta(1.2, 1.2)
    phases = (hue + np.array([0, 1 / 3, 2 / 3])) * 2 * np.pi
    tint = 1 + saturation * (np.cos(phases) - 1) / 2
    value = rng.uniform(110, 255)
    contrast = rng.uniform(0.6, 1.0)
    shade = 1 - contrast * (1 - grey)
    return value * shade[..., None] * tint


def _visible(layers):
    """Indices of the garments, bottom first, that the later ones leave visible enough."""
    keep = list(range(len(layers)))
    while True:
        hidden = _most_hidden(layers, keep)
        if hidden is None:
            return keep
        keep.remove(hidden)


def _most_hidden(layers, keep):
    """The first kept garment whose visible share is below ``MIN_VISIBLE``, or None."""
    for position, index in enumerate(keep):
        rows, columns, _, alpha, _ = layers[index]
        own = alpha > 0.5
        free = own.copy()
        for above in keep[position + 1 :]:
            other_rows, other_columns, _, other_alpha, _ = layers[above]
            top, bottom = max(rows.start, other_rows.start), min(rows.stop, other_rows.stop)
            left, right = (
                max(columns.start, other_columns.start),
                min(columns.stop, other_columns.stop),
            )
            if top < bottom and left < right:
                cover = other_alpha[
                    top - other_rows.start : bottom - other_rows.start,
                    left - other_columns.start : right - other_columns.start,
                ]
                free[
                    top - rows.start : bottom - rows.start,
                    left - columns.start : right - columns.start,
                ] &= cover <= 0.5
        if free.sum() < MIN_VISIBLE * max(1, own.sum()):
            return index
    return None
