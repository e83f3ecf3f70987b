"""Gaussian sums over all pixels of a picture: what the fully connected CRF filters with.

Both classes compute sum_j k_ij x_j at every pixel i, exactly. With positions alone the Gaussian is
one along the rows times one along the columns, two small matrices. With colours it is not, and the
sum takes a number of steps quadratic in the pixels, block by block, in bounded memory.

Chapter: DeepLab.
"""

import numpy as np
from keras import ops

BLOCK = 2**20  # entries of a block of the matrix; larger ones leave the processor's cache
BLOCKS_AT_ONCE = 4  # arrays of that size that exist at the same time, at most
KEPT = 64**4  # entries of the largest matrix that is kept: that of 64 x 64 pixels
LOWEST = -30.0  # exponents end here: e^-30 counts as little as 0, and no product is subnormal


class SpatialGaussian:
    """The Gaussian of position, exp(-|p_i - p_j|^2 / 2 sigma^2), over all pixels of a picture.

    Args:
        size: ``(height, width)`` in pixels.
        sigma: standard deviation in pixels.

    Attributes:
        size: ``(height, width)``.
        own: how often ``gather`` adds a pixel's own value, here 1.
    """

    own = 1.0

    def __init__(self, size, sigma):
        self.size = tuple(size)
        self.rows, self.columns = (_line(side, sigma) for side in size)

    def gather(self, x):
        """Returns sum_j k_ij x_j at every pixel i.

        Args:
            x: float ``(height, width, channels)``.

        Returns:
            Array of the same shape.
        """
        x = ops.einsum("ij,jwc->iwc", self.rows, x)
        return ops.einsum("ij,hjc->hic", self.columns, x)


def _line(side, sigma):
    """The Gaussian between the places of one side, float32 ``(side, side)``."""
    places = np.arange(side) / sigma
    return ops.convert_to_tensor(np.exp(-((places[:, None] - places) ** 2) / 2), "float32")


class BilateralGaussian:
    """The Gaussian of position and colour, over all pixels of a picture: near and alike.

        k_ij = exp(-|p_i - p_j|^2 / 2 sigma_p^2 - |I_i - I_j|^2 / 2 sigma_c^2)

    A block holds k_ij between all pixels i and some pixels j. It is multiplied at once and
    forgotten, so the matrix of all pairs never exists. Only where it has no more entries than that
    of 64 x 64 pixels, and ``memory`` allows, are the blocks kept for the next call.

    With ``stride`` s > 1 the picture is cut into cells of s x s pixels (smaller at the right and
    at the bottom, where s does not divide), and the pixel in the middle of each cell speaks for
    all a_j pixels of it: ``gather`` returns sum_j a_j k_ij x_j over these samples j, still at every
    pixel i. That is s^2 times less work. The sum of the a_j is the number of pixels.

    Args:
        image: float NumPy array ``(height, width, channels)``.
        position_sigma: standard deviation in pixels.
        colour_sigma: standard deviation in the unit of ``image``.
        stride: side of the cells in pixels; 1 is exact.
        memory: MiB that the blocks may take; a block is never less than one row of the matrix.

    Attributes:
        size: ``(height, width)``.
        own: how often ``gather`` adds a pixel's own value: float ``(height, width, 1)``, 1 at the
            samples (of a_j, the others stand for their neighbours) and 0 elsewhere.
    """

    def __init__(self, image, position_sigma, colour_sigma, stride=1, memory=256):
        height, width = self.size = image.shape[:2]
        (rows, high), (columns, wide) = _cells(height, stride), _cells(width, stride)
        grid = np.ix_(rows, columns)
        self.samples = ops.convert_to_tensor((grid[0] * width + grid[1]).ravel(), "int32")
        self.cells = ops.convert_to_tensor(np.outer(high, wide).reshape(-1, 1), "float32")
        own = np.zeros((height, width, 1), np.float32)
        own[grid] = 1
        self.own = ops.convert_to_tensor(own)

        places = np.stack(np.mgrid[:height, :width], -1) / position_sigma
        points = np.concatenate([places, image / colour_sigma], -1, dtype=np.float64)
        points -= (points.min((0, 1)) + points.max((0, 1))) / 2  # small numbers round less
        senders = points[grid].reshape(len(self.samples), -1)
        points = points.reshape(height * width, -1)
        self.exponents = difference_exponents
        if product_is_exact(points):
            self.exponents = product_exponents
            points, senders = lift(points)[1], lift(senders)[0]

        room = int(memory * 2**18)  # numbers of four bytes
        block = max(1, min(BLOCK, room // BLOCKS_AT_ONCE) // len(points))
        self.points = ops.convert_to_tensor(points, "float32")
        self.senders = [
            ops.convert_to_tensor(senders[first : first + block], "float32")
            for first in range(0, len(senders), block)
        ]
        room -= BLOCKS_AT_ONCE * block * len(points)
        self.kept = None
        if len(points) * len(senders) <= min(KEPT, room):
            self.kept = list(self.blocks())

    def blocks(self):
        """Yields the matrix in blocks of rows, float ``(some samples, pixels)``."""
        for senders in self.senders:
            yield ops.exp(ops.maximum(self.exponents(senders, self.points), LOWEST))

    def gather(self, x):
        """Returns sum_j a_j k_ij x_j over the samples j (a_j = 1 with stride 1), at every pixel i.

        Args, Returns: as for ``SpatialGaussian.gather``.
        """
        sent = self.cells * ops.take(ops.reshape(x, (-1, x.shape[-1])), self.samples, axis=0)
        sent = ops.transpose(sent)  # long rows are multiplied faster than short ones
        total, first = 0.0, 0
        for block in self.blocks() if self.kept is None else self.kept:
            end = first + block.shape[0]
            total, first = total + ops.matmul(sent[:, first:end], block), end
        return ops.reshape(ops.transpose(total), x.shape)


def _cells(side, stride):
    """Cuts a side into cells: the pixel in the middle of each, and how many pixels it has."""
    first = np.arange(0, side, stride)
    end = np.minimum(first + stride, side)
    return (first + end) // 2, end - first


def difference_exponents(a, b):
    """Returns -|a - b|^2 / 2 of every pair of two lists of points, one dimension after another.

    Args:
        a: float ``(n, dimensions)``.
        b: float ``(m, dimensions)``.

    Returns:
        Array ``(n, m)``, at most 0.
    """
    distances = 0.0
    for k in range(a.shape[1]):
        distances = distances + ops.square(a[:, k, None] - b[None, :, k])
    return -0.5 * distances


def product_exponents(a, b):
    """Returns the same, several times faster, as one matrix product of points that were lifted.

    Args:
        a: the first of what ``lift`` returns, ``(n, dimensions + 2)``.
        b: the second, for other points, ``(m, dimensions + 2)``.

    Returns:
        Array ``(n, m)``, at most 0 but for rounding.
    """
    return ops.matmul(a, ops.transpose(b))


def lift(points):
    """Adds two numbers to points, so that a product of two is -|a - b|^2 / 2.

    For -|a - b|^2 / 2 = a b + (-|a|^2 / 2) 1 + 1 (-|b|^2 / 2).

    Args:
        points: float NumPy array ``(n, dimensions)``.

    Returns:
        ``(a, b)``: the points as left and as right factors, float32 ``(n, dimensions + 2)`` each.
    """
    square, one = -(points**2).sum(1, keepdims=True) / 2, np.ones((len(points), 1))
    left, right = (points, square, one), (points, one, square)
    return np.concatenate(left, 1, dtype=np.float32), np.concatenate(right, 1, dtype=np.float32)


def product_is_exact(points):
    """Returns whether ``product_exponents`` gives these points' Gaussians right to a hundredth.

    It is a small difference of large numbers. It fails where small sigmas make the points large,
    and on devices that multiply matrices with fewer digits than float32 has (TensorFloat-32 of
    newer GPUs). Tried on the 64 points that lie farthest out, where it is worst.
    """
    points = points[np.argsort((points**2).sum(1))[-64:]]
    quick = ops.exp(product_exponents(*map(ops.convert_to_tensor, lift(points))))
    points = ops.convert_to_tensor(points, "float32")
    return float(ops.max(ops.abs(quick - ops.exp(difference_exponents(points, points))))) < 0.01
