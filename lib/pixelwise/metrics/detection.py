"""Average precision of boxes and masks as COCO measures it, by pycocotools.

Detections of a class are sorted by score over all pictures. From the best on, each takes the
labelled object of its picture that it overlaps most, if the IoU reaches a threshold and nobody has
taken that object; otherwise it is a mistake. Precision against recall is a curve, made falling, and
AP its mean over the recalls 0, 0.01 .. 1. AP without a number is the mean over the thresholds 0.50,
0.55 .. 0.95 and the classes. Source: Lin et al. 2014 (COCO) and its evaluation. Chapter 4.
"""

import contextlib
import io
import numbers

import keras
import numpy as np
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pixelwise.batches import check_length, num_batches
from pixelwise.data.pictures import check_batch
from pixelwise.metrics.segmentation import mean_of_seen

# Objects of less than the first number of square pixels are small, of more than the second large.
AREAS = (32**2, 96**2)
LIMIT = 100  # detections a picture that count, the best of each class
KINDS = {"box": "bbox", "mask": "segm"}
SIZES = ("small", "medium", "large")
THRESHOLDS = np.linspace(0.5, 0.95, 10)
EVERYTHING = 1e10  # square pixels


class DetectionAP:
    """Adds up batch after batch and gives the average precision of boxes and masks.

    Masks are kept packed (as run lengths), so that some thousand pictures need little memory.

    Args:
        classes: the names of the classes, the background first.
        areas: the two areas in square pixels that tell small, medium and large objects apart. The
            default is COCO's, for photographs of about 640 x 480 pixels: there 32 x 32 is a 300th
            of the picture and 96 x 96 a 33rd. At 128 x 128 the same share would be about 7 x 7 and
            22 x 22, and with COCO's limits nearly nothing is large, and a sixteenth of the picture
            is still small: give ``areas=(7**2, 22**2)``, or what suits your objects, and say so.
        masks: ``False`` measures boxes only, and needs no masks.
        limit: detections of a class in a picture that count, the best ones.

    Raises:
        ValueError: if there is no class beside the background, or the areas are not two rising
            numbers.
    """

    def __init__(self, classes, areas=AREAS, masks=True, limit=LIMIT):
        listed = not isinstance(classes, str) and np.ndim(classes) == 1
        classes = tuple(classes) if listed else classes
        if not listed or len(classes) < 2:
            raise ValueError(
                f"classes is {classes!r}: give the names of the background and of at least one "
                "class."
            )
        pair = np.asarray(areas)
        if pair.shape != (2,) or pair.dtype.kind not in "iuf" or not 0 < pair[0] < pair[1]:
            raise ValueError(
                f"areas is {areas!r}: give the largest small and the least large area, two rising "
                "numbers of square pixels."
            )
        if not isinstance(limit, int | np.integer) or limit < 1:
            raise ValueError(f"limit is {limit!r}: give a whole number of at least 1.")
        self.classes, self.areas, self.limit = classes, areas, limit
        self.kinds = ("box", "mask") if masks else ("box",)
        self._pictures, self._labelled, self._found = [], [], []
        self._evaluated = {}

    def update(self, targets, predictions):
        """Adds the objects and the detections of a batch.

        Args:
            targets: dict of ``"boxes"`` ``(batch, objects, 4)`` as (x1, y1, x2, y2) in pixels,
                ``"classes"`` ``(batch, objects)`` with 0 for padding and ``"masks"`` ``(batch,
                objects, height, width)``; if wanted ``"crowd"`` ``(batch, objects)``, whose regions
                are neither missed nor mistakes, and ``"areas"`` ``(batch, objects)``, without which
                the masks' pixels are counted (or the boxes' area). ``evaluation_batch`` of the
                data sets gives all of them.
            predictions: dict of ``"boxes"`` ``(batch, detections, 4)``, ``"classes"`` ``(batch,
                detections)`` with 0 for padding, ``"scores"`` ``(batch, detections)`` and
                ``"masks"`` ``(batch, detections, height, width)`` at the pictures' size.

        Raises:
            ValueError: if an array is missing, or has another shape or an impossible value.
        """
        needed = ("boxes", "classes", *(["masks"] if "mask" in self.kinds else []))
        targets = _arrays(targets, needed, "The targets", ("crowd", "areas"))
        predictions = _arrays(predictions, (*needed, "scores"), "The predictions")
        self._check(targets, predictions)
        height, width = targets["masks"].shape[2:] if "mask" in self.kinds else (None, None)
        for number in range(len(targets["classes"])):
            picture = {"id": len(self._pictures) + 1, "height": height, "width": width}
            self._pictures.append(picture)
            self._labelled += self._entries({k: v[number] for k, v in targets.items()})
            self._found += self._entries({k: v[number] for k, v in predictions.items()})
        self._evaluated.clear()

    def result(self):
        """Returns the measures as a dict.

        Returns:
            ``"box_ap"``, ``"box_ap50"``, ``"box_ap75"``, ``"box_ap_small"``, ``"box_ap_medium"``
            and ``"box_ap_large"``, floats in [0, 1]; ``"box_ap_per_class"``, a list with one
            number a class, the background left out; the same of ``"mask"``; and ``"pictures"``,
            their number.

            NaN where there is no object to find: for a class or a size that is never labelled, and
            for everything if nothing is. Means leave such classes out. 0 where there are objects
            but no detections.
        """
        measures = {}
        for kind in self.kinds:
            precision = self._evaluate(kind)["precision"]
            measures[f"{kind}_ap"] = mean_of_seen(precision[:, :, :, 0])
            measures[f"{kind}_ap50"] = mean_of_seen(precision[0, :, :, 0])
            measures[f"{kind}_ap75"] = mean_of_seen(precision[5, :, :, 0])
            for number, size in enumerate(SIZES, start=1):
                measures[f"{kind}_ap_{size}"] = mean_of_seen(precision[:, :, :, number])
            measures[f"{kind}_ap_per_class"] = [
                mean_of_seen(precision[:, :, number, 0]) for number in range(len(self.classes) - 1)
            ]
        return measures | {"pictures": len(self._pictures)}

    def curves(self, kind="mask", threshold=0.5):
        """Returns precision against recall for each class, the curve whose mean is AP.

        Args:
            kind: ``"mask"`` or ``"box"``.
            threshold: IoU from which on an object counts as found: 0.5, 0.55 .. 0.95.

        Returns:
            Dict of ``"recall"`` float64 ``(101,)`` from 0 to 1; and ``"precision"`` and
            ``"scores"`` float64 ``(classes - 1, 101)``: the highest precision at this recall or a
            higher one, 0 at recalls that are not reached, and the score down to which detections
            are taken there. NaN for a class that is never labelled.

        Raises:
            ValueError: if the kind or the threshold is another.
        """
        if kind not in self.kinds:
            raise ValueError(f"kind is {kind!r}: choose one of {', '.join(self.kinds)}.")
        known = isinstance(threshold, numbers.Real) and np.isclose(THRESHOLDS, threshold)
        if not np.any(known):
            raise ValueError(f"threshold is {threshold!r}: choose 0.5, 0.55, 0.6 .. 0.95.")
        place = int(np.argmax(known))
        found = self._evaluate(kind)
        curves = {name: found[name][place, :, :, 0].T for name in ("precision", "scores")}
        return {"recall": np.linspace(0, 1, 101), **curves}

    def _evaluate(self, kind):
        """Returns pycocotools' ``precision`` and ``scores`` (thresholds, recalls, classes, areas).

        NaN where there is nothing to find.
        """
        if kind not in self._evaluated:
            small, large = self.areas
            with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints at every step
                measure = COCOeval(
                    self._as_coco(self._labelled, kind),
                    self._as_coco(self._found, kind),
                    KINDS[kind],
                )
                measure.params.maxDets = [self.limit]
                measure.params.iouThrs = THRESHOLDS
                measure.params.areaRng = [
                    [0, EVERYTHING],
                    [0, small],
                    [small, large],
                    [large, EVERYTHING],
                ]
                measure.params.areaRngLbl = ["all", *SIZES]
                measure.evaluate()
                measure.accumulate()
            arrays = {name: measure.eval[name][..., 0] for name in ("precision", "scores")}
            nothing = arrays["precision"] < 0
            self._evaluated[kind] = {k: np.where(nothing, np.nan, v) for k, v in arrays.items()}
        return self._evaluated[kind]

    def _as_coco(self, entries, kind):
        """Returns pycocotools' table of entries, which have the areas of one kind."""
        table = COCO()
        names = enumerate(self.classes[1:], start=1)
        table.dataset = {
            "images": self._pictures,
            "categories": [{"id": number, "name": name} for number, name in names],
            "annotations": [
                entry | {"id": number, "area": entry["areas"][kind]}
                for number, entry in enumerate(entries, start=1)  # 0 would count as unmatched
            ],
        }
        table.createIndex()
        return table

    def _entries(self, arrays):
        """Returns what pycocotools needs of the objects or detections of the last picture."""
        there = np.flatnonzero(arrays["classes"])
        arrays = {name: array[there] for name, array in arrays.items()}
        boxes = arrays["boxes"].astype(np.float64)
        boxes[:, 2:] -= boxes[:, :2]
        box_areas = boxes[:, 2] * boxes[:, 3]
        packed, mask_areas = [None] * len(there), box_areas
        if "mask" in self.kinds:
            masks = np.asarray(arrays["masks"] > 0, np.uint8).transpose(1, 2, 0)
            packed = coco_mask.encode(np.asfortranarray(masks)) if len(there) else []
            mask_areas = masks.sum(axis=(0, 1))
        if "scores" not in arrays:  # as COCO's own files: one area, that of the mask
            box_areas = mask_areas = arrays.get("areas", mask_areas)
        crowd = arrays.get("crowd", np.zeros(len(there), bool))
        scores = arrays.get("scores", np.zeros(len(there)))
        return [
            {
                "image_id": len(self._pictures),
                "category_id": int(arrays["classes"][i]),
                "bbox": boxes[i].tolist(),
                "segmentation": packed[i],
                "areas": {"box": float(box_areas[i]), "mask": float(mask_areas[i])},
                "iscrowd": int(crowd[i]),
                "score": float(scores[i]),
            }
            for i in range(len(there))
        ]

    def _check(self, targets, predictions):
        """Checks that targets and predictions are of the same pictures and have possible values."""
        for arrays, what in ((targets, "The targets"), (predictions, "The predictions")):
            classes = arrays["classes"]
            if classes.dtype.kind not in "iu":
                raise ValueError(f"{what} have classes of the type {classes.dtype}: give integers.")
            if classes.size and not 0 <= classes.min() <= classes.max() < len(self.classes):
                wrong = classes.min() if classes.min() < 0 else classes.max()
                raise ValueError(
                    f"{what} have the class {wrong} among {len(self.classes)}: use 1 .. "
                    f"{len(self.classes) - 1}, and 0 for padding."
                )
            boxes = arrays["boxes"][classes > 0]
            if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
                raise ValueError(
                    f"{what} have a box that is turned inside out or not finite: give (x1, y1, x2, "
                    "y2) with x1 <= x2 and y1 <= y2, and the class 0 for padding."
                )
        if not np.isfinite(predictions["scores"][predictions["classes"] > 0]).all():
            raise ValueError("The predictions have a score that is not finite: give numbers.")
        one, other = (
            (len(a["classes"]), *(a["masks"].shape[2:] if "masks" in a else ()))
            for a in (targets, predictions)
        )
        if one != other:
            raise ValueError(
                f"The targets are of the shape {one}, (batch, height, width), and the predictions "
                f"of {other}: give those of the same pictures, with masks at the pictures' size."
            )


def _arrays(given, needed, what, optional=()):
    """Returns the arrays of a dict that are looked at, as NumPy, after checking their shapes."""
    if not isinstance(given, dict) or not {*needed} <= given.keys():
        had = ", ".join(map(str, given)) if isinstance(given, dict) else type(given).__name__
        raise ValueError(f"{what} need {', '.join(needed)}, but have {had}: give a dict of arrays.")
    names = (*needed, *(name for name in optional if name in given))
    arrays = {name: np.asarray(given[name]) for name in names}
    shape = arrays["classes"].shape
    for name, array in arrays.items():
        more = {"boxes": (4,), "masks": array.shape[2:4]}.get(name, ())
        if len(shape) != 2 or array.shape != (*shape, *more) or len(more) == 1 and name == "masks":
            raise ValueError(
                f"{what} have {name} of the shape {array.shape} and classes of {shape}: give "
                "(batch, objects), boxes with 4 numbers each, masks with (height, width)."
            )
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{what} have {name} of the type {array.dtype}: give numbers.")
        if name == "masks" and array.dtype.kind == "f" and not np.isin(array, (0, 1)).all():
            raise ValueError(
                f"{what} have masks with values between 0 and 1, or beyond: give 0 and 1, which is "
                "masks > 0.5 for probabilities."
            )
    return arrays


def evaluate(model, dataset, *, areas=AREAS, masks=True, limit=LIMIT, original=False):
    """Measures a detector on every picture of a data set.

    Args:
        model: an object with a method ``detect``, or a function: pictures float32 ``(batch, height,
            width, 3)`` in [0, 1] to predictions as ``DetectionAP.update`` takes them. It always
            sees batches of one size; a smaller last batch is filled up with black pictures, so that
            nothing is compiled again.
        dataset: a data set of instances with ``evaluation_batch``, of known length.
        areas, masks, limit: as for ``DetectionAP``.
        original: ``True`` shows the model each picture alone and at its own size, and measures
            there, with the boxes and areas of the files, as published figures are measured; for
            the data sets that have ``original``. A network is compiled for every size that it sees:
            give a function that brings pictures to few sizes, as one of ``pixelwise.detection``.

    Returns:
        As ``DetectionAP.result``.

    Raises:
        ValueError: if the data set has no such method, is empty or endless, or a prediction cannot
            be measured.
    """
    method = "original" if original else "evaluation_batch"
    if not hasattr(dataset, method):
        raise ValueError(
            f"The data set is a {type(dataset).__name__} without {method}: give one of instances, "
            "as pixelwise.data.load('wardrobe', 'test', targets='instances')."
        )
    count = check_length(len(dataset.names) if original else num_batches(dataset))
    detect = getattr(model, "detect", model)
    if not callable(detect):
        raise ValueError(
            f"The model is a {type(model).__name__} without detect: give a detector, or a function "
            "of pictures."
        )
    score = DetectionAP(dataset.classes, areas, masks, limit)
    size = 1
    for index in range(count):
        images, targets = getattr(dataset, method)(index)
        images = check_batch(images)
        size = max(size, len(images))
        filled = np.zeros((size, *images.shape[1:]), np.float32)
        filled[: len(images)] = images
        found = detect(filled)
        if not isinstance(found, dict) or any(np.ndim(v) < 1 for v in found.values()):
            raise ValueError(
                f"The model answers with {type(found).__name__}: give a dict of arrays, as "
                "DetectionAP.update takes it."
            )
        found = {name: keras.ops.convert_to_numpy(v) for name, v in found.items()}
        score.update(targets, {name: array[: len(images)] for name, array in found.items()})
    return score.result()
