"""Spatial pyramid pooling of regions of interest: the same features on several grids at once.

A coarse grid says what a RoI holds, wherever it lies; a fine one says where (He et al. 2014, SPP-
net). One bin is global pooling; as many bins as the features have keeps them as they are. Chapter:
Instance SegNet.
"""

import numpy as np
from keras import ops

from pixelwise.nn.pooling import adaptive_average_pool, adaptive_max_pool

POOLS = {"max": adaptive_max_pool, "average": adaptive_average_pool}


def roi_pyramid(features, bins=(1, 2, 4, 7), mode="max"):
    """Returns one vector for each RoI: its features pooled over several grids.

    Args:
        features: float ``(batch, rois, height, width, channels)``, all but the batch known, as
            ``roi_align`` returns them.
        bins: cells along a side of each grid, from 1 to the features' own; where they do not
            divide, neighbouring cells share a row.
        mode: ``"max"`` as in the paper, or ``"average"``.

    Returns:
        ``(batch, rois, channels * sum of bins squared)``: grid after grid, rows first, channels
        last.

    Raises:
        ValueError: for another shape, an unknown mode, or bins that the features cannot fill.

    Source: He, Zhang, Ren, Sun 2014, section 2.2.
    """
    if mode not in POOLS:
        raise ValueError(f"There is no mode {mode!r}: choose one of {tuple(POOLS)}.")
    if len(features.shape) != 5 or None in features.shape[1:]:
        raise ValueError(
            "Features of RoIs have the shape (batch, rois, height, width, channels), of which all "
            f"but the batch is known, but got {tuple(features.shape)}."
        )
    rois, height, width, channels = features.shape[1:]
    whole = all(isinstance(n, int | np.integer) for n in bins)
    if not bins or not whole or not 1 <= min(bins) <= max(bins) <= min(height, width):
        raise ValueError(
            f"The bins are {tuple(bins)} for features of {height} x {width} cells: give whole "
            f"numbers from 1 to {min(height, width)}."
        )
    flat = ops.reshape(features, (-1, height, width, channels))
    grids = [ops.reshape(POOLS[mode](flat, n), (-1, rois, n * n * channels)) for n in bins]
    return ops.concatenate(grids, axis=-1)
