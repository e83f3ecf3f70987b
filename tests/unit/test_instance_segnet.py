"""Instance SegNet: each of its options, against Mask R-CNN and by hand; training, saving."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.models import instance_segnet as s
from pixelwise.models.mask_rcnn import LOSSES, small_mask_rcnn
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.pooling import SpatialPyramidPooling

SIDE = 64
TINY = {
    "channels": 16,
    "box_channels": 32,
    "mask_convolutions": 1,
    "train_before": 30,
    "train_proposals": 20,
    "test_before": 30,
    "test_proposals": 20,
    "regions": 8,
    "canonical": 112.0,
    "detections": 5,
}
AS_MASK_RCNN = {"pyramid": False, "masks": "sigmoid", "pooling": "align"}
BOXES = np.array([[[4, 6, 40, 50], [0, 0, 64, 64], [50, 10, 63, 30]]], "float32")


def tiny(**options):
    """A network that is small enough to be built and trained in seconds."""
    return s.small_instance_segnet(3, **(TINY | options))


def pictures(count=1, seed=0):
    return np.random.default_rng(seed).random((count, SIDE, SIDE, 3), dtype="float32")


def targets():
    """One picture with two objects, and room for a third."""
    boxes = np.array([[[5, 8, 40, 50], [30, 20, 60, 60], [0, 0, 0, 0]]], "float32")
    masks = np.zeros((1, 3, SIDE, SIDE), "uint8")
    masks[0, 0, 8:50, 5:40] = masks[0, 1, 20:60, 30:60] = 1
    return {"boxes": boxes, "classes": np.array([[1, 2, 0]], "int32"), "masks": masks}


def array(x):
    return ops.convert_to_numpy(x)


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return tiny()


@pytest.fixture(scope="module")
def levels(network):
    return network(pictures())["levels"]


def test_with_everything_off_it_is_mask_rcnn():
    ours, theirs = tiny(**AS_MASK_RCNN), small_mask_rcnn(3, **TINY)
    assert [v.path for v in ours.weights] == [v.path for v in theirs.weights]
    for mine, other in zip(ours.weights, theirs.weights, strict=True):
        mine.assign(array(other))
    labels, positive = np.array([[1, 2, 1]]), np.array([[True, True, False]])
    soft = np.random.default_rng(1).random((1, 3, 28, 28), dtype="float32")
    soft = ops.convert_to_tensor(soft)
    found = []
    for model in (ours, theirs):
        levels = model(pictures())["levels"]
        masks = model.segment(levels, BOXES)
        loss = model.mask_loss(masks, soft, labels, positive)
        found.append(
            (*model.classify(levels, BOXES), model.mask_probabilities(masks, labels), loss)
        )
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(array(one), array(other), atol=1e-5)


def test_the_box_head_sees_the_spatial_pyramid(network):
    seen = keras.Model(network.box_head.input, network.box_head.get_layer("spatial_pyramid").output)
    features = np.random.default_rng(0).normal(size=(2, 7, 7, 16)).astype("float32")
    expected = SpatialPyramidPooling(s.BINS)(features)
    assert expected.shape[-1] == 16 * (1 + 4 + 16 + 49)
    np.testing.assert_allclose(array(seen(features)), array(expected), atol=1e-6)


def test_the_mask_head_reads_every_level(network, levels):
    found = array(network.pool_for_masks(levels, BOXES))
    assert found.shape == (1, 3, 14, 14, 3 * 16)
    for number, name in enumerate(network.roi_levels):
        alone = array(network.pool(levels, BOXES, 14, names=(name,)))
        np.testing.assert_array_equal(found[..., 16 * number : 16 * (number + 1)], alone)
    chosen = array(network.pool(levels, BOXES, 14))
    # Mask R-CNN's choice of a level is one of them for each box: here P2, P3 and P2.
    sizes = np.sqrt(np.prod(BOXES[0, :, 2:] - BOXES[0, :, :2], axis=1))
    places = np.clip(np.floor(4 + np.log2(sizes / network.settings.canonical)), 2, 4) - 2
    assert places.tolist() == [0, 1, 0]
    for box, place in enumerate(places.astype(int)):
        part = found[0, box, :, :, 16 * place : 16 * (place + 1)]
        np.testing.assert_allclose(part, chosen[0, box], atol=1e-6)


def test_the_fusion_is_a_sum_of_projections(network, levels):
    fusion = network.mask_head.get_layer("mask_head-fusion")
    inside = keras.Model(network.mask_head.input, fusion.output)
    pooled = network.pool_for_masks(levels, BOXES)[0]
    kernel, bias = (array(v) for v in fusion.weights)
    parts = np.split(array(pooled), 3, axis=-1)
    kernels = np.split(kernel[0, 0], 3)
    total = sum(part @ weights for part, weights in zip(parts, kernels, strict=True)) + bias
    np.testing.assert_allclose(array(inside(pooled)), np.maximum(total, 0), atol=1e-4)


def test_max_pooling_reads_the_largest_cell_of_each_bin():
    """A box of 6 x 6 cells of stride 4 in two bins: the cells 1-3 and 4-6 of each side."""
    level = np.arange(256, dtype="float32").reshape(1, 16, 16, 1)
    box = np.array([[[4, 4, 24, 24]]], "float32")
    model = tiny(pooling="max")

    def pool(level):
        return model.pool({"P2": level}, box, 2, names=("P2",))

    cells = np.zeros_like(level)
    cells[0, 3:7:3, 3:7:3] = 1
    assert array(pool(level)).ravel().tolist() == level[cells > 0].tolist()
    np.testing.assert_array_equal(gradient(lambda x: ops.sum(pool(x)), level), cells)


def test_a_pixel_of_a_softmax_mask_by_hand(network):
    logits = np.array([1.0, 3.0, 2.0], "float32").reshape(1, 1, 1, 1, 3)
    share = np.exp([1, 3, 2]) / np.exp([1, 3, 2]).sum()
    found = network.mask_probabilities(logits, np.array([[1]]))
    assert array(found).item() == pytest.approx(share[1], rel=1e-5)
    args = ops.full((1, 1, 1, 1), 0.25), np.array([[1]]), np.array([[True]])
    wanted = -0.25 * np.log(share[1]) - 0.75 * np.log(share[0])
    assert float(network.mask_loss(logits, *args)) == pytest.approx(wanted, rel=1e-5)
    for masks, expected in (
        ("conditional", share[1] / (share[1] + share[0])),
        ("sigmoid", 1 / (1 + np.exp(-3))),
    ):
        found = tiny(masks=masks).mask_probabilities(logits, np.array([[1]]))
        assert array(found).item() == pytest.approx(expected, rel=1e-5), masks


def test_it_trains_and_its_losses_fall():
    keras.utils.set_random_seed(0)
    model = tiny()
    model.compile(keras.optimizers.Adam(3e-3))
    before = [array(v) for v in model.trainable_variables]
    model.optimizer.build(model.trainable_variables)  # or TensorFlow traces the step twice
    losses = []
    for _ in range(20):
        model.reset_metrics()
        logs = model.train_on_batch(pictures(), targets(), return_dict=True)
        losses.append(logs["loss"])
    assert all(f"loss_{name}" in logs for name in LOSSES)
    assert np.isfinite(losses).all() and np.mean(losses[-4:]) < 0.8 * np.mean(losses[:4])
    still = [
        variable.path
        for variable, old in zip(model.trainable_variables, before, strict=True)
        if not np.isfinite(array(variable)).all() or np.array_equal(array(variable), old)
    ]
    assert not still, "these weights did not learn, or are not finite"


def test_saved_and_loaded_it_says_the_same(network, levels, tmp_path):
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    assert isinstance(again, s.InstanceSegNet)
    assert (again.pooling, again.masks, again.pyramid) == ("align", "softmax", True)
    for name, values in again(pictures())["levels"].items():
        np.testing.assert_allclose(array(values), array(levels[name]), atol=1e-4)
    found, expected = (array(model.segment(levels, BOXES)) for model in (again, network))
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_on_resnet_50_it_has_all_levels():
    model = s.instance_segnet(3, "resnet50", channels=32, box_channels=32, weights=None)
    assert model.mask_head.input.shape == (None, 14, 14, 4 * 32)
    assert model.box_head.output[0].shape == (None, 3)


@pytest.mark.parametrize(
    "options, said",
    [
        ({"pooling": "mean"}, "choose one of 'align', 'max'"),
        ({"masks": "tanh"}, "choose one of 'softmax', 'conditional', 'sigmoid'"),
        ({"pyramid": 1}, "choose True or False"),
        ({"bins": ()}, "bins is ()"),
        ({"bins": 7}, "bins is 7"),
        ({"bins": (1, 8)}, "from 1 to 7"),
        ({"bins": (1.5,)}, "bins is (1.5,)"),
        ({"bins": (True,)}, "bins is (True,)"),
        ({"box_side": "7"}, "box_side is '7'"),
        ({"num_classes": 1}, "num_classes is 1"),
        ({"poling": "max"}, "no argument 'poling'"),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        s.small_instance_segnet(**({"num_classes": 3} | options))
    assert said in sentence(caught)
