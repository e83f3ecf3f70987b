"""The benchmark of training a GAN and a VAE: its cases, and how ours are built.

A training step of DCGAN (chapter 6) and one of the convolutional VAE (chapter 7) on the same batch
stand beside plain loops of the same networks, one for each backend: a ``tf.GradientTape``, a
``jax.jit`` and a PyTorch loop, as their tutorials write them (``plain_loops.py`` and
``plain_torch.py``). A row is divided by the plain loop on its own backend. All begin with the same
weights and get the same noise, and must have the same losses in the first step.

Ours is ``train_on_batch``, what ``fit`` does with each batch, and resets its metrics besides. Each
call is one step and returns the losses as a NumPy array ``(2,)``, in nats: of both players, or of
the reconstruction and the KL divergence.

Processes that run one after another are compared badly where a machine's speed drifts. So the ratio
to the plain loop comes from both in one process, called in turn, once time and memory are measured.

PyTorch computes layer by layer on both sides. JAX without XLA, which computes one operation at a
time, is left out.
"""

import importlib
import statistics
import time

import numpy as np

from pixelwise.bench.building import SEED, compile_with, kernel
from pixelwise.bench.case import YARDSTICK, Case

SIZE = SMALLEST = 28
TOLERANCE = 1e-3
RUNS = 50
HERE = "pixelwise.bench"

BATCH = 64
LATENTS = {"dcgan": 64, "vae": 32}
RATE = 1e-3
BETA_1 = {"dcgan": 0.5, "vae": 0.9}  # of Adam
TITLE = f"a training step on {BATCH} grey pictures"
# What our models call the losses that are compared.
LOSSES = {"dcgan": ("loss_d", "loss_g"), "vae": ("loss_reconstruction", "loss_kl")}
# Engine -> backend and arguments.
ENGINES = {
    "tensorflow": ("tensorflow", {}),
    "tensorflow_xla": ("tensorflow", {"jit": True}),
    "jax_xla": ("jax", {"jit": True}),
    "torch": ("torch", {}),
}
# Backend -> the plain loop on it, and what its process imports. Those of TensorFlow and JAX train
# our networks; PyTorch's are its own.
PLAIN = {
    "tensorflow": (f"{HERE}.plain_loops:tensorflow", ("tensorflow", "keras")),
    "jax": (f"{HERE}.plain_loops:jax", ("jax", "keras")),
    "torch": (f"{HERE}.plain_torch:torch_loop", ("torch",)),
}


def cases():
    """Returns all cases, network by network, the plain loops of each first."""
    return [case for network in LOSSES for case in _cases(network)]


def _cases(network):
    group, arguments = f"{network}_training", {"network": network}
    for backend, (build, imports) in PLAIN.items():
        engine = f"plain_{backend}"
        yield Case(
            group, engine, backend, build, arguments, imports, role=YARDSTICK, pictures=BATCH
        )
    for engine, (backend, options) in ENGINES.items():
        build, imports = f"{HERE}.generation:beside_plain", (backend, "keras")
        options = arguments | options
        yield Case(group, engine, backend, build, options, imports, pictures=BATCH, told_runs=True)


def batch(network, size):
    """Returns what is trained on: pictures of noise, for the VAE black and white.

    Args:
        network: ``"dcgan"`` or ``"vae"``.
        size: side of the pictures, 28 pixels.

    Returns:
        float32 ``(BATCH, 28, 28, 1)`` in [0, 1].

    Raises:
        ValueError: if the size is another.
    """
    if size != SIZE:
        raise ValueError(f"size is {size}: leave it out, these networks are for {SIZE} pixels.")
    pictures = np.random.default_rng(SEED).random((BATCH, size, size, 1), dtype="float32")
    return pictures if network == "dcgan" else np.round(pictures)


def noise(network):
    """Returns the latents, or what they are made of, of every step: float32 ``(BATCH, latents)``.

    The same for all steps and backends, whose own random numbers differ.
    """
    rng = np.random.default_rng(SEED + 1)
    return rng.standard_normal((BATCH, LATENTS[network]), "float32")


def networks(network):
    """Returns our two networks with seeded kernels.

    Args:
        network: ``"dcgan"`` for generator and discriminator, ``"vae"`` for encoder and decoder.
    """
    from pixelwise.models import gan_networks, vae_networks

    if network == "dcgan":
        pair = gan_networks.dcgan_generator(), gan_networks.dcgan_discriminator()
    else:
        model = vae_networks.vae()
        pair = model.encoder, model.decoder
    for part in pair:
        for variable in part.trainable_variables:
            if len(variable.shape) > 1:
                variable.assign(kernel(f"{part.name}/{variable.path}", variable.shape))
    return pair


def beside_plain(network, size, threads, runs, jit=False):
    """Builds one of our models, and what compares it with the plain loop on its backend.

    Args:
        network, size, threads, jit: as for ``ours``.
        runs: how often both are called, in turn.

    Returns:
        What ``case.Case.build`` may return: the call that is timed, a function to no parts, and one
        to ``ratio_in_turn``, the median of our time divided by the plain loop's next to it.
    """
    import keras

    step = ours(network, size, threads, jit)

    def compare():
        module, _, function = PLAIN[keras.backend.backend()][0].partition(":")
        plain = getattr(importlib.import_module(module), function)(network, size, threads)
        plain(), plain(), step()
        pairs = [(_seconds(step), _seconds(plain)) for _ in range(runs)]
        return {"ratio_in_turn": statistics.median(one / other for one, other in pairs)}

    return step, dict, compare


def _seconds(call):
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def ours(network, size, threads, jit=False):
    """Builds one of our models for one step of training after another.

    Args:
        network: ``"dcgan"`` or ``"vae"``.
        size: side of the pictures.
        threads: without meaning here: the environment says it.
        jit: ``True`` compiles the step with XLA.

    Returns:
        The call that is timed.
    """
    pictures = batch(network, size)
    model = model_of(network)
    compile_with(model, jit)

    def step():
        losses = model.train_on_batch(pictures, return_dict=True)
        return np.array([losses[name] for name in LOSSES[network]], "float32")

    return step


def model_of(network):
    """Returns one of our models with seeded kernels and the noise of this file, compiled."""
    import keras

    from pixelwise.models.gan import GAN
    from pixelwise.models.vae import VAE
    from pixelwise.nn.two_players import TwoPlayerAdam

    drawn = noise(network)
    if network == "dcgan":
        model, optimizer = GAN(*networks(network)), TwoPlayerAdam(RATE)
    else:
        model, optimizer = VAE(*networks(network)), keras.optimizers.Adam(RATE)
    model._noise = lambda shape: keras.ops.reshape(drawn, (*shape[:-2], *drawn.shape))
    model.compile(optimizer)
    return model
