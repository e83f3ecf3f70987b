"""What the two-stage detectors of this book have in common: their parts, from pictures to boxes.

``mask_rcnn.py`` and ``instance_segnet.py`` add how regions are read and what their masks are.
Layers carry torchvision's names. Chapters 4 and 5.
"""

import dataclasses
import numbers

import keras
import numpy as np
from keras import layers

from pixelwise import checks
from pixelwise.models.backbones import backbone as build_backbone
from pixelwise.models.backbones import is_frozen
from pixelwise.nn.anchors import RATIOS
from pixelwise.nn.fpn import feature_pyramid
from pixelwise.nn.pooling import SpatialPyramidPooling
from pixelwise.results import nearest

TARGETS = ("boxes", "classes", "masks")


@dataclasses.dataclass(frozen=True)
class Settings:
    """The numbers of a detector that no weight depends on; the defaults are torchvision's.

    Attributes:
        anchor_sizes: sides of the anchors in pixels, one or several a level, finest first.
        ratios: of their height to their width.
        anchors_sampled, anchors_positive: anchors a picture in the loss, and the largest share of
            positive ones.
        train_before, train_proposals: anchors a level that become proposals in training, and
            proposals left of all levels.
        test_before, test_proposals: the same for detection.
        proposal_iou: above which one of two proposals of a level is suppressed.
        regions, regions_positive: regions a picture that the heads learn from, and the largest
            share that stands for objects.
        canonical: side in pixels from which a region is read at the level of stride 16.
        least_score: below which a detection is none.
        detection_iou: above which one of two detections of a class is suppressed.
        candidates: best pairs of region and class that are looked at; torchvision takes all.
        detections: most that are returned for a picture.
        box_side, mask_side: of what is read from the pyramid for boxes and for masks, in cells.
    """

    anchor_sizes: tuple = ((32,), (64,), (128,), (256,), (512,))
    ratios: tuple = RATIOS
    anchors_sampled: int = 256
    anchors_positive: float = 0.5
    train_before: int = 2000
    train_proposals: int = 2000
    test_before: int = 1000
    test_proposals: int = 1000
    proposal_iou: float = 0.7
    regions: int = 512
    regions_positive: float = 0.25
    canonical: float = 224.0
    least_score: float = 0.05
    detection_iou: float = 0.5
    candidates: int = 2000
    detections: int = 100
    box_side: int = 7
    mask_side: int = 14


# Arguments that every two-stage detector of this book has.
SHARED = (
    "num_classes",
    "backbone",
    "levels",
    "channels",
    "box_channels",
    "anchor_levels",
    "roi_levels",
    "groups",
    "freeze_bn",
    "bn_epsilon",
    "freeze_to",
    "weights",
)


def spelled_out(arguments):
    """Returns arguments of a detector, in which ``weights`` and ``freeze_bn`` have become definite.

    A model that is saved and loaded gets its weights from the file and not from a backbone's, and
    must keep as frozen what was frozen before.
    """
    backbone, weights, freeze_bn = (arguments[k] for k in ("backbone", "weights", "freeze_bn"))
    if weights == "default":
        weights = "imagenet" if backbone == "mobilenet_v2" else None
    weights = None if weights == "random" else weights
    return {**arguments, "weights": weights, "freeze_bn": is_frozen(freeze_bn, weights)}


def shared_parts(
    num_classes,
    backbone,
    levels,
    channels,
    box_channels,
    anchor_levels,
    roi_levels,
    groups,
    freeze_bn,
    bn_epsilon,
    freeze_to,
    weights,
    settings,
    bins=None,
):
    """Builds what detectors share, from pictures to boxes; see ``mask_rcnn`` for the arguments.

    ``bins`` are those of the box head, see there.

    Returns:
        dict of arguments for ``MaskRCNN``.
    """
    check_num_classes(num_classes)
    checks.whole("channels", channels)
    checks.whole("box_channels", box_channels)
    if groups is not None:
        checks.whole("groups", groups)
    for name, names in (("levels", levels), ("anchor_levels", anchor_levels)):
        _check_names(name, names)
    _check_names("roi_levels", roi_levels)
    settings = make_settings(settings, anchor_levels)
    body = build_backbone(backbone, weights=weights, freeze_bn=freeze_bn, name="body")
    _check_levels(levels, anchor_levels, roi_levels, body)
    prepare_body(body, bn_epsilon, freeze_to)
    pictures = keras.Input((None, None, 3), name="pictures")
    maps = body(pictures)
    pyramid = feature_pyramid({name: maps[name] for name in levels}, channels, groups=groups)
    anchors = len(settings.ratios) * len(settings.anchor_sizes[0])
    return {
        "backbone": keras.Model(pictures, pyramid, name="backbone"),
        "rpn": rpn_head(channels, anchors),
        "box_head": box_head(num_classes, channels, box_channels, settings.box_side, bins),
        "anchor_levels": anchor_levels,
        "roi_levels": roi_levels,
        "settings": settings,
    }


def rpn_head(channels, anchors):
    """The region proposal network: what it says of the anchors of each cell of a level."""
    near_zero = keras.initializers.RandomNormal(stddev=0.01)
    level = keras.Input((None, None, channels), name="level")
    x = layers.Conv2D(
        channels,
        3,
        padding="same",
        activation="relu",
        kernel_initializer=near_zero,
        name="head-conv-0-0",
    )(level)
    logits = layers.Conv2D(anchors, 1, kernel_initializer=near_zero, name="head-cls_logits")(x)
    deltas = layers.Conv2D(4 * anchors, 1, kernel_initializer=near_zero, name="head-bbox_pred")(x)
    return keras.Model(level, (logits, deltas), name="rpn")


def box_head(num_classes, channels, width, side, bins=None):
    """Two dense layers over what was read of a region, then its class and its box.

    They see the ``side`` x ``side`` cells as they are, or, with ``bins``, pooled over several grids
    of these numbers of cells (``SpatialPyramidPooling``).
    """
    regions = keras.Input((side, side, channels), name="regions")
    if bins is None:
        x = layers.Permute((3, 1, 2), name="channels_first")(regions)  # as PyTorch's weights
        x = layers.Flatten(name="flatten")(x)
    else:
        x = SpatialPyramidPooling(bins, name="spatial_pyramid")(regions)
    for name in ("fc6", "fc7"):
        x = layers.Dense(width, "relu", kernel_initializer="he_uniform", name=f"box_head-{name}")(x)
    logits = layers.Dense(num_classes, name="box_predictor-cls_score")(x)
    small = keras.initializers.RandomNormal(stddev=0.001)
    deltas = layers.Dense(
        4 * num_classes, kernel_initializer=small, name="box_predictor-bbox_pred"
    )(x)
    return keras.Model(regions, (logits, deltas), name="roi_heads")


def prepare_body(body, bn_epsilon, freeze_to):
    """Sets the epsilon of a backbone's batch normalisation, and what of it does not learn."""
    if bn_epsilon is not None:
        for layer in body.layers:
            if isinstance(layer, layers.BatchNormalization):
                layer.epsilon = bn_epsilon
    if freeze_to is None:
        return
    if freeze_to not in body.output:
        raise ValueError(
            f"freeze_to is {freeze_to!r}: name a level of the backbone, {', '.join(body.output)}."
        )
    last = body.output[freeze_to]._keras_history.operation
    for layer in body.layers:
        layer.trainable = False
        if layer is last:
            return


def make_settings(settings, anchor_levels):
    """Returns ``Settings``, or says what is wrong with one."""
    known = [field.name for field in dataclasses.fields(Settings)]
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise ValueError(
            f"A detector has no argument {unknown[0]!r}: {nearest(unknown[0], known)}."
        )
    settings = Settings(**{k: _tuples(v) for k, v in settings.items()})
    _check_settings(settings)
    if len(settings.anchor_sizes) != len(anchor_levels):
        raise ValueError(
            f"There are anchor sizes for {len(settings.anchor_sizes)} levels and the anchor "
            f"levels are {', '.join(anchor_levels)}: give sizes for each."
        )
    if not all(isinstance(of_level, tuple) for of_level in settings.anchor_sizes):
        raise ValueError(
            f"anchor_sizes is {settings.anchor_sizes}: give each level a tuple, as ((32,), (64,))."
        )
    if len({len(of_level) for of_level in settings.anchor_sizes}) != 1:
        raise ValueError(
            f"anchor_sizes is {settings.anchor_sizes}: give each level as many, since all levels "
            "share one region proposal network."
        )
    return settings


def check_num_classes(num_classes):
    """Raises one sentence if there are no two classes."""
    whole = isinstance(num_classes, int | np.integer) and not isinstance(num_classes, bool)
    if not whole or num_classes < 2:
        raise ValueError(
            f"num_classes is {num_classes!r}: give a whole number from 2, the background counted."
        )


def check_pictures(pictures, sizes=None):
    """Returns pictures as a float32 array, and raises one sentence if a detector cannot take them.

    Args:
        pictures: array ``(batch, height, width, 3)`` in [0, 1], of NumPy or of the backend.
        sizes: ``None``, or ``(batch, 2)``: height and width in pixels of what is no padding.
    """
    if keras.ops.is_tensor(pictures):
        pictures = keras.ops.convert_to_numpy(pictures)
    pictures = np.asarray(pictures)
    if pictures.ndim != 4 or pictures.shape[-1] != 3 or 0 in pictures.shape:
        raise ValueError(
            f"The pictures have the shape {pictures.shape}: give one or more, (batch, height, "
            "width, 3); one picture is a batch with image[None]."
        )
    if pictures.dtype.kind not in "fiub":
        raise ValueError(f"The pictures have dtype {pictures.dtype}: give float32 in [0, 1].")
    pictures = checks.fractions(pictures)
    if sizes is not None:
        _check_sizes(np.asarray(sizes), pictures.shape)
    return pictures


def _check_sizes(sizes, shape):
    fit = sizes.shape == (shape[0], 2) and sizes.dtype.kind in "iuf"
    if not fit or not ((sizes >= 1) & (sizes <= shape[1:3])).all():
        raise ValueError(
            f"sizes is {sizes.tolist()!r:.100} for pictures of {shape[1]} x {shape[2]} pixels: "
            f"give the height and the width of what is no padding, ({shape[0]}, 2) numbers from 1."
        )


def check_targets(targets, shape):
    """Raises one sentence if the targets of a batch are not what a detector learns from."""
    if not isinstance(targets, dict) or not set(TARGETS) <= set(targets):
        found = ", ".join(targets) if isinstance(targets, dict) else type(targets).__name__
        raise ValueError(
            f"The targets of a detector are a dict with {', '.join(TARGETS)}, but these are "
            f"{found}: load the data set with targets='instances'."
        )
    boxes, classes, masks = (tuple(np.shape(targets[name])) for name in TARGETS)
    size = tuple(shape[1:3])
    if len(masks) != 4 or None in size or masks[2:] != size:
        raise ValueError(
            f"The pictures have {size[0]} x {size[1]} pixels and the masks the shape {masks}: give "
            "masks (batch, objects, height, width) of the pictures' size."
        )
    if len(classes) != 2 or boxes[1:] != (classes[1], 4) or masks[1] != classes[1]:
        raise ValueError(
            f"The targets have boxes {boxes}, classes {classes} and masks {masks}: give (batch, "
            "objects, 4), (batch, objects) and (batch, objects, height, width)."
        )


def _check_settings(settings):
    """Raises one sentence about the first number that is not possible."""
    for field in dataclasses.fields(settings):
        name, value = field.name, getattr(settings, field.name)
        if field.type is int:
            checks.whole(name, value)
        elif field.type is tuple:
            nested = value if isinstance(value, tuple) else ()
            flat = [n for part in nested for n in (part if isinstance(part, tuple) else (part,))]
            if not flat or () in nested or not all(_is_number(n) and 0 < n < 1e9 for n in flat):
                raise ValueError(f"{name} is {value!r}: give one or more positive numbers.")
        elif name == "canonical":
            if not _is_number(value) or not 0 < value < 1e9:
                raise ValueError(f"{name} is {value!r}: give a positive number of pixels.")
        elif not _is_number(value) or not 0 <= value <= 1:
            raise ValueError(f"{name} is {value!r}: give a number from 0 to 1.")


def _is_number(value):
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _check_names(what, names):
    """Raises one sentence if levels are not named as ``("P2", "P3")``, each once, finest first."""
    named = isinstance(names, tuple | list) and all(
        isinstance(name, str) and name[1:].isdigit() for name in names
    )
    if not named or list(names) != sorted({*names}, key=lambda name: int(name[1:])):
        raise ValueError(f"{what} is {names!r}: name levels, each once and the finest first.")


def _check_levels(levels, anchor_levels, roi_levels, body):
    unknown = [name for name in levels if name not in body.output]
    if unknown or not levels:
        raise ValueError(
            f"levels is {tuple(levels)}: name levels of the backbone, {', '.join(body.output)}."
        )
    pyramid = [f"P{name[1:]}" for name in levels]
    pyramid.append(f"P{int(levels[-1][1:]) + 1}")
    for what, names in (("anchor_levels", anchor_levels), ("roi_levels", roi_levels)):
        if not names or any(name not in pyramid for name in names):
            raise ValueError(f"{what} is {tuple(names)}: name some of {', '.join(pyramid)}.")
    numbers_of = [int(name[1:]) for name in roi_levels]
    if numbers_of != list(range(numbers_of[0], numbers_of[-1] + 1)):
        raise ValueError(f"roi_levels is {tuple(roi_levels)}: name neighbours, without a gap.")


def _tuples(value):
    """Lists, as recipes and saved networks have them, as tuples."""
    return tuple(map(_tuples, value)) if isinstance(value, list | tuple) else value


@keras.saving.register_keras_serializable(package="pixelwise")
class Finder(keras.Model):
    """The detections of a detector as a model of their own, which is compiled once for a size.

    Args:
        detector: a ``MaskRCNN``.

    Call arguments: dict of ``pictures``, float ``(batch, height, width, 3)``, and ``sizes``, float
        ``(batch, 2)``: height and width in pixels of what is no padding.
    Returns: see ``MaskRCNN.detections``.
    """

    def __init__(self, detector):
        super().__init__(name="finder")
        self.detector = detector
        self.jit_compile = detector.jit_compile  # as it was compiled, and not by default
        self.built = True

    def call(self, inputs):
        pictures = inputs["pictures"]
        outputs = self.detector(pictures, training=False)
        return self.detector.detections(outputs, *pictures.shape[1:3], inputs["sizes"])


class Untracked:
    """Keeps a model out of the layers of the model that it is an attribute of."""

    def __init__(self, value):
        self.value = value
