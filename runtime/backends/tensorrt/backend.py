"""The TensorRT and TensorRT-RTX backends, for NVIDIA GPUs."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar, cast

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.base import Backend, RawOutputs
from pem_edge.runtime.backends.contract import Shape
from pem_edge.runtime.backends.cuda.device_arrays import Images
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.backends.tensorrt import log, plugin_library, rtx_interface
from pem_edge.runtime.backends.tensorrt.device.pipeline import DevicePipeline
from pem_edge.runtime.backends.tensorrt.device.stages import DeviceStages
from pem_edge.runtime.backends.tensorrt.engine import loading
from pem_edge.runtime.backends.tensorrt.engine.loaded import LoadedEngine
from pem_edge.runtime.backends.tensorrt.engine.rtx_contexts import RtxContexts
from pem_edge.runtime.backends.tensorrt.engine.session import Contexts
from pem_edge.runtime.backends.tensorrt.engine.trt_contexts import TrtContexts
from pem_edge.runtime.backends.tensorrt.interface import ICudaEngine, TensorRt
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline
from pem_edge.runtime.inference.profiled_nodes import Nodes


class TensorRtBackend(Backend):
    """Runs TensorRT engines on the GPU that is current in the thread that loads the engine.

    Images may be in host memory or on that GPU.
    """

    name = "tensorrt"
    _module: ClassVar[str] = "tensorrt"

    @property
    def gpu(self) -> str:
        """The name of the GPU that the engine was loaded on."""
        return self._engine.gpu.name

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:  # noqa: ARG002
        """Raise BackendError, because only NVIDIA's tools time the layers of an engine."""
        raise BackendError(f"{self.name} does not report the time of each layer: see trtexec --dumpProfile or nsys")

    def pipeline(self) -> AnyPipeline:
        """Return a pipeline that runs all stages on the GPU.

        If the kernels of the other stages are not available, only the model runs there; `settings` then says why.
        """
        if isinstance(self._stages, str):
            return HostPipeline.of(self)
        return DevicePipeline(self._engine, self._stages, on_host=HostPipeline.of(self))

    def on_fork(self) -> None:
        """See `Backend.on_fork`."""
        super().on_fork()
        self._engine.abandon()

    def _load(self, artifact: Artifact) -> None:
        trt = _import(self._module)
        loading.require_version(artifact, trt.__version__)
        gpu = Gpu()
        loading.require_gpu(artifact, gpu)
        with gpu.current():
            self._register_plugins(trt, artifact)
            engine = loading.deserialize(trt, artifact)
            contexts = self._create_contexts(trt, engine, gpu)
            self._engine = LoadedEngine(artifact, self._contract, gpu, trt, engine, contexts)
        self._stages = self._start_stages(artifact)

    def _start_stages(self, artifact: Artifact) -> DeviceStages | str:
        """Return the stages before and after the model, or the reason why their kernels are not available."""
        try:
            with self._engine.acquire_session() as session:
                return DeviceStages(self._engine.gpu, session, artifact.manifest)
        except BackendError as error:
            return str(error)

    def _create_contexts(self, trt: TensorRt, engine: ICudaEngine, gpu: Gpu) -> Contexts:  # noqa: ARG002
        return TrtContexts(trt, engine)

    def _register_plugins(self, trt: TensorRt, artifact: Artifact) -> None:
        if artifact.manifest.deform_conv in ("native", "nvidia"):
            trt.init_libnvinfer_plugins(log.logger(trt), "")  # includes NVIDIA's ModulatedDeformConv2d
        if (plugin := loading.engine_of(artifact).plugin) is not None:
            cure = f"build both again, with pem-export --build-plugin and {loading.rebuild_command(artifact)}"
            plugin_library.load(trt, artifact.model.parent, plugin, cure)

    def _run(self, images: NDArray[np.uint8]) -> RawOutputs:
        return self._engine.run(images)

    def _run_on_gpu(self, images: Images) -> tuple[RawOutputs, Shape]:
        array = self._engine.locate(images)
        self._contract.require_images(array.shape, array.dtype)
        return self._engine.run(array), array.shape

    def _stays_behind(self) -> bool:
        return True

    def _settings(self) -> dict[str, str | int | bool]:
        return {"pipeline": f"host: {self._stages}" if isinstance(self._stages, str) else "device"}

    def _unload(self) -> None:
        self._engine.close()


class TensorRtRtxBackend(TensorRtBackend):
    """Runs TensorRT-RTX engines, whose kernels are compiled on first use and cached for later processes."""

    name = "tensorrt-rtx"
    _module = "tensorrt_rtx"

    def _create_contexts(self, trt: TensorRt, engine: ICudaEngine, gpu: Gpu) -> Contexts:
        rtx, rtx_engine = cast("rtx_interface.TensorRt", trt), cast("rtx_interface.ICudaEngine", engine)
        return RtxContexts(rtx, rtx_engine, self.artifact, gpu)

    def _register_plugins(self, trt: TensorRt, artifact: Artifact) -> None:
        """Do nothing, because TensorRT-RTX has no plugins."""


def _import(module: str) -> TensorRt:
    try:
        return cast("TensorRt", import_module(module))
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise BackendError(f"{module} is installed but cannot be imported ({reason}): install its libraries") from error
