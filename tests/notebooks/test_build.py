"""``pixelwise build`` on a small book: what it stores, and what it refuses to store."""

import base64
import io

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from pixelwise.book import building, clean, pictures, sources


def stored(book, name="00_one"):
    chapter = nbformat.read(book.chapters / f"{name}.ipynb", as_version=4)
    path = book.solutions / f"{name}.ipynb"
    return chapter, nbformat.read(path, as_version=4) if path.exists() else None


def shown_by_checks(notebook):
    return [cell.outputs[0].text for _, cell in sources.checks(notebook)]


def break_source(book, old, new):
    path = book.sources / "00_one.py"
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new))


def test_build_stores_a_chapter_with_stubs_and_its_solutions(book):
    building.build(book, "00_one", budget="smoke", say=lambda line: None)
    chapter, solutions = stored(book)
    assert shown_by_checks(chapter) == [
        "Exercise 1: not yet. Replace pw.exercises.todo() by your answer.\n"
    ]
    assert shown_by_checks(solutions) == ["Exercise 1: passed.\n"]
    figure = [output for cell in chapter.cells for output in cell.get("outputs", [])][0]
    assert figure.data["image/png"]
    assert "../source/00_one.py" in solutions.cells[3].source
    for notebook in (chapter, solutions):
        nbformat.validate(notebook)
        assert clean.complaints(notebook, [str(book.root)]) == []


def test_building_twice_gives_the_same_bytes(book):
    texts = []
    for _ in range(2):
        building.build(book, "00_one", budget="smoke", say=lambda line: None)
        folders = (book.chapters, book.solutions)
        texts.append([(folder / "00_one.ipynb").read_bytes() for folder in folders])
    assert texts[0] == texts[1]


def test_a_chapter_without_exercises_has_no_solutions(book):
    building.build(book, "01_two", budget="smoke", say=lambda line: None)
    chapter, solutions = stored(book, "01_two")
    assert solutions is None
    assert chapter.cells[-1].outputs[0].data["text/plain"] == "accuracy: 0.500"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("return side**2", "return 2 * side", "the check of exercise 1 should say 'passed'"),
        (
            "# BEGIN SOLUTION\n    ",
            "# BEGIN SOLUTION\n    pass\n    # END SOLUTION\n    ",
            "stands",
        ),
        ("side = 3", "side = 1 / 0", "ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_not_fit_is_not_stored(book, old, new, message):
    break_source(book, old, new)
    with pytest.raises((building.BuildFailed, sources.SourceError), match=message):
        building.build(book, "00_one", budget="smoke", say=lambda line: None)
    assert not (book.chapters / "00_one.ipynb").exists()
    assert not (book.solutions / "00_one.ipynb").exists()


def test_outputs_that_are_not_fit_to_print_are_refused(book):
    lines = [
        "side = 3",
        "import os, sys, warnings",
        "print(os.getcwd())",
        "print(object())",
        "print('to the error stream', file=sys.stderr)",
        "warnings.warn('old')",
    ]
    break_source(book, "side = 3", "\n".join(lines))
    with pytest.raises(building.BuildFailed) as failure:
        building.build(book, "00_one", budget="smoke", say=lambda line: None)
    for what in ("a path of this machine", "a warning", "a memory address", "to the error stream"):
        assert what in str(failure.value)
    assert (book.build / "failed" / "00_one.ipynb").exists()


def test_a_stub_that_passes_its_check_is_refused(book):
    break_source(book, "assert area(side) == 9", "assert side == 3")
    with pytest.raises(building.BuildFailed, match="exercise 1 should say 'not yet'"):
        building.build(book, "00_one", budget="smoke", say=lambda line: None)


def test_a_notebook_that_is_too_large_is_refused(book, monkeypatch):
    monkeypatch.setattr(clean, "LARGEST_BYTES", 5000)
    with pytest.raises(building.BuildFailed, match="make its figures smaller or fewer"):
        building.build(book, "00_one", budget="smoke", say=lambda line: None)


def test_what_c_writes_to_the_terminal_stays_out_of_the_notebook(book):
    break_source(book, "side = 3", "side = 3\nimport os\n_ = os.write(2, b'I0000 a log line')")
    building.build(book, "00_one", budget="smoke", say=lambda line: None)
    assert "a log line" not in (book.chapters / "00_one.ipynb").read_text().split("outputs")[-1]
    chapter, _ = stored(book)
    assert all("log line" not in str(cell.get("outputs")) for cell in chapter.cells)


def test_prose_is_rewritten_without_running_and_code_is_not(book):
    building.build(book, "00_one", budget="smoke", say=lambda line: None)
    before, _ = stored(book)
    break_source(book, "The first chapter", "The opening chapter")
    building.rewrite_prose(book, "00_one", say=lambda line: None)
    after, solutions = stored(book)
    assert "The opening chapter" in after.cells[0].source
    assert [cell.get("outputs") for cell in after.cells] == [
        cell.get("outputs") for cell in before.cells
    ]
    break_source(book, "side = 3", "side = 4")
    with pytest.raises(building.BuildFailed, match="The code of 00_one has changed"):
        building.rewrite_prose(book, "00_one", say=lambda line: None)


def test_a_chapter_whose_set_up_cell_differs_is_refused(book):
    (book.sources / "_setup.py").write_text('# %% tags=["shared"]\nimport keras\n')
    with pytest.raises(sources.SourceError, match="the set-up cell differs"):
        building.build(book, "00_one", budget="smoke")


def test_large_pictures_get_a_palette_and_small_ones_stay():
    def encoded(array):
        made = io.BytesIO()
        Image.fromarray(array).save(made, "PNG")
        return base64.b64encode(made.getvalue()).decode()

    rng = np.random.default_rng(0)
    smooth = np.add.outer(np.arange(300), np.arange(300))[..., None] // (3, 4, 5)
    photograph = (smooth + rng.integers(0, 20, (300, 300, 3))).astype("uint8")
    large, small = encoded(photograph), encoded(photograph[:20, :20])
    outputs = [new_output("display_data", data={"image/png": text}) for text in (large, small)]
    notebook = new_notebook(cells=[new_code_cell("", outputs=outputs)])
    pictures.shrink(notebook)
    made = outputs[0].data["image/png"]
    assert len(made) < len(large) / 2 and outputs[1].data["image/png"] == small
    shown = Image.open(io.BytesIO(base64.b64decode(made)))
    assert shown.size == (300, 300)
    error = np.abs(np.asarray(shown.convert("RGB"), float) - photograph)
    assert error.mean() < 8
    pictures.shrink(notebook)
    assert outputs[0].data["image/png"] == made, "a second time it stays"
