"""Fills holes without learning: from the pixels around them, by an equation or a mean.

``"biharmonic"`` is scikit-image's: what is filled in bends as little as a thin plate would, and
leaves the border with the slope that the picture has there. ``"harmonic"`` only spans the border
like a soap film, and cannot overshoot. ``"nearest"`` repeats the nearest known pixel, and
``"mean"`` is one colour, the mean of all known pixels. They are what an inpainter has to beat.
Chapter 8.
"""

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse import linalg

from pixelwise import checks
from pixelwise.holes import checked

NEIGHBOURS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def fill_classical(images, holes, method="biharmonic"):
    """Fills holes by a method that was not trained.

    Args:
        images: float ``(n, height, width, 3)`` in [0, 1]; in the holes they may hold anything.
        holes: bool, or 0 and 1, ``(n, height, width)``, or ``(height, width)`` for all.
        method: a key of ``METHODS``.

    Returns:
        float32 ``(n, height, width, 3)`` in [0, 1]; outside of the holes it is ``images``.

    Raises:
        ValueError: if the method is unknown, shapes, sizes or values do not fit, or if a hole is
            empty or covers all.

    Source: Damelin and Hoang 2018 (biharmonic), as in ``skimage.restoration``.
    """
    checks.choice("method", method, METHODS)
    known, holes = checked(images, holes)
    made = np.stack([METHODS[method](*pair) for pair in zip(known, holes, strict=True)])
    return np.where(holes[..., None], np.clip(made, 0, 1), known).astype("float32")


def _biharmonic(image, hole):
    from skimage.restoration import inpaint_biharmonic

    return inpaint_biharmonic(image, hole, channel_axis=-1)


def _harmonic(image, hole):
    """Makes every missing pixel the mean of its neighbours inside the picture."""
    height, width = hole.shape
    number = np.where(hole, np.cumsum(hole).reshape(hole.shape) - 1, -1)
    rows, columns = np.nonzero(hole)
    count, right = np.zeros(len(rows)), np.zeros((len(rows), 3))
    links = []
    for down, across in NEIGHBOURS:
        y, x = rows + down, columns + across
        inside = np.flatnonzero((y >= 0) & (y < height) & (x >= 0) & (x < width))
        count[inside] += 1
        y, x = y[inside], x[inside]
        missing = hole[y, x]
        right[inside[~missing]] += image[y[~missing], x[~missing]]
        links.append(np.stack([inside[missing], number[y[missing], x[missing]]]))
    links = np.concatenate(links, axis=1)
    near = sparse.coo_matrix((np.ones(links.shape[1]), links), shape=(len(rows),) * 2)
    solved = linalg.spsolve((sparse.diags(count) - near).tocsc(), right)
    made = image.copy()
    made[hole] = solved
    return made


def _nearest(image, hole):
    places = ndimage.distance_transform_edt(hole, return_distances=False, return_indices=True)
    return image[tuple(places)]


def _mean(image, hole):
    return np.broadcast_to(image[~hole].mean(axis=0), image.shape)


METHODS = {
    "biharmonic": _biharmonic,
    "harmonic": _harmonic,
    "nearest": _nearest,
    "mean": _mean,
}
