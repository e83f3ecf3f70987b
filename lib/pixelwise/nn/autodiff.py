"""One derivative on three backends.

Keras has no function for the gradient of a function, so this file, alone in the library, asks
which backend runs and calls that backend's own. Training needs none of it: ``Model.fit`` does the
same inside.

Chapter: The mathematics of pixels.
"""

import keras
from keras import ops


def gradient(f, x):
    """Returns the gradient of a scalar function at a point, by automatic differentiation.

    Args:
        f: function from one tensor to a scalar tensor, built from ``keras.ops`` (a Keras model
            may be called in it).
        x: float array of any shape, the point.

    Returns:
        NumPy array of the shape of ``x``: the derivative of ``f`` by each entry; zeros where ``f``
        does not depend on ``x``.

    Raises:
        ValueError: if ``f`` does not return a scalar, or if ``x`` is not floating point.
    """
    x = ops.convert_to_tensor(x)
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        raise ValueError(
            f"A derivative needs a floating-point input, but got {x.dtype}: cast it to float32."
        )
    return ops.convert_to_numpy(_BACKENDS[keras.backend.backend()](f, x))


def _scalar(value):
    if len(value.shape) != 0:
        raise ValueError(
            f"A gradient needs a function with one value, but it returned {tuple(value.shape)}: "
            "sum it or pick one entry."
        )
    return value


def _tensorflow(f, x):
    import tensorflow as tf  # only here, and only when TensorFlow is the backend

    with tf.GradientTape() as tape:
        tape.watch(x)
        value = _scalar(ops.convert_to_tensor(f(x)))
    return tape.gradient(value, x, unconnected_gradients=tf.UnconnectedGradients.ZERO)


def _jax(f, x):
    import jax

    return jax.grad(lambda point: _scalar(ops.convert_to_tensor(f(point))))(x)


def _torch(f, x):
    import torch

    point = x.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        value = _scalar(ops.convert_to_tensor(f(point)))
        if not value.requires_grad:
            return torch.zeros_like(x)
        (result,) = torch.autograd.grad(value, point, allow_unused=True)
    return torch.zeros_like(x) if result is None else result


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
