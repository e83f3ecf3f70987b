"""Exercises: what a check prints for a stub, a wrong answer and a right one."""

import pytest

from pixelwise import exercises


def printed(capsys, body):
    with exercises.check("2"):
        body()
    return capsys.readouterr().out


def test_a_stub_is_not_yet(capsys):
    expected = "Exercise 2: not yet. Replace pw.exercises.todo() by your answer.\n"
    assert printed(capsys, exercises.todo) == expected


def test_a_right_answer_passes(capsys):
    assert printed(capsys, lambda: None) == "Exercise 2: passed.\n"


def failing(message):
    def body():
        raise AssertionError(message) if message else AssertionError

    return body


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (failing("The kernel sums to 1."), "The kernel sums to 1."),
        (failing(""), "One of the assertions of this check does not hold."),
        (failing("\nNot equal to tolerance\n\nMismatch"), "Not equal to tolerance"),
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (lambda: [][1], "IndexError: list index out of range"),
        (lambda: nothing, "Run the cells above first: name 'nothing' is not defined."),  # noqa: F821
        (failing("x" * 1000), "x" * 297 + "..."),
    ],
)
def test_a_wrong_answer_is_one_line_with_its_reason(capsys, body, reason):
    assert printed(capsys, body) == f"Exercise 2: not yet. {reason}\n"


def test_ctrl_c_is_not_swallowed():
    with pytest.raises(KeyboardInterrupt), exercises.check("1"):
        raise KeyboardInterrupt
