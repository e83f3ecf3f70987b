"""Published checkpoints of PyTorch: downloaded once, checked, and kept as NumPy arrays.

They are torchvision's, and the Inception-V3 of the published FID figures. The file is fetched from
the server of those who published it, its SHA-256 compared with the eight digits in its name
(nothing longer is published), read without running anything, and written as ``.npz`` into the
folder ``weights`` of the cache (``PIXELWISE_CACHE``). From then on neither the network nor PyTorch
is needed. A file put into that folder by hand, under its own name, is used and stays.
"""

import os
import re
from pathlib import Path

from pixelwise import paths
from pixelwise.data.download import download
from pixelwise.weights import WeightsError, load_state_dict, read_arrays, write_arrays
from pixelwise.weights.torchvision import read_state_dict, require_torch

SERVER = "https://download.pytorch.org/models"
# Network -> the server of its files, where that is another.
SERVERS = {
    "inception_v3_fid": "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights"
}
# Network -> {what it was trained on: file}.
FILES = {
    "fcn_resnet50": {"coco": "fcn_resnet50_coco-1167a1af.pth"},
    "deeplabv3_resnet50": {"coco": "deeplabv3_resnet50_coco-cd0a2569.pth"},
    "maskrcnn_resnet50_fpn": {"coco": "maskrcnn_resnet50_fpn_coco-bf2d0c1e.pth"},
    "resnet50": {"imagenet": "resnet50-0676ba61.pth"},
    "mobilenet_v2": {"imagenet": "mobilenet_v2-b0353104.pth"},
    "inception_v3_fid": {"fid": "pt_inception-2015-12-05-6726825d.pth"},
}


def load(model, network, weights, *, leave_out=()):
    """Loads published weights, or those of a file, into a model whose layers carry their names.

    Args:
        model: a built ``keras.Model``.
        network: a key of ``FILES``.
        weights: what they were trained on, as ``FILES`` has it, or the path of a ``.pth`` file.
        leave_out: tensors whose names start like this are passed over (``load_state_dict``).

    Returns:
        The model.

    Raises:
        ValueError: if ``weights`` is neither, or the file is no checkpoint.
        pixelwise.weights.WeightsError: if the tensors are not the model's.
        ImportError, pixelwise.data.download.DownloadError: as ``fetch``.
    """
    published = FILES[network]
    if isinstance(weights, str) and weights in published:
        state, source = fetch(network, weights), published[weights]
    elif isinstance(weights, os.PathLike) or (isinstance(weights, str) and Path(weights).suffix):
        state, source = read_state_dict(weights), str(weights)
    else:
        known = " or ".join(map(repr, published))
        raise ValueError(
            f"{network} has no weights {weights!r}: choose {known}, the path of a .pth file, or "
            "None."
        )
    return load_state_dict(model, state, source=source, leave_out=leave_out)


def is_published(network, weights):
    """Whether weights are published ones, by what they were trained on or by their file's name.

    Args:
        network: a key of ``FILES``.
        weights: what ``load`` takes, or ``None``.
    """
    if not isinstance(weights, str | os.PathLike):
        return False
    files = FILES[network]
    return weights in files or Path(weights).name in files.values()


def fetch(network, trained_on):
    """Returns a published checkpoint.

    Args:
        network: a key of ``FILES``.
        trained_on: ``"coco"``, ``"imagenet"`` or ``"fid"``, as ``FILES`` has it.

    Returns:
        dict of NumPy arrays by PyTorch's names.

    Raises:
        ImportError: if it has to be converted and PyTorch is not installed.
        pixelwise.data.download.DownloadError: if the download goes wrong, or brings another file.
        pixelwise.weights.WeightsError: if the converted file cannot be read or written.
    """
    original = paths.cache_dir() / "weights" / FILES[network][trained_on]
    converted = original.with_suffix(".npz")
    if not converted.is_file():
        _convert(SERVERS.get(network, SERVER), original, converted)
    try:
        return read_arrays(converted)
    except WeightsError as error:
        raise WeightsError(
            f"The converted weights {converted} cannot be read: delete the file and run again."
        ) from error


def _convert(server, original, converted):
    require_torch()  # before anything is downloaded in vain
    by_hand = original.is_file()
    download(f"{server}/{original.name}", original, sha256=digits(original.name))
    write_arrays(converted, read_state_dict(original), compressed=False)
    if not by_hand:
        original.unlink()


def digits(file):
    """Returns the start of the SHA-256 that the name of a published file ends with."""
    return re.search(r"-([0-9a-f]{8})\.pth$", file)[1]
