"""Reading scattered cells of feature maps, with bounded memory.

What several parts of a detector share that read a few cells of large maps for each region of
interest (RoI). Chapter: Mask R-CNN.
"""

from keras import ops

PIECE = 4_000_000  # numbers gathered at once: 16 MB in single precision


def in_pieces(function, arrays, numbers):
    """Applies a function to the RoIs of a batch, piece after piece, so that memory stays bounded.

    Args:
        function: from a tuple of arrays ``(n, ...)`` to one array ``(n, ...)``.
        arrays: tuple of ``(batch, rois, ...)``, all but the batch known.
        numbers: that the function gathers for one RoI. A piece has ``PIECE`` of them at most, or
            one RoI; where all RoIs of a picture fit, the whole batch is done at once.

    Returns:
        Array ``(batch, rois, ...)``.
    """
    rois = arrays[0].shape[1]
    count = -(-rois // max(PIECE // numbers, 1))
    piece = -(-rois // count)
    behind = count * piece - rois
    if behind:
        arrays = [
            ops.pad(x, ((0, 0), (0, behind)) + ((0, 0),) * (len(x.shape) - 2)) for x in arrays
        ]
    if count == 1:
        result = function(tuple(ops.reshape(x, (-1, *x.shape[2:])) for x in arrays))
    else:
        arrays = tuple(ops.reshape(x, (-1, piece, *x.shape[2:])) for x in arrays)
        result = ops.map(function, arrays)
        result = ops.reshape(result, (-1, *result.shape[2:]))
    return ops.reshape(result, (-1, count * piece, *result.shape[1:]))[:, :rois]


def cell_table(maps):
    """Returns all cells of all maps of all pictures, one below the other, to gather from.

    Args:
        maps: list of ``(batch, height, width, channels)``.

    Returns:
        table ``(batch * cells, channels)``; the row of each map's first cell within a picture,
        list of int; and the row of each picture's first cell, int32 ``(batch, 1)``.
    """
    sizes = [x.shape[1] * x.shape[2] for x in maps]
    channels = maps[0].shape[-1]
    cells = [ops.reshape(x, (-1, n, channels)) for x, n in zip(maps, sizes, strict=True)]
    table = ops.concatenate(cells, axis=1)
    pictures = ops.arange(ops.shape(table)[0], dtype="int32")[:, None] * sum(sizes)
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return ops.reshape(table, (-1, channels)), starts, pictures
