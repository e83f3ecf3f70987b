"""Non-maximum suppression, against the greedy loop and TensorFlow's."""

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn.nms import nms


def _iou(a, b):
    sides = [min(a[i + 2], b[i + 2]) - max(a[i], b[i]) for i in (0, 1)]
    shared = max(sides[0], 0) * max(sides[1], 0)
    union = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)) - shared
    return shared / union if union > 0 else 0.0


def _greedy(boxes, scores, threshold, limit, groups=None):
    """One picture, box by box."""
    groups = np.zeros(len(scores)) if groups is None else groups
    kept = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], i)):
        if scores[i] > -np.inf and all(
            groups[i] != groups[k] or _iou(boxes[i], boxes[k]) <= threshold for k in kept
        ):
            kept.append(i)
    return kept[:limit]


def _kept(found, picture=None):
    """The valid indices of one picture, after a look at the padding."""
    indices, valid = (ops.convert_to_numpy(part) for part in found)
    assert indices.dtype == np.int32 and valid.dtype == bool
    if picture is not None:
        indices, valid = indices[picture], valid[picture]
    count = valid.sum()
    assert valid[:count].all() and not indices[count:].any()
    return indices[:count].tolist()


def _crowd(rng, *shape, side=60):
    """Boxes that often overlap, with whole corners, so that IoUs are exact fractions."""
    first = rng.integers(0, side // 2, (*shape, 2))
    sides = rng.integers(1, side // 2, (*shape, 2))
    return np.concatenate([first, first + sides], axis=-1).astype("float32")


@pytest.mark.parametrize(
    ("seed", "threshold"), [(0, 0.0), (1, 0.3), (2, 0.5), (3, 0.5), (4, 0.7), (5, 1.0)]
)
def test_nms_is_the_greedy_loop(compiled, seed, threshold):
    rng = np.random.default_rng(seed)
    boxes = _crowd(rng, 3, 80)
    scores = np.round(rng.uniform(size=(3, 80)), 1 + seed % 3).astype("float32")  # many tie
    scores[1, 50:] = scores[2, :] = -np.inf
    groups = rng.integers(0, 3, (3, 80)).astype("int32")

    def function(boxes, scores, groups):
        return nms(boxes, scores, threshold, 30), nms(boxes, scores, threshold, 100, groups)

    answers = [function(boxes, scores, groups)]
    if seed < 3:
        answers.append(compiled(function, boxes, scores, groups))
    for picture in range(3):
        given = boxes[picture].tolist(), scores[picture], threshold
        for alone, grouped in answers:
            assert _kept(alone, picture) == _greedy(*given, 30)
            assert _kept(grouped, picture) == _greedy(*given, 100, groups[picture])


def test_a_chain_by_hand():
    # Boxes of 10 pixels, each 4 to the right of the one before: neighbours overlap by 6 / 14, the
    # next but one by 2 / 18. The first suppresses the second, so the third stays, and so on.
    left = 4.0 * np.arange(7)
    chain = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=1).astype("float32")
    falling = np.linspace(0.9, 0.3, 7).astype("float32")
    assert _kept(nms(chain, falling, 0.4, 7)) == [0, 2, 4, 6]
    assert _kept(nms(chain, falling, 6 / 14 + 1e-3, 7)) == [0, 1, 2, 3, 4, 5, 6]
    assert _kept(nms(chain, falling, 0.1, 7)) == [0, 3, 6]
    assert _kept(nms(chain, falling[::-1].copy(), 0.4, 7)) == [6, 4, 2, 0]
    assert _kept(nms(chain, falling, 0.4, 2)) == [0, 2]


def test_the_longest_chain_settles():
    count = 150
    left = 4.0 * np.arange(count)
    chain = np.stack([left, 0 * left, left + 10, 0 * left + 10], axis=1).astype("float32")
    scores = np.linspace(1, 0, count).astype("float32")
    assert _kept(nms(chain, scores, 0.4, count)) == list(range(0, count, 2))


def test_identical_boxes_leave_the_best_and_of_ties_the_first():
    same = np.tile(np.float32([[3, 3, 9, 9]]), (5, 1))
    assert _kept(nms(same, np.float32([0.1, 0.5, 0.2, 0.5, 0.3]), 0.5, 5)) == [1]
    assert _kept(nms(same, np.float32([0.1, 0.5, 0.2, 0.5, 0.3]), 0.5, 5, np.arange(5))) == [
        1,
        3,
        4,
        2,
        0,
    ]
    # At a threshold of 1 nothing overlaps by more.
    assert _kept(nms(same, np.zeros(5, "float32"), 1.0, 5)) == [0, 1, 2, 3, 4]


def test_an_iou_equal_to_the_threshold_stays():
    pair = np.float32([[0, 0, 4, 1], [0, 0, 2, 1]])  # 2 of 4
    scores = np.float32([0.9, 0.8])
    assert _kept(nms(pair, scores, 0.5, 2)) == [0, 1]
    assert _kept(nms(pair, scores, 0.499, 2)) == [0]


def test_boxes_of_one_pixel_and_of_none():
    small = np.float32([[0, 0, 1, 1], [1, 0, 2, 1], [0, 0, 1, 1], [5, 5, 5, 5], [5, 5, 5, 5]])
    assert _kept(nms(small, np.linspace(1, 0, 5).astype("float32"), 0.0, 5)) == [0, 1, 3, 4]


def test_padding_suppresses_nothing():
    same = np.tile(np.float32([[3, 3, 9, 9]]), (3, 1))
    lowest = float("-inf")
    assert _kept(nms(same, np.float32([lowest, 0.5, float("nan")]), 0.5, 3)) == [1]
    assert _kept(nms(same, np.float32([lowest] * 3), 0.5, 3)) == []
    assert _kept(nms(same[:1], np.float32([-3.0]), 0.5, 3)) == [0]
    # NaN, which compares with nothing, leaves the order of the others alone.
    apart = same[:1] + 10 * np.arange(40, dtype="float32")[:, None]
    scores = np.random.default_rng(0).permutation(40).astype("float32")
    scores[::3] = np.nan
    expected = sorted(np.flatnonzero(scores == scores), key=lambda i: -scores[i])
    assert _kept(nms(apart, scores, 0.5, 40)) == expected


def test_levels_along_an_axis_are_levels_in_groups():
    rng = np.random.default_rng(7)
    boxes, scores = _crowd(rng, 2, 3, 20), rng.uniform(size=(2, 3, 20)).astype("float32")
    apart = nms(boxes, scores, 0.5, 20)
    groups = np.broadcast_to(np.repeat(np.arange(3), 20), (2, 60))
    together = nms(boxes.reshape(2, 60, 4), scores.reshape(2, 60), 0.5, 60, groups)
    for picture in range(2):
        kept = [
            20 * level + i
            for level in range(3)
            for i in _kept([part[picture] for part in apart], level)
        ]
        assert sorted(kept) == sorted(_kept(together, picture))


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7])
def test_nms_is_tensorflows(threshold):
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's own NMS is compared where TensorFlow runs.")
    import tensorflow as tf

    rng = np.random.default_rng(8)
    boxes, scores = _crowd(rng, 200), rng.uniform(size=200).astype("float32")
    theirs = tf.image.non_max_suppression(boxes[:, [1, 0, 3, 2]], scores, 50, threshold)
    assert _kept(nms(boxes, scores, threshold, 50)) == theirs.numpy().tolist()


def test_no_gradient_passes_and_none_breaks(compiled):
    """Training on boxes that weights decide must not try to go back through the loop."""
    boxes = np.float32([[[0, 0, 4, 4], [0, 0, 4, 5], [9, 9, 12, 12]]])

    class Shifted(keras.Model):
        def __init__(self):
            super().__init__()
            self.shift = self.add_weight(shape=(), initializer="zeros", name="shift")

        def call(self, given):
            moved = given + self.shift
            indices, valid = nms(moved, moved[..., 2], 0.5, 3)
            kept = ops.take_along_axis(moved, indices[..., None], axis=1)
            return ops.sum(ops.where(valid[..., None], kept, 0), axis=(1, 2))

    model = Shifted()
    model.compile("sgd", "mse", jit_compile=keras.backend.backend() != "torch")
    before = float(ops.convert_to_numpy(model(boxes))[0])
    model.train_on_batch(boxes, np.zeros(1, "float32"))
    # Two boxes of four numbers stay: d loss / d shift = 2 * sum * 8, and the step is 0.01.
    assert before == 8 + 42
    assert float(ops.convert_to_numpy(model.shift)) == pytest.approx(-0.01 * 2 * before * 8)


BOXES, SCORES = np.zeros((2, 3, 4), "float32"), np.zeros((2, 3), "float32")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: nms(BOXES, SCORES, 0.5, 0), "limit is 0"),
        (lambda: nms(BOXES, SCORES, 1.5, 3), "threshold 1.5"),
        (lambda: nms(BOXES, SCORES[:, :2], 0.5, 3), r"scores .* \(2, 3, 4\) and \(2, 2\)"),
        (lambda: nms(BOXES, BOXES, 0.5, 3), r"got \(2, 3, 4\) and \(2, 3, 4\)"),
        (lambda: nms(BOXES, SCORES, 0.5, 3, np.zeros(3, int)), r"groups .* and \(3,\)"),
        (lambda: nms(BOXES[0, 0], SCORES, 0.5, 3), r"got \(4,\)"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert str(caught.value).endswith(".")
