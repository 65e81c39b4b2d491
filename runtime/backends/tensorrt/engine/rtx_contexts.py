"""TensorRT-RTX's execution contexts: it records graphs itself, and its compiled kernels are worth keeping."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.backends.tensorrt.interface import IExecutionContext
from pem_edge.runtime.backends.tensorrt.rtx_interface import ICudaEngine, TensorRt
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.files import cache_folder, writing


class RtxContexts:
    """See `runtime.backends.tensorrt.engine.session.Contexts`."""

    records = False

    def __init__(self, trt: TensorRt, engine: ICudaEngine, artifact: Artifact, gpu: Gpu) -> None:
        self._engine = engine
        self._config = config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache = cache = config.create_runtime_cache()
        self._path = _path(artifact, gpu)
        with suppress(OSError):
            cache.deserialize(self._path.read_bytes())  # which it does not if they are another GPU's or driver's
        self._kept = len(bytes(cache.serialize()))
        config.set_runtime_cache(cache)

    def create(self) -> IExecutionContext | None:
        """Return a context, or None if there is no memory for it."""
        return self._engine.create_execution_context(self._config)

    def first_run(self) -> None:
        """Keep what was compiled. A disk that takes nothing is no reason to fail."""
        data = bytes(self._cache.serialize())
        if len(data) != self._kept:
            with suppress(OutputError), writing(self._path) as file:
                file.write_bytes(data)
                self._kept = len(data)

    def close(self) -> None:
        """Keep what was compiled since; let go of the engine."""
        self.first_run()
        del self._cache, self._config, self._engine


def _path(artifact: Artifact, gpu: Gpu) -> Path:
    """Return a file in the user's cache folder, named after engine and GPU."""
    model = artifact.manifest.model
    digest = model.sha256[:16] if model else artifact.model.stem
    name = "".join(letter if letter.isalnum() else "-" for letter in f"{gpu.name} {gpu.compute_capability}")
    return cache_folder() / "tensorrt-rtx" / f"{digest}-{name}.cache"
