# %% [markdown]
# # The mathematics of pixels
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/01_mathematics.ipynb)
#
# A network that names every pixel of a photograph and a network that paints one from noise are made of the same few equations. Each appears here as a formula, by hand on a small example, in NumPy and as a Keras operation; an `assert` holds these together, so nothing has to be believed.
#
# **After this chapter you can**
#
# - say which input pixels one output pixel sees, and prove it with a gradient;
# - enlarge a feature map with a transposed convolution, and say why it may leave a checkerboard;
# - write the loss of a segmentation network with its gradient, and measure an answer by IoU and Dice;
# - explain what a GAN and a VAE optimise, and check each claim on numbers small enough to see.
#
# **You need** Python, matrices, partial derivatives, mean and variance, but no neural network yet. Segmentation uses the first half, up to *Boxes*; the rest can wait for the GAN.
#
# **Time and memory:** 23<!-- result chapters 01_mathematics.quick.seconds --> seconds and 810<!-- result chapters 01_mathematics.quick.peak_memory_mib --> MiB on two cores without a GPU. A GPU is not needed; the *full* budget only draws more samples.

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
import os

from keras import layers, ops
from scipy import ndimage, stats

from pixelwise.nn import boxes, convolution, divergences, losses, pooling, receptive_field
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.upsampling import bilinear_layer, bilinear_weights
from pixelwise.plot import BLUE, GREEN, ORANGE, RED

os.environ["NVIDIA_TF32_OVERRIDE"] = "0"  # recent GPUs round products; here we count digits
GREY, EQUATIONS = "#8C8C8C", {}


def f32(values):
    """The numbers as Keras wants them: float32."""
    return np.asarray(values, "float32")


def agree(equation, hand, library):
    """Asserts that two ways to compute one equation agree; keeps by how much they differ."""
    hand, library = np.asarray(hand, float), ops.convert_to_numpy(library).astype(float)
    assert hand.shape == library.shape, f"{equation}: {hand.shape} is not {library.shape}"
    error = np.abs(hand - library).max() / max(np.abs(hand).max(), 1e-12)
    assert error < 1e-4, f"{equation}: the two differ by {error:.1e} of the largest value"
    EQUATIONS[equation] = max(error, 2.0**-53)  # nothing agrees better than float64 can say
    print(f"{equation}: equal, {-np.log10(EQUATIONS[equation]):.0f} digits")


def panel(axis, picture, title, **options):
    """Shows a picture without ticks."""
    axis.set(title=title, xticks=[], yticks=[])
    return axis.imshow(picture, interpolation="nearest", **options)


def describe(axis, title, xlabel, ylabel, **options):
    """Says what a curve shows, in what units, and which curve is which."""
    axis.set(title=title, xlabel=xlabel, ylabel=ylabel, **options)
    if axis.get_legend_handles_labels()[1]:
        axis.legend()


# %% [markdown]
# ## The answer first
#
# On the left is a scene from the *wardrobe*, the data set of this book: real garments on a real photograph. Then what the computer holds: numbers. Then which input pixels one output pixel of a small network looks at: they are lit. Last, what segmentation must produce: one class for every pixel.

# %%
scenes = pw.data.load("wardrobe", "test", size=96, batch_size=16)
pictures, masks = scenes[0]
picture, mask = pictures[4], masks[4]
outline = np.argwhere(mask[:, :-1] != mask[:, 1:])
row, column = min(outline, key=lambda p: np.abs(p - 48).sum())  # its most central point

network = receptive_field.positive_chain([(3, 1, d) for d in (1, 2, 3, 4, 5, 4, 3, 2, 1)], 96)
seen = receptive_field.measured(network, 96, 96, position=(row, column))
light = 0.3 + 0.7 * (seen / seen.max()) ** 0.4  # the power lifts what is faint

fig, axes = plt.subplots(1, 4, figsize=(12, 3.7), layout="constrained")
panel(axes[0], picture, "a photograph, 96 x 96 pixels")
axes[0].add_patch(plt.Rectangle((column - 2.5, row - 2.5), 5, 5, fill=False, ec="white", lw=2))
square = picture[row - 2 : row + 3, column - 2 : column + 3]
panel(axes[1], square, "the square: red, green, blue")
for i, j in np.ndindex(5, 5):
    text = "\n".join(f"{value:.2f}" for value in square[i, j])
    axes[1].text(j, i, text, ha="center", va="center", fontsize=8, color="white")
panel(axes[2], picture * light[..., None], "what one output pixel sees")
axes[2].plot(column, row, "+", color="white", ms=10)
panel(axes[3], pw.plot.colour_mask(mask), "one class for every pixel")
_ = pw.plot.legend(fig, scenes.classes)
plt.show()

# %% [markdown]
# *The third panel is the receptive field of the output pixel at the cross, measured as below.*
#
# ## Pixels and tensors
#
# A **tensor** is a box of numbers with named sides. A batch of pictures has the shape `(batch, height, width, channels)`. Memory has one side only, so the box is stored row by row, and, counting everything from 0, the number at $(b, y, x, c)$ in pictures of $H$ by $W$ pixels with $C$ channels stands at the address
#
# $$n = \big((b\,H + y)\,W + x\big)\,C + c .$$
#
# By hand: with $H = 2$, $W = 3$, $C = 3$, the blue value ($c = 2$) of the pixel in row $y = 1$, column $x = 0$ of the first picture ($b = 0$) stands at $((0 \cdot 2 + 1) \cdot 3 + 0) \cdot 3 + 2 = 11$.
#
# A *label map* has the shape `(batch, height, width)` and holds class numbers. Losses often want it **one-hot**: $t_c = 1$ if the pixel has class $c$, else $0$.
#
# Each check prints on how many digits two ways agree: 16 is exactly equal, and about 7 is all that float32, the numbers of Keras, can hold.

# %%
assert ((0 * 2 + 1) * 3 + 0) * 3 + 2 == 11
b, y, x, c = 1, 40, 7, 2
_, H, W, C = pictures.shape
flat = ops.reshape(pictures, (-1,))
agree("address of a pixel", pictures[b, y, x, c], flat[((b * H + y) * W + x) * C + c])

one_hot = (masks[..., None] == np.arange(6)).astype(float)
agree("one-hot labels", one_hot, ops.one_hot(masks, 6))

# %% [markdown]
# ## What a network is, and how it learns
#
# A **layer** makes one tensor from another with adjustable numbers, its **weights**; a **network** is a chain of layers. The tensors between them are **feature maps**: each channel maps where something was found. Between two layers stands a bend such as $\max(0, a)$, the *ReLU*, for linear layers in a row only make one linear layer.
#
# To learn is to say by one number, the **loss** $L$, how wrong the answers are, and to move every weight against its derivative, $w \leftarrow w - \eta\, \partial L / \partial w$ with a small $\eta$, again and again. The chain rule gives these derivatives, from the loss back to the first layer: **back-propagation**. So this chapter asks of each operation what it computes, and what its derivative is.
#
# ## Convolution: one small detector, everywhere
#
# Suppose that every output number may depend on every input number. From a 96 x 96 colour picture to eight maps of the same size that takes $27{,}648 \times 73{,}728$, about two thousand million weights, and a shirt learnt on the left would have to be learnt again on the right. A **convolution** makes two promises instead: it looks only at a small neighbourhood, and in the same way everywhere. Its kernel of 3 x 3 pixels needs $3 \cdot 3 \cdot 3 \cdot 8 = 216$ weights.
#
# Lay a kernel $K$ on the picture $X$, multiply what lies on top of each other, add up, move on:
#
# $$Y_{i,j,m} = b_m + \sum_{u=0}^{k-1} \sum_{v=0}^{k-1} \sum_{c} X_{s i + d u - p,\; s j + d v - p,\; c}\; K_{u,v,c,m}$$
#
# Here $k$ is the kernel's size, $c$ counts the input channels and $m$ those of the output, and $b_m$ is a constant to add, the bias. The stride $s$, padding $p$ and dilation $d$ come in a moment; for now $s = d = 1$ and $p = 0$. By hand:
#
# $$\begin{pmatrix} 1 & 2 & 3 \\ 4 & 5 & 6 \\ 7 & 8 & 9 \end{pmatrix} * \begin{pmatrix} 1 & 2 \\ 3 & 4 \end{pmatrix} = \begin{pmatrix} 37 & 47 \\ 67 & 77 \end{pmatrix}, \qquad 1 \cdot 1 + 2 \cdot 2 + 4 \cdot 3 + 5 \cdot 4 = 37 .$$
#
# (Mathematicians turn the kernel upside down first, and call ours a cross-correlation. It makes no difference to a kernel that is learnt.)

# %%
X = np.arange(1.0, 10).reshape(3, 3, 1)
K = np.array([[1.0, 2], [3, 4]]).reshape(2, 2, 1, 1)
Y = np.zeros((2, 2))
for i in range(2):
    for j in range(2):
        Y[i, j] = np.sum(X[i : i + 2, j : j + 2, 0] * K[:, :, 0, 0])
assert Y.tolist() == [[37, 47], [67, 77]]  # as by hand

layer = layers.Conv2D(1, 2, use_bias=False)
layer.build((None, 3, 3, 1))
layer.set_weights([K])  # (rows, columns, input channels, output channels)
agree("convolution", Y[..., None], layer(f32(X[None]))[0])

# %% [markdown]
# What can nine numbers see? The kernel below (Sobel's) subtracts the pixels on the left from those on the right, so it answers where brightness changes sideways; the factor $8 = (1 + 2 + 1) \cdot 2$ makes that a change per pixel. Its transpose does so for up and down. `conv2d_naive` in `lib/pixelwise/nn/convolution.py` is the whole equation above, in plain loops.

# %%
grey = pictures[9].mean(axis=-1, keepdims=True)
sideways = np.array([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]) / 8
kernel = np.stack([sideways, sideways.T], axis=-1)[:, :, None, :]  # (3, 3, 1, 2)
edges = convolution.conv2d_naive(grey, kernel)
agree("edges of a scene", edges, ops.conv(f32(grey[None]), f32(kernel))[0])

fig, axes = plt.subplots(1, 4, figsize=(12, 3.4), layout="constrained")
panel(axes[0], grey[..., 0], "brightness", cmap="gray")
panel(axes[1], edges[..., 0], "right minus left", cmap="PuOr", vmin=-0.2, vmax=0.2)
image = panel(axes[2], edges[..., 1], "below minus above", cmap="PuOr", vmin=-0.2, vmax=0.2)
fig.colorbar(image, ax=axes[2], shrink=0.7, label="change per pixel")
panel(axes[3], np.hypot(edges[..., 0], edges[..., 1]), "size of both", cmap="gray_r", vmax=0.2)
plt.show()

# %% [markdown]
# *Two kernels of nine weights trace the garments (purple: brighter to the right or below; orange: darker). A network learns its kernels.*
#
# ### Stride, padding, dilation
#
# The **stride** $s$ is the step between two outputs: 2 halves the picture. The **padding** $p$ adds zeros around the border, so that the output need not shrink. The **dilation** $d$ sets the kernel's weights $d$ pixels apart, so that it looks further with as many of them. By hand, in a row of pixels $1, 2, 3, 4, 5$ under the kernel $(1, 1, 1)$:
#
# | plain | $s = 2$ | $p = 1$ | $d = 2$ |
# |---|---|---|---|
# | 6, 9, 12 | 6, 12 | 3, 6, 9, 12, 9 | 1 + 3 + 5 = 9 |
#
# A kernel reaches over $d(k-1)+1$ pixels, and $n$ pixels give
#
# $$o = \left\lfloor \frac{n + 2p - d(k-1) - 1}{s} \right\rfloor + 1 \quad\text{outputs.}$$
#
# By hand: $n = 7$, $k = 3$, $s = 2$, $p = 1$, $d = 1$ gives $\lfloor 6/2 \rfloor + 1 = 4$. Keras also knows `padding="same"`: as many zeros as give $\lceil n/s \rceil$ outputs, the odd one at the end. And a dilated convolution is an ordinary one with a larger kernel, stuffed with zeros between the weights.

# %%
line, ones = f32([1, 2, 3, 4, 5]).reshape(1, 5, 1), np.ones((3, 1, 1), "float32")
agree("stride 2", [6, 12], ops.conv(line, ones, strides=2)[0, :, 0])
agree("padding 1", [3, 6, 9, 12, 9], ops.conv(line, ones, padding="same")[0, :, 0])
agree("dilation 2", [9], ops.conv(line, ones, dilation_rate=2)[0, :, 0])

assert (7 + 2 * 1 - 1 * (3 - 1) - 1) // 2 + 1 == 4
by_formula, by_keras = [], []
for n, k, s, p, d in [(7, 3, 2, 1, 1), (96, 7, 2, 3, 1), (15, 2, 3, 0, 1), (9, 3, 1, 0, 4)]:
    by_formula.append((n + 2 * p - d * (k - 1) - 1) // s + 1)
    padded, ones = np.zeros((1, n + 2 * p, n + 2 * p, 1)), np.ones((k, k, 1, 1))
    by_keras.append(ops.conv(f32(padded), f32(ones), strides=s, dilation_rate=d).shape[1])
agree("output size", by_formula, by_keras)

kernel = np.random.default_rng(0).normal(size=(3, 3, 3, 2))
stuffed = convolution.dilate_kernel(kernel, 2)
print("a row of the stuffed kernel:", stuffed[0, :, 0, 0].round(2))
dilated = ops.conv(f32(picture[None]), f32(kernel), dilation_rate=2)
agree("dilated = zero-stuffed kernel", ops.conv(f32(picture[None]), f32(stuffed)), dilated)

# %% [markdown]
# ## The receptive field: what one pixel sees
#
# A pixel of the last layer sees a few pixels of the layer before, each of which sees a few more. To recognise a shirt the last layer must see enough of it. Let $r$ be the size seen so far, and $j$ the step in input pixels from one output to the next. A layer with kernel $k$, stride $s$ and dilation $d$ changes them to
#
# $$r' = r + d\,(k - 1)\,j, \qquad j' = j\,s, \qquad \text{starting from } r = j = 1 .$$
#
# For the outermost weights of the kernel lie $d\,(k - 1)$ steps apart, and a step is $j$ pixels long. By hand, for three 3 x 3 layers:
#
# | | plain | dilations 1, 2, 4 | strides 2, 2, 2 |
# |---|---|---|---|
# | layer 1 | 1 + 2 = 3 | 1 + 2 = 3 | 1 + 2 = 3, step 2 |
# | layer 2 | 3 + 2 = 5 | 3 + 4 = 7 | 3 + 2·2 = 7, step 4 |
# | layer 3 | 5 + 2 = **7** | 7 + 8 = **15** | 7 + 2·4 = **15**, step 8 |
#
# Seeing can be *measured*: the output sees an input pixel exactly if changing that pixel changes the output, that is, if the derivative of the one by the other is not zero. `gradient` (in `nn/autodiff.py`) gets that derivative by *automatic differentiation*: the chain rule, applied by the machine to every operation of a program. (The weights here are positive, lest paths cancel.)

# %%
layouts = {
    "three plain layers": (7, [(3, 1, 1)] * 3),  # by hand, then (kernel, stride, dilation)
    "dilations 1, 2, 4": (15, [(3, 1, 1), (3, 1, 2), (3, 1, 4)]),
    "strides 2, 2, 2": (15, [(3, 2, 1)] * 3),
}
fig, axes = plt.subplots(1, 3, figsize=(12, 4.2), layout="constrained")
for axis, (title, (by_hand, layout)) in zip(axes, layouts.items(), strict=True):
    network = receptive_field.positive_chain(layout, size=32)
    middle = network.output_shape[1] // 2
    field = receptive_field.computed(network)
    seen = receptive_field.measured(network, 32, 32, (middle, middle))
    first, last = field.interval(middle)
    assert receptive_field.extent(seen) == (first, last, first, last)
    agree(f"receptive field, {title}", by_hand, field.size)
    image = panel(axis, np.where(seen > 0, seen / seen.max(), np.nan), title, cmap="viridis")
    axis.set(xlabel=f"sees {field.size} x {field.size} pixels, step {field.stride}")
    corner, side = (first - 0.5, first - 0.5), field.size
    axis.add_patch(plt.Rectangle(corner, side, side, fill=False, ec=RED, lw=2))
fig.colorbar(image, ax=axes, shrink=0.8, label="size of the derivative (largest = 1)")
plt.show()
assert np.convolve([1, 2, 3, 2, 1], [1, 1, 1]).tolist() == [1, 3, 6, 7, 6, 3, 1]  # paths

# %% [markdown]
# *Computed (red frame) and measured (colour; white is exactly zero) on 32 x 32 inputs. The frames fit to the pixel. (On the right only 4 x 4 outputs are left, none of them in the middle.)*
#
# The measurement also shows what the formula cannot: how much each pixel counts. Along a line, 1, 3, 6, 7, 6, 3, 1 paths lead through three plain layers to the seven pixels, so the middle counts far more than the rim, and what a network sees *well* is smaller than its receptive field (Luo et al. 2016). Dilations and strides spread the paths unevenly: hence the tartan.
#
# ## Pooling: summaries
#
# To say *that* there is a shoe, a network must forget *where*, a little at each step. **Max-pooling** keeps the largest value of each small cell, **average pooling** the mean; **global** pooling takes the whole map as one cell. By hand, with cells of 2 x 2:
#
# $$\begin{pmatrix} 0 & 1 & 2 & 3 \\ 4 & 5 & 6 & 7 \\ 8 & 9 & 10 & 11 \\ 12 & 13 & 14 & 15 \end{pmatrix} \;\longrightarrow\; \text{max} \begin{pmatrix} 5 & 7 \\ 13 & 15 \end{pmatrix}, \quad \text{mean} \begin{pmatrix} 2.5 & 4.5 \\ 10.5 & 12.5 \end{pmatrix}, \quad \text{global mean } 7.5 .$$
#
# **Spatial pyramid pooling** (He et al. 2014) takes several grids at once: the whole picture, its quarters, its sixteenths. Whatever the picture's size, out come $1 + 4 + 16 = 21$ numbers per channel, which tell what is there, near and far.

# %%
X = np.arange(16.0).reshape(1, 4, 4, 1)
cells = X.reshape(2, 2, 2, 2)  # (cell row, row in cell, cell column, column in cell)
assert cells.max((1, 3)).tolist() == [[5, 7], [13, 15]]
agree("max-pooling", cells.max((1, 3)), layers.MaxPooling2D(2)(f32(X))[0, :, :, 0])
agree("average pooling", cells.mean((1, 3)), layers.AveragePooling2D(2)(f32(X))[0, :, :, 0])
agree("global pooling", 7.5, layers.GlobalAveragePooling2D()(f32(X))[0, 0])
pyramid = pooling.SpatialPyramidPooling(bins=(1, 2), mode="max")
agree("spatial pyramid pooling", [15, 5, 7, 13, 15], pyramid(f32(X))[0])
tall, wide = pyramid(np.zeros((1, 50, 20, 3))), pyramid(np.zeros((1, 9, 33, 3)))
assert tall.shape == wide.shape == (1, 15)  # (1 + 4) cells, 3 channels

levels = [pooling.adaptive_average_pool(picture[None], n)[0] for n in (1, 2, 4)]
levels = [ops.convert_to_numpy(level) for level in levels]
names = ["1 cell: 3 numbers", "2 x 2 cells: 12", "4 x 4 cells: 48", "all pixels: 27,648"]
_ = pw.plot.grid([("", [*levels, picture])], names, scale=3)
plt.show()

# %% [markdown]
# *Three levels of a pyramid (means). Each finer level says a little more about where.*
#
# ## Transposed convolution: the way back up
#
# A label is wanted for each pixel, but after a few strides the map is small. To enlarge it with *learnable* weights, read the convolution backwards. Forwards, each output gathers a neighbourhood. Backwards, each input *stamps* the kernel onto the output, times its own value; where stamps overlap, they add up. By hand in one dimension, with the values $(1, 2)$, the kernel $(1, 3, 1)$ and stride 2:
#
# $$1 \cdot (1, 3, 1, 0, 0) + 2 \cdot (0, 0, 1, 3, 1) = (1, 3, 3, 6, 2) .$$
#
# So $n$ values become $(n - 1)\,s + k$; with `padding="same"` Keras cuts this to $n\,s$.
#
# The name comes from linear algebra. A convolution is linear, so it is a matrix $M$ that acts on the picture laid out as one long vector: $y = M x$. Each row of $M$ holds the kernel at one position. Stamping multiplies by the **transpose**, $x' = M^{\mathsf T} y$. With the numbers above:
#
# $$M = \begin{pmatrix} 1 & 3 & 1 & 0 & 0 \\ 0 & 0 & 1 & 3 & 1 \end{pmatrix}, \qquad M^{\mathsf T} \begin{pmatrix} 1 \\ 2 \end{pmatrix} = 1 \begin{pmatrix} 1 \\ 3 \\ 1 \\ 0 \\ 0 \end{pmatrix} + 2 \begin{pmatrix} 0 \\ 0 \\ 1 \\ 3 \\ 1 \end{pmatrix} = \begin{pmatrix} 1 \\ 3 \\ 3 \\ 6 \\ 2 \end{pmatrix} .$$
#
# Let $g_i = \partial L / \partial y_i$ be the derivatives of the loss by a convolution's outputs. The chain rule gives those by its inputs:
#
# $$\frac{\partial L}{\partial x_j} = \sum_i g_i\, \frac{\partial y_i}{\partial x_j} = \sum_i g_i\, M_{ij} = \big(M^{\mathsf T} g\big)_j .$$
#
# So back-propagation through a convolution *is* a transposed convolution. It is not an inverse: $M^{\mathsf T} M$ is not the identity, and lost detail stays lost.

# %%
stamps = np.zeros(5)
for i, value in enumerate([1.0, 2.0]):
    stamps[2 * i : 2 * i + 3] += value * np.array([1, 3, 1])
M = np.array([[1, 3, 1, 0, 0], [0, 0, 1, 3, 1]])
assert stamps.tolist() == (M.T @ [1, 2]).tolist() == [1, 3, 3, 6, 2]
line = ops.conv_transpose(f32([[[1], [2]]]), f32([[[1]], [[3]], [[1]]]), 2, "valid")
agree("stamps in one dimension", stamps, line[0, :, 0])

rng = np.random.default_rng(1)
kernel, X, G = rng.normal(size=(3, 3)), rng.normal(size=(4, 4)), rng.normal(size=(2, 2))
M = convolution.convolution_matrix(kernel, 4, 4)  # (4, 16): 2 x 2 outputs, 4 x 4 inputs
x, g, K = f32(X).reshape(1, 4, 4, 1), f32(G).reshape(1, 2, 2, 1), f32(kernel).reshape(3, 3, 1, 1)
agree("convolution = M x", (M @ X.ravel()).reshape(1, 2, 2, 1), ops.conv(x, K))
back = (M.T @ G.ravel()).reshape(1, 4, 4, 1)
agree("transposed convolution = M^T y", back, ops.conv_transpose(g, K, padding="valid"))
slope = gradient(lambda x: ops.sum(ops.multiply(g, ops.conv(x, K))), x)
agree("back-propagation = M^T g", back, slope)

# %% [markdown]
# ### The bilinear kernel
#
# A transposed convolution had better start from weights that merely enlarge. For a factor $s$, let every value fade to zero on the way to its neighbour, along a triangle,
#
# $$w_i = 1 - \frac{|i - (k-1)/2|}{s}, \qquad i = 0, \dots, k-1, \qquad k = 2s - (s \bmod 2),$$
#
# and in two dimensions take the product $w_i w_j$. By hand for $s = 2$: $(\frac14, \frac34, \frac34, \frac14)$. Between two neighbours $a$ and $b$ the stamps add up to $\frac34 a + \frac14 b$ and $\frac14 a + \frac34 b$, which is linear interpolation. FCN, in the next chapter, starts from here and learns on (Long et al. 2015).

# %%
s, k = 4, 8
w = 1 - np.abs(np.arange(k) - (k - 1) / 2) / s
agree("bilinear kernel", w, bilinear_weights(s))
assert bilinear_weights(2).tolist() == [1 / 4, 3 / 4, 3 / 4, 1 / 4]

values = np.array([0.0, 1, 3, 2, 2])
where = (np.arange(5 * s) + 0.5) / s - 0.5  # middle of each output pixel, in input pixels
enlarged = bilinear_layer(1, s)(f32(np.tile(values, (5, 1)))[None, ..., None])
inside = slice(s, -s)  # at the border the layer fades to zero
linear = np.interp(where, np.arange(5), values)
agree("linear interpolation", linear[inside], enlarged[0, 10, inside, 0])

shares = pooling.adaptive_average_pool(f32(one_hot[4:5]), 12)  # of each class in a cell
coarse, fine = (ops.convert_to_numpy(x)[0] for x in (shares, bilinear_layer(6, 8)(shares)))

fig, axes = plt.subplots(1, 5, figsize=(13, 3), layout="constrained")
panel(axes[0], M, "$M$: 4 x 16", cmap="PuOr", vmin=-2, vmax=2, aspect="auto")
panel(axes[1], M.T, "its transpose: 16 x 4", cmap="PuOr", vmin=-2, vmax=2, aspect="auto")
for factor, colour, mark in [(2, BLUE, "o-"), (4, ORANGE, "s-"), (8, GREEN, "^-")]:
    place, w = np.arange(0.5 - factor, factor), bilinear_weights(factor)
    axes[2].plot(place, w, mark, color=colour, ms=4, label=f"factor {factor}")
describe(axes[2], "bilinear kernels", "output pixels from the middle", "weight", ylim=(0, 1.6))
panel(axes[3], coarse[..., 1:].sum(-1), "share of garment, 12 x 12", cmap="cividis")
panel(axes[4], fine[..., 1:].sum(-1), "enlarged to 96 x 96", cmap="cividis")
plt.show()

# %% [markdown]
# *A convolution as a matrix (the same nine weights in each row), its transpose, the kernels that interpolate, and the last of them at work (dark 0, bright 1).*
#
# ## Softmax and cross-entropy: learning to name pixels
#
# For every pixel a segmentation network gives one real number per class, the **logits** $a_c$. Softmax makes probabilities $p_c$ of them: positive, with the sum 1. The **cross-entropy** $\ell$ is the price of the probability given to the true class $y$, from 0 for certainty to infinity (a logarithm, so that the prices of many pixels add up as their probabilities multiply):
#
# $$p_c = \frac{e^{a_c}}{\sum_k e^{a_k}}, \qquad \ell = -\log p_y = \log \sum_k e^{a_k} - a_y, \qquad \frac{\partial \ell}{\partial a_c} = p_c - t_c .$$
#
# The gradient is why the two belong together: *what you said minus what is true*. (In $\log \sum_k e^{a_k} - a_y$ the first term has the derivative $e^{a_c} / \sum_k e^{a_k} = p_c$, and $a_y$ has $t_c$: $1$ for $c = y$ and else $0$.) Logarithms are natural, so the price is in *nats*.
#
# By hand, with logits $(0, \log 2, \log 5)$ and the third class true: the exponentials are $1, 2, 5$, so $p = (\frac18, \frac28, \frac58)$, the loss is $\log\frac85 = 0.470$ nats, and the gradient $(\frac18, \frac28, -\frac38)$. Subtract this gradient from the logits, and the loss falls to $0.289$.
#
# The loss of a picture is the mean over its *labelled* pixels $\Omega$. Those that annotators leave out, at blurred outlines for example, carry the label 255, **void**, and count neither above nor below the fraction bar:
#
# $$L = \frac{1}{|\Omega|} \sum_{(i,j) \in \Omega} \ell_{i,j} .$$

# %%
a, label = np.log([1.0, 2, 5]), 2
p = np.exp(a) / np.exp(a).sum()
loss = np.log(np.exp(a).sum()) - a[label]
assert np.allclose(p, [1 / 8, 2 / 8, 5 / 8]) and np.isclose(loss, np.log(8 / 5))
better = a - [1 / 8, 2 / 8, -3 / 8]
assert np.round([loss, np.log(np.exp(better).sum()) - better[label]], 3).tolist() == [0.47, 0.289]
pixel, labels = f32(a).reshape(1, 1, 1, 3), np.full((1, 1, 1), label)
cross_entropy = losses.SegmentationCrossEntropy(void=255)
agree("softmax", p, ops.softmax(pixel)[0, 0, 0])
agree("cross-entropy", loss, cross_entropy(labels, pixel))
slope = gradient(lambda logits: cross_entropy(labels, logits), pixel)
agree("gradient of cross-entropy", [1 / 8, 2 / 8, -3 / 8], slope[0, 0, 0])

rng = np.random.default_rng(0)
logits, labels = rng.normal(size=(2, 5, 5, 3)), rng.integers(0, 3, (2, 5, 5))
each = np.log(np.exp(logits).sum(-1)) - (logits * (labels[..., None] == np.arange(3))).sum(-1)
labels[:, 1] = 255
mean = each[labels != 255].mean()
agree("mean over labelled pixels", mean, cross_entropy(labels, f32(logits)))
ready = keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=255)
agree("mean over labelled pixels, Keras", mean, ready(labels, f32(logits)))
assert float(cross_entropy(np.full_like(labels, 255), f32(logits))) == 0  # all void: 0, not NaN

# %% [markdown]
# Below, a guesser that knows only the enlarged shares of the last figure is charged for every pixel. Most of the price is paid along outlines. The *skips* of the next chapter, short cuts from finer maps, lower it.

# %%
guess = np.log(fine + 0.001)  # logits; their softmax is nearly the shares themselves
price = losses.SegmentationCrossEntropy(reduction=None)(mask[None], f32(guess[None]))
price = ops.convert_to_numpy(price)[0]
near = ndimage.maximum_filter(mask, 7) != ndimage.minimum_filter(mask, 7)
paid = price[near].sum() / price.sum()
print(f"{near.mean():.0%} of the pixels lie within 3 of an outline and pay {paid:.0%} of the price")

fig, axes = plt.subplots(1, 3, figsize=(12, 3.5), layout="constrained")
p = np.linspace(0.005, 1, 300)
axes[0].plot(p, -np.log(p), color=BLUE)
describe(axes[0], "the price of a probability", "probability of the true class", "loss in nats")
margin = np.linspace(-6, 6, 200)
axes[1].plot(margin, 1 / (1 + np.exp(-margin)) - 1, color=BLUE, label="true class: $p - 1$")
axes[1].plot(margin, 1 / (1 + np.exp(margin)), color=ORANGE, ls="--", label="other class: $p$")
describe(axes[1], "gradient, two classes", "true logit minus other", "derivative of the loss")
image = panel(axes[2], price, "what each pixel costs", cmap="cividis")
fig.colorbar(image, ax=axes[2], label="loss in nats")
plt.show()

# %% [markdown]
# *Left: confident errors cost without bound. Middle: the push is strongest where the answer is wrong and fades as it becomes right. Right: the loss of a blurred guess, pixel by pixel.*
#
# ## IoU and Dice: measuring an answer
#
# If 2% of a picture is a shoe, the answer "no shoe anywhere" is right for 98% of the pixels. So one counts only pixels that somebody called shoe. For the predicted set $A$ and the true set $B$:
#
# $$\text{IoU} = \frac{|A \cap B|}{|A \cup B|}, \qquad \text{Dice} = \frac{2\,|A \cap B|}{|A| + |B|} = \frac{2\,\text{IoU}}{1 + \text{IoU}} .$$
#
# By hand: $A$ has 3 pixels, $B$ has 4, they share 2. The union has $3 + 4 - 2 = 5$, so IoU $= \frac25$ and Dice $= \frac47$. (For Dice by IoU put $|A| + |B| = |A \cup B| + |A \cap B|$ and divide by the union.) The IoU of each class, counted over all pictures, and then their mean make the **mean IoU** (mIoU), the measure of this book.
#
# Counting has no gradient. The **soft** forms take the predicted probability $p$ of each pixel in place of a yes or no, and $t = 1$ or $0$ for the truth; on answers of 0 and 1 they give the same numbers:
#
# $$\text{soft IoU} = \frac{\sum p\,t}{\sum (p + t - p\,t)}, \qquad \text{soft Dice} = \frac{2 \sum p\,t}{\sum (p + t)}, \qquad \frac{\partial\,\text{soft Dice}}{\partial p_i} = \frac{2\,(t_i S - I)}{S^2},$$
#
# with $I = \sum p t$ and $S = \sum (p + t)$. One minus soft Dice is a loss, much used where objects are small (Milletari et al. 2016, with squares below the bar).

# %%
A, B = np.array([[1, 1, 0], [1, 0, 0]]), np.array([[1, 0, 0], [1, 1, 1]])
iou, dice = (A & B).sum() / (A | B).sum(), 2 * (A & B).sum() / (A.sum() + B.sum())
assert (iou, dice) == (2 / 5, 4 / 7) and np.isclose(dice, 2 * iou / (1 + iou))
metric = keras.metrics.BinaryIoU(target_class_ids=[1])
metric.update_state(B, A)
agree("IoU", iou, metric.result())
agree("Dice", dice, 1 - keras.losses.Dice()(f32(B), f32(A)))
agree("soft IoU of hard masks", iou, losses.soft_iou(f32(A), B, axis=(0, 1)))

p, t = np.array([0.9, 0.6, 0.2, 0.4]), np.array([1.0, 1, 0, 0])
common, sizes = (p * t).sum(), (p + t).sum()
agree("soft Dice", 2 * common / sizes, 1 - keras.losses.Dice()(f32(t), f32(p)))
slope = gradient(lambda p: losses.soft_dice(p, f32(t), axis=0), f32(p))
agree("gradient of soft Dice", 2 * (t * sizes - common) / sizes**2, slope)

# %% [markdown]
# ## Boxes
#
# A detector answers with boxes $(x_1, y_1, x_2, y_2)$, in pixels from the top left corner of the picture, so that the pixel in row 0, column 0 is the box $(0, 0, 1, 1)$. Two boxes share a rectangle, or nothing:
#
# $$|A \cap B| = \max\big(0, \min(x_2, x_2') - \max(x_1, x_1')\big) \cdot \max\big(0, \min(y_2, y_2') - \max(y_1, y_1')\big) .$$
#
# By hand: $(0, 0, 4, 3)$ and $(2, 1, 6, 4)$ share $2 \times 2 = 4$ and unite to $12 + 12 - 4 = 20$, so their IoU is $0.2$.

# %%
a, b = np.array([0.0, 0, 4, 3]), np.array([2.0, 1, 6, 4])
shared = np.maximum(0, np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])).prod()
by_numpy = shared / (np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]) - shared)
assert by_numpy == 0.2
agree("IoU of boxes", [[by_numpy]], boxes.iou(f32([a]), f32([b])))
ready = keras.utils.bounding_boxes.compute_iou(f32([a]), f32([b]), "xyxy")
agree("IoU of boxes, Keras", [[by_numpy]], ready)

fig, axes = plt.subplots(1, 2, figsize=(10, 3.9), layout="constrained")
for side, colour, mark in [(8, RED, "o-"), (16, ORANGE, "s-"), (48, BLUE, "^-")]:
    moved = f32([[d, 0, side + d, side] for d in range(13)])
    overlap = ops.convert_to_numpy(boxes.iou(moved[:1], moved))[0]
    axes[0].plot(range(13), overlap, mark, color=colour, label=f"side {side} pixels")
describe(axes[0], "the same slip, three squares", "shift in pixels", "IoU")
scene = scenes.scene(4)
panel(axes[1], scene.image, "a box for each garment")
for number in range(1, len(scene.classes) + 1):
    x1, y1, x2, y2 = boxes.from_mask(scene.instances == number) - 0.5  # pixel 0 is drawn at 0
    axes[1].add_patch(plt.Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, ec="white", lw=2))
plt.show()

# %% [markdown]
# *IoU is hard on small objects: a slip of 4 pixels leaves the smallest square an IoU of 4/12 = 0.33, the largest 44/52 = 0.85.*
#
# ## Generation: how far apart are two distributions?
#
# Segmentation compares a label with a label. A generator has no label for each sample; the *distribution* $q$ of its pictures must agree with $p$, that of real ones. The **Kullback-Leibler divergence** measures what believing $q$ costs when $p$ is true; the **Jensen-Shannon divergence** compares both with their middle $m$:
#
# $$\mathrm{KL}(p \,\Vert\, q) = \sum_x p(x) \log \frac{p(x)}{q(x)}, \qquad \mathrm{JS}(p, q) = \tfrac12 \mathrm{KL}(p \,\Vert\, m) + \tfrac12 \mathrm{KL}(q \,\Vert\, m), \quad m = \tfrac12 (p + q) .$$
#
# Both are 0 exactly if $p = q$ (and $0 \log 0$ counts as 0). KL is not symmetric, and is infinite where $q$ has no mass but $p$ has; JS never exceeds $\log 2$. By hand, for a fair coin $p = (\frac12, \frac12)$ and a bent one $q = (\frac14, \frac34)$:
#
# $$\mathrm{KL}(p \,\Vert\, q) = \tfrac12 \log 2 + \tfrac12 \log \tfrac23 = 0.144, \qquad \mathrm{KL}(q \,\Vert\, p) = \tfrac14 \log \tfrac12 + \tfrac34 \log \tfrac32 = 0.131 .$$
#
# With the middle $(\frac38, \frac58)$, JS $= 0.034$. (For densities, integrals replace sums.)
#
# You have met KL already. The cross-entropy of $p$ and $q$ is $-\sum p \log q = H(p) + \mathrm{KL}(p \Vert q)$, where the entropy $H(p) = -\sum p \log p$ is 0 for a one-hot label: **the loss of segmentation is a KL divergence**. With data for $p$ the cross-entropy is the mean of $-\log q(x)$ over them: minimising it over $q$ is maximum likelihood.

# %%
p, q = np.array([1 / 2, 1 / 2]), np.array([1 / 4, 3 / 4])
m, kl = (p + q) / 2, keras.losses.KLDivergence()
agree("KL(p, q)", np.log(2) / 2 + np.log(2 / 3) / 2, kl(f32([p]), f32([q])))
agree("KL(q, p)", np.log(1 / 2) / 4 + 3 * np.log(3 / 2) / 4, kl(f32([q]), f32([p])))
assert np.round(divergences.js(p, q), 3) == 0.034
agree("JS", divergences.js(p, q), (kl(f32([p]), f32([m])) + kl(f32([q]), f32([m]))) / 2)
crossed = keras.losses.CategoricalCrossentropy()(f32([p]), f32([q]))
agree("cross-entropy = H + KL", divergences.entropy(p) + divergences.kl(p, q), crossed)

x, distance = np.linspace(-12, 18, 6001), np.linspace(0, 6, 25)
real, moved = stats.norm.pdf(x) / 200, stats.norm.pdf(x, distance[:, None]) / 200  # per bin
kls, jss = divergences.kl(real, moved), divergences.js(real, moved)
agree("KL of two bells = d^2 / 2", distance**2 / 2, kls)

fig, axes = plt.subplots(1, 2, figsize=(11, 3.5), layout="constrained")
axes[0].fill_between(x, stats.norm.pdf(x), color=BLUE, alpha=0.5, label="real, p")
axes[0].fill_between(x, stats.norm.pdf(x, 3), color=ORANGE, alpha=0.5, label="generated, q")
describe(axes[0], "two bells, d = 3 apart", "x", "density", xlim=(-4, 7))
axes[1].plot(distance, kls, color=GREEN, label="KL")
axes[1].plot(distance, jss, color=RED, ls="--", label="JS")
axes[1].axhline(np.log(2), color=GREY, ls=":", label="log 2")
describe(axes[1], "their divergences", "distance d", "nats", ylim=(0, 4))
plt.show()

# %% [markdown]
# *KL keeps growing as the bells part (it is $d^2/2$); JS saturates at log 2, and a flat curve has no gradient to follow. Wasserstein GANs (Arjovsky et al. 2017) start from this observation.*
#
# ## Two players
#
# But nobody can write down $p$ for photographs. A **GAN** (Goodfellow et al. 2014) needs samples only. A discriminator $D(x)$ says with which probability $x$ is real; the generator, whose samples have the distribution $q$, wants to fool it:
#
# $$\min_q \max_D V(D, q), \qquad V = \mathbb{E}_{x \sim p} \log D(x) + \mathbb{E}_{x \sim q} \log\big(1 - D(x)\big) .$$
#
# ($\mathbb{E}_{x \sim p}$ is the mean over samples $x$ of $p$.) Which $D$ is best against a fixed $q$? At each $x$ separately, $p \log D + q \log(1 - D)$ has the derivative $p/D - q/(1-D)$, which falls as $D$ grows and is zero at the maximum
#
# $$D^*(x) = \frac{p(x)}{p(x) + q(x)}, \qquad\text{and then}\qquad V(D^*, q) = 2\,\mathrm{JS}(p, q) - 2 \log 2 .$$
#
# (For $\log D^* = \log \frac{p}{2m} = \log \frac pm - \log 2$ has the mean $\mathrm{KL}(p \Vert m) - \log 2$ over $p$, and the fakes give the same with $q$.) So a generator that faces a perfect discriminator minimises JS, though nobody has computed a density. By hand: where $p = 0.3$ and $q = 0.1$, three of four samples are real (if as many fakes are shown), and $D^* = \frac34$.
#
# Now on data: $p$ is the histogram of grey levels in 16 scenes, and $q$ comes from a bad generator that knows only their mean and spread. Of many samples, count in each bin what share was real, and hold it against $D^*$ (next figure).

# %%
assert np.isclose(divergences.optimal_discriminator(0.3, 0.1), 3 / 4)
grey, bins = pictures.mean(-1).ravel(), np.linspace(0, 1, 17)
p = np.histogram(grey, bins)[0] / grey.size
outer = [-np.inf, *bins[1:-1], np.inf]  # the end bins take what falls outside
q = np.diff(stats.norm.cdf(outer, grey.mean(), grey.std()))
best = divergences.optimal_discriminator(p, q)

V = np.sum(p * np.log(best) + q * np.log(1 - best))
agree("V(D*) = 2 JS - 2 log 2", 2 * divergences.js(p, q) - 2 * np.log(2), V)
D = 0.9 * best  # some other discriminator
slope = gradient(lambda D: ops.dot(f32(p), ops.log(D)) + ops.dot(f32(q), ops.log(1 - D)), f32(D))
agree("derivative of V by D", p / D - q / (1 - D), slope)
assert np.sum(p * np.log(D) + q * np.log(1 - D)) < V  # and it is a worse one

draws, rng = pw.budget.get("01_mathematics", "samples"), np.random.default_rng(0)
real = np.bincount(rng.choice(16, draws, p=p), minlength=16)
fake = np.bincount(rng.choice(16, draws, p=q), minlength=16)
counted, error = real / (real + fake), np.sqrt(best * (1 - best) / (real + fake))
assert np.all(np.abs(counted - best) < 4.5 * error)
print(f"largest distance from D*: {np.max(np.abs(counted - best) / error):.1f} standard errors")

# %% [markdown]
# ### Why the non-saturating loss
#
# At the start every fake is obvious: $D$ is nearly 0 on it. Write $D = \sigma(a)$ with the logit $a$ and the sigmoid $\sigma(a) = 1/(1 + e^{-a})$. The generator's part of the game, and what practice minimises instead, have the derivatives (by $\sigma' = \sigma (1 - \sigma)$)
#
# $$\frac{d}{da} \log\big(1 - \sigma(a)\big) = -\sigma(a) = -D, \qquad \frac{d}{da} \big(-\log \sigma(a)\big) = -\big(1 - \sigma(a)\big) = -(1 - D) .$$
#
# Both push $a$ up. At $D = 0.01$ the first pushes with $0.01$, the second, **non-saturating** one with $0.99$: 99 times as hard, exactly when the generator has everything to learn. It is no longer the minimax game, but the two rest at the same point, $q = p$.

# %%
a = np.linspace(-6, 6, 121)
D = 1 / (1 + np.exp(-a))
weak = gradient(lambda a: 121 * losses.generator_loss(a, saturating=True), f32(a))
strong = gradient(lambda a: 121 * losses.generator_loss(a), f32(a))  # 121 times a mean: the sum
agree("gradient, minimax loss", -D, weak)
agree("gradient, non-saturating loss", -(1 - D), strong)

fig, axes = plt.subplots(1, 3, figsize=(12.5, 3.5), layout="constrained")
axes[0].stairs(p, bins, fill=True, color=BLUE, alpha=0.5, label="real, p")
axes[0].stairs(q, bins, color=ORANGE, lw=2.5, label="generated, q")
describe(axes[0], "grey levels of one pixel", "grey level", "probability of the bin")
middles = (bins[1:] + bins[:-1]) / 2
axes[1].plot(middles, best, color=GREEN, label="$D^* = p / (p + q)$")
axes[1].errorbar(middles, counted, 2 * error, fmt="ko", ms=4, capsize=3, label="counted")
axes[1].axhline(0.5, color=GREY, ls=":")
describe(axes[1], "the best discriminator", "grey level", "probability of real", ylim=(0, 1))
axes[2].plot(D, D, color=RED, ls="--", label="minimax")
axes[2].plot(D, 1 - D, color=BLUE, label="non-saturating")
describe(axes[2], "what the generator feels", "D(fake)", "size of its derivative")
plt.show()

# %% [markdown]
# *Left and middle: by counting, the discriminator learns a ratio of densities (bars: two standard errors). Right: on an obvious fake, at the left edge, only the non-saturating loss pushes.*
#
# ## Latent variables and the ELBO
#
# A **VAE** (Kingma and Welling 2014) takes another road and does define a density: from here on $p$ is the *model*, and its argument tells one $p$ from another. Every picture $x$ has a hidden cause $z$, the **latent** variable: first draw $z$ from a simple prior $p(z)$, then $x$ from $p(x \mid z)$. The **evidence** of a picture sums over all causes,
#
# $$p(x) = \int p(x \mid z)\, p(z)\, dz,$$
#
# and maximum likelihood would maximise it. For a network this integral is out of reach, because almost no $z$ explains a given $x$. So let an *encoder* that looks at $x$ give a distribution $q(z)$ of causes worth trying.
#
# **First derivation: a bound.** With $p(x, z) = p(x \mid z)\, p(z)$, multiply and divide by $q(z)$ under the integral: it becomes a mean over $q$. As the logarithm is concave, the log of a mean is at least the mean of the log (Jensen's inequality; for 1 and 3, $\log 2 = 0.69$ and $\frac12 \log 3 = 0.55$). At the end, $\frac{p(x, z)}{q(z)}$ is $p(x \mid z)$ over $\frac{q(z)}{p(z)}$:
#
# $$\log p(x) = \log \int q(z)\, \frac{p(x, z)}{q(z)}\, dz = \log \mathbb{E}_{z \sim q} \frac{p(x, z)}{q(z)} \;\ge\; \mathbb{E}_{z \sim q} \log \frac{p(x, z)}{q(z)} = \underbrace{\mathbb{E}_{z \sim q} \log p(x \mid z) - \mathrm{KL}\big(q(z) \,\Vert\, p(z)\big)}_{\text{ELBO, the evidence lower bound}} .$$
#
# **Second derivation: what the bound loses.** By Bayes' rule $p(x) = p(x, z) / p(z \mid x)$ for *every* $z$, where the *posterior* $p(z \mid x)$ tells the causes once $x$ is seen. Take the logarithm, average over $q$, add and subtract $\log q(z)$:
#
# $$\log p(x) = \mathbb{E}_{z \sim q} \log \frac{p(x, z)}{q(z)} + \mathbb{E}_{z \sim q} \log \frac{q(z)}{p(z \mid x)} = \mathrm{ELBO} + \mathrm{KL}\big(q(z) \,\Vert\, p(z \mid x)\big) .$$
#
# A KL is never negative: the bound again, now with its gap. Raising the ELBO explains the data better *and* pulls $q$ to the true posterior.
#
# All of this can be checked in a model with one pixel and one latent, $z \sim \mathcal N(0, 1)$ and $x \mid z \sim \mathcal N(z, s^2)$. Then the evidence is $\mathcal N(0, 1 + s^2)$, as variances add, and the posterior, proportional to $e^{-z^2/2 - (x - z)^2 / 2 s^2}$, is $\mathcal N\big(\frac{x}{1 + s^2}, \frac{s^2}{1 + s^2}\big)$: complete the square in $z$. With $q = \mathcal N(\mu, \sigma^2)$, under which $(x - z)^2$ has the mean $(x - \mu)^2 + \sigma^2$, both terms have closed forms:
#
# $$\mathbb{E}_q \log p(x \mid z) = -\tfrac12 \log(2 \pi s^2) - \frac{(x - \mu)^2 + \sigma^2}{2 s^2}, \qquad \mathrm{KL}(q \,\Vert\, p) = \tfrac12 \big(\mu^2 + \sigma^2 - 1 - \log \sigma^2\big) .$$
#
# By hand: $\mu = 1$ and $\sigma = 1$ have a KL of $\frac12$ nat. The cells below take $x = 1.2$, $s^2 = 0.25$, $\mu = 0.6$ and $\log \sigma^2 = -1$.

# %%
agree("KL of normals, by hand", 0.5, divergences.kl_normal(f32([1]), f32([0])))
x, s2, mu, log_variance = 1.2, 0.25, 0.6, -1.0
variance = np.exp(log_variance)


def elbo(mean, log_variance):
    """The closed form, through the library that the chapter on VAEs uses."""
    fit = -0.5 * np.log(2 * np.pi * s2) - ((x - mean) ** 2 + np.exp(log_variance)) / (2 * s2)
    return divergences.elbo(f32(fit), f32([mean]), f32([log_variance]))


z = np.linspace(-10, 10, 20001)  # in steps of 0.001
joint = stats.norm.pdf(z) * stats.norm.pdf(x, z, s2**0.5)
q = stats.norm.pdf(z, mu, variance**0.5)
evidence = float(divergences.log_normal(f32([x]), 0.0, np.log(1 + s2)))
agree("evidence = integral", np.log(np.sum(joint) * 0.001), evidence)
by_jensen = np.sum(q * np.log(joint / q)) * 0.001
agree("ELBO, first derivation", by_jensen, elbo(mu, log_variance))
best_mu, best_variance = x / (1 + s2), s2 / (1 + s2)  # the posterior
gap = divergences.kl_normal(f32([mu]), f32([log_variance]), best_mu, np.log(best_variance))
agree("ELBO, second derivation", by_jensen, evidence - gap)
agree("no gap at the posterior", evidence, elbo(best_mu, np.log(best_variance)))

# %% [markdown]
# ### A closed form against Monte Carlo
#
# Where there is no closed form one averages samples. An honest Monte Carlo figure comes with its **standard error**, the standard deviation of the samples divided by $\sqrt n$: one more digit costs a hundred times as many samples. Here the closed form is known to judge it by.

# %%
rng = np.random.default_rng(0)
z = mu + variance**0.5 * rng.normal(size=draws)
samples = stats.norm.logpdf(z, mu, variance**0.5) - stats.norm.logpdf(z)  # log q(z) - log p(z)
exact = 0.5 * (mu**2 + variance - 1 - log_variance)
agree("KL of normals", exact, divergences.kl_normal(f32([mu]), f32([log_variance])))
estimate, error = divergences.mean_and_error(samples)
assert abs(estimate - exact) < 4 * error
print(f"KL: closed form {exact:.4f}, Monte Carlo {estimate:.4f}, standard error {error:.4f}")

fig, axes = plt.subplots(1, 2, figsize=(12, 3.7), layout="constrained")
means = np.linspace(-0.6, 2.6, 60)
for v, colour, style in [(best_variance, BLUE, "-"), (0.6, ORANGE, "--"), (0.05, GREEN, "-.")]:
    bound = [float(elbo(mean, np.log(v))) for mean in means]
    axes[0].plot(means, bound, style, color=colour, label=rf"$\sigma^2$ = {v:.2f}")
axes[0].axhline(evidence, color="black", lw=1, label=r"evidence, $\log p(x)$")
describe(axes[0], "the ELBO stays below the evidence", r"$\mu$ of q", "ELBO in nats", ylim=(-6, -1))
n = np.unique(np.geomspace(10, draws, 60).astype(int))
mean, error = np.transpose([divergences.mean_and_error(samples[:count]) for count in n])
low, high = mean - 2 * error, mean + 2 * error
axes[1].fill_between(n, low, high, color=BLUE, alpha=0.3, label="two standard errors")
axes[1].plot(n, mean, color=BLUE, label="Monte Carlo")
axes[1].axhline(exact, color="black", lw=1, label="closed form")
describe(axes[1], "KL from samples", "samples", "KL in nats", xscale="log")
plt.show()

# %% [markdown]
# *Left: the ELBO touches the evidence at one point only, where $q$ is the posterior ($\mu = 0.96$, $\sigma^2 = 0.2$). Right: an estimate closing in.*
#
# ## The reparameterisation trick
#
# To train an encoder one needs the derivative of $\mathbb{E}_{z \sim q} f(z)$ by $\mu$, where $f(z) = \log p(x \mid z)$. The difficulty: $\mu$ decides *which* $z$ are drawn, and a draw has no derivative. There are two ways out.
#
# $$\text{score function:}\;\; \mathbb{E}\Big[f(z)\,\frac{z - \mu}{\sigma^2}\Big] \qquad\qquad \text{reparameterised, } z = \mu + \sigma \varepsilon,\; \varepsilon \sim \mathcal N(0, 1){:}\;\; \mathbb{E}\big[f'(\mu + \sigma \varepsilon)\big]$$
#
# The first differentiates the density, $\int f\, \frac{\partial q}{\partial \mu} dz = \int f\, q\, \frac{\partial \log q}{\partial \mu} dz$ with $\log q = -\frac{(z - \mu)^2}{2 \sigma^2} + \text{const}$, and needs only values of $f$ (Williams 1992). The second moves the randomness into $\varepsilon$, which does not depend on $\mu$, so that the derivative passes *through* the sample and uses the slope of $f$. Both are right on average. In our model $\mathbb{E}_q f$, given above, has the derivative $(x - \mu)/s^2 = 0.6/0.25 = 2.4$.

# %%
truth, noise = (x - mu) / s2, rng.normal(size=draws)
assert np.isclose(truth, 2.4)
z = mu + variance**0.5 * noise
path = (x - z) / s2
score = stats.norm.logpdf(x, z, s2**0.5) * (z - mu) / variance
for name, each in [("reparameterised", path), ("score function", score)]:
    estimate, error = divergences.mean_and_error(each)
    assert abs(estimate - truth) < 4 * error
    print(f"{name}: {estimate:.3f}, standard error {error:.3f}, variance {each.var():.1f} a draw")


def mean_f(mean):
    z = divergences.reparameterise(mean, f32([log_variance]), f32(noise[:1000, None]))
    return ops.mean(divergences.log_normal(z, x, np.log(s2)))


agree("autodiff through the sample", [path[:1000].mean()], gradient(mean_f, f32([mu])))

# %% [markdown]
# How much does the trick save? One reparameterised draw, $f'(z) = (x - z)/s^2$, has the variance $\sigma^2 / s^4$. Now put $n$ copies of the model side by side: $n$ pixels, $n$ latents. The slope by one $\mu$ stays what it was, but the score function multiplies by the whole $f$, with the noise of all copies.

# %%
counts, measured = [1, 2, 4, 8, 16, 32, 64], []
for n in counts:
    e = rng.normal(size=(draws // 32, n))
    f = stats.norm.logpdf(x, mu + variance**0.5 * e, s2**0.5).sum(axis=1)
    measured.append(np.var(f * e[:, 0] / variance**0.5))
ratio = np.array(measured) / (variance / s2**2)
print(f"score function: {ratio[0]:.0f} times the variance with 1 latent, {ratio[-1]:,.0f} with 64")

fig, axes = plt.subplots(1, 2, figsize=(12, 3.7), layout="constrained")
for each, colour, name in [(score, RED, "score function"), (path, BLUE, "reparameterised")]:
    axes[0].hist(each, np.arange(-20, 40.1, 0.5), density=True, color=colour, alpha=0.6, label=name)
axes[0].axvline(truth, color="black", lw=1, label="truth, 2.4")
describe(axes[0], "estimates from one draw", "derivative by $\\mu$", "density", yscale="log")
axes[1].loglog(counts, measured, "o-", color=RED, label="score function, measured")
axes[1].axhline(variance / s2**2, color=BLUE, label=r"reparameterised, $\sigma^2 / s^4$")
describe(axes[1], "what the trick saves", "number of latents", "variance of one draw")
plt.show()

# %% [markdown]
# *Both have the same mean, but the score function has long tails (cut off at the frame), and more so with many latents.*
#
# ## Break it on purpose
#
# Four classic mistakes, each with its number before and after. None raises an error.
#
# **Softmax without subtracting the largest logit.** $e^{89}$ is more than float32 can hold. Subtracting one number $m$ from all logits changes nothing on paper: $e^{-m}$ cancels above and below.
#
# **KL averaged instead of summed.** A `mean` over $n$ latents divides the KL by $n$, while the fit is still summed over the pixels. In our model the best variance of $q$ becomes $s^2/(n + s^2)$ instead of $s^2/(1 + s^2)$: the encoder is nearly deterministic, its codes no longer have the variance 1 of the prior from which pictures will be drawn, and the true bound is far lower. Here with $n = 32$ pixels and latents, on average over the model's own data:

# %%
a = f32([[100, 50, 0], [2, 1, 0]])
with np.errstate(over="ignore", invalid="ignore"):
    naive = np.exp(a) / np.exp(a).sum(-1, keepdims=True)
careful = np.exp(a - a.max(-1, keepdims=True))
careful = careful / careful.sum(-1, keepdims=True)
print("softmax of (100, 50, 0): naive", naive[0], " careful", careful[0].round(3))
assert np.isnan(naive[0, 0])
agree("careful softmax", careful, ops.softmax(a))

n = 32
for name, weight in [("KL summed  ", 1.0), ("KL averaged", 1 / n)]:
    shrink = 1 / (1 + weight * s2)  # the best mu is shrink * x
    spread = weight * s2 * shrink  # and the best variance of q
    codes = shrink**2 * (1 + s2) + spread  # variance of all codes: that of x is 1 + s2
    fit = -0.5 * np.log(2 * np.pi * s2) - ((1 - shrink) ** 2 * (1 + s2) + spread) / (2 * s2)
    bound = n * (fit - 0.5 * (codes - 1 - np.log(spread)))
    print(f"{name}: variance of q {spread:.4f}, of all codes {codes:.2f}, ELBO {bound:.1f} nats")

# %% [markdown]
# **A kernel that the stride does not divide.** With $k = 3$ and $s = 2$ the stamps overlap twice, once, twice, once: a constant map comes out as a checkerboard (Odena et al. 2016).
#
# **A mask resized bilinearly.** Class numbers are names, not quantities. Half-way between background, 0, and bag, 5, lies 2.5, and rounding makes it trousers: every outline grows a seam of classes that are not there. Resize masks with `nearest`.

# %%
constant, boards = np.ones((1, 12, 12, 1)), {}
for k in (3, 4):
    kernel = np.full((k, k, 1, 1), 4 / k**2)
    out = ops.conv_transpose(f32(constant), f32(kernel), strides=2, padding="valid")
    boards[k] = ops.convert_to_numpy(out)[0, 4:-4, 4:-4, 0]
    print(f"kernel {k}: 1 comes out between {boards[k].min():.2f} and {boards[k].max():.2f}")

resized = {}
for method in ("nearest", "bilinear"):
    larger = ops.image.resize(f32(masks[..., None]), (192, 192), interpolation=method)
    resized[method] = np.round(ops.convert_to_numpy(larger))[..., 0].astype(int)
    pairs = zip(resized[method], masks, strict=True)
    wrong = [np.mean(~np.isin(new, np.unique(old))) for new, old in pairs]
    print(f"{method}: {100 * np.mean(wrong):.2f} % of the pixels have a class not in their scene")
worst = int(np.argmax(wrong))

fig, axes = plt.subplots(1, 4, figsize=(12, 3.3), layout="constrained")
for axis, k in zip(axes, boards, strict=False):
    image = panel(axis, boards[k], f"ones, kernel {k}, stride 2", cmap="cividis", vmin=0, vmax=2)
fig.colorbar(image, ax=axes[1], shrink=0.7, label="value (should be 1)")
for axis, method in zip(axes[2:], resized, strict=True):
    panel(axis, pw.plot.colour_mask(resized[method][worst]), method)
plt.show()

# %% [markdown]
# *Left: uneven overlap, and its cure. Right: one mask, enlarged in two ways.*
#
# ## What the source article says, and what is true
#
# The book follows an article section by section; [the errata](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md) list all corrections. Its sections 2, 3.1.3 and 3.2.3 should hold the mathematics, but contain not one formula.
#
# | section | the article says | what is true | shown above |
# |---|---|---|---|
# | 2.1, 2.3 | detection first segments the picture; generation then fills in what is missing | detection answers with boxes and needs no segments (Ren et al. 2015). What both halves share is this mathematics | boxes; cross-entropy = H + KL |
# | 3.1.3 | softmax maps features to classes | a layer with one output per class makes *logits*; softmax makes them probabilities, pixel by pixel. What is minimised, the cross-entropy, is missing | cross-entropy |
# | 3.1.3 | pooling makes maps smaller | it also widens the receptive field and loses the place; nothing in the article brings it back | receptive field, transposed convolution |
# | 3.1.3 | instance masks come from dense and 1 x 1 layers and a softmax | from convolutions and a *sigmoid* for each class: a mask AP (a score out of 100) of 30.3, against 24.8 for softmax (He et al. 2017, table 2) | exercise 4 |
# | 3.2.3 | a GAN is a "binary optimisation problem" | a game of two players, $\min_q \max_D V$ | two players |
# | 3.2.3 | a VAE maximises "downsampling anonymity (ELBO)" | the evidence lower bound on $\log p(x)$ | the ELBO, twice |
#
# ## Exercises
#
# Replace `pw.exercises.todo()` by your answer, then run the check below it. The solutions are in `chapters/solutions/`.
#
# %% [markdown] tags=["exercise"]
# ### Exercise 1: sizes
#
# Write `output_size(n, k, s, p, d)`, the number of outputs of a convolution along one side, and `padding_that_keeps_the_size(k, d)`: how many zeros on each side leave the size as it is?


# %% tags=["exercise"]
def output_size(n, k, s=1, p=0, d=1):
    # BEGIN SOLUTION
    return (n + 2 * p - d * (k - 1) - 1) // s + 1
    # END SOLUTION


def padding_that_keeps_the_size(k, d):
    """For an odd k and stride 1."""
    # BEGIN SOLUTION
    return d * (k - 1) // 2
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("1"):
    for n, k, s, p, d in [(7, 3, 2, 1, 1), (96, 7, 2, 3, 1), (33, 3, 1, 6, 6), (10, 2, 3, 0, 1)]:
        expected = convolution.output_size(n, k, s, p, d)
        case = f"(n, k, s, p, d) = {(n, k, s, p, d)}"
        assert output_size(n, k, s, p, d) == expected, f"{case} gives {expected}."
    assert padding_that_keeps_the_size(3, 6) == 6, "A 3 x 3 kernel with dilation 6 needs 6 zeros."
    assert padding_that_keeps_the_size(7, 1) == 3, "A 7 x 7 kernel without dilation needs 3 zeros."

# %% [markdown] tags=["exercise"]
# ### Exercise 2: what a pixel sees
#
# Write `sees(layout)` for a list of `(kernel, stride, dilation)`: the size of the receptive field. Then choose dilations for five 3 x 3 layers of stride 1 with which the last one sees 63 pixels in a row and skips none.


# %% tags=["exercise"]
def sees(layout):
    # BEGIN SOLUTION
    size = step = 1
    for kernel, stride, dilation in layout:
        size += dilation * (kernel - 1) * step
        step *= stride
    return size
    # END SOLUTION


def five_dilations():
    # BEGIN SOLUTION
    return [1, 2, 4, 8, 16]
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("2"):
    for layout in [[(3, 1, 1)] * 3, [(7, 2, 1), (3, 2, 1), (3, 1, 2)], [(4, 2, 1), (2, 2, 1)]]:
        expected = receptive_field.computed(layout).size
        assert sees(layout) == expected, f"{layout} sees {expected} pixels."
    assert len(five_dilations()) == 5, "Give five dilations."
    size, reached = sees([(3, 1, d) for d in five_dilations()]), {0}
    assert size == 63, "The five layers should see 63 pixels."
    for d in five_dilations():
        reached = {place + step for place in reached for step in (-d, 0, d)}
    assert len(reached) == 63, "The five layers skip some of the 63 pixels."

# %% [markdown] tags=["exercise"]
# ### Exercise 3: stamps
#
# Write the one-dimensional transposed convolution (padding "valid") with one loop, and do not build a matrix. The check compares it with the transposed matrix.


# %% tags=["exercise"]
def stamp(values, kernel, stride):
    # BEGIN SOLUTION
    out = np.zeros((len(values) - 1) * stride + len(kernel))
    for i, value in enumerate(values):
        out[i * stride : i * stride + len(kernel)] += value * np.asarray(kernel)
    return out
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("3"):
    for n, k, s in [(2, 3, 2), (4, 4, 2), (5, 2, 3), (3, 3, 1)]:
        rng = np.random.default_rng(n)
        values, kernel = rng.normal(size=n), rng.normal(size=k)
        size = (n - 1) * s + k
        matrix = np.zeros((n, size))
        for i in range(n):
            matrix[i, i * s : i * s + k] = kernel
        found = np.asarray(stamp(values, kernel, s))
        assert found.shape == (size,), f"{n} values, kernel {k}, stride {s} give {size} outputs."
        assert np.allclose(found, matrix.T @ values), "Stamp the kernel as it is; overlaps add up."

# %% [markdown] tags=["exercise"]
# ### Exercise 4: binary cross-entropy without overflow
#
# With a sigmoid instead of a softmax each class answers yes or no for itself; Mask R-CNN and the discriminators of GANs do so. The loss of a logit $a$ with target $t$ is $-t \log \sigma(a) - (1 - t) \log(1 - \sigma(a))$. Simplify it until it survives $a = \pm 1000$, and give its derivative by $a$. (Hint: $\log(1 + e^a)$ is also $a + \log(1 + e^{-a})$, and one of the two never overflows.)


# %% tags=["exercise"]
def binary_cross_entropy(a, t):
    # BEGIN SOLUTION
    return np.maximum(a, 0) - a * t + np.log1p(np.exp(-np.abs(a)))
    # END SOLUTION


def its_derivative(a, t):
    # BEGIN SOLUTION
    return (1 + np.tanh(a / 2)) / 2 - t  # the sigmoid, in a form that never overflows
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("4"):
    a, t = np.array([-1000.0, -2, 0, 0.5, 3, 1000]), np.array([1.0, 0, 1, 0, 1, 0])
    found = binary_cross_entropy(a, t)
    assert np.all(np.isfinite(found)), "The loss must stay finite for a = 1000 and a = -1000."
    expected = [1000, 0.126928, 0.693147, 0.974077, 0.048587, 1000]
    assert np.allclose(found, expected, atol=1e-5), "The loss differs from log(1 + exp(a)) - a t."
    slope = gradient(lambda a: ops.sum(ops.softplus(a) - ops.multiply(a, f32(t))), f32(a))
    close = np.allclose(its_derivative(a, t), slope, atol=1e-5)
    assert close, "The derivative is what you said minus what is true."

# %% [markdown] tags=["exercise"]
# ### Exercise 5: a measure with a taste
#
# The soft **Tversky index** is $\sum p t / \big(\sum p t + \alpha \sum p (1 - t) + \beta \sum (1 - p) t\big)$: $\alpha$ is the price of false alarms, $\beta$ of misses. Write it, and find the $\alpha = \beta$ that make it Dice and those that make it IoU.


# %% tags=["exercise"]
def tversky(p, t, alpha, beta):
    # BEGIN SOLUTION
    hits = np.sum(p * t)
    return hits / (hits + alpha * np.sum(p * (1 - t)) + beta * np.sum((1 - p) * t))
    # END SOLUTION


def alpha_of_dice_and_of_iou():
    # BEGIN SOLUTION
    return 0.5, 1.0
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("5"):
    p, t = np.array([0.9, 0.6, 0.2, 0.4]), np.array([1.0, 1, 0, 0])
    assert np.isclose(tversky(p, t, 0.3, 0.7), 1.5 / 2.03), "The formula gives 1.5 / 2.03."
    measures = (losses.soft_dice, losses.soft_iou)
    for alpha, measure in zip(alpha_of_dice_and_of_iou(), measures, strict=True):
        expected = float(measure(p, t, axis=0, smooth=0.0))
        found = tversky(p, t, alpha, alpha)
        assert np.isclose(found, expected), f"alpha = {alpha} does not make it {measure.__name__}."

# %% [markdown] tags=["exercise"]
# ### Exercise 6: help for the score function
#
# The score $(z - \mu)/\sigma^2$ has the mean 0. So a constant $b$, a *baseline*, may be taken from $f$ without changing the mean of the estimator, and the right one saves variance. Write the estimator with the mean of $f$ over the draws as $b$. (It shifts the mean by a share of $1/n$ only.)


# %% tags=["exercise"]
def score_with_baseline(f, z, mu, variance):
    """One estimate of the derivative for each draw z, f being the values f(z)."""
    # BEGIN SOLUTION
    return (f - f.mean()) * (z - mu) / variance
    # END SOLUTION


# %% tags=["check"]
with pw.exercises.check("6"):
    z = 0.6 + 0.8 * np.random.default_rng(0).normal(size=100_000)
    f = -((1.2 - z) ** 2) / 0.5 - 3.0  # the derivative of its mean is (1.2 - 0.6) / 0.25 = 2.4
    with_baseline, plain = score_with_baseline(f, z, 0.6, 0.64), f * (z - 0.6) / 0.64
    assert with_baseline.shape == z.shape, "Return one estimate for each draw."
    assert abs(with_baseline.mean() - 2.4) < 0.1, "The mean must stay the derivative, 2.4."
    assert with_baseline.var() < 0.5 * plain.var(), (
        "The baseline should halve the variance at least."
    )

# %% [markdown]
# ## How well did hand and library agree?
#
# The headline of this chapter is the number of digits on which the *worst* of its equations agreed.

# %%
print(f"{len(EQUATIONS)} equations asserted; these agree least:")
for equation in sorted(EQUATIONS, key=EQUATIONS.get)[:-5:-1]:
    print(f"  {equation}: {-np.log10(EQUATIONS[equation]):.1f} digits")
digits = -np.log10(max(EQUATIONS.values()))
pw.budget.headline("01_mathematics", digits, "digits agreed, worst equation")

# %% [markdown]
# ## Summary
#
# - A convolution is a small detector used everywhere. It gives $\lfloor (n + 2p - d(k-1) - 1)/s \rfloor + 1$ outputs, and each layer adds $d(k-1)j$ to what a pixel sees.
# - A transposed convolution is $M^{\mathsf T}$: it stamps. Let the stride divide the kernel, and start from the bilinear one.
# - Softmax with cross-entropy has the gradient *said minus true*. Void pixels count nowhere. IoU and Dice count only pixels that somebody claimed.
# - Cross-entropy is a KL divergence. A GAN reaches JS through a discriminator that learns $p/(p+q)$.
# - A VAE maximises the ELBO, which misses the evidence by the KL from the posterior, and trains through $z = \mu + \sigma\varepsilon$.
#
# The code behind this chapter is in `lib/pixelwise/nn/`; `tests/mathematics/` asserts the same equations on many more cases, on TensorFlow, JAX and PyTorch.
#
# **Further reading.**
#
# - Convolution arithmetic: Dumoulin and Visin 2016, arXiv [1603.07285](https://arxiv.org/abs/1603.07285). Pyramid pooling: He, Zhang, Ren and Sun 2014, arXiv [1406.4729](https://arxiv.org/abs/1406.4729).
# - Receptive fields: Araujo, Norris and Sim 2019, [doi 10.23915/distill.00021](https://doi.org/10.23915/distill.00021); Luo, Li, Urtasun and Zemel 2016, arXiv [1701.04128](https://arxiv.org/abs/1701.04128).
# - Upsampling and the loss of a pixel: Long, Shelhamer and Darrell 2015, arXiv [1411.4038](https://arxiv.org/abs/1411.4038); Odena, Dumoulin and Olah 2016, [doi 10.23915/distill.00003](https://doi.org/10.23915/distill.00003); Milletari, Navab and Ahmadi 2016, arXiv [1606.04797](https://arxiv.org/abs/1606.04797).
# - Detection: Ren, He, Girshick and Sun 2015, arXiv [1506.01497](https://arxiv.org/abs/1506.01497); He, Gkioxari, Dollár and Girshick 2017, arXiv [1703.06870](https://arxiv.org/abs/1703.06870).
# - GANs: Goodfellow et al. 2014, arXiv [1406.2661](https://arxiv.org/abs/1406.2661); Arjovsky, Chintala and Bottou 2017, arXiv [1701.07875](https://arxiv.org/abs/1701.07875).
# - VAEs: Kingma and Welling 2014, arXiv [1312.6114](https://arxiv.org/abs/1312.6114); Rezende, Mohamed and Wierstra 2014, arXiv [1401.4082](https://arxiv.org/abs/1401.4082). The score function: Williams 1992, [doi 10.1007/BF00992696](https://doi.org/10.1007/BF00992696).
#
# **How to cite.** *The mathematics of pixels*, in *Pixelwise: image segmentation and generation, from the mathematics to running code*; the entry to copy stands in [CITATION.cff](https://github.com/pixelwise-book/pixelwise/blob/main/CITATION.cff), those of the papers in the [bibliography](https://github.com/pixelwise-book/pixelwise/blob/main/BIBLIOGRAPHY.bib). Text and figures are CC BY 4.0, code is Apache-2.0.
