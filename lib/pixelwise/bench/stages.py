"""The stages of our Mask R-CNN as models of their own, so that each can be timed."""

import functools

import keras
import numpy as np

from pixelwise import detection
from pixelwise.nn.masks import paste

LEVELS = ("P2", "P3", "P4", "P5", "P6")


def body_and_fpn(detector, size, given):
    return dict(detector.backbone(given["pictures"]))


def proposals(detector, size, given):
    regions, objectness = detector.propose(detector.judge_anchors(_levels(given)), *size)
    return {"regions": regions, "objectness": objectness}


def boxes(detector, size, given):
    return detector.choose(_levels(given), given["regions"], given["objectness"], *size)


def masks(detector, size, given):
    logits = detector.segment(_levels(given), given["boxes"])
    return {"masks": detector.mask_probabilities(logits, given["classes"])}


def _levels(given):
    return {name: given[name] for name in LEVELS}


# Name -> the computation, and what it takes of what the stages before returned.
STAGES = {
    "body_and_fpn": (body_and_fpn, ("pictures",)),
    "proposals": (proposals, LEVELS),
    "boxes": (boxes, (*LEVELS, "regions", "objectness")),
    "masks": (masks, (*LEVELS, "boxes", "classes")),
}


class Stage(keras.Model):
    """One stage of a detector.

    Args:
        detector: ``MaskRCNN`` with the pyramid ``LEVELS``.
        name: of ``STAGES``.
        size: height and width of the pictures.

    Call arguments: dict of the arrays that it takes, by their names.
    Returns: dict of arrays.
    """

    def __init__(self, detector, name, size):
        super().__init__(name=name)
        self.detector, self.size = detector, tuple(size)
        self.function, _ = STAGES[name]
        self.jit_compile = detector.jit_compile
        self.built = True

    def call(self, inputs):
        return self.function(self.detector, self.size, inputs)


def stage_by_stage(image, runs):
    """Returns the stages as calls; what each needs is computed once, by those before it.

    Args:
        image: float32 ``(size, size, 3)`` in [0, 1].
        runs: dict: by the name of a stage, a function from a dict of arrays to a dict of arrays.

    Returns:
        dict of functions without arguments, pasting the last.
    """
    size = len(image)
    shown, _ = detection.prepare(image, size, size)
    known, calls = {"pictures": shown[None]}, {}
    for name, (_, wanted) in STAGES.items():
        calls[name] = functools.partial(runs[name], {key: known[key] for key in wanted})
        known |= calls[name]()
    found, where = (np.asarray(known[key])[0] for key in ("masks", "boxes"))
    calls["paste"] = functools.partial(paste, found, where, size, size)
    return calls
