"""Benchmarks: how long our networks take, and how much memory, beside others' on this machine.

    pixelwise bench segmentation
    pixelwise bench detection
    pixelwise bench generation
    pixelwise bench choosing

A *suite* is a module that lists its cases: ``segmentation.py``; ``detection.py``, whose cases run
what stands in ``detectors.py``, ``stages.py``, ``torch_detectors.py`` and ``training_step.py``;
``generation.py``, with ``plain_loops.py`` and ``plain_torch.py``; and ``choosing.py``, the book's
recorded models side by side, with a table of its own. Everything else serves any suite.
``case.py`` says what a case is and which environment it needs, ``worker.py`` runs one in a process
of its own, ``runner.py`` runs all of them one after another, ``table.py`` prints what came out and
puts it on record.
"""

# Name on the command line -> module with TITLE, SIZE, SMALLEST, TOLERANCE, RUNS and cases(), and,
# where the usual is not meant, DESCRIPTION and TABLE.
SUITES = {
    "segmentation": "pixelwise.bench.segmentation",
    "detection": "pixelwise.bench.detection",
    "generation": "pixelwise.bench.generation",
    "choosing": "pixelwise.bench.choosing",
}
