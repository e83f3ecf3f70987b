"""Pictures with holes to fill: removed garments of the wardrobe, whose background is known.

For training a hole is laid on a picture that is whole: the picture itself is the truth, and nobody
has to label anything. Measured is on what a hole is for: a garment is taken out of a scene, and the
truth is the same scene, composed without it. Chapter 8.
"""

import dataclasses

import keras
import numpy as np
from PIL import Image, ImageDraw

from pixelwise import checks, holes
from pixelwise.data import backgrounds, options, order, pictures, scenes, splits, wardrobe

LEAST = 0.01  # share of the picture that a garment must cover to be taken out
STROKES = 0.25  # share of the training pictures whose hole is strokes in the place of garments
OBJECTS = (0, 3)  # garments that lie about in a training picture


@dataclasses.dataclass(frozen=True)
class Example:
    """A picture, its hole, and what is behind.

    Attributes:
        image: uint8 ``(height, width, 3)``.
        hole: bool ``(height, width)``, True where the picture is to be filled.
        truth: uint8 ``(height, width, 3)``, what the hole hides.
        scene: the ``scenes.Scene`` of the image.
        number: of the garment that is taken out, as in ``scene.instances``; 0 in training.
    """

    image: np.ndarray
    hole: np.ndarray
    truth: np.ndarray
    scene: scenes.Scene
    number: int


class Removal(keras.utils.PyDataset):
    """Batches of pictures, holes and what belongs there; batch ``i`` is always the same.

    The scenes of validation and test are those of the wardrobe with the same size: number ``i`` of
    one is number ``i`` of the other.

    Args:
        split: ``"train"``, ``"validation"`` or ``"test"``, the wardrobe's.
        size: side of the pictures in pixels, or ``(height, width)``.
        batch_size: pictures a batch.
        seed, num_batches, varied: as for ``wardrobe.Wardrobe``.
        grow: pixels by which a garment's mask is grown to a hole; ``None`` covers the shadow: 4 at
            64 pixels.
        **kwargs: ``workers``, ``use_multiprocessing``, ``max_queue_size`` of ``PyDataset``.

    Raises:
        ValueError: if the split or an option is unknown, or a value is not possible.
    """

    def __init__(
        self,
        split="train",
        size=64,
        batch_size=16,
        seed=None,
        num_batches=None,
        varied=None,
        grow=None,
        **kwargs,
    ):
        options.check(Removal, batch_size, num_batches, seed, kwargs)
        self.scenes = wardrobe.Wardrobe(split, size, batch_size, seed, num_batches, varied)
        kwargs.setdefault("workers", 2)
        kwargs.setdefault("max_queue_size", 8)
        super().__init__(**kwargs)
        self.split, self.size = split, pictures.as_size(size)
        self.batch_size, self.seed = batch_size, self.scenes.seed
        if grow is None:
            grow = scenes.shadow_reach(*self.size)
        checks.whole("grow", grow, 0)
        self.grow = grow

    @property
    def num_batches(self):
        return self.scenes.num_batches

    def example(self, index):
        """Returns number ``index`` of this split and seed, an ``Example``."""
        return self._laid(index) if self.split == "train" else self._taken_out(index)

    def __getitem__(self, index):
        """Returns batch ``index``.

        Returns:
            ``({"images", "holes"}, truth)``: images and truth float32 ``(b, h, w, 3)`` in [0, 1],
            holes bool ``(b, h, w)``. What an image shows in its hole is not for the model.
        """
        numbers = order.positions(index, self.batch_size, self.num_batches)
        found = [self.example(number) for number in numbers]
        images, truth = (
            _fractions([getattr(e, name) for e in found]) for name in ("image", "truth")
        )
        return {"images": images, "holes": np.stack([e.hole for e in found])}, truth

    def _generator(self, index):
        return np.random.default_rng([self.seed, splits.NUMBERS[self.split], index])

    def _compose(self, rng, **options):
        garments = wardrobe.garments(self.split)
        ground = backgrounds.load(self.split)
        varied = self.scenes.varied
        return scenes.compose(*garments, ground, rng, self.size, varied=varied, **options)

    def _laid(self, index):
        """A hole somewhere on a picture."""
        rng = self._generator(index)
        scene = self._compose(rng, objects=OBJECTS)
        hole = np.ones(self.size, bool)
        while not 0 < hole.mean() < 0.7:
            if rng.random() < STROKES:
                hole = strokes(rng, *self.size)
            else:
                images, _ = wardrobe.garments(self.split)
                cloth = scenes.silhouette(images[rng.integers(len(images))], rng, *self.size)
                hole = holes.grow(cloth, self.grow)
        return Example(scene.image, hole, scene.image, scene, 0)

    def _taken_out(self, index):
        """A garment's place in a scene, and the scene without it."""
        scene = self._compose(self._generator(index))
        shares = np.bincount(scene.instances.ravel(), minlength=len(scene.classes) + 1)[1:]
        choices = 1 + np.flatnonzero(shares >= LEAST * scene.instances.size)
        chosen = np.random.default_rng([self.seed, index]).choice(choices)
        number = int(chosen)
        truth = self._compose(self._generator(index), without=number).image
        hole = holes.grow(scene.instances == number, self.grow)
        return Example(scene.image, hole, truth, scene, number)


def strokes(rng, height, width, count=(1, 4)):
    """Draws a hole of strokes, as if someone had wiped over the picture.

    Args:
        rng: ``numpy.random.Generator``.
        height, width: of the picture, in pixels.
        count: fewest and most strokes.

    Returns:
        bool ``(height, width)``.

    Source: after Yu et al. 2019, section 3.3 (free-form masks).
    """
    stencil = Image.new("L", (width, height))
    draw = ImageDraw.Draw(stencil)
    side = min(height, width)
    for _ in range(int(rng.integers(count[0], count[1] + 1))):
        point, angle = rng.uniform(0, 1, 2) * (width, height), rng.uniform(0, 2 * np.pi)
        breadth = rng.uniform(0.06, 0.16) * side
        for _ in range(int(rng.integers(2, 6))):
            angle += rng.uniform(-1.2, 1.2)
            reach = rng.uniform(0.1, 0.3) * side
            after = point + reach * np.array([np.cos(angle), np.sin(angle)])
            draw.line([*map(float, (*point, *after))], fill=255, width=max(1, round(breadth)))
            corner = after - breadth / 2
            draw.ellipse([*map(float, (*corner, *(corner + breadth)))], fill=255)
            point = after
    return np.asarray(stencil) > 0


def _fractions(images):
    return np.stack(images).astype("float32") / 255


def load(split="train", **options):
    """Loads the removals; see ``Removal`` for the options."""
    return Removal(split, **options)
