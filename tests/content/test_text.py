"""What the text refers to: numbers on record, links, one address, the commands in the README."""

import re
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from packaging.requirements import Requirement

from pixelwise import budget, results
from pixelwise.book import address, markers, sources

COMMANDS = (
    "pip install -r requirements.txt && pixelwise run",
    "pip install -r requirements.txt && pytest",
)
# [text](target), ![text](target), src="target", href="target" and <https://target>
TARGETS = re.compile(
    r"""\]\(\s*<?([^)\s>]+)>?[^)]*\)|(?:src|href)=["']([^"']+)["']|<(https?:[^>]+)>"""
)


def texts(book):
    """Returns the files that people read, without the sources, whose notebooks are among them."""
    pages = [
        *book.root.glob("*.md"),
        *book.chapters.glob("*.ipynb"),
        *book.solutions.glob("*.ipynb"),
    ]
    return sorted(pages)


def written(book):
    """Returns the files in which prose is written."""
    return [
        *sorted(book.root.glob("*.md")),
        *(book.sources / f"{n}.py" for n in book.source_names()),
    ]


def without_code(text):
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def targets(text):
    return ["".join(match.groups("")) for match in TARGETS.finditer(without_code(text))]


def anchors(text):
    """Returns the anchors of the headings of a text, in GitHub's and in Jupyter's way."""
    found = set()
    for heading in re.findall(r"^#+\s+(.+?)\s*$", text, re.MULTILINE):
        plain = re.sub(r"[`*]|<!--.*?-->", "", heading)
        found.add(plain.replace(" ", "-").lower())
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-").lower())
    return found


def test_marked_numbers_are_on_record(book, prose):
    for path in written(book) + texts(book):
        found = markers.complaints(prose(path), results.get)
        assert not found, f"{path.name}: {found}"


def test_links_lead_somewhere(book, prose):
    for path in texts(book):
        for target in targets(prose(path)):
            where = f"{path.relative_to(book.root)}: {target}"
            parts = urlsplit(target)
            if parts.scheme in ("http", "https"):
                assert re.fullmatch(r"[\w-]+(\.[\w-]+)+(:\d+)?", parts.netloc), where
                continue
            assert parts.scheme in ("", "mailto"), where
            if parts.scheme == "mailto":
                continue
            file = (path.parent / parts.path).resolve() if parts.path else path
            assert file.is_relative_to(book.root) and file.exists(), where
            if parts.fragment and file.suffix in (".md", ".ipynb"):
                assert parts.fragment.lower() in anchors(prose(file)), where


def test_badges_open_their_own_chapter(book, prose):
    ours = address.slug(address.current(book.root))
    for path in book.chapters.glob("*.ipynb"):
        opened = re.findall(r"research\.google\.com/github/([^)\s]+)\)", prose(path))
        assert opened == [f"{ours}/blob/main/chapters/{path.name}"], path.name


def test_there_is_one_address(book):
    ours = address.slug(address.current(book.root))
    owner, repository = ours.split("/")
    for path in address.files(book.root):
        if path.is_relative_to(book.root / "tests"):
            continue
        for slug in address.occurrences(path.read_text(encoding="utf-8")):
            slug = slug.removesuffix(".git")
            related = slug.split("/")[0] == owner or slug.split("/")[1] == repository
            assert slug == ours or not related, f"{path.relative_to(book.root)}: {slug}"
    for file in ("CITATION.cff", "README.md", "chapters/source/_setup.py"):
        text = (book.root / file).read_text(encoding="utf-8")
        assert ours in address.occurrences(text), f"{file} does not give the address"


def test_the_readme_has_the_commands_and_the_chapters(book):
    text = (book.root / "README.md").read_text(encoding="utf-8")
    for command in COMMANDS:
        assert text.count(f"\n{command}\n") == 1, f"on a line of its own: {command}"
    titles = {
        name: sources.title(sources.read(book.sources / f"{name}.py"))
        for name in book.source_names()
    }
    recorded = {name: budget.recorded(name) for name in titles}
    table = markers.chapter_table(book, titles, recorded, address.current(book.root))
    assert markers.rewrite_table(text, table) == text, "run 'pixelwise results --readme'"


def test_the_text_names_no_machine(book, prose):
    for path in written(book) + texts(book):
        found = re.findall(r"/home/\w+|/Users/\w+|/root/\w*|/tmp/\w*", prose(path))
        assert not found, f"{path.name}: {found}"


def test_the_budget_knows_the_chapters(book):
    names = book.source_names()
    assert set(budget.TABLE) <= set(names)
    assert set(budget.HEADLINES) <= set(names)
    for name, entry in budget.HEADLINES.items():
        path = book.chapters / f"{name}.ipynb"
        code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells)
        assert f'headline("{name}"' in code, f"{name} does not show its headline figure"
        if entry.get("recorded"):
            results.get(*entry["recorded"].split(maxsplit=1))


def requirements(path):
    """Returns the requirements in a file, by name."""
    lines = [line.split("#")[0].strip() for line in Path(path).read_text().splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("-")]
    return {requirement.name.lower().replace("_", "-"): requirement for requirement in found}


def test_requirements_agree(book):
    text = (book.root / "requirements.txt").read_text()
    assert text.rstrip().splitlines()[-1] == "-e ."
    bounds = requirements(book.root / "requirements.txt")
    with open(book.root / "pyproject.toml", "rb") as file:
        needed = tomllib.load(file)["project"]["dependencies"]
    for requirement in map(Requirement, needed):
        assert bounds[requirement.name].specifier == requirement.specifier, requirement.name
    for lock in ("py311.txt", "colab.txt"):
        pinned = requirements(book.root / "requirements" / lock)
        assert len(pinned) > len(bounds)
        for name, bound in bounds.items():
            version = next(iter(pinned[name].specifier)).version
            assert bound.specifier.contains(version), f"{lock}: {name} {version}"
