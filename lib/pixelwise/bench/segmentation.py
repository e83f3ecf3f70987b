"""The benchmark of the segmentation networks: their cases, and how each is built.

fcn_resnet50 and deeplabv3_resnet50 stand beside torchvision's, with the same seeded random weights
and the same picture, and must give the same logits. DeepLabV3+ on MobileNetV2 stands beside what
comes nearest in torchvision (DeepLabV3 on MobileNetV3) and in keras-cv (its DeepLabV3Plus, here on
our MobileNetV2), which are other networks: their answers are not compared.

Each builder returns a function that gives the picture to the network and returns logits as a NumPy
array ``(1, size, size, 21)``. Ours is ``predict_on_batch``, what a user would call.
"""

import numpy as np

from pixelwise.bench import exported
from pixelwise.bench.building import SEED, compile_with, random_weights
from pixelwise.bench.case import OTHERS, YARDSTICK, Case

TITLE = "one picture, 21 classes"
SIZE = 520  # what torchvision's checkpoints were measured at
SMALLEST = 32
TOLERANCE = 1e-3
RUNS = 5
CLASSES = 21
HERE = "pixelwise.bench.segmentation"

RESNETS = ("fcn_resnet50", "deeplabv3_resnet50")
MOBILE = "deeplabv3plus_mobilenet_v2"
# Engine -> backend and arguments of ``ours``. Folded are those that compute layer by layer.
ENGINES = {
    "tensorflow": ("tensorflow", {}),
    "tensorflow_xla": ("tensorflow", {"jit": True}),
    "jax": ("jax", {}),
    "jax_xla": ("jax", {"jit": True}),
    "torch": ("torch", {}),
    "torch_folded": ("torch", {"fold": True}),
}
# Engine -> the backend of Keras that exports for it. The graph that TensorFlow writes is the better
# one: Keras' OpenVINO backend leaves two transpositions at every convolution.
EXPORTERS = {"openvino": "openvino", "openvino_exported": "tensorflow"}
KERAS_CV_ENGINES = ("tensorflow", "jax_xla", "torch")


def cases():
    """Returns all cases, network by network, the yardstick of each network first."""
    return [
        case
        for network in (*RESNETS, MOBILE)
        for case in (*_theirs(network), *_ours(network), *_keras_cv(network))
    ]


def _theirs(network):
    """torchvision's networks."""
    same = network in RESNETS
    name = network if same else "deeplabv3_mobilenet_v3_large"
    for engine, options, role in (
        ("torchvision", {}, YARDSTICK),
        ("torchvision_channels_last", {"channels_last": True}, OTHERS),
    ):
        yield Case(
            network,
            engine,
            "torch",
            f"{HERE}:torchvision",
            {"network": name, **options},
            imports=("torch", "torchvision"),
            role=role,
            compared=same,
            note="" if same else name,
        )


def _ours(network):
    for engine, (backend, options) in ENGINES.items():
        arguments = {"network": network, **options}
        yield Case(network, engine, backend, f"{HERE}:ours", arguments, (backend, "keras"))
    for engine, exporter in EXPORTERS.items():
        arguments = {"network": network, "exporter": exporter}
        yield Case(
            network,
            engine,
            "openvino",
            f"{HERE}:openvino",
            arguments,
            imports=("openvino",),
            needs=(exporter, "keras"),
        )


def _keras_cv(network):
    for engine in KERAS_CV_ENGINES if network == MOBILE else ():
        backend, options = ENGINES[engine]
        yield Case(
            network,
            f"keras_cv_{engine}",
            backend,
            f"{HERE}:keras_cv",
            options,
            imports=(backend, "keras_cv"),
            role=OTHERS,
            compared=False,
            note="DeepLabV3Plus, output stride 32",
        )


def picture(size):
    """Returns the picture that all of them see: float32 ``(1, size, size, 3)`` in [0, 1]."""
    return np.random.default_rng(SEED).random((1, size, size, 3), dtype="float32")


def ours(network, size, threads, jit=False, fold=False):
    """Builds one of our networks for the backend in use.

    Args:
        network: of ``RESNETS``, or ``MOBILE``.
        size: side of the picture.
        threads: without meaning here: the environment says it.
        jit: ``True`` compiles the network with XLA.
        fold: ``True`` folds batch normalisation into the convolutions.
    """
    model = seeded(network)
    if fold:
        from pixelwise.models.folding import folded

        model = folded(model)
    return _prediction(model, picture(size), jit)


def seeded(network):
    """Returns one of our networks with the seeded random weights, without auxiliary head."""
    from pixelwise.models import deeplab, zoo
    from pixelwise.weights.torchvision import load_state_dict, tensor_shapes

    if network == MOBILE:
        model = deeplab.deeplab(CLASSES, "v3+", weights=None)
    else:
        model = zoo.load(network, num_classes=CLASSES, auxiliary=False)
    return load_state_dict(model, random_weights(tensor_shapes(model)))


def _prediction(model, pictures, jit):
    """The call that is timed: a picture in, logits out, through Keras' own predict function."""
    compile_with(model, jit)
    return lambda: model.predict_on_batch(pictures)


def openvino(network, size, threads, exporter):
    """Compiles one of our networks with OpenVINO; see ``exported.compiled``.

    Args:
        network, size: as for ``ours``.
        threads: how many threads may compute.
        exporter: the backend of Keras that writes the graph, ``"tensorflow"`` or ``"openvino"``.
    """
    arguments = {"network": network, "size": size}
    (graph,) = exported.compiled(HERE, arguments, ["network"], exporter, threads)
    pictures = picture(size)
    return lambda: np.asarray(graph([pictures])[0])


def export(network, size, folder):
    """Writes one of our networks as ``network.xml``, a graph of OpenVINO for pictures of one size.

    Args:
        network, size: as for ``ours``.
        folder: where it is written.
    """
    import keras

    signature = keras.InputSpec(shape=(1, size, size, 3), dtype="float32", name="pictures")
    exported.write(seeded(network), signature, folder, "network")


def torchvision(network, size, threads, channels_last=False):
    """Builds one of torchvision's networks, with our seeded weights, in eval mode.

    Args:
        network: its name in ``torchvision.models.segmentation``.
        size: side of the picture.
        threads: how many threads may compute.
        channels_last: ``True`` keeps weights and picture channels last in memory, which is often
            faster on a CPU; the default is what its users get.
    """
    import torch
    from torchvision.models import segmentation
    from torchvision.transforms._presets import SemanticSegmentation

    torch.set_num_threads(threads)
    build = getattr(segmentation, network)
    model = build(weights=None, weights_backbone=None, num_classes=CLASSES, aux_loss=False).eval()
    own = model.state_dict()
    kept = {name: tensor for name, tensor in own.items() if name.endswith("num_batches_tracked")}
    shapes = {name: tuple(tensor.shape) for name, tensor in own.items() if name not in kept}
    state = {name: torch.from_numpy(value) for name, value in random_weights(shapes).items()}
    model.load_state_dict({**kept, **state})
    normalise = SemanticSegmentation(resize_size=None)
    pictures = normalise(torch.from_numpy(picture(size).transpose(0, 3, 1, 2).copy()))
    if channels_last:
        model = model.to(memory_format=torch.channels_last)
        pictures = pictures.to(memory_format=torch.channels_last)

    def call():
        with torch.inference_mode():
            return model(pictures)["out"].numpy().transpose(0, 2, 3, 1)

    return call


def keras_cv(size, threads, jit=False):
    """Builds keras-cv's DeepLabV3Plus on our MobileNetV2.

    It enlarges the features of stride 32 eight times and adds them to those of stride 4, so the
    side of its picture must be a multiple of 32: the picture is the next larger one.

    Args:
        size, threads, jit: as for ``ours``.
    """
    import keras

    from pixelwise.models.ready_made import keras_cv_deeplab

    keras.utils.set_random_seed(SEED)
    size = 32 * -(-size // 32)
    model = keras_cv_deeplab(CLASSES, weights=None, input_shape=(size, size, 3))
    return _prediction(model, picture(size), jit)
