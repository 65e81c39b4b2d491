"""Asks libraries about themselves, each in a process of its own, which runs this module."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib import import_module
from threading import Lock

from pem_edge.runtime.diagnosis import asking
from pem_edge.runtime.outside.quiet_imports import without_telemetry

Facts = dict[str, str]

_SECONDS = 20.0
_BASE = ("numpy", "cv2", "PIL", "tqdm")
_locks: dict[str, Lock] = {}


def ask(library: str) -> asking.Answer[Facts]:
    """Return what a library says of itself, a key of `QUESTIONS`, or why it cannot be imported. It is asked once."""
    with _locks.setdefault(library, Lock()):
        return _ask(library)


def broken_base() -> str | None:
    """Return the name of a library that is always needed and cannot be imported; None if all can."""
    return next((name for name in _BASE if ask(name).content is None), None)


@cache
def _ask(library: str) -> asking.Answer[Facts]:
    return asking.ask(__name__, library, Facts, _SECONDS)


def _module(name: str) -> Facts:
    module = import_module(name)
    return {"version": str(getattr(module, "__version__", "")), "file": str(getattr(module, "__file__", ""))}


def _opencv() -> Facts:
    import cv2

    lines = [line.partition(":") for line in cv2.getBuildInformation().splitlines()]
    built = {name.strip(): value.strip() for name, _, value in lines if value.strip()}
    registry = cv2.videoio_registry

    def names(backends: Sequence[int]) -> str:
        return ", ".join(registry.getBackendName(each) for each in backends if registry.hasBackend(each))

    return {
        **_module("cv2"),
        **{key: built.get(key, "NO") for key in ("GStreamer", "GUI")},
        "videos": names(registry.getStreamBackends()),
        "cameras": names(registry.getCameraBackends()),
    }


def _openvino() -> Facts:
    facts = _module("openvino")
    return {**facts, "version": facts["version"].partition("-")[0]}  # the rest names the build


def _cuda() -> Facts:
    from pem_edge.runtime.backends.cuda import driver

    gpu = driver.Gpu()
    version = int(driver.call("cuDriverGetVersion"))
    facts = {"gpu": gpu.name, "compute_capability": gpu.compute_capability}
    return {**facts, "driver": f"{version // 1000}.{version % 1000 // 10}"}


def _av() -> Facts:
    import av

    wanted = ("h264", "hevc", "av1", "vp9", "mjpeg", "libx264")
    return {**_module("av"), "codecs": ", ".join(name for name in wanted if name in av.codecs_available)}


def _merge() -> Facts:
    from pem_edge.runtime.inference import postprocess

    return {"merge": postprocess.merging()}


def _plugin() -> Facts:
    from pem_edge.runtime.backends.tensorrt.plugins import library

    path = library.find(_module("tensorrt")["version"])
    return {} if path is None else {"path": str(path)}


QUESTIONS: Mapping[str, Callable[[], Facts]] = {
    **{name: partial(_module, name) for name in ("numpy", "PIL", "tqdm", "onnxruntime", "tensorrt", "tensorrt_rtx")},
    "cv2": _opencv,
    "openvino": _openvino,
    "cuda": _cuda,
    "av": _av,
    "merge": _merge,
    "plugin": _plugin,
}
"""The questions, by the name of the library, or of the part of this package, that is asked."""


def main() -> None:
    """Answer the question of the process that started this one."""
    with without_telemetry():
        asking.answer(lambda question: QUESTIONS[question]())


if __name__ == "__main__":
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")
    main()
