"""The repository's address: it stands in ``pyproject.toml`` and is copied everywhere from there."""

import re
import tomllib

import nbformat

from pixelwise.book import sources
from pixelwise.book.layout import write_text

_ADDRESS = re.compile(r"https://github\.com/([\w.-]+/[\w.-]+)")
_TEXT = {".bib", ".cff", ".ipynb", ".json", ".md", ".py", ".toml", ".txt", ".yaml", ".yml"}
_HOSTS = r"(github\.com/|colab\.research\.google\.com/github/|raw\.githubusercontent\.com/)"


def current(root):
    """Returns the repository's address, from ``[project.urls]`` in ``pyproject.toml``.

    Raises:
        ValueError: if it does not stand there.
    """
    with open(root / "pyproject.toml", "rb") as file:
        try:
            return tomllib.load(file)["project"]["urls"]["Repository"]
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(
                f"{file.name} has no Repository in [project.urls] ({error}): restore it with git."
            ) from error


def slug(address):
    """Returns the ``owner/name`` of an address on GitHub.

    Raises:
        ValueError: if it is not such an address.
    """
    match = _ADDRESS.fullmatch(address.rstrip("/").removesuffix(".git"))
    if match is None:
        raise ValueError(
            f"{address!r} is no repository's address: write it as https://github.com/OWNER/NAME, "
            "since the Colab badges work with GitHub only."
        )
    return match[1]


def change(root, address):
    """Writes another address wherever the present one stands: text, code, notebooks and badges.

    Args:
        root: the clone.
        address: the new address, ``https://github.com/OWNER/NAME``.

    Returns:
        The paths of the files that changed.

    Raises:
        ValueError: if it is not such an address, or a file cannot be read; nothing is changed then.
    """
    new, old = slug(address), slug(current(root))
    pattern = re.compile(_HOSTS + re.escape(old) + r"(?![\w-])")
    rewritten = {}
    for path in files(root):
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text ({error}): restore it or remove it.") from error
        replaced = pattern.sub(lambda match: match[1] + new, text)
        if replaced == text:
            continue
        if path.suffix == ".ipynb":  # a cell's identifier follows from its text
            notebook = sources.identify(nbformat.reads(replaced, as_version=4))
            replaced = sources.to_text(notebook)
        rewritten[path] = replaced
    for path, text in rewritten.items():
        write_text(path, text)
    return list(rewritten)


def occurrences(text):
    """Returns the ``owner/name`` of each repository that a text addresses, on any of the hosts."""
    return [match[2] for match in re.finditer(_HOSTS + r"([\w.-]+/[\w.-]*\w)", text)]


def files(root):
    """Returns the text files of the repository in which an address may stand, sorted."""
    skipped = {"build", "node_modules"}
    found = []
    for path in root.rglob("*"):
        folders = path.relative_to(root).parts[:-1]
        hidden = any(part.startswith(".") or part in skipped for part in folders)
        if not hidden and path.is_file() and path.suffix in _TEXT:
            found.append(path)
    return sorted(found)
