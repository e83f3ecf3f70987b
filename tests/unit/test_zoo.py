"""Networks by name: downloaded once, checked, converted once; and what may go wrong with that."""

import hashlib
import io
import sys

import keras
import numpy as np
import pytest

from pixelwise import weights
from pixelwise.data import voc
from pixelwise.data.download import IncompleteDownload, NoNetwork, WrongHash
from pixelwise.models import zoo
from pixelwise.weights import published

SHAPES = {
    "backbone.conv1.weight": (4, 3, 3, 3),
    "backbone.conv1.bias": (4,),
    "backbone.bn1.weight": (4,),
    "backbone.bn1.bias": (4,),
    "backbone.bn1.running_mean": (4,),
    "backbone.bn1.running_var": (4,),
    "backbone.bn1.num_batches_tracked": (),
    "classifier.4.weight": (21, 4, 1, 1),
    "classifier.4.bias": (21,),
    "aux_classifier.4.weight": (21, 4, 1, 1),
    "aux_classifier.4.bias": (21,),
    "fc.weight": (10, 4),
}


def tiny(num_classes=zoo.NUM_CLASSES, *, auxiliary=True, freeze_bn=None, weights=None):
    """A network in the form of the large ones."""
    pictures = keras.Input((None, None, 3))
    x = keras.layers.Conv2D(4, 3, name="conv1")(pictures)
    norm = keras.layers.BatchNormalization(name="bn1", trainable=not freeze_bn)
    features = keras.Model(pictures, norm(x), name="backbone")
    pictures = keras.Input((None, None, 3))
    x = features(pictures)
    names = ["classifier-4", "aux_classifier-4"] if auxiliary else ["classifier-4"]
    return keras.Model(
        pictures, [keras.layers.Conv2D(num_classes, 1, name=name)(x) for name in names]
    )


@pytest.fixture
def state():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}


def saved(state):
    """The bytes of a ``.pth`` file, in the format of before PyTorch 1.6 as most published ones."""
    torch = pytest.importorskip("torch")
    file = io.BytesIO()
    tensors = {name: torch.tensor(value) for name, value in state.items()}
    torch.save(tensors, file, _use_new_zipfile_serialization=False)
    return file.getvalue()


@pytest.fixture
def publish(server, monkeypatch, tmp_path):
    """A function that puts a file of the network "tiny" on the server; the cache is empty."""
    monkeypatch.setenv("PIXELWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(published, "SERVER", f"http://127.0.0.1:{server.port}")
    monkeypatch.setitem(zoo.NETWORKS, "tiny", (tiny, ("fc.",)))
    monkeypatch.setitem(published.FILES, "tiny", {"coco": "tiny_coco-01234567.pth"})

    def add(content, digits=None):
        digits = digits or hashlib.sha256(content).hexdigest()[:8]
        monkeypatch.setitem(published.FILES, "tiny", {"coco": f"tiny_coco-{digits}.pth"})
        server.add(f"tiny_coco-{digits}.pth", content)
        return f"tiny_coco-{digits}"

    return add


def kernels(model):
    names = [name for name in ("classifier-4", "aux_classifier-4") if name in str(model.layers)]
    layers = [model.get_layer("backbone").get_layer("conv1"), *map(model.get_layer, names)]
    return [keras.ops.convert_to_numpy(layer.kernel) for layer in layers]


def test_downloaded_and_converted_once(publish, server, state, tmp_path, tree, monkeypatch):
    name = publish(saved(state))
    first = zoo.load("tiny", weights="coco")
    assert np.array_equal(kernels(first)[0].transpose(3, 2, 0, 1), state["backbone.conv1.weight"])
    assert tree(tmp_path / "cache") == ["weights", f"weights/{name}.npz"]
    assert server.requests == [(None, 200)]
    server.files.clear()
    monkeypatch.setattr(published, "require_torch", lambda: pytest.fail("PyTorch was asked for"))
    second = zoo.load("tiny", weights="coco")
    for ours, theirs in zip(kernels(first), kernels(second), strict=True):
        assert np.array_equal(ours, theirs)
    assert server.requests == [(None, 200)]


def test_the_auxiliary_head_can_be_left_out(publish, state):
    publish(saved(state))
    assert len(kernels(zoo.load("tiny", weights="coco"))) == 3
    assert len(kernels(zoo.load("tiny", weights="coco", auxiliary=False))) == 2


def test_a_checkpoint_without_the_auxiliary_head(publish, state, sentence):
    publish(saved({k: v for k, v in state.items() if not k.startswith("aux")}))
    zoo.load("tiny", weights="coco", auxiliary=False)
    with pytest.raises(weights.WeightsError) as caught:
        zoo.load("tiny", weights="coco")
    assert "2 missing (aux_classifier.4.bias, aux_classifier.4.weight)" in sentence(caught)


def test_a_file_put_there_by_hand_is_used_and_stays(publish, server, state, tmp_path, tree):
    content = saved(state)
    name = publish(content)
    (tmp_path / "cache" / "weights").mkdir(parents=True)
    (tmp_path / "cache" / "weights" / f"{name}.pth").write_bytes(content)
    zoo.load("tiny", weights="coco")
    assert server.requests == []
    assert tree(tmp_path / "cache" / "weights") == [f"{name}.npz", f"{name}.pth"]


def test_another_file_at_the_address(publish, state, tmp_path, tree, sentence):
    publish(saved(state), digits="0123abcd")
    with pytest.raises(WrongHash) as caught:
        zoo.load("tiny", weights="coco")
    assert "where 0123abcd... was expected" in sentence(caught)
    assert tree(tmp_path / "cache" / "weights") == []


def test_a_download_that_is_cut_goes_on(publish, server, state):
    publish(saved(state))
    server.cut = 500
    with pytest.raises(IncompleteDownload):
        zoo.load("tiny", weights="coco")
    server.cut = None
    zoo.load("tiny", weights="coco")
    assert server.requests == [(None, 200), ("bytes=500-", 206)]


def test_a_file_that_is_cut_for_good(publish, state, tmp_path, sentence):
    name = publish(saved(state)[:1500])
    with pytest.raises(ValueError) as caught:
        zoo.load("tiny", weights="coco")
    assert f"{name}.pth is cut, damaged or no checkpoint" in sentence(caught)
    assert not (tmp_path / "cache" / "weights" / f"{name}.npz").exists()


def test_no_network(publish, closed_port, monkeypatch, state, sentence):
    name = publish(saved(state))
    monkeypatch.setattr(published, "SERVER", f"http://127.0.0.1:{closed_port}")
    with pytest.raises(NoNetwork) as caught:
        zoo.load("tiny", weights="coco")
    assert f"under the name {name}.pth" in sentence(caught)


def test_without_pytorch_nothing_is_downloaded(publish, server, monkeypatch, sentence):
    publish(b"anything")
    monkeypatch.setitem(sys.modules, "torch", None)  # from here on it cannot be imported
    with pytest.raises(ImportError) as caught:
        published.fetch("tiny", "coco")
    assert "pip install torch" in sentence(caught)
    assert server.requests == []


def test_a_converted_file_that_is_damaged(publish, state, tmp_path, sentence):
    name = publish(saved(state))
    zoo.load("tiny", weights="coco")
    path = tmp_path / "cache" / "weights" / f"{name}.npz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(weights.WeightsError) as caught:
        zoo.load("tiny", weights="coco")
    assert f"{name}.npz cannot be read: delete the file" in sentence(caught)


def test_weights_from_a_file(publish, state, tmp_path):
    (tmp_path / "mine.pth").write_bytes(saved(state))
    for path in (tmp_path / "mine.pth", str(tmp_path / "mine.pth")):
        model = zoo.load("tiny", weights=path)
        assert np.array_equal(kernels(model)[1].transpose(3, 2, 0, 1), state["classifier.4.weight"])


def test_a_checkpoint_of_another_network(publish, state, tmp_path, sentence):
    renamed = {name.replace("backbone.", "features."): value for name, value in state.items()}
    (tmp_path / "other.pth").write_bytes(saved(renamed))
    with pytest.raises(weights.WeightsError) as caught:
        zoo.load("tiny", weights=tmp_path / "other.pth")
    text = sentence(caught)
    assert "other.pth do not fit the model: 6 missing (backbone.bn1.bias, " in text
    assert "6 left over (features.bn1.bias, " in text


def test_a_checkpoint_of_other_classes(publish, state, tmp_path, sentence):
    (tmp_path / "mine.pth").write_bytes(saved(state))
    with pytest.raises(weights.WeightsError) as caught:
        zoo.load("tiny", weights=tmp_path / "mine.pth", num_classes=5)
    assert "classifier.4.weight has the shape (21, 4, 1, 1)" in sentence(caught)
    assert "(5, 4, 1, 1) in the model" in sentence(caught)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: zoo.load("unet"), "There is no network 'unet' here: choose one of fcn_resnet50,"),
        (lambda: zoo.load("tiny", output_stride=8), "unexpected keyword argument 'output_stride'"),
        (lambda: zoo.load("tiny", weights="voc"), "tiny has no weights 'voc': choose 'coco', the"),
        (lambda: zoo.load("tiny", weights=3), "tiny has no weights 3"),
        (lambda: zoo.load("tiny", weights="coco", num_classes=5), "'coco' tell 21 classes apart"),
        (
            lambda: zoo.load("maskrcnn_resnet50_fpn", weights="coco", num_classes=2),
            "'coco' tell 91 classes apart, but num_classes is 2",
        ),
        (
            lambda: zoo.load("maskrcnn_resnet50_fpn", weights="imagenet"),
            "maskrcnn_resnet50_fpn has no weights 'imagenet': choose 'coco', the",
        ),
        (lambda: zoo.load("maskrcnn_resnet50_fpn", regionz=3), "the nearest are regions,"),
        (lambda: zoo.load("maskrcnn_resnet50_fpn", num_classes=1), "num_classes is 1"),
        (lambda: zoo.load("fcn_resnet50", num_classes=1), "num_classes is 1"),
        (lambda: zoo.load("fcn_resnet50", num_classes=True), "num_classes is True"),
        (lambda: zoo.load("fcn_resnet50", input_shape=(64, 64)), "input_shape is (64, 64)"),
        (lambda: zoo.load("fcn_resnet50", output_stride=4), "output stride is 4"),
    ],
)
def test_bad_arguments_are_named(publish, sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in sentence(caught)


def test_normalisation_is_frozen_where_weights_were_loaded(publish, state):
    publish(saved(state))

    def learns(**options):
        return zoo.load("tiny", **options).get_layer("backbone").get_layer("bn1").trainable

    assert learns() and learns(weights="coco", freeze_bn=False)
    assert not learns(weights="coco") and not learns(freeze_bn=True)


def test_every_published_file_is_of_a_network_and_has_its_hash():
    assert set(published.FILES) == set(zoo.NETWORKS)
    for files in published.FILES.values():
        for file in files.values():
            assert len(published.digits(file)) == 8
    assert zoo.VOC_CLASSES == voc.CLASSES and len(voc.CLASSES) == 21


def test_cocos_classes_stand_at_their_numbers():
    assert len(zoo.COCO_CLASSES) == 91 and len(set(zoo.COCO_CLASSES)) == 82
    assert [n for n, name in enumerate(zoo.COCO_CLASSES) if name == "N/A"] == [
        *(12, 26, 29, 30, 45, 66, 68, 69, 71, 83),
    ]
    named = {0: "background", 1: "person", 44: "bottle", 62: "chair", 90: "toothbrush"}
    assert {number: zoo.COCO_CLASSES[number] for number in named} == named


@pytest.fixture
def asked(monkeypatch):
    """A function that returns with which arguments Mask R-CNN is built, without building it."""
    monkeypatch.setattr(published, "load", lambda model, *args, **options: model)
    monkeypatch.setattr(zoo, "mask_rcnn", lambda *args, **options: (args, options))
    return lambda **options: zoo.load("maskrcnn_resnet50_fpn", **options)


def test_mask_rcnn_has_torchvisions_arguments(asked):
    args, options = asked(detections=5)
    assert args == (91, "resnet50")
    assert options.pop("freeze_bn") is False and options.pop("detections") == 5
    assert options == {"bn_epsilon": None, "freeze_to": None, "weights": None}
    assert asked(num_classes=3)[0] == (3, "resnet50")


def test_published_weights_of_mask_rcnn_have_their_epsilon(asked, tmp_path):
    """The published file keeps it, wherever it lies; one's own file was trained with the usual."""
    file = published.FILES["maskrcnn_resnet50_fpn"]["coco"]
    for published_weights in ("coco", tmp_path / file, str(tmp_path / file)):
        _, options = asked(weights=published_weights)
        assert options["bn_epsilon"] == 0 and options["freeze_bn"] is True
        assert asked(weights=published_weights, bn_epsilon=None)[1]["bn_epsilon"] == 0
        assert asked(weights=published_weights, bn_epsilon=1e-3)[1]["bn_epsilon"] == 1e-3
    _, options = asked(weights=tmp_path / "mine.pth")
    assert options["bn_epsilon"] is None and options["freeze_bn"] is True


def test_mask_rcnn_is_built_with_the_epsilon_and_frozen():
    model = zoo.maskrcnn_resnet50_fpn(
        4, bn_epsilon=0.0, freeze_bn=True, channels=8, box_channels=8, mask_convolutions=1
    )
    body = model.backbone.get_layer("body")
    norms = [x for x in body.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(norms) == 53 and {x.epsilon for x in norms} == {0.0}
    assert not any(x.trainable for x in norms)
    assert model.num_classes == 4 and model.name == "mask_rcnn"


def test_fcn_resnet50_gives_logits_and_in_training_both():
    model = zoo.load("fcn_resnet50", num_classes=3)
    pictures = np.random.default_rng(0).uniform(size=(2, 33, 47, 3)).astype("float32")
    logits = keras.ops.convert_to_numpy(model(pictures))
    assert logits.shape == (2, 33, 47, 3) and np.isfinite(logits).all()
    both = keras.Model(model.input, model.output)(pictures)
    assert np.array_equal(logits, keras.ops.convert_to_numpy(both["logits"]))
    trained = model(pictures, training=True)
    assert set(trained) == {"logits", "aux"} and trained["aux"].shape == logits.shape
    again = type(model).from_config(model.get_config())  # what a saved file is read with
    assert [w.path for w in again.weights] == [w.path for w in model.weights]
    assert again(pictures).shape == logits.shape
