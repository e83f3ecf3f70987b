"""Panoptic quality: by hand, by a naive loop, void and crowds, and how maps are put together."""

import warnings

import numpy as np
import pytest

from pixelwise import data
from pixelwise.metrics import panoptic
from pixelwise.metrics.panoptic import VOID, PanopticQuality

CLASSES = ("background", "square", "disc", "sky")
THINGS = (1, 2)


def pane(*segments, shape=(10, 10), stuff=0):
    """A map of rectangles ``(rows, columns, class, number)`` on stuff."""
    found = np.full((*shape, 2), (stuff, 0), np.int32)
    for rows, columns, number, identity in segments:
        found[slice(*rows), slice(*columns)] = number, identity
    return found


def quality(truth, predictions, **options):
    found = PanopticQuality(CLASSES, **{"things": THINGS, **options})
    found.update(truth, predictions)
    return found.result()


def test_by_hand():
    """Two squares of 20 pixels: one is found by 16 of them, the other is missed by 10."""
    truth = pane(((0, 4), (0, 5), 1, 1), ((6, 10), (0, 5), 1, 2))
    said = pane(((0, 4), (0, 4), 1, 7), ((6, 10), (0, 2), 1, 5), ((5, 6), (9, 10), 2, 1))
    measures = quality(truth, said)
    # Squares: IoU 16/20 is found; IoU 8/20 is below a half, so one is missed and one is wrong.
    assert measures["sq_per_class"][1] == pytest.approx(0.8)
    assert measures["rq_per_class"][1] == pytest.approx(1 / (1 + 0.5 + 0.5))
    assert measures["pq_per_class"][1] == pytest.approx(0.8 / 2)
    # The disc is only said; the sky is nowhere; the background has 60 of 60 + 4 + 12 pixels, less
    # the one of the disc.
    assert measures["pq_per_class"][2] == measures["sq_per_class"][2] == 0
    assert np.isnan(measures["pq_per_class"][3])
    background = 59 / 76
    assert measures["pq_per_class"][0] == pytest.approx(background)
    assert measures["pq"] == pytest.approx((background + 0.4 + 0) / 3)
    assert measures["pq_things"] == pytest.approx(0.2)
    assert measures["pq_stuff"] == pytest.approx(background)


def naive(truth, predictions, things, void=VOID):
    """TP, FP, FN and the sum of IoU of each class, segment by segment, by the paper's text."""
    iou_sum, found, wrong, missed = np.zeros((4, len(CLASSES)))
    for true, said in zip(truth, predictions, strict=True):
        segments = []
        for array in (true, said):
            own = []
            for number in range(len(CLASSES)):
                here = array[..., 0] == number
                if number in things:
                    for identity in np.unique(array[..., 1][here]):
                        own.append((number, identity, here & (array[..., 1] == identity)))
                elif here.any():
                    own.append((number, 0, here))
            segments.append(own)
        unlabelled = true[..., 0] == void
        taken = set()
        for number, identity, mask in segments[0]:
            if identity < 0:
                continue
            hit = False
            for place, (other, _, guess) in enumerate(segments[1]):
                guess = guess & ~unlabelled
                if other == number and 2 * (mask & guess).sum() > (mask | guess).sum():
                    iou_sum[number] += (mask & guess).sum() / (mask | guess).sum()
                    found[number] += 1
                    taken.add(place)
                    hit = True
            missed[number] += not hit
        for place, (number, _, guess) in enumerate(segments[1]):
            crowd = np.zeros_like(guess)
            for other, identity, mask in segments[0]:
                crowd |= mask if other == number and identity < 0 else False
            if place not in taken and not 2 * (guess & (unlabelled | crowd)).sum() > guess.sum():
                wrong[number] += 1
    return iou_sum, found, wrong, missed


@pytest.fixture(scope="module")
def maps():
    """Random blocks of things and stuff with void and crowds, and a changed copy of each."""
    rng = np.random.default_rng(1)
    classes = rng.choice([0, 1, 2, 3, VOID], (12, 4, 5), p=[0.2, 0.3, 0.3, 0.1, 0.1])
    numbers = rng.integers(1, 4, classes.shape)
    crowd = np.isin(classes, THINGS) & (rng.random(classes.shape) < 0.15)
    truth = np.stack([classes, np.where(crowd, -numbers, numbers)], -1)
    truth = truth.repeat(5, 1).repeat(4, 2)
    said = np.abs(truth)
    said = np.where(rng.random((12, 20, 20, 1)) < 0.1, np.roll(said, 7, axis=2), said)
    said[rng.random((12, 20, 20)) < 0.03] = VOID, 0
    swapped = rng.random(12) < 0.5
    said[swapped] = np.roll(said[swapped], 1, axis=1)
    return truth, said


@pytest.mark.parametrize("things", [(1, 2), (1,), (0, 1, 2, 3), ()])
def test_equal_to_a_naive_loop(maps, things):
    truth, said = maps
    # Numbers of stuff mean nothing, a crowd's sign neither.
    found = PanopticQuality(CLASSES, things=things)
    found.update(truth, said)
    crowds = np.where(np.isin(truth[..., :1], things), truth[..., 1:], 0)
    expected = naive(np.concatenate([truth[..., :1], crowds], -1), said, things)
    for ours, theirs in zip(
        (found.iou, found.found, found.wrong, found.missed), expected, strict=True
    ):
        np.testing.assert_allclose(ours, theirs)
    assert found.found.sum() > 10
    assert not things or (found.wrong.sum() > 5 and found.missed.sum() > 5)
    measures = found.result()
    for name in ("pq", "sq", "rq"):
        assert measures[name] == pytest.approx(np.nanmean(measures[f"{name}_per_class"]))
    product = np.multiply(measures["sq_per_class"], measures["rq_per_class"])
    np.testing.assert_allclose(measures["pq_per_class"], product)


def test_streaming_equals_all_at_once(maps):
    truth, said = maps
    whole = quality(truth, said)
    parts = PanopticQuality(len(CLASSES), things=THINGS)
    parts.update(truth[0], said[0])
    parts.update(truth[1:5], said[1:5])
    parts.update(truth[5:], said[5:])
    for name, value in parts.result().items():
        np.testing.assert_allclose(value, whole[name])


def test_a_map_is_equal_to_itself_whatever_the_numbers_are(maps):
    truth = np.abs(maps[0])
    renamed = truth.copy()
    renamed[..., 1] = 1000 - truth[..., 1]
    measures = quality(truth, renamed)
    assert measures["pq"] == measures["sq"] == measures["rq"] == 1


def test_void_counts_neither_for_nor_against():
    truth = pane(((0, 4), (0, 5), 1, 1), ((0, 4), (5, 10), VOID, 0))
    inside = pane(((0, 4), (0, 10), 1, 1))  # half of it is void
    assert quality(truth, inside)["pq_per_class"][1] == 1
    mostly = pane(((0, 4), (0, 5), 1, 1), ((0, 5), (5, 9), 2, 1))  # 16 of 20 pixels are void
    assert np.isnan(quality(truth, mostly)["pq_per_class"][2])
    hardly = pane(((0, 4), (0, 5), 1, 1), ((3, 7), (5, 9), 2, 1))
    assert quality(truth, hardly)["pq_per_class"][2] == 0
    everything = np.full((10, 10, 2), (VOID, 0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        measures = quality(everything, inside)
    assert all(np.isnan(value).all() for value in measures.values())


def test_void_that_is_predicted_is_no_segment():
    truth = pane(((0, 4), (0, 5), 1, 1))
    said = truth.copy()
    said[5:, 5:] = VOID, 3
    measures = quality(truth, said)
    assert measures["pq_per_class"][1] == 1
    assert measures["pq_per_class"][0] == pytest.approx(55 / 80)


def test_crowds_are_neither_missed_nor_mistakes():
    truth = pane(((0, 4), (0, 10), 1, -1), ((6, 10), (0, 5), 1, 1))
    nothing_there = pane(((6, 10), (0, 5), 1, 1), ((0, 4), (0, 10), 0, 0))
    assert quality(truth, nothing_there)["pq_per_class"][1] == 1
    some = pane(((6, 10), (0, 5), 1, 1), ((0, 4), (0, 3), 1, 2), ((0, 4), (3, 6), 1, 3))
    assert quality(truth, some)["pq_per_class"][1] == 1
    other = pane(((6, 10), (0, 5), 1, 1), ((0, 4), (0, 3), 2, 2))
    assert quality(truth, other)["pq_per_class"][2] == 0


def detections(*entries, shape=(10, 10)):
    """One picture's predictions of ``(class, score, rows, columns)``."""
    masks = np.zeros((1, len(entries), *shape), bool)
    for place, (_, _, rows, columns) in enumerate(entries):
        masks[0, place, slice(*rows), slice(*columns)] = True
    return {
        "classes": np.array([[entry[0] for entry in entries]], "int32"),
        "scores": np.array([[entry[1] for entry in entries]], "float32"),
        "masks": masks,
    }


def test_the_best_detection_is_on_top_and_the_rest_is_semantic():
    semantic = np.zeros((1, 10, 10), int)
    semantic[0, :2], semantic[0, 8:] = 3, 1
    found = panoptic.combine(
        detections(
            (1, 0.7, (2, 6), (2, 6)),  # 16 pixels, of which the next takes 4
            (2, 0.9, (4, 8), (4, 8)),
            (1, 0.8, (4, 8), (5, 8)),  # wholly covered
            (1, 0.4, (0, 2), (0, 9)),  # not sure enough
            (0, 1.0, (0, 9), (0, 9)),  # padding
        ),
        semantic,
        THINGS,
    )[0]
    expected = pane(
        ((0, 2), (0, 10), 3, 0),
        ((8, 10), (0, 10), VOID, 0),  # the semantic map says thing, and no detection does
        ((2, 6), (2, 6), 1, 2),
        ((4, 8), (4, 8), 2, 1),
    )
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32


def test_what_is_covered_too_much_is_dropped():
    semantic = np.zeros((1, 10, 10), int)
    both = detections((1, 0.9, (0, 4), (0, 5)), (1, 0.8, (0, 4), (2, 7)))  # 8 of 20 are left
    for overlap, count in ((0.39, 2), (0.41, 1)):
        found = panoptic.combine(both, semantic, THINGS, overlap=overlap)
        assert found[..., 1].max() == count
    assert (found[0, :4, 5:7] == 0).all()  # its pixels go to the semantic map


def test_small_stuff_is_void():
    semantic = np.zeros((1, 10, 10), int)
    semantic[0, :1] = 3
    none = detections((0, 0.0, (0, 0), (0, 0)))
    assert set(np.unique(panoptic.combine(none, semantic, THINGS, area=11)[..., 0])) == {0, VOID}
    assert set(np.unique(panoptic.combine(none, semantic, THINGS, area=10)[..., 0])) == {0, 3}


def test_the_truth_of_the_wardrobe():
    dataset = data.load("wardrobe", "test", targets="instances", size=48, batch_size=4)
    semantic = np.stack([dataset.scene(i).semantic for i in range(4)])
    _, targets = dataset.evaluation_batch(0)
    truth = panoptic.from_targets(targets)
    np.testing.assert_array_equal(truth[..., 0], semantic)
    for i in range(4):
        np.testing.assert_array_equal(truth[i, ..., 1], dataset.scene(i).instances)
    perfect = targets | {"scores": np.ones(targets["classes"].shape)}
    score = PanopticQuality(dataset.classes)
    score.update(truth, panoptic.combine(perfect, semantic))
    assert score.result()["pq"] == 1
    pieces = PanopticQuality(dataset.classes)
    pieces.update(truth, panoptic.from_semantic(semantic))
    assert pieces.result()["pq_stuff"] == 1 and pieces.result()["pq"] <= 1


def test_crowds_lie_below_objects_and_have_negative_numbers():
    targets = detections((1, 1, (0, 4), (0, 5)), (2, 1, (0, 2), (0, 9)), (0, 0, (0, 9), (0, 9)))
    targets["crowd"] = np.array([[False, True, False]])
    found = panoptic.from_targets(targets, stuff=VOID)[0]
    expected = pane(((0, 2), (0, 9), 2, -2), ((0, 4), (0, 5), 1, 1), stuff=VOID)
    np.testing.assert_array_equal(found, expected)


def test_pieces_of_a_semantic_map_are_objects_and_what_touches_is_one():
    semantic = pane(((0, 2), (0, 5), 1, 0), ((2, 4), (5, 7), 1, 0), ((6, 9), (0, 3), 1, 0))[..., 0]
    semantic[6:9, 3:5], semantic[9] = 2, 3
    found = panoptic.from_semantic(semantic[None], THINGS)[0]
    np.testing.assert_array_equal(found[..., 0], semantic)
    pieces = [{*found[..., 1][semantic == number].tolist()} for number in (1, 2, 3, 0)]
    assert pieces == [{1, 2}, {3}, {0}, {0}]
    semantic[5] = VOID
    assert not panoptic.from_semantic(semantic[None])[0, 5, :, 1].any()


TRUTH = pane()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: PanopticQuality([]), "classes is []"),
        (lambda: PanopticQuality(0), "classes is 0"),
        (lambda: PanopticQuality(4, things=(4,)), "things is (4,)"),
        (lambda: PanopticQuality(4, void=3), "void is 3, one of the 4 classes"),
        (lambda: quality(TRUTH[..., 0], TRUTH), "The truth has the shape (10, 10)"),
        (lambda: quality(TRUTH, TRUTH * 1.0), "The prediction has the shape (10, 10, 2) and the"),
        (lambda: quality(TRUTH, TRUTH[None]), "The truth has the shape (10, 10, 2) and the"),
        (lambda: quality(TRUTH + 4, TRUTH), "The truth has the class 4 among 4"),
        (lambda: quality(TRUTH, TRUTH - 1), "The prediction has the class -1 among 4"),
        (
            lambda: panoptic.combine(detections((1, 1, (0, 1), (0, 1))), np.zeros((1, 9, 9), int)),
            "do not belong together",
        ),
    ],
)
def test_bad_input(sentence, call, said):
    with pytest.raises(ValueError) as caught:
        call()
    assert said in sentence(caught)
