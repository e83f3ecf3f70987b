"""Reads PyTorch state dicts into Keras models whose layers carry torchvision's names.

A layer called ``features-0-0`` takes the tensors ``features.0.0.weight`` and so on (Keras cannot
have the dot in a name when it runs on PyTorch), and a model inside a model gives its name to the
tensors of its layers: ``backbone.conv1.weight``. The layouts differ: PyTorch keeps a convolution's
kernel as (out, in, height, width), Keras as (height, width, in, out); a depthwise kernel is
(channels, 1, height, width) and becomes (height, width, channels, 1). Nothing of PyTorch is needed
once the tensors are NumPy arrays.
"""

import argparse
import pickle
import re
import struct

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
# What the two formats of PyTorch start with: a zip archive since 1.6, a pickled number before.
STARTS = (b"PK\x03\x04", b"\x80\x02\x8a\n" + 0x1950A86A20F9469CFC6C.to_bytes(10, "little"))
# Where a program that saves more than the tensors puts them; torchvision's own: "model".
WRAPPERS = ("model", "state_dict")
# What PyTorch raises when a file is damaged, depending on where.
DAMAGE = (
    OSError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
)


def read_state_dict(path):
    """Reads a ``.pt`` or ``.pth`` file with PyTorch, and runs nothing that it may hold.

    A pickle is a program. PyTorch runs its few harmless commands only (``weights_only``), which
    before 2.6 could be got round.

    Args:
        path: the file: a state dict, or a dict that holds one under ``"model"`` or
            ``"state_dict"``, as torchvision's training scripts save it.

    Returns:
        dict of NumPy arrays by PyTorch's names.

    Raises:
        ImportError: if PyTorch is not installed, or too old to be safe.
        ValueError: if the file is missing, cut or no checkpoint, or holds something else than
            tensors by name.
    """
    torch = require_torch()
    _check_start(path)
    state = _unpickle(torch, path)
    if isinstance(state, dict):
        wrapper = next((key for key in WRAPPERS if isinstance(state.get(key), dict)), None)
        state = state[wrapper] if wrapper else state
    if not isinstance(state, dict) or not all(_is_plain(torch, *item) for item in state.items()):
        raise ValueError(
            f"{path} is no flat dict of tensors: save model.state_dict() alone, without optimizer "
            "and epoch."
        )
    return {name: _as_array(torch, tensor) for name, tensor in state.items()}


def require_torch():
    """Imports PyTorch.

    Returns:
        The module.

    Raises:
        ImportError: if it is not installed, or too old to read a foreign file safely.
    """
    try:
        import torch
    except ImportError as error:
        raise ImportError(
            "Reading a .pth file needs PyTorch, which is not installed: pip install torch."
        ) from error
    if tuple(int(part) for part in torch.__version__.split(".")[:2]) < (2, 6):
        raise ImportError(
            f"PyTorch {torch.__version__} can be made to run programs hidden in a .pth file "
            "(CVE-2025-32434): update it to 2.6 or newer with pip install -U torch."
        )
    return torch


def _check_start(path):
    try:
        with open(path, "rb") as file:
            start = file.read(max(map(len, STARTS)))
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}): check the path.") from error
    if not start.startswith(STARTS):
        raise ValueError(
            f"{path} is no checkpoint of PyTorch, to judge by its first bytes: give a .pth file "
            "that torch.save wrote."
        )


def _unpickle(torch, path):
    """What the file holds, if that is tensors, numbers, strings, lists and dicts."""
    # torchvision's training scripts put their arguments beside the tensors: a bag of attributes.
    allowed = torch.serialization.safe_globals([argparse.Namespace])
    try:
        with allowed:
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(
            f"{path} was not opened, because it is damaged or holds more than tensors, and a "
            "pickle can run any program: use the original checkpoint."
        ) from error
    except DAMAGE as error:
        raise ValueError(
            f"{path} is cut, damaged or no checkpoint of PyTorch: download it again."
        ) from error


def _is_plain(torch, name, value):
    """Whether it is a name with a tensor that NumPy could hold, neither sparse nor quantised."""
    if not isinstance(name, str) or not torch.is_tensor(value):
        return False
    return value.layout == torch.strided and not value.is_quantized


def _as_array(torch, tensor):
    tensor = tensor.detach()
    return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()


def modern_names(state):
    """Renames the tensors of checkpoints with names that torchvision has given up.

    MobileNetV2 before 0.5: ``features.1.conv.1.weight``, one flat list of layers a block. Now each
    convolution with its normalisation is in a list of its own: ``features.1.conv.0.1.weight``.

    Mask R-CNN before 0.13, and the published file: ``backbone.fpn.inner_blocks.0.weight``,
    ``rpn.head.conv.weight``, ``roi_heads.mask_head.mask_fcn1.weight``. Now a convolution is the
    first of a list: ``backbone.fpn.inner_blocks.0.0.weight``, ``rpn.head.conv.0.0.weight``,
    ``roi_heads.mask_head.0.0.weight``.

    ResNet-50, fcn_resnet50 and deeplabv3_resnet50 never changed their names.

    Args:
        state: dict of tensors by name.

    Returns:
        The same dict, with today's names.
    """
    # Old names of MobileNetV2 could be new ones of another layer: one that is not says which.
    rename = _of_mobilenet if "features.1.conv.0.weight" in state else _of_mask_rcnn
    return {rename(name): tensor for name, tensor in state.items()}


def _of_mobilenet(name):
    """Today's name of a tensor of an old MobileNetV2."""
    match = re.fullmatch(r"features\.(\d+)\.conv\.(\d+)\.(\w+)", name)
    if not match:
        return name
    block, position, kind = int(match[1]), int(match[2]), match[3]
    groups = 1 if block == 1 else 2  # convolutions with normalisation and ReLU6, of 3 each
    if position < 3 * groups:
        return f"features.{block}.conv.{position // 3}.{position % 3}.{kind}"
    return f"features.{block}.conv.{position - 2 * groups}.{kind}"


def _of_mask_rcnn(name):
    """Today's name of a tensor of an old Mask R-CNN; other names stay."""
    name = re.sub(r"(\bfpn\.(?:inner|layer)_blocks\.\d+)\.(weight|bias)$", r"\1.0.\2", name)
    name = re.sub(r"(\brpn\.head\.conv)\.(weight|bias)$", r"\1.0.0.\2", name)
    return re.sub(
        r"\bmask_head\.mask_fcn(\d+)\.(weight|bias)$",
        lambda match: f"mask_head.{int(match[1]) - 1}.0.{match[2]}",
        name,
    )


def load_state_dict(model, state, *, source="the state dict", leave_out=()):
    """Loads PyTorch tensors into the layers of the same name.

    Args:
        model: a built ``keras.Model``; layers without weights are passed over, and those of a model
            inside it are called ``name-of-the-model.name-of-the-layer``.
        state: dict of NumPy arrays by PyTorch's names, old or new; ``num_batches_tracked`` is
            passed over.
        source: how the error message calls it.
        leave_out: tensors whose names start like this are passed over, as ``("fc.",)``, because
            the model is not meant to have them; any other tensor left over is an error.

    Returns:
        The model.

    Raises:
        pixelwise.weights.WeightsError: if a tensor is missing, left over or of another shape. The
            model is then unchanged.
    """
    from pixelwise.weights import WeightsError, check_names

    leave_out = (leave_out,) if isinstance(leave_out, str) else tuple(leave_out)
    state = {
        name: np.asarray(tensor)
        for name, tensor in modern_names(state).items()
        if not name.endswith("num_batches_tracked") and not name.startswith(leave_out)
    }
    plan = _plan(model)
    check_names(state, plan, source)
    for name, (variable, axes) in plan.items():
        wanted = _shape_before(variable.shape, axes)
        if state[name].shape != wanted:
            raise WeightsError(
                f"{name} has the shape {state[name].shape} in {source} and {wanted} in the model: "
                "build the model with the arguments it was trained with."
            )
    for name, (variable, axes) in plan.items():
        value = state[name] if axes is None else state[name].transpose(axes)
        variable.assign(value.astype(variable.dtype))
    return model


def tensor_shapes(model):
    """Returns the shapes of the tensors that ``load_state_dict`` wants for a model.

    Args:
        model: a built ``keras.Model``.

    Returns:
        dict of tuples by PyTorch's names, in PyTorch's layout.
    """
    return {
        name: _shape_before(variable.shape, axes) for name, (variable, axes) in _plan(model).items()
    }


def _shape_before(shape, axes):
    """The shape that a transposition by ``axes`` turns into ``shape``."""
    return tuple(shape) if axes is None else tuple(shape[i] for i in np.argsort(axes))


def _plan(model, prefix=""):
    """By PyTorch's name of each tensor: the variable it belongs to, and how its axes are put."""
    from pixelwise.weights import WeightsError

    plan = {}
    for layer in model.layers:
        name = prefix + layer.name.replace("-", ".")
        if isinstance(layer, keras.Model):
            plan |= _plan(layer, f"{name}.")
        elif layer.weights:
            kind = next((kind for kind in TENSORS if isinstance(layer, kind)), None)
            if kind is None:
                raise WeightsError(
                    f"{layer.name} is a {type(layer).__name__}, for which no layout is known: load "
                    "the model that was made for these weights."
                )
            for tensor, (attribute, axes) in TENSORS[kind].items():
                variable = getattr(layer, attribute)
                if variable is not None:
                    plan[f"{name}.{tensor}"] = (variable, axes)
    return plan
