# %% [markdown]
# # VAE
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/07_vae.ipynb)
#
# A GAN makes pictures and cannot say how likely one is. A *variational autoencoder* (VAE, Kingma and Welling 2014) can, within a bound: it is a model of the distribution of pictures, with an encoder that says where in it a given picture lies. That makes it the tool for all that starts from a picture: completing it, cleaning it, changing it.
#
# **After this chapter you can**
#
# - say why an autoencoder is no generator, and what the KL divergence adds;
# - work a bound by hand, check it by integration, and read nats and bits per dimension;
# - build a convolutional VAE from parts, train and measure it;
# - recognise a collapsed posterior and a mis-scaled KL from the KL in nats and the active latents;
# - choose between VAE, conditional VAE, VQ-VAE and GAN by measurement.
#
# **You need** chapter *The mathematics of pixels* (KL, the ELBO derived twice, reparameterisation) and, for the comparison at the end, *GAN* (FID, precision and recall).
#
# **Time and memory:** 107<!-- result chapters 07_vae.quick.seconds --> seconds and 1073<!-- result chapters 07_vae.quick.peak_memory_mib --> MiB on two cores without a GPU, training included. On a GPU the notebook takes the *full* budget, with as many steps as the recorded network had, 4,000<!-- result vae_garments steps -->.

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
from scipy import stats

from pixelwise import plot
from pixelwise.data import fashion
from pixelwise.metrics import features, generation, likelihood
from pixelwise.models import completion
from pixelwise.models.vae import VAE
from pixelwise.models.vae_networks import vae, vqvae
from pixelwise.nn import divergences, likelihoods
from pixelwise.nn.codebook import Codebook

CHAPTER = "07_vae"
NAMES = (
    "top",
    "trousers",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "boot",
)


def numpy(values):
    """An array of the backend, or a dict or list of them, as NumPy."""
    return keras.tree.map_structure(ops.convert_to_numpy, values)


def show(rows, titles=(), scale=0.95):
    """Pictures (height, width, 1) in rows, black is 0 and white is 1 in all of them."""
    figure = plot.grid(
        [(name, [x[..., 0] for x in row]) for name, row in rows], titles, scale=scale
    )
    for picture in (image for axis in figure.axes for image in axis.images):
        picture.set_clim(0, 1)
    plt.show()


def tidy(*axes):
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)


# %% [markdown]
# ## The answer first
#
# Fashion-MNIST in black and white, and two models recorded with this chapter, neither of which has seen these pictures. The VAE keeps 32 numbers of a picture and finds it again; and it makes new ones, from 32 numbers drawn at random. The VQ-VAE of the last row keeps a map of 7 x 7 code numbers and draws new maps.

# %%
count = pw.budget.get(CHAPTER, "test_batches")
grey = pw.data.load("garments", "test", batch_size=200, num_batches=count)
test = pw.data.load("garments", "test", batch_size=200, num_batches=count, binarise="dynamic")
recorded = pw.weights.checkpoint(vae(width=16), "vae_garments")
quantised = vqvae(codes=128, width=16, prior_width=32)
quantised = pw.weights.checkpoint(quantised, "vqvae_garments")

(grey_pictures, labels), (pictures, _) = grey[0], test[0]
one_each = [np.flatnonzero(labels == k)[0] for k in range(10)]
rows = [
    ("grey", grey_pictures[one_each]),
    ("in black\nand white", pictures[one_each]),
    ("found\nagain", recorded.reconstruct(pictures[one_each])),
    ("new:\nVAE", recorded.sample(10, seed=1)),
    ("new:\nVQ-VAE", quantised.sample(10, seed=1)),
]
show(rows, NAMES)

# %% [markdown]
# What is found again is smooth where the picture has grain, and what is drawn is smoother still. Both follow from what the model says of pixels, as we shall see.
#
# ## An autoencoder is no generator
#
# An autoencoder squeezes a picture through a few numbers, its *code*, and learns to undo it. Its decoder turns codes into pictures: give it new codes, and it should make new pictures? The codes of 12,000 pictures are points in a space of 32 dimensions, which is nearly all *holes*: where no code lies, the decoder has learned nothing. (With two numbers the points fill the plane, and one does not see it.)
#
# Here are two equal networks, 784-200-200-32 and back, trained for the same steps. In the first the code is free. In the second two things change: the encoder gives a mean and a variance, and the decoder gets a *draw* from that normal; and the KL divergence from the standard normal is paid for. That is the whole VAE. (In code: the first has the weight 0 for the KL; its variance starts near 0, $e^{-12}$, and as no KL pulls it up, it stays there.)

# %%
train = pw.data.load(
    "garments",
    "train",
    batch_size=pw.budget.get(CHAPTER, "batch_size"),
    binarise="dynamic",
    held_out=0,
)
dense_steps, samples = pw.budget.get(CHAPTER, "dense_steps"), pw.budget.get(CHAPTER, "samples")


def train_dense(weight):
    """A dense VAE with a weight of the KL, trained for a moment."""
    keras.utils.set_random_seed(0)
    model = vae("dense", latent=32, beta=weight)
    if weight == 0:  # no noise either: an autoencoder
        model.encoder.get_layer("encoder-log_variance").bias.assign(np.full(32, -12.0))
    model.compile(keras.optimizers.Adam(2e-3))
    pw.training.fit(model, train, dense_steps, show=False)
    return model


dense = {"AE": train_dense(0.0), "VAE": train_dense(1.0)}
real = np.concatenate([grey[i][0] for i in range(count)])[:samples]
real_features = features.features(real)
noise = np.random.default_rng(0).standard_normal((samples, 32)).astype("float32")
some = np.concatenate([train[i][0] for i in range(8)])
garments = np.concatenate([test[i][0] for i in range(count)])  # all test pictures, binarised


def fid_of(made):
    return float(generation.fid(real_features, features.features(made)))


rows = []
for name, model in dense.items():
    found = {"found again": model.reconstruct(garments[:samples]), "N(0, I)": model.decode(noise)}
    if name == "AE":
        codes = model.encode(some)
        root = np.linalg.cholesky(np.cov(codes.T)).astype("float32")
        found["spread"] = model.decode(codes.mean(0) + codes.std(0) * noise)
        found["covariance"] = model.decode(codes.mean(0) + noise @ root.T)
    rows += [(f"{name}:\n{kind}", made[:10]) for kind, made in found.items()]
    texts = [f"{kind} {fid_of(made):.0f}" for kind, made in found.items()]
    print(f"FID, {name:4s}", ", ".join(texts))
show(rows)

# %% [markdown]
# *AE: the autoencoder. Codes come from pictures ("found again"), from the standard normal, from a normal with the mean and spread of each of the 32 numbers ("spread"), or with their covariance too.* FID is in the features of the book's garment classifier; lower is better. (The pictures found again are copies of the very pictures they are held against, which flatters them: compare draws with draws.) The autoencoder finds pictures again best, and draws from the standard normal fall into holes. The mean and spread of each number of the code do not mend it, for the 32 numbers are correlated. With their covariance draws look like garments, and this FID may even be better than that of a VAE trained so briefly; but that is a second model, one of the codes, fitted afterwards. In the VAE the codes themselves were pushed to fill the region from which we draw.
#
# ## One bound, by hand
#
# The chapter on mathematics derived the *evidence lower bound*, ELBO, of a picture $x$:
#
# $$\log p(x)\;\ge\;\mathbb{E}_{z\sim q(z\mid x)}\big[\log p(x\mid z)\big]-\mathrm{KL}\big(q(z\mid x)\,\Vert\,p(z)\big)$$
#
# Read with the sign turned, it is a *cost of a message*, in nats: to send $x$, first send a code (on average it costs the KL: how much more the encoder's $q$ says than the receiver's prior), then what the decoder does not know (the *reconstruction* term).
#
# Take a picture of 2 x 2 black-and-white pixels, $x=(1,1,0,0)$, and one latent $z$. The decoder says pixel $i$ is white with probability $1/(1+e^{-w_iz})$, $w=(2,1,-1,-2)$. The encoder says $\mu=0.8$, $\log\sigma^2=-1$. Draw the noise $\varepsilon=0.5$: $z=0.8+0.607\cdot0.5=1.103$, and the logits $w_iz$ are $2.207, 1.103, -1.103, -2.207$. A white pixel with logit $a$ costs $\log(1+e^{-a})$, a black one $\log(1+e^{a})$: here $0.104+0.286+0.286+0.104=0.782$. The code costs $\tfrac12(\mu^2+\sigma^2-1-\log\sigma^2)=\tfrac12(0.64+0.368-1+1)=0.504$. Together $1.286$ nats: one draw's estimate, below the mean, as we shall see.

# %% tags=["shared"]
x = np.float32([[1, 1], [0, 0]]).reshape(1, 2, 2, 1)
w, mu, log_variance, epsilon = np.float32([2, 1, -1, -2]), 0.8, -1.0, 0.5

seen, latent = keras.Input((2, 2, 1)), keras.Input((1,))
to_mean, to_log_variance, to_logits = (layers.Dense(n) for n in (1, 1, 4))
flat = layers.Flatten()(seen)
tiny = VAE(
    keras.Model(seen, [to_mean(flat), to_log_variance(flat)]),
    keras.Model(latent, layers.Reshape((2, 2, 1))(to_logits(latent))),
)
to_mean.set_weights([np.full((4, 1), 0.4), np.zeros(1)])  # 0.4 for each white pixel
to_log_variance.set_weights([np.zeros((4, 1)), np.full(1, log_variance)])
to_logits.set_weights([w[None], np.zeros(4)])

# %%
z = mu + np.exp(log_variance / 2) * epsilon  # NumPy
fit = np.sum(np.log1p(np.exp(np.where(x.ravel() == 1, -w * z, w * z))))
kl = 0.5 * (mu**2 + np.exp(log_variance) - 1 - log_variance)

said = tiny.encoder(x)  # Keras
drawn = said[0] + ops.exp(said[1] / 2) * epsilon
white = ops.sigmoid(tiny.decoder(drawn))
each = keras.losses.binary_crossentropy(x, white)  # of each pixel; the last axis has only one
keras_kl = 0.5 * ops.sum(said[0] ** 2 + ops.exp(said[1]) - 1 - said[1])

loss, parts = tiny.objective(x, None, tiny(x), np.full((1, 1, 1), epsilon, "float32"))  # library
assert np.isclose(fit, 0.782, atol=1e-3) and np.isclose(kl, 0.504, atol=1e-3)
assert np.allclose([numpy(ops.sum(each)), numpy(parts["reconstruction"])], fit, atol=1e-4)
assert np.allclose([numpy(keras_kl), numpy(parts["kl"])], kl, atol=1e-4)
assert np.isclose(numpy(loss), 1.286, atol=1e-3)

# %% [markdown]
# With one latent everything can be had exactly, by summing over a fine grid of $z$: the evidence $\log p(x)$, the posterior $p(z\mid x)$, and the bound of *any* normal $q$.

# %%
grid = np.arange(-8, 8, 0.01)
likely = -np.log1p(np.exp(-np.outer(grid, w * [1, 1, -1, -1]))).sum(axis=1)  # log p(x | z)
joint = likely + stats.norm.logpdf(grid)
evidence = np.log(np.sum(np.exp(joint)) * 0.01)


def costs(mean, deviation):
    """What a normal q costs: the reconstruction and the KL, by integration."""
    q = stats.norm.pdf(grid, mean, deviation)
    against = stats.norm.logpdf(grid, mean, deviation) - stats.norm.logpdf(grid)
    return -np.sum(q * likely) * 0.01, np.sum(q * against) * 0.01


tried = [
    (mean, deviation) for mean in np.arange(0, 2, 0.05) for deviation in np.arange(0.3, 1.3, 0.05)
]
best = min(tried, key=lambda pair: sum(costs(*pair)))
answers = {"encoder": (mu, np.exp(log_variance / 2)), "best normal": best, "prior": (0, 1)}
for name, pair in answers.items():
    assert sum(costs(*pair)) >= -evidence  # the bound holds for every q
    print(f"{name:11s}", "costs {:.3f} + {:.3f} nats".format(*costs(*pair)), end=", ")
    print(f"{sum(costs(*pair)) + evidence:.3f} too much: -log p(x) = {-evidence:.3f}")

z = mu + np.exp(log_variance / 2) * np.random.default_rng(0).normal(size=100_000)
each = stats.norm.logpdf(z, *answers["encoder"]) - stats.norm.logpdf(z)
estimate, error = divergences.mean_and_error(each)
assert abs(estimate - kl) < 4 * error and np.isclose(costs(*answers["encoder"])[1], kl)
print(f"KL: formula {kl:.4f}, Monte Carlo {estimate:.4f}, standard error {error:.4f}")

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 2.9), layout="constrained")
for (name, pair), colour in zip(answers.items(), (plot.BLUE, plot.ORANGE, plot.GREEN)):
    left.plot(grid, stats.norm.pdf(grid, *pair), color=colour, label=name)
left.plot(grid, np.exp(joint - evidence), color="black", ls="--", label="posterior")
left.set(xlabel="z", ylabel="density", xlim=(-3, 4))
left.legend(frameon=False)
both = np.array([costs(*pair) for pair in answers.values()])
right.barh(list(answers), both[:, 0], color=plot.SKY, label="reconstruction")
right.barh(list(answers), both[:, 1], left=both[:, 0], color=plot.BLUE, label="KL")
right.axvline(-evidence, color="black", ls="--", label="-log p(x)")
right.set(xlabel="cost of the picture in nats", xlim=(0, 4))
right.invert_yaxis()
right.legend(frameon=False, loc="upper right")
tidy(left, right)
plt.show()

# %% [markdown]
# *Left: three answers and the truth, which leans to the right as no normal does. Right: what each answer costs.* An answer can be cheap to send and useless (the prior: no KL), or useful and dear. Even the best normal pays 0.009 nats more than $-\log p(x)$, since the posterior is none. Training lowers the cost through both networks *at once*. (Our one draw cost 1.286; over all draws the encoder's answer costs 1.899. Training uses one draw a picture and lets the batches do the averaging.)
#
# ## What a decoder says of pixels
#
# Three likelihoods are in use (`lib/pixelwise/nn/likelihoods.py`), and they speak of different data:
#
# - **Bernoulli**: a pixel is black or white. Grey pictures are turned into such by drawing each pixel white with its grey value as probability (Salakhutdinov and Murray 2008): *static* if drawn once for all, *dynamic* if anew each time, as here.
# - **Gaussian** with a learned variance: a density over grey values. Times the width of a grey level, $1/255$, it is about the probability of that level.
# - **Discretised logistic** (Kingma et al. 2016): the mass that a logistic bell has over the level's width; the lowest level takes all below, the highest all above. A probability at last: the 256 sum to 1 wherever the mean lies. (Those of the normal in the figure do so too, but only as its mean is far from black and white.)
#
# Nats are for pictures: $-\log p(x)$ of all pixels. *Bits per dimension* are for pixels: $-\log_2p(x)/D$ for $D$ values, that is nats divided by $D\log2$, which for our 784 pixels is 543.4. Noise of 256 equal levels costs 8, black-and-white noise 1. For one grey pixel of level 128 and a decoder that says mean 0.55 and scale 0.05 (a logistic bell of scale $s$ is wider than a normal one, with the standard deviation $1.81\,s$):

# %%
level, mean, scale = 128, 0.55, 0.05
value, half = level / 255, 0.5 / 255
density = np.exp(-0.5 * ((value - mean) / scale) ** 2) / (scale * np.sqrt(2 * np.pi))
upper, lower = (1 / (1 + np.exp(-(value + side - mean) / scale)) for side in (half, -half))
by_hand = {
    "gaussian": -np.log2(density / 255),
    "discretised_logistic": -np.log2(upper - lower),
    "bernoulli": -(value * np.log2(mean) + (1 - value) * np.log2(1 - mean)),
}
pixel = np.full((1, 1, 1, 1), value, "float32")
said = {"bernoulli": [np.log(mean / (1 - mean))]}  # a logit; the others: mean and log-scale
for name, bits in by_hand.items():
    one = likelihoods.read(name)
    numbers = np.float32(said.get(name, [mean, np.log(scale)])).reshape(1, 1, 1, -1)
    assert np.isclose(one.bits(numpy(one.log_prob(pixel, numbers)), 1), bits, atol=1e-4)
    print(f"{name:21s}{bits:.3f} bits")

figure, axes = plt.subplots(
    1, 5, figsize=(10, 2.3), width_ratios=(1, 1, 1, 1, 2.6), layout="constrained"
)
bag = fashion.load("test")[0][one_each[8]]
times = np.random.default_rng(0).random((200, 28, 28)) * 255 < bag
for axis, image in zip(axes, (bag / 255, times[0], times[1], times.mean(axis=0))):
    axis.imshow(image, cmap="gray", vmin=0, vmax=1)
    axis.set_axis_off()
for axis, title in zip(axes, ("grey", "one draw", "another", "mean of 200")):
    axis.set_title(title, fontsize=10)
levels = np.arange(256).reshape(-1, 1, 1, 1).astype("float32") / 255
numbers = np.tile(np.float32([mean, np.log(scale)]), (256, 1)).reshape(256, 1, 1, 2)
for name, colour in (("gaussian", plot.ORANGE), ("discretised_logistic", plot.BLUE)):
    one = likelihoods.read(name)
    mass = np.exp(numpy(one.log_prob(levels, numbers))) * one.level_width
    axes[4].plot(mass, color=colour, label=f"{name.replace('_', ' ')}, sum {mass.sum():.3f}")
axes[4].axvline(level, color="black", lw=0.8, ls=":")
axes[4].set(xlabel="grey level", ylabel="probability", ylim=(0, 0.05))
axes[4].legend(frameon=False, fontsize=8)
tidy(axes[4])
plt.show()

# %% [markdown]
# *Left: our data; on average the draws are the grey picture. Right: the two bells over 256 levels; the dotted line is the pixel.* The third figure, 1.0 bits, looks like a bargain and is none: it pays for a black-and-white pixel, the others for one of 256 levels. **A figure in nats or bits without its data and binarisation says nothing.** (The cross-entropy of grey pictures, printed in many a tutorial, is the *mean* cost of their binarisations and no likelihood of them.)
#
# ## The network from parts
#
# Two convolutions each halve the side, 28 to 14 to 7, a dense layer gathers, two more give $\mu$ and $\log\sigma^2$; the decoder goes the way back and ends in a logit for each pixel. The logarithm, because a variance must be positive; it starts at 0, the prior's. The sample is $z=\mu+\sigma\varepsilon$, so that gradients pass through $\mu$ and $\sigma$ while the noise comes from outside.

# %% tags=["shared"]
SILU = {"activation": "silu", "kernel_initializer": "he_uniform"}


def make_networks(latents=32, width=16):
    """Encoder and decoder of a convolutional VAE for 28 x 28 grey pictures."""
    h = seen = keras.Input((28, 28, 1))
    for channels in (width, 2 * width):
        h = layers.Conv2D(channels, 4, 2, padding="same", **SILU)(h)
    h = layers.Dense(8 * width, **SILU)(layers.Flatten()(h))
    log_variance = layers.Dense(latents, kernel_initializer="zeros")
    encoder = keras.Model(seen, [layers.Dense(latents)(h), log_variance(h)])

    latent = keras.Input((latents,))
    h = layers.Dense(8 * width, **SILU)(latent)
    h = layers.Dense(7 * 7 * 2 * width, **SILU)(h)
    h = layers.Reshape((7, 7, 2 * width))(h)
    for _ in range(2):
        h = layers.Conv2DTranspose(width, 4, 2, padding="same", **SILU)(h)
    return encoder, keras.Model(latent, layers.Conv2D(1, 3, padding="same")(h))


# %%
encoder, decoder = make_networks()
encoder.set_weights(recorded.encoder.get_weights())  # the recorded weights into ours
decoder.set_weights(recorded.decoder.get_weights())

batch, noise_here = pictures[:64], noise[:64]
mean, log_variance = encoder(batch)
a = numpy(decoder(mean + ops.exp(0.5 * log_variance) * noise_here))  # a logit for each pixel
fit = np.sum(np.logaddexp(0, a) - batch * a, axis=(1, 2, 3))  # -log p(x | z)
mean, log_variance = numpy([mean, log_variance])
kl = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)  # summed!
loss, _ = recorded.objective(batch, None, recorded(batch), noise_here[None], training=False)
assert np.isclose(numpy(loss), np.mean(fit + kl), rtol=1e-4)
print(f"{encoder.count_params() + decoder.count_params():,} weights")
print(f"64 test pictures: {np.mean(fit):.1f} + {np.mean(kl):.1f} = {np.mean(fit + kl):.1f} nats")

# %% [markdown]
# ## Training
#
# One loss that falls, one optimizer, both networks. The rate is twice that of the recorded training and the weights are averaged, since the steps are few.

# %%
steps = pw.budget.get(CHAPTER, "steps")
keras.utils.set_random_seed(0)
live = vae(width=16)
warm_up = max(1, steps // 20)
rate = keras.optimizers.schedules.CosineDecay(
    0.0, steps - warm_up, warmup_target=2e-3, warmup_steps=warm_up
)
live.compile(keras.optimizers.Adam(rate))
history = pw.training.fit(live, train, steps, ema=0.99)

# %%
measured = {}
for name, model in (("trained live", live), ("recorded", recorded), ("dense", dense["VAE"])):
    m = measured[name] = likelihood.evaluate(model, test, samples=0)
    print(f"{name:12s} ELBO {m['elbo']:.1f} +- {m['elbo_error']:.1f} nats: reconstruction", end=" ")
    print(
        f"{m['reconstruction']:.1f}, KL {m['kl']:.1f}; {m['bits_per_dimension']:.3f} bits", end=""
    )
    print(f" per dimension; {m['active_units']:.0f} of 32 latents active")
pw.budget.headline("07_vae", measured["trained live"]["elbo"], "test ELBO")

# %% [markdown]
# The error is that of a mean over pictures: 2,000 others would give a figure that differs by about as much. A latent is *active* if the variance of its $\mu$ over the pictures is above 0.01 (Burda et al. 2016).
#
# The recorded network, after 4,000<!-- result vae_garments steps --> steps, reaches -241.5<!-- result vae_garments test.elbo --> nats on all test pictures, 0.444<!-- result vae_garments test.bits_per_dimension --> bits per dimension. There is no agreed figure for binarised Fashion-MNIST to hold it against; for digits there is, below.
#
# ### Found again, and drawn

# %%
rng = np.random.default_rng(2)


def in_pixels(model, latents):
    """Pictures with their pixels drawn too, as the model says that pictures are."""
    return (rng.random((len(latents), 28, 28, 1)) < model.decode(latents)).astype("float32")


codes = live.encode(pictures[:10])
rows = [
    ("picture", pictures[:10]),
    ("found again,\nmean", live.decode(codes)),
    ("found again,\npixels", in_pixels(live, codes)),
    ("drawn,\nmean", live.decode(noise[:10])),
    ("drawn,\npixels", in_pixels(live, noise[:10])),
]
show(rows)

# %% [markdown]
# What the model calls a picture is in the rows *pixels*; what everybody prints is the *mean*, which looks better. Given $z$, our pixels are independent: all that pixels have in common must be in $z$, and what is not (a print, a weave, a strap's exact place) comes out as an average. That is the blur of VAEs. Draws look worse than what is found again. One cause is that the codes *together* are not exactly the prior (Dai and Wipf 2019).
#
# ## Two latents, drawn whole
#
# With two latents the space can be seen. Left: what the decoder makes of the points of the plane, rows and columns at equal steps of the prior's *probability*, so that each of the 225 pictures stands for an equal share of the prior. Right: where the encoder puts the test pictures.

# %%
plane = pw.weights.checkpoint(vae(latent=2, width=16), "vae_garments_2d")
side = 15
steps_of = stats.norm.ppf((np.arange(side) + 0.5) / side)
points = np.stack(np.meshgrid(steps_of, steps_of[::-1]), axis=-1).reshape(-1, 2)
sheet = plane.decode(points).reshape(side, side, 28, 28).swapaxes(1, 2).reshape(28 * side, -1)
kinds = np.concatenate([test[i][1] for i in range(count)])
where = plane.encode(garments)

figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.8), layout="constrained")
left.imshow(sheet, cmap="gray", vmin=0, vmax=1)
ticks = range(0, side, 2)
left.set_xticks([28 * k + 14 for k in ticks], [f"{steps_of[k]:.1f}" for k in ticks])
left.set_yticks([28 * k + 14 for k in ticks], [f"{-steps_of[k]:.1f}" for k in ticks])
left.set(xlabel="$z_1$", ylabel="$z_2$")
for kind, name in enumerate(NAMES):
    here = where[kinds == kind]
    right.scatter(*here.T, s=4, alpha=0.5, color=plot.class_colour(kind + 1))
    right.text(
        *np.median(here, axis=0),
        name,
        ha="center",
        fontsize=8,
        weight="bold",
        bbox={"facecolor": "white", "alpha": 0.7, "pad": 1, "lw": 0},
    )
circle = plt.Circle((0, 0), 2.448, fill=False, color="black", ls="--")  # chi-squared, 2 dimensions
right.add_patch(circle)
right.set(
    xlabel="mean of $z_1$", ylabel="mean of $z_2$", xlim=(-4, 4), ylim=(-4, 4), aspect="equal"
)
tidy(right)
plt.show()
inside = np.mean(np.linalg.norm(where, axis=1) < 2.448)
print(f"{inside:.0%} of the means lie in the circle that holds 95% of the prior")

# %% [markdown]
# No class was told, and yet kinds of garments have places: neighbours look alike, because a draw from $q$ may land a little beside $\mu$ and must still give the picture. Shirts, tops, pullovers and coats overlap. The bound says what two numbers leave out: -265.4<!-- result vae_garments_2d test.elbo --> nats with two latents against -241.5<!-- result vae_garments test.elbo --> with 32 (which had twice the steps).
#
# ## Break it on purpose
#
# **The KL averaged instead of summed.** `mean` where `sum` belongs: over 32 latents it divides the KL by 32, while the reconstruction is still summed over the pixels. The loss falls, pictures are found again *better*, and nothing complains. Here is the dense network a third time, between the autoencoder (weight 0) and the VAE (weight 1). The bound of all three is measured with the sum: it holds for every $q$, however trained.

# %%
dense["averaged"] = train_dense(1 / 32)
order = ("AE", "averaged", "VAE")


def kl_of_latents(model):
    """Mean KL of each latent over the first 200 test pictures, the largest first."""
    mean, log_variance = model.posterior(pictures)
    return np.sort(0.5 * np.mean(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=0))[::-1]


for name in order:
    m = likelihood.evaluate(dense[name], test, samples=0)
    print(f"{name:9s} ELBO {m['elbo']:8.1f}: reconstruction {m['reconstruction']:.1f},", end=" ")
    print(f"KL {m['kl']:6.1f}; FID of draws {fid_of(dense[name].decode(noise)):.0f}")
show([(name, dense[name].decode(noise[:10])) for name in order])

# %% [markdown]
# *Draws from the prior.* With the average the network buys some nats of reconstruction with a multiple of them in KL: the bound is lower, and draws fall into holes again. The sum shows it: look at the KL in nats a picture.
#
# A weight other than 1 can be meant, of course: above 1 it is called a *beta-VAE* (Higgins et al. 2017), which sends less and sends it more sparingly. The figure below has three with $\beta=10$.
#
# ### Posterior collapse
#
# A latent has *collapsed* if $q(z_j\mid x)$ is the prior for every $x$: its KL is 0, its draw is pure noise, and the decoder has learned to ignore it. That can happen with weight 1 too (Bowman et al. 2016). Early in training the decoder cannot read the code, to which the cheapest answer is to send nothing; and as nothing is sent, the decoder never learns to read. Two remedies:
#
# - **annealing** (Bowman et al. 2016): the weight of the KL grows from 0 to its final value over the first steps, so that reading is learned before it is paid for;
# - **free bits** (Kingma et al. 2016, appendix C.8): $\lambda$ nats of each latent are free. In place of $\sum_j \mathrm{KL}_j$, with $\mathrm{KL}_j$ the mean over the batch, stands $\sum_j\max(\lambda,\mathrm{KL}_j)$: below $\lambda$ there is no gradient, and nothing is gained by collapsing.


# %%
def on_record(name, metric):
    """A recorded figure, the mean over seeds if there are several."""
    value = pw.results.get(name, f"test.{metric}")
    return value["mean"] if isinstance(value, dict) else value


runs = {
    "beta 10": "vae_collapse",
    "and annealing": "vae_collapse_anneal",
    "and free bits": "vae_collapse_free_bits",
    "whole recipe": "vae_garments",
}
keys = ("elbo", "kl", "active_units")
table = {name: [on_record(recipe, key) for key in keys] for name, recipe in runs.items()}
for name, (elbo, kl, active) in table.items():
    print(f"{name:13s} ELBO {elbo:.1f}, KL {kl:.1f} nats, {active:.0f} latents active")

figure, axes = plt.subplots(
    1, 3, figsize=(10.5, 2.8), layout="constrained", width_ratios=(1.3, 1, 1)
)
curves = {"live": live, "recorded": recorded, **{name: dense[name] for name in order[1:]}}
colours = (plot.BLACK, plot.GREEN, plot.RED, plot.BLUE)
for (name, model), colour in zip(curves.items(), colours):
    name = name if name in ("live", "recorded") else f"dense, {name}"
    axes[0].plot(range(1, 33), kl_of_latents(model) + 1e-4, ".-", ms=3, color=colour, label=name)
axes[0].set(
    xlabel="latent, the dearest first", ylabel="its KL in nats", yscale="log", ylim=(1e-3, 50)
)
axes[0].legend(frameon=False, fontsize=7)
for axis, column, label in ((axes[1], 1, "KL in nats a picture"), (axes[2], 2, "active latents")):
    axis.barh(list(table), [row[column] for row in table.values()], color=plot.BLUE)
    axis.set(xlabel=label)
    axis.invert_yaxis()
axes[2].set_yticklabels([])
tidy(*axes)
plt.show()

# %% [markdown]
# *Left: the KL of each latent, in this notebook's networks. Middle and right: recorded trainings.* Where a curve on the left has a cliff, the latents behind it are unused. That by itself is no fault: a latent that brings less than it costs should not be sent. It is a fault when the *bound* suffers. The recorded trainings bring that about on purpose: dense networks of 100 units a layer, for which a nat of code costs ten of reconstruction ($\beta=10$), one training each. Their bound, always taken with weight 1, is -291.6<!-- result vae_collapse-seed0 test.elbo --> nats with 2<!-- result vae_collapse-seed0 test.active_units --> active latents. With the weight grown from 0 to 10 over the first 1,000 steps it is -287.6<!-- result vae_collapse_anneal-seed0 test.elbo --> and 14<!-- result vae_collapse_anneal-seed0 test.active_units -->, though the KL is 2.8<!-- result vae_collapse_anneal-seed0 test.kl --> nats where it was 2.5<!-- result vae_collapse-seed0 test.kl -->: more latents, hardly more said. With half a nat free for each latent it is -275.8<!-- result vae_collapse_free_bits-seed0 test.elbo --> and 32<!-- result vae_collapse_free_bits-seed0 test.active_units -->, with a KL of 14.5<!-- result vae_collapse_free_bits-seed0 test.kl -->, below the 16 nats that are free. Annealing changes where training starts and not what is cheapest in the end; free bits change the price for good. Free bits also keep latents busy that have little to say, so judge by the bound and not by the count.
#
# ## Told the class
#
# A *conditional* VAE tells the decoder the class beside the latents. Then $z$ need not carry it. Every row below is one $z$, every column a class.

# %%
told = pw.weights.checkpoint(vae(width=16, num_classes=10), "cvae_garments")
styles = np.repeat(noise[20:24], 10, axis=0)
grid_of = told.decode(styles, np.tile(np.arange(10), 4)).reshape(4, 10, 28, 28, 1)
show([(f"$z$ number {k + 1}", row) for k, row in enumerate(grid_of)], NAMES)
for name, recipe in (("told the class", "cvae_garments"), ("not told", "vae_garments")):
    elbo, error = on_record(recipe, "elbo"), on_record(recipe, "elbo_error")
    print(
        f"recorded, {name}: ELBO {elbo:.1f} +- {error:.1f} nats, KL {on_record(recipe, 'kl'):.1f}"
    )

# %% [markdown]
# The class does little here: trousers get legs and sandals some gaps, but a row stays a shoe or a top whatever the class. That $z$ *need* not carry the kind of garment does not keep it from doing so, and the KL hardly fell. The conditional GAN of the last chapter has to heed the class, since its discriminator is told it too.
#
# The two recorded bounds are of different things, $\log p(x\mid c)$ and $\log p(x)$, after 3,000<!-- result cvae_garments steps --> and 4,000<!-- result vae_garments steps --> steps. For one model they are never far apart: with ten classes of equal share, $p(x)=\sum_c\tfrac1{10}p(x\mid c)\ge\tfrac1{10}p(x\mid c)$, so that not to be told the class costs at most $\log 10=2.3$ nats. (The bounds of two networks may differ by more.)
#
# ## Codes that are whole numbers
#
# A *VQ-VAE* (van den Oord et al. 2017) has no noise. The encoder gives a map of 7 x 7 vectors; each is replaced by the nearest of 128 learned *codes*. A choice has no derivative, so the gradient goes *straight through*: the decoder's gradient for the code is handed to the vector. The codes are running means of the vectors that chose them; a small extra loss keeps vectors near their codes. And the prior is *learned* instead of given: a gated PixelCNN (van den Oord et al. 2016) says each code from those before it, row by row.
#
# By hand: with the codes $(0,0)$, $(1,1)$, $(2,0)$ the vector $(1.2,0.4)$ has the squared distances $1.6, 0.4, 0.8$, so it becomes code 1, $(1,1)$.

# %%
book = Codebook(3, 2)
book.table.assign(np.float32([[0, 0], [1, 1], [2, 0]]))
vector = np.float32([[1.2, 0.4]])
assert np.allclose(((vector - numpy(book.table)) ** 2).sum(axis=1), [1.6, 0.4, 0.8])
assert numpy(book.nearest(vector))[0] == 1
assert np.allclose(book.straight_through(vector, book.nearest(vector)), [[1, 1]])

maps = quantised.codes(pictures[one_each])
drawn_codes = quantised.draw_codes(10, np.random.default_rng(1))
random_codes = np.random.default_rng(1).integers(0, quantised.codebook.codes, (10, 7, 7))


def from_codes(codes):
    return quantised.decode(numpy(quantised.codebook.look_up(codes)).reshape(len(codes), -1))


rows = [
    ("picture", pictures[one_each]),
    ("its codes", (maps * 61 % 128 / 127)[..., None]),
    ("found again", from_codes(maps)),
    ("codes from\nthe prior", from_codes(drawn_codes)),
    ("codes at\nrandom", from_codes(random_codes)),
]
show(rows)
m = likelihood.evaluate(quantised, test, samples=0)
print(f"reconstruction {m['reconstruction']:.1f} nats, codes {m['kl']:.1f} nats", end="; ")
print(
    f"{m['codes_used']:.0f} of {m['codes']:.0f} codes used, perplexity {m['code_perplexity']:.0f}"
)
print(f"49 codes at equal odds would cost 49 log 128 = {49 * np.log(128):.1f} nats")

# %% [markdown]
# *A grey level stands for a number of a code; neighbouring numbers have nothing in common.* Codes at random give cloth without a garment: each patch is fine, together they are nothing. All the knowledge of how patches go together is in the prior, and so is what it saves: the codes cost less than at equal odds, as printed above. The sum of both terms, for the one map that the encoder chose, is at least $-\log p(x)$: again a bound. *Perplexity* is the number of codes that would be as unpredictable if all were equally frequent.
#
# ## How loose is the bound?
#
# The ELBO is at most $\log p(x)$; how much is missing? Draw $k$ latents from $q$ and average the *importance weights*, the fractions below, before the logarithm (Burda et al. 2016):
#
# $$\mathcal L_k=\mathbb{E}\Big[\log\frac1k\sum_{i=1}^{k}\frac{p(x\mid z_i)\,p(z_i)}{q(z_i\mid x)}\Big],\qquad \text{ELBO}=\mathcal L_1\le\mathcal L_2\le\dots\le\log p(x).$$
#
# For two draws with weights 1 and 3: $\mathcal L_1$ takes $\tfrac12(\log1+\log3)=0.55$, $\mathcal L_2$ takes $\log2=0.69$. First the 2 x 2 picture, whose $\log p(x)$ we know, then test garments and the recorded network.

# %%
draws, n = pw.budget.get(CHAPTER, "bound_samples"), pw.budget.get(CHAPTER, "bound_pictures")


def weights_of(model, images, draws):
    """log of p(x | z) p(z) / q(z | x), (pictures, draws)."""
    found = model.importance().weigh(images, None, draws, np.random.default_rng(0))
    return (found["log_x"] + found["log_ratio"]).astype("float64")


def bounds(log_weights, k):
    """The bound with k draws of each picture, a mean over as many groups as there are."""
    groups = log_weights.reshape(len(log_weights), -1, k)
    return np.mean(np.logaddexp.reduce(groups, axis=2) - np.log(k), axis=1)


ks = [k for k in (1, 2, 5, 10, 20, 50, 100, 250, 500, 1000, 5000) if draws % k == 0]
cases = {"2 x 2 pixels": weights_of(tiny, np.repeat(x, 400, axis=0), draws)}
cases[f"{n} garments"] = weights_of(recorded, pictures[:n], draws)
assert np.allclose(bounds(np.log([[1, 3]]), 1), 0.55, atol=5e-3)
assert np.allclose(bounds(np.log([[1, 3]]), 2), np.log(2))
figure, axes = plt.subplots(1, 2, figsize=(10, 2.7), layout="constrained")
for axis, (name, log_weights) in zip(axes, cases.items()):
    gains = [bounds(log_weights, k) - bounds(log_weights, 1) for k in ks]
    means, errors = zip(*(divergences.mean_and_error(gain) for gain in gains))
    axis.errorbar(ks, means, errors, fmt="o-", ms=4, capsize=3, color=plot.BLUE)
    axis.set(title=name, xlabel="k", ylabel="gain over k = 1 in nats", xscale="log")
    print(f"{name}: k = {ks[-1]} gains {means[-1]:.3f} +- {errors[-1]:.3f} nats")
start = bounds(cases["2 x 2 pixels"], 1).mean()
axes[0].axhline(evidence - start, color="black", ls="--", label="log p(x)")
axes[0].legend(frameon=False)
tidy(*axes)
plt.show()

# %% [markdown]
# *Bars: one standard error of the gain.* Gains are measured on the same pictures and draws: the bounds themselves differ from picture to picture by tens of nats, their gains by few. The tiny bound is within 0.01 nats of $\log p(x)$ from fifty draws on. That of the garments still grows at the end, so $\log p(x)$ lies higher, and how much higher this curve cannot say.
#
# Training *on* $\mathcal L_k$ is the importance-weighted autoencoder, IWAE. On dynamically binarised MNIST, dense networks with 50 latents, the test cost $-\mathcal L_k$ in nats (ours with $k=500$ on 1,000 test pictures, the paper's with $k=5000$):

# %%
published = {
    "vae_mnist": ("VAE, k = 1", "paper 86.76"),
    "iwae_mnist": ("IWAE, k = 50", "paper 84.78"),
    "vae_mnist_static": ("VAE, binarised once", ""),
}
for recipe, (name, paper) in published.items():
    bound, error = (on_record(recipe, key) for key in ("bound", "bound_error"))
    drawn_k = on_record(recipe, "bound_samples")
    print(f"{name:20s} ours {-bound:6.2f} +- {error:.2f} (k = {drawn_k:.0f}) {paper}")

# %% [markdown]
# The published figures are those of Burda et al. (2016, table 1), with $k=5000$ and after 3,280 passes over the data (section 5). Ours have about 42 passes for the VAE and 1.3 for the IWAE, which decodes each picture fifty times: fewer passes make the cost larger, and so do fewer draws. The last row is the first training with pictures that were made black and white *once*, by a draw of our own: each has one form, which the network meets again in every pass. A figure in nats belongs to its binarisation.
#
# ## What an encoder is good for
#
# The pictures are grey from here on, the mean of the black-and-white ones that the network learned from. **Completion**: the lower half is missing. *Repeat* (after Rezende et al. 2014, with means for draws): fill it with noise, encode, decode, put the known half back, and again. *Latents*: search by gradient the $z$ that makes $\sum(x-\hat x)^2/(2s^2)+\lVert z\rVert^2/2$ small, with $\hat x$ the decoded picture, the sum over known pixels and $s=0.1$. **Denoising** is the same search with all pixels known and $s$ the noise's size. (`lib/pixelwise/models/completion.py`; chapter *Segment, then generate* sets it beside an inpainter.)

# %%
six = [one_each[k] for k in (0, 2, 3, 6, 7, 9)]
true, known = grey_pictures[six], np.ones((28, 28), bool)
known[14:] = False
search_steps = pw.budget.get(CHAPTER, "search_steps")
rng = np.random.default_rng(0)
noisy = np.clip(true + rng.normal(0, 0.3, true.shape), 0, 1).astype("float32")
average = np.broadcast_to(grey_pictures.mean(axis=0), true.shape)
filled = {
    "average": np.where(known[..., None], true, average),
    "repeat": completion.complete(recorded, true, known, "repeat"),
    "latents": completion.complete(recorded, true, known, steps=search_steps),
}
cleaned = {
    "noisy": noisy,
    "encoded": completion.denoise(recorded, noisy, 0.3, "repeat"),
    "searched": completion.denoise(recorded, noisy, 0.3, steps=search_steps),
}
for made, mask in ((filled, ~known), (cleaned, known | True)):
    errors = {name: np.sqrt(np.mean((x - true)[:, mask] ** 2)) for name, x in made.items()}
    print("root mean square error:", ", ".join(f"{name} {e:.3f}" for name, e in errors.items()))
columns = [
    np.where(known[..., None], true, 0.5),
    *list(filled.values())[1:],
    *cleaned.values(),
    true,
]
names = ("known", "repeat", "latents", "noisy", "encoded", "searched", "truth")
show([("", row) for row in np.swapaxes(columns, 0, 1)], names, scale=1.0)

# %% [markdown]
# For completion the numbers are sobering: by this measure neither way beats the average garment, and *repeat* is much worse. A plausible half need not be the true one. For noise the search is clearly best. The encoder never saw a picture with such noise; the search asks the decoder only, and is told how large the noise is.
#
# **Interpolation and arithmetic.** Between two codes lie pictures; between two pictures lies a double exposure. Which way? Draws of $\mathcal N(0,I)$ in 32 dimensions lie near a sphere of radius $\sqrt{32}=5.7$, and half-way on the straight line between two of them one is at $5.7/\sqrt2=4$, where hardly a draw lies; the *spherical* way stays outside. (The ends below are means of $q$, a little shorter than draws.) And a difference of two means is a direction: pullovers minus tops is *sleeves*.

# %%
a, b = grey_pictures[one_each[1]], grey_pictures[one_each[9]]
share = np.linspace(0, 1, 8)[:, None, None, None]
kind = {k: grey_pictures[labels == k] for k in (0, 2)}
sleeves = completion.direction(recorded, kind[2], kind[0])
top = np.repeat(kind[0][:1], 8, axis=0)
rows = [
    ("pixels", (1 - share) * a + share * b),
    ("straight", completion.interpolate(recorded, a, b, 8, "linear")),
    ("spherical", completion.interpolate(recorded, a, b, 8)),
    ("sleeves", recorded.decode(recorded.encode(top) + np.linspace(-0.5, 2, 8)[:, None] * sleeves)),
]
show(rows)
middle = 0.5 * (noise[::2] + noise[1::2])
print("median length:", end=" ")
print(*(f"{np.median(np.linalg.norm(z, axis=1)):.2f}" for z in (noise, middle)), sep=", half-way ")

# %% [markdown]
# *First three rows: trousers become a boot. Last row: a top with the direction added from -0.5 to 2 times.*
#
# ## VAE or GAN?
#
# Five recorded networks, 2,000 draws of each against the 2,000 grey test pictures. FID and KID in the features of the garment classifier, precision (how many draws look real), recall (how much of the real is made), and how many of the ten classes make up at least 2% of the draws; all explained in the last chapter.

# %%
contest = {
    "VAE": "vae_garments",
    "conditional VAE": "cvae_garments",
    "VQ-VAE": "vqvae_garments",
    "GAN, short": "gan_short-seed0",
    "conditional GAN": "dcgan_garments",
}
metrics = ("fid_garments", "kid_garments", "precision", "recall", "classes")
print(" " * 16 + "  ".join(f"{metric:>13s}" for metric in metrics))
for name, recipe in contest.items():
    row = [on_record(recipe, metric) for metric in metrics]
    print(f"{name:16s}" + "  ".join(f"{v:13.{d}f}" for v, d in zip(row, (1, 3, 2, 2, 0))))

# %% [markdown]
# Read the table with care. The VAEs were trained on black-and-white pictures and are judged by their mean pictures against grey ones, so that part of their FID is that difference. Published figures have the same order: with Inception's features 43.6 for a VAE (Dai and Wipf 2019) and 26.5 for a non-saturating GAN (Lucic et al. 2018), on all of Fashion-MNIST. The VQ-VAE was to mend the VAE's draws, and the measures do not agree that it did: FID 12.5<!-- result vqvae_garments test.fid_garments --> against 11.8<!-- result vae_garments test.fid_garments -->, KID 0.34<!-- result vqvae_garments test.kid_garments --> against 0.39<!-- result vae_garments test.kid_garments -->. More of its draws look real, precision 0.76<!-- result vqvae_garments test.precision --> against 0.48<!-- result vae_garments test.precision -->, but they cover less, recall 0.20<!-- result vqvae_garments test.recall --> against 0.29<!-- result vae_garments test.recall -->. It had 2,000<!-- result vqvae_garments steps --> steps, half of the VAE's, and a map of codes costs it 168<!-- result vqvae_garments test.kl --> nats: its bound is -330<!-- result vqvae_garments test.elbo --> against -241.5<!-- result vae_garments test.elbo -->. Even the GAN of 800<!-- result gan_short-seed0 steps --> steps has a lower FID than either, 10.9<!-- result gan_short-seed0 test.fid_garments -->. The GAN that was told the class and trained for 5,000<!-- result dcgan_garments steps --> steps is ahead of all, FID 1.5<!-- result dcgan_garments test.fid_garments -->.
#
# What the table does not show: a VAE trains without a duel, gives a bound on the likelihood of *every* picture, and has an encoder. A GAN has none of the three (though a search in its latents can complete pictures as well).
#
# ## What the source article says, and what is true
#
# | The article | What is true |
# |---|---|
# | 3.2.2: training maximises "downsampling anonymity (Evidence Lower Bound, ELBO)" | The words before the brackets mean nothing. The ELBO is a lower bound of the evidence, $\log p(x)$: reconstruction minus KL (Kingma and Welling 2014). We held it against $\log p(x)$ by integration. |
# | 3.2.2: the encoder turns the picture into "low-dimensional random noise" | It gives a *distribution*, $\mu$ and $\sigma$ of each latent, different for each picture. The noise is $\varepsilon$ in $z=\mu+\sigma\varepsilon$; a code that is noise for every picture is a collapsed one. |
# | 3.2.2 and 6: train the encoder first, then the decoder, then raise the ELBO | Both learn at once, from one loss. Without a decoder there is no reconstruction, and all that an encoder alone could learn is to make the KL 0: collapse. |
# | 3.2.2: raising the ELBO improves the decoder | It improves both; for a fixed decoder the whole gain is the encoder's, which closes the gap to $\log p(x)$. |
# | 3.2.2: the decoder maps the noise back to meaningful pictures | It gives a distribution of pictures, $p(x\mid z)$. Which one (Bernoulli, Gaussian, logistic) decides what the loss is and what its figure means. |
# | 3.2.3: an "optimisation problem" | No formula, no prior, no KL, and no way to draw a new picture. |
# | 4: code | There is none for any generative model. |
#
# The whole table, for every section of the article, is in [ERRATA.md](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md).
#
# ## Exercises
#
# Replace the line `pw.exercises.todo()` by your answer and run the check below it. The solutions are in `chapters/solutions/07_vae.ipynb`.

# %% [markdown] tags=["exercise"]
# ### Exercise 1: who is in use
#
# `mean` and `log_variance`, both `(pictures, latents)`, are what an encoder said. Return two things for each latent: its KL from the standard normal, in nats, on average over the pictures; and whether it is active, that is, whether the variance of its mean over the pictures is above 0.01.


# %% tags=["exercise"]
def in_use(mean, log_variance):
    # BEGIN SOLUTION
    kl = 0.5 * (mean**2 + np.exp(log_variance) - 1 - log_variance)
    return kl.mean(axis=0), mean.var(axis=0) > 0.01
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    kl, active = in_use(np.array([[0.8, 0, 3]]), np.array([[-1.0, 0, 0]]))
    assert np.allclose(kl, [0.504, 0, 4.5], atol=1e-3), "By hand: 0.504, 0 and 9/2."
    assert not np.any(active), "One picture has no variance, so nothing is active."
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(50, 4)) * [2, 0.15, 0.07, 0], rng.normal(size=(50, 4))
    kl, active = in_use(mean, log_variance)
    wanted = numpy(divergences.kl_normal(mean, log_variance)).mean()
    assert np.shape(kl) == (4,) and np.isclose(np.sum(kl), wanted), "Their sum is the KL."
    assert list(active) == [True, True, False, False], "The first two vary enough."
    assert not in_use(mean * 0 + 1, log_variance)[1].any(), "Away from 0 is not yet active."

# %% [markdown] tags=["exercise"]
# ### Exercise 2: free bits
#
# `kl` is the KL of each picture and latent, `(batch, latents)`. Return $\sum_j\max(\lambda,\mathrm{KL}_j)$, a number, where $\mathrm{KL}_j$ is the mean of latent $j$ over the batch and $\lambda$ is `free`.


# %% tags=["exercise"]
def with_free_bits(kl, free):
    # BEGIN SOLUTION
    return np.maximum(kl.mean(axis=0), free).sum()
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("2"):
    kl = np.array([[0.0, 4.0, 0.1], [2.0, 0.0, 0.1]])
    assert np.isclose(with_free_bits(kl, 0), 3.1), "Nothing free: the mean of the sums."
    assert np.isclose(with_free_bits(kl, 1.5), 5), "Means 1, 2, 0.1: they count 1.5, 2 and 1.5."
    assert np.isclose(with_free_bits(kl, 10), 30), "All free: a number that nothing changes."
    assert np.isclose(with_free_bits(np.full((5, 8), 0.25), 0.5), 4), "Eight latents, 0.5 each."

# %% [markdown] tags=["exercise"]
# ### Exercise 3: 256 masses
#
# Return the probabilities of the grey levels 0 to 255, `(256,)`, under a discretised logistic with mean and scale in units of pixels in [0, 1]: level $k$ has what lies between $(k-\frac12)/255$ and $(k+\frac12)/255$, the lowest all below as well and the highest all above.


# %% tags=["exercise"]
def masses(mean, scale):
    # BEGIN SOLUTION
    borders = (np.arange(255) + 0.5) / 255
    below = 1 / (1 + np.exp(-(borders - mean) / scale))
    return np.diff(np.concatenate([[0], below, [1]]))
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("3"):
    one = likelihoods.DiscretisedLogistic()
    levels = (np.arange(256, dtype="float32") / 255).reshape(-1, 1, 1, 1)
    for mean, scale in ((0.55, 0.05), (0.02, 0.1), (0.99, 0.03)):
        found = np.asarray(masses(mean, scale))
        assert found.shape == (256,), "Return one probability for each level."
        assert np.isclose(found.sum(), 1), "They must sum to 1, wherever the mean lies."
        said = np.tile(np.float32([mean, np.log(scale)]), (256, 1)).reshape(256, 1, 1, 2)
        wanted = np.exp(numpy(one.log_prob(levels, said)))
        assert np.allclose(found, wanted, atol=1e-4), "They differ from the library's."

# %% [markdown] tags=["exercise"]
# ### Exercise 4: the bound with k draws
#
# `log_weights` are the logarithms of $k$ weights of each picture, `(pictures, k)`. Return the bound of each picture, `(pictures,)`. Mind that the weights of a garment are about $e^{-240}$, too small for single precision, and those of a larger picture too small for double.


# %% tags=["exercise"]
def bound(log_weights):
    # BEGIN SOLUTION
    largest = log_weights.max(axis=1)
    return largest + np.log(np.exp(log_weights - largest[:, None]).mean(axis=1))
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("4"):
    assert np.allclose(bound(np.log([[1.0, 3], [4, 4]])), np.log([2, 4])), "log of the mean weight."
    assert np.allclose(bound(np.array([[-7.0], [2]])), [-7, 2]), "One draw: its own logarithm."
    deep = np.array([[-2000.0, -2000], [0, 0]])
    assert np.allclose(bound(deep), [-2000, 0]), "No weight may underflow."
    assert np.allclose(bound(np.array([[2000.0, 0]])), 2000 - np.log(2)), "Nor overflow."
    found = tiny.importance().weigh(x, None, 20_000, np.random.default_rng(0))
    z = np.linspace(-8, 8, 4001)
    logits = np.outer(z, w * [1, 1, -1, -1])
    joint = stats.norm.pdf(z) * np.exp(-np.log1p(np.exp(-logits)).sum(axis=1))
    value = bound((found["log_x"] + found["log_ratio"]).astype("float64"))
    assert np.allclose(value, np.log(joint.sum() * 0.004), atol=0.02), "Many draws: log p(x)."

# %% [markdown] tags=["exercise"]
# ### Exercise 5: the nearest code
#
# For vectors `(n, width)` and a table of codes `(codes, width)` return the number of the nearest code of each vector, and the perplexity of the choice: $e^H$ with $H=-\sum_c p_c\log p_c$, where $p_c$ is the share of vectors that chose code $c$, and $0\log0=0$.


# %% tags=["exercise"]
def choose(vectors, table):
    # BEGIN SOLUTION
    distance = ((vectors[:, None] - table) ** 2).sum(axis=-1)
    numbers = distance.argmin(axis=1)
    share = np.bincount(numbers) / len(numbers)
    share = share[share > 0]
    return numbers, np.exp(-np.sum(share * np.log(share)))
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("5"):
    table = np.array([[0.0, 0], [1, 1], [2, 0], [50, 50]])
    numbers, perplexity = choose(np.array([[1.2, 0.4]]), table)
    assert list(numbers) == [1] and np.isclose(perplexity, 1), "The vector of the text: code 1."
    assert np.isclose(choose(table, table)[1], 4), "Four codes, equally often: perplexity 4."
    numbers, perplexity = choose(table[[0, 0, 0, 2]], table)
    assert list(numbers) == [0, 0, 0, 2], "A code is nearest to itself."
    assert np.isclose(perplexity, 4 / 3**0.75), "Shares 3/4 and 1/4; unused codes count nothing."
    rng = np.random.default_rng(0)
    vectors, table = rng.normal(size=(2, 40, 6)).astype("float32")
    layer = Codebook(40, 6)
    layer.table.assign(table)
    same = np.array_equal(choose(vectors, table)[0], numpy(layer.nearest(vectors)))
    assert same, "The numbers differ from the library's."

# %% [markdown]
# ## Summary
#
# - An autoencoder's codes leave holes; a VAE pays, by the KL, for codes that fill the prior it is drawn from.
# - The ELBO is a bound in nats. It means something only beside the data, the binarisation and the number of draws it was measured with.
# - The KL is *summed* over the latents. Averaged, it gives fine reconstructions and poor draws.
# - Posterior collapse is seen in the KL of each latent and judged by the bound. Free bits mended most of it here, annealing little.
# - Independent pixels and a simple prior make the blur. Discrete codes replace the simple prior by a learned one, whose draws are only as good as it is.
# - $\mathcal L_k$ tightens the bound; an encoder and a search in the latents complete, clean and change pictures.
#
# The next chapter brings the two halves of the book together: it segments a garment, takes it out of the scene, and fills the hole.
#
# **Further reading**
#
# - Diederik P. Kingma, Max Welling. Auto-Encoding Variational Bayes. ICLR 2014, [arXiv 1312.6114](https://arxiv.org/abs/1312.6114).
# - Danilo Jimenez Rezende, Shakir Mohamed, Daan Wierstra. Stochastic Backpropagation and Approximate Inference in Deep Generative Models. ICML 2014, [arXiv 1401.4082](https://arxiv.org/abs/1401.4082).
# - Ruslan Salakhutdinov, Iain Murray. On the quantitative analysis of deep belief networks. ICML 2008.
# - Yuri Burda, Roger Grosse, Ruslan Salakhutdinov. Importance Weighted Autoencoders. ICLR 2016, [arXiv 1509.00519](https://arxiv.org/abs/1509.00519).
# - Samuel R. Bowman, Luke Vilnis, Oriol Vinyals, Andrew M. Dai, Rafal Jozefowicz, Samy Bengio. Generating Sentences from a Continuous Space. CoNLL 2016, [arXiv 1511.06349](https://arxiv.org/abs/1511.06349).
# - Diederik P. Kingma, Tim Salimans, Rafal Jozefowicz, Xi Chen, Ilya Sutskever, Max Welling. Improved Variational Inference with Inverse Autoregressive Flow. NIPS 2016, [arXiv 1606.04934](https://arxiv.org/abs/1606.04934).
# - Irina Higgins, Loic Matthey, Arka Pal, Christopher Burgess, Xavier Glorot, Matthew Botvinick, Shakir Mohamed, Alexander Lerchner. beta-VAE: Learning Basic Visual Concepts with a Constrained Variational Framework. ICLR 2017.
# - Aaron van den Oord, Oriol Vinyals, Koray Kavukcuoglu. Neural Discrete Representation Learning. NIPS 2017, [arXiv 1711.00937](https://arxiv.org/abs/1711.00937).
# - Aaron van den Oord, Nal Kalchbrenner, Oriol Vinyals, Lasse Espeholt, Alex Graves, Koray Kavukcuoglu. Conditional Image Generation with PixelCNN Decoders. NIPS 2016, [arXiv 1606.05328](https://arxiv.org/abs/1606.05328).
# - Bin Dai, David Wipf. Diagnosing and Enhancing VAE Models. ICLR 2019, [arXiv 1903.05789](https://arxiv.org/abs/1903.05789).
# - Mario Lucic, Karol Kurach, Marcin Michalski, Sylvain Gelly, Olivier Bousquet. Are GANs Created Equal? A Large-Scale Study. NeurIPS 2018, [arXiv 1711.10337](https://arxiv.org/abs/1711.10337).
#
# **How to cite** this chapter: *The Pixelwise authors, Pixelwise: image segmentation and generation, from the mathematics to running code, chapter "VAE", 2026.* The file `CITATION.cff` has the entry for the book.
