"""What all tests share: the smoke budget, no log lines, no windows and no network."""

import functools
import importlib.metadata
import os
import socket
import tempfile
import types

# Before anything imports a backend; kernels that run notebooks inherit it.
os.environ.setdefault("PIXELWISE_BUDGET", "smoke")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.pop("MPLBACKEND", None)  # a kernel draws into its notebook


def _xla_flags():
    """Returns what makes XLA compile fast: a test computes little and compiles much."""
    flags = ["--xla_backend_optimization_level=0", "--xla_llvm_disable_expensive_passes=true"]
    # Halves it again, or better. But XLA ends a process at a flag it does not know, and this one
    # may go: the versions are those that were tried.
    tried = {"tensorflow": ("2.20.", "2.21."), "jaxlib": ("0.10.",)}
    found = {name: _version(name) for name in tried}
    if all(found[name].startswith(versions) for name, versions in tried.items() if found[name]):
        flags.append("--xla_cpu_use_fusion_emitters=false")
    return " ".join(flags)


def _version(package):
    """Returns the version of an installed package, or an empty string."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


os.environ.setdefault("XLA_FLAGS", _xla_flags())
if os.environ.get("KERAS_BACKEND") == "torch":
    # One thread for each of two files at a time: two would wait for the other file's in small sums.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
# JAX need not compile the same thing for every model and in every process: all of a run share a
# folder.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _compiled = tempfile.TemporaryDirectory(prefix="pixelwise-jax-")  # until this process ends
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _compiled.name
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"

# Notebooks run in processes of their own, which the guard below does not reach. What a chapter
# would download goes through a proxy, and there is none at this port.
for _scheme in ("http", "https", "ftp"):
    os.environ[f"{_scheme}_proxy"] = os.environ[f"{_scheme.upper()}_PROXY"] = "http://127.0.0.1:9"
os.environ["no_proxy"] = os.environ["NO_PROXY"] = "localhost,127.0.0.1,::1"

import matplotlib  # noqa: E402
import numpy as np  # noqa: E402
import pytest  # noqa: E402

from pixelwise.allocator import keep_freed_memory  # noqa: E402

matplotlib.use("Agg")  # tests open no windows
keep_freed_memory()

# Files that take long, the longest first. Two workers take a file each, and a long file that begins
# last leaves one of them idle.
LONG = (
    "test_bench_detection 08_segment_then_generate 03_deeplab test_mask_rcnn 05_instance_segnet "
    "test_deeplab test_instance_segnet test_inpaint test_gan 04_mask_rcnn test_bench test_fcn "
    "test_mask_to_image 09_choosing 02_fcn test_run 00_start_here test_training test_vqvae "
    "test_vae test_segmentation test_recipe test_build test_roi_align 07_vae 06_gan "
    "test_two_players test_generation_metrics test_choosing test_evaluation"
).split()


@pytest.fixture(autouse=True, scope="module")
def weights_drawn_by_numpy(request):
    """On JAX, lets NumPy make initial weights: JAX would compile a generator for each shape."""
    as_they_are = "initializers" in getattr(request.module, "AS_THEY_ARE", ())
    if os.environ.get("KERAS_BACKEND") != "jax" or as_they_are:
        yield
        return
    from keras.src.initializers import constant_initializers, random_initializers

    def normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        return np.random.default_rng(seed).normal(mean, stddev, shape).astype(dtype or "float32")

    def truncated_normal(shape, mean=0.0, stddev=1.0, dtype=None, seed=None):
        rng = np.random.default_rng(seed)
        drawn = rng.standard_normal(shape)
        while (far := np.abs(drawn) > 2).any():
            drawn[far] = rng.standard_normal(far.sum())
        return (mean + stddev * drawn).astype(dtype or "float32")

    def uniform(shape, minval=0.0, maxval=1.0, dtype=None, seed=None):
        return np.random.default_rng(seed).uniform(minval, maxval, shape).astype(dtype or "float32")

    drawn = {"normal": normal, "truncated_normal": truncated_normal, "uniform": uniform}
    filled = {
        name: lambda shape, dtype=None, of=of: of(shape, dtype or "float32")
        for name, of in (("zeros", np.zeros), ("ones", np.ones))
    }
    with pytest.MonkeyPatch.context() as patch:
        for module, name, own in (
            (random_initializers, "random", drawn),
            (constant_initializers, "ops", filled),
        ):
            kept = vars(getattr(module, name))
            patch.setattr(module, name, types.SimpleNamespace(**{**kept, **own}))
        yield


@pytest.fixture(autouse=True, scope="module")
def compiled_gradient(request):
    """On JAX, compiles the gradients that a file asks for, each as a whole.

    JAX would compile each operation of each network alone, which takes it many times as long.
    """
    asked = getattr(request.module, "gradient", None)
    as_it_is = asked is None or "gradient" in getattr(request.module, "AS_THEY_ARE", ())
    if os.environ.get("KERAS_BACKEND") != "jax" or as_it_is:
        yield
        return
    import jax
    import keras

    from pixelwise.nn import autodiff

    def derivative(f, x):
        with keras.StatelessScope():  # a variable that is changed would keep what is no value
            return autodiff.derivative(f, x)

    def gradient(f, x):
        try:
            return np.asarray(jax.jit(functools.partial(derivative, f))(x))
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError):
            return asked(f, x)  # it has to see values

    if asked is autodiff.gradient:
        request.module.gradient = gradient
    yield
    request.module.gradient = asked


_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0", "::")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Puts long files first; within a file, and among the others, the order stays."""
    place = {name: number for number, name in enumerate(LONG)}
    items.sort(key=lambda item: place.get(item.path.stem, len(LONG)))


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Fails a test that looks for or connects to anything but this machine."""
    attempts = []

    def guard(real, of_address):
        def guarded(*args, **kwargs):
            host = of_address(args)
            if host is not None and not host.startswith(_LOOPBACK):
                attempts.append(host)
                raise OSError(f"A test has no network, but it asks for {host}.")
            return real(*args, **kwargs)

        return guarded

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guard(getattr(socket.socket, name), _host_of))
    monkeypatch.setattr(socket, "getaddrinfo", guard(socket.getaddrinfo, _host_asked_for))
    yield
    if attempts:
        pytest.fail(f"The test asked for {', '.join(attempts)}: tests use this machine only.")


def _host_of(args):
    """Returns the host that ``connect(self, address)`` is for; None for a local socket's path."""
    address = args[1]
    return str(address[0]) if isinstance(address, tuple) else None


def _host_asked_for(args):
    """Returns the host that ``getaddrinfo(host, port)`` is for; None for this machine."""
    host = args[0]
    return host.decode() if isinstance(host, bytes) else host or None
