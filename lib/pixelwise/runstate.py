"""The state of a training run in one file that is either whole or not there.

A state holds everything that the next step depends on: the model's variables (weights, moving
statistics, seed generators), the optimizer's (slots, iterations, averages of the weights), and the
history so far. It is one ``.npz`` archive with a JSON header, written beside its place and then
moved over it, so that a process killed at any moment leaves the last good state.
"""

import errno
import json
import os
import zipfile

import keras
import numpy as np

FORMAT = 1


class CheckpointError(ValueError):
    """A saved training state that cannot be written, read or used here."""


def collect(model):
    """Copies the variables of a model and of its optimizer to NumPy.

    Args:
        model: a built ``keras.Model`` with a built optimizer.

    Returns:
        A dict of arrays, ``model/0``, ``model/1``, ... and ``optimizer/0``, ...
    """
    arrays = {}
    for key, variable in _variables(model).items():
        value = _array(variable)
        # npz has no bfloat16 and no float8: float32 holds their values exactly.
        arrays[key] = value.astype("float32") if _is_small(value) else value
    return arrays | generators()


def restore(model, arrays):
    """Puts the arrays of ``collect`` back into a model of the same structure."""
    for key, variable in _variables(model).items():
        variable.assign(arrays[key])
    set_generators(arrays)


def generators():
    """Copies the states of PyTorch's own random generators; other backends have none.

    Dropout without a seed draws from them there, and no Keras variable holds them.
    """
    if keras.backend.backend() != "torch":
        return {}
    import torch

    states = [torch.get_rng_state(), *torch.cuda.get_rng_state_all()]
    return {f"torch/{index}": state.numpy().copy() for index, state in enumerate(states)}


def set_generators(arrays):
    """Puts the states of ``generators`` back; a state from another backend has none."""
    if keras.backend.backend() != "torch" or "torch/0" not in arrays:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(arrays["torch/0"].copy()))
    for device in range(torch.cuda.device_count()):
        if f"torch/{device + 1}" in arrays:
            state = torch.from_numpy(arrays[f"torch/{device + 1}"].copy())
            torch.cuda.set_rng_state(state, device)


def is_finite(model):
    """Returns False if a trainable weight is NaN or infinite: such a state is not worth keeping."""
    values = (_array(variable).astype("float32") for variable in model.trainable_variables)
    return all(np.isfinite(value).all() for value in values)


def structure(model):
    """Returns the shapes of all variables, to tell one model from another."""
    return {key: list(variable.shape) for key, variable in _variables(model).items()}


def write(path, header, arrays):
    """Writes a state atomically.

    Args:
        path: ``pathlib.Path`` of the file; its folder exists.
        header: plain data, stored as JSON.
        arrays: dict of name to array.

    Raises:
        CheckpointError: if the disk is full or cannot be written; the file before is untouched.
    """
    part = partial(path)
    text = json.dumps(header | {"format": FORMAT}, default=str).encode()
    try:
        with open(part, "wb") as file:
            np.savez(file, header=np.frombuffer(text, dtype=np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        reason = "the disk is full" if error.errno in _FULL else (error.strerror or str(error))
        kept = "the state saved before is intact" if path.exists() else "nothing was saved"
        raise CheckpointError(
            f"The training state could not be saved to {path} because {reason}: {kept}; make room "
            "or choose another directory, and run the same command again."
        ) from error
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def read(path):
    """Reads a state.

    Returns:
        ``(header, arrays)``.

    Raises:
        CheckpointError: if the file is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        header = json.loads(arrays.pop("header").tobytes())
        if header["format"] != FORMAT:
            raise ValueError(f"format {header['format']}")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise CheckpointError(
            f"The saved training state {path} cannot be read ({error}): delete it, or start again "
            "with resume=False."
        ) from error
    return header, arrays


def check(path, found, expected):
    """Refuses a state that belongs to another run.

    Args:
        path: where the state was read, for the sentence.
        found: the dict of settings stored with the state.
        expected: the dict of settings of this run.

    Raises:
        CheckpointError: naming the first setting that differs.
    """
    for key, value in expected.items():
        if key == "structure" and found.get(key) != value:
            difference = ("for a model of another structure", "this one")
        elif key == "steps" and found.get(key) != value:
            difference = (f"for {found.get(key)} steps", f"for {value}")
        else:
            difference = _difference(found.get(key), value, key)
        if difference:
            raise CheckpointError(
                f"The saved training state {path} was made {difference[0]}, not {difference[1]}: "
                "start again with resume=False, or choose another name or directory."
            )


def plain(value):
    """Returns a value as it comes back from JSON."""
    return json.loads(json.dumps(value, default=str))


def partial(path):
    """Returns the path that ``write`` fills before it moves it to ``path``."""
    return path.with_name(path.name + ".part")


_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}


def _array(variable):
    # A copy: on a CPU, PyTorch would give a view of the weights themselves.
    return np.asarray(variable).copy()


def _is_small(value):
    return value.dtype.name.startswith(("bfloat16", "float8"))


def _variables(model):
    groups = {"model": model.variables, "optimizer": model.optimizer.variables}
    return {
        f"{group}/{index}": variable
        for group, variables in groups.items()
        for index, variable in enumerate(variables)
    }


def _difference(found, expected, key):
    """Returns the first difference of two nested values in words, None if they are equal."""
    if isinstance(found, dict) and isinstance(expected, dict):
        pairs = ((k, found.get(k), expected.get(k)) for k in {**found, **expected})
        return next(filter(None, (_difference(a, b, k) for k, a, b in pairs)), None)
    if found == expected:
        return None
    return f"with {key}={_short(found)}", _short(expected)


def _short(value):
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
