"""The ONNX Runtime backend, for CPUs and, with onnxruntime-gpu, for NVIDIA GPUs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.operator_definitions import with_definitions
from pem_edge.runtime.backends import ort_profile
from pem_edge.runtime.backends.base import Backend, RawOutputs
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.backends.ort_sessions import CUDA, QDQ_OPTIMIZERS, Provider, open_session
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.inference.backend import BareModel
from pem_edge.runtime.inference.paired_pipeline import PairedPipeline
from pem_edge.runtime.inference.profiled_nodes import Nodes

_NEED_DEFINITIONS = ("plugin", "nvidia")
"""Forms of deformable operations that are operators of plugins."""


class OnnxRuntime(Backend):
    """Runs ONNX models with ONNX Runtime."""

    name = "onnxruntime"
    _provider: ClassVar[Provider] = "best"
    _half: OnnxRuntime | None = None

    @property
    def gpu(self) -> str | None:
        """The name of the GPU, "GPU" where CUDA's bindings are not installed; None if the session uses none."""
        self._require_open()
        return _gpu_name() if CUDA in self._session.get_providers() else None

    def stream_pipeline(self) -> PairedPipeline | None:
        """Return stages that work on two images at once, with half of the threads each; None on a GPU.

        Threads of a run wait for each other at every operation, the longer the more there are. The model is loaded
        once more for that, at the first call. An odd number of threads is not divided.
        """
        threads = int(self.settings()["threads"])
        if self.gpu is not None or threads % 2:
            return None
        with self._pairing:
            if self._half is None:
                self._half = type(self)(self.artifact, replace(self._asked, threads=threads // 2))
        return PairedPipeline(self._half.pipeline())

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:
        """See `inference.backend.SegmenterBackend.profile`."""
        if self.gpu is not None:
            raise BackendError(
                f"{self.name} times the launches of kernels on a GPU, not the kernels: see NVIDIA's nsys"
            )
        timed, unpacked = self._profiled(images, runs), self._profiled(images, 1, pack_weights=False)
        return ort_profile.with_weights(timed, unpacked)

    def _profiled(self, images: NDArray[np.uint8], runs: int, *, pack_weights: bool = True) -> Nodes:
        with temporary_folder() as folder:
            session = open_session(
                self._read_model(),
                self._asked,
                _disabled_optimizers(self.artifact),
                folder / "profile",
                provider=self._provider,
                pack_weights=pack_weights,
            )
            for _ in range(1 + runs):
                session.run(None, {self.artifact.manifest.input.name: images})
            return ort_profile.profiled_nodes(Path(session.end_profiling()).read_bytes())

    def open_bare(self, model: bytes) -> BareModel:
        """See `inference.backend.SegmenterBackend.open_bare`."""
        return partial(open_session(model, self._asked, provider=self._provider).run, None)

    def _load(self, artifact: Artifact) -> None:
        self._pairing = Lock()
        self._half = None
        self._session = open_session(
            self._read_model(), self._asked, _disabled_optimizers(artifact), provider=self._provider
        )
        self._contract.require_names(
            {node.name for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        )

    def _read_model(self) -> bytes | str:
        if self.artifact.manifest.deform_conv in _NEED_DEFINITIONS:
            return with_definitions(self.artifact.read_model())
        return self.artifact.source()

    def _run(self, images: NDArray[np.uint8]) -> RawOutputs:
        logits, masks = self._session.run(["logits", "masks"], {self.artifact.manifest.input.name: images})
        return logits, masks

    def _unload(self) -> None:
        del self._session
        if self._half is not None:
            self._half.close()

    def _stays_behind(self) -> bool:
        return CUDA in self._session.get_providers()

    def _settings(self) -> dict[str, str | int | bool]:
        options = self._session.get_session_options()
        return {
            "threads": options.intra_op_num_threads,
            "arena": options.enable_cpu_mem_arena,
            "provider": self._session.get_providers()[0],
        }


class OnnxRuntimeOnCpu(OnnxRuntime):
    """Runs ONNX models on the CPU, even if there is a GPU."""

    _provider = "cpu"


class OnnxRuntimeTensorRt(OnnxRuntime):
    """Runs ONNX models with ONNX Runtime's TensorRT provider, which builds engines when it loads a model."""

    name = "onnxruntime-tensorrt"
    _provider = "tensorrt"


def _gpu_name() -> str:
    try:
        return Gpu().name
    except BackendError:
        return "GPU"


def _disabled_optimizers(artifact: Artifact) -> list[str]:
    """Return the names of the optimizers that must not change the artifact's graph."""
    quantization = artifact.manifest.quantization
    for_tensorrt = quantization is not None and quantization.placement == "tensorrt"
    return [*QDQ_OPTIMIZERS] if for_tensorrt else []
