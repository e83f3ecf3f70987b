"""Figures: one style and one colour a class for the whole book.

The colours are those of Okabe and Ito, which people with any kind of colour vision tell apart.
Every function draws with matplotlib and returns the figure; the chapter calls ``plt.show()``.
"""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.patches import Patch, Rectangle
from scipy import ndimage

BLACK, ORANGE, SKY, GREEN, YELLOW, BLUE, RED, PURPLE = (
    "#000000",
    "#E69F00",
    "#56B4E9",
    "#009E73",
    "#F0E442",
    "#0072B2",
    "#D55E00",
    "#CC79A7",
)
# Background is dark grey; the other classes follow in this order.
CLASS_COLOURS = ("#303030", ORANGE, SKY, GREEN, RED, PURPLE, YELLOW, BLUE)
VOID_COLOUR = "#FFFFFF"


def class_colour(index):
    """The colour of class ``index`` as (red, green, blue) in [0, 1]."""
    text = CLASS_COLOURS[index] if index < len(CLASS_COLOURS) else None
    if text is None:  # more classes than colours: spread the rest over the circle of hues
        import colorsys

        return colorsys.hsv_to_rgb((index * 0.61803) % 1, 0.6, 0.9)
    return tuple(int(text[k : k + 2], 16) / 255 for k in (1, 3, 5))


def colour_mask(mask, void=255):
    """Paints a mask.

    Args:
        mask: integer ``(height, width)``, class indices.
        void: label painted white.

    Returns:
        float32 ``(height, width, 3)`` in [0, 1].

    Raises:
        ValueError: if the mask is not made of class numbers ``(height, width)``.
    """
    mask = np.asarray(mask)
    if mask.ndim != 2 or mask.dtype.kind not in "iub" or mask.min(initial=0) < 0:
        raise ValueError(
            f"The mask has dtype {mask.dtype}, shape {mask.shape} and the least value "
            f"{mask.min(initial=0)}: give class numbers (height, width), 0 or more."
        )
    painted = np.ones((*mask.shape, 3), np.float32)
    for index in np.unique(mask[mask != void]):
        painted[mask == index] = class_colour(int(index))
    return painted


def overlay(image, mask, strength=0.65, void=255):
    """Lays the colours of a mask over a picture; the background stays as it is.

    Below the colours the picture is grey, so that a class looks the same on any cloth.

    Args:
        image: float ``(height, width, 3)`` in [0, 1] or uint8.
        mask: integer ``(height, width)``.
        strength: 0 shows the picture, 1 the colours.
        void: label painted white.

    Returns:
        float32 ``(height, width, 3)`` in [0, 1].

    Raises:
        ValueError: if the picture has another shape, or another size than the mask.
    """
    if np.shape(image) != (*np.shape(mask), 3):
        raise ValueError(
            f"The picture has the shape {np.shape(image)} and the mask {np.shape(mask)}: give "
            "(height, width, 3) and (height, width) of one size."
        )
    image = np.asarray(image, np.float32) / (255 if np.asarray(image).dtype == np.uint8 else 1)
    weight = np.where(np.asarray(mask) > 0, strength, 0)[..., None]
    below = np.where(weight > 0, image.mean(axis=-1, keepdims=True), image)
    return (below * (1 - weight) + colour_mask(mask, void) * weight).astype(np.float32)


def overlay_instances(image, masks, classes, strength=0.65):
    """Lays the masks of objects over a picture, in the colours of their classes.

    A white line runs along the rim of each mask, so that two objects of a class that touch are
    two. Where masks overlap, the first one lies on top: detections come by falling score.

    Args:
        image: float ``(height, width, 3)`` in [0, 1] or uint8.
        masks: bool or 0 and 1, ``(objects, height, width)``.
        classes: integers ``(objects,)``; objects of class 0 are padding and not drawn.
        strength: 0 shows the picture, 1 the colours.

    Returns:
        float32 ``(height, width, 3)`` in [0, 1].

    Raises:
        ValueError: if there is not one mask of the picture's size for each class.
    """
    masks, classes = np.asarray(masks, bool), np.asarray(classes)
    if masks.ndim != 3 or len(masks) != len(classes) or masks.shape[1:] != np.shape(image)[:2]:
        raise ValueError(
            f"The picture has the shape {np.shape(image)}, the masks {masks.shape} and the classes "
            f"{classes.shape}: give (height, width, 3), (objects, height, width) and (objects,)."
        )
    labels = np.zeros(masks.shape[1:], int)
    rims = np.zeros(masks.shape[1:], bool)
    for mask, label in zip(masks[::-1], classes[::-1], strict=True):
        if label:
            labels[mask] = label
            rims[mask] = ~ndimage.binary_erosion(mask, border_value=1)[mask]
    laid = overlay(image, labels, strength)
    laid[rims] = 1
    return laid


def draw_boxes(axis, boxes, classes=None, *, colour=BLACK, labels=(), style="-", width=1.5):
    """Draws boxes over a picture that an axis shows.

    Args:
        axis: matplotlib axis on which a picture was shown with ``imshow``.
        boxes: ``(n, 4)`` as (x1, y1, x2, y2) in pixels from the corner of the picture.
        classes: integers ``(n,)``, each box gets the colour of its class; ``None`` draws all in
            ``colour``.
        colour: of the boxes without classes.
        labels: texts, one a box, written inside at the upper left.
        style: of the lines, as matplotlib calls them.
        width: of the lines in points.
    """
    colours = [colour] * len(boxes) if classes is None else [class_colour(int(c)) for c in classes]
    for (x1, y1, x2, y2), edge in zip(np.asarray(boxes, float) - 0.5, colours, strict=True):
        # imshow puts the middle of the first pixel at 0, so the picture's corner is at -0.5.
        axis.add_patch(
            Rectangle(
                (x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=edge, linestyle=style, lw=width
            )
        )
    for (x1, y1, _, _), text in zip(np.asarray(boxes, float) - 0.5, labels, strict=False):
        axis.text(
            x1 + 1,
            y1 + 1,
            text,
            fontsize=7,
            color="white",
            ha="left",
            va="top",
            clip_on=True,
            bbox={"facecolor": "black", "alpha": 0.6, "pad": 0.8, "lw": 0},
        )


def grid(rows, titles=(), *, scale=1.6, caption=None):
    """Shows pictures in rows.

    Args:
        rows: list of (row label, list of pictures); a picture is ``(h, w, 3)``, or ``(h, w)`` in
            grey.
        titles: one title a column.
        scale: side of a picture in inches.
        caption: one sentence below the figure.

    Returns:
        The figure.
    """
    columns = max(len(pictures) for _, pictures in rows)
    figure, axes = plt.subplots(
        len(rows),
        columns,
        figsize=(scale * columns + 0.4, scale * len(rows) + (0.4 if caption else 0.1)),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set_axis_off()
    for (label, pictures), line in zip(rows, axes, strict=True):
        for picture, axis in zip(pictures, line, strict=False):
            axis.imshow(picture, cmap="gray" if np.ndim(picture) == 2 else None)
        line[0].text(
            -0.06, 0.5, label, transform=line[0].transAxes, rotation=90, ha="right", va="center"
        )
    for title, axis in zip(titles, axes[0], strict=False):
        axis.set_title(title, fontsize=10)
    _caption(figure, caption)
    return figure


def legend(figure, classes, void=False, **options):
    """Adds the names of the classes with their colours below a figure."""
    handles = [Patch(color=class_colour(k), label=name) for k, name in enumerate(classes)]
    if void:
        handles.append(Patch(facecolor=VOID_COLOUR, edgecolor="black", label="not labelled"))
    options = {"loc": "outside lower center", "ncols": len(handles), "frameon": False, **options}
    figure.legend(handles=handles, fontsize=9, **options)
    return figure


def bars(values, classes, *, errors=None, label="IoU", floor=0.0, caption=None):
    """Bars, one a class in its colour, with the value written above.

    Args:
        values: ``(classes,)``.
        classes: names.
        errors: half the length of the error bars, ``(classes,)``.
        label: of the vertical axis.
        floor: where the vertical axis starts.
        caption: one sentence below the figure.

    Returns:
        The figure.
    """
    figure, axis = plt.subplots(figsize=(6.4, 2.9), layout="constrained")
    colours = [class_colour(k) for k in range(len(classes))]
    axis.bar(classes, values, yerr=errors, color=colours, capsize=4)
    for k, value in enumerate(values):
        if np.isfinite(value):
            axis.text(k, value, f"{value:.2f}", ha="center", va="bottom", fontsize=9)
    axis.set(ylabel=label, ylim=(floor, 1.05))
    axis.spines[["top", "right"]].set_visible(False)
    _caption(figure, caption)
    return figure


def confusion(matrix, classes, *, caption=None):
    """A confusion matrix as shares of each true class.

    Args:
        matrix: counts ``(classes, classes)``, row = true.
        classes: names.
        caption: one sentence below the figure.

    Returns:
        The figure.
    """
    matrix = np.asarray(matrix, float)
    share = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    figure, axis = plt.subplots(figsize=(4.6, 4.2), layout="constrained")
    axis.imshow(share, cmap="cividis", vmin=0, vmax=1)
    for i, j in np.ndindex(*share.shape):
        colour = "white" if share[i, j] < 0.6 else "black"
        axis.text(j, i, f"{share[i, j]:.2f}", ha="center", va="center", color=colour, fontsize=9)
    axis.set_xticks(range(len(classes)), classes, rotation=45, ha="right")
    axis.set_yticks(range(len(classes)), classes)
    axis.set(xlabel="predicted class", ylabel="true class")
    _caption(figure, caption)
    return figure


def _caption(figure, caption):
    if caption:
        figure.supxlabel(caption, fontsize=9)
