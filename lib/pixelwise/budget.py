"""How much a chapter may spend: steps, sizes and pictures for a laptop, a GPU or a test.

No chapter says ``if quick``. It asks this file::

    steps = pw.budget.get("02_fcn", "steps")

There are three budgets. ``smoke`` runs every cell in seconds and is what the tests use; ``quick``
is for a laptop without a GPU; ``full`` is the recipe as recorded. The environment variable
``PIXELWISE_BUDGET`` chooses; without it, ``full`` is taken on a GPU and ``quick`` elsewhere.
"""

import functools
import os
from dataclasses import dataclass

from pixelwise.quiet import quiet

NAMES = ("smoke", "quick", "full")
VARIABLE = "PIXELWISE_BUDGET"
MIME = "application/vnd.pixelwise.headline+json"

# chapter -> key -> the value in each budget. Data only: a chapter asks for what stands here.
TABLE = {
    "00_start_here": {
        "batches": {"smoke": 3, "quick": 10, "full": 25},  # of 16 test scenes
    },
    "01_mathematics": {
        "samples": {"smoke": 20_000, "quick": 200_000, "full": 1_000_000},
    },
    "02_fcn": {
        "batch_size": {"smoke": 4, "quick": 8, "full": 16},
        "steps": {"smoke": 4, "quick": 320, "full": 6000},
        "classifier_pictures": {"smoke": 32, "quick": 400, "full": 400},
        "test_batches": {"smoke": 2, "quick": 25, "full": 25},  # of 16 test scenes
        "probe_steps": {"smoke": 1, "quick": 25, "full": 25},  # epochs over 64 scenes
    },
    "03_deeplab": {
        "batch_size": {"smoke": 4, "quick": 12, "full": 16},
        "steps": {"smoke": 3, "quick": 90, "full": 6000},
        "test_batches": {"smoke": 2, "quick": 25, "full": 25},  # of 16 test scenes
        "crf_pictures": {"smoke": 1, "quick": 4, "full": 64},  # test scenes
        "views_pictures": {"smoke": 1, "quick": 8, "full": 400},  # test scenes
        "norm_batches": {"smoke": 1, "quick": 2, "full": 25},  # of 16 test scenes
        "average_steps": {"smoke": 2, "quick": 5, "full": 10},
    },
    "04_mask_rcnn": {
        "batch_size": {"smoke": 2, "quick": 8, "full": 8},
        "steps": {"smoke": 3, "quick": 160, "full": 6000},
        "test_batches": {"smoke": 1, "quick": 13, "full": 50},  # of 8 test scenes
        "broken_batches": {"smoke": 1, "quick": 4, "full": 50},  # of 8 test scenes
    },
    "05_instance_segnet": {
        "batch_size": {"smoke": 2, "quick": 8, "full": 8},
        "steps": {"smoke": 3, "quick": 200, "full": 3000},
        "test_batches": {"smoke": 1, "quick": 10, "full": 50},  # of 8 test scenes
        "mistake_batches": {"smoke": 1, "quick": 4, "full": 50},  # of 8 test scenes
    },
    "06_gan": {
        "steps": {"smoke": 5, "quick": 900, "full": 5000},
        "width": {"smoke": 8, "quick": 32, "full": 32},
        "classes": {"smoke": None, "quick": None, "full": 10},  # told to both players
        "rate": {"smoke": 1e-3, "quick": 1e-3, "full": 5e-4},
        "average": {"smoke": None, "quick": None, "full": 0.999},
        "pictures": {"smoke": 200, "quick": 2000, "full": 2000},  # of the test set
        "toy_steps": {"smoke": 60, "quick": 1500, "full": 1500},
        "winning_steps": {"smoke": 10, "quick": 100, "full": 100},
    },
    "07_vae": {
        "batch_size": {"smoke": 16, "quick": 64, "full": 64},
        "steps": {"smoke": 6, "quick": 1000, "full": 4000},
        "dense_steps": {"smoke": 3, "quick": 240, "full": 3000},
        "test_batches": {"smoke": 1, "quick": 10, "full": 10},  # of 200 test pictures
        "samples": {"smoke": 100, "quick": 500, "full": 2000},  # drawn, and real ones beside them
        "bound_pictures": {"smoke": 3, "quick": 16, "full": 200},  # test pictures
        "bound_samples": {"smoke": 20, "quick": 500, "full": 5000},
        "search_steps": {"smoke": 3, "quick": 50, "full": 300},
    },
    "08_segment_then_generate": {
        "scenes": {"smoke": 8, "quick": 32, "full": 200},  # test scenes
        "steps": {"smoke": 3, "quick": 100, "full": 1500},
        "width": {"smoke": 8, "quick": 16, "full": 24},
        "judge": {"smoke": 0.0, "quick": 0.0, "full": 0.02},  # weight of the discriminator
        "rate": {"smoke": 2e-3, "quick": 2e-3, "full": 1e-3},
        "large": {"smoke": 2, "quick": 8, "full": 32},  # pictures with large holes
        "damaged": {"smoke": 2, "quick": 4, "full": 16},  # pictures with three damages
    },
    "09_choosing": {
        "scenes": {"smoke": 4, "quick": 24, "full": 200},  # test scenes
    },
}

# chapter -> its headline figure: what it is called, the floor that a run must reach in each budget
# (None: not checked), and where the recorded figure stands ("file key" in results/, or None for
# the figure of the last recorded run of the chapter). "lower" marks a figure that is better low.
HEADLINES = {
    "00_start_here": {
        "name": "test mIoU",
        "better": "higher",
        "floor": {"smoke": 0.60, "quick": 0.65, "full": 0.70},
        "recorded": "fcn8s_wardrobe test.mean_iou",
    },
    "01_mathematics": {
        "name": "digits agreed, worst equation",
        "better": "higher",
        "floor": {"smoke": 5.0, "quick": 5.0, "full": 5.0},
        "recorded": None,
    },
    "02_fcn": {
        "name": "test mIoU",
        "better": "higher",
        "floor": {"smoke": 0.10, "quick": 0.45, "full": 0.70},
        "recorded": "fcn8s_wardrobe test.mean_iou",
    },
    "03_deeplab": {
        "name": "test mIoU",
        "better": "higher",
        "floor": {"smoke": 0.05, "quick": 0.36, "full": 0.74},
        "recorded": "deeplabv3plus_wardrobe test.mean_iou",
    },
    "04_mask_rcnn": {
        "name": "mask AP50",
        "better": "higher",
        "floor": {"smoke": None, "quick": 0.50, "full": 0.82},
        "recorded": "mask_rcnn_wardrobe test.mask_ap50",
    },
    "05_instance_segnet": {
        "name": "mask AP50",
        "better": "higher",
        "floor": {"smoke": None, "quick": 0.20, "full": 0.70},
        "recorded": "instance_segnet_wardrobe test.mask_ap50",
    },
    "06_gan": {
        "name": "classes covered",
        "better": "higher",
        "floor": {"smoke": None, "quick": 8, "full": 9},
        "recorded": "dcgan_garments test.classes",
    },
    "07_vae": {
        "name": "test ELBO",
        "better": "higher",
        "floor": {"smoke": None, "quick": -253.5, "full": -246.0},  # nats a picture
        "recorded": "vae_garments test.elbo",
    },
    "08_segment_then_generate": {
        "name": "PSNR gain over biharmonic, dB",
        "better": "higher",
        "floor": {"smoke": 0.0, "quick": 0.45, "full": 0.6},
        "recorded": None,
    },
    "09_choosing": {
        "name": "test mIoU",
        "better": "higher",
        "floor": {"smoke": 0.50, "quick": 0.70, "full": 0.74},
        "recorded": "bench_choosing test.segmentation.deeplabv3plus.mean_iou",
    },
}


@dataclass(frozen=True)
class Budget:
    """One of the three budgets.

    Attributes:
        name: ``"smoke"``, ``"quick"`` or ``"full"``.
    """

    name: str

    def pick(self, chapter, key):
        """Returns the value that a chapter asks for, in this budget.

        Args:
            chapter: identifier of the chapter, such as ``"02_fcn"``.
            key: what is asked for, such as ``"steps"``.

        Raises:
            ValueError: if the table has no such chapter or no such key.
        """
        return _entry(_entry(TABLE, chapter, "chapter"), key, f"key of {chapter}")[self.name]


def current():
    """Returns the budget in force: ``PIXELWISE_BUDGET``, else ``full`` on a GPU, else ``quick``.

    Raises:
        ValueError: if ``PIXELWISE_BUDGET`` holds something else than a budget's name.
    """
    chosen = os.environ.get(VARIABLE, "").strip()
    if chosen:
        return named(chosen)
    return Budget("quick" if accelerator() is None else "full")


def named(name):
    """Returns the budget of that name.

    Raises:
        ValueError: if there is no such budget.
    """
    if name not in NAMES:
        raise ValueError(f"{VARIABLE} is {name!r}: choose smoke, quick or full.")
    return Budget(name)


def get(chapter, key):
    """Returns the value that a chapter asks for, in the budget in force; see ``Budget.pick``."""
    return current().pick(chapter, key)


@functools.cache
def accelerator():
    """Returns the device on which Keras computes if it is not a CPU, such as ``"GPU:0"``.

    The answer comes from a small product computed by the backend in use, so that it says where
    the arithmetic happens and not what is plugged in. Returns None on a CPU.
    """
    with quiet():
        import keras

    product = keras.ops.matmul(keras.ops.ones((2, 2)), keras.ops.ones((2, 2)))
    device = str(product.device)
    if not any(word in device.lower() for word in ("gpu", "cuda", "rocm", "tpu", "mps", "xpu")):
        return None
    return device.split("device:")[-1]


def headline(chapter, value, name=None):
    """Shows the figure that a chapter is measured by, beside its floor and the recorded one.

    Args:
        chapter: identifier of the chapter, such as ``"02_fcn"``.
        value: the measured figure, a float.
        name: what the figure is; by default the name in ``HEADLINES``.

    Returns:
        None. One line is shown; in a notebook it carries the figure as data, which
        ``pixelwise run`` reads and holds against the floor.

    Raises:
        ValueError: if ``HEADLINES`` has no such chapter, or calls its figure by another name.
    """
    entry = _entry(HEADLINES, chapter, "headline")
    if name is not None and name != entry["name"]:
        raise ValueError(
            f"The headline of {chapter} is {entry['name']!r}, not {name!r}: "
            "use that name or change HEADLINES in pixelwise/budget.py."
        )
    figure = {
        "chapter": chapter,
        "name": entry["name"],
        "value": float(value),
        "floor": entry["floor"][current().name],
        "recorded": recorded(chapter),
        "budget": current().name,
        "better": entry.get("better", "higher"),
    }
    _show(describe(figure), figure)


def reached(figure):
    """Returns whether a headline figure (a dict, see ``headline``) is as good as its floor."""
    if figure["floor"] is None:
        return True
    if figure["better"] == "lower":
        return figure["value"] <= figure["floor"]
    return figure["value"] >= figure["floor"]


def describe(figure):
    """Returns the line that says what a headline figure is, its floor and the recorded figure."""
    bound = "ceiling" if figure["better"] == "lower" else "floor"
    parts = [f"{figure['budget']} budget"]
    if figure["floor"] is not None:
        parts.append(f"{bound} {number(figure['floor'])}")
    if figure["recorded"] is not None:
        parts.append(f"recorded {number(figure['recorded'])}")
    line = f"{figure['name']}: {number(figure['value'])} ({', '.join(parts)})"
    return line if reached(figure) else f"{line}: {bound} not reached"


def number(value):
    """Returns a figure as text: three decimals below 100, one above, none for a count."""
    if float(value).is_integer():
        return f"{value:.0f}"
    return f"{value:.3f}" if abs(value) < 100 else f"{value:.1f}"


def recorded(chapter):
    """Returns the recorded figure that stands beside a chapter's headline, or None."""
    from pixelwise import results

    key = HEADLINES.get(chapter, {}).get("recorded")
    key = key or f"chapters {chapter}.full.headline.value"
    file, dotted = key.split(maxsplit=1)
    try:
        return float(results.get(file, dotted))
    except (FileNotFoundError, KeyError, ValueError):
        return None


def _entry(table, key, what):
    """Returns ``table[key]``, or says what the table holds."""
    if key not in table:
        raise ValueError(f"There is no {what} {key!r}: there are {', '.join(table)}.")
    return table[key]


def _show(line, figure):
    """Shows a line; in a notebook, with the figure as data."""
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = None
    if get_ipython is None or get_ipython() is None:
        print(line)
    else:
        display({"text/plain": line, MIME: figure}, raw=True)
