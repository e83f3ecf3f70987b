"""Batch normalisation folded into convolutions: the same answers, fewer layers."""

import keras
import numpy as np
import pytest
from keras import layers

from pixelwise.models import deeplab, zoo
from pixelwise.models.folding import folded, folded_weights


def randomise(model, seed=0):
    """Gives every weight a random value, and the variances positive ones."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        if "seed_generator" in variable.path:
            continue
        if variable.path.endswith("variance"):
            variable.assign(rng.uniform(0.5, 2, variable.shape))
        elif len(variable.shape) > 1:
            variable.assign(rng.normal(0, np.prod(variable.shape[:-1]) ** -0.5, variable.shape))
        else:
            variable.assign(1 + rng.uniform(-0.5, 0.5, variable.shape))
    return model


def norms(model):
    inside = (norms(layer) for layer in model.layers if hasattr(layer, "layers"))
    own = (isinstance(layer, layers.BatchNormalization) for layer in model.layers)
    return sum(own) + sum(inside)


def gap(one, other, size=(24, 20), channels=3):
    x = np.random.default_rng(1).random((2, *size, channels), dtype="float32")
    a, b = (keras.ops.convert_to_numpy(model(x, training=False)) for model in (one, other))
    return np.abs(a - b).max() / np.abs(a).max()


def test_the_weights_of_a_1x1_by_hand():
    convolution = layers.Conv2D(1, 1)
    norm = layers.BatchNormalization(epsilon=0.0)
    convolution.build((None, 4, 4, 1))
    norm.build((None, 4, 4, 1))
    convolution.set_weights([np.full((1, 1, 1, 1), 6.0), np.array([5.0])])
    norm.set_weights([np.array([v]) for v in (2.0, 7.0, 1.0, 16.0)])  # gamma, beta, mean, variance
    kernel, bias = folded_weights(convolution, norm)
    # ((6 x + 5) - 1) / 4 * 2 + 7 = 3 x + 9
    assert kernel.item() == 3 and bias.item() == 9


@pytest.mark.parametrize(
    "convolution",
    [
        lambda: layers.Conv2D(5, 3, strides=2, padding="same"),
        lambda: layers.Conv2D(6, 3, use_bias=False, dilation_rate=2, padding="same", groups=3),
        lambda: layers.DepthwiseConv2D(3, depth_multiplier=2),
        lambda: layers.DepthwiseConv2D(3, use_bias=False),
    ],
)
@pytest.mark.parametrize("options", [{}, {"scale": False}, {"center": False}])
def test_each_kind_of_convolution(convolution, options):
    inputs = keras.Input((None, None, 3))
    x = layers.BatchNormalization(**options, name="norm")(convolution()(inputs))
    model = randomise(keras.Model(inputs, x))
    result = folded(model)
    assert norms(model) == 1 and norms(result) == 0
    assert gap(model, result) < 1e-5


def test_what_cannot_be_folded_is_kept():
    inputs = keras.Input((24, 20, 3))
    active = layers.Conv2D(4, 3, activation="relu", padding="same")(inputs)
    active = layers.BatchNormalization(name="behind_relu")(active)
    rows = layers.Conv2D(4, 1)(inputs)
    rows = layers.BatchNormalization(axis=1, name="of_rows")(rows)
    model = randomise(keras.Model(inputs, layers.Add()([active, rows])))
    result = folded(model)
    kept = [x.name for x in result.layers if isinstance(x, layers.BatchNormalization)]
    assert sorted(kept) == ["behind_relu", "of_rows"]
    assert gap(model, result) < 1e-6


def test_a_convolution_with_another_reader_stays_beside_the_folded_one():
    inputs = keras.Input((None, None, 3))
    read = layers.Conv2D(4, 3, padding="same")(inputs)
    both = layers.Add()([layers.BatchNormalization()(read), read])
    model = randomise(keras.Model(inputs, both))
    result = folded(model)
    assert norms(result) == 0 and gap(model, result) < 1e-6


def test_layers_that_are_called_twice_and_models_inside():
    shared, norm = layers.Conv2D(3, 3, padding="same"), layers.BatchNormalization()
    pictures = keras.Input((None, None, 3))
    inner = keras.Model(pictures, norm(shared(norm(shared(pictures)))), name="inner")
    row = keras.Sequential([layers.Conv2D(4, 1), layers.BatchNormalization()], name="row")
    inputs = keras.Input((None, None, 3))
    model = randomise(keras.Model(inputs, row(inner(inputs))))
    result = folded(model)
    assert norms(result.get_layer("inner")) == 0
    assert norms(result.get_layer("row")) == 1  # Keras copies what is a row of layers by itself
    assert gap(model, result) < 1e-5


@pytest.mark.parametrize(
    "build",
    [
        lambda: deeplab.deeplab(3, "v3+", weights=None, channels=16),
        lambda: deeplab.deeplab(3, "v3", auxiliary=True, weights=None, channels=16),
        lambda: zoo.fcn_resnet50(3),
    ],
)
def test_our_networks_answer_the_same_and_do_not_change(build):
    model = randomise(build())
    before = [keras.ops.convert_to_numpy(w).copy() for w in model.weights]
    result = folded(model)
    assert norms(model) > 50 and norms(result) == 0
    assert gap(model, result, (32, 48)) < 1e-4
    for variable, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), value)


def test_a_folded_network_can_be_saved(tmp_path):
    inputs = keras.Input((None, None, 3))
    x = layers.Conv2D(4, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    row = keras.Sequential([layers.DepthwiseConv2D(3), layers.BatchNormalization()])
    model = folded(randomise(keras.Model(inputs, row(x))))
    model.save(tmp_path / "folded.keras")
    again = keras.saving.load_model(tmp_path / "folded.keras")
    assert gap(model, again) == 0


def test_a_model_without_a_graph(sentence):
    class Own(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError) as caught:
        folded(Own())
    assert "no graph of layers" in sentence(caught)
