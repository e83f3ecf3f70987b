"""Makes tests/unit/golden/gan_losses.npz: what the players of small GANs lose, on one backend.

    KERAS_BACKEND=tensorflow python tests/unit/make_gan_losses.py

``test_gan.py`` holds every backend to these numbers. Weights, pictures and noise are seeded.
"""

import zlib
from pathlib import Path

import keras
import numpy as np
from keras import ops

from pixelwise.models import gan_networks as networks
from pixelwise.models.gan import GAN

ROWS, CLASSES = 6, 3


def games():
    """The GANs by name, each with its seeded weights."""
    plain = {"latent": 5}
    both = {"size": 28, "channels": 1}
    yield (
        "dcgan",
        GAN(
            networks.dcgan_generator(**both, **plain, width=4),
            networks.dcgan_discriminator(**both, width=4),
            penalty="r1",
        ),
    )
    yield (
        "wgan_gp",
        GAN(
            networks.dcgan_generator(**both, **plain, width=4, up="resize"),
            networks.dcgan_discriminator(**both, width=4, norm="none", down="pool"),
            loss="wasserstein",
            penalty="gradient",
        ),
    )
    yield (
        "resnet_of_classes",
        GAN(
            networks.resnet_generator(32, 3, **plain, width=4, num_classes=CLASSES),
            networks.resnet_discriminator(32, 3, width=4, spectral=True, num_classes=CLASSES),
            loss="hinge",
            num_classes=CLASSES,
        ),
    )
    yield (
        "mlp",
        GAN(
            networks.mlp_generator(**both, **plain, hidden=(8,)),
            networks.mlp_discriminator(**both, hidden=(8,), dropout=0),
            loss="least_squares",
        ),
    )


def seed(model):
    """Gives a model weights that depend on their names and shapes only."""
    for variable in (*model.generator.weights, *model.discriminator.weights):
        rng = np.random.default_rng(zlib.crc32(variable.path.encode()))
        value = rng.standard_normal(variable.shape) * 0.3
        if variable.name in ("gamma", "scale", "moving_variance"):
            value = 1 + 0.3 * np.abs(value)
        variable.assign(value.astype("float32"))


def losses():
    """What each game reports of a round, float (5,), by its name."""
    found = {}
    for name, gan in games():
        seed(gan)
        rng = np.random.default_rng(7)
        real = rng.random((ROWS, *gan.generator.output.shape[1:])).astype("float32")
        latents = rng.standard_normal((ROWS, 5)).astype("float32")
        classes, fake_classes = rng.integers(0, CLASSES, (2, ROWS)).astype("int32")
        mix = rng.random(ROWS).astype("float32")
        real, latents, classes, fake_classes, mix = map(
            ops.convert_to_tensor, (real, latents, classes, fake_classes, mix)
        )
        fake = gan.generator(gan.told(latents, fake_classes), training=True)
        parts = gan.play(real, fake, classes, fake_classes, mix)
        found[name] = np.array([float(ops.convert_to_numpy(parts[key])) for key in sorted(parts)])
    return found


if __name__ == "__main__":
    target = Path(__file__).parent / "golden" / "gan_losses.npz"
    np.savez_compressed(target, backend=keras.backend.backend(), **losses())
    print(target.name, f"{target.stat().st_size:,} bytes")
