"""Backbones and FCN: shapes at odd sizes, output strides, gradients, saving, bad input."""

import keras
import numpy as np
import pytest

import pixelwise as pw
from pixelwise.models import backbones
from pixelwise.models.fcn import fcn
from pixelwise.nn.losses import SegmentationCrossEntropy
from pixelwise.nn.optimizers import TwoRateAdamW


def pictures(height, width, batch=1, seed=0):
    return np.random.default_rng(seed).uniform(size=(batch, height, width, 3)).astype("float32")


@pytest.fixture(scope="module")
def small():
    return fcn(3, "8s")


def shapes(levels):
    return [tuple(np.shape(levels[f"C{k}"]))[1:3] for k in range(1, 6)]


@pytest.mark.parametrize(
    ("stride", "expected"),
    [
        (32, [(17, 25), (9, 13), (5, 7), (3, 4), (2, 2)]),
        (16, [(17, 25), (9, 13), (5, 7), (3, 4), (3, 4)]),
        (8, [(17, 25), (9, 13), (5, 7), (5, 7), (5, 7)]),
    ],
)
def test_the_output_stride_keeps_resolution(stride, expected):
    levels = backbones.mobilenet_v2(output_stride=stride).predict_on_batch(pictures(33, 49))
    assert shapes(levels) == expected
    assert [levels[f"C{k}"].shape[-1] for k in range(1, 6)] == [96, 144, 192, 576, 1280]


def test_dilation_computes_the_same_features_more_densely():
    """With output stride 16, every second feature equals that of output stride 32."""
    image = pictures(65, 65)
    coarse = backbones.mobilenet_v2().predict_on_batch(image)["C5"]
    dense = backbones.mobilenet_v2(output_stride=16).predict_on_batch(image)["C5"]
    np.testing.assert_allclose(dense[:, ::2, ::2], coarse, atol=2e-4 * np.abs(coarse).max())


def test_resnet50_is_version_one_point_five():
    model = backbones.resnet50(output_stride=8)
    assert model.count_params() == 23_561_152  # torchvision's 25,557,032 less its fc; buffers in
    assert model.get_layer("layer2-0-conv2").strides == (2, 2)
    assert model.get_layer("layer2-0-conv1").strides == (1, 1)
    dilations = [
        model.get_layer(f"{name}-conv2").dilation_rate[0]
        for name in ("layer3-0", "layer3-1", "layer4-0", "layer4-1")
    ]
    assert dilations == [1, 2, 2, 4]
    assert shapes(model.predict_on_batch(pictures(64, 96)))[2:] == [(8, 12)] * 3


@pytest.mark.parametrize("size", [(64, 64), (33, 47), (97, 50)])
def test_logits_have_the_size_of_the_picture(small, size):
    logits = small.predict_on_batch(pictures(*size))
    assert logits.shape == (1, *size, 3)
    assert np.isfinite(logits).all()


@pytest.mark.parametrize("variant", ["32s", "16s"])
def test_coarser_variants_too(variant):
    assert fcn(2, variant).predict_on_batch(pictures(70, 45)).shape == (1, 70, 45, 2)


def test_zero_skips_start_as_the_coarse_network(small):
    """At first the fine levels add nothing: FCN-8s is a smooth picture of FCN-32s."""
    for level in ("C4", "C3"):
        assert not np.any(keras.ops.convert_to_numpy(small.get_layer(f"score_{level}").kernel))


@pytest.mark.parametrize("backbone", ["vgg16", "resnet50"])
def test_other_backbones(backbone):
    options = {"fc_channels": 32} if backbone == "vgg16" else {}
    model = fcn(2, "8s", backbone, **options)
    assert model.predict_on_batch(pictures(64, 40)).shape == (1, 64, 40, 2)


def two_classes():
    """A red square in grey noise, its mask, and a few void rows."""
    images = 0.4 * pictures(64, 64, batch=2)
    images[:, 20:40, 20:40, 0] += 0.6
    masks = np.zeros((2, 64, 64), np.int32)
    masks[:, 20:40, 20:40] = 1
    masks[:, :4] = 255
    return images, masks


def test_training_lowers_the_loss_and_moves_all_weights_but_the_frozen_ones():
    keras.utils.set_random_seed(0)
    model = fcn(2, "8s", dropout=0.0)
    # Slow in the backbone: a few steps of the whole would jump about.
    optimizer = TwoRateAdamW(slow="features-", factor=0.01, learning_rate=3e-3, weight_decay=0.0)
    model.compile(optimizer, SegmentationCrossEntropy())
    before = model.get_weights()
    model.optimizer.build(model.trainable_variables)  # or TensorFlow traces the step twice
    losses = [float(model.train_on_batch(*two_classes())) for _ in range(16)]
    assert np.isfinite(losses).all()
    assert losses[-1] < 0.7 * losses[0]
    learns = {w.path for w in model.trainable_weights}
    frozen = [w.path for w in model.weights if w.path not in learns]
    assert len(frozen) == 4 * 52 + 1  # batch normalisation and the last upsampling
    for weight, old, new in zip(model.weights, before, model.get_weights(), strict=True):
        assert np.isfinite(new).all()
        assert np.array_equal(old, new) == (weight.path in frozen), weight.path


def test_normalisation_is_frozen_or_free(small):
    free = backbones.mobilenet_v2(weights=None, freeze_bn=False)
    assert free.get_layer("features-0-1").trainable
    frozen = [
        layer for layer in small.get_layer("mobilenet_v2").layers if "BatchNorm" in str(layer)
    ]
    assert len(frozen) == 52 and not any(layer.trainable for layer in frozen)


def test_saved_weights_come_back(tmp_path, small):
    keras.utils.set_random_seed(1)
    model = fcn(3, "8s")
    pw.weights.save(model, tmp_path / "w.npz")
    image = pictures(64, 64)
    pw.weights.load(small, tmp_path / "w.npz")
    ours, theirs = small.predict_on_batch(image), model.predict_on_batch(image)
    np.testing.assert_allclose(ours, theirs, atol=5e-3 * np.abs(theirs).max())  # half precision
    assert [path.name for path in tmp_path.iterdir()] == ["w.npz"]


def test_weights_of_another_model_are_refused(tmp_path, small):
    pw.weights.save(fcn(3, "32s"), tmp_path / "w.npz")
    with pytest.raises(pw.weights.WeightsError, match="missing"):
        pw.weights.load(small, tmp_path / "w.npz")
    pw.weights.save(fcn(4, "8s"), tmp_path / "w.npz")
    with pytest.raises(pw.weights.WeightsError, match="score_C5"):
        pw.weights.load(small, tmp_path / "w.npz")
    (tmp_path / "w.npz").write_bytes(b"PK\x03\x04 half of a file")
    with pytest.raises(pw.weights.WeightsError, match="not a file of weights"):
        pw.weights.load(small, tmp_path / "w.npz")
    with pytest.raises(pw.weights.WeightsError, match="Cannot read the weights"):
        pw.weights.load(small, tmp_path / "nothing.npz")


def test_a_whole_model_is_saved_and_read_by_keras(tmp_path, small):
    small.save(tmp_path / "fcn.keras")
    again = keras.saving.load_model(tmp_path / "fcn.keras")
    image = pictures(64, 64)
    np.testing.assert_allclose(
        again.predict_on_batch(image), small.predict_on_batch(image), atol=1e-5
    )


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: fcn(3, "4s"), "no FCN-4s"),
        (lambda: fcn(1), "num_classes is 1"),
        (lambda: fcn(3, backbone="alexnet"), "no backbone 'alexnet'"),
        (lambda: backbones.mobilenet_v2(output_stride=4), "output stride is 4"),
        (lambda: backbones.mobilenet_v2(weights="coco"), "weights is 'coco'"),
        (lambda: backbones.vgg16(output_stride=8), "output stride 32 only"),
    ],
)
def test_bad_arguments_are_named(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_a_picture_smaller_than_the_stride_is_refused(small, sentence):
    fresh = keras.Model(small.input, small.output)  # TensorFlow has compiled nothing of it yet
    for call in (small, fresh.predict_on_batch):
        with pytest.raises(ValueError) as caught:
            call(pictures(20, 64))
        assert "20 x 64 pixels, smaller than the output stride" in sentence(caught)


def test_normalisation_is_frozen_only_where_there_is_something_to_keep():
    def frozen(model):
        norms = [layer for layer in model.layers if "BatchNorm" in type(layer).__name__]
        return not any(layer.trainable for layer in norms)

    assert frozen(backbones.mobilenet_v2())
    assert not frozen(backbones.mobilenet_v2(weights=None))
    assert frozen(backbones.mobilenet_v2(weights=None, freeze_bn=True))
