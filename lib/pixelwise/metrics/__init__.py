"""Measures of segmentation (and, in later chapters, of detection and generation)."""
