"""The one function that asks for a derivative, against derivatives by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn.autodiff import gradient

AS_THEY_ARE = {"gradient"}  # it is what is tested here


def test_polynomial():
    x = np.array([[1.0, -2.0], [0.5, 3.0]], "float32")
    assert gradient(lambda x: ops.sum(x**3 - 2 * x), x) == pytest.approx(3 * x**2 - 2, rel=1e-5)


def test_through_a_keras_model():
    layer = keras.layers.Dense(1, use_bias=False)
    layer.build((None, 3))
    layer.set_weights([np.array([[1.0], [-2.0], [3.0]], "float32")])
    found = gradient(lambda x: ops.sum(layer(x)), np.zeros((2, 3), "float32"))
    assert found.tolist() == [[1, -2, 3], [1, -2, 3]]


def test_by_central_differences():
    x = np.array([0.3, 1.1], "float32")

    def f(x):
        return ops.logsumexp(ops.sin(x) * 2)

    step = 1e-2
    expected = [
        float(f(x + step * e) - f(x - step * e)) / (2 * step) for e in np.eye(2, dtype="float32")
    ]
    assert gradient(f, x) == pytest.approx(expected, abs=2e-3)


def test_a_function_that_ignores_its_input_has_gradient_zero():
    assert gradient(lambda x: ops.convert_to_tensor(2.0), np.ones(3, "float32")).tolist() == [0] * 3


def test_bad_input():
    with pytest.raises(ValueError, match=r"returned \(3,\)"):
        gradient(lambda x: 2 * x, np.ones(3, "float32"))
    with pytest.raises(ValueError, match="floating-point"):
        gradient(ops.sum, np.ones(3, "int32"))
