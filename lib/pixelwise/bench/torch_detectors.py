"""torchvision's Mask R-CNN for the cases of ``detection.py``: the whole of it, and its stages.

The whole is its network, called on the picture in eval mode. The stages are cut where ours are
(``detectors.py``) and hand tensors to one another. Pasted masks are thresholded there, not here.
"""

from pixelwise.bench.detectors import CLASSES, answer, picture, weights_of


def whole(size, threads):
    """Builds torchvision's network with our seeded weights, in eval mode.

    Its batch normalisation is the frozen kind of its published weights.

    Args:
        size: side of the picture.
        threads: how many threads may compute.

    Returns:
        The call that is timed, and a function that returns its stages; see ``case.Case``.
    """
    import torch
    from torchvision.models import detection
    from torchvision.models.detection.backbone_utils import resnet_fpn_backbone

    torch.set_num_threads(threads)
    backbone = resnet_fpn_backbone(backbone_name="resnet50", weights=None)
    model = detection.MaskRCNN(backbone, CLASSES, min_size=size, max_size=size).eval()
    shapes = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    state = {name: torch.from_numpy(value) for name, value in weights_of(shapes).items()}
    model.load_state_dict(state)
    image = torch.from_numpy(picture(size).transpose(2, 0, 1).copy())

    def call():
        with torch.inference_mode():
            found = {name: tensor.numpy() for name, tensor in model([image])[0].items()}
        return answer(found["boxes"], found["labels"], found["scores"], found["masks"][:, 0])

    return call, lambda: _stages(model, image)


def _stages(model, image):
    import torch
    from torchvision.models.detection.roi_heads import maskrcnn_inference

    heads, known = model.roi_heads, {}
    images, _ = model.transform([image])
    sizes = images.image_sizes

    def body_and_fpn():
        return {"levels": model.backbone(images.tensors)}

    def proposals():
        return {"regions": model.rpn(images, known["levels"])[0]}

    def boxes():
        pooled = heads.box_roi_pool(known["levels"], known["regions"], sizes)
        logits, deltas = heads.box_predictor(heads.box_head(pooled))
        found = heads.postprocess_detections(logits, deltas, known["regions"], sizes)
        return dict(zip(("boxes", "scores", "labels"), found, strict=True))

    def masks():
        pooled = heads.mask_roi_pool(known["levels"], known["boxes"], sizes)
        logits = heads.mask_predictor(heads.mask_head(pooled))
        return {"masks": maskrcnn_inference(logits, known["labels"])}

    def paste():
        found = {name: known[name][0] for name in ("boxes", "scores", "labels", "masks")}
        return model.transform.postprocess([found], sizes, [image.shape[-2:]])

    calls = {}
    for stage in (body_and_fpn, proposals, boxes, masks, paste):
        calls[stage.__name__] = torch.inference_mode()(stage)
        if stage is not paste:
            known |= calls[stage.__name__]()
    return calls
