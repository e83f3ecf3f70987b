"""The table of a benchmark, row by row."""

from pixelwise.bench.case import OURS, YARDSTICK

_COLUMNS = ("median ms", "best ms", "ratio", "CPU ms", "peak MiB", "ratio", "before", "gap")
_WIDTHS = (11, 10, 7, 9, 10, 7, 8, 9)
_DASH = "\u2013"


def head(network, title, size, threads, runs):
    """Returns the lines above the rows of a network."""
    columns = "".join(f"{name:>{width}}" for name, width in zip(_COLUMNS, _WIDTHS, strict=True))
    times = "1 call" if runs == 1 else f"{runs} calls"
    where = f"{threads} thread" if threads == 1 else f"{threads} threads"
    return f"\n{network}: {title}, {size} x {size} pixels, {where}, {times}\n{'':26}{columns}"


def line(row, rows):
    """Returns the row of a case, and one for each of its parts and of several yardsticks.

    Args:
        row: what ``runner.run`` knows of the case.
        rows: all rows so far, among which the yardstick of its network is looked for.
    """
    note = f"  {row['note']}" if row["note"] else ""
    if "error" in row:
        return f"  {row['engine']:24}not run: {row['error']}{note}"
    time, memory = ratios(row, rows)
    figures = (
        f"{row['median_ms']:.1f}",
        f"{row['best_ms']:.1f}",
        _ratio(time),
        f"{row['cpu_ms']:.0f}",
        str(row["peak_mib"]),
        _ratio(memory),
        str(row["before_mib"]),
        _DASH if row["gap"] is None else f"{row['gap']:.1e}",
    )
    text = "".join(f"{figure:>{width}}" for figure, width in zip(figures, _WIDTHS, strict=True))
    if row.get("pictures"):
        note = f"  {pictures_a_second(row):.1f} pictures a second{note}"
    lines = [f"  {row['engine']:24}{text}{note}"]
    for name, ratio in part_ratios(row, rows).items():
        time = f"{row['parts_ms'][name]:.1f}"
        lines.append(_below(name, time, ratio))
    if row["role"] != YARDSTICK:
        lines += [_below(f"to {name}", "", ratio) for name, ratio in beside(row, rows).items()]
    return "\n".join(lines)


def _below(name, time, ratio):
    """A line below the row of a case."""
    columns = zip((time, "", _ratio(ratio)), _WIDTHS, strict=False)
    return f"    {name:22}" + "".join(f"{text:>{width}}" for text, width in columns)


def foot(rows, tolerance):
    """Returns the lines below the table: what the columns mean, and the fastest of each network."""
    lines = [
        "",
        "ratio: to the first row of the network, or to the plain loop on the same backend, both",
        "called in turn where the suite can. CPU: what all threads together computed. peak: the",
        "largest memory that the process held, with its libraries and while it was built; before:",
        "what it held before the network was built.",
        "gap: the largest difference from the first answer, relative to its largest value; above",
        f"{tolerance} nothing is timed. Each case ran in a process of its own, without an",
        "accelerator.",
    ]
    for network, row in fastest(rows).items():
        time, _ = ratios(row, rows)
        share = (
            "" if time is None else f", {time:.2f} of the time of {_yardstick(row, rows)['engine']}"
        )
        lines.append(f"{network}: fastest with {row['engine']}, {row['median_ms']:.0f} ms{share}")
    return "\n".join(lines)


def ratios(row, rows):
    """Returns the time and the peak memory of a case divided by its yardstick's, or None twice.

    Where both were called in turn, that is the ratio of times.
    """
    yardstick = _yardstick(row, rows)
    if yardstick is None:
        return None, None
    time = row.get("ratio_in_turn", row["median_ms"] / yardstick["median_ms"])
    return time, row["peak_mib"] / yardstick["peak_mib"]


def part_ratios(row, rows):
    """Returns the times of a case's parts divided by those of its yardstick, or None, by name."""
    others = (_yardstick(row, rows) or {}).get("parts_ms", {})
    return {
        name: time / others[name] if name in others else None
        for name, time in row.get("parts_ms", {}).items()
    }


def pictures_a_second(row):
    """Returns how many pictures a case deals with in a second."""
    return 1e3 * row["pictures"] / row["median_ms"]


def fastest(rows):
    """Returns the fastest of our own cases by network (a dict; networks without are left out)."""
    best = {}
    for row in rows:
        if row["role"] == OURS and "error" not in row:
            held = best.get(row["network"])
            if held is None or row["median_ms"] < held["median_ms"]:
                best[row["network"]] = row
    return best


def beside(row, rows):
    """Returns the times of a case divided by those of each yardstick, by its engine.

    A dict; empty where its network has one yardstick only, so that ``ratios`` says all.
    """
    others = _yardsticks(row, rows)
    if len(others) < 2:
        return {}
    return {
        other["engine"]: row["median_ms"] / other["median_ms"]
        for other in others
        if "error" not in other
    }


def best_ratios(rows):
    """Returns the smallest ratio that ours have to each yardstick, for the record's worst.

    A list, with None for a network of ours without a measured yardstick.
    """
    best = {}
    for row in rows:
        if row["role"] == OURS and "error" not in row:
            time, other = ratios(row, rows)[0], _yardstick(row, rows)
            key = row["network"], other and other["engine"]
            best[key] = time if best.get(key) is None else min(time, best[key])
    return list(best.values())


def _yardsticks(row, rows):
    return [
        other for other in rows if other["network"] == row["network"] and other["role"] == YARDSTICK
    ]


def _yardstick(row, rows):
    """The measured row that a row is divided by, or None.

    It is the network's only yardstick, or of several that on the same backend.
    """
    others = _yardsticks(row, rows)
    if len(others) > 1:
        others = [other for other in others if other["backend"] == row["backend"]]
    return None if not others or "error" in others[0] else others[0]


def _ratio(value):
    return _DASH if value is None else f"{value:.2f}"
