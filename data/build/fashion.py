"""Makes data/fashion/{train,test}.npz from the Debian package dataset-fashion-mnist.

    apt-get download dataset-fashion-mnist
    dpkg -x dataset-fashion-mnist_*.deb package
    python data/build/fashion.py package/usr/share/datasets/fashion-mnist

The embedded subset holds the first 1,200 training and the first 200 test pictures of each of the
ten classes, in the order of the original files. The package's archives are recompressed, so the
check is on the unpacked bytes.
"""

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

from pixelwise import paths
from pixelwise.data import manifest

MD5 = {"train": "f4a8712d7a061bf5bd6d2ca38dc4d50a", "t10k": "8181f5470baa50b63fa0f6fddb340f0a"}
PER_CLASS = {"train": 1200, "test": 200}


def read(folder, part):
    """Returns (images uint8 (n, 28, 28), labels uint8 (n,)) of one part of the original set."""
    raw = gzip.decompress((folder / f"{part}-images-idx3-ubyte.gz").read_bytes())
    found = hashlib.md5(raw).hexdigest()
    if found != MD5[part]:
        raise SystemExit(f"The images of {part} have MD5 {found}, expected {MD5[part]}.")
    labels = gzip.decompress((folder / f"{part}-labels-idx1-ubyte.gz").read_bytes())
    images = np.frombuffer(raw, np.uint8, offset=16).reshape(-1, 28, 28)
    return images, np.frombuffer(labels, np.uint8, offset=8)


def main(folder):
    for split, part in (("train", "train"), ("test", "t10k")):
        images, labels = read(Path(folder), part)
        first = [np.flatnonzero(labels == c)[: PER_CLASS[split]] for c in range(10)]
        keep = np.sort(np.concatenate(first))
        path = paths.data_dir() / "fashion" / f"{split}.npz"
        np.savez_compressed(path, images=images[keep], labels=labels[keep])
        manifest.add(
            f"fashion/{split}.npz",
            licence="MIT",
            origin="Fashion-MNIST (Xiao, Rasul and Vollgraf, 2017, arXiv 1708.07747), "
            "Debian package dataset-fashion-mnist 0.0~git20200523",
            made_by="data/build/fashion.py",
        )
        print(path.name, images[keep].shape, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main(sys.argv[1])
