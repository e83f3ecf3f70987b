"""What the tests of the mathematics share: running a function the way that training does."""

import keras
import pytest


@pytest.fixture
def compiled():
    """A function that calls another one with arrays, compiled with XLA on TensorFlow and JAX.

    PyTorch runs it eagerly. The results are NumPy arrays.
    """

    def run(function, *arrays):
        class Wrapped(keras.Model):
            def call(self, inputs):
                return function(*inputs)

        model = Wrapped()
        model.compile(jit_compile=keras.backend.backend() != "torch")
        return model.predict_on_batch(arrays)

    return run
