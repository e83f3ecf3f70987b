"""Measures of segmentation (and, in later chapters, of detection and generation)."""

from pixelwise.lazy import attach

__getattr__, __dir__ = attach(__name__)
