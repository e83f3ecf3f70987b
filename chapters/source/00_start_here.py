# %% [markdown]
# # Start here
#
# [![Open in Colab](https://colab.research.google.com/assets/colab-badge.svg)](https://colab.research.google.com/github/pixelwise-book/pixelwise/blob/main/chapters/00_start_here.ipynb)
#
# This is a book that runs. Every picture you see was drawn by the cell above it, every number was measured, and every formula is executed. All the data and all the weights it needs came with it: no account, no download, no GPU.
#
# **After this chapter you can**
#
# - run any chapter, on a laptop, on Colab or on Kaggle, and know what it will cost;
# - segment a picture with a trained network, and paint a garment that never existed;
# - find the code behind a chapter, make a recorded number again, and cite it.
#
# **Time and memory:** 24<!-- result chapters 00_start_here.quick.seconds --> seconds and 879<!-- result chapters 00_start_here.quick.peak_memory_mib --> MiB on two cores without a GPU. A GPU is not needed.

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

# %% [markdown]
# ## Your first segmentation
#
# *Segmentation* gives every pixel of a picture a class. Here are six pictures, and what a trained network makes of them. It has never seen them, neither the clothes nor the places.

# %%
from pixelwise import plot
from pixelwise.metrics import segmentation as seg
from pixelwise.models.fcn import fcn

scenes = pw.data.load("wardrobe", "test", size=96, batch_size=6)
network = pw.weights.checkpoint(fcn(scenes.num_classes, "8s"), "fcn8s_wardrobe")  # chapter 02

# %%
images, masks = scenes[5]  # batch number 5: six pictures, and the true class of every pixel
answers = seg.predict(network, images)  # the class of every pixel, as the network sees it
rows = [
    ("picture", images),
    ("network", [plot.overlay(i, a) for i, a in zip(images, answers)]),
    ("truth", [plot.overlay(i, m) for i, m in zip(images, masks)]),
]
plot.legend(plot.grid(rows, scale=1.5), scenes.classes)
plt.show()

# %% [markdown]
# *Each colour is a class; what has kept its own colours is background. The network errs most where garments overlap and where they are thin.*
#
# Two lines load the scenes and the network, two more ask it; the rest draws. The chapter *Fully convolutional networks* builds this network from its parts, and trains one like it in a minute or two.
#
# ## Your first generated garment
#
# *Generation* makes new pictures that look like given ones. The oldest way that deserves the name needs no network at all. Take 1,200 photographs of trousers, 28 x 28 = 784 pixels each, and their mean. A *direction* is 784 numbers that can be added to the mean in any amount. Find the 40 directions in which the photographs differ most (their principal components; `svd` gives them, widest first), and how widely they spread along each. Then throw dice: draw 40 random numbers, go that far along each direction, and look where you are. The same again with boots.

# %%
garments, kinds = pw.data.load("fashion", "train")
trousers = garments[kinds == 1].reshape(-1, 784) / 255
boots = garments[kinds == 9].reshape(-1, 784) / 255


def generate(examples, count, rng, directions=40):
    """Draws new pictures from a normal distribution along the main directions of variation."""
    mean = examples.mean(axis=0)
    _, spread, axes = np.linalg.svd(examples - mean, full_matrices=False)  # a direction a row
    deviation = spread[:directions] / np.sqrt(len(examples))  # standard deviation along each
    latent = rng.normal(size=(count, directions))  # the dice
    pictures = mean + (latent * deviation) @ axes[:directions]
    return np.clip(pictures, 0, 1).reshape(-1, 28, 28)


# %%
rng = np.random.default_rng(3)
rows = [
    ("photographs", [*trousers[:4].reshape(-1, 28, 28), *boots[:4].reshape(-1, 28, 28)]),
    ("generated", [*generate(trousers, 4, rng), *generate(boots, 4, rng)]),
]
plot.grid(rows, scale=1.3)
plt.show()

# %% [markdown]
# The second row never existed. You can tell: it is blurred, because 40 directions hold no fine detail, and independent dice mix what does not go together. The *latent* (hidden) numbers that were drawn, the normal distribution they are drawn from, the way back from numbers to pixels: a variational autoencoder has the same parts, with networks in place of the straight lines, and the chapter *The mathematics of pixels* derives what it optimises. A generative adversarial network does away with the blur.
#
# ## Both at once
#
# The two halves of the book meet when what one half paints, the other half finds. We lay generated garments on photographs, with the composer that makes all scenes of this book (it also turns and dyes them), and let the network segment them.

# %%
from pixelwise.data import backgrounds
from pixelwise.data.scenes import compose

cloth = np.concatenate([generate(trousers, 20, rng), generate(boots, 20, rng)])
labels = np.repeat([2, 4], 20)  # trousers and shoe, in the classes of the wardrobe
rooms = backgrounds.load("test")
made = [compose(np.uint8(255 * cloth), labels, rooms, rng, 96, objects=(3, 4)) for _ in range(6)]
pictures = np.stack([scene.image for scene in made]).astype("float32") / 255
truth = np.stack([scene.semantic for scene in made]).astype(int)
found = seg.predict(network, pictures)
rows = [
    ("composed", pictures),
    ("found", [plot.overlay(picture, mask) for picture, mask in zip(pictures, found)]),
    ("truth", [plot.overlay(picture, mask) for picture, mask in zip(pictures, truth)]),
]
plot.legend(plot.grid(rows, scale=1.5), scenes.classes)
plt.show()

# %%
cloth_found = ((found > 0) & (truth > 0)).sum() / (truth > 0).sum()  # as a garment of any class
print(f"{cloth_found:.0%} of the generated cloth was found")

test = pw.data.load(
    "wardrobe", "test", size=96, num_batches=pw.budget.get("00_start_here", "batches")
)
pw.budget.headline("00_start_here", seg.evaluate(network, test)["mean_iou"], "test mIoU")

# %% [markdown]
# The last line is the *headline* of this chapter: each chapter ends up at one number, with a floor that it must reach on your machine too. Here it is the *mean IoU* (mIoU; intersection over union) of the network on the first test scenes: for each class, the pixels that answer and truth share, divided by those that at least one of them has; then the mean over the six classes. 1 is perfect. The *recorded* figure beside it comes from all 400 test scenes.
#
# ## How the book works
#
# The chapters build on each other; read them in order.
#
# | | chapter | what it is about |
# |---|---|---|
# | 00 | Start here | this page |
# | 01 | [The mathematics of pixels](01_mathematics.ipynb) | convolution and its transpose, losses, IoU, and what generation optimises |
# | 02 | [Fully convolutional networks](02_fcn.ipynb) | from naming pictures to naming pixels |
# | 03 | [DeepLab](03_deeplab.ipynb) | a wide view without a coarse map, and outlines that follow the picture |
# | 04 | [Mask R-CNN](04_mask_rcnn.ipynb) | each object by itself: boxes first, then masks |
# | 05 | [Instance SegNet](05_instance_segnet.ipynb) | regions seen at several scales at once, and what each part is worth |
# | 06 | [GAN](06_gan.ipynb) | pictures from noise, by a game of two networks |
# | 07 | [VAE](07_vae.ipynb) | pictures from a latent space that one can also read, and a bound on their probability |
# | 08 | [Segment, then generate](08_segment_then_generate.ipynb) | both halves at work: take an object out, paint pictures to learn from |
# | 09 | [Choosing](09_choosing.ipynb) | all models side by side, and how not to be fooled |
#
# Each chapter starts with the picture of its answer and explains one idea at a time on an example small enough to work by hand: by hand, in NumPy and in Keras, asserted equal. Chapters 02 to 08 then train and measure, and most of them break things on purpose. The exercises at the end have checks; the solutions are in `chapters/solutions/`, executed.
#
# The code that a chapter explains is in `lib/pixelwise/`, in files meant to be read. Keras runs on TensorFlow here, and on JAX or PyTorch if you set `KERAS_BACKEND`.
#
# ## The machine it found
#
# How much a chapter trains depends on the *budget*: `smoke` runs every cell in seconds (it is what the tests use), `quick` is for a laptop, and `full` is the recipe as recorded, for a GPU. It is chosen for you; the environment variable `PIXELWISE_BUDGET` overrides it.

# %%
import platform

accelerator = pw.budget.accelerator()
print("budget   ", pw.budget.current().name)
print("device   ", accelerator or "CPU")
print("backend  ", keras.backend.backend())
print("Keras    ", keras.__version__)
print("Python   ", platform.python_version())
print("pixelwise", pw.__version__)

# %% [markdown]
# ## Three ways to run it
#
# **In a clone**, with Python 3.11 or later:
#
# ```
# git clone https://github.com/pixelwise-book/pixelwise && cd pixelwise
# pip install -r requirements.txt && pixelwise run
# jupyter lab chapters
# ```
#
# The second line installs what the book needs, runs all chapters and writes readable pages to `build/`; `pixelwise run 2` runs one, and `pixelwise run --resume` goes on where you stopped. The third is the interactive way.
#
# **On Colab.** Press the badge on top of a chapter and run the first code cell: it fetches the book and touches no installed package. Choose a GPU under *Runtime, Change runtime type*, and the same notebook takes the full budget by itself.
#
# **On Kaggle.** *File, Import notebook*, give the address of the chapter on GitHub, and switch *Internet* on in the settings, so that the first cell can fetch the book.
#
# ## Numbers you can make again
#
# What the text calls *recorded* stands in `results/`, one file a training, with its seed, the versions, the device and the command that makes it again. `pixelwise results` lists them all.

# %%
record = pw.results.read("fcn8s_wardrobe")
for key in ("description", "command", "seed", "steps", "device"):
    print(f"{key:12s}{record[key]}")
print(
    f"{'mean IoU':12s}{record['test']['mean_iou']:.3f} on {record['test']['pictures']} test scenes"
)

# %% [markdown]
# ## What this book corrects
#
# The order of the chapters follows an article (in Chinese) that explains segmentation and generation in one sweep and is often wrong; its code does not run. Each chapter says what the article says and what is true, and [ERRATA.md](https://github.com/pixelwise-book/pixelwise/blob/main/ERRATA.md) has the whole list with sources. Two of its ideas for this chapter:
#
# | The article | What is true |
# |---|---|
# | Detection needs a segmentation first, to tell objects apart. | The usual detectors find boxes directly from features; a mask, where there is one, comes after the box or beside it (chapter on Mask R-CNN). |
# | Segmentation and generation meet because generation completes what is missing. | That is one way, inpainting. They also share their parts (encoders, decoders, transposed convolutions), and scenes put together from parts, whose masks are therefore known, train segmentation: every scene in this book is one. What painted pictures teach is measured in the chapter *Segment, then generate*. |
#
# ## How to cite
#
# *The Pixelwise authors, Pixelwise: image segmentation and generation, from the mathematics to running code, 2026.* The file `CITATION.cff` in the repository has the entry; on GitHub, *Cite this repository* gives it as BibTeX. Text and figures are CC BY 4.0, code is Apache-2.0; the data keep their own licences, listed in `data/MANIFEST.json`.
#
# ## Summary
#
# You segmented pictures, painted others, and know where everything is. The next chapter is the mathematics behind both.
