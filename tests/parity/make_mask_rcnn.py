"""Makes tests/parity/golden/mask_rcnn.npz with the real torchvision.

    pip install torch==2.14.1 torchvision==0.29.1 keras
    KERAS_BACKEND=torch python tests/parity/make_mask_rcnn.py

maskrcnn_resnet50_fpn runs in eval mode, with seeded random weights and the epsilon of the published
ones, on a landscape and a portrait picture. Every stage is stored, large arrays sampled at fixed
positions: the resized and padded picture, the levels of body and pyramid, logits and deltas of the
anchors, decoded and clipped boxes, proposals, RoIAlign's features, logits and deltas of the box
head, detections with their masks, and boxes and masks at the picture's own size. The names and
shapes of the published file go into ``checkpoints.json``. The script also runs our network and
prints how far it is apart, relative to the largest value of each.

Random weights make hundreds of boxes that overlap in all ways, and where a score or an overlap lies
next to a threshold, rounding decides. The script asserts that it decides nothing here: disturbing
the pyramid by 1e-5 of its largest value, ten times what rounding does to it, changes no proposal
and no detection.
"""

import inspect
import re
import sys
from pathlib import Path

import numpy as np
import torch
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection._utils import overwrite_eps
from torchvision.models.detection.backbone_utils import resnet_fpn_backbone
from torchvision.models.detection.roi_heads import maskrcnn_inference
from torchvision.models.detection.rpn import concat_box_prediction_layers
from torchvision.ops import FrozenBatchNorm2d, clip_boxes_to_image

from pixelwise import detection, weights
from pixelwise.models import zoo
from pixelwise.models.backbones import IMAGENET_MEAN, IMAGENET_STD
from pixelwise.models.detector import Settings
from pixelwise.nn.boxes import CLAMP
from pixelwise.nn.detection_targets import BOX_WEIGHTS
from pixelwise.nn.masks import paste
from pixelwise.nn.proposals import SMALLEST

sys.path.insert(0, str(Path(__file__).parent))
from cases import (  # noqa: E402
    MASK_RCNN_RESIZING,
    MASK_RCNN_SETTINGS,
    MASK_RCNN_SIZES,
    beside,
    detection_rows,
    picture,
    random_network,
    sample,
)
from make_segmentation import check_addresses, write, write_checkpoints  # noqa: E402
from mask_rcnn_stages import BODY, PYRAMID, stages  # noqa: E402

NETWORK = "maskrcnn_resnet50_fpn"
# Stored as they are; of all others, 500 values or as many as here.
WHOLE = ("size", "proposals", "detected", "final", "scores", "classes")
COUNTS = {"pooled": 2000, "masks": 2000, "pasted": 10_000}


def build(**options):
    """torchvision's network as its builder makes it for the published weights."""
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
    model = MaskRCNN(backbone, len(zoo.COCO_CLASSES), **options)
    overwrite_eps(model, 0.0)
    return model.eval()


def old_names(state):
    """The tensors under the names that they have in the published file."""

    def old(name):
        name = re.sub(r"(_blocks\.\d)\.0\.", r"\1.", name).replace("head.conv.0.0.", "head.conv.")
        return re.sub(r"mask_head\.(\d)\.0", lambda m: f"mask_head.mask_fcn{int(m[1]) + 1}", name)

    return {old(name): tensor for name, tensor in state.items()}


def check_published():
    """Holds addresses, classes and settings to torchvision's; writes the names of its file.

    A dict without versions is what its loader takes for an old file, of which it reads the names.
    """
    check_addresses()
    model = build()
    state = model.state_dict()
    old = old_names(state)
    assert len(set(state) - set(old)) == 2 * (4 + 4 + 1 + 4)
    model.load_state_dict(old, strict=True)
    write_checkpoints({NETWORK: old})

    rpn, heads, transform = model.rpn, model.roi_heads, model.transform
    assert Settings() == Settings(
        anchor_sizes=tuple(rpn.anchor_generator.sizes),
        ratios=rpn.anchor_generator.aspect_ratios[0],
        anchors_sampled=rpn.fg_bg_sampler.batch_size_per_image,
        anchors_positive=rpn.fg_bg_sampler.positive_fraction,
        train_before=rpn._pre_nms_top_n["training"],
        train_proposals=rpn._post_nms_top_n["training"],
        test_before=rpn._pre_nms_top_n["testing"],
        test_proposals=rpn._post_nms_top_n["testing"],
        proposal_iou=rpn.nms_thresh,
        regions=heads.fg_bg_sampler.batch_size_per_image,
        regions_positive=heads.fg_bg_sampler.positive_fraction,
        canonical=heads.box_roi_pool.canonical_scale,
        least_score=heads.score_thresh,
        detection_iou=heads.nms_thresh,
        detections=heads.detections_per_img,
        box_side=heads.box_roi_pool.output_size[0],
        mask_side=heads.mask_roi_pool.output_size[0],
    )
    assert rpn.min_size == SMALLEST and heads.box_coder.weights == BOX_WEIGHTS
    assert rpn.box_coder.bbox_xform_clip == heads.box_coder.bbox_xform_clip == CLAMP
    ours = {name: p.default for name, p in inspect.signature(detection.detect).parameters.items()}
    assert transform.min_size[-1] == ours["short_side"]
    assert transform.max_size == ours["long_side"]
    assert transform.size_divisible == ours["multiple"]


def find(model, images, levels):
    """Proposals, what the box head says of them, and the detections without their masks."""
    (proposals,), _ = model.rpn(images, levels)
    heads = model.roi_heads
    pooled = heads.box_roi_pool(levels, [proposals], images.image_sizes)
    logits, deltas = heads.box_predictor(heads.box_head(pooled))
    (boxes,), (scores,), (classes,) = heads.postprocess_detections(
        logits, deltas, [proposals], images.image_sizes
    )
    return {
        "proposals": proposals,
        "pooled": pooled.permute(0, 2, 3, 1),
        "logits": logits,
        "box_deltas": deltas.unflatten(1, (-1, 4)),
        "detected": boxes,
        "scores": scores,
        "classes": classes,
    }


def check_margins(model, images, levels, found):
    """Asserts that small differences of the pyramid change no proposal and no detection."""
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        other = {}
        for name, level in levels.items():
            noise = 2 * torch.rand(level.shape, generator=generator) - 1
            other[name] = level + 1e-5 * level.abs().max() * noise
        other = find(model, images, other)
        same = beside(other["proposals"].numpy(), found["proposals"].numpy())
        gap = (other["proposals"][same] - found["proposals"]).abs().max()
        assert gap < 0.1, f"a proposal is {gap:.3f} pixels away"
        same = beside(*(detection_rows(x["detected"], x["classes"]) for x in (other, found)))
        gap = (other["detected"][same] - found["detected"]).abs().max()
        assert gap < 0.1, f"a detection is {gap:.3f} pixels away"


def torch_stages(model, image):
    """All stages of torchvision's network on a picture float32 ``(height, width, 3)``."""
    tensor = torch.tensor(image).permute(2, 0, 1)
    images, _ = model.transform([tensor])
    body = model.backbone.body(images.tensors)
    levels = model.backbone(images.tensors)
    objectness, deltas = model.rpn.head(list(levels.values()))
    anchors = model.rpn.anchor_generator(images, list(levels.values()))
    objectness, deltas = concat_box_prediction_layers(objectness, deltas)
    decoded = model.rpn.box_coder.decode(deltas, anchors)[:, 0]
    found = find(model, images, levels)
    check_margins(model, images, levels, found)

    heads = model.roi_heads
    pooled = heads.mask_roi_pool(levels, [found["detected"]], images.image_sizes)
    mask_logits = heads.mask_predictor(heads.mask_head(pooled))
    (masks,) = maskrcnn_inference(mask_logits, [found["classes"]])
    (final,) = model([tensor])
    assert torch.equal(final["labels"], found["classes"])
    assert torch.equal(final["scores"], found["scores"])

    maps = (x[0].permute(1, 2, 0) for x in (*body.values(), *levels.values()))
    found |= dict(zip(BODY + PYRAMID, maps, strict=True))
    found |= {
        "picture": images.tensors[0].permute(1, 2, 0),
        "size": torch.tensor(images.image_sizes[0]),
        "objectness": objectness[:, 0],
        "deltas": deltas,
        "boxes": clip_boxes_to_image(decoded, images.image_sizes[0]),
        "masks": masks[:, 0],
        "final": final["boxes"],
        "pasted": final["masks"][:, 0],
    }
    return {name: value.numpy() for name, value in found.items()}


def our_stages(network, image, theirs):
    """Ours by the same names, fed with their proposals and detections, and end to end."""
    padded, size = detection.prepare(image, **MASK_RCNN_RESIZING)
    found = stages(network, padded, size, theirs)
    same = beside(found["proposals"], theirs["proposals"])
    found["proposals"] = found["proposals"][same]
    end = detection.detect(network, image, **MASK_RCNN_RESIZING)
    ours, wanted = ((end["boxes"], end["classes"]), (theirs["final"], theirs["classes"]))
    same = beside(detection_rows(*ours), detection_rows(*wanted))
    return found | {
        "picture": (padded - np.float32(IMAGENET_MEAN)) / np.float32(IMAGENET_STD),
        "size": np.array(size),
        "final": end["boxes"][same],
        "scores": end["scores"][same],
        "classes": end["classes"][same],
        "pasted": paste(theirs["masks"], theirs["final"], *image.shape[:2], threshold=None),
    }


def compare(golden, key, ours, theirs):
    """Stores theirs, and prints how far ours is apart."""
    for name, value in theirs.items():
        golden[f"{key}/{name}"] = value if name in WHOLE else sample(value, COUNTS.get(name, 500))
        golden[f"{key}/{name}/largest"] = largest = np.abs(value).max()
        if name in ours:
            gap = np.abs(ours[name] - value).max() / largest
            print(f"{key}/{name}: {gap:.1e} of the largest value, {largest:.3g}")
            assert gap < 1e-4


def show(theirs):
    """Prints what there is to compare: without detections the last stages would prove nothing."""
    scores, classes, masks = theirs["scores"], theirs["classes"], theirs["masks"]
    print(
        f"{len(scores)} detections of {len(set(classes.tolist()))} classes, scores from "
        f"{scores.min():.3f} to {scores.max():.3f}, {(masks > 0.5).mean():.2f} of the masks' cells "
        "above 0.5"
    )
    assert len(scores) > 30 and np.median(scores) > 0.1 and 0.1 < (masks > 0.5).mean() < 0.9


def check_epsilon(model, image, theirs):
    """Asserts that the small number added to the variances makes a difference that is seen."""
    for part in model.backbone.body.modules():
        if isinstance(part, FrozenBatchNorm2d):
            part.eps = 1e-5
    images, _ = model.transform([torch.tensor(image).permute(2, 0, 1)])
    level = model.backbone(images.tensors)["0"][0].permute(1, 2, 0).numpy()
    gap = np.abs(level - theirs["P2"]).max() / np.abs(theirs["P2"]).max()
    print(f"with an epsilon of 1e-5, P2 is {gap:.1e} away")
    assert gap > 1e-3


def main():
    torch.set_grad_enabled(False)
    check_published()
    model = build(
        min_size=MASK_RCNN_RESIZING["short_side"],
        max_size=MASK_RCNN_RESIZING["long_side"],
        rpn_pre_nms_top_n_test=MASK_RCNN_SETTINGS["test_before"],
        rpn_post_nms_top_n_test=MASK_RCNN_SETTINGS["test_proposals"],
        box_detections_per_img=MASK_RCNN_SETTINGS["detections"],
    )
    state = random_network(NETWORK)
    model.load_state_dict({name: torch.tensor(value) for name, value in state.items()})
    network = zoo.load(NETWORK, bn_epsilon=0.0, **MASK_RCNN_SETTINGS)
    weights.load_state_dict(network, state)
    golden = {}
    for height, width in MASK_RCNN_SIZES:
        image = picture((height, width))[0]
        theirs = torch_stages(model, image)
        show(theirs)
        compare(golden, f"{height}x{width}", our_stages(network, image, theirs), theirs)
    check_epsilon(model, image, theirs)
    write("mask_rcnn.npz", golden)


if __name__ == "__main__":
    main()
