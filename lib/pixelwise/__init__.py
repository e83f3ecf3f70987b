"""Pixelwise: image segmentation and generation, from the mathematics to running code.

The library behind the book. Chapters write ``import pixelwise as pw`` and name the file a reader
should open. Sub-modules are imported when they are first used, so that ``import pixelwise`` is
quick and the backend of Keras can still be chosen after it.
"""

import os

from pixelwise.lazy import attach

# TensorFlow writes its C++ log to the terminal unless told otherwise before it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Of itself TensorFlow uses oneDNN's convolutions only on processors with instructions for neural
# networks, as AVX512-VNNI. They are faster without those too: a step of DCGAN took 56 ms in place
# of 88 with two cores of an AMD EPYC, one of DeepLabV3+ 551 in place of 673.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")

__version__ = "0.1.0"

__all__ = [
    "budget",
    "data",
    "detection",
    "exercises",
    "inference",
    "metrics",
    "models",
    "nn",
    "paths",
    "plot",
    "results",
    "training",
    "weights",
]


__getattr__, __dir__ = attach(__name__, __all__)
