"""The ONNX Runtime backend, for CPUs and, with onnxruntime-gpu, for NVIDIA GPUs."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.base import Backend, RawOutputs
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.inference.backend import BareModel, Device, Nodes
from pem_edge.runtime.machine import usable_cpus
from pem_edge.runtime.outside.quiet_imports import without_telemetry

with without_telemetry():
    import onnxruntime as ort

_DEFORM_CONV_SINCE = (1, 25)
_FATAL = 4  # less severe messages would repeat on standard error what exceptions say
_CUDA = "CUDAExecutionProvider"
_KERNEL = "_kernel_time"

FUSES_QDQ_PAIRS = "QDQSelectorActionTransformer"
"""The name of the optimizer that turns Q/DQ pairs and the operators between them into integer operators."""


class _TraceEvent(msgspec.Struct):
    """An event of a Chrome trace, times in microseconds."""

    name: str = ""
    cat: str = ""
    ts: float = 0.0
    dur: float = 0.0
    args: dict[str, object] = {}


class OnnxRuntime(Backend):
    """Runs ONNX models with ONNX Runtime."""

    name = "onnxruntime"

    @property
    def device(self) -> Device:
        """The device that the model runs on: a GPU if the session uses one."""
        self._require_open()
        return "gpu" if _CUDA in self._session.get_providers() else "cpu"

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:
        """See `inference.backend.SegmenterBackend.profile`."""
        if self.device == "gpu":
            raise BackendError(
                f"{self.name} times the launches of kernels on a GPU, not the kernels: see NVIDIA's nsys"
            )
        with temporary_folder() as folder:
            session = open_session(
                self.artifact.read_model(),
                self._asked,
                _disabled_optimizers(self.artifact),
                folder / "profile",
            )
            for _ in range(1 + runs):
                session.run(None, {self.artifact.manifest.input.name: images})
            return profiled_nodes(Path(session.end_profiling()).read_bytes())

    def open_bare(self, model: bytes) -> BareModel:
        """See `inference.backend.SegmenterBackend.open_bare`."""
        return partial(open_session(model, self._asked).run, None)

    def _load(self, artifact: Artifact) -> None:
        _check_version(artifact)
        self._session = open_session(artifact.read_model(), self._asked, _disabled_optimizers(artifact))
        self._contract.require_names(
            {node.name for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        )

    def _run(self, images: NDArray[np.uint8]) -> RawOutputs:
        logits, masks = self._session.run(["logits", "masks"], {self.artifact.manifest.input.name: images})
        return logits, masks

    def _unload(self) -> None:
        del self._session

    def _settings(self) -> dict[str, str | int | bool]:
        options = self._session.get_session_options()
        return {
            "threads": options.intra_op_num_threads,
            "arena": options.enable_cpu_mem_arena,
            "provider": self._session.get_providers()[0],
        }


def _check_version(artifact: Artifact) -> None:
    version = tuple(int(part) for part in ort.__version__.split(".")[:2])
    if artifact.manifest.deform_conv == "native" and version < _DEFORM_CONV_SINCE:
        raise BackendError(
            f"{artifact.model} has deformable convolutions in the form 'native', which onnxruntime {ort.__version__} "
            "cannot run: export with --deform-conv standard, or pip install 'onnxruntime>=1.25'"
        )


def open_session(
    model: bytes,
    settings: Settings,
    disabled_optimizers: Sequence[str] = (),
    profile: Path | None = None,
    *,
    on_cpu: bool = False,
) -> ort.InferenceSession:
    """Open a model with the options that all sessions share.

    Args:
        model: A serialized ONNX model.
        settings: How the session may use the machine.
        disabled_optimizers: Names of ONNX Runtime's optimizers that must not change the graph.
        profile: The prefix of the path of the profile that the session writes; None for no profile.
        on_cpu: Whether to run on the CPU even if there is a GPU.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = settings.threads or usable_cpus()
    options.enable_cpu_mem_arena = settings.arena
    options.enable_mem_pattern = False  # it would keep a tenth more memory and be no faster
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads burn no CPU between calls
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    return ort.InferenceSession(
        model,
        options,
        providers=["CPUExecutionProvider"] if on_cpu else _providers(),
        disabled_optimizers=[*disabled_optimizers],
    )


def profiled_nodes(profile: bytes) -> Nodes:
    """Return the mean milliseconds of each node over all runs in a profile except the first.

    Args:
        profile: A profile that ONNX Runtime wrote: a JSON list of Chrome trace events, with an event "model_run" for
            each run, of which there must be at least two.
    """
    events = msgspec.json.decode(profile, type=list[_TraceEvent])
    runs = sorted(event.ts + event.dur for event in events if event.name == "model_run")
    nodes: dict[tuple[str, str], float] = {}
    for event in events:
        if event.cat == "Node" and event.name.endswith(_KERNEL) and event.ts >= runs[0]:
            key = event.name.removesuffix(_KERNEL), str(event.args["op_name"])
            nodes[key] = nodes.get(key, 0.0) + event.dur / 1000 / (len(runs) - 1)
    return nodes


def _disabled_optimizers(artifact: Artifact) -> list[str]:
    """Return the names of the optimizers that must not change the artifact's graph.

    Around Q/DQ pairs that were placed for TensorRT, values may be in half precision. `FUSES_QDQ_PAIRS` would then make
    operators that have no CPU kernels.
    """
    quantization = artifact.manifest.quantization
    for_tensorrt = quantization is not None and quantization.placement == "tensorrt"
    return [FUSES_QDQ_PAIRS] if for_tensorrt else []


def _providers() -> list[str | tuple[str, dict[str, str]]]:
    """Return the GPU's execution provider, if there is one, and the CPU's."""
    if _CUDA not in ort.get_available_providers():
        return ["CPUExecutionProvider"]
    ort.preload_dlls()  # loads CUDA and cuDNN from pip's packages
    # TF32 is only as precise as half precision, which is not enough for what a graph keeps in single precision.
    return [(_CUDA, {"use_tf32": "0"}), "CPUExecutionProvider"]
