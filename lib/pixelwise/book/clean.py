"""What must not stand in the outputs of a stored notebook."""

import re

LARGEST_BYTES = 2 * 10**6

# What a reader's page must not show, with the sentence that says why.
_UNWANTED = [
    (r"\w*Warning:|\bWARNING\b", "a warning"),
    (r"/home/\w|/Users/\w|/root/|/tmp/|/var/folders/|\b[A-Z]:\\\\?Users|site-packages", "a path"),
    (r"ipykernel_\d+|ipython-input-", "a kernel's temporary name"),
    (r"\bat 0x[0-9a-fA-F]{6,}", "a memory address"),
    (r"\r", "a progress bar"),
    (r"\x1b\[", "terminal colours"),
]
_WIDGET = "application/vnd.jupyter.widget-view+json"


def complaints(notebook, paths=()):
    """Returns what is wrong with the outputs of a notebook, one sentence each.

    Args:
        notebook: an executed notebook.
        paths: folders of this machine that must not be named, as text.
    """
    found, count = [], 0
    for index, cell in enumerate(notebook.cells):
        if extra := set(cell.metadata) - {"tags"}:
            found.append(f"cell {index} carries the metadata {', '.join(sorted(extra))}")
        if cell.cell_type != "code":
            continue
        count += 1
        if cell.execution_count != count:
            found.append(f"cell {index} is number {cell.execution_count} in the run, not {count}")
        for output in cell.outputs:
            found += [f"cell {index} {what}" for what in _output(output, paths)]
    return found


def texts(output):
    """Returns the texts that an output shows."""
    if output.output_type == "stream":
        return [output.text]
    data = output.get("data", {})
    return [text for kind, text in data.items() if kind.startswith("text/")]


def _output(output, paths):
    """Returns what is wrong with one output, as predicates of its cell."""
    if output.output_type == "error":
        return [f"raises {output.ename}: {output.evalue}"]
    found = []
    if output.output_type == "stream" and output.name == "stderr":
        found.append(f"writes to the error stream: {output.text.strip()[:200]!r}")
    if _WIDGET in output.get("data", {}):
        found.append("shows a widget, which a stored page cannot show")
    for text in texts(output):
        for pattern, what in _UNWANTED:
            if match := re.search(pattern, text):
                found.append(f"shows {what}: {_around(text, match)!r}")
        found += [f"shows a path of this machine, {path}" for path in paths if path in text]
    return found


def _around(text, match):
    """Returns a match with the text about it."""
    return text[max(0, match.start() - 40) : match.end() + 60].strip()
