"""The sources of the chapters: their parts and their form."""

import re

from pixelwise.book import sources, webpage

LONGEST_CELL = 45


def source(book, name):
    return sources.read(book.sources / f"{name}.py")


def markdown(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]


def test_the_chapters_are_numbered_without_gaps(book):
    names = book.source_names()
    assert names, "there is no chapter"
    assert [int(name.split("_")[0]) for name in names] == list(range(len(names)))


def test_every_notebook_has_a_source(book, stored):
    assert stored.stem in book.source_names()


def test_it_opens_with_title_and_badge(book, name):
    first = source(book, name).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
    assert f"/blob/main/chapters/{name}.ipynb" in first.source, "the Colab badge is missing"


def test_the_set_up_cell_is_the_same_everywhere(book, name):
    code = [cell for cell in source(book, name).cells if cell.cell_type == "code"]
    assert code[0].source == sources.setup_cell(book.sources)
    assert sources.tags(code[0]) == ["shared"]


def test_cells_fit_on_a_screen(book, name):
    lengths = {
        index: cell.source.count("\n") + 1
        for index, cell in enumerate(source(book, name).cells)
        if cell.cell_type == "code"
    }
    long = {index: length for index, length in lengths.items() if length > LONGEST_CELL}
    assert not long, f"cells with their lines, of {LONGEST_CELL} at most: {long}"


def test_headings_carry_no_numbers(book, name):
    text = re.sub(r"```.*?```", "", "\n\n".join(markdown(source(book, name))), flags=re.DOTALL)
    numbered = re.findall(r"^#+\s+(?:\d[\d.]*|[Cc]hapter \d+|[IVX]+\.)\s.*$", text, re.MULTILINE)
    assert not numbered, numbered


def test_it_has_four_to_six_exercises(book, name):
    count = len(sources.checks(source(book, name)))
    if name.startswith("00"):
        assert count <= 6
    else:
        assert 4 <= count <= 6


def test_the_budget_is_asked_and_not_tested(book, name):
    code = "\n".join(cell.source for cell in source(book, name).cells if cell.cell_type == "code")
    found = re.findall(
        r"""^.*(?:PIXELWISE_BUDGET|if .*["'](?:smoke|quick|full)["']).*$""", code, re.M
    )
    assert not found, found


def test_every_formula_can_be_set(book, name):
    for text in markdown(source(book, name)):
        for tex, display in webpage.formulas(text):
            webpage.mathml(tex, display)


def test_no_tag_is_misspelt(book, name):
    known = {"shared", "exercise", "check"}
    for cell in source(book, name).cells:
        assert set(sources.tags(cell)) <= known
