"""Runs one case in a process of its own, which ``runner.py`` starts.

    python -m pixelwise.bench.worker JOB.json RESULT.json

The process imports what the case needs, builds it, calls it once (where compilers compile), holds
the answer against the others' and then times as many calls as it is told, each until the answer is
a NumPy array.
"""

import importlib
import json
import os
import statistics
import sys
import time
from pathlib import Path

import numpy as np
import psutil

from pixelwise.allocator import keep_freed_memory


class WrongAnswer(ValueError):
    """A case computes something else than the others of its network."""


def main(job_file, result_file):
    """Reads a job, measures, and writes the result or the reason why there is none."""
    job = json.loads(Path(job_file).read_text(encoding="utf-8"))
    keep_freed_memory()  # as ``training.fit`` does, for others' cases too
    try:
        result = measure(**job)
    except WrongAnswer as error:
        result = {"error": str(error), "wrong": True}
    except Exception as error:  # whatever another library raises becomes a row of the table
        result = {"error": one_line(error)}
    Path(result_file).write_text(json.dumps(result), encoding="utf-8")


def measure(build, arguments, imports, size, runs, threads, reference, tolerance, told_runs=False):
    """Builds a case, checks it and times it.

    Args:
        build, arguments, imports: see ``case.Case``.
        size: side of the picture.
        runs: how many calls are timed, after two that are not.
        threads: how many threads, and processors, may compute.
        reference: path of the answer that this one must equal; if there is no such file, this
            answer is written there. ``None`` compares nothing.
        tolerance: largest difference, relative to the largest value of the reference.
        told_runs: see ``case.Case``.

    Returns:
        dict: ``median_ms``, ``best_ms`` and ``runs_ms`` of the timed calls, ``cpu_ms`` (median of
        what all threads together computed), ``build_s`` and ``first_s`` (the first call),
        ``before_mib`` (held when everything is imported and nothing is built), ``built_mib`` (held
        before the first call), ``peak_mib`` (largest that the process held until these calls were
        done), ``gap`` (None if this answer is the reference, or nothing is compared),
        ``parts_ms`` (median of each part of the computation, by its name) and the further figures
        of the case.

    Raises:
        WrongAnswer: if the answer is further from the reference than the tolerance.
    """
    keep_to(threads)
    for module in imports:
        importlib.import_module(module)
    from pixelwise import machine
    from pixelwise.results import plain

    memory = psutil.Process().memory_info
    before = memory().rss
    module, _, function = build.partition(":")
    builder = getattr(importlib.import_module(module), function)
    if told_runs:
        arguments = {**arguments, "runs": runs}
    built_s, call = _timed(lambda: builder(size=size, threads=threads, **arguments))
    call, parts, figures, *_ = (*(call if isinstance(call, tuple) else (call,)), dict, dict)
    built = memory().rss
    first_s, answer = _timed(call)
    gap = _compare(answer, reference, tolerance)
    call()
    seconds, cpu = [], []
    for _ in range(runs):
        started = time.process_time()
        seconds.append(_timed(call)[0])
        cpu.append(time.process_time() - started)
    peak = machine.peak_memory()
    return {
        "median_ms": 1e3 * statistics.median(seconds),
        "best_ms": 1e3 * min(seconds),
        "runs_ms": [round(1e3 * s, 2) for s in seconds],
        "cpu_ms": 1e3 * statistics.median(cpu),
        "build_s": round(built_s, 2),
        "first_s": round(first_s, 2),
        "before_mib": round(before / 2**20),
        "built_mib": round(built / 2**20),
        "peak_mib": peak,
        "gap": gap,
        "parts_ms": {name: _median_ms(part, runs) for name, part in parts().items()},
        **plain(figures()),
    }


def keep_to(threads):
    """Keeps this process to so many processors, where the system can (Linux)."""
    if hasattr(os, "sched_setaffinity"):
        allowed = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, allowed[:threads])


def one_line(error):
    """Returns an error in one line of at most 200 characters."""
    text = " ".join(str(error).split()) or "no message"
    text = text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
    return text if len(text) <= 200 else f"{text[:197]}..."


def _timed(function):
    started = time.perf_counter()
    value = function()
    return time.perf_counter() - started, value


def _median_ms(function, runs):
    """The median time of so many calls, after two that are not timed."""
    function()
    function()
    return 1e3 * statistics.median(_timed(function)[0] for _ in range(runs))


def _compare(answer, reference, tolerance):
    """The distance to the stored answer; stores this one if there is none."""
    if reference is None:
        return None
    if not Path(reference).exists():
        np.save(reference, answer)
        return None
    stored = np.load(reference)
    if stored.shape != answer.shape:
        raise WrongAnswer(f"its answer has the shape {answer.shape}, the first one {stored.shape}")
    gap = float(np.abs(answer - stored).max() / np.abs(stored).max())
    if not gap <= tolerance:  # nor if it is not a number
        raise WrongAnswer(f"its answer is {gap:.1e} away from the first one, more than {tolerance}")
    return gap


if __name__ == "__main__":
    main(*sys.argv[1:])
