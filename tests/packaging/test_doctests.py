"""The examples in docstrings run as they stand, and every public function and class has one."""

from __future__ import annotations

import doctest
import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import pem_edge
from pem_edge import pem, runtime

FOLDERS = (runtime, pem)
UNIMPORTABLE = ("openvino", "onnxruntime", "tensorrt", "cuda", "benchmark", "serving", "training", "cli")
"""Parts of the names of modules that need libraries of their own or have no examples."""

TYPES_OF_OTHERS = {"PEM", "MaskClassifier", "Variant"}
"""Public names that are only seen in what `pem.build` and `pem.load` return, whose examples show them."""


def modules() -> Iterator[ModuleType]:
    yield from (pem_edge, runtime, pem)
    for package in FOLDERS:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not any(part in UNIMPORTABLE for part in found.name.split(".")):
                yield import_module(found.name)


def examples() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for module in modules():
        yield from (each for each in finder.find(module, globs={}) if each.examples)


EXAMPLES = {each.name: each for each in examples()}


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_examples_in_docstrings_run(name: str, folder: Path) -> None:
    said: list[str] = []
    doctest.DocTestRunner().run(EXAMPLES[name], out=said.append, clear_globs=False)
    assert not said, f"in {folder}: {''.join(said)}"


@pytest.mark.parametrize("package", [pem_edge, runtime, pem])
def test_public_functions_and_classes_have_examples(package: ModuleType) -> None:
    public = {name: getattr(package, name) for name in package.__all__ if name not in TYPES_OF_OTHERS}
    without = [
        name
        for name, value in public.items()
        if (inspect.isclass(value) or inspect.isfunction(value)) and ">>>" not in (value.__doc__ or "")
    ]
    assert without == []
