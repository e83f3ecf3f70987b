"""A small classifier of garments, whose features and answers measure what is generated.

The chapters on generation take FID and KID, precision and recall in the space of its 64 features,
and count with it how many of the ten classes a generator makes. It is an ordinary convolutional
network (213,000 parameters), trained by the recipe ``garment_classifier``. Chapters: GAN, VAE.
"""

import keras
from keras import layers, ops

from pixelwise import checks

SIDE = 28  # of its pictures, in pixels
FEATURES = 64


def garment_classifier(num_classes=10, *, shift=2, dropout=0.3):
    """Builds the classifier.

    Three stages of two 3x3 convolutions, each with batch normalisation and ReLU, with a 2x2 maximum
    between the stages. The mean over the last map gives the features, a linear layer the logits.

    The pictures are shifted at random in training, and not mirrored: all shoes of Fashion-MNIST
    point to the left, and a network that has seen both would not notice one that points to the
    right.

    Args:
        num_classes: number of classes, 2 or more.
        shift: largest shift in training, in whole pixels up, down, left and right; 0 for none.
        dropout: share of the features set to 0 in training, at least 0, below 1.

    Returns:
        ``Classifier``: pictures float ``(batch, 28, 28, 1)`` in [0, 1] to logits ``(batch,
        num_classes)``. Its layer ``"features"`` gives float ``(batch, 64)``, 0 or more.

    Raises:
        ValueError: if an argument is not possible.

    Chapters: GAN, VAE.
    """
    _check(num_classes, shift, dropout)
    pictures = keras.Input((SIDE, SIDE, 1), name="pictures")
    x = pictures
    if shift:
        reach = (-shift / SIDE, shift / SIDE)
        x = layers.RandomTranslation(
            reach, reach, fill_mode="constant", interpolation="nearest", name="shift"
        )(x)
    for stage, widths in enumerate(((32, 32), (64, 64), (128, FEATURES)), start=1):
        if stage > 1:
            x = layers.MaxPooling2D(2, name=f"pool{stage - 1}")(x)
        for place, filters in enumerate(widths, start=1):
            x = _conv(x, filters, f"conv{stage}_{place}")
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return Classifier(
        pictures, layers.Dense(num_classes, name="logits")(x), name="garment_classifier"
    )


def feature_extractor(model):
    """Returns the part of a ``garment_classifier`` that gives its features.

    Args:
        model: ``Classifier``; both share their weights.

    Returns:
        ``keras.Model``: pictures float ``(batch, 28, 28, 1)`` in [0, 1] to a dict with
        ``"features"`` ``(batch, 64)`` and ``"logits"`` ``(batch, num_classes)``.
    """
    outputs = {"features": model.get_layer("features").output, "logits": model.output}
    return keras.Model(model.input, outputs, name="garment_features")


@keras.saving.register_keras_serializable(package="pixelwise")
class Classifier(keras.Model):
    """A functional model from pictures to logits that trains on the cross-entropy of its classes.

    Labels are integers ``(batch,)``; the loss is the mean over the batch, in nats.
    """

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return ops.mean(keras.losses.sparse_categorical_crossentropy(y, y_pred, from_logits=True))


def _conv(x, filters, name):
    x = layers.Conv2D(
        filters, 3, padding="same", use_bias=False, kernel_initializer="he_normal", name=name
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.Activation("relu", name=f"{name}_relu")(x)


def _check(num_classes, shift, dropout):
    for name, value, least in (("num_classes", num_classes, 2), ("shift", shift, 0)):
        checks.whole(name, value, least)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout!r}: give a share of at least 0, below 1.")
