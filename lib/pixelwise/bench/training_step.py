"""What the cases of ``detection.py`` train: our small Mask R-CNN, and torchvision's made as slim.

Each call is one step on the same batch and returns the losses of that step.
"""

import numpy as np

from pixelwise.bench.building import SEED, compile_with, kernel
from pixelwise.bench.detection import BATCH

CLASSES = 6
OBJECTS = 4  # on each picture
LEARNING_RATE = 1e-3


def batch(size):
    """Returns what is trained on: pictures of noise, and ellipses in the place of objects.

    Args:
        size: side of the pictures.

    Returns:
        float32 ``(BATCH, size, size, 3)``, and the dict of targets of ``MaskRCNN``.
    """
    rng = np.random.default_rng(SEED)
    images = rng.random((BATCH, size, size, 3), dtype="float32")
    boxes = np.zeros((BATCH, OBJECTS, 4), "float32")
    masks = np.zeros((BATCH, OBJECTS, size, size), "uint8")
    rows, columns = np.mgrid[:size, :size] + 0.5
    for place in np.ndindex(BATCH, OBJECTS):
        sides = rng.uniform(0.2, 0.5, 2) * size
        first = rng.uniform(0, size - sides)
        x, y = first + sides / 2
        inside = (2 * (columns - x) / sides[0]) ** 2 + (2 * (rows - y) / sides[1]) ** 2 <= 1
        boxes[place], masks[place] = [*first, *(first + sides)], inside
    classes = rng.integers(1, CLASSES, (BATCH, OBJECTS)).astype("int32")
    return images, {"boxes": boxes, "classes": classes, "masks": masks}


def ours(size, threads, jit=False):
    """Builds small_mask_rcnn for one step of training after another.

    Its first weights and the samples drawn do not depend on the backend, so that the losses of the
    first step can be compared.

    Args:
        size: side of the pictures.
        threads: without meaning here: the environment says it.
        jit: ``True`` compiles the step with XLA.
    """
    import keras

    model = seeded()
    model._noise = _noise
    model.compile(keras.optimizers.AdamW(LEARNING_RATE))
    compile_with(model, jit)
    images, targets = batch(size)

    def step():
        losses = model.train_on_batch(images, targets, return_dict=True)
        return np.array([losses[name] for name in sorted(losses)], "float32")

    return step


def seeded():
    """Returns small_mask_rcnn with its pretrained backbone, and seeded random kernels elsewhere."""
    from pixelwise.models.mask_rcnn import small_mask_rcnn

    model = small_mask_rcnn(CLASSES)
    body = {id(variable) for variable in model.backbone.get_layer("body").variables}
    for part in (model.backbone, model.rpn, model.box_head, model.mask_head):
        for variable in part.trainable_variables:
            if len(variable.shape) > 1 and id(variable) not in body:
                variable.assign(kernel(variable.path, variable.shape))
    return model


def _noise(like):
    """What samples are drawn by, in the place of ``MaskRCNN``'s random numbers: always the same."""
    shape = (BATCH, *like.shape[1:])
    return np.random.default_rng(SEED).random(shape, dtype="float32")


def torchvision(size, threads):
    """Builds a slim Mask R-CNN of torchvision's parts for one step of training after another.

    MobileNetV2 with its batch normalisation frozen, a pyramid of 64 channels, 32 regions a picture,
    a box head of 256 features and a mask head of two convolutions; the rest is torchvision's.

    Args:
        size: side of the pictures.
        threads: how many threads may compute.
    """
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(SEED)
    model = slim(size).train()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], LEARNING_RATE)
    arrays, targets = batch(size)
    images = [torch.from_numpy(image.transpose(2, 0, 1).copy()) for image in arrays]
    targets = [
        {
            "boxes": torch.from_numpy(targets["boxes"][number]),
            "labels": torch.from_numpy(targets["classes"][number].astype("int64")),
            "masks": torch.from_numpy(targets["masks"][number]),
        }
        for number in range(BATCH)
    ]

    def step():
        losses = model(images, targets)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()
        return np.array([float(loss.detach()) for loss in losses.values()], "float32")

    return step


def slim(size):
    """Returns the slim Mask R-CNN of torchvision's parts, for pictures of one size."""
    from torchvision.models import detection, mobilenet_v2
    from torchvision.models.detection.anchor_utils import AnchorGenerator
    from torchvision.models.detection.backbone_utils import BackboneWithFPN
    from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
    from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
    from torchvision.ops import FrozenBatchNorm2d

    features = mobilenet_v2(weights=None, norm_layer=FrozenBatchNorm2d).features
    # The last blocks of strides 4, 8 and 16, and the last convolution, of stride 32.
    levels = {"3": "0", "6": "1", "13": "2", "18": "3"}
    backbone = BackboneWithFPN(features, levels, [24, 32, 96, 1280], 64)
    return detection.MaskRCNN(
        backbone,
        min_size=size,
        max_size=size,
        rpn_anchor_generator=AnchorGenerator(
            tuple((size // 8 * n,) for n in (1, 2, 4, 6, 8)), ((0.5, 1.0, 2.0),) * 5
        ),
        box_head=TwoMLPHead(64 * 7 * 7, 256),
        box_predictor=FastRCNNPredictor(256, CLASSES),
        box_batch_size_per_image=32,
        mask_head=MaskRCNNHeads(64, (64, 64), 1),
        mask_predictor=MaskRCNNPredictor(64, 64, CLASSES),
    )
