"""``pixelwise run`` on a small book: what it writes, how it fails, stops and goes on."""

import functools
import json
import os
import re
import signal
import subprocess
import sys
import time

import nbformat
import pytest

from pixelwise.book import kernels, running, sources


@pytest.fixture
def built(book):
    """Returns the small book with its notebooks, which hold no outputs."""
    for name in book.source_names():
        chapter, _ = sources.split(sources.read(book.sources / f"{name}.py"), name)
        (book.chapters / f"{name}.ipynb").write_text(sources.to_text(chapter))
    return book


def run(book, *wanted, jobs=1, **options):
    lines = []
    status = running.run(book, wanted, budget="smoke", jobs=jobs, say=lines.append, **options)
    return status, "\n".join(lines)


def change(book, name, old, new):
    path = book.chapters / f"{name}.ipynb"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_run_writes_notebooks_and_pages_and_ends_with_a_table(built):
    status, said = run(built)
    assert status == 0
    executed = nbformat.read(built.build / "00_one.ipynb", as_version=4)
    assert [cell.execution_count for cell in executed.cells if cell.cell_type == "code"] == [
        *range(1, 6)
    ]
    page = (built.build / "00_one.html").read_text()
    assert "<math" in page and "data:image/png;base64," in page and 'href="01_two.html"' in page
    assert not re.search(r'(src|href)="https?:|<script', page)
    lines = [re.split(r"\s{2,}", line.strip()) for line in said.splitlines()]
    assert ["chapter", "seconds", "peak MiB", "headline", "figure", "floor", "recorded"] in lines
    row = next(line for line in lines if line[0] == "01_two" and len(line) > 2)
    assert row[3:] == ["accuracy", "0.500", "0.400", "0.900"]
    assert float(row[1]) > 0 and 20 < float(row[2]) < 2000


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")
def test_a_terminal_shows_a_bar_for_the_chapter_and_one_for_the_book(built):
    import fcntl
    import pty
    import struct
    import termios

    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = [sys.executable, "-m", "pixelwise.cli", "--root", str(built.root), "run", "0"]
    command += ["--budget", "smoke"]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=terminal)
    os.close(terminal)
    shown = os.read(master, 10**6).decode()
    os.close(master)
    assert done.returncode == 0
    assert re.search(r"the book: +\d+%.*\d+/7 ", shown) and re.search(r"00_one: +\d+%", shown)


def test_run_takes_one_chapter_by_its_number(built):
    status, _ = run(built, "1")
    assert status == 0
    assert (built.build / "01_two.html").exists()
    assert not (built.build / "00_one.html").exists()


def test_a_failing_cell_shows_its_chapter_its_source_and_its_error(built):
    change(built, "00_one", "side = 3", "side = 1 / 0")
    status, said = run(built)
    assert status == 1
    assert "00_one: cell 3 failed." in said
    assert "side = 1 / 0" in said and "ZeroDivisionError: division by zero" in said
    assert "\x1b" not in said
    assert re.search(r"^00_one +failed", said, re.MULTILINE)
    assert re.search(r"^01_two +\d", said, re.MULTILINE), "the other chapter is not run"


def test_a_dead_kernel_is_a_failing_cell(built):
    change(built, "00_one", "side = 3", "import os; os.kill(os.getpid(), 9)")
    status, said = run(built, "0")
    assert status == 1
    assert "The kernel died in this cell" in said


def test_a_headline_below_its_floor_is_said_and_fails(built):
    change(built, "01_two", '\\"floor\\": 0.4', '\\"floor\\": 0.6')
    status, said = run(built, "1")
    assert status == 1
    assert "01_two: accuracy is 0.500 and has to reach 0.600 in the smoke budget." in said


def test_resume_skips_what_is_finished_and_runs_what_changed(built):
    run(built)
    page = built.build / "00_one.html"
    first = page.stat().st_mtime_ns
    status, said = run(built, resume=True)
    assert status == 0
    assert said.count("finished before, skipped") == 2
    assert "accuracy" in said and page.stat().st_mtime_ns == first
    change(built, "00_one", "side = 3", "side = 1 + 2")
    _, said = run(built, resume=True)
    assert said.count("finished before, skipped") == 1
    assert page.stat().st_mtime_ns > first


def test_resume_runs_again_when_the_library_the_budget_or_a_page_changed(built):
    run(built, "1")
    (built.root / "lib").mkdir()
    (built.root / "lib" / "new.py").write_text("x = 1\n")
    assert "skipped" not in run(built, "1", resume=True)[1]
    assert "skipped" in run(built, "1", resume=True)[1]
    (built.build / "01_two.html").unlink()
    assert "skipped" not in run(built, "1", resume=True)[1]
    said = []
    running.run(built, ["1"], budget="quick", resume=True, say=said.append)
    assert not any("skipped" in line for line in said)


def test_a_run_without_resume_forgets_what_failed(built):
    run(built, "0")
    change(built, "00_one", "side = 3", "side = 1 / 0")
    run(built, "0")
    change(built, "00_one", "side = 1 / 0", "side = 3")
    assert "skipped" not in run(built, "0", resume=True)[1]


def test_record_writes_what_a_chapter_took_and_reached(built, monkeypatch):
    found = {"budget": "smoke", "device": "CPU", "versions": {"keras": "3"}}
    monkeypatch.setattr(running, "probe", lambda budget: found)
    run(built, record=True)
    records = json.loads((built.results / "chapters.json").read_text())
    record = records["01_two"]["smoke"]
    assert record["headline"] == {"name": "accuracy", "value": 0.5, "floor": 0.4}
    assert record["seconds"] > 0 and record["peak_memory_mib"] > 0
    assert record["device"] == "CPU" and record["versions"] == {"keras": "3"}
    assert records["00_one"]["smoke"]["headline"] is None


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_leaves_what_is_finished_and_resume_goes_on(built):
    change(
        built, "01_two", "import pixelwise as pw", "import pixelwise as pw, time; time.sleep(60)"
    )
    process, said = interrupted(built, 1, "01_two")
    assert process.returncode == 130, said
    assert "Stopped: 1 of 2 chapters are finished in build/" in said
    assert "Traceback" not in said
    assert (built.build / "00_one.html").exists()
    assert not (built.build / "01_two.html").exists()
    assert not kernels_left(process.pid)
    change(built, "01_two", "time.sleep(60)", "time.sleep(0)")
    status, said = run(built, resume=True)
    assert status == 0
    assert "00_one: finished before, skipped" in said


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
def test_ctrl_c_stops_all_that_run_at_a_time(built):
    change(built, "00_one", "side = 3", "import time; time.sleep(60)")
    change(
        built, "01_two", "import pixelwise as pw", "import pixelwise as pw, time; time.sleep(60)"
    )
    process, said = interrupted(built, 2, "00_one", "01_two")
    assert process.returncode == 130, said
    assert said.strip().startswith("Stopped: 0 of 2 chapters are finished in build/"), said
    assert not list(built.build.glob("*.html"))
    assert not kernels_left(process.pid)


def meet(folder, here, there):
    """Returns code that says it is here and waits until the other chapter is there."""
    return (
        f"import pathlib, time; pathlib.Path(r'{folder}/{here}').touch(); end = time.time() + 60\\n"
        f"\",\n    \"while not pathlib.Path(r'{folder}/{there}').exists():\\n"
        f"\",\n    \"    assert time.time() < end, 'alone'; time.sleep(0.1)"
    )


def test_two_chapters_run_at_a_time_and_the_table_keeps_their_order(built, tmp_path):
    one, two = meet(tmp_path, "one", "two"), meet(tmp_path, "two", "one")
    change(built, "00_one", "side = 3", f'side = 3; {one}\\n",\n    "time.sleep(2)')
    change(built, "01_two", "import pixelwise as pw", f"import pixelwise as pw; {two}")
    status, said = run(built, jobs=2)
    assert status == 0, said
    rows = [line.split()[0] for line in said.splitlines() if re.match(r"\d\d_\w+  ", line)]
    assert rows == ["00_one", "01_two"]
    assert re.search(r"^2 chapters ran at a time, together in \d+ s", said, re.MULTILINE)
    assert all((built.build / f"{name}.html").exists() for name in rows)
    assert run(built, jobs=2, resume=True)[1].count("finished before, skipped") == 2


def test_one_that_fails_leaves_the_other_running(built):
    change(built, "00_one", "side = 3", "side = 1 / 0")
    status, said = run(built, jobs=2)
    assert status == 1
    assert "00_one: cell 3 failed." in said and "ZeroDivisionError" in said
    assert re.search(r"^01_two +\d", said, re.MULTILINE), "the other chapter is not run"


def test_a_page_that_cannot_be_written_stops_the_run(built, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(running, "_write", full)
    change(built, "01_two", "import pixelwise as pw", "import pixelwise, time; time.sleep(60)")
    start = time.monotonic()
    with pytest.raises(OSError, match="No space left"):
        run(built, jobs=2)
    assert time.monotonic() - start < 50


def test_how_many_run_at_a_time(monkeypatch):
    memory = type("Memory", (), {"available": 16 * 2**30})
    monkeypatch.setattr(running.psutil, "virtual_memory", lambda: memory)
    monkeypatch.setattr(running.machine, "cores", lambda: 8)
    assert running.at_a_time("CPU, 8 cores, some") == 2
    assert running.at_a_time("GPU, some") == 1
    memory.available = 5 * 2**30
    assert running.at_a_time("CPU, 8 cores, some") == 1
    memory.available = 2**30
    assert running.at_a_time("CPU, 8 cores, some") == 1
    memory.available = 16 * 2**30
    monkeypatch.setattr(running.machine, "cores", lambda: 1)
    assert running.at_a_time("CPU, 1 cores, some") == 1


def test_a_record_is_taken_one_at_a_time(built):
    with pytest.raises(ValueError, match="measures one chapter at a time"):
        run(built, jobs=2, record=True)
    with pytest.raises(ValueError, match="jobs"):
        run(built, jobs=0)
    assert not (built.results / "chapters.json").exists()


def interrupted(book, jobs, *names):
    """Runs a book, presses Ctrl-C in these chapters; returns the process and what it said."""
    command = [sys.executable, "-m", "pixelwise.cli", "--root", str(book.root), "run"]
    process = subprocess.Popen(
        [*command, "--budget", "smoke", "--jobs", str(jobs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # Tests that run in the background of a shell are deaf to it, and so is what they start.
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    for name in names:
        wait_for(book.build / f"{name}.log")
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    return process, process.communicate(timeout=30)[0]


def wait_for(path, seconds=60):
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} does not appear"
        time.sleep(0.1)


def kernels_left(parent):
    """Returns the processes that belonged to the process group of a run that has ended."""
    import psutil

    return [
        process
        for process in psutil.process_iter(["ppid", "cmdline"])
        if process.info["ppid"] == parent and "ipykernel_launcher" in process.info["cmdline"]
    ]


def test_a_kernel_that_does_not_start_is_started_once_more(built, monkeypatch):
    right = kernels.ThisPython.kernel_spec.fget
    broken = kernels.KernelSpec(argv=[sys.executable, "-c", "raise SystemExit('port taken')"])
    tries = []

    def spec(failures):
        def kernel_spec(manager):
            return broken if manager in tries[:failures] else right(manager)

        return property(kernel_spec)

    init = kernels.ThisPython.__init__
    monkeypatch.setattr(
        kernels.ThisPython, "__init__", lambda self, **kw: (tries.append(self), init(self, **kw))[1]
    )
    monkeypatch.setattr(kernels.ThisPython, "kernel_spec", spec(1))
    assert run(built, "0")[0] == 0
    assert len(tries) == 2
    tries.clear()
    monkeypatch.setattr(kernels.ThisPython, "kernel_spec", spec(2))
    status, said = run(built, "0")
    assert status == 1
    assert "The kernel did not start" in said and "port taken" in said


def test_a_cell_that_takes_too_long_fails(built):
    cells = [nbformat.v4.new_code_cell("import time; time.sleep(9)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    with pytest.raises(kernels.CellFailed, match="It took over 1 seconds"):
        kernels.execute(notebook, built.chapters, budget="smoke", timeout=1)


def test_peak_memory_counts_what_a_cell_holds(built):
    cells = [nbformat.v4.new_code_cell("import time; x = bytearray(200 * 2**20); time.sleep(1)")]
    notebook = nbformat.v4.new_notebook(cells=cells)
    measured = kernels.execute(notebook, built.chapters, budget="smoke")
    assert 200 < measured.peak_memory_mib < 600
