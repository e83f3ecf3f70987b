# %% [markdown]
# # Instance SegNet
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/05_instance_segnet.ipynb)
#
# The article that this book follows names two networks that tell objects apart. The first is Mask R-CNN. Of the second, *Instance SegNet*, we found no publication: the article describes it in a few words and in code that does not run. So this chapter does what an engineer does with such a description. It takes the ideas in it that exist (spatial pyramid pooling, the fusion of several scales, a softmax for each pixel), builds the smallest network that has them all, says that it is its own, and measures whether each idea earns its place. The closest published structures are Seamless Scene Segmentation (Porzi et al. 2019) and PANet (Liu et al. 2018).
#
# **After this chapter you can**
#
# - say what semantic, instance and panoptic segmentation answer, and work panoptic quality by hand;
# - pool a region over a pyramid of grids, and fuse all levels of a feature pyramid in one region;
# - explain why a softmax over classes and a sigmoid for each class give different masks;
# - read an ablation: one part exchanged, everything else equal;
# - combine a class map and detections into one answer for every pixel.
#
# **You need** the last chapter, *Mask R-CNN*: proposals, RoIAlign, the two heads and average precision are explained there.
#
# **Time and memory:** 220<!-- result chapters 05_instance_segnet.quick.seconds --> seconds and 1925<!-- result chapters 05_instance_segnet.quick.peak_memory_mib --> MiB on two cores without a GPU, training included. On a GPU the notebook takes the *full* budget, the whole recipe of 3,000<!-- result instance_segnet_wardrobe steps --> steps.

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

from pixelwise import plot
from pixelwise.data import wardrobe
from pixelwise.metrics import panoptic
from pixelwise.metrics.detection import DetectionAP
from pixelwise.metrics.segmentation import confusion_matrix, mean_iou
from pixelwise.models.deeplab import deeplab
from pixelwise.models.instance_segnet import small_instance_segnet
from pixelwise.nn.detection_losses import of_class, sigmoid_mask_loss, softmax_mask_loss
from pixelwise.nn.masks import paste
from pixelwise.nn.optimizers import TwoRateAdamW
from pixelwise.nn.pooling import SpatialPyramidPooling
from pixelwise.nn.roi_align import roi_align

CHAPTER, SIZE = "05_instance_segnet", 128
CLASSES = wardrobe.CLASSES


def numpy(values):
    """An array of the backend, or a dict of them, as NumPy."""
    if isinstance(values, dict):
        return {name: numpy(value) for name, value in values.items()}
    return ops.convert_to_numpy(values)


# %% [markdown]
# ## The answer first
#
# Three kinds of answers to the same scenes, none of which any network has seen in training. *Semantic*: the DeepLabV3+ recorded two chapters ago gives every pixel a class. (It was trained on scenes of 96 pixels and sees 128 here, garments larger than it knows; the chapter *Choosing* shows it the size of its training.) *Instance*: the Instance SegNet recorded with this chapter finds garments, each with a rim of its own. *Panoptic*: both together, so that every pixel has exactly one class and, on a garment, one object.

# %%
recorded = pw.weights.checkpoint(small_instance_segnet(len(CLASSES)), "instance_segnet_wardrobe")
deeplab_options = {"features": ("C4", "C5"), "rates": (1, 2, 3), "channels": 128}
class_map = deeplab(len(CLASSES), **deeplab_options)
class_map = pw.weights.checkpoint(class_map, "deeplabv3plus_wardrobe")

test = pw.data.load("wardrobe", "test", size=SIZE, batch_size=8, targets="instances")
count = pw.budget.get(CHAPTER, "test_batches")
images, truth = zip(*(test.evaluation_batch(index) for index in range(count)))
found = [recorded.detect(x) for x in images]
named = [class_map.predict_on_batch(x).argmax(-1) for x in images]
together = [panoptic.combine(f, n) for f, n in zip(found, named)]
true_maps = [panoptic.from_targets(t) for t in truth]


def draw_panoptic(picture, panoptic_map):
    """All pixels in the colours of their classes, a white rim around each object."""
    classes, numbers = panoptic_map[..., 0], panoptic_map[..., 1]
    masks = [numbers == number for number in np.unique(numbers[numbers > 0])]
    labels = [classes[mask][0] for mask in masks]
    masks = np.reshape(masks, (-1, *classes.shape))
    shown = plot.overlay_instances(picture, masks, labels)
    shown[classes == 0] = 0.35 * shown[classes == 0] + 0.65 * np.array(plot.class_colour(0))
    shown[classes == panoptic.VOID] = 0.3 * shown[classes == panoptic.VOID] + 0.7
    return shown


# %%
first = images[0][:5]
sure = np.where(found[0]["scores"] >= 0.5, found[0]["classes"], 0)  # class 0 is not drawn
rows = [
    ("picture", first),
    ("semantic", [plot.overlay(x, n) for x, n in zip(first, named[0])]),
    ("instance", [plot.overlay_instances(*x) for x in zip(first, found[0]["masks"], sure)]),
    ("panoptic", [draw_panoptic(x, m) for x, m in zip(first, together[0])]),
    ("truth", [draw_panoptic(x, m) for x, m in zip(first, true_maps[0])]),
]
plot.legend(plot.grid(rows, scale=1.35), CLASSES, void=True)
plt.show()

# %% [markdown]
# In the second row garments of one class that touch are one spot of colour. In the third they are apart, but a pixel may belong to two garments or to none. In the fourth both are settled. (Pale there, *not labelled* in the legend: the class map sees a garment where no object was found.)
#
# ## A class and an identity
#
# The article says that instance segmentation gives each object *a label that says its category*. That is half of it. Two shoes share the category; what makes them two is an *identity*. In a panoptic map each pixel $i$ has both, $(c_i, n_i)$: the class and the number of the object. *Things* (garments) are counted; *stuff* (background) is one segment a picture, whatever its number.
#
# *Panoptic quality* (Kirillov et al. 2019) measures such maps. Predicted and true segments of one class are a pair if their IoU is above $\tfrac12$; as segments of a map cannot overlap, a segment is in at most one pair. With the pairs $TP$, the predicted segments left over $FP$ and the true ones left over $FN$:
#
# $$PQ=\frac{\sum_{(p,g)\in TP}\text{IoU}(p,g)}{|TP|+\tfrac12|FP|+\tfrac12|FN|}$$
#
# One row of pixels: two shoes of four pixels side by side. A class map can be *perfect*, with IoU 1, and read as connected pieces it gives one shoe of eight pixels. Its IoU with either is $4/8$, not above $\tfrac12$: no pair, one segment too many, two missed, $PQ=0$. A map that knows two shoes and puts the border one pixel off has the IoUs $3/4$ and $4/5$: $PQ=(0.75+0.8)/2=0.775$.

# %%
shoes = np.array([[0, 1, 1, 1, 1, 2, 2, 2, 2, 0]])  # the number of the object
off = np.array([[0, 1, 1, 1, 2, 2, 2, 2, 2, 0]])
true_row, off_row = (np.stack([(n > 0) * 1, n], axis=-1) for n in (shoes, off))
pieces_row = panoptic.from_semantic(true_row[None, ..., 0])[0]  # connected pieces of the classes


def iou(a, b):
    return np.sum(a & b) / np.sum(a | b)


assert iou(shoes > 0, shoes == 1) == 4 / 8
by_hand = {"pieces": 0 / (0 + 1 / 2 + 2 / 2)}
by_hand["border off"] = (iou(shoes == 1, off == 1) + iou(shoes == 2, off == 2)) / 2
for (name, value), row in zip(by_hand.items(), (pieces_row, off_row)):
    score = panoptic.PanopticQuality(("background", "shoe"))
    score.update(true_row, row)
    assert np.isclose(score.result()["pq_per_class"][1], value)
    same = mean_iou(confusion_matrix(true_row[..., 0], row[..., 0], 2))
    print(f"{name:10s} PQ of the shoes {value:.3f}, mean IoU of the classes {same:.3f}")

# %% [markdown]
# ### How much does a class map leave open?
#
# We give class maps their best chance and take the *true* ones. For each garment of the test scenes: is it one connected piece of its class by itself (*whole*), in one piece with another garment (*merged*), or in several pieces because something lies across it (*split*)?

# %%
KINDS = ("whole", "split", "merged")
counts = np.zeros((3, 3), int)  # garments of the class in the scene (1, 2, 3 or more), kind
score = panoptic.PanopticQuality(CLASSES)
for labels, maps in zip(truth, true_maps):
    pieces = panoptic.from_semantic(maps[..., 0])
    score.update(maps, pieces)
    for classes, objects, piece in zip(labels["classes"], maps[..., 1], pieces[..., 1]):
        for number, label in enumerate(classes, start=1):
            if label:
                touched = np.unique(piece[objects == number])
                merged = len(np.unique(objects[np.isin(piece, touched)])) > 1
                kind = 2 if merged else int(len(touched) > 1)
                counts[min(np.sum(classes == label), 3) - 1, kind] += 1
shares = counts.sum(axis=0) / counts.sum()
print(", ".join(f"{kind} {share:.0%}" for kind, share in zip(KINDS, shares)), f"of {counts.sum()}")
print(f"the true class maps, read as pieces: mean IoU 1.000, PQ {score.result()['pq']:.3f}")

figure, axis = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
left, share = np.zeros(3), counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
for kind, colour, part in zip(KINDS, (plot.BLUE, plot.ORANGE, plot.RED), share.T):
    axis.barh(range(3), part, left=left, color=colour, label=kind)
    left += part
labels = ("alone of its class", "one of two", "one of three or more")
labels = [f"{label} (n = {n})" for label, n in zip(labels, counts.sum(axis=1))]
axis.set_yticks(range(3), labels)
axis.set(xlabel="share of garments", xlim=(0, 1))
axis.invert_yaxis()
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# This is what a perfect class map reaches, and no better network lifts it: the information is not in the answer. So a network for instances has to answer *for each object*, and that is what regions are for.
#
# ## A pyramid of grids
#
# Dense layers want vectors of one length, regions have any size. *Spatial pyramid pooling* (SPP-net, He et al. 2014) was the first answer: lay several grids over the region, one cell, 2 x 2, 4 x 4, and keep the largest value of each cell. Fast R-CNN kept one of the grids and called it RoI pooling (Girshick 2015, section 2.1), RoIAlign reads that grid without rounding. The article's "spatial pyramid pooling" is this, before it was simplified.
#
# For a map $f$ of $H$ x $W$ cells and a grid of $n$ x $n$:
#
# $$v_{n}(i,j)=\max\Big\{f(y,x)\;:\;\big\lfloor \tfrac{iH}{n}\big\rfloor\le y<\big\lceil \tfrac{(i+1)H}{n}\big\rceil,\;\big\lfloor \tfrac{jW}{n}\big\rfloor\le x<\big\lceil \tfrac{(j+1)W}{n}\big\rceil\Big\}$$
#
# By hand, on the 4 x 4 map below: one cell gives 5; 2 x 2 cells give 5, 2, 3, 4; 4 x 4 cells are the map. Together $1+4+16=21$ numbers, for a region of any size.

# %%
f = np.array([[1.0, 0, 2, 0], [0, 5, 0, 1], [3, 0, 0, 0], [0, 0, 4, 0]])


def spp(f, bins):
    """The largest value in each cell of each grid, one list of numbers (bins divide the sides)."""
    height, width = f.shape
    grids = [f.reshape(n, height // n, n, width // n).max(axis=(1, 3)) for n in bins]
    return np.concatenate([grid.ravel() for grid in grids])


by_hand = [5, 5, 2, 3, 4, *f.ravel()]
batch = f[None, :, :, None].astype("float32")
assert np.array_equal(spp(f, (1, 2, 4)), by_hand) and len(by_hand) == 21
assert np.array_equal(numpy(SpatialPyramidPooling((1, 2, 4))(batch))[0], by_hand)

moved = np.pad(f, ((0, 0), (1, 0)))[:, :4]  # everything one cell to the right
rows = []
for name, values in (("the map", f), ("moved by one", moved)):
    vector = spp(values, (1, 2, 4))
    rows.append(
        (name, [values, *(vector[a:b].reshape(n, n) for n, a, b in ((1, 0, 1), (2, 1, 5)))])
    )
figure = plot.grid(rows, ["4 x 4 cells: the map", "1 cell", "2 x 2 cells"], scale=1.6)
for axis, values in zip(figure.axes, [values for _, line in rows for values in line]):
    axis.images[0].set_clim(-2, 7)
    for (i, j), value in np.ndenumerate(values):
        colour = "black" if value > 2 else "white"
        axis.text(j, i, f"{value:.0f}", ha="center", va="center", color=colour)
plt.show()

# %% [markdown]
# Why keep the coarse grids, if the fine one has all the numbers? Because a proposal is never quite right. Move everything by one cell: the fine grid has nearly all of its numbers in other places, two of the four have changed, and the one cell says 5 as before. A coarse grid says *what* a region holds wherever it lies, a fine one says *where*.
#
# Is that so with real features? We take the garments of eight test scenes, move their boxes to the right, and ask how much each grid's vector changes. As the unit we take how much the vectors of two different garments differ.

# %%
levels = recorded(images[0])["levels"]
real = truth[0]["classes"] > 0
shifts = np.arange(0, 17, 2)
boxes = truth[0]["boxes"][:, None] + shifts[:, None, None] * np.float32([1, 0, 1, 0])
boxes = boxes.reshape(len(boxes), -1, 4).astype("float32")  # (batch, shifts * objects, 4)
regions = recorded.pool(levels, boxes, 7)
regions = ops.reshape(regions, (-1, *regions.shape[2:]))  # one after another, as heads want them

figure, axis = plt.subplots(figsize=(6, 2.9), layout="constrained")
for bins, colour in ((1, plot.RED), (2, plot.ORANGE), (4, plot.SKY), (7, plot.BLUE)):
    grid = numpy(SpatialPyramidPooling((bins,))(regions))
    grid = grid.reshape(len(real), len(shifts), real.shape[1], -1).swapaxes(1, 2)[real]
    change = np.linalg.norm(grid - grid[:, :1], axis=-1).mean(axis=0)  # by shift
    start = grid[:, 0]
    others = np.linalg.norm(start[:, None] - start, axis=-1)
    unit = others[~np.eye(len(start), dtype=bool)].mean()
    axis.plot(shifts, change / unit, "o-", ms=4, color=colour, label=f"{bins} x {bins}")
axis.set(xlabel="box moved to the right by (pixels)", ylabel="change, two garments = 1")
axis.legend(title="cells", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# The coarser the grid, the less it minds where exactly the box lies. The dense layers of the box head get all four, $1+4+16+49=70$ cells of 64 channels, 4,480 numbers, where Mask R-CNN's get the 49 finest.
#
# ## Every level at once
#
# Mask R-CNN reads each region from *one* level of the feature pyramid, chosen by the size of the box; a pixel more, and it is another level. For masks, Instance SegNet reads *every* level, on the same grid of 14 x 14, projects each by weights of its own, and adds:
#
# $$h=\max\Big(0,\;\sum_k W_k\,r_k+b\Big)$$
#
# with $r_k$ what was read from level $k$. (PANet does it for its box head too, and takes the maximum or the sum.) There is a shorter way to write it: lay the levels side by side, and one 1 x 1 convolution of the long vector *is* the sum. Two levels of two channels, $r_2=(1,2)$ and $r_3=(3,-1)$, with the weights $(1, 0.5)$ and $(2, -1)$: $1+1+6+1=9$.

# %%
r2, r3, w2, w3 = np.float32([1, 2]), np.float32([3, -1]), np.float32([1, 0.5]), np.float32([2, -1])
convolution = layers.Conv2D(1, 1, use_bias=False)
convolution.build((None, 1, 1, 4))
convolution.set_weights([np.concatenate([w2, w3])[None, None, :, None]])
side_by_side = np.concatenate([r2, r3])[None, None, None]
assert w2 @ r2 + w3 @ r3 == numpy(convolution(side_by_side)).item() == 9

areas = np.prod(truth[0]["boxes"][..., 2:] - truth[0]["boxes"][..., :2], axis=-1)
which, place = np.unravel_index(areas.argmax(), areas.shape)  # the largest garment
box, label = truth[0]["boxes"][which, place], truth[0]["classes"][which, place]
picture, here = images[0][which], {name: level[which : which + 1] for name, level in levels.items()}
read = recorded.pool_for_masks(here, box[None, None])
inside = keras.Model(
    recorded.mask_head.input, recorded.mask_head.get_layer("mask_head-fusion").output
)
sum_of_levels = numpy(inside(read[0]))[0]
scores = numpy(recorded.segment(here, box[None, None]))[0, 0]
parts = np.split(numpy(read)[0, 0], 3, axis=-1)
kernels = np.split(numpy(inside.layers[-1].kernel)[0, 0], 3)
added = sum(r @ w for r, w in zip(parts, kernels)) + numpy(inside.layers[-1].bias)
assert np.allclose(np.maximum(added, 0), sum_of_levels, atol=1e-3)


# %%
def in_colours(features):
    """The three strongest directions of the channels as red, green and blue."""
    flat = features.reshape(-1, features.shape[-1])
    flat = flat - flat.mean(axis=0)
    three = flat @ np.linalg.svd(flat, full_matrices=False)[2][:3].T
    low, high = np.percentile(three, (2, 98), axis=0)
    return np.clip((three - low) / (high - low), 0, 1).reshape(*features.shape[:2], 3)


x1, y1, x2, y2 = box.astype(int)
shown = [picture[y1:y2, x1:x2], *map(in_colours, [*parts, sum_of_levels])]
shown.append(plot.colour_mask(scores.argmax(-1)))
titles = [CLASSES[label], "P2", "P3", "P4", "sum", "scores, largest"]
plot.legend(plot.grid([("", shown)], titles, scale=1.6), CLASSES)
plt.show()
norms = [np.linalg.norm(r @ w) for r, w in zip(parts, kernels)]
print("share in the sum:", {f"P{k}": f"{n / sum(norms):.0%}" for k, n in zip((2, 3, 4), norms)})

# %% [markdown]
# One garment, read from three levels: P2 changes from cell to cell, P4 is smooth. The last picture shows, for each of 28 x 28 places, whether a class or the background has the largest score.
#
# ## Softmax or sigmoid?
#
# Mask R-CNN asks the pixels of a region about one class only, yes or no: a *sigmoid*. The article ends in a *softmax*: classes and background compete for each pixel.
#
# $$\sigma(a_c)=\frac{1}{1+e^{-a_c}}\qquad p_c=\frac{e^{a_c}}{\sum_k e^{a_k}}$$
#
# One pixel of a region that the box head has called a top. Its scores: background 1, top 3, dress 3.2. The network is sure that this is cloth and unsure which. The sigmoid of top is $1/(1+e^{-3})=0.953$: the pixel is in the mask. The softmax has $e^1=2.72$, $e^3=20.09$ and $e^{3.2}=24.53$, so $p=20.09/47.34=0.424$: below $\tfrac12$, a hole in the mask. The question *which class?* was answered by the box head already, from the whole region, and here each pixel is asked again.
#
# A softmax can also be asked as if the class were known: top, or background? Then the dress drops out:
#
# $$\frac{p_c}{p_c+p_0}=\frac{e^{a_c}}{e^{a_c}+e^{a_0}}=\sigma(a_c-a_0)$$
#
# here $\sigma(2)=0.881$.

# %%
a = np.float32([1, 3, 3.2])  # background, top, dress
p = np.exp(a) / np.exp(a).sum()
assert np.allclose(
    [1 / (1 + np.exp(-a[1])), p[1], p[1] / (p[1] + p[0])], [0.953, 0.424, 0.881], atol=1e-3
)

pixel, top, there = a.reshape(1, 1, 1, 1, 3), np.array([[1]]), np.array([[True]])
assert np.isclose(numpy(of_class(ops.softmax(pixel), top)).item(), p[1])
covered = ops.ones((1, 1, 1, 1))
losses = [
    numpy(loss(pixel, covered, top, there)) for loss in (softmax_mask_loss, sigmoid_mask_loss)
]
assert np.allclose(losses, [-np.log(p[1]), np.log1p(np.exp(-a[1]))])

rival = np.linspace(-2, 6, 50)
share = np.exp(3) / (np.exp(1) + np.exp(3) + np.exp(rival))
figure, axis = plt.subplots(figsize=(6, 2.7), layout="constrained")
axis.plot(rival, share, color=plot.RED, label="softmax")
axis.axhline(1 / (1 + np.exp(-3)), color=plot.BLUE, label="sigmoid of top")
axis.axhline(1 / (1 + np.exp(-2)), color=plot.ORANGE, label="softmax, top or background")
axis.axhline(0.5, color="black", lw=0.8, ls=":")
axis.set(
    xlabel="score of the rival class (top 3, background 1)",
    ylabel="probability of top",
    ylim=(0, 1.05),
)
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# The paper measured the same on COCO: with the softmax, mask AP falls from 30.3 to 24.8 (He et al. 2017, table 2b). It has 80 classes that compete, we have five.
#
# ## The network from parts
#
# Backbone, feature pyramid, proposals and everything around the heads are Mask R-CNN's, and our class inherits them (`lib/pixelwise/models/instance_segnet.py`). The heads differ in three places:
#
# | | Mask R-CNN, small | Instance SegNet, small |
# |---|---|---|
# | box head reads | 7 x 7 cells: 3,136 numbers | grids of 1, 2, 4 and 7 cells a side: 4,480 numbers |
# | mask head reads | 14 x 14 cells of one level | 14 x 14 cells of P2, P3 and P4, projected and added |
# | a pixel of the mask is | a sigmoid of its class | a softmax over the classes and background |


# %% tags=["shared"]
def make_heads(channels=64, width=256, classes=6, levels=3, bins=(1, 2, 4, 7)):
    """The box head and the mask head of a small Instance SegNet."""
    region = keras.Input((7, 7, channels))
    x = SpatialPyramidPooling(bins)(region)
    for _ in range(2):
        x = layers.Dense(width, "relu")(x)
    box_head = keras.Model(region, [layers.Dense(classes)(x), layers.Dense(4 * classes)(x)])

    side_by_side = keras.Input((14, 14, levels * channels))
    x = layers.Conv2D(channels, 1, activation="relu")(side_by_side)  # projects and adds
    for _ in range(2):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(channels, 2, 2, activation="relu")(x)
    return box_head, keras.Model(side_by_side, layers.Conv2D(classes, 1)(x))


# %%
box_head, mask_head = make_heads()
box_head.set_weights(recorded.box_head.get_weights())  # the recorded weights into ours
mask_head.set_weights(recorded.mask_head.get_weights())

chosen = found[0]["boxes"][:1, :6]
logits = recorded.classify(here := {n: v[:1] for n, v in levels.items()}, chosen)[0]
assert np.allclose(box_head(recorded.pool(here, chosen, 7)[0])[0], logits[0], atol=1e-3)
each = [
    roi_align([here[name]], [stride], chosen, 14)
    for name, stride in (("P2", 4), ("P3", 8), ("P4", 16))
]
ours = ops.softmax(mask_head(ops.concatenate(each, axis=-1)[0]))
masks = numpy(of_class(ours[None], found[0]["classes"][:1, :6]))[0]
pasted = paste(masks, chosen[0], SIZE, SIZE)
assert np.mean(pasted == found[0]["masks"][0, :6]) > 0.999
weights = {"box head": box_head, "mask head": mask_head, "all": recorded}
print({name: f"{model.count_params():,}" for name, model in weights.items()})

# %% [markdown]
# The masks of the first figure, from parts.
#
# ## Training
#
# The five losses of the last chapter; in the fifth, `softmax_mask_loss` stands in for the sigmoid's. Optimizer and schedule are the same.

# %%
steps = pw.budget.get(CHAPTER, "steps")
train = pw.data.load(
    "wardrobe",
    "train",
    size=SIZE,
    batch_size=pw.budget.get(CHAPTER, "batch_size"),
    targets="instances",
    max_objects=6,
)
live = small_instance_segnet(len(CLASSES))
warm_up = steps // 10
rate = keras.optimizers.schedules.CosineDecay(
    0.0, steps - warm_up, warmup_target=2e-3, warmup_steps=warm_up
)
live.compile(TwoRateAdamW(slow="features-", factor=0.2, learning_rate=rate, weight_decay=1e-4))
history = pw.training.fit(live, train, steps, ema=0.99)


# %%
def precision(detections, least=0.0):
    """Average precision on the test scenes of the detections with at least this score."""
    score = DetectionAP(CLASSES)
    for labels, one in zip(truth, detections):
        score.update(labels, one | {"classes": np.where(one["scores"] >= least, one["classes"], 0)})
    return score.result()


def quality(maps):
    """PQ, SQ and RQ of maps of the test scenes, means over the garments' classes."""
    score = panoptic.PanopticQuality(CLASSES)
    for right, one in zip(true_maps, maps):
        score.update(right, one)
    r = score.result()
    things = {key: np.nanmean(r[f"{key.lower()}_per_class"][1:]) for key in ("PQ", "SQ", "RQ")}
    return things | {"background": r["pq_stuff"]}


def alone(detections, **options):
    """Panoptic maps of detections; what is no object is background."""
    nothing = [np.zeros(x.shape[:3], int) for x in images]
    return [panoptic.combine(f, n, **options) for f, n in zip(detections, nothing)]


results, reached = {"trained live": [live.detect(x) for x in images], "recorded": found}, {}
for name, detections in results.items():
    r, pq = precision(detections), quality(alone(detections))["PQ"]
    reached[name] = r["mask_ap50"]
    print(f"{name:12s} mask AP {r['mask_ap']:.3f}, AP50 {r['mask_ap50']:.3f}", end="")
    print(f", box AP {r['box_ap']:.3f}, PQ of the garments {pq:.3f}")
pw.budget.headline("05_instance_segnet", reached["trained live"], "mask AP50")

# %% [markdown]
# ## What the whole recipe reaches
#
# `pixelwise train instance_segnet_wardrobe` makes the checkpoint: 3,000<!-- result instance_segnet_wardrobe steps --> steps of 8 scenes. On all 400 test scenes, beside the Mask R-CNN of the last chapter, which was trained for 6,000<!-- result mask_rcnn_wardrobe steps -->:
#
# | | mask AP | mask AP50 | mask AP75 | box AP |
# |---|---|---|---|---|
# | Instance SegNet | 0.502<!-- result instance_segnet_wardrobe test.mask_ap --> | 0.754<!-- result instance_segnet_wardrobe test.mask_ap50 --> | 0.563<!-- result instance_segnet_wardrobe test.mask_ap75 --> | 0.654<!-- result instance_segnet_wardrobe test.box_ap --> |
# | Mask R-CNN | 0.633<!-- result mask_rcnn_wardrobe test.mask_ap --> | 0.897<!-- result mask_rcnn_wardrobe test.mask_ap50 --> | 0.738<!-- result mask_rcnn_wardrobe test.mask_ap75 --> | 0.706<!-- result mask_rcnn_wardrobe test.box_ap --> |
#
# ## Which part earns its place?
#
# In an *ablation* one part is exchanged and everything else stays: data, steps, schedule, seed. Six short trainings of 250 steps (`pixelwise train instance_short` and the others), measured on the 400 test scenes:

# %%
variants = [
    ("Instance SegNet", "instance_short"),
    ("max pooling for RoIAlign", "instance_short_max_pooling"),
    ("one grid, one level", "instance_short_one_scale"),
    ("softmax, class known", "instance_short_conditional"),
    ("sigmoid for softmax", "instance_short_sigmoid"),
    ("Mask R-CNN", "mask_short"),
]
metrics = {"mask_ap50": "mask AP50", "mask_ap": "mask AP", "box_ap": "box AP"}
table = {
    name: [pw.results.get(recipe, f"test.{metric}.mean") for metric in metrics]
    for name, recipe in variants
}
for name, row in table.items():
    texts = [f"{label} {value:.3f}" for label, value in zip(metrics.values(), row)]
    print(f"{name:25s}", ", ".join(texts))
figure, axis = plt.subplots(figsize=(8, 3.4), layout="constrained")
bars = zip((-0.27, 0, 0.27), metrics.values(), (plot.SKY, plot.BLUE, plot.ORANGE))
for (shift, label, colour), values in zip(bars, zip(*table.values())):
    axis.barh(np.arange(len(table)) + shift, values, 0.25, color=colour, label=label)
axis.set_yticks(range(len(table)), table)
axis.set(xlabel="on the test scenes, after 250 steps", xlim=(0, 0.8))
axis.invert_yaxis()
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# Beside them what the paper has, on COCO with ResNet-50 after a full training (He et al. 2017, table 2). It exchanges each part in Mask R-CNN and we exchange it in Instance SegNet, so compare directions, not numbers.
#
# | mask AP | here, 250 steps | in the paper |
# |---|---|---|
# | softmax | 0.150<!-- result instance_short test.mask_ap.mean --> | 24.8 |
# | sigmoid | 0.374<!-- result instance_short_sigmoid test.mask_ap.mean --> | 30.3 |
# | RoI max pooling | 0.053<!-- result instance_short_max_pooling test.mask_ap.mean --> | 26.9 |
# | RoIAlign | 0.150<!-- result instance_short test.mask_ap.mean --> | 30.2 |
# | one grid and one level | 0.138<!-- result instance_short_one_scale test.mask_ap.mean --> | |
# | sigmoid, one grid and one level: Mask R-CNN | 0.393<!-- result mask_short test.mask_ap.mean --> | |
#
# - **The softmax costs most.** More than half of the mask AP, after so few steps: the mask head has to learn which class it looks at from each pixel's surroundings, while the box head tells classes apart from the whole region long before. The direction is the paper's.
# - **RoIAlign earns its place**, also with a pyramid of grids above it: with max pooling the mask AP falls to 0.053<!-- result instance_short_max_pooling test.mask_ap.mean --> and the box AP from 0.417<!-- result instance_short test.box_ap.mean --> to 0.314<!-- result instance_short_max_pooling test.box_ap.mean -->.
# - **The pyramid does not**, here. Without it the mask AP is 0.138<!-- result instance_short_one_scale test.mask_ap.mean --> against 0.150<!-- result instance_short test.mask_ap.mean -->, the box AP 0.424<!-- result instance_short_one_scale test.box_ap.mean --> against 0.417<!-- result instance_short test.box_ap.mean -->; and with a sigmoid (the last two bars of the figure) the network without it is a little ahead. Our garments differ in size by a factor of two; scenes with far and near objects are another matter, and were not measured.
#
# Each row is one run with one seed, so read only the large gaps.
#
# ### The training or the question?
#
# The softmax can be asked as if the class were known, $\sigma(a_c-a_0)$, with the weights as they are. (In the library: `small_instance_segnet(6, masks="conditional")`, into which the weights of any trained Instance SegNet load.) For 250 steps the recipe `instance_short_conditional` did it on all test scenes: the mask AP is 0.279<!-- result instance_short_conditional test.mask_ap.mean -->, with the softmax 0.150<!-- result instance_short test.mask_ap.mean -->. Here are the two networks of this chapter on some scenes. The third line anticipates a mistake from below, a softmax taken twice.

# %%
few = pw.budget.get(CHAPTER, "mistake_batches")


def softmax(a):
    a = np.exp(a - a.max(axis=-1, keepdims=True))
    return a / a.sum(axis=-1, keepdims=True)


QUESTIONS = {
    "softmax": softmax,
    "class known": lambda a: 1 / (1 + np.exp(a[..., :1] - a)),
    "softmax twice": lambda a: softmax(softmax(a)),
}


def with_masks(scores, detections, probability):
    """The detections, their masks made in another way from the scores of the mask head."""
    changed = []
    for a, one in zip(scores, detections):
        classes = one["classes"][..., None, None, None]
        grids = np.take_along_axis(probability(a), classes, axis=-1)[..., 0]
        masks = np.stack([paste(m, b, SIZE, SIZE) for m, b in zip(grids, one["boxes"])])
        changed.append(one | {"masks": masks & (classes[..., 0] > 0)})
    return changed


for name, model in (("trained live", live), ("recorded", recorded)):
    detections = results[name][:few]
    pyramids = [model(x)["levels"] for x in images[:few]]
    scores = [numpy(model.segment(p, d["boxes"])) for p, d in zip(pyramids, detections)]
    for question, probability in QUESTIONS.items():
        changed = with_masks(scores, detections, probability)
        r, pq = precision(changed), quality(alone(changed))["PQ"]
        print(f"{name}, {question}: mask AP {r['mask_ap']:.3f}, ", end="")
        print(f"AP50 {r['mask_ap50']:.3f}, PQ {pq:.3f}")

# %% [markdown]
# So the scores knew the shape all along; asked the wrong question they do not say it. The gap is smaller the longer the network is trained, for then its pixels know their class better, but it does not close.
#
# ## One answer for every pixel
#
# Back to the three kinds of answers, now with numbers. *Pieces*: the class map of DeepLab, each connected piece an object. *Objects*: Instance SegNet, the rest background. *Both*: the rules of Kirillov et al. (2019), detections laid down from the surest on, each getting the pixels that are still free, and dropped if less than half of it is left; below them the background of the class map. For scale, the *true classes* from above.

# %%
answers = {
    "pieces": [panoptic.from_semantic(n) for n in named],
    "objects": alone(found),
    "both": together,
    "true classes": [panoptic.from_semantic(m[..., 0]) for m in true_maps],
}
measured = {name: quality(maps) for name, maps in answers.items()}
for name, r in measured.items():
    matrix = np.zeros((6, 6), int)
    for right, one in zip(true_maps, answers[name]):
        matrix += confusion_matrix(right[..., 0], one[..., 0] % panoptic.VOID, 6)  # void: 0
    texts = [f"{key} {value:.3f}" for key, value in r.items()]
    print(f"{name:12s}", ", ".join(texts), f"| mean IoU of the classes {mean_iou(matrix):.3f}")

# %% [markdown]
# For each class $PQ$ is a product: $SQ$, the mean IoU of the pairs, says how well what is found fits, $RQ$ how much is found. The pieces of a class map lose in $RQ$, by merging and splitting. The mean IoU of the classes does not notice, or even prefers them: it is no measure of instances. What the class map adds to the objects is a better background, and an open question wherever the two disagree.
#
# ## Break it on purpose
#
# **One: show the detections that AP wants.** Average precision only gains from further guesses at low scores, and detectors are measured down to 0.05. A panoptic map is *one* answer, in which each wrong object counts. On the right the least score moves.
#
# **Two: two softmaxes.** The article's code has a softmax, a branch, and a softmax again. The softmax of probabilities cannot exceed $e/(e+C-1)$ for $C$ classes, which for six is $2.718/7.718=0.352$. No pixel reaches one half and every mask is empty: the zeros above. A loss on it cannot fall below $-\log0.352=1.04$.
#
# **Three: the label is the category**, as the article defines it. We leave the recorded network's answer as it is, and number its objects by their class.

# %%
limits = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)
by_limit = [quality(alone(found[:few], score=limit))["PQ"] for limit in limits]
kept = [precision(found[:few], limit)["mask_ap"] for limit in limits]
keys = {"PQ": plot.BLUE, "SQ": plot.SKY, "RQ": plot.ORANGE}
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3), layout="constrained")
for shift, (key, colour) in zip((-0.27, 0, 0.27), keys.items()):
    values = [r[key] for r in measured.values()]
    left.bar(np.arange(len(measured)) + shift, values, 0.25, color=colour, label=key)
left.set_xticks(range(len(measured)), measured)
left.set(ylabel="mean of the garments' classes", ylim=(0, 1))
left.legend(frameon=False, ncols=3, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, 1.2))
right.plot(limits, by_limit, "o-", color=plot.BLUE, label="PQ of the garments")
right.plot(limits, kept, "s-", color=plot.ORANGE, label="mask AP")
right.set(xlabel="least score of a detection", ylabel="measure", ylim=(0, 1))
right.legend(frameon=False)
for axis in (left, right):
    axis.spines[["top", "right"]].set_visible(False)
plt.show()

by_class = [np.stack([m[..., 0], m[..., 0]], axis=-1) for m in answers["objects"]]
print(f"identities: PQ of the garments {measured['objects']['PQ']:.3f}")
print(f"categories: PQ of the garments {quality(by_class)['PQ']:.3f}")

# %% [markdown]
# ## What the source article says, and what is true
#
# In the article, Instance SegNet is "based on deep generative networks": nothing in its description or its code generates anything. Its three steps are, word for word, those of DeepLab in the same article, and no step has an instance in it. Its code is another network, that of Mask R-CNN with `MaskBranch` renamed `SegBranch`. We ran it with PyTorch 2.14.1 and torchvision 0.29.1, mending one fault at a time to meet the next. When it runs at last, it has no regions, and its answer for a picture of 512 x 512 is a distribution over the classes at each of 8 x 8 places: a coarse class map, without a single instance.
#
# | The article | What is true |
# |---|---|
# | Instance SegNet, an algorithm among others | No publication of that name was found. SegNet (Badrinarayanan et al. 2017) is semantic. This network is ours. |
# | A label for each object, its category | A class *and* an identity. |
# | Features joined with dense layers, then spatial pyramid pooling | SPP comes *before* the dense layers: it makes the vector of fixed length that they need. |
# | `super(InstanceSegNet, self).__init()` | `'super' object has no attribute '_InstanceSegNet__init'` |
# | `resnet50`, `RPN`, `SegBranch` | `name 'resnet50' is not defined`, and so on for each |
# | `RPN(50, num_classes)` | An RPN knows no classes, only object or not, and its boxes are what the rest works on. |
# | `x, rpn_losses = self.rpn(x)` | torchvision's head gives two lists, scores and moves: `max_pool2d(): argument 'input' (position 1) must be Tensor, not list`. The losses are never used. |
# | RoI pooling is `nn.MaxPool2d(2, 2)` | It halves the whole map and knows no region. RoIAlign reads a grid from each box. |
# | `nn.Linear(256, num_classes)` on a map | On 256 channels of 8 x 8 cells: `mat1 and mat2 shapes cannot be multiplied (2048x8 and 256x21)`: a dense layer acts on the last axis, here the columns. |
# | `SegBranch(50, num_classes)` behind the scores of the classes | With a 1 x 1 convolution for it: `expected input[1, 21, 8, 8] to have 50 channels, but got 21 channels instead`. A segmentation branch reads features, beside the box head. |
# | Two softmaxes | The largest of six becomes 0.352 at most. One, and in the loss. |
#
# The whole table, for every section of the article, is in [ERRATA.md](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md).
#
# ## Exercises
#
# Replace the line `pw.exercises.todo()` by your answer and run the check below it. The solutions are in `chapters/solutions/05_instance_segnet.ipynb`.

# %% [markdown] tags=["exercise"]
# ### Exercise 1: grids that do not divide
#
# Seven cells and a grid of four: where do its cells begin and end? Write the function that returns, for a side of `size` cells and `bins`, the list of pairs (first, behind the last), by the formula of the text: $\lfloor i\,s/n\rfloor$ and $\lceil (i+1)\,s/n\rceil$.


# %% tags=["exercise"]
def cells(size, bins):
    # BEGIN SOLUTION
    return [(i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins)]
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    assert np.shape(cells(4, 2)) == (2, 2), "Return a pair for each cell of the grid."
    assert np.array_equal(cells(4, 2), [(0, 2), (2, 4)]), "Where it divides, no cell is shared."
    assert np.array_equal(cells(7, 1), [(0, 7)]), "One cell has all."
    shared = [(0, 2), (1, 4), (3, 6), (5, 7)]
    assert np.array_equal(cells(7, 4), shared), "Where it does not, neighbours share."
    numbers = np.random.default_rng(0).normal(size=(1, 7, 7, 1)).astype("float32")
    wanted = numpy(SpatialPyramidPooling((4,))(numbers))[0].reshape(4, 4)
    largest = [[numbers[0, a:b, c:d].max() for c, d in cells(7, 4)] for a, b in cells(7, 4)]
    assert np.allclose(largest, wanted), "The largest values differ from the library's."

# %% [markdown] tags=["exercise"]
# ### Exercise 2: panoptic quality
#
# `ious` holds the IoUs of all pairs of a predicted and a true segment of one class, `(predicted, true)`. Write the function that returns $PQ$, $SQ$ and $RQ$. ($SQ$ is 0 if there is no pair; there is at least one segment.)


# %% tags=["exercise"]
def pq_sq_rq(ious):
    # BEGIN SOLUTION
    pairs = ious[ious > 0.5]
    predicted, true = ious.shape
    whole = len(pairs) + (predicted - len(pairs)) / 2 + (true - len(pairs)) / 2
    sq = pairs.mean() if len(pairs) else 0.0
    return pairs.sum() / whole, sq, len(pairs) / whole
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("2"):
    assert np.allclose(pq_sq_rq(np.array([[0.5, 0.5]])), 0), "An IoU of one half is no pair."
    assert np.allclose(pq_sq_rq(np.array([[0.75, 0.1], [0, 0.8]])), [0.775, 0.775, 1]), (
        "The two shoes of the text."
    )
    pq, sq, rq = pq_sq_rq(np.array([[0.9, 0, 0], [0, 0.2, 0]]))
    assert np.allclose([pq, sq, rq], [0.36, 0.9, 0.4]), "One pair, one too many, two missed."
    assert np.isclose(pq, sq * rq), "PQ is the product of the two."

# %% [markdown] tags=["exercise"]
# ### Exercise 3: the class is known
#
# `a` are the scores of pixels, `(..., classes)`, class 0 the background, and `label` is the class of the object. Write the probability that a pixel belongs to the object, if it can only belong to the object or to the background: from the softmax of *all* classes.


# %% tags=["exercise"]
def if_known(a, label):
    # BEGIN SOLUTION
    p = np.exp(a) / np.exp(a).sum(axis=-1, keepdims=True)
    return p[..., label] / (p[..., label] + p[..., 0])
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("3"):
    assert np.isclose(if_known(np.array([1, 3, 3.2]), 1), 0.881, atol=1e-3), (
        "The pixel of the text."
    )
    assert np.isclose(if_known(np.array([1, 3, 9.0]), 1), 0.881, atol=1e-3), (
        "The rival no longer matters."
    )
    map_of_scores = np.random.default_rng(0).normal(size=(5, 4, 6))
    wanted = 1 / (1 + np.exp(map_of_scores[..., 0] - map_of_scores[..., 2]))
    assert np.allclose(if_known(map_of_scores, 2), wanted), "It is a sigmoid of the difference."

# %% [markdown] tags=["exercise"]
# ### Exercise 4: one owner for each pixel
#
# `masks` are boolean, `(objects, height, width)`, and `scores` their scores. Return a map of whole numbers, `(height, width)`: 0 where there is no mask, else the place of the mask with the highest score there, counted from 1.


# %% tags=["exercise"]
def owners(masks, scores):
    # BEGIN SOLUTION
    numbers = np.zeros(masks.shape[1:], int)
    for place in np.argsort(scores):  # the surest comes last, and on top
        numbers[masks[place]] = place + 1
    return numbers
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("4"):
    bars = np.array([[[1, 1, 1, 0, 0]], [[0, 0, 1, 1, 0]]], bool)
    assert owners(bars, np.array([0.9, 0.6])).tolist() == [[1, 1, 1, 2, 0]], "The first is surer."
    assert owners(bars, np.array([0.6, 0.9])).tolist() == [[1, 1, 2, 2, 0]], "The second is surer."
    assert not owners(bars[:0], np.zeros(0)).any(), "Without masks all is 0."

# %% [markdown] tags=["exercise"]
# ### Exercise 5: which ones touch
#
# Write the function that counts, in a map of object numbers (0 is nothing) and the list of their classes (the class of object 1 comes first), the pairs of objects of one class that touch: some pixel of one lies beside, above or below a pixel of the other. These are the ones that a class map must merge.


# %% tags=["exercise"]
def touching_pairs(objects, classes):
    # BEGIN SOLUTION
    beside = np.stack([objects[:, :-1].ravel(), objects[:, 1:].ravel()])
    below = np.stack([objects[:-1].ravel(), objects[1:].ravel()])
    pairs = np.sort(np.concatenate([beside, below], axis=1), axis=0)
    pairs = {(int(a), int(b)) for a, b in pairs.T if 0 < a < b}
    return sum(classes[a - 1] == classes[b - 1] for a, b in pairs)
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("5"):
    small = np.array([[1, 1, 2, 0], [1, 3, 3, 0], [0, 0, 0, 4]])
    assert touching_pairs(small, [4, 4, 1, 2]) == 1, "Only 1 and 2 touch and are of one class."
    assert touching_pairs(small, [4, 4, 4, 4]) == 3, "All of one class: 1 and 2, 1 and 3, 2 and 3."
    assert touching_pairs(small, [1, 2, 3, 4]) == 0, "All of different classes."
    crossed = np.array([[1, 2], [2, 1]])
    assert touching_pairs(crossed, [3, 3]) == 1, "A pair is counted once, whoever comes first."
    assert touching_pairs(np.zeros((2, 2), int), []) == 0, "An empty map has no pairs."

# %% [markdown]
# ## Summary
#
# - Semantic segmentation gives a class, instance segmentation a class and an identity, panoptic segmentation both to every pixel, once.
# - Even a perfect class map merges about half of the garments that share a scene with one of their kind. No measure of classes shows it; panoptic quality does.
# - Spatial pyramid pooling keeps a region on several grids: coarse ones say what, fine ones where.
# - Fusing levels is one 1 x 1 convolution of the levels laid side by side.
# - A softmax lets classes compete for a pixel although the box has decided. Asked for the known class or background, it is a sigmoid of the difference: better, though still behind a network that was trained with sigmoids.
# - An ablation tells what a part is worth. A description without one, such as the article's, does not.
#
# So far we have taken pictures apart. The next chapter begins to make them: generative adversarial networks.
#
# **Further reading**
#
# - Kaiming He, Georgia Gkioxari, Piotr Dollár, Ross Girshick. Mask R-CNN. ICCV 2017, [arXiv 1703.06870](https://arxiv.org/abs/1703.06870).
# - Alexander Kirillov, Kaiming He, Ross Girshick, Carsten Rother, Piotr Dollár. Panoptic Segmentation. CVPR 2019, [arXiv 1801.00868](https://arxiv.org/abs/1801.00868).
# - Lorenzo Porzi, Samuel Rota Bulò, Aleksander Colovic, Peter Kontschieder. Seamless Scene Segmentation. CVPR 2019, [arXiv 1905.01220](https://arxiv.org/abs/1905.01220).
# - Shu Liu, Lu Qi, Haifang Qin, Jianping Shi, Jiaya Jia. Path Aggregation Network for Instance Segmentation. CVPR 2018, [arXiv 1803.01534](https://arxiv.org/abs/1803.01534).
# - Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun. Spatial Pyramid Pooling in Deep Convolutional Networks for Visual Recognition. ECCV 2014, [arXiv 1406.4729](https://arxiv.org/abs/1406.4729).
# - Ross Girshick. Fast R-CNN. ICCV 2015, [arXiv 1504.08083](https://arxiv.org/abs/1504.08083).
#
# **How to cite** this chapter: *The Pixelwise authors, Pixelwise: image segmentation and generation, from the mathematics to running code, chapter "Instance SegNet", 2026.* The file `CITATION.cff` has the entry for the book.
