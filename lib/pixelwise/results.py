"""The recorded results: one JSON file in ``results/`` for each trained recipe and seed.

A number printed in the book's prose names a file and a key here. Files ``NAME-seed0.json``,
``NAME-seed1.json``, ... are runs of one recipe; their mean and standard deviation over the seeds
are read under the name ``NAME``.
"""

import difflib
import json
import math
import os
import re
import statistics

from pixelwise import paths

FIELDS = (
    "recipe",
    "test",
    "seed",
    "budget",
    "versions",
    "device",
    "seconds",
    "peak_memory_mib",
    "commit",
    "command",
    "date",
)
VERSIONS = ("python", "keras", "backend", "backend_version", "numpy")
_SEED = re.compile(r"(?P<name>.+)-seed(?P<seed>\d+)")


def names():
    """Returns the names of all recorded results, sorted."""
    return sorted(path.stem for path in paths.results_dir().glob("*.json"))


def read(name):
    """Reads a record.

    Args:
        name: name of a file in ``results/`` without ``.json``, or of a recipe recorded with
            several seeds, which gives ``aggregate(name)``.

    Returns:
        The record as a dict.

    Raises:
        ValueError: if there is no such record, with the nearest names, or if it is damaged.
    """
    path = paths.results_dir() / f"{name}.json"
    if name in names():
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise _damaged(name, f"is not valid JSON ({error})") from error
        if not isinstance(record, dict):
            raise _damaged(name, f"holds {type(record).__name__} where a table is expected")
        return record
    if _seeds(name):
        return aggregate(name)
    known = sorted({*names(), *(_recipe(n) for n in names())})
    raise ValueError(f"There is no result {name!r}: {nearest(name, known)}.")


def _damaged(name, what):
    return ValueError(
        f"The record results/{name}.json {what}: restore it with git or train the recipe again."
    )


def get(name, key):
    """Reads one value of a record.

    Args:
        name: as for ``read``.
        key: dotted path, for example ``"test.mean_iou"``; a number selects from a list. For a
            recipe with several seeds a metric has ``mean``, ``std`` and ``n``:
            ``"test.mean_iou.mean"``.

    Returns:
        The value.

    Raises:
        ValueError: if the record or the key does not exist, with the nearest keys.
    """
    record = read(name)
    value = record
    for part in key.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            hint = nearest(key, sorted(_keys(record)))
            raise ValueError(f"The result {name!r} has no key {key!r}: {hint}.")
    return value


def write(name, record):
    """Writes a record to ``results/NAME.json``, whole or not at all.

    Args:
        name: file name without ``.json``: letters, digits, ``_``, ``-``.
        record: dict with all of ``FIELDS``; arrays become lists, NaN becomes null.

    Returns:
        The path written.

    Raises:
        ValueError: if the name is odd or a field is missing.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ValueError(f"A result's name has letters, digits, '_' and '-' only, not {name!r}.")
    missing = [field for field in FIELDS if field not in record]
    missing += [f"versions.{v}" for v in VERSIONS if v not in record.get("versions", {})]
    if missing:
        raise ValueError(f"The record {name!r} is not complete: it lacks {', '.join(missing)}.")
    if not isinstance(record["test"], dict):
        raise ValueError(f"The record {name!r} needs a dict of metrics under 'test'.")
    text = json.dumps(plain(record), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    path = paths.results_dir() / f"{name}.json"
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def aggregate(name):
    """Takes mean and standard deviation over the seeds of a recipe.

    Args:
        name: the recipe's name; its records are ``NAME-seedK.json``.

    Returns:
        A dict with ``recipe``, ``seeds``, ``n`` and, with the structure of the records, ``test``
        and ``seconds``, where each number became ``{"mean", "std", "n"}``; ``std`` divides by
        n - 1 and is None for one seed.

    Raises:
        ValueError: if there is no record of this recipe.
    """
    files = _seeds(name)
    if not files:
        known = sorted({_recipe(n) for n in names() if _recipe(n) != n})
        raise ValueError(f"There are no seeds of {name!r} on record: {nearest(name, known)}.")
    return over_seeds(name, [read(file) for file in files])


def over_seeds(name, records):
    """Returns what ``aggregate`` does, for records at hand."""
    return {
        "recipe": name,
        "seeds": [record["seed"] for record in records],
        "n": len(records),
        "test": _spread([record["test"] for record in records]),
        "seconds": _spread([record["seconds"] for record in records]),
    }


def summary():
    """Lists what is on record, for a table.

    Returns:
        A list of dicts, one a recipe: ``recipe``, ``metric`` (its first metric), ``value``,
        ``std`` (None for one run), ``n``, ``seconds`` and ``peak_memory_mib`` (largest of the
        runs), ``device``, ``commit``, ``date`` and ``command`` (of the last run).
    """
    groups = {}
    for name in names():
        record = read(name)
        if "recipe" in record and "test" in record:  # not chapters.json
            missing = [field for field in FIELDS if field not in record]
            if missing or not isinstance(record["test"], dict):
                raise _damaged(name, f"lacks {', '.join(missing) or 'a table of metrics'}")
            groups.setdefault(record["recipe"], []).append(record)
    return [_row(name, records) for name, records in sorted(groups.items())]


def plain(value):
    """Turns arrays and NumPy numbers into lists and numbers, and NaN into None."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def nearest(wanted, known):
    """Says what is there instead of what was asked for, as the end of a sentence.

    Args:
        wanted: the name that does not exist.
        known: list of the names that do.

    Returns:
        Text without a full stop, such as ``"the nearest is fcn8s_wardrobe"``.
    """
    close = difflib.get_close_matches(str(wanted), known, n=3, cutoff=0.4)
    if len(close) == 1:
        return f"the nearest is {close[0]}"
    if close:
        return f"the nearest are {', '.join(close)}"
    return f"there are {', '.join(known[:12])}" if known else "there is none yet"


def _row(name, records):
    last = records[-1]
    metric = next((k for k, v in last["test"].items() if _is_number(v)), None)
    values = [r["test"][metric] for r in records if metric and _is_number(r["test"].get(metric))]
    return {
        "recipe": name,
        "metric": metric,
        "value": statistics.fmean(values) if values else None,
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "n": len(records),
        "seconds": max(record["seconds"] for record in records),
        "peak_memory_mib": max(record["peak_memory_mib"] for record in records),
        "device": last["device"],
        "commit": last["commit"],
        "date": last["date"],
        "command": last["command"],
    }


def _spread(values):
    first = values[0]
    if isinstance(first, dict):
        shared = [key for key in first if all(key in value for value in values)]
        return {key: _spread([value[key] for value in values]) for key in shared}
    if isinstance(first, list):
        return [_spread(list(items)) for items in zip(*values, strict=False)]
    numbers = [value for value in values if _is_number(value)]
    if not numbers:
        return first if all(value == first for value in values) else None
    return {
        "mean": statistics.fmean(numbers),
        "std": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "n": len(numbers),
    }


def _is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _recipe(name):
    match = _SEED.fullmatch(name)
    return match["name"] if match else name


def _seeds(name):
    files = [n for n in names() if n != name and _recipe(n) == name]
    return sorted(files, key=lambda file: int(_SEED.fullmatch(file)["seed"]))


def _keys(value, prefix=""):
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _keys(item, f"{prefix}.{key}" if prefix else key)
    else:
        yield prefix
