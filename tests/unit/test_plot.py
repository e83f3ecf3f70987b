"""Colours and figures."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from pixelwise import plot


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def test_a_class_has_one_colour_everywhere():
    mask = np.array([[0, 1], [5, 255]])
    painted = plot.colour_mask(mask)
    for place, index in [((0, 0), 0), ((0, 1), 1), ((1, 0), 5)]:
        np.testing.assert_allclose(painted[place], plot.class_colour(index), atol=1e-6)
    assert painted[1, 1].tolist() == [1, 1, 1]
    figure = plot.legend(plot.grid([("", [painted])]), ["ground", "top"], void=True)
    handles = figure.legends[0].legend_handles
    assert [text.get_text() for text in figure.legends[0].get_texts()][-1] == "not labelled"
    np.testing.assert_allclose(handles[1].get_facecolor()[:3], plot.class_colour(1))


def test_many_classes_have_different_colours():
    assert len({tuple(np.round(plot.class_colour(k), 3)) for k in range(40)}) == 40


def test_overlay_leaves_the_background_and_marks_the_rest():
    image = np.random.default_rng(0).uniform(size=(4, 4, 3)).astype("float32")
    mask = np.zeros((4, 4), int)
    mask[1:3, 1:3] = 2
    laid = plot.overlay(image, mask)
    assert np.array_equal(laid[0], image[0])
    np.testing.assert_allclose(plot.overlay(image, mask, strength=1)[1, 1], plot.class_colour(2))
    bytes_too = plot.overlay(np.uint8(image * 255), mask)
    np.testing.assert_allclose(bytes_too, laid, atol=0.01)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (np.zeros((4, 4, 3)), np.zeros((3, 4), int)),
        (np.zeros((4, 4)), np.zeros((4, 4), int)),
        (np.zeros((4, 4, 4)), np.zeros((4, 4), int)),
        (np.zeros((4, 4, 3)), np.full((4, 4), 0.5)),
        (np.zeros((4, 4, 3)), np.full((4, 4), -1)),
    ],
)
def test_a_mask_that_is_none_or_of_another_size(sentence, image, mask):
    with pytest.raises(ValueError) as caught:
        plot.overlay(image, mask)
    assert "(height, width)" in sentence(caught)


def test_objects_of_a_class_that_touch_are_told_apart():
    image = np.full((6, 8, 3), 0.5, "float32")
    masks = np.zeros((3, 6, 8), np.uint8)
    masks[0, 1:5, 0:4], masks[1, 1:5, 4:8] = 1, 1
    laid = plot.overlay_instances(image, masks, [2, 2, 0], strength=1)
    assert np.array_equal(laid[0], image[0])
    assert (laid[2, 3:5] == 1).all(), "the rims of both meet"
    np.testing.assert_allclose(laid[2, 1], plot.class_colour(2))
    assert (laid[2, 0] != 1).any(), "the border of the picture is no rim"
    np.testing.assert_allclose(plot.overlay_instances(image, masks[:0], []), image)


def test_the_first_object_lies_on_top_and_padding_is_not_drawn():
    image = np.zeros((9, 9, 3), "float32")
    masks = np.ones((3, 9, 9), bool)
    laid = plot.overlay_instances(image, masks, np.array([0, 3, 1]), strength=1)
    np.testing.assert_allclose(laid[4, 4], plot.class_colour(3))


@pytest.mark.parametrize(
    ("masks", "classes"),
    [
        (np.ones((2, 4, 4)), [1]),
        (np.ones((1, 4, 5)), [1]),
        (np.ones((4, 4)), [1, 1, 1, 1]),
    ],
)
def test_objects_without_one_mask_of_the_picture_s_size_each(sentence, masks, classes):
    with pytest.raises(ValueError) as caught:
        plot.overlay_instances(np.zeros((4, 4, 3)), masks, classes)
    assert "(objects, height, width)" in sentence(caught)


def test_boxes_lie_on_the_pixels_that_they_enclose():
    figure = plot.grid([("", [np.zeros((8, 8, 3))])])
    axis = figure.axes[0]
    plot.draw_boxes(axis, [[2, 3, 6, 4], [0, 0, 8, 8]], [1, 4], labels=["top", "shoe"])
    first, second = axis.patches
    assert first.get_bbox().extents.tolist() == [1.5, 2.5, 5.5, 3.5]
    np.testing.assert_allclose(first.get_edgecolor()[:3], plot.class_colour(1))
    np.testing.assert_allclose(second.get_edgecolor()[:3], plot.class_colour(4))
    assert [text.get_text() for text in axis.texts][-2:] == ["top", "shoe"]
    plot.draw_boxes(axis, np.zeros((0, 4)))
    assert len(axis.patches) == 2


def test_bars_and_confusion_show_the_numbers():
    figure = plot.bars([0.5, np.nan, 0.25], ["a", "b", "c"], errors=[0.1, 0, 0.1], caption="x")
    assert {"0.50", "0.25"} <= {text.get_text() for text in figure.axes[0].texts}
    figure = plot.confusion([[3, 1], [0, 0]], ["a", "b"])
    assert [text.get_text() for text in figure.axes[0].texts] == ["0.75", "0.25", "0.00", "0.00"]
