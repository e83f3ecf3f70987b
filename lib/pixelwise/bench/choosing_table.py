"""The table of the benchmark ``choosing``: quality first, then what it costs."""

_DASH = "\u2013"
# By network: heading, key of the row, digits behind the point, what it is multiplied by.
COLUMNS = {
    "segmentation": (
        ("mean IoU", "mean_iou", 3, 1),
        ("mask AP", "mask_ap", 3, 1),
        ("AP50", "mask_ap50", 3, 1),
        ("ms", "median_ms", 1, 1),
        ("peak MiB", "peak_mib", 0, 1),
        ("million", "parameters", 2, 1e-6),
        ("KiB", "weights_kib", 0, 1),
        ("steps", "steps", 0, 1),
        ("trained s", "train_seconds", 0, 1),
        ("at px", "trained_at", 0, 1),
    ),
    "generation": (
        ("FID", "fid_garments", 2, 1),
        ("precision", "precision", 2, 1),
        ("recall", "recall", 2, 1),
        ("classes", "classes", 0, 1),
        ("ELBO", "elbo", 0, 1),
        ("ms", "median_ms", 1, 1),
        ("ms of 64", "many_ms", 1, 1),
        ("peak MiB", "peak_mib", 0, 1),
        ("million", "parameters", 2, 1e-6),
        ("KiB", "weights_kib", 0, 1),
        ("trained s", "train_seconds", 0, 1),
    ),
}
_WIDTH = 10


def head(network, title, size, threads, runs):
    """Returns the lines above the rows of a network."""
    columns = "".join(f"{column[0]:>{_WIDTH}}" for column in COLUMNS[network])
    where = f"{threads} thread" if threads == 1 else f"{threads} threads"
    calls = "1 call" if runs == 1 else f"{runs} calls"
    pixels = f", {size} x {size} pixels" if network == "segmentation" else ""
    return f"\n{network}: {title}{pixels}, {where}, {calls}\n{'':20}{columns}"


def line(row, rows):
    """Returns the row of a model; ``rows``, all so far, are not looked at."""
    if "error" in row:
        return f"  {row['engine']:18}not run: {row['error']}"
    texts = (_figure(row.get(key), *form) for _, key, *form in COLUMNS[row["network"]])
    return f"  {row['engine']:18}" + "".join(f"{text:>{_WIDTH}}" for text in texts)


def foot(rows, tolerance):
    """Returns the lines below the table, which say what the columns mean."""
    return "\n".join(
        [
            "",
            "ms: median of the calls, one picture each. peak: the largest memory that the process",
            "held, with its libraries. million: parameters. KiB: the checkpoint. trained: seconds",
            "on record. FID, precision, recall, classes and ELBO are those on record. Each model",
            "ran in a process of its own.",
        ]
    )


def _figure(value, digits, factor):
    return _DASH if value is None else f"{value * factor:.{digits}f}"
