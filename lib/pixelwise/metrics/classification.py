"""Measures of a classifier of whole pictures. Chapters: GAN, VAE, whose measures rest on one."""

import numpy as np

from pixelwise.batches import check_length, num_batches
from pixelwise.metrics import segmentation


def evaluate(model, dataset):
    """Measures a classifier on every batch of a data set.

    Args:
        model: pictures to logits ``(batch, classes)``.
        dataset: ``keras.utils.PyDataset`` of (images, labels) with ``num_classes``, labels integer
            ``(batch,)``.

    Returns:
        dict with ``accuracy``, the share of right answers in [0, 1], ``class_accuracy``, the same
        of the pictures of each class (a list, NaN for a class without one), and ``pictures``, their
        number.

    Raises:
        ValueError: if the data set has no known length, or the model another number of classes.
    """
    matrix = 0
    for index in range(check_length(num_batches(dataset))):
        images, labels = dataset[index]
        logits = np.asarray(model.predict_on_batch(images))
        segmentation.check_classes(logits, dataset)
        predicted = logits.argmax(-1)
        matrix += segmentation.confusion_matrix(
            np.asarray(labels), predicted, dataset.num_classes, void=-1
        )
    return {
        "accuracy": segmentation.pixel_accuracy(matrix),
        "class_accuracy": segmentation.class_accuracy(matrix).tolist(),
        "pictures": int(matrix.sum()),
    }
