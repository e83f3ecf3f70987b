"""The plain PyTorch loop of ``generation.py``, with the same networks written in ``torch.nn``.

It is what PyTorch's tutorial writes (docs.pytorch.org/tutorials/beginner/dcgan_faces_tutorial),
layer by layer: the discriminator learns from real pictures and from fakes cut off from the
generator; then the generator learns through the discriminator. As in ours, both learn in the same
step from the discriminator as it was, so its Adam moves last.
"""

import numpy as np

from pixelwise.bench.building import kernel
from pixelwise.bench.generation import BETA_1, LATENTS, RATE, batch, noise

EPSILON = 1e-7  # of Adam, as in Keras


def torch_loop(network, size, threads):
    """Builds the loop.

    Args:
        network: ``"dcgan"`` or ``"vae"``.
        size: side of the pictures.
        threads: how many threads may compute.

    Returns:
        The call that is timed: one step, whose losses it returns, float32 ``(2,)`` in nats.
    """
    import torch

    torch.set_num_threads(threads)
    pictures = torch.from_numpy(batch(network, size).transpose(0, 3, 1, 2).copy())
    drawn = torch.from_numpy(noise(network))
    parts = networks(network)
    train = {"dcgan": _dcgan, "vae": _vae}[network](*parts.values())

    def step():
        losses = train(pictures, drawn)
        return np.array([float(loss.detach()) for loss in losses], "float32")

    return step


def _adam(network, *parts):
    import torch

    weights = [weight for part in parts for weight in part.parameters()]
    return torch.optim.Adam(weights, RATE, betas=(BETA_1[network], 0.999), eps=EPSILON)


def _dcgan(generator, discriminator):
    import torch

    entropy = torch.nn.BCEWithLogitsLoss()
    adam_g, adam_d = _adam("dcgan", generator), _adam("dcgan", discriminator)

    def train(pictures, drawn):
        ones, zeros = torch.ones(len(pictures), 1), torch.zeros(len(pictures), 1)
        adam_d.zero_grad()
        fakes = generator(drawn)
        loss_d = entropy(discriminator(pictures), ones)
        loss_d = loss_d + entropy(discriminator(fakes.detach()), zeros)
        loss_d.backward()
        adam_g.zero_grad()
        loss_g = entropy(discriminator(fakes), ones)
        loss_g.backward(inputs=list(generator.parameters()))
        adam_g.step()
        adam_d.step()
        return loss_d, loss_g

    return train


def _vae(encoder, decoder):
    import torch

    entropy = torch.nn.BCEWithLogitsLoss(reduction="sum")
    adam = _adam("vae", encoder, decoder)

    def train(pictures, drawn):
        adam.zero_grad()
        mean, log_variance = encoder(pictures)
        logits = decoder(mean + torch.exp(0.5 * log_variance) * drawn)
        reconstruction = entropy(logits, pictures) / len(pictures)
        kl = 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum() / len(pictures)
        (reconstruction + kl).backward()
        adam.step()
        return reconstruction, kl

    return train


def networks(network):
    """Returns the two networks by their names, with the seeded kernels that ours have.

    The layers, their order and their numbers of weights are those of ``gan_networks.py`` and
    ``vae_networks.py``; pictures are ``(batch, 1, 28, 28)`` in [0, 1].

    Args:
        network: ``"dcgan"`` or ``"vae"``.

    Returns:
        dict of ``generator``, from latents ``(batch, 64)`` to pictures, and ``discriminator``, from
        pictures to logits ``(batch, 1)``; or of ``encoder``, from pictures to mean and
        log-variance, each ``(batch, 32)``, and ``decoder``, from latents to logits of the pixels.
    """
    from torch import nn

    def dense(name, inputs, outputs, bias=True):
        return _seeded(nn.Linear(inputs, outputs, bias), name)

    def down(name, inputs, outputs, bias=True):
        return _seeded(nn.Conv2d(inputs, outputs, 4, 2, 1, bias=bias), name)

    def up(name, inputs, outputs, bias=True):
        return _seeded(nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=bias), name)

    class Rescaling(nn.Module):
        def __init__(self, scale, offset):
            super().__init__()
            self.scale, self.offset = scale, offset

        def forward(self, x):
            return x * self.scale + self.offset

    class Heads(nn.Module):
        def __init__(self, mean, log_variance):
            super().__init__()
            self.mean, self.log_variance = mean, log_variance

        def forward(self, x):
            return self.mean(x), self.log_variance(x)

    latent = LATENTS[network]
    if network == "dcgan":
        return {
            "generator": nn.Sequential(
                dense("generator/generator-fc/kernel", latent, 7 * 7 * 64, bias=False),
                nn.Unflatten(1, (64, 7, 7)),
                nn.BatchNorm2d(64),
                nn.ReLU(),
                up("generator/generator-up1/kernel", 64, 32, bias=False),
                nn.BatchNorm2d(32),
                nn.ReLU(),
                up("generator/generator-up2/kernel", 32, 1),
                nn.Tanh(),
                Rescaling(0.5, 0.5),
            ),
            "discriminator": nn.Sequential(
                Rescaling(2, -1),
                down("discriminator/discriminator-down1/kernel", 1, 32),
                nn.LeakyReLU(0.2),
                down("discriminator/discriminator-down2/kernel", 32, 64, bias=False),
                nn.BatchNorm2d(64),
                nn.LeakyReLU(0.2),
                nn.Flatten(),
                dense("discriminator/discriminator-score/kernel", 7 * 7 * 64, 1),
            ),
        }
    return {
        "encoder": nn.Sequential(
            down("encoder/encoder-down0/kernel", 1, 32),
            nn.SiLU(),
            down("encoder/encoder-down1/kernel", 32, 64),
            nn.SiLU(),
            nn.Flatten(),
            dense("encoder/encoder-hidden/kernel", 7 * 7 * 64, 256),
            nn.SiLU(),
            Heads(
                dense("encoder/encoder-mean/kernel", 256, latent),
                dense("encoder/encoder-log_variance/kernel", 256, latent),
            ),
        ),
        "decoder": nn.Sequential(
            dense("decoder/decoder-hidden/kernel", latent, 256),
            nn.SiLU(),
            dense("decoder/decoder-start/kernel", 256, 7 * 7 * 64),
            nn.SiLU(),
            nn.Unflatten(1, (64, 7, 7)),
            up("decoder/decoder-up1/kernel", 64, 32),
            nn.SiLU(),
            up("decoder/decoder-up0/kernel", 32, 32),
            nn.SiLU(),
            _seeded(nn.Conv2d(32, 1, 3, padding=1), "decoder/decoder-parameters/kernel"),
        ),
    }


def _seeded(layer, name):
    """Gives a layer the kernel that Keras' of that name has, and biases of zero.

    Keras has the axes of kernels in another order, and the channels of maps last, where a dense
    layer reads or makes them.
    """
    import torch

    mine = tuple(layer.weight.shape)
    if len(mine) == 4:
        value = kernel(name, (*mine[2:], mine[1], mine[0])).transpose(3, 2, 0, 1)
    else:
        value = kernel(name, mine[::-1])
        if mine[1] == 7 * 7 * 64:
            value = value.reshape(7, 7, 64, -1).transpose(2, 0, 1, 3)
        elif mine[0] == 7 * 7 * 64:
            value = value.reshape(-1, 7, 7, 64).transpose(0, 3, 1, 2)
        value = value.reshape(mine[::-1]).T
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(value.copy()))
        if layer.bias is not None:
            layer.bias.zero_()
    return layer
