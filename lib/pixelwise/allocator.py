"""Keeps freed memory in the process, so that the next step of a training need not fetch it again.

A step of a training allocates and frees the same few hundred MiB as the step before. glibc, the C
library of most Linux systems, hands the freed memory back to the system, which has to clear every
page of it before it gives it out again. Where that is slow, as on some virtual machines, it takes
as long as the arithmetic: a step of DCGAN (batch 64, TensorFlow, two cores of such a machine) took
213 ms with 28,662 page faults, and 135 ms with 85 after ``keep_freed_memory``.
"""

import ctypes
import functools
import sys

# Of malloc.h, with the value for each.
SETTINGS = {
    -1: 2**31 - 1,  # M_TRIM_THRESHOLD: free memory at the top from which some is handed back
    -2: 2**28,  # M_TOP_PAD: fetched and kept in addition
    -4: 0,  # M_MMAP_MAX: how many blocks may be fetched by themselves, and given back when freed
}


@functools.cache
def keep_freed_memory():
    """Tells glibc to keep freed memory, once for the process.

    Returns:
        bool: whether it does; False where the C library is another.

    Source: mallopt(3) of the Linux manual.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library, as musl
        return False
    return all([mallopt(name, value) == 1 for name, value in SETTINGS.items()])
