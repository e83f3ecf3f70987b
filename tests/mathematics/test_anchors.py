"""Anchors, against loops over levels, cells and shapes."""

import math

import numpy as np
import pytest

from pixelwise.nn import anchors

# The base anchors of torchvision's Mask R-CNN: half of 32 / sqrt(2) = 22.6 is 11.3, half of
# 32 sqrt(2) = 45.3 is 22.6, and so on, rounded.
OF_32 = [[-23, -11, 23, 11], [-16, -16, 16, 16], [-11, -23, 11, 23]]
OF_512 = [[-362, -181, 362, 181], [-256, -256, 256, 256], [-181, -362, 181, 362]]


def _loop(grids, picture_size, sizes, ratios):
    """Every anchor from its definition: level, row, column, ratio, size."""
    found = []
    for (height, width), of_level in zip(grids, sizes, strict=True):
        down, right = picture_size[0] // height, picture_size[1] // width
        for row in range(height):
            for column in range(width):
                for ratio in ratios:
                    for size in of_level:
                        x = round(size / math.sqrt(ratio) / 2)
                        y = round(size * math.sqrt(ratio) / 2)
                        centre = (column * right, row * down)
                        found.append([centre[0] - x, centre[1] - y, centre[0] + x, centre[1] + y])
    return found


def test_base_anchors_by_hand():
    assert anchors.base_anchors(32, (0.5, 1, 2)).tolist() == OF_32
    assert anchors.base_anchors(512).tolist() == OF_512
    # Halves are rounded to even; several sizes go with each ratio.
    assert anchors.base_anchors((1, 3), 1).tolist() == [[0, 0, 0, 0], [-2, -2, 2, 2]]
    assert anchors.base_anchors((8, 16), (1, 4)).tolist() == [
        [-4, -4, 4, 4],
        [-8, -8, 8, 8],
        [-2, -8, 2, 8],
        [-4, -16, 4, 16],
    ]


def test_grid_anchors_by_hand():
    base = [[-1, -2, 1, 2], [-2, -1, 2, 1]]
    assert anchors.grid_anchors((2, 2), (10, 20), base).tolist() == [
        [-1, -2, 1, 2],
        [-2, -1, 2, 1],
        [19, -2, 21, 2],
        [18, -1, 22, 1],
        [-1, 8, 1, 12],
        [-2, 9, 2, 11],
        [19, 8, 21, 12],
        [18, 9, 22, 11],
    ]
    assert anchors.grid_anchors((1, 3), 4, base)[::2, 0].tolist() == [-1, 3, 7]


@pytest.mark.parametrize(
    ("grids", "picture_size", "sizes", "ratios"),
    [
        ([(8, 6), (4, 3), (2, 2)], (64, 48), [(8,), (16,), (32,)], (0.5, 1, 2)),
        ([(5, 7)], (37, 61), [(10, 20, 30)], (0.3, 1, 1.7)),
        ([(1, 1), (1, 2)], (9, 20), [(4,), (5, 6)], (1,)),
    ],
)
def test_pyramid_anchors_are_the_loop(grids, picture_size, sizes, ratios):
    found = anchors.pyramid_anchors(grids, picture_size, sizes, ratios)
    assert found.dtype == np.float32
    assert found.tolist() == _loop(grids, picture_size, sizes, ratios)


def test_the_anchors_of_torchvisions_mask_rcnn_at_800_pixels():
    sides = [200, 100, 50, 25, 13]
    found = anchors.pyramid_anchors([(n, n) for n in sides], (800, 800), [32, 64, 128, 256, 512])
    assert found.shape == (3 * sum(n * n for n in sides), 4) == (159882, 4)
    assert found[:3].tolist() == OF_32
    # The coarsest level's cells lie 800 // 13 = 61 pixels apart.
    assert found[-3:].tolist() == (np.array(OF_512) + 12 * 61).tolist()


def test_changing_the_anchors_changes_nobody_elses():
    arguments = ([(2, 2)], (8, 8), [4])
    first = anchors.pyramid_anchors(*arguments)
    first[:] = 0
    assert anchors.pyramid_anchors(*arguments)[0].tolist() != [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: anchors.base_anchors((), 1), "at least one size"),
        (lambda: anchors.base_anchors((8, 0), 1), r"positive ones, but got \[8.0, 0.0\]"),
        (lambda: anchors.base_anchors(8, (1, -1)), r"at least one ratio .* \[1.0, -1.0\]"),
        (lambda: anchors.base_anchors(float("nan")), "positive ones"),
        (lambda: anchors.pyramid_anchors([(2, 2)], (8, 8), [4, 8]), "has 1 levels, .* for 2"),
        (lambda: anchors.pyramid_anchors([], (8, 8), []), "has 0 levels"),
        (lambda: anchors.pyramid_anchors([(9, 2)], (8, 8), [4]), "9 x 2 cells does not fit"),
        (lambda: anchors.pyramid_anchors([(2, 0)], (8, 8), [4]), "2 x 0 cells does not fit"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert str(caught.value).endswith(".")
