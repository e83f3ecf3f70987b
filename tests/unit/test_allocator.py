"""Freed memory stays in the process, where glibc is the C library."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource
import numpy as np
from pixelwise.allocator import keep_freed_memory

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        blocks = [np.ones(3 * 2**17) for _ in range(40)]  # of 3 MiB
        blocks.append(b"x" * 2**29)  # more than the free part of the heap, whatever its threshold
        while blocks:
            blocks.pop()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = faults()
kept = keep_freed_memory()
faults()
print(int(kept), plain, faults())
"""


def test_freed_memory_is_not_fetched_again():
    if platform.libc_ver()[0] != "glibc":
        pytest.skip("the C library is not glibc")
    found = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True)
    kept, plain, after = map(int, found.stdout.split())
    assert kept and after < plain / 5


def test_another_system_is_left_alone():
    code = (
        "import sys; sys.platform = 'darwin'; from pixelwise.allocator import keep_freed_memory; "
        "print(keep_freed_memory())"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.stdout.strip() == "False"
