# %% [markdown]
# # Mask R-CNN
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/04_mask_rcnn.ipynb)
#
# The networks of the last two chapters say which pixels are shoe. They cannot say how many shoes there are. Mask R-CNN (He, Gkioxari, Dollár and Girshick 2017) finds the objects themselves: for each one a box, a class, a score and a mask of its own. It works in stages, and each stage gives something that can be drawn. This chapter stops after every one of them, on one picture, and then puts them together again.
#
# **After this chapter you can**
#
# - follow a picture through anchors, proposals, RoIAlign, classes and masks, and say what each stage is for;
# - work box encoding, non-maximum suppression, RoIAlign and average precision by hand;
# - train a Mask R-CNN on a laptop and read its five losses;
# - recognise six classic mistakes by the number they cost;
# - load torchvision's COCO weights, or train on your own annotations.
#
# **You need** the chapters *The mathematics of pixels* (IoU, cross-entropy) and *Fully convolutional networks*.
#
# **Time and memory:** 199<!-- result chapters 04_mask_rcnn.quick.seconds --> seconds and 1752<!-- result chapters 04_mask_rcnn.quick.peak_memory_mib --> MiB on two cores without a GPU, training included. On a GPU the notebook takes the *full* budget, the whole recipe of 6,000 steps.

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
from pixelwise.metrics.detection import DetectionAP
from pixelwise.models.mask_rcnn import small_mask_rcnn
from pixelwise.nn import boxes as box_ops
from pixelwise.nn.anchors import pyramid_anchors
from pixelwise.nn.detection_losses import of_class, sigmoid_mask_loss
from pixelwise.nn.detection_targets import BOX_WEIGHTS, anchor_targets, sampled
from pixelwise.nn.masks import paste
from pixelwise.nn.nms import nms
from pixelwise.nn.optimizers import TwoRateAdamW
from pixelwise.nn.roi_align import roi_align, roi_levels
from pixelwise.nn.roi_pool import crop_and_resize, roi_max_pool

CHAPTER, SIZE = "04_mask_rcnn", 128
CLASSES = wardrobe.CLASSES
rng = np.random.default_rng(0)


def as_numpy(values):
    """An array of the backend, or a dict of them, as NumPy."""
    if isinstance(values, dict):
        return {name: as_numpy(value) for name, value in values.items()}
    return ops.convert_to_numpy(values)


# %% [markdown]
# ## The answer first
#
# Four scenes that no network has seen in training. Second row: what the Mask R-CNN recorded with this book finds, each object in the colour of its class with a white rim of its own. Third row: the truth.

# %%
recorded = pw.weights.checkpoint(small_mask_rcnn(len(CLASSES)), "mask_rcnn_wardrobe")
test = pw.data.load(
    "wardrobe",
    "test",
    size=SIZE,
    batch_size=8,
    targets="instances",
    num_batches=pw.budget.get(CHAPTER, "test_batches"),
)
images, truth = test.evaluation_batch(0)
found = recorded.detect(images)
sure = np.where(found["scores"] > 0.5, found["classes"], 0)  # class 0 is not drawn


def drawn(masks, classes):
    return [plot.overlay_instances(*three) for three in zip(images[:4], masks, classes)]


rows = [
    ("picture", images[:4]),
    ("network", drawn(found["masks"], sure)),
    ("truth", drawn(truth["masks"], truth["classes"])),
]
plot.legend(plot.grid(rows, scale=1.25), CLASSES)
plt.show()

# %% [markdown]
# Could we not take a class map, as the networks of the last chapters make it, and call every connected region an object? We try it where that method is at its best, on the *true* class maps.

# %%
right = garments = 0
for index in range(test.num_batches):
    _, labels = test.evaluation_batch(index)
    for masks, classes in zip(labels["masks"], labels["classes"]):
        for label in np.unique(classes[classes > 0]):
            these = masks[classes == label]
            regions, count = ndimage.label(these.any(axis=0))
            regions = [regions == number for number in range(1, count + 1)]
            right += sum(any(np.array_equal(r, mask) for r in regions) for mask in these)
            garments += len(these)
print(f"{right} of {garments} garments are one connected region of their class, and all of it")

# %% [markdown]
# The others are lost before any network has made a mistake: two shoes that touch become one region, and trousers that lie under a bag become two. Instance segmentation asks for a class *and* an identity.
#
# ## The plan
#
# First a cheap look everywhere, then a careful look at a few places:
#
# | stage | what it answers | here, for 128 x 128 pixels |
# |---|---|---|
# | backbone and pyramid | what is where, coarse and fine? | maps P2 (32 x 32 cells) to P6 (2 x 2), 64 channels each |
# | region proposal network (RPN) | for each of many fixed boxes, the *anchors*: is it an object, and how should it move? | 1,008 anchors |
# | non-maximum suppression (NMS) | which of many similar boxes stays? | at most 100 *proposals* |
# | RoIAlign | what are the features inside a region of interest (RoI), whatever its size? | 7 x 7, and 14 x 14 for the masks |
# | box head | which class is it, and what is a better box? | 5 classes and background |
# | mask head | which part of the box is the object? | 28 x 28, one mask for each class |
# | paste | which pixels of the picture? | 128 x 128 |
#
# The pyramid is the *feature pyramid network* (Lin et al. 2017). What FCN does with scores it does with features: the coarse map is enlarged and added to the finer one, level by level, so that a small shoe is read from a map that knows as much as that of a large dress (`lib/pixelwise/nn/fpn.py`). We let the recorded network compute the pyramid and the RPN's answers, and keep them. From now on there is one picture.

# %%
place = int(np.argmax((truth["classes"] > 0).sum(axis=1)))  # the scene with the most garments
picture, here = images[place], truth["classes"][place] > 0  # class 0 is padding
boxes, classes = truth["boxes"][place][here], truth["classes"][place][here]
outputs = recorded(picture[None])
for name, level in outputs["levels"].items():
    cells = level.shape[1]
    print(f"{name}: {cells:2d} x {cells:2d} cells of {SIZE // cells} pixels")

# %% [markdown]
# ## Anchors
#
# A convolution gives the same number of answers in each cell. Objects come in any number and size. Anchors reconcile the two: around every cell lie a few boxes of fixed size and shape, and the network answers for each of them. Ours have one size a level, 32, 64 and 96 pixels on P3, P4 and P5, and three shapes: twice as wide as high, square, and twice as high as wide. That makes $3\cdot(16^2+8^2+4^2)=1008$ boxes.
#
# Which of them should say "object"? An anchor is **positive** if its IoU with an object is at least 0.7, or if no other anchor overlaps this object more, so that every object has at least one. It is **negative** if its IoU with every object is below 0.3. What lies between is neither, and is left out (`lib/pixelwise/nn/anchors.py` and `detection_targets.py`).

# %%
anchors = np.concatenate(recorded.anchors(outputs["levels"], SIZE, SIZE))
assert len(anchors) == 3 * (16**2 + 8**2 + 4**2) == 1008

overlap = as_numpy(box_ops.iou(boxes, anchors))  # (objects, anchors)
best = overlap.max(axis=0)
labels = np.where(best >= 0.7, 1, np.where(best < 0.3, 0, -1))
labels[(overlap == overlap.max(axis=1, keepdims=True)).any(axis=0)] = 1
targets = as_numpy(anchor_targets(anchors, boxes[None], np.ones((1, len(boxes)), bool))[0])
assert np.array_equal(labels, targets[0])
for label, name in ((1, "positive"), (0, "negative"), (-1, "neither")):
    print(f"{name}: {(labels == label).sum()} anchors")

# %% [markdown]
# A handful against hundreds: a loss over all of them would teach the network to say no. So each step draws a *sample* of 64 anchors a picture, at most half of them positive, and fills up with negatives.

# %%
sample = as_numpy(sampled(labels[None], rng.uniform(size=(1, 1008)), 64, 0.5))[0]
assert sample.sum() == 64
grids = [anchors[:768], anchors[768:960], anchors[960:]]  # P3, P4, P5
figure = plot.grid([("", [picture] * 3), ("", [picture] * 3)], scale=1.85)
for axis, level, cell in zip(figure.axes, grids, (136, 27, 5)):
    x, y = as_numpy(box_ops.to_centre(level))[::3, :2].T - 0.5
    axis.plot(x, y, ".", color="white", ms=3)
    plot.draw_boxes(axis, level[3 * cell : 3 * cell + 3], colour=plot.YELLOW)
truth_axis, positive_axis, sample_axis = figure.axes[3:]
plot.draw_boxes(truth_axis, boxes, classes, labels=[CLASSES[c] for c in classes])
plot.draw_boxes(positive_axis, anchors[labels == 1], classes[overlap[:, labels == 1].argmax(0)])
plot.draw_boxes(sample_axis, anchors[sample & (labels == 0)], colour="white", width=0.5)
taken = sample & (labels == 1)
plot.draw_boxes(sample_axis, anchors[taken], classes[overlap[:, taken].argmax(0)])
titles = ["P3: 16 x 16 cells", "P4: 8 x 8 cells", "P5: 4 x 4 cells"]
titles += ["truth", "positive anchors", "a sample of 64"]
for axis, title in zip(figure.axes, titles):
    axis.set_title(title, fontsize=10)
    axis.set(xlim=(-40, 150), ylim=(150, -40))
plt.show()

# %% [markdown]
# Top: where the anchors of each level are centred, and the three of one cell. (They are centred on the upper left *corner* of their cells, a habit of the first implementations which torchvision's weights expect.) Bottom: what is to be found, the anchors that stand for it, and what one training step looks at.
#
# ## Moving a box
#
# The best anchor is still a bad box. So the network also answers *how to move it*, in four numbers that do not depend on the picture's size. With centre $(x, y)$, width $w$ and height $h$ of the object, and $x', y', w', h'$ of the anchor:
#
# $$d_x=\frac{x-x'}{w'},\quad d_y=\frac{y-y'}{h'},\quad d_w=\log\frac{w}{w'},\quad d_h=\log\frac{h}{h'}$$
#
# By hand: an anchor of 40 x 40 pixels centred at $(40, 50)$, an object of 40 x 60 centred at $(50, 60)$. It has to move by $10/40=0.25$ widths to the right and $10/40=0.25$ heights down, keeps its width ($\log 1=0$), and becomes $60/40$ times as high: $\log 1.5=0.405$.

# %%
anchor = np.array([20.0, 30, 60, 70])  # (x1, y1, x2, y2): the two corners
thing = np.array([30.0, 30, 70, 90])
by_hand = [10 / 40, 10 / 40, np.log(40 / 40), np.log(60 / 40)]

first, last = anchor[:2], anchor[2:]
shift = (thing[:2] + thing[2:] - first - last) / 2 / (last - first)
growth = np.log((thing[2:] - thing[:2]) / (last - first))
encoded = as_numpy(box_ops.encode(thing, anchor))
assert np.allclose(by_hand, [*shift, *growth]) and np.allclose(by_hand, encoded)
assert np.allclose(as_numpy(box_ops.decode(encoded, anchor)), thing)  # and back
print("dx, dy, dw, dh:", np.round(encoded, 3))

# %% [markdown]
# The logarithm makes "twice as wide" and "half as wide" equally far from 0, and no answer of the network can make a side negative.
#
# ## Which of many similar boxes
#
# Neighbouring anchors see the same shirt and move to nearly the same place. *Non-maximum suppression* keeps the box with the best score and drops all that overlap it too much, then the best of those that are left, and so on. Four boxes, and a threshold of 0.5 on the IoU:
#
# | box, score | corners | IoU with A | with B | |
# |---|---|---|---|---|
# | A, 0.9 | (10, 10, 50, 50) | | | stays |
# | B, 0.8 | (14, 10, 54, 50) | $1440/1760=0.82$ | | A drops it |
# | C, 0.7 | (24, 10, 64, 50) | $1040/2160=0.48$ | $1200/2000=0.60$ | stays |
# | D, 0.6 | (60, 60, 90, 90) | 0 | 0 | stays |
#
# C overlaps B too much, but B is gone when its turn comes. The order matters.

# %%
four = np.array([[10.0, 10, 50, 50], [14, 10, 54, 50], [24, 10, 64, 50], [60, 60, 90, 90]])
scores = np.array([0.9, 0.8, 0.7, 0.6])
table = as_numpy(box_ops.iou(four, four))
assert np.allclose(table[0, 1:], [1440 / 1760, 1040 / 2160, 0]) and np.isclose(table[1, 2], 0.6)

kept, left = [], list(np.argsort(-scores))
while left:
    best = left.pop(0)
    kept.append(int(best))
    left = [other for other in left if table[best, other] <= 0.5]
indices, valid = map(as_numpy, nms(four, scores, threshold=0.5, limit=4))
assert kept == [0, 2, 3] == list(indices[valid])

figure, axis = plt.subplots(figsize=(3, 2.6), layout="constrained")
plot.draw_boxes(axis, four[kept], colour=plot.BLUE)
plot.draw_boxes(axis, four[1:2], colour=plot.RED, style="--")
for x, y, name in ((11, 18, "A"), (55, 18, "C"), (62, 68, "D"), (16, 58, "B is dropped")):
    axis.text(x, y, name, color=plot.RED if "B" in name else plot.BLUE)
axis.set(xlim=(0, 100), ylim=(100, 0), xlabel="x (pixels)", ylabel="y (pixels)", aspect="equal")
plt.show()

# %% [markdown]
# A loop over boxes is slow on a GPU. `lib/pixelwise/nn/nms.py` asks all boxes at once whether a better box that stays overlaps them, and repeats the question until no answer changes. It ends with the same boxes, after a few rounds.
#
# ## Proposals
#
# Anchors, moves and NMS make the first stage. On each level the anchors with the best scores are moved as the network says, cut off at the picture's border, and thinned by NMS with a generous threshold of 0.7; the best 100 of all levels are the proposals. There are no classes yet, only "something" (`lib/pixelwise/nn/proposals.py`).

# %%
start, moved, scores, stays = [], [], [], []  # of each level
for logits, moves, level in zip(outputs["objectness"], outputs["deltas"], grids):
    logits, moves = as_numpy(logits)[0], as_numpy(moves)[0]
    best = np.argsort(-logits)[:200]
    boxes_now = as_numpy(box_ops.clip(box_ops.decode(moves[best], level[best]), SIZE, SIZE))
    kept, valid = map(as_numpy, nms(boxes_now, logits[best], 0.7, 100))
    stays.append(np.isin(np.arange(len(best)), kept[valid]))
    start.append(level[best]), moved.append(boxes_now), scores.append(logits[best])
start, moved, scores, stays = map(np.concatenate, (start, moved, scores, stays))
order = np.flatnonzero(stays)[np.argsort(-scores[stays])][:100]

proposals, objectness = recorded.propose(outputs, SIZE, SIZE)
assert np.allclose(as_numpy(objectness)[0, : len(order)], scores[order], atol=1e-4)
assert np.allclose(as_numpy(proposals)[0, : len(order)], moved[order], atol=1e-2)
print(f"{len(scores)} moved anchors, {stays.sum()} after NMS, {len(order)} proposals")


# %%
def draw_move(axis, start, end, colour=plot.YELLOW):
    """Draws a box, where it came from (dotted), and how two of its corners moved."""
    plot.draw_boxes(axis, [start], colour="white", style=":", width=1)
    plot.draw_boxes(axis, [end], colour=colour)
    for corner in ([0, 1], [2, 3]):
        way = {"arrowstyle": "->", "color": "white"}
        axis.annotate("", end[corner] - 0.5, start[corner] - 0.5, arrowprops=way)


probability = 1 / (1 + np.exp(-scores))
likely = probability > 0.5
shown = (as_numpy(box_ops.iou(boxes, moved)) * stays).argmax(axis=1)  # the best of each object
titles = ["anchors, moved", f"{likely.sum()} before NMS", f"{(likely & stays).sum()} after NMS"]
figure = plot.grid([("", [picture] * 3)], titles, scale=2.1)
for k in shown:
    draw_move(figure.axes[0], start[k], moved[k])
plot.draw_boxes(figure.axes[1], moved[likely], colour=plot.YELLOW, width=0.5)
plot.draw_boxes(figure.axes[2], moved[likely & stays], colour=plot.YELLOW, width=0.5)
texts = [f"{probability[k]:.2f}" for k in shown]
plot.draw_boxes(figure.axes[2], moved[shown], colour="white", labels=texts)
plt.show()

# %% [markdown]
# Left: the best proposal of each object, and the anchor that it was (dotted). Middle and right: all with a probability above 0.5. White: the best of each object again, with its probability; what is low here is likely to be missed in the end.
#
# ## RoIAlign
#
# A proposal has any size; a dense layer wants inputs of one size. So a small grid of *bins* is laid over the proposal, and the feature map is read in each. But a bin's place lies between the cells. RoIAlign reads there *bilinearly*: the four cells around contribute, the nearer the more. With $f_{ij}$ the value of the cell in row $i$ and column $j$:
#
# $$f(y,x)=\sum_{i,j} \max(0,\,1-|y-i|)\,\max(0,\,1-|x-j|)\;f_{ij}$$
#
# In each bin it reads at 2 x 2 points and takes the mean. By hand, on a map of 4 x 4 cells with the values 0 to 15, for a box from $(x, y)=(0.6, 0.8)$ to $(3.0, 2.4)$, in cells, and 2 x 2 bins: a bin is 1.2 wide and 0.8 high. The first is read at the columns $0.6+0.3$ and $0.6+0.9$ and at the rows $0.8+0.2$ and $0.8+0.6$. At row 1.0 and column 0.9 we are between the cells 4 and 5: $0.1\cdot4+0.9\cdot5=4.9$. The other points give 5.5, 6.5 and 7.1; the mean is 6.0.

# %%
f = np.arange(16.0).reshape(4, 4)


def read(y, x):
    """The value of the map at any place."""
    i, j = np.indices(f.shape)
    return np.sum(np.maximum(0, 1 - abs(y - i)) * np.maximum(0, 1 - abs(x - j)) * f)


x = 0.6 + 0.3 + 0.6 * np.arange(4)  # two points in each of two bins
y = 0.8 + 0.2 + 0.4 * np.arange(4)
points = np.array([[read(row, column) for column in x] for row in y])
assert np.allclose(points[:2, :2], [[4.9, 5.5], [6.5, 7.1]])
by_hand = points.reshape(2, 2, 2, 2).mean(axis=(1, 3))  # (bin, point, bin, point)
assert np.isclose(by_hand[0, 0], 6.0)

region = np.array([[[0.6, 0.8, 3.0, 2.4]]], "float32")  # (batch, regions, 4)
feature_map = f[None, :, :, None].astype("float32")
aligned = as_numpy(roi_align([feature_map], [1], region, 2))[0, 0, :, :, 0]
assert np.allclose(by_hand, aligned, atol=1e-5)
print(np.round(aligned, 3))

# %% [markdown]
# Before it there was *RoI pooling* (Girshick 2015): round the box to whole cells, round its bins to whole cells too, and take the largest cell of each. It is blind to anything smaller than a cell, which at stride 16 is 16 pixels. Slide the box from left to right, a tenth of a cell at a time, and watch the first bin:

# %%
figure, axes = plt.subplots(1, 3, figsize=(9.5, 3), layout="constrained")
for axis in axes[:2]:
    axis.imshow(f, cmap="gray", vmin=-8, vmax=20)
    for (i, j), value in np.ndenumerate(f):
        axis.text(j - 0.4, i - 0.4, f"{value:.0f}", fontsize=7, va="top")
    axis.set(xlabel="column (cells)", ylabel="row (cells)")
plot.draw_boxes(axes[0], region[0] + 0.5, colour=plot.ORANGE, width=2)  # 0 is a cell's middle
axes[0].plot([1.8, 1.8], [0.8, 2.4], [0.6, 3.0], [1.6, 1.6], color=plot.ORANGE, lw=1)
axes[0].plot(*np.meshgrid(x, y), "o", color=plot.ORANGE, ms=4)
axes[0].set_title("RoIAlign: the mean of four points", fontsize=10)
plot.draw_boxes(axes[1], [[1, 1, 4, 3]], colour=plot.SKY, width=2)
axes[1].plot([2, 3, 2, 3], [1, 1, 2, 2], "s", mfc="none", mec=plot.SKY, ms=18)
axes[1].set_title("RoI pooling: the largest cell", fontsize=10)

moved_by = np.arange(-0.6, 1.01, 0.1, dtype="float32")
slid = region + moved_by[:, None] * np.float32([1, 0, 1, 0])  # (1, 17, 4)
smooth = as_numpy(roi_align([feature_map], [1], slid, 2))[0, :, 0, 0, 0]
jumps = as_numpy(roi_max_pool([feature_map], [1], slid, 2))[0, :, 0, 0, 0]
axes[2].plot(moved_by, smooth, "o-", color=plot.ORANGE, label="RoIAlign", ms=4)
axes[2].plot(moved_by, jumps, "s", color=plot.BLUE, label="RoI pooling", ms=4)
axes[2].set(xlabel="box moved to the right by (cells)", ylabel="value of the first bin")
axes[2].legend(frameon=False)
plt.show()

# %% [markdown]
# RoIAlign follows the box; RoI pooling stands still and then jumps. What that costs is measured under *Break it on purpose*; both are in `lib/pixelwise/nn/`, `roi_align.py` and `roi_pool.py`. (Here the value of cell 1 stands at the position 1.0, its corner, as torchvision's weights expect; with `aligned=True` it stands at 1.5, its middle.)
#
# One choice is left: which map of the pyramid to read. A box twice as large is read one level up, where cells are twice as large, so that it covers as many (Lin et al. 2017, equation 1). For our small pictures, a box of 160 x 160 pixels belongs to P4:
#
# $$k=\Big\lfloor 4+\log_2\frac{\sqrt{wh}}{160}\Big\rfloor,\quad\text{at least 2, at most 4}$$

# %%
sides = np.float32([20, 30, 40, 60, 80, 120, 160])
squares = np.stack([0 * sides, 0 * sides, sides, sides], axis=-1)
by_hand = np.clip(np.floor(4 + np.log2(sides / 160)), 2, 4)
assert np.array_equal(by_hand, as_numpy(roi_levels(squares, 2, 4, canonical_size=160)))
print({f"{side:.0f} pixels": f"P{level:.0f}" for side, level in zip(sides, by_hand)})

# %% [markdown]
# ## Two heads
#
# What RoIAlign reads goes to two small networks, side by side. The *box head* flattens 7 x 7 cells and has two dense layers; out come the scores of all classes, the background included, and four numbers *for each class*, which move the box once more. The *mask head* does not flatten, because a mask has to know where things are: 14 x 14 cells, some 3 x 3 convolutions, a transposed convolution to 28 x 28, and a 1 x 1 convolution with one channel for each class.


# %% tags=["shared"]
def make_heads(channels=64, width=256, classes=6, convolutions=2):
    """The box head and the mask head of a small Mask R-CNN."""
    small = keras.Input((7, 7, channels))
    x = layers.Flatten()(layers.Permute((3, 1, 2))(small))  # channels first, as PyTorch flattens
    for _ in range(2):
        x = layers.Dense(width, "relu")(x)
    box_head = keras.Model(small, [layers.Dense(classes)(x), layers.Dense(4 * classes)(x)])

    x = large = keras.Input((14, 14, channels))
    for _ in range(convolutions):
        x = layers.Conv2D(channels, 3, padding="same", activation="relu")(x)
    x = layers.Conv2DTranspose(channels, 2, 2, activation="relu")(x)
    return box_head, keras.Model(large, layers.Conv2D(classes, 1)(x))


# %%
box_head, mask_head = make_heads()
box_head.set_weights(recorded.box_head.get_weights())  # the recorded weights into ours
mask_head.set_weights(recorded.mask_head.get_weights())

regions = as_numpy(proposals)[:, : len(order)]
logits, moves = map(as_numpy, box_head(recorded.pool(outputs["levels"], regions, 7)[0]))
their_logits, _ = recorded.classify(outputs["levels"], regions)
assert np.allclose(logits, as_numpy(their_logits)[0], atol=1e-3)
probability = as_numpy(ops.softmax(logits))  # (proposals, 6)
better = box_ops.decode(moves.reshape(-1, 6, 4), regions[0, :, None], BOX_WEIGHTS)
better = as_numpy(box_ops.clip(better, SIZE, SIZE))  # (proposals, 6, 4): a box for each class
for name, head in (("box head", box_head), ("mask head", mask_head)):
    print(f"{name}: {head.count_params():,} weights, the library's logits")

# %% [markdown]
# `BOX_WEIGHTS`, $(10, 10, 5, 5)$, is a change of units: at this stage boxes move little, and multiplied by these the four numbers are about as large as 1, which suits the loss.
#
# Each pair of proposal and class is now a candidate with a score. Those above 0.05 go through NMS once more, class by class, for a shirt must not drop the bag that lies on it. The mask head is asked last, inside the boxes that are left, and of its six channels we read that of the box's class. All together that is `recorded.detect`, and the numbers must be those of the first figure.

# %%
rows, things = np.nonzero(probability[:, 1:] > 0.05)
things = things + 1
candidates, sureness = better[rows, things], probability[rows, things]
kept, valid = map(as_numpy, nms(candidates, sureness, 0.5, 20, groups=things))
kept = kept[valid]
final, named = candidates[kept], things[kept]

inside = recorded.pool(outputs["levels"], final[None], 14)[0]
masks = as_numpy(ops.sigmoid(mask_head(inside)))[np.arange(len(kept)), :, :, named]
pasted = paste(masks, final, SIZE, SIZE)

theirs = {name: value[place][: len(kept)] for name, value in found.items()}
assert np.array_equal(named, theirs["classes"])
assert np.allclose(sureness[kept], theirs["scores"], atol=1e-3)
assert np.allclose(final, theirs["boxes"], atol=0.1)
assert np.mean(pasted == theirs["masks"]) > 0.999
print(f"{len(rows)} candidates, {len(kept)} detections, as recorded.detect has them")

# %%
likely = (sureness[kept] > 0.5).sum()
picks = np.unique([0, max(likely - 2, 0), max(likely - 1, 0)])  # the surest and two less sure
figure, axes = plt.subplots(len(picks), 4, figsize=(6.8, 1.45 * len(picks)), layout="constrained")
for line, k in zip(np.atleast_2d(axes), picks):
    line[0].imshow(picture)
    draw_move(line[0], regions[0, rows[kept[k]]], final[k], plot.class_colour(named[k]))
    shares = probability[rows[kept[k]]]
    line[1].barh(CLASSES, shares, color=[plot.class_colour(c) for c in range(6)])
    line[1].set(xlim=(0, 1), xticks=(0, 0.5, 1))
    line[1].tick_params(labelsize=7)
    line[2].imshow(masks[k], cmap="gray", vmin=0, vmax=1)
    line[3].imshow(plot.overlay_instances(picture, pasted[k : k + 1], named[k : k + 1]))
    for axis in line[[0, 2, 3]]:
        axis.set_axis_off()
titles = ["proposal, moved", "probability of the classes", "mask, 28 x 28", "pasted"]
for axis, title in zip(np.atleast_2d(axes)[0], titles):
    axis.set_title(title, fontsize=9)
plt.show()

# %% [markdown]
# Left: the proposal (dotted) and the box that the head made of it. Then the probabilities of all classes, the mask of the winning one, and its pixels, where the mask is at least 0.5.
#
# ## Five losses
#
# Each answer has its own loss, and the network learns from their sum:
#
# | loss | compares | for |
# |---|---|---|
# | `objectness` | object or not: cross-entropy | the sampled anchors |
# | `anchor_boxes` | four numbers: smooth L1 | the positive ones of them |
# | `classes` | which class: cross-entropy | 32 sampled proposals a picture |
# | `boxes` | four numbers of the true class: smooth L1 | the positive ones of them |
# | `masks` | pixels of the true class's mask: cross-entropy | the positive ones of them |
#
# A proposal is positive if its IoU with an object is at least 0.5. *Smooth L1* of an error $e$ is $\tfrac92e^2$ as long as $|e|<\tfrac19$ and $|e|-\tfrac1{18}$ beyond: a parabola that goes over into a straight line, so that one hopeless box does not outweigh all others.
#
# The mask loss is the idea of the paper. Each pixel of the *true class's* mask is asked yes or no, by a sigmoid $\sigma(a)=1/(1+e^{-a})$. The masks of the other classes are not asked at all. Take two pixels, of which the object covers the first; for the true class the network says $a=2$ and $a=-1$:
#
# $$-\tfrac12\big(\log\sigma(2)+\log(1-\sigma(-1))\big)=\tfrac12(0.127+0.313)=0.220$$
#
# It is that whatever the other classes say. With a softmax over the classes it would depend on them. But *which class* is the box head's question; here all that is asked is *which pixels*.

# %%
logits = np.zeros((1, 1, 1, 2, 6), "float32")  # (batch, regions, height, width, classes)
logits[0, 0, 0, :, 4] = 2, -1  # class 4, a shoe
covered = np.float32([[[[1, 0]]]])
by_hand = (np.log1p(np.exp(-2)) + np.log1p(np.exp(-1))) / 2
for others in (0, 5):
    logits[..., [0, 1, 2, 3, 5]] = others
    ours = as_numpy(sigmoid_mask_loss(logits, covered, np.array([[4]]), np.array([[True]])))
    share = as_numpy(ops.softmax(logits))[0, 0, 0, :, 4]
    softmax = -(np.log(share[0]) + np.log(1 - share[1])) / 2
    assert np.isclose(ours, by_hand)
    print(f"other classes at {others}: sigmoid {ours:.3f}, softmax {softmax:.3f}")

# %% [markdown]
# ## Training
#
# The whole network is a `keras.Model` whose `compute_loss` adds up the five, so it trains by plain `compile` and `fit` on any backend (`lib/pixelwise/models/mask_rcnn.py`). The backbone starts from ImageNet and gets a fifth of the learning rate, as in the last chapter. The pyramid has *group normalisation* (Wu and He 2018), which takes its statistics from one picture and a few channels: batches of a detector are too small for those of the batch. What the pretrained backbone is worth is on record: on all test scenes, 250 steps from it reach a mask AP of 0.393<!-- result mask_short test.mask_ap.mean -->, and 250 steps from random weights 0.026<!-- result mask_short_scratch test.mask_ap.mean --> (one run each).

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
live = small_mask_rcnn(len(CLASSES))
warm_up = steps // 10
rate = keras.optimizers.schedules.CosineDecay(
    0.0, steps - warm_up, warmup_target=2e-3, warmup_steps=warm_up
)
live.compile(TwoRateAdamW(slow="features-", factor=0.2, learning_rate=rate, weight_decay=1e-4))
history = pw.training.fit(live, train, steps, ema=0.99)

# %%
figure, axis = plt.subplots(figsize=(7, 3.2), layout="constrained")
window = max(1, steps // 12)
colours = (plot.BLUE, plot.SKY, plot.RED, plot.ORANGE, plot.GREEN)
for (name, values), colour in zip(sorted(history.parts.items()), colours):
    mean = np.convolve(values, np.ones(window) / window, mode="valid")
    axis.plot(np.arange(window, steps + 1), mean, color=colour, label=name)
axis.set(xlabel="step", ylabel=f"loss, mean of {window} steps", yscale="log")
axis.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
axis.spines[["top", "right"]].set_visible(False)
plt.show()

# %% [markdown]
# Four fall, and `boxes` may *rise* at first, which is no fault: only positive proposals count in it, and until the RPN has learned to propose there are few. A loss whose sample changes with the training cannot be compared from step to step. What counts is measured on the answers.
#
# ## Average precision, by hand
#
# A detector gives boxes with scores. How many are right depends on how many we look at. *Average precision* (AP) looks at all numbers at once. Take four objects, and five detections by falling score; one is a hit if its IoU with an object that no better one took is at least 0.5:
#
# | detection | 0.9 | 0.8 | 0.7 | 0.6 | 0.5 |
# |---|---|---|---|---|---|
# | hit | yes | no | yes | no | yes |
# | recall so far | 1/4 | 1/4 | 2/4 | 2/4 | 3/4 |
# | precision so far | 1/1 | 1/2 | 2/3 | 2/4 | 3/5 |
# | best precision from here on | 1 | 2/3 | 2/3 | 3/5 | 3/5 |
#
# *Recall* is the share of objects found, *precision* the share of detections that are right. COCO reads the last row at the recalls 0, 0.01, ..., 1: at the first 26 of them it is 1, at the next 25 it is $2/3$, at 25 more $3/5$, and beyond $3/4$, which is never reached, 0.
#
# $$\text{AP}=\frac{26\cdot1+25\cdot\frac23+25\cdot\frac35+25\cdot0}{101}=0.571$$

# %%
by_hand = (26 * 1 + 25 * 2 / 3 + 25 * 3 / 5) / 101

corner = np.array([[0, 0], [40, 0], [0, 40], [40, 40], [80, 80]])
squares = np.concatenate([corner, corner + 20], axis=1).astype("float32")
hits = [0, 4, 1, 4, 2]  # which square each detection lies on; the fifth is no object
four_objects = {"boxes": squares[None, :4], "classes": np.ones((1, 4), int)}
five_boxes = {
    "boxes": squares[None, hits],
    "classes": np.ones((1, 5), int),
    "scores": np.array([[0.9, 0.8, 0.7, 0.6, 0.5]]),
}
score = DetectionAP(CLASSES, masks=False)
score.update(four_objects, five_boxes)
assert np.isclose(score.result()["box_ap50"], by_hand)
curve = score.curves("box")

figure, axis = plt.subplots(figsize=(4.6, 2.8), layout="constrained")
axis.fill_between(curve["recall"], curve["precision"][0], step="mid", color=plot.SKY, alpha=0.4)
axis.plot([0.25, 0.25, 0.5, 0.5, 0.75], [1, 1 / 2, 2 / 3, 2 / 4, 3 / 5], "o-", color=plot.BLUE)
for x, y, text in zip([0.25, 0.25, 0.5, 0.5, 0.75], [1, 1 / 2, 2 / 3, 2 / 4, 3 / 5], "98765"):
    below = -11 if text in "86" else 3
    axis.annotate(f"0.{text}", (x, y), (5, below), textcoords="offset points", fontsize=8)
axis.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.1))
axis.spines[["top", "right"]].set_visible(False)
plt.show()
print(f"AP {by_hand:.3f}: the blue area")

# %% [markdown]
# For masks it is the IoU of the masks. **AP50** is this number for hits with an IoU of 0.5 and more, mean over the classes; for AP75 it takes 0.75. **AP** alone is the mean over the IoUs 0.50, 0.55, ..., 0.95, and much stricter. The library leaves the counting to pycocotools, as papers do.
#
# ## How well does it find?


# %%
def detect_all(model, data):
    """The score of a model on a data set, and all batches with what it found in them."""
    score, batches = DetectionAP(CLASSES), []
    for index in range(data.num_batches):
        images, truth = data.evaluation_batch(index)
        found = model.detect(images)
        score.update(truth, found)
        batches.append((images, truth, found))
    return score, batches


SHOWN = ("mask_ap", "mask_ap50", "mask_ap75", "box_ap")
results = {"trained live": detect_all(live, test), "recorded": detect_all(recorded, test)}
for name, (score, _) in results.items():
    values = score.result()
    print(f"{name:12s}", ", ".join(f"{key} {values[key]:.3f}" for key in SHOWN))
print(f"on {values['pictures']} test scenes")
reached = results["trained live"][0].result()["mask_ap50"]
pw.budget.headline("04_mask_rcnn", reached, "mask AP50")

# %%
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for axis, (name, (score, _)) in zip(axes, results.items()):
    curve = score.curves("mask")
    for k, precision in enumerate(curve["precision"], start=1):
        label = f"{CLASSES[k]}, {np.mean(precision):.2f}"
        axis.plot(curve["recall"], precision, color=plot.class_colour(k), label=label)
    axis.set(title=name, xlabel="recall, mask IoU at least 0.5", ylim=(0, 1.05))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(title="AP50", frameon=False, loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
axes[0].set_ylabel("precision")
plt.show()

# %% [markdown]
# ## What the whole recipe reaches
#
# The left figure is what a laptop affords while you wait. The right one is the same network, trained for longer and with a higher learning rate: `pixelwise train mask_rcnn_wardrobe`, 6,000 steps of 8 scenes, made the checkpoint in 1867<!-- result mask_rcnn_wardrobe seconds --> seconds on two cores. On all 400 test scenes it reaches a mask AP of 0.633<!-- result mask_rcnn_wardrobe test.mask_ap -->, an AP50 of 0.897<!-- result mask_rcnn_wardrobe test.mask_ap50 --> and an AP75 of 0.738<!-- result mask_rcnn_wardrobe test.mask_ap75 -->, and a box AP of 0.706<!-- result mask_rcnn_wardrobe test.box_ap -->. A curve that stays high and then drops means: what is found is right, and the rest is not found at any score. The distance from AP50 to AP75 says that many masks are roughly and not exactly right; shoes, thin and small, have the lowest AP, 0.552<!-- result mask_rcnn_wardrobe test.mask_ap_per_class.3 -->.
#
# ## How it fails
#
# AP is one number for several kinds of mistake. Let us sort the objects, counting detections with a score above 0.5. Each object is **right** (a detection of its class has a mask IoU of at least 0.5), or has the **wrong class**, or is **merged** (one detection covers half of it and half of another), **split** (two or more detections lie on it and none fits), **missed** (no detection has an IoU of more than a tenth with it), or else **ragged**.


# %%
def mistake(k, shared, sizes, found_sizes, same):
    """What became of object k; `shared` are the pixels common to (objects, detections)."""
    iou = shared[k] / (sizes[k] + found_sizes - shared[k])
    if (iou[same[k]] >= 0.5).any():
        return "right"
    if (iou >= 0.5).any():
        return "wrong class"
    half = shared > 0.5 * sizes[:, None]
    if (half[k] & (half.sum(axis=0) > 1)).any():
        return "merged"
    if (shared[k] > 0.6 * found_sizes).sum() > 1:
        return "split"
    return "ragged" if (iou > 0.1).any() else "missed"


def sort_objects(batches):
    """Lists (kind, batch, picture, object) for every object."""
    for number, (_, truth, found) in enumerate(batches):
        for p in range(len(truth["classes"])):
            there = truth["classes"][p] > 0
            sure = found["scores"][p] > 0.5
            objects = truth["masks"][p][there].astype("float32")
            detections = found["masks"][p][sure].astype("float32")
            shared = np.einsum("ohw,dhw->od", objects, detections)  # pixels
            sizes = objects.sum((1, 2)), np.maximum(detections.sum((1, 2)), 1)
            same = truth["classes"][p][there][:, None] == found["classes"][p][sure]
            for k in range(len(objects)):
                yield mistake(k, shared, *sizes, same), number, p, k


KINDS = ("right", "wrong class", "merged", "split", "missed", "ragged")
sorted_objects = {name: list(sort_objects(batches)) for name, (_, batches) in results.items()}
for name, entries in sorted_objects.items():
    counts = [sum(kind == wanted for kind, *_ in entries) / len(entries) for wanted in KINDS]
    print(f"{name:12s}", ", ".join(f"{k} {share:.0%}" for k, share in zip(KINDS, counts)))

# %%
examples = {}  # kind -> the network, batch, picture and object of the first one
for name, entries in sorted_objects.items():
    for kind, *where in entries:
        examples.setdefault(kind, (name, *where))
examples = {kind: examples[kind] for kind in KINDS[1:] if kind in examples}

rows = [("truth", []), ("network", [])]
for name, number, p, _ in examples.values():
    images, truth, found = results[name][1][number]
    sure = np.where(found["scores"][p] > 0.5, found["classes"][p], 0)
    rows[0][1].append(plot.overlay_instances(images[p], truth["masks"][p], truth["classes"][p]))
    rows[1][1].append(plot.overlay_instances(images[p], found["masks"][p], sure))
titles = [f"{kind}\n{name}" for kind, (name, *_) in examples.items()]
figure = plot.grid(rows, titles, scale=1.25)
for column, (name, number, p, k) in enumerate(examples.values()):
    for axis in figure.axes[column :: len(examples)]:
        plot.draw_boxes(axis, results[name][1][number][1]["boxes"][p, k : k + 1], colour="white")
plot.legend(figure, CLASSES)
plt.show()

# %% [markdown]
# The white box marks the object in question; a kind that is missing did not occur on these scenes. Tops and dresses are taken for each other, as in the chapters before. *Merged* and *split* are new: these are mistakes about identity, and no class map can show them.
#
# ## torchvision's weights
#
# Is there a ready-made one to compare with? keras-cv has no Mask R-CNN, and KerasHub, which succeeds it, has declined to add one (keras-hub, issue 2449). torchvision has `maskrcnn_resnet50_fpn`, and `mask_rcnn(91)` of this book is that network tensor by tensor, on ResNet-50 with a pyramid of 256 channels, and gives its answers stage by stage (`tests/parity/`). Its weights have learned the 80 classes of COCO, with a box AP of 37.9 and a mask AP of 34.6 in percent on COCO's validation pictures, by torchvision's own figures. They are a download of 170 MB:
#
# ```python
# from pixelwise.models.zoo import COCO_CLASSES
#
# model = pw.models.load("maskrcnn_resnet50_fpn", weights="coco")  # checked by its hash, once
# found = pw.detection.detect(model, "photo.jpg")  # any size
# for box, label, score in zip(found["boxes"], found["classes"], found["scores"]):
#     print(f"{COCO_CLASSES[label]} {score:.2f} at {box.round()}")
# plt.imshow(plot.overlay_instances(plt.imread("photo.jpg"), found["masks"], found["classes"]))
# ```
#
# ## Your own pictures
#
# Most labelling tools export COCO's JSON: a list of pictures, a list of categories, and a list of annotations, each with the number of its picture and of its category, a box as (x, y, width, height) and a mask. Here we write such a file for a few scenes, as a tool would leave it.

# %%
import json
import tempfile

from PIL import Image
from pycocotools import mask as coco_mask

temporary = tempfile.TemporaryDirectory()
folder = Path(temporary.name)
source = pw.data.load("wardrobe", "train", size=160)
pictures, annotations = [], []
for number in range(1, 5):
    scene, file = source.scene(number), f"scene{number}.png"
    Image.fromarray(scene.image).save(folder / file)
    pictures.append({"id": number, "file_name": file, "height": 160, "width": 160})
    for k, label in enumerate(scene.classes, start=1):
        packed = coco_mask.encode(np.asfortranarray(scene.instances == k, dtype="uint8"))
        annotations.append(
            {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": int(label),
                "bbox": coco_mask.toBbox(packed).tolist(),
                "area": int(coco_mask.area(packed)),
                "iscrowd": 0,
                "segmentation": {**packed, "counts": packed["counts"].decode()},
            }
        )
categories = [{"id": k, "name": name} for k, name in enumerate(CLASSES) if k > 0]
content = {"images": pictures, "annotations": annotations, "categories": categories}
_ = (folder / "mine.json").write_text(json.dumps(content))

# %% [markdown]
# Loading takes one line. To see what the library says of a file that cannot be right, we then give one annotation the number of a picture that is not there.

# %%
where = {"root": folder, "annotations": "mine.json"}
mine = pw.data.load("coco", "train", size=SIZE, batch_size=4, **where)
images, targets = mine[0]
annotations[0]["image_id"] = 99
_ = (folder / "mine.json").write_text(json.dumps(content))
try:
    pw.data.load("coco", "train", **where)
except ValueError as error:
    print(str(error).replace(str(folder), "FOLDER"))
temporary.cleanup()

shown = zip(images, targets["masks"], targets["classes"])
rows = [("picture", images), ("objects", [plot.overlay_instances(*three) for three in shown])]
plot.legend(plot.grid(rows, scale=1.25), mine.classes)
plt.show()

# %% [markdown]
# The pictures come scaled, cropped and mirrored at random, the masks with them and the boxes from the masks. From here, training is the cell you know: `small_mask_rcnn(mine.num_classes)`, `compile`, `pw.training.fit`. `pw.data.load` reads LabelMe's files (`"labelme"`), COCO itself (`"coco"`) and the Penn-Fudan pedestrians (`"penn_fudan"`, 54 MB) in the same way, and `pixelwise.data.copy_paste` makes more pictures of few by pasting objects from one into another (Ghiasi et al. 2021).
#
# ## Break it on purpose
#
# Six mistakes. Most of them give no error message; only a number gives them away.
#
# **One, two and three: RoI pooling, `crop_and_resize`, and masks by a softmax.** The recorded network stays as it is. We only exchange how it reads regions: with their boxes rounded to whole cells first; by RoI pooling; and by TensorFlow's `crop_and_resize`, which is often taken for RoIAlign (it reads one point a bin, the outermost ones on the edges of the box, and counts positions differently). In the last line the regions are read correctly and the masks by a softmax over the classes, as in the article's code.


# %%
def whole_cells(maps, strides, boxes, side, levels):
    cell = ops.cast(2**levels, "float32")[..., None]
    return roi_align(maps, strides, ops.round(boxes / cell) * cell, side, levels=levels)


def cropped(maps, strides, boxes, side, levels):
    y1x1y2x2 = ops.take(boxes, [1, 0, 3, 2], axis=-1) / SIZE
    parts = []
    for level, features in enumerate(maps, start=2):  # P2, P3, P4
        chosen = ops.cast(levels == level, "float32")[..., None, None, None]
        parts.append(crop_and_resize(features, y1x1y2x2, side) * chosen)
    return sum(parts)


def softmax_masks(logits, labels):
    return of_class(ops.softmax(logits), labels)


WRONG = {
    "RoIAlign, sigmoid": {"read": recorded.read},
    "boxes in whole cells": {"read": whole_cells},
    "RoI pooling": {"read": roi_max_pool},
    "crop_and_resize": {"read": cropped},
    "softmax masks": {"mask_probabilities": softmax_masks},
}

# %%
from unittest.mock import patch  # exchanges methods for a while

few = results["recorded"][1][: pw.budget.get(CHAPTER, "broken_batches")]
first_stage = [recorded(images) for images, _, _ in few]
for name, methods in WRONG.items():
    score = DetectionAP(CLASSES)
    with patch.multiple(recorded, **methods):
        for (_, truth, _), outputs in zip(few, first_stage):
            found = as_numpy(recorded.detections(outputs, SIZE, SIZE))
            pairs = zip(found["masks"], found["boxes"])
            masks = np.stack([paste(*pair, SIZE, SIZE) for pair in pairs])
            score.update(truth, {**found, "masks": masks})
    values = score.result()
    print(f"{name:20s}", ", ".join(f"{key} {values[key]:.3f}" for key in SHOWN))

# %% [markdown]
# Rounding moves a side of a box by at most half a cell. AP50 hardly notices, AP75 does: it is the *outline* that is wrong. RoI pooling and `crop_and_resize` read at other places than the heads have learned from, and AP75 falls to about half. A network that is trained with RoI pooling gets used to some of it: the paper's reaches a mask AP of 26.9, against 30.2 with RoIAlign.
#
# The softmax leaves the boxes as they are and spoils the masks most of all, because channels that were never compared in training now compete. Trained with the softmax, the paper's network reaches 24.8, against 30.3 with sigmoids (both pairs: He et al. 2017, table 2, in percent). The next chapter trains a network in both ways and finds the same order: 0.150<!-- result instance_short test.mask_ap.mean --> with the softmax and 0.374<!-- result instance_short_sigmoid test.mask_ap.mean --> with sigmoids, after 250 steps.
#
# **Four: pictures without objects.** The box loss is a sum over the positive samples. Divide it by their *number*, and a batch without objects gives $0/0$, not a number; one step with it, and all weights are NaN. The library divides by the number of all samples, of which there are always some. A second trap hides in the gradient: a value that is masked *behind* a logarithm still contributes $0\cdot\infty$.

# %%
from pixelwise.nn.autodiff import gradient

empty = {key: np.zeros_like(truth[key][:2]) for key in ("boxes", "classes", "masks")}
ours = as_numpy(recorded.losses_of(recorded(few[0][0][:2]), empty, SIZE, SIZE))
with np.errstate(invalid="ignore"):
    naive = np.divide(0.0, 0.0)
print(f"no object: by positives {naive}, by samples", {k: f"{v:.3f}" for k, v in ours.items()})

width, real = np.float32([4, 0]), np.array([True, False])  # the second box is padding
behind = gradient(lambda w: ops.sum(ops.where(real, ops.log(w), 0.0)), width)
before = gradient(lambda w: ops.sum(ops.where(real, ops.log(ops.where(real, w, 1.0)), 0.0)), width)
print("gradient of the logarithm, masked behind it:", behind, "and before it:", before)

# %% [markdown]
# **Five: (y, x) for (x, y).** TensorFlow's operations want boxes as (y1, x1, y2, x2), PyTorch's as (x1, y1, x2, y2), COCO's files as (x, y, width, height). On a square picture, a box with x and y exchanged is still a box. We exchange them in the recorded network's answers. Width and height in the place of the second corner can be noticed sometimes, and the library does.

# %%
score = DetectionAP(CLASSES, masks=False)
for _, truth, found in results["recorded"][1]:
    score.update(truth, {**found, "boxes": found["boxes"][..., [1, 0, 3, 2]]})
right = results["recorded"][0].result()["box_ap"]
print(f"box AP {right:.3f}, with x and y exchanged {score.result()['box_ap']:.3f}")
try:
    box_ops.check([[70, 20, 30, 40]], SIZE, SIZE, "The picture scene1.png")
except ValueError as error:
    print(error)

# %% [markdown]
# **Six: anchors that fit no object.** The rule of the best anchor gives each object one, but it may be a bad one. Before any training, three numbers tell: the IoU of an object's best anchor (median), the share of objects whose best anchor has 0.7 or more, and how many anchors an object has with 0.5 or more. Here they are for all garments of the test scenes and five sets of anchors.

# %%
garment_boxes = np.concatenate([t["boxes"][t["classes"] > 0] for _, t, _ in results["recorded"][1]])
three, shapes = [(16, 16), (8, 8), (4, 4)], (0.5, 1, 2)
for name, cells, sizes, ratios in (
    ("ours: 32, 64, 96 pixels", three, (32, 64, 96), shapes),
    ("one shape, squares", three, (32, 64, 96), (1,)),
    ("too small: 8, 16, 32", three, (8, 16, 32), shapes),
    ("too coarse: P5 and P6", [(4, 4), (2, 2)], (64, 96), shapes),
    ("torchvision's: 32 to 512", [(32, 32), *three, (2, 2)], (32, 64, 128, 256, 512), shapes),
):
    offered = pyramid_anchors(cells, (SIZE, SIZE), sizes, ratios)
    table = as_numpy(box_ops.iou(garment_boxes, offered))
    best, many = table.max(axis=1), (table >= 0.5).sum(axis=1)
    print(
        f"{name:25s} {len(offered):4d} anchors: best IoU {np.median(best):.2f}, 0.7 or more for "
        f"{np.mean(best >= 0.7):3.0%}, {np.mean(many):4.1f} with 0.5 or more"
    )

# %% [markdown]
# With anchors that are too small or too coarse, most garments have none with an IoU of 0.5, and have to be learned from a single one that hardly fits. torchvision's, made for photographs six times as wide, fit well: with four times as many anchors, most of them on the finest level, and with two levels (256 and 512 pixels) that can find nothing in a picture of 128.
#
# ## What the source article says, and what is true
#
# The article introduces instance segmentation as "a unique label for each object that says its category". A label cannot be both: two shirts share the category, and what sets them apart is their identity. Its steps then get the order of the first half right (features, proposals, class and box) and the second half wrong: the mask is one 1 x 1 convolution, and a softmax gives it a class.
#
# Its code cannot run: three of its names do not exist. For `resnet50` and `RPN` we put in torchvision's `resnet50` and `RPNHead`, for `MaskBranch` the 1 x 1 convolution of the article's step 4, and ran it with PyTorch 2.14.1, mending one fault at a time to meet the next. In the end it runs, and gives a class map of 8 x 8 cells for a picture of 512 x 512. There is no box in it, no score, and no object.
#
# | The article | What is true |
# |---|---|
# | One label for each object, its category | A class *and* an identity. |
# | `resnet50`, `RPN`, `MaskBranch` | `name 'resnet50' is not defined`, then the same for the other two |
# | `RPN(50, num_classes)` | An RPN knows no classes: it scores every anchor as object or not. As torchvision's `RPNHead`, the second number would be that of the anchors. |
# | The whole ResNet, then the RPN | `Expected 3D (unbatched) or 4D (batched) input to conv2d, but got input of size: [1000]`: the scores of a classifier |
# | 50 channels | `expected input[1, 2048, 16, 16] to have 50 channels, but got 2048 channels instead` |
# | RoI pooling is `nn.MaxPool2d(2, 2)` of what the RPN returns | `argument 'input' (position 1) must be Tensor, not list`: an RPN returns boxes. RoI pooling and RoIAlign take a map *and* boxes, and cut a grid of fixed size out of each box. |
# | `nn.Linear(256, num_classes)` on a map | On 2,048 channels of 8 x 8 cells: `mat1 and mat2 shapes cannot be multiplied (16384x8 and 256x21)`, since a dense layer acts on the last axis, here the columns. |
# | Class softmax, and the mask branch behind it | Box head and mask head stand side by side, on the features of the same region. |
# | A softmax over the masks | A sigmoid for each class, and the loss of the true class only. |
# | One tensor is returned, and `rpn_losses` is dropped | The answer is boxes, classes, scores and masks; the loss is the sum of five. |
# | Mask R-CNN among the algorithms for semantic segmentation (section 6) | Instance segmentation, as the article's own section 3.1.2 says. |
# | "He, Zhang, Ren and Sun", CVPR 2017 | Kaiming He, Georgia Gkioxari, Piotr Dollár and Ross Girshick, ICCV 2017. |
#
# The whole table, for every section of the article, is in [ERRATA.md](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md).
#
# ## Exercises
#
# Replace the line `pw.exercises.todo()` by your answer and run the check below it. The solutions are in `chapters/solutions/04_mask_rcnn.ipynb`.

# %% [markdown] tags=["exercise"]
# ### Exercise 1: move a box
#
# Undo the encoding in NumPy: write the function that moves an anchor $(x_1, y_1, x_2, y_2)$ by $(d_x, d_y, d_w, d_h)$ and returns the corners of the box.


# %% tags=["exercise"]
def move(anchor, d):
    # BEGIN SOLUTION
    first, last = np.array(anchor[:2], float), np.array(anchor[2:], float)
    centre = (first + last) / 2 + np.array(d[:2]) * (last - first)
    half = np.exp(d[2:]) * (last - first) / 2
    return np.concatenate([centre - half, centre + half])
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    assert np.allclose(move([20, 30, 60, 70], [0, 0, 0, 0]), [20, 30, 60, 70]), (
        "Four zeros leave the anchor where it is."
    )
    assert np.allclose(move([20, 30, 60, 70], [0.25, 0.25, 0, np.log(1.5)]), [30, 30, 70, 90]), (
        "This is the example of the text."
    )
    generator = np.random.default_rng(0)
    anchors_there = generator.uniform(0, 50, (20, 2))
    anchors_there = np.concatenate([anchors_there, anchors_there + 30], axis=1).astype("float32")
    moves_there = generator.normal(0, 0.5, (20, 4)).astype("float32")
    wanted = as_numpy(box_ops.decode(moves_there, anchors_there))
    answers = [move(one, d) for one, d in zip(anchors_there, moves_there)]
    assert np.allclose(answers, wanted, atol=1e-3), "It differs from the library's decode."

# %% [markdown] tags=["exercise"]
# ### Exercise 2: draw a sample
#
# `labels` holds 1 for positive, 0 for negative and -1 for neither. Write the function that draws `size` different places at random: at most half of them positive, never one with -1, and filled up with negatives, of which there are enough. `generator.permutation(array)` shuffles.


# %% tags=["exercise"]
def draw(labels, size, generator):
    # BEGIN SOLUTION
    positive = generator.permutation(np.flatnonzero(labels == 1))[: size // 2]
    negative = generator.permutation(np.flatnonzero(labels == 0))[: size - len(positive)]
    return np.concatenate([positive, negative])
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("2"):
    many = np.repeat([1, 0, -1], [100, 500, 400])
    places = np.asarray(draw(many, 64, np.random.default_rng(0)))
    assert len(set(places.tolist())) == 64, "Draw as many places as asked for, none twice."
    assert (many[places] >= 0).all(), "Anchors that are neither stay out."
    assert (many[places] == 1).sum() == 32, "With enough positives, half of the sample is positive."
    few_labels = np.repeat([1, 0], [5, 500])
    some = np.asarray(draw(few_labels, 64, np.random.default_rng(1)))
    assert (few_labels[some] == 1).sum() == 5, "With five positives, all five are drawn."
    assert len(set(some.tolist())) == 64, "Few positives are filled up with negatives."
    others = np.asarray(draw(many, 64, np.random.default_rng(2)))
    for label, kind in ((1, "positives"), (0, "negatives")):
        first, second = (set(p[many[p] == label].tolist()) for p in (places, others))
        assert first != second, f"With another generator, other {kind} are drawn."

# %% [markdown] tags=["exercise"]
# ### Exercise 3: one suppression for all classes
#
# `suppress(boxes, scores)` is non-maximum suppression that knows no classes and returns the numbers of the boxes that stay. Write the function that suppresses class by class *with one call* of it. (Boxes that are far from each other do not suppress each other. The boxes of a class may be moved, as long as all of them move together.)


# %% tags=["exercise"]
def suppress_by_class(boxes, scores, classes, suppress):
    # BEGIN SOLUTION
    far = boxes.max() - boxes.min() + 1
    return suppress(boxes + far * classes[:, None], scores)
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("3"):
    calls = []

    def without_classes(some_boxes, some_scores):
        calls.append(len(some_boxes))
        stay, there = map(as_numpy, nms(some_boxes, some_scores, 0.5, len(some_boxes)))
        return stay[there]

    generator = np.random.default_rng(0)
    crowd = generator.uniform(0, 60, (60, 2))
    crowd = np.concatenate([crowd, crowd + generator.uniform(20, 40, (60, 2))], axis=1)
    ranks, kinds = generator.permutation(60) / 60, generator.integers(1, 4, 60)
    stay, there = map(as_numpy, nms(crowd, ranks, 0.5, 60, groups=kinds))
    answer = np.asarray(suppress_by_class(crowd, ranks, kinds, without_classes))
    assert calls == [60], "Call suppress once, for all the boxes."
    assert answer.ndim == 1, "Return the numbers of the boxes that stay."
    assert len(answer) > len(without_classes(crowd, ranks)), "More boxes stay than without classes."
    assert set(answer.tolist()) == set(stay[there].tolist()), (
        "It differs from the library's suppression by groups."
    )

# %% [markdown] tags=["exercise"]
# ### Exercise 4: which cells a bin reads
#
# Write the function that says how much each cell of a map of `shape` (rows, columns) contributes to *one* bin, the whole box $(x_1, y_1, x_2, y_2)$ in cells, read at 2 x 2 points as in the text. Multiplied with the map and summed, these weights must give the bin's value. (They are also what the gradient carries back to the map.)


# %% tags=["exercise"]
def bin_weights(box, shape):
    # BEGIN SOLUTION
    x1, y1, x2, y2 = box
    i, j = np.indices(shape)
    weights = np.zeros(shape)
    for down in (0.25, 0.75):
        for across in (0.25, 0.75):
            y, x = y1 + down * (y2 - y1), x1 + across * (x2 - x1)
            weights += np.maximum(0, 1 - abs(y - i)) * np.maximum(0, 1 - abs(x - j)) / 4
    return weights
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("4"):
    box = np.array([1.2, 0.7, 3.6, 2.9])
    spread_over = bin_weights(box, (5, 6))
    assert np.shape(spread_over) == (5, 6), "There is one weight for each cell of the map."
    assert np.isclose(np.sum(spread_over), 1), "A mean has weights that sum to 1."
    values = np.random.default_rng(0).normal(size=(1, 5, 6, 1)).astype("float32")
    one_bin = as_numpy(roi_align([values], [1], box[None, None].astype("float32"), 1))[
        0, 0, 0, 0, 0
    ]
    assert np.isclose(np.sum(spread_over * values[0, :, :, 0]), one_bin, atol=1e-4), (
        "It differs from the library's RoIAlign."
    )

# %% [markdown] tags=["exercise"]
# ### Exercise 5: average precision
#
# `hits` says of each detection, by falling score, whether it is a hit; there are `objects` objects. Write the function that gives AP as COCO does: the mean, over the recalls 0, 0.01, ..., 1, of the best precision at this recall or a higher one, and 0 where no recall is as high.


# %% tags=["exercise"]
def average_precision(hits, objects):
    # BEGIN SOLUTION
    found = np.cumsum(hits)
    recall, precision = found / objects, found / np.arange(1, len(hits) + 1)
    wanted = np.linspace(0, 1, 101)
    return np.mean([np.max(precision[recall >= r - 1e-9], initial=0) for r in wanted])
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("5"):
    assert np.isclose(average_precision(np.array([True] * 4), 4), 1), "All found, nothing wrong: 1."
    assert average_precision(np.array([False] * 3), 4) == 0, "Nothing found: 0."
    assert np.isclose(average_precision(np.array([1, 0, 1, 0, 1]), 4), 0.571, atol=1e-3), (
        "This is the example of the text."
    )
    assert np.isclose(average_precision(np.array([0, 1]), 1), 0.5), (
        "A mistake with a better score than the only hit halves AP."
    )

# %% [markdown]
# ## Summary
#
# - A class map cannot tell two objects of a class apart. Mask R-CNN answers object by object: box, class, score, mask.
# - Anchors turn "any number of objects" into a fixed number of questions. NMS turns many answers to the same question into one.
# - RoIAlign reads between the cells, and rounds nothing. The box head may flatten; the mask head must not.
# - The class is decided once, by the box head. Each class has a mask of its own, by a sigmoid, and classes do not compete.
# - AP counts over all scores and several IoUs. Sort the mistakes as well: missed, wrong, merged and split are different illnesses.
#
# The next chapter takes the article's second network for instances, of which no publication is known, builds it from its description, and exchanges its parts for those of Mask R-CNN one at a time.
#
# **Further reading**
#
# - Kaiming He, Georgia Gkioxari, Piotr Dollár, Ross Girshick. Mask R-CNN. ICCV 2017, [arXiv 1703.06870](https://arxiv.org/abs/1703.06870).
# - Ross Girshick. Fast R-CNN. ICCV 2015, [arXiv 1504.08083](https://arxiv.org/abs/1504.08083).
# - Shaoqing Ren, Kaiming He, Ross Girshick, Jian Sun. Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks. NIPS 2015, [arXiv 1506.01497](https://arxiv.org/abs/1506.01497).
# - Tsung-Yi Lin, Piotr Dollár, Ross Girshick, Kaiming He, Bharath Hariharan, Serge Belongie. Feature Pyramid Networks for Object Detection. CVPR 2017, [arXiv 1612.03144](https://arxiv.org/abs/1612.03144).
# - Tsung-Yi Lin and others. Microsoft COCO: Common Objects in Context. ECCV 2014, [arXiv 1405.0312](https://arxiv.org/abs/1405.0312).
# - Golnaz Ghiasi and others. Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation. CVPR 2021, [arXiv 2012.07177](https://arxiv.org/abs/2012.07177).
#
# **How to cite** this chapter: *The Pixelwise authors, Pixelwise: image segmentation and generation, from the mathematics to running code, chapter "Mask R-CNN", 2026.* The file `CITATION.cff` has the entry for the book.
