# %% [markdown]
# # DeepLab
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/03_deeplab.ipynb)
#
# An FCN throws resolution away and wins some of it back. Liang-Chieh Chen and his co-authors asked why it has to be thrown away at all. Between 2015 and 2018 their four DeepLabs answered: spread the taps of the kernels instead of shrinking the map, look at several distances at once, and leave the outlines to a small decoder. This chapter builds each piece, proves on a real network that spreading the taps changes nothing but the number of answers, and measures what every piece is worth.
#
# **After this chapter you can**
#
# - say what a stride and a dilation do to resolution and to the field of view (the receptive field), and measure both;
# - build ASPP and the decoder of DeepLabV3+ from parts, and choose rates that fit the picture;
# - train one on a laptop, and tell from an ablation (one part exchanged, everything else equal) over three seeds which part earns its place;
# - run a fully connected CRF and say what it mends and what it breaks;
# - load torchvision's COCO weights and segment a picture of any size.
#
# **You need** the chapters *The mathematics of pixels* and *Fully convolutional networks*.
#
# **Time and memory:** 259<!-- result chapters 03_deeplab.quick.seconds --> seconds and 2371<!-- result chapters 03_deeplab.quick.peak_memory_mib --> MiB on two cores without a GPU, training included. On a GPU the notebook takes the *full* budget, the whole recipe of 6,000 steps.

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
from scipy import ndimage

from pixelwise import plot
from pixelwise.data import wardrobe
from pixelwise.metrics import segmentation as seg
from pixelwise.models.backbones import mobilenet_v2
from pixelwise.models.crf import DenseCRF, expected_energy, mean_field_step, unaries
from pixelwise.models.deeplab import deeplab
from pixelwise.models.fcn import fcn
from pixelwise.models.segmenter import ResizeTo
from pixelwise.nn.aspp import SpreadOver, aspp, mean_taps
from pixelwise.nn.atrous import conv_bn, separable_conv_bn
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.convolution import dilate_kernel
from pixelwise.nn.losses import SegmentationCrossEntropy
from pixelwise.nn.optimizers import TwoRateAdamW

CHAPTER, SIZE = "03_deeplab", 96
CLASSES = wardrobe.CLASSES


def network(**changes):
    """The DeepLabV3+ of this chapter: levels, rates and channels for small pictures."""
    options = {"features": ("C4", "C5"), "rates": (1, 2, 3), "channels": 128, **changes}
    return deeplab(len(CLASSES), backbone="mobilenet_v2", **options)


# %% [markdown]
# ## The answer first
#
# Six of the scenes of the last chapter, which no network has seen in training. Second row: the FCN-8s recorded there. Third row: this chapter's DeepLabV3+ on the same backbone, after the same number of training steps. It has 3.7 million weights, FCN-8s 2.3 million; the backbone with 2.3 million is the same. Look at the outlines.

# %%
recorded = pw.weights.checkpoint(network(), "deeplabv3plus_wardrobe")
fcn8s = pw.weights.checkpoint(fcn(len(CLASSES), "8s"), "fcn8s_wardrobe")
test = pw.data.load("wardrobe", "test", size=SIZE, batch_size=8)
images, masks = (batch[:6] for batch in test[0])
rows = [("picture", images)]
for name, model in (("FCN-8s", fcn8s), ("DeepLabV3+", recorded)):
    answers = seg.predict(model, images)
    rows.append((name, [plot.overlay(i, a) for i, a in zip(images, answers)]))
rows.append(("truth", [plot.overlay(i, m) for i, m in zip(images, masks)]))
plot.legend(plot.grid(rows, scale=1.0), CLASSES)
plt.show()

# %% [markdown]
# ## Keep the map, spread the taps
#
# A network shrinks its maps for two reasons: small maps are cheap, and on a small map a 3 x 3 kernel *sees far*. Take the second reason apart with nine numbers and the kernel $w=(1,2,1)$.
#
# Shrink first: keep every second number, $3, 4, 5, 2, 5$, and filter. Over the middle value the kernel gives $1\cdot4+2\cdot5+1\cdot2=16$. Its three taps reach over five of the original numbers.
#
# Or keep all nine and *spread the taps*, two numbers apart. Over the same value: $1\cdot4+2\cdot5+1\cdot2=16$. The same numbers meet the same weights. But now there is an answer at the places in between as well: over the $1$ to the left of it, $1\cdot1+2\cdot1+1\cdot9=12$.
#
# That is the *atrous* convolution (French *à trous*, with holes), also called dilated. With rate $r$, the dilation $d$ of the chapter *The mathematics of pixels*:
#
# $$y[i] = \sum_k x[i + r\,k]\;w[k]$$
#
# Rate 1 is the ordinary convolution.

# %%
x, w = np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 5]), np.array([1.0, 2, 1])
shrunk = np.array([x[::2][i : i + 3] @ w for i in range(3)])
spread = np.array([x[i : i + 5 : 2] @ w for i in range(5)])  # taps at i, i + 2, i + 4
assert shrunk[1] == spread[2] == 16 and spread[1] == 12
assert np.array_equal(spread[::2], shrunk)

layer = layers.Conv1D(1, 3, dilation_rate=2, use_bias=False)
layer.build((None, 9, 1))
layer.set_weights([w[:, None, None]])
assert np.allclose(ops.convert_to_numpy(layer(x[None, :, None]))[0, :, 0], spread)
print("shrunk, then filtered:", shrunk)
print("filtered at rate 2:   ", spread)

# %% [markdown]
# In two dimensions the same holds for rows and columns, and there is a third way to say it: a kernel at rate $r$ is a larger kernel with $r-1$ zeros between its taps. Along each side it reaches over $2r+1$ pixels, and it still has nine weights.

# %%
rng = np.random.default_rng(0)
kernel, picture = rng.normal(size=(3, 3, 1, 1)), rng.normal(size=(1, 9, 9, 1)).astype("float32")
stuffed = dilate_kernel(kernel, 2)  # 5 x 5, sixteen zeros
answers = []
for weight, rate in ((kernel, 2), (stuffed, 1)):
    layer = layers.Conv2D(1, len(weight), dilation_rate=rate, padding="same", use_bias=False)
    layer.build((None, 9, 9, 1))
    layer.set_weights([weight])
    answers.append(ops.convert_to_numpy(layer(picture)))
assert np.allclose(*answers, atol=1e-5)

grids = [np.abs(dilate_kernel(kernel, rate))[:, :, 0, 0] for rate in (1, 2, 3)]
plot.grid(
    [("", [np.pad(g, (9 - len(g)) // 2) for g in grids])],
    ["rate 1: sees 3 x 3", "rate 2: sees 5 x 5", "rate 3: sees 7 x 7"],
    scale=1.9,
    caption="The same nine weights at three rates (black is 0).",
)
plt.show()

# %% [markdown]
# ## A trained network, at another stride
#
# Now to a network with 52 convolutions. MobileNetV2 halves its map five times. Where it would halve for the fifth time we do not, and every 3 x 3 kernel *behind* that place works at rate 2. Not one weight changes. If the argument above is right, *every second* feature of the new, finer map is exactly a feature of the old one.

# %%
scene = pw.data.load("wardrobe", "test", size=193, num_batches=1)[0][0][2:3]
levels = {s: mobilenet_v2(output_stride=s).predict_on_batch(scene)["C5"] for s in (32, 16, 8)}
for stride, level in levels.items():
    print(f"output stride {stride:2d}: {level.shape[1]} x {level.shape[2]} features")
scale = np.abs(levels[32]).max()
assert np.abs(levels[16][:, ::2, ::2] - levels[32]).max() < 1e-4 * scale
assert np.abs(levels[8][:, ::4, ::4] - levels[32]).max() < 1e-4 * scale

flat = levels[8].reshape(-1, levels[8].shape[-1])
centre, axes = flat.mean(0), np.linalg.svd(flat - flat.mean(0), full_matrices=False)[2][:3]
colours = [(level[0] - centre) @ axes.T for level in levels.values()]
low, high = np.percentile(colours[-1], (2, 98), axis=(0, 1))
colours = [np.clip((c - low) / (high - low), 0, 1) for c in colours]
plot.grid(
    [("", [scene[0], *colours])],
    ["picture, 193 x 193", "stride 32", "stride 16", "stride 8"],
    scale=1.8,
    caption="Features of the same network, three principal components as red, green and blue.",
)
plt.show()

# %% [markdown]
# Equal, to the precision of the arithmetic. The picture is 193 = 6 · 32 + 1 pixels wide so that the first and the last feature lie on the first and the last pixel at each stride; DeepLab's papers use 513 for the same reason.
#
# The price is arithmetic: from stride 32 to 16 the last stage has four times as many places to compute, to stride 8 another four times. This is why the *output stride* is a choice, why DeepLab stops at 16 or 8, and why it may be chosen *after* training: `model.rebuilt(output_stride=8)` gives the same weights finer steps.
#
# ### What would happen without the spreading?
#
# Not halving alone would keep the resolution too. To see what it costs, ask what one feature sees: the derivative of the feature in the middle by every pixel of the scene, once for the original network, once at stride 8 with the spread taps, once at stride 8 with the taps left as they were.


# %%
def without_dilation(layer):
    """The same layer, its taps side by side."""
    config = layer.get_config()
    if "dilation_rate" in config:
        config["dilation_rate"] = (1, 1)
    return layer.__class__.from_config(config)


def seen_by_the_middle(model, picture):
    """How much each pixel moves the feature in the middle of the map, (height, width)."""
    k = model.predict_on_batch(picture)["C5"].shape[1] // 2
    return np.abs(gradient(lambda x: ops.sum(model(x)["C5"][0, k, k]), picture)[0]).sum(-1)


fine = mobilenet_v2(output_stride=8)
narrow = keras.models.clone_model(fine, clone_function=without_dilation)
narrow.set_weights(fine.get_weights())
bodies = {
    "stride 32": mobilenet_v2(),
    "stride 8, spread": fine,
    "stride 8, not spread": narrow,
}
wide = pw.data.load("wardrobe", "test", size=257, num_batches=1)[0][0][2:3]
rows, columns = np.indices(wide.shape[1:3]) - 128
far = np.maximum(abs(rows), abs(columns))  # from the middle, in pixels
maps = []
for name, model in bodies.items():
    seen = seen_by_the_middle(model, wide)
    within = [seen[far <= d].sum() / seen.sum() for d in range(129)]
    side = 2 * int(np.searchsorted(within, 0.5)) + 1
    print(f"{name:22s} half of what it sees lies in the middle {side} x {side} pixels")
    maps.append(ndimage.gaussian_filter(seen, 3))
plot.grid(
    [("", [wide[0], *maps])],
    ["picture, 257 x 257", *bodies],
    scale=1.8,
    caption="What the feature in the middle sees: size of the gradient, slightly smoothed.",
)
plt.show()

# %% [markdown]
# With the taps spread, the fine network sees what the coarse one saw. Without, its view shrinks, and its later layers meet neighbours that they were never trained for. That is the whole trade-off in one row: **a stride buys field of view with resolution, a dilation buys it with arithmetic.**
#
# %% [markdown]
# ## Several distances at once
#
# A garment that fills the picture and one in its corner want different fields of view. *Atrous spatial pyramid pooling*, ASPP, looks at every place with several at once: a 1 x 1 convolution, 3 x 3 convolutions at growing rates, and the mean of the whole map, given back to every place.
#
# By hand, on a map of 5 x 5 with a 9 in the middle, a 4 in a corner and 0 elsewhere, and with all weights 1. At the middle the 1 x 1 sees 9. The 3 x 3 at rate 1 sees the middle and its eight neighbours, all 0: 9. At rate 2 its corner tap meets the 4: 13. The mean is $13/25=0.52$, everywhere.

# %%
small = np.zeros((1, 5, 5, 1), "float32")
small[0, 2, 2], small[0, 0, 0] = 9, 4
map_in = keras.Input((5, 5, 1))
pyramid = keras.Model(map_in, aspp(map_in, 1, (1, 2), "aspp"))
for layer in pyramid.layers:
    if isinstance(layer, layers.Conv2D):
        layer.set_weights([np.ones_like(w) for w in layer.get_weights()])
branches = pyramid.get_layer("aspp-concatenate")
seen_by = keras.Model(map_in, branches.input)(small)
seen_by = [ops.convert_to_numpy(b)[0, :, :, 0] for b in seen_by]
assert np.allclose([b[2, 2] for b in seen_by], [9, 9, 13, 0.52], atol=1e-3)

names = ["1 x 1", "3 x 3, rate 1", "3 x 3, rate 2", "mean of the map"]
figure = plot.grid([("", [small[0, :, :, 0], *seen_by])], ["map", *names], scale=1.7)
for axis, values in zip(figure.axes, [small[0, :, :, 0], *seen_by]):
    for (i, j), value in np.ndenumerate(values):
        colour = "white" if value < 5 else "black"
        axis.text(j, i, f"{value:.2g}", ha="center", va="center", fontsize=8, color=colour)
    axis.images[0].set_clim(0, 13)
plt.show()

# %% [markdown]
# The four maps are concatenated and a 1 x 1 convolution mixes them. Batch normalisation and ReLU follow every convolution (at its start the normalisation changes nothing, which is why the numbers come out by hand).
#
# ### Which rates?
#
# The papers use 6, 12 and 18 on maps of 33 x 33 features. Ours has 6 x 6. A tap that falls beyond the map meets only zeros, and at a rate as large as the map all outer taps do, at every place: nine weights, of which one works. Version 3 of the paper noticed this (section 3.3), and brought in the mean of the map for the long distances.

# %%
figure, axis = plt.subplots(figsize=(6.4, 3.0), layout="constrained")
rates = np.arange(1, 41)
for side, colour in ((6, plot.RED), (12, plot.ORANGE), (33, plot.BLUE), (65, plot.SKY)):
    taps = [mean_taps(side, rate) for rate in rates]
    axis.plot(rates, taps, color=colour, label=f"map of {side} x {side}")
axis.set(
    xlabel="rate (features)", ylabel="taps on the map, mean", ylim=(0, 9), yticks=(1, 3, 5, 7, 9)
)
axis.legend(frameon=False)
axis.spines[["top", "right"]].set_visible(False)
plt.show()
for chosen in ((1, 2, 3), (6, 12, 18)):
    print(f"6 x 6, rates {chosen}: {', '.join(f'{mean_taps(6, r):.1f}' for r in chosen)} taps")
    print(f"33 x 33, rates {chosen}: {', '.join(f'{mean_taps(33, r):.1f}' for r in chosen)} taps")

# %% [markdown]
# For our small pictures we take the rates 1, 2 and 3. Rates are always given for output stride 16; at stride 8 the library doubles them, so that they reach equally far *in the picture*.
#
# ## Four DeepLabs
#
# What each version puts on the dilated backbone, in `lib/pixelwise/models/deeplab.py`:
#
# | | head | after it |
# |---|---|---|
# | v1, *LargeFOV* (2015) | one 3 x 3 at a large rate, 1 x 1, scores | dense CRF |
# | v2 (2018) | four of these at different rates, scores added | dense CRF |
# | v3 (2017) | ASPP: branches normalised, concatenated, mixed; the mean as a branch | nothing |
# | v3+ (2018) | v3, separable, and a decoder with a fine level | nothing |
#
# *Separable* means that each channel is filtered by itself (3 x 3) and the channels are mixed afterwards (1 x 1). From 1,856 channels to 128, a full 3 x 3 has $9\cdot1856\cdot128=2{,}138{,}112$ weights, a separable one $9\cdot1856+1856\cdot128=254{,}272$: eight times fewer.

# %%
assert 9 * 1856 * 128 == 2_138_112 and 9 * 1856 + 1856 * 128 == 254_272
for variant, options in (
    ("v1", {"rates": (2,)}),
    ("v2", {"rates": (1, 2, 3, 4)}),
    ("v3", {}),
    ("v3+", {}),
):
    model = network(variant=variant, **options)
    body = model.get_layer("backbone").count_params()
    print(f"{variant:3s} {model.count_params() - body:>10,} weights in the head, {body:,} below it")

# %% [markdown]
# ## DeepLabV3+ from parts
#
# One choice is not in the papers, and it decides more than all the rest. They read the last level, C5. On pictures of 500 pixels that is right; but what C5 sees is larger than *our* whole picture, and garments of forty pixels are told apart better one level earlier. At output stride 16 the levels C4 and C5 are of one size, so ASPP can simply read both, concatenated. The ablation below says what it is worth.
#
# The decoder answers the last question: the coarse map has one answer for 16 x 16 pixels, so who draws the outline? A *fine* level, C2 at a quarter of the picture's side, knows edges but not what they belong to. It has 144 channels, which would drown ASPP's answer; a 1 x 1 convolution leaves it 48. The coarse answer is enlarged to its size, both are concatenated, and two 3 x 3 convolutions decide.
#
# | step | size for a 96 x 96 picture |
# |---|---|
# | C4 and C5 of the backbone at output stride 16 | 6 x 6, 576 + 1,280 channels |
# | ASPP | 6 x 6, 128 |
# | enlarge, concatenate with the narrowed C2 | 24 x 24, 128 + 48 |
# | two separable 3 x 3 convolutions | 24 x 24, 128 |
# | scores, enlarged | 96 x 96, 6 |


# %% tags=["shared"]
def deeplab_head(levels, pictures, classes=6, channels=128, rates=(1, 2, 3)):
    """Scores of DeepLabV3+ from the levels of a backbone, as large as the pictures."""
    x = layers.Concatenate()([levels["C4"], levels["C5"]])

    def pointwise(x, filters, conv_name, bn_name):
        return conv_bn(x, filters, 1, conv_name, bn_name, activation="relu")

    # ASPP: one 1 x 1, a 3 x 3 for each rate, the mean of the map
    branches = [pointwise(x, channels, "aspp-convs-0-0", "aspp-convs-0-1")]
    for number, rate in enumerate(rates, start=1):
        branches.append(separable_conv_bn(x, channels, f"aspp-convs-{number}", rate=rate))
    mean = layers.GlobalAveragePooling2D(keepdims=True)(x)
    last = f"aspp-convs-{len(branches)}"
    mean = pointwise(mean, channels, f"{last}-1", f"{last}-2")
    branches.append(SpreadOver()([mean, x]))
    x = pointwise(layers.Concatenate()(branches), channels, "aspp-project-0", "aspp-project-1")
    x = layers.Dropout(0.1)(x)
    # the decoder
    low = pointwise(levels["C2"], 48, "decoder-low", "decoder-low_bn")
    x = layers.Concatenate()([ResizeTo()([x, low]), low])
    for number in (1, 2):
        x = separable_conv_bn(x, channels, f"decoder-{number}")
    scores = layers.Conv2D(classes, 1, name="scores")(x)
    return ResizeTo(name="logits")([scores, pictures])


# %%
pictures_in = keras.Input((None, None, 3))
body = mobilenet_v2(output_stride=16, name="backbone")
mine = keras.Model(pictures_in, deeplab_head(body(pictures_in), pictures_in))
for layer in mine.layers:
    if layer.weights:  # the recorded weights into ours
        layer.set_weights(recorded.get_layer(layer.name).get_weights())
odd = np.random.default_rng(1).uniform(size=(1, 75, 110, 3)).astype("float32")
assert np.allclose(mine(odd), recorded(odd), atol=1e-4)
print(f"{mine.count_params():,} parameters; a picture of 75 x 110 gives {mine(odd).shape[1:]}")

# %% [markdown]
# The same logits as the network of the library, which adds the checks, the other heads and an *auxiliary head*, a second opinion from a middle level whose loss counts in training only (PSPNet, Zhao et al. 2017; torchvision's checkpoints have one).
#
# What passes through the decoder can be looked at:

# %%
inside = keras.Model(
    mine.input,
    [mine.get_layer(n).output for n in ("aspp-project-1-relu", "decoder-low_bn-relu")]
    + [mine.get_layer("scores").output],
)
coarse, low, scores = (ops.convert_to_numpy(v)[0] for v in inside(images[:1]))
edges = low[..., np.argmax(low.std((0, 1)))]
best = int(np.bincount(masks[0][masks[0] > 0]).argmax())
plot.grid(
    [("", [images[0], coarse[..., np.argmax(coarse.std((0, 1)))], edges, scores[..., best]])],
    ["picture", "ASPP, 6 x 6", "C2 narrowed, 24 x 24", f"score of {CLASSES[best]}, 24 x 24"],
    scale=2.2,
    caption="One channel of each: the coarse map knows what, the fine one where, "
    "both together know both.",
)
plt.show()

# %% [markdown]
# ## Training
#
# As in the last chapter, with the same two learning rates (the papers give new layers ten times the rate of old ones) and one difference: the head has batch normalisation of its own, and it is *free*. It learns, and keeps running averages of what it saw; the backbone's stays frozen. At the end `training.fit` gives the network the average of its weights over the last steps, and then has to measure those statistics again. What happens otherwise is one of the mistakes below.

# %%
steps = pw.budget.get(CHAPTER, "steps")
train = pw.data.load(
    "wardrobe", "train", size=SIZE, batch_size=pw.budget.get(CHAPTER, "batch_size")
)
live = network()
rate = keras.optimizers.schedules.CosineDecay(
    0.0, steps - steps // 8, warmup_target=6e-3, warmup_steps=steps // 8
)
optimizer = TwoRateAdamW(slow="features-", factor=0.2, learning_rate=rate, weight_decay=1e-4)
live.compile(optimizer, SegmentationCrossEntropy())
history = pw.training.fit(live, train, steps, ema=0.99)

# %%
test = pw.data.load(
    "wardrobe", "test", size=SIZE, num_batches=pw.budget.get(CHAPTER, "test_batches")
)
measured = seg.evaluate(live, test)
print(f"{steps} steps of {train.batch_size} scenes")
print(f"pixel accuracy {measured['pixel_accuracy']:.3f}, mean IoU {measured['mean_iou']:.3f}")
pw.budget.headline("03_deeplab", measured["mean_iou"], "test mIoU")

# %% [markdown]
# ## What the whole recipe reaches
#
# `pixelwise train deeplabv3plus_wardrobe` makes the checkpoint of the first figure: 6,000 steps of 16 scenes, a mean IoU of 0.772<!-- result deeplabv3plus_wardrobe test.mean_iou --> on the 400 test scenes. The FCN-8s of the last chapter, on the same backbone after as many steps, has 0.718<!-- result fcn8s_wardrobe test.mean_iou -->. The boundary IoU grows even more, from 0.475<!-- result fcn8s_wardrobe test.mean_boundary_iou --> to 0.604<!-- result deeplabv3plus_wardrobe test.mean_boundary_iou -->. Where does the difference lie?

# %%
truth, ours, theirs, logits, pictures = [], [], [], [], []
for index in range(test.num_batches):
    images, masks = test[index]
    pictures.append(images), truth.append(masks)
    logits.append(recorded.predict_on_batch(images))
    theirs.append(fcn8s.predict_on_batch(images).argmax(-1))
pictures, truth, logits, theirs = map(np.concatenate, (pictures, truth, logits, theirs))
ours = logits.argmax(-1)

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
place = np.arange(len(CLASSES))
for answers, name, colour, shift in (
    (theirs, "FCN-8s", plot.SKY, -0.2),
    (ours, "DeepLabV3+", plot.BLUE, 0.2),
):
    score = seg.SegmentationScore(len(CLASSES), boundaries=True)
    score.update(truth, answers)
    result = score.result()
    print(
        f"{name:11s} mean IoU {result['mean_iou']:.3f}, "
        f"boundary IoU {result['mean_boundary_iou']:.3f}"
    )
    left.bar(place + shift, result["iou"], 0.4, color=colour, label=name)
    wrong, seen_pixels = np.zeros(20), np.zeros(20)
    for mask, answer in zip(truth, answers):
        rim = ndimage.maximum_filter(mask, 3) != ndimage.minimum_filter(mask, 3)
        far = ndimage.distance_transform_edt(~rim) if rim.any() else np.full(mask.shape, 19)
        far = np.minimum(far.astype(int), 19).ravel()
        seen_pixels += np.bincount(far, minlength=20)
        wrong += np.bincount(far, weights=(mask != answer).ravel(), minlength=20)
    right.plot(wrong[:19] / np.maximum(seen_pixels[:19], 1), "o-", ms=4, color=colour)
left.set_xticks(place, CLASSES, rotation=30)
left.set(ylabel="IoU on the test scenes", ylim=(0, 1))
left.legend(frameon=False)
right.set(
    xlabel="distance to the nearest border (pixels)", ylabel="share of pixels wrong", ylim=(0, None)
)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# Every class gains, and the right picture says where: within three pixels of a border. Farther inside, the two networks are wrong equally often. What is left there is confusion of one garment with another, which sharper maps do not cure.
#
# ## Which part earns its place?
#
# A figure from one run proves little. The next comparison trains DeepLabV3+ and FCN-8s from three seeds each, and every variant from one, for 250 steps (`pixelwise train deeplab_short` and its variants, and `fcn_short`). All have the two learning rates of above, chosen on validation scenes; FCN-8s gains from them as well. Each dot is a run; a difference smaller than the spread of the dots is no difference.

# %%
variants = [
    ("FCN-8s", "fcn_short"),
    ("DeepLabV3+", "deeplab_short"),
    ("C5 alone", "deeplab_short_c5"),
    ("output stride 8", "deeplab_short_stride8"),
    ("no ASPP", "deeplab_short_no_aspp"),
    ("no image pooling", "deeplab_short_no_pooling"),
    ("no decoder", "deeplab_short_no_decoder"),
    ("rates 6, 12, 18", "deeplab_short_large_rates"),
]
figure, axis = plt.subplots(figsize=(8, 3.6), layout="constrained")
for place, (name, recipe) in enumerate(reversed(variants)):
    record = pw.results.aggregate(recipe)
    for metric, colour, shift in (
        ("mean_iou", plot.BLUE, 0.2),
        ("mean_boundary_iou", plot.SKY, -0.2),
    ):
        runs = [pw.results.get(f"{recipe}-seed{s}", f"test.{metric}") for s in record["seeds"]]
        bar = axis.barh(place + shift, np.mean(runs), 0.38, color=colour)
        axis.plot(runs, place + shift + np.linspace(-0.1, 0.1, len(runs)), "o", color="black", ms=4)
        if metric == "mean_iou":
            iou_bar = bar
            spread = f" +- {np.std(runs, ddof=1):.3f} (3 runs)" if len(runs) == 3 else " (1 run)"
            print(f"{name:18s} mean IoU {np.mean(runs):.3f}{spread}")
axis.set_yticks(range(len(variants)), [name for name, _ in reversed(variants)])
axis.set(xlabel="on the test scenes, after 250 steps", xlim=(0, 1))
axis.legend([iou_bar, bar], ["mean IoU", "mean boundary IoU"], frameon=False, loc="lower right")
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# On the same backbone, after the same steps, DeepLabV3+ is ahead of FCN-8s: 0.59<!-- result deeplab_short test.mean_iou.mean --> against 0.47<!-- result fcn_short test.mean_iou.mean -->, with standard deviations over three seeds of 0.002<!-- result deeplab_short test.mean_iou.std --> and 0.038<!-- result fcn_short test.mean_iou.std -->. The other networks were trained once each, so read only the large gaps.
#
# - **The level matters most.** With C5 alone, as in the papers, the mean IoU is 0.43<!-- result deeplab_short_c5 test.mean_iou.mean -->: no better than the weakest run of FCN-8s, whose skips had C4 and C3 all along. This is not a fault of DeepLab but of our small pictures, and it was the answer to the question why our first DeepLab lost to FCN-8s.
# - **The decoder earns its place.** Without it 0.53<!-- result deeplab_short_no_decoder test.mean_iou.mean -->, and the boundary IoU falls from 0.39<!-- result deeplab_short test.mean_boundary_iou.mean --> to 0.25<!-- result deeplab_short_no_decoder test.mean_boundary_iou.mean -->.
# - **ASPP does not, here.** A single 1 x 1 branch reaches 0.61<!-- result deeplab_short_no_aspp test.mean_iou.mean -->, no image pooling 0.60<!-- result deeplab_short_no_pooling test.mean_iou.mean -->. After so few steps the simpler heads are no worse: on a map of 6 x 6 everything is near everything, and what C5 sees is larger than the picture already. The papers' gain from ASPP (figure 5 and table 5 of version 3) is on pictures of 513 pixels. Whether it returns after 6,000 steps was not measured.
#
# ## What the CRF mends, and what it breaks
#
# DeepLab v1 and v2 left the outlines to another machine: a *fully connected conditional random field* (Krähenbühl and Koltun 2011). It knows nothing of garments. It starts from the network's probabilities and two opinions about pictures: pixels close to each other that have *the same colour* are likely of one class, and so are direct neighbours of any colour. A labelling $x$ costs
#
# $$E(x)=\sum_i -\log p_i(x_i)\;+\;\sum_{i<j}[x_i\neq x_j]\Big(w_1 e^{-\frac{|p_i-p_j|^2}{2\alpha^2}-\frac{|I_i-I_j|^2}{2\beta^2}}+w_2e^{-\frac{|p_i-p_j|^2}{2\gamma^2}}\Big)$$
#
# where $p$ are positions and $I$ colours: every pair of pixels with different classes pays, more so if they are near and alike.
#
# Two pixels and two classes are enough to see the inference. Pixel one is sure of class 0: probabilities $(0.9, 0.1)$. Pixel two leans the other way: $(0.4, 0.6)$. Disagreement costs $K=2$. *Mean-field* inference lets each pixel hear what the other says: a class costs its own $-\log p$, less $K$ times the other's belief in it. For pixel two, class 0 has the weight $0.4\,e^{2\cdot0.9}=2.42$ and class 1 the weight $0.6\,e^{2\cdot0.1}=0.73$: it changes its mind, to $2.42/3.15=0.77$ for class 0.

# %%
p = np.array([[0.9, 0.1], [0.4, 0.6]])
weight = p[1] * np.exp(2 * p[0])
assert np.allclose(weight, [2.42, 0.73], atol=5e-3)
print("pixel two:", p[1], "becomes", np.round(weight / weight.sum(), 2))

# %% [markdown]
# All pixels do this at once, and each hears all others of the picture: $9216\cdot9215$, or 85 million, messages in 96 x 96 pixels, and again in every round. Ten rounds are customary; most has happened after five, which is what we take here. `lib/pixelwise/models/crf.py` computes the sums in blocks, never the whole matrix. The energy of the labelling falls with each round.

# %%
count = pw.budget.get(CHAPTER, "crf_pictures")
crf = DenseCRF(iterations=5)
unary, kernel = unaries(logits[0]), crf.kernel(pictures[0])
log_q, energy = -unary, []
for _ in range(4):
    best = ops.one_hot(ops.argmax(log_q, -1), len(CLASSES))
    energy.append(float(expected_energy(best, unary, kernel)))
    log_q = mean_field_step(log_q, unary, kernel)
assert energy[-1] < energy[0]
print("energy of the labelling after 0 to 3 rounds:", np.round(energy).astype(int))

refined = crf.refine(logits[:count], pictures[:count]).argmax(-1)
for name, answers in (("network", ours[:count]), ("with the CRF", refined)):
    score = seg.SegmentationScore(len(CLASSES), boundaries=True)
    score.update(truth[:count], answers)
    result = score.result()
    print(
        f"{name:13s} mean IoU {result['mean_iou']:.3f}, "
        f"boundary IoU {result['mean_boundary_iou']:.3f}"
    )
better = (refined == truth[:count]) & (ours[:count] != truth[:count])
worse = (refined != truth[:count]) & (ours[:count] == truth[:count])
print(f"pixels mended {better.sum():,}, broken {worse.sum():,}, of {better.size:,}")

# %%
net = better.sum(axis=(1, 2)).astype(int) - worse.sum(axis=(1, 2))
chosen = [*np.argsort(net)[::-1][:2], *np.argsort(net)[:2]]
changed = [
    np.where(
        better[k][..., None], (0, 0.62, 0.45), np.where(worse[k][..., None], (0.84, 0.37, 0), 0.93)
    )
    for k in chosen
]
rows = [
    ("picture", [pictures[k] for k in chosen]),
    ("network", [plot.overlay(pictures[k], ours[k]) for k in chosen]),
    ("CRF", [plot.overlay(pictures[k], refined[k]) for k in chosen]),
    ("truth", [plot.overlay(pictures[k], truth[k]) for k in chosen]),
    ("changed", changed),
]
figure = plot.grid(
    rows,
    scale=1.15,
    caption="Left two: the most gained. Right two: the least gained, or lost. "
    "Green: mended, red: broken.",
)
plt.show()

# %% [markdown]
# On all 400 test scenes, with ten rounds (`pixelwise evaluate deeplabv3plus_wardrobe --after crf`), the CRF takes the recorded network from 0.772<!-- result deeplabv3plus_wardrobe test.mean_iou --> to 0.823<!-- result deeplabv3plus_wardrobe-crf test.mean_iou --> mean IoU, and its outlines from a boundary IoU of 0.604<!-- result deeplabv3plus_wardrobe test.mean_boundary_iou --> to 0.725<!-- result deeplabv3plus_wardrobe-crf test.mean_boundary_iou -->.
#
# Along the outlines the CRF is a great help: our garments have one colour each, the borders between two colours are the borders between two objects, and the boundary IoU rises by more than a tenth. It also wipes out islands. But it does not know which label is right: an island that was the *correct* answer is wiped out as well, and where the network named most of a garment wrongly, the CRF names all of it so. Look at the largest red patch: there the right answer was a minority opinion, and was outvoted. Of so few scenes, even one on the right may have more green than red.
#
# The price is time: hundreds of times that of the network here, and growing with the *square* of the number of pixels (`stride` makes it cheaper: fewer pixels send messages). Version 3 showed that with a better network the CRF was no longer needed on VOC, and left it out. On a data set whose objects have plain colours it still pays.
#
# ## Beside the ready-made networks
#
# keras-cv, which KerasHub succeeds, has a `DeepLabV3Plus`. It puts its head on any backbone that names two of its levels, so we give it ours, ImageNet weights and all: same body, same scenes, same loss, its own settings otherwise (`lib/pixelwise/models/ready_made.py`).

# %%
from time import perf_counter

from pixelwise.models.ready_made import keras_cv_deeplab

networks = {"FCN-8s": fcn8s, "ours": recorded}
try:
    with quiet():
        networks["keras-cv"] = keras_cv_deeplab(len(CLASSES))
except ImportError as error:
    print(error)
for name, model in networks.items():
    times = []
    for _ in range(4):
        start = perf_counter()
        model.predict_on_batch(pictures[:4])
        times.append(perf_counter() - start)
    milliseconds = 1000 * np.median(times[1:]) / 4  # the first call compiles
    print(f"{name:9s} {model.count_params():>11,} parameters, {milliseconds:6.1f} ms a scene")
for name, result in (("ours", "deeplab_short-seed2"), ("keras-cv", "deeplab_keras_cv-seed0")):
    record = pw.results.read(result)
    reached, taken = record["test"]["mean_iou"], record["seconds"]
    print(f"{name:9s} {record['steps']} steps in {taken:.0f} s on record, mean IoU {reached:.3f}")

# %% [markdown]
# keras-cv leaves the backbone at stride 32, uses rates of 6, 12 and 18 on the 3 x 3 map that is left, and enlarges 256 channels to the full size of the picture before it scores them: three times our weights, and by far most of the time. Its record above has 40<!-- result deeplab_keras_cv-seed0 steps --> steps only, because each takes as long as many of ours: in equal time it is far behind, whatever it would reach in the end. With its pretrained backbones and on large pictures it does what it is made for; on small ones the stride is the problem of the last chapter again.
#
# And torchvision, whose networks have learned COCO: its DeepLabV3 on ResNet-50 is `deeplab(21, "v3", "resnet50", output_stride=8)`, tensor by tensor. With the same seeded random weights, ours and torchvision's logits differ by 3.5 millionths of the largest at most (`tests/parity/`). On two cores, a picture of 520 x 520 takes it 924<!-- result bench_segmentation test.deeplabv3_resnet50.tensorflow.median_ms --> ms with Keras on TensorFlow, 734<!-- result bench_segmentation test.deeplabv3_resnet50.openvino_exported.median_ms --> ms exported to OpenVINO, and torchvision 1,172<!-- result bench_segmentation test.deeplabv3_resnet50.torchvision.median_ms --> ms (`pixelwise bench segmentation`). The weights themselves are a download of 168 MB:
#
# ```python
# model = pw.models.load("deeplabv3_resnet50", weights="coco")  # checked by its hash, converted once
# classes = pw.inference.segment(model, "photo.jpg", size=520, flip=True)
# ```
#
# `segment` takes a picture of any size. It may look at several scales and at the mirror image and average the probabilities, as the paper's best figures do, and it cuts a large picture into windows that overlap, so that memory stays bounded. On the test scenes, what do scales and mirror bring our network?

# %%
few = pw.budget.get(CHAPTER, "views_pictures")
for name, options in (
    ("as it is", {}),
    ("and mirrored", {"flip": True}),
    ("three scales, mirrored", {"flip": True, "scales": (0.75, 1.0, 1.25)}),
):
    answers = [pw.inference.segment(recorded, image, **options) for image in pictures[:few]]
    matrix = seg.confusion_matrix(truth[:few], np.stack(answers), len(CLASSES))
    print(f"{name:24s} mean IoU {seg.mean_iou(matrix):.3f}")


def mosaic(six):
    """Six scenes as one picture, two rows of three."""
    return np.concatenate([np.concatenate(six[k : k + 3], axis=1) for k in (0, 3)])


large, large_truth = mosaic(pictures[8:14]), mosaic(truth[8:14])
answers = {
    "in one piece": pw.inference.segment(recorded, large),
    "in windows of 96": pw.inference.segment(recorded, large, window=96, overlap=0.5),
}
for name, answer in answers.items():
    matrix = seg.confusion_matrix(large_truth, answer, len(CLASSES))
    print(f"192 x 288, {name:17s} mean IoU {seg.mean_iou(matrix):.3f}")
shown = [large, *(plot.overlay(large, a) for a in (*answers.values(), large_truth))]
titles = ["picture, 192 x 288", *answers, "truth"]
plot.legend(plot.grid([("", shown)], titles, scale=1.8), CLASSES)
plt.show()

# %% [markdown]
# The figures above are from a handful of scenes, and they flatter: over all 400 test scenes (the *full* budget prints them) the mirror image brings about a hundredth for twice the time, and the scales nothing on top for six times. A gain on few pictures is not yet a gain. In windows the network sees the large picture as it saw its training scenes, 96 pixels at a time; in one piece it has more around each place than it ever had in training. Neither is right by nature: compare on your data.
#
# ## Break it on purpose
#
# **One: the mean before the softmax.** The article's code takes the mean of ASPP over height and width and then a softmax. We do it to our trained network.

# %%
mean = logits.mean(axis=(1, 2), keepdims=True)
one_label = np.broadcast_to(mean.argmax(-1), truth.shape)
for name, answers in (("per pixel", ours), ("mean first", one_label)):
    matrix = seg.confusion_matrix(truth, answers, len(CLASSES))
    print(
        f"{name:11s} pixel accuracy {seg.pixel_accuracy(matrix):.3f}, "
        f"mean IoU {seg.mean_iou(matrix):.3f}"
    )
print("different answers within a picture:", max(len(np.unique(a)) for a in one_label))

# %% [markdown]
# One label for each picture, always background: the score of a network that has learned nothing. The mean of the map belongs into ASPP as one branch of several.
#
# **Two: padding on one side.** With stride 2, TensorFlow's and Keras' `padding="same"` pads an even side on the right and at the bottom only; PyTorch's `padding=1` pads both. Each strided layer then looks half a step elsewhere. Weights trained the one way and run the other give no error. We run our network with its strided layers padded TensorFlow's way.


# %%
def one_sided(layer):
    """The same layer; padding of one on both sides becomes padding of one at the far side."""
    config = layer.get_config()
    if isinstance(layer, layers.ZeroPadding2D):
        config["padding"] = ((0, 1), (0, 1))
    return layer.__class__.from_config(config)


body = recorded.get_layer("backbone")
shifted_body = keras.models.clone_model(body, clone_function=one_sided)
shifted_body.set_weights(body.get_weights())
shifted = keras.Model(pictures_in, deeplab_head(shifted_body(pictures_in), pictures_in))
for layer in shifted.layers:
    if layer.weights and layer is not shifted_body:
        layer.set_weights(recorded.get_layer(layer.name).get_weights())
answers = shifted.predict(pictures, batch_size=16, verbose=0).argmax(-1)
matrix = seg.confusion_matrix(truth, answers, len(CLASSES))
print(f"padded on one side: mean IoU {seg.mean_iou(matrix):.3f}")

moved = {}
for dy in range(-16, 17, 2):
    rolled = np.roll(answers, (dy, dy), axis=(1, 2))[:, 16:-16, 16:-16]
    matrix = seg.confusion_matrix(truth[:, 16:-16, 16:-16], rolled, len(CLASSES))
    moved[dy] = seg.mean_iou(matrix)
best = max(moved, key=moved.get)
print(f"best after moving the answers by {best} pixels down and right: {moved[best]:.3f}")

# %% [markdown]
# No error, and nearly half of the quality gone. Each strided layer now looks one of *its* pixels too far down and right: the fine level C2, behind two of them, by $1+2=3$ pixels of the picture, C4 and C5, behind four, by $1+2+4+8=15$. Moving the answers back mends the outlines and leaves the levels at odds with each other. Whoever takes weights from one library to another compares outputs first; ours pads both sides.
#
# **Three: rates larger than the map.** A network with the papers' rates 6, 12 and 18 trains without complaint on our 6 x 6 maps; it is in the ablation above. It does no worse there (0.62<!-- result deeplab_short_large_rates test.mean_iou.mean -->, one run): its three 3 x 3 branches have become 1 x 1 branches, and those suffice here. The mistake costs no quality but the branches: weights and time for nothing. A library can at least say so when it knows the size of the pictures:

# %%
try:
    deeplab(len(CLASSES), input_shape=(SIZE, SIZE, 3))
except ValueError as error:
    print(error)

# %% [markdown]
# **Four: statistics of batch normalisation that belong to something else.** Free batch normalisation works with the mean and variance of the *batch* while it trains, and with running averages afterwards. Two ways to get this wrong. The first: batches of two. Their statistics are so noisy that the same scene gets other answers in other company. The second: averaging the weights, as all our recipes for segmentation do, and keeping the old running averages.

# %%
half = pw.budget.get(CHAPTER, "norm_batches")
for size in (2, 4, 16):
    total = np.zeros((6, 6), int)
    for first in range(0, 16 * half, size):
        batch = pictures[first : first + size]
        said = ops.convert_to_numpy(recorded(batch, training=True)).argmax(-1)
        total += seg.confusion_matrix(truth[first : first + size], said, 6)
    print(f"statistics of batches of {size:2d}: mean IoU {seg.mean_iou(total):.3f}")
total = seg.confusion_matrix(truth[: 16 * half], ours[: 16 * half], 6)
print(f"running averages:         mean IoU {seg.mean_iou(total):.3f}")

# %% [markdown]
# Batches of two cost several hundredths, and each scene's answer depends on its neighbour. For the second we need the weights before and after averaging, so we train a little more: the network you trained above, for a few steps at a rate as high as in the middle of its training, its weights averaged over them.

# %%
extra = pw.budget.get(CHAPTER, "average_steps")
live.compile(
    keras.optimizers.AdamW(3e-3, weight_decay=1e-4), SegmentationCrossEntropy(), run_eagerly=True
)  # eagerly, as compiling the step would take longer than the few steps
learned = live.trainable_variables
average = [ops.convert_to_numpy(v) * 0 for v in learned]
for step in range(extra):
    live.train_on_batch(*train[10_000 + step])
    average = [a + ops.convert_to_numpy(v) / extra for a, v in zip(average, learned)]
scenes = pw.budget.get(CHAPTER, "norm_batches")
few_scenes = pw.data.load("wardrobe", "test", size=SIZE, num_batches=scenes)
last = seg.evaluate(live, few_scenes)["mean_iou"]
for variable, value in zip(learned, average):
    variable.assign(value)
before = seg.evaluate(live, few_scenes)["mean_iou"]
used = pw.nn.normalisation.update_batch_norm(live, (train[k][0] for k in range(extra)))
after = seg.evaluate(live, few_scenes)["mean_iou"]
print(f"weights of the last step:         mean IoU {last:.3f}")
print(f"averaged weights, old statistics: mean IoU {before:.3f}")
print(f"statistics measured again:        mean IoU {after:.3f}, over {used} batches")

# %% [markdown]
# The last weights are the worst here: the rate is far too high for the end of a training, and the running averages, which move by a tenth a step, lag behind weights that move so fast. The average of the weights is better, and much better again with statistics of its own. This mistake gives no error and does not show in the loss, which uses the batch's statistics. It hid in our own training loop until DeepLab was the first network with free normalisation: a network with a low loss answered *background* everywhere. `training.fit` now measures again by itself.
#
# ## Your own pictures
#
# `pw.data.load` knows Pascal VOC 2012 (`"voc2012"`), CamVid (`"camvid"`) and the pets in their official layouts, and any folder of yours: pictures in `images/`, masks of the same names in `masks/`, and a small table of the classes. Here we make such a folder from a few scenes, as a labelling tool would leave it, with a colour for each class.

# %%
import tempfile

from PIL import Image

with tempfile.TemporaryDirectory() as folder:
    folder = Path(folder)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    source = pw.data.load("wardrobe", "train", size=120)
    for k in range(8):
        scene = source.scene(k)
        painted = np.round(255 * plot.colour_mask(scene.semantic)).astype("uint8")
        Image.fromarray(scene.image).save(folder / "images" / f"scene{k}.jpg")
        Image.fromarray(painted).save(folder / "masks" / f"scene{k}.png")
    colours = [
        np.round(255 * np.array(plot.class_colour(c))).astype(int) for c in range(len(CLASSES))
    ]
    table = [f"{name},{r},{g},{b}" for name, (r, g, b) in zip(CLASSES, colours)]
    (folder / "classes.csv").write_text("\n".join(table))

    mine = pw.data.load("folder", "train", root=folder, size=SIZE, batch_size=6)
    images, masks = mine[0]
    (folder / "masks" / "scene0.png").unlink()
    try:
        pw.data.load("folder", "train", root=folder)
    except ValueError as error:
        complaint = str(error).replace(str(folder), "FOLDER")

rows = [("picture", images), ("classes", [plot.colour_mask(mask) for mask in masks])]
plot.legend(plot.grid(rows, scale=1.0), mine.classes, void=True)
plt.show()
print(complaint)

# %% [markdown]
# The batches are scaled, cropped and mirrored at random; what the crop sees beyond the picture is void. A picture without a mask, a colour that no class has, a mask of another size: each is said in one sentence with the name of the file. From here, training is the cell you know: `deeplab(mine.num_classes)`, `compile`, `pw.training.fit`.
#
# ## What the source article says, and what is true
#
# The article builds DeepLab on "ATOM (Attractor-only Model)". There is no such model: the word is *atrous*, with holes. Its steps take an ordinary classifier, add fully connected layers, map to the classes and only then pool at several scales. No DeepLab has a fully connected layer (the "fully connected" of the titles is the CRF), its pyramid filters instead of pooling, and it reads features, not scores (Chen et al. 2018). The article cites v2 and v3+ and describes neither: it has no CRF, no decoder, and nothing that brings the resolution back.
#
# Its code cannot run. We put in torchvision's `resnet50` and `ASPP` for the two names that it lacks and ran it with PyTorch 2.14.1, mending one fault at a time to meet the next; the table gives the messages. In the end it runs, with the weights of torchvision's DeepLabV3 less one 3 x 3 convolution with its normalisation, and still gives one label a picture: it takes the mean over the map *behind* ASPP, where DeepLab has it as one branch *inside*.
#
# | The article | What is true |
# |---|---|
# | "ATOM (Attractor-only Model)" | Atrous convolution: the taps of the kernel lie apart, and the map stays large. |
# | Spatial pyramid pooling, behind the map to the classes | ASPP: the same features filtered at several rates side by side. v2 adds the branches' scores; v3 and v3+ concatenate, project, and then make the scores. |
# | `resnet50(pretrained=True)`, `ASPP(50, num_classes)` | `name 'resnet50' is not defined`, then `name 'ASPP' is not defined`; torchvision's ASPP wants rates: `'int' object is not iterable` |
# | The whole ResNet, then ASPP | `Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [1, 1000]` |
# | ASPP on 50 channels | `expected input[1, 2048, 16, 16] to have 50 channels, but got 2048 channels instead` |
# | The ResNet as it is | Output stride 32: 16 x 16 features for a 512 x 512 picture, where DeepLab has 32 x 32 or 64 x 64. |
# | `x.mean(dim=[2, 3])` behind ASPP | (1, 256, 16, 16) becomes (1, 256): one label a picture, the same to 2e-7 if the 256 places are shuffled. |
# | ASPP that gives the classes, then `nn.Linear(256, num_classes)` | `mat1 and mat2 shapes cannot be multiplied (1x21 and 256x21)` |
# | Softmax of one vector, no upsampling | Enlarge the scores; the softmax comes last, per pixel, inside the loss. |
# | "Chen, P., Murdock, Krahenbuhl, Koltun" in the references | v2: Chen, Papandreou, Kokkinos, Murphy and Yuille, TPAMI 2018. v3+: Chen, Zhu, Papandreou, Schroff and Adam, ECCV 2018. |
#
# The whole table, for every section of the article, is in [ERRATA.md](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md).
#
# ## Exercises
#
# Replace the line `pw.exercises.todo()` by your answer and run the check below it. The solutions are in `chapters/solutions/03_deeplab.ipynb`.

# %% [markdown] tags=["exercise"]
# ### Exercise 1: holes in NumPy
#
# Write the atrous convolution of a row with a kernel of odd length, as long as the row: output $i$ is $\sum_k x[i+r\,k]\,w[k]$ with $k$ from $-m$ to $m$, where $w[-m]$ is the first of the $2m+1$ weights, and $x$ is 0 outside.


# %% tags=["exercise"]
def atrous(x, w, rate):
    # BEGIN SOLUTION
    reach = rate * (len(w) // 2)
    padded = np.pad(x, reach)
    return sum(w[k] * padded[k * rate : k * rate + len(x)] for k in range(len(w)))
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    row_of_nine = np.array([3.0, 1, 4, 1, 5, 9, 2, 6, 5])
    assert np.allclose(atrous(row_of_nine, [1, 2, 1], 2)[2:7], [16, 12, 16, 25, 14]), (
        "Inside, the numbers are those of the text."
    )
    assert np.allclose(atrous(row_of_nine, [1, 2, 1], 2)[:2], [10, 3]), "Beyond the row there is 0."
    generator = np.random.default_rng(0)
    signal, taps = generator.normal(size=20), generator.normal(size=5)
    keras_layer = layers.Conv1D(1, 5, dilation_rate=3, padding="same", use_bias=False)
    keras_layer.build((None, 20, 1))
    keras_layer.set_weights([taps[:, None, None]])
    wanted = ops.convert_to_numpy(keras_layer(signal[None, :, None].astype("float32")))[0, :, 0]
    assert np.allclose(atrous(signal, taps, 3), wanted, atol=1e-4), (
        "It differs from the Keras layer."
    )

# %% [markdown] tags=["exercise"]
# ### Exercise 2: how far a stack of rates sees
#
# Several 3 x 3 convolutions follow each other, all at stride 1, with the given rates. Write the function that says how many pixels wide the field of view of one output is.


# %% tags=["exercise"]
def field_of_view(rates):
    # BEGIN SOLUTION
    return 1 + sum(2 * rate for rate in rates)
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("2"):
    assert field_of_view([]) == 1, "No convolution sees one pixel."
    assert field_of_view([1]) == 3, "One ordinary 3 x 3 sees three."
    assert field_of_view([1, 1]) == 5, "Two of them see five."
    assert field_of_view([1, 2, 4]) == 15, "Doubling the rate makes it grow fast."
    assert field_of_view([2, 4, 8]) == 29, "This is the multi-grid of DeepLabV3's last block."

# %% [markdown] tags=["exercise"]
# ### Exercise 3: what separable saves
#
# Write the function that gives the number of weights (no biases, no normalisation) of the convolutions in ASPP with image pooling: a 1 x 1, one 3 x 3 for each rate, the 1 x 1 behind the mean, and the 1 x 1 that mixes; `channels` come out of each of them. With `separable=True` each 3 x 3 is a filter of each channel by itself and a 1 x 1.


# %% tags=["exercise"]
def aspp_weights(features, channels, rates, separable):
    # BEGIN SOLUTION
    one = features * channels
    three = 9 * features + one if separable else 9 * one
    branches = 2 + len(rates)
    return 2 * one + len(rates) * three + branches * channels * channels
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("3"):
    for separable in (False, True):
        features_in = keras.Input((8, 8, 20))
        built = keras.Model(features_in, aspp(features_in, 7, (1, 2), "e", separable=separable))
        wanted = sum(
            int(np.prod(layer.kernel.shape)) for layer in built.layers if hasattr(layer, "kernel")
        )
        assert aspp_weights(20, 7, (1, 2), separable) == wanted, (
            "The number differs from that of the layers."
        )

# %% [markdown] tags=["exercise"]
# ### Exercise 4: two pixels
#
# `p` holds the network's probabilities, `(pixels, classes)`; `K` the price of disagreement for each pair, `(pixels, pixels)`, symmetric and 0 on the diagonal. Write one round of mean-field inference: every pixel's new probabilities, from the beliefs `q` of the round before. (In the text: a class's weight is $p\,e^{\sum K q}$; then the weights are made to sum to 1.)


# %% tags=["exercise"]
def mean_field_round(p, K, q):
    # BEGIN SOLUTION
    weight = p * np.exp(K @ q)
    return weight / weight.sum(axis=1, keepdims=True)
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("4"):
    beliefs = np.array([[0.9, 0.1], [0.4, 0.6]])
    price = np.array([[0.0, 2.0], [2.0, 0.0]])
    told = mean_field_round(beliefs, price, beliefs)
    assert np.allclose(told.sum(axis=1), 1), "Probabilities sum to 1."
    assert np.allclose(told[1], [0.768, 0.232], atol=1e-3), "Pixel two changes its mind."
    assert np.allclose(mean_field_round(beliefs, 0 * price, beliefs), beliefs), (
        "If disagreement costs nothing, nothing changes."
    )

# %% [markdown] tags=["exercise"]
# ### Exercise 5: the learning rate of DeepLab
#
# The papers let the learning rate fall as $\eta_0\,(1-s/S)^{0.9}$ over $S$ steps. Put a warm-up before it, as above: over the first $W$ of the $S$ steps the rate rises from 0 to $\eta_0$ in a straight line, and the fall then counts the remaining steps alone. Write the function; `steps` is $S$, `peak` is $\eta_0$ and `warm_up` is $W$.


# %% tags=["exercise"]
def poly(step, steps, peak, warm_up):
    # BEGIN SOLUTION
    if step < warm_up:
        return peak * step / warm_up
    return peak * (1 - (step - warm_up) / (steps - warm_up)) ** 0.9
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("5"):
    assert poly(0, 100, 0.01, 10) == 0, "It starts from 0."
    assert np.isclose(poly(5, 100, 0.01, 10), 0.005), "Half of the warm-up, half of the rate."
    assert np.isclose(poly(10, 100, 0.01, 10), 0.01), "After the warm-up it is at its peak."
    assert np.isclose(poly(55, 100, 0.01, 10), 0.01 * 0.5**0.9), "Half of the fall."
    assert np.isclose(poly(100, 100, 0.01, 10), 0), "It ends at 0."

# %% [markdown]
# ## Summary
#
# - An atrous convolution gives, at every place, what a strided network gives at every second. A stride buys field of view with resolution, a dilation with arithmetic.
# - ASPP looks at several distances at once. Rates belong to the size of the map: beyond it a 3 x 3 is a 1 x 1.
# - The decoder brings back the outline from a fine level. On small pictures it and the choice of the level decide, not ASPP.
# - A CRF sees colours, not garments: it mends where colours tell and breaks where they do not.
# - Statistics of batch normalisation belong to one set of weights. Change the weights, measure again.
#
# The next chapter asks for more than a class a pixel: which pixels are *one* shirt. Mask R-CNN.
#
# **Further reading**
#
# - Liang-Chieh Chen, George Papandreou, Iasonas Kokkinos, Kevin Murphy, Alan L. Yuille. DeepLab. IEEE TPAMI 40(4), 2018, [arXiv 1606.00915](https://arxiv.org/abs/1606.00915).
# - Liang-Chieh Chen, George Papandreou, Florian Schroff, Hartwig Adam. Rethinking Atrous Convolution for Semantic Image Segmentation. 2017, [arXiv 1706.05587](https://arxiv.org/abs/1706.05587).
# - Liang-Chieh Chen, Yukun Zhu, George Papandreou, Florian Schroff, Hartwig Adam. Encoder-Decoder with Atrous Separable Convolution for Semantic Image Segmentation. ECCV 2018, [arXiv 1802.02611](https://arxiv.org/abs/1802.02611).
# - Philipp Krähenbühl, Vladlen Koltun. Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials. NIPS 2011, [arXiv 1210.5644](https://arxiv.org/abs/1210.5644).
# - Pavel Izmailov, Dmitrii Podoprikhin, Timur Garipov, Dmitry Vetrov, Andrew Gordon Wilson. Averaging Weights Leads to Wider Optima and Better Generalization. UAI 2018, [arXiv 1803.05407](https://arxiv.org/abs/1803.05407).
#
# **How to cite** this chapter: *The Pixelwise authors, Pixelwise: image segmentation and generation, from the mathematics to running code, chapter "DeepLab", 2026.* The file `CITATION.cff` has the entry for the book.
