"""One derivative on three backends.

Keras has no function for the gradient of a function, so this file, alone in the library, asks
which backend runs and calls that backend's own. Training by ``Model.fit`` needs none of it, unless
a loss holds a derivative itself, as the penalties of ``gan_losses`` do.

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
    return ops.convert_to_numpy(derivative(f, x))


def derivative(f, x):
    """Returns the same as ``gradient`` as a tensor, from which a loss may be computed.

    It may stand in ``compute_loss``, compiled or not: what is computed from it has a gradient by
    everything that ``f`` uses, as the weights of a network, and by ``x``.

    Args, Raises: as for ``gradient``. ``f`` must change no variable, so call a network that does by
        its ``stateless_call``.

    Returns:
        Tensor of the shape of ``x``.
    """
    x = ops.convert_to_tensor(x)
    if "float" not in keras.backend.standardize_dtype(x.dtype):
        raise ValueError(
            f"A derivative needs a floating-point input, but got {x.dtype}: cast it to float32."
        )
    return _BACKENDS[keras.backend.backend()](f, x)


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

    with torch.enable_grad():
        point = x if x.requires_grad else x.detach().clone().requires_grad_(True)
        value = _scalar(ops.convert_to_tensor(f(point)))
        if not value.requires_grad:
            return torch.zeros_like(x)
        (result,) = torch.autograd.grad(value, point, create_graph=True, allow_unused=True)
    return torch.zeros_like(x) if result is None else result


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
