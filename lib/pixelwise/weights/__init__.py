"""Weights: the embedded checkpoints of the book, and those of torchvision.

``save`` and ``load`` keep a model's variables in one ``.npz`` file, kernels in half precision,
which halves the file and costs about three decimal digits that no figure of the book needs.
"""

import os
import zipfile
import zlib
from pathlib import Path

import keras
import numpy as np

from pixelwise.weights.torchvision import load_state_dict, read_state_dict

__all__ = ["WeightsError", "checkpoint", "load", "load_state_dict", "read_state_dict", "save"]


class WeightsError(ValueError):
    """A file of weights and a model do not fit each other."""


def save(model, path, *, half=True):
    """Saves the variables of a built model, without its optimizer.

    Args:
        model: a built ``keras.Model``.
        path: where to write, ending in ``.npz``. The file is replaced at once or not at all.
        half: ``True`` rounds variables of two or more axes to float16; vectors stay as they are.

    Raises:
        WeightsError: if two variables have the same path, a value does not fit in float16, the
            model has no variables yet, or the file cannot be written.
    """
    if not model.weights:
        raise WeightsError(f"The model {model.name} has no weights yet: build or call it first.")
    arrays = {}
    for variable in _variables(model):
        value = keras.ops.convert_to_numpy(variable)
        if half and value.ndim >= 2:
            rounded = value.astype(np.float16)
            if not np.isfinite(rounded).all():
                raise WeightsError(
                    f"{variable.path} holds a value beyond half precision "
                    f"({np.abs(value).max():.3g}): save it with half=False."
                )
            value = rounded
        if variable.path in arrays:
            raise WeightsError(
                f"Two variables are called {variable.path}: give their layers different names."
            )
        arrays[variable.path] = value
    write_arrays(path, arrays)


def load(model, path):
    """Loads what ``save`` wrote into a built model of the same architecture.

    Args:
        model: a built ``keras.Model``.
        path: the ``.npz`` file.

    Returns:
        The model, for chaining.

    Raises:
        WeightsError: if the file is missing or no archive of weights, or a variable is missing,
            left over or of another shape; the sentence names it. The model is then unchanged.
    """
    stored = read_arrays(path)
    variables = {variable.path: variable for variable in _variables(model)}
    check_names(stored, variables, str(path))
    for name, variable in variables.items():
        if tuple(variable.shape) != stored[name].shape:
            raise WeightsError(
                f"{name} has the shape {stored[name].shape} in {path} and {tuple(variable.shape)} "
                "in the model: build the model with the arguments it was trained with."
            )
    for name, variable in variables.items():
        variable.assign(stored[name].astype(variable.dtype))
    return model


def checkpoint(model, name):
    """Loads a checkpoint that comes with the book.

    Args:
        model: a built ``keras.Model`` of the recipe's architecture.
        name: of a file in ``data/checkpoints/``, for example ``"fcn8s_wardrobe"``.

    Returns:
        The model, for chaining.

    Raises:
        pixelwise.data.manifest.DamagedFile: if the file is not what it was.
        WeightsError: as ``load``.
    """
    from pixelwise.data import manifest

    return load(model, manifest.path(f"checkpoints/{name}.npz"))


def write_arrays(path, arrays, *, compressed=True):
    """Writes a dict of arrays as one ``.npz`` file, at once or not at all.

    Raises:
        WeightsError: if the file cannot be written.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        with open(part, "wb") as file:
            (np.savez_compressed if compressed else np.savez)(file, **arrays)
        os.replace(part, path)
    except OSError as error:
        raise WeightsError(
            f"Cannot write the weights {path} ({error.strerror or error}): choose another place, "
            "or make room."
        ) from error
    finally:
        part.unlink(missing_ok=True)


def read_arrays(path):
    """Reads a ``.npz`` file into a dict of arrays.

    Raises:
        WeightsError: if the file is missing, damaged or of another kind.
    """
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {key: arrays[key] for key in arrays.files}
    except OSError as error:
        raise WeightsError(
            f"Cannot read the weights {path} ({error.strerror or error}): check the path."
        ) from error
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, TypeError) as error:
        raise WeightsError(f"{path} is not a file of weights ({error}): fetch it again.") from error


def check_names(stored, wanted, source):
    """Raises a ``WeightsError`` that names what is missing from, or left over in, ``stored``."""
    missing = sorted(set(wanted) - set(stored))
    extra = sorted(set(stored) - set(wanted))
    if missing or extra:
        said = [f"{len(missing)} missing ({', '.join(missing[:3])})"] if missing else []
        said += [f"{len(extra)} left over ({', '.join(extra[:3])})"] if extra else []
        raise WeightsError(
            f"The tensors of {source} do not fit the model: {' and '.join(said)}; build the model "
            "with the arguments it was trained with."
        )


def _variables(model):
    """The variables that make the model: its weights less the states of random generators."""
    return [v for v in model.weights if "seed_generator" not in v.path]
