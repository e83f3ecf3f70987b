"""Batch statistics estimated again: exact on small batches, and after an average of the weights."""

import keras
import numpy as np
import pytest
from keras import layers, ops

import pixelwise as pw
from pixelwise import loop
from pixelwise.nn.normalisation import free_batch_norms, update_batch_norm

STEPS = 30


def _inputs(count, batch=4, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(2, 3, size=(batch, 5, 5, 2)).astype("float32") for _ in range(count)]


def _nested():
    """Two norms, one of them in a model of its own, and a frozen one."""
    inside = keras.Sequential([keras.Input((None, None, 2)), layers.BatchNormalization(name="in")])
    inputs = keras.Input((None, None, 2))
    x = layers.BatchNormalization(name="first")(inputs)
    x = inside(x)
    outputs = layers.BatchNormalization(name="frozen", trainable=False)(x)
    return keras.Model(inputs, outputs)


def _statistics(layer):
    return [ops.convert_to_numpy(v) for v in (layer.moving_mean, layer.moving_variance)]


def test_statistics_are_the_mean_over_the_batches():
    model = _nested()
    first = model.get_layer("first")
    momentum = first.momentum
    batches = _inputs(3)
    assert update_batch_norm(model, iter(batches)) == 3
    mean, variance = _statistics(first)
    assert mean == pytest.approx(np.mean([b.mean((0, 1, 2)) for b in batches], axis=0), abs=1e-4)
    assert variance == pytest.approx(np.mean([b.var((0, 1, 2)) for b in batches], axis=0), rel=1e-4)
    assert first.momentum == momentum
    inner = _statistics(free_batch_norms(model)[1])
    assert inner[0] == pytest.approx(np.zeros(2), abs=1e-3)  # what the first one gives
    assert [v.tolist() for v in _statistics(model.get_layer("frozen"))] == [[0, 0], [1, 1]]


def test_frozen_models_keep_all_of_it():
    model = _nested()
    assert len(free_batch_norms(model)) == 2
    model.trainable = False
    assert free_batch_norms(model) == []
    assert update_batch_norm(model, iter([])) == 0


def test_no_batch_is_refused_and_leaves_the_momentum(sentence):
    model = _nested()
    momentum = model.get_layer("first").momentum
    with pytest.raises(ValueError) as caught:
        update_batch_norm(model, iter([]))
    assert "no batch" in sentence(caught)
    with pytest.raises(Exception, match="shape|rank|dim|expected"):
        update_batch_norm(model, [np.zeros(3, "float32")])
    assert model.get_layer("first").momentum == momentum


def test_an_average_of_the_weights_gets_its_own_statistics():
    """Without it, the averaged network answers with the statistics of other weights."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(8), layers.BatchNormalization(), layers.Dense(1)]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 4)).astype("float32")
    y = x @ np.array([[1.0], [-2.0], [0.5], [0.0]], "float32")
    batches = pw.training.ArrayBatches(x, y)
    seen = []

    def validate(model):
        seen.append(_gap(model, batches))
        return {"gap": seen[-1]}

    pw.training.fit(
        model, batches, STEPS, ema=0.9, validate=validate, validate_every=15, show=False
    )
    assert _gap(model, batches) < 1e-4
    assert len(seen) == 2 and max(seen) < 1e-4


def _gap(model, batches):
    """How far the norm's running mean is from the mean that the dense layer's outputs have."""
    dense, norm = model.layers[0], model.layers[1]
    count = min(loop.STATISTICS_BATCHES, STEPS)
    outputs = [ops.convert_to_numpy(dense(batches[k][0])).mean(0) for k in range(count)]
    return float(np.abs(np.mean(outputs, axis=0) - _statistics(norm)[0]).max())
