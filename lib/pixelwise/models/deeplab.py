"""DeepLab: v1's LargeFOV, v2's sum of atrous branches, v3's ASPP and v3+'s decoder.

The file reads in the order in which they were found. All take the feature map of a backbone whose
last stages are dilated instead of strided, and differ in the head they put on it:

- v1 (Chen et al. 2015, arXiv 1412.7062): one 3x3 convolution with a large field of view;
- v2 (Chen et al. 2018, arXiv 1606.00915): four of them at different rates, their scores added;
- v3 (Chen et al. 2017, arXiv 1706.05587): the branches normalised, concatenated and projected,
  with the mean of the whole map as a branch of its own;
- v3+ (Chen et al. 2018, arXiv 1802.02611): v3, and a decoder that adds a fine level.

With ``backbone="resnet50"``, ``output_stride=8`` and the auxiliary head, v3 is torchvision's
deeplabv3_resnet50 tensor by tensor. The dense CRF of v1 and v2 is in ``crf.py``. Chapter 3.
"""

import numbers

from keras import Input, layers

from pixelwise import checks
from pixelwise.models.backbones import backbone as build_backbone
from pixelwise.models.backbones import is_frozen
from pixelwise.models.fcn import CheckSize, check_ends
from pixelwise.models.segmenter import ResizeTo, Segmenter
from pixelwise.nn.aspp import aspp, check_rates, scaled_rates
from pixelwise.nn.atrous import conv_bn, separable_conv_bn
from pixelwise.nn.taps import AtrousConv2D

# Rates at output stride 16: of pixels of the picture, the same at any stride.
RATES = {"v1": (6,), "v2": (3, 6, 9, 12), "v3": (6, 12, 18), "v3+": (6, 12, 18)}
LOW_LEVEL = "C2"  # the level the decoder adds, at 1/4 of the picture's side
LOW_LEVEL_CHANNELS = 48  # table 1 of Chen et al. 2018 (v3+)


def deeplab(
    num_classes,
    variant="v3+",
    backbone="mobilenet_v2",
    *,
    output_stride=16,
    features=("C5",),
    rates=None,
    channels=256,
    image_pooling=True,
    decoder=True,
    separable=None,
    auxiliary=False,
    multi_grid=None,
    dropout=0.1,
    freeze_bn=None,
    weights="default",
    input_shape=None,
):
    """Builds a DeepLab.

    Args:
        num_classes: number of classes, the background counted.
        variant: ``"v1"``, ``"v2"``, ``"v3"`` or ``"v3+"``.
        backbone: ``"mobilenet_v2"`` or ``"resnet50"``.
        output_stride: 16 or 8: pixels of the picture from one feature to the next, before the
            head. ``model.rebuilt(output_stride=8)`` gives a trained network the other stride.
        features: the backbone's levels that the head reads, of one resolution: ``("C5",)`` as in
            the papers, or ``("C4", "C5")`` concatenated. Objects of a few dozen pixels are told
            apart better by C4: what C5 sees is then larger than the picture.
        rates: of the atrous convolutions, at output stride 16 (they are doubled at 8); ``None``
            takes the papers', made for pictures of 513 pixels: (6, 12, 18) for v3 and v3+,
            (6,) for v1, (3, 6, 9, 12) for v2. ``()`` leaves v3 and v3+ the 1x1 branch alone.
        channels: of the branches and of the decoder; 1,024 in v1 and v2, 256 later.
        image_pooling: ``False`` leaves out the branch with the mean of the whole map (v3, v3+).
        decoder: ``False`` leaves out v3+'s fine level and enlarges the scores at once.
        separable: ``True`` makes the 3x3 convolutions of ASPP and the decoder separable (v3, v3+);
            ``None`` does so for v3+.
        auxiliary: ``True`` adds a second head on C4, whose loss counts in training only.
        multi_grid: multiples of the dilation in the last stage of ResNet-50, ``(1, 2, 4)`` in the
            paper; ``None`` is torchvision's.
        dropout: share of the head's features set to 0 in training.
        freeze_bn: ``True`` keeps the batch normalisation of the backbone as it is; ``None`` does
            so if weights were loaded.
        weights: of the backbone: ``"default"`` (ImageNet for MobileNetV2, none for ResNet-50),
            ``None``, or what the backbone's own function takes.
        input_shape: ``(height, width, 3)``; ``None`` leaves the size open.

    Returns:
        ``Segmenter``: pictures float ``(batch, height, width, 3)`` in [0, 1], any height and width
        of 32 or more, to logits ``(batch, height, width, num_classes)``.

    Raises:
        ValueError: if an argument is not possible, or a rate does not fit into the map of a
            picture of ``input_shape``.
    """
    arguments = dict(locals())
    check_ends(num_classes, input_shape)
    _check(variant, backbone, output_stride, features)
    checks.whole("channels", channels)
    if not isinstance(dropout, numbers.Real) or not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout!r}: give a share of at least 0, below 1.")
    if weights == "default":
        weights = "imagenet" if backbone == "mobilenet_v2" else None
    arguments["freeze_bn"] = freeze_bn = is_frozen(freeze_bn, weights)
    separable = variant == "v3+" if separable is None else separable
    rates = scaled_rates(RATES[variant] if rates is None else rates, output_stride)
    if multi_grid is not None and backbone != "resnet50":
        raise ValueError(f"A multi-grid belongs to resnet50, not to {backbone}: leave it out.")
    options = {} if multi_grid is None else {"multi_grid": multi_grid}
    body = build_backbone(
        backbone,
        weights=weights,
        output_stride=output_stride,
        freeze_bn=freeze_bn,
        input_shape=input_shape,
        name="backbone",
        **options,
    )
    pictures = Input(input_shape or (None, None, 3), name="pictures")
    levels = body(CheckSize(name="check_size")(pictures))
    x = [levels[name] for name in features]
    x = layers.Concatenate(name="features")(x) if x[1:] else x[0]
    if variant == "v1":
        x = large_fov_head(x, num_classes, channels, rates, dropout)
    elif variant == "v2":
        x = aspp_sum_head(x, num_classes, channels, rates, dropout)
    elif variant == "v3":
        x = v3_head(x, num_classes, channels, rates, image_pooling, separable, dropout)
    else:
        low = levels[LOW_LEVEL] if decoder else None
        x = v3_plus_head(x, low, num_classes, channels, rates, image_pooling, separable, dropout)
    logits = ResizeTo(name="logits")([x, pictures])
    outputs = logits
    if auxiliary:
        width = levels["C4"].shape[-1] // 4
        x = fcn_head(levels["C4"], num_classes, width, "aux_classifier", dropout)
        outputs = {"logits": logits, "aux": ResizeTo(name="aux")([x, pictures])}
    name = f"deeplab_{variant.replace('+', 'plus')}_{backbone}"
    return Segmenter(pictures, outputs, builder=deeplab, arguments=arguments, name=name)


def large_fov_head(x, num_classes, channels, rates, dropout):
    """v1's head: fc6 as one 3x3 convolution at a large rate, fc7 as a 1x1, then the scores.

    Source: Chen et al. 2015, section 3.2 and table 2 (DeepLab-LargeFOV: rate 12 at stride 8).
    """
    if len(rates) != 1:
        raise ValueError(f"v1 has one atrous convolution, received the rates {rates}: give one.")
    return _fc_branch(x, num_classes, channels, rates[0], dropout, "")


def aspp_sum_head(x, num_classes, channels, rates, dropout):
    """v2's head: a branch of fc6, fc7 and scores for each rate, the scores added.

    Source: Chen et al. 2018, section 3.2 and figure 7 (ASPP-L: rates 6, 12, 18, 24 at stride 8).
    """
    if len(rates) < 2:
        raise ValueError(f"v2 adds several branches, received the rates {rates}: give two or more.")
    branches = [
        _fc_branch(x, num_classes, channels, rate, dropout, f"_{number}")
        for number, rate in enumerate(rates, start=1)
    ]
    return layers.Add(name="sum")(branches)


def _fc_branch(x, num_classes, channels, rate, dropout, suffix):
    check_rates((rate,), x.shape[1:3])
    x = AtrousConv2D(
        channels, 3, dilation_rate=rate, padding="same", activation="relu", name=f"fc6{suffix}"
    )(x)
    x = layers.Dropout(dropout, name=f"fc6_dropout{suffix}")(x)
    x = layers.Conv2D(channels, 1, activation="relu", name=f"fc7{suffix}")(x)
    x = layers.Dropout(dropout, name=f"fc7_dropout{suffix}")(x)
    return layers.Conv2D(num_classes, 1, name=f"fc8{suffix}")(x)


def v3_head(x, num_classes, channels, rates, image_pooling, separable, dropout):
    """v3's head: ASPP, a 3x3 convolution and the scores, under torchvision's names.

    Source: Chen et al. 2017, section 3.3; the 3x3 convolution behind ASPP is torchvision's.
    """
    x = aspp(
        x,
        channels,
        rates,
        "classifier-0",
        image_pooling=image_pooling,
        separable=separable,
        dropout=dropout,
    )
    x = conv_bn(x, channels, 3, "classifier-1", "classifier-2", activation="relu")
    return layers.Conv2D(num_classes, 1, name="classifier-4")(x)


def v3_plus_head(x, low, num_classes, channels, rates, image_pooling, separable, dropout):
    """v3+'s head: ASPP, enlarged to a fine level, which is narrowed and concatenated; scores.

    The fine level has many channels and would outweigh ASPP's answer: a 1x1 convolution leaves it
    48 (table 1 of the paper). Two 3x3 convolutions then mend the outlines (table 2).

    Args:
        x: the coarse map.
        low: the fine level, or ``None`` for no decoder.

    Source: Chen et al. 2018 (v3+), section 3.1 and figure 2.
    """
    x = aspp(
        x,
        channels,
        rates,
        "aspp",
        image_pooling=image_pooling,
        separable=separable,
        dropout=dropout,
    )
    if low is not None:
        low = conv_bn(
            low, LOW_LEVEL_CHANNELS, 1, "decoder-low", "decoder-low_bn", activation="relu"
        )
        x = ResizeTo(name="decoder-enlarge")([x, low])
        x = layers.Concatenate(name="decoder-concatenate")([x, low])
        for number in (1, 2):
            name = f"decoder-{number}"
            if separable:
                x = separable_conv_bn(x, channels, name)
            else:
                x = conv_bn(x, channels, 3, name, f"{name}_bn", activation="relu")
    return layers.Conv2D(num_classes, 1, name="scores")(x)


def fcn_head(x, num_classes, channels, name, dropout=0.1):
    """torchvision's FCN head, also its auxiliary head: a 3x3 convolution and the scores."""
    x = conv_bn(x, channels, 3, f"{name}-0", f"{name}-1", activation="relu")
    x = layers.Dropout(dropout, name=f"{name}-3")(x)
    return layers.Conv2D(num_classes, 1, name=f"{name}-4")(x)


def _check(variant, backbone, output_stride, features):
    if not isinstance(variant, str) or variant not in RATES:
        raise ValueError(f"There is no DeepLab {variant!r}: choose one of {', '.join(RATES)}.")
    if backbone not in ("mobilenet_v2", "resnet50"):
        raise ValueError(
            f"DeepLab has no backbone {backbone!r} here: choose mobilenet_v2 or resnet50."
        )
    if output_stride not in (8, 16):
        raise ValueError(
            f"The output stride is {output_stride!r}: DeepLab has 8 or 16 (an FCN has 32)."
        )
    named = features if isinstance(features, tuple | list) else ()
    if not named or set(named) - {"C4", "C5"} or len(set(named)) < len(named):
        raise ValueError(f"features is {features!r}: give ('C5',), ('C4',) or ('C4', 'C5').")
