"""What the cases of ``detection.py`` run of our Mask R-CNN: the whole of it, and its stages.

The whole is what a user calls: ``pixelwise.detection.detect``, from a picture to masks of its size.
The stages are

    body_and_fpn  the picture to the pyramid
    proposals     the region proposal network, and the choice of 1,000 boxes with NMS
    boxes         RoIAlign, the box head, and the choice of 100 detections with NMS
    masks         RoIAlign, the mask head, and the masks of the classes found
    paste         the masks to the picture's size

each fed with what the one before returned, as NumPy arrays. torchvision's stand in
``torch_detectors.py``.
"""

import numpy as np

from pixelwise.bench import exported
from pixelwise.bench.building import SEED, compile_with, random_weights

CLASSES = 91
DETECTIONS = 100
MULTIPLE = 32  # of which the sides of what the network sees are made
# By what random tensors are multiplied, so that the proposals differ and there are 100 detections:
# logits get a spread of 2 to 5, and deltas move boxes by a part of their size.
SCALES = {
    "rpn.head.cls_logits.weight": 1 / 230,
    "rpn.head.bbox_pred.weight": 1 / 3000,
    "roi_heads.box_predictor.cls_score.weight": 1 / 260,
    "roi_heads.box_predictor.bbox_pred.weight": 1 / 1200,
    "roi_heads.mask_predictor.mask_fcn_logits.weight": 1 / 500,
}
PLACE = np.float32([1, 2, 3, 4])  # of a box, in one number that hardly two boxes share
EVERY = 4  # of the masks' rows and columns, one in so many is compared
HERE = "pixelwise.bench.detectors"


def picture(size):
    """Returns the picture that all of them see: float32 ``(size, size, 3)`` in [0, 1]."""
    rng = np.random.default_rng(SEED)
    blocks = rng.random((-(-size // 8), -(-size // 8), 3), dtype="float32")
    return blocks.repeat(8, 0).repeat(8, 1)[:size, :size]


def weights_of(shapes):
    """Returns seeded random tensors with which there is something to detect.

    Args:
        shapes: dict of shapes by PyTorch's names, in PyTorch's layout.
    """
    state = random_weights(shapes)
    return {name: value * np.float32(SCALES.get(name, 1)) for name, value in state.items()}


def answer(boxes, classes, scores, masks):
    """Returns what is compared of the detections, all of it between 0 and 1.

    Args:
        boxes: ``(n, 4)`` in pixels.
        classes, scores: ``(n,)``.
        masks: ``(n, size, size)``, bool or probabilities.

    Returns:
        float32 ``(100, 7)``, a row a detection, with its class, score, box and the share of the
        picture that its mask covers; rows of zeros fill it up. They stand by class and place: two
        scores may differ so little that one engine orders them in another way than the next.
    """
    size = masks.shape[1]
    covered = (masks[:, ::EVERY, ::EVERY] > 0.5).mean((1, 2))
    rows = np.column_stack([classes / CLASSES, scores, boxes / size, covered])
    rows = rows[np.lexsort((boxes @ PLACE, classes))].astype("float32")
    return np.pad(rows, ((0, DETECTIONS - len(rows)), (0, 0)))


def seeded():
    """Returns our network with the seeded random weights."""
    from pixelwise.models import zoo
    from pixelwise.weights.torchvision import load_state_dict, tensor_shapes

    model = zoo.load("maskrcnn_resnet50_fpn")
    return load_state_dict(model, weights_of(tensor_shapes(model)))


def ours(size, threads, jit=False):
    """Builds our network for the backend in use.

    Args:
        size: side of the picture.
        threads: without meaning here: the environment says it.
        jit: ``True`` compiles it with XLA.

    Returns:
        The call that is timed, and a function that returns its stages; see ``case.Case``.
    """
    detector = seeded()
    compile_with(detector, jit)

    def stages():
        from pixelwise.bench.stages import STAGES, Stage, stage_by_stage

        shown = _shown(size)
        runs = {name: Stage(detector, name, shown).predict_on_batch for name in STAGES}
        return stage_by_stage(picture(size), runs)

    return _whole(detector, size), stages


def _whole(detector, size):
    from pixelwise import detection

    image = picture(size)
    sides = {"short_side": size, "long_side": size, "multiple": MULTIPLE}
    return lambda: answer(**detection.detect(detector, image, **sides))


def _shown(size):
    """Height and width of what the network sees."""
    return (MULTIPLE * -(-size // MULTIPLE),) * 2


def openvino(size, threads):
    """Compiles our network with OpenVINO, from the picture to the masks within their boxes.

    TensorFlow writes the graph. See ``exported.compiled``.

    Args:
        size: side of the picture.
        threads: how many threads may compute.

    Returns:
        As ``ours``.
    """

    def graphs(names):
        arguments = {"size": size, "names": names}
        made = exported.compiled(HERE, arguments, names, "tensorflow", threads)
        return {name: _by_names(graph) for name, graph in zip(names, made, strict=True)}

    def stages():
        from pixelwise.bench.stages import STAGES, stage_by_stage

        return stage_by_stage(picture(size), graphs(list(STAGES)))

    return _whole(_Exported(graphs(["finder"])["finder"]), size), stages


def _by_names(graph):
    """A compiled graph as a function from a dict of arrays to one."""
    taken = [tensor.any_name for tensor in graph.inputs]  # without those that it does not need

    def call(inputs):
        found = graph({name: inputs[name] for name in taken})
        # A copy: the next call writes to the same memory.
        return {_key(tensor): np.array(found[tensor]) for tensor in graph.outputs}

    return call


def _key(tensor):
    """The key of Keras' dict among the names of an output."""
    return next(name for name in tensor.names if "/" not in name and ":" not in name)


class _Exported:
    """What ``detection.detect`` asks of a detector, answered by a graph."""

    def __init__(self, run):
        self.run = run

    def find(self, pictures, sizes):
        return self.run({"pictures": pictures, "sizes": np.asarray(sizes, "float32")})


def export(size, names, folder):
    """Writes our network, or stages of it, as graphs of OpenVINO.

    Args:
        size: side of the picture.
        names: of stages, or ``"finder"`` for the whole.
        folder: where ``NAME.xml`` is written for each.
    """
    import keras

    from pixelwise.bench.stages import STAGES, Stage
    from pixelwise.models.detector import Finder

    detector, shown = seeded(), _shown(size)
    known = {
        "pictures": np.zeros((1, *shown, 3), "float32"),
        "sizes": np.full((1, 2), size, "float32"),
    }
    for name in names:
        if name == "finder":
            model, wanted = Finder(detector), ("pictures", "sizes")
        else:
            model, wanted = Stage(detector, name, shown), STAGES[name][1]
        inputs = {key: known[key] for key in wanted}
        signature = {
            key: keras.InputSpec(shape=tuple(value.shape), dtype=str(value.dtype), name=key)
            for key, value in inputs.items()
        }
        exported.write(model, signature, folder, name)
        if name != names[-1]:
            known |= model.predict_on_batch(inputs)
