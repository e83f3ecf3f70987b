"""Matching and sampling, against loops."""

import numpy as np
import pytest
from keras import ops

from pixelwise.nn import boxes, matching

BELOW, BETWEEN = matching.BELOW, matching.BETWEEN


def _match_loop(quality, valid, high, low, allow_low_quality):
    """One picture, pair by pair."""
    objects = [k for k in range(len(valid)) if valid[k]]
    candidates = range(quality.shape[1])
    nearest, found = [], []
    for j in candidates:
        best = max(objects, key=lambda k, j=j: (quality[k, j], -k), default=None)
        nearest.append(best)
        value = -1 if best is None else quality[best, j]
        found.append(best if value >= high else BETWEEN if value >= low else BELOW)
    if allow_low_quality:
        for k in objects:
            top = max(quality[k])
            for j in candidates:
                if top > 0 and quality[k, j] == top:
                    found[j] = nearest[j]
    return found


def _numpy(result):
    return [ops.convert_to_numpy(part) for part in result]


@pytest.mark.parametrize("allow_low_quality", [False, True])
@pytest.mark.parametrize("digits", [1, 7])  # rounded to tenths, many tie
@pytest.mark.parametrize("seed", range(4))
def test_matching_is_the_loop(seed, digits, allow_low_quality):
    rng = np.random.default_rng(seed)
    quality = np.round(rng.uniform(size=(3, 5, 40)) ** 2, digits).astype("float32")
    valid = np.array([[1, 1, 1, 1, 1], [1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], bool)
    high, low = np.float32(0.7), np.float32(0.3)
    found = matching.match(quality, valid, high, low, allow_low_quality)
    assert ops.convert_to_numpy(found).dtype == np.int32
    expected = [
        _match_loop(q, v, high, low, allow_low_quality) for q, v in zip(quality, valid, strict=True)
    ]
    assert ops.convert_to_numpy(found).tolist() == expected


def test_matching_by_hand():
    quality = np.array(
        [
            # both  tie   best of 0, too low   between  nothing
            [0.9, 0.75, 0.1, 0.2, 0.5, 0.0],
            [0.8, 0.75, 0.2, 0.2, 0.4, 0.1],
        ],
        "float32",
    )
    valid = np.array([True, True])
    found = matching.match(quality, valid, 0.7, 0.3)
    assert ops.convert_to_numpy(found).tolist() == [0, 0, BELOW, BELOW, BETWEEN, BELOW]
    # Thresholds belong to the upper side.
    found = matching.match(quality, valid, 0.75, 0.5)
    assert ops.convert_to_numpy(found).tolist() == [0, 0, BELOW, BELOW, BETWEEN, BELOW]


def test_every_object_gets_its_best_candidates_ties_included():
    quality = np.array([[0.1, 0.2, 0.2, 0.0], [0.0, 0.3, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]])
    found = matching.match(quality.astype("float32"), np.ones(3, bool), 0.7, 0.3, True)
    # Candidate 1 is the best of both objects and stands for the one that it overlaps more; the
    # third object overlaps nothing and takes nothing.
    assert ops.convert_to_numpy(found).tolist() == [BELOW, 1, 0, BELOW]
    # What differs by the rounding of one operation ties; what differs in the fourth digit does not.
    quality = np.array([[0.2, np.nextafter(np.float32(0.2), 0), 0.1999]], "float32")
    assert quality[0, 1] < quality[0, 0]
    found = matching.match(quality, np.ones(1, bool), 0.7, 0.3, True)
    assert ops.convert_to_numpy(found).tolist() == [0, 0, BELOW]


def test_a_picture_without_objects_is_background(compiled):
    quality = np.ones((2, 3, 10), "float32")  # what padding overlaps does not matter
    valid = np.array([[False] * 3, [False, True, False]])

    def function(quality, valid):
        return matching.match(quality, valid, 0.7, 0.3, True)

    for found in (
        ops.convert_to_numpy(function(quality, valid)),
        compiled(function, quality, valid),
    ):
        assert found.tolist() == [[BELOW] * 10, [1] * 10]


@pytest.mark.parametrize("seed", range(3))
def test_compiled_matching_of_boxes_gives_each_object_a_candidate(compiled, seed):
    rng = np.random.default_rng(seed)
    first = rng.uniform(0, 90, (2, 6, 2))
    objects = np.concatenate([first, first + rng.uniform(1, 60, (2, 6, 2))], -1).astype("float32")
    first = rng.uniform(0, 90, (500, 2))
    anchors = np.concatenate([first, first + rng.uniform(1, 60, (500, 2))], -1).astype("float32")
    valid = np.arange(6) < np.array([[6], [4]])

    def function(objects, anchors, valid):
        return matching.match(boxes.iou(objects, anchors[0]), valid, 0.7, 0.3, True)

    # Predicting on a batch wants one row a picture.
    anchors = np.broadcast_to(anchors, (2, *anchors.shape))
    found = compiled(function, objects, anchors, valid)
    assert (found == ops.convert_to_numpy(function(objects, anchors, valid))).all()
    for picture, count in enumerate((6, 4)):
        assert set(found[picture]) - {BELOW, BETWEEN} == set(range(count))


def _check_sample(labels, noise, size, share, sample):
    """One picture: the sample is what sorting says, positives first, then negatives."""
    indices, positive, valid = sample
    by_noise = sorted(range(len(labels)), key=lambda i: -noise[i])
    positives = [i for i in by_noise if labels[i] > 0][: int(share * size)]
    negatives = [i for i in by_noise if labels[i] == 0][: size - len(positives)]
    drawn = len(positives) + len(negatives)
    assert indices.tolist() == positives + negatives + [0] * (size - drawn)
    assert positive.tolist() == [k < len(positives) for k in range(size)]
    assert valid.tolist() == [k < drawn for k in range(size)]


@pytest.mark.parametrize(
    ("size", "share"),
    [(1, 0.5), (1, 1.0), (8, 0.25), (40, 0.0), (40, 0.5), (100, 0.25), (100, 1.0)],
)
def test_sampling_is_sorting(compiled, size, share):
    rng = np.random.default_rng(size)
    chances = [
        (0.3, 0.2, 0.5),  # enough of both
        (0.0, 0.9, 0.1),  # few positives
        (0.0, 0.05, 0.95),  # few negatives
        (0.0, 0.0, 1.0),  # no negatives
        (0.0, 1.0, 0.0),  # no positives
        (1.0, 0.0, 0.0),  # nothing to draw
    ]
    labels = np.stack([rng.choice([-1, 0, 3], 60, p=p) for p in chances]).astype("int32")
    noise = rng.permuted(np.arange(360) / 360).reshape(6, 60).astype("float32")

    def function(labels, noise):
        return matching.balanced_sample(labels, noise, size, share)

    for found in (_numpy(function(labels, noise)), compiled(function, labels, noise)):
        assert [part.shape for part in found] == [(6, size)] * 3
        for picture in range(6):
            sample = [part[picture] for part in found]
            _check_sample(labels[picture], noise[picture], size, share, sample)


def test_sampling_draws_each_candidate_equally_often():
    labels = np.broadcast_to(np.repeat([1, 0, -1], [6, 10, 4]), (4000, 20))
    noise = np.random.default_rng(0).uniform(size=labels.shape).astype("float32")
    indices, positive, valid = _numpy(matching.balanced_sample(labels, noise, 8, 0.375))
    assert valid.all() and (positive.sum(axis=1) == 3).all()
    share = np.bincount(indices.ravel(), minlength=20) / 4000
    # Of 6 positives 3 and of 10 negatives 5; 0.04 is five standard deviations.
    np.testing.assert_allclose(share, [0.5] * 16 + [0] * 4, atol=0.04)


def test_noise_that_ties_draws_nothing_twice():
    labels = np.repeat([[1, 0]], 50, axis=1)
    noise = np.zeros((1, 100), "float32")
    indices, positive, valid = _numpy(matching.balanced_sample(labels, noise, 60, 0.5))
    assert valid.all() and positive.sum() == 30
    assert len(set(indices[0].tolist())) == 60
    assert (labels[0][indices[0]] == positive[0]).all()


def test_what_match_returns_can_be_sampled():
    matched = np.array([BELOW, BETWEEN, 0, 2, BELOW])
    noise = np.linspace(0, 0.9, 5).astype("float32")
    indices, positive, valid = _numpy(matching.balanced_sample(matched + 1, noise, 4, 0.25))
    assert indices.tolist() == [3, 4, 0, 0]
    assert positive.tolist() == [True, False, False, False]
    assert valid.tolist() == [True, True, True, False]


def test_places_of_true_values():
    flags = np.array([[0, 1, 1, 0], [0, 0, 0, 0], [1, 1, 1, 1]], bool)
    for limit in (1, 2, 4, 6):
        places, valid = _numpy(matching.first_true(flags, limit))
        for row in range(3):
            expected = np.flatnonzero(flags[row])[:limit].tolist()
            missing = limit - len(expected)
            assert places[row].tolist() == expected + [0] * missing
            assert valid[row].tolist() == [True] * len(expected) + [False] * missing


QUALITY, VALID = np.zeros((2, 3, 4), "float32"), np.ones((2, 3), bool)
LABELS = np.zeros((2, 4), "int32")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: matching.match(QUALITY, VALID, 0.3, 0.7), "low is 0.7 and high is 0.3"),
        (lambda: matching.match(QUALITY, VALID, 0.3, -1), "0 <= low <= high"),
        (lambda: matching.match(QUALITY, VALID[:, :2], 0.7, 0.3), r"\(2, 3, 4\) and \(2, 2\)"),
        (lambda: matching.match(QUALITY[:, :0], VALID[:, :0], 0.7, 0.3), "at least one"),
        (lambda: matching.match(np.zeros(4, "float32"), VALID, 0.7, 0.3), r"got \(4,\)"),
        (lambda: matching.balanced_sample(LABELS, QUALITY[:, 0], 0, 0.5), "size is 0"),
        (lambda: matching.balanced_sample(LABELS, QUALITY[:, 0], 4, 1.5), "a share from 0 to 1"),
        (lambda: matching.balanced_sample(LABELS, QUALITY[:, 0, :3], 4, 0.5), r"noise of \(2, 3\)"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert str(caught.value).endswith(".")
