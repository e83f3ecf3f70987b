"""Measures of segmentation (and, in later chapters, of detection and generation)."""

from pixelwise.lazy import attach

__all__ = ["segmentation"]
__getattr__, __dir__ = attach(__name__, __all__)
