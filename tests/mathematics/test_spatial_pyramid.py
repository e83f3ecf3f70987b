"""The spatial pyramid of RoI features, against a loop over its cells."""

import numpy as np
import pytest
from keras import ops

from pixelwise.nn.autodiff import gradient
from pixelwise.nn.spatial_pyramid import roi_pyramid

REDUCE = {"max": np.max, "average": np.mean}


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _loop(features, bins, mode):
    """One RoI's vector (height, width, channels) -> (channels * sum of bins squared)."""
    height, width = features.shape[:2]
    found = []
    for n in bins:
        for i, j in np.ndindex(n, n):
            rows = slice(i * height // n, -(-(i + 1) * height // n))
            columns = slice(j * width // n, -(-(j + 1) * width // n))
            found.append(REDUCE[mode](features[rows, columns].astype(float), axis=(0, 1)))
    return np.concatenate(found)


@pytest.mark.parametrize("mode", REDUCE)
@pytest.mark.parametrize(
    ("size", "bins"), [((14, 14), (1, 2, 4, 7)), ((7, 7), (7,)), ((5, 6), (3, 2)), ((1, 1), (1,))]
)
def test_it_is_the_loop_over_the_cells(mode, size, bins, compiled):
    features = _random(2, 3, *size, 4)
    found = compiled(lambda x: roi_pyramid(x, bins, mode), features)
    assert found.shape == (2, 3, 4 * sum(n * n for n in bins))
    for picture, roi in np.ndindex(2, 3):
        expected = _loop(features[picture, roi], bins, mode)
        np.testing.assert_allclose(found[picture, roi], expected, atol=1e-5)


def test_by_hand():
    features = np.arange(16.0, dtype="float32").reshape(1, 1, 4, 4, 1)
    largest = ops.convert_to_numpy(roi_pyramid(features, (1, 2)))
    assert largest.tolist() == [[[15, 5, 7, 13, 15]]]
    means = ops.convert_to_numpy(roi_pyramid(features, (1, 2), "average"))
    assert means.tolist() == [[[7.5, 2.5, 4.5, 10.5, 12.5]]]


def test_gradient_of_the_largest_goes_where_it_stands_once_a_grid():
    features = np.random.default_rng(0).permutation(16).reshape(1, 1, 4, 4, 1).astype("float32")
    found = gradient(lambda x: ops.sum(roi_pyramid(x, (1, 2, 4))), features)[0, 0, :, :, 0]
    x = features[0, 0, :, :, 0]
    expected = np.ones((4, 4)) + (x == x.max())
    for i, j in np.ndindex(2, 2):
        part = (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
        expected[part] += x[part] == x[part].max()
    np.testing.assert_allclose(found, expected)


def test_gradient_of_the_mean_is_that_of_finite_differences():
    features, weights = _random(1, 2, 5, 5, 2), _random(1, 2, 28, seed=1)

    def losses(x):
        """One for each picture of a batch."""
        pooled = roi_pyramid(x, (1, 2, 3), "average")
        return ops.sum(ops.convert_to_tensor(weights) * pooled, axis=(1, 2))

    found = gradient(lambda x: ops.sum(losses(x)), features)
    step = 0.5 * np.eye(features.size, dtype="float32").reshape(-1, *features.shape[1:])
    # The mean is linear, so that the difference of both sides is exact but for rounding.
    up, down = (ops.convert_to_numpy(losses(features + sign * step)) for sign in (1, -1))
    np.testing.assert_allclose(found, (up - down).reshape(features.shape), atol=1e-5)


FEATURES = np.zeros((1, 2, 7, 6, 3), "float32")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: roi_pyramid(FEATURES, mode="median"), "no mode 'median'"),
        (lambda: roi_pyramid(FEATURES[0]), r"but got \(2, 7, 6, 3\)"),
        (lambda: roi_pyramid(FEATURES, (1, 7)), r"from 1 to 6"),
        (lambda: roi_pyramid(FEATURES, (0, 1)), r"bins are \(0, 1\)"),
        (lambda: roi_pyramid(FEATURES, (1.5,)), r"bins are \(1.5,\)"),
        (lambda: roi_pyramid(FEATURES, ()), r"bins are \(\)"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
