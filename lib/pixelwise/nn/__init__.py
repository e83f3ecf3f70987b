"""Building blocks: convolutions, upsampling, pooling, losses, boxes, divergences."""

from pixelwise.lazy import attach

__all__ = [
    "autodiff",
    "boxes",
    "convolution",
    "divergences",
    "losses",
    "pooling",
    "receptive_field",
    "upsampling",
]
__getattr__, __dir__ = attach(__name__, __all__)
