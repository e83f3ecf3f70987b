"""What the generative models share: checks of what they are given, and batches of one size.

In a compiled graph a value cannot raise an error: ``batch`` looks at shapes and types, and
``within`` gives a condition that turns the loss to NaN, while ``finite`` keeps NaN out of the
weights. Elsewhere bad input is one sentence. Chapter: VAE.
"""

import keras
import numpy as np
from keras import ops

BATCH = 200  # pictures that a network is asked for at a time


def in_batches(network, *inputs, size=BATCH):
    """Asks a network for many examples, in batches of one size, which are compiled once.

    Args:
        network: ``keras.Model``.
        *inputs: arrays ``(n, ...)``, or one dict of such arrays.
        size: examples in a batch; the last is filled up with the first ones.

    Returns:
        NumPy arrays ``(n, ...)`` in the structure of the network's outputs.
    """
    inputs = inputs[0] if len(inputs) == 1 else list(inputs)
    count = len(keras.tree.flatten(inputs)[0])
    size = min(size, count)
    rows = np.arange(-(-count // size) * size).reshape(-1, size) % count
    made = [
        network.predict_on_batch(keras.tree.map_structure(lambda array: array[some], inputs))  # noqa: B023
        for some in rows
    ]
    return keras.tree.map_structure(lambda *parts: np.concatenate(parts)[:count], *made)


def networks(**given):
    """Refuses what is no network with inputs, by its name."""
    for name, network in given.items():
        if not isinstance(network, keras.Model) or not getattr(network, "inputs", None):
            raise ValueError(
                f"{name} is {network!r}: give a keras.Model that knows its inputs, as the builders "
                "of this package return."
            )


def told(num_classes, **given):
    """Refuses networks that were built for another number of classes, by their names.

    Args:
        num_classes: how many the model has, or ``None``.
        **given: networks, whose layers say how many classes they are told.

    Raises:
        ValueError: if the numbers differ.
    """
    for name, network in given.items():
        found = {_classes_of(layer, network) for layer in network.layers} - {None, num_classes}
        if found:
            raise ValueError(
                f"The {name} was built for {found.pop()} classes and num_classes is {num_classes}: "
                "build all networks for one number of classes."
            )


def _classes_of(layer, network):
    """How many classes a layer of a network is told, ``None`` if it is told none."""
    if not isinstance(layer, keras.layers.Embedding):
        return getattr(layer, "num_classes", None)
    reads_classes = any(layer.input is classes for classes in network.inputs[1:])
    return layer.input_dim if reads_classes else None


def numbers(**values):
    """Refuses values that are no finite numbers of at least 0, by their names."""
    for name, value in values.items():
        real = isinstance(value, int | float | np.number) and not isinstance(value, bool)
        if not real or not 0 <= value < float("inf"):
            raise ValueError(f"{name} is {value!r}: give a number of at least 0.")


def finite(values):
    """Returns values as float32, with 0 in the place of NaN and infinity.

    Every network is given its pictures through this. A batch that holds NaN has the loss NaN, and
    that loss a gradient of 0: but 0 times NaN is NaN, and the weights would be lost with the step.
    """
    values = ops.cast(values, "float32")
    return ops.where(ops.isfinite(values), values, 0.0)


def share(**values):
    """Refuses values that are no numbers of at least 0, below 1, by their names."""
    numbers(**values)
    for name, value in values.items():
        if value >= 1:
            raise ValueError(f"{name} is {value!r}: give a share of at least 0, below 1.")


def batch(pictures, classes, shape, num_classes, bounds=(0, 1)):
    """Reads a batch for training, or refuses one whose shapes or types do not fit.

    Args:
        pictures: tensor ``(batch, height, width, channels)``.
        classes: tensor ``(batch,)``, or ``None``.
        shape: of what the model takes, ``(None, height, width, channels)``.
        num_classes: ``None``, or how many the model is told.
        bounds: least and largest value that a picture may have.

    Returns:
        (float32 pictures, ``finite``; int32 classes, moved into their range, ``classes`` as they
        are for a model without; scalar, whether all pictures and classes are in their range).

    Raises:
        ValueError: naming what does not fit.
    """
    as_built(pictures, shape)
    if num_classes and (classes is None or len(classes.shape) != 1):
        raise ValueError(
            "This model learns classes, so each picture needs one: give batches of (pictures, "
            "labels) with integer labels (batch,)."
        )
    pictures = ops.cast(pictures, "float32")
    valid = ops.logical_and(within(pictures, *bounds), ops.all(ops.isfinite(pictures)))
    if num_classes:
        whole_labels("labels", classes)
        classes = ops.cast(classes, "int32")
        valid = ops.logical_and(valid, within(classes, 0, num_classes - 1))
        classes = ops.clip(classes, 0, num_classes - 1)
    return finite(pictures), classes, valid


def as_built(pictures, shape):
    """Refuses pictures of another shape than the networks were built for.

    Models ask this before Keras does, whose sentence has several lines: in ``__call__``, and in
    ``call`` by which JAX trains.

    Args:
        pictures: array or tensor ``(batch, height, width, channels)``.
        shape: of what the model takes, ``(None, height, width, channels)``.

    Raises:
        ValueError: if they differ.
    """
    found, wanted = tuple(pictures.shape[1:]), tuple(shape[1:])
    if found != wanted:
        # TensorFlow leaves open what differs from the batches before.
        given = "another shape" if None in found else f"the shape {found}"
        raise ValueError(
            f"The pictures have {given} and the networks were built for {wanted}: load the data "
            "set with their size and channels."
        )


def whole_labels(what, values):
    """Refuses labels of a float type, of which a cast would cut off the fraction.

    Args:
        what: they are, for the sentence, as ``"labels"``.
        values: tensor or array.

    Raises:
        ValueError: if their type is a float.
    """
    dtype = keras.backend.standardize_dtype(values.dtype)
    if "float" in dtype:
        raise ValueError(
            f"The {what} have the type {dtype}: give whole numbers, as by "
            f"{what.split()[-1]}.astype('int32'), if that is what they hold."
        )


def within(values, low, high):
    """Returns a scalar, whether all values are in [low, high]; NaN is not."""
    return ops.all(ops.logical_and(values >= low, values <= high))


def pictures(images, shape):
    """Returns pictures as float32, or says why they are none for this model.

    Args:
        images: array ``(n, height, width, channels)`` in [0, 1].
        shape: of what the encoder takes, ``(None, height, width, channels)``.

    Raises:
        ValueError: if shape or range do not fit.
    """
    images = np.asarray(images)
    if images.ndim != len(shape) or images.shape[1:] != tuple(shape[1:]) or not len(images):
        raise ValueError(
            f"The pictures have the shape {images.shape}: give (n, "
            f"{', '.join(map(str, shape[1:]))}), n at least 1."
        )
    if np.isnan(images).any():
        raise ValueError("The pictures hold NaN: look at where they come from.")
    if not ((images >= 0) & (images <= 1)).all():
        raise ValueError(
            f"The pictures go from {images.min():.4g} to {images.max():.4g}: scale them to [0, 1], "
            "as by dividing by 255."
        )
    return images.astype("float32")


def latents(values, width):
    """Returns latents as float32 ``(n, width)``, or raises one sentence."""
    values = np.asarray(values, "float32")
    if values.ndim != 2 or values.shape[1] != width or not len(values):
        raise ValueError(
            f"The latents have the shape {values.shape}: give (n, {width}), n at least 1."
        )
    if not np.isfinite(values).all():
        raise ValueError("The latents hold NaN or infinity: draw them from a standard normal.")
    return values


def labels(values, count, num_classes):
    """Returns labels as int32 ``(count,)``, ``None`` for a model without classes.

    Args:
        values: integer array, or ``None``; a model without classes ignores it.
        count: how many are needed.
        num_classes: ``None``, or how many classes the model is told.

    Raises:
        ValueError: if they are missing, or are no classes.
    """
    if not num_classes:
        return None
    values = None if values is None else np.asarray(values)
    if values is None or values.shape != (count,) or values.dtype.kind not in "iu":
        raise ValueError(
            f"This model needs the class of each of the {count} pictures: give whole numbers of "
            f"the shape ({count},)."
        )
    if values.min() < 0 or values.max() >= num_classes:
        raise ValueError(
            f"The labels go from {values.min()} to {values.max()}: give classes from 0 to "
            f"{num_classes - 1}."
        )
    return values.astype("int32")


def serialised(model, parts):
    """Returns a model's parts as ``get_config`` needs them, by the names of its attributes."""
    return {name: keras.saving.serialize_keras_object(getattr(model, name)) for name in parts}


def deserialised(config, parts, custom_objects=None):
    """Returns a config with the parts of ``serialised`` made again."""
    read = keras.saving.deserialize_keras_object
    return {**config, **{name: read(config[name], custom_objects) for name in parts}}


@keras.saving.register_keras_serializable(package="pixelwise")
class OneHot(keras.layers.Layer):
    """Turns classes, int ``(batch,)``, into float ``(batch, num_classes)`` of 0 and 1."""

    def __init__(self, num_classes, **kwargs):
        super().__init__(**kwargs)
        self.num_classes = num_classes

    def call(self, classes):
        return ops.one_hot(ops.cast(classes, "int32"), self.num_classes, dtype=self.compute_dtype)

    def compute_output_shape(self, shape):
        return (*shape, self.num_classes)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes}
