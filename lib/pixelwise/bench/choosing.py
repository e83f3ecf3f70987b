"""The benchmark of chapter 9: all recorded models of the book side by side.

Segmenters answer the same test scenes of the wardrobe, one after another; each timed call is for
another scene, from a uint8 picture to a class map *and* objects of its size, and so many scenes are
measured as calls are timed (``--runs``). Scenes are of 128 x 128 pixels, the detectors' size. The
semantic networks were trained on 96 x 96, where garments are smaller; they see the scene shrunk to
that, as in their training, and answer at 128. So each is measured at its best on the same pixels.

Generative models draw one picture a call, and 64 a call besides. What their pictures are like is
read from results/, where the whole test set was measured.

All compute on the backend that ``KERAS_BACKEND`` names, TensorFlow if it names none.
"""

import itertools
import os
import statistics
import time

import numpy as np

from pixelwise.bench import choosing_table
from pixelwise.bench.case import OTHERS, OURS, Case
from pixelwise.bench.contestants import GENERATORS, SEGMENTERS

TITLE = "the recorded models of the book"
DESCRIPTION = "Quality, time and memory of the recorded models of the book on the same test scenes."
SIZE = 128
SMALLEST = 32
TOLERANCE = None  # nothing is compared: these are different networks
RUNS = 200
TABLE = choosing_table
HERE = "pixelwise.bench.choosing"
MANY = 64
MANY_RUNS = 5  # calls that draw so many

# What of a generative model's record stands in the table.
RECORDED = ("fid_garments", "precision", "recall", "classes", "elbo")


def cases():
    """Returns all cases: the segmenters, then the generative models."""
    backend = os.environ.get("KERAS_BACKEND") or "tensorflow"
    return [
        Case(
            network,
            name,
            backend,
            f"{HERE}:{network}",
            {"name": name},
            (backend, "keras"),
            role=OTHERS if entry.recipe is None else OURS,
            compared=False,
            note=entry.title,
            title=title,
            told_runs=True,
        )
        for network, entries, title in (
            ("segmentation", SEGMENTERS, "a test scene a call"),
            ("generation", GENERATORS, "a garment drawn a call"),
        )
        for name, entry in entries.items()
    ]


def segmentation(name, size, threads, runs):
    """Builds a segmenter that answers another scene at each call.

    Args:
        name: a key of ``contestants.SEGMENTERS``.
        size: side of the scenes in pixels.
        threads: without meaning here: the environment says it.
        runs: how many scenes there are.

    Returns:
        The call that is timed, its parts, of which there are none, and a function that returns the
        further figures.
    """
    from pixelwise import choosing

    entry, segmenter = SEGMENTERS[name], choosing.load(name)
    examples = choosing.scenes(runs, size)
    answers, turn = {}, itertools.count()

    def call():
        place = next(turn) % runs
        answers[place] = _packed(segmenter(examples[place].image))
        return answers[place][0]

    def figures():
        score = choosing.Score()
        for place, example in enumerate(examples):
            score.update(example, _unpacked(*answers[place]))
        found = score.result()
        return {**found, **trained(entry, getattr(segmenter, "model", None))}

    return call, dict, figures


def _packed(answer):
    """An answer in little memory, so that many can be kept until the peak is read."""
    masks = answer.objects["masks"]
    return answer.semantic.astype("uint8"), answer.objects | {"masks": np.packbits(masks, -1)}


def _unpacked(semantic, objects):
    from pixelwise.choosing import Answer

    masks = np.unpackbits(objects["masks"], -1, count=semantic.shape[1]).astype(bool)
    return Answer(semantic.astype("int32"), objects | {"masks": masks})


def generation(name, size, threads, runs):
    """Builds a generative model that draws another picture at each call.

    Args:
        name: a key of ``contestants.GENERATORS``.
        size, threads, runs: without meaning here.

    Returns:
        As ``segmentation``.
    """
    from pixelwise import choosing, results

    entry, model = GENERATORS[name], choosing.load_generator(name)
    seeds = itertools.count()

    def figures():
        on_record = results.read(entry.recipe)["test"]
        return {
            **{key: on_record.get(key) for key in RECORDED},
            "many": MANY,
            "many_ms": _many_ms(model),
            "encodes": hasattr(model, "encode"),
            "bounds_likelihood": on_record.get("elbo") is not None,
            "told_class": bool(model.num_classes),
            **trained(entry, model),
        }

    return lambda: model.sample(1, seed=next(seeds)), dict, figures


def _many_ms(model):
    """The median time of drawing many pictures at once, after a call that compiles it."""
    took = []
    for seed in range(MANY_RUNS + 1):
        started = time.perf_counter()
        model.sample(MANY, seed=seed)
        took.append(time.perf_counter() - started)
    return 1e3 * statistics.median(took[1:])


def trained(entry, model):
    """Returns what a model cost: ``parameters``, ``weights_kib``, ``steps``, ``train_seconds`` and
    ``trained_at`` (pixels); ``None`` is what does not apply.

    Args:
        entry: ``contestants.Entry``.
        model: its network, or ``None``.
    """
    from pixelwise import choosing, recipe, results
    from pixelwise.data import manifest

    if entry.recipe is None:
        keys = ("parameters", "weights_kib", "steps", "train_seconds", "trained_at")
        return dict.fromkeys(keys)
    plan, record = recipe.read(entry.recipe), results.read(entry.recipe)
    file = manifest.path(f"checkpoints/{plan.checkpoint['file']}.npz")
    sized = plan.data["name"] == "wardrobe"
    return {
        "parameters": int(getattr(model, "model", model).count_params()),
        "weights_kib": round(file.stat().st_size / 2**10),
        "steps": record["steps"],
        "train_seconds": record["seconds"],
        "trained_at": choosing.seen_side(entry.recipe) if sized else None,
    }
