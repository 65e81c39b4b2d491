"""Importing the public names of a package on first use."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module


def importer(
    package: str, names: Mapping[str, str], *, extra: str | None = None
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a module-level ``__getattr__`` (PEP 562) that imports a package's public names on first use.

    Example:
        __getattr__, __dir__ = lazy_names.importer(__name__, {"Segment": "results.segments"})

    Args:
        package: The package's ``__name__``.
        names: The module that defines each public name, relative to the package. For a public module, "." and the
            module.
        extra: The extra that installs the libraries that the package needs; None if it needs no others.

    Returns:
        The function, and a ``__dir__`` that lists these names, so that shells and notebooks complete them.
    """

    def get(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = names[name]
        try:
            if module.startswith("."):
                return import_module(f"{package}{module}")
            return getattr(import_module(f"{package}.{module}"), name)
        except ModuleNotFoundError as error:
            if extra is None:
                raise
            raise _missing(package, error, extra) from error

    def list_names() -> list[str]:
        special = (name for name in vars(sys.modules[package]) if name.startswith("__"))
        return sorted({*names, *special})

    return get, list_names


def _missing(package: str, error: ModuleNotFoundError, extra: str) -> ModuleNotFoundError:
    # Imported here, because packages import this module before all others.
    from pem_edge.runtime.installation import how_to_install

    return ModuleNotFoundError(
        f"{package} needs {error.name}, which is not installed: {how_to_install(extra)}", name=error.name
    )
