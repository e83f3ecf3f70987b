"""Makes the golden files of the networks with ResNet-50, with the real torchvision.

    pip install torch==2.14.1 torchvision==0.29.1 keras
    KERAS_BACKEND=torch python tests/parity/make_segmentation.py

``checkpoints.json`` has the names and shapes of the tensors in torchvision's published files: those
of its builders with the published weights' arguments, since it loads the files into them strictly;
``make_mask_rcnn.py`` adds those of maskrcnn_resnet50_fpn.
``resnet50.npz`` has the five levels of the pyramid at output strides 32 and 8, ``segmentation.npz``
the logits and auxiliary logits of fcn_resnet50 and deeplabv3_resnet50, both with seeded random
weights, in eval mode, sampled at fixed positions. The script also runs our networks and prints how
far the outputs are apart, relative to the largest value of each.
"""

import json
import sys
from pathlib import Path

import keras
import numpy as np
import torch
import torchvision

from pixelwise import weights
from pixelwise.models import backbones, class_names, zoo
from pixelwise.weights import published

sys.path.insert(0, str(Path(__file__).parent))
from cases import (  # noqa: E402
    CHECKPOINTS,
    GOLDEN,
    RESNET_LEVELS,
    RESNET_SIZES,
    picture,
    random_network,
    sample,
)

BUILDERS = {
    "fcn_resnet50": lambda: torchvision.models.segmentation.fcn_resnet50(
        weights_backbone=None, aux_loss=True, num_classes=21
    ),
    "deeplabv3_resnet50": lambda: torchvision.models.segmentation.deeplabv3_resnet50(
        weights_backbone=None, aux_loss=True, num_classes=21
    ),
    "resnet50": torchvision.models.resnet50,
    "mobilenet_v2": torchvision.models.mobilenet_v2,
}


def check_addresses():
    """Holds our addresses and classes to torchvision's."""
    for name, files in published.FILES.items():
        if name in published.SERVERS:
            continue  # not one of torchvision's
        entries = list(torchvision.models.get_model_weights(name))
        for trained_on, file in files.items():
            (entry,) = (e for e in entries if e.url == f"{published.SERVER}/{file}")
            print(f"{name} on {trained_on}: {entry.url}")
            if trained_on == "coco":
                of_coco = name == "maskrcnn_resnet50_fpn"
                classes = class_names.COCO_CLASSES if of_coco else class_names.VOC_CLASSES
                assert tuple(entry.meta["categories"][1:]) == classes[1:]


def write_checkpoints(states):
    """Writes the state dicts' names and shapes into the file, beside those of other networks.

    One line a tensor: names are compared by eye when torchvision changes.
    """
    shapes = json.loads(CHECKPOINTS.read_text(encoding="utf-8")) if CHECKPOINTS.exists() else {}
    for name, state in states.items():
        shapes[name] = {key: list(tensor.shape) for key, tensor in state.items()}
    networks = []
    for name, tensors in shapes.items():
        lines = (f"  {json.dumps(key)}: {json.dumps(shape)}" for key, shape in tensors.items())
        networks.append(f"{json.dumps(name)}: {{\n" + ",\n".join(lines) + "\n}")
    CHECKPOINTS.write_text("{\n" + ",\n".join(networks) + "\n}\n", encoding="utf-8")


def load(network, state):
    """Loads random tensors; the counters of batches, which play no part in eval mode, stay 0."""
    counters = {k: v for k, v in network.state_dict().items() if k.endswith("num_batches_tracked")}
    network.load_state_dict(counters | {k: torch.tensor(v) for k, v in state.items()})
    network.eval()


def as_torch(image):
    """The picture as torchvision's presets hand it on: normalised, channels first."""
    mean = torch.tensor(backbones.IMAGENET_MEAN)[:, None, None]
    std = torch.tensor(backbones.IMAGENET_STD)[:, None, None]
    return (torch.tensor(image).permute(0, 3, 1, 2) - mean) / std


def as_numpy(found):
    return {name: x.detach().permute(0, 2, 3, 1).cpu().numpy() for name, x in found.items()}


def torch_levels(state, image, output_stride):
    """The five levels, channels last, of torchvision's ResNet-50."""
    dilate = [False, output_stride == 8, output_stride == 8]
    network = torchvision.models.resnet50(replace_stride_with_dilation=dilate)
    load(network, state)
    found = {}
    for level, name in RESNET_LEVELS.items():
        module = network.get_submodule(name)
        module.register_forward_hook(lambda m, i, o, level=level: found.update({level: o}))
    with torch.no_grad():
        network(as_torch(image))
    return as_numpy(found)


def torch_logits(name, state, image):
    """Logits and auxiliary logits, channels last, of one of torchvision's networks."""
    network = BUILDERS[name]()
    load(network, state)
    with torch.no_grad():
        found = network(as_torch(image))
    return as_numpy({"logits": found["out"], "aux": found["aux"]})


def compare(golden, key, ours, theirs):
    """Stores theirs, and prints how far ours is apart and how much the values vary over places."""
    for name, value in theirs.items():
        gap = np.abs(keras.ops.convert_to_numpy(ours[name]) - value).max() / np.abs(value).max()
        varies = value.std(axis=(1, 2)).mean() / value.std()
        print(
            f"{key}/{name}: {gap:.1e} of the largest value, {varies:.2f} of the spread over places"
        )
        assert gap < 1e-4 and varies > 0.1
        golden[f"{key}/{name}"] = sample(value)
        golden[f"{key}/{name}/largest"] = np.abs(value).max()


def write(name, golden):
    path = GOLDEN / name
    np.savez_compressed(path, **golden)
    print(path, f"{path.stat().st_size:,} bytes, torchvision {torchvision.__version__}")


def main():
    GOLDEN.mkdir(exist_ok=True)
    check_addresses()
    write_checkpoints({name: build().state_dict() for name, build in BUILDERS.items()})

    golden, state = {}, random_network("resnet50")
    for stride in (32, 8):
        model = backbones.resnet50(output_stride=stride)
        weights.load_state_dict(model, state, leave_out=("fc.",))
        for height, width in RESNET_SIZES[-1:] if stride == 8 else RESNET_SIZES:
            image = picture((height, width))
            theirs = torch_levels(state, image, stride)
            compare(golden, f"{stride}/{height}x{width}", model(image, training=False), theirs)
    write("resnet50.npz", golden)

    golden = {}
    for name in ("fcn_resnet50", "deeplabv3_resnet50"):
        state = random_network(name)
        model = zoo.load(name)
        weights.load_state_dict(model, state)
        both = keras.Model(model.input, model.output)
        for height, width in RESNET_SIZES:
            image = picture((height, width))
            theirs = torch_logits(name, state, image)
            compare(golden, f"{name}/{height}x{width}", both(image, training=False), theirs)
    write("segmentation.npz", golden)


if __name__ == "__main__":
    main()
