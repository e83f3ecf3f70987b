"""A smooth first guess of what is in a hole, by means of ever larger cells. Chapter 8."""

from keras import ops

from pixelwise.nn.upsampling import DoubleBilinear


def push_pull(x, known, levels=3, sweeps=4):
    """Fills in what is not known from means of what is, coarse to fine.

    On the way up each cell of two by two becomes the mean of its known part. At the top, what is
    still missing is the mean of all. On the way down a cell that is known in part is its mean, by
    that part, and for the rest what the coarser cells say, interpolated bilinearly; then each
    missing cell becomes the mean of its four neighbours, some times over. With many sweeps that is
    the harmonic filling; they are many where they cost little, on the coarse maps.

    Args:
        x: float ``(batch, height, width, channels)``, 0 where it is not known; height and width are
            multiples of ``2 ** levels``.
        known: float ``(batch, height, width, 1)``, 0 or 1.
        levels: how often cells are doubled.
        sweeps: how often missing cells become the mean of their neighbours, at the finest level; at
            each coarser one twice as often.

    Returns:
        float ``(batch, height, width, channels)``, ``x`` where it is known.

    Source: after Gortler et al. 1996 (The Lumigraph), section 3.4; Jacobi's method for the sweeps.
    """
    if levels == 0:
        count = ops.maximum(ops.sum(known, axis=(1, 2), keepdims=True), 1e-6)
        coarse = ops.sum(x, axis=(1, 2), keepdims=True) / count + ops.zeros_like(x)
    else:
        halved, share = (
            ops.average_pool(part, (2, 2), strides=(2, 2), data_format="channels_last")
            for part in (x, known)
        )
        # A cell counts as known as far as any of it is: a quarter of it is as good as all.
        full = ops.minimum(4 * share, 1)
        halved = halved / ops.maximum(share, 1e-6) * full
        coarse = DoubleBilinear()(push_pull(halved, full, levels - 1, 2 * sweeps))
    filled = x + (1 - known) * coarse

    def sweep(_, filled):
        return ops.where(known > 0, filled, _mean_of_neighbours(filled))

    # A loop of the graph: a compiler would take its time over some sixty copies of a sweep.
    return ops.fori_loop(0, sweeps, sweep, filled)


def _mean_of_neighbours(x):
    """The mean of the cells above, below, left and right; beyond the edge a cell meets itself."""
    x = ops.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]], mode="symmetric")
    return (x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:]) / 4
