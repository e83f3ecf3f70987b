"""Where a book keeps its chapters, and how a reader may call them."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import nbformat


class UnknownChapter(ValueError):
    """There is no chapter of that name or number."""


@dataclass(frozen=True)
class Book:
    """The folders of a book.

    Attributes:
        root: the clone, or any folder of the same layout.
    """

    root: Path

    @property
    def sources(self):
        """The folder of the sources, ``NN_name.py``."""
        return self.root / "chapters" / "source"

    @property
    def chapters(self):
        """The folder of the notebooks that people read."""
        return self.root / "chapters"

    @property
    def solutions(self):
        """The folder of the notebooks with the exercises solved."""
        return self.root / "chapters" / "solutions"

    @property
    def results(self):
        """The folder of the recorded results."""
        return self.root / "results"

    @property
    def build(self):
        """The folder that ``pixelwise run`` writes to."""
        return self.root / "build"

    def source_names(self):
        """Returns the identifiers of the chapters that have a source, in order."""
        return sorted(path.stem for path in self.sources.glob("[0-9][0-9]_*.py"))

    def chapter_names(self):
        """Returns the identifiers of the chapters that have a notebook, in order."""
        return sorted(path.stem for path in self.chapters.glob("[0-9][0-9]_*.ipynb"))


def select(wanted, names):
    """Returns the chapters that are meant, in the book's order.

    Args:
        wanted: what the reader typed: numbers (``2``, ``02``), identifiers (``02_fcn``) or paths;
            all chapters when it is empty.
        names: the identifiers of the chapters that there are.

    Raises:
        UnknownChapter: if one of them is not in the book.
    """
    chosen = {_find(text, names) for text in wanted} if wanted else set(names)
    return [name for name in names if name in chosen]


def _find(text, names):
    """Returns the chapter that a reader means by ``text``."""
    stem = Path(str(text)).stem
    for name in names:
        number = name.split("_")[0]
        if stem == name or (stem.isdecimal() and int(stem) == int(number)):
            return name
    there_are = ", ".join(names) if names else "none yet"
    raise UnknownChapter(f"There is no chapter {str(text)!r}: there are {there_are}.")


def read_notebook(path):
    """Reads a stored notebook.

    Raises:
        ValueError: if the file is damaged.
    """
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except (ValueError, AttributeError, KeyError, nbformat.ValidationError) as error:
        reason = " ".join(str(error).split())[:80]
        raise ValueError(
            f"{path} is not a notebook ({reason}): restore it with git, or write it with "
            f"'pixelwise build {path.stem}'."
        ) from error
    return notebook


def write_text(path, text):
    """Writes a text file whole or not at all: beside it first, then in its place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
