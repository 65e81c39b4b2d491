"""Reads what is installed from the metadata of packages, some of which may be damaged."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from importlib import metadata
from typing import NamedTuple

PACKAGE = "pem-edge"

ONNXRUNTIME = "onnxruntime"
"""The package of ONNX Runtime that runs on the CPU, and the folder that all of its packages write into."""

ONNXRUNTIME_GPU = f"{ONNXRUNTIME}-gpu"
"""The package of ONNX Runtime that has CUDA and TensorRT, which the extra ``ort-gpu`` installs."""

_BUILDS = (
    *("azure", "cann", "coreml", "directml", "migraphx", "openvino", "rocm", "silicon"),
    *("training", "training-cpu", "trt-rtx", "webgpu", "windowsml"),
)
"""Suffixes of ONNX Runtime's other builds. Packages such as onnxruntime-extensions have files of their own."""

_ONNXRUNTIMES = (ONNXRUNTIME, ONNXRUNTIME_GPU, *(f"{ONNXRUNTIME}-{build}" for build in _BUILDS))

DAMAGED = "damaged"
"""The version of a package whose metadata cannot be read."""


class Requirement(NamedTuple):
    """A package that an extra brings: its normalized name, and the versions that serve, such as ">=1.20,<2"."""

    name: str
    versions: str

    def is_met_by(self, version: str) -> bool:
        """Return whether ``version`` is within the limits; pre-releases count as the release."""
        limits = re.findall(r"(>=|<|==)\s*(\d[\d.]*)", self.versions)
        found = _numbers(version)
        meets = {
            ">=": lambda limit: found >= limit,
            "<": lambda limit: found < limit,
            "==": lambda limit: found == limit,
        }
        return all(meets[operator](_numbers(limit)) for operator, limit in limits)


def damaged() -> list[str]:
    """Return the packages whose metadata cannot be read."""
    return [name for name, version in installed().items() if version == DAMAGED]


@cache
def installed() -> dict[str, str]:
    """Return the version of each installed package, "damaged" if it cannot be read, by normalized name.

    Of a package that is installed twice, the one that is imported counts.
    """
    found: dict[str, str] = {}
    for each in metadata.distributions():
        name, version = _identify(each)
        found.setdefault(name, version)
    return found


def requirements(extra: str | None) -> list[Requirement]:
    """Return what an extra of this package brings, without one the package; nothing if it is not installed."""
    try:
        listed = metadata.requires(PACKAGE) or []
    except metadata.PackageNotFoundError:
        return []
    parsed = [line.partition(";") for line in listed]
    wanted = [needed for needed, _, marker in parsed if _extra(marker) == extra]
    return [Requirement(*each) for each in map(_parse, wanted) if each[0] != PACKAGE]


def extras() -> list[str]:
    """Return the extras of this package, but the one for its developers; nothing if it is not installed."""
    try:
        listed = metadata.metadata(PACKAGE).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    return [extra for extra in listed if extra != "dev"]


def alike(name: str) -> dict[str, str]:
    """Return the installed packages called ``name``, or so with a suffix such as "-gpu", and their versions."""
    return {each: version for each, version in installed().items() if each == name or each.startswith(f"{name}-")}


def onnxruntimes() -> dict[str, str]:
    """Return the installed builds of ONNX Runtime, which overwrite each other's files, and their versions.

    Only their metadata is read, as loading a model asks for them.
    """
    found = {}
    for name in _ONNXRUNTIMES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = _identify(metadata.distribution(name))[1]
    return found


def normalized(name: str) -> str:
    """Return the name of a package as all its spellings are compared (PyPA's specification)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _identify(distribution: metadata.Distribution) -> tuple[str, str]:
    folder = str(getattr(distribution, "_path", "unknown")).rpartition("/")[2]
    try:
        name, version = distribution.metadata["Name"], distribution.version
    except Exception:  # whatever is in the file
        return normalized(folder.partition("-")[0]), DAMAGED
    return normalized(name or folder.partition("-")[0]), version or DAMAGED


def _extra(marker: str) -> str | None:
    found = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", marker)
    return found[1] if found else None


def _parse(requirement: str) -> tuple[str, str]:
    found = re.match(r"\s*([\w.-]+)\s*(?:\[[^]]*\])?\s*\(?([^()]*)", requirement)
    return (normalized(found[1]), found[2].strip()) if found else (normalized(requirement), "")


def _numbers(version: str) -> tuple[int, ...]:
    """Return the numbers at the beginning of a version without zeros at the end: (1, 20) for "1.20.0rc1"."""
    found = re.match(r"[\d.]*\d", version)
    numbers = [int(part) for part in found[0].split(".") if part] if found else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)
