"""How good pictures painted from label maps are: real to look at, true to the map, and various.

Three things can be wrong with them, and each spoils them as training pictures in its own way. They
may not look real (``kid``, ``fid``). What they show may not be what the label map says: then a
network learns from wrong labels (``consistency``: a network that knows the real pictures reads the
painted ones, and is compared with their maps). And all may look alike: then it learns those few by
heart (``recall``, ``variety``). Chapter 8.
"""

import numpy as np

from pixelwise import checks, evaluation
from pixelwise.batches import check_length, num_batches
from pixelwise.metrics import features, generation, segmentation


def evaluate(
    model, dataset, *, judge="deeplabv3plus_wardrobe", extractors=("mobilenet",), k=3, seed=0
):
    """Paints the label maps of a data set and measures the pictures against its real ones.

    Args:
        model: has ``paint(masks, seed=...)``, as ``models.mask_to_image.MaskToImage``.
        dataset: ``keras.utils.PyDataset`` of known length, of pictures float ``(b, h, w, 3)`` in
            [0, 1] and label maps int ``(b, h, w)`` without void, with ``num_classes``.
        judge: name of the recipe whose recorded network reads the pictures, or a segmentation
            network.
        extractors, k: as for ``generation.evaluate``.
        seed: of the noise.

    Returns:
        dict: what ``generation.evaluate`` returns, and ``consistency``, the mean IoU of the judge's
        answers for painted pictures with their label maps, with ``consistency_iou``, a number a
        class; ``consistency_real`` and ``consistency_real_iou``, the same for the real pictures;
        ``variety`` and ``variety_real``, see there, of the background; ``style``, the standard
        deviation, over the noise, of a pixel of one label map's pictures.

    Raises:
        ValueError: if an argument is not possible, or the data set has void or does not fit.

    Source: Park et al. 2019, section 4, performance metrics (the judge's mean IoU and FID).
    """
    features.check_names(extractors)
    checks.whole("k", k)
    checks.whole("seed", seed, 0)
    if not hasattr(model, "paint"):
        raise ValueError(f"A {type(model).__name__} does not paint: measure a MaskToImage.")
    network = evaluation.recorded(judge) if isinstance(judge, str) else judge
    images, masks = scenes_of(dataset)
    painted = model.paint(masks, seed=seed)
    again = model.paint(masks, seed=seed + 1)
    found = generation.evaluate(_Made(painted), dataset, extractors=extractors, k=k)
    for name, pictures in (("consistency", painted), ("consistency_real", images)):
        read = read_by(network, pictures, masks, dataset.num_classes)
        found |= {name: read["mean_iou"], f"{name}_iou": read["iou"]}
    return {
        **found,
        "variety": variety(painted, masks),
        "variety_real": variety(images, masks),
        "style": float(np.sqrt(np.mean((painted - again) ** 2) / 2)),
    }


def scenes_of(dataset):
    """Returns all pictures and label maps of a data set of known length, as two arrays."""
    batches = [dataset[index] for index in range(check_length(num_batches(dataset)))]
    images, masks = zip(*batches, strict=True)
    return np.concatenate(images), np.concatenate(masks)


def read_by(network, images, masks, num_classes, batch_size=25):
    """Measures what a segmentation network says of pictures against their label maps.

    Args:
        network: pictures to logits.
        images: float32 ``(n, height, width, 3)`` in [0, 1].
        masks: int ``(n, height, width)``.
        num_classes: number of classes.
        batch_size: pictures at a time.

    Returns:
        As ``SegmentationScore.result``.
    """
    score = segmentation.SegmentationScore(num_classes)
    for start in range(0, len(images), batch_size):
        some = slice(start, start + batch_size)
        score.update(masks[some], segmentation.predict(network, images[some]))
    return score.result()


def variety(images, masks, label=0):
    """Returns how different the pictures are from each other at the places of one class.

    Each picture is compared with the next at the pixels where both have the class, whatever their
    label maps are otherwise.

    Args:
        images: float ``(n, height, width, channels)`` in [0, 1], two or more.
        masks: int ``(n, height, width)``.
        label: the class, 0 for the background.

    Returns:
        The standard deviation of a pixel, float in [0, 1]: the root of half the mean squared
        difference. NaN if no two pictures have the class at the same place.

    Raises:
        ValueError: if there is one picture only.
    """
    if len(images) < 2:
        raise ValueError("One picture has nothing to differ from: give two or more.")
    there = np.asarray(masks) == label
    both = there & np.roll(there, 1, axis=0)
    if not both.any():
        return float("nan")
    apart = np.asarray(images, np.float64) - np.roll(images, 1, axis=0)
    return float(np.sqrt(np.mean(apart[both] ** 2) / 2))


class _Made:
    """Pictures that are there already, as ``generation.evaluate`` asks for them."""

    def __init__(self, pictures):
        self.pictures = pictures

    def sample(self, n, seed=None):
        return self.pictures[:n]
