"""Makes tests/parity/golden/inception.npz with the real torch-fidelity and pytorch-fid.

    pip install torch==2.11.0 torchvision==0.26.0 torch-fidelity==0.4.0 pytorch-fid==0.3.0 keras
    KERAS_BACKEND=torch python tests/parity/make_inception.py

torch-fidelity's Inception-V3 runs with seeded random weights on pictures of eight bits, which it
resizes by itself, as TensorFlow 1 did. Stored are the features, and what the map is before each
change of its size, as means over the map. The names and shapes of the published file go into
``checkpoints.json``: both programs load it into their network strictly.

The script also holds our address of the file to pytorch-fid's. It runs pytorch-fid's network on the
same pictures, resized in the same way (its own resizing is another), and ours, and prints how far
all three are apart, relative to the largest feature; and how far ours is from torch-fidelity's if
one of the network's traits is taken away.
"""

import sys
import tempfile
from pathlib import Path

import keras
import numpy as np
import torch
from pytorch_fid import inception as pytorch_fid
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from pixelwise import weights
from pixelwise.models import inception
from pixelwise.weights import published

sys.path.insert(0, str(Path(__file__).parent))
from cases import GOLDEN, INCEPTION_SIZES, eight_bits, random_network  # noqa: E402
from make_segmentation import write_checkpoints  # noqa: E402

NAME = "inception_v3_fid"
LEVELS = ("64", "192", "768", "2048")  # torch-fidelity's names: the numbers of channels


def torch_fidelity(state):
    """torch-fidelity's network with the given tensors."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "random.pth"
        torch.save({name: torch.tensor(value) for name, value in state.items()}, file)
        return FeatureExtractorInceptionV3(
            "random", list(LEVELS), feature_extractor_weights_path=file
        )


def other_program(state):
    """pytorch-fid's network with the given tensors, without its own resizing."""
    tensors = {name: torch.tensor(value) for name, value in state.items()}
    pytorch_fid.load_state_dict_from_url = lambda *args, **options: tensors
    return pytorch_fid.InceptionV3(resize_input=False, normalize_input=False).eval()


def ours(state, pixels):
    model = inception.inception_v3_fid()
    weights.load_state_dict(model, state, leave_out=("fc.",))
    resized = inception.resize_like_tensorflow1(pixels.astype("float32") / 255)
    return keras.ops.convert_to_numpy(model(resized, training=False))


def apart(one, other):
    return np.abs(one - other).max() / np.abs(other).max()


def without_traits(state, pixels, theirs):
    """Prints what each trait of the network is worth: the test could not pass without it."""
    real_pooling, real_resize = inception.layers.AveragePooling2D, inception.resize_like_tensorflow1

    class CountingZeros(keras.layers.Layer):
        def __init__(self, size, stride, padding, name):
            super().__init__(name=name)
            self.pool = real_pooling(size, stride)

        def call(self, x):
            return self.pool(keras.ops.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)]))

    inception.layers.AveragePooling2D = CountingZeros
    print(f"zeros counted in the averages: {apart(ours(state, pixels), theirs):.1e}")
    inception.layers.AveragePooling2D = real_pooling
    real_maximum = inception.layers.MaxPooling2D
    inception.layers.MaxPooling2D = lambda *args, **options: (
        real_pooling if options.get("padding") == "same" else real_maximum
    )(*args, **options)
    print(f"an average in the last block: {apart(ours(state, pixels), theirs):.1e}")
    inception.layers.MaxPooling2D = real_maximum
    inception.resize_like_tensorflow1 = lambda images: keras.ops.image.resize(
        images, (inception.SIDE, inception.SIDE), data_format="channels_last"
    )
    print(f"resized by today's rule: {apart(ours(state, pixels), theirs):.1e}")
    inception.resize_like_tensorflow1 = real_resize


def main():
    network = pytorch_fid.torchvision.models.inception_v3(
        num_classes=1008, aux_logits=False, init_weights=False
    )
    address = f"{published.SERVERS[NAME]}/{published.FILES[NAME]['fid']}"
    assert address == pytorch_fid.FID_WEIGHTS_URL
    write_checkpoints({NAME: network.state_dict()})
    state = random_network(NAME)
    theirs, others = torch_fidelity(state), other_program(state)
    golden, features = {}, []
    for size in INCEPTION_SIZES:
        pixels = eight_bits(size)
        key = f"{size[0]}x{size[1]}"
        with torch.no_grad():
            found = theirs(torch.tensor(pixels).permute(0, 3, 1, 2))
            resized = inception.resize_like_tensorflow1(pixels)
            scaled = (torch.tensor(resized).permute(0, 3, 1, 2) - 128) / 128
            second = others(scaled)[0].numpy()[..., 0, 0]
        for level, value in zip(LEVELS, found, strict=True):
            golden[f"{key}/{level}"] = value.numpy()
        wanted = golden[f"{key}/2048"]
        features.append(wanted)
        gaps = apart(second, wanted), apart(ours(state, pixels), wanted)
        print(f"{key}: pytorch-fid's is {gaps[0]:.1e} apart, ours {gaps[1]:.1e}")
        assert max(gaps) < 1e-4
    spread = np.concatenate(features).std(axis=0).mean() / np.concatenate(features).std()
    print(f"{spread:.2f} of the features' spread is over the pictures")
    without_traits(state, eight_bits(INCEPTION_SIZES[0]), golden["32x32/2048"])
    GOLDEN.mkdir(exist_ok=True)
    np.savez_compressed(GOLDEN / "inception.npz", **golden)
    print(f"{(GOLDEN / 'inception.npz').stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
