"""Numbers in prose that were measured, and the README's table of chapters.

A measured number carries the place where it is on record::

    a test mIoU of 0.712<!-- result fcn8s_wardrobe test.mean_iou -->

names ``test.mean_iou`` of ``results/fcn8s_wardrobe.json``. It is printed to as many decimals as the
author wrote; with a percent sign before the comment it is a hundred times the value on record.
"""

import json
import re
from dataclasses import dataclass

from pixelwise import budget as budgets
from pixelwise.book.layout import write_text

_ANY = re.compile(r"<!--\s*result\b[^>]*-->")
_MARK = re.compile(
    r"(?P<number>[-\u2212]?\d[\d,]*(?:\.\d+)?)(?P<percent> ?%)?"
    r"<!-- result (?P<file>[\w-]+) (?P<key>[\w.-]+) -->"
)
_TABLE = re.compile(r"(<!-- chapters -->\n).*?(<!-- /chapters -->)", re.DOTALL)


@dataclass(frozen=True)
class Mark:
    """A number in prose and where it is on record: ``results/<file>.json``, dotted ``key``."""

    number: str
    percent: str
    file: str
    key: str

    def expected(self, value):
        """Returns the number as it has to be printed, at the precision that the author chose."""
        decimals = len(self.number.partition(".")[2])
        comma = "," if "," in self.number else ""
        return f"{value * 100 if self.percent else value:{comma}.{decimals}f}"


def marks(text):
    """Returns the marked numbers of a text."""
    return [_mark(match) for match in _MARK.finditer(text)]


def complaints(text, lookup):
    """Returns what is wrong with the marked numbers of a text, one sentence each.

    Args:
        text: prose with marks.
        lookup: takes a file and a key and returns the value on record, or raises ValueError.
    """
    found = []
    if len(_ANY.findall(text)) != len(marks(text)):
        odd = [mark for mark in _ANY.findall(text) if not _MARK.search(f"0{mark}")]
        found.append(f"a mark does not follow a number or is misspelt: {odd or _ANY.findall(text)}")
    for mark in marks(text):
        try:
            expected = mark.expected(float(lookup(mark.file, mark.key)))
        except (TypeError, ValueError) as error:
            found.append(f"{mark.number} has no value on record: {error}")
            continue
        if mark.number.replace("\u2212", "-") != expected:
            found.append(
                f"{mark.number}{mark.percent} should be {expected}{mark.percent} by "
                f"results/{mark.file}.json, {mark.key}"
            )
    return found


def refresh(text, lookup):
    """Returns a text with its marked numbers as they are on record, at the same precision."""

    def replace(match):
        mark = _mark(match)
        expected = mark.expected(float(lookup(mark.file, mark.key)))
        return match.group().replace(match["number"], expected, 1)

    return _MARK.sub(replace, text)


def refresh_files(book, lookup):
    """Brings the marked numbers of the README and the sources up to the record.

    Returns:
        The paths of the files that changed.
    """
    changed = []
    for path in [book.root / "README.md", *sorted(book.sources.glob("[0-9][0-9]_*.py"))]:
        if path.exists():
            old = path.read_text(encoding="utf-8")
            new = refresh(old, lookup)
            if new != old:
                write_text(path, new)
                changed.append(path)
    return changed


def chapter_table(book, titles, recorded, address):
    """Returns the README's table of chapters in markdown.

    Args:
        book: the book, for what the chapters took and reached, ``results/chapters.json``.
        titles: dict from a chapter's identifier to its title.
        recorded: dict from a chapter's identifier to the figure of its whole recipe, or None.
        address: the repository's address on GitHub.
    """
    path = book.results / "chapters.json"
    records = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    slug = address.removeprefix("https://github.com/")
    lines = [
        "| Chapter | On two cores | On a GPU | Headline figure | Recorded | Open |",
        "|---|---|---|---|---|---|",
    ]
    for name, title in titles.items():
        laptop, gpu = (records.get(name, {}).get(budget, {}) for budget in ("quick", "full"))
        whole = recorded.get(name)
        badge = (
            "[![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
            f"(https://colab.research.google.com/github/{slug}/blob/main/chapters/{name}.ipynb)"
        )
        cells = [f"[{name.split('_')[0]}. {title}](chapters/{name}.ipynb)"]
        cells += [_cost(laptop), _cost(gpu), _figure(laptop)]
        cells += ["\u2013" if whole is None else budgets.number(whole), badge]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def rewrite_table(text, table):
    """Returns a README with another table between ``<!-- chapters -->`` and its end mark.

    Raises:
        ValueError: if the README has no such marks.
    """
    if not _TABLE.search(text):
        raise ValueError("README.md lacks the lines '<!-- chapters -->' and '<!-- /chapters -->'.")
    return _TABLE.sub(lambda match: match[1] + table + match[2], text)


def _mark(match):
    """Returns the mark that a match of the pattern stands for."""
    return Mark(match["number"], match["percent"] or "", match["file"], match["key"])


def _cost(record):
    """Returns the time and the memory of a recorded run, or a dash."""
    if not record:
        return "\u2013"
    return f"{record['seconds']:.0f} s, {record['peak_memory_mib'] / 1024:.1f} GiB"


def _figure(record):
    """Returns the headline figure of a recorded run, or a dash."""
    figure = record.get("headline") if record else None
    return f"{figure['name']} {budgets.number(figure['value'])}" if figure else "\u2013"
