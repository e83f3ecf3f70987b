"""Fully convolutional networks: FCN-32s, FCN-16s and FCN-8s (Long, Shelhamer, Darrell 2015).

The network reads from top to bottom as the chapter does: a backbone gives feature maps, 1x1
convolutions turn them into scores, one channel a class, and transposed convolutions that start as
bilinear interpolation bring the scores back to the size of the picture. 16s and 8s add the scores
of finer levels on the way. Chapter 2.
"""

import keras
import numpy as np
from keras import layers, ops

from pixelwise.models.backbones import backbone as build_backbone
from pixelwise.nn.upsampling import bilinear_layer

# Variant -> the levels whose scores are added, coarse to fine.
LEVELS = {"32s": ("C5",), "16s": ("C5", "C4"), "8s": ("C5", "C4", "C3")}
# For training all levels at once: Shelhamer, Long and Darrell 2017 and their released FCN-8s.
SCORE_SCALE = {"vgg16": {"C4": 1e-2, "C3": 1e-4}}


def fcn(
    num_classes,
    variant="8s",
    backbone="mobilenet_v2",
    *,
    dropout=0.1,
    fc_channels=None,
    freeze_bn=None,
    weights="default",
    input_shape=None,
):
    """Builds a fully convolutional network.

    Args:
        num_classes: number of classes, the background counted.
        variant: ``"32s"``, ``"16s"`` or ``"8s"``: the stride of the finest scores.
        backbone: ``"mobilenet_v2"`` (default), ``"resnet50"``, or ``"vgg16"`` as in the paper, with
            its fully connected layers fc6 (7x7) and fc7 (1x1) made convolutions.
        dropout: share of the coarsest features set to 0 in training (the paper: 0.5 on VGG16).
        fc_channels: channels of fc6 and fc7; ``None`` is 4,096 on VGG16, as in the paper, and no
            such layers on the other backbones, which have no fully connected layer but the last.
        freeze_bn: ``True`` keeps the batch normalisation of the backbone as it is, ``None`` does so
            if weights were loaded.
        weights: of the backbone: ``"default"`` (ImageNet for MobileNetV2, none for the others),
            ``None``, or what the backbone's own function takes.
        input_shape: ``(height, width, 3)``; ``None`` leaves the size open.

    Returns:
        ``keras.Model``: pictures float ``(batch, height, width, 3)`` in [0, 1], any height and
        width of 32 or more, to logits ``(batch, height, width, num_classes)``. The softmax belongs
        to the loss.

    Raises:
        ValueError: if the variant, the backbone, the number of classes or the shape is not
            possible.
    """
    if variant not in LEVELS:
        raise ValueError(f"There is no FCN-{variant}: choose one of {', '.join(LEVELS)}.")
    check_ends(num_classes, input_shape)
    if weights == "default":
        weights = "imagenet" if backbone == "mobilenet_v2" else None
    features = build_backbone(
        backbone, weights=weights, freeze_bn=freeze_bn, input_shape=input_shape
    )
    pictures = keras.Input(input_shape or (None, None, 3), name="pictures")
    levels = features(CheckSize(name="check_size")(pictures))

    x = levels["C5"]
    if fc_channels is None and backbone == "vgg16":
        fc_channels = 4096
    if fc_channels:
        size = 7 if backbone == "vgg16" else 3
        x = _fully_connected(x, fc_channels, size, dropout, "fc6")
        x = _fully_connected(x, fc_channels, 1, dropout, "fc7")
    else:
        x = layers.Dropout(dropout, name="dropout")(x)

    x = layers.Conv2D(num_classes, 1, name="score_C5")(x)
    for level in LEVELS[variant][1:]:
        skip = levels[level] * SCORE_SCALE.get(backbone, {}).get(level, 1.0)
        # Zeros to start with: at first the finer network is the coarser one.
        skip = layers.Conv2D(num_classes, 1, kernel_initializer="zeros", name=f"score_{level}")(
            skip
        )
        x = upsample(x, 2, f"upsample_to_{level}")
        x = layers.Add(name=f"fuse_{level}")([CropTo(name=f"crop_{level}")([x, skip]), skip])
    x = upsample(x, int(variant[:-1]), "upsample_to_picture", trainable=False)
    logits = CropTo(name="logits")([x, pictures])
    return keras.Model(pictures, logits, name=f"fcn{variant}_{backbone}")


def check_ends(num_classes, input_shape):
    """Raises a ``ValueError`` if a segmentation network cannot have these classes or this input."""
    whole = isinstance(num_classes, int | np.integer) and not isinstance(num_classes, bool)
    if not whole or num_classes < 2:
        raise ValueError(
            f"num_classes is {num_classes!r}: give a whole number, since a segmentation has at "
            "least two classes."
        )
    if input_shape is not None and (np.shape(input_shape) != (3,) or input_shape[2] != 3):
        raise ValueError(f"input_shape is {input_shape!r}: give (height, width, 3), or None.")


def upsample(x, factor, name, trainable=True):
    """Enlarges scores by a whole factor with a transposed convolution that starts bilinear.

    Args:
        x: float ``(batch, height, width, classes)``.
        factor: a whole number.
        name: of the layer.
        trainable: ``False`` keeps it bilinear, as the paper's last upsampling.

    Returns:
        float ``(batch, factor * height, factor * width, classes)``.

    Source: Long et al. 2015, section 3.3.
    """
    return bilinear_layer(x.shape[-1], factor, name=name, trainable=trainable)(x)


def _fully_connected(x, channels, size, dropout, name):
    x = layers.Conv2D(channels, size, padding="same", activation="relu", name=name)(x)
    return layers.Dropout(dropout, name=f"{name}_dropout")(x)


@keras.saving.register_keras_serializable(package="pixelwise")
class CropTo(layers.Layer):
    """Cuts the first of two maps to the height and width of the second, from the top left.

    A picture whose side is no multiple of the stride gives scores that reach beyond its border,
    because each level rounds up.

    With VGG16's 2x2 pools, cell i of a level of stride s is centred on pixel s * i + (s - 1) / 2,
    where the transposed convolution puts it back. With convolutions padded alike on both sides
    (MobileNetV2, ResNet-50) it is centred on pixel s * i: the scores lie half a cell too far right
    and down, in torchvision's FCN as here, and training has to make up for it.
    """

    def call(self, inputs):
        x, like = inputs
        height, width = ops.shape(like)[1], ops.shape(like)[2]
        return x[:, :height, :width, :]

    def compute_output_shape(self, input_shapes):
        x, like = input_shapes
        return (x[0], like[1], like[2], x[3])


class PictureTooSmall(ValueError):
    """A picture that is smaller than the output stride."""

    # Keras would wrap the sentence in a list of the call's arguments, if this did not stop it.
    _keras_call_info_injected = True


@keras.saving.register_keras_serializable(package="pixelwise")
class CheckSize(layers.Layer):
    """Lets pictures of at least ``smallest`` pixels a side through, unchanged.

    A compiled graph for pictures of any size cannot be checked: TensorFlow makes one when
    ``predict`` has met several sizes.

    Raises:
        PictureTooSmall: if a side is smaller: the coarsest level would then see mostly padding.
    """

    def __init__(self, smallest=32, **kwargs):
        super().__init__(**kwargs)
        self.smallest = smallest

    def call(self, pictures):
        height, width = pictures.shape[1], pictures.shape[2]
        for side in (height, width):
            if side is not None and side < self.smallest:
                raise PictureTooSmall(
                    f"The picture is {height} x {width} pixels, smaller than the output stride "
                    f"{self.smallest}: enlarge it to at least {self.smallest} pixels a side."
                )
        return pictures

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        return {**super().get_config(), "smallest": self.smallest}
