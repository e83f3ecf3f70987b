"""The recorded models of the book behind one face, so that they can be held side by side.

A semantic network gives a class for each pixel, a detector a list of objects. Here every segmenter
answers with both, so that each is measured by both kinds of figures: the objects of a class map are
its connected pieces, each with the mean probability of its class as the score; the class map of
objects is what is left when the surest is laid down first. Two answers that look at no shape stand
beside them: all background, and a table that knows colours only.

Each network sees a picture at the size that its training had, and answers at the picture's own.
Chapter 9.
"""

from typing import NamedTuple

import numpy as np

from pixelwise import checks, detection, evaluation, inference, recipe
from pixelwise.bench.contestants import GENERATORS, SEGMENTERS
from pixelwise.data import objects
from pixelwise.data.wardrobe import CLASSES, Wardrobe
from pixelwise.metrics import panoptic
from pixelwise.metrics.detection import LIMIT, DetectionAP
from pixelwise.metrics.segmentation import SegmentationScore, confusion_matrix, mean_iou
from pixelwise.results import nearest

SIZE = 128  # pixels, the side of the scenes on which all are measured
LEAST_SCORE = 0.5  # of the objects that a class map is made of
COLOURS = 16  # levels of each of red, green and blue in the table of colours
COLOUR_SCENES = 32  # training scenes from which it is counted


class Answer(NamedTuple):
    """What a segmenter says of one picture.

    Attributes:
        semantic: int32 ``(height, width)``, the class of each pixel.
        objects: dict of ``boxes`` float32 ``(n, 4)`` in pixels, ``classes`` int32 ``(n,)``,
            ``scores`` float32 ``(n,)`` in [0, 1] and ``masks`` bool ``(n, height, width)``.
    """

    semantic: np.ndarray
    objects: dict


class Truth(NamedTuple):
    """A test scene: ``image`` uint8 ``(height, width, 3)``, ``semantic`` int32 ``(height, width)``
    and ``targets``, a dict as ``DetectionAP.update`` takes it, of one picture."""

    image: np.ndarray
    semantic: np.ndarray
    targets: dict


def scenes(count, size=SIZE, split="test", **options):
    """Composes the first scenes of a split of the wardrobe.

    Args:
        count: how many, a whole number of at least 1.
        size: side in pixels.
        split: ``"test"``, ``"validation"`` or ``"train"``.
        **options: further ones of ``data.wardrobe.Wardrobe``, as ``seed`` and ``varied``.

    Returns:
        A list of ``Truth``.

    Raises:
        ValueError: if the number, the split or an option is not possible.
    """
    data = Wardrobe(split, size, batch_size=1, num_batches=count, **options)
    return [truth(data.scene(index)) for index in range(count)]


def truth(scene):
    """Returns a ``data.scenes.Scene`` as ``Truth``."""
    targets = objects.batch([objects.of_labels(scene.instances, scene.classes)])
    return Truth(scene.image, scene.semantic.astype("int32"), targets)


def of_probabilities(probabilities):
    """Makes an answer of the probability of every class at every pixel.

    Args:
        probabilities: float ``(height, width, classes)`` in [0, 1], class 0 the background.

    Returns:
        ``Answer``. Of each class at most the ``metrics.detection.LIMIT`` largest pieces are
        objects.
    """
    semantic = probabilities.argmax(-1).astype("int32")
    numbers = panoptic.from_semantic(semantic[None])[0, ..., 1]
    pieces, first, pixels = np.unique(numbers, return_index=True, return_counts=True)
    kept, room = [], {}
    for place in np.argsort(-pixels, kind="stable"):
        label = int(semantic.ravel()[first[place]])
        room[label] = room.get(label, 0) + 1
        if pieces[place] and room[label] <= LIMIT:  # 0 is what is no object
            kept.append((pieces[place], label))
    masks = numbers == np.array([n for n, _ in kept], int)[:, None, None]
    found = objects.of_masks(masks, [label for _, label in kept])
    pairs = zip(masks, kept, strict=True)
    scores = [probabilities[mask, label].mean() for mask, (_, label) in pairs]
    return Answer(semantic, _objects(found.boxes, found.classes, scores, found.masks))


def of_objects(found, shape, score=LEAST_SCORE):
    """Makes an answer of objects: each pixel gets the class of the surest that covers it.

    Args:
        found: dict as ``detection.detect`` returns it.
        shape: ``(height, width)`` of the picture.
        score: least score of what the class map is made of; all are kept as objects.

    Returns:
        ``Answer``.
    """
    semantic = np.zeros(shape, "int32")
    for place in np.argsort(found["scores"], kind="stable"):  # the surest last, so on top
        if found["scores"][place] >= score:
            semantic[found["masks"][place]] = found["classes"][place]
    return Answer(semantic, _objects(**found))


def _objects(boxes, classes, scores, masks):
    return {
        "boxes": np.asarray(boxes, "float32"),
        "classes": np.asarray(classes, "int32"),
        "scores": np.asarray(scores, "float32"),
        "masks": np.asarray(masks, bool),
    }


class Pixels:
    """A network that gives logits, asked for an ``Answer``.

    Args:
        model: pictures to logits; see ``inference.segment``.
        side: pixels that it sees.
    """

    def __init__(self, model, side):
        self.model, self.side = model, side

    def __call__(self, image):
        """Returns the ``Answer`` for a picture ``(height, width, 3)``, uint8 or in [0, 1]."""
        return of_probabilities(inference.probabilities(self.model, image, size=self.side))


class Detections:
    """A detector, asked for an ``Answer``; the arguments are as for ``Pixels``."""

    def __init__(self, model, side):
        self.model, self.side = model, side

    def __call__(self, image):
        """Returns the ``Answer`` for a picture, as ``Pixels`` does."""
        sides = {"short_side": self.side, "long_side": 2 * self.side}
        found = detection.detect(self.model, image, **sides)
        return of_objects(found, np.shape(image)[:2])


class AllBackground:
    """Says that nothing is there."""

    def __call__(self, image):
        """Returns the ``Answer``, the same for each picture of this size."""
        probabilities = np.zeros((*np.shape(image)[:2], len(CLASSES)), "float32")
        probabilities[..., 0] = 1
        return of_probabilities(probabilities)


class Colours:
    """Knows how often each class had a colour in training, and nothing else.

    Args:
        examples: list of ``Truth`` to count, one or more.

    Raises:
        ValueError: if there is no example; when called, if a picture is not uint8.
    """

    def __init__(self, examples):
        if not examples:
            raise ValueError("There is no example to count the colours of: give one or more.")
        counts = np.zeros((COLOURS**3, len(CLASSES)))
        for example in examples:
            np.add.at(counts, (self._bins(example.image), example.semantic), 1)
        counts += counts.sum(0) / counts.sum()  # one pixel of the average: where a colour is new
        self.table = (counts / counts.sum(1, keepdims=True)).astype("float32")

    def __call__(self, image):
        """Returns the ``Answer`` for a picture uint8 ``(height, width, 3)``."""
        return of_probabilities(self.table[self._bins(image)])

    @staticmethod
    def _bins(image):
        image = np.asarray(image)
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[-1] != 3:
            raise ValueError(
                f"The picture has the type {image.dtype} and the shape {image.shape}, and colours "
                "are counted in uint8 (height, width, 3): round 255 times one in [0, 1]."
            )
        levels = image.astype(int) * COLOURS // 256
        return (levels * [COLOURS**2, COLOURS, 1]).sum(-1)


def load(name):
    """Loads a segmenter of the book.

    Args:
        name: a key of ``SEGMENTERS``.

    Returns:
        A function from one picture, uint8 ``(height, width, 3)``, to an ``Answer``; a network's
        has its ``model`` and ``side``.

    Raises:
        ValueError: if there is no such segmenter.
    """
    entry = _entry(SEGMENTERS, name, "segmenter")
    if entry.recipe is None:
        if name == "all_background":
            return AllBackground()
        return Colours(scenes(COLOUR_SCENES, split="train"))
    model, side = evaluation.recorded(entry.recipe), seen_side(entry.recipe)
    if entry.objects:
        return Detections(model, side)
    function = evaluation.AFTER[entry.after][1]
    return Pixels(model if function is None else evaluation.Followed(model, function), side)


def load_generator(name):
    """Loads a generative model of the book, a key of ``GENERATORS``; raises as ``load``."""
    return evaluation.recorded(_entry(GENERATORS, name, "generative model").recipe)


def seen_side(recipe_name):
    """Returns the side of the pictures that a recipe trains on, in pixels."""
    return recipe.read(recipe_name).data["all"]["size"]


def _entry(table, name, what):
    if not isinstance(name, str) or name not in table:
        raise ValueError(f"There is no {what} {name!r} here: {nearest(name, list(table))}.")
    return table[name]


class Score:
    """Adds up picture after picture what a segmenter says, by pixels and by objects.

    Args:
        classes: the names of the classes, the background first.
    """

    def __init__(self, classes=CLASSES):
        self.pixels, self.objects = SegmentationScore(len(classes)), DetectionAP(classes)
        self.matrices = []

    def update(self, right, answer):
        """Adds one picture: its ``Truth`` and an ``Answer``."""
        self.pixels.update(right.semantic, answer.semantic)
        self.objects.update(right.targets, {k: v[None] for k, v in answer.objects.items()})
        self.matrices.append(
            confusion_matrix(right.semantic, answer.semantic, self.pixels.num_classes)
        )

    def result(self):
        """Returns a dict of ``mean_iou``, ``iou`` (a list), ``mask_ap``, ``mask_ap50`` and
        ``pictures``."""
        pixels, found = self.pixels.result(), self.objects.result()
        return {
            **{name: pixels[name] for name in ("mean_iou", "iou")},
            **{name: found[name] for name in ("mask_ap", "mask_ap50", "pictures")},
        }

    def by_picture(self):
        """Returns the mean IoU of each picture alone, float64 ``(pictures,)``, for finding the
        worst."""
        return np.array([mean_iou(matrix) for matrix in self.matrices])


def measure(segmenter, examples, classes=CLASSES):
    """Asks a segmenter about pictures and returns its ``Score``.

    Args:
        segmenter: what ``load`` returns.
        examples: list of ``Truth``.
        classes: as for ``Score``.
    """
    score = Score(classes)
    for example in examples:
        score.update(example, segmenter(example.image))
    return score


def bootstrap(matrices, samples=1000, seed=0):
    """Draws the mean IoU of as many pictures again and again, with replacement.

    Args:
        matrices: the confusion matrix of each picture, ``(pictures, classes, classes)``.
        samples: how often.
        seed: of the draws.

    Returns:
        float64 ``(samples,)``, whose spread is what the choice of test pictures does.

    Raises:
        ValueError: if there is no picture.

    Source: Efron 1979.
    """
    matrices = np.asarray(matrices)
    if matrices.ndim != 3 or not len(matrices):
        raise ValueError(
            f"The matrices have the shape {matrices.shape}: give (pictures, classes, classes), a "
            "confusion matrix for each of at least one picture."
        )
    rng = checks.generator(seed)
    counts = rng.multinomial(len(matrices), np.full(len(matrices), 1 / len(matrices)), samples)
    return np.array([mean_iou(np.tensordot(times, matrices, 1)) for times in counts])
