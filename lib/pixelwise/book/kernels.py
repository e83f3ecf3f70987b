"""Executes a notebook in a kernel of its own and measures the time and the memory it takes."""

import contextlib
import os
import re
import sys
import tempfile
import threading
import time
from dataclasses import dataclass

import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_SAMPLE_SECONDS = 0.2


class CellFailed(Exception):
    """A cell of a notebook raised an error, took too long or killed its kernel.

    Attributes:
        index: which cell, counted from 0 over all cells.
        source: its code.
        error: what happened, as plain text.
    """

    def __init__(self, index, source, error):
        super().__init__(f"cell {index} failed: {error}")
        self.index, self.source, self.error = index, source, error


class Stopped(Exception):
    """Notebooks were told to stop, see ``Stop``."""


class Stop:
    """Lets one thread stop the notebooks that other threads execute, at once and for good."""

    def __init__(self):
        self._lock = threading.Lock()
        self._wanted, self._kernels = False, set()

    def __call__(self):
        """Kills the kernels; ``execute`` then raises ``Stopped``, as does every later one."""
        with self._lock:
            self._wanted = True
            for process in self._kernels:
                process.kill()

    def check(self):
        """Raises ``Stopped`` if it is wanted."""
        if self._wanted:
            raise Stopped

    @contextlib.contextmanager
    def watching(self, process):
        """Makes a kernel one of those that are killed, while the body runs."""
        with self._lock:
            self.check()
            self._kernels.add(process)
        try:
            yield
        finally:
            with self._lock:
                self._kernels.discard(process)


@dataclass(frozen=True)
class Measured:
    """What executing a notebook took: wall-clock seconds and the peak memory in MiB."""

    seconds: float
    peak_memory_mib: float


class ThisPython(AsyncKernelManager):
    """Starts kernels of the Python that runs this, whatever kernels are installed on the machine.

    What C++ libraries write to the terminal goes to the log file, not into the notebook.
    """

    @property
    def kernel_spec(self):
        """The command that starts the kernel."""
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        argv += ["--IPKernelApp.capture_fd_output=False"]
        return KernelSpec(argv=argv, display_name="Python 3", language="python")


def execute(notebook, folder, *, budget=None, log=None, after_cell=None, timeout=None, stop=None):
    """Executes a notebook in place: its cells get their outputs and their numbers.

    Args:
        notebook: the notebook, whose old outputs are thrown away.
        folder: the folder in which it runs.
        budget: ``"smoke"``, ``"quick"`` or ``"full"``; by default the kernel decides.
        log: path of the file that takes what the kernel writes to the terminal.
        after_cell: called without arguments after each cell, markdown cells too.
        timeout: seconds that a cell may take; no limit by default.
        stop: the ``Stop`` by which another thread may end it.

    Returns:
        What it took, as ``Measured``.

    Raises:
        CellFailed: if a cell fails. The cells before it, and it, keep their outputs.
        Stopped: if it was told to stop.
    """
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    stop = stop or Stop()
    stop.check()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as profile, open(log or os.devnull, "ab") as terminal:
        options = {
            "env": _environment(budget, profile),
            "stdout": terminal,
            "stderr": terminal,
        }
        try:
            with _started(notebook, folder, timeout, options) as client:
                with stop.watching(client.km.provisioner.process):
                    peak = _execute_cells(client, log, after_cell)
        except CellFailed:
            stop.check()  # a killed kernel is no failing cell
            raise
        except RuntimeError as error:
            stop.check()
            raise CellFailed(0, "", f"The kernel did not start: {error}.{_end_of(log)}") from None
    return Measured(time.perf_counter() - start, peak / 2**20)


@contextlib.contextmanager
def _started(notebook, folder, timeout, options):
    """Starts a kernel and gives the client that speaks with it, while the body runs.

    It is tried twice: its ports are chosen before it opens them, and one may be taken by then.
    """
    with contextlib.ExitStack() as stack:
        for attempt in (1, 2):
            client = NotebookClient(
                notebook,
                kernel_manager_class=ThisPython,
                record_timing=False,
                coalesce_streams=True,
                timeout=timeout,
                resources={"metadata": {"path": str(folder)}},
            )
            try:
                stack.enter_context(client.setup_kernel(**options))
            except RuntimeError:
                if attempt == 2:
                    raise
            else:
                break
        yield client


class PeakMemory:
    """Watches the memory of a process and of all that it started, while the body runs.

    Attributes:
        peak: the most bytes that were resident at once, over the processes together.
    """

    def __init__(self, pid):
        self.peak = 0
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()
        self._sample()

    def _watch(self):
        while not self._stop.wait(_SAMPLE_SECONDS):
            self._sample()

    def _sample(self):
        try:
            family = [self._process, *self._process.children(recursive=True)]
        except psutil.Error:  # it has ended
            return
        total = 0
        for process in family:
            try:
                total += process.memory_info().rss
            except psutil.Error:  # this one has ended
                continue
        self.peak = max(self.peak, total)


def plain(text):
    """Returns text without the codes that colour a terminal."""
    return _ANSI.sub("", text)


def _execute_cells(client, log, after_cell):
    """Executes the cells in order; returns the peak memory in bytes."""
    with PeakMemory(client.km.provisioner.process.pid) as memory:
        for index, cell in enumerate(client.nb.cells):
            try:
                _execute_cell(client, cell, index, log)
            except KeyboardInterrupt:
                client.shutdown_kernel = "immediate"  # it is busy and would not hear a request
                raise
            if after_cell is not None:
                after_cell()
    return memory.peak


def _execute_cell(client, cell, index, log):
    """Executes one cell; turns whatever may go wrong into CellFailed."""
    try:
        client.execute_cell(cell, index, execution_count=client.code_cells_executed + 1)
    except CellExecutionError as error:
        raise CellFailed(index, cell.source, _traceback(cell, error)) from None
    except CellTimeoutError:
        raise CellFailed(index, cell.source, f"It took over {client.timeout} seconds.") from None
    except DeadKernelError:
        message = "The kernel died in this cell: the machine may have run out of memory."
        raise CellFailed(index, cell.source, message + _end_of(log)) from None


def _traceback(cell, error):
    """Returns the error of a cell as a reader wants it: the traceback without colours."""
    for output in cell.outputs:
        if output.output_type == "error":
            return plain("\n".join(output.traceback))
    return f"{error.ename}: {error.evalue}"


def _end_of(log):
    """Returns the last lines of the kernel's log, to stand below a message."""
    if log is None:
        return ""
    with open(log, encoding="utf-8", errors="replace") as file:
        lines = file.read().splitlines()[-5:]
    return "".join(f"\n{line}" for line in lines)


def _environment(budget, profile):
    """Returns the environment of a kernel: no start-up files of the user's, no log lines."""
    environment = dict(os.environ)
    environment.pop("MPLBACKEND", None)  # the kernel draws into the notebook
    environment.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    environment["IPYTHONDIR"] = profile
    environment["PYTHONHASHSEED"] = "0"
    if budget is not None:
        environment["PIXELWISE_BUDGET"] = budget
    return environment
