"""Reads the names in TensorRT's Python bindings, which PyPI has without the libraries that they need.

Stub libraries that export the required symbols let the bindings be imported. So the names of all classes and methods
are known even for a TensorRT that cannot be installed here.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

REQUIREMENTS = {"10.3": "tensorrt-cu12-bindings==10.3.0", "11": "tensorrt-cu13-bindings>=11.4,<12"}
"""The oldest TensorRT supported, and the newest that pip finds."""

_LIBRARIES = ("nvinfer", "nvinfer_plugin", "nvonnxparser")
_SYMBOLS = (
    "createInferBuilder_INTERNAL",
    "createInferRefitter_INTERNAL",
    "createInferRuntime_INTERNAL",
    "createNvOnnxParserRefitter_INTERNAL",
    "createNvOnnxParser_INTERNAL",
    "getBuilderPluginRegistry",
    "getNvOnnxParserVersion",
    "getPluginRegistry",
    "initLibNvInferPlugins",
)
_LIST = """
import json, sys, tensorrt_bindings
from tests.helpers.tensorrt_bindings.wheels import class_names
json.dump({name: sorted(found) for name, found in class_names(tensorrt_bindings).items()}, sys.stdout)
"""


class Name(NamedTuple):
    """An attribute of the TensorRT class ``owner``, or of the module if ``owner`` is ""."""

    owner: str
    attribute: str


class UnavailableError(Exception):
    """The bindings cannot be downloaded or imported; the message says why."""


def names(requirement: str, cache: Path) -> dict[str, set[str]]:
    """Return the names in each class of the bindings.

    Args:
        requirement: The bindings, as a requirement for pip.
        cache: A folder that keeps the downloads and results.

    Returns:
        The names by class, with "" for the module and "__version__" for the version.

    Raises:
        UnavailableError: If there is no gcc, or no wheel can be downloaded.
    """
    folder = cache / f"{requirement.translate(str.maketrans('=<>,', '----'))}-{sys.implementation.cache_tag}"
    listing = folder / "names.json"
    if not listing.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _unpack(requirement, folder)
        root = str(Path(__file__).parents[3])
        listing.write_text(_run([sys.executable, "-c", _LIST], folder, {"PYTHONPATH": root}))
    return {owner: set(found) for owner, found in json.loads(listing.read_text()).items()}


def class_names(module: Any) -> dict[str, set[str]]:
    """Return the names in each class of ``module``, see `names`."""
    return {"": set(dir(module)), "__version__": {module.__version__}, **dict(_list_classes(module, ""))}


def _list_classes(owner: Any, prefix: str) -> Iterator[tuple[str, set[str]]]:
    for name in dir(owner):
        value = getattr(owner, name)
        if isinstance(value, type) and value is not owner and not name.startswith("_"):
            yield prefix + name, set(dir(value))
            if "tensorrt" in value.__module__:
                yield from _list_classes(value, f"{prefix}{name}.")


def _unpack(requirement: str, folder: Path) -> None:
    if shutil.which("gcc") is None:
        raise UnavailableError("gcc is not installed")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    _run([*pip, "--only-binary=:all:", requirement], folder)
    (wheel,) = folder.glob("*.whl")
    major = wheel.name.split("-")[1].partition(".")[0]
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    source = folder / "stub.c"
    source.write_text("".join(f"void *{symbol}(void) {{ return 0; }}\n" for symbol in _SYMBOLS))
    for library in _LIBRARIES:
        stub = f"tensorrt_bindings/lib{library}.so.{major}"  # the bindings look for libraries beside them
        _run(["gcc", "-w", "-shared", "-fPIC", "-o", stub, f"-Wl,-soname,{Path(stub).name}", source.name], folder)


def _run(command: list[str], folder: Path, variables: dict[str, str] | None = None) -> str:
    environment = {**os.environ, **(variables or {})}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise UnavailableError(f"{' '.join(command[:4])} failed: {' '.join(done.stderr.split())[-300:]}")
    return done.stdout
