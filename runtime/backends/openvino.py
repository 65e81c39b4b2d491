"""OpenVINO on CPUs."""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.artifact import Artifact
from runtime.backends.base import Backend


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


class OpenVino(Backend):
    """See `Backend`."""

    name = "openvino"

    def _load(self, artifact: Artifact) -> None:
        core = ov.Core()
        self._model = core.compile_model(core.read_model(artifact.model), "CPU", _options(artifact))

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        request = self._model.create_infer_request()  # one a call: it owns the outputs, which are shared, not copied
        outputs = request.infer({self.artifact.manifest.input.name: images}, share_inputs=True, share_outputs=True)
        return outputs["logits"], outputs["masks"]

    def _unload(self) -> None:
        del self._model

    def _names(self) -> set[str]:
        return {port.any_name for port in (*self._model.inputs, *self._model.outputs)}


def _options(artifact: Artifact) -> dict[str, str]:
    options = {"PERFORMANCE_HINT": "LATENCY"}
    if artifact.manifest.precision != "fp16":  # else the plugin computes in bf16 wherever the CPU can
        options["INFERENCE_PRECISION_HINT"] = "f32"
    return options
