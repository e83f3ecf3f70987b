"""torchvision's networks by name, with its published weights, and the Inception-V3 of FID.

    model = zoo.load("fcn_resnet50", weights="coco")
    logits = model.predict(pictures)  # float32 in [0, 1], (batch, height, width, 3)

The first call downloads the checkpoint, checks its hash and converts it, for which PyTorch has to
be installed; later ones read the converted file from the cache. Layer by layer these are the
networks of torchvision 0.29, and give its outputs (tests/parity). Chapters 3 and 4.

The COCO checkpoints of fcn_resnet50 and deeplabv3_resnet50 were trained on the pictures of COCO
that show one of the 20 classes of Pascal VOC, and measured (60.5 and 66.4 % mean IoU) on pictures
whose shorter side was resized to 520 pixels, bilinearly and with antialiasing, then normalised by
the ImageNet mean and standard deviation. The normalisation is the first layer here. The resizing is
left to the caller: ``keras.ops.image.resize(picture, (520, int(520 * width / height)),
antialias=True)`` for a picture that is wider than high; the logits have the size of the resized
picture.

That of maskrcnn_resnet50_fpn was trained on all of COCO (37.9 % box and 34.6 % mask AP).
``pixelwise.detection.detect`` resizes the picture as in its training, and returns boxes and masks
of the picture's own size; ``COCO_CLASSES`` names the classes.
"""

import inspect

import keras

from pixelwise.models.backbones import is_frozen, mobilenet_v2, resnet50
from pixelwise.models.class_names import COCO_CLASSES, VOC_CLASSES
from pixelwise.models.deeplab import deeplab, fcn_head
from pixelwise.models.fcn import CheckSize, check_ends
from pixelwise.models.inception import inception_v3_fid
from pixelwise.models.mask_rcnn import mask_rcnn
from pixelwise.models.segmenter import ResizeTo, Segmenter
from pixelwise.weights import published

NUM_CLASSES = len(VOC_CLASSES)
NUM_COCO_CLASSES = len(COCO_CLASSES)


def load(name, weights=None, **options):
    """Builds one of torchvision's networks and loads its weights.

    Args:
        name: ``"fcn_resnet50"`` or ``"deeplabv3_resnet50"``, which give logits,
            ``"maskrcnn_resnet50_fpn"``, which finds objects, ``"resnet50"`` or ``"mobilenet_v2"``,
            which give a pyramid of features (``backbones.py``), or ``"inception_v3_fid"``, which
            gives one vector (``inception.py``).
        weights: ``"coco"`` for the first three, ``"imagenet"`` for the next two: what torchvision
            publishes, in full precision; ``"fid"`` for the last; or the path of a ``.pth`` file of
            this network; or ``None`` for random weights.
        **options: of the network's function. ``fcn_resnet50`` and ``deeplabv3_resnet50`` have
            ``num_classes``, ``auxiliary``, ``freeze_bn`` and ``input_shape``; see them and those of
            ``maskrcnn_resnet50_fpn`` below, and the files named for the others. With weights,
            ``freeze_bn`` is ``True`` unless given.

    Returns:
        ``Segmenter``, ``MaskRCNN`` or ``keras.Model``.

    Raises:
        ValueError: if the name, an option or the weights are unknown, or a file is no checkpoint.
        ImportError: if a ``.pth`` file has to be read and PyTorch is not installed.
        pixelwise.data.download.DownloadError: if the download goes wrong, or brings another file.
        pixelwise.weights.WeightsError: if the weights are of another network.
    """
    if name not in NETWORKS:
        raise ValueError(f"There is no network {name!r} here: choose one of {', '.join(NETWORKS)}.")
    build, leave_out = NETWORKS[name]
    signature = inspect.signature(build)
    try:
        signature.bind(**options)
    except TypeError as error:
        raise ValueError(
            f"{name} {error}: zoo.{build.__name__} says which options it has."
        ) from error
    options["freeze_bn"] = is_frozen(options.get("freeze_bn"), weights)
    if weights == "coco" and "num_classes" in options:
        known = signature.parameters["num_classes"].default
        if options["num_classes"] != known:
            raise ValueError(
                f"The weights 'coco' tell {known} classes apart, but num_classes is "
                f"{options['num_classes']!r}: leave it out."
            )
    if published.is_published(name, weights):
        given = {option: value for option, value in options.items() if value is not None}
        options = {**PUBLISHED_WITH.get(name, {}), **given}
    model = build(**{**options, "weights": None})
    if weights is not None:
        if not options.get("auxiliary", True):
            leave_out = (*leave_out, "aux_classifier.")
        published.load(model, name, weights, leave_out=leave_out)
    return model


def fcn_resnet50(
    num_classes=NUM_CLASSES,
    *,
    auxiliary=True,
    output_stride=8,
    dropout=0.1,
    freeze_bn=None,
    weights=None,
    input_shape=None,
):
    """Builds torchvision's FCN: a dilated ResNet-50 and a 3x3 convolution before the scores.

    It has none of the skips of Long et al. 2015: dilation keeps the resolution instead
    (``fcn.py`` has the paper's). 32,957,013 parameters for 21 classes, and 2,365,205 more in the
    auxiliary head.

    Args:
        num_classes: number of classes, the background counted.
        auxiliary: ``True`` adds a second head on C4, whose loss counts in training only. With
            ``False``, ``load`` passes over the ``aux_classifier`` of a checkpoint.
        output_stride: 8, as in torchvision, 16 or 32.
        dropout: share of the head's features set to 0 in training.
        freeze_bn: ``True`` keeps the batch normalisation of the backbone as it is, ``None`` does
            so if weights were loaded.
        weights: of the backbone: what ``backbones.resnet50`` takes.
        input_shape: ``(height, width, 3)``; ``None`` leaves the size open.

    Returns:
        ``Segmenter``: pictures float ``(batch, height, width, 3)`` in [0, 1], any height and width
        of 32 or more, to logits ``(batch, height, width, num_classes)``.

    Raises:
        ValueError: if an argument is not possible.
    """
    arguments = dict(locals())
    check_ends(num_classes, input_shape)
    arguments["freeze_bn"] = freeze_bn = is_frozen(freeze_bn, weights)
    features = resnet50(
        weights=weights,
        output_stride=output_stride,
        freeze_bn=freeze_bn,
        input_shape=input_shape,
        name="backbone",
    )
    pictures = keras.Input(input_shape or (None, None, 3), name="pictures")
    levels = features(CheckSize(name="check_size")(pictures))

    def scores(level, name, called):
        x = levels[level]
        x = fcn_head(x, num_classes, x.shape[-1] // 4, name, dropout)
        return ResizeTo(name=called)([x, pictures])

    outputs = scores("C5", "classifier", "logits")
    if auxiliary:
        outputs = {"logits": outputs, "aux": scores("C4", "aux_classifier", "aux")}
    return Segmenter(
        pictures, outputs, builder=fcn_resnet50, arguments=arguments, name="fcn_resnet50"
    )


def deeplabv3_resnet50(
    num_classes=NUM_CLASSES,
    *,
    auxiliary=True,
    freeze_bn=None,
    weights=None,
    input_shape=None,
):
    """Builds torchvision's DeepLabV3: ``deeplab`` with its backbone, stride, dropout and names.

    39,638,869 parameters for 21 classes, and 2,365,205 more in the auxiliary head.

    Args:
        num_classes, auxiliary, freeze_bn, weights, input_shape: as for ``fcn_resnet50``.

    Returns:
        ``Segmenter``, as ``fcn_resnet50``.

    Raises:
        ValueError: if an argument is not possible.
    """
    return deeplab(
        num_classes,
        "v3",
        "resnet50",
        output_stride=8,
        auxiliary=auxiliary,
        dropout=0.5,
        freeze_bn=freeze_bn,
        weights=weights,
        input_shape=input_shape,
    )


def maskrcnn_resnet50_fpn(
    num_classes=NUM_COCO_CLASSES,
    *,
    freeze_bn=None,
    bn_epsilon=None,
    freeze_to=None,
    weights=None,
    **settings,
):
    """Builds torchvision's Mask R-CNN: ``mask_rcnn`` with its defaults.

    44,401,393 parameters for the 91 numbers of COCO's classes, and 53,120 in batch normalisation.

    Args:
        num_classes: number of classes, the background counted.
        freeze_bn: ``True`` keeps the batch normalisation of the backbone as it is, ``None`` does
            so if weights were loaded.
        bn_epsilon: what is added to the variances of the backbone. ``None`` is 1e-5, and 0.0 for
            ``load`` with the published weights or their file, with which they were trained.
        freeze_to: ``None``, or the last level of the backbone whose layers do not learn;
            torchvision fine-tunes with ``"C2"``.
        weights: of the backbone: what ``backbones.resnet50`` takes.
        **settings: what differs from ``detector.Settings``, or further arguments of ``mask_rcnn``.

    Returns:
        ``MaskRCNN``.

    Raises:
        ValueError: if an argument is not possible.
    """
    return mask_rcnn(
        num_classes,
        "resnet50",
        freeze_bn=freeze_bn,
        bn_epsilon=bn_epsilon,
        freeze_to=freeze_to,
        weights=weights,
        **settings,
    )


# Name -> its function, and which of torchvision's tensors the network is built without.
NETWORKS = {
    "fcn_resnet50": (fcn_resnet50, ()),
    "deeplabv3_resnet50": (deeplabv3_resnet50, ()),
    "maskrcnn_resnet50_fpn": (maskrcnn_resnet50_fpn, ()),
    "resnet50": (resnet50, ("fc.",)),
    "mobilenet_v2": (mobilenet_v2, ("classifier.",)),
    "inception_v3_fid": (inception_v3_fid, ("fc.",)),
}
# Name -> options that the published weights need.
PUBLISHED_WITH = {"maskrcnn_resnet50_fpn": {"bn_epsilon": 0.0}}
