"""Makes chapters/cover.png, the picture of the README, from the recorded network.

python data/build/cover.py
"""

import numpy as np
from PIL import Image

import pixelwise as pw
from pixelwise import paths, plot
from pixelwise.data import backgrounds, scenes, wardrobe
from pixelwise.metrics import segmentation as seg
from pixelwise.models.fcn import fcn

SCENES = (0, 1, 9, 12, 20, 31)  # of the test split
SHOWN = 160  # pixels a picture in the cover


def row(pictures):
    """One row of the cover: pictures enlarged without smoothing, with a white gap."""
    large = [
        np.asarray(Image.fromarray(np.uint8(255 * p)).resize((SHOWN, SHOWN), Image.NEAREST))
        for p in pictures
    ]
    gap = np.full((SHOWN, 6, 3), 255, np.uint8)
    return np.concatenate([part for picture in large for part in (picture, gap)][:-1], axis=1)


def generated(rng, kind, count):
    """Garments drawn from a normal distribution along 40 principal components; chapter 0."""
    garments, kinds = pw.data.load("fashion", "train")
    examples = garments[kinds == kind].reshape(-1, 784) / 255
    mean = examples.mean(axis=0)
    _, spread, axes = np.linalg.svd(examples - mean, full_matrices=False)
    latent = rng.normal(size=(count, 40)) * spread[:40] / np.sqrt(len(examples))
    return np.clip(mean + latent @ axes[:40], 0, 1).reshape(-1, 28, 28)


def main():
    network = pw.weights.checkpoint(fcn(len(wardrobe.CLASSES), "8s"), "fcn8s_wardrobe")
    data = pw.data.load("wardrobe", "test", size=96)
    images = np.stack([data.scene(k).image for k in SCENES]).astype("float32") / 255
    rng = np.random.default_rng(11)
    cloth = np.concatenate([generated(rng, kind, 12) for kind in (1, 9, 2)])
    labels = np.repeat([2, 4, 1], 12)
    made = [
        scenes.compose(
            np.uint8(255 * cloth), labels, backgrounds.load("test"), rng, 96, objects=(3, 4)
        )
        for _ in range(3)
    ]
    painted = np.stack([scene.image for scene in made]).astype("float32") / 255
    found = [
        plot.overlay(i, m) for i, m in zip(painted, seg.predict(network, painted), strict=True)
    ]
    answers = [
        plot.overlay(i, m) for i, m in zip(images, seg.predict(network, images), strict=True)
    ]
    last = [picture for pair in zip(painted, found, strict=True) for picture in pair]
    rows = [row(images), row(answers), row(last)]
    gap = np.full((6, rows[0].shape[1], 3), 255, np.uint8)
    cover = np.concatenate([part for line in rows for part in (line, gap)][:-1], axis=0)
    path = paths.chapters_dir() / "cover.png"
    Image.fromarray(cover).save(path, optimize=True)
    print(path.name, cover.shape, f"{path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
