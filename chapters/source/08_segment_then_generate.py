# %% [markdown]
# # Segment, then generate
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/08_segment_then_generate.ipynb)
#
# The book has two halves: networks that say what a pixel is, and networks that make pixels. Here they work together, in both directions. A garment is taken out of a scene: one network finds it, another fills the hole. Then the other way round: a network paints a picture from a label map, and a second one learns from such pictures. In both directions we know the truth, so that we can measure and need not only look.
#
# **After this chapter you can**
#
# - fill a hole by an equation, by hand, and say what a learned fill has to add;
# - explain gated and partial convolutions, and spatially adaptive normalisation, with numbers;
# - train an inpainter and measure it against the truth, with the true mask and with a found one;
# - say why the mask is grown first, and by how much;
# - judge whether generated pictures can stand in for labelled ones, and find the reason if not.
#
# **You need** the chapters *DeepLab* or *Mask R-CNN* (a mask), *GAN* (two players, KID) and *VAE*.
#
# **Time and memory:** 74<!-- result chapters 08_segment_then_generate.quick.seconds --> seconds and 1141<!-- result chapters 08_segment_then_generate.quick.peak_memory_mib --> MiB on two cores without a GPU, training included. On a GPU the notebook takes the *full* budget, with as many steps as the recorded inpainter, 1,500<!-- result inpaint_wardrobe-seed0 steps -->.

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
from collections import Counter

from keras import layers
from scipy import ndimage

from pixelwise import choosing, evaluation, holes, plot
from pixelwise.data import wardrobe
from pixelwise.metrics import inpainting
from pixelwise.models import completion
from pixelwise.models.classical import fill_classical
from pixelwise.models.fcn import fcn
from pixelwise.models.gan_networks import dcgan_generator
from pixelwise.models.inpaint import Inpainter, Known, inpainter, patch_discriminator
from pixelwise.models.mask_to_image import spade_generator
from pixelwise.models.vae_networks import vae
from pixelwise.nn.gated_convolution import GatedConv2D, PartialConv2D
from pixelwise.nn.spade import SPADE
from pixelwise.nn.two_players import TwoPlayerAdam

CHAPTER, SIZE = "08_segment_then_generate", 64
GROW, REACH = 2, 4  # pixels: how far a mask is grown, and how far a garment and its shadow reach
CLASSES = wardrobe.CLASSES


def numpy(values):
    """An array of the backend, or a list of them, as NumPy."""
    return keras.tree.map_structure(keras.ops.convert_to_numpy, values)


def tidy(*axes):
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)


def without(images, where, colour=1.0):
    """Pictures with their holes painted white, to be shown."""
    return np.where(where[..., None], colour, images)


# %% [markdown]
# ## The answer first
#
# You point at a garment, and it is gone. Mask R-CNN from chapter *Mask R-CNN* finds what lies under your finger (we point at the middle of the garment), the mask is grown by two pixels, and the inpainter recorded with this chapter fills the hole. (Our scenes have 64 pixels here; each recorded network sees them enlarged to the size of its training.) The last row is no guess: our scenes are composed, so we compose the same scene again, to the last grain of noise, without this garment. Real photographs of removed objects do not have that row.

# %%
count = pw.budget.get(CHAPTER, "scenes")
test = pw.data.load("removal", "test", size=SIZE, grow=REACH)
examples = [test.example(number) for number in range(count)]
images, truth = (
    np.stack([getattr(e, name) for e in examples]).astype("float32") / 255
    for name in ("image", "truth")
)
true_masks = np.stack([e.scene.instances == e.number for e in examples])
true_holes = np.stack([e.hole for e in examples])

recorded = evaluation.recorded("inpaint_wardrobe")
finders = {"Mask R-CNN": choosing.load("mask_rcnn"), "DeepLabV3+": choosing.load("deeplabv3plus")}


def pointed_at(finder, example):
    """The surest object that covers the middle of the garment; empty if there is none."""
    garment = np.pad(example.scene.instances == example.number, 1)
    middle = np.unravel_index(ndimage.distance_transform_edt(garment).argmax(), garment.shape)
    row, column = np.array(middle) - 1
    found = finder(example.image).objects
    there = found["masks"][:, row, column] & (found["scores"] >= 0.5)
    if not there.any():
        return np.zeros_like(example.hole)
    return found["masks"][np.argmax(np.where(there, found["scores"], -1))]


masks = {name: np.stack([pointed_at(f, e) for e in examples]) for name, f in finders.items()}
masks = {"true mask": true_masks, **masks}


def take_out(chosen, pixels, fill=recorded.fill):
    """The scenes without what the masks cover; where a mask is empty, the scene as it is."""
    made, some = images.copy(), chosen.any(axis=(1, 2))
    made[some] = fill(images[some], holes.grow(chosen[some], pixels))
    return made


# %%
first, found = slice(0, 6), masks["Mask R-CNN"]
numbers = np.array([e.scene.classes[e.number - 1] for e in examples])
rows = [
    ("picture", images[first]),
    ("found", [plot.overlay(x, m * k) for x, m, k in zip(images[first], found, numbers)]),
    ("grown", without(images, holes.grow(found, GROW))[first]),
    ("filled", take_out(found, GROW)[first]),
    ("truth", truth[first]),
]
plot.legend(plot.grid(rows, scale=0.7), CLASSES, ncols=3)
plt.show()

# %% [markdown]
# *The first six test scenes, whose garments and backgrounds no network has seen in training. Second row: what was found, in the colour of the true class. What lay under it shows in the truth.*
#
# ## A hole by hand
#
# What would you put in a hole, knowing nothing but the rim? The oldest answer is a soap film: every missing pixel is the *mean of its four neighbours*, missing ones included. That is one linear equation for each missing pixel. Such a fill is called *harmonic*; the *biharmonic* one (Damelin and Hoang 2018) bends like a thin plate instead, and keeps the slope at the rim.
#
# A picture of 5 x 5, dark on the left and bright on the right, with a hole of three pixels $a, b, c$ across the edge:
#
# $$\begin{aligned}4a&=0+0+0+b\\4b&=0+0+a+c\\4c&=1+1+1+b\end{aligned}$$
#
# Put $a=b/4$ and $c=(3+b)/4$ into the middle line: $16b=3+2b$, so $b=3/14=0.214$, $a=0.054$, $c=0.804$. The truth is 0, 0, 1. The mean squared error is $0.0291$, and the *peak signal-to-noise ratio*, $\text{PSNR}=-10\log_{10}\text{MSE}$ for pixels in [0, 1], is $15.4$ dB. One colour for the hole, the mean of the 22 known pixels, $9/22$, has 6.4 dB. Ten more decibels are a tenth of the squared error.

# %% tags=["shared"]
picture = np.tile(np.float32([0, 0, 0, 1, 1]), (5, 1))
gap = np.zeros((5, 5), bool)
gap[2, 1:4] = True
colour = np.repeat(picture[None, ..., None], 3, axis=-1)  # (1, 5, 5, 3), as the library wants it

# %%
equations = np.array([[4, -1, 0], [-1, 4, -1], [0, -1, 4]])
solved = np.linalg.solve(equations, [0, 0, 3])
assert np.allclose(solved, [3 / 56, 3 / 14, 45 / 56])  # by hand = NumPy
filled = {name: fill_classical(colour, gap, name) for name in ("mean", "harmonic", "biharmonic")}
assert np.allclose(filled["harmonic"][0, 2, 1:4, 0], solved, atol=1e-6)  # = library
assert np.allclose(filled["mean"][0, 2, 1:4], 9 / 22)
error = np.mean((solved - [0, 0, 1]) ** 2)
ratio = inpainting.psnr(colour, filled["harmonic"], gap[None])
assert np.isclose(ratio, -10 * np.log10(error)) and np.isclose(ratio, 15.4, atol=0.05)
for name, made in filled.items():
    value = inpainting.psnr(colour, made, gap[None])[0]
    print(f"{name:11s}", made[0, 2, 1:4, 0].round(3), f"PSNR in the hole {value:.1f} dB")

# %% [markdown]
# The film blurs the edge: it knows that the sides meet somewhere, not that pictures have edges. An inpainter that has seen many pictures can know that. This is all that learning can add: what pictures are like.
#
# ## Convolutions that mind the hole
#
# A plain convolution takes the zeros in a hole for black pixels. One row, $x=(1,1,?,3,3)$ with 0 in the place of the question mark, and a window that averages three: at the hole $(1+0+3)/3=1.33$, though its two known neighbours have the mean 2.
#
# - A *partial* convolution (Liu et al. 2018) is told what is known, and divides by how much there is: $(1+3)/2=2$. Beyond the picture nothing is known either.
# - A *gated* convolution (Yu et al. 2019) *learns* what to trust: a second convolution of the same window gives a factor between 0 and 1,
#
# $$y=\varphi(W*x+b)\cdot\sigma(V*x+c)$$
#
# with $\varphi$ an activation. Let the gate count known pixels $n$ in the window: $\sigma(4n-10)$. For two of three it is $\sigma(-2)=0.119$, for three $0.881$. At the hole: $1.33\cdot0.119=0.159$. The gate does not mend the value; it says to the next layer how much to make of it.

# %% tags=["shared"]
row, known = np.float32([1, 1, 0, 3, 3]), np.float32([1, 1, 0, 1, 1])

# %%
windows = np.stack([np.pad(row, 1)[k : k + 5] for k in range(3)]).mean(axis=0)  # W * x
counts = np.stack([np.pad(known, 1)[k : k + 5] for k in range(3)]).sum(axis=0)
gated, partial = windows / (1 + np.exp(10 - 4 * counts)), 3 * windows / counts
assert np.isclose(gated[2], 0.159, atol=1e-3) and np.allclose(partial, [1, 1, 2, 3, 3])

layer, told = GatedConv2D(1, 3, activation=None), np.stack([row, known], -1)[None, None]
layer.build(told.shape)
kernel = np.zeros((3, 3, 2, 2))  # window, window, (x, known), (value, gate)
kernel[1, :, 0, 0], kernel[1, :, 1, 1] = 1 / 3, 4
layer.set_weights([kernel, np.array([0, -10])])
assert np.allclose(numpy(layer(told))[0, 0, :, 0], gated, atol=1e-5)  # NumPy = Keras

layer = PartialConv2D(1, 3, activation=None)
layer.build([(1, 1, 5, 1)] * 2)
kernel = np.zeros((3, 3, 1, 1))
kernel[1] = 1 / 9  # the library counts the rows above and below as missing: 9 / n, not 3 / n
layer.set_weights([kernel, np.zeros(1)])
made, anything = numpy(layer([told[..., :1], told[..., 1:]]))
assert np.allclose(made[0, 0, :, 0], partial, atol=1e-5) and anything.all()
print("plain  ", windows.round(3), "\npartial", partial.round(3), "\ngated  ", gated.round(3))

# %% [markdown]
# ## Holes to learn from
#
# Nobody has to label anything: cut a hole into any picture, and the picture is the truth. What matters is *which* holes. We cut them in the shapes of garments, grown like those we shall meet, and a quarter as strokes; the pictures are backgrounds with few garments or none. In the test it is a garment that goes, with the truth composed.

# %%
training = pw.data.load("removal", "train", size=SIZE, varied=False)
laid = [training.example(number) for number in range(32)]
shares = np.array([e.hole.mean() for e in laid])
rows = [
    ("training", [without(e.image / 255, e.hole) for e in laid[:6]]),
    ("test", [without(e.image / 255, e.hole) for e in examples[-6:]]),
    ("truth", [e.truth for e in examples[-6:]]),
]
plot.grid(rows, scale=0.7)
plt.show()
print("holes, share of the picture:", end=" ")
print(f"training median {np.median(shares):.0%}, largest {shares.max():.0%};", end=" ")
print(f"test median {np.median(true_holes.mean(axis=(1, 2))):.0%}")

# %% [markdown]
# *In training (first row) the picture under the hole is the truth.*
#
# ## An inpainter from parts
#
# Three steps down, three up. At the start stand the known pixels, a map of where they are and a smooth first guess, side by side. In the middle, convolutions with gaps (dilation, chapter *DeepLab*) look over the hole. On the way up each map is doubled, the encoder's map of that size is set beside it, and a convolution joins them. The network does not make the picture: it *changes that guess*, by next to nothing at first. The guess is made of the means of ever larger cells, in which each missing pixel then becomes the mean of its neighbours a few times over (`nn/push_pull.py`): a soap film in haste.


# %%
def from_parts(width):
    """A gated encoder-decoder that changes a smooth guess."""
    seen, where = keras.Input((None, None, 3)), keras.Input((None, None))
    pixels, there, smooth = Known()([seen, where])
    start = layers.Concatenate()([pixels, there, smooth])
    fine = GatedConv2D(width, 5, strides=2)(start)
    middle = GatedConv2D(2 * width, 3, strides=2)(fine)
    x = GatedConv2D(2 * width, 3, strides=2)(middle)
    for rate in (1, 2, 4):
        x = layers.Add()([x, GatedConv2D(2 * width, 3, dilation_rate=rate)(x)])
    for skip, filters in ((middle, width), (fine, max(8, width // 2)), (start, 8)):
        x = layers.UpSampling2D(interpolation="bilinear")(x)
        x = GatedConv2D(filters, 3)(layers.Concatenate()([x, skip]))
    change = layers.Conv2D(3, 3, padding="same", activation="tanh")(x)
    return keras.Model([seen, where], layers.Add()([smooth, change]))


own, library = from_parts(8), inpainter(8)
own.set_weights(library.get_weights())
pair = [without(images, true_holes, 0)[:2].astype("float32"), true_holes[:2].astype("float32")]
assert np.allclose(numpy(own(pair)), numpy(library(pair)), atol=1e-5)
print(f"{library.count_params():,} weights; the recorded one {recorded.generator.count_params():,}")

# %% [markdown]
# ### Two losses
#
# The mean absolute error (*L1*) in the hole weighs 6, outside 1. The guess that minimises the absolute error is the *median* of all that might be there; where a carpet's pattern may lie this way or that, the median is plain grey-brown. So a judge is added: a discriminator (chapter *GAN*) that sees the filled picture and its hole, and gives a logit not for the picture but for each of 8 x 8 overlapping *patches*. Texture is a matter of patches. Its weight is small, $0.02$.
#
# ## Training
#
# For some seconds; in the quick budget without the judge and with a narrower network, to save time. The soap film is the figure to beat, as the network starts from a hasty one.

# %%
steps, judged = pw.budget.get(CHAPTER, "steps"), pw.budget.get(CHAPTER, "judge")
live = inpainter(pw.budget.get(CHAPTER, "width"))
live = Inpainter(live, patch_discriminator() if judged else None, adversarial=judged)
rate = keras.optimizers.schedules.CosineDecay(pw.budget.get(CHAPTER, "rate"), steps, alpha=0.05)
live.compile(TwoPlayerAdam(rate) if judged else keras.optimizers.Adam(rate, beta_1=0.5))
train = pw.data.load("removal", "train", size=SIZE, batch_size=8, varied=False)
history = pw.training.fit(live, train, steps, ema=0.995, show=False)


def in_hole(made, chosen=slice(None)):
    """Mean PSNR in the true holes, in dB."""
    return inpainting.psnr(truth[chosen], made, true_holes[chosen]).mean()


fills = {
    "mean": fill_classical(images, true_holes, "mean"),
    "biharmonic": fill_classical(images, true_holes),
    "harmonic": fill_classical(images, true_holes, "harmonic"),
    "trained live": live.fill(images, true_holes),
    "recorded": recorded.fill(images, true_holes),
}
ratios = {name: in_hole(made) for name, made in fills.items()}
pw.budget.headline("08_segment_then_generate", ratios["recorded"] - ratios["biharmonic"])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
losses = np.array(history.parts["hole"])
span = max(1, steps // 15)
smooth = np.convolve(losses, np.ones(span) / span, mode="valid")
left.plot(losses, color="0.8")
left.plot(np.arange(len(smooth)) + span - 1, smooth, color=plot.BLUE)
left.set(xlabel="step", ylabel="absolute error in the hole", ylim=(0, None))
right.barh(
    list(ratios),
    list(ratios.values()),
    color=["0.6", plot.ORANGE, plot.YELLOW, plot.SKY, plot.BLUE],
)
right.set(xlabel="PSNR in the hole (dB)", xlim=(min(ratios.values()) - 2, None))
for place, value in enumerate(ratios.values()):
    right.text(value, place, f" {value:.1f}", va="center")
right.invert_yaxis()
tidy(left, right)
plt.show()

# %% [markdown]
# *Left: grey, each step; blue, a running mean. Right: these test scenes, with the true holes; the axis does not start at 0.*
#
# ## Measured
#
# PSNR and SSIM (structural similarity, Wang et al. 2004: means, contrasts and correlation in a small window) compare each fill with its truth, and forgive blur. KID, here in the features of MobileNetV2 and not of the garment classifier, compares the *set* of fills with the set of true pictures around the hole: does it look like such pictures? It does not care whether a fill is the right one, and is meant to mind blur. On all 400<!-- result inpaint_wardrobe-seed0 test.pictures --> test scenes, three trainings from different seeds:

# %%
plans = {"with judge": "inpaint_wardrobe", "L1 alone": "inpaint_plain"}
measures = {"psnr_hole": "PSNR (dB)", "ssim_hole": "SSIM", "kid": "KID"}
runs = {
    name: {m: [pw.results.get(f"{plan}-seed{s}", f"test.{m}") for s in range(3)] for m in measures}
    for name, plan in plans.items()
}
for name in ("biharmonic", "harmonic", "mean"):
    record = pw.results.get("inpaint_wardrobe-seed0", f"test.{name}")
    runs[name] = {m: [record[m]] for m in measures}

print(" " * 12 + "".join(f"{title:>18s}" for title in measures.values()))
for name, values in runs.items():
    texts = [f"{np.mean(v):.3f}" + (f" +- {np.std(v, ddof=1):.3f}" if len(v) > 1 else "")
             for v in values.values()]  # fmt: skip
    print(f"{name:12s}" + "".join(f"{text:>18s}" for text in texts))
figure, axes = plt.subplots(1, 3, figsize=(10, 2.5), layout="constrained", sharey=True)
colours = (plot.BLUE, plot.SKY, plot.ORANGE, plot.YELLOW, "0.6")
for axis, (key, title) in zip(axes, measures.items()):
    for place, (values, tone) in enumerate(zip(runs.values(), colours)):
        axis.plot(values[key], [place] * len(values[key]), "o", ms=8, color=tone)
    axis.set_yticks(range(len(runs)), runs)
    axis.set_xlabel(f"{title}, {'lower' if key == 'kid' else 'higher'} is better")
    axis.grid(axis="y", color="0.9")
axes[0].invert_yaxis()
tidy(*axes)
plt.show()

# %% [markdown]
# *Each dot is a training; the classical fills have one, as nothing in them is random.*
#
# The recorded network has 21.23<!-- result inpaint_wardrobe test.psnr_hole.mean --> dB in the hole on average over the seeds, the biharmonic fill 20.34<!-- result inpaint_wardrobe-seed0 test.biharmonic.psnr_hole -->; in KID 0.311<!-- result inpaint_wardrobe test.kid.mean --> against 0.350<!-- result inpaint_wardrobe-seed0 test.biharmonic.kid -->. So it beats the biharmonic fill in both, in each of the three trainings. Trained by L1 alone it has 21.24<!-- result inpaint_plain test.psnr_hole.mean --> dB and a KID of 0.310<!-- result inpaint_plain test.kid.mean -->: with so small a weight the judge changes nothing that three seeds could show.
#
# The soap film, which the network's first guess imitates, is the harder rival: 21.32<!-- result inpaint_wardrobe-seed0 test.harmonic.psnr_hole --> dB and a KID of 0.331<!-- result inpaint_wardrobe-seed0 test.harmonic.kid -->. The network, which was taught the *absolute* error, has less of it, 0.0723<!-- result inpaint_wardrobe test.l1_hole.mean --> against 0.0732<!-- result inpaint_wardrobe-seed0 test.harmonic.l1_hole -->, a lower KID, and an SSIM that is the same to a hundredth; in the squared error, which PSNR is, the film stays ahead by a hair. (KID varies by 0.04<!-- result inpaint_wardrobe-seed0 test.kid_spread --> from subset to subset, more than nearly all these differences.) All gaps to the film are small, and in the training the error hardly falls. A likely reason: how a carpet goes on behind a coat is not written on the rim of the hole, one must know carpets, and a network of this size has met few. Published inpainters learn from millions of photographs.
#
# Do not read KID alone: one colour for the hole, which nobody would take, has 0.272<!-- result inpaint_wardrobe-seed0 test.mean.kid -->. Why, we did not test; a likely reason is that a flat patch has a sharp rim, and features that answer to edges find some there, where a blurred fill has none.
#
# Here are the three scenes where the network gains most on the biharmonic fill, and the three where it loses most:

# %%
gain = inpainting.psnr(truth, fills["recorded"], true_holes)
gain -= inpainting.psnr(truth, fills["biharmonic"], true_holes)
chosen = np.r_[np.argsort(-gain)[:3], np.argsort(gain)[:3][::-1]]
rows = [
    ("hole", without(images, true_holes)[chosen]),
    *(
        (label, fills[name][chosen])
        for name, label in {
            "biharmonic": "bihar-\nmonic",
            "trained live": "trained\nlive",
            "recorded": "re-\ncorded",
        }.items()
    ),
    ("truth", truth[chosen]),
]
plot.grid(rows, [f"{value:+.1f} dB" for value in gain[chosen]], scale=0.7)
plt.show()


def roughness(made):
    """The mean step from a pixel to the next, down, inside the holes."""
    inside = true_holes[:, 1:] & true_holes[:, :-1]
    return np.abs(np.diff(made, axis=1)).mean(axis=-1)[inside].mean()


print("roughness:", *(f"{n} {roughness(m):.4f}," for n, m in fills.items()), end=" ")
print(f"truth {roughness(truth):.4f}; better than biharmonic in {np.mean(gain > 0):.0%} of scenes")

# %% [markdown]
# *Above each column: the recorded network's PSNR in the hole minus the biharmonic fill's.* It gains where the biharmonic fill overshoots into bright spots, and draws no pattern. All fills are smoother than the truth: what cannot be known is left out.
#
# ## With the mask found, and grown
#
# So far the mask was true. A found mask may be too small, too large, missing, or two garments at once. And even the true mask is not the whole garment: the camera blurs its edge over a pixel or two, and its *shadow* lies beside it. What is outside the hole stays in the picture, and worse, it is the rim from which the fill takes its colours. So we grow the hole by some pixels and measure always in the same place: the true mask grown by four, all that the garment has changed.

# %%
grows = (0, 1, 2, 3, 4, 6, 8)
curves = {n: [in_hole(take_out(m, pixels)) for pixels in grows] for n, m in masks.items()}
curves["true mask,\nbiharmonic"] = [
    in_hole(take_out(true_masks, pixels, fill_classical)) for pixels in grows[::2]
]
figure, axis = plt.subplots(figsize=(7, 3), layout="constrained")
for (name, values), tone in zip(curves.items(), ("black", plot.GREEN, plot.BLUE, plot.ORANGE)):
    axis.plot(grows[:: 2 if len(values) < 7 else 1], values, "o-", ms=5, color=tone, label=name)
axis.axhline(in_hole(images), color="0.5", ls=":", label="nothing done")
axis.set(xlabel="mask grown by (pixels)", ylabel="PSNR (dB)")
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
tidy(axis)
plt.show()
for name, found in list(masks.items())[1:]:
    overlap = (found & true_masks).sum(axis=(1, 2)) / (found | true_masks).sum(axis=(1, 2))
    print(f"{name:11s} found nothing in {np.mean(~found.any(axis=(1, 2))):.0%} of scenes,", end=" ")
    print(f"mask IoU {overlap.mean():.2f}, below 0.5 in {np.mean(overlap < 0.5):.0%};", end=" ")
    print(f"grown by {GROW}: {in_hole(take_out(found, GROW)):.1f} dB")

# %% [markdown]
# *PSNR over the true mask grown by four, mean over the scenes.*
#
# Not grown, the hole keeps the rim and the shadow, and the fill is spun out of them. By PSNR one or two pixels are best. Four take out everything that the garment changed, and are worse than none for the true mask and for that of Mask R-CNN: most of the shadow is so faint that to keep it costs less than to invent what is under it. Beyond four the measured pixels stay the same and the rim only moves away. (Here we look at test scenes; to *choose* a number, take the validation split.) DeepLabV3+ knows classes and no objects: what lies under the finger is a connected piece, which may be two coats, or garments where there are none. Look at it:

# %%
worst = np.argsort(inpainting.psnr(truth, take_out(masks["Mask R-CNN"], GROW), true_holes))[:2]
chosen = np.r_[np.flatnonzero(true_holes.mean(axis=(1, 2)) > 0.1)[:3], worst]
rows = [("picture", images[chosen])]
rows += [(f"grown\nby {p}", take_out(true_masks, p)[chosen]) for p in (0, GROW)]
rows += [
    (name.replace(" ", "\n").replace("LabV", "Lab\nV"), take_out(masks[name], GROW)[chosen])
    for name in finders
]
plot.grid([*rows, ("truth", truth[chosen])], scale=0.7)
plt.show()

# %% [markdown]
# *Second row: the true mask, not grown: a smear of shadow shows where the garment was. Last two columns: the two scenes in which Mask R-CNN did worst; where it finds nothing above a score of 0.5, nothing is taken out.*
#
# ### A hole larger than in training
#
# Squares in the middle of whole pictures, ever larger. The grey band is where 90% of the training's holes lie (of the 32 that we looked at).

# %%
whole, sides = truth[: pw.budget.get(CHAPTER, "large")], (8, 16, 24, 32, 40, 48, 56)
squares = np.zeros((len(sides), SIZE, SIZE), bool)
for hole, side in zip(squares, sides):
    hole[(SIZE - side) // 2 : (SIZE + side) // 2, (SIZE - side) // 2 : (SIZE + side) // 2] = True
methods = {
    "recorded": recorded.fill,
    "harmonic": lambda x, h: fill_classical(x, h, "harmonic"),
    "mean": lambda x, h: fill_classical(x, h, "mean"),
}
large = {n: [fill(whole, hole) for hole in squares] for n, fill in methods.items()}
figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
for (name, made), tone in zip(large.items(), (plot.BLUE, plot.YELLOW, "0.6")):
    places = [np.broadcast_to(hole, whole.shape[:3]) for hole in squares]
    values = [inpainting.psnr(whole, m, w).mean() for m, w in zip(made, places)]
    axis.plot(squares.mean(axis=(1, 2)), values, "o-", color=tone, label=name)
axis.axvspan(*np.quantile(shares, (0.05, 0.95)), color="0.92", zorder=0)
axis.set(xlabel="hole, share of the picture", ylabel="PSNR in the hole (dB)")
axis.legend(frameon=False)
tidy(axis)
plt.show()

# %% [markdown]
# The larger the hole, the less the rim says about its middle, and the nearer one flat colour comes to the others: the middle of a large hole is a case for a generator, which makes *a* picture, not *the* picture.
#
# ## A picture from a label map
#
# The reverse of segmentation: given the label map, paint a picture. As a map from label map to picture this has no single answer, so the generator also gets noise, and a discriminator judges pairs (Isola et al. 2017). But if the label map just enters at the bottom, normalisation weakens it: *where a picture has one class the map is constant, and a constant is what normalisation removes; where it has several, their level is lost*. Spatially adaptive normalisation, SPADE (Park et al. 2019), says it again at every level, *after* the normalisation:
#
# $$y=\big(1+\gamma(\text{labels})\big)\,\frac{x-\mu}{\sigma}+\beta(\text{labels})$$
#
# where $\gamma$ and $\beta$ are convolutions of the label map. By hand: $x=\begin{pmatrix}1&3\\5&7\end{pmatrix}$ has $\mu=4$ and $\sigma=\sqrt5$: normalised $\mp1.342$ and $\mp0.447$. The first row is background, the second a coat, with $\gamma=(0,1)$ and $\beta=(0.5,-1)$ for the two classes: $-1.342+0.5=-0.842$, $-0.447+0.5=0.053$, $2\cdot0.447-1=-0.106$ and $2\cdot1.342-1=1.683$.

# %% tags=["shared"]
x = np.float32([[1, 3], [5, 7]])
labels = np.array([[0, 0], [1, 1]])
gamma, beta = np.float32([0, 1]), np.float32([0.5, -1])  # of class 0 and class 1


def spade_layer(x, gamma, beta):
    """The library's layer for one map (h, w, 1), whose convolutions look at one place only."""
    layer = SPADE(hidden=0, norm="layer")
    layer.build([(1, *x.shape, 1), (1, *x.shape, len(gamma))])
    kernel = np.zeros((3, 3, len(gamma), 2))
    kernel[1, 1] = np.stack([gamma, beta], axis=-1)
    layer.modulation.set_weights([kernel, np.zeros(2)])
    return layer


# %%
normal = (x - x.mean()) / x.std()
by_hand = (1 + gamma[labels]) * normal + beta[labels]
assert np.allclose(by_hand, [[-0.842, 0.053], [-0.106, 1.683]], atol=1e-3)
one_hot = np.eye(2, dtype="float32")[labels][None]
layer = spade_layer(x, gamma, beta)
assert np.allclose(numpy(layer([x[None, ..., None], one_hot]))[0, ..., 0], by_hand, atol=1e-4)
flat = numpy(layer([np.full((1, 2, 2, 1), 3.0, "float32"), one_hot]))[0, ..., 0]
assert np.allclose(flat, beta[labels])  # a constant map: all that is left is what labels say
print(by_hand.round(3), "and of a constant map:", flat.ravel())

# %% [markdown]
# The recorded painter doubles a small map of noise four times, with SPADE before each convolution. In training it is not left with noise alone: an encoder, as in a VAE, says from which normal the noise of *this* real picture is drawn, a KL divergence keeps those normals near the standard one, and the mean absolute error to the real picture joins the judge's loss. Without the encoder that error would ask for the median of all pictures that a label map can mean, which is grey. It had 6,000<!-- result mask_to_image_wardrobe steps --> steps of 8 scenes. First row: one label map, six draws of noise. Then one draw of noise for six label maps.

# %%
painter = evaluation.recorded("mask_to_image_wardrobe")
maps = np.stack([e.scene.semantic for e in examples[:6]])
rng = np.random.default_rng(1)
noise = rng.standard_normal((6, painter.latent)).astype("float32")
rows = [
    ("one\nmap", painter.paint(np.repeat(maps[:1], 6, axis=0), latents=noise)),
    ("one\nnoise", painter.paint(maps, latents=np.repeat(noise[:1], 6, axis=0))),
    ("label\nmap", [plot.colour_mask(m) for m in maps]),
    ("real", images[:6]),
]
plot.legend(plot.grid(rows, scale=0.7), CLASSES, ncols=3)
plt.show()
score = pw.results.get("mask_to_image_wardrobe", "test")
print(f"KID {score['kid_mobilenet']:.2f}; mean IoU of DeepLabV3+ on painted scenes", end=" ")
print(
    f"{score['consistency']:.3f}, on real ones {score['consistency_real']:.3f}; how a pixel of",
    end="",
)
print(f" the background varies: painted {score['variety']:.3f}, real {score['variety_real']:.3f}")

# %% [markdown]
# Outlines and folds are there. But one draw of noise colours the whole picture, so that a garment's colour runs on into its neighbour's; and the backgrounds are blots and plaids where the real ones are photographs. Published painters are far larger and learn for days.
#
# Three things can be wrong with painted pictures, and we measure each: do they look real (KID), do they show what the label map says (a recorded DeepLabV3+ reads them), and are they various? They fail in the first two. A KID of 1.96<!-- result mask_to_image_wardrobe test.kid_mobilenet --> is far from 0, and DeepLabV3+ reads less than half of what it reads in real scenes. A pixel of the background varies no less than in real ones: the colours vary, but no real scene lies among the painted ones (recall 0.00<!-- result mask_to_image_wardrobe test.recall -->).
#
# ## Do painted pictures teach?
#
# A label map costs the composer nothing. So paint 1,000 of them and train a segmenter, an FCN-8s that starts from ImageNet's weights, as always in this book: on painted scenes alone, and with painted ones as half of each batch beside 50, 200 or 1,000 real scenes. The same 200<!-- result segment_50-seed0 steps --> steps for all, three seeds each, measured on real test scenes.

# %%
numbers = (50, 200, 1000)
recipes = {f"{n}{'+' * bool(k)}": f"segment_{n}{k}" for n in numbers for k in ("", "_painted")}
recipes = {"painted": "segment_painted", **recipes}
read = {
    name: np.array([pw.results.get(f"{plan}-seed{s}", "test.mean_iou") for s in range(3)])
    for name, plan in recipes.items()
}
figure, axis = plt.subplots(figsize=(7, 2.8), layout="constrained")
for place, (name, values) in enumerate(read.items()):
    tone = plot.BLUE if name.isdigit() else plot.ORANGE
    axis.plot([place] * 3, values, "o", color=tone)
    axis.plot([place - 0.3, place + 0.3], [values.mean()] * 2, color=tone)
axis.set_xticks(range(len(read)), read)
axis.set(xlabel="real scenes (+: and painted ones)", ylabel="mean IoU, real test scenes")
tidy(axis)
plt.show()
for n in numbers:
    before, after = read[f"{n}"], read[f"{n}+"]
    print(f"{n:5d} real: {before.mean():.3f} +- {before.std(ddof=1):.3f},", end=" ")
    print(f"with painted {after.mean():.3f} +- {after.std(ddof=1):.3f}:", end=" ")
    print(f"{after.mean() - before.mean():+.3f}, seeds apart by at most", end=" ")
    print(f"{max(np.ptp(before), np.ptp(after)):.3f}")
print("\nlearned from      real scenes    painted scenes")
for name, plan in {"1,000 real": "segment_1000", "painted": "segment_painted"}.items():
    for_both = [pw.results.get(plan, f"test.{k}.mean") for k in ("mean_iou", "painted_mean_iou")]
    print(f"{name:12s}", "".join(f"{value:15.3f}" for value in for_both))

# %% [markdown]
# *Each dot is a training, the line their mean. Table: mean IoU on the real test scenes, and on painted ones of the same label maps.*
#
# **Beside 50 real scenes they help.** The mean goes from 0.261<!-- result segment_50 test.mean_iou.mean --> to 0.291<!-- result segment_50_painted test.mean_iou.mean -->. As in chapter *GAN*, a gain counts if it is larger than the two standard deviations together; this one is. Painted scenes alone, with no real one, bring the network to 0.249<!-- result segment_painted test.mean_iou.mean -->, nearly as far as the 50. **Beside 200 and 1,000 they do not**: 0.314<!-- result segment_200 test.mean_iou.mean --> without and 0.281<!-- result segment_200_painted test.mean_iou.mean --> with them, 0.327<!-- result segment_1000 test.mean_iou.mean --> and 0.292<!-- result segment_1000_painted test.mean_iou.mean -->. Both losses are smaller than that. If they are losses at all, a likely cause is that half of each batch goes to the worse pictures.
#
# The table suggests why they teach no more. Its rows are what the network learned from, its columns what it is asked. The first row is low under *painted*: one who knows real scenes cannot read them well, while one who learned from them reads them nearly as well as the other reads real scenes. The second row is higher under *painted*, 0.317<!-- result segment_painted test.painted_mean_iou.mean -->, than under *real*: what painted pictures show, they show in a handwriting of their own. Why they help beside 50, we did not test. A likely reason is that 50 scenes hold some 200 garments, and 1,000 label maps have shapes and positions that those lack.
#
# **What painted pictures do cost.** The painter learned from real scenes *with their label maps*, as many as it wanted, 6,000<!-- result mask_to_image_wardrobe steps --> batches of 8. So the 50 of "50+" are not all the labels that went in: whoever has only 50 has no such painter, and could not have this gain. What it hands on is what it has seen, worse drawn. Pictures from a generator are worth the most where it knows something that your labelled pictures do not: because it was trained on unlabelled ones, or on somebody else's.
#
# ## Completion, correction, creation
#
# The article sums up generation in three words, *completion*, *correction* and *creation*. Creation was the painter. Completion and correction are one thing if one *knows which pixels are lost*: then they are holes. Three damages on whole test pictures, to which we put the inpainter: blocks, half of all pixels, and a low resolution, where of each 2 x 2 pixels one is known.

# %%
some = truth[: pw.budget.get(CHAPTER, "damaged")]
rng = np.random.default_rng(0)
blocks = np.kron(rng.random((len(some), 8, 8)) < 0.2, np.ones((8, 8))) > 0
coarse = np.ones_like(blocks)
coarse[:, ::2, ::2] = False
damages = {"blocks": blocks, "half lost": rng.random(blocks.shape) < 0.5, "1 of 4 kept": coarse}
rows, titles = [], []
for name, lost in damages.items():
    made = [recorded.fill(some, lost), fill_classical(some, lost, "harmonic")]
    values = [inpainting.psnr(some, m, lost).mean() for m in made]
    print(f"{name:12s} inpainter {values[0]:.1f} dB, harmonic {values[1]:.1f} dB")
    rows.append(
        (
            name.replace(" ", "\n", 1),
            [part[k] for k in (0, 1) for part in (without(some, lost), *made, some)],
        )
    )
plot.grid(rows, ["damaged", "inpainter", "harmonic", "truth"] * 2, scale=0.7)
plt.show()

# %% [markdown]
# None of the three is what the network was trained for, and the film does as well or better. Where a missing pixel has known neighbours, their mean is hard to beat; for more than that one would train a network on just these losses. And if nobody says *which* pixels are wrong, as with noise, there is no hole to fill at all: noise was a matter for the VAE, in its chapter.
#
# The VAE of the chapter *VAE* completes from the other end. It knows *garments* and nothing else: it fills the gap with noise, encodes, decodes, puts the known half back, and again (*repeat*, chapter *VAE*). The inpainter knows *surroundings*. Both on garments that lack a half:

# %%
grey, _ = pw.data.load("garments", "test", batch_size=7, num_batches=1)[0]
lower = np.zeros((28, 28), bool)
lower[14:] = True
black_white = (grey > 0.5).astype("float32")  # black and white, here by a threshold
with_vae = pw.weights.checkpoint(vae(width=16), "vae_garments")
by_vae = completion.complete(with_vae, black_white, ~lower, "repeat")
double = np.pad(np.kron(black_white, np.ones((1, 2, 2, 3))), [(0, 0), (4, 4), (4, 4), (0, 0)])
hole = np.pad(np.kron(lower, np.ones((2, 2))), 4) > 0  # the inpainter knows 64 x 64 pixels
by_inpainter = recorded.fill(double.astype("float32"), hole)[:, 4:60:2, 4:60:2]
rows = [
    ("half", without(black_white, lower[None], 0.5)),
    ("VAE", by_vae),
    ("inpainter", by_inpainter),
    ("truth", black_white),
]
plot.grid([(name, [x[..., 0] for x in r]) for name, r in rows], scale=0.8)
plt.show()
error = [np.abs(m - black_white)[:, 14:].mean() for m in (by_vae, by_inpainter)]
error.append(black_white[:, 14:].mean())  # of black pixels in the whole missing half
print(
    "absolute error in the missing half: VAE {:.3f}, inpainter {:.3f}, black {:.3f}".format(*error)
)

# %% [markdown]
# This measure rewards a fill that dares nothing, and neither picture is right. One network has a model of the thing, the other of what joins on to it.
#
# ## The one thread
#
# A map is doubled, joined with something, and convolved: five networks of this book, each of which makes a large map from a small one. How much is really the same? We count their layers:

# %%
networks = {
    "FCN-8s": fcn(len(CLASSES), "8s", weights=None),
    "VAE decoder": with_vae.decoder,
    "DCGAN generator": dcgan_generator(),
    "inpainter": recorded.generator,
    "painter": spade_generator(len(CLASSES)),
}
up = ("UpSampling2D", "DoubleBilinear", "Conv2DTranspose")
joins = ("Add", "Concatenate", "SPADE")
for name, network in networks.items():
    kinds = [type(layer).__name__ for layer in network.layers]
    after = kinds[min(kinds.index(kind) for kind in up if kind in kinds) :]
    parts = Counter(k for k in after if k in (*up, *joins) or k.endswith("Conv2D"))
    print(f"{name:16s}", ", ".join(f"{n} {k}" for k, n in parts.items()))

# %% [markdown]
# *All layers from the first doubling on.*
#
# - **The same:** the way up in powers of two, and weights shared by all places. FCN, the VAE's decoder and the DCGAN double with one and the same layer, a transposed convolution; inpainter and painter double first and convolve then, so that no pixel is stamped more often than its neighbour; the plaids above show that this alone does not keep a grid out.
# - **Not the same:** what is joined. FCN *adds scores* of the encoder; the inpainter *sets features beside* each other; the painter is told the label map by *scale and shift*; VAE and DCGAN join nothing, as a GAN has no encoder, and a VAE's may hand on nothing but the latents. And what comes out: scores, probabilities, colours.
#
# The decoder does not know whether it segments or generates. What is joined says what it goes by, and the loss says what it is for.
#
# ## What this can be misused for
#
# Filling holes removes a person from a photograph, a crack from a report, a watermark from somebody's work. Painting from label maps makes scenes that never were, with labels that look like evidence; trained on people's pictures, it may give back some of them. Our scenes are clothes on photographs at 64 pixels, and harm nobody. The methods do not know that. Whoever publishes a filled or painted picture should say so in the picture's own data and beside it; whoever reports results of a network should say which of its pictures were made; and no filled-in region may ever serve as a measurement: the network gives what is *usual* in such a place, and the unusual thing is often why the picture was taken.
#
# ## What the source article says, and what is true
#
# | The article | What is true |
# |---|---|
# | 2.3: in object detection "the picture must first be segmented" to tell objects apart | Detectors find boxes without segmenting; Mask R-CNN makes masks *after* the boxes. |
# | 2.3: "then the missing parts can be completed by generating a new image" | A new image is not a completion. The fill has to fit what is known: the network is told it, the known pixels are put back, and the loss compares in the hole. |
# | 2.3: the two are combined "for more efficient and accurate" vision | No example and no figure. We measured two combinations; what they bring, and where they bring nothing, stands in the tables above. |
# | 2.3 says nothing of the mask | The mask decides as much as the network: not grown, it leaves the shadow and the rim. |
# | 2.2: generation serves "completion, correction and creation" | Three tasks with different inputs, losses and measures. The GAN of the article takes noise only and can do the third alone; a VAE can be used for the other two, with the care of the chapter *VAE*. |
#
# The whole table, for every section of the article, is in [ERRATA.md](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md).
#
# ## Exercises
#
# Replace the line `pw.exercises.todo()` by your answer and run the check below it. The solutions are in `chapters/solutions/08_segment_then_generate.ipynb`.

# %% [markdown] tags=["exercise"]
# ### Exercise 1: grow a mask
#
# `mask` is boolean, `(height, width)`. Return it grown by one pixel up, down, left and right (not diagonally). What leaves the picture on one side must not come back on the other.


# %% tags=["exercise"]
def grown(mask):
    # BEGIN SOLUTION
    wide = np.pad(mask, 1)
    return wide[1:-1, 1:-1] | wide[:-2, 1:-1] | wide[2:, 1:-1] | wide[1:-1, :-2] | wide[1:-1, 2:]
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    dot = np.zeros((5, 5), bool)
    dot[2, 2] = True
    assert np.sum(grown(dot)) == 5, "A dot becomes a cross of five pixels."
    corner = np.zeros((4, 6), bool)
    corner[0, 5] = True
    assert np.sum(grown(corner)) == 3, "In the corner: the pixel and two neighbours, none opposite."
    assert not np.any(grown(corner & False)), "What is empty stays empty."
    rng = np.random.default_rng(0)
    mask = rng.random((20, 30)) < 0.1
    assert np.array_equal(grown(mask), holes.grow(mask, 1)), "It differs from the library's."

# %% [markdown] tags=["exercise"]
# ### Exercise 2: PSNR in the hole
#
# `truth` and `filled` are `(height, width, 3)` in [0, 1], `hole` is boolean, `(height, width)`. Return the PSNR in dB over the pixels and channels of the hole only.


# %% tags=["exercise"]
def psnr_in_hole(truth, filled, hole):
    # BEGIN SOLUTION
    return -10 * np.log10(np.mean((truth[hole] - filled[hole]) ** 2))
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("2"):
    made = fill_classical(colour, gap, "harmonic")[0]
    assert np.isclose(psnr_in_hole(colour[0], made, gap), 15.355, atol=1e-2), "By hand: 15.4 dB."
    assert np.isclose(psnr_in_hole(colour[0], colour[0] * 0 + 0.5, gap), 6.0206), "Off by 0.5."
    rng = np.random.default_rng(0)
    a, b = rng.random((2, 12, 15, 3))
    hole = rng.random((12, 15)) < 0.3
    wanted = inpainting.psnr(a[None], b[None], hole[None])[0]
    assert np.isclose(psnr_in_hole(a, b, hole), wanted), "It differs from the library's."

# %% [markdown] tags=["exercise"]
# ### Exercise 3: a soap film by patience
#
# No equations: put 0 into the hole, and then, `times` times, replace all missing pixels at once by the mean of their four neighbours. `picture` is `(height, width)`, the hole does not touch its edge. Return the filled picture; known pixels stay.


# %% tags=["exercise"]
def soap_film(picture, hole, times):
    # BEGIN SOLUTION
    made = np.where(hole, 0, picture)
    for _ in range(times):
        wide = np.pad(made, 1)
        mean = (wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:]) / 4
        made = np.where(hole, mean, picture)
    return made
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("3"):
    once = soap_film(picture, gap, 1)
    assert np.allclose(once[2, 1:4], [0, 0, 0.75]), "Once: 0, 0 and 3/4."
    assert np.allclose(soap_film(picture, gap, 2)[2, 1:4], [0, 3 / 16, 0.75]), "All at once."
    much = soap_film(picture, gap, 200)
    assert np.allclose(much[2, 1:4], [3 / 56, 3 / 14, 45 / 56]), "In the end: the three equations."
    rng = np.random.default_rng(0)
    some = rng.random((9, 9)).astype("float32")
    hole = np.zeros((9, 9), bool)
    hole[2:6, 3:7] = True
    wanted = fill_classical(np.repeat(some[None, ..., None], 3, -1), hole, "harmonic")[0, ..., 0]
    found = soap_film(some, hole, 500)
    assert np.allclose(found, wanted, atol=1e-4), "It differs from the library's."

# %% [markdown] tags=["exercise"]
# ### Exercise 4: a partial convolution
#
# For a row `x` and `known` (1 or 0), both `(n,)`, and a window of three weights `w`: return, for each place, the sum of the known values in its window, each times its weight, times 3 divided by how many of the three are known; 0 where none is. Beyond the row nothing is known.


# %% tags=["exercise"]
def partial_row(x, known, w):
    # BEGIN SOLUTION
    values, there = np.pad(x * known, 1), np.pad(known, 1)
    n = len(x)
    total = sum(w[k] * values[k : k + n] for k in range(3))
    number = sum(there[k : k + n] for k in range(3))
    return np.where(number > 0, total * 3 / np.maximum(number, 1), 0)
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("4"):
    third = np.full(3, 1 / 3)
    assert np.allclose(partial_row(row, known, third), [1, 1, 2, 3, 3]), "The row of the text."
    dirty = np.where(known > 0, row, 99)
    assert np.allclose(partial_row(dirty, known, third), [1, 1, 2, 3, 3]), "The hole is not read."
    assert np.allclose(partial_row(row, row * 0, third), 0), "Nothing known: 0."
    rng = np.random.default_rng(0)
    x8, k8, w = rng.normal(size=8), np.float32([1, 0, 0, 0, 1, 1, 0, 1]), rng.normal(size=3)
    layer = PartialConv2D(1, 3, activation=None)
    layer.build([(1, 1, 8, 1)] * 2)
    kernel = np.zeros((3, 3, 1, 1))
    kernel[1, :, 0, 0] = w / 3
    layer.set_weights([kernel, np.zeros(1)])
    pair = [part.astype("float32").reshape(1, 1, 8, 1) for part in (x8, k8)]
    wanted = numpy(layer(pair)[0])[0, 0, :, 0]
    assert np.allclose(partial_row(x8, k8, w), wanted, atol=1e-5), "It differs from the library's."

# %% [markdown] tags=["exercise"]
# ### Exercise 5: labels after the norm
#
# `x` is one map `(height, width)`, `labels` integers of the same shape; `gamma` and `beta` have a number for each class. Return the map normalised over all its places (add $10^{-5}$ to the variance), scaled by $1+\gamma$ and shifted by $\beta$ of each place's class.


# %% tags=["exercise"]
def spade(x, labels, gamma, beta):
    # BEGIN SOLUTION
    normal = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    return (1 + gamma[labels]) * normal + beta[labels]
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("5"):
    found = spade(x, labels, gamma, beta)
    assert np.allclose(found, [[-0.842, 0.053], [-0.106, 1.683]], atol=1e-3), "As by hand."
    small = [[-0.275, 0.242], [-0.484, 0.549]]
    found = spade(x / 1000, labels, gamma, beta)
    assert np.allclose(found, small, atol=1e-3), "To the variance, not to the deviation."
    found = spade(x * 0 + 3, labels, gamma, beta)
    assert np.allclose(found, [[0.5, 0.5], [-1, -1]], atol=1e-3), "A constant map: only beta."
    rng = np.random.default_rng(0)
    wide, three = rng.normal(size=(6, 8)).astype("float32"), rng.integers(0, 3, (6, 8))
    g, b = rng.normal(size=(2, 3)).astype("float32")
    one_hot = np.eye(3, dtype="float32")[three][None]
    wanted = numpy(spade_layer(wide, g, b)([wide[None, ..., None], one_hot]))[0, ..., 0]
    assert np.allclose(spade(wide, three, g, b), wanted, atol=1e-4), "It differs from the layer's."

# %% [markdown]
# ## Summary
#
# - A hole's rim gives a smooth fill by an equation. An inpainter starts from such a fill and adds what it knows of pictures: ours beats the biharmonic fill in PSNR and KID, and the harmonic one not in PSNR.
# - Gated convolutions learn what to trust; partial ones are told.
# - L1 asks for the median, which is blurred; a patch discriminator asks for what looks real. Here the judge changed neither PSNR nor KID. Report both, in the hole.
# - Grow the mask by a pixel or two before you fill: not grown, it leaves shadow and rim; grown further, it costs more than it mends.
# - SPADE tells a generator its label map after every normalisation, which would weaken it.
# - Painted pictures teach a segmenter what their painter knows. Count the labels that the painter needed.
#
# The last chapter sets all models side by side.
#
# **Further reading**
#
# - Guilin Liu, Fitsum A. Reda, Kevin J. Shih, Ting-Chun Wang, Andrew Tao, Bryan Catanzaro. Image Inpainting for Irregular Holes Using Partial Convolutions. ECCV 2018, [arXiv 1804.07723](https://arxiv.org/abs/1804.07723).
# - Jiahui Yu, Zhe Lin, Jimei Yang, Xiaohui Shen, Xin Lu, Thomas Huang. Free-Form Image Inpainting with Gated Convolution. ICCV 2019, [arXiv 1806.03589](https://arxiv.org/abs/1806.03589).
# - S. B. Damelin, N. S. Hoang. On Surface Completion and Image Inpainting by Biharmonic Functions: Numerical Aspects. International Journal of Mathematics and Mathematical Sciences, 2018.
# - Zhou Wang, Alan C. Bovik, Hamid R. Sheikh, Eero P. Simoncelli. Image Quality Assessment: From Error Visibility to Structural Similarity. IEEE Transactions on Image Processing 13(4), 2004.
# - Phillip Isola, Jun-Yan Zhu, Tinghui Zhou, Alexei A. Efros. Image-to-Image Translation with Conditional Adversarial Networks. CVPR 2017, [arXiv 1611.07004](https://arxiv.org/abs/1611.07004).
# - Taesung Park, Ming-Yu Liu, Ting-Chun Wang, Jun-Yan Zhu. Semantic Image Synthesis with Spatially-Adaptive Normalization. CVPR 2019, [arXiv 1903.07291](https://arxiv.org/abs/1903.07291).
#
# **How to cite** this chapter: *The Pixelwise authors, Pixelwise: image segmentation and generation, from the mathematics to running code, chapter "Segment, then generate", 2026.* The file `CITATION.cff` has the entry for the book.
