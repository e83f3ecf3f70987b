"""Instance SegNet: the second network for instances of the article that this book follows.

No publication of that name was found. What the article says of it (a CNN, region proposals, dense
layers, spatial pyramid pooling, the fusion of several scales, a softmax over the classes) leaves
nearly everything open, so that **this network is defined by this book**, as the smallest change of
Mask R-CNN that has all of it:

    pictures -> backbone and FPN -> P2 .. P6 -> region proposal network -> proposals
    pyramid at each proposal, 7x7 -> pooled over grids of 1, 4, 16 and 49 cells (SPP)
        -> two dense layers -> class, box -> detections
    EVERY level at each detection, 14x14 -> projected and summed -> convolutions -> 28x28 scores
        -> softmax over the classes and the background, for each pixel

``pyramid=False`` switches off the grids and the fusion, ``masks="sigmoid"`` the softmax; with both
off it is Mask R-CNN, layer by layer. The closest published structures are Seamless Scene
Segmentation (Porzi et al. 2019: body, region proposals, heads for boxes and masks) and PANet, whose
heads read every level too (Liu et al. 2018, section 3.2). Chapter 5.
"""

import keras
import numpy as np
from keras import layers, ops

from pixelwise import checks
from pixelwise.models.detector import SHARED, Settings, shared_parts, spelled_out
from pixelwise.models.mask_rcnn import SMALL, MaskRCNN, mask_head
from pixelwise.nn import detection_losses as losses
from pixelwise.nn.roi_pool import roi_max_pool

POOLINGS = ("align", "max")
MASKS = ("softmax", "conditional", "sigmoid")
BINS = (1, 2, 4, 7)  # cells along a side of each grid of the spatial pyramid


@keras.saving.register_keras_serializable(package="pixelwise")
class InstanceSegNet(MaskRCNN):
    """An Instance SegNet made of its parts; ``instance_segnet`` builds them.

    It is called, trained and asked as ``MaskRCNN`` is.

    Args:
        pooling: ``"align"`` reads regions by RoIAlign, ``"max"`` by RoI max pooling.
        masks: what a pixel of a region is asked; see ``instance_segnet``.
        pyramid: whether the mask head reads a region from every level of ``roi_levels``, as
            ``(regions, 14, 14, levels * channels)``.
        **parts: as for ``MaskRCNN``.
    """

    def __init__(self, *, pooling, masks, pyramid, **parts):
        super().__init__(**parts)
        self.pooling, self.masks, self.pyramid = pooling, masks, pyramid

    def read(self, maps, strides, boxes, side, levels):
        """Reads each region from the map of its level; see ``roi_align`` and ``roi_max_pool``."""
        if self.pooling == "align":
            return super().read(maps, strides, boxes, side, levels)
        return roi_max_pool(maps, strides, boxes, side, levels=levels)

    def pool_for_masks(self, levels, boxes):
        """Returns what the mask head reads of boxes: every level's features, side by side.

        Float ``(batch, n, side, side, levels * channels)``; without the pyramid, the features of
        one level, which the size of the box chooses.
        """
        if not self.pyramid:
            return super().pool_for_masks(levels, boxes)
        side = self.settings.mask_side
        each = [self.pool(levels, boxes, side, names=(name,)) for name in self.roi_levels]
        return ops.concatenate(each, axis=-1)

    def mask_loss(self, logits, targets, labels, positive):
        """Returns the loss of the masks: see ``softmax_mask_loss`` and ``sigmoid_mask_loss``."""
        if self.masks == "sigmoid":
            return super().mask_loss(logits, targets, labels, positive)
        return losses.softmax_mask_loss(logits, targets, labels, positive)

    def mask_probabilities(self, logits, labels):
        """Returns the masks ``(batch, n, side, side)`` in [0, 1] of the classes found."""
        if self.masks == "sigmoid":
            return super().mask_probabilities(logits, labels)
        if self.masks == "conditional":
            return ops.sigmoid(losses.of_class(logits, labels) - logits[..., 0])
        return losses.of_class(ops.softmax(logits), labels)


def instance_segnet(
    num_classes,
    backbone="mobilenet_v2",
    *,
    pooling="align",
    masks="softmax",
    pyramid=True,
    bins=BINS,
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
    """Builds Instance SegNet on a backbone with a feature pyramid.

    Args:
        num_classes: number of classes, the background counted, which is class 0.
        backbone: ``"mobilenet_v2"`` or ``"resnet50"``.
        pooling: how regions are read: ``"align"`` (RoIAlign) or ``"max"`` (RoI max pooling, as in
            Fast R-CNN).
        masks: ``"softmax"`` lets all classes and the background compete for each pixel of a
            region; ``"conditional"`` learns the same, but answers as if only the class found and
            the background were possible, ``p_c / (p_c + p_0)``; ``"sigmoid"`` asks for each class
            by itself, as Mask R-CNN.
        pyramid: ``True`` pools a region over the grids of ``bins`` for its class and box, and
            fuses every level of ``roi_levels`` for its mask; ``False`` takes one grid and one
            level, as Mask R-CNN.
        bins: cells along a side of each grid, whole numbers from 1 to ``box_side``.
        **settings, and the others: as for ``mask_rcnn``.

    Returns:
        ``InstanceSegNet``.

    Raises:
        ValueError: if an argument is not possible.
    """
    arguments = spelled_out({k: v for k, v in locals().items() if k != "settings"} | settings)
    _check_options(pooling, masks, pyramid, bins, settings.get("box_side", Settings.box_side))
    parts = shared_parts(
        **{k: arguments[k] for k in SHARED}, settings=settings, bins=bins if pyramid else None
    )
    head = mask_head(num_classes, channels, mask_convolutions, parts["settings"].mask_side)
    if pyramid:
        head = fused(head, len(roi_levels))
    return InstanceSegNet(
        **parts,
        mask_head=head,
        pooling=pooling,
        masks=masks,
        pyramid=pyramid,
        builder=instance_segnet,
        arguments=arguments,
        seed=seed,
    )


def small_instance_segnet(num_classes, backbone="mobilenet_v2", **options):
    """Builds an Instance SegNet for pictures of about 128 pixels, which two cores can train.

    Args:
        num_classes, backbone, **options: as for ``instance_segnet``, in place of those in
            ``mask_rcnn.SMALL``.

    Returns:
        ``InstanceSegNet``.

    Raises:
        ValueError: as ``instance_segnet``.
    """
    return instance_segnet(num_classes, backbone, **(SMALL | options))


def fused(head, count):
    """Puts the fusion of several levels before a mask head.

    A 1x1 convolution of levels that lie side by side is the sum of one 1x1 convolution of each: it
    projects every level by weights of its own, and adds.

    Args:
        head: ``keras.Model`` of ``(regions, side, side, channels)``.
        count: number of levels.

    Returns:
        ``keras.Model`` of ``(regions, side, side, count * channels)``.
    """
    *sides, channels = head.input.shape[1:]
    regions = keras.Input((*sides, count * channels), name="regions")
    x = layers.Conv2D(
        channels, 1, activation="relu", kernel_initializer="he_normal", name="mask_head-fusion"
    )(regions)
    return keras.Model(regions, head(x), name="fused_roi_heads")


def _check_options(pooling, masks, pyramid, bins, side):
    checks.whole("box_side", side)
    for name, value, known in (("pooling", pooling, POOLINGS), ("masks", masks, MASKS)):
        if value not in known:
            raise ValueError(f"{name} is {value!r}: choose one of {', '.join(map(repr, known))}.")
    if not isinstance(pyramid, bool):
        raise ValueError(f"pyramid is {pyramid!r}: choose True or False.")
    if (
        np.ndim(bins) != 1
        or not len(bins)
        or not all(
            isinstance(n, int | np.integer) and not isinstance(n, bool) and 1 <= n <= side
            for n in bins
        )
    ):
        raise ValueError(
            f"bins is {bins!r}: give one or more whole numbers from 1 to {side}, the cells along a "
            "side of what is read of a region."
        )
