"""The benchmark of Mask R-CNN: its cases.

maskrcnn_resnet50_fpn stands beside torchvision's, with the same seeded random weights and the same
picture, as a whole and stage by stage, and must find the same: classes, scores, boxes and how much
of the picture the masks cover. What runs stands in ``detectors.py`` and ``torch_detectors.py``.

One training step of small_mask_rcnn stands beside one of torchvision's Mask R-CNN made as slim,
which is another network: its losses are not compared. Ours must have the same losses on every
backend. What runs stands in ``training_step.py``.

JAX without XLA, which computes one operation at a time, is left out.
"""

from pixelwise.bench.case import YARDSTICK, Case

TITLE = "one picture, 91 classes, and training steps"
SIZE = 800  # the shorter side of the pictures that torchvision's checkpoint was measured at
SMALLEST = 64
TOLERANCE = 1e-3
RUNS = 5
HERE = "pixelwise.bench"

WHOLE = "maskrcnn_resnet50_fpn"
TRAINING = "small_mask_rcnn_training"
BATCH, TRAINING_SIZE = 8, 128
# Engine -> backend and arguments.
ENGINES = {
    "tensorflow": ("tensorflow", {}),
    "tensorflow_xla": ("tensorflow", {"jit": True}),
    "jax_xla": ("jax", {"jit": True}),
    "torch": ("torch", {}),
}


def cases():
    """Returns all cases, network by network, the yardstick of each network first."""
    return [*_detection(), *_training()]


def _detection():
    title = "one picture, 91 classes"
    yield Case(
        WHOLE,
        "torchvision",
        "torch",
        f"{HERE}.torch_detectors:whole",
        imports=("torch", "torchvision"),
        role=YARDSTICK,
        title=title,
    )
    for engine, (backend, options) in ENGINES.items():
        build = f"{HERE}.detectors:ours"
        yield Case(WHOLE, engine, backend, build, options, (backend, "keras"), title=title)
    yield Case(
        WHOLE,
        "openvino_exported",
        "openvino",
        f"{HERE}.detectors:openvino",
        imports=("openvino", "keras"),
        needs=("tensorflow",),
        title=title,
    )


def _training():
    options = {
        "title": f"a training step on {BATCH} pictures, 6 classes",
        "size": TRAINING_SIZE,
        "pictures": BATCH,
    }
    yield Case(
        TRAINING,
        "torchvision",
        "torch",
        f"{HERE}.training_step:torchvision",
        imports=("torch", "torchvision"),
        role=YARDSTICK,
        compared=False,
        note="Mask R-CNN as slim",
        **options,
    )
    for engine, (backend, arguments) in ENGINES.items():
        build = f"{HERE}.training_step:ours"
        yield Case(TRAINING, engine, backend, build, arguments, (backend, "keras"), **options)
