"""Public names of a package that are imported when they are first used."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module


def importer(package: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """Return a ``__getattr__`` for a package, which makes importing the package itself quick.

    Args:
        package: The package's ``__name__``.
        names: For each public name the module that has it, relative to the package; for a module, "." and its name.
    """

    def get(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        place = names[name]
        if place.startswith("."):
            return import_module(f"{package}{place}")
        return getattr(import_module(f"{package}.{place}"), name)

    return get
