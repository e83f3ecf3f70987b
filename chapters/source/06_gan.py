# %% [markdown]
# # GAN
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/06_gan.ipynb)
#
# Until now a network looked at a picture and said what is in it. From here on networks *make* pictures. A generative adversarial network (Goodfellow et al. 2014) needs no formula for what a good picture is: a second network learns to tell its pictures from real ones, and the first learns to get past it.
#
# **After this chapter you can**
#
# - say why a game between two networks is not the minimising of a loss, and work a round of it by hand;
# - build a DCGAN from its parts, train it, and know what each of its rules is for;
# - make a GAN fail in four known ways, and say which remedy is meant for which failure;
# - compute FID, precision and recall, and say what they do not tell;
# - tell a generator what to make.
#
# **You need** the part *Generation* of *The mathematics of pixels*: the best discriminator $D^*=p/(p+q)$, for the densities $p$ of real and $q$ of made pictures, is derived there. Transposed convolutions are explained in *The mathematics of pixels*.
#
# **Time and memory:** 88<!-- result chapters 06_gan.quick.seconds --> seconds and 981<!-- result chapters 06_gan.quick.peak_memory_mib --> MiB on two cores without a GPU, training included. On a GPU the notebook takes the *full* budget, the whole recipe of 5,000<!-- result dcgan_garments steps --> steps.

# %% tags=["shared"]
# The same cell opens every chapter. In a clone it only imports; on Colab and Kaggle it fetches the
# clone first. It installs nothing, so the TensorFlow that is there stays.
import subprocess
import sys
from pathlib import Path

places = [Path.cwd(), *Path.cwd().parents, Path.cwd() / "pixelwise"]
clone = next((place for place in places if (place / "lib" / "pixelwise").is_dir()), places[-1])
if not clone.is_dir():
    address = "https://github.com/pixelwise-book/pixelwise"
    subprocess.run(["git", "clone", "--quiet", "--depth", "1", address, str(clone)], check=True)
if str(clone / "lib") not in sys.path:
    sys.path.insert(0, str(clone / "lib"))

import matplotlib.pyplot as plt
import numpy as np

import pixelwise as pw
from pixelwise.quiet import quiet

with quiet():
    import keras

plt.rcParams.update({"figure.dpi": 100, "axes.grid": False})
keras.utils.set_random_seed(0)

# %% tags=["shared"]
from keras import layers, ops
from threadpoolctl import threadpool_limits

from pixelwise import plot
from pixelwise.data import garments
from pixelwise.metrics import features, generation
from pixelwise.metrics.distances import fid, frechet_distance
from pixelwise.models.gan import GAN
from pixelwise.models.gan_networks import (
    dcgan_discriminator,
    dcgan_generator,
    mlp_discriminator,
    mlp_generator,
)
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.conditional import ProjectionScore
from pixelwise.nn.gan_losses import players

CHAPTER = "06_gan"
test = garments.load("test", examples=pw.budget.get(CHAPTER, "pictures"), batch_size=100)
CLASSES = test.classes


def numpy(values):
    return ops.convert_to_numpy(values)


def sigmoid(a):
    return (1 + np.tanh(a / 2)) / 2


# %% [markdown]
# ## The answer first
#
# In the first two rows garments from the test set, one of each class. Below them garments that nobody ever wore: made from noise by the network recorded with this chapter, which was told the class.

# %%
options = {"width": 32, "num_classes": 10}
recorded = GAN(dcgan_generator(**options), dcgan_discriminator(**options), num_classes=10)
recorded = pw.weights.checkpoint(recorded, "dcgan_garments")

in_order = np.arange(10)
real = [[test.images[test.labels == c][k] for c in in_order] for k in (0, 1)]
made = recorded.sample(40, seed=1, labels=np.tile(in_order, 4))[..., 0].reshape(4, 10, 28, 28)
rows = [("real", real[0]), ("real", real[1]), *(("made", list(line)) for line in made)]
plot.grid(rows, CLASSES, scale=1.0)
plt.show()

# %% [markdown]
# The pictures are those of Fashion-MNIST that the book comes with: 12,000 to train and 2,000 to test, 28 x 28 grey pixels.
#
# ## A round of the game, by hand
#
# The *generator* $G$ turns a vector of noise $z$, the *latent*, into a picture $G(z)$. The *discriminator* $D$ gives each picture a logit $a$, and $\sigma(a)=1/(1+e^{-a})$ is how probable it holds the picture to be real. It minimises the cross-entropy of a plain two-class network over $n$ pictures of each kind:
#
# $$L_D=-\tfrac1n\sum_{\text{real}}\log\sigma(a)-\tfrac1n\sum_{\text{made}}\log\big(1-\sigma(a)\big)$$
#
# The generator wants the opposite. It can minimise $\tfrac1n\sum_{\text{made}}\log(1-\sigma(a))$, which makes it a *minimax* game, or the *non-saturating* $L_G=-\tfrac1n\sum_{\text{made}}\log\sigma(a)$. Two real pictures that $D$ believes with 0.8 and 0.6, and two made ones that it believes with 0.3 and 0.1:
#
# - $L_D=-\tfrac12(\log0.8+\log0.6)-\tfrac12(\log0.7+\log0.9)=0.367+0.231=0.598$;
# - minimax: $\tfrac12(\log0.7+\log0.9)=-0.231$; non-saturating: $-\tfrac12(\log0.3+\log0.1)=1.753$.
#
# A $D$ that always answers one half has $L_D=2\log2=1.386$: this one is ahead.

# %%
believed_real, believed_made = np.float32([0.8, 0.6]), np.float32([0.3, 0.1])
a_real, a_made = (np.log(b / (1 - b)) for b in (believed_real, believed_made))
by_hand = [
    -np.log(believed_real).mean() - np.log(1 - believed_made).mean(),
    np.log(1 - believed_made).mean(),
    -np.log(believed_made).mean(),
]
library = [
    players("minimax").discriminator(a_real, a_made),
    players("minimax").generator(a_made),
    players("non_saturating").generator(a_made),
]
bce = keras.losses.BinaryCrossentropy(from_logits=True)
assert np.allclose(by_hand, [numpy(loss) for loss in library], atol=1e-5)
assert np.allclose(by_hand, [0.598, -0.231, 1.753], atol=1e-3)
assert np.isclose(bce(np.ones(2), a_real) + bce(np.zeros(2), a_made), by_hand[0])

# %% [markdown]
# ### A game is not a loss
#
# Gradient descent on *one* loss walks downhill. Two players who walk downhill on two losses need not arrive anywhere. The smallest game that shows it has one number a player (Mescheder et al. 2018): all real data are at 0, the generator makes the point $\theta$, and the discriminator is a line, $a(x)=\psi x$. At $\theta=\psi=0$ neither has a reason to move; call it their agreement. In the minimax game the derivatives are
#
# $$\frac{\partial L_D}{\partial\psi}=\theta\,\sigma(\psi\theta)\qquad\frac{\partial L_G}{\partial\theta}=-\psi\,\sigma(\psi\theta)$$
#
# By hand, from $\theta=1,\psi=0$ with a step of 1: first $\psi=0-1\cdot\tfrac12=-0.5$, and $\theta$ stays, for a flat line has no slope. Then, with $\sigma(-0.5)=0.378$, $\psi=-0.5-0.378=-0.878$ and $\theta=1-0.5\cdot0.378=0.811$. The discriminator tilts, the generator slides down the tilt, through 0 and out on the other side, where the line has to tilt back. They circle: the move $(\psi,-\theta)$ is at a right angle to $(\theta,\psi)$, the line to the agreement, so every step ends a little farther away, after two of them at $\sqrt{0.811^2+0.878^2}=1.195$.
#
# With the non-saturating loss $\sigma(-\psi\theta)$ stands in the formula for $\theta$: the players come nearer, more and more slowly, and with steps of a fixed size they stop short, at a distance of 0.45 for steps of 0.1. A remedy of the same paper, the *R1 penalty*, charges the discriminator for its slope at real data, $\tfrac\gamma2|\nabla a|^2$: here $\gamma\psi$ is added to its derivative. A line that nobody needs then flattens by itself.


# %%
def slopes_of(theta, psi, loss="minimax", gamma=0.0):
    sign = 1 if loss == "minimax" else -1
    return -psi * sigmoid(sign * psi * theta), theta * sigmoid(psi * theta) + gamma * psi


def walk(step, count, **options):
    path = [np.array([1.0, 0.0])]
    for _ in range(count):
        path.append(path[-1] - step * np.array(slopes_of(*path[-1], **options)))
    return np.array(path)


assert np.allclose(walk(1, 2), [[1, 0], [1, -0.5], [0.811, -0.878]], atol=1e-3)
zero = np.zeros((1, 1), "float32")
for loss in ("minimax", "non_saturating"):
    game = players(loss)
    for theta, psi in walk(1, 2).astype("float32"):
        for_d = gradient(lambda w, g=game, t=theta: g.discriminator(w * zero, w * t), psi[None])
        for_g = gradient(lambda t, g=game, w=psi: g.generator(w * t), theta[None])
        assert np.allclose(np.ravel([for_g, for_d]), slopes_of(theta, psi, loss), atol=1e-6)

figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.3), layout="constrained")
for name, colour, some in (
    ("minimax", plot.RED, {}),
    ("non-saturating", plot.BLUE, {"loss": "non_saturating"}),
    ("minimax with R1", plot.GREEN, {"gamma": 0.3}),
):
    path = walk(0.1, 600, **some)
    left.plot(*path[:200].T, color=colour, lw=1)
    right.plot(np.linalg.norm(path, axis=1), color=colour, label=name)
left.plot(0, 0, "k+", ms=12)
left.set(xlabel=r"generator, $\theta$", ylabel=r"discriminator, $\psi$", aspect="equal")
right.set(xlabel="step", ylabel="distance from the agreement", ylim=(0, None))
right.legend(frameon=False)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# *Left: the first 200 steps from (1, 0), with a step size of 0.1; the cross marks where the players agree. Right: how far they are from it.*
#
# ## The game on a line
#
# Now real networks, small enough to write whole in NumPy: two hidden layers of 64, their gradients by the chain rule, Adam, and the game. (A leading axis holds several independent *runs*, trained side by side; we need it below.) Each round draws real points, makes points, and moves both players, at rates that fall to nothing, so that the game comes to rest.


# %% tags=["shared"]
def perceptron(rng, sizes, runs):
    """Weights and biases of dense layers, for several runs at once."""
    pairs = list(zip(sizes, sizes[1:]))
    kernels = [rng.normal(0, np.sqrt(2 / a), (runs, a, b)).astype("float32") for a, b in pairs]
    return [[w, np.zeros((runs, 1, w.shape[2]), "float32")] for w in kernels]


def forward(net, x):
    """The network's answer, and what each layer saw."""
    seen = [x]
    for w, b in net[:-1]:
        seen.append(np.maximum(seen[-1] @ w + b, 0))
    return seen[-1] @ net[-1][0] + net[-1][1], seen


def backward(net, seen, slope):
    """The derivatives by weights and by the input, from those by the answer."""
    found = []
    for number in reversed(range(len(net))):
        found.append([seen[number].swapaxes(1, 2) @ slope, slope.sum(1, keepdims=True)])
        slope = slope @ net[number][0].swapaxes(1, 2) * ((seen[number] > 0) if number else 1)
    return found[::-1], slope


# %% tags=["shared"]
class Adam:
    def __init__(self, net, rate=1e-3, betas=(0.5, 0.999)):
        self.net, self.rate, self.betas, self.count = net, rate, betas, 0
        self.moments = [[[0 * p, 0 * p] for p in layer] for layer in net]

    def step(self, found, factor=1.0):
        self.count += 1
        for layer, moments, slopes in zip(self.net, self.moments, found):
            for p, mv, g in zip(layer, moments, slopes):
                for k, (beta, term) in enumerate(zip(self.betas, (g, g * g))):
                    mv[k] = beta * mv[k] + (1 - beta) * term
                m, v = (x / (1 - beta**self.count) for x, beta in zip(mv, self.betas))
                p -= factor * self.rate * m / (np.sqrt(v) + 1e-7)


@threadpool_limits.wrap(limits=1)  # matrices so small that a second thread only waits
def play(draw, latent, steps, look, runs=1, d_every=1, g_every=1, batch=128, rate=1e-3):
    """Plays the game; a player moves in every so many steps, or never (0)."""
    rng = np.random.default_rng(0)
    size = draw(rng, (1, 1)).shape[-1]
    g = perceptron(rng, (latent, 64, 64, size), runs)
    d = perceptron(rng, (size, 64, 64, 1), runs)
    adam_g, adam_d = Adam(g, rate), Adam(d, rate)
    for step in range(steps + 1):
        look(step, g, d)
        fall = 1 - step / (steps + 1)  # of both rates
        made, seen_g = forward(g, rng.standard_normal((runs, batch, latent), "float32"))
        a_real, seen_real = forward(d, np.float32(draw(rng, (runs, batch))))
        a_made, seen_made = forward(d, made)
        of_real, _ = backward(d, seen_real, (sigmoid(a_real) - 1) / batch)
        of_made, _ = backward(d, seen_made, sigmoid(a_made) / batch)
        _, by_points = backward(d, seen_made, (sigmoid(a_made) - 1) / batch)  # non-saturating
        if g_every and step % g_every == 0:
            adam_g.step(backward(g, seen_g, by_points)[0], fall)
        if d_every and step % d_every == 0:
            adam_d.step([[x + y for x, y in zip(*two)] for two in zip(of_real, of_made)], fall)


# %% [markdown]
# Are our slopes right? The library's `GAN` with the same weights must find the same loss of $D$, and the same slope of $G$'s loss at every point that was made.

# %%
rng = np.random.default_rng(1)
nets = [perceptron(rng, sizes, 1) for sizes in ((1, 64, 64, 1), (1, 64, 64, 1))]
built = []
for net, name in zip(nets, ("generator", "discriminator")):
    dense = [layers.Dense(64, "relu"), layers.Dense(64, "relu"), layers.Dense(1)]
    model = keras.Sequential([keras.Input((1,)), *dense], name=name)
    model.set_weights(
        [p.reshape(p.shape[1:] if k == 0 else -1) for w in net for k, p in enumerate(w)]
    )
    built.append(model)
same = GAN(*built, bounds=None)
x, z = (rng.standard_normal((8, 1)).astype("float32") for _ in range(2))
made = numpy(same.generator(z))
ours, seen = forward(nets[1], forward(nets[0], z[None])[0])
slope = backward(nets[1], seen, (sigmoid(ours) - 1) / 8)[1][0]
assert np.allclose(slope, gradient(lambda points: same.play(x, points)["loss_g"], made), atol=1e-6)
a_real = forward(nets[1], x[None])[0]
loss_d = np.log1p(np.exp(-a_real)).mean() + np.log1p(np.exp(ours)).mean()
assert np.isclose(loss_d, same.play(x, made)["loss_d"], atol=1e-5)

# %% [markdown]
# The data: half of the points around $-1.5$, half around $1.5$. Here we know $p$, so we can hold $D$ against $D^*$ while the game goes on, and follow thirty latents to see where the generator carries them. The discriminator moves five times for each move of the generator, so that it can keep up: Goodfellow's algorithm has this number as $k$.

# %%
toy_steps = pw.budget.get(CHAPTER, "toy_steps")
shown_at = [0, toy_steps // 12, toy_steps // 4, toy_steps]
x = np.linspace(-3.5, 3.5, 141)
p = sum(np.exp(-(((x - m) / 0.4) ** 2) / 2) for m in (-1.5, 1.5)) / (0.8 * np.sqrt(2 * np.pi))
many = np.random.default_rng(2).standard_normal((1, 4000, 1), "float32")
followed = np.linspace(-2.2, 2.2, 30, dtype="float32")[None, :, None]
kept, paths = {}, []


def two_heaps(rng, shape):
    return (rng.choice([-1.5, 1.5], shape) + 0.4 * rng.standard_normal(shape))[..., None]


def watch(step, g, d):
    paths.append(forward(g, followed)[0].ravel())
    if step in shown_at:
        made = forward(g, many)[0].ravel()
        q = np.exp(-(((x[:, None] - made) / 0.1) ** 2) / 2).mean(1) / (0.1 * np.sqrt(2 * np.pi))
        kept[step] = q, sigmoid(forward(d, np.float32(x)[None, :, None])[0].ravel())


play(two_heaps, 1, toy_steps, watch, g_every=5, batch=256)

# %%
figure, axes = plt.subplots(1, 5, figsize=(13, 3), width_ratios=(1, 1, 1, 1, 1.3))
for axis, (step, (q, answer)) in zip(axes, kept.items()):
    axis.fill_between(x, p, color=plot.SKY, alpha=0.5, label="real, p")
    axis.plot(x, q, color=plot.ORANGE, label="made, q")
    axis.plot(x, answer, color=plot.BLUE, label="D")
    best = np.where(p + q > 0.01, p / np.maximum(p + q, 0.01), np.nan)
    axis.plot(x, best, "k--", lw=1, label="D*")
    axis.set(title=f"step {step}", xlabel="x", ylim=(0, 1.5))
axes[0].set_ylabel("density; probability of real")
axes[4].plot(np.array(paths), color=plot.ORANGE, lw=0.7)
axes[4].set(title="thirty latents", xlabel="step", ylabel="x", ylim=(-3.5, 3.5))
for axis in axes:
    axis.spines[["top", "right"]].set_visible(False)
figure.tight_layout(rect=(0, 0.09, 1, 1))
handles, names = axes[0].get_legend_handles_labels()
figure.legend(handles, names, frameon=False, ncols=4, loc="lower center")
plt.show()
for step, (q, answer) in kept.items():
    shares = [f"{q[side].sum() * (x[1] - x[0]):.2f}" for side in (x < -0.7, x > 0.7)]
    gap, off = (
        np.abs(p - q).sum() * (x[1] - x[0]) / 2,
        np.average(np.abs(answer - p / (p + q + 1e-9)), weights=p + q),
    )
    print(f"step {step:4d}: made left and right {' and '.join(shares)} (0.49), ", end="")
    print(f"share that would have to move {gap:.2f}, D is off by {off:.2f}")

# %% [markdown]
# *Four moments of the game ($q$ is smoothed with a width of 0.1), and the way of thirty latents through it. D\* is drawn where there are points of either kind; outside, $D$ has seen nothing.*
#
# Read it from left to right. The made points (orange) start in the wrong place, $D$ rises where real points are, and its slope is the wind that carries the made ones. Where a heap of made points has grown too high, $D$ sinks below one half and blows them away again. In the end each real heap has its share of the made points, as printed below the figure, but both are narrower than the real ones, and $D$ is not quite $D^*$. The generator is continuous, so a few latents between the heaps have to land between them: a bridge that no real point has.
#
# ## From perceptrons to DCGAN
#
# Most of the first GANs were of such dense layers, for pictures (Goodfellow et al. 2014, section 5). Ours for garments, `mlp_generator` and `mlp_discriminator`, has no idea that neighbouring pixels belong together. After 4,000<!-- result gan_mlp-seed0 steps --> steps its FID, a distance explained below (0 is best), is 17<!-- result gan_mlp-seed0 test.fid_garments -->.
#
# DCGAN (Radford et al. 2016) found convolutional networks that train stably. Its rules:
#
# 1. No pooling: strided convolutions in $D$ and transposed ones in $G$ learn how to go down and up.
# 2. Batch normalisation in both, but not at $G$'s output and $D$'s input, which must keep their own scale.
# 3. No dense hidden layers, but for the one that lays the latent out as a map.
# 4. ReLU in $G$ and tanh at its end; leaky ReLU in $D$, so that some slope comes back from everywhere.
# 5. Adam with momentum $\beta_1=0.5$ in place of 0.9: with 0.9 its authors saw oscillation.
#
# In parts, for 28 pixels: 7 x 7 cells, doubled twice; and back.


# %% tags=["shared"]
def make_generator(latent=64, width=32):
    z = keras.Input((latent,))
    start = keras.initializers.RandomNormal(0, 0.02)
    norm = {"momentum": 0.9, "epsilon": 1e-5}
    x = layers.Dense(7 * 7 * 2 * width, use_bias=False, kernel_initializer=start)(z)
    x = layers.Reshape((7, 7, 2 * width))(x)
    x = layers.ReLU()(layers.BatchNormalization(**norm)(x))
    up = {"kernel_size": 4, "strides": 2, "padding": "same", "kernel_initializer": start}
    x = layers.Conv2DTranspose(width, use_bias=False, **up)(x)
    x = layers.ReLU()(layers.BatchNormalization(**norm)(x))
    x = layers.Conv2DTranspose(1, activation="tanh", **up)(x)
    return keras.Model(z, layers.Rescaling(0.5, 0.5)(x))  # from [-1, 1] to [0, 1]


def make_discriminator(width=32):
    pictures = keras.Input((28, 28, 1))
    start = keras.initializers.RandomNormal(0, 0.02)
    down = {"kernel_size": 4, "strides": 2, "padding": "same", "kernel_initializer": start}
    x = layers.Rescaling(2.0, -1.0)(pictures)
    x = layers.LeakyReLU(0.2)(layers.Conv2D(width, **down)(x))
    x = layers.Conv2D(2 * width, use_bias=False, **down)(x)
    x = layers.LeakyReLU(0.2)(layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x))
    x = layers.Flatten()(x)
    return keras.Model(pictures, layers.Dense(1, kernel_initializer=start)(x))


# %%
z, picture = rng.standard_normal((3, 64)).astype("float32"), test[0][0][:3]
pairs = [
    (make_generator(), dcgan_generator(), z),
    (make_discriminator(), dcgan_discriminator(), picture),
]
for ours, library, values in pairs:
    ours.set_weights(library.get_weights())
    assert np.allclose(ours(values, training=True), library(values, training=True), atol=1e-5)
sizes = (
    {"DCGAN": pairs[0][1], "perceptron": mlp_generator()},
    {
        "DCGAN": pairs[1][1],
        "perceptron": mlp_discriminator(),
    },
)
for name, models in zip(("generator", "discriminator"), sizes):
    print(name, {key: f"{model.count_params():,} weights" for key, model in models.items()})

# %% [markdown]
# ### What each rule is worth
#
# One rule broken at a time, 800<!-- result gan_short-seed0 steps --> steps each (`pixelwise train gan_rule_pool` and so on). The DCGAN that keeps them all was trained with three seeds: its error bar is their standard deviation. The others are one run each.

# %%
kept_all = pw.results.read("gan_short")["test"]["fid_garments"]
broken = {
    "all rules": "gan_short",
    "max-pools in D": "gan_rule_pool",
    "no batch norm": "gan_rule_norm",
    "dense hidden layer in D": "gan_rule_hidden",
    "tanh in G, ReLU in D": "gan_rule_activation",
    "momentum 0.9": "gan_rule_momentum",
}
scores = {name: pw.results.get(recipe, "test.fid_garments.mean") for name, recipe in broken.items()}
figure, axis = plt.subplots(figsize=(7.5, 2.9), layout="constrained")
colours = [plot.BLUE] + [plot.ORANGE] * (len(scores) - 1)
axis.barh(range(len(scores)), scores.values(), color=colours)
axis.errorbar(scores["all rules"], 0, xerr=kept_all["std"], color="black", capsize=4)
axis.set_yticks(range(len(scores)), scores)
axis.set(xlabel="FID, garment features, after 800 steps (less is better)")
axis.invert_yaxis()
axis.spines[["top", "right"]].set_visible(False)
plt.show()
for name, value in scores.items():
    away = (value - kept_all["mean"]) / kept_all["std"]
    note = "" if name == "all rules" else f", {away:+.1f} standard deviations from all rules"
    print(f"{name:24s} FID {value:6.2f}{note}")

# %% [markdown]
# Two rules carry the others here: without batch normalisation, and with the usual momentum, the game is far behind after 800 steps. The activations make no difference that could be seen. And two broken rules do *better* than the whole set: a max-pool in the discriminator, and a dense layer of 256 before its last. With one run each, only the large differences mean something. Rules found on one data set are where to start, not where to stop.
#
# ## Training
#
# `GAN` plays one round a step: both players' gradients come from one pass, in which the generator is judged by a discriminator whose weights are held still (`lib/pixelwise/models/gan.py`). Here it trains at a rate of 0.001 and is not told the class; on a GPU it takes the recorded network's settings. At five moments we keep what the same eight latents become, and count how many of the ten classes are made: a small classifier (right about 0.91<!-- result garment_classifier test.accuracy --> of the real test pictures) names 300 samples, and a class counts from a share of 2%.

# %%
steps, classes = pw.budget.get(CHAPTER, "steps"), pw.budget.get(CHAPTER, "classes")
options = {"width": pw.budget.get(CHAPTER, "width"), "num_classes": classes}
train = garments.load("train", held_out=0, batch_size=64)
live = GAN(dcgan_generator(**options), dcgan_discriminator(**options), num_classes=classes)
live.compile(pw.nn.two_players.TwoPlayerAdam(pw.budget.get(CHAPTER, "rate"), beta_1=0.5))
moments = [live.sample(8, seed=5)]


def keep_moment(model):
    moments.append(model.sample(8, seed=5))
    named = features.classify(model.sample(300, seed=6))
    return {"classes": float(generation.coverage(named, 10).classes)}


average = pw.budget.get(CHAPTER, "average")
history = pw.training.fit(
    live, train, steps, validate=keep_moment, validate_every=steps // 5, ema=average
)

# %%
moments = moments[:6]
last = moments[-1][..., 0]
everything = train.images.reshape(len(train.images), -1) / np.float32(255)
distances = (everything**2).sum(1) - 2 * last.reshape(
    len(last), -1
) @ everything.T  # up to |last|^2
nearest = everything[distances.argmin(1)].reshape(last.shape)
rows = [(f"step {k * (steps // 5)}", list(m[..., 0])) for k, m in enumerate(moments)]
plot.grid([*rows, ("nearest real", list(nearest))], scale=1.0)
plt.show()

figure, axis = plt.subplots(figsize=(7, 2.6), layout="constrained")
window = max(1, steps // 50)
for key, name, colour in (("d", "discriminator", plot.BLUE), ("g", "generator", plot.ORANGE)):
    smooth = np.convolve(history.parts[key], np.ones(window) / window, "valid")
    axis.plot(np.arange(len(smooth)) + window, smooth, color=colour, label=name)
axis.axhline(2 * np.log(2), color=plot.BLUE, ls=":", lw=1, label="2 log 2: D always says one half")
axis.set(xlabel="step", ylabel="loss (nats)", ylim=(0, None))
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# *Upper figure: eight latents on their way, and below each the training picture that is nearest to its last state, pixel by pixel. Lower figure: both losses, averaged over a fiftieth of the run.*
#
# After some 250 steps the losses hardly move, and yet the pictures get better: the generator's judge gets better with it. The nearest training pictures are like these eight and not the same: none of them is a copy, pixel for pixel.
#
# ## Measuring: what is near, what is missing
#
# *FID* (Heusel et al. 2017) compares features of many real and many made pictures. It fits a Gaussian to each set, with means $m$ and covariances $C$, and takes the squared Fréchet distance:
#
# $$\text{FID}=|m_1-m_2|^2+\operatorname{tr}\big(C_1+C_2-2(C_1C_2)^{1/2}\big)$$
#
# In one dimension this is $(m_1-m_2)^2+(s_1-s_2)^2$ with the standard deviations $s$: for mean 0 and $s=1$ against mean 3 and $s=2$, $9+1=10$. In two dimensions take the means $(0,0)$ and $(1,2)$, $C_1=\begin{pmatrix}5&4\\4&5\end{pmatrix}$ and $C_2$ the unit matrix. The root of a 2 x 2 matrix has the trace $\sqrt{\operatorname{tr}+2\sqrt{\det}}$, here $\sqrt{10+2\cdot3}=4$. So $\text{FID}=1+4+10+2-2\cdot4=9$.

# %%
c1, c2 = np.array([[5.0, 4], [4, 5]]), np.eye(2)
product = c1 @ c2
root_trace = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
by_eigenvalues = np.sqrt(np.linalg.eigvals(product)).sum()
value = 1 + 4 + np.trace(c1) + np.trace(c2) - 2 * by_eigenvalues
assert np.isclose(root_trace, 4) and np.isclose(by_eigenvalues, 4) and np.isclose(value, 9)
assert np.isclose(frechet_distance([0, 0], c1, [1, 2], c2), 9)
assert np.isclose(frechet_distance([0], [[1]], [3], [[4]]), 10)

rng = np.random.default_rng(3)
for count in (100, 1000, 10_000):
    a, b = rng.multivariate_normal([0, 0], c1, count), rng.multivariate_normal([1, 2], c2, count)
    again = rng.multivariate_normal([0, 0], c1, count)
    print(
        f"{count:6d} points: FID {fid(a, b):.3f} (9), of the same Gaussian {fid(a, again):.4f} (0)"
    )

# %% [markdown]
# The last column is a warning: between two samples of the *same* Gaussian it is above 0, the more so the fewer they are. FIDs are only comparable for the same features and the same number of samples. Here the features are the 64 of the garment classifier, and 2,000 real test pictures stand against 2,000 made ones.
#
# One number cannot say *what* is wrong. *Precision* is the share of made pictures that look real, *recall* the share of real ones that are made (Kynkäänniemi et al. 2019). (The words are those of the chapter *Mask R-CNN*; what is counted is other.) A made point counts as real-looking if it lies in the ball of some real point, whose radius reaches to that point's $k$-th nearest real neighbour; for recall the roles are exchanged. The tables below have $k=3$, the picture $k=1$: two of the four made points lie in a ball of a real one, precision $\tfrac12$. Of the six real points only the three on the left lie in balls of made ones, recall $\tfrac12$: the right half of the data is missing.

# %%
points_real = np.array([[0, 0], [1, 0], [0, 1], [6, 0], [7, 0], [6, 1.0]])
points_made = np.array([[0.3, 0.5], [0.95, 0.55], [2.6, 2.0], [3.2, 2.6]])
result = generation.precision_recall(points_real, points_made, k=1)
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.1), layout="constrained")
both = (points_real, plot.SKY, "real"), (points_made, plot.ORANGE, "made")
for axis, ((owners, colour, name), (others, other, _)) in zip(axes, (both, both[::-1])):
    gaps = np.linalg.norm(owners[:, None] - owners, axis=-1)
    radii = np.where(np.eye(len(owners)), np.inf, gaps).min(1)
    inside = (np.linalg.norm(others[:, None] - owners, axis=-1) <= radii).any(1)
    for centre, radius in zip(owners, radii):
        axis.add_patch(plt.Circle(centre, radius, color=colour, alpha=0.2, lw=0))
    axis.plot(*owners.T, "o", color=colour, label=name)
    axis.plot(*others[inside].T, "s", color=other, label="inside")
    axis.plot(*others[~inside].T, "x", color=other, label="outside")
    kind = "precision" if name == "real" else "recall"
    assert inside.mean() == getattr(result, kind) == 0.5
    axis.set(title=f"{kind}: {inside.sum()} of {len(others)}", xlabel="feature 1", aspect="equal")
    axis.set(xlim=(-1.6, 8.6), ylim=(-1.5, 3.7), ylabel="feature 2")
    axis.legend(frameon=False, fontsize=8, loc="upper right")
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# *Balls around the real points (left) and around the made ones (right).*
#
# Now the network trained above, and the one recorded with the chapter: `pixelwise train dcgan_garments`, told the class, 5,000<!-- result dcgan_garments steps --> steps with averaged weights.

# %%
reached = generation.evaluate(live, test, extractors=("garments",))
for name, r in (("trained live", reached), ("recorded", pw.results.read("dcgan_garments")["test"])):
    print(f"{name:12s} FID {r['fid_garments']:5.2f}, KID {r['kid_garments']:.3f}, ", end="")
    print(f"precision {r['precision']:.2f}, recall {r['recall']:.2f}, classes {r['classes']}")
shares = [f"{name} {share:.0%}" for name, share in zip(CLASSES, reached["shares"])]
print("made:", ", ".join(shares))
pw.budget.headline("06_gan", reached["classes"], "classes covered")

# %% [markdown]
# (*KID*, Bińkowski et al. 2018, compares the same features by a kernel and has no such bias.) Published figures for Fashion-MNIST, with the features of Inception (Lucic et al. 2018, all 60,000 pictures, many trainings each):
#
# | | FID, Inception |
# |---|---|
# | non-saturating GAN | 26.5 |
# | WGAN | 21.5 |
# | WGAN-GP | 24.5 |
#
# **These cannot be compared with ours.** FID is a distance between *features*, and other features have another scale; a smaller number here does not mean a better picture. Inception's weights are a download, and this book was made without an internet connection, so our figure in their unit is missing. You get it with `generation.evaluate(live, test, extractors=("inception",))`, which loads `pw.models.load("inception_v3_fid", weights="fid")`.
#
# ## Break it on purpose
#
# ### Mode collapse
#
# Hold $D$ still and let $G$ minimise to the end: the best answer is to put *every* sample where $D$ is largest. Only the next move of $D$ punishes it. So we let the generator move five times for each move of the discriminator, on eight heaps in a ring, with three runs each. A heap counts as covered if at least 2% of the points lie within three of its standard deviations.

# %%
turn = np.arange(8) * np.pi / 4
heaps = 2 * np.stack([np.cos(turn), np.sin(turn)], axis=-1)
noise = np.random.default_rng(4).standard_normal((3, 1000, 2), "float32")


def ring(rng, shape):
    return heaps[rng.integers(0, 8, shape)] + 0.1 * rng.standard_normal((*shape, 2))


def covered(points):
    far = np.linalg.norm(points[:, None] - heaps, axis=-1)
    near = far.min(1) < 0.3
    share = np.bincount(far.argmin(1)[near], minlength=8) / len(points)
    return int(np.sum(share >= 0.02)), near.mean()


ends = {}
for name, every in (("one move each", 1), ("G moves five times", 5)):

    def watch(step, g, d, name=name):
        if step == toy_steps:
            ends[name] = forward(g, noise)[0]

    play(ring, 2, toy_steps, watch, runs=3, d_every=every, rate=2e-3)
figure, axes = plt.subplots(1, 6, figsize=(13, 2.5), layout="constrained")
for axis, (name, run, points) in zip(
    axes, [(n, k, e[k]) for n, e in ends.items() for k in range(3)]
):
    axis.plot(*heaps.T, "o", color=plot.SKY, ms=11, alpha=0.5)
    axis.plot(*points.T, ".", color=plot.ORANGE, ms=1.5)
    axis.set(title=f"{name}\nrun {run + 1}", xlabel="feature 1", aspect="equal")
    axis.set(xlim=(-3.2, 3.2), ylim=(-3.2, 3.2))
    count, near = covered(points)
    print(f"{name:20s} run {run + 1}: {count} of 8 heaps, {near:.0%} of the points near one")
axes[0].set_ylabel("feature 2")
plt.show()

# %% [markdown]
# *Blue: the eight heaps of the data. Orange: 1,000 made points. Each panel is another start.*
#
# With one move each all eight heaps are covered in every run. With five moves of $G$ at most two are, and only one point in nine lies near any heap: the noise is squeezed towards wherever $D$ happens to be large. It is no fault of the networks, which are the same in all six panels, but of the *order*: $\min_G\max_D$ has become $\max_D\min_G$.
#
# ### A discriminator that wins
#
# The other extreme: the generator never moves, and $D$ learns until it is sure. What is left for $G$ to learn from? By the logit, with $\frac{d}{da}\sigma=\sigma(1-\sigma)$:
#
# $$\frac{d}{da}\log\big(1-\sigma(a)\big)=-\sigma(a)\qquad\frac{d}{da}\big(-\log\sigma(a)\big)=-\big(1-\sigma(a)\big)$$
#
# For a made picture with $a=-5$, so $\sigma(a)=0.0067$: the minimax loss pulls with 0.0067, the non-saturating one with 0.9933, 148 times as much. To see it happen, a perceptron learns garments against the noise of an untrained one.

# %%
a = np.float32([-5])
for name, expected in (("minimax", -0.0067), ("non_saturating", -0.9933)):
    assert np.isclose(gradient(players(name).generator, a), expected, atol=1e-4)

flat = train.images.reshape(len(train.images), -1) / np.float32(127.5) - 1
noise = np.random.default_rng(4).standard_normal((1, 256, 16), "float32")
trace = []


def pull(step, g, d):
    answers, seen = forward(d, forward(g, noise)[0])
    sizes = []
    for weight in (sigmoid(answers), 1 - sigmoid(answers)):  # of minimax, of non-saturating
        sizes.append(np.linalg.norm(backward(d, seen, -weight)[1], axis=-1).mean())
    trace.append((sigmoid(answers).mean(), *sizes))


play(
    lambda rng, shape: flat[rng.integers(0, len(flat), shape)],
    latent=16,
    steps=pw.budget.get(CHAPTER, "winning_steps"),
    look=pull,
    g_every=0,
)
belief, weak, strong = np.array(trace).T
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3), layout="constrained")
left.semilogy(belief, color="black")
left.set(xlabel="step of D", ylabel="D's belief in made pictures")
right.semilogy(strong, color=plot.BLUE, label="non-saturating")
right.semilogy(weak, color=plot.RED, label="minimax")
right.set(xlabel="step of D", ylabel="slope by the picture, length")
right.legend(frameon=False)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
plt.show()
print(f"at the end the minimax slope is {weak[-1] / strong[-1]:.1e} of the non-saturating one")

# %% [markdown]
# *Left: how probable $D$ holds made pictures to be real. Right: the slope that each loss passes to them, the mean length over 256 pictures. The curves level off because the rate falls to nothing.*
#
# With the minimax loss a generator that falls behind stays behind. The non-saturating loss keeps its pull; whether it pulls in a useful direction the figure does not say.
#
# ### Checkerboards
#
# A transposed convolution of stride 2 writes its kernel at every second place and adds where the copies overlap. In one dimension, with a kernel of 3 and away from the borders: places 2, 4, ... are written by the first and the last weight of neighbouring copies, places 1, 3, ... by the middle weight alone. Overlaps 1, 2, 1, 2. With a kernel of 4 every inner place is written twice. In two dimensions they multiply: 4, 2 and 1, a pattern that training has to undo (Odena et al. 2016); with a kernel that the stride divides the overlaps are even.

# %%
counts = {}
for kernel in (3, 4):
    layer = layers.Conv2DTranspose(1, kernel, 2, "valid", kernel_initializer="ones")
    counts[kernel] = numpy(layer(np.ones((1, 6, 6, 1))))[0, 3:9, 3:9, 0]
one_row = {3: [1, 2, 1, 2, 1, 2], 4: [2] * 6}
assert all(np.allclose(counts[k], np.outer(one_row[k], one_row[k])) for k in (3, 4))

latents = np.random.default_rng(5).standard_normal((500, 64))
shown, titles = [counts[3], counts[4]], ["overlaps, kernel 3", "overlaps, kernel 4"]
for name, some in (("kernel 3", {"kernel": 3}), ("kernel 4", {}), ("resized", {"up": "resize"})):
    keras.utils.set_random_seed(0)
    made = GAN(dcgan_generator(**some), dcgan_discriminator()).generate(latents)[..., 0]
    strength = made.std(axis=0)[6:22, 6:22]
    shown.append(strength / strength.mean())
    titles.append(f"untrained, {name}")
    cells = [strength[i::2, j::2].mean() for i in (0, 1) for j in (0, 1)]
    print(f"{name}: places of a 2 x 2 cell differ by a factor of {max(cells) / min(cells):.2f}")
figure = plot.grid([("", shown)], titles, scale=2.1)
for axis, values in zip(figure.axes, shown):
    axis.images[0].set(cmap="cividis", clim=(0, 4) if len(values) == 6 else (0.3, 1.7))
for axis, values in zip(figure.axes[:2], shown):
    for (i, j), value in np.ndenumerate(values):
        colour = "black" if value > 2 else "white"
        axis.text(j, i, f"{value:.0f}", ha="center", va="center", color=colour)
plt.show()

# %% [markdown]
# *Left: how often each place is written. Right: how strongly each pixel of an untrained generator varies over 500 latents, relative to the mean, the middle 16 x 16 pixels.*
#
# Doubling the map bilinearly and then convolving (*resized*) has no overlaps either; there the values of neighbours are blended instead.
#
# ## The remedies, under one budget
#
# | remedy | meant against | how |
# |---|---|---|
# | non-saturating loss (Goodfellow et al. 2014) | vanishing slopes | $-\log\sigma(a)$ |
# | WGAN-GP, Wasserstein GAN with gradient penalty (Gulrajani et al. 2017) | a $D$ too sharp to learn from | no sigmoid; $D$'s slope between real and made pictures is held near 1 |
# | spectral norm, hinge (Miyato et al. 2018) | the same | each kernel is divided by its largest stretch; $D$ is charged only up to a margin |
# | TTUR, two time-scale update rule (Heusel et al. 2017) | $G$ running ahead of $D$ | two rates: $D$'s is doubled here, $G$'s stays |
# | R1 (Mescheder et al. 2018) | circling | $D$'s slope at real pictures costs |
# | EMA, exponential moving average | circling | $G$'s weights averaged over about the last hundred steps |
# | DiffAugment (Zhao et al. 2020) | few pictures: $D$ learns them by heart | real and made ones are shifted and cut in the same ways before $D$ sees them |
#
# Each is an argument or a few of `GAN`, its networks, its optimizer or the training. All were trained with the same data, width, batch and 800<!-- result gan_short-seed0 steps --> steps, with three seeds each (500 pictures: two). WGAN-GP has Adam's momentum at 0 and $\beta_2=0.9$ and moves the generator in every second step only, so its generator had half of the moves. R1 has $\gamma=0.1$. None was tuned for this budget. WGAN-GP, spectral norm and R1 ask for a discriminator without batch normalisation: they charge or bound the slope at *one* picture, which must not depend on the others of its batch.

# %%
remedies = {
    "minimax": "gan_short_minimax",
    "non-saturating": "gan_short",
    "WGAN-GP": "gan_short_wgan_gp",
    "spectral norm, hinge": "gan_short_hinge",
    "TTUR": "gan_short_ttur",
    "R1": "gan_short_r1",
    "EMA": "gan_short_ema",
    "500 pictures": "gan_few",
    "500, DiffAugment": "gan_few_diffaugment",
}
table = {name: pw.results.read(recipe)["test"] for name, recipe in remedies.items()}
print(f"{'':21s} FID            precision    recall       classes, mean")
for name, r in table.items():
    cells = [f"{r[key]['mean']:.2f} +- {r[key]['std']:.2f}" for key in ("precision", "recall")]
    value = f"{r['fid_garments']['mean']:6.2f} +- {r['fid_garments']['std']:5.2f}"
    print(f"{name:21s}{value} {cells[0]} {cells[1]} {r['classes']['mean']:.1f}")
figure, axes = plt.subplots(1, 2, figsize=(10, 3.4), layout="constrained", sharey=True)
colours = [plot.RED, plot.BLUE, *[plot.SKY] * 5, plot.ORANGE, plot.ORANGE]
for axis, key in zip(axes, ("fid_garments", "recall")):
    means, spread = ([r[key][part] for r in table.values()] for part in ("mean", "std"))
    axis.barh(range(len(table)), means, xerr=spread, color=colours, capsize=4)
    axis.spines[["top", "right"]].set_visible(False)
axes[0].set_yticks(range(len(table)), table)
axes[0].invert_yaxis()
axes[0].set(xlabel="FID, garment features (less is better)")
axes[1].set(xlabel="recall (more is better)")
plt.show()

# %% [markdown]
# *Means over the seeds, with their standard deviation. Red: minimax. Blue: the plain non-saturating loss. Light blue: a remedy. Orange: 500 pictures.*
#
# A difference counts here if it is larger than the two standard deviations together. With three seeds this is a rule of thumb.

# %%
pairs = [("non-saturating", name) for name in list(table)[2:7]]
pairs = [("minimax", name) for name in list(table)[1:7]] + pairs
for base, name in [*pairs, ("500 pictures", "500, DiffAugment")]:
    one, other = table[base]["fid_garments"], table[name]["fid_garments"]
    gap, limit = other["mean"] - one["mean"], one["std"] + other["std"]
    verdict = "no clear difference" if abs(gap) <= limit else "better" if gap < 0 else "worse"
    print(f"{name:21s} against {base:15s} {gap:+7.2f} FID, {verdict}")

# %% [markdown]
# Every one of them beats the minimax loss, which ends in one class out of ten in each run. Precision alone would have missed it: the minimax run of seed 0 made nothing but bags, at a precision of 0.93<!-- result gan_short_minimax-seed0 test.precision --> and a recall of 0.
#
# None beats the plain non-saturating loss, which has FID 11.7<!-- result gan_short test.fid_garments.mean -->, within 800 steps. Two rates and averaged weights change nothing that three seeds could show. The three that hold the discriminator's slope are behind. They also take batch normalisation out of the discriminator, and no run here separates the two. A remedy can only help where the illness is. The plain game was not ill in so short a time; what the remedies are known for are long trainings, large networks and pictures in colour, and of these only one was measured, averaged weights in a longer training, below.
#
# The last two bars say the same. With 500 pictures the discriminator meets each of them 102 times ($800\cdot64/500$), and that is not yet often enough to hurt: the plain game does no worse than with all 12,000. So DiffAugment has nothing to mend, and makes the discriminator's task harder.
#
# Do averaged weights help in a longer game? The conditional network of the next section, trained for 3000<!-- result gan_long-seed0 steps --> steps from three seeds, once keeping the last weights and once their average over about the last thousand steps:

# %%
for name, recipe in {"last weights": "gan_long", "averaged": "gan_long_ema"}.items():
    fid = [pw.results.get(f"{recipe}-seed{s}", "test.fid_garments") for s in range(3)]
    print(f"{name:13s} FID", *(f"{value:5.2f}" for value in fid), f" mean {np.mean(fid):.2f}")

# %% [markdown]
# Averaged weights are better in each of the three trainings. The gain is smaller than the spread of the seeds; but averaging changes nothing in the game itself, so both rows come from the *same* three trainings, and each pair may be compared by itself. A small gain, and it costs nothing.
#
# ## Told the class
#
# A generator that gives *some* garment is of little use if you want a bag. In a *conditional* GAN (Mirza and Osindero 2014) both players are told the class $c$. In $G$ it chooses the scale and shift of each batch normalisation. In $D$ it enters the score as a *projection* (Miyato and Koyama 2018) of the last features $f$, with $w$ and $b$ of the last layer as before and a learned vector $v_c$ for each class:
#
# $$a=w\cdot f+b+v_c\cdot f$$
#
# The first part asks whether the picture looks real, the last whether it looks like its class. By hand: $f=(1,2)$, $w=(0.5,-0.25)$, $b=0.1$, and two classes with $v_0=(1,0)$ and $v_1=(-1,0.5)$. As class 0 the picture gets $0+0.1+1=1.1$, as class 1 $0+0.1+0=0.1$.

# %%
f, w, b = np.float32([1, 2]), np.float32([0.5, -0.25]), 0.1
v = np.float32([[1, 0], [-1, 0.5]])
score = ProjectionScore(2)
score.build([(None, 2), (None,)])
score.set_weights([w[:, None], np.float32([b]), v])
answers = numpy(score([np.stack([f, f]), np.array([0, 1])])).ravel()
assert np.allclose(answers, [w @ f + b + v[c] @ f for c in (0, 1)])
assert np.allclose(answers, [1.1, 0.1])

latents = np.random.default_rng(6).standard_normal((10, 64))
sheet = recorded.generate(np.tile(latents, (10, 1)), np.repeat(in_order, 10))[..., 0]
plot.grid([(name, list(sheet[10 * k : 10 * k + 10])) for k, name in enumerate(CLASSES)], scale=0.9)
plt.show()

asked = np.repeat(in_order, 50)
named = features.classify(recorded.sample(500, seed=7, labels=asked))
agreed = [np.mean(named[asked == c] == c) for c in in_order]
print(f"named as asked: {np.mean(named == asked):.0%},", end=" ")
print(", ".join(f"{name} {share:.0%}" for name, share in zip(CLASSES, agreed)))

# %% [markdown]
# *A row for each class, a column for each of ten latents.*
#
# Within a column the latent is the same, and with it what is not the class: how dark, how wide, how long the sleeves. The classifier names most of them as asked. It is itself wrong on about one real shirt in four (`results/garment_classifier.json`), so low shares there are not the generator's alone.
#
# ## What the source article says, and what is true
#
# The article gives GANs three steps and no line of code: train a generator that maps noise to meaningful pictures; train a discriminator; then minimise the game between them. Its answer to "How does one train a GAN?" repeats them.
#
# | The article | What is true |
# |---|---|
# | First the generator is trained | By what loss? Its only teacher is the discriminator. Against one that stands still, its best answer is a single point. |
# | Then the discriminator | Against a generator that stands still it wins, and the minimax slope vanishes: measured above. The two move in turn, or together, from the first step. |
# | The game is "minimised" | One player maximises what the other minimises, and in practice $G$ has a loss of its own. Descent can circle for ever. |
# | A "binary optimisation problem" | A game of two players; binary is only the question that $D$ answers. |
# | The networks "gradually improve the generator" | Not by themselves: they may collapse or circle, or $D$ may win. None is mentioned. |
# | Generation is for completion, correction and creation | The generator samples from a distribution. Completion needs a condition, the visible part: chapter *Segment, then generate*. |
# | Nothing on quality | FID, precision and recall, each with its features and its number of samples. |
# | Goodfellow et al., "arXiv 2014"; Radford et al., "arXiv 2015" | Published at NIPS 2014 and ICLR 2016. |
#
# The whole table, for every section of the article, is in [ERRATA.md](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md).
#
# ## Exercises
#
# Replace the line `pw.exercises.todo()` by your answer and run the check below it. The solutions are in `chapters/solutions/06_gan.ipynb`.

# %% [markdown] tags=["exercise"]
# ### Exercise 1: how often a place is written
#
# A transposed convolution in one dimension, without padding, writes its kernel of `kernel` weights `inputs` times: the copies begin at the places `0`, `stride`, `2 * stride`, ... of its output. Write the function that returns, for every place of the output, how often it is written. (The output ends with the last copy.)


# %% tags=["exercise"]
def overlaps(inputs, kernel, stride):
    # BEGIN SOLUTION
    written = np.zeros((inputs - 1) * stride + kernel, int)
    for first in range(0, inputs * stride, stride):
        written[first : first + kernel] += 1
    return written
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    assert np.array_equal(overlaps(3, 3, 2), [1, 1, 2, 1, 2, 1, 1]), "The kernel of 3 of the text."
    assert np.array_equal(overlaps(3, 4, 2), [1, 1, 2, 2, 2, 2, 1, 1]), "Even inside, with 4."
    assert np.array_equal(overlaps(2, 2, 3), [1, 1, 0, 1, 1]), "A place may stay empty."
    layer = layers.Conv1DTranspose(1, 5, 3, "valid", kernel_initializer="ones", use_bias=False)
    wanted = numpy(layer(np.ones((1, 4, 1), "float32"))).ravel()
    assert np.array_equal(overlaps(4, 5, 3), wanted), "Keras' layer of ones counts otherwise."

# %% [markdown] tags=["exercise"]
# ### Exercise 2: the hinge
#
# With the hinge loss the discriminator pays for a real picture what its logit lacks to 1, for a made one what its logit exceeds $-1$, and never less than nothing. Its loss is the mean over the real ones plus the mean over the made ones. The generator pays minus the mean logit of what it made. Return both losses, the discriminator's first.


# %% tags=["exercise"]
def hinge(a_real, a_made):
    # BEGIN SOLUTION
    loss_d = np.maximum(0, 1 - a_real).mean() + np.maximum(0, 1 + a_made).mean()
    return loss_d, -a_made.mean()
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("2"):
    assert np.allclose(hinge(np.array([2.0, 3]), np.array([-2.0, -4])), [0, 3]), (
        "Beyond the margin the discriminator pays nothing, the generator still does."
    )
    assert np.allclose(hinge(np.zeros(2), np.zeros(2)), [2, 0]), (
        "Undecided, it pays 1 for each kind."
    )
    a, b = np.random.default_rng(0).normal(0, 2, (2, 50))
    library = [players("hinge").discriminator(a, b), players("hinge").generator(b)]
    assert np.allclose(hinge(a, b), [numpy(x) for x in library], atol=1e-5), (
        "The library's losses are others."
    )

# %% [markdown] tags=["exercise"]
# ### Exercise 3: the distance of two Gaussians
#
# Write the squared Fréchet distance of two Gaussians, given means and covariance matrices of any size. (Hint: the trace of the root of a matrix is the sum of the roots of its eigenvalues. Rounding may leave a tiny imaginary or negative part.)


# %% tags=["exercise"]
def distance(m1, c1, m2, c2):
    # BEGIN SOLUTION
    roots = np.sqrt(np.maximum(np.linalg.eigvals(c1 @ c2).real, 0))
    gap = np.asarray(m1) - np.asarray(m2)
    return gap @ gap + np.trace(c1) + np.trace(c2) - 2 * roots.sum()
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("3"):
    assert np.isclose(distance(np.array([0]), np.eye(1), np.array([3]), 4 * np.eye(1)), 10), (
        "The line of the text."
    )
    means = np.array([0, 0]), np.array([1, 2])
    example = distance(means[0], np.array([[5.0, 4], [4, 5]]), means[1], np.eye(2))
    assert np.isclose(example, 9), "The plane of the text."
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 40, 5)) * [[[1.0]], [[3.0]]]
    b = b @ rng.normal(size=(5, 5))
    moments_of = [part for x in (a, b) for part in (x.mean(0), np.cov(x, rowvar=False))]
    assert np.isclose(distance(*moments_of), frechet_distance(*moments_of)), (
        "In five dimensions the library finds another value."
    )
    assert np.isclose(distance(*moments_of), fid(a, b)), "And FID is this, of two samples."

# %% [markdown] tags=["exercise"]
# ### Exercise 4: precision
#
# Write the share of the points `made` that lie in the ball of at least one point of `real`; a ball reaches to the `k`-th nearest *other* point of `real`, its edge included. Both are `(points, features)`.


# %% tags=["exercise"]
def precision(real, made, k):
    # BEGIN SOLUTION
    among = np.linalg.norm(real[:, None] - real, axis=-1)
    radii = np.sort(among, axis=1)[:, k]  # the nearest of all is the point itself
    far = np.linalg.norm(made[:, None] - real, axis=-1)
    return np.mean((far <= radii).any(axis=1))
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("4"):
    real = np.array([[0.0], [1.0], [3.0]])
    made = np.array([[-0.5], [1.5], [4.5], [6.0]])
    assert precision(real, made, 1) == 0.75, "With k = 1 the radii are 1, 1 and 2."
    assert precision(real, made, 2) == 1, "With k = 2 they are 3, 2 and 3."
    assert precision(real, np.array([[9.0]]), 2) == 0, "This one lies in no ball."
    a, b = np.random.default_rng(0).normal(size=(2, 60, 3))
    for k in (1, 3):
        both = generation.precision_recall(a, b + 1, k=k)
        assert np.isclose(precision(a, b + 1, k), both.precision), "The library's is another."
        assert np.isclose(precision(b + 1, a, k), both.recall), "Exchanged, it is recall."

# %% [markdown] tags=["exercise"]
# ### Exercise 5: from one latent to another
#
# Halfway on the straight line between two latents lies a vector that is too short, about 5.6: the generator has hardly ever seen one like it, for in 64 dimensions 99% of the noise has a length between 6.2 and 9.8. Walk along the arc instead: with the angle $\omega$ between $z_0$ and $z_1$,
#
# $$z(t)=\frac{\sin((1-t)\,\omega)}{\sin\omega}\,z_0+\frac{\sin(t\,\omega)}{\sin\omega}\,z_1$$
#
# Return the vectors for the list `t`, `(len(t), latent)`.


# %% tags=["exercise"]
def arc(z0, z1, t):
    # BEGIN SOLUTION
    cosine = z0 @ z1 / (np.linalg.norm(z0) * np.linalg.norm(z1))
    omega, t = np.arccos(np.clip(cosine, -1, 1)), np.asarray(t)[:, None]
    return (np.sin((1 - t) * omega) * z0 + np.sin(t * omega) * z1) / np.sin(omega)
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("5"):
    along = arc(np.array([2.0, 0]), np.array([0, 2.0]), [0, 0.5, 1])
    assert np.allclose(along[[0, 2]], [[2, 0], [0, 2]]), "It begins at the first, ends at the last."
    assert np.allclose(along[1], np.sqrt(2)), "Halfway on a quarter of a circle of radius 2."
    end = arc(np.array([1.0, 0]), np.array([0, 3.0]), [1])
    assert np.allclose(end, [[0, 3]]), "The ends keep their own lengths."
    z0, z1 = np.random.default_rng(0).normal(size=(2, 64))
    z1 *= np.linalg.norm(z0) / np.linalg.norm(z1)
    steps_between = np.linspace(0, 1, 9)
    lengths = np.linalg.norm(arc(z0, z1, steps_between), axis=1)
    assert np.allclose(lengths, lengths[0]), "All have the length of the two ends."
    gaps = np.linalg.norm(np.diff(arc(z0, z1, steps_between), axis=0), axis=1)
    assert np.allclose(gaps, gaps[0]), "Equal steps of t are equal steps on the arc."

# %% [markdown]
# ## Summary
#
# - A GAN learns a distribution from samples by a game: the discriminator learns $p/(p+q)$, the generator follows its slope.
# - A game is not a loss. Descent may circle, and neither loss says how good the pictures are.
# - Neither player may run far ahead. A generator that runs ahead collapses, a discriminator that runs ahead leaves it nothing to learn, most of all with the minimax loss.
# - DCGAN's rules are a starting point: measure what each is worth. A kernel that the stride divides overlaps evenly.
# - FID is a distance between Gaussians in some network's features: same features and same numbers of samples, or no comparison. Precision and recall say what is wrong and what is missing.
# - A remedy is worth what it changes under the same budget, by more than seeds do.
#
# A GAN can draw pictures and cannot say how probable one is. The next chapter's model can, nearly: variational autoencoders.
#
# **Further reading**
#
# - Ian Goodfellow and others. Generative Adversarial Nets. NIPS 2014, [arXiv 1406.2661](https://arxiv.org/abs/1406.2661).
# - Alec Radford, Luke Metz, Soumith Chintala. Unsupervised Representation Learning with Deep Convolutional Generative Adversarial Networks. ICLR 2016, [arXiv 1511.06434](https://arxiv.org/abs/1511.06434).
# - Lars Mescheder, Andreas Geiger, Sebastian Nowozin. Which Training Methods for GANs do actually Converge? ICML 2018, [arXiv 1801.04406](https://arxiv.org/abs/1801.04406).
# - Ishaan Gulrajani and others. Improved Training of Wasserstein GANs. NIPS 2017, [arXiv 1704.00028](https://arxiv.org/abs/1704.00028).
# - Takeru Miyato and others. Spectral Normalization for Generative Adversarial Networks. ICLR 2018, [arXiv 1802.05957](https://arxiv.org/abs/1802.05957).
# - Takeru Miyato, Masanori Koyama. cGANs with Projection Discriminator. ICLR 2018, [arXiv 1802.05637](https://arxiv.org/abs/1802.05637).
# - Martin Heusel and others. GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium. NIPS 2017, [arXiv 1706.08500](https://arxiv.org/abs/1706.08500).
# - Tuomas Kynkäänniemi and others. Improved Precision and Recall Metric for Assessing Generative Models. NeurIPS 2019, [arXiv 1904.06991](https://arxiv.org/abs/1904.06991).
# - Mikołaj Bińkowski and others. Demystifying MMD GANs. ICLR 2018, [arXiv 1801.01401](https://arxiv.org/abs/1801.01401).
# - Mario Lucic and others. Are GANs Created Equal? A Large-Scale Study. NeurIPS 2018, [arXiv 1711.10337](https://arxiv.org/abs/1711.10337).
# - Shengyu Zhao and others. Differentiable Augmentation for Data-Efficient GAN Training. NeurIPS 2020, [arXiv 2006.10738](https://arxiv.org/abs/2006.10738).
# - Augustus Odena, Vincent Dumoulin, Chris Olah. Deconvolution and Checkerboard Artifacts. Distill 2016, [doi 10.23915/distill.00003](https://doi.org/10.23915/distill.00003).
#
# **How to cite** this chapter: *The Pixelwise authors, Pixelwise: image segmentation and generation, from the mathematics to running code, chapter "GAN", 2026.* The file `CITATION.cff` has the entry for the book.
