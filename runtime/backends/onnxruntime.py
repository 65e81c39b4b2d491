"""The ONNX Runtime backend, for CPUs and, with onnxruntime-gpu, for NVIDIA GPUs."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.operator_definitions import with_definitions
from pem_edge.runtime.backends import ort_profile
from pem_edge.runtime.backends.base import Backend, RawOutputs
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.backends.ort_sessions import CUDA, QDQ_OPTIMIZERS, Provider, open_session
from pem_edge.runtime.errors import BackendError, PemError
from pem_edge.runtime.files import temporary_folder
from pem_edge.runtime.inference.backend import BareModel
from pem_edge.runtime.inference.paired_pipeline import PairedPipeline
from pem_edge.runtime.inference.profiled_nodes import Nodes

if TYPE_CHECKING:
    import onnxruntime as ort

_log = logging.getLogger(__name__)

_NEED_DEFINITIONS = ("plugin", "nvidia")
"""Forms of deformable operations that are operators of plugins."""


class OnnxRuntime(Backend):
    """Runs ONNX models with ONNX Runtime."""

    name = "onnxruntime"
    _provider: ClassVar[Provider] = "best"
    _half: OnnxRuntime | None

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
        with self._changing:
            threads = int(self.settings()["threads"])
            if self.gpu is not None or threads % 2:
                return None
            try:
                self._half = self._half or type(self)(self.artifact, replace(self._asked, threads=threads // 2))
            except PemError as error:
                _log.warning("%s; until then, its streams work on one image at a time", error)
                return None
            return PairedPipeline(self._half.pipeline())

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:
        """See `inference.backend.SegmenterBackend.profile`."""
        if self.gpu is not None:
            raise BackendError(
                f"{self.name} times the launches of kernels on a GPU, not the kernels: see NVIDIA's nsys"
            )
        nodes = ort_profile.profiled_nodes(self._record(images, 1 + runs))
        return ort_profile.with_weights(nodes, ort_profile.tensors(self._record(images, 1, pack_weights=False)))

    def _record(self, images: NDArray[np.uint8], runs: int, *, pack_weights: bool = True) -> bytes:
        """Return the profile of a few runs."""
        with temporary_folder() as folder:
            session = self._open(folder / "profile", pack_weights=pack_weights)
            for _ in range(runs):
                session.run(None, {self.artifact.manifest.input.name: images})
            return Path(session.end_profiling()).read_bytes()

    def open_bare(self, model: bytes) -> BareModel:
        """See `inference.backend.SegmenterBackend.open_bare`."""
        return partial(open_session(model, self._asked, provider=self._provider).run, None)

    def _load(self, artifact: Artifact) -> None:  # noqa: ARG002
        self._session = self._open()
        self._half = None
        self._contract.require_names(
            {node.name for node in (*self._session.get_inputs(), *self._session.get_outputs())}
        )

    def _open(self, profile: Path | None = None, *, pack_weights: bool = True) -> ort.InferenceSession:
        return open_session(
            self._read_model(),
            self._asked,
            self._disabled_optimizers(),
            profile,
            provider=self._provider,
            pack_weights=pack_weights,
        )

    def _disabled_optimizers(self) -> Sequence[str]:
        """Return the names of the optimizers that must not change the artifact's graph."""
        quantization = self.artifact.manifest.quantization
        return QDQ_OPTIMIZERS if quantization is not None and quantization.placement == "tensorrt" else ()

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
            self._half = None

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
