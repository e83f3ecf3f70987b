"""What the tests of the mathematics share: running a function the way that training does."""

import functools
import inspect

import keras
import numpy as np
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


@pytest.fixture(autouse=True, scope="module")
def compiled_whole(request):
    """On JAX, compiles the library's functions that a file imports, each as a whole.

    Called as they are, JAX compiles each of their operations for each shape alone, which takes it
    ten times as long. What needs to see values, or is given more than numbers and words, runs as
    it is, and so does what a file names in ``AS_THEY_ARE``.
    """
    if keras.backend.backend() != "jax":
        yield
        return
    names = vars(request.module)
    own = {
        name: value
        for name, value in names.items()
        if inspect.isfunction(value)
        and value.__module__.startswith("pixelwise.")
        and name not in names.get("AS_THEY_ARE", ())
    }
    names.update({name: _whole(function) for name, function in own.items()})
    yield
    names.update(own)


def _whole(function):
    """Returns a function, compiled once for each structure, words and numbers it is given."""
    import jax

    needs_values = (
        jax.errors.ConcretizationTypeError,
        jax.errors.NonConcreteBooleanIndexError,
        jax.errors.TracerArrayConversionError,
        jax.errors.TracerIntegerConversionError,
        jax.errors.UnexpectedTracerError,
    )
    compiled = {}

    @functools.wraps(function)
    def call(*args, **kwargs):
        leaves, structure = jax.tree.flatten((args, kwargs))
        arrays = [leaf for leaf in leaves if _is_array(leaf)]
        words = [None if _is_array(leaf) else leaf for leaf in leaves]
        if not arrays or not all(isinstance(word, _WORDS) for word in words):
            return function(*args, **kwargs)

        def of_arrays(arrays):
            given = iter(arrays)
            filled = [next(given) if _is_array(leaf) else leaf for leaf in leaves]
            positional, named = jax.tree.unflatten(structure, filled)
            return function(*positional, **named)

        key = structure, repr(words)
        if key not in compiled:
            compiled[key] = jax.jit(of_arrays)
        if compiled[key] is not None:
            try:
                return compiled[key](arrays)
            except needs_values:
                compiled[key] = None
        return function(*args, **kwargs)

    return call


_WORDS = (bool, int, float, str, np.generic, type(None))


def _is_array(value):
    import jax

    if not isinstance(value, np.ndarray | jax.Array):
        return False
    return value.dtype == bool or np.issubdtype(value.dtype, np.number)
