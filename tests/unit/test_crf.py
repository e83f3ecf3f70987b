"""The fully connected CRF in use: shapes, odd sizes, bounded memory, bad input."""

import numpy as np
import pytest
from keras import ops

from pixelwise.models.crf import DenseCRF
from pixelwise.nn.gaussians import BLOCK, BilateralGaussian

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(size=(2, 13, 10, 3)).astype("float32")
IMAGES = RNG.uniform(size=(2, 13, 10, 3)).astype("float32")
LABELS = RNG.integers(0, 3, (2, 13, 10))


@pytest.mark.parametrize(
    ("height", "width", "stride"), [(13, 10, 1), (13, 10, 3), (1, 9, 1), (8, 1, 1)]
)
def test_log_probabilities_of_the_size_of_the_logits(height, width, stride):
    crf = DenseCRF(stride=stride)
    refined = crf.refine(LOGITS[:, :height, :width], IMAGES[:, :height, :width])
    assert refined.shape == (2, height, width, 3)
    assert refined.dtype == np.float32
    np.testing.assert_allclose(np.exp(refined).sum(-1), 1, rtol=1e-5)


def test_tensors_lists_and_doubles_too():
    crf = DenseCRF(iterations=2)
    expected = crf.refine(LOGITS, IMAGES)
    tensors = crf.refine(ops.convert_to_tensor(LOGITS), ops.convert_to_tensor(IMAGES))
    doubles = crf.refine(LOGITS.astype("float64"), IMAGES.astype("float64"))
    np.testing.assert_array_equal(crf.refine(LOGITS.tolist(), IMAGES.tolist()), expected)
    np.testing.assert_array_equal(tensors, expected)
    np.testing.assert_array_equal(doubles, expected)
    np.testing.assert_allclose(
        crf.energy(ops.convert_to_tensor(LABELS), LOGITS, IMAGES),
        crf.energy(LABELS, LOGITS, IMAGES),
    )


def test_pictures_of_a_batch_do_not_hear_each_other():
    crf = DenseCRF(iterations=3)
    together = crf.refine(LOGITS, IMAGES)
    alone = crf.refine(LOGITS[1:], IMAGES[1:])
    np.testing.assert_array_equal(together[1:], alone)
    energies = crf.energy(LABELS, LOGITS, IMAGES)
    assert energies.shape == (2,)
    np.testing.assert_array_equal(energies[1:], crf.energy(LABELS[1:], LOGITS[1:], IMAGES[1:]))


def test_a_turned_picture_gives_the_turned_result():
    """Of low contrast: strong colours are large numbers, and the processor rounds them its way."""
    crf, images = DenseCRF(iterations=3), IMAGES / 10
    turned = crf.refine(LOGITS[:, ::-1, ::-1], images[:, ::-1, ::-1])
    np.testing.assert_allclose(turned[:, ::-1, ::-1], crf.refine(LOGITS, images), atol=1e-4)


def test_the_order_of_the_classes_does_not_matter():
    crf = DenseCRF(iterations=3)
    swapped = crf.refine(LOGITS[..., ::-1], IMAGES)
    np.testing.assert_allclose(swapped[..., ::-1], crf.refine(LOGITS, IMAGES), atol=1e-5)


def test_a_constant_picture_and_a_certain_network():
    """No colour to go by, and logits whose softmax is 0 and 1 in float32."""
    refined = DenseCRF().refine(LOGITS * 1e4, np.full_like(IMAGES, 0.5))
    assert np.isfinite(refined).all()
    np.testing.assert_array_equal(refined.argmax(-1), LOGITS.argmax(-1))


@pytest.mark.parametrize(
    ("height", "width", "stride", "memory", "kept", "senders"),
    [
        (64, 64, 1, 256, True, 4096),
        (64, 64, 1, 60, False, 4096),
        (65, 64, 1, 256, False, 4160),
        (96, 96, 4, 256, True, 576),
        (128, 128, 1, 2, False, 16384),
    ],
)
def test_the_whole_matrix_exists_for_small_pictures_only(
    height, width, stride, memory, kept, senders
):
    image = np.random.default_rng(0).uniform(size=(height, width, 3)).astype("float32")
    gaussian = BilateralGaussian(image, 10.0, 0.1, stride, memory)
    sizes = [height * width * len(some) for some in gaussian.senders]
    assert sum(sizes) == height * width * senders
    assert (gaussian.kept is not None) == kept
    assert max(sizes) <= BLOCK
    assert (sum(sizes) if kept else 0) + 4 * max(sizes) <= memory * 2**20 / 4


def test_a_picture_that_is_too_large_says_what_it_would_cost_and_offers_a_stride(sentence):
    large = np.zeros((1, 300, 400, 3), "float32")
    with pytest.raises(ValueError) as caught:
        DenseCRF().refine(large, large)
    text = sentence(caught)
    assert "300 x 400 pixels has 14,400,000,000 pairs with stride 1" in text
    assert "about 5.3 minutes for 10 iterations on one core" in text
    assert "set stride=2, where one pixel in 2 x 2 speaks for the others" in text
    with pytest.raises(ValueError) as caught:
        DenseCRF(stride=2, max_pairs=120_000 * 100).kernel(large[0])
    assert "set stride=37" in sentence(caught)
    with pytest.raises(ValueError) as caught:
        DenseCRF(max_pairs=119_999).kernel(large[0])
    assert "make the picture smaller, or raise max_pairs" in sentence(caught)
    with pytest.raises(ValueError, match="stride=2"):
        DenseCRF().energy(large[..., 0].astype(int), large, large)


def test_what_is_offered_is_taken_and_what_costs_nothing_has_no_limit():
    DenseCRF(stride=4, max_pairs=130 * 4 * 3)._check_cost(13, 10)
    DenseCRF(appearance=(0, 1, 1), max_pairs=1).refine(LOGITS, IMAGES)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"appearance": (4.0, 15.0)}, "appearance is (4.0, 15.0): give (weight, alpha, beta)"),
        ({"appearance": (-4.0, 15.0, 0.1)}, "appearance is (-4.0, 15.0, 0.1)"),
        ({"appearance": (4.0, -15.0, 0.1)}, "the others above 0"),
        ({"appearance": (4.0, 15.0, 0)}, "the others above 0"),
        ({"appearance": (4.0, float("nan"), 0.1)}, "appearance is (4.0, nan, 0.1)"),
        ({"appearance": (4.0, "15", 0.1)}, "appearance is (4.0, '15', 0.1)"),
        ({"smoothness": 3.0}, "smoothness is 3.0: give (weight, gamma)"),
        ({"smoothness": (3.0, -1.0)}, "smoothness is (3.0, -1.0)"),
        ({"smoothness": (float("inf"), 1.0)}, "smoothness is (inf, 1.0)"),
        ({"iterations": 0}, "iterations is 0: give a whole number of at least 1"),
        ({"iterations": 2.5}, "iterations is 2.5"),
        ({"stride": 0}, "stride is 0"),
        ({"memory": 0}, "memory is 0: give a positive number"),
        ({"memory": float("nan")}, "memory is nan"),
        ({"max_pairs": -1}, "max_pairs is -1"),
        ({"normalisation": "before"}, "There is no normalisation 'before'"),
    ],
)
def test_options_that_are_not_possible(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        DenseCRF(**options)
    assert said in sentence(caught)


@pytest.mark.parametrize(
    ("logits", "images", "said"),
    [
        (LOGITS[:, :12], IMAGES, "(2, 12, 10, 3) and the pictures (2, 13, 10, 3)"),
        (LOGITS[:1], IMAGES, "(1, 13, 10, 3) and the pictures (2, 13, 10, 3)"),
        (LOGITS[0], IMAGES, "give logits (batch, height, width, classes)"),
        (LOGITS[..., :1], IMAGES, "The logits have a single class"),
        (np.where(LOGITS > 2, np.nan, LOGITS), IMAGES, "The logits hold NaN or infinity"),
        (np.where(LOGITS > 2, np.inf, LOGITS), IMAGES, "The logits hold NaN or infinity"),
        (None, IMAGES, "The logits have the shape ()"),
        (LOGITS, None, "The pictures have the shape ()"),
        (LOGITS, IMAGES[0], "The pictures have the shape (13, 10, 3)"),
        (LOGITS, IMAGES[..., :1], "The pictures have the shape (2, 13, 10, 1)"),
        (LOGITS[:0], IMAGES[:0], "The pictures have the shape (0, 13, 10, 3)"),
        (LOGITS, IMAGES * 255, "divide eight-bit values by 255"),
        (LOGITS, np.uint8(IMAGES * 255), "dtype uint8 and values from 0 to 25"),
        (LOGITS, np.where(IMAGES > 0.9, np.nan, IMAGES), "values from nan to nan"),
    ],
)
def test_arrays_that_do_not_fit(sentence, logits, images, said):
    with pytest.raises(ValueError) as caught:
        DenseCRF(iterations=1).refine(logits, images)
    assert said in sentence(caught)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (LABELS[:, :5], "(2, 5, 10): give whole numbers (2, 13, 10)"),
        (LABELS + 0.5, "dtype float64"),
        (LABELS - 1, "go from -1 to 1 but there are 3 classes"),
        (np.where(LABELS == 2, 255, LABELS), "go from 0 to 255 but there are 3 classes"),
    ],
)
def test_labels_that_are_no_labelling(sentence, labels, said):
    with pytest.raises(ValueError) as caught:
        DenseCRF().energy(labels, LOGITS, IMAGES)
    assert said in sentence(caught)


def test_a_stride_that_does_not_fit_the_picture(sentence):
    with pytest.raises(ValueError) as caught:
        DenseCRF(stride=11).refine(LOGITS, IMAGES)
    assert "stride is 11 but the picture has 13 x 10 pixels" in sentence(caught)
