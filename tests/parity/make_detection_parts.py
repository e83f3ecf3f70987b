"""Makes the golden values of the parts of Mask R-CNN that read a pyramid, with real torchvision.

    pip install torch==2.14.1 torchvision==0.29.1
    python tests/parity/make_detection_parts.py

``detection_parts.npz`` has RoIAlign, on one map and on a pyramid, RoI max pooling, the levels of
RoIs, the feature pyramid with seeded random weights, the targets of masks and pasted masks, sampled
at fixed positions.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from torchvision.models.detection import roi_heads
from torchvision.ops import feature_pyramid_network, poolers

sys.path.insert(0, str(Path(__file__).parent))
import cases_detection_parts as cases  # noqa: E402
from cases import GOLDEN, sample  # noqa: E402


def channels_first(x):
    return torch.tensor(np.moveaxis(x, -1, 1))


def channels_last(x):
    return np.moveaxis(x.detach().numpy(), 1, -1)


def aligned(golden):
    """RoIAlign and RoI max pooling on the second map, RoIAlign on all of them."""
    maps, stride = [channels_first(x) for x in cases.maps()], cases.STRIDES[1]
    inside = [torch.tensor(x) for x in cases.boxes()]
    beyond = [torch.tensor(x) for x in cases.boxes_beyond()]
    for bins, samples, shifted in cases.ALIGNED:
        found = torchvision.ops.roi_align(maps[1], beyond, bins, 1 / stride, samples, shifted)
        golden[f"roi_align/{bins}/{samples}/{shifted}"] = sample(channels_last(found))
    for bins in cases.OUTPUTS:
        found = torchvision.ops.roi_pool(maps[1], inside, bins, 1 / stride)
        golden[f"roi_pool/{bins}"] = sample(channels_last(found))
        pooler = torchvision.ops.MultiScaleRoIAlign(["0", "1", "2", "3"], bins, 2)
        named = {str(i): x for i, x in enumerate(maps)}
        found = pooler(named, inside, [cases.PICTURE] * 2)
        assert tuple(1 / s for s in pooler.scales) == cases.STRIDES
        golden[f"pyramid/{bins}"] = sample(channels_last(found))
    mapper = poolers.LevelMapper(2, 5)
    golden["levels"] = mapper([torch.tensor(cases.level_boxes())]).numpy().astype("int8") + 2


def masked(golden):
    """Targets of masks, and pasted masks: all pixels of the masks, some of the probabilities."""
    targets = [
        roi_heads.project_masks_on_boxes(*(torch.tensor(x) for x in picture), cases.MASK_SIZE)
        for picture in zip(*(cases.objects()[i] for i in (0, 1, 2)), strict=True)
    ]
    golden["targets"] = sample(np.stack(targets))
    masks, boxes = cases.probabilities()
    pasted = roi_heads.paste_masks_in_image(
        torch.tensor(masks)[:, None], torch.tensor(boxes), cases.PASTED
    )
    pasted = pasted.numpy()[:, 0]
    golden["pasted"] = sample(pasted)
    golden["pasted/masks"] = np.packbits(pasted > 0.5)


def fpn(golden):
    network = feature_pyramid_network.FeaturePyramidNetwork(
        [shape[-1] for shape in cases.FPN_LEVELS.values()],
        cases.FPN_CHANNELS,
        feature_pyramid_network.LastLevelMaxPool(),
    )
    state = cases.fpn_state({k: tuple(v.shape) for k, v in network.state_dict().items()})
    network.load_state_dict({name: torch.tensor(tensor) for name, tensor in state.items()})
    found = network({k: channels_first(x) for k, x in cases.fpn_levels().items()})
    for place, x in enumerate(found.values()):
        golden[f"fpn/P{place + 2}"] = sample(channels_last(x))


def main():
    golden = {}
    aligned(golden)
    masked(golden)
    fpn(golden)
    for name, values in golden.items():
        print(f"{name}: {values.shape}, from {values.min():.3f} to {values.max():.3f}")
    path = GOLDEN / "detection_parts.npz"
    np.savez_compressed(path, **golden)
    print(path, f"{path.stat().st_size:,} bytes, torchvision {torchvision.__version__}")


if __name__ == "__main__":
    main()
