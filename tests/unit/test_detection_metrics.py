"""Average precision: by hand, by a naive loop, by COCO's own path, streaming, and bad input."""

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pixelwise import data
from pixelwise.metrics import detection
from pixelwise.metrics.detection import DetectionAP

# pycocotools 2.0.11 does not know NumPy 2's ``copy`` keyword yet.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

CLASSES = ("background", "square", "disc", "never")
SIDE = 48


def filled(boxes):
    """The masks of whole boxes ``(..., 4)``, bool ``(..., SIDE, SIDE)``."""
    y, x = np.mgrid[:SIDE, :SIDE]
    x1, y1, x2, y2 = np.moveaxis(np.asarray(boxes), -1, 0)[..., None, None]
    return (x >= x1) & (x < x2) & (y >= y1) & (y < y2)


def as_arrays(pictures, **names):
    """Pads lists of ``(box, class, more...)`` to the arrays of a batch."""
    length = max(1, max(map(len, pictures)))
    boxes = np.zeros((len(pictures), length, 4), "float32")
    classes = np.zeros((len(pictures), length), "int32")
    more = {name: np.zeros(classes.shape, kind) for name, kind in names.items()}
    for i, picture in enumerate(pictures):
        for j, (box, number, *values) in enumerate(picture):
            boxes[i, j], classes[i, j] = box, number
            for array, value in zip(more.values(), values, strict=True):
                array[i, j] = value
    return {"boxes": boxes, "classes": classes, "masks": filled(boxes), **more}


def targets_of(*pictures):
    return as_arrays(pictures)


def predictions_of(*pictures):
    return as_arrays(pictures, scores="float32")


def score(targets, predictions, **options):
    found = DetectionAP(CLASSES, **options)
    found.update(targets, predictions)
    return found


@pytest.fixture(scope="module")
def scenes():
    """Random objects, crowds too, of three sizes, and detections near and far from them."""
    rng = np.random.default_rng(3)
    objects, detections = [], []
    for _ in range(24):
        own, found = [], []
        for _ in range(rng.integers(0, 5)):
            side = rng.choice([4, 10, 20])
            x, y = rng.integers(0, SIDE - side, 2)
            number, crowd = rng.integers(1, 3), rng.random() < 0.15
            own.append(((x, y, x + side, y + side), number, crowd, float(side**2)))
            for _ in range(rng.integers(0, 3)):
                moved = np.clip(np.array(own[-1][0]) + rng.integers(-2, 3, 4), 0, SIDE)
                kind = number if rng.random() < 0.8 else 3 - number
                if (moved[2:] > moved[:2]).all():
                    found.append((moved, kind, round(rng.random(), 3)))
        x, y = rng.integers(0, SIDE - 8, 2)
        found.append(((x, y, x + 8, y + 8), rng.integers(1, 3), round(rng.random(), 3)))
        found.sort(key=lambda entry: -entry[2])
        objects.append(own)
        detections.append(found)
    targets = as_arrays(objects, crowd=bool, areas="float32")
    return targets, predictions_of(*detections)


def part(arrays, rows):
    return {name: array[rows] for name, array in arrays.items()}


# Two squares; four detections: right, too far off, right, far from everything. Boxes of 10 x 10.
BY_HAND = (
    targets_of([((0, 0, 10, 10), 1), ((20, 20, 30, 30), 1)]),
    predictions_of(
        [
            ((0, 0, 10, 10), 1, 0.9),  # the first square, IoU 1
            ((20, 26, 30, 36), 1, 0.8),  # the second, IoU 40 / 160: a mistake
            ((20, 22, 30, 32), 1, 0.7),  # the second, IoU 80 / 120 = 0.67
            ((36, 0, 46, 10), 1, 0.6),  # nothing is there
        ]
    ),
)


def test_by_hand():
    """At IoU 0.5 precision is 1 up to recall 1/2 and 2/3 beyond; at 0.75 it ends at 1/2."""
    measures = score(*BY_HAND).result()
    for kind in ("box", "mask"):
        assert measures[f"{kind}_ap50"] == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
        assert measures[f"{kind}_ap75"] == pytest.approx(51 / 101)
        # The second square is found at the thresholds 0.5 to 0.65, not at the six above.
        mean = (4 * (51 + 50 * 2 / 3) + 6 * 51) / 10 / 101
        assert measures[f"{kind}_ap"] == pytest.approx(mean)
        np.testing.assert_allclose(measures[f"{kind}_ap_per_class"], [mean, np.nan, np.nan])
    assert measures["pictures"] == 1


def test_the_curve_by_hand():
    found = score(*BY_HAND)
    curves = found.curves("mask", 0.5)
    np.testing.assert_allclose(curves["recall"], np.arange(101) / 100)
    np.testing.assert_allclose(curves["precision"][0], [1] * 51 + [2 / 3] * 50)
    np.testing.assert_allclose(curves["scores"][0], [0.9] * 51 + [0.7] * 50, atol=1e-6)
    assert np.isnan(curves["precision"][1:]).all() and np.isnan(curves["scores"][1:]).all()
    high = found.curves("box", 0.75)
    np.testing.assert_allclose(high["precision"][0], [1] * 51 + [0] * 50)
    assert found.result()["box_ap75"] == pytest.approx(high["precision"][0].mean())


def naive_ap(targets, predictions, number, threshold, kind):
    """AP of one class without crowds: every loop written out, IoU by counting pixels or by area."""

    def iou(a, b):
        if kind == "mask":
            return (a[1] & b[1]).sum() / (a[1] | b[1]).sum()
        (x1, y1, x2, y2), (u1, v1, u2, v2) = a[0], b[0]
        shared = max(0, min(x2, u2) - max(x1, u1)) * max(0, min(y2, v2) - max(y1, v1))
        return shared / ((x2 - x1) * (y2 - y1) + (u2 - u1) * (v2 - v1) - shared)

    def entries(arrays, picture):
        return [
            (arrays["boxes"][picture, i].tolist(), arrays["masks"][picture, i], i)
            for i in range(arrays["classes"].shape[1])
            if arrays["classes"][picture, i] == number
        ]

    found, total = [], 0
    for picture in range(len(targets["classes"])):
        own, taken = entries(targets, picture), set()
        total += len(own)
        for entry in entries(predictions, picture):  # by falling score
            best, place = threshold, None
            for other in own:
                if other[2] not in taken and iou(entry, other) >= best:
                    best, place = iou(entry, other), other[2]
            taken.add(place)
            found.append((predictions["scores"][picture, entry[2]], place is not None))
    found.sort(key=lambda entry: -entry[0])
    precisions = []
    for recall in np.linspace(0, 1, 101):
        best, hits = 0, 0
        for count, (_, hit) in enumerate(found, start=1):
            hits += hit
            if hits / total >= recall:
                best = max(best, hits / count)
        precisions.append(best)
    return np.mean(precisions)


def test_equal_to_a_naive_loop(scenes):
    targets, predictions = scenes
    plain = {k: v for k, v in targets.items() if k in ("boxes", "classes", "masks")}
    measures = score(plain, predictions).result()
    for kind in ("box", "mask"):
        each = [
            [naive_ap(plain, predictions, number, t, kind) for t in np.linspace(0.5, 0.95, 10)]
            for number in (1, 2)
        ]
        expected = [*np.mean(each, axis=1), np.nan]
        np.testing.assert_allclose(measures[f"{kind}_ap_per_class"], expected, atol=1e-9)
        assert measures[f"{kind}_ap"] == pytest.approx(np.mean(each))
        assert measures[f"{kind}_ap50"] == pytest.approx(np.mean(each, axis=0)[0])
        assert measures[f"{kind}_ap75"] == pytest.approx(np.mean(each, axis=0)[5])
        assert 0.1 < np.mean(each) < 0.9


def official(targets, predictions, kind, areas):
    """COCO's six figures from a file of annotations and a list of results, as papers get them."""
    images, annotations, results = [], [], []
    for i in range(len(targets["classes"])):
        images.append({"id": 100 + i, "height": SIDE, "width": SIDE})
        for arrays, entries in ((targets, annotations), (predictions, results)):
            for j in np.flatnonzero(arrays["classes"][i]):
                x1, y1, x2, y2 = arrays["boxes"][i, j].tolist()
                entry = {
                    "image_id": 100 + i,
                    "category_id": int(arrays["classes"][i, j]),
                    "segmentation": coco_mask.encode(
                        np.asfortranarray(arrays["masks"][i, j].astype(np.uint8))
                    ),
                }
                if arrays is targets:
                    entry |= {
                        "id": len(annotations) + 1,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "iscrowd": int(targets["crowd"][i, j]),
                        "area": float(targets["areas"][i, j]),
                    }
                else:
                    entry["score"] = float(arrays["scores"][i, j])
                    if kind == "bbox":
                        entry["bbox"] = [x1, y1, x2 - x1, y2 - y1]
                        del entry["segmentation"]
                entries.append(entry)
    truth = COCO()
    categories = [{"id": n, "name": name} for n, name in enumerate(CLASSES[1:], start=1)]
    truth.dataset = {
        "info": {},
        "images": images,
        "annotations": annotations,
        "categories": categories,
    }
    truth.createIndex()
    measure = COCOeval(truth, truth.loadRes(results), kind)
    measure.params.areaRng = [[0, 1e10], [0, areas[0]], [areas[0], areas[1]], [areas[1], 1e10]]
    measure.evaluate()
    measure.accumulate()
    measure.summarize()
    return measure.stats[:6]


@pytest.mark.parametrize("areas", [(32**2, 96**2), (50, 200)])
def test_equal_to_cocos_own_path_with_crowds_and_areas(scenes, areas):
    assert scenes[0]["crowd"].sum() > 3
    measures = score(*scenes, areas=areas).result()
    for kind, name in (("box", "bbox"), ("mask", "segm")):
        keys = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large")
        found = [measures[f"{kind}_{key}"] for key in keys]
        expected = official(*scenes, name, areas)
        np.testing.assert_allclose(found, np.where(expected < 0, np.nan, expected), rtol=1e-12)
        assert np.isfinite(found).sum() == (6 if areas == (50, 200) else 4)


def test_streaming_equals_all_at_once(scenes):
    targets, predictions = scenes
    whole = score(targets, predictions)
    parts = DetectionAP(CLASSES)
    for first in range(0, 24, 5):
        rows = slice(first, first + 5)
        parts.update(part(targets, rows), part(predictions, rows))
        assert parts.result()["pictures"] == min(first + 5, 24)
    assert str(parts.result()) == str(whole.result())  # as text, for NaN is not NaN
    assert str(parts.result()) == str(parts.result())


def test_what_is_found_in_a_crowd_is_no_mistake_and_what_is_missed_there_no_miss():
    targets = targets_of([((0, 0, 10, 10), 1), ((20, 20, 40, 40), 1)])
    predictions = predictions_of(
        [
            ((20, 20, 28, 28), 1, 0.9),
            ((30, 30, 38, 38), 1, 0.8),
            ((0, 0, 10, 10), 1, 0.7),
        ]
    )
    plain = score(targets, predictions).result()
    crowded = score(targets | {"crowd": np.array([[False, True]])}, predictions).result()
    assert plain["mask_ap"] < 0.5
    assert crowded["mask_ap"] == pytest.approx(1) and crowded["box_ap"] == pytest.approx(1)


def test_perfect_and_missing_detections(scenes):
    targets, _ = scenes
    targets = targets | {"crowd": np.zeros(targets["classes"].shape, bool)}
    perfect = targets | {"scores": np.ones(targets["classes"].shape, "float32")}
    measures = score(targets, perfect, areas=(50, 200)).result()
    figures = [v for v in measures.values() if isinstance(v, float)]
    assert len(figures) == 12 and figures == pytest.approx([1] * 12)
    none = predictions_of(*[[]] * 24)
    measures = score(targets, none, areas=(50, 200)).result()
    figures = {k: v for k, v in measures.items() if isinstance(v, float)}
    assert len(figures) == 12 and set(figures.values()) == {0.0}
    np.testing.assert_array_equal(measures["mask_ap_per_class"], [0, 0, np.nan])


def test_nothing_to_find_is_nan():
    nothing = targets_of([], [])
    for predictions in (predictions_of([], []), predictions_of([((0, 0, 9, 9), 1, 0.9)], [])):
        found = score(nothing, predictions)
        measures = found.result()
        assert measures.pop("pictures") == 2
        assert all(np.isnan(value).all() for value in measures.values())
        assert np.isnan(found.curves()["precision"]).all()
    empty = DetectionAP(CLASSES)
    assert np.isnan(empty.result()["mask_ap"]) and empty.result()["pictures"] == 0
    # A detection in an empty picture is a mistake where there is something to find elsewhere.
    both = targets_of([((0, 0, 9, 9), 1)], [])
    seen = predictions_of([((0, 0, 9, 9), 1, 0.5)], [((0, 0, 9, 9), 1, 0.9)])
    assert score(both, seen).result()["box_ap"] == pytest.approx(0.5)


def test_arrays_may_have_no_room_at_all():
    targets = part(targets_of([((0, 0, 9, 9), 1)]), slice(0, 1))
    none = {
        "boxes": np.zeros((1, 0, 4)),
        "classes": np.zeros((1, 0), int),
        "scores": np.zeros((1, 0)),
        "masks": np.zeros((1, 0, SIDE, SIDE), bool),
    }
    assert score(targets, none).result()["mask_ap"] == 0
    empty = {k: none[k] for k in ("boxes", "classes", "masks")}
    assert np.isnan(score(empty, none).result()["mask_ap"])


def test_sizes_are_told_apart_by_the_areas():
    targets = targets_of([((0, 0, 4, 4), 1), ((10, 0, 20, 10), 1), ((20, 20, 44, 44), 1)])
    predictions = predictions_of([((0, 0, 4, 4), 1, 0.9), ((20, 20, 44, 44), 1, 0.8)])
    measures = score(targets, predictions, areas=(50, 200)).result()
    sizes = [measures[f"mask_ap_{size}"] for size in ("small", "medium", "large")]
    assert sizes == pytest.approx([1, 0, 1])
    coco = score(targets, predictions).result()
    assert np.isfinite(coco["mask_ap_small"]) and np.isnan(coco["mask_ap_large"])
    given = targets | {"areas": np.array([[300.0, 300.0, 300.0]])}
    measures = score(given, predictions, areas=(50, 200)).result()
    assert np.isnan(measures["mask_ap_small"]) and measures["mask_ap_large"] > 0.5


def test_boxes_alone_need_no_masks(scenes):
    targets, predictions = ({k: v for k, v in a.items() if k != "masks"} for a in scenes)
    measures = score(targets, predictions, masks=False).result()
    expected = score(*scenes).result()
    assert str(measures) == str({k: v for k, v in expected.items() if k[:4] != "mask"})
    without = {k: v for k, v in targets.items() if k != "areas"}
    assert score(without, predictions, masks=False).result()["box_ap"] == measures["box_ap"]


def test_only_the_best_detections_count():
    targets = targets_of([((0, 0, 10, 10), 1)])
    predictions = predictions_of([((20, 20, 30, 30), 1, 0.9), ((0, 0, 10, 10), 1, 0.8)])
    assert score(targets, predictions, limit=1).result()["mask_ap"] == 0
    assert score(targets, predictions, limit=2).result()["mask_ap"] == pytest.approx(0.5)


def test_it_is_silent(scenes, capfd):
    score(*scenes).result()
    assert capfd.readouterr() == ("", "")


class Detector:
    """Finds all but the last object of a picture, and remembers the batches it saw."""

    def __init__(self, dataset, method="evaluation_batch"):
        self.dataset, self.method, self.seen, self.index = dataset, method, [], 0

    def detect(self, images):
        self.seen.append(images.shape)
        _, targets = getattr(self.dataset, self.method)(self.index)
        self.index += 1
        classes = targets["classes"].copy()
        for row in classes:
            row[max(0, (row > 0).sum() - 1) :] = 0
        found = targets | {"classes": classes, "scores": np.ones(classes.shape, "float32")}
        spare = ((0, len(images) - len(classes)),)
        return {k: np.pad(v, (*spare, *[(0, 0)] * (v.ndim - 1))) for k, v in found.items()}


@pytest.fixture(scope="module")
def wardrobe():
    return data.load("wardrobe", "test", targets="instances", size=48, batch_size=4, num_batches=3)


def test_a_detector_is_measured_on_every_batch(wardrobe):
    detector = Detector(wardrobe)
    measures = detection.evaluate(detector, wardrobe, areas=(100, 400))
    assert detector.seen == [(4, 48, 48, 3)] * 3 and measures["pictures"] == 12
    assert 0.4 < measures["mask_ap"] < 0.95 and measures["box_ap"] == measures["mask_ap"]
    assert len(measures["mask_ap_per_class"]) == 5
    again = detection.evaluate(Detector(wardrobe).detect, wardrobe, areas=(100, 400))
    assert str(again) == str(measures)


class Listed:
    """Three pictures of two sizes, two a batch."""

    classes, names, num_batches = CLASSES, ["a", "b", "c"], 2

    def evaluation_batch(self, index):
        targets = targets_of(*[[((0, 0, 10, 10), 1), ((20, 20, 30, 30), 2)]] * (2 - index))
        return np.zeros((2 - index, SIDE, SIDE, 3), "float32"), targets

    def original(self, place):
        targets = targets_of([((0, 0, 10, 10), 1), ((20, 20, 30, 30), 2)])
        masks = np.pad(targets["masks"], ((0, 0), (0, 0), (0, place), (0, 0)))
        return np.zeros((1, SIDE + place, SIDE, 3), "float32"), targets | {"masks": masks}


def test_a_smaller_last_batch_is_filled_up_and_not_counted():
    detector = Detector(Listed())
    measures = detection.evaluate(detector, Listed())
    assert detector.seen == [(2, SIDE, SIDE, 3)] * 2 and measures["pictures"] == 3
    np.testing.assert_array_equal(measures["mask_ap_per_class"], [1, 0, np.nan])


def test_pictures_at_their_own_size():
    detector = Detector(Listed(), "original")
    measures = detection.evaluate(detector, Listed(), original=True)
    assert detector.seen == [(1, SIDE + place, SIDE, 3) for place in range(3)]
    assert measures["pictures"] == 3 and measures["mask_ap_per_class"][0] == 1


def changed(arrays, **values):
    return {**arrays, **values}


TARGETS, PREDICTIONS = BY_HAND
LAST = PREDICTIONS["boxes"].copy()
LAST[0, 3] = (46, 0, 36, 10)


@pytest.mark.parametrize(
    ("targets", "predictions", "said"),
    [
        (None, PREDICTIONS, "The targets need boxes, classes, masks, but have NoneType"),
        (TARGETS, TARGETS, "The predictions need boxes, classes, masks, scores, but have boxes"),
        (changed(TARGETS, classes=TARGETS["classes"][0]), PREDICTIONS, "classes of (2,)"),
        (changed(TARGETS, boxes=TARGETS["boxes"][:, :1]), PREDICTIONS, "boxes of the shape"),
        (changed(TARGETS, masks=TARGETS["masks"][:, :, 0]), PREDICTIONS, "masks of the shape"),
        (changed(TARGETS, crowd=np.zeros((1, 3))), PREDICTIONS, "crowd of the shape (1, 3)"),
        (changed(TARGETS, classes=TARGETS["classes"] + 3), PREDICTIONS, "the class 4 among 4"),
        (changed(TARGETS, classes=TARGETS["classes"] - 2), PREDICTIONS, "the class -1 among 4"),
        (changed(TARGETS, classes=TARGETS["classes"] * 1.0), PREDICTIONS, "of the type float64"),
        (TARGETS, changed(PREDICTIONS, boxes=LAST), "The predictions have a box that is turned"),
        (TARGETS, changed(PREDICTIONS, boxes=LAST * np.nan), "not finite"),
        (TARGETS, changed(PREDICTIONS, scores=PREDICTIONS["scores"] * np.nan), "a score that is"),
        (TARGETS, changed(PREDICTIONS, masks=PREDICTIONS["masks"][..., 1:]), "(1, 48, 47)"),
        (part(TARGETS, [0, 0]), PREDICTIONS, "of the shape (2, 48, 48)"),
        (TARGETS, changed(PREDICTIONS, boxes=LAST.astype(str)), "boxes of the type <U"),
        (TARGETS, changed(PREDICTIONS, scores=PREDICTIONS["scores"].astype(object)), "type object"),
        (TARGETS, changed(PREDICTIONS, masks=PREDICTIONS["masks"] * 0.3), "masks > 0.5"),
        (TARGETS, changed(PREDICTIONS, masks=PREDICTIONS["masks"] * np.nan), "give 0 and 1"),
    ],
)
def test_what_cannot_be_compared(sentence, targets, predictions, said):
    with pytest.raises(ValueError) as caught:
        score(targets, predictions)
    assert said in sentence(caught)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: DetectionAP(["background"]), "classes is ('background',)"),
        (lambda: DetectionAP(3), "classes is 3"),
        (lambda: DetectionAP("shoes"), "classes is 'shoes'"),
        (lambda: DetectionAP(CLASSES, areas="ab"), "areas is 'ab'"),
        (lambda: DetectionAP(CLASSES).curves("box", None), "threshold is None"),
        (lambda: DetectionAP(CLASSES).curves("box", "0.5"), "threshold is '0.5'"),
        (lambda: DetectionAP(CLASSES, areas=(9, 4)), "areas is (9, 4)"),
        (lambda: DetectionAP(CLASSES, areas=32), "areas is 32"),
        (lambda: DetectionAP(CLASSES, limit=0), "limit is 0"),
        (lambda: DetectionAP(CLASSES).curves("boxes"), "kind is 'boxes'"),
        (lambda: DetectionAP(CLASSES, masks=False).curves("mask"), "kind is 'mask'"),
        (lambda: DetectionAP(CLASSES).curves("box", 0.51), "threshold is 0.51"),
    ],
)
def test_wrong_arguments(sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in sentence(caught)


def test_data_and_models_that_cannot_be_measured(sentence, wardrobe):
    endless = data.load("wardrobe", "train", targets="instances")

    class Empty(Listed):
        num_batches = 0

    for model, dataset, options, said in [
        (print, [1, 2], {}, "a list without evaluation_batch"),
        (print, wardrobe, {"original": True}, "a Wardrobe without original"),
        (print, endless, {}, "has None batches"),
        (print, Empty(), {}, "has 0 batches"),
        ("mask_rcnn", Listed(), {}, "The model is a str without detect"),
        (lambda images: None, Listed(), {}, "The model answers with NoneType"),
        (lambda images: {"scores": None}, Listed(), {}, "give a dict of arrays"),
    ]:
        with pytest.raises(ValueError) as caught:
            detection.evaluate(model, dataset, **options)
        assert said in sentence(caught)
