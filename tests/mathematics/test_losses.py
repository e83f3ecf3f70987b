"""The losses on cases worked by hand."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn import losses
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.losses import SegmentationCrossEntropy


def _batch(seed=0, classes=3):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(2, 4, 5, classes)).astype("float32")
    labels = rng.integers(0, classes, (2, 4, 5))
    labels[0, :2] = 255
    return labels, logits


def _by_hand(labels, logits):
    return np.log(np.exp(logits).sum(-1)) - np.take_along_axis(
        logits, np.where(labels == 255, 0, labels)[..., None], -1
    ).squeeze(-1)


def test_one_pixel_by_hand():
    # softmax(log 1, log 2, log 5) = 1/8, 2/8, 5/8
    logits = np.log(np.array([1.0, 2, 5], "float32")).reshape(1, 1, 1, 3)
    for label, p in enumerate([1 / 8, 2 / 8, 5 / 8]):
        loss = SegmentationCrossEntropy()(np.full((1, 1, 1), label), logits)
        assert float(loss) == pytest.approx(-np.log(p), rel=1e-6)


def test_mean_is_over_labelled_pixels_only():
    labels, logits = _batch()
    expected = _by_hand(labels, logits)[labels != 255].mean()
    assert float(SegmentationCrossEntropy()(labels, logits)) == pytest.approx(expected, rel=1e-6)
    other = logits.copy()
    other[labels == 255] = 1e4
    assert float(SegmentationCrossEntropy()(labels, other)) == pytest.approx(expected, rel=1e-6)


def test_it_is_the_loss_of_keras_when_all_pixels_are_labelled():
    labels, logits = _batch()
    labels[labels == 255] = 1
    ready = keras.losses.SparseCategoricalCrossentropy(from_logits=True)(labels, logits)
    assert float(SegmentationCrossEntropy()(labels, logits)) == pytest.approx(float(ready), 1e-6)


def test_class_weights_make_a_weighted_mean():
    labels, logits = _batch()
    table = np.array([1.0, 0.0, 4.0])
    valid = labels != 255
    weight = np.where(valid, table[np.where(valid, labels, 0)], 0)
    expected = (_by_hand(labels, logits) * weight).sum() / weight.sum()
    loss = SegmentationCrossEntropy(class_weights=table)(labels, logits)
    assert float(loss) == pytest.approx(expected, rel=1e-6)
    tenth = SegmentationCrossEntropy(class_weights=table / 10)(labels, logits)
    assert float(tenth) == pytest.approx(expected, rel=1e-6)


def test_log_softmax_of_a_numpy_array():
    found = ops.convert_to_numpy(losses.log_softmax(np.log(np.array([1.0, 2, 5], "float32"))))
    assert found == pytest.approx(np.log([1 / 8, 2 / 8, 5 / 8]), rel=1e-6)


def test_all_void_gives_zero_and_a_zero_gradient():
    labels, logits = _batch()
    void = np.full_like(labels, 255)
    for loss in (SegmentationCrossEntropy(), SegmentationCrossEntropy(class_weights=[1, 2, 3])):
        assert float(loss(void, logits)) == 0
        assert np.all(gradient(lambda x, loss=loss: loss(void, x), logits) == 0)


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_large_logits_do_not_overflow(size):
    logits = np.array([size, 0, -size], "float32").reshape(1, 1, 1, 3)
    label = np.ones((1, 1, 1), int)
    assert float(SegmentationCrossEntropy()(label, logits)) == pytest.approx(size)
    slope = gradient(lambda x: SegmentationCrossEntropy()(label, x), logits)
    assert slope.ravel() == pytest.approx([1, -1, 0], abs=1e-6)


def test_hand_gradient_is_the_automatic_one():
    labels, logits = _batch()
    automatic = gradient(lambda x: SegmentationCrossEntropy()(labels, x), logits)
    valid = labels != 255
    hand = losses.softmax_cross_entropy_gradient(logits, np.where(valid, labels, 0))
    hand = ops.convert_to_numpy(hand) * valid[..., None] / valid.sum()
    assert automatic == pytest.approx(hand, abs=1e-6)
    assert hand.sum(-1) == pytest.approx(0, abs=1e-7)


def test_an_unknown_label_gives_nan_and_not_a_number_that_looks_right():
    labels, logits = _batch()
    for wrong in (3, 254, -1):
        labels[1, 0, 0] = wrong
        assert np.isnan(float(SegmentationCrossEntropy()(labels, logits)))


def test_a_model_trains_with_it_and_is_saved_with_it(tmp_path):
    labels, logits = _batch()
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, keras.layers.Conv2D(3, 1)(inputs))
    loss = SegmentationCrossEntropy(void=254, class_weights=[1, 1, 2])
    model.compile(keras.optimizers.Adam(0.1), loss=loss)
    labels[labels == 255] = 254
    history = model.fit(logits, labels, epochs=5, verbose=0).history["loss"]
    assert history[-1] < history[0]
    model.save(tmp_path / "model.keras")
    copy = keras.saving.load_model(tmp_path / "model.keras")
    assert copy.loss.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("labels", "logits", "weights", "message"),
    [
        ((2, 4, 4), (2, 2, 2, 3), None, "upsample the logits"),
        ((2, 4, 4, 1), (2, 4, 4, 3), None, r"got labels \(2, 4, 4, 1\)"),
        ((2, 4, 4), (2, 4, 4, 3), [1, 1], "2 class weights for 3 classes"),
    ],
)
def test_shapes_that_do_not_fit(labels, logits, weights, message):
    loss = SegmentationCrossEntropy(class_weights=weights)
    with pytest.raises(ValueError, match=message):
        loss(np.zeros(labels, "int32"), np.zeros(logits, "float32"))


def test_negative_weights():
    with pytest.raises(ValueError, match="must not be negative"):
        SegmentationCrossEntropy(class_weights=[1, -1])


def test_iou_and_dice_by_hand():
    a = np.array([[1, 1, 0], [1, 0, 0]])
    b = np.array([[1, 0, 0], [1, 1, 1]])
    assert losses.iou(a, b) == pytest.approx(2 / 5)
    assert losses.dice(a, b) == pytest.approx(4 / 7)
    assert losses.dice(a, b) == pytest.approx(2 * 0.4 / 1.4)
    assert np.isnan(losses.iou(a * 0, b * 0)) and np.isnan(losses.dice(a * 0, b * 0))
    with pytest.raises(ValueError, match="resize the prediction"):
        losses.iou(a, b[:, :2])


def test_soft_measures_are_the_hard_ones_on_hard_masks():
    rng = np.random.default_rng(0)
    p, t = rng.integers(0, 2, (2, 2, 6, 5, 3)).astype("float32")
    soft = ops.convert_to_numpy(losses.soft_iou(p, t))
    hard = [losses.iou(p[..., c], t[..., c]) for c in range(3)]
    assert soft == pytest.approx(hard, abs=1e-6)
    soft = ops.convert_to_numpy(losses.soft_dice(p, t))
    hard = [losses.dice(p[..., c], t[..., c]) for c in range(3)]
    assert soft == pytest.approx(hard, abs=1e-6)
    empty = np.zeros_like(p)
    assert ops.convert_to_numpy(losses.soft_dice(empty, empty)) == pytest.approx(1)


def test_soft_dice_has_the_gradient_of_its_formula():
    p, t = np.array([0.3, 0.8, 0.5], "float32"), np.array([1.0, 1, 0], "float32")
    automatic = gradient(lambda p: losses.soft_dice(p, t, axis=0, smooth=0.0), p)
    sizes, overlap = p.sum() + t.sum(), (p * t).sum()
    assert automatic == pytest.approx(2 * (t * sizes - overlap) / sizes**2, rel=1e-5)


def test_gan_losses_by_hand():
    zero = np.zeros((4, 1), "float32")
    assert float(losses.discriminator_loss(zero, zero)) == pytest.approx(2 * np.log(2), rel=1e-6)
    logit = np.full((4, 1), np.log(0.2 / 0.8), "float32")  # D = 0.2
    assert float(losses.generator_loss(logit)) == pytest.approx(-np.log(0.2), rel=1e-6)
    assert float(losses.generator_loss(logit, saturating=True)) == pytest.approx(
        np.log(0.8), rel=1e-5
    )
    weak = gradient(lambda x: losses.generator_loss(x, saturating=True), logit).sum()
    strong = gradient(losses.generator_loss, logit).sum()
    assert (weak, strong) == pytest.approx((-0.2, -0.8), rel=1e-5)
