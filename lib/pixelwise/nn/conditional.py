"""Layers that know the class of a picture: how the generator is told it, and the discriminator.

Chapter: GAN.
"""

import keras
from keras import layers, ops

from pixelwise.nn.spectral import spectral_if


@keras.saving.register_keras_serializable(package="pixelwise")
class ClassBatchNorm(layers.Layer):
    """Batch normalisation whose scale and shift belong to the class of each picture.

    ``y = scale[class] * (x - mean) / deviation + shift[class]``: the statistics are those of all
    pictures, and each class has its own way to use them.

    Args:
        num_classes: number of classes, at least 1.
        momentum, epsilon: as for ``keras.layers.BatchNormalization``.
        **options: of ``keras.layers.Layer``.

    Call arguments: a list of features ``(batch, ..., channels)`` and classes ``(batch,)``, integers
        in [0, num_classes).
    Returns: features of the same shape.

    Source: Dumoulin, Shlens, Kudlur 2017 (arXiv 1610.07629), equation 5; Miyato and Koyama 2018
        (arXiv 1802.05637), section 5, for the generator.
    """

    def __init__(self, num_classes, momentum=0.9, epsilon=1e-5, **options):
        super().__init__(**options)
        self.num_classes, self.momentum, self.epsilon = num_classes, momentum, epsilon
        self.norm = layers.BatchNormalization(
            momentum=momentum, epsilon=epsilon, center=False, scale=False, name="norm"
        )

    def build(self, input_shape):
        features, _ = input_shape
        self.norm.build(features)
        table = (self.num_classes, features[-1])
        self.scale = self.add_weight(shape=table, initializer="ones", name="scale")
        self.shift = self.add_weight(shape=table, initializer="zeros", name="shift")

    def call(self, inputs, training=False):
        features, classes = inputs
        shape = (-1, *[1] * (len(features.shape) - 2), features.shape[-1])
        scale, shift = (
            ops.reshape(ops.take(table, classes, axis=0), shape)
            for table in (self.scale, self.shift)
        )
        return scale * self.norm(features, training=training) + shift

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        own = ("num_classes", "momentum", "epsilon")
        return {**super().get_config(), **{name: getattr(self, name) for name in own}}


@keras.saving.register_keras_serializable(package="pixelwise")
class ProjectionScore(layers.Layer):
    """The last layer of a discriminator that is told the class: ``w . f + b + v[class] . f``.

    The first part asks whether the features ``f`` look real at all, the second whether they look
    like the class.

    Args:
        num_classes: number of classes, at least 1.
        spectral: whether to divide ``w`` and the table of ``v`` by their spectral norms.
        **options: of ``keras.layers.Layer``.

    Call arguments: a list of features ``(batch, channels)`` and classes ``(batch,)``, integers in
        [0, num_classes).
    Returns: logits ``(batch, 1)``.

    Source: Miyato and Koyama 2018 (arXiv 1802.05637), equation 3.
    """

    def __init__(self, num_classes, spectral=False, **options):
        super().__init__(**options)
        self.num_classes, self.spectral = num_classes, spectral
        self.real = spectral_if(layers.Dense(1, name="real"), spectral)

    def build(self, input_shape):
        features, classes = input_shape
        table = layers.Embedding(
            self.num_classes, features[-1], embeddings_initializer="glorot_uniform", name="classes"
        )
        self.classes = spectral_if(table, self.spectral)
        self.real.build(features)
        self.classes.build(classes)

    def call(self, inputs, training=False):
        features, classes = inputs
        options = {"training": training} if self.spectral else {}
        match = ops.sum(self.classes(classes, **options) * features, axis=-1, keepdims=True)
        return self.real(features, **options) + match

    def compute_output_shape(self, input_shape):
        return (input_shape[0][0], 1)

    def get_config(self):
        own = {"num_classes": self.num_classes, "spectral": self.spectral}
        return {**super().get_config(), **own}
