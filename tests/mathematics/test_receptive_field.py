"""The receptive field by the recursion is the one that a gradient finds."""

import keras
import numpy as np
import pytest
from keras import layers

from pixelwise.nn import receptive_field as rf


def _positive(*shape_and_options):
    """A convolution whose weights are positive, so that no two paths cancel."""
    filters, kernel, stride, padding, dilation = shape_and_options
    return layers.Conv2D(
        filters,
        kernel,
        stride,
        padding,
        dilation_rate=dilation,
        kernel_initializer=keras.initializers.RandomUniform(0.1, 1.0, seed=0),
    )


CHAINS = {
    "one": [(2, 3, 1, "valid", 1)],
    "three": [(2, 3, 1, "same", 1)] * 3,
    "strided": [(2, 3, 2, "same", 1), (2, 3, 1, "same", 1), (2, 3, 2, "same", 1)],
    "even": [(2, 4, 2, "same", 1), (2, 2, 2, "valid", 1), (2, 3, 1, "same", 1)],
    "dilated": [(2, 3, 1, "same", 1), (2, 3, 1, "same", 2), (2, 3, 1, "same", 4)],
    "mixed": [(2, 5, 2, "valid", 1), (2, 3, 1, "valid", 3)],
}


PLAIN, DILATED, STRIDED = [(3, 1, 1)] * 3, [(3, 1, d) for d in (1, 2, 4)], [(3, 2, 1)] * 3


@pytest.mark.parametrize("layout", [PLAIN, DILATED, STRIDED])
def test_the_chains_of_the_chapter(layout):
    model = rf.positive_chain(layout, 32)
    row = model.output_shape[1] // 2
    extent = rf.extent(rf.measured(model, 32, 32, (row, row)))
    assert extent == 2 * rf.computed(model).interval(row)
    assert rf.computed(model).size == (7 if layout == PLAIN else 15)


@pytest.mark.parametrize("name", CHAINS)
def test_computed_is_measured(name):
    model = keras.Sequential([keras.Input((64, 64, 2)), *[_positive(*c) for c in CHAINS[name]]])
    field = rf.computed(model)
    row, column = model.output_shape[1] // 2, model.output_shape[2] // 2 - 1
    seen = rf.measured(model, 64, 64, (row, column))
    assert rf.extent(seen) == (*field.interval(row), *field.interval(column))


def test_a_window_that_hangs_over_the_border_is_cut_there():
    model = keras.Sequential([keras.Input((32, 32, 1)), *[_positive(*c) for c in CHAINS["three"]]])
    field = rf.computed(model)
    assert field == (7, 1, -3)
    assert rf.extent(rf.measured(model, 32, 32, (0, 31))) == (0, 3, 28, 31)


def test_pooling_relu_and_zero_padding():
    model = keras.Sequential(
        [
            keras.Input((48, 48, 1)),
            layers.ZeroPadding2D(3),
            _positive(4, 7, 2, "valid", 1),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.ZeroPadding2D(((1, 0), (0, 1))),
            layers.AveragePooling2D(3, 2, "valid"),
            layers.MaxPooling2D(2),
        ]
    )
    rows, columns = rf.computed(model, axis=0), rf.computed(model, axis=1)
    assert (rows.size, rows.stride) == (15, 8)  # 7, then + 2 * 2, then + 1 * 4
    assert (rows.start, columns.start) == (-5, -3)
    seen = rf.measured(model, 48, 48, (2, 2), draws=60)
    assert rf.extent(seen) == (*rows.interval(2), *columns.interval(2))


def test_by_hand():
    # A 3x3, a pooling of 2 with stride 2, a 3x3: 3, then 4, then 4 + 2 * 2 = 8 pixels.
    assert rf.computed([(3,), (2, 2), (3,)]) == (8, 2, 0)
    assert rf.computed([(3, 1, 1, 1), (3, 1, 2, 2), (3, 1, 4, 4)]) == (15, 1, -7)
    assert rf.computed([]) == (1, 1, 0)


def test_bad_input():
    with pytest.raises(ValueError, match="window of a Flatten is not known"):
        rf.computed([layers.Flatten()])
    with pytest.raises(ValueError, match="0 everywhere"):
        rf.extent(np.zeros((3, 3)))
