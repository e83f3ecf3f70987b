"""Keeps the backend's start-up log off the page.

TensorFlow's C++ libraries write a few lines to the terminal's error stream while they are imported
(that they use oneDNN, that there is no GPU), before any setting can tell them not to. They say
nothing that a reader can act on, and Jupyter shows them in red under the first cell.
"""

import contextlib
import logging
import os
import sys
import tempfile


@contextlib.contextmanager
def quiet():
    """Holds back what is written to the error stream in the body; shows it if the body fails.

    TensorFlow's Python log is set to errors: its hint that a function was traced again counts
    every network that a chapter builds.

    It works on the file descriptor, because C++ does not write through ``sys.stderr``. Use it
    around the first ``import keras`` only::

        with quiet():
            import keras
    """
    try:
        saved = os.dup(2)
    except OSError:  # a process without an error stream has nothing to hold back
        yield
        return
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            _restore(saved)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        _restore(saved)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)


def _restore(saved):
    """Gives the error stream its file descriptor back."""
    sys.stderr.flush()
    os.dup2(saved, 2)
    os.close(saved)
