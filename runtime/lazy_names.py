"""Importing the public names of a package on first use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def importer(package: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """Return a module-level ``__getattr__`` (PEP 562) that imports a package's public names on first use.

    Args:
        package: The package's ``__name__``.
        names: The module that defines each public name, relative to the package. For a public module, "." and the
            module.
    """

    def get(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = names[name]
        if module.startswith("."):
            return import_module(f"{package}{module}")
        return getattr(import_module(f"{package}.{module}"), name)

    return get
