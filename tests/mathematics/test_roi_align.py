"""RoIAlign, RoI max pooling and crop_and_resize, each against loops over bins and points."""

import math

import keras
import numpy as np
import pytest
from keras import ops

from pixelwise.nn import gathering
from pixelwise.nn import roi_align as module
from pixelwise.nn.autodiff import gradient
from pixelwise.nn.roi_align import line_weights, roi_align, roi_levels, sampling_points
from pixelwise.nn.roi_pool import crop_and_resize, roi_max_pool

FORMS = ("matmul", "gather")
# Boxes of a picture of 36 x 44 pixels, as (x1, y1, x2, y2): inside, one pixel, all of it, narrow,
# beyond each border, far outside, and padding.
BOXES = np.float32(
    [
        [3.2, 5.1, 20.7, 30.3],
        [8, 8, 9, 9],
        [0, 0, 44, 36],
        [10.5, 1.5, 12, 35],
        [-9, -7, 20, 18],
        [30, 25, 60, 50],
        [100, 100, 120, 130],
        [0, 0, 0, 0],
    ]
)


def _random(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype("float32")


def _boxes(batch, rois, width, height, seed=0):
    """Boxes of all sizes inside a picture."""
    rng = np.random.default_rng(seed)
    ends = np.sort(rng.uniform(0, [[width], [height]], (batch, rois, 2, 2)), axis=-1)
    return np.stack([ends[..., 0], ends[..., 1]], axis=-2).reshape(batch, rois, 4).astype("float32")


def _read(x, row, column):
    """The map (height, width, channels) at one point, bilinearly, as RoIAlign treats borders."""
    height, width = x.shape[:2]
    if not (-1 <= row <= height and -1 <= column <= width):
        return np.zeros(x.shape[2])
    row, column = min(max(row, 0), height - 1), min(max(column, 0), width - 1)
    top, left = int(row), int(column)
    value = 0
    for i in {top, min(top + 1, height - 1)}:
        for j in {left, min(left + 1, width - 1)}:
            value = value + (1 - abs(row - i)) * (1 - abs(column - j)) * x[i, j].astype(float)
    return value


def _align(x, box, stride, bins, samples, aligned):
    """RoIAlign of one box by its definition, float64."""
    x1, y1, x2, y2 = (float(v) / stride - (0.5 if aligned else 0) for v in box)
    height, width = y2 - y1, x2 - x1
    if not aligned:
        height, width = max(height, 1), max(width, 1)
    out = np.zeros((bins, bins, x.shape[2]))
    for i, j, m, n in np.ndindex(bins, bins, samples, samples):
        row = y1 + (i + (m + 0.5) / samples) * height / bins
        column = x1 + (j + (n + 0.5) / samples) * width / bins
        out[i, j] += _read(x, row, column) / samples**2
    return out


def _pyramid(batch, channels, sizes=((16, 12), (8, 6), (4, 3))):
    return [_random(batch, *size, channels, seed=i) for i, size in enumerate(sizes)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("bins", "samples", "aligned"),
    [(1, 1, True), (2, 2, False), (7, 2, False), (7, 2, True), (3, 3, False)],
)
def test_roi_align_is_the_loop_over_its_points(form, bins, samples, aligned):
    x = _random(2, 9, 11, 3)
    boxes = np.stack([BOXES, BOXES[::-1] + np.float32([0.3, 0.1, 0.2, 0.7])])
    found = roi_align([x], [4], boxes, bins, samples, aligned, form=form)
    found = ops.convert_to_numpy(found)
    assert found.shape == (2, len(BOXES), bins, bins, 3)
    for picture, roi in np.ndindex(boxes.shape[:2]):
        expected = _align(x[picture], boxes[picture, roi], 4, bins, samples, aligned)
        np.testing.assert_allclose(found[picture, roi], expected, atol=2e-5)


@pytest.mark.parametrize("form", FORMS)
def test_by_hand_on_a_map_of_four_by_four(form):
    # Row i, column j has 10 i + j. The box is 2 x 2 cells with its corner on cell (1, 1): points at
    # 1.5 and 2.5 along each side.
    x = (10 * np.arange(4.0)[:, None] + np.arange(4.0))[None, :, :, None].astype("float32")
    box = np.float32([[[8, 8, 24, 24]]])

    def bins(count, samples, aligned):
        found = roi_align([x], [8], box, count, samples, aligned, form=form)
        return ops.convert_to_numpy(found)[0, 0, :, :, 0].round(4).tolist()

    assert bins(2, 1, False) == [[16.5, 17.5], [26.5, 27.5]]
    # Four points a bin, at 1.25 and 1.75 and at 2.25 and 2.75, have the same mean on a slope, and
    # so has one bin of all of them.
    assert bins(2, 2, False) == [[16.5, 17.5], [26.5, 27.5]]
    assert bins(1, 2, False) == [[22]]
    # Half a cell less, where the values stand in the middle of their cells: 11, 12, 21 and 22.
    assert bins(2, 1, True) == [[11, 12], [21, 22]]
    rows, columns = sampling_points(box / 8, 2, 2)
    assert np.array_equal(ops.convert_to_numpy(rows)[0, 0], [[1.25, 1.75], [2.25, 2.75]])
    assert np.array_equal(ops.convert_to_numpy(columns)[0, 0], [[1.25, 1.75], [2.25, 2.75]])


def test_a_side_is_at_least_one_cell_unless_aligned():
    box = np.float32([[2.0, 3.0, 2.2, 6.0]])
    rows, columns = sampling_points(box, 1, 2)
    assert ops.convert_to_numpy(columns).ravel() == pytest.approx([2.25, 2.75])
    assert ops.convert_to_numpy(rows).ravel() == pytest.approx([3.75, 5.25])
    rows, columns = sampling_points(box, 1, 2, aligned=True)
    assert ops.convert_to_numpy(columns).ravel() == pytest.approx([1.55, 1.65])
    assert ops.convert_to_numpy(rows).ravel() == pytest.approx([3.25, 4.75])


def test_points_near_the_border_read_the_outermost_cell_and_further_ones_nothing():
    points = np.float32([-1.01, -1, -0.4, 0, 0.25, 2, 2.7, 3, 3.01])[:, None]
    found = ops.convert_to_numpy(line_weights(points, 3))
    first, last, nothing = [1, 0, 0], [0, 0, 1], [0, 0, 0]
    expected = [nothing, first, first, first, [0.75, 0.25, 0], last, last, last, nothing]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_some_of_the_points_count_where_a_box_has_fewer():
    points = np.float32([[[0, 1, 9]], [[0, 1, 2]]])
    found = ops.convert_to_numpy(line_weights(points, 3, np.float32([2, 3])))
    np.testing.assert_allclose(found[:, 0], [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3]], atol=1e-6)


def test_levels_by_hand():
    sides = np.float32([0, 1, 55, 56, 111, 112, 223, 224, 447, 448, 895, 896, 5000])
    boxes = np.stack([0 * sides + 7, 0 * sides + 3, 7 + sides, 3 + sides], axis=-1)
    expected = [2, 2, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]
    levels = roi_levels(boxes, 2, 5)
    assert ops.convert_to_numpy(levels).tolist() == expected
    assert keras.backend.standardize_dtype(levels.dtype) == "int32"
    # One long and narrow, of the area of 224 x 224; one of another canonical size.
    boxes = np.float32([[0, 0, 56, 896], [0, 0, 32, 32]])
    assert ops.convert_to_numpy(roi_levels(boxes, 2, 5)).tolist() == [4, 2]
    assert ops.convert_to_numpy(roi_levels(boxes, 2, 5, canonical_size=32)).tolist() == [5, 4]
    assert ops.convert_to_numpy(roi_levels(boxes, 2, 5, canonical_level=5)).tolist() == [5, 2]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("given", [False, True])
def test_each_roi_reads_the_map_of_its_level(form, given):
    pyramid, strides = _pyramid(2, 3, ((96, 80), (48, 40), (24, 20))), [8, 16, 32]
    boxes = _boxes(2, 9, 640, 768)
    levels = np.random.default_rng(0).integers(3, 6, (2, 9)) if given else None
    found = ops.convert_to_numpy(roi_align(pyramid, strides, boxes, 3, levels=levels, form=form))
    read = set()
    for picture, roi in np.ndindex(2, 9):
        box = boxes[picture, roi]
        size = math.sqrt((box[2] - box[0]) * (box[3] - box[1]))
        level = min(max(math.floor(4 + math.log2(size / 224)), 3), 5)
        level = levels[picture, roi] if given else level
        read.add(int(level))
        expected = _align(pyramid[level - 3][picture], box, strides[level - 3], 3, 2, False)
        np.testing.assert_allclose(found[picture, roi], expected, atol=1e-4)
    assert read == {3, 4, 5}


def test_both_forms_are_equal_also_piece_by_piece(monkeypatch):
    pyramid = _pyramid(2, 5)
    boxes = np.concatenate([_boxes(2, 10, 48, 64), np.stack([BOXES, BOXES])], axis=1)
    arguments = (pyramid, [4, 8, 16], boxes, 7)
    levels = np.arange(36).reshape(2, 18) % 3 + 2
    first = ops.convert_to_numpy(roi_align(*arguments, levels=levels, form="matmul"))
    for rois in (100, 7, 1):  # 18 RoIs in 1, 3 and 18 pieces
        monkeypatch.setattr(gathering, "PIECE", rois * 49 * 16 * 5)
        second = ops.convert_to_numpy(roi_align(*arguments, levels=levels, form="gather"))
        np.testing.assert_allclose(first, second, atol=2e-5)
    assert np.abs(first).max() > 1


def test_gathering_in_pieces_holds_no_more_than_a_piece(monkeypatch):
    seen = []
    take = ops.take

    def watched(x, indices, axis=None):
        seen.append(math.prod(indices.shape) * (x.shape[-1] if len(x.shape) > 1 else 1))
        return take(x, indices, axis=axis)

    monkeypatch.setattr(gathering, "PIECE", 20_000)
    monkeypatch.setattr(module.ops, "take", watched)
    roi_align(_pyramid(1, 5), [4, 8, 16], _boxes(1, 30, 48, 64), 7, form="gather")
    assert 10_000 < max(seen) <= 20_000


def test_auto_takes_products_for_small_maps_and_gathers_from_large_ones(monkeypatch):
    called = []
    for name in ("_by_products", "_by_gathering"):
        monkeypatch.setattr(module, name, lambda *a, name=name: called.append(name))
    boxes = np.zeros((8, 32, 4), "float32")
    small = [np.zeros((8, n, n, 64), "float32") for n in (32, 16, 8, 4)]
    roi_align(small, [4, 8, 16, 32], boxes, 7)
    roi_align(small, [4, 8, 16, 32], boxes, 14)
    large = [np.zeros((1, n, n, 256), "float32") for n in (200, 100, 50, 25)]
    roi_align(large, [4, 8, 16, 32], np.zeros((1, 1000, 4), "float32"), 7)
    assert called == ["_by_products", "_by_products", "_by_gathering"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("aligned", [False, True])
def test_gradient_is_that_of_finite_differences(form, aligned, monkeypatch):
    monkeypatch.setattr(gathering, "PIECE", 3 * 9 * 16 * 2)  # three RoIs
    x, boxes = _random(1, 5, 6, 2), BOXES[None] / np.float32(1.6)
    weights = ops.convert_to_tensor(_random(1, len(BOXES), 3, 3, 2, seed=1))

    def losses(x):
        """One for each map of a batch."""
        all_boxes = ops.tile(ops.convert_to_tensor(boxes), (x.shape[0], 1, 1))
        pooled = roi_align([x], [4], all_boxes, 3, 2, aligned, form=form)
        return ops.sum(weights * pooled**2, axis=(1, 2, 3, 4))

    found = gradient(lambda x: ops.sum(losses(x)), x)
    assert found.shape == x.shape
    step = 0.05 * np.eye(x.size, dtype="float32").reshape(-1, *x.shape[1:])
    # The loss is a square, so that the difference of both sides is exact but for rounding.
    up, down = (ops.convert_to_numpy(losses(moved)) for moved in (x + step, x - step))
    expected = ((up - down) / 0.1).reshape(x.shape)
    np.testing.assert_allclose(found, expected, atol=1e-3 * np.abs(found).max())


def test_gradients_of_both_forms_are_equal_and_reach_their_level_only():
    pyramid, boxes = _pyramid(2, 4), _boxes(2, 6, 48, 64)
    boxes[:, -1] = 0
    weights = ops.convert_to_tensor(_random(2, 6, 7, 7, 4, seed=1))
    levels = np.full((2, 6), 3)
    for place, x in enumerate(pyramid):
        found = []
        for form in FORMS:

            def loss(x, place=place, form=form):
                maps = [*pyramid[:place], x, *pyramid[place + 1 :]]
                pooled = roi_align(maps, [4, 8, 16], boxes, 7, levels=levels, form=form)
                return ops.sum(weights * pooled)

            found.append(gradient(loss, x))
        np.testing.assert_allclose(*found, atol=2e-5)
        assert np.any(found[0]) == (place == 1)


@pytest.mark.parametrize("form", FORMS)
def test_boxes_have_no_gradient(form):
    x, boxes = _random(1, 5, 6, 2), _boxes(1, 4, 24, 20)
    found = gradient(lambda boxes: ops.sum(roi_align([x], [4], boxes, 3, form=form)), boxes)
    assert not found.any()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("aligned", [False, True])
def test_padding_is_finite_and_so_is_its_gradient(form, aligned):
    pyramid, boxes = _pyramid(1, 2), np.zeros((1, 3, 4), "float32")

    def loss(x):
        return ops.sum(roi_align([x, *pyramid[1:]], [4, 8, 16], boxes, 7, 2, aligned, form=form))

    assert np.isfinite(float(loss(pyramid[0])))
    assert np.isfinite(gradient(loss, pyramid[0])).all()


@pytest.mark.parametrize("form", FORMS)
def test_half_precision_gives_half_precision(form):
    pyramid, boxes = _pyramid(1, 4), _boxes(1, 5, 48, 64)
    expected = ops.convert_to_numpy(roi_align(pyramid, [4, 8, 16], boxes, 7, form=form))
    halves = [ops.cast(x, "float16") for x in pyramid]
    found = roi_align(halves, [4, 8, 16], boxes, 7, form=form)
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, atol=0.01)


class _Head(keras.layers.Layer):
    """RoIAlign and its weights behind it, as in a detector."""

    def __init__(self, form):
        super().__init__()
        self.form = form
        self.before = keras.layers.Dense(3, use_bias=False)
        self.after = keras.layers.Dense(1)

    def call(self, inputs):
        maps, boxes = inputs[:-1], inputs[-1]
        pooled = roi_align([self.before(x) for x in maps], [4, 8, 16], boxes, 3, form=self.form)
        return ops.mean(self.after(pooled), axis=(1, 2, 3))

    def compute_output_shape(self, input_shapes):
        return (input_shapes[0][0], 1)


@pytest.mark.parametrize("form", FORMS)
def test_a_compiled_model_trains_through_it_with_an_open_batch(form, monkeypatch):
    """The last batch of an epoch is smaller: on TensorFlow the graph does not know the number."""
    monkeypatch.setattr(gathering, "PIECE", 2 * 9 * 16 * 3)
    pyramid, boxes = _pyramid(5, 2), _boxes(5, 6, 48, 64)
    inputs = [keras.Input(x.shape[1:]) for x in (*pyramid, boxes)]
    keras.utils.set_random_seed(0)
    model = keras.Model(inputs, _Head(form)(inputs))
    jit = keras.backend.backend() != "torch"
    model.compile(keras.optimizers.Adam(0.1), "mse", jit_compile=jit)
    target = np.ones((5, 1), "float32")
    history = model.fit([*pyramid, boxes], target, batch_size=2, epochs=6, verbose=0)
    assert history.history["loss"][-1] < 0.5 * history.history["loss"][0]
    found = model.predict([*pyramid, boxes], batch_size=5, verbose=0)
    expected = ops.convert_to_numpy(model([*pyramid, boxes]))
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("form", FORMS)
def test_compiled_is_eager(form, compiled, monkeypatch):
    monkeypatch.setattr(gathering, "PIECE", 4 * 49 * 16 * 3)
    pyramid, boxes = _pyramid(2, 3), np.stack([BOXES, BOXES[::-1]])

    def align(boxes, *maps):
        return roi_align(maps, [4, 8, 16], boxes, 7, form=form)

    expected = ops.convert_to_numpy(align(boxes, *pyramid))
    np.testing.assert_allclose(compiled(align, boxes, *pyramid), expected, atol=1e-5)


def _rounded(value):
    """As in C: halves away from zero."""
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def _pool(x, box, stride, bins):
    """RoI max pooling of one box by its definition."""
    x1, y1, x2, y2 = (_rounded(float(v) / stride) for v in box)
    height, width = max(y2 - y1 + 1, 1), max(x2 - x1 + 1, 1)
    out = np.zeros((bins, bins, x.shape[2]), "float32")
    for i, j in np.ndindex(bins, bins):
        # Whole numbers: i * height / bins rounded down, (i + 1) * height / bins rounded up.
        rows = slice(y1 + i * height // bins, y1 - (-(i + 1) * height // bins))
        columns = slice(x1 + j * width // bins, x1 - (-(j + 1) * width // bins))
        cells = x[rows, columns]
        out[i, j] = cells.max(axis=(0, 1)) if cells.size else 0
    return out


@pytest.mark.parametrize("bins", [1, 2, 3, 7])
def test_roi_max_pool_is_the_loop_over_its_bins(bins):
    x = _random(2, 17, 23, 3) - 3  # below 0, so that an empty bin shows
    boxes = np.concatenate([_boxes(2, 20, 92, 68), np.zeros((2, 5, 4), "float32")], axis=1)
    boxes[:, -5:] = [[0, 0, 92, 68], [90, 66, 92, 68], [10, 6, 14, 10], [3, 3, 3, 3], [0, 0, 0, 0]]
    found = ops.convert_to_numpy(roi_max_pool([x], [4], boxes, bins))
    empty = False
    for picture, roi in np.ndindex(boxes.shape[:2]):
        expected = _pool(x[picture], boxes[picture, roi], 4, bins)
        np.testing.assert_array_equal(found[picture, roi], expected)
        empty = empty or np.any(expected == 0)
    assert empty


def test_roi_max_pool_of_a_pyramid_cuts_off_what_is_outside(compiled):
    pyramid, boxes = _pyramid(2, 3), _boxes(2, 12, 48, 64)
    levels = np.arange(24).reshape(2, 12) % 3 + 2

    def pool(boxes, levels, *maps):
        return roi_max_pool(maps, [4, 8, 16], boxes, 3, levels)

    found = compiled(pool, boxes, levels, *pyramid)
    for picture, roi in np.ndindex(2, 12):
        place = levels[picture, roi] - 2
        expected = _pool(pyramid[place][picture], boxes[picture, roi], 4 * 2**place, 3)
        np.testing.assert_array_equal(found[picture, roi], expected)
    larger = np.float32([[[-70, -90, 480, 640], [0, 0, 48, 64]]] * 2)
    found = ops.convert_to_numpy(
        roi_max_pool(pyramid, [4, 8, 16], larger, 3, levels[:, :2] * 0 + 3)
    )
    np.testing.assert_array_equal(found[:, 0], found[:, 1])


def test_roi_max_pool_sends_its_gradient_to_the_largest_cell():
    x = np.random.default_rng(0).permutation(72).reshape(1, 8, 9, 1).astype("float32")
    box = np.float32([[[4, 8, 28, 28]]])  # rows 2 to 7, columns 1 to 7
    found = gradient(lambda x: ops.sum(roi_max_pool([x], [4], box, 1)), x)
    expected = np.zeros_like(x)
    part = x[0, 2:8, 1:8, 0]
    row, column = np.unravel_index(part.argmax(), part.shape)
    expected[0, 2 + row, 1 + column] = 1
    np.testing.assert_allclose(found, expected)


def test_rounding_is_what_roi_align_does_away_with():
    """A box that moves by a tenth of a pixel: pooling answers with jumps or not at all."""
    x = (np.arange(12.0) ** 2)[None, :, None, None] * np.ones((1, 1, 12, 1))
    x = x.astype("float32")
    moves = np.arange(60) / 10
    boxes = np.float32([[[8, 8 + move, 24, 24 + move] for move in moves]])
    pooled = ops.convert_to_numpy(roi_max_pool([x], [4], boxes, 2))[0, :, 0, 0, 0]
    aligned = ops.convert_to_numpy(roi_align([x], [4], boxes, 2))[0, :, 0, 0, 0]
    assert len(np.unique(pooled)) <= 3
    steps = np.diff(aligned)
    assert np.all(steps > 0) and steps.max() < 2 * steps.mean()


def _crop(x, box, size):
    """crop_and_resize of one box by its definition."""
    height, width = x.shape[:2]
    out = np.zeros((size, size, x.shape[2]))
    for i, j in np.ndindex(size, size):
        step = [0.5, 0.5] if size == 1 else [i / (size - 1), j / (size - 1)]
        row = (box[0] + (box[2] - box[0]) * step[0]) * (height - 1)
        column = (box[1] + (box[3] - box[1]) * step[1]) * (width - 1)
        if 0 <= row <= height - 1 and 0 <= column <= width - 1:
            out[i, j] = _read(x, row, column)
    return out


@pytest.mark.parametrize("size", [1, 2, 5])
def test_crop_and_resize_is_the_loop_over_its_points(size):
    x = _random(2, 7, 9, 3)
    boxes = np.random.default_rng(0).uniform(-0.2, 1.2, (2, 6, 4)).astype("float32")
    boxes[0, 0] = 0, 0, 1, 1
    found = ops.convert_to_numpy(crop_and_resize(x, boxes, size))
    for picture, roi in np.ndindex(2, 6):
        expected = _crop(x[picture], boxes[picture, roi].astype(float), size)
        np.testing.assert_allclose(found[picture, roi], expected, atol=1e-5)


def test_crop_and_resize_is_tensorflows():
    if keras.backend.backend() != "tensorflow":
        pytest.skip("TensorFlow's own operation is compared where TensorFlow runs.")
    import tensorflow as tf

    x = _random(2, 7, 9, 3)
    boxes = np.random.default_rng(1).uniform(-0.2, 1.2, (2, 6, 4)).astype("float32")
    pictures = np.repeat(np.arange(2), 6)
    theirs = tf.image.crop_and_resize(x, boxes.reshape(-1, 4), pictures, (4, 4)).numpy()
    ours = ops.convert_to_numpy(crop_and_resize(x, boxes, 4))
    np.testing.assert_allclose(ours.reshape(theirs.shape), theirs, atol=1e-5)


MAP, BOX = np.zeros((1, 4, 4, 2), "float32"), np.zeros((1, 3, 4), "float32")


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: roi_align([MAP], [4], BOX, 7, form="loop"), "no form 'loop'"),
        (lambda: roi_align([], [], BOX, 7), "0 maps and 0 strides"),
        (lambda: roi_align([MAP], [4, 8], BOX, 7), "1 maps and 2 strides"),
        (lambda: roi_align([MAP[0]], [4], BOX, 7), r"but got \[\(4, 4, 2\)\]"),
        (lambda: roi_align([MAP, MAP[..., :1]], [4, 8], BOX, 7), "the channels are the same"),
        (lambda: roi_align([MAP, MAP], [4, 16], BOX, 7), r"strides of the maps are \(4, 16\)"),
        (lambda: roi_align([MAP, MAP], [6, 12], BOX, 7), r"strides of the maps are \(6, 12\)"),
        (lambda: roi_align([MAP], [4], BOX[0], 7), r"but got \(3, 4\)"),
        (lambda: roi_align([MAP], [4], BOX, 0), r"got \(0, 2\)"),
        (lambda: roi_align([MAP], [4], BOX, 7, 1.5), r"got \(7, 1.5\)"),
        (lambda: roi_max_pool([MAP], [4], BOX[..., :2], 7), r"but got \(1, 3, 2\)"),
        (lambda: crop_and_resize(MAP, BOX, 0), r"got \(0,\)"),
    ],
)
def test_bad_input(call, said):
    with pytest.raises(ValueError, match=said) as caught:
        call()
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)
