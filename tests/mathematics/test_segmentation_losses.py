"""Focal, Dice and Lovász-softmax on cases worked by hand, and equal to definitions in loops."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn import losses as basic
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.losses import SegmentationCrossEntropy
from pixelwise.nn.segmentation_losses import (
    DiceLoss,
    FocalLoss,
    LovaszSoftmax,
    SumLoss,
    lovasz_slope,
)

VOID = 255
# Three pixels, two classes: the probabilities of class 1, and the truth.
P = np.array([0.8, 0.4, 0.3])
THREE = np.log(np.stack([1 - P, P], -1)).reshape(1, 1, 3, 2).astype("float32")
TRUTH = np.array([1, 0, 1]).reshape(1, 1, 3)

REGIONS = (DiceLoss, LovaszSoftmax)
EVERY = (
    FocalLoss(),
    FocalLoss(gamma=0.5, class_weights=[1, 2, 3]),
    DiceLoss(),
    DiceLoss(classes="all", per_image=True),
    LovaszSoftmax(),
    LovaszSoftmax(classes="all", per_image=True),
    SumLoss([SegmentationCrossEntropy(), LovaszSoftmax()], [1, 0.5]),
)
EVERY_NAME = [f"{loss.name}-{number}" for number, loss in enumerate(EVERY)]


def _batch(seed=0, classes=3):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, 4, 5, classes)).astype("float32")
    labels = rng.integers(0, classes, (2, 4, 5))
    labels[0, :2] = VOID
    return labels, logits


def _hard(answers, classes):
    """Logits whose softmax is exactly 0 and 1."""
    return 1e4 * np.eye(classes, dtype="float32")[answers]


def _softmax(logits):
    e = np.exp(logits - logits.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def _regions(labels, logits, classes, per_image, of_class):
    """The mean over pictures and classes of ``of_class(p, truth)``, in loops and float64."""
    p, labels = _softmax(logits.astype("float64")), np.asarray(labels)
    pictures = zip(p, labels, strict=True) if per_image else [(p, labels)]
    means = []
    for q, truth in pictures:
        q, truth = q[truth != VOID], truth[truth != VOID]
        if truth.size:
            chosen = [c for c in range(p.shape[-1]) if classes == "all" or (truth == c).any()]
            means.append(np.mean([of_class(q[:, c], truth == c) for c in chosen]))
    return np.mean(means) if means else 0.0


def _dice(p, truth):
    return 1 - (2 * (p * truth).sum() + 1e-6) / (p.sum() + truth.sum() + 1e-6)


def _jaccard_loss(wrong, truth):
    """1 - IoU of an object (a set of pixels) where the pixels ``wrong`` (a set) are wrong."""
    union = truth | wrong
    return 1 - len(truth - wrong) / len(union) if union else 0.0


def _extension(errors, truth):
    """The Lovász extension by its definition: pixels become wrong one by one, worst first."""
    truth = set(np.flatnonzero(truth))
    order = np.argsort(-errors)
    value, wrong = 0.0, set()
    for pixel in order:
        rise = _jaccard_loss(wrong | {pixel}, truth) - _jaccard_loss(wrong, truth)
        value += errors[pixel] * rise
        wrong.add(pixel)
    return value


def _lovasz(p, truth):
    return _extension(np.abs(truth - p), truth)


def _ours(errors, truth):
    """The extension out of ``lovasz_slope``."""
    order = np.argsort(-errors)
    slope = lovasz_slope(truth[order].astype("float32"), np.ones(len(truth), "float32"))
    return float(errors[order] @ ops.convert_to_numpy(slope))


NAIVE = {DiceLoss: _dice, LovaszSoftmax: _lovasz}


# Focal loss


@pytest.mark.parametrize("gamma", [0.5, 1, 2, 5])
def test_focal_of_one_pixel_by_hand(gamma):
    # softmax(log 1, log 2, log 5) = 1/8, 2/8, 5/8; at gamma 2 and p = 5/8: (3/8)^2 log(8/5)
    logits = np.log(np.array([1.0, 2, 5], "float32")).reshape(1, 1, 1, 3)
    for label, p in enumerate([1 / 8, 2 / 8, 5 / 8]):
        loss = FocalLoss(gamma)(np.full((1, 1, 1), label), logits)
        assert float(loss) == pytest.approx(-((1 - p) ** gamma) * np.log(p), rel=1e-5)


@pytest.mark.parametrize("weights", [None, [1.0, 0.0, 4.0]])
def test_focal_with_gamma_0_is_the_cross_entropy(weights):
    labels, logits = _batch()
    ours = FocalLoss(0, class_weights=weights)
    theirs = SegmentationCrossEntropy(class_weights=weights)
    assert float(ours(labels, logits)) == pytest.approx(float(theirs(labels, logits)), rel=1e-6)
    difference = gradient(lambda x: ours(labels, x) - theirs(labels, x), logits)
    assert difference == pytest.approx(0, abs=1e-7)


def test_focal_is_the_loss_of_keras_when_all_pixels_are_labelled():
    labels, logits = _batch()
    labels[labels == VOID] = 1
    ready = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=2.0, from_logits=True)
    expected = float(ready(np.eye(3, dtype="float32")[labels], logits))
    assert float(FocalLoss(2)(labels, logits)) == pytest.approx(expected, rel=1e-5)


def test_focal_weights_make_a_weighted_mean_over_labelled_pixels():
    labels, logits = _batch()
    table = np.array([1.0, 0.5, 4.0])
    valid = labels != VOID
    target = np.where(valid, labels, 0)
    p = np.take_along_axis(_softmax(logits), target[..., None], -1)[..., 0]
    weight = table[target] * valid
    expected = (weight * -((1 - p) ** 2) * np.log(p)).sum() / weight.sum()
    assert float(FocalLoss(2, class_weights=table)(labels, logits)) == pytest.approx(expected, 1e-5)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2])
@pytest.mark.parametrize("size", [30, 1e30])
def test_focal_has_a_gradient_where_a_pixel_is_certain(gamma, size):
    logits = np.array([size, 0, -size], "float32").reshape(1, 1, 1, 3)
    for label, expected in ((0, 0), (1, size)):  # right; wrong, where (1 - p)^gamma is 1
        truth = np.full((1, 1, 1), label)
        assert float(FocalLoss(gamma)(truth, logits)) == pytest.approx(expected, rel=1e-5, abs=1e-6)
        slope = gradient(lambda x, truth=truth: FocalLoss(gamma)(truth, x), logits)
        assert slope.ravel() == pytest.approx([label, -label, 0], abs=1e-5)


# Dice and Lovász-softmax


def test_dice_by_hand():
    # Class 1: sum p t = 0.8 + 0.3, sum p = 1.5, sum t = 2. Class 0: 0.6, 1.5 and 1.
    one, zero = 2 * 1.1 / 3.5, 2 * 0.6 / 2.5
    assert float(DiceLoss()(TRUTH, THREE)) == pytest.approx(1 - (one + zero) / 2, rel=1e-5)


def test_lovasz_by_hand():
    # Errors 0.2, 0.4, 0.7 for both classes, so the pixels become wrong in the order 2, 1, 0.
    # Class 1, object {0, 2}: 1 - IoU rises 0, 1/2, 2/3, 1. Class 0, object {1}: 0, 1/2, 1, 1.
    one = 0.7 * 1 / 2 + 0.4 * 1 / 6 + 0.2 * 1 / 3
    zero = 0.7 * 1 / 2 + 0.4 * 1 / 2
    assert float(LovaszSoftmax()(TRUTH, THREE)) == pytest.approx((one + zero) / 2, rel=1e-5)


def test_the_slope_by_hand():
    truth, counted = np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]]), np.ones((3, 4))
    counted[:, 1] = 0  # void
    slope = ops.convert_to_numpy(lovasz_slope(truth.astype("float32"), counted.astype("float32")))
    expected = [[1 / 2, 0, 1 / 6, 1 / 3], [1 / 2, 0, 1 / 2, 0], [1, 0, 0, 0]]
    assert slope == pytest.approx(np.array(expected), rel=1e-6)


def test_the_slope_keeps_its_digits_on_many_pixels():
    # All wrong, half object: the last pixel of a million still adds 1 / U, 1e-6, to six digits.
    truth = np.tile(np.array([0, 1], "float32"), 500_000)
    slope = ops.convert_to_numpy(lovasz_slope(truth, np.ones_like(truth)))
    assert slope[-1] == pytest.approx(1e-6, rel=1e-6)
    assert slope.sum(dtype="float64") == pytest.approx(1, rel=1e-5)


@pytest.mark.parametrize("kind", REGIONS)
@pytest.mark.parametrize("classes", ["present", "all"])
@pytest.mark.parametrize("per_image", [False, True])
def test_equal_to_the_definition_in_loops(kind, classes, per_image):
    loss = kind(classes=classes, per_image=per_image)
    for seed in range(3):
        labels, logits = _batch(seed, classes=4)
        labels[labels == 2] = 1  # a class without pixels
        expected = _regions(labels, logits, classes, per_image, NAIVE[kind])
        assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)
    labels[0] = VOID  # one picture of two
    expected = _regions(labels, logits, classes, per_image, NAIVE[kind])
    assert float(loss(labels, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("kind", "measure"), [(DiceLoss, basic.dice), (LovaszSoftmax, basic.iou)])
def test_on_hard_masks_they_are_one_minus_the_measure(kind, measure):
    rng = np.random.default_rng(0)
    labels, answers = rng.integers(0, 3, (2, 2, 6, 5))
    labels[0, 0] = VOID
    valid = labels != VOID
    expected = np.mean([measure(answers[valid] == c, labels[valid] == c) for c in range(3)])
    loss = kind()(labels, _hard(answers, 3))
    assert float(loss) == pytest.approx(1 - expected, rel=1e-5)
    right = np.where(valid, labels, 0)
    assert float(kind()(labels, _hard(right, 3))) == pytest.approx(0, abs=1e-6)


def test_the_extension_is_convex_and_piecewise_linear():
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 12)
    for _ in range(20):
        a, b = rng.uniform(size=(2, 12))
        assert _ours(a, truth) == pytest.approx(_extension(a, truth), rel=1e-5)
        middle = _ours((a + b) / 2, truth)
        assert middle <= (_ours(a, truth) + _ours(b, truth)) / 2 + 1e-6
        assert _ours(3 * a, truth) == pytest.approx(3 * _ours(a, truth), rel=1e-5)
        # Two vectors of errors that fall in the same order lie in one linear piece.
        c = np.sort(b)[np.argsort(np.argsort(a))]
        assert _ours(a + c, truth) == pytest.approx(_ours(a, truth) + _ours(c, truth), rel=1e-5)


def test_the_order_of_equal_errors_does_not_matter():
    labels, _ = _batch()
    even = np.zeros((*labels.shape, 3), "float32")  # all errors are 1/3 or 2/3
    expected = _regions(labels, even, "present", False, _lovasz)
    mirrored = LovaszSoftmax()(labels[:, ::-1, ::-1].copy(), even)
    assert float(LovaszSoftmax()(labels, even)) == pytest.approx(expected, rel=1e-5)
    assert float(mirrored) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("kind", REGIONS)
@pytest.mark.parametrize("per_image", [False, True])
def test_gradients_equal_finite_differences(kind, per_image):
    labels, logits = _batch()
    # JAX computes in single precision unless told otherwise before it starts.
    dtype = "float32" if keras.backend.backend() == "jax" else "float64"
    loss = kind(per_image=per_image, dtype=dtype)
    automatic = gradient(lambda x: ops.sum(loss(labels, x)), logits.astype(dtype))
    step, slopes = 1e-6, np.zeros(logits.shape)
    for place in np.ndindex(logits.shape):
        value = []
        for sign in (1, -1):
            moved = logits.astype("float64")
            moved[place] += sign * step
            value.append(_regions(labels, moved, "present", per_image, NAIVE[kind]))
        slopes[place] = (value[0] - value[1]) / (2 * step)
    assert np.abs(slopes).max() > 1e-3
    assert automatic == pytest.approx(slopes, abs=1e-6 if dtype == "float32" else 1e-9)
    assert np.all(automatic[0, :2] == 0)  # void


# All of them


@pytest.mark.parametrize("loss", EVERY, ids=EVERY_NAME)
def test_void_pixels_do_not_count(loss):
    labels, logits = _batch()
    other = logits.copy()
    other[labels == VOID] = 1e4 * np.array([1, -1, 0])
    assert float(loss(labels, other)) == pytest.approx(float(loss(labels, logits)), rel=1e-6)


@pytest.mark.parametrize("loss", EVERY, ids=EVERY_NAME)
def test_all_void_gives_zero_and_a_zero_gradient(loss):
    labels, logits = _batch()
    void = np.full_like(labels, VOID)
    assert float(loss(void, logits)) == 0
    assert np.all(gradient(lambda x: loss(void, x), logits) == 0)


@pytest.mark.parametrize("loss", EVERY, ids=EVERY_NAME)
def test_an_unknown_label_gives_nan(loss):
    for wrong in (3, 254, -1, 0.5, 255.5):
        labels, logits = _batch()
        labels = labels.astype("float32")
        labels[1, 0, 0] = wrong
        assert np.isnan(float(loss(labels, logits))), wrong


@pytest.mark.parametrize("loss", EVERY, ids=EVERY_NAME)
def test_gradients_are_finite_at_large_logits(loss):
    labels, logits = _batch()
    slope = gradient(lambda x: loss(labels, x), 1e4 * logits)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("loss", EVERY, ids=EVERY_NAME)
def test_a_loss_is_stored_and_read(loss):
    copy = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(copy) is type(loss) and copy.get_config() == loss.get_config()
    labels, logits = _batch()
    labels[labels == 2] = 1  # so that "present" and "all" differ
    assert float(copy(labels, logits)) == float(loss(labels, logits))


# PyTorch needs a C++ compiler for XLA's counterpart; JAX takes XLA by itself.
COMPILED = {"tensorflow": ["auto", True], "jax": ["auto"], "torch": ["auto"]}


@pytest.mark.parametrize("jit", COMPILED[keras.backend.backend()])
def test_a_compiled_model_trains_with_it_and_is_saved_with_it(jit, tmp_path):
    loss = SumLoss([SegmentationCrossEntropy(), *EVERY[1:6]])
    keras.utils.set_random_seed(0)
    labels, logits = _batch()
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))
    model.compile(keras.optimizers.Adam(0.1), loss=loss, jit_compile=jit)
    history = model.fit(logits, labels, epochs=8, verbose=0).history["loss"]
    assert history[-1] < history[0]
    assert history[0] == pytest.approx(_first_loss(loss, labels, logits), rel=1e-4)
    assert float(model.train_on_batch(logits, np.full_like(labels, VOID))) == 0
    assert all(np.isfinite(w).all() for w in model.get_weights())
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert copy.loss.get_config() == loss.get_config()


def _first_loss(loss, labels, logits):
    """The loss before the first step, without a compiled graph."""
    keras.utils.set_random_seed(0)
    answer = ops.convert_to_numpy(keras.layers.Conv2D(3, 1)(logits))
    return float(loss(labels, answer))


def test_a_sum_is_the_weighted_sum():
    labels, logits = _batch()
    parts = (SegmentationCrossEntropy(), DiceLoss(), FocalLoss())
    values = [float(part(labels, logits)) for part in parts]
    assert float(SumLoss(parts)(labels, logits)) == pytest.approx(sum(values), rel=1e-6)
    weighted = float(SumLoss(parts, [1, 0.5, 0])(labels, logits))
    assert weighted == pytest.approx(values[0] + 0.5 * values[1], rel=1e-6)


@pytest.mark.parametrize("kind", REGIONS)
def test_pictures_can_be_weighted_one_by_one(kind):
    labels, logits = _batch()
    loss = kind(per_image=True, reduction=None)
    each = ops.convert_to_numpy(loss(labels, logits))
    assert each.shape == (2,)
    weighted = kind(per_image=True)(labels, logits, np.array([1.0, 0.0]))
    assert float(weighted) == pytest.approx(each[0] / 2, rel=1e-6)
    with pytest.raises(ValueError, match="set per_image=True, or leave out the sample weights"):
        kind()(labels, logits, np.array([1.0, 0.0]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: FocalLoss(gamma=-1), "gamma is -1"),
        (lambda: FocalLoss(gamma=float("nan")), "gamma is nan"),
        (lambda: FocalLoss(class_weights=[1, -1]), "must not be negative"),
        (lambda: DiceLoss(classes="seen"), "classes is 'seen'"),
        (lambda: LovaszSoftmax(classes=None), "classes is None"),
        (lambda: DiceLoss(smooth=0), "smooth is 0"),
        (lambda: SumLoss(DiceLoss()), "one or more keras.losses.Loss in a list"),
        (lambda: SumLoss([]), "give one or more"),
        (lambda: SumLoss(["mse"]), "give one or more"),
        (lambda: SumLoss([DiceLoss()], [1, 2]), "each of the 1 losses"),
        (lambda: SumLoss([DiceLoss()], [-1]), "0 or more"),
        (lambda: SumLoss([DiceLoss()], 0.5), "weights is 0.5: give a list"),
        (lambda: SumLoss([DiceLoss()], ["a"]), "give a list of numbers"),
        (lambda: FocalLoss(None), "gamma is None"),
        (lambda: FocalLoss("2"), "gamma is '2'"),
        (lambda: FocalLoss(void=None), "void is None"),
        (lambda: DiceLoss(void="255"), "void is '255'"),
        (lambda: LovaszSoftmax(void=2.5), "void is 2.5"),
        (lambda: DiceLoss(smooth=None), "smooth is None"),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ValueError, match=message) as caught:
        make()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [FocalLoss, *REGIONS])
@pytest.mark.parametrize(
    ("labels", "logits", "message"),
    [
        ((2, 4, 4), (2, 2, 2, 3), "upsample the logits"),
        ((2, 4, 4, 1), (2, 4, 4, 3), r"got labels \(2, 4, 4, 1\)"),
    ],
)
def test_shapes_that_do_not_fit(kind, labels, logits, message):
    with pytest.raises(ValueError, match=message):
        kind()(np.zeros(labels, "int32"), np.zeros(logits, "float32"))
