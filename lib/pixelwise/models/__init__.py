"""The networks of the book, one file a chapter."""

from pixelwise.lazy import attach

__all__ = ["backbones", "fcn"]
__getattr__, __dir__ = attach(__name__, __all__)
