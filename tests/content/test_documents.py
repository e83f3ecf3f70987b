"""The documents at the root: bibliography, errata, citation and licences."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]

CITATION_KEY = re.compile(r"\[@([A-Za-z0-9_:-]+)\]")
REQUIRED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "misc": {"author", "title", "year"},
}
ENTRY = "@misc{long2015fcn, author = {Long, J.}, title = {An {FCN}}, year = {2015}}\n"


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def closing_brace(text, start):
    """Returns the index of the brace that closes the one at `start`."""
    depth = 0
    for index in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[index], 0)
        if depth == 0:
            return index
    raise ValueError(f"the brace opened at character {start} is never closed")


def parse_fields(key, body):
    """Reads ``name = {value}, ...`` into a dictionary."""
    fields, position = {}, 0
    for match in re.finditer(r"(\w+)\s*=\s*\{", body):
        if match.start() < position:  # an equals sign inside a value
            continue
        if body[position : match.start()].strip() != ("," if fields else ""):
            raise ValueError(f"{key}: cannot read what stands before the field {match[1]}")
        end = closing_brace(body, match.end() - 1)
        if match[1] in fields:
            raise ValueError(f"{key}: the field {match[1]} stands twice")
        fields[match[1]] = body[match.end() : end].strip()
        position = end + 1
    if body[position:].strip() not in {"", ","}:
        raise ValueError(f"{key}: cannot read the end of the entry")
    return fields


def parse_bibliography(text):
    """Reads BibTeX into ``{key: (kind, fields)}``; whatever it cannot read is a ValueError."""
    entries, position = {}, 0
    while (start := text.find("@", position)) >= 0:
        between = text[position:start]
        if any(line.strip() and not line.startswith("%") for line in between.splitlines()):
            raise ValueError(f"text outside an entry: {between.strip()[:60]!r}")
        head = re.compile(r"@(\w+)\{([A-Za-z0-9_:-]+),").match(text, start)
        if head is None:
            raise ValueError(f"not the beginning of an entry: {text[start : start + 40]!r}")
        kind, key = head[1], head[2]
        if key in entries:
            raise ValueError(f"the key {key} stands twice")
        end = closing_brace(text, text.index("{", start))
        entries[key] = (kind, parse_fields(key, text[head.end() : end]))
        position = end + 1
    if text[position:].strip():
        raise ValueError(f"text after the last entry: {text[position:].strip()[:60]!r}")
    return entries


def cited_keys(text):
    return set(CITATION_KEY.findall(text))


@pytest.fixture(scope="module")
def bibliography():
    return parse_bibliography(read("BIBLIOGRAPHY.bib"))


@pytest.fixture(scope="module")
def errata_rows():
    """The rows of all tables of ERRATA.md as ``(header cells, row cells)``."""
    rows, header = [], None
    for line in read("ERRATA.md").splitlines():
        if not line.startswith("|"):
            header = None
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if header is None:
            header = cells
        elif set(line) - set("|- "):
            rows.append((header, cells))
    return rows


def test_bibliography_has_the_required_fields(bibliography):
    assert len(bibliography) >= 50
    for key, (kind, fields) in bibliography.items():
        assert kind in REQUIRED, f"{key}: unknown kind @{kind}"
        missing = REQUIRED[kind] - {name for name, value in fields.items() if value}
        assert not missing, f"{key}: {sorted(missing)} missing"
        assert re.fullmatch(r"(19|20)\d\d", fields["year"]), f"{key}: year {fields['year']}"


def test_bibliography_is_consistent(bibliography):
    eprints = {}
    for key, (_, fields) in bibliography.items():
        if "eprint" in fields:
            assert re.fullmatch(r"\d{4}\.\d{4,5}", fields["eprint"]), f"{key}: {fields['eprint']}"
            assert fields.get("archivePrefix") == "arXiv", f"{key}: eprint without archivePrefix"
            assert fields["eprint"] not in eprints, f"{key} and {eprints[fields['eprint']]}"
            eprints[fields["eprint"]] = key
        if "pages" in fields:
            assert re.fullmatch(r"\d+--\d+|e\d+", fields["pages"]), f"{key}: {fields['pages']}"
        year = re.search(r"\d{4}", key)
        assert year is None or year[0] == fields["year"], f"{key}: year {fields['year']}"


@pytest.mark.parametrize(
    "text, reason",
    [
        (ENTRY + ENTRY, "stands twice"),
        (ENTRY.rstrip()[:-1], "never closed"),
        (ENTRY.replace("2015}}", "2015}"), "never closed"),
        (ENTRY + "}", "after the last entry"),
        ("see @misc or [@key]\n" + ENTRY, "outside an entry"),
        ("% cited as [@key]\n" + ENTRY, "not the beginning of an entry"),
        (ENTRY.replace("},", "}", 1), "cannot read what stands before"),
        (ENTRY.replace("{2015}", "2015"), "cannot read the end"),
        (ENTRY.replace("title", "author"), "field author stands twice"),
    ],
)
def test_a_broken_bibliography_is_refused(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_bibliography(text)


def test_every_cited_key_exists(bibliography):
    documents = [ROOT / "ERRATA.md", *sorted((ROOT / "chapters" / "source").glob("*.py"))]
    for document in documents:
        unknown = cited_keys(document.read_text(encoding="utf-8")) - bibliography.keys()
        assert not unknown, f"{document.name} cites {sorted(unknown)}, not in BIBLIOGRAPHY.bib"


def test_every_row_of_the_errata_is_whole_and_has_a_source(errata_rows):
    assert [cells[0] for _, cells in errata_rows] == [
        str(number) for number in range(1, len(errata_rows) + 1)
    ]
    for header, cells in errata_rows:
        assert len(cells) == len(header), f"row {cells[0]} has {len(cells)} cells"
        assert all(cells), f"row {cells[0]} has an empty cell"
        assert cited_keys(cells[-1]), f"row {cells[0]} names no source"


def test_row_numbers_named_in_the_errata_exist(errata_rows):
    numbers = {cells[0] for _, cells in errata_rows}
    for _, cells in errata_rows:
        for named in re.findall(r"\(see ([\d, and]+)\)", " ".join(cells)):
            assert set(re.findall(r"\d+", named)) <= numbers - {cells[0]}, f"row {cells[0]}"


def test_citation_file():
    citation = yaml.safe_load(read("CITATION.cff"))
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert citation["title"].startswith("Pixelwise: ")
    assert citation["authors"] == [{"name": "The Pixelwise authors"}]
    assert citation["license"] == "Apache-2.0"
    assert citation["message"] and citation["abstract"] and citation["keywords"]
    assert isinstance(citation["date-released"], date)
    version = re.search(r'^__version__ = "(.+)"$', read("lib/pixelwise/__init__.py"), re.M)
    assert str(citation["version"]) == version[1]


def test_one_address():
    address = tomllib.loads(read("pyproject.toml"))["project"]["urls"]["Repository"]
    assert yaml.safe_load(read("CITATION.cff"))["repository-code"] == address
    for name in ("ERRATA.md", "LICENSE-TEXT"):
        found = re.findall(r"https://github\.com/[\w.-]+/[\w-]+", read(name))
        assert set(found) == {address}, f"{name}: {sorted(set(found))}"


def test_licence_of_the_code():
    licence = read("LICENSE")
    assert licence.split()[:4] == ["Apache", "License", "Version", "2.0,"]
    assert [f"\n   {number}. " in licence for number in range(1, 10)] == [True] * 9
    assert "END OF TERMS AND CONDITIONS" in licence
    assert "Copyright 2026 The Pixelwise authors" in licence
    assert "[name of copyright owner]" not in licence


def test_licence_of_the_text():
    licence = read("LICENSE-TEXT")
    assert "CC BY 4.0" in licence
    assert "https://creativecommons.org/licenses/by/4.0/legalcode" in licence
    assert re.findall(r"^Section (\d) -- ", licence, re.M) == list("12345678")
    assert "ShareAlike" not in licence and "NonCommercial" not in licence
