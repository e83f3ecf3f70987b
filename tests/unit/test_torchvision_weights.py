"""Reading PyTorch's files: both formats, wrapped, damaged, malicious, and of another network."""

import argparse
import collections
import pickle
import sys

import keras
import numpy as np
import pytest

from pixelwise import weights
from pixelwise.models.mask_rcnn import small_mask_rcnn
from pixelwise.weights import torchvision as reader

FORMATS = pytest.mark.parametrize("zipped", [True, False], ids=["since 1.6", "before"])


@pytest.fixture
def torch():
    return pytest.importorskip("torch")


@pytest.fixture
def write(torch, tmp_path):
    """A function that saves something with PyTorch and returns the path."""

    def save(content, zipped=True, name="x.pth"):
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=zipped)
        return tmp_path / name

    return save


@pytest.fixture
def state(torch):
    names = ("conv.weight", "conv.bias", "bn.running_mean")
    return collections.OrderedDict((name, torch.rand(3, 5)) for name in names)


@FORMATS
def test_tensors_come_as_arrays(torch, write, state, zipped):
    state["parameter"] = torch.nn.Parameter(torch.ones(2))
    state["half"] = torch.ones(2, dtype=torch.float16)
    state["brain"] = torch.full((2,), 1.5, dtype=torch.bfloat16)  # NumPy has no such type
    state["num_batches_tracked"] = torch.tensor(7)
    read = weights.read_state_dict(write(state, zipped))
    assert list(read) == list(state)
    assert all(isinstance(value, np.ndarray) for value in read.values())
    assert np.array_equal(read["conv.weight"], state["conv.weight"].numpy())
    assert read["parameter"].tolist() == [1, 1]
    assert read["half"].dtype == np.float16
    assert read["brain"].dtype == np.float32 and read["brain"].tolist() == [1.5, 1.5]
    assert read["num_batches_tracked"] == 7


@pytest.mark.parametrize("key", ["model", "state_dict"])
@FORMATS
def test_a_training_checkpoint_gives_its_model(torch, write, state, zipped, key):
    """What torchvision's training scripts save: the model among optimizer, epoch and arguments."""
    momentum = {0: {"momentum_buffer": torch.zeros(3, 5)}}
    whole = {
        key: state,
        "optimizer": {"state": momentum, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "epoch": 3,
        "args": argparse.Namespace(lr=0.1, device="cuda", aux_loss=True),
    }
    read = weights.read_state_dict(write(whole, zipped))
    assert list(read) == list(state)


@pytest.mark.filterwarnings("ignore:Validating sparse tensor")
def test_what_is_no_dict_of_tensors_is_refused(torch, write, state, sentence):
    for content in (
        [torch.zeros(2)],
        torch.zeros(2),
        {"epoch": 3, "net": state},
        {"model": {"ema": state}},
        {3: torch.zeros(2)},
        {"w": torch.zeros(2, 2).to_sparse()},
    ):
        with pytest.raises(ValueError) as caught:
            weights.read_state_dict(write(content))
        assert "x.pth is no flat dict of tensors" in sentence(caught)


class Evil:
    """Unpickled as usual, it makes a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        import os

        return os.mkdir, (str(self.path),)


@FORMATS
def test_a_malicious_pickle_runs_nothing(torch, write, state, tmp_path, sentence, zipped):
    trace = tmp_path / "it ran"
    state["conv.bias"] = Evil(trace)
    path = write(state, zipped)
    with pytest.raises(ValueError) as caught:
        weights.read_state_dict(path)
    assert "holds more than tensors" in sentence(caught)
    assert not trace.exists()
    torch.load(path, weights_only=False)  # it would have run: the test can fail
    assert trace.exists()


def test_a_plain_pickle_is_not_even_opened(torch, tmp_path, sentence):
    (tmp_path / "x.pth").write_bytes(pickle.dumps(Evil(tmp_path / "it ran")))
    with pytest.raises(ValueError) as caught:
        weights.read_state_dict(tmp_path / "x.pth")
    assert "is no checkpoint of PyTorch" in sentence(caught)
    assert not (tmp_path / "it ran").exists()


def test_a_whole_pickled_module_is_refused(torch, write, sentence):
    with pytest.raises(ValueError) as caught:
        weights.read_state_dict(write(torch.nn.Linear(2, 2)))
    assert "holds more than tensors" in sentence(caught)


@FORMATS
def test_a_file_cut_anywhere_is_refused(write, state, sentence, zipped):
    path = write(state, zipped)
    whole = path.read_bytes()
    for length in range(0, len(whole), 41):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError) as caught:
            weights.read_state_dict(path)
        text = sentence(caught)
        assert "x.pth" in text and ("damaged" in text or "no checkpoint" in text)


@FORMATS
@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_damaged_file_gives_a_sentence_or_tensors(write, state, sentence, zipped):
    """A flipped byte inside a tensor cannot be seen here; the hash of the file tells."""
    path = write(state, zipped)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(damaged.size, size=3)] = rng.integers(256, size=3)
        path.write_bytes(damaged.tobytes())
        try:
            read = weights.read_state_dict(path)
        except ValueError as error:
            assert str(error).startswith(str(path)) and str(error).endswith(".")
            refused += 1
        else:
            assert all(isinstance(value, np.ndarray) for value in read.values())
    assert refused > 50


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot be read (No such file or directory): check the path"),
        (b"", "is no checkpoint of PyTorch"),
        (b"<html>503 Service Unavailable</html>", "is no checkpoint of PyTorch"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is no checkpoint of PyTorch"),
        (b"PK\x03\x04 half of a file", "is cut, damaged or no checkpoint of PyTorch"),
    ],
)
def test_other_files(torch, tmp_path, sentence, content, said):
    path = tmp_path / "x.pth"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError) as caught:
        weights.read_state_dict(path)
    assert f"x.pth {said}" in sentence(caught)


def test_an_archive_of_numpy_is_no_checkpoint(torch, tmp_path, sentence):
    np.savez(tmp_path / "x.npz", w=np.zeros(3))
    with pytest.raises(ValueError) as caught:
        weights.read_state_dict(tmp_path / "x.npz")
    assert "no checkpoint of PyTorch" in sentence(caught)


def test_without_pytorch_a_sentence_says_so(monkeypatch, tmp_path, sentence):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(ImportError) as caught:
        weights.read_state_dict(tmp_path / "x.pth")
    assert "pip install torch" in sentence(caught)


@pytest.mark.parametrize(("version", "safe"), [("2.5.1+cpu", False), ("2.6.0", True)])
def test_a_pytorch_that_can_be_got_round_is_refused(monkeypatch, torch, sentence, version, safe):
    monkeypatch.setattr(torch, "__version__", version)
    if safe:
        assert reader.require_torch() is torch
        return
    with pytest.raises(ImportError) as caught:
        reader.require_torch()
    assert "PyTorch 2.5.1+cpu" in sentence(caught) and "update it" in sentence(caught)


def nested():
    """A model in a model in a model, as a Mask R-CNN has them."""
    body = keras.Sequential([keras.layers.Conv2D(4, 3, name="conv1")], name="body")
    x = keras.Input((8, 8, 3))
    y = keras.layers.BatchNormalization(name="bn")(body(x))
    backbone = keras.Model(x, y, name="backbone")
    x = keras.Input((8, 8, 3))
    y = keras.layers.Conv2DTranspose(2, 2, 2, name="mask-up")(backbone(x))
    y = keras.layers.Dropout(0.5)(keras.layers.DepthwiseConv2D(3, name="each")(y))
    y = keras.layers.Dense(5, use_bias=False, name="head-0")(y)
    return keras.Model(x, y)


NESTED = {
    "backbone.body.conv1.weight": (4, 3, 3, 3),
    "backbone.body.conv1.bias": (4,),
    "backbone.bn.weight": (4,),
    "backbone.bn.bias": (4,),
    "backbone.bn.running_mean": (4,),
    "backbone.bn.running_var": (4,),
    "backbone.bn.num_batches_tracked": (),
    "mask.up.weight": (4, 2, 2, 2),
    "mask.up.bias": (2,),
    "each.weight": (2, 1, 3, 3),
    "each.bias": (2,),
    "head.0.weight": (5, 2),
}


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=shape).astype("float32") for name, shape in NESTED.items()}


def test_models_inside_models_lend_their_names(tensors):
    model = nested()
    weights.load_state_dict(model, tensors)
    found = {w.path: keras.ops.convert_to_numpy(w) for w in model.weights}
    assert len(found) == len(NESTED) - 1
    (deep,) = (value for path, value in found.items() if path.endswith("conv1/kernel"))
    assert np.array_equal(deep, tensors["backbone.body.conv1.weight"].transpose(2, 3, 1, 0))
    assert np.array_equal(found["mask-up/kernel"], tensors["mask.up.weight"].transpose(2, 3, 1, 0))
    assert np.array_equal(found["each/kernel"], tensors["each.weight"].transpose(2, 3, 0, 1))
    assert np.array_equal(found["head-0/kernel"], tensors["head.0.weight"].T)


def test_what_does_not_fit_is_named_and_nothing_is_loaded(tensors, sentence):
    model = nested()
    before = [keras.ops.convert_to_numpy(w) for w in model.weights]
    without = {k: v for k, v in tensors.items() if k != "backbone.bn.running_var"}
    wrong = {**tensors, "head.0.weight": np.zeros((2, 5))}
    flat = {**tensors, "mask.up.weight": np.zeros(4)}
    for state, said in (
        (without, "1 missing (backbone.bn.running_var)"),
        ({**tensors, "aux.0.bias": np.zeros(3)}, "1 left over (aux.0.bias)"),
        (wrong, "head.0.weight has the shape (2, 5) in the state dict and (5, 2) in the model"),
        (flat, "mask.up.weight has the shape (4,) in the state dict and (4, 2, 2, 2) in the model"),
    ):
        with pytest.raises(weights.WeightsError) as caught:
            weights.load_state_dict(model, state)
        assert said in sentence(caught)
    for value, variable in zip(before, model.weights, strict=True):
        assert np.array_equal(value, keras.ops.convert_to_numpy(variable))


# Today's names of a Mask R-CNN's tensors, and those of the published file.
RENAMED = {
    "backbone.fpn.inner_blocks.0.0.weight": "backbone.fpn.inner_blocks.0.weight",
    "backbone.fpn.inner_blocks.1.0.bias": "backbone.fpn.inner_blocks.1.bias",
    "backbone.fpn.layer_blocks.0.0.weight": "backbone.fpn.layer_blocks.0.weight",
    "backbone.fpn.layer_blocks.1.0.bias": "backbone.fpn.layer_blocks.1.bias",
    "rpn.head.conv.0.0.weight": "rpn.head.conv.weight",
    "rpn.head.conv.0.0.bias": "rpn.head.conv.bias",
    "roi_heads.mask_head.0.0.weight": "roi_heads.mask_head.mask_fcn1.weight",
    "roi_heads.mask_head.1.0.bias": "roi_heads.mask_head.mask_fcn2.bias",
}
KEPT = (
    "backbone.body.layer1.0.conv1.weight",
    "backbone.body.layer1.0.downsample.0.weight",
    "rpn.head.cls_logits.weight",
    "roi_heads.box_head.fc6.bias",
    "roi_heads.mask_predictor.conv5_mask.weight",
    "roi_heads.mask_predictor.mask_fcn_logits.weight",
)


def test_old_names_of_mask_rcnn_become_todays():
    today = {name: number for number, name in enumerate((*RENAMED, *KEPT))}
    old = {RENAMED.get(name, name): number for name, number in today.items()}
    assert set(RENAMED.values()) | set(KEPT) == set(old)
    assert reader.modern_names(old) == today == reader.modern_names(today)


def old_names(state):
    """The tensors of a Mask R-CNN under the names of before torchvision 0.13."""
    for new, old in (
        *((f"_blocks.{n}.0.", f"_blocks.{n}.") for n in range(4)),
        *((f"mask_head.{n}.0.", f"mask_head.mask_fcn{n + 1}.") for n in range(4)),
        ("head.conv.0.0.", "head.conv."),
    ):
        state = {name.replace(new, old): tensor for name, tensor in state.items()}
    return state


def test_old_and_new_names_give_the_same_mask_rcnn(sentence):
    model = small_mask_rcnn(3, weights=None, channels=8, box_channels=8, groups=None)
    rng = np.random.default_rng(0)
    shapes = reader.tensor_shapes(model)
    state = {name: rng.normal(size=shape).astype("float32") for name, shape in shapes.items()}
    old = old_names(state)
    assert len(set(old) - set(state)) == 2 * (4 + 4 + 1 + 2)

    weights.load_state_dict(model, state)
    loaded = [keras.ops.convert_to_numpy(w) for w in model.weights]
    weights.load_state_dict(model, {name: 0 * tensor for name, tensor in state.items()})
    weights.load_state_dict(model, old)
    for value, variable in zip(loaded, model.weights, strict=True):
        assert np.array_equal(value, keras.ops.convert_to_numpy(variable))

    # What does not fit is named as it is called today, whatever the file calls it.
    name, extra = "roi_heads.mask_head.mask_fcn2.weight", {"rpn.head.more.weight": np.zeros(3)}
    without = {k: v for k, v in old.items() if k != name}
    for faulty, said in (
        (without, "1 missing (roi_heads.mask_head.1.0.weight)"),
        ({**old, **extra}, "1 left over (rpn.head.more.weight)"),
        ({**old, name: np.zeros((8, 8))}, "roi_heads.mask_head.1.0.weight has the shape (8, 8)"),
    ):
        with pytest.raises(weights.WeightsError) as caught:
            weights.load_state_dict(model, faulty)
        assert said in sentence(caught)
    for value, variable in zip(loaded, model.weights, strict=True):
        assert np.array_equal(value, keras.ops.convert_to_numpy(variable))


def test_tensors_are_left_out_only_if_asked(tensors):
    more = {**tensors, "aux.0.bias": np.zeros(3), "fc.weight": np.zeros((2, 2))}
    with pytest.raises(weights.WeightsError, match=r"1 left over \(aux.0.bias\)"):
        weights.load_state_dict(nested(), more, leave_out="fc.")
    weights.load_state_dict(nested(), more, leave_out=("fc.", "aux."))
    with pytest.raises(weights.WeightsError, match=r"2 missing \(mask.up.bias, mask.up.weight\)"):
        weights.load_state_dict(nested(), tensors, leave_out="mask.")


def test_a_layer_without_a_known_layout_is_named(sentence):
    model = keras.Sequential([keras.Input((4, 3)), keras.layers.GRU(2, name="gru")])
    with pytest.raises(weights.WeightsError) as caught:
        weights.load_state_dict(model, {})
    assert "gru is a GRU, for which no layout is known" in sentence(caught)
