"""Spatially adaptive normalisation: the label map tells every place of a map its scale and shift.

Normalisation takes the mean out of a map, and with it what a label map fed in at the bottom had
said: a region of one class is constant, and a constant is what it removes. Here the label map comes
in after the normalisation, at every level, at every place. Chapter 8.
"""

import keras
from keras import layers, ops

from pixelwise import checks

NORMS = ("layer", "batch")
EPSILON = 1e-5


@keras.saving.register_keras_serializable(package="pixelwise")
class OneHotMap(layers.Layer):
    """Turns label maps into one channel a class; a place that is void gets 0 in all of them.

    Args:
        num_classes: number of classes, at least 1.
        **options: of ``keras.layers.Layer``.

    Call arguments: int ``(batch, height, width)``, classes or anything else for void.
    Returns: float ``(batch, height, width, num_classes)`` of 0 and 1.
    """

    def __init__(self, num_classes, **options):
        super().__init__(**options)
        checks.whole("num_classes", num_classes, 1)
        self.num_classes = num_classes

    def call(self, masks):
        classes = ops.arange(self.num_classes, dtype="int32")
        equal = ops.equal(ops.cast(masks, "int32")[..., None], classes)
        return ops.cast(equal, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return (*input_shape, self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}


@keras.saving.register_keras_serializable(package="pixelwise")
class SPADE(layers.Layer):
    """Normalises features and gives every place the scale and shift that its labels ask for.

    ``y = (1 + scale(labels)) * (x - mean) / deviation + shift(labels)``, where ``scale`` and
    ``shift`` are 3x3 convolutions of the label map, resized to the map's size by taking the nearest
    label. What is normalised has no scale or shift of its own.

    Args:
        hidden: channels of a convolution with ReLU that both share (128 in the paper); 0 leaves it
            out, which is enough for a small map and a few classes.
        norm: ``"batch"`` takes mean and deviation of each channel over the batch, as in the paper;
            ``"layer"`` of each picture by itself over all its places and channels, which is the
            same in training and after.
        **options: of ``keras.layers.Layer``.

    Call arguments: a list of features ``(batch, h, w, channels)`` and label maps, one channel a
        class, ``(batch, height, width, classes)``, with the height and width of the features or a
        whole multiple of them.
    Returns: features of the same shape.

    Raises:
        ValueError: if an argument is not possible, or the sizes do not fit.

    Source: Park et al. 2019 (arXiv 1903.07291), section 3, equations 1 to 3, and appendix A.
    """

    def __init__(self, hidden=128, norm="batch", **options):
        super().__init__(**options)
        checks.whole("hidden", hidden, 0)
        if norm not in NORMS:
            raise ValueError(f"norm is {norm!r}: choose {' or '.join(map(repr, NORMS))}.")
        self.hidden, self.norm = hidden, norm
        self.shared = _convolution(hidden, "shared", activation="relu") if hidden else None
        self.statistics = None
        if norm == "batch":
            self.statistics = layers.BatchNormalization(
                momentum=0.9, epsilon=EPSILON, center=False, scale=False, name="norm"
            )

    def build(self, input_shape):
        features, labels = input_shape
        _factor(features, labels)
        self.modulation = _convolution(2 * features[-1], "modulation")
        told = (*features[:3], labels[-1])
        if self.hidden:
            self.shared.build(told)
            told = (*features[:3], self.hidden)
        self.modulation.build(told)
        if self.statistics is not None:
            self.statistics.build(features)

    def call(self, inputs, training=False):
        features, labels = inputs
        told = nearest(labels, _factor(features.shape, labels.shape))
        if self.hidden:
            told = self.shared(told)
        scale, shift = ops.split(self.modulation(told), 2, axis=-1)
        if self.statistics is not None:
            normal = self.statistics(features, training=training)
        else:
            mean, variance = ops.moments(features, axes=(1, 2, 3), keepdims=True)
            normal = (features - mean) * ops.rsqrt(variance + EPSILON)
        return (1 + scale) * normal + shift

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "norm": self.norm}


def nearest(labels, factor):
    """Makes label maps smaller by a whole factor: each place gets the label at its centre.

    Args:
        labels: ``(batch, height, width, classes)``.
        factor: whole number from 1; at an even one the place below and right of the centre.

    Returns:
        ``(batch, height / factor, width / factor, classes)``.
    """
    middle = factor // 2
    return labels[:, middle::factor, middle::factor]


def _factor(features, labels):
    """Returns how many times the label maps are as large as the features."""
    (_, h, w, _), (_, height, width, _) = features, labels
    factor = height // h
    if factor < 1 or (factor * h, factor * w) != (height, width):
        raise ValueError(
            f"The label maps have {height} x {width} places and the features {h} x {w}: give "
            "label maps of the features' size, or a whole multiple of it."
        )
    return factor


def _convolution(filters, name, activation=None):
    return layers.Conv2D(filters, 3, padding="same", activation=activation, name=name)
