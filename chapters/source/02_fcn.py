# %% [markdown]
# # Fully convolutional networks
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/02_fcn.ipynb)
#
# A classifier says *what* is in a picture and forgets *where*. In 2015 Jonathan Long, Evan Shelhamer and Trevor Darrell showed that it had known all along: turn its last layers into convolutions, and the same network names every pixel. This chapter does that turn by turn, trains the result on scenes of clothes lying about, and measures what each part is worth.
#
# **After this chapter you can**
#
# - turn a dense layer into a convolution and prove that nothing changed;
# - build FCN-32s, FCN-16s and FCN-8s from parts, and say what each skip adds;
# - train one on a laptop in a minute or two, and read its IoU, confusion matrix and boundary IoU;
# - recognise four classic mistakes by the number they cost.
#
# **You need** the chapter *The mathematics of pixels*: convolution and its transpose, cross-entropy, IoU.
#
# **Time and memory:** 163<!-- result chapters 02_fcn.quick.seconds --> seconds and 3065<!-- result chapters 02_fcn.quick.peak_memory_mib --> MiB on two cores without a GPU, training included. On a GPU the notebook takes the *full* budget, the whole recipe of 6,000 steps.

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
from pixelwise.data import scenes, wardrobe
from pixelwise.metrics import segmentation as seg
from pixelwise.models.backbones import mobilenet_v2
from pixelwise.models.fcn import CropTo, fcn, upsample
from pixelwise.nn.losses import SegmentationCrossEntropy
from pixelwise.nn.optimizers import TwoRateAdamW
from pixelwise.nn.upsampling import bilinear_kernel

CHAPTER, SIZE = "02_fcn", 96
CLASSES = wardrobe.CLASSES

# %% [markdown]
# ## The answer first
#
# Below are eight scenes that no network has seen in training: neither these garments nor these backgrounds. The second row is what an FCN-8s says about every single pixel, after the whole training recipe of this chapter. The third row is the truth.

# %%
recorded = pw.weights.checkpoint(fcn(len(CLASSES), "8s"), "fcn8s_wardrobe")
test = pw.data.load("wardrobe", "test", size=SIZE, batch_size=8)
images, masks = test[0]
answers = seg.predict(recorded, images)
rows = [
    ("picture", images),
    ("network", [plot.overlay(i, a) for i, a in zip(images, answers)]),
    ("truth", [plot.overlay(i, m) for i, m in zip(images, masks)]),
]
plot.legend(plot.grid(rows, scale=1.25), CLASSES)
plt.show()

# %% [markdown]
# The network is right about most of the area and wrong mostly along the borders. By the end of the chapter you will have a number for both halves of that sentence.
#
# ## A dense layer is a convolution that happens to fit
#
# The last layer of a classifier is *dense*: it flattens its input, multiplies by a matrix, adds a bias. Flattening is what loses the place. Here is the smallest case: a picture of 4 x 4 and a "classifier" that looks at 2 x 2 pixels and gives one score.
#
# $$s = \sum_{i=0}^{1}\sum_{j=0}^{1} w_{ij}\,x_{ij} + b$$
#
# With $x = \begin{pmatrix}0&1\\4&5\end{pmatrix}$ (the top left corner), $w = \begin{pmatrix}1&0\\-1&2\end{pmatrix}$ and $b = 3$ the score is $0 + 0 - 4 + 10 + 3 = 9$. To know the score of every other place we would cut out each 2 x 2 window and ask again: nine windows, nine answers. But that is what a convolution computes, in one go.

# %%
x = np.arange(16.0).reshape(4, 4)
w, b = np.array([[1.0, 0.0], [-1.0, 2.0]]), 3.0
by_hand = 0 * 1 + 1 * 0 + 4 * -1 + 5 * 2 + 3
windows = np.array([[(x[i : i + 2, j : j + 2] * w).sum() + b for j in range(3)] for i in range(3)])

dense = layers.Dense(1)
corner = dense(x[None, :2, :2].reshape(1, 4))  # builds the layer
dense.set_weights([w.reshape(4, 1), np.array([b])])
convolution = layers.Conv2D(1, 2)
convolution.build((None, 4, 4, 1))
convolution.set_weights([dense.get_weights()[0].reshape(2, 2, 1, 1), np.array([b])])

flat = ops.convert_to_numpy(dense(x[None, :2, :2].reshape(1, 4)))[0, 0]
everywhere = ops.convert_to_numpy(convolution(x[None, :, :, None]))[0, :, :, 0]
assert by_hand == flat == windows[0, 0] == 9
assert np.array_equal(everywhere, windows)
print(everywhere)

# %% [markdown]
# Nothing was trained and nothing was approximated: **the weights of the dense layer, given the shape of the window, are the kernel of the convolution.** For VGG16 the window is the whole last feature map, 7 x 7 with 512 channels, and its layer fc6 with 4,096 outputs becomes a convolution with a 7 x 7 kernel; fc7 and the classifier, which look at one "pixel" only, become 1 x 1 convolutions. The network now takes a picture of any size. One that is 32 pixels wider gives one more column of answers.
#
# ## A classifier becomes a heat map
#
# Now with a real network. MobileNetV2 (Sandler et al. 2018) was trained on ImageNet; its weights came with the book. It ends in a map of 1,280 features at 1/32 of the picture's size, averages them over all places, and has a dense layer name the picture. The part that makes the features is called the **backbone** of everything that is put on it; later chapters put other heads on the same one. We keep the features and train a new dense layer for our six classes, on pictures that show one garment or none.

# %%
backbone = mobilenet_v2()
rng = np.random.default_rng(0)
garments, labels = wardrobe.garments("train")
backgrounds = wardrobe.backgrounds.load("train")


def one_garment(count, fewest=0):
    """Pictures of at most one garment, and the class of each (0: none)."""
    found = [
        scenes.compose(garments, labels, backgrounds, rng, SIZE, objects=(fewest, 1))
        for _ in range(count)
    ]
    pictures = np.stack([scene.image for scene in found]).astype("float32") / 255
    return pictures, np.array([scene.classes[0] if len(scene.classes) else 0 for scene in found])


pictures, names = one_garment(pw.budget.get(CHAPTER, "classifier_pictures"))
features = backbone.predict(pictures, batch_size=32, verbose=0)["C5"]
classifier = keras.Sequential(
    [keras.Input(features.shape[1:]), layers.GlobalAveragePooling2D(), layers.Dense(len(CLASSES))]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
classifier.compile(keras.optimizers.Adam(3e-3), loss, metrics=["accuracy"])
fitted = classifier.fit(features, names, batch_size=32, epochs=20, verbose=0)
print(
    f"features {features.shape}, accuracy on its own pictures {fitted.history['accuracy'][-1]:.2f}"
)

# %% [markdown]
# Its dense layer sees the *average* over places. A dense layer is linear, so the average can be taken before or after it: naming each place first, with the same weights as a 1 x 1 convolution, and averaging then must give the same scores.
#
# $$W\Big(\frac1n\sum_{p} f_p\Big) + b \;=\; \frac1n\sum_{p} \big(W f_p + b\big)$$

# %%
kernel, bias = classifier.layers[-1].get_weights()
heat = layers.Conv2D(len(CLASSES), 1, name="heat")
heat.build((None, None, None, 1280))
heat.set_weights([kernel[None, None], bias])  # (1280, 6) becomes (1, 1, 1280, 6)

as_dense = classifier.predict_on_batch(features[:32])
as_convolution = ops.convert_to_numpy(heat(features[:32])).mean(axis=(1, 2))
assert np.allclose(as_dense, as_convolution, atol=1e-4 * np.abs(as_dense).max())
print("largest difference:", f"{np.abs(as_dense - as_convolution).max():.0e}")

# %% [markdown]
# Equal. So the convolution *before* the average is a map: what the classifier would say at each place. We give it a picture three times as wide and high as any it was trained on, nine single-garment pictures side by side. The classifier never saw a mask, yet it points.

# %%
tiles, _ = one_garment(9, fewest=1)
mosaic = np.concatenate([np.concatenate(tiles[k : k + 3], axis=1) for k in (0, 3, 6)], axis=0)
scores = heat(backbone.predict_on_batch(mosaic[None])["C5"])
share = ops.convert_to_numpy(ops.softmax(scores))[0]
shown = [("", [mosaic] + [share[..., c] for c in range(1, 6)])]
plot.grid(
    shown,
    ["picture, 288 x 288", *(f"P({name})" for name in CLASSES[1:])],
    scale=1.9,
    caption="What the classifier says at each of its 9 x 9 places (black 0, white 1).",
)
plt.show()

# %% [markdown]
# That is the idea of the paper, and its problem is in plain sight: 9 x 9 answers for 288 x 288 pixels. Each answer stands for a block of 32 x 32. The rest of the chapter is about getting from there to every pixel.
#
# ## Back to full size
#
# Scores on a coarse grid are enlarged by a *transposed convolution* whose kernel is bilinear: every coarse value paints a small tent, and the tents add up. One row of the tent for a factor of 2 is $(\tfrac14, \tfrac34, \tfrac34, \tfrac14)$. The coarse values 0 and 4 then become $0, 0, 1, 3, 3, 1$ before cutting, and $0, 1, 3, 3$ after one value is cut at each end: the two in the middle, 1 and 3, lie on the straight line from 0 to 4.

# %%
row = np.array([0.0, 4.0])
tents = np.zeros(6)
for place, value in enumerate(row):
    tents[2 * place : 2 * place + 4] += value * np.array([0.25, 0.75, 0.75, 0.25])
assert np.allclose(tents[1:-1], [0, 1, 3, 3])

stripes = np.tile(row, (1, 6, 1))[..., None].astype("float32")  # six equal rows
enlarged = ops.convert_to_numpy(upsample(stripes, 2, "twice"))[0, 6, :, 0]
assert np.allclose(enlarged, [0, 1, 3, 3], atol=1e-6)

figure, (left, right) = plt.subplots(1, 2, figsize=(7.5, 2.6), layout="constrained")
left.imshow(bilinear_kernel(8, 1)[:, :, 0, 0], cmap="cividis")
left.set(title="bilinear kernel, factor 8", xlabel="column (pixels)", ylabel="row (pixels)")
values = np.array([0, 4, 1, 3.0])
stripes = np.tile(values, (1, 4, 1))[..., None].astype("float32")
line = ops.convert_to_numpy(upsample(stripes, 8, "eight"))[0, 16, :, 0]
right.plot(np.arange(32), line, ".", color=plot.BLUE, label="enlarged 8 times")
right.plot(8 * np.arange(4) + 3.5, values, "o", color=plot.RED, label="coarse values")
right.set(xlabel="column (pixels)", ylabel="score")
right.legend(frameon=False)
plt.show()

# %% [markdown]
# Inside, the dots lie on straight lines. At the two ends they fall towards 0: beyond the picture there is no neighbour that would paint the other half of the tent. All classes fall alike, so the winner does not change.
#
# The kernel is only where the layer *starts*. The paper lets the enlargements by 2 learn and keeps the last one bilinear, and so do we.
#
# ## The data
#
# The wardrobe is the data set of all chapters on segmentation: garments of Fashion-MNIST (Xiao et al. 2017), tinted, turned, scaled and laid over each other on photographs. `lib/pixelwise/data/scenes.py` composes a new scene whenever one is asked for, so training never sees one twice. The test scenes are fixed, and use other garments on other photographs.

# %%
train = pw.data.load(
    "wardrobe", "train", size=SIZE, batch_size=pw.budget.get(CHAPTER, "batch_size")
)
images, masks = pw.data.load("wardrobe", "train", size=SIZE, batch_size=8)[0]
rows = [("picture", images), ("classes", [plot.colour_mask(mask) for mask in masks])]
plot.legend(plot.grid(rows, scale=1.25), CLASSES)
plt.show()

pixels = np.bincount(np.concatenate([test[k][1].ravel() for k in range(10)]), minlength=6)
for name, share in zip(CLASSES, pixels / pixels.sum()):
    print(f"{name:10s} {share:6.1%} of the pixels")

# %% [markdown]
# Three quarters of all pixels are background. A network that says "background" everywhere is right at three pixels of four and of no use at all; this is why the chapter counts IoU and not accuracy.
#
# ## FCN-8s from parts
#
# A backbone gives feature maps C1 to C5; level $k$ has $1/2^k$ of the picture's size. Fine levels know where an edge is, coarse ones know what it belongs to. FCN-8s asks three of them for scores, one channel a class, and adds the answers on the way up:
#
# | step | size for a 96 x 96 picture |
# |---|---|
# | score C5 with a 1 x 1 convolution | 3 x 3 |
# | enlarge by 2, add the score of C4 | 6 x 6 |
# | enlarge by 2, add the score of C3 | 12 x 12 |
# | enlarge by 8 | 96 x 96 |
#
# FCN-32s stops after the first line and enlarges by 32, FCN-16s after the second and enlarges by 16. The new scores start as zeros, so at first each network is the coarser one, and learns only the correction.


# %% tags=["shared"]
def skip_head(levels, pictures, variant="8s", classes=6):
    """Scores of C5 and of finer levels, added and enlarged to the size of the pictures."""
    x = layers.Conv2D(classes, 1, name="score_C5")(levels["C5"])
    for level in {"32s": [], "16s": ["C4"], "8s": ["C4", "C3"]}[variant]:
        score = layers.Conv2D(classes, 1, kernel_initializer="zeros", name=f"score_{level}")
        skip = score(levels[level])
        x = upsample(x, 2, f"upsample_to_{level}")
        x = layers.Add(name=f"fuse_{level}")([CropTo()([x, skip]), skip])
    x = upsample(x, int(variant[:-1]), "upsample_to_picture", trainable=False)
    return CropTo(name="logits")([x, pictures])


# %%
pictures_in = keras.Input((None, None, 3))
mine = keras.Model(pictures_in, skip_head(mobilenet_v2()(pictures_in), pictures_in))
theirs = fcn(len(CLASSES), "8s")

odd = np.random.default_rng(1).uniform(size=(1, 75, 110, 3)).astype("float32")
for layer in mine.layers:
    if layer.weights:  # the same weights into both
        theirs.get_layer(layer.name).set_weights(layer.get_weights())
logits = theirs(odd)
assert np.allclose(mine(odd), logits, atol=1e-5)
print(f"{theirs.count_params():,} parameters; a picture of 75 x 110 gives {tuple(logits.shape)}")

# %% [markdown]
# The function in `lib/pixelwise/models/fcn.py` is this one, with the checks a library needs, and with two more backbones: `fcn(6, "8s", backbone="vgg16")` is the network of the paper, with fc6 and fc7 as convolutions (its ImageNet weights are a download of 59 MB), and `backbone="resnet50"` the usual choice of later years. Note what happened at 75 x 110, which no stride divides: each level rounds up, so the enlarged scores reach beyond the picture, and `CropTo` cuts them.
#
# ## Training
#
# The loss is the cross-entropy of every pixel, averaged over the labelled ones; the network gives logits, and the softmax is inside the loss. The backbone is full of layers of *batch normalisation* (Ioffe and Szegedy 2015), which subtract a mean from every channel, divide by a standard deviation, and then scale and shift by learned numbers. These statistics stay as ImageNet left them, because the few scenes of a batch cannot give better ones. The learning rate climbs for an eighth of the steps before it falls: the new score layers are random at first, and full steps along their gradients would spoil the pretrained features below them. And since the score layers have everything to learn and the backbone only to adjust, they get two learning rates: `TwoRateAdamW` takes the steps of AdamW, and a fifth of them for the layers of the backbone.

# %%
steps = pw.budget.get(CHAPTER, "steps")
live = fcn(len(CLASSES), "8s")
rate = keras.optimizers.schedules.CosineDecay(
    0.0, steps - steps // 8, warmup_target=4e-3, warmup_steps=steps // 8
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
pw.budget.headline("02_fcn", measured["mean_iou"], "test mIoU")

# %% [markdown]
# ## What the whole recipe reaches
#
# What you have just seen is a training that a laptop affords while you wait. The checkpoint of the first figure comes from the same code with more steps: `pixelwise train fcn8s_wardrobe` makes it again, and `results/fcn8s_wardrobe.json` holds what it measured on the same 400 test scenes: a mean IoU of 0.72<!-- result fcn8s_wardrobe test.mean_iou -->. From here on we look at that network.

# %%
inside = keras.Model(recorded.input, [recorded.get_layer("fuse_C3").output, recorded.output])
coarse, logits, truth = [], [], []
for index in range(test.num_batches):
    images, masks = test[index]
    before, after = inside.predict_on_batch(images)
    coarse.append(before), logits.append(after), truth.append(masks)
coarse, logits, truth = np.concatenate(coarse), np.concatenate(logits), np.concatenate(truth)
answers = logits.argmax(-1)

score = seg.SegmentationScore(len(CLASSES), boundaries=True)
score.update(truth, answers)
result = score.result()
print(f"mean IoU {result['mean_iou']:.3f}, mean boundary IoU {result['mean_boundary_iou']:.3f}")
plot.bars(result["iou"], CLASSES, caption="IoU of each class on the test scenes, recorded network.")
plt.show()

# %% [markdown]
# The mean hides the spread: background is easy because there is so much of it. To see *what* is taken for what, read the confusion matrix. A row is a true class; its numbers say how its pixels were named.

# %%
plot.confusion(score.matrix, CLASSES, caption="Shares of each true class (rows add up to 1).")
plt.show()

# %% [markdown]
# The first column is cloth taken for background, mostly at the rims: about a tenth of every garment. Among the garments, dresses are taken for tops more often than anything else for anything, and some of them would puzzle us too at 28 pixels.
#
# Where do the mistakes lie? The next figure sorts all pixels by their distance to the nearest border between two classes.

# %%
wrong, seen = np.zeros(20), np.zeros(20)
for mask, answer in zip(truth, answers):
    edges = ndimage.maximum_filter(mask, 3) != ndimage.minimum_filter(mask, 3)
    away = ndimage.distance_transform_edt(~edges) if edges.any() else np.full(mask.shape, 19)
    away = np.minimum(away.astype(int), 19).ravel()
    seen += np.bincount(away, minlength=20)
    wrong += np.bincount(away, weights=(mask != answer).ravel(), minlength=20)

figure, axis = plt.subplots(figsize=(6.4, 2.8), layout="constrained")
axis.bar(np.arange(19), (wrong / np.maximum(seen, 1))[:19], color=plot.BLUE)
axis.set(xlabel="distance to the nearest border (pixels)", ylabel="share of pixels wrong")
axis.set_xticks(range(0, 19, 3))
axis.spines[["top", "right"]].set_visible(False)
plt.show()
near = wrong[:4].sum() / wrong.sum()
print(f"{near:.0%} of all mistakes lie at most 3 pixels from a border,")
print(f"where {seen[:4].sum() / seen.sum():.0%} of all pixels are.")

# %% [markdown]
# *Boundary IoU* (Cheng et al. 2021) makes a measure of this: the IoU of two bands, the pixels of each mask that lie within 2% of the picture's diagonal from its own rim. A large object that is right inside and ragged at the rim scores high in IoU and low in boundary IoU.
#
# ## Is the resolution worth it? 32s, 16s, 8s
#
# First a question that needs no network: how much of a mask survives the grid? We shrink the true masks to the cells of each network, where a cell holds the share of each class, enlarge the shares bilinearly, let the largest win, and measure.

# %%
ceiling = {}
for variant in ("32s", "16s", "8s"):
    stride = int(variant[:-1])
    one_hot = np.eye(len(CLASSES), dtype="float32")[truth]
    blocks = one_hot.reshape(len(truth), SIZE // stride, stride, SIZE // stride, stride, -1)
    cells = blocks.mean(axis=(2, 4))
    enlarged = ops.image.resize(cells, (SIZE, SIZE), interpolation="bilinear")
    best = ops.convert_to_numpy(enlarged).argmax(-1)
    ceiling[variant] = seg.mean_iou(seg.confusion_matrix(truth, best, len(CLASSES)))
    print(f"through the grid of FCN-{variant}: mean IoU {ceiling[variant]:.2f}")

# %% [markdown]
# Little of a mask survives a stride of 32: most garments are smaller than two of its cells. Now the trained networks: each of the three was trained from three seeds with the same short recipe (`pixelwise train fcn_strides_8s`, and `16s`, `32s`). A difference counts only if it is larger than the spread between seeds, so the dots show every run.

# %%
figure, axis = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
for place, variant in enumerate(("32s", "16s", "8s")):
    runs = [pw.results.get(f"fcn_strides_{variant}-seed{s}", "test.mean_iou") for s in (0, 1, 2)]
    edge = [
        pw.results.get(f"fcn_strides_{variant}-seed{s}", "test.mean_boundary_iou")
        for s in (0, 1, 2)
    ]
    plain = axis.bar(place - 0.2, np.mean(runs), 0.38, color=plot.BLUE)
    rims = axis.bar(place + 0.2, np.mean(edge), 0.38, color=plot.SKY)
    axis.plot(place - 0.2 + np.array([-0.05, 0, 0.05]), runs, "o", color="black", ms=4)
    axis.plot(place + 0.2 + np.array([-0.05, 0, 0.05]), edge, "o", color="black", ms=4)
    grid_alone = axis.hlines(ceiling[variant], place - 0.4, place, colors=plot.RED)
    print(f"FCN-{variant}: mean IoU {np.mean(runs):.3f} +- {np.std(runs, ddof=1):.3f}")
axis.set_xticks(range(3), ["FCN-32s", "FCN-16s", "FCN-8s"])
axis.set(ylabel="on the test scenes", ylim=(0, 1))
names = ["mean IoU", "mean boundary IoU", "the true masks through this grid"]
axis.legend([plain, rims, grid_alone], names, frameon=False, loc="upper left")
plt.show()

# %% [markdown]
# Each skip is worth more than the spread over seeds. From 32s to 16s the mean IoU goes from 0.367<!-- result fcn_strides_32s test.mean_iou.mean --> to 0.577<!-- result fcn_strides_16s test.mean_iou.mean -->, and with 8s to 0.616<!-- result fcn_strides_8s test.mean_iou.mean -->; the standard deviations over the three seeds are 0.007<!-- result fcn_strides_32s test.mean_iou.std -->, 0.005<!-- result fcn_strides_16s test.mean_iou.std --> and 0.008<!-- result fcn_strides_8s test.mean_iou.std -->.
#
# FCN-32s does *better* than its red line. A trained network need not put shares into its cells: it is free to choose scores whose tents, added up, draw a better outline. The line says how hard the grid makes it, not what is possible. With stride 8 the grid is no longer what holds the network back.
#
# The paper's figures, on a part of the Pascal VOC 2011 validation set, are 63.6, 65.0 and 65.5% mean IoU (Long et al. 2017, VGG16). The order is the same and the steps are far smaller, because VOC pictures are about 500 pixels wide and their objects large: resolution matters as much as objects are small.
#
# ## Break it on purpose
#
# Four mistakes that are made every day. Each runs without an error message; only a number gives it away.
#
# **One: masks resized like pictures.** Bilinear interpolation between class 0 (background) and class 5 (bag) passes through 1, 2, 3 and 4: a bag gets a rim of top, trousers, dress and shoe. Masks are resized with *nearest neighbour*, always.

# %%
large = pw.data.load("wardrobe", "test", size=2 * SIZE, num_batches=2)
big = np.concatenate([large[k][1] for k in range(2)])
nearest = big[:, ::2, ::2]
blurred = big.astype("float32")[..., None]
bilinear = ops.convert_to_numpy(ops.image.resize(blurred, (SIZE, SIZE), interpolation="bilinear"))
bilinear = np.rint(bilinear[..., 0]).astype(int)
around = np.stack([big[:, i::2, j::2] for i in (0, 1) for j in (0, 1)])
invented = ~(bilinear[None] == around).any(axis=0)

matrix = seg.confusion_matrix(nearest, bilinear, len(CLASSES))
print(f"pixels with a class that stands nowhere near: {invented.mean():.2%}")
print(f"mean IoU of the bilinear masks themselves: {seg.mean_iou(matrix):.3f}")
k = np.argmax(invented.sum(axis=(1, 2)))
rows = [("", [plot.colour_mask(nearest[k]), plot.colour_mask(bilinear[k]), invented[k]])]
plot.grid(rows, ["nearest", "bilinear, rounded", "invented classes"], scale=2.2)
plt.show()

# %% [markdown]
# Whoever trains on such masks teaches the network the rims, and whoever *evaluates* on them cannot even reach 1 with a perfect answer.
#
# **Two: softmax before upsampling.** Interpolating probabilities is not interpolating scores. A confident score of 12 outweighs its unsure neighbours when scores are interpolated, and counts no more than 1 when probabilities are.

# %%
enlarge = recorded.get_layer("upsample_to_picture")
late = ops.convert_to_numpy(ops.softmax(logits))
early = ops.convert_to_numpy(enlarge(ops.softmax(coarse)))
early = early / early.sum(-1, keepdims=True)  # at the border only half a tent has painted
for name, probability in (("right order", late), ("softmax first", early)):
    matrix = seg.confusion_matrix(truth, probability.argmax(-1), 6)
    chosen = np.take_along_axis(probability, truth[..., None], axis=-1)
    surprise = -np.log(np.maximum(chosen, 1e-7)).mean()
    print(f"{name:14s} mean IoU {seg.mean_iou(matrix):.4f}, cross-entropy {surprise:.3f}")

# %% [markdown]
# The same network, the same scores, one line moved: mean IoU falls by several hundredths and the cross-entropy rises. A thin sleeve with one very sure cell keeps its shape when scores are enlarged; its certainty is cut to 1 when probabilities are, and two lukewarm background neighbours outvote it.
#
# **Three: pixels without a label counted.** Annotators leave a rim of *void* pixels (255) where they cannot decide; Pascal VOC and Oxford Pets do. Such pixels must drop out of the loss and of the measure. Here we mark every pixel next to a border as void, and measure the same answers with void left out, and with void counted as background.

# %%
rim = ndimage.maximum_filter(truth, (1, 3, 3)) != ndimage.minimum_filter(truth, (1, 3, 3))
with_void = np.where(rim, 255, truth)
left_out = seg.mean_iou(seg.confusion_matrix(with_void, answers, 6))
counted = seg.mean_iou(seg.confusion_matrix(np.where(rim, 0, truth), answers, 6))
print(f"{rim.mean():.0%} of the pixels are void: mean IoU {left_out:.3f} without them,")
print(f"{counted:.3f} when they count as background")

# %% [markdown]
# Neither is *the* mean IoU of the network; two papers that treat void differently cannot be compared at all.
#
# **Four: the imbalance of classes ignored.** What does a network score that always says "background"? And what do class weights, the usual medicine, do? To see the second in seconds, we keep the backbone as it is, compute its features for a few scenes once, and train only the three score layers on them, with and without weights.

# %%
always = np.zeros_like(truth)
matrix = seg.confusion_matrix(truth, always, 6)
print(f"always background: pixel accuracy {seg.pixel_accuracy(matrix):.3f}, ", end="")
print(f"mean IoU {seg.mean_iou(matrix):.3f}")

probe_steps = pw.budget.get(CHAPTER, "probe_steps")
images, masks = pw.data.load("wardrobe", "train", size=SIZE, batch_size=64, seed=1)[0]
levels = {k: v for k, v in backbone.predict(images, batch_size=16, verbose=0).items() if k > "C2"}
levels_in = {k: keras.Input(v.shape[1:], name=k) for k, v in levels.items()}
frame = keras.Input((SIZE, SIZE, 3), name="frame")
unseen = {**backbone.predict(test[0][0], verbose=0), "frame": test[0][0]}
frequency = np.bincount(masks.ravel(), minlength=6) / masks.size
for name, weights in (("equal weights", None), ("weights 1 / frequency", 1 / frequency)):
    keras.utils.set_random_seed(0)
    probe = keras.Model({**levels_in, "frame": frame}, skip_head(levels_in, frame))
    probe.compile(keras.optimizers.Adam(3e-3), SegmentationCrossEntropy(class_weights=weights))
    probe.fit({**levels, "frame": images}, masks, batch_size=16, epochs=probe_steps, verbose=0)
    said = probe.predict({k: unseen[k] for k in [*levels, "frame"]}, verbose=0).argmax(-1)
    matrix = seg.confusion_matrix(test[0][1], said, 6)
    print(f"{name:22s} pixel accuracy {seg.pixel_accuracy(matrix):.3f}, ", end="")
    print(
        f"mean class accuracy {seg.mean_accuracy(matrix):.3f}, mean IoU {seg.mean_iou(matrix):.3f}"
    )

# %% [markdown]
# Accuracy calls a network good that knows nothing. Class weights do what they promise, each class is *found* more often (mean class accuracy rises), and they charge for it: rare classes are now suspected everywhere, so IoU, which counts false alarms as well, falls. Report the measure you care about, and choose weights by it, not by habit.
#
# ## Your own photographs
#
# Everything so far used the embedded data. One argument changes it: `pw.data.load("oxford_pets", "trainval", download=True)` fetches the 811 MB of the Oxford-IIIT Pet data set (Parkhi et al. 2012), checks them, and gives batches of the same form, pets against background with the undecided rim as void. `pixelwise train fcn8s_pets --data-root FOLDER` trains on it.

# %%
record = pw.results.read("fcn8s_pets-seed0")
print(record["description"])
print(f"{record['steps']} steps in {record['seconds'] / 60:.0f} minutes on {record['device']}")
print(f"IoU of background and pet: {np.round(record['test']['iou'], 3)}")
print(f"measured on {record['test']['pictures']} photographs: {record['command']}")

# %% [markdown]
# The record is that of a subset: 300 photographs to train and 298 to test, of three breeds, scaled to 192 pixels, fine-tuned for some minutes on two cores. The network, the loss and the measure are those of the wardrobe; only the data set's name, the number of classes and the size changed. The pet itself reaches an IoU of 0.921<!-- result fcn8s_pets-seed0 test.iou.1 -->. For comparison, the example of segmentation_models.pytorch reports 0.914 for binary IoU after ten epochs on the whole set, with a larger decoder.
#
#
# ## What the source article says, and what is true
#
# This book follows an article, and corrects it. For the FCN it says that "fully connected layers replace the pooling and classification layers". It is the reverse: the fully connected layers *become* convolutions, the pooling stays, and what the poolings took away comes back by transposed convolutions and skips (Long et al. 2015). Its steps then put the softmax in front of everything and never upsample.
#
# Its code cannot run. As printed it is not Python: one line opens eleven parentheses and closes ten. We closed the last one and ran it with PyTorch 2.13.0, mending one fault at a time to meet the next; the table gives the messages. Two faults would remain if none of them stopped it: six doublings undo only five poolings, and a softmax over the single output channel is 1 at every pixel.
#
# The mistakes have one root. The code flattens the feature map into a vector and then asks a transposed convolution where things were. A vector does not know. This is why the chapter began with the dense layer written as a convolution: nothing is flattened, so nothing has to be found again.
#
# | The article | What is true |
# |---|---|
# | Fully connected layers replace pooling and classification. | Convolutions replace the fully connected layers: fc6 of VGG16 becomes a 7 x 7, fc7 a 1 x 1, and a 1 x 1 with one channel per class gives the scores. |
# | The 1 x 1 convolution gives a segmentation as large as its input feature map. | That map has 1/32 of the picture's side. FCN-32s upsamples it at once; FCN-16s and FCN-8s add skips from pool4 and pool3. |
# | The network gives output maps of any size. | It *takes* pictures of any size. The article's `nn.Linear(1024 * 16 * 16, 512)` takes 512 x 512 only, and holds 93% of all its parameters. |
# | `x.view(-1, 1024)`, then `fc6` | `mat1 and mat2 shapes cannot be multiplied (256x1024 and 262144x512)` |
# | `fc7`, then a transposed convolution | `Expected 3D (unbatched) or 4D (batched) input to conv_transpose2d, but got input of size: [1, 21]` |
# | `up6` after `num_classes` channels | `expected input[1, 21, 1, 1] to have 512 channels, but got 21 channels instead` |
# | Softmax, then six upsamplings | Upsample the scores; the softmax comes last, per pixel, inside the loss. |
# | Five poolings, six upsamplings | 64 x 64 for a 512 x 512 picture; from the 16 x 16 map it would be 1024 x 1024. |
# | One output channel | One channel per class. |
# | "T. Long" in the references | Jonathan Long, Evan Shelhamer and Trevor Darrell, CVPR 2015, pages 3431-3440. |
#
# The whole table, for every section of the article, is in [ERRATA.md](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md).
#
# ## Exercises
#
# Replace the line `pw.exercises.todo()` by your answer and run the check below it. The solutions are in `chapters/solutions/02_fcn.ipynb`.

# %% [markdown] tags=["exercise"]
# ### Exercise 1: the kernel in the dense layer
#
# A classifier flattens a feature map of `height x width x channels` and has a dense layer with the kernel `(height * width * channels, classes)`. Write the function that gives the kernel of the equal convolution, `(height, width, channels, classes)`.


# %% tags=["exercise"]
def dense_to_convolution(kernel, height, width):
    # BEGIN SOLUTION
    channels = kernel.shape[0] // (height * width)
    return kernel.reshape(height, width, channels, kernel.shape[1])
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    generator = np.random.default_rng(0)
    patch, weight = generator.normal(size=(7, 5, 4)), generator.normal(size=(7 * 5 * 4, 3))
    kernel = dense_to_convolution(weight, 7, 5)
    assert kernel.shape == (7, 5, 4, 3), (
        "The kernel needs the shape (height, width, channels, classes)."
    )
    one_place = np.einsum("hwc,hwck->k", patch, kernel)
    assert np.allclose(one_place, patch.reshape(-1) @ weight), (
        "The scores differ from the dense layer's."
    )

# %% [markdown] tags=["exercise"]
# ### Exercise 2: how much is cut
#
# A picture is `side` pixels wide. Each of five levels halves it and rounds up. FCN-32s enlarges C5 by 32. Write the function that says how many columns are then too many.


# %% tags=["exercise"]
def columns_too_many(side):
    # BEGIN SOLUTION
    coarse = side
    for _ in range(5):
        coarse = -(-coarse // 2)
    return 32 * coarse - side
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("2"):
    assert columns_too_many(96) == 0, "96 is a multiple of 32: nothing is cut."
    assert columns_too_many(97) == 31, "97 pixels give 4 cells, 128 columns."
    assert columns_too_many(110) == 18, "110 pixels give 4 cells, 128 columns."
    assert columns_too_many(500) == 12, "500 pixels give 16 cells, 512 columns."

# %% [markdown] tags=["exercise"]
# ### Exercise 3: IoU from the confusion matrix
#
# Rows are true classes, columns predicted ones. Write the function that gives the IoU of every class, and `nan` for a class that is neither labelled nor predicted.


# %% tags=["exercise"]
def class_iou(matrix):
    # BEGIN SOLUTION
    matrix = np.asarray(matrix, float)
    hits = np.diag(matrix)
    union = matrix.sum(0) + matrix.sum(1) - hits
    with np.errstate(invalid="ignore"):
        return hits / union
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("3"):
    given = [[6, 2, 0], [1, 3, 0], [0, 0, 0]]
    found = class_iou(given)
    assert np.isclose(found[0], 6 / 9), "Class 0: 6 hits, 2 misses, 1 false alarm."
    assert np.isclose(found[1], 3 / 6), "Class 1: 3 hits, 1 miss, 2 false alarms."
    assert np.isnan(found[2]), "Class 2 never occurs: its IoU is not a number."

# %% [markdown] tags=["exercise"]
# ### Exercise 4: add the skip yourself
#
# `coarse` holds the scores of C5, `(height, width, classes)`, and `skip` those of C4, twice as high and wide. Write the fusion of FCN-16s in NumPy: enlarge by 2 with the kernel $(\tfrac14,\tfrac34,\tfrac34,\tfrac14)$ in both directions, cut one value at each side, add the skip.


# %% tags=["exercise"]
def fuse(coarse, skip):
    # BEGIN SOLUTION
    height, width, classes = coarse.shape
    tent = np.outer([0.25, 0.75, 0.75, 0.25], [0.25, 0.75, 0.75, 0.25])[..., None]
    painted = np.zeros((2 * height + 2, 2 * width + 2, classes))
    for i in range(height):
        for j in range(width):
            painted[2 * i : 2 * i + 4, 2 * j : 2 * j + 4] += tent * coarse[i, j]
    return painted[1:-1, 1:-1] + skip
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("4"):
    generator = np.random.default_rng(0)
    coarse_map, fine_map = generator.normal(size=(3, 4, 2)), generator.normal(size=(6, 8, 2))
    scores_in = keras.Input((None, None, 2))
    keras_fusion = keras.Model(scores_in, upsample(scores_in, 2, "fusion"))
    wanted = keras_fusion.predict_on_batch(coarse_map[None].astype("float32"))[0] + fine_map
    answer = fuse(coarse_map, fine_map)
    assert answer.shape == (6, 8, 2), "The result has the shape of the skip."
    assert np.allclose(answer, wanted, atol=1e-5), "The numbers differ from the layer's."

# %% [markdown] tags=["exercise"]
# ### Exercise 5: what a mask loses
#
# Write the function that shrinks a mask to one label for each `factor x factor` block, the label that most of its pixels have (the smallest of them if two are equally frequent).


# %% tags=["exercise"]
def majority(mask, factor):
    # BEGIN SOLUTION
    height, width = mask.shape[0] // factor, mask.shape[1] // factor
    blocks = mask.reshape(height, factor, width, factor).transpose(0, 2, 1, 3)
    blocks = blocks.reshape(height, width, -1)
    return np.array([[np.bincount(block).argmax() for block in row] for row in blocks])
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("5"):
    small_mask = np.array([[0, 0, 1, 2], [0, 3, 2, 2], [4, 4, 5, 5], [5, 5, 5, 5]])
    assert np.array_equal(majority(small_mask, 2), [[0, 2], [4, 5]]), (
        "Count the labels of each block."
    )
    assert np.array_equal(majority(np.ones((6, 9), int), 3), np.ones((2, 3))), (
        "Six by nine gives two by three."
    )

# %% [markdown]
# ## Summary
#
# - A dense layer is a convolution whose window is its whole input. Give its weights that shape, and a classifier of pictures becomes a classifier of places.
# - Coarse levels know what, fine levels know where. FCN adds the scores of both; each skip is worth more than the spread over seeds.
# - Scores are enlarged by a transposed convolution that starts bilinear. The softmax comes last.
# - Measure IoU, class by class, on data that shares nothing with the training; look at the borders too.
#
# The next chapter keeps the resolution instead of winning it back: atrous convolution and DeepLab. There the ready-made network of keras-cv stands beside ours; keras-cv has no FCN.
#
# **Further reading**
#
# - Jonathan Long, Evan Shelhamer, Trevor Darrell. Fully Convolutional Networks for Semantic Segmentation. CVPR 2015, [arXiv 1411.4038](https://arxiv.org/abs/1411.4038). Extended: IEEE TPAMI 39(4), 2017.
# - Mark Sandler, Andrew Howard, Menglong Zhu, Andrey Zhmoginov, Liang-Chieh Chen. MobileNetV2: Inverted Residuals and Linear Bottlenecks. CVPR 2018, [arXiv 1801.04381](https://arxiv.org/abs/1801.04381).
# - Bowen Cheng, Ross Girshick, Piotr Dollár, Alexander C. Berg, Alexander Kirillov. Boundary IoU. CVPR 2021, [arXiv 2103.16562](https://arxiv.org/abs/2103.16562).
# - Han Xiao, Kashif Rasul, Roland Vollgraf. Fashion-MNIST. 2017, [arXiv 1708.07747](https://arxiv.org/abs/1708.07747).
#
# **How to cite** this chapter: *The Pixelwise authors, Pixelwise: image segmentation and generation, from the mathematics to running code, chapter "Fully convolutional networks", 2026.* The file `CITATION.cff` has the entry for the book.
