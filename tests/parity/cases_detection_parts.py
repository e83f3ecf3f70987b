"""What the golden values of the detection parts were computed on: maps, boxes and masks, seeded."""

import numpy as np
from cases import random_state

PICTURE = (512, 448)  # height, width
STRIDES = (4, 8, 16, 32)
CHANNELS = 3
# Of RoIAlign on one map: bins, points a bin along each side, aligned.
ALIGNED = ((7, 2, False), (7, 2, True), (14, 2, False), (3, 1, False), (2, 3, True))
OUTPUTS = (7, 14)
PASTED = (70, 90)  # height, width of the picture that masks are pasted into
MASK_PICTURE = (100, 120)
MASK_SIZE = 28
FPN_CHANNELS = 8
FPN_LEVELS = {"C2": (25, 19, 6), "C3": (13, 10, 8), "C4": (7, 5, 10), "C5": (4, 3, 12)}
FPN_SEED = 9


def maps():
    """The four levels of a pyramid of two pictures."""
    rng = np.random.default_rng(1)
    sizes = [(PICTURE[0] // stride, PICTURE[1] // stride) for stride in STRIDES]
    return [rng.normal(size=(2, *size, CHANNELS)).astype("float32") for size in sizes]


def boxes():
    """32 boxes of each picture, of all sizes, inside it: float32 (2, 32, 4)."""
    rng = np.random.default_rng(2)
    height, width = PICTURE
    sides = 2 ** rng.uniform(1, 8.8, (2, 32, 2))
    sides = np.minimum(sides, [width, height])
    first = rng.uniform(size=(2, 32, 2)) * ([width, height] - sides)
    found = np.concatenate([first, first + sides], axis=-1).astype("float32")
    found[:, 0] = 0, 0, width, height
    return found


def boxes_beyond():
    """The same boxes moved and enlarged, so that many reach out of the picture."""
    return (boxes() * 1.3 - 60).astype("float32")


def level_boxes():
    """Squares and oblongs, many of exactly the areas where the level changes: (600, 4)."""
    rng = np.random.default_rng(3)
    sides = np.concatenate([np.repeat([28, 56, 112, 224, 448, 896], 50), rng.uniform(1, 1200, 300)])
    stretch = 2.0 ** rng.integers(-2, 3, 600)
    sides = np.stack([sides * stretch, sides / stretch], axis=-1)
    first = rng.integers(0, 100, (600, 2))
    return np.concatenate([first, first + sides], axis=-1).astype("float32")


def probabilities():
    """Masks to paste, (12, 28, 28) in [0, 1], and their boxes (12, 4), some beyond the picture."""
    rng = np.random.default_rng(4)
    smooth = rng.uniform(size=(12, MASK_SIZE // 4, MASK_SIZE // 4)).repeat(4, 1).repeat(4, 2)
    sides = 2 ** rng.uniform(0, 6.5, (12, 2))
    first = rng.uniform(-sides / 2, 60)  # at least half of a side inside: torchvision needs a part
    found = np.concatenate([first, first + sides], axis=1)
    found[0] = 0, 0, PASTED[1], PASTED[0]
    return smooth.astype("float32"), found.astype("float32")


def objects():
    """Two pictures of three masks, uint8 (2, 3, height, width), RoIs (2, 8, 4), their objects."""
    rng = np.random.default_rng(5)
    height, width = MASK_PICTURE
    coarse = rng.uniform(size=(2, 3, height // 5, width // 5)) > 0.4
    ends = np.sort(rng.uniform(0, [[width], [height]], (2, 8, 2, 2)), axis=-1)
    rois = np.swapaxes(ends, -1, -2).reshape(2, 8, 4).astype("float32")
    rois[:, 0] = 0, 0, width, height
    masks = coarse.repeat(5, 2).repeat(5, 3).astype("uint8")
    return masks, rois, rng.integers(0, 3, (2, 8)).astype("int32")


def fpn_levels():
    """Maps by level, whose sizes are halves rounded up."""
    rng = np.random.default_rng(6)
    return {k: rng.normal(size=(2, *v)).astype("float32") for k, v in FPN_LEVELS.items()}


def fpn_state(shapes):
    """Random tensors by name, from their shapes, whatever the order of the names."""
    return random_state({name: np.zeros(shapes[name]) for name in sorted(shapes)}, FPN_SEED)
