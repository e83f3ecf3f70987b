"""Pictures to features, in which generated and real ones are compared. Chapters: GAN, VAE.

Three networks see the same pictures differently. ``"garments"``, the small classifier of the book,
knows garments and nothing else. ``"mobilenet"`` knows the photographs of ImageNet, and comes with
the book too. ``"inception"`` is the network of the published figures, and is downloaded.

Pictures are rounded to eight bits first, as if they had been saved and read: real pictures come
from files, and no network shall tell the two apart by that. ``EXTRACTORS`` says how each network
resizes them. A picture that is not square is made so, without regard to its proportions, as the
programs of the papers do.
"""

import dataclasses
import functools
from collections.abc import Callable

import keras
import numpy as np
from keras import layers, ops

from pixelwise import checks, weights
from pixelwise.batches import check_length, num_batches
from pixelwise.models import classifier, inception, zoo
from pixelwise.models.backbones import mobilenet_v2

NUM_CLASSES = 10  # of garments
MOBILENET_SIDE = 96  # pixels: the smallest side that MobileNetV2 is usually trained for
BATCH_SIZE = 100
# Side in pixels -> the frame that ``data.generation`` puts around garments of 28, or twice 28.
FRAMES = {32: 2, 64: 4}


@dataclasses.dataclass(frozen=True)
class Extractor:
    """A network that describes pictures.

    Attributes:
        prepare: function from float32 ``(batch, height, width, 1 or 3)`` in [0, 1] to what the
            network takes.
        network: function from that to float ``(batch, dimensions)``.
        dimensions: number of features.
    """

    prepare: Callable
    network: Callable
    dimensions: int


def features(images, extractor="garments", batch_size=BATCH_SIZE):
    """Computes the features of pictures.

    Args:
        images: float ``(n, height, width, channels)`` in [0, 1], 1 or 3 channels, any size.
        extractor: a name in ``EXTRACTORS``, or an ``Extractor`` of your own.
        batch_size: pictures that the network sees at a time.

    Returns:
        float64 ``(n, dimensions)``.

    Raises:
        ValueError: if the pictures or the extractor are no such thing.
        pixelwise.data.download.DownloadError, ImportError: if ``"inception"`` cannot be had.

    Chapter: GAN.
    """
    return _describe(images, named(extractor), batch_size).astype(np.float64)


def classify(images, batch_size=BATCH_SIZE):
    """Says which garment each picture shows most likely.

    Args:
        images, batch_size: as for ``features``.

    Returns:
        int64 ``(n,)``, indices into ``pixelwise.data.fashion.CLASSES``. Every picture gets one,
        also one that shows nothing at all.

    Raises:
        ValueError: if the pictures are no such thing.
    """
    return classes_of(features(images, "garments", batch_size))


def classes_of(described):
    """Says which garment each picture shows most likely, by its ``"garments"`` features.

    Args:
        described: float ``(n, 64)``, as ``features`` returns them.

    Returns:
        As ``classify``.
    """
    _, logits = _garment_networks()
    return ops.convert_to_numpy(logits(described.astype("float32"))).argmax(axis=1)


def pictures_of(dataset):
    """Returns all pictures of a data set.

    Args:
        dataset: ``keras.utils.PyDataset`` of known length whose batches are pictures, or tuples
            that begin with them.

    Returns:
        Array ``(n, height, width, channels)``.

    Raises:
        ValueError: if the length is not known.
    """
    length = check_length(num_batches(dataset))
    batches = (dataset[index] for index in range(length))
    return np.concatenate(
        [np.asarray(batch[0] if isinstance(batch, tuple) else batch) for batch in batches]
    )


def check_pictures(images):
    """Checks pictures and rounds them to eight bits.

    Args:
        images: float ``(n, height, width, 1 or 3)`` in [0, 1].

    Returns:
        float32 of the same shape, multiples of 1/255.

    Raises:
        ValueError: if there is none, or shape or range is another.
    """
    images = np.asarray(images)
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        raise ValueError(
            f"The pictures have the shape {images.shape}: give one or more, (pictures, height, "
            "width, channels) with 1 or 3 channels; grey ones get theirs with images[..., None]."
        )
    return np.rint(255 * np.clip(checks.fractions(images), 0, 1)) / np.float32(255)


def _describe(images, extractor, batch_size):
    """What the network says, float32 ``(n, dimensions)``."""
    images = check_pictures(images)
    checks.whole("batch_size", batch_size)
    batch_size = min(batch_size, len(images))
    found = []
    for start in range(0, len(images), batch_size):
        # The last batch is filled up from the beginning: another size would be compiled anew.
        rows = np.arange(start, start + batch_size) % len(images)
        found.append(ops.convert_to_numpy(extractor.network(extractor.prepare(images[rows]))))
    return np.concatenate(found)[: len(images)]


def named(extractor):
    """Returns an extractor: one by its name, or one as it is.

    Raises:
        ValueError: if there is none of that name.
    """
    if isinstance(extractor, Extractor):
        return extractor
    if not isinstance(extractor, str) or extractor not in EXTRACTORS:
        raise ValueError(
            f"There is no extractor {extractor!r}: choose one of {', '.join(EXTRACTORS)}, or give "
            "a features.Extractor."
        )
    return EXTRACTORS[extractor]


def check_names(extractors):
    """Refuses what is no list of names of ``EXTRACTORS``, one or more, in one sentence."""
    if not isinstance(extractors, list | tuple) or not extractors:
        raise ValueError(f"extractors is {extractors!r}: give a list of one name or more.")
    for name in extractors:
        checks.choice("a name in extractors", name, EXTRACTORS)


def _coloured(images):
    return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _resized(images, side):
    """Resizes bilinearly, with antialiasing where that makes pictures smaller."""
    if images.shape[1:3] == (side, side):
        return images
    resized = ops.image.resize(
        images, (side, side), "bilinear", antialias=True, data_format="channels_last"
    )
    return ops.convert_to_numpy(resized)


def _garment(images):
    grey = images.mean(axis=-1, keepdims=True)
    height, width = grey.shape[1:3]
    frame = FRAMES.get(height, 0) if height == width else 0
    return _resized(grey[:, frame : height - frame, frame : width - frame], classifier.SIDE)


@functools.cache
def _garment_networks():
    """The classifier up to its features, and the layer from them to its logits."""
    model = weights.checkpoint(classifier.garment_classifier(), "garment_classifier")
    return classifier.feature_extractor(model), model.get_layer("logits")


@functools.cache
def _mobilenet_network():
    backbone = mobilenet_v2(input_shape=(MOBILENET_SIDE, MOBILENET_SIDE, 3))
    pooled = layers.GlobalAveragePooling2D()(backbone.output["C5"])
    return keras.Model(backbone.input, pooled)


@functools.cache
def _inception_network():
    return zoo.load("inception_v3_fid", weights="fid")


EXTRACTORS = {
    # Averaged over the channels; 32 and 64 pixels lose their frame; resized to 28 pixels.
    "garments": Extractor(
        _garment,
        lambda batch: _garment_networks()[0].predict_on_batch(batch)["features"],
        classifier.FEATURES,
    ),
    # Grey three times; resized to 96 pixels.
    "mobilenet": Extractor(
        lambda images: _resized(_coloured(images), MOBILENET_SIDE),
        lambda batch: _mobilenet_network().predict_on_batch(batch),
        1280,
    ),
    # Grey three times; resized to 299 pixels as TensorFlow 1 did, like torch-fidelity.
    "inception": Extractor(
        lambda images: inception.resize_like_tensorflow1(_coloured(images)),
        lambda batch: _inception_network().predict_on_batch(batch),
        inception.FEATURES,
    ),
}
