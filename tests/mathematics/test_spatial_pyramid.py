"""Spatial pyramid pooling, against a loop over its cells, and its gradient."""

import numpy as np
import pytest
from keras import ops

from pixelwise.nn.autodiff import gradient
from pixelwise.nn.pooling import SpatialPyramidPooling

REDUCE = {"max": np.max, "average": np.mean}


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _loop(features, bins, mode):
    """One map's vector (height, width, channels) -> (channels * sum of bins squared)."""
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
    features = _random(3, *size, 4)
    found = compiled(SpatialPyramidPooling(bins, mode), features)
    assert found.shape == (3, 4 * sum(n * n for n in bins))
    for vector, picture in zip(found, features, strict=True):
        np.testing.assert_allclose(vector, _loop(picture, bins, mode), atol=1e-5)


def test_by_hand():
    features = np.arange(16.0, dtype="float32").reshape(1, 4, 4, 1)
    largest = ops.convert_to_numpy(SpatialPyramidPooling((1, 2))(features))
    assert largest.tolist() == [[15, 5, 7, 13, 15]]
    means = ops.convert_to_numpy(SpatialPyramidPooling((1, 2), "average")(features))
    assert means.tolist() == [[7.5, 2.5, 4.5, 10.5, 12.5]]


def test_gradient_of_the_largest_goes_where_it_stands_once_a_grid():
    features = np.random.default_rng(0).permutation(16).reshape(1, 4, 4, 1).astype("float32")
    pool = SpatialPyramidPooling((1, 2, 4))
    found = gradient(lambda x: ops.sum(pool(x)), features)[0, :, :, 0]
    x = features[0, :, :, 0]
    expected = np.ones((4, 4)) + (x == x.max())
    for i, j in np.ndindex(2, 2):
        part = (slice(2 * i, 2 * i + 2), slice(2 * j, 2 * j + 2))
        expected[part] += x[part] == x[part].max()
    np.testing.assert_allclose(found, expected)


def test_gradient_of_the_mean_is_that_of_finite_differences():
    features, weights = _random(1, 5, 5, 2), _random(1, 28, seed=1)
    pool = SpatialPyramidPooling((1, 2, 3), "average")

    def losses(x):
        """One for each picture of a batch."""
        return ops.sum(ops.convert_to_tensor(weights) * pool(x), axis=1)

    found = gradient(lambda x: ops.sum(losses(x)), features)
    step = 0.5 * np.eye(features.size, dtype="float32").reshape(-1, *features.shape[1:])
    # The mean is linear, so that the difference of both sides is exact but for rounding.
    up, down = (ops.convert_to_numpy(losses(features + sign * step)) for sign in (1, -1))
    np.testing.assert_allclose(found, (up - down).reshape(features.shape), atol=1e-5)
