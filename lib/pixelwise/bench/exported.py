"""Networks exported to OpenVINO, for any suite."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path


def compiled(module, arguments, names, exporter, threads):
    """Has graphs written by a process of its own, and compiles them with OpenVINO, in float32.

    So the process that is measured holds OpenVINO alone. ``predict`` on Keras' OpenVINO backend
    would compute in bfloat16 on a processor that can, and miss the tolerance.

    Args:
        module: whose function ``export`` takes ``arguments`` and the path of a folder, and writes
            ``NAME.xml`` there for each name.
        arguments: dict.
        names: of the graphs.
        exporter: the backend of Keras that writes them, ``"tensorflow"`` or ``"openvino"``.
        threads: how many threads may compute.

    Returns:
        List of compiled graphs, one a name.

    Raises:
        ValueError: if Keras does not export a network.
    """
    import openvino

    core = openvino.Core()
    core.set_property({"ENABLE_MMAP": False})  # the files go away
    options = {
        "INFERENCE_PRECISION_HINT": "f32",
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    with tempfile.TemporaryDirectory(prefix="pixelwise-bench-") as folder:
        code = f"from {module} import export; export(**{arguments!r}, folder={folder!r})"
        environment = {**os.environ, "KERAS_BACKEND": exporter}
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["no message"]
            raise ValueError(f"Keras on {exporter} does not export it: {said[-1]}")
        graphs = [core.read_model(Path(folder) / f"{name}.xml") for name in names]
    return [core.compile_model(graph, "CPU", options) for graph in graphs]


def write(model, signature, folder, name):
    """Writes a Keras model as ``NAME.xml`` and ``NAME.bin``.

    Args:
        model: ``keras.Model``.
        signature: ``keras.InputSpec``, or a dict of them, of the model's inputs.
        folder, name: of the files.
    """
    from pixelwise.nn import taps

    path = str(Path(folder) / f"{name}.xml")
    with taps.direct():
        model.export(path, format="openvino", verbose=False, input_signature=[signature])
