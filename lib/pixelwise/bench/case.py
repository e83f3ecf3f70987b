"""What a case of a benchmark is, and the environment its process needs."""

import importlib.util
from dataclasses import dataclass, field

OURS, YARDSTICK, OTHERS = "ours", "yardstick", "others"
BACKENDS = ("tensorflow", "jax", "torch", "openvino")
# What pip calls a module that is not called like its package.
PACKAGES = {"keras_cv": "keras-cv"}
# By backend: what each takes the number of its threads from. JAX asks how many processors the
# process may use, which worker.py limits for all of them.
_THREADS = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
)
# The processor is measured, also where there is an accelerator, unless that is asked for.
_PROCESSOR_ONLY = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}


@dataclass(frozen=True)
class Case:
    """One network, computed by one engine.

    Attributes:
        network: name of the network; cases of one network stand together and share a yardstick.
        engine: name of what computes it, as ``"jax_xla"``; unique for a network.
        backend: the backend of Keras in its process.
        build: ``"module:function"``. The function takes ``size``, ``threads`` and ``arguments`` and
            returns a function without arguments that computes and returns a NumPy array; or a pair
            of it and a function that returns its parts, a dict of functions without arguments,
            which are timed one by one; or these two and a function that returns further figures,
            a dict, once all else is measured.
        arguments: dict of further arguments for it.
        imports: modules that its process imports before memory is first read.
        needs: modules that must be installed beside these.
        role: ``OURS``, ``YARDSTICK`` (others' network, by which all of the group are divided) or
            ``OTHERS``.
        compared: whether its output must be that of the first compared case of the network.
        note: a few words for the table.
        title: what is timed, for the head of the table, where it is not the suite's.
        size: side of the picture where it is not the suite's, nor what the command says.
        pictures: how many a call is for, if they are to be counted by the second.
        told_runs: whether ``build`` also takes ``runs``, how many calls are timed.
    """

    network: str
    engine: str
    backend: str
    build: str
    arguments: dict = field(default_factory=dict)
    imports: tuple = ()
    needs: tuple = ()
    role: str = OURS
    compared: bool = True
    note: str = ""
    title: str = ""
    size: int | None = None
    pictures: int | None = None
    told_runs: bool = False

    def missing(self):
        """Returns why the case cannot run, in one line, or None: a module is not installed."""
        for module in (*self.imports, *self.needs):
            if importlib.util.find_spec(module) is None:
                return f"{module} is not installed (pip install {PACKAGES.get(module, module)})"
        return None

    def environment(self, threads, accelerator=False):
        """Returns the environment variables that its process needs.

        Args:
            threads: how many threads may compute.
            accelerator: ``True`` lets it see the machine's accelerator.
        """
        return {
            "KERAS_BACKEND": self.backend,
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "TF_ENABLE_ONEDNN_OPTS": "1",  # also where a notebook turned it off
            **({} if accelerator else _PROCESSOR_ONLY),
            **dict.fromkeys(_THREADS, str(threads)),
        }
