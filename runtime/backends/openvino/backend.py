"""The OpenVINO backend, for CPUs."""

from __future__ import annotations

import os
from functools import cache, partial

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends import forks
from pem_edge.runtime.backends.base import Backend, RawOutputs
from pem_edge.runtime.backends.openvino import execution, reading
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.backend import BareModel
from pem_edge.runtime.inference.profiled_nodes import Nodes
from pem_edge.runtime.machine import cpu, threads
from pem_edge.runtime.outside.quiet_imports import without_telemetry

with without_telemetry():
    import openvino as ov

# Without the precision hint, OpenVINO computes in bfloat16 on CPUs that can, whatever the types in the graph.
_OPTIONS = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}


@cache
def core() -> ov.Core:
    """Return the process's only OpenVINO core, which lives as long as the process.

    A core's CPU plugin sets the signal stack of the thread that makes the core. If the core is destroyed after another
    one was made, or in another thread, the memory of that stack is freed while in use, and the next signal (Ctrl-C)
    kills the process.
    """
    created = ov.Core()
    reading.extend(created)
    os.register_at_fork(after_in_child=partial(forks.keep_forever, created))
    return created


def _compile(model: ov.Model, settings: Settings, **options: str) -> ov.CompiledModel:
    chosen = threads.choose()
    count = settings.threads or chosen.count
    options = {**_OPTIONS, "INFERENCE_NUM_THREADS": str(count), **options}
    if count < chosen.cores:
        # OpenVINO ties threads to the first CPUs, where those of other processes would wait while other CPUs are idle.
        options["ENABLE_CPU_PINNING"] = "NO"
    if not settings.bf16:
        return core().compile_model(model, "CPU", options)
    if not cpu.BF16 & cpu.features():
        needed = " or ".join(sorted(cpu.BF16))
        raise BackendError(f"OpenVINO computes in bfloat16 on CPUs with {needed}, unlike this one: leave bf16 out")
    compiled = core().compile_model(model, "CPU", {**options, "INFERENCE_PRECISION_HINT": "bf16"})
    if (chosen_type := _precision(compiled)) != "bf16":
        raise BackendError(f"OpenVINO computes in {chosen_type} instead of bf16 on this CPU: leave bf16 out")
    return compiled


def _precision(model: ov.CompiledModel) -> str:
    """Return the name of the type that a model computes in, which is not the one asked for on CPUs that lack it."""
    return str(model.get_property("INFERENCE_PRECISION_HINT").get_type_name())


class OpenVino(Backend):
    """Runs ONNX models with OpenVINO on CPUs."""

    name = "openvino"
    has_bf16 = True

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:
        """See `inference.backend.SegmenterBackend.profile`."""
        asked = reading.read(core(), self.artifact.read_model())
        model = _compile(asked, self._asked, PERF_COUNT="YES")
        request = model.create_infer_request()
        inputs = {self.artifact.manifest.input.name: images}
        request.infer(inputs)
        reported = []
        for _ in range(runs):
            request.infer(inputs)
            reported.append(request.profiling_info)
        return execution.profiled_nodes(reported, asked, model.get_runtime_model())

    def open_bare(self, model: bytes) -> BareModel:
        """See `inference.backend.SegmenterBackend.open_bare`."""
        request = _compile(reading.read(core(), model), self._asked).create_infer_request()
        return partial(request.infer, share_inputs=True, share_outputs=True)

    def _load(self, artifact: Artifact) -> None:
        self._model = _compile(reading.read(core(), artifact.source()), self._asked)
        self._contract.require_names(self._names())

    def _run(self, images: NDArray[np.uint8]) -> RawOutputs:
        request = self._model.create_infer_request()  # one per call, as it owns the outputs
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
            "precision": _precision(self._model),
            "pinning": bool(self._model.get_property("ENABLE_CPU_PINNING")),
        }

    def _names(self) -> set[str]:
        # A tensor that OpenVINO merged with another one has both names.
        known = {self.artifact.manifest.input.name, *self.artifact.manifest.outputs}
        ports = (*self._model.inputs, *self._model.outputs)
        return {next(iter(known & port.names), port.any_name) for port in ports}
