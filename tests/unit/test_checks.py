"""The checks that data sets, models and measures share: what they let pass, and what they say."""

import numpy as np
import pytest

from pixelwise import checks


def test_what_is_possible_passes():
    for value in (1, 7, np.int64(3)):
        checks.whole("n", value)
    checks.choice("method", "mean", ("mean", "nearest"))
    checks.choice("penalty", None, (None, "r1"))
    checks.sequence("rates", (1, 2))
    checks.sequence("rates", [])


def test_a_seed_fixes_the_numbers_and_none_does_not():
    for seed in (3, np.int64(3), [3, 4]):
        assert checks.generator(seed).random() == np.random.default_rng(seed).random()
    assert checks.generator(None).random() != checks.generator(None).random()


@pytest.mark.parametrize(
    "check, arguments, said",
    [
        (checks.whole, ("n", 0), "n is 0: give a whole number from 1."),
        (checks.whole, ("n", True), "n is True"),
        (checks.whole, ("n", "3"), "n is '3'"),
        (checks.choice, ("method", ["mean"], ("mean",)), "method is ['mean']: choose one of 'm"),
        (checks.choice, ("method", None, ("mean",)), "method is None"),
        (checks.sequence, ("rates", 3), "rates is 3: give a list of whole numbers"),
        (checks.sequence, ("rates", (1, 0.5)), "a number in rates is 0.5"),
        (checks.void, (None,), "void is None: give the label of pixels to leave out"),
        (checks.void, (2.5,), "void is 2.5"),
        (checks.reals, ("weights", 0.5), "weights is 0.5: give a list of numbers."),
        (checks.reals, ("weights", ["a"]), "weights is ['a']"),
        (checks.generator, ("x",), "seed is 'x': give a whole number from 0."),
        (checks.generator, (-1,), "seed is -1"),
        (checks.generator, ([0, None],), "seed is None"),
    ],
)
def test_what_is_not_possible_is_one_sentence(check, arguments, said, sentence):
    with pytest.raises(ValueError) as caught:
        check(*arguments)
    assert said in sentence(caught)
