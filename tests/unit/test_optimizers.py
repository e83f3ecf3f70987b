"""Two learning rates in one AdamW: exact on every backend, saved, and bad input."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from pixelwise.nn.optimizers import TwoRateAdamW


def _model():
    return keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, name="body-1"), layers.Dense(1, name="head")]
    )


def _trained(optimizer):
    keras.utils.set_random_seed(0)
    model = _model()
    before = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    model.compile(optimizer, "mse")
    rng = np.random.default_rng(0)
    x = rng.normal(size=(16, 3)).astype("float32")
    model.fit(x, x.sum(1), batch_size=16, epochs=1, verbose=0)
    after = [ops.convert_to_numpy(v) for v in model.trainable_variables]
    return [new - old for old, new in zip(before, after, strict=True)]


def test_slow_variables_take_smaller_steps_and_the_others_the_same():
    options = {"learning_rate": 1e-2, "weight_decay": 0.0}
    plain = _trained(keras.optimizers.AdamW(**options))
    two = _trained(TwoRateAdamW(slow="body-", factor=0.25, **options))
    for step, usual in zip(two[:2], plain[:2], strict=True):
        np.testing.assert_allclose(step, 0.25 * usual, atol=1e-6)
    for step, usual in zip(two[2:], plain[2:], strict=True):
        np.testing.assert_allclose(step, usual, atol=1e-6)
    assert np.abs(plain[0]).max() > 5e-3


def test_a_factor_of_one_is_adamw():
    options = {"learning_rate": 1e-2, "weight_decay": 1e-2}
    plain = _trained(keras.optimizers.AdamW(**options))
    for step, usual in zip(
        _trained(TwoRateAdamW(slow=["body-"], factor=1.0, **options)), plain, strict=True
    ):
        np.testing.assert_allclose(step, usual, atol=1e-6)


def test_it_is_saved_and_read():
    optimizer = TwoRateAdamW(slow="body-", factor=0.2, learning_rate=3e-3, weight_decay=1e-4)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, TwoRateAdamW)
    assert (again.slow, again.factor) == (["body-"], 0.2)
    assert float(ops.convert_to_numpy(again.learning_rate)) == pytest.approx(3e-3)


@pytest.mark.parametrize("factor", [0, -1, 2, "a"])
def test_an_impossible_factor(factor, sentence):
    with pytest.raises(ValueError) as caught:
        TwoRateAdamW(slow="body-", factor=factor)
    assert "factor is" in sentence(caught)


def test_no_variable_of_that_name(sentence):
    optimizer = TwoRateAdamW(slow="features-")
    with pytest.raises(ValueError) as caught:
        optimizer.build(_model().trainable_variables)
    assert "'features-'" in sentence(caught)
