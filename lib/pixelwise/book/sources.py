"""From one source, the chapter that people read and the notebook of its solutions.

A source is a Python file in jupytext's percent format. The tags of its cells say where they go:

- ``shared``: to the chapter and to the solutions;
- ``exercise``: a statement (markdown), then code with the answer between ``# BEGIN SOLUTION`` and
  ``# END SOLUTION``; the chapter has ``pw.exercises.todo()`` in its place;
- ``check``: the code that says whether the exercise is solved;
- none: to the chapter.
"""

import copy
import hashlib
import re

import jupytext
import nbformat

BEGIN = "# BEGIN SOLUTION"
END = "# END SOLUTION"
STUB = "pw.exercises.todo()"
CHECKED = "nbval-check-output"
SETUP = "_setup.py"

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {
        "file_extension": ".py",
        "mimetype": "text/x-python",
        "name": "python",
        "pygments_lexer": "ipython3",
    },
}

_CHECK = re.compile(r"""^with pw\.exercises\.check\(["']([^"']+)["']\):""", re.MULTILINE)
_LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)\s]+)")


class SourceError(ValueError):
    """A source does not follow the rules for chapters."""


def read(path):
    """Returns the notebook that a source describes: cells with their tags, no outputs.

    Args:
        path: the source, ``chapters/source/NN_name.py``.

    Raises:
        SourceError: if it is no text.
    """
    try:
        notebook = jupytext.read(path, fmt="py:percent")
    except UnicodeDecodeError as error:
        raise SourceError(f"{path} is no text ({error}): restore it with git.") from error
    cells = []
    for cell in notebook.cells:
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else _markdown
        metadata = {"tags": list(tags(cell))} if tags(cell) else {}
        cells.append(make(cell.source.strip("\n"), metadata=metadata))
    return _notebook(cells)


def tags(cell):
    """Returns the tags of a cell."""
    return cell.metadata.get("tags", [])


def split(notebook, name):
    """Returns the chapter (with stubs) and the solutions (or None if it has no exercises).

    Args:
        notebook: what ``read`` returned.
        name: the chapter's identifier, for the link back and for the errors.

    Raises:
        SourceError: if an exercise lacks its statement, its answer or its check.
    """
    numbers = _exercises(notebook, name)
    chapter, solutions = [], [_solutions_title(notebook, name)]
    for cell in notebook.cells:
        marks = tags(cell)
        chapter.append(_with_source(cell, stub(cell.source) if "exercise" in marks else None))
        if {"shared", "exercise", "check"} & set(marks):
            text = solved(cell.source) if "exercise" in marks else cell.source
            if cell.cell_type == "markdown":
                text = _LINK.sub(r"\1../\2", text)
            solutions.append(_with_source(cell, text))
    return identify(_notebook(chapter)), identify(_notebook(solutions)) if numbers else None


def stub(source):
    """Returns the code of an exercise with ``pw.exercises.todo()`` in place of each answer."""
    lines, inside = [], False
    for line in source.split("\n"):
        if line.strip() == BEGIN:
            inside = True
            lines.append(line.replace(BEGIN, STUB))
        elif line.strip() == END:
            inside = False
        elif not inside:
            lines.append(line)
    return "\n".join(lines)


def solved(source):
    """Returns the code of an exercise with its answers, without the lines that mark them."""
    return "\n".join(line for line in source.split("\n") if line.strip() not in (BEGIN, END))


def checks(notebook):
    """Returns the exercises that a notebook checks, as pairs (number, cell)."""
    found = []
    for cell in notebook.cells:
        if "check" in tags(cell):
            match = _CHECK.search(cell.source)
            found.append((match.group(1) if match else "?", cell))
    return found


def identify(notebook):
    """Gives each cell an identifier that follows from its text, and returns the notebook.

    A cell keeps its identifier when others are put before it, so that a difference between two
    versions of a notebook shows what was changed and no more.
    """
    seen = {}
    for cell in notebook.cells:
        text = f"{cell.cell_type}\n{cell.source}"
        seen[text] = seen.get(text, 0) + 1
        cell["id"] = hashlib.sha256(f"{seen[text]}\n{text}".encode()).hexdigest()[:12]
    return notebook


def setup_cell(folder):
    """Returns the source of the set-up cell that opens every chapter."""
    return read(folder / SETUP).cells[0].source


def title(notebook):
    """Returns the title of a chapter: its first heading.

    Raises:
        SourceError: if its first cell has none.
    """
    first = notebook.cells[0].source if notebook.cells else ""
    match = re.search(r"^# (.+)$", first, re.MULTILINE)
    if match is None:
        raise SourceError("The first cell of a chapter has to hold its title, '# Title'.")
    return match.group(1).strip()


def to_text(notebook):
    """Returns a notebook as the text of its file, the same for the same notebook."""
    return nbformat.writes(notebook, version=4, indent=1, sort_keys=True) + "\n"


def in_step(expected, stored):
    """Returns what differs between the cells of two notebooks, or None.

    Args:
        expected: the notebook that follows from the source.
        stored: the notebook in ``chapters/``.
    """
    if len(expected.cells) != len(stored.cells):
        return f"the source gives {len(expected.cells)} cells, the notebook has {len(stored.cells)}"
    for index, (one, other) in enumerate(zip(expected.cells, stored.cells, strict=True)):
        for what in ("cell_type", "source", "id", "metadata"):
            if one[what] != other[what]:
                return f"cell {index} has another {what} than the source gives it"
    return None


def _exercises(notebook, name):
    """Returns the numbers of the exercises, after a look at their parts."""
    cells = notebook.cells
    numbers = []
    for index, cell in enumerate(cells):
        marks, where = tags(cell), f"{name}, cell {index}"
        lines = [line.strip() for line in cell.source.split("\n")]
        if "exercise" not in marks and (BEGIN in lines or END in lines):
            raise SourceError(f"{where}: an answer is marked in a cell without the tag 'exercise'.")
        if "exercise" in marks and cell.cell_type == "code":
            _look_at_answer(lines, where)
            if index == 0 or "exercise" not in tags(cells[index - 1]):
                raise SourceError(f"{where}: an exercise needs its statement in the cell before.")
            if index + 1 == len(cells) or "check" not in tags(cells[index + 1]):
                raise SourceError(f"{where}: an exercise needs its check in the cell after.")
        if "check" in marks:
            match = _CHECK.search(cell.source)
            if match is None:
                raise SourceError(f"{where}: a check is written 'with pw.exercises.check(\"1\"):'.")
            cell.metadata["tags"] = [*(tag for tag in marks if tag != CHECKED), CHECKED]
            numbers.append(match.group(1))
    if numbers != [str(number + 1) for number in range(len(numbers))]:
        raise SourceError(f"{name}: the checks are numbered {', '.join(numbers)}, not from 1 on.")
    return numbers


def _look_at_answer(lines, where):
    """Raises SourceError unless the lines hold answers, each begun and ended."""
    marks = [line for line in lines if line in (BEGIN, END)]
    if not marks or marks != [BEGIN, END] * (len(marks) // 2):
        raise SourceError(f"{where}: an answer stands between '{BEGIN}' and '{END}'.")


def _solutions_title(notebook, name):
    """Returns the first cell of the solutions."""
    return _markdown(
        f"# Solutions: {title(notebook)}\n\n"
        f"The exercises of [{title(notebook)}](../{name}.ipynb), solved. Each answer is one of "
        "several that are right: what counts is that its check passes. The cells before the "
        "exercises are those of the chapter on which they depend."
    )


def _markdown(source, metadata=None):
    """Returns a markdown cell."""
    return nbformat.v4.new_markdown_cell(source, metadata=metadata or {})


def _with_source(cell, source=None):
    """Returns a copy of a cell, with another source if one is given."""
    cell = copy.deepcopy(cell)
    if source is not None:
        cell.source = source
    return cell


def _notebook(cells):
    """Returns a notebook of these cells."""
    return nbformat.v4.new_notebook(cells=cells, metadata=copy.deepcopy(METADATA))
