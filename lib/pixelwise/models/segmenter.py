"""The common form of the segmentation networks: pictures to logits of the pictures' size.

A ``Segmenter`` remembers how it was built. So it can be built again at another output stride with
the same weights, be saved and loaded, and have an auxiliary head, a second opinion from a middle
level that helps in training (Zhao et al. 2017, section 4) and is left out afterwards. Chapter 3.
"""

import importlib
import inspect

import keras
from keras import layers, ops

from pixelwise.nn.upsampling import resize_bilinear

AUXILIARY_WEIGHT = 0.4  # of the auxiliary loss; 0.5 in torchvision's reference training


def built_by(address):
    """Returns the function that built a saved network.

    Args:
        address: ``"pixelwise.models.module:function"``.

    Raises:
        ValueError: if it is of another package, since a saved file may name anything.
    """
    module, _, function = address.partition(":")
    if not module.startswith("pixelwise.models."):
        raise ValueError(
            f"The saved network was built by {address!r}, which is no builder of "
            "pixelwise.models: load files of this book only."
        )
    return getattr(importlib.import_module(module), function)


@keras.saving.register_keras_serializable(package="pixelwise")
class Segmenter(keras.Model):
    """A network from pictures to logits, made by one of the builders of this package.

    Args:
        inputs: symbolic pictures ``(batch, height, width, 3)``.
        outputs: symbolic logits ``(batch, height, width, classes)``, or a dict with ``"logits"``
            and ``"aux"`` of that shape.
        builder: the function that makes this network.
        arguments: dict, the arguments it was called with.
        auxiliary_weight: weight of the auxiliary loss, added to the loss of the logits.
        name: of the model.

    Called on pictures it returns logits; in training, with an auxiliary head, the dict of both.
    """

    def __init__(
        self,
        inputs,
        outputs,
        *,
        builder,
        arguments,
        auxiliary_weight=AUXILIARY_WEIGHT,
        name=None,
    ):
        super().__init__(inputs, outputs, name=name)
        self.builder = builder
        # A saved network comes back with lists where tuples were.
        self.arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
        self.auxiliary_weight = auxiliary_weight
        self.auxiliary = isinstance(outputs, dict)

    def call(self, inputs, training=None, mask=None):
        outputs = super().call(inputs, training=training, mask=mask)
        return outputs["logits"] if self.auxiliary and not training else outputs

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        if not isinstance(y_pred, dict):
            return super().compute_loss(x, y, y_pred, sample_weight, training)
        loss = super().compute_loss(x, y, y_pred["logits"], sample_weight, training)
        auxiliary = self._compile_loss(y, y_pred["aux"], sample_weight)
        return loss + self.auxiliary_weight * auxiliary

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        y_pred = y_pred["logits"] if isinstance(y_pred, dict) else y_pred
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def rebuilt(self, **changes):
        """Builds the same network with other arguments, and gives it these weights.

        Args:
            **changes: arguments of the builder, as ``output_stride=8`` for finer answers or
                ``auxiliary=False``; they must leave the weights' names and shapes as they are,
                but for those of an auxiliary head that is left out.

        Returns:
            ``Segmenter``, not compiled; later training of one does not change the other.

        Raises:
            ValueError: if an argument is unknown, or the weights do not fit any more.
        """
        known = inspect.signature(self.builder).parameters
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise ValueError(
                f"{self.builder.__name__} has no argument {unknown[0]!r}: choose among "
                f"{', '.join(known)}."
            )
        other = self.builder(**{**self.arguments, "weights": None, **changes})
        mine = {variable.path: variable for variable in self.weights}
        for variable in other.weights:
            source = mine.get(variable.path)
            if "seed_generator" in variable.path:
                continue
            if source is None or source.shape != variable.shape:
                raise ValueError(
                    f"With {changes} the network needs {variable.path} of the shape "
                    f"{tuple(variable.shape)}, which is not among these weights: train it anew."
                )
            # A copy: JAX gives the memory of a variable away, and both would lose it.
            variable.assign(ops.convert_to_numpy(source))
        other.auxiliary_weight = self.auxiliary_weight
        return other

    def get_config(self):
        return {
            "builder": f"{self.builder.__module__}:{self.builder.__name__}",
            "arguments": {**self.arguments, "weights": None},
            "auxiliary_weight": self.auxiliary_weight,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        model = built_by(config["builder"])(**config["arguments"])
        model.auxiliary_weight = config["auxiliary_weight"]
        return model


@keras.saving.register_keras_serializable(package="pixelwise")
class ResizeTo(layers.Layer):
    """Resizes a map bilinearly to the height and width of another.

    See ``pixelwise.nn.upsampling.resize_bilinear``.

    Call arguments: ``[map (batch, h, w, channels), like (batch, height, width, ...)]``.
    Returns: ``(batch, height, width, channels)``.
    """

    def call(self, inputs):
        x, like = inputs
        shape = ops.shape(like)
        return resize_bilinear(x, (shape[1], shape[2]))

    def compute_output_shape(self, input_shapes):
        x, like = input_shapes
        return (x[0], like[1], like[2], x[3])
