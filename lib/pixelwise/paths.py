"""Where the book keeps its things: one function a folder."""

import os
from pathlib import Path


def repository():
    """Returns the root of the clone, the folder that holds ``chapters/``, ``lib/`` and ``data/``.

    Raises:
        FileNotFoundError: if the library was copied out of its clone.
    """
    root = Path(__file__).resolve().parents[2]
    if not (root / "chapters").is_dir() or not (root / "data").is_dir():
        raise FileNotFoundError(
            f"Pixelwise runs from a clone of its repository, but {root} has no chapters/ and "
            "data/: clone the repository and install it with 'pip install -r requirements.txt'."
        )
    return root


def chapters_dir():
    """Returns the folder of the notebooks."""
    return repository() / "chapters"


def data_dir():
    """Returns the folder of the embedded data and weights."""
    return repository() / "data"


def results_dir():
    """Returns the folder of the recorded results."""
    return repository() / "results"


def build_dir():
    """Returns the folder that ``pixelwise run`` writes to (made when missing)."""
    folder = repository() / "build"
    folder.mkdir(exist_ok=True)
    return folder


def cache_dir():
    """Returns the folder for downloads: ``PIXELWISE_CACHE``, or ``~/.cache/pixelwise``.

    Raises:
        ValueError: if it cannot be made.
    """
    chosen = os.environ.get("PIXELWISE_CACHE")
    folder = Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "pixelwise"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"The cache folder {folder} cannot be made ({error.strerror}): set PIXELWISE_CACHE to "
            "a folder that you may write to."
        ) from error
    return folder
