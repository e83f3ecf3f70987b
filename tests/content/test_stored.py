"""The stored notebooks: in step with their sources, whole, and fit to print."""

import subprocess

import nbformat
import pytest

from pixelwise.book import building, clean, sources

LARGEST_REPOSITORY = 60 * 10**6


def read(path):
    return nbformat.read(path, as_version=4)


@pytest.mark.parametrize("part", [0, 1], ids=["chapter", "solutions"])
def test_the_notebook_is_in_step_with_its_source(book, name, part):
    expected = sources.split(sources.read(book.sources / f"{name}.py"), name)[part]
    path = (book.chapters, book.solutions)[part] / f"{name}.ipynb"
    if expected is None:
        assert not path.exists(), "the chapter has no exercises, so it has no solutions"
        return
    assert path.exists(), f"run 'pixelwise build {name}'"
    difference = sources.in_step(expected, read(path))
    assert difference is None, f"{difference}: run 'pixelwise build {name}'"


def test_its_outputs_are_stored_in_order_and_fit_to_print(book, stored):
    assert clean.complaints(read(stored), building.machine_paths(book.root)) == []


def test_stubs_fail_their_checks_and_solutions_pass_them(book, stored):
    expected = "passed." if stored.parent == book.solutions else "not yet. "
    for number, cell in sources.checks(read(stored)):
        shown = "".join(output.get("text", "") for output in cell.outputs)
        assert shown.startswith(f"Exercise {number}: {expected}"), shown
        assert shown.count("\n") == 1
        assert sources.CHECKED in sources.tags(cell), "nbval has to compare what a check prints"


def test_it_is_written_in_one_way_only(stored):
    notebook = read(stored)
    nbformat.validate(notebook)
    assert notebook.metadata == sources.METADATA
    assert stored.read_text(encoding="utf-8") == sources.to_text(notebook)


def test_it_is_not_too_large(stored):
    assert stored.stat().st_size < clean.LARGEST_BYTES


def test_the_chapter_shows_figures(book, stored):
    if stored.parent == book.chapters:
        outputs = [output for cell in read(stored).cells for output in cell.get("outputs", [])]
        assert any("image/png" in output.get("data", {}) for output in outputs)


def test_the_repository_is_not_too_large(book):
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(command, cwd=book.root, capture_output=True)
    if listed.returncode:
        pytest.skip("this copy is not a clone: git does not list its files")
    paths = [book.root / name for name in listed.stdout.decode().split("\0") if name]
    assert sum(path.stat().st_size for path in paths if path.is_file()) < LARGEST_REPOSITORY
