"""Runs the cases of a suite one after another, each in a process of its own."""

import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pixelwise.bench import SUITES, building, case, table
from pixelwise.results import nearest

_SHOWN = ("network", "engine", "backend", "role", "note", "pictures")  # of a case, in its row
LIMIT = 1800  # seconds after which a case is given up
LIBRARY = Path(__file__).resolve().parents[2]


def run(
    name,
    *,
    size=None,
    runs=None,
    only=(),
    backends=(),
    threads=None,
    accelerator=False,
    say=print,
):
    """Runs a suite and prints its table row by row.

    Args:
        name: a key of ``SUITES``.
        size: side of the picture; ``None`` takes the suite's.
        runs: calls that are timed of each case, from 1; ``None`` takes the suite's.
        only: names of networks; empty runs all.
        backends: backends of Keras; empty runs all that are installed. Cases that others are
            divided by always run.
        threads: threads that may compute; ``None`` takes all processors that this process has.
        accelerator: ``True`` lets the cases see the machine's accelerator, which is hidden from
            them otherwise.
        say: takes the lines, as ``print``.

    Returns:
        dict with ``suite``, ``command``, ``title``, ``description``, ``seed``, ``size``, ``runs``,
        ``threads``, ``accelerator``, ``seconds`` and ``rows``: for each case a dict with its
        ``network``, ``engine``, ``backend``, ``role``, ``note`` and ``pictures``, and what
        ``worker.measure`` returned, or an ``error``.

    Raises:
        ValueError: if an argument is not possible.
    """
    if name not in SUITES:
        raise ValueError(f"There is no benchmark {name!r}: there are {', '.join(SUITES)}.")
    suite = importlib.import_module(SUITES[name])
    size = suite.SIZE if size is None else size
    runs = suite.RUNS if runs is None else runs
    threads = _processors() if threads is None else threads
    _check(size, suite.SMALLEST, runs, threads)
    cases = _chosen(suite.cases(), only, backends)
    shown = getattr(suite, "TABLE", table)
    started = time.perf_counter()
    rows = []
    with tempfile.TemporaryDirectory(prefix="pixelwise-bench-") as folder:
        for number, one in enumerate(cases):
            side = size if one.size is None else one.size
            if number == 0 or one.network != cases[number - 1].network:
                say(shown.head(one.network, one.title or suite.TITLE, side, threads, runs))
            job = {
                "build": one.build,
                "arguments": one.arguments,
                "imports": one.imports,
                "size": side,
                "runs": runs,
                "threads": threads,
                "reference": f"{folder}/{one.network}.npy" if one.compared else None,
                "tolerance": suite.TOLERANCE,
                "told_runs": one.told_runs,
            }
            row = {key: getattr(one, key) for key in _SHOWN}
            rows.append(row | _measured(one, job, Path(folder), accelerator))
            say(shown.line(rows[-1], rows))
    say(shown.foot(rows, suite.TOLERANCE))
    return {
        "suite": name,
        "command": f"pixelwise bench {name} --size {size} --runs {runs} --threads {threads}"
        + accelerator * " --accelerator",
        "title": suite.TITLE,
        "description": getattr(suite, "DESCRIPTION", None),
        "seed": building.SEED,
        "size": size,
        "runs": runs,
        "threads": threads,
        "accelerator": accelerator,
        "seconds": time.perf_counter() - started,
        "rows": rows,
    }


def _chosen(cases, only, backends):
    """The cases that were asked for, in their order."""
    networks = list(dict.fromkeys(one.network for one in cases))
    for wanted, known, what in ((only, networks, "network"), (backends, case.BACKENDS, "backend")):
        for word in wanted:
            if word not in known:
                raise ValueError(
                    f"There is no {what} {word!r} in this benchmark: {nearest(word, known)}."
                )
    chosen = [
        one
        for one in cases
        if (not only or one.network in only)
        and (not backends or one.role == case.YARDSTICK or one.backend in backends)
    ]
    if not chosen:
        raise ValueError(
            f"Nothing of this benchmark is left to run on {', '.join(backends)}: set KERAS_BACKEND "
            "to that backend, or leave out --backends."
        )
    return chosen


def _measured(one, job, folder, accelerator=False):
    """What the process of a case found out, or the reason why it found nothing."""
    reason = one.missing()
    if reason:
        return {"error": reason}
    job_file, result_file, log = (folder / name for name in ("job.json", "result.json", "log.txt"))
    job_file.write_text(json.dumps(job), encoding="utf-8")
    result_file.unlink(missing_ok=True)
    environment = {**os.environ, **one.environment(job["threads"], accelerator)}
    environment["PYTHONPATH"] = os.pathsep.join(
        filter(None, (str(LIBRARY), os.environ.get("PYTHONPATH")))
    )
    command = [sys.executable, "-m", "pixelwise.bench.worker", str(job_file), str(result_file)]
    with open(log, "w", encoding="utf-8") as output:
        try:
            done = subprocess.run(
                command, stdout=output, stderr=output, env=environment, timeout=LIMIT, check=False
            )
        except subprocess.TimeoutExpired:
            return {"error": f"it was not done after {LIMIT} s"}
    if result_file.exists():
        return json.loads(result_file.read_text(encoding="utf-8"))
    return {"error": _why(done.returncode, log)}


def _why(status, log):
    """Why a process ended without a result, in one line."""
    if status < 0:
        memory = ", for want of memory as it seems" if status == -9 else ""
        return f"its process was ended by signal {-status}{memory}"
    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["no message"]
    return f"its process ended with status {status}: {said[-1][:160]}"


def _check(size, smallest, runs, threads):
    for what, value, least in (
        ("size", size, smallest),
        ("runs", runs, 1),
        ("threads", threads, 1),
    ):
        if value < least:
            raise ValueError(f"--{what} is {value}: give a whole number from {least}.")
    if threads > _processors():
        raise ValueError(
            f"--threads is {threads}, but this process has {_processors()} processors: give at "
            "most that."
        )


def _processors():
    from pixelwise import machine

    return machine.cores()
