"""Checks that an engine is for this TensorRT and this GPU, and deserializes it if its manifest has its hash."""

from __future__ import annotations

import shlex

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.sections import Engine
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.backends.tensorrt.interface import ICudaEngine, TensorRt
from pem_edge.runtime.errors import BackendError

_AMPERE = 8
_FULL_NAMES = {"trt": "TensorRT", "trt-rtx": "TensorRT-RTX"}


def engine_of(artifact: Artifact) -> Engine:
    """Return the manifest's description of the engine.

    Raises:
        BackendError: If the artifact is not an engine.
    """
    if artifact.manifest.engine is None:
        raise BackendError(f"{artifact.model} is not an engine: build one, with pem-export --to trt")
    return artifact.manifest.engine


def rebuild_command(artifact: Artifact) -> str:
    """Return the shell command that rebuilds the engine on this machine, from the ONNX file beside it."""
    described = engine_of(artifact)
    source = artifact.model.parent / described.source.file
    return f"pem-export --weights {shlex.quote(str(source))} --to {described.target} --overwrite"


def require_version(artifact: Artifact, version: str) -> None:
    """Raise BackendError unless TensorRT ``version`` can load the engine."""
    described = engine_of(artifact)
    same = described.version == version
    compatible = described.version_compatible and described.version.split(".")[0] == version.split(".")[0]
    if not same and not compatible:
        raise BackendError(
            f"{artifact.model} was built by {_FULL_NAMES[described.target]} {described.version}, which is {version} "
            f"here: build it again, with {rebuild_command(artifact)}"
        )


def require_gpu(artifact: Artifact, gpu: Gpu) -> None:
    """Raise BackendError unless the engine was built for the compute capability of ``gpu``."""
    described = engine_of(artifact)
    fits = gpu.compute_capability in described.compute_capabilities
    if not fits and not (described.hardware_compatible == "ampere+" and gpu.major >= _AMPERE):
        choice = f" --compute-capability {gpu.compute_capability}" if described.target == "trt-rtx" else ""
        raise BackendError(
            f"{artifact.model} is for GPUs of compute capability {', '.join(described.compute_capabilities)}, "
            f"{gpu.name} has {gpu.compute_capability}: build it again, with {rebuild_command(artifact)}{choice}"
        )


def deserialize(trt: TensorRt, artifact: Artifact) -> ICudaEngine:
    """Read and deserialize the engine.

    An engine may contain code for the host; ``engine_host_code_allowed`` stays False, so that such code cannot run.

    Raises:
        ArtifactError: If the file is not the one that its manifest vouches for.
        BackendError: If TensorRT cannot load the file.
    """
    data = artifact.read_model()
    log.pop_error(trt)  # clears errors of earlier calls
    runtime = trt.Runtime(log.logger(trt))
    engine = None if runtime is None else runtime.deserialize_cuda_engine(data)
    if engine is None:
        raise BackendError(
            f"TensorRT cannot load {artifact.model} ({log.pop_error(trt)}): "
            f"build it again, with {rebuild_command(artifact)}"
        )
    return engine
