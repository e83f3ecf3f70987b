"""DeepLab: shapes, strides, gradients, the auxiliary head, saving, bad input."""

import keras
import numpy as np
import pytest

import pixelwise as pw
from pixelwise.metrics import segmentation as seg
from pixelwise.models import backbones
from pixelwise.models.deeplab import deeplab
from pixelwise.nn.atrous import conv_bn
from pixelwise.nn.losses import SegmentationCrossEntropy
from pixelwise.nn.optimizers import TwoRateAdamW

SMALL = {"channels": 16, "rates": (1, 2)}


def pictures(height, width, batch=1, seed=0):
    return np.random.default_rng(seed).uniform(size=(batch, height, width, 3)).astype("float32")


def two_classes(batch=2):
    """A red square in grey noise, its mask, and a few void rows."""
    images = 0.4 * pictures(64, 64, batch)
    images[:, 20:40, 20:40, 0] += 0.6
    masks = np.zeros((batch, 64, 64), np.int32)
    masks[:, 20:40, 20:40] = 1
    masks[:, :4] = 255
    return images, masks


@pytest.fixture(scope="module")
def small():
    return deeplab(3, **SMALL)


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (97, 50)])
def test_logits_have_the_size_of_the_picture(small, size):
    logits = small.predict_on_batch(pictures(*size))
    assert logits.shape == (1, *size, 3)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize(
    "options",
    [
        {"variant": "v1", "channels": 16, "rates": (2,)},
        {"variant": "v2", "channels": 16, "rates": (1, 2), "output_stride": 8},
        {"variant": "v3", **SMALL, "separable": True},
        {"variant": "v3+", **SMALL, "decoder": False},
        {"variant": "v3+", **SMALL, "image_pooling": False, "rates": ()},
        {"variant": "v3+", **SMALL, "separable": False, "output_stride": 8},
    ],
)
def test_every_variant_gives_logits(options):
    model = deeplab(2, **options)
    assert model.predict_on_batch(pictures(70, 45)).shape == (1, 70, 45, 2)


def test_resnet50_with_multi_grid_and_auxiliary_head():
    model = deeplab(
        2, "v3", "resnet50", output_stride=16, multi_grid=(1, 2, 4), auxiliary=True, **SMALL
    )
    features = model.get_layer("backbone")
    rates = [features.get_layer(f"layer4-{k}-conv2").dilation_rate[0] for k in range(3)]
    assert rates == [2, 4, 8]  # 2 * (1, 2, 4), section 4.1 of Chen et al. 2017
    plain = backbones.resnet50(output_stride=8)
    assert [plain.get_layer(f"layer4-{k}-conv2").dilation_rate[0] for k in range(3)] == [2, 4, 4]
    assert model.predict_on_batch(pictures(64, 40)).shape == (1, 64, 40, 2)


def test_training_lowers_the_loss_and_moves_all_weights_but_the_frozen_ones():
    keras.utils.set_random_seed(0)
    # Not separable: a scale before a filter of each channel by itself is lost in the next norm.
    model = deeplab(2, auxiliary=True, dropout=0.0, separable=False, **SMALL)
    # Slow in the backbone: a few steps of the whole would jump about.
    optimizer = TwoRateAdamW(slow="features-", factor=0.01, learning_rate=3e-3, weight_decay=0.0)
    model.compile(optimizer, SegmentationCrossEntropy())
    before = model.get_weights()
    model.optimizer.build(model.trainable_variables)  # or TensorFlow traces the step twice
    losses = [float(model.train_on_batch(*two_classes())) for _ in range(16)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]
    learns = {w.path for w in model.trainable_weights}
    frozen = [w.path for w in model.get_layer("backbone").weights if w.path not in learns]
    assert len(frozen) == 4 * 52  # the backbone's batch normalisation
    for weight, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert np.isfinite(new).all()
        if "seed_generator" not in weight.path:
            assert np.array_equal(old, new) == (weight.path in frozen), weight.path


def test_the_auxiliary_loss_is_added_in_training_only():
    keras.utils.set_random_seed(0)
    model = deeplab(2, auxiliary=True, dropout=0.0, freeze_bn=True, **SMALL)
    model.get_layer("backbone").trainable = False  # its gradient takes long to compile
    for layer in model.layers:
        if "BatchNorm" in type(layer).__name__:
            layer.trainable = False  # so that training and inference see the same features
    images, masks = two_classes()
    both = keras.Model(model.input, model.output).predict_on_batch(images)
    assert sorted(both) == ["aux", "logits"]
    np.testing.assert_allclose(model.predict_on_batch(images), both["logits"], atol=1e-5)
    loss = SegmentationCrossEntropy()
    model.compile(keras.optimizers.SGD(0.0), SegmentationCrossEntropy())
    main, aux = (float(loss(masks, both[key])) for key in ("logits", "aux"))
    assert main != pytest.approx(aux, rel=1e-3)
    assert float(model.train_on_batch(images, masks)) == pytest.approx(main + 0.4 * aux, rel=1e-4)
    assert float(model.test_on_batch(images, masks)) == pytest.approx(main, rel=1e-4)


def test_another_output_stride_with_the_same_weights():
    keras.utils.set_random_seed(0)
    coarse = deeplab(3, auxiliary=True, **SMALL)
    fine = coarse.rebuilt(output_stride=8, auxiliary=False)
    image = pictures(65, 65)
    logits = coarse.predict_on_batch(image)
    assert not np.allclose(logits, fine.predict_on_batch(image), atol=1e-3)
    levels = fine.get_layer("backbone").predict_on_batch(image)
    assert levels["C5"].shape[1] == 9
    # At every second cell the finer features are the coarse ones.
    theirs = coarse.get_layer("backbone").predict_on_batch(image)["C5"]
    np.testing.assert_allclose(levels["C5"][:, ::2, ::2], theirs, atol=2e-3 * theirs.max())
    back = fine.rebuilt(output_stride=16)
    np.testing.assert_allclose(back.predict_on_batch(image), logits, atol=1e-5)


def test_rebuilding_keeps_the_weight_of_the_auxiliary_loss():
    model = deeplab(3, auxiliary=True, weights=None, **SMALL)
    model.auxiliary_weight = 0.25
    assert model.rebuilt(output_stride=8).auxiliary_weight == 0.25


def test_rebuilding_with_other_weights_is_refused(small, sentence):
    with pytest.raises(ValueError) as caught:
        small.rebuilt(num_classes=4)
    assert "scores" in sentence(caught)
    with pytest.raises(ValueError) as caught:
        small.rebuilt(stride=8)
    assert "no argument 'stride'" in sentence(caught)


def test_saved_by_keras_and_by_the_book(tmp_path):
    keras.utils.set_random_seed(1)
    model = deeplab(3, auxiliary=True, **SMALL)
    image = pictures(64, 64)
    wanted = model.predict_on_batch(image)
    model.save(tmp_path / "deeplab.keras")
    again = keras.saving.load_model(tmp_path / "deeplab.keras")
    assert again.arguments == {**model.arguments, "weights": None}
    np.testing.assert_allclose(again.predict_on_batch(image), wanted, atol=1e-5)
    pw.weights.save(model, tmp_path / "w.npz", half=False)
    again.set_weights([np.zeros_like(w) for w in again.get_weights()])
    other = pw.weights.load(again, tmp_path / "w.npz")
    np.testing.assert_allclose(other.predict_on_batch(image), wanted, atol=1e-5)


def test_a_builder_from_elsewhere_is_not_called(small, sentence):
    config = {**small.get_config(), "builder": "os:system"}
    with pytest.raises(ValueError) as caught:
        type(small).from_config(config)
    assert "'os:system'" in sentence(caught)


def test_it_is_measured_like_every_other_network(small):
    answers = seg.predict(small, pictures(40, 52))
    assert answers.shape == (1, 40, 52)
    with pytest.raises(ValueError, match="smaller than the output stride"):
        seg.predict(small, pictures(20, 52))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: deeplab(3, "v4"), "no DeepLab 'v4'"),
        (lambda: deeplab(1), "num_classes is 1"),
        (lambda: deeplab(2.0), "num_classes is 2.0"),
        (lambda: deeplab(3, ["v3"]), "no DeepLab ['v3']"),
        (lambda: deeplab(3, channels="a"), "channels is 'a'"),
        (lambda: deeplab(3, channels=0), "channels is 0"),
        (lambda: deeplab(3, dropout="a"), "dropout is 'a'"),
        (lambda: deeplab(3, backbone="vgg16"), "no backbone 'vgg16' here"),
        (lambda: deeplab(3, output_stride=32), "output stride is 32"),
        (lambda: deeplab(3, output_stride=12), "output stride is 12"),
        (lambda: deeplab(3, rates=(0, 2)), "rates are (0, 2)"),
        (lambda: deeplab(3, rates=(1.5,)), "rates are (1.5,)"),
        (lambda: deeplab(3, rates=6), "rates is 6"),
        (lambda: deeplab(3, features=5), "features is 5"),
        (lambda: deeplab(3, features="C5"), "features is 'C5'"),
        (lambda: deeplab(3, "v1", rates=(1, 2)), "v1 has one atrous convolution"),
        (
            lambda: deeplab(3, "v1", rates=(6,), weights=None, input_shape=(96, 96, 3)),
            "rate 6 reaches beyond a map of 6 x 6",
        ),
        (lambda: deeplab(3, "v2", rates=(1,)), "v2 adds several branches"),
        (lambda: deeplab(3, input_shape=(96, 96, 3)), "rate 6 reaches beyond a map of 6 x 6"),
        (lambda: deeplab(3, input_shape=(96, 96)), "input_shape is (96, 96)"),
        (lambda: deeplab(3, multi_grid=(1, 2, 4)), "multi-grid belongs to resnet50"),
        (lambda: backbones.resnet50(output_stride=16, multi_grid=(1, 2)), "multi_grid is (1, 2)"),
        (lambda: backbones.resnet50(multi_grid=(1, 2, 4)), "multi-grid needs a dilated layer4"),
        (lambda: conv_bn(None, 4, 2, "c", "b"), "kernel of c is 2"),
        (lambda: conv_bn(None, 4, 3, "c", "b", stride=2, rate=2), "stride 2 and the rate 2"),
        (lambda: conv_bn(None, 4, 3, "c", "b", rate=0), "rate of c is 0"),
    ],
)
def test_bad_arguments_are_named(call, words, sentence):
    with pytest.raises(ValueError) as caught:
        call()
    assert words in sentence(caught)
