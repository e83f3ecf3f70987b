"""Every stage of our Mask R-CNN on one picture, each fed with what the real torchvision had."""

import keras
import numpy as np
from keras import ops

from pixelwise.nn import boxes as box_ops

BODY = ("C2", "C3", "C4", "C5")
PYRAMID = ("P2", "P3", "P4", "P5", "P6")


class Stages(keras.Model):
    """Computes all stages at once, so that they are compiled once for a size.

    The regions and detections that the heads are asked about are given, and not ours: otherwise one
    proposal more would move all that follows.
    """

    def __init__(self, detector):
        super().__init__()
        self.detector = detector
        self.body = detector.backbone.get_layer("body")
        self.built = True

    def call(self, inputs):
        pictures, sizes = inputs["pictures"], inputs["sizes"]
        regions, detected = inputs["regions"], inputs["detected"]
        height, width = pictures.shape[1:3]
        detector = self.detector
        body, levels = self.body(pictures), detector.backbone(pictures)
        found = {name: body[name] for name in BODY} | {name: levels[name] for name in PYRAMID}

        outputs = detector.judge_anchors(levels)
        anchors = np.concatenate(detector.anchors(levels, height, width))
        found["objectness"] = ops.concatenate(outputs["objectness"], axis=1)
        found["deltas"] = ops.concatenate(outputs["deltas"], axis=1)
        boxes = box_ops.decode(found["deltas"], anchors)
        found["boxes"] = box_ops.clip(boxes, sizes[:, :1], sizes[:, 1:])
        found["proposals"], _ = detector.propose(outputs, height, width, sizes=sizes)

        found["pooled"] = detector.pool(levels, regions, detector.settings.box_side)
        found["logits"], found["box_deltas"] = detector.classify(levels, regions)
        mask_logits = detector.segment(levels, detected)
        found["masks"] = detector.mask_probabilities(mask_logits, inputs["classes"])
        return found


def stages(detector, padded, size, theirs):
    """Our stages as a dict of NumPy arrays.

    Args:
        detector: ``MaskRCNN``.
        padded, size: as from ``detection.prepare``.
        theirs: dict with the ``proposals`` (n, 4), ``detected`` (m, 4) and ``classes`` (m,) of
            torchvision.
    """
    inputs = {
        "pictures": padded[None],
        "sizes": np.array([size], "float32"),
        "regions": theirs["proposals"][None],
        "detected": theirs["detected"][None],
        "classes": theirs["classes"][None].astype("int32"),
    }
    found = Stages(detector).predict_on_batch(inputs)
    return {name: np.asarray(value)[0] for name, value in found.items()}
