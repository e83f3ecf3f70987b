"""The polynomial learning rate at steps worked by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn.schedules import PolynomialDecay


def test_poly_by_hand():
    # 0.01 * (1 - step / 1000) ** 0.9: at half, 0.5 ** 0.9 = 0.535887; at nine tenths, 0.125893
    rate = PolynomialDecay(0.01, 1000)
    expected = {0: 0.01, 500: 0.00535887, 900: 0.00125893, 1000: 0.0, 2000: 0.0}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-5)


def test_the_end_and_the_power_by_hand():
    # From 1 to 0.2 along a parabola: at a quarter of the way 0.2 + 0.8 * 0.75 ** 2 = 0.65
    rate = PolynomialDecay(1.0, 8, power=2, end_learning_rate=0.2)
    assert float(rate(2)) == pytest.approx(0.65)
    assert float(rate(8)) == float(rate(9)) == pytest.approx(0.2)


def test_warming_up_by_hand():
    # Up from 0.1 to 0.5 in 4 steps, then 0.5 * (1 - (step - 4) / 10)
    rate = PolynomialDecay(0.1, 10, power=1, warmup_target=0.5, warmup_steps=4)
    values = [float(rate(step)) for step in (0, 1, 3, 4, 5, 9, 14, 20)]
    assert values == pytest.approx([0.1, 0.2, 0.4, 0.5, 0.45, 0.25, 0, 0], abs=1e-7)


def test_it_is_the_schedule_of_keras_where_that_can_do_it():
    options = {"power": 0.9, "end_learning_rate": 0.001}
    ours = PolynomialDecay(0.1, 50, **options)
    theirs = keras.optimizers.schedules.PolynomialDecay(0.1, 50, **options)
    for step in (0, 7, 49, 50, 60):
        assert float(ours(step)) == pytest.approx(float(theirs(step)), rel=1e-5)


def test_an_optimizer_follows_it_and_is_stored_with_it():
    schedule = PolynomialDecay(0.0, 4, power=1, warmup_target=0.5, warmup_steps=2)
    optimizer = keras.optimizers.SGD(schedule)
    again = keras.optimizers.deserialize(keras.optimizers.serialize(optimizer))
    for made in (optimizer, again):
        weight = keras.Variable(np.zeros(1, "float32"))
        places = []
        for _ in range(7):
            made.apply([ops.convert_to_tensor(np.full(1, -1.0, "float32"))], [weight])
            places.append(float(ops.convert_to_numpy(weight.value)[0]))
        assert np.diff([0, *places]) == pytest.approx([0, 0.25, 0.5, 0.375, 0.25, 0.125, 0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"decay_steps": 0}, "decay_steps is 0"),
        ({"power": -1}, "power -1"),
        ({"warmup_steps": -1}, "warmup_steps -1"),
        ({"warmup_steps": 5}, "needs both"),
        ({"warmup_target": 0.5}, "needs both"),
    ],
)
def test_wrong_arguments(options, said):
    with pytest.raises(ValueError, match=said) as caught:
        PolynomialDecay(**{"initial_learning_rate": 0.1, "decay_steps": 10, **options})
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
