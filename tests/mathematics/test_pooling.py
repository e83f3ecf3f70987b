"""Pooling over grids of cells, against a loop over the cells."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn.pooling import SpatialPyramidPooling, adaptive_average_pool, adaptive_max_pool


def _loop(x, bins, reduce):
    height, width = x.shape[1:3]
    out = np.zeros((x.shape[0], bins, bins, x.shape[3]))
    for i in range(bins):
        for j in range(bins):
            rows = slice(i * height // bins, -(-(i + 1) * height // bins))
            columns = slice(j * width // bins, -(-(j + 1) * width // bins))
            out[:, i, j] = reduce(x[:, rows, columns], axis=(1, 2))
    return out


@pytest.mark.parametrize("bins", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("size", [(6, 6), (7, 5), (13, 8), (2, 3)])
def test_grid_pooling_is_the_loop_over_cells(bins, size):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
    average = ops.convert_to_numpy(adaptive_average_pool(x, bins))
    largest = ops.convert_to_numpy(adaptive_max_pool(x, bins))
    assert average == pytest.approx(_loop(x, bins, np.mean), abs=1e-5)
    assert largest == pytest.approx(_loop(x, bins, np.max))


def test_one_cell_is_global_average_pooling():
    x = np.random.default_rng(0).normal(size=(2, 7, 5, 3)).astype("float32")
    expected = ops.convert_to_numpy(keras.layers.GlobalAveragePooling2D()(x))
    assert ops.convert_to_numpy(adaptive_average_pool(x, 1))[:, 0, 0] == pytest.approx(
        expected, abs=1e-6
    )


def test_pyramid_has_one_length_for_all_sizes():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, SpatialPyramidPooling((1, 2, 4), mode="max")(inputs))
    assert model.output_shape == (None, 63)
    for size in [(8, 8), (5, 17)]:
        x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype("float32")
        out = ops.convert_to_numpy(model(x))
        assert out.shape == (2, 63)
        assert out[:, :3] == pytest.approx(x.max(axis=(1, 2)))
        assert out[:, 3:15] == pytest.approx(_loop(x, 2, np.max).reshape(2, -1))


def test_pyramid_survives_saving():
    layer = SpatialPyramidPooling((1, 3), mode="average", name="pyramid")
    copy = SpatialPyramidPooling.from_config(layer.get_config())
    assert (copy.bins, copy.mode, copy.name) == ((1, 3), "average", "pyramid")


def test_bad_input():
    with pytest.raises(ValueError, match="got 'median'"):
        SpatialPyramidPooling(mode="median")
    for bins in [(), (1, 0)]:
        with pytest.raises(ValueError, match="at least one cell"):
            SpatialPyramidPooling(bins)
