"""What the golden files were computed on: pictures, weights and sampled positions, from seeds."""

import json
import re
from pathlib import Path

import numpy as np

GOLDEN = Path(__file__).parent / "golden"
CHECKPOINTS = GOLDEN / "checkpoints.json"
SIZES = ((96, 96), (193, 161))
# torchvision's module behind which each level of our pyramid stands.
MOBILENET_LEVELS = {
    "C1": "features.2.conv.0",
    "C2": "features.4.conv.0",
    "C3": "features.7.conv.0",
    "C4": "features.14.conv.0",
    "C5": "features.18",
}
RESNET_LEVELS = {"C1": "relu", "C2": "layer1", "C3": "layer2", "C4": "layer3", "C5": "layer4"}
# The networks with ResNet-50 are compared at a size that all strides divide and at an odd one.
RESNET_SIZES = ((224, 224), (193, 161))
NETWORK_SEEDS = {
    "resnet50": 6,
    "fcn_resnet50": 7,
    "deeplabv3_resnet50": 8,
    "maskrcnn_resnet50_fpn": 11,
    "inception_v3_fid": 12,
}
# Mask R-CNN sees small pictures, as they are before they are resized: of the first, the shorter
# side decides (150 x 195, padded to 160 x 224), of the second the longer (200 x 138, to 224 x 160).
MASK_RCNN_SIZES = ((100, 130), (130, 90))
MASK_RCNN_RESIZING = {"short_side": 150, "long_side": 200}
# Proposals are cut at their number. So are the detections of the landscape, while those of the
# portrait end where the scores become too low, and leave two places to padding.
MASK_RCNN_SETTINGS = {"test_before": 300, "test_proposals": 30, "detections": 51}
# By what some tensors of Mask R-CNN are multiplied. The small variances show what is added to them:
# the published weights have an epsilon of 0. The others bring logits to a spread of 2 to 5 and
# deltas to one that moves boxes and leaves them in the picture: there are detections of a dozen
# classes, scores from 0.05 to 0.92, and masks that are neither empty nor full.
MASK_RCNN_SCALES = {
    r"backbone\.body\..*running_var": 0.01,
    r"backbone\.body\..*(bn\d|downsample\.1)\.weight": 0.1,
    r"rpn\.head\.cls_logits\.weight": 1 / 230,
    r"rpn\.head\.bbox_pred\.weight": 1 / 3000,
    r"roi_heads\.box_predictor\.cls_score\.weight": 1 / 260,
    r"roi_heads\.box_predictor\.bbox_pred\.weight": 1 / 1200,
    r"roi_heads\.mask_predictor\.mask_fcn_logits\.weight": 1 / 500,
}

# Inception sees pictures of eight bits: smaller than its 299 pixels, larger, and a grey one.
INCEPTION_SIZES = ((32, 32), (350, 310), (28, 28))

# Samples of features for the measures of generation: real, fake, features.
FEATURE_SETS = {"many": (300, 260, 64), "few": (40, 40, 64)}
KID_SETTINGS = {"many": (20, 100), "few": (10, 15)}  # subsets, samples in each


def feature_sets(name):
    """Real and fake features, float64, not negative as those of most networks.

    They are correlated, and the fake ones are shifted and narrower, so that no measure is at its
    end.
    """
    real, fake, dimensions = FEATURE_SETS[name]
    rng = np.random.default_rng([real, fake, dimensions])
    mixing = rng.normal(size=(8, dimensions))
    drawn = rng.normal(size=(real + fake, 8))
    drawn[real:] = 0.8 * drawn[real:] + 0.3
    return np.split(
        np.abs(drawn @ mixing + 0.5 * rng.normal(size=(real + fake, dimensions))), [real]
    )


def picture(size):
    """A picture of smooth noise, float32 (1, height, width, 3) in [0, 1]."""
    rng = np.random.default_rng(size)
    noise = rng.uniform(size=(1, size[0] // 4 + 1, size[1] // 4 + 1, 3))
    return noise.repeat(4, 1).repeat(4, 2)[:, : size[0], : size[1]].astype("float32")


def eight_bits(size):
    """A picture for Inception, uint8 (1, height, width, 3); the third of the sizes is grey."""
    pixels = np.rint(255 * picture(size)).astype("uint8")
    return pixels[..., :1].repeat(3, axis=-1) if size == INCEPTION_SIZES[2] else pixels


def sample(value, count=500):
    """The values at ``count`` fixed positions of an array."""
    flat = np.asarray(value).ravel()
    return flat[np.random.default_rng(count).integers(0, flat.size, count)]


def beside(found, wanted):
    """The number of the row of ``found`` that is nearest to each row of ``wanted``.

    Their order is left free, since two backends may round neighbouring scores to either side; but
    every row must be the nearest of one.
    """
    assert found.shape == wanted.shape
    nearest = np.abs(found[:, None] - wanted[None]).max(axis=-1).argmin(axis=0)
    assert len(set(nearest.tolist())) == len(wanted)
    return nearest


def detection_rows(boxes, classes):
    """Detections as rows for ``beside``: those of different classes are far apart."""
    return np.column_stack([boxes, 1000 * classes])


def published(network):
    """Zeros with the names and shapes of the tensors in a published checkpoint."""
    shapes = json.loads(CHECKPOINTS.read_text(encoding="utf-8"))[network]
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in shapes.items()}


def random_network(network):
    """Seeded random tensors for one of the published networks, with its published names."""
    like = published(network)
    like = {name: like[name] for name in like if not name.endswith("num_batches_tracked")}
    state = random_state(like, NETWORK_SEEDS[network])
    if network == "maskrcnn_resnet50_fpn":
        for name in state:
            for pattern, scale in MASK_RCNN_SCALES.items():
                if re.fullmatch(pattern, name):
                    state[name] = state[name] * np.float32(scale)
    return state


def random_state(like, seed):
    """Random tensors of the same names and shapes, scaled so that activations stay alive."""
    rng = np.random.default_rng(seed)
    state = {}
    for name, tensor in like.items():
        if name.endswith("running_var"):
            state[name] = rng.uniform(0.5, 2, tensor.shape)
        elif tensor.ndim == 1:
            centre = 1.0 if name.endswith("weight") else 0.0
            state[name] = centre + rng.uniform(-0.3, 0.3, tensor.shape)
        else:
            fan_in = np.prod(tensor.shape[1:])
            state[name] = rng.normal(0, np.sqrt(2 / fan_in), tensor.shape)
    return {name: value.astype("float32") for name, value in state.items()}
