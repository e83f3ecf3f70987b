"""``pixelwise run``: executes the chapters in order and writes them to ``build/``.

On a CPU two chapters run at a time, each in a kernel of its own, which a thread waits for. What
goes on record is measured one chapter at a time.
"""

import contextlib
import datetime
import hashlib
import importlib.metadata
import json
import os
import platform
import queue
import subprocess
import sys
import time
from concurrent import futures

import psutil
from tqdm import tqdm

from pixelwise import budget as budgets
from pixelwise import checks, machine
from pixelwise.book import kernels, sources, webpage
from pixelwise.book.layout import read_notebook, select, write_text

INTERRUPTED = 130
AT_A_TIME = 2
MEMORY_GIB = 3  # what a chapter may need at its peak: chapter 2 does, see results/chapters.json
_PROBE = """
import json
from pixelwise import budget, machine
print(json.dumps({"budget": budget.current().name, "device": machine.device(),
                  "versions": machine.versions()}))
"""


def run(book, wanted=(), *, budget=None, resume=False, record=False, jobs=None, say=tqdm.write):
    """Executes chapters and writes notebooks and pages to ``build/``.

    Args:
        book: the book, a ``layout.Book``.
        wanted: the chapters; all when empty.
        budget: name of the budget; by default the one in force on this machine.
        resume: whether to skip chapters that were finished before and have not changed since.
        record: whether to write the measured figures to ``results/chapters.json``.
        jobs: how many chapters run at a time; by default what ``at_a_time`` finds.
        say: takes the lines that are printed.

    Returns:
        The exit status: 0, 1 if a cell failed or a headline figure missed its floor, 130 after
        Ctrl-C.
    """
    names = select(wanted, book.chapter_names())
    if not names:
        say(f"There are no notebooks in {book.chapters}: run 'pixelwise build' first.")
        return 1
    if jobs is not None:
        checks.whole("jobs", jobs)
        if record and jobs > 1:
            raise ValueError(
                f"jobs is {jobs}, and --record measures one chapter at a time: leave one of them "
                "out."
            )
    chosen = budget or os.environ.get(budgets.VARIABLE)
    unknown = not chosen or (jobs is None and len(names) > 1)
    found = probe(budget) if record or unknown else {}
    chosen = budgets.named(chosen or found["budget"]).name
    if jobs is None:
        jobs = 1 if record or len(names) == 1 else at_a_time(found["device"])
    if record:
        _read_record(book)  # a damaged one is found before the run, not after it
    rows, interrupted, start = {}, False, time.perf_counter()
    try:
        _run_all(book, names, chosen, resume, jobs, rows, say)
    except KeyboardInterrupt:
        interrupted = True
    seconds = time.perf_counter() - start
    rows = {name: rows[name] for name in names if name in rows}  # in order
    done = [name for name in rows if rows[name]["status"] == "finished"]
    if done or not interrupted:
        say(table(rows))
        if jobs > 1:
            say(
                f"{jobs} chapters ran at a time, together in {seconds:.0f} s; each took longer "
                "than it does alone.\n"
            )
    if record:
        write_record(book, {name: rows[name] for name in done}, chosen, found)
    if interrupted:
        say(
            f"Stopped: {len(done)} of {len(names)} chapters are finished in build/; "
            "'pixelwise run --resume' goes on from there."
        )
        return INTERRUPTED
    missed = [sentence for name in done for sentence in shortfalls(name, rows[name])]
    for sentence in missed:
        say(sentence)
    return 1 if missed or len(done) < len(names) else 0


def probe(budget=None):
    """Returns the budget in force, the device and the versions, found in a process of its own.

    The process that shows the progress bars loads no backend and holds no GPU.
    """
    environment = dict(os.environ)
    if budget is not None:
        environment[budgets.VARIABLE] = budget
    command = [sys.executable, "-c", _PROBE]
    found = subprocess.run(command, capture_output=True, text=True, env=environment)
    if found.returncode:
        lines = found.stderr.strip().splitlines() or ["no message"]
        raise ValueError(f"Keras cannot be used on this machine: {lines[-1]}")
    return json.loads(found.stdout.strip().splitlines()[-1])


def at_a_time(device):
    """Returns how many chapters a machine runs at a time without being in each other's way.

    A chapter keeps little more than one core busy: much of it is tracing, compiling and drawing.
    On a GPU the first would take all of its memory.

    Args:
        device: as ``machine.device`` names it.
    """
    room = psutil.virtual_memory().available / 2**30 / MEMORY_GIB
    if not device.startswith("CPU"):
        return 1
    return max(1, min(AT_A_TIME, machine.cores(), int(room)))


def _run_all(book, names, budget, resume, jobs, rows, say):
    """Executes the chapters in order, ``jobs`` at a time; ``rows`` gets what is known of each."""
    state = _State(book, budget)
    notebooks = {name: read_notebook(book.chapters / f"{name}.ipynb") for name in names}
    cells = sum(len(notebook.cells) for notebook in notebooks.values())
    book.build.mkdir(exist_ok=True)
    stop, marks, running = kernels.Stop(), {}, {}
    with (
        tqdm(total=cells, desc="the book", unit="cell", disable=None, leave=False) as overall,
        futures.ThreadPoolExecutor(jobs) as pool,
    ):
        lines = _Lines(jobs)
        for name, notebook in notebooks.items():
            kept = state.finished(name, notebook) if resume else None
            if kept is not None:
                rows[name] = kept
                overall.update(len(notebook.cells))
                say(f"{name}: finished before, skipped")
                continue
            state.forget(name)
            marks[name] = state.fingerprint(notebook)
            job = pool.submit(
                _run_one, book, name, names, notebook, budget, stop, lines, overall, say
            )
            running[job] = name
        try:
            pending = set(running)
            while pending:  # on Windows no wait without an end hears Ctrl-C
                done, pending = futures.wait(pending, 0.5, futures.FIRST_COMPLETED)
                for job in done:
                    name = running[job]
                    rows[name] = job.result()
                    if rows[name]["status"] == "finished":
                        state.remember(name, marks[name], rows[name])
        except BaseException:  # Ctrl-C, or a page that cannot be written
            stop()
            raise


def _run_one(book, name, names, notebook, budget, stop, lines, overall, say):
    """Executes one chapter, writes it and returns its row of the table."""
    log = book.build / f"{name}.log"
    row = {"status": "failed", "seconds": None, "peak_memory_mib": None, "headline": None}
    stop.check()
    log.unlink(missing_ok=True)
    with lines.bar(name, len(notebook.cells)) as bar:

        def after_cell():
            bar.update()
            overall.update()

        try:
            measured = kernels.execute(
                notebook, book.chapters, budget=budget, log=log, after_cell=after_cell, stop=stop
            )
        except kernels.CellFailed as failure:
            say(f"{name}: cell {failure.index} failed.\n\n{failure.source}\n\n{failure.error}\n")
        else:
            row = {
                "status": "finished",
                "seconds": round(measured.seconds, 1),
                "peak_memory_mib": round(measured.peak_memory_mib),
                "headline": headline(notebook),
            }
            say(f"{name}: {measured.seconds:.0f} s, build/{name}.html")
    _write(book, name, names, notebook)
    return row


class _Lines:
    """The lines of the terminal below the book's bar, one for each chapter that runs."""

    def __init__(self, count):
        self._free = queue.SimpleQueue()
        for line in range(1, count + 1):
            self._free.put(line)

    @contextlib.contextmanager
    def bar(self, name, cells):
        """Shows a chapter's bar on a free line, while the body runs."""
        line = self._free.get()
        try:
            with tqdm(
                total=cells, desc=name, unit="cell", position=line, disable=None, leave=False
            ) as bar:
                yield bar
        finally:
            self._free.put(line)


def _write(book, name, names, notebook):
    """Writes an executed notebook and its page to ``build/``."""
    place = names.index(name)
    page = webpage.page(
        notebook,
        sources.title(notebook),
        book.chapters,
        previous=names[place - 1] if place else None,
        following=names[place + 1] if place + 1 < len(names) else None,
    )
    write_text(book.build / f"{name}.ipynb", sources.to_text(notebook))
    write_text(book.build / f"{name}.html", page)


def headline(notebook):
    """Returns the headline figure that an executed notebook shows last, or None."""
    shown = [
        output.data[budgets.MIME]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if budgets.MIME in output.get("data", {})
    ]
    return dict(shown[-1]) if shown else None


def shortfalls(name, row):
    """Returns the sentences that say how a finished chapter falls short of its floor."""
    figure = row["headline"]
    if figure is None:
        if name in budgets.HEADLINES:
            return [f"{name} shows no headline figure: it has to call pw.budget.headline()."]
        return []
    if budgets.reached(figure):
        return []
    return [
        f"{name}: {figure['name']} is {budgets.number(figure['value'])} and has to reach "
        f"{budgets.number(figure['floor'])} in the {figure['budget']} budget."
    ]


def table(rows):
    """Returns the table that ends a run, as text."""
    head = ["chapter", "seconds", "peak MiB", "headline", "figure", "floor", "recorded"]
    lines = [head]
    for name, row in rows.items():
        if row["status"] != "finished":
            lines.append([name, "failed", "", "", "", "", ""])
            continue
        figure = row["headline"] or {}
        numbers = [figure.get(key) for key in ("value", "floor", "recorded")]
        lines.append(
            [name, f"{row['seconds']:.1f}", f"{row['peak_memory_mib']:.0f}"]
            + [figure.get("name", "")]
            + ["" if number is None else budgets.number(number) for number in numbers]
        )
    seconds = sum(row["seconds"] or 0 for row in rows.values())
    lines.append(["total", f"{seconds:.1f}", "", "", "", "", ""])
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    left = (0, 3)  # the columns of words; the others hold figures
    text = [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join(["", text[0], "-" * len(text[0]), *text[1:], ""])


def write_record(book, rows, budget, found):
    """Writes what finished chapters took and reached to ``results/chapters.json``.

    Args:
        book: the book.
        rows: the finished chapters' rows.
        budget: the budget they ran in; a chapter has one record for each.
        found: device and versions, see ``probe``.
    """
    path, records = _read_record(book)
    for name, row in rows.items():
        figure = row["headline"]
        records.setdefault(name, {})[budget] = {
            "seconds": row["seconds"],
            "peak_memory_mib": row["peak_memory_mib"],
            "headline": figure and {key: figure[key] for key in ("name", "value", "floor")},
            "device": found["device"],
            "versions": found["versions"],
            "command": f"pixelwise run {name} --budget {budget} --record",
            "date": datetime.date.today().isoformat(),
        }
    write_text(path, json.dumps(dict(sorted(records.items())), indent=2) + "\n")


def _read_record(book):
    """Returns the path of the chapters' record and what it holds."""
    path = book.results / "chapters.json"
    try:
        return path, json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"{path} is damaged ({error}): restore it with git.") from error


class _State:
    """What was finished by earlier runs, kept in ``build/state.json``."""

    def __init__(self, book, budget):
        self._path = book.build / "state.json"
        self._book, self._budget = book, budget
        self._library = _hash_of_library(book.root)

    def fingerprint(self, notebook):
        """Returns what a run depends on: the chapter's cells, the budget, the library, the data."""
        digest = hashlib.sha256(self._library)
        digest.update(self._budget.encode())
        for cell in notebook.cells:
            digest.update(f"\0{cell.cell_type}\0{cell.source}".encode())
        return digest.hexdigest()

    def finished(self, name, notebook):
        """Returns the row of a chapter that was finished and has not changed since, or None."""
        kept = self._read().get(name, {})
        pages = [self._book.build / f"{name}.{kind}" for kind in ("ipynb", "html")]
        same = kept.get("fingerprint") == self.fingerprint(notebook)
        return kept["row"] if same and all(page.exists() for page in pages) else None

    def remember(self, name, fingerprint, row):
        """Notes that a chapter is finished."""
        self._write(self._read() | {name: {"fingerprint": fingerprint, "row": row}})

    def forget(self, name):
        """Notes that a chapter is not finished."""
        kept = self._read()
        if kept.pop(name, None) is not None:
            self._write(kept)

    def _read(self):
        if not self._path.exists():
            return {}
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError:
            kept = None
        return kept if isinstance(kept, dict) else {}  # damaged: nothing is known to be finished

    def _write(self, kept):
        write_text(self._path, json.dumps(kept, indent=2) + "\n")


def _hash_of_library(root):
    """Returns a hash of all that a chapter's figures depend on besides its own cells."""
    digest = hashlib.sha256(platform.python_version().encode())
    digest.update(importlib.metadata.version("keras").encode())
    digest.update(os.environ.get("KERAS_BACKEND", "").encode())
    library = root / "lib"
    files = [*library.rglob("*.py"), *library.rglob("*.toml"), root / "data" / "MANIFEST.json"]
    for path in sorted(path for path in files if path.is_file()):
        digest.update(str(path.relative_to(root)).encode())
        digest.update(path.read_bytes())
    return digest.digest()
