"""Adam for two players: exact steps on every backend, rare ones too, saved, and bad input."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from pixelwise.nn.two_players import TwoPlayerAdam


def _model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [keras.Input((3,)), layers.Dense(4, name="generator-1"), layers.Dense(1, name="other")]
    )


def _constant_gradients(optimizer, steps):
    """Applies gradients that depend on the step only; returns the variables after each."""
    model = _model()
    variables = model.trainable_variables
    optimizer.build(variables)
    found = [[ops.convert_to_numpy(v) for v in variables]]
    for step in range(steps):
        rng = np.random.default_rng(step)
        gradients = [rng.normal(size=v.shape).astype("float32") for v in variables]
        optimizer.apply([ops.convert_to_tensor(g) for g in gradients], variables)
        found.append([ops.convert_to_numpy(v) for v in variables])
    return found


def test_with_equal_rates_it_is_adam():
    ours = _constant_gradients(TwoPlayerAdam(1e-2, beta_1=0.5), 4)
    plain = _constant_gradients(keras.optimizers.Adam(1e-2, beta_1=0.5, beta_2=0.999), 4)
    for one, other in zip(ours[-1], plain[-1], strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_the_generator_has_its_own_rate():
    ours = _constant_gradients(TwoPlayerAdam(1e-2, generator_factor=0.25), 3)
    rates = [keras.optimizers.Adam(rate, beta_1=0.5, beta_2=0.999) for rate in (2.5e-3, 1e-2)]
    slow, fast = (_constant_gradients(optimizer, 3) for optimizer in rates)
    for place in range(4):
        expected = (slow if place < 2 else fast)[-1][place]
        np.testing.assert_allclose(ours[-1][place], expected, atol=1e-6)


def test_a_rare_generator_takes_adams_steps_in_its_turns_and_none_in_between():
    ours = _constant_gradients(TwoPlayerAdam(1e-2, every=3, beta_1=0.5), 7)
    m = v = 0.0
    weights = ours[0][0].astype(float)
    for step in range(7):
        rng = np.random.default_rng(step)
        gradient = rng.normal(size=weights.shape).astype("float32").astype(float)
        if step % 3 == 2:  # the third and the sixth: the generator's first and second
            count = step // 3 + 1
            m, v = 0.5 * m + 0.5 * gradient, 0.999 * v + 0.001 * gradient**2
            change = m / (1 - 0.5**count) / (np.sqrt(v / (1 - 0.999**count)) + 1e-7)
            weights = weights - 1e-2 * change
            assert np.abs(ours[step + 1][0] - ours[step][0]).max() > 1e-4
        else:
            assert (ours[step + 1][0] == ours[step][0]).all()
        assert np.abs(ours[step + 1][2] - ours[step][2]).max() > 1e-4
    np.testing.assert_allclose(ours[-1][0], weights, atol=1e-5)


def test_it_is_saved_and_read_with_a_schedule():
    schedule = keras.optimizers.schedules.CosineDecay(1e-3, 10)
    optimizer = TwoPlayerAdam(schedule, generator_factor=0.2, every=5, beta_1=0.0, beta_2=0.9)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    assert isinstance(again, TwoPlayerAdam)
    kept = (again.generator_factor, again.every, again.beta_1, again.beta_2, again.generator)
    assert kept == (0.2, 5, 0.0, 0.9, "generator")


@pytest.mark.parametrize(
    "options, said",
    [
        ({"generator_factor": 0}, "generator_factor is 0"),
        ({"generator_factor": "a"}, "generator_factor is 'a'"),
        ({"every": 0}, "every is 0: give a whole number from 1"),
        ({"every": 1.5}, "every is 1.5"),
        ({"amsgrad": True}, "no amsgrad"),
    ],
)
def test_impossible_numbers(options, said, sentence):
    with pytest.raises(ValueError) as caught:
        TwoPlayerAdam(**options)
    assert said in sentence(caught)


@pytest.mark.parametrize("prefix, said", [("artist", "No layers"), ("", "All layers")])
def test_a_prefix_that_tells_nobody_apart(prefix, said, sentence):
    with pytest.raises(ValueError) as caught:
        TwoPlayerAdam(generator=prefix).build(_model().trainable_variables)
    assert said in sentence(caught)
