"""Backbones: classifiers without their classifier, as pyramids of feature maps C1 to C5.

Each function returns a ``keras.Model`` from pictures, float ``(batch, height, width, 3)`` in
[0, 1], to a dict ``{"C1": ..., "C5": ...}``; level k has the stride 2^k, unless the output stride
is smaller: then the last levels keep its resolution and their convolutions are dilated instead, so
that every neuron sees what it saw in training.

MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381) and ResNet-50 (He et al. 2016, arXiv
1512.03385; "v1.5", stride in the 3x3) have torchvision's padding, normalisation and names (with a
dash for the dot, which PyTorch forbids in names), and so take its weights. VGG16 (Simonyan and
Zisserman 2015, arXiv 1409.1556) is the one of ``keras.applications``. Chapters 2 and later.
"""

import keras
import numpy as np
from keras import layers, ops

from pixelwise.nn.atrous import conv_bn

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
CAFFE_OFFSET = (-123.68, -116.779, -103.939)  # minus the mean of red, green and blue in [0, 255]
OUTPUT_STRIDES = (8, 16, 32)

# Expansion, channels, blocks, stride: table 2 of Sandler et al. 2018.
MOBILENET_V2_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
RESNET50_STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))  # width, blocks


def backbone(kind, **options):
    """Builds a backbone of a kind: ``"mobilenet_v2"``, ``"resnet50"`` or ``"vgg16"``.

    Raises:
        ValueError: if the kind is unknown.
    """
    builders = {"mobilenet_v2": mobilenet_v2, "resnet50": resnet50, "vgg16": vgg16}
    if kind not in builders:
        raise ValueError(f"There is no backbone {kind!r}: choose one of {', '.join(builders)}.")
    return builders[kind](**options)


def mobilenet_v2(
    weights="imagenet", output_stride=32, freeze_bn=None, input_shape=None, name="mobilenet_v2"
):
    """Builds the MobileNetV2 pyramid (2.2 million parameters).

    C1 to C4 are taken where a stage is widest, behind the expansion that opens the next stage
    (96, 144, 192 and 576 channels): the narrow output of a block is a linear function of less.
    C5 is the last 1x1 convolution (1,280 channels).

    Args:
        weights: ``"imagenet"`` loads the embedded weights, ``None`` starts from random ones.
        output_stride: 32, 16 or 8.
        freeze_bn: ``True`` keeps statistics, scale and shift of batch normalisation as they are,
            which small batches need; ``None`` does so if weights were loaded.
        input_shape: ``(height, width, 3)``; ``None`` leaves the size open.
        name: of the model.

    Returns:
        ``keras.Model``, see the head of this file.

    Raises:
        ValueError: if the output stride or the weights are unknown.
    """
    _check_output_stride(output_stride)
    pictures = keras.Input(input_shape or (None, None, 3), name="pictures")
    x = normalise(pictures)
    x = conv_bn(x, 32, 3, "features-0-0", "features-0-1", stride=2, activation="relu6")
    levels, stride, dilation, block = {}, 2, 1, 1
    for expansion, channels, repeats, stage_stride in MOBILENET_V2_STAGES:
        for repeat in range(repeats):
            step = stage_stride if repeat == 0 else 1
            # At the output stride a step of 2 is not taken; later blocks are dilated instead.
            taken = step if stride * step <= output_stride else 1
            x, wide = _inverted_residual(
                x, channels, expansion, taken, dilation, f"features-{block}-conv"
            )
            if step == 2:
                levels[f"C{len(levels) + 1}"] = wide
            dilation *= step // taken
            stride *= taken
            block += 1
    levels["C5"] = conv_bn(x, 1280, 1, "features-18-0", "features-18-1", activation="relu6")
    model = keras.Model(pictures, levels, name=name)
    if weights == "imagenet":
        from pixelwise.weights import embedded

        embedded.load(model, "mobilenet_v2_imagenet")
    elif weights is not None:
        raise ValueError(f"weights is {weights!r}: choose 'imagenet' or None.")
    return freeze(model) if is_frozen(freeze_bn, weights) else model


def resnet50(
    weights=None,
    output_stride=32,
    freeze_bn=None,
    input_shape=None,
    name="resnet50",
    multi_grid=None,
):
    """Builds the ResNet-50 v1.5 pyramid (23.5 million parameters).

    C1 is the first convolution, C2 to C5 are the outputs of layer1 to layer4 (256, 512, 1,024 and
    2,048 channels).

    Args:
        weights: ``"imagenet"``, torchvision's (98 MB, downloaded and converted once, which needs
            PyTorch), the path of a ``.pth`` file of the network, or ``None``.
        output_stride: 32, 16 or 8; torchvision's dilations.
        freeze_bn: as for ``mobilenet_v2``.
        input_shape: as for ``mobilenet_v2``.
        name: of the model.
        multi_grid: three whole numbers by which the dilations of the three blocks of layer4 are
            multiplied, ``(1, 2, 4)`` in DeepLabV3; ``None`` keeps torchvision's dilations, whose
            first block has that of the stage before.

    Returns:
        ``keras.Model``, see the head of this file.

    Raises:
        ValueError: if the output stride or the multi-grid is not possible, or the weights do not
            fit.
    """
    _check_output_stride(output_stride)
    _check_multi_grid(multi_grid, output_stride)
    pictures = keras.Input(input_shape or (None, None, 3), name="pictures")
    x = normalise(pictures)
    x = conv_bn(x, 64, 7, "conv1", "bn1", stride=2, activation="relu")
    levels = {"C1": x}
    # The pool's border must never win: ReLU leaves nothing below the zeros that are padded.
    x = layers.ZeroPadding2D(1, name="maxpool_pad")(x)
    x = layers.MaxPooling2D(3, 2, name="maxpool")(x)
    stride, dilation = 4, 1
    for number, (width, blocks) in enumerate(RESNET50_STAGES, start=1):
        step = 1 if number == 1 else 2
        taken = step if stride * step <= output_stride else 1
        stride *= taken
        for block in range(blocks):
            place = f"layer{number}-{block}"
            if multi_grid is not None and number == len(RESNET50_STAGES):
                rate = dilation * (step // taken if block == 0 else 1) * multi_grid[block]
            else:
                rate = dilation
            x = _bottleneck(x, width, taken if block == 0 else 1, rate, block == 0, place)
            if block == 0:
                dilation *= step // taken
        levels[f"C{number + 1}"] = x
    model = keras.Model(pictures, levels, name=name)
    if weights is not None:
        from pixelwise.weights import published

        published.load(model, "resnet50", weights, leave_out=("fc.",))
    return freeze(model) if is_frozen(freeze_bn, weights) else model


def vgg16(weights=None, output_stride=32, freeze_bn=None, input_shape=None, name="vgg16"):
    """Builds the VGG16 pyramid of ``keras.applications`` (14.7 million parameters).

    C1 to C5 are the outputs of its five poolings (64, 128, 256, 512 and 512 channels), as Long et
    al. 2015 use them. There is no batch normalisation; pictures are turned to blue, green, red
    with the ImageNet mean subtracted, as in its training.

    Args:
        weights: ``None``, or ``"imagenet"`` (59 MB, downloaded once by Keras).
        output_stride: 32 only; a dilated VGG is DeepLab v1, the next chapter.
        freeze_bn: without effect, for the sake of one signature.
        input_shape: as for ``mobilenet_v2``.
        name: of the model.

    Returns:
        ``keras.Model``, see the head of this file.

    Raises:
        ValueError: if the output stride is not 32.
    """
    if output_stride != 32:
        raise ValueError(f"VGG16 has the output stride 32 only, received {output_stride}.")
    network = keras.applications.VGG16(include_top=False, weights=weights)
    pictures = keras.Input(input_shape or (None, None, 3), name="pictures")
    x = layers.Rescaling(255, offset=CAFFE_OFFSET, name="caffe")(pictures)
    x = ops.flip(x, axis=-1)  # red, green, blue to blue, green, red
    levels = {}
    for layer in network.layers[1:]:
        if isinstance(layer, layers.MaxPooling2D):  # rounding odd sides up, as Caffe did
            x = layers.MaxPooling2D(2, 2, padding="same", name=layer.name)(x)
            levels[f"C{len(levels) + 1}"] = x
        else:
            x = layer(x)
    return keras.Model(pictures, levels, name=name)


def normalise(pictures):
    """Subtracts the ImageNet mean and divides by its standard deviation (pictures in [0, 1])."""
    variance = np.square(IMAGENET_STD)
    layer = layers.Normalization(mean=IMAGENET_MEAN, variance=variance, name="normalise")
    return layer(pictures)


def _check_output_stride(output_stride):
    if output_stride not in OUTPUT_STRIDES:
        raise ValueError(f"The output stride is {output_stride!r}: choose one of {OUTPUT_STRIDES}.")


def _check_multi_grid(multi_grid, output_stride):
    if multi_grid is None:
        return
    blocks = RESNET50_STAGES[-1][1]
    if len(tuple(multi_grid)) != blocks or any(
        not isinstance(n, int | np.integer) or n < 1 for n in multi_grid
    ):
        raise ValueError(
            f"multi_grid is {multi_grid!r}: give {blocks} whole numbers from 1, one a block of "
            "layer4."
        )
    if output_stride == 32:
        raise ValueError("A multi-grid needs a dilated layer4: choose the output stride 8 or 16.")


def is_frozen(freeze_bn, weights):
    """Whether batch normalisation stays: as asked, or, with ``None``, where there are weights."""
    return weights is not None if freeze_bn is None else freeze_bn


def freeze(model):
    """Keeps the batch normalisation of a model as it is, and returns the model."""
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.trainable = False
    return model


def _inverted_residual(x, channels, expansion, stride, rate, name):
    """Widen (1x1), filter each channel (3x3), narrow (1x1); figure 3b of Sandler et al. 2018.

    Returns the block's output and what stands behind the widening.
    """
    entered, position = x, 0
    if expansion != 1:
        wide = x.shape[-1] * expansion
        x = conv_bn(x, wide, 1, f"{name}-0-0", f"{name}-0-1", activation="relu6")
        position = 1
    widened = x
    x = conv_bn(
        x,
        x.shape[-1],
        3,
        f"{name}-{position}-0",
        f"{name}-{position}-1",
        stride=stride,
        rate=rate,
        activation="relu6",
        depthwise=True,
    )
    x = conv_bn(x, channels, 1, f"{name}-{position + 1}", f"{name}-{position + 2}")
    if stride == 1 and entered.shape[-1] == channels:
        x = layers.Add(name=f"{name}-add")([entered, x])
    return x, widened


def _bottleneck(x, width, stride, rate, project, name):
    """Narrow (1x1), filter (3x3), widen (1x1), around a shortcut; figure 5 of He et al. 2016."""
    shortcut = x
    if project:
        shortcut = conv_bn(
            x, 4 * width, 1, f"{name}-downsample-0", f"{name}-downsample-1", stride=stride
        )
    x = conv_bn(x, width, 1, f"{name}-conv1", f"{name}-bn1", activation="relu")
    x = conv_bn(
        x,
        width,
        3,
        f"{name}-conv2",
        f"{name}-bn2",
        stride=stride,
        rate=rate,
        activation="relu",
    )
    x = conv_bn(x, 4 * width, 1, f"{name}-conv3", f"{name}-bn3")
    x = layers.Add(name=f"{name}-add")([shortcut, x])
    return layers.Activation("relu", name=f"{name}-relu")(x)
