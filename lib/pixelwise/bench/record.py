"""The record of a benchmark in ``results/``."""

import datetime
import importlib.metadata
import platform

from pixelwise import machine, results
from pixelwise.bench import table

# Whose versions stand in a record, by the names that pip has for them.
PACKAGES = (
    "keras",
    "numpy",
    "tensorflow",
    "jax",
    "jaxlib",
    "torch",
    "torchvision",
    "openvino",
    "keras-cv",
)
MANY_RUNS = 50  # beyond which the record keeps the median of the calls and not each
_OFTEN_EMPTY = ("pictures", "parts_ms", "parts_ratio", "ratios")  # left out where there is nothing


def write(found):
    """Writes ``results/bench_SUITE.json``, or ``bench_SUITE_accelerator.json``.

    Its figures are read as ``test.NETWORK.ENGINE.median_ms``, ``...ratio``, ``...peak_mib``,
    ``...parts_ms.PART`` and so on; where a network has a yardstick on each backend, its ratio is to
    that of its own, and ``...ratios.YARDSTICK`` to each. ``test.slowest_ratio`` is the largest of
    the best ratios to every yardstick.

    Args:
        found: what ``runner.run`` returned.

    Returns:
        The path written.

    Raises:
        ValueError: if a case gave a wrong answer, or none of ours ran.
    """
    rows, accelerator = found["rows"], found.get("accelerator", False)
    name = f"bench_{found['suite']}" + accelerator * "_accelerator"
    wrong = next((row for row in rows if row.get("wrong")), None)
    if wrong:
        raise ValueError(
            f"Nothing was recorded, since {wrong['network']} is not the same network with "
            f"{wrong['engine']}: {wrong['error']}."
        )
    if not table.fastest(rows):
        raise ValueError("Nothing was recorded, since none of our networks ran: see the table.")
    done = [row for row in rows if "error" not in row]
    fields = {
        "recipe": name,
        "description": found.get("description")
        or f"Time and memory beside others' networks: {found['title']}.",
        "test": figures(rows),
        "seed": found["seed"],
        "budget": f"{found['runs']} calls at {found['size']} x {found['size']} pixels",
        "size": found["size"],
        "runs": found["runs"],
        "threads": found["threads"],
        "versions": versions(done),
        "device": machine.device() if accelerator else machine.processor(found["threads"]),
        "seconds": round(found["seconds"], 1),
        "peak_memory_mib": max(row["peak_mib"] for row in done),
        "commit": machine.commit(),
        "command": found["command"],
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    return results.write(name, fields)


def figures(rows):
    """Returns the figures of the rows as the record keeps them, by network and engine."""
    best = table.fastest(rows)
    against = table.best_ratios(rows)
    test = {} if None in against else {"slowest_ratio": round(max(against), 4)}
    for row in rows:
        kept = {k: v for k, v in row.items() if k not in ("network", "engine", "role", "backend")}
        if "error" not in row:
            kept["ratio"], kept["memory_ratio"] = table.ratios(row, rows)
            if row.get("pictures"):
                kept["pictures_a_second"] = table.pictures_a_second(row)
            kept["parts_ratio"] = table.part_ratios(row, rows)
            kept["ratios"] = table.beside(row, rows)
        kept = {k: v for k, v in kept.items() if v or k not in _OFTEN_EMPTY}
        if len(kept.get("runs_ms", ())) > MANY_RUNS:
            del kept["runs_ms"]
        kept = {k: v if k == "gap" else _rounded(v) for k, v in kept.items()}
        test.setdefault(row["network"], {})[row["engine"]] = kept
    for network, row in best.items():
        test[network]["fastest"] = row["engine"]
    return test


def _rounded(value):
    """A figure, or a dict of figures, with four digits behind the point."""
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 4) if isinstance(value, float) else value


def versions(rows):
    """Returns the versions of Python and of every library that took part, by pip's names."""
    known = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            known[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    used = sorted({row["backend"] for row in rows})
    return {
        **known,
        "backend": ", ".join(used),
        "backend_version": ", ".join(known.get(backend, "unknown") for backend in used),
    }
