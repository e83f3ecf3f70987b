"""The codebook by hand, the straight-through gradient, and a prior that does not look ahead."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.models.vae_networks import code_prior
from pixelwise.models.vqvae import log_prior
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.codebook import Codebook
from pixelwise.nn.masked_convolution import SEES, MaskedConv2D


def array(x):
    return ops.convert_to_numpy(x)


def codebook(**options):
    """Three codes in the plane."""
    made = Codebook(3, 2, **options)
    made.table.assign(np.float32([[0, 0], [1, 0], [0, 2]]))
    return made


VECTORS = np.float32([[0.1, 0.2], [0.9, -0.3], [0.2, 1.2], [0.6, 0.1]])


def test_the_nearest_code():
    found = array(codebook().nearest(VECTORS))
    distance = ((VECTORS[:, None] - array(codebook().table)) ** 2).sum(-1)
    assert found.tolist() == distance.argmin(1).tolist() == [0, 1, 2, 1]
    assert found.dtype == np.int32


def test_straight_through_a_vector_gets_the_gradient_of_its_code():
    book = codebook()
    numbers = book.nearest(VECTORS)
    passed = array(book.straight_through(VECTORS, numbers))
    np.testing.assert_allclose(passed, array(book.table)[array(numbers)], atol=1e-6)
    factors = np.float32([[1, 2], [3, 4], [5, 6], [7, 8]])

    def loss(vectors):
        return ops.sum(ops.multiply(ops.square(book.straight_through(vectors, numbers)), factors))

    np.testing.assert_allclose(gradient(loss, VECTORS), 2 * passed * factors, rtol=1e-5)


def test_codes_become_running_means_of_the_vectors_that_chose_them():
    book = codebook(decay=0.8, least_use=0.0)
    count, total = np.zeros(3), np.zeros((3, 2))
    for scale in (1.0, 0.9, 1.1):
        vectors = VECTORS * np.float32(scale)
        numbers = array(book.nearest(vectors))
        book.learn(vectors, numbers, np.zeros(3, "int32"))
        for code in range(3):
            chosen = vectors[numbers == code]
            count[code] = 0.8 * count[code] + 0.2 * len(chosen)
            total[code] = 0.8 * total[code] + 0.2 * chosen.sum(0)
        np.testing.assert_allclose(array(book.table), total / count[:, None], rtol=1e-5)
        np.testing.assert_allclose(array(book.count), count, rtol=1e-5)


def test_a_dead_code_moves_to_a_vector_and_the_others_stay():
    book = codebook(decay=0.5, least_use=0.1)
    far = np.float32([[0.1, 0.2], [0.9, -0.3], [0.8, 0.1], [0.3, 0.2]])  # none chooses the third
    book.learn(far, array(book.nearest(far)), np.array([3, 3, 3]))
    table = array(book.table)
    np.testing.assert_allclose(table[2], far[3], rtol=1e-6)
    np.testing.assert_allclose(table[:2], [far[[0, 3]].mean(0), far[[1, 2]].mean(0)], rtol=1e-6)
    # It counts as one in average use, so that it is not moved again at once.
    assert array(book.count)[2] == pytest.approx(2 / 3, rel=1e-6)


@pytest.mark.parametrize("sees", SEES)
def test_a_masked_convolution_sees_its_part_of_the_window(sees):
    keras.utils.set_random_seed(0)
    layer = MaskedConv2D(1, 3, sees)
    layer.build((None, 5, 5, 1))
    layer.kernel.assign(np.ones(layer.kernel.shape))
    point = np.zeros((1, 5, 5, 1), "float32")
    seen = gradient(lambda x: layer(x)[0, 2, 2, 0], point)[0, 1:4, 1:4, 0]
    window = {
        "above": [[1, 1, 1], [0, 0, 0], [0, 0, 0]],
        "above and row": [[1, 1, 1], [1, 1, 1], [0, 0, 0]],
        "left": [[0, 0, 0], [1, 0, 0], [0, 0, 0]],
        "left and here": [[0, 0, 0], [1, 1, 0], [0, 0, 0]],
    }[sees]
    assert seen.tolist() == window


def test_the_prior_sees_what_comes_before_and_nothing_else():
    """By gradient: each cell depends on all cells before it within its reach, and on no other."""
    keras.utils.set_random_seed(0)
    side = 5
    prior = code_prior(6, (side, side), width=8, blocks=3)
    after = keras.Model(prior.get_layer("embedding").output, prior.output)
    point = np.random.default_rng(0).normal(size=(1, side, side, 8)).astype("float32")
    for row, column in [(0, 0), (0, 3), (1, 4), (2, 2), (4, 0), (4, 4)]:
        slope = gradient(lambda x, r=row, c=column: ops.sum(after(x)[0, r, c]), point)
        seen = np.abs(slope[0]).max(-1) > 0
        earlier = np.arange(side * side).reshape(side, side) < row * side + column
        assert not seen[~earlier].any(), (row, column)
        # Windows of 5, 3 and 3 cells reach 4 cells up and to either side.
        rows, columns = np.indices((side, side))
        near = (row - rows <= 4) & (np.abs(columns - column) <= 4)
        assert seen[earlier & near].all(), (row, column)


def test_the_log_probability_of_a_map_by_hand():
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(2, 3, 3, 4)).astype("float32")
    numbers = rng.integers(0, 4, (2, 3, 3))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    chosen = np.take_along_axis(p, numbers[..., None], -1)
    np.testing.assert_allclose(
        array(log_prior(logits, numbers)), np.log(chosen).sum((1, 2, 3)), rtol=1e-5
    )


def test_the_prior_sums_to_one_over_all_maps():
    keras.utils.set_random_seed(1)
    prior = code_prior(2, (2, 3), width=4, blocks=2)
    maps = np.array(np.meshgrid(*[[0, 1]] * 6)).reshape(6, -1).T.reshape(64, 2, 3).astype("int32")
    assert np.exp(array(log_prior(prior(maps), maps))).sum() == pytest.approx(1, rel=1e-4)
