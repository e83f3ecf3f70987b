"""What the content tests look at: the book of this repository."""

from pathlib import Path

import nbformat
import pytest

from pixelwise.book.layout import Book

BOOK = Book(Path(__file__).resolve().parents[2])


def pytest_generate_tests(metafunc):
    """Runs a test with an argument ``name`` for each chapter, ``stored`` for each notebook."""
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", BOOK.source_names())
    if "stored" in metafunc.fixturenames:
        folders = (BOOK.chapters, BOOK.solutions)
        paths = [path for folder in folders for path in sorted(folder.glob("*.ipynb"))]
        ids = [str(path.relative_to(BOOK.chapters)) for path in paths]
        metafunc.parametrize("stored", paths, ids=ids)


@pytest.fixture
def book():
    """Returns the book of this repository."""
    return BOOK


@pytest.fixture
def prose():
    """Returns a function from a file to its prose: the text that a reader reads as text."""

    def read(path):
        if path.suffix == ".ipynb":
            cells = nbformat.read(path, as_version=4).cells
            return "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        return path.read_text(encoding="utf-8")

    return read
