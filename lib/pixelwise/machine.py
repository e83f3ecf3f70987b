"""What a record says about the machine and the software that made it."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

from pixelwise import budget, paths


def versions():
    """Returns the versions that decide a result: Python, Keras, its backend, NumPy."""
    import keras

    backend = keras.backend.backend()
    return {
        "python": platform.python_version(),
        "keras": keras.__version__,
        "backend": backend,
        "backend_version": getattr(sys.modules.get(backend), "__version__", "unknown"),
        "numpy": np.__version__,
    }


def device():
    """Returns the device in words, such as ``"CPU, 2 cores, AMD EPYC 7B13"``."""
    accelerator = budget.accelerator()
    if accelerator is None:
        return processor(cores())
    name = _first_line(["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"])
    return f"{accelerator}, {name}" if name else accelerator


def processor(used):
    """Returns the processor in words, of which so many cores are used; see ``device``."""
    return f"CPU, {used} cores, {_processor()}"


def cores():
    """Returns the number of processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def peak_memory():
    """Returns the largest amount of memory this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux the other figure begins with what the starting process held
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 2**10)
    try:
        import resource
    except ImportError:  # Windows
        import psutil

        return round(psutil.Process().memory_info().peak_wset / 2**20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / 2**20 if sys.platform == "darwin" else peak / 2**10)


def commit():
    """Returns the short commit of the clone, with ``+changes`` if ``lib/`` differs from it."""
    root = paths.repository()
    short = _first_line(["git", "-C", str(root), "rev-parse", "--short", "HEAD"])
    if not short:
        return "unknown"
    dirty = _first_line(["git", "-C", str(root), "status", "--porcelain", "--", "lib"])
    return f"{short}+changes" if dirty else short


def _processor():
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text(errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _first_line(command):
    """Returns the first line a command prints, or "" where it is missing or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = done.stdout.strip().splitlines() if done.returncode == 0 else []
    return lines[0].strip() if lines else ""
