"""OpenVINO on CPUs."""

from __future__ import annotations

import sys
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.machine import usable_cpus


def _without_telemetry() -> Any:
    """Import OpenVINO, which otherwise reports that to Google Analytics, from a fork of this process."""
    telemetry = sys.modules.get("openvino_telemetry")
    sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]  # as if not installed, which it allows for
    try:
        return import_module("openvino")
    finally:
        del sys.modules["openvino_telemetry"]
        if telemetry is not None:
            sys.modules["openvino_telemetry"] = telemetry


ov = _without_telemetry()

# Without the second, OpenVINO computes in bfloat16 wherever the CPU can, whatever the types in the graph.
_OPTIONS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


@cache
def core() -> Any:
    """The one core of the process.

    A core's CPU plugin sets the signal stack of its thread, and one that dies leaves memory that is no longer there as
    that stack, if another core came after it or another thread ends it: the next signal (Ctrl-C) then ends the process.
    """
    return ov.Core()


def options(settings: Settings) -> dict[str, str | int]:
    """Those of every model."""
    return {**_OPTIONS, "INFERENCE_NUM_THREADS": settings.threads or usable_cpus()}


class OpenVino(Backend):
    """See `Backend`."""

    name = "openvino"

    def _load(self, artifact: Artifact) -> None:
        self._model = core().compile_model(core().read_model(artifact.model), "CPU", options(self._asked))
        self._contract.require_names(self._names())

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        request = self._model.create_infer_request()  # one a call: it owns the outputs, which are shared, not copied
        outputs = request.infer({self.artifact.manifest.input.name: images}, share_inputs=True, share_outputs=True)
        return outputs["logits"], outputs["masks"]

    def _unload(self) -> None:
        del self._model

    def _settings(self) -> dict[str, str | int | bool]:
        hint = self._model.get_property("PERFORMANCE_HINT")
        return {
            "threads": int(self._model.get_property("INFERENCE_NUM_THREADS")),
            "streams": int(self._model.get_property("NUM_STREAMS")),
            "hint": str(getattr(hint, "name", hint)).lower(),
        }

    def _names(self) -> set[str]:
        # A tensor that OpenVINO made one with another goes by both names.
        known = {self.artifact.manifest.input.name, *self.artifact.manifest.outputs}
        ports = (*self._model.inputs, *self._model.outputs)
        return {next(iter(known & port.names), port.any_name) for port in ports}
