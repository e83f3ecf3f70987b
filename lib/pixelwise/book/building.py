"""``pixelwise build``: executes the sources and stores the notebooks that people read."""

import sys
from pathlib import Path

from pixelwise.book import clean, kernels, pictures, sources
from pixelwise.book.layout import read_notebook, write_text

_CELL_SECONDS = 1800


class BuildFailed(Exception):
    """A chapter cannot be stored: a cell failed, or what it shows is not fit to print."""


def build(book, name, *, budget="quick", say=print):
    """Executes a chapter and its solutions, and writes both if all is well with both.

    The stub of each exercise has to fail its check, and each solution has to pass it.

    Args:
        book: the book, a ``layout.Book``.
        name: the chapter's identifier.
        budget: the budget of the stored outputs.
        say: takes the sentence that tells what was written.

    Raises:
        sources.SourceError: if the source breaks a rule.
        BuildFailed: if a cell fails or an output is unfit. What was executed is then in
            ``build/failed/``, and ``chapters/`` stays as it was.
    """
    chapter, solutions = _notebooks(book, name)
    texts = {}
    for notebook, path, expected in (
        (chapter, book.chapters / f"{name}.ipynb", "not yet"),
        (solutions, book.solutions / f"{name}.ipynb", "passed"),
    ):
        if notebook is None:
            path.unlink(missing_ok=True)
            continue
        measured = _execute(book, notebook, path, budget)
        pictures.shrink(notebook)
        _examine(book, notebook, path, expected)
        texts[path] = sources.to_text(notebook)
        say(
            f"{path.relative_to(book.root)}: {len(notebook.cells)} cells, "
            f"{len(sources.checks(notebook))} exercises {expected}, {measured.seconds:.0f} s, "
            f"{measured.peak_memory_mib:.0f} MiB, {len(texts[path]) / 1e6:.2f} MB"
        )
    for path, text in texts.items():
        write_text(path, text)


def rewrite_prose(book, name, *, say=print):
    """Brings the text of the stored notebooks up to the source, and keeps their outputs.

    Args:
        book: the book, a ``layout.Book``.
        name: the chapter's identifier.
        say: takes the sentence that tells what was written.

    Raises:
        BuildFailed: if a code cell changed, since its outputs would no longer be true.
    """
    chapter, solutions = _notebooks(book, name)
    for notebook, folder in ((chapter, book.chapters), (solutions, book.solutions)):
        if notebook is None:
            continue
        path = folder / f"{name}.ipynb"
        if not path.exists():
            raise BuildFailed(f"{name} has no notebook yet: run 'pixelwise build {name}'.")
        take_outputs(notebook, read_notebook(path), name)
        pictures.shrink(notebook)
        write_text(path, sources.to_text(notebook))
        say(f"{path.relative_to(book.root)}: text rewritten, outputs kept")


def take_outputs(notebook, stored, name):
    """Puts the outputs of a stored notebook into one with the same code cells.

    Raises:
        BuildFailed: if their code differs.
    """
    fresh = [cell for cell in notebook.cells if cell.cell_type == "code"]
    old = [cell for cell in stored.cells if cell.cell_type == "code"]
    if [cell.source for cell in fresh] != [cell.source for cell in old]:
        raise BuildFailed(
            f"The code of {name} has changed, so its outputs have to be made again: "
            f"run 'pixelwise build {name}'."
        )
    for cell, from_cell in zip(fresh, old, strict=True):
        cell.outputs, cell.execution_count = from_cell.outputs, from_cell.execution_count


def _notebooks(book, name):
    """Returns the chapter and the solutions that a source gives, not executed."""
    source = sources.read(book.sources / f"{name}.py")
    setup = sources.setup_cell(book.sources)
    if setup not in [cell.source for cell in source.cells]:
        raise sources.SourceError(
            f"{name}: the set-up cell differs from chapters/source/{sources.SETUP}: copy it anew."
        )
    return sources.split(source, name)


def _execute(book, notebook, path, budget):
    """Executes a notebook, or says which cell failed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        return kernels.execute(notebook, path.parent, budget=budget, timeout=_CELL_SECONDS)
    except kernels.CellFailed as failure:
        where = _keep(book, notebook, path)
        raise BuildFailed(
            f"{path.relative_to(book.root)}: cell {failure.index} failed (executed so far: "
            f"{where}).\n\n{failure.source}\n\n{failure.error}"
        ) from None


def _examine(book, notebook, path, expected):
    """Raises BuildFailed if a notebook is not fit to be stored."""
    found = clean.complaints(notebook, machine_paths(book.root))
    for number, cell in sources.checks(notebook):
        shown = "".join(output.get("text", "") for output in cell.outputs)
        if not shown.startswith(f"Exercise {number}: {expected}"):
            found.append(f"the check of exercise {number} should say {expected!r}: {shown.strip()}")
    size = len(sources.to_text(notebook).encode())
    if size > clean.LARGEST_BYTES:
        found.append(
            f"the notebook has {size / 1e6:.1f} MB, over {clean.LARGEST_BYTES / 1e6:.0f}: "
            f"make its figures smaller or fewer ({_heaviest(notebook)})"
        )
    if found:
        where = _keep(book, notebook, path)
        listed = "\n".join(f"- {sentence}" for sentence in found)
        raise BuildFailed(f"{path.relative_to(book.root)} is not fit to store ({where}):\n{listed}")


def machine_paths(root):
    """Returns the folders of this machine that must not stand in an output."""
    return sorted({str(root), str(Path.home()), sys.prefix} - {"/"})


def _heaviest(notebook):
    """Returns which cells take the most room."""
    sizes = [
        (len(str(cell.get("outputs", ""))), index) for index, cell in enumerate(notebook.cells)
    ]
    heavy = sorted(sizes, reverse=True)[:3]
    return ", ".join(f"cell {index}: {size / 1e6:.2f} MB" for size, index in heavy)


def _keep(book, notebook, path):
    """Writes a notebook that failed where its author can look at it; returns where."""
    kept = book.build / "failed" / path.relative_to(book.chapters)
    write_text(kept, sources.to_text(notebook))
    return kept.relative_to(book.root)
