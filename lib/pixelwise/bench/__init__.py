"""Benchmarks: how long our networks take, and how much memory, beside others' on this machine.

    pixelwise bench segmentation
    pixelwise bench detection

A *suite* is a module that lists its cases: ``segmentation.py``, and ``detection.py``, whose cases
run what stands in ``detectors.py``, ``stages.py``, ``torch_detectors.py`` and ``training_step.py``.
Everything else serves any suite.
``case.py`` says what a case is and which environment it needs, ``worker.py`` runs one in a process
of its own, ``runner.py`` runs all of them one after another, ``table.py`` prints what came out and
puts it on record.
"""

# Name on the command line -> module with NAME, TITLE, SIZE, TOLERANCE and cases().
SUITES = {
    "segmentation": "pixelwise.bench.segmentation",
    "detection": "pixelwise.bench.detection",
}
