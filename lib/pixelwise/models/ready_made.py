"""Ready-made networks of other libraries, to stand beside ours on the same data.

keras-cv is not needed for anything else in this package. KerasHub succeeds it. Chapter 3.
"""

import keras
from keras import ops

from pixelwise.models.backbones import mobilenet_v2

# The names that keras-cv looks for, and the layers of our backbone at these levels.
PYRAMID = {"P2": "features-3-conv-0-1-relu6", "P5": "features-18-1-relu6"}


def keras_cv_deeplab(num_classes, *, weights="imagenet", freeze_bn=None, input_shape=None):
    """Builds ``keras_cv.models.DeepLabV3Plus`` on our MobileNetV2, at keras-cv's own settings.

    keras-cv leaves the backbone at stride 32, has the rates 6, 12 and 18 with 256 channels and full
    convolutions, and a decoder of one 1x1 convolution. It ends in a softmax; the logarithm of its
    probabilities is given, which are logits of the same softmax.

    Args:
        num_classes: number of classes, the background counted.
        weights, freeze_bn: of the backbone, see ``backbones.mobilenet_v2``.
        input_shape: ``(height, width, 3)``, multiples of 32; ``None`` leaves the size open.

    Returns:
        ``keras.Model``: pictures float ``(batch, height, width, 3)`` in [0, 1], height and width
        multiples of 32, to logits ``(batch, height, width, num_classes)``.

    Raises:
        ImportError: if keras-cv is not installed, or does not import.
    """
    try:
        from keras_cv.models import DeepLabV3Plus
    except Exception as error:  # it fails in many ways beside libraries younger than itself
        raise ImportError(
            f"keras-cv cannot be imported ({type(error).__name__}): pip install keras-cv, or go on "
            "without this comparison."
        ) from error
    features = mobilenet_v2(weights=weights, freeze_bn=freeze_bn, input_shape=input_shape)
    features.pyramid_level_inputs = PYRAMID
    network = DeepLabV3Plus(backbone=features, num_classes=num_classes)
    least = keras.config.epsilon()
    logits = ops.log(ops.clip(network.output, least, 1.0))
    return keras.Model(network.input, logits, name="keras_cv_deeplab")
