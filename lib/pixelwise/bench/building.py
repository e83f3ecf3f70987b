"""What the suites share when they build a network: seeded weights, and how it is compiled."""

import zlib

import numpy as np

SEED = 0


def generator_of(name):
    """Returns a NumPy generator of random numbers that depends on the seed and a name only."""
    return np.random.default_rng([SEED, zlib.crc32(name.encode())])


def kernel(name, shape):
    """Returns a seeded random kernel, float32, the same for a name and shape in every process.

    Args:
        name: of the variable.
        shape: in Keras' layout. The standard deviation is one over the square root of the product
            of all axes but the last.
    """
    spread = np.float32(np.prod(shape[:-1]) ** -0.5)
    return generator_of(name).standard_normal(shape, "float32") * spread


def random_weights(shapes):
    """Returns seeded random tensors that keep the activations of a deep network in bounds.

    Args:
        shapes: dict of shapes by PyTorch's names, in PyTorch's layout. A tensor depends on its name
            and shape only, so that two libraries give a network the same weights.

    Returns:
        dict of float32 arrays.
    """
    state = {}
    for name, shape in shapes.items():
        rng = generator_of(name)
        if len(shape) > 1:
            value = rng.standard_normal(shape, "float32") * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith("running_var"):
            value = rng.uniform(0.5, 2, shape)
        else:
            centre = 1 if name.endswith("weight") else 0
            value = centre + rng.uniform(-0.3, 0.3, shape)
        state[name] = value.astype("float32")
    return state


def compile_with(model, jit):
    """Tells a model whether to be compiled with XLA; raises a sentence if it cannot be."""
    import keras

    model.jit_compile = jit
    if model.jit_compile != jit:
        raise ValueError(
            f"Keras does not compile it on {keras.backend.backend()}: one of its layers forbids it"
        )
