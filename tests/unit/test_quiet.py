"""``quiet`` holds back what C++ writes to the error stream, unless the body fails."""

import subprocess
import sys

CODE = """
import os, sys
from pixelwise.quiet import quiet
print("before", file=sys.stderr)
try:
    with quiet():
        os.write(2, b"held back\\n")
        {body}
except ImportError:
    print("caught", file=sys.stderr)
os.write(2, b"after\\n")
"""


def error_stream(body):
    command = [sys.executable, "-c", CODE.format(body=body)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr.split("\n")


def test_the_log_of_an_import_that_succeeds_is_held_back():
    assert error_stream("pass") == ["before", "after", ""]


def test_the_log_of_an_import_that_fails_is_shown():
    expected = ["before", "held back", "caught", "after", ""]
    assert error_stream("raise ImportError") == expected


def test_a_process_without_an_error_stream_goes_on():
    code = "import os; os.close(2)\nfrom pixelwise.quiet import quiet\nwith quiet(): print('on')"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "on\n"
