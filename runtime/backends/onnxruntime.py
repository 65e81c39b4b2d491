"""ONNX Runtime: every CPU, and NVIDIA GPUs where onnxruntime-gpu is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.base import Backend
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.machine import usable_cpus

_DEFORM_CONV_SINCE = (1, 25)
_FATAL = 4  # less severe messages repeat, on standard error, what exceptions say


class OnnxRuntime(Backend):
    """See `Backend`."""

    name = "onnxruntime"

    def _load(self, artifact: Artifact) -> None:
        _check_version(artifact)
        self._session = ort.InferenceSession(
            artifact.model,
            options(self._asked),
            providers=providers(),
            disabled_optimizers=disabled_optimizers(artifact),
        )
        self._contract.require_names(
            {node.name for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        )

    def _run(self, images: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
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


def options(settings: Settings) -> ort.SessionOptions:
    """Those of every session."""
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = settings.threads or usable_cpus()
    options.enable_cpu_mem_arena = settings.arena
    options.enable_mem_pattern = False  # which keeps a tenth more memory, and is no faster
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads burn no CPU between calls
    return options


def disabled_optimizers(artifact: Artifact) -> list[str]:
    """Q/DQ placed for TensorRT with half around it becomes operators that onnxruntime's CPU kernels then lack."""
    quantization = artifact.manifest.quantization
    for_tensorrt = quantization is not None and quantization.placement == "tensorrt"
    return ["QDQSelectorActionTransformer"] if for_tensorrt else []


def providers() -> list[Any]:
    """The GPU's where there is one, and the CPU's."""
    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return ["CPUExecutionProvider"]
    ort.preload_dlls()  # CUDA and cuDNN from pip
    # TF32 keeps no more digits than half: what the graph has in single precision would lose what it is there for.
    return [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"]
