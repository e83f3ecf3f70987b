"""Mask R-CNN (He et al. 2017): the box, the class and the mask of each object of a picture.

    pictures -> backbone and FPN -> P2 .. P6
    every anchor of every level -> region proposal network -> object or not, where -> proposals
    pyramid at each proposal, RoIAlign 7x7 -> two dense layers -> class, box -> detections
    pyramid at each detection, RoIAlign 14x14 -> convolutions -> a mask of 28x28 for each class

``mask_rcnn`` builds it on a backbone of this package. On ResNet-50 with the defaults it is
torchvision's ``maskrcnn_resnet50_fpn``, tensor by tensor, with its names and its answers;
``small_mask_rcnn`` is one for small pictures, that two cores can train. All shapes are fixed:
places without an object, proposal or detection hold padding. Chapter 4.
"""

import keras
import numpy as np
from keras import layers, ops

from pixelwise import checks
from pixelwise.models.detector import (
    SHARED,
    Finder,
    Untracked,
    check_pictures,
    check_targets,
    shared_parts,
    spelled_out,
)
from pixelwise.models.segmenter import built_by
from pixelwise.nn import boxes as box_ops
from pixelwise.nn import detection_losses as losses
from pixelwise.nn.anchors import pyramid_anchors
from pixelwise.nn.detection_targets import (
    BOX_WEIGHTS,
    anchor_targets,
    sample_regions,
    sampled,
)
from pixelwise.nn.masks import mask_targets, paste
from pixelwise.nn.nms import nms
from pixelwise.nn.proposals import propose
from pixelwise.nn.roi_align import roi_align, roi_levels

LOSSES = ("objectness", "anchor_boxes", "classes", "boxes", "masks")


@keras.saving.register_keras_serializable(package="pixelwise")
class MaskRCNN(keras.Model):
    """A Mask R-CNN made of its parts; ``mask_rcnn`` builds them.

    Called on pictures, float ``(batch, height, width, 3)`` in [0, 1], it returns what the region
    proposal network says; the heads are asked by ``compute_loss``, at sampled regions, and by
    ``detect``, at proposals. It trains with plain ``compile`` and ``fit`` on batches of
    ``(pictures, targets)``, targets being a dict of ``boxes`` float ``(batch, objects, 4)`` in
    pixels, ``classes`` int ``(batch, objects)`` from 1, 0 for padding, and ``masks`` uint8
    ``(batch, objects, height, width)``.

    Args:
        backbone: ``keras.Model`` from pictures to a dict of pyramid levels, finest first.
        rpn: ``keras.Model`` from a level to the logits ``(batch, h, w, anchors)`` and deltas
            ``(batch, h, w, 4 * anchors)`` of its cells.
        box_head: ``keras.Model`` from ``(regions, 7, 7, channels)`` to logits ``(regions,
            classes)`` and deltas ``(regions, 4 * classes)``.
        mask_head: ``keras.Model`` from ``(regions, 14, 14, channels)`` to logits ``(regions, 28,
            28, classes)``.
        anchor_levels, roi_levels: names of the levels that have anchors, and that regions are read
            from.
        settings: ``Settings``.
        builder, arguments: the function that builds the network, and the dict of what it was
            called with.
        seed: of the samples drawn in training.
    """

    def __init__(
        self,
        backbone,
        rpn,
        box_head,
        mask_head,
        *,
        anchor_levels,
        roi_levels,
        settings,
        builder,
        arguments,
        seed=0,
    ):
        super().__init__(name=builder.__name__)
        self.backbone, self.rpn = backbone, rpn
        self.box_head, self.mask_head = box_head, mask_head
        self.anchor_levels, self.roi_levels = tuple(anchor_levels), tuple(roi_levels)
        self.settings, self.builder, self.arguments = settings, builder, arguments
        self.num_classes = box_head.output[0].shape[-1]
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.means = {part: keras.metrics.Mean(name=f"loss_{part}") for part in LOSSES}
        self._finders = Untracked({})
        self.built = True

    def call(self, pictures, training=False):
        """Returns the pyramid, and each level's logits and deltas of its anchors, in float32."""
        return self.judge_anchors(self.backbone(pictures, training=training))

    def judge_anchors(self, levels):
        """Returns what ``call`` does, of a pyramid: a dict of float maps by level."""
        objectness, deltas = [], []
        for level in (levels[name] for name in self.anchor_levels):
            logits, moves = self.rpn(level)
            cells = level.shape[1] * level.shape[2] * logits.shape[-1]
            objectness.append(ops.cast(ops.reshape(logits, (-1, cells)), "float32"))
            deltas.append(ops.cast(ops.reshape(moves, (-1, cells, 4)), "float32"))
        return {"levels": dict(levels), "objectness": objectness, "deltas": deltas}

    def anchors(self, levels, height, width):
        """Returns a list of the anchors of each level, float32 ``(anchors, 4)`` in pixels."""
        grids = [tuple(levels[name].shape[1:3]) for name in self.anchor_levels]
        every = pyramid_anchors(
            grids, (height, width), self.settings.anchor_sizes, self.settings.ratios
        )
        each = [h * w * self.rpn.output[0].shape[-1] for h, w in grids]
        return np.split(every, np.cumsum(each)[:-1])

    def propose(self, outputs, height, width, training=False, sizes=None):
        """Returns proposals ``(batch, n, 4)`` and their scores, -inf for padding.

        Args:
            outputs: of ``call``.
            height, width: of the pictures in pixels.
            training: whether to take the numbers meant for training.
            sizes: ``None``, or float ``(batch, 2)``: height and width of what is no padding.
        """
        settings = self.settings
        before, after = (
            (settings.train_before, settings.train_proposals)
            if training
            else (settings.test_before, settings.test_proposals)
        )
        inner = (height, width) if sizes is None else (sizes[:, :1], sizes[:, 1:])
        return propose(
            outputs["objectness"],
            outputs["deltas"],
            self.anchors(outputs["levels"], height, width),
            *inner,
            before=before,
            after=after,
            threshold=settings.proposal_iou,
        )

    def pool(self, levels, boxes, side, names=None):
        """Reads regions from the pyramid, each from the level that its size belongs to.

        Args:
            levels: dict of float maps ``(batch, h, w, channels)``.
            boxes: float ``(batch, regions, 4)`` in pixels.
            side: of the result, in cells.
            names: of the levels to choose from, neighbours; ``None`` takes ``roi_levels``.

        Returns:
            float ``(batch, regions, side, side, channels)``.
        """
        names = self.roi_levels if names is None else names
        numbers = [int(name[1:]) for name in names]
        chosen = roi_levels(boxes, numbers[0], numbers[-1], self.settings.canonical)
        maps = [levels[name] for name in names]
        return self.read(maps, [2**k for k in numbers], boxes, side, levels=chosen)

    def read(self, maps, strides, boxes, side, levels):
        """Reads each region from the map of its level; see ``roi_align``."""
        return roi_align(maps, strides, boxes, side, levels=levels)

    def classify(self, levels, boxes, training=False):
        """Returns logits ``(batch, n, classes)`` and deltas ``(batch, n, classes, 4)`` of boxes."""
        pooled = self.pool(levels, boxes, self.settings.box_side)
        logits, deltas = self.box_head(_regions(pooled), training=training)
        shape = (-1, boxes.shape[1], self.num_classes)
        logits = ops.cast(ops.reshape(logits, shape), "float32")
        return logits, ops.cast(ops.reshape(deltas, (*shape, 4)), "float32")

    def segment(self, levels, boxes, training=False):
        """Returns the mask logits ``(batch, n, side, side, classes)`` of boxes."""
        pooled = self.pool_for_masks(levels, boxes)
        logits = self.mask_head(_regions(pooled), training=training)
        return ops.cast(ops.reshape(logits, (-1, boxes.shape[1], *logits.shape[1:])), "float32")

    def pool_for_masks(self, levels, boxes):
        """Returns what the mask head reads of boxes, ``(batch, n, side, side, channels)``."""
        return self.pool(levels, boxes, self.settings.mask_side)

    def mask_loss(self, logits, targets, labels, positive):
        """Returns the loss of the masks: see ``detection_losses.sigmoid_mask_loss``."""
        return losses.sigmoid_mask_loss(logits, targets, labels, positive)

    def mask_probabilities(self, logits, labels):
        """Returns the masks ``(batch, n, side, side)`` in [0, 1] of the classes found."""
        return ops.sigmoid(losses.of_class(logits, labels))

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Returns the sum of the five losses, which ``loss_...`` report one by one."""
        check_targets(y, x.shape)
        parts = self.losses_of(y_pred, y, x.shape[1], x.shape[2], training)
        for name, value in parts.items():
            self.means[name].update_state(value)
        return sum(parts.values())

    def losses_of(self, outputs, targets, height, width, training=True):
        """Returns the five losses as a dict of scalars; see ``LOSSES``."""
        settings = self.settings
        boxes = ops.cast(targets["boxes"], "float32")
        classes = ops.cast(targets["classes"], "int32")

        anchors = np.concatenate(self.anchors(outputs["levels"], height, width))
        objectness = ops.concatenate(outputs["objectness"], axis=1)
        deltas = ops.concatenate(outputs["deltas"], axis=1)
        labels, moves = anchor_targets(anchors, boxes, classes > 0)
        drawn = sampled(
            labels, self._noise(labels), settings.anchors_sampled, settings.anchors_positive
        )
        positive = ops.logical_and(drawn, labels == 1)
        parts = {
            "objectness": losses.objectness_loss(objectness, positive, drawn),
            "anchor_boxes": losses.box_loss(deltas, moves, positive, _count(drawn)),
        }

        proposals, scores = self.propose(outputs, height, width, training=True)
        proposals, scores = ops.stop_gradient(proposals), ops.stop_gradient(scores)
        candidates = ops.concatenate([scores, ops.cast(classes, "float32")], axis=1)
        regions = sample_regions(
            proposals,
            scores,
            boxes,
            classes,
            self._noise(candidates),
            settings.regions,
            settings.regions_positive,
        )
        logits, deltas = self.classify(outputs["levels"], regions["boxes"], training)
        deltas = losses.of_class(ops.swapaxes(deltas, 2, 3), regions["labels"])
        positive = regions["positive"]
        parts["classes"] = losses.class_loss(logits, regions["labels"], regions["valid"])
        parts["boxes"] = losses.box_loss(
            deltas, regions["deltas"], positive, _count(regions["valid"])
        )

        # Positive regions come first, so that the others need no mask.
        most = max(1, int(settings.regions * settings.regions_positive))
        few = {name: value[:, :most] for name, value in regions.items()}
        logits = self.segment(outputs["levels"], few["boxes"], training)
        masks = mask_targets(targets["masks"], few["boxes"], few["matched"], logits.shape[2])
        parts["masks"] = self.mask_loss(logits, masks, few["labels"], few["positive"])
        return parts

    def detect(self, pictures, sizes=None):
        """Finds the objects of a batch of pictures of one size.

        Args:
            pictures: float32 ``(batch, height, width, 3)`` in [0, 1].
            sizes: ``None``, or ``(batch, 2)``: height and width in pixels of what is no padding.

        Returns:
            dict of NumPy arrays: ``boxes`` float32 ``(batch, detections, 4)`` in pixels,
            ``classes`` int32 ``(batch, detections)``, 0 for padding, ``scores`` float32 ``(batch,
            detections)``, falling, and ``masks`` bool ``(batch, detections, height, width)``.

        Raises:
            ValueError: if the pictures or sizes are not as above.
        """
        found = self.find(pictures, sizes)
        pasted = [
            paste(masks, boxes, *np.shape(pictures)[1:3])
            for masks, boxes in zip(found["masks"], found["boxes"], strict=True)
        ]
        found["masks"] = np.stack(pasted) & (found["classes"] > 0)[..., None, None]
        return found

    def find(self, pictures, sizes=None):
        """Does what ``detect`` does, but for the masks, which stay within their boxes.

        Args:
            pictures, sizes: as for ``detect``. It is compiled once for each height and width.

        Returns:
            dict of NumPy arrays: as ``detect``, with ``masks`` float32 ``(batch, detections, side,
            side)`` in [0, 1].

        Raises:
            ValueError: if the pictures or sizes are not as above.
        """
        pictures = check_pictures(pictures, sizes)
        height, width = pictures.shape[1:3]
        if sizes is None:
            sizes = np.broadcast_to([height, width], (len(pictures), 2))
        # One model a size: for a second one, TensorFlow would compile it with the size unknown.
        finders = self._finders.value
        if (height, width) not in finders:
            finders[height, width] = Finder(self)
        inputs = {"pictures": pictures, "sizes": np.asarray(sizes, "float32")}
        found = finders[height, width].predict_on_batch(inputs)
        return {name: np.array(value) for name, value in found.items()}

    def detections(self, outputs, height, width, sizes=None):
        """Returns the detections of a batch, the masks within their boxes.

        Args:
            outputs: of ``call``.
            height, width, sizes: as for ``propose``.

        Returns:
            dict: ``boxes`` float ``(batch, detections, 4)`` in pixels, ``classes`` int32 ``(batch,
            detections)``, 0 for padding, ``scores`` ``(batch, detections)``, falling, and ``masks``
            ``(batch, detections, side, side)`` in [0, 1], each within its box.
        """
        levels = outputs["levels"]
        regions, objectness = self.propose(outputs, height, width, sizes=sizes)
        found = self.choose(levels, regions, objectness, height, width, sizes)
        masks = self.mask_probabilities(self.segment(levels, found["boxes"]), found["classes"])
        return {**found, "masks": masks}

    def choose(self, levels, regions, objectness, height, width, sizes=None):
        """Returns the best of what the box head says of proposals: ``detections`` without masks.

        Args:
            levels: dict of float maps ``(batch, h, w, channels)``.
            regions, objectness: as ``propose`` returns them.
            height, width, sizes: as for ``propose``.
        """
        settings = self.settings
        logits, deltas = self.classify(levels, regions)
        boxes = box_ops.decode(deltas, regions[:, :, None], BOX_WEIGHTS)[:, :, 1:]
        inner = (height, width) if sizes is None else (sizes[:, :1, None], sizes[:, 1:, None])
        boxes = box_ops.clip(boxes, *inner)
        scores = ops.softmax(logits)[:, :, 1:]
        real = ops.logical_and(scores > settings.least_score, box_ops.large_enough(boxes, 1e-2))
        real = ops.logical_and(real, objectness[..., None] > -float("inf"))
        scores = ops.where(real, scores, -float("inf"))

        things = self.num_classes - 1
        pairs = regions.shape[1] * things
        scores, index = ops.top_k(ops.reshape(scores, (-1, pairs)), min(settings.candidates, pairs))
        boxes = ops.take_along_axis(ops.reshape(boxes, (-1, pairs, 4)), index[..., None], axis=1)
        classes = ops.cast(index % things + 1, "int32")
        kept, valid = nms(boxes, scores, settings.detection_iou, settings.detections, classes)
        boxes = ops.take_along_axis(boxes, kept[..., None], axis=1)
        boxes = ops.where(valid[..., None], boxes, 0.0)
        classes = ops.where(valid, ops.take_along_axis(classes, kept, axis=1), 0)
        scores = ops.where(valid, ops.take_along_axis(scores, kept, axis=1), 0.0)
        return {"boxes": boxes, "classes": classes, "scores": scores}

    def _noise(self, like):
        return keras.random.uniform(ops.shape(like), seed=self.seed_generator)

    def get_config(self):
        builder = f"{self.builder.__module__}:{self.builder.__name__}"
        return {"builder": builder, "arguments": {**self.arguments, "weights": None}}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return built_by(config["builder"])(**config["arguments"])


def mask_rcnn(
    num_classes,
    backbone="resnet50",
    *,
    levels=("C2", "C3", "C4", "C5"),
    channels=256,
    box_channels=1024,
    mask_convolutions=4,
    anchor_levels=("P2", "P3", "P4", "P5", "P6"),
    roi_levels=("P2", "P3", "P4", "P5"),
    groups=None,
    freeze_bn=None,
    bn_epsilon=None,
    freeze_to=None,
    weights="default",
    seed=0,
    **settings,
):
    """Builds Mask R-CNN on a backbone with a feature pyramid.

    Args:
        num_classes: number of classes, the background counted, which is class 0.
        backbone: ``"resnet50"`` or ``"mobilenet_v2"``.
        levels: of the backbone, that the pyramid stands on.
        channels: of the pyramid, and of the mask head.
        box_channels: of the two dense layers of the box head.
        mask_convolutions: 3x3 convolutions of the mask head.
        anchor_levels, roi_levels: of the pyramid, that have anchors, and that regions are read
            from.
        groups: ``None``, or into how many groups a group normalisation divides the channels of the
            pyramid; batches of a few pictures are too small for batch normalisation.
        freeze_bn: ``True`` keeps the backbone's batch normalisation as it is; ``None`` does so if
            weights were loaded.
        bn_epsilon: ``None``, or what is added to the backbone's variances: 0.0 belongs to
            torchvision's COCO weights.
        freeze_to: ``None``, or the last level of the backbone whose layers do not learn, as
            ``"C2"``.
        weights: of the backbone, ``"default"`` being ``"imagenet"`` for MobileNetV2, whose weights
            come with the book, and ``"random"`` for ResNet-50; ``None`` is ``"random"`` too.
        seed: of the samples drawn in training.
        **settings: what differs from ``Settings``.

    Returns:
        ``MaskRCNN``.

    Raises:
        ValueError: if an argument is not possible.
    """
    arguments = spelled_out({k: v for k, v in locals().items() if k != "settings"} | settings)
    parts = shared_parts(**{k: arguments[k] for k in SHARED}, settings=settings)
    masks = mask_head(num_classes, channels, mask_convolutions, parts["settings"].mask_side)
    return MaskRCNN(**parts, mask_head=masks, builder=mask_rcnn, arguments=arguments, seed=seed)


# What fits pictures of about 128 pixels and a machine of two cores.
SMALL = {
    "channels": 64,
    "box_channels": 256,
    "mask_convolutions": 2,
    "groups": 8,
    "anchor_levels": ("P3", "P4", "P5"),
    "roi_levels": ("P2", "P3", "P4"),
    "anchor_sizes": ((32,), (64,), (96,)),
    "anchors_sampled": 64,
    "train_before": 200,
    "train_proposals": 100,
    "test_before": 200,
    "test_proposals": 100,
    "regions": 32,
    "canonical": 160.0,
    "candidates": 200,
    "detections": 20,
}


def small_mask_rcnn(num_classes, backbone="mobilenet_v2", **options):
    """Builds a Mask R-CNN for pictures of about 128 pixels, which two cores can train.

    Args:
        num_classes, backbone, **options: as for ``mask_rcnn``, in place of those in ``SMALL``.

    Returns:
        ``MaskRCNN``.

    Raises:
        ValueError: as ``mask_rcnn``.
    """
    return mask_rcnn(num_classes, backbone, **(SMALL | options))


def mask_head(num_classes, channels, convolutions, side):
    """Convolutions over what was read of a region, twice its size, and a mask for each class."""
    checks.whole("mask_convolutions", convolutions, 0)
    x = regions = keras.Input((side, side, channels), name="regions")
    options = {"activation": "relu", "kernel_initializer": "he_normal"}
    for number in range(convolutions):
        x = layers.Conv2D(channels, 3, padding="same", name=f"mask_head-{number}-0", **options)(x)
    x = layers.Conv2DTranspose(channels, 2, 2, name="mask_predictor-conv5_mask", **options)(x)
    x = layers.Conv2D(
        num_classes, 1, kernel_initializer="he_normal", name="mask_predictor-mask_fcn_logits"
    )(x)
    return keras.Model(regions, x, name="roi_heads")


def _regions(pooled):
    """``(batch, regions, ...)`` as ``(batch * regions, ...)``, as heads want them."""
    return ops.reshape(pooled, (-1, *pooled.shape[2:]))


def _count(flags):
    return ops.sum(ops.cast(flags, "float32"))
