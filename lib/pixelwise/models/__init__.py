"""The networks of the book, one file a chapter."""

from pixelwise.lazy import attach

__getattr__, __dir__ = attach(__name__)
