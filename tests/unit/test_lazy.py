"""Sub-modules come when they are asked for, and not before."""

import subprocess
import sys
from pathlib import Path

import pytest

import pixelwise as pw

ROOT = Path(pw.__file__).parent


@pytest.mark.parametrize("package", ["data", "metrics", "models", "nn"])
def test_each_module_of_a_package_is_an_attribute(package):
    found = getattr(pw, package)
    modules = {file.stem for file in (ROOT / package).glob("*.py")} - {"__init__"}
    assert modules <= set(dir(found))
    for name in modules:
        assert getattr(found, name).__name__ == f"pixelwise.{package}.{name}"


def test_what_is_not_there_is_named():
    with pytest.raises(AttributeError, match="module 'pixelwise.nn' has no attribute 'losess'"):
        _ = pw.nn.losess


def test_importing_the_library_leaves_the_backend_open():
    code = (
        "import sys, pixelwise as pw; pw.models, pw.nn, pw.data, pw.metrics;"
        "sys.exit('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
