"""Atrous convolution tap by tap: what lies outside the map is not computed.

A kernel whose taps lie far apart reaches beyond a small map at most places, where it multiplies the
zeros of the padding. With the rate 36 on a map of 65 x 65 cells (DeepLabV3 at output stride 8 and
520 pixels) six in ten products are of that kind. Tap by tap they are left out: each tap is a 1x1
convolution, a product of matrices, of the part of the map that it sees,

    y[p] = sum over taps t of  x[p + rate * t] W[t],   where p + rate * t lies on the map.

TensorFlow computes a dilated convolution by cutting the map into rate * rate smaller ones, and JAX
leaves out nothing, so that this is two to twelve times faster there; PyTorch and OpenVINO leave out
the zeros by themselves. Chapter 3.
"""

import contextlib

import keras
from keras import layers, ops

# Share of a kernel's taps that lie on the map, on average, below which tap by tap is faster.
# Measured with 65 x 65 cells and 256 to 2,048 channels on a CPU: at the rate 12 (0.77) it was, at 4
# (0.92) it was not.
SHARE = 0.85
BACKENDS = ("tensorflow", "jax")  # on which it is faster

_direct = False  # whether tap by tap is switched off


@contextlib.contextmanager
def direct():
    """Makes every ``AtrousConv2D`` that is called or traced in the body compute as ``Conv2D``.

    For graphs that another compiler takes over, as OpenVINO, which does better with the whole
    convolution.
    """
    global _direct
    before, _direct = _direct, True
    try:
        yield
    finally:
        _direct = before


@keras.saving.register_keras_serializable(package="pixelwise")
class AtrousConv2D(layers.Conv2D):
    """``keras.layers.Conv2D`` that computes tap by tap where this is faster.

    That is: on TensorFlow and JAX; with stride 1, padding ``"same"``, an odd kernel, channels last
    and one group; on a map whose size is known when the computation is traced, beyond which the
    taps reach at many places. Elsewhere, and in arguments, weights and results, it is ``Conv2D``.
    """

    def convolution_op(self, inputs, kernel):
        if self._worthwhile(inputs.shape):
            return convolve_by_taps(inputs, kernel, self.dilation_rate)
        return super().convolution_op(inputs, kernel)

    def _worthwhile(self, shape):
        size = tuple(shape[1:3])
        if (
            _direct
            or keras.backend.backend() not in BACKENDS
            or None in size
            or self.data_format != "channels_last"
            or self.padding != "same"
            or self.groups != 1
            or max(self.strides) > 1
            or max(self.dilation_rate) == 1
            or any(side % 2 == 0 for side in self.kernel_size)
        ):
            return False
        return share_on_map(size, self.kernel_size, self.dilation_rate) < SHARE


def share_on_map(size, kernel_size, rates):
    """Returns the share of a kernel's taps that lie on the map, averaged over its places.

    Args:
        size: height and width of the map, in cells.
        kernel_size: height and width of the kernel, odd.
        rates: distance between its taps in each direction, in cells.

    Returns:
        float from ``1 / taps`` (the middle tap alone) to below 1.
    """
    share = 1.0
    for cells, side, rate in zip(size, kernel_size, rates, strict=True):
        seen = sum(max(cells - abs(tap) * rate, 0) for tap in _taps(side))
        share *= seen / (side * cells)
    return share


def convolve_by_taps(x, kernel, rates):
    """Convolves with stride 1 and zeros around the map, tap by tap.

    Args:
        x: float ``(batch, height, width, channels)``, height and width known.
        kernel: float ``(kernel height, kernel width, channels, filters)``, odd sides.
        rates: distance between the taps in each direction, in cells.

    Returns:
        float ``(batch, height, width, filters)``: what ``keras.ops.conv(x, kernel, padding="same",
        dilation_rate=rates)`` gives.
    """
    height, width = x.shape[1:3]
    result = None
    for i, row in enumerate(_taps(kernel.shape[0])):
        top, seen_rows = _overlap(row * rates[0], height)
        for j, column in enumerate(_taps(kernel.shape[1])):
            left, seen_columns = _overlap(column * rates[1], width)
            if seen_rows is None or seen_columns is None:
                continue
            part = ops.matmul(x[:, seen_rows, seen_columns], kernel[i, j])
            part = ops.pad(part, ((0, 0), top, left, (0, 0)))
            result = part if result is None else result + part
    return result


def _taps(side):
    """The places of the taps of a kernel's side, in taps from its middle."""
    return range(-(side // 2), side // 2 + 1)


def _overlap(offset, cells):
    """Where a tap, so many cells from the middle, sees the map.

    Returns:
        The zeros before and behind the places that it contributes to, and the slice of the map that
        it sees there, or None if it sees nothing.
    """
    seen = slice(max(offset, 0), cells + min(offset, 0))
    padding = (max(-offset, 0), max(offset, 0))
    return padding, seen if seen.start < seen.stop else None
