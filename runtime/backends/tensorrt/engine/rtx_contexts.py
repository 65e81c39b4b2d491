"""TensorRT-RTX's execution contexts."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.backends.tensorrt.interface import IExecutionContext
from pem_edge.runtime.backends.tensorrt.rtx_interface import ICudaEngine, TensorRt
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.files import cache_folder, write_atomically


class RtxContexts:
    """TensorRT-RTX's `Contexts`, which record CUDA graphs themselves and cache compiled kernels on disk.

    Args:
        trt: TensorRT-RTX's module.
        engine: The engine to create contexts of.
        artifact: The engine's file and manifest, which name the cache.
        gpu: The GPU in use, which names the cache, too.
    """

    records = False

    def __init__(self, trt: TensorRt, engine: ICudaEngine, artifact: Artifact, gpu: Gpu) -> None:
        self._engine = engine
        self._config = config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(trt.ExecutionContextAllocationStrategy.USER_MANAGED)
        config.cuda_graph_strategy = trt.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE
        self._cache = cache = config.create_runtime_cache()
        self._path = _cache_path(artifact, gpu)
        with suppress(OSError):
            cache.deserialize(self._path.read_bytes())  # ignores kernels for another GPU or driver
        self._saved_bytes = len(bytes(cache.serialize()))
        config.set_runtime_cache(cache)

    def create(self) -> IExecutionContext | None:
        """See `Contexts.create`."""
        return self._engine.create_execution_context(self._config)

    def handle_first_run(self) -> None:
        """Save the kernels that were compiled; a cache that cannot be written is no error."""
        data = bytes(self._cache.serialize())
        if len(data) != self._saved_bytes:
            with suppress(OutputError), write_atomically(self._path, durable=True) as file:
                file.write_bytes(data)
                self._saved_bytes = len(data)

    def close(self) -> None:
        """Save the kernels that were compiled since, and release the engine."""
        self.handle_first_run()
        del self._cache, self._config, self._engine


def _cache_path(artifact: Artifact, gpu: Gpu) -> Path:
    """Return the path of the kernels' file in the user's cache folder, named after the engine and the GPU."""
    model = artifact.manifest.model
    digest = model.sha256[:16] if model else artifact.model.stem
    name = "".join(letter if letter.isalnum() else "-" for letter in f"{gpu.name} {gpu.compute_capability}")
    return cache_folder() / "tensorrt-rtx" / f"{digest}-{name}.cache"
