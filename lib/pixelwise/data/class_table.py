"""The table of classes of your own pictures: which number or colour in a mask is which class.

One class a line, in one of three forms, with commas, semicolons, colons, tabs or blanks between the
fields; colours are ``red,green,blue`` or ``#rrggbb``::

    background                background,0              background,0,0,0
    leaf                      leaf,1                    leaf,#80c000

A name alone gets the number of its line, from 0. A first line of titles (``name,index``) is passed
over, and so are empty lines and lines that begin with ``#`` and are no colour. A class called
``void`` says which number or colour stands for pixels without a label.
"""

import re
from typing import NamedTuple

from pixelwise import checks
from pixelwise.data import listing, pictures
from pixelwise.data.colours import Legend, as_greys

NAMES = {"name", "class", "classes", "label", "class_name", "label_name"}
TITLES = NAMES | {
    *("index", "id", "value", "number", "colour", "color", "rgb", "hex"),
    *("r", "g", "b", "red", "green", "blue"),
}
SEPARATOR = re.compile(r"[,;:\t]")
COLOUR = re.compile(r"#[0-9A-Fa-f]{6}")
LARGEST = 65535  # a mask of sixteen bits


class Row(NamedTuple):
    """One class: its name, its number or ``(red, green, blue)``, ``None`` if neither is given."""

    name: str
    key: object
    where: str  # for sentences


def read(file, void=None):
    """Reads a table of classes.

    Args:
        file: ``Path`` of a text file, UTF-8.
        void: the number of pixels without a label; ``None`` is that of the class ``void`` if there
            is one, else 255 unless a class has it.

    Returns:
        ``(classes, legend)``: a tuple of the names, in the order of their numbers or, where they
        have colours, of their lines; and the ``colours.Legend`` by which class ``i`` of these gets
        the label ``i``.

    Raises:
        ValueError: naming the line that cannot be read, or the name, number or colour that is given
            twice.
    """
    rows, titles = [], True
    for number, line in enumerate(listing.read_text(file).splitlines(), start=1):
        line = line.strip()
        if not line or (line.startswith("#") and not COLOUR.match(line)):
            continue
        fields = {*_fields(line.lower())}
        if not (titles and fields <= TITLES and fields & NAMES):
            rows.append(_parse(line, f"line {number}", file))
        titles = False  # only the first line can have them
    return from_rows(rows, str(file), void)


def from_names(names, void=None):
    """Makes classes and legend of names alone: the first has the number 0.

    Args:
        names: list of names.
        void: as for ``read``.

    Returns, raises: as ``read``.
    """
    rows = [Row(str(name), None, f"place {i}") for i, name in enumerate(names)]
    return from_rows(rows, "The list classes", void)


def from_rows(rows, title, void=None):
    """Makes classes and legend of rows.

    Args:
        rows: list of ``Row``.
        title: what the table is called in sentences.
        void: as for ``read``.

    Returns, raises: as ``read``.
    """
    if rows and all(row.key is None for row in rows):
        rows = [row._replace(key=number) for number, row in enumerate(rows)]
    for row in rows:
        if type(row.key) is not type(rows[0].key):
            raise ValueError(
                f"{title} tells {rows[0].name!r} and {row.name!r} ({row.where}) apart in two ways: "
                "give each class a number, or each a colour, or names alone."
            )
    _check_twice(rows, title)
    marks = [row.key for row in rows if row.name.lower() == "void"]
    rows = [row for row in rows if row.name.lower() != "void"]
    if not 0 < len(rows) <= pictures.VOID:
        raise ValueError(f"{title} has {len(rows)} classes: give 1 to {pictures.VOID}, one a line.")
    if isinstance(rows[0].key, tuple):
        return _by_colour(rows, marks, title, void)
    return _by_number(sorted(rows, key=lambda row: row.key), marks, title, void)


def _by_colour(rows, marks, title, void):
    if void is not None:
        raise ValueError(
            f"void is {void!r}, but {title} has colours: leave void out, and give the table a line "
            "'void' with the colour of pixels without a label."
        )
    colours = {row.key: label for label, row in enumerate(rows)}
    colours |= dict.fromkeys(marks, pictures.VOID)
    return tuple(row.name for row in rows), Legend(title, {}, colours)


def _by_number(rows, marks, title, void):
    if void is not None:
        checks.whole("void", void, 0)
    names = {row.key: row.name for row in rows}
    if void is None and not marks and pictures.VOID not in names:
        void = pictures.VOID
    marks = marks if void is None else [*marks, void]
    for mark in marks:
        if mark in names or mark != marks[0]:
            other = f"class {names[mark]!r}" if mark in names else f"line 'void' ({marks[0]})"
            raise ValueError(f"void is {mark!r}, but {title} has a {other}: leave void out.")
    numbers = {row.key: label for label, row in enumerate(rows)}
    numbers |= dict.fromkeys(marks, pictures.VOID)
    return tuple(names.values()), Legend(title, numbers, as_greys(numbers))


def _check_twice(rows, title):
    """Refuses a name or a key that two rows have."""
    for what in ("name", "key"):
        first = {}
        for row in rows:
            value = getattr(row, what)
            if value in first:
                raise ValueError(
                    f"{title} has {value!r} twice, at {first[value]} and {row.where}: give each "
                    "class a name and a number or colour of its own."
                )
            first[value] = row.where


def _parse(line, where, file):
    """Reads one line: what is no number is the name, and the numbers are the key."""
    fields = _fields(line)
    numbers = [int(field) for field in fields if field.isdecimal()]
    for field in fields:
        numbers += bytes.fromhex(field[1:]) if COLOUR.fullmatch(field) else ()
    words = [field for field in fields if not (field.isdecimal() or COLOUR.fullmatch(field))]
    named = len(words) == 1 or (words and not SEPARATOR.search(line))
    fraction = any(re.fullmatch(r"[-+.\d]+", word) for word in words)
    largest = {0: 0, 1: LARGEST, 3: 255}.get(len(numbers), -1)
    if not named or fraction or max(numbers, default=0) > largest:
        raise ValueError(
            f"{file} cannot be read at {where}, {line!r}: write a name and a number (leaf,1) or a "
            "colour (leaf,128,192,0 or leaf,#80c000)."
        )
    key = tuple(numbers) if len(numbers) == 3 else numbers[0] if numbers else None
    return Row(" ".join(words), key, where)


def _fields(line):
    """Splits a line at its separators, at blanks if it has none; numbers are always apart."""
    fields = SEPARATOR.split(line) if SEPARATOR.search(line) else line.split()
    parts = []
    for field in fields:
        field = field.strip(" \"'()[]")
        parts += field.split() if re.fullmatch(r"[\d\s]+", field) else [field]
    return [part for part in parts if part]
