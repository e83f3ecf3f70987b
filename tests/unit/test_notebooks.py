"""From sources to notebooks: splitting, stubs, identifiers, outputs, pages, markers, address."""

import json

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from pixelwise.book import address, clean, layout, markers, running, sources, webpage

NAMES = ["00_start_here", "01_mathematics", "02_fcn"]

SOURCE = """\
# %% [markdown]
# # A title
#
# Text with [a link](../data/x.png) and [one away](https://example.org).

# %% tags=["shared"]
import pixelwise as pw

# %%
only_here = 1

# %% [markdown] tags=["exercise"]
# Add one; see [the chapter](02_fcn.ipynb#top) and [above](#top).

# %% tags=["exercise"]
def add_one(x):
    \"\"\"Returns x + 1.\"\"\"
    # BEGIN SOLUTION
    one = 1
    return x + one
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    assert add_one(1) == 2, "1 and 1 are 2."
"""


@pytest.fixture
def parse(tmp_path):
    def parse(text):
        path = tmp_path / "02_fcn.py"
        path.write_text(text, encoding="utf-8")
        return sources.read(path)

    return parse


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ((), NAMES),
        (["2"], ["02_fcn"]),
        (["02", "0"], ["00_start_here", "02_fcn"]),
        (["chapters/01_mathematics.ipynb", "01_mathematics"], ["01_mathematics"]),
    ],
)
def test_chapters_are_found_by_what_a_reader_types(wanted, names):
    assert layout.select(wanted, NAMES) == names


@pytest.mark.parametrize("wanted", ["7", "fcn", "", "-1"])
def test_an_unknown_chapter_is_one_sentence(wanted):
    with pytest.raises(layout.UnknownChapter, match="There is no chapter .*: there are 00_start"):
        layout.select([wanted], NAMES)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "file.txt"
    layout.write_text(path, "first")
    with pytest.raises(UnicodeEncodeError):
        layout.write_text(path, "\ud800")
    assert path.read_text() == "first"
    assert [entry.name for entry in path.parent.iterdir()] == ["file.txt"]


def test_the_chapter_has_the_stub_and_the_solutions_have_the_answer(parse):
    chapter, solutions = sources.split(parse(SOURCE), "02_fcn")
    assert [cell.cell_type for cell in chapter.cells] == [
        *("markdown", "code", "code", "markdown", "code", "code")
    ]
    stub = 'def add_one(x):\n    """Returns x + 1."""\n    pw.exercises.todo()'
    assert chapter.cells[4].source == stub
    assert "only_here" not in "".join(cell.source for cell in solutions.cells)
    answer = 'def add_one(x):\n    """Returns x + 1."""\n    one = 1\n    return x + one'
    assert solutions.cells[3].source == answer
    assert solutions.cells[0].source.startswith("# Solutions: A title\n")
    assert "(../02_fcn.ipynb)" in solutions.cells[0].source
    assert "(../02_fcn.ipynb#top) and [above](#top)" in solutions.cells[2].source
    for notebook in (chapter, solutions):
        nbformat.validate(notebook)
        assert notebook.cells[-1].metadata.tags == ["check", "nbval-check-output"]


def test_a_chapter_without_exercises_has_no_solutions(parse):
    text = SOURCE.split("# %% [markdown] tags")[0]
    assert sources.split(parse(text), "02_fcn")[1] is None


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    # END SOLUTION\n", "", "an answer stands between"),
        ("# BEGIN SOLUTION", "# END SOLUTION", "an answer stands between"),
        ('# %% [markdown] tags=["exercise"]', "# %% [markdown]", "needs its statement"),
        ('# %% tags=["check"]', "# %%", "needs its check"),
        ('pw.exercises.check("1")', 'pw.exercises.check("2")', "numbered 2, not from 1 on"),
        ('with pw.exercises.check("1"):', "if True:", "a check is written"),
        ("only_here = 1", "# BEGIN SOLUTION\n1\n# END SOLUTION", "without the tag 'exercise'"),
    ],
)
def test_an_exercise_without_one_of_its_parts_is_refused(parse, old, new, message):
    assert old in SOURCE
    with pytest.raises(sources.SourceError, match=message):
        sources.split(parse(SOURCE.replace(old, new)), "02_fcn")


def test_a_chapter_needs_a_title(parse):
    with pytest.raises(sources.SourceError, match="has to hold its title"):
        sources.title(parse("# %% [markdown]\n# No heading\n"))


def test_a_cell_keeps_its_identifier_when_others_come_before_it(parse):
    one, _ = sources.split(parse(SOURCE), "02_fcn")
    other, _ = sources.split(
        parse(SOURCE.replace("# %%\nonly", "# %%\nnew = 0\n\n# %%\nonly")), "x"
    )
    assert [cell.id for cell in one.cells] == [
        cell.id for cell in other.cells if cell.source != "new = 0"
    ]
    twice = sources.identify(new_notebook(cells=[new_code_cell("1"), new_code_cell("1")]))
    assert twice.cells[0].id != twice.cells[1].id


def test_what_is_out_of_step_is_named(parse):
    one, _ = sources.split(parse(SOURCE), "02_fcn")
    other, _ = sources.split(parse(SOURCE.replace("only_here = 1", "only_here = 2")), "02_fcn")
    assert sources.in_step(one, one) is None
    assert sources.in_step(one, other) == "cell 2 has another source than the source gives it"
    other.cells.pop()
    assert "gives 6 cells, the notebook has 5" in sources.in_step(one, other)


def executed(*outputs):
    cell = new_code_cell("x", execution_count=1, outputs=list(outputs))
    return new_notebook(cells=[new_markdown_cell("text"), cell])


def stream(text, name="stdout"):
    return new_output("stream", name=name, text=text)


@pytest.mark.parametrize(
    ("output", "what"),
    [
        (stream("hello", "stderr"), "the error stream"),
        (stream("x.py:1: UserWarning: old"), "a warning"),
        (stream("/home/someone/file"), "a path"),
        (stream("kept in /tmp/abc"), "a path"),
        (stream("lib/site-packages/keras/x.py"), "a path"),
        (stream("<Model object at 0x7f00aa11bb>"), "a memory address"),
        (stream(" 10%|#   | 1/10\r"), "a progress bar"),
        (stream("\x1b[1mbold\x1b[0m"), "terminal colours"),
        (stream("see SECRET/place"), "a path of this machine, SECRET"),
        (new_output("error", ename="ValueError", evalue="no", traceback=[]), "raises ValueError"),
        (
            new_output("display_data", data={"application/vnd.jupyter.widget-view+json": {}}),
            "a widget",
        ),
        (new_output("execute_result", data={"text/html": "<b>/home/reader/x</b>"}), "a path"),
    ],
)
def test_unfit_outputs_are_found(output, what):
    found = clean.complaints(executed(output), ["SECRET"])
    assert len(found) >= 1 and what in found[0], found


def test_fit_outputs_are_left_alone():
    picture = new_output("display_data", data={"image/png": "/tmp/0x7f00aa11bb=="})
    assert clean.complaints(executed(stream("mIoU 0.5, stride 1/2"), picture)) == []


def test_order_and_metadata_are_looked_at():
    notebook = executed()
    notebook.cells[1].execution_count = 3
    notebook.cells[1].metadata["execution"] = {"started": "now"}
    assert clean.complaints(notebook) == [
        "cell 1 carries the metadata execution",
        "cell 1 is number 3 in the run, not 1",
    ]


def test_formulas_become_mathml():
    text = (
        "With $a < b$ and `$none$`:\n\n$$\\begin{aligned} a &= b \\\\[4pt] c &= d \\end{aligned}$$"
    )
    formulas = webpage.formulas(text)
    assert [display for _, display in formulas] == ["inline", "block"]
    inline, block = (webpage.mathml(tex, display) for tex, display in formulas)
    assert inline.count("<mi>") == 2 and "&#x0003C;" in inline
    assert block.count("<mtr>") == 2 and "4" not in block


@pytest.mark.parametrize("tex", [r"\frac{1}{", r"\unheardof{x}", "a & b"])
def test_a_formula_without_mathml_is_an_error(tex):
    with pytest.raises(webpage.FormulaError, match="The formula"):
        webpage.mathml(tex)


def test_a_page_needs_no_network(tmp_path):
    notebook = executed(new_output("display_data", data={"image/png": "QUJD"}))
    links = "[on](02_fcn.ipynb#part), [solved](solutions/02_fcn.ipynb)"
    badge = "![a badge](https://example.org/b.svg)"
    notebook.cells[0].source = f"# T\n\n{links}, $x$, {badge}"
    page = webpage.page(notebook, "T & U", tmp_path, following="02_fcn")
    assert "<title>T &amp; U</title>" in page
    assert 'href="02_fcn.html#part"' in page
    assert 'href="../chapters/solutions/02_fcn.ipynb"' in page
    assert "data:image/png;base64,QUJD" in page
    assert "a badge" in page
    for part in ("<script", "<link", "@import", 'src="http', "url(http"):
        assert part not in page


def test_a_page_shows_a_formula_it_cannot_set(tmp_path):
    notebook = new_notebook(cells=[new_markdown_cell("Broken: $\\frac{1}{$ here.")])
    assert "<code>\\frac{1}{</code>" in webpage.page(notebook, "T", tmp_path)


RECORD = {("a", "test.iou"): 0.71249, ("a", "count"): 12345.0, ("a", "loss"): -0.5}


def lookup(file, key):
    if (file, key) not in RECORD:
        raise ValueError(f"The result {file!r} has no key {key!r}.")
    return RECORD[file, key]


@pytest.mark.parametrize(
    "text",
    [
        "0.712<!-- result a test.iou -->",
        "0.7<!-- result a test.iou -->",
        "71.2%<!-- result a test.iou -->",
        "71 %<!-- result a test.iou --> of",
        "12,345<!-- result a count -->",
        "12345<!-- result a count -->",
        "\u22120.5<!-- result a loss -->",
        "no number at all",
    ],
)
def test_marked_numbers_that_are_true_pass(text):
    assert markers.complaints(text, lookup) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.713<!-- result a test.iou -->", "0.713 should be 0.712 by results/a.json, test.iou"),
        ("71.3%<!-- result a test.iou -->", "71.3% should be 71.2%"),
        ("0.5<!-- result b test.iou -->", "0.5 has no value on record: The result 'b'"),
        ("about <!-- result a test.iou -->", "a mark does not follow a number"),
        ("0.712<!-- result a -->", "a mark does not follow a number or is misspelt"),
    ],
)
def test_marked_numbers_that_are_not_are_named(text, message):
    found = markers.complaints(text, lookup)
    assert len(found) == 1 and message in found[0], found


def test_marked_numbers_are_brought_up_at_their_precision():
    old = "IoU 0.9<!-- result a test.iou --> (90.0%<!-- result a test.iou -->), 1,000 scenes"
    new = "IoU 0.7<!-- result a test.iou --> (71.2%<!-- result a test.iou -->), 1,000 scenes"
    assert markers.refresh(old, lookup) == new
    assert markers.refresh(new, lookup) == new


def test_the_readme_table_stands_between_its_marks(tmp_path):
    book = layout.Book(tmp_path)
    headline = {"name": "test mIoU", "value": 0.51234, "floor": 0.45}
    record = {"seconds": 71.26, "peak_memory_mib": 1894, "headline": headline}
    records = {"02_fcn": {"quick": record}}
    counted = record | {"headline": {"name": "classes covered", "value": 10.0, "floor": 8}}
    records["06_gan"] = {"quick": counted}
    layout.write_text(book.results / "chapters.json", json.dumps(records))
    titles, recorded = {"02_fcn": "FCN", "06_gan": "GAN"}, {"02_fcn": 0.73149, "06_gan": 10.0}
    table = markers.chapter_table(book, titles, recorded, "https://github.com/o/n")
    row = table.splitlines()[2]
    assert row.startswith("| [02. FCN](chapters/02_fcn.ipynb) | 71 s, 1.8 GiB | \u2013 |")
    assert "| test mIoU 0.512 | 0.731 |" in row
    assert "| classes covered 10 | 10 |" in table.splitlines()[3]
    assert "github/o/n/blob/main/chapters/02_fcn.ipynb" in row
    text = "before\n<!-- chapters -->\nold\n<!-- /chapters -->\nafter\n"
    new = markers.rewrite_table(text, table)
    assert new == f"before\n<!-- chapters -->\n{table}<!-- /chapters -->\nafter\n"
    with pytest.raises(ValueError, match="README.md lacks the lines"):
        markers.rewrite_table("no marks", table)


@pytest.fixture
def clone(tmp_path):
    old = "https://github.com/old-owner/old"
    badge = "https://colab.research.google.com/github/old-owner/old/blob/main/chapters/00_a.ipynb"
    (tmp_path / "pyproject.toml").write_text(f'[project.urls]\nRepository = "{old}"\n')
    (tmp_path / "README.md").write_text(f"[badge]({badge}) {old}.git {old}er {old}/issues\n")
    (tmp_path / "CITATION.cff").write_text(f'url: "{old}"\n')
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config.toml").write_text(old)
    notebook = sources.identify(new_notebook(cells=[new_code_cell(f"git clone {old}")]))
    (tmp_path / "00_a.ipynb").write_text(sources.to_text(notebook))
    return tmp_path


def test_the_address_is_changed_everywhere(clone):
    changed = address.change(clone, "https://github.com/new/book.git/")
    names = [path.name for path in changed]
    assert names == ["00_a.ipynb", "CITATION.cff", "README.md", "pyproject.toml"]
    assert address.current(clone) == "https://github.com/new/book"
    readme = (clone / "README.md").read_text()
    assert "github/new/book/blob/main" in readme and "github.com/new/book/issues" in readme
    assert "https://github.com/old-owner/older" in readme, "another repository was changed"
    assert "old-owner" in (clone / ".git" / "config.toml").read_text()
    notebook = nbformat.read(clone / "00_a.ipynb", as_version=4)
    ids = [cell.id for cell in notebook.cells]
    assert notebook.cells[0].source == "git clone https://github.com/new/book"
    assert ids == [cell.id for cell in sources.identify(notebook).cells]


@pytest.mark.parametrize(
    "url", ["github.com/a/b", "https://gitlab.com/a/b", "https://github.com/a"]
)
def test_an_address_that_is_none_changes_nothing(clone, url):
    before = (clone / "README.md").read_text()
    with pytest.raises(ValueError, match="is no repository's address"):
        address.change(clone, url)
    assert (clone / "README.md").read_text() == before


def test_a_file_that_is_no_text_leaves_all_others_as_they_were(clone, sentence, tree):
    (clone / "notes.md").write_bytes(b"\xff\xfe")
    before = {name: (clone / name).read_bytes() for name in tree(clone) if "." in name[1:]}
    with pytest.raises(ValueError) as caught:
        address.change(clone, "https://github.com/new/book")
    assert "notes.md is no text" in sentence(caught)
    assert {name: (clone / name).read_bytes() for name in before} == before


@pytest.mark.parametrize("content", ["x =", "x = 1", "project = 3"])
def test_a_damaged_pyproject_has_no_address(clone, sentence, content):
    (clone / "pyproject.toml").write_text(content)
    with pytest.raises(ValueError) as caught:
        address.current(clone)
    assert "has no Repository" in sentence(caught)


@pytest.mark.parametrize("content", [b"", b'{\n "cells": [', b"{}", b"[]", b"\xff\xfe"])
def test_a_damaged_notebook_says_so(tmp_path, sentence, content):
    (tmp_path / "02_fcn.ipynb").write_bytes(content)
    with pytest.raises(ValueError) as caught:
        layout.read_notebook(tmp_path / "02_fcn.ipynb")
    text = sentence(caught)
    assert "02_fcn.ipynb is not a notebook" in text and "'pixelwise build 02_fcn'" in text


def test_a_source_that_is_no_text_says_so(tmp_path, sentence):
    (tmp_path / "02_fcn.py").write_bytes(b"# %%\n\xff\xfe")
    with pytest.raises(sources.SourceError) as caught:
        sources.read(tmp_path / "02_fcn.py")
    assert "02_fcn.py is no text" in sentence(caught)


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_a_damaged_state_of_the_runs_knows_nothing_and_is_replaced(tmp_path, content):
    book = layout.Book(tmp_path)
    book.build.mkdir()
    (book.build / "state.json").write_text(content)
    state, notebook = running._State(book, "smoke"), new_notebook()
    assert state.finished("02_fcn", notebook) is None
    state.forget("02_fcn")
    state.remember("02_fcn", state.fingerprint(notebook), {"status": "finished"})
    for kind in ("ipynb", "html"):
        (book.build / f"02_fcn.{kind}").write_text("")
    assert state.finished("02_fcn", notebook) == {"status": "finished"}


def test_occurrences_are_told_from_other_text():
    text = "https://github.com/a/b.git, https://raw.githubusercontent.com/c/d/main, github.com/e"
    assert address.occurrences(text) == ["a/b.git", "c/d"]
