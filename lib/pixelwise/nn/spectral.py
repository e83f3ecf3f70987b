"""Spectral normalisation: a layer that stretches no input by more than a factor of one.

The spectral norm of a kernel is its largest singular value, the factor by which it stretches the
input that it stretches most. Divided by it, a discriminator of such layers has a slope of at most
one, and cannot become so sharp that the generator learns nothing. Chapter: GAN.

Keras has a layer of this name. It writes the divided kernel into the weights, so that the gradient
leaves the division out on TensorFlow and PyTorch, and on JAX the weights stay undivided. This one
leaves the weights alone on all three, as the paper does.
"""

import keras
from keras import layers, ops

from pixelwise import checks


@keras.saving.register_keras_serializable(package="pixelwise")
class SpectralNorm(layers.Wrapper):
    """A layer whose kernel is divided by its spectral norm whenever it is used.

    The norm is estimated by power iteration: a vector is multiplied by the kernel and its transpose
    in turn, which pulls it towards the direction of the largest stretch. One iteration a training
    step is enough, since the vector is kept and the weights change little from step to step.

    A convolution's kernel ``(height, width, in, out)`` counts as the matrix
    ``(height * width * in, out)``.

    Args:
        layer: one with a ``kernel`` or ``embeddings``, as ``Dense``, ``Conv2D`` or ``Embedding``.
        iterations: of the power iteration in each training step, at least 1.
        **options: of ``keras.layers.Layer``.

    Raises:
        ValueError: if there is no iteration, or, when the layer is built, no kernel.

    Source: Miyato et al. 2018, equation 8 and algorithm 1.
    """

    def __init__(self, layer, iterations=1, **options):
        super().__init__(layer, **{"name": layer.name, **options})
        checks.whole("iterations", iterations)
        self.iterations = iterations

    def build(self, input_shape=None):
        super().build(input_shape)
        if self.kernel is None:
            raise ValueError(
                f"The layer {self.layer.name} has no kernel whose norm could be taken: wrap a "
                "dense, convolution or embedding layer."
            )
        self.vector = self.add_weight(
            shape=self.kernel.shape[-1:],
            initializer="random_normal",
            trainable=False,
            name="vector",
        )

    @property
    def kernel(self):
        """The variable that is divided, None before the layer is built or if it has none."""
        named = (v for v in self.layer.weights if v.name in ("kernel", "embeddings"))
        return next(named, None)

    def matrix(self):
        """Returns the undivided kernel as a matrix ``(inputs, outputs)``."""
        kernel = self.kernel.value
        return ops.reshape(kernel, (-1, kernel.shape[-1]))

    def norm(self, training=False):
        """Returns the estimated spectral norm, a scalar; in training it is refined first."""
        matrix, right = self.matrix(), ops.convert_to_tensor(self.vector)
        frozen = ops.stop_gradient(matrix)
        for _ in range(self.iterations if training else 0):
            right = _unit(ops.matmul(_unit(ops.matmul(frozen, right)), frozen))
        if training:
            self.vector.assign(right)
        left = _unit(ops.matmul(frozen, right))
        # Of this product's three factors, only the kernel has a gradient (equation 11).
        return ops.sum(left * ops.matmul(matrix, _unit(ops.stop_gradient(right))))

    def call(self, inputs, training=False):
        kernel = self.kernel
        divided = kernel.value / ops.maximum(self.norm(training), 1e-12)

        def values(variables):
            return [divided if variable is kernel else variable.value for variable in variables]

        outputs, _ = self.layer.stateless_call(
            values(self.layer.trainable_variables),
            values(self.layer.non_trainable_variables),
            inputs,
        )
        return outputs

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def get_config(self):
        return {**super().get_config(), "iterations": self.iterations}


def spectral_if(layer, spectral):
    """Returns a layer, inside a ``SpectralNorm`` if ``spectral`` is true."""
    return SpectralNorm(layer) if spectral else layer


def _unit(vector):
    """Returns a vector divided by its length, which is left out where it is 0."""
    return vector * ops.rsqrt(ops.maximum(ops.sum(ops.square(vector)), 1e-24))
