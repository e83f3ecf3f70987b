"""Reads PyTorch state dicts into Keras models whose layers carry torchvision's names.

A layer called ``features-0-0`` takes the tensors ``features.0.0.weight`` and so on (Keras cannot
have the dot in a name when it runs on PyTorch). The layouts differ: PyTorch keeps a convolution's
kernel as (out, in, height, width), Keras as (height, width, in, out); a depthwise kernel is
(channels, 1, height, width) and becomes (height, width, channels, 1). Nothing of PyTorch is needed
once the tensors are NumPy arrays.
"""

import re

import keras
import numpy as np

# Layer type -> {name in the state dict: (name in Keras, axes of the transposition)}.
TENSORS = {
    keras.layers.DepthwiseConv2D: {"weight": ("kernel", (2, 3, 0, 1)), "bias": ("bias", None)},
    keras.layers.Conv2DTranspose: {"weight": ("kernel", (2, 3, 1, 0)), "bias": ("bias", None)},
    keras.layers.Conv2D: {"weight": ("kernel", (2, 3, 1, 0)), "bias": ("bias", None)},
    keras.layers.Dense: {"weight": ("kernel", (1, 0)), "bias": ("bias", None)},
    keras.layers.BatchNormalization: {
        "weight": ("gamma", None),
        "bias": ("beta", None),
        "running_mean": ("moving_mean", None),
        "running_var": ("moving_variance", None),
    },
}


def read_state_dict(path):
    """Reads a ``.pt`` or ``.pth`` file with PyTorch, refusing anything but tensors.

    Args:
        path: the file.

    Returns:
        dict of NumPy arrays by PyTorch's names.

    Raises:
        ImportError: if PyTorch is not installed.
        ValueError: if the file is missing or cut, or holds something else than tensors by name.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Reading a .pth file needs PyTorch, which is not installed: pip install torch."
        ) from error
    import pickle

    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} holds more than tensors and was not opened, because a pickle can run any "
            "program: use the original checkpoint."
        ) from error
    except (OSError, RuntimeError, EOFError) as error:
        reason = getattr(error, "strerror", None) or "it is cut, or no file of PyTorch"
        raise ValueError(f"{path} cannot be read ({reason}): download it again.") from error
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise ValueError(
            f"{path} is no flat dict of tensors: save model.state_dict() alone, without optimizer "
            "and epoch."
        )
    return {name: tensor.detach().numpy() for name, tensor in state.items()}


def modern_names(state):
    """Renames the tensors of MobileNetV2 checkpoints made before torchvision 0.5.

    Old: ``features.1.conv.1.weight``, one flat list of layers a block. New: each convolution with
    its normalisation in a list of its own, ``features.1.conv.0.1.weight``.

    Args:
        state: dict of tensors by name.

    Returns:
        The same dict, with today's names.
    """
    if "features.1.conv.0.weight" not in state:
        return dict(state)
    renamed = {}
    for name, tensor in state.items():
        match = re.fullmatch(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", name)
        if match:
            block, position, kind = int(match[1]), int(match[2]), match[3]
            groups = 1 if block == 1 else 2  # convolutions with normalisation and ReLU6, of 3 each
            if position < 3 * groups:
                place = f"{position // 3}.{position % 3}"
            else:
                place = str(position - 2 * groups)
            name = f"features.{block}.conv.{place}.{kind}"
        renamed[name] = tensor
    return renamed


def load_state_dict(model, state, *, source="the state dict"):
    """Loads PyTorch tensors into the layers of the same name.

    Args:
        model: a built ``keras.Model``; layers without weights are passed over.
        state: dict of NumPy arrays by PyTorch's names; ``num_batches_tracked`` is passed over.
        source: how the error message calls it.

    Returns:
        The model.

    Raises:
        pixelwise.weights.WeightsError: if a tensor is missing, left over or of another shape. The
            model is then unchanged.
    """
    from pixelwise.weights import WeightsError, check_names

    state = {k: np.asarray(v) for k, v in state.items() if not k.endswith("num_batches_tracked")}
    plan = {}
    for layer in model.layers:
        if not layer.weights:
            continue
        kind = next((kind for kind in TENSORS if isinstance(layer, kind)), None)
        if kind is None:
            raise WeightsError(
                f"{layer.name} is a {type(layer).__name__}, for which no layout is known: load "
                "the model that was made for these weights."
            )
        for name, (attribute, axes) in TENSORS[kind].items():
            variable = getattr(layer, attribute)
            if variable is not None:
                plan[f"{layer.name.replace('-', '.')}.{name}"] = (variable, axes)
    check_names(state, plan, source)
    values = {}
    for name, (variable, axes) in plan.items():
        value = state[name]
        if axes is not None and value.ndim == len(axes):
            value = value.transpose(axes)
        if value.shape != tuple(variable.shape):
            raise WeightsError(
                f"{name} has the shape {state[name].shape} in {source}, which does not fit "
                f"{tuple(variable.shape)} in the model: load the weights of this architecture."
            )
        values[name] = value
    for name, (variable, _) in plan.items():
        variable.assign(values[name].astype(variable.dtype))
    return model
