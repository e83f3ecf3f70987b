"""Building blocks: convolutions, upsampling, pooling, losses, boxes, divergences."""

from pixelwise.lazy import attach

__getattr__, __dir__ = attach(__name__)
