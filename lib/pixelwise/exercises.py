"""Exercises that the reader solves, and the checks that say whether they are solved.

A chapter's exercise is a stub that calls ``pw.exercises.todo()`` and, below it, a check::

    with pw.exercises.check("1"):
        assert my_iou(a, b) == 0.5, "The two squares share half of their union."

The check prints one line, the same in every run, and never stops the notebook.
"""

import contextlib

_LONGEST = 300  # characters of a reason that are shown


class NotSolved(NotImplementedError):
    """An exercise was run before it was solved."""


def todo():
    """Stands where the reader's answer goes.

    Raises:
        NotSolved: always.
    """
    raise NotSolved("Replace pw.exercises.todo() by your answer.")


@contextlib.contextmanager
def check(name):
    """Prints whether the exercise ``name`` is solved: whether the body runs without an error.

    Args:
        name: what the exercise is called in the text, such as ``"1"``.
    """
    try:
        yield
    except Exception as error:  # whatever an answer may do wrong, the reader gets one line
        print(f"Exercise {name}: not yet. {_reason(error)}")
    else:
        print(f"Exercise {name}: passed.")


def _reason(error):
    """Returns an error as one sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else ""
    if isinstance(error, NameError):
        text = f"Run the cells above first: {text}."
    elif isinstance(error, AssertionError):
        text = text or "One of the assertions of this check does not hold."
    elif not isinstance(error, NotSolved):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."
