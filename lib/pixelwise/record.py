"""What a trained recipe leaves behind: its record and its checkpoint."""

import datetime
import os
import shutil
from pathlib import Path

import numpy as np

from pixelwise import machine, paths, results, runstate
from pixelwise.data import manifest


def make(plan, seed, steps, data_root, history, test):
    """Returns the record of a run for ``results.write``."""
    root = "" if data_root is None else f" --data-root {Path(data_root).name}"
    return results.plain(
        {
            "recipe": plan.name,
            "chapter": plan.chapter,
            "description": plan.description,
            "test": test,
            "seed": seed,
            "budget": "full" if steps == plan.steps else f"{steps} steps",
            "steps": steps,
            "batch_size": plan.training["batch_size"],
            "curve": _thin(history),
            "validation": history.validation,
            "versions": machine.versions(),
            "device": machine.device(),
            "seconds": round(history.seconds, 1),
            "peak_memory_mib": machine.peak_memory(),
            "commit": machine.commit(),
            "command": f"pixelwise train {plan.name} --seed {seed}{root}",
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        }
    )


def _thin(history, points=100):
    """Returns the loss curve in at most so many points, each the mean of its stretch."""
    stretches = np.array_split(np.arange(len(history.steps)), min(points, len(history.steps)))
    return {
        "step": [history.steps[stretch[-1]] for stretch in stretches],
        "loss": [round(float(np.mean(np.take(history.loss, s))), 5) for s in stretches],
    }


def keep(plan, record, weights_file):
    """Writes a record, and the checkpoint if its seed is the one that is embedded.

    Returns:
        The paths written.
    """
    seed = record["seed"]
    written = [results.write(plan.result_name(seed), record)]
    if seed == plan.checkpoint_seed:
        written.append(_embed(plan, weights_file, record["command"]))
    return written


def _embed(plan, weights_file, command):
    """Puts the weights in ``data/checkpoints/`` and lists them in the manifest."""
    name = f"checkpoints/{plan.checkpoint['file']}.npz"
    target = paths.data_dir() / name
    target.parent.mkdir(exist_ok=True)
    part = runstate.partial(target)
    try:
        shutil.copyfile(weights_file, part)
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    manifest.add(
        name,
        licence=plan.checkpoint.get("licence", "Apache-2.0"),
        origin=plan.checkpoint.get("origin", f"trained for this book: {plan.description}"),
        made_by=command,
    )
    return target
