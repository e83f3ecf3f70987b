"""Sub-modules that are imported when they are first used."""

import importlib
import pkgutil
import sys


def attach(package, names=None):
    """Makes the two functions that let ``package.name`` import a sub-module.

    Args:
        package: the package's ``__name__``.
        names: its sub-modules; ``None`` is all of them.

    Returns:
        ``(__getattr__, __dir__)``, to be bound to these names in the package (PEP 562).
    """
    if names is None:
        names = [module.name for module in pkgutil.iter_modules(sys.modules[package].__path__)]

    def get(name):
        if name in names:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def listed():
        return sorted({*vars(sys.modules[package]), *names})

    return get, listed
