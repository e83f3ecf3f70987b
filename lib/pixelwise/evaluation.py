"""Measures the recorded network of a recipe on all test pictures, with what may follow a network.

    pixelwise evaluate fcn8s_wardrobe --after crf --record

A chapter shows what a CRF or a second view brings on a few pictures; here it is measured on all of
them, and stands in ``results/RECIPE-AFTER.json``. Chapter 3.
"""

import datetime
import time

import numpy as np

from pixelwise import checks, inference, machine, recipe, results, weights
from pixelwise.models.crf import DenseCRF
from pixelwise.training import load_data


class Followed:
    """A segmentation network, and what its answers go through before they are measured.

    Args:
        model: pictures to logits.
        function: of the model and pictures float32 ``(batch, height, width, 3)`` in [0, 1], to
            scores ``(batch, height, width, classes)``, the largest of which is the answer.
    """

    def __init__(self, model, function):
        self.model, self.function = model, function
        self.layers = model.layers  # which say how small a picture may be

    def predict_on_batch(self, images):
        """Returns the scores of a batch of pictures."""
        return self.function(self.model, images)


def _crf(model, images):
    return DenseCRF().refine(model.predict_on_batch(images), images)


def _views(**options):
    def look(model, images):
        return np.stack([inference.probabilities(model, image, **options) for image in images])

    return look


# Name -> (what it is, its function for ``Followed``, None for none).
AFTER = {
    "nothing": ("as it is", None),
    "crf": ("refined by the fully connected CRF, which has its defaults", _crf),
    "mirror": ("averaged with the mirror image's answer", _views(flip=True)),
    "scales": (
        "averaged over the scales 0.75, 1 and 1.25 and the mirror image",
        _views(flip=True, scales=(0.75, 1.0, 1.25)),
    ),
}


def evaluate(recipe_name, *, after="nothing", data_root=None, write=False):
    """Measures the checkpoint of a recipe on the test split again.

    Args:
        recipe_name: name of a recipe that has a checkpoint, see ``pixelwise.recipe.names``.
        after: a key of ``AFTER``, what the network's answers go through.
        data_root: folder of a public data set, passed to its loader as ``root``.
        write: True puts the measurement on record as ``results/RECIPE-AFTER.json``.

    Returns:
        The record, a dict; ``written`` lists the files that were written.

    Raises:
        ValueError: if there is no such recipe, checkpoint or thing to follow, or the network as it
            is should be recorded, whose record the training wrote.
    """
    plan = recipe.read(recipe_name)
    checks.choice("after", after, AFTER)
    if write and after == "nothing":
        raise ValueError(
            f"The record of {plan.name} as it is was written by its training: say what comes "
            "after it, or record nothing."
        )
    measure = recipe.find(plan.evaluation, 2, f"[evaluation] of the recipe {plan.name}")
    model = recorded(recipe_name)
    data = load_data(plan, "test", plan.checkpoint_seed, data_root)
    what, function = AFTER[after]
    began = time.monotonic()
    found = measure(model if function is None else Followed(model, function), data)
    record = results.plain(_record(plan, after, what, found, time.monotonic() - began))
    written = [str(results.write(record["recipe"], record))] if write else []
    return record | {"written": written}


def recorded(recipe_name):
    """Builds the network of a recipe and gives it the recorded weights.

    Args:
        recipe_name: name of a recipe that has a checkpoint, see ``pixelwise.recipe.names``.

    Returns:
        What the recipe's ``[model]`` makes.

    Raises:
        ValueError: if there is no such recipe or checkpoint.
    """
    plan = recipe.read(recipe_name)
    if not plan.checkpoint:
        raise ValueError(
            f"The recipe {plan.name} keeps no checkpoint to measure: its training measures it."
        )
    model = recipe.make(plan.model, f"[model] of the recipe {plan.name}")
    return weights.checkpoint(model, plan.checkpoint["file"])


def _record(plan, after, what, found, seconds):
    return {
        "recipe": f"{plan.name}-{after}",
        "chapter": plan.chapter,
        "description": f"{plan.description}: the recorded weights, {what}.",
        "test": found,
        "seed": plan.checkpoint_seed,
        "budget": "full",
        "versions": machine.versions(),
        "device": machine.device(),
        "seconds": round(seconds, 1),
        "peak_memory_mib": machine.peak_memory(),
        "commit": machine.commit(),
        "command": f"pixelwise evaluate {plan.name} --after {after} --record",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
