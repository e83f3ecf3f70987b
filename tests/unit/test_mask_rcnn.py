"""Mask R-CNN as a whole: shapes, training, hard pictures, saving, bad arguments."""

import zlib

import keras
import numpy as np
import pytest

from pixelwise import training
from pixelwise.models import mask_rcnn as m
from pixelwise.models.detector import Finder

SIDE = 64


def tiny(**options):
    """A network that is small enough to be built and trained in seconds."""
    smallest = {
        "channels": 16,
        "box_channels": 32,
        "mask_convolutions": 1,
        "train_before": 30,
        "train_proposals": 20,
        "test_before": 30,
        "test_proposals": 20,
        "regions": 8,
        "detections": 5,
    }
    return m.small_mask_rcnn(3, **(smallest | options))


def pictures(count=2, seed=0):
    return np.random.default_rng(seed).random((count, SIDE, SIDE, 3), dtype="float32")


def targets(*objects, count=None):
    """Targets of a batch; each picture is a list of ``(class, (x1, y1, x2, y2))``."""
    most = count or max(1, *(len(of_picture) for of_picture in objects))
    boxes = np.zeros((len(objects), most, 4), "float32")
    classes = np.zeros((len(objects), most), "int32")
    masks = np.zeros((len(objects), most, SIDE, SIDE), "uint8")
    for picture, of_picture in enumerate(objects):
        for place, (label, box) in enumerate(of_picture):
            boxes[picture, place], classes[picture, place] = box, label
            x1, y1, x2, y2 = box
            masks[picture, place, y1:y2, x1:x2] = 1
    return {"boxes": boxes, "classes": classes, "masks": masks}


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(0)
    return tiny()


HARD = {
    "none": [],
    "one": [(1, (10, 10, 50, 50))],
    "all": [(1, (0, 0, 64, 64))],
    "border": [(2, (0, 40, 30, 64)), (1, (50, 0, 64, 9))],
    "thin": [(2, (10, 10, 11, 50)), (1, (20, 30, 60, 31))],
    "pixel": [(1, (33, 33, 34, 34))],
    "twins": [(1, (8, 8, 40, 40)), (2, (8, 8, 40, 40))],
}


class _Batch(keras.utils.PyDataset):
    """One batch, again and again."""

    num_batches = None

    def __init__(self, x, y):
        super().__init__()
        self.batch = (x, y)

    def __getitem__(self, index):
        return self.batch


@pytest.fixture(scope="module")
def trained():
    """A network trained on two pictures, and the history of it."""
    keras.utils.set_random_seed(1)
    model = tiny()
    y = targets([(1, (5, 8, 40, 50)), (2, (30, 20, 60, 60))], [(1, (2, 2, 30, 30))])
    model.compile(keras.optimizers.Adam(2e-3))
    return model, training.fit(model, _Batch(pictures(), y), 40, show=False)


def test_training_lowers_the_loss_and_fit_keeps_its_parts(trained):
    _, history = trained
    assert np.mean(history.loss[-5:]) < 0.7 * np.mean(history.loss[:5])
    assert set(history.parts) == set(m.LOSSES)
    total = np.sum([history.parts[name] for name in m.LOSSES], axis=0)
    assert np.allclose(total, history.loss, rtol=1e-3, atol=1e-3)


def test_no_picture_makes_the_losses_or_gradients_nan(trained):
    model, _ = trained
    for name, objects in HARD.items():
        model.reset_metrics()
        y = targets(objects, objects, count=2)  # of the shapes that it was compiled for
        logs = model.train_on_batch(pictures(), y, return_dict=True)
        assert all(np.isfinite(value) for value in logs.values()), (name, logs)
        weights = [keras.ops.convert_to_numpy(v) for v in model.trainable_variables]
        assert all(np.isfinite(v).all() for v in weights), name
        if not objects:
            assert logs["loss_masks"] == logs["loss_boxes"] == logs["loss_anchor_boxes"] == 0
            assert logs["loss_objectness"] > 0 and logs["loss_classes"] > 0


@pytest.fixture(scope="module")
def sampling_all():
    """A network that samples every anchor and proposal, so that no loss depends on chance."""
    return seeded(tiny(anchors_sampled=600, anchors_positive=1.0, regions=26, regions_positive=1.0))


@pytest.fixture(scope="module")
def outputs(sampling_all):
    return sampling_all(pictures(1), training=False)


def losses_of(model, outputs, y):
    """The losses of a batch; JAX compiles them whole, which takes it less than one by one."""

    def losses(outputs, y):
        with keras.StatelessScope():  # what is drawn at random leaves no trace
            return model.losses_of(outputs, y, SIDE, SIDE, training=False)

    if keras.backend.backend() != "jax":
        return losses(outputs, y)
    import jax

    return jax.jit(losses)(outputs, y)


def test_padding_changes_no_loss(sampling_all, outputs):
    objects = [(1, (5, 8, 40, 50)), (2, (30, 20, 60, 60))]
    few = losses_of(sampling_all, outputs, targets(objects))
    many = losses_of(sampling_all, outputs, targets(objects, count=6))
    for name in m.LOSSES:
        assert float(few[name]) == pytest.approx(float(many[name]), rel=1e-5), name


def test_the_losses_of_a_batch_agree_with_a_naive_computation(sampling_all, outputs):
    """Objectness against plain NumPy, everything sampled."""
    model = sampling_all
    y = targets([(1, (5, 8, 40, 50))])
    found = losses_of(model, outputs, y)
    anchors = np.concatenate(model.anchors(outputs["levels"], SIDE, SIDE))
    box = y["boxes"][0, 0]
    corner, other = np.maximum(anchors[:, :2], box[:2]), np.minimum(anchors[:, 2:], box[2:])
    shared = np.prod(np.maximum(other - corner, 0), axis=1)
    area = np.prod(anchors[:, 2:] - anchors[:, :2], axis=1) + np.prod(box[2:] - box[:2])
    iou = shared / (area - shared)
    positive = (iou >= 0.7) | (iou >= iou.max() * (1 - 1e-6))
    sampled = positive | (iou < 0.3)
    logits = np.concatenate([keras.ops.convert_to_numpy(z) for z in outputs["objectness"]], 1)[0]
    losses = np.logaddexp(0, logits) - logits * positive
    assert float(found["objectness"]) == pytest.approx(losses[sampled].mean(), rel=1e-4)


# Of the first step on TensorFlow, from the weights that ``seeded`` gives.
FIRST_STEP = {
    "loss": 3.278395,
    "loss_objectness": 0.622144,
    "loss_anchor_boxes": 0.011141,
    "loss_classes": 1.528167,
    "loss_boxes": 0.403834,
    "loss_masks": 0.71311,
}


def seeded(model):
    """Gives the heads weights that do not depend on the backend; the backbone's are embedded."""
    for part in (model.rpn, model.box_head, model.mask_head, model.backbone):
        for layer in part.layers:
            if isinstance(layer, keras.Model):
                continue
            shapes = [v.shape for v in layer.weights]
            rng = np.random.default_rng(zlib.crc32(layer.name.encode()))
            values = [rng.normal(0, 1 / np.sqrt(max(np.prod(s[:-1]), 9)), s) for s in shapes]
            layer.set_weights([v.astype("float32") for v in values])
    return model


def test_the_first_step_costs_the_same_on_every_backend(sampling_all):
    """Before the step the losses of training are those of testing, which no gradient needs."""
    model = sampling_all
    y = targets([(1, (5, 8, 40, 50)), (2, (30, 20, 60, 60))], [(1, (2, 2, 30, 30))])
    model.compile(keras.optimizers.SGD(1e-3))
    logs = model.test_on_batch(pictures(), y, return_dict=True)
    assert set(logs) == set(FIRST_STEP)
    for name, value in FIRST_STEP.items():
        assert logs[name] == pytest.approx(value, rel=1e-3), name


@pytest.mark.parametrize("jit", [True, False])
def test_detection_is_compiled_as_the_network_was(jit):
    model = tiny()
    model.compile(jit_compile=jit)
    assert Finder(model).jit_compile is jit


def test_detections_are_within_the_picture_sorted_and_padded(network):
    found = network.detect(pictures())
    assert found["boxes"].shape == (2, 5, 4) and found["masks"].shape == (2, 5, SIDE, SIDE)
    assert found["masks"].dtype == bool and found["classes"].dtype == np.int32
    assert (np.diff(found["scores"], axis=1) <= 0).all()
    assert found["boxes"].min() >= 0 and found["boxes"].max() <= SIDE
    empty = found["classes"] == 0
    assert not found["boxes"][empty].any() and not found["masks"][empty].any()
    assert (found["scores"][~empty] > network.settings.least_score).all()


def test_what_is_padding_of_the_picture_holds_no_box(network):
    images = pictures(1)
    images[:, 40:] = 0
    found = network.detect(images, sizes=[[40, 64]])
    assert found["boxes"][..., 3].max() <= 40


def test_saved_and_loaded_it_finds_the_same(network, tmp_path):
    network.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    images = pictures(1)
    one, other = network.detect(images), again.detect(images)
    for name in one:
        assert np.allclose(one[name], other[name], atol=1e-4), name


@pytest.mark.parametrize("freeze_bn", [None, True, False])
def test_what_is_frozen_when_saved_is_frozen_when_loaded(freeze_bn, tmp_path):
    """The weights come from the file then, and say nothing of what was frozen."""
    model = tiny(freeze_bn=freeze_bn)
    model.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    learning, learning_again = (
        [v.path for v in network.trainable_variables] for network in (model, again)
    )
    assert learning_again == learning
    scales = [path for path in learning if path.endswith("gamma") and "features-" in path]
    assert bool(scales) == (freeze_bn is False)


def test_what_does_not_learn_stays(network):
    model = tiny(freeze_to="C3")
    learning = {v.path for v in model.trainable_variables}
    assert not any("features-1-" in path or "features-6-" in path for path in learning)
    assert any("features-14-" in path for path in learning)


def test_group_normalisation_and_half_precision_train():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = tiny(groups=4)
        model.compile(keras.optimizers.SGD(1e-3))
        model.optimizer.build(model.trainable_variables)  # or TensorFlow traces the step twice
        y = targets([(1, (5, 8, 40, 50))])
        logs = model.train_on_batch(pictures(1), y, return_dict=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert all(np.isfinite(value) for value in logs.values())


@pytest.mark.parametrize(
    "options, said",
    [
        ({"num_classes": 1}, "num_classes is 1"),
        ({"anchor_sizes": ((32,), (64,))}, "anchor sizes for 2 levels"),
        ({"anchor_sizes": ((32,), (64,), (90, 96))}, "give each level as many"),
        ({"anchor_levels": ("P3", "P4", "P9")}, "name some of"),
        ({"levels": ("C2", "C9")}, "name levels of the backbone"),
        ({"freeze_to": "C7"}, "name a level of the backbone"),
        ({"detektions": 5}, "the nearest are detections"),
        ({"channels": "64"}, "channels is '64'"),
        ({"box_channels": 0}, "box_channels is 0"),
        ({"mask_convolutions": -1}, "mask_convolutions is -1"),
        ({"groups": 0}, "groups is 0"),
        ({"levels": None}, "levels is None"),
        ({"anchor_levels": ("P3", "P3", "P4")}, "each once and the finest first"),
        ({"roi_levels": ("P4", "P3", "P2")}, "roi_levels is ('P4', 'P3', 'P2')"),
        ({"roi_levels": ("P2", "P4")}, "name neighbours, without a gap"),
        ({"anchor_sizes": 32}, "anchor_sizes is 32"),
        ({"anchor_sizes": (32, 64, 96)}, "give each level a tuple"),
        ({"anchor_sizes": ((-1,), (2,), (3,))}, "one or more positive numbers"),
        ({"ratios": (0,)}, "ratios is (0,)"),
        ({"regions": 3.5}, "regions is 3.5: give a whole number from 1"),
        ({"detections": 0}, "detections is 0"),
        ({"regions_positive": 2}, "regions_positive is 2: give a number from 0 to 1"),
        ({"least_score": None}, "least_score is None"),
        ({"canonical": "a"}, "canonical is 'a'"),
    ],
)
def test_arguments_that_do_not_fit_are_one_sentence(sentence, options, said):
    with pytest.raises(ValueError) as caught:
        m.small_mask_rcnn(**({"num_classes": 3} | options))
    assert said in sentence(caught)


@pytest.mark.parametrize(
    "y, said",
    [
        (np.zeros((1, SIDE, SIDE)), "a dict with boxes, classes, masks"),
        ({"boxes": np.zeros((1, 1, 4))}, "but these are boxes"),
        (targets([(1, (0, 0, 9, 9))]) | {"masks": np.zeros((1, 1, 9, 9))}, "(1, 1, 9, 9)"),
        (targets([(1, (0, 0, 9, 9))]) | {"masks": np.zeros((1, SIDE, SIDE))}, "the shape (1, 64,"),
        (targets([(1, (0, 0, 9, 9))]) | {"boxes": np.zeros((1, 4))}, "have boxes (1, 4)"),
        (targets([(1, (0, 0, 9, 9))]) | {"classes": [1]}, "classes (1,)"),
    ],
)
def test_targets_that_do_not_fit_are_one_sentence(network, sentence, y, said):
    with pytest.raises(ValueError) as caught:
        network.compute_loss(pictures(1), y, {})
    assert said in sentence(caught)


@pytest.mark.parametrize(
    "images, said",
    [
        (None, "the shape ()"),
        ("a.jpg", "the shape ()"),
        (pictures(1)[0], "one picture is a batch with image[None]"),
        (pictures(1)[:0], "the shape (0, "),
        (pictures(1)[..., :2], "give one or more, (batch, height, width, 3)"),
        ((255 * pictures(1)).astype("uint8"), "dtype uint8"),
        (255 * pictures(1), "values from"),
        (pictures(1) * np.nan, "without NaN"),
    ],
)
def test_pictures_that_it_cannot_take_are_one_sentence(network, sentence, images, said):
    for ask in (network.detect, network.find):
        with pytest.raises(ValueError) as caught:
            ask(images)
        assert said in sentence(caught)


@pytest.mark.parametrize(
    "sizes", [[SIDE, SIDE], "64", [[SIDE, SIDE]] * 2, [[0, 9]], [[9, SIDE + 1]], [[9, np.nan]]]
)
def test_sizes_that_do_not_fit_are_one_sentence(network, sentence, sizes):
    with pytest.raises(ValueError) as caught:
        network.detect(pictures(1), sizes)
    assert "sizes is" in sentence(caught)


def test_pictures_may_be_lists_and_tensors(network):
    expected = network.detect(pictures(1))
    for images in (pictures(1).tolist(), keras.ops.convert_to_tensor(pictures(1))):
        found = network.detect(images)
        np.testing.assert_allclose(found["scores"], expected["scores"], atol=1e-6)
