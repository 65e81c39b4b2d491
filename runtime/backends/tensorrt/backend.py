"""TensorRT and TensorRT-RTX on NVIDIA GPUs."""

from __future__ import annotations

from functools import cached_property
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
from pem_edge.runtime.inference.backend import Device, Nodes
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline


class TensorRtBackend(Backend):
    """Runs engines of TensorRT on the GPU that is current in the thread that loads it. Takes arrays on the GPU, too."""

    name = "tensorrt"
    _module: ClassVar[str] = "tensorrt"

    @property
    def device(self) -> Device:
        """Where the model runs."""
        return "gpu"

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:  # noqa: ARG002
        """Raise BackendError: this backend does not time layers, but NVIDIA's tools do."""
        raise BackendError(f"{self.name} does not report the time of each layer: see trtexec --dumpProfile or nsys")

    def pipeline(self) -> AnyPipeline:
        """Return all stages on the GPU or, if their kernels are not available, only the model (`settings` says why)."""
        stages = self._stages
        if isinstance(stages, BackendError):
            return HostPipeline(self)
        return DevicePipeline(self._engine, stages, on_host=HostPipeline(self))

    @cached_property
    def _stages(self) -> DeviceStages | BackendError:
        """The kernels before and after the model, or the reason why there are none."""
        self._require_open()
        try:
            with self._engine.exclusive() as session:
                return DeviceStages(self._engine.gpu, session, self.artifact.manifest)
        except BackendError as error:
            return error

    def _load(self, artifact: Artifact) -> None:
        trt = _import(self._module)
        loading.require_version(artifact, trt.__version__)
        gpu = Gpu()
        loading.require_gpu(artifact, gpu)
        with gpu.current():
            self._register_plugins(trt, artifact)
            engine = loading.deserialize(trt, artifact)
            contexts = self._contexts(trt, engine, gpu)
            self._engine = LoadedEngine(artifact, self._contract, gpu, trt, engine, contexts)

    def _contexts(self, trt: TensorRt, engine: ICudaEngine, gpu: Gpu) -> Contexts:  # noqa: ARG002
        return TrtContexts(trt, engine)

    def _register_plugins(self, trt: TensorRt, artifact: Artifact) -> None:
        if artifact.manifest.deform_conv in ("native", "nvidia"):
            trt.init_libnvinfer_plugins(log.logger(trt), "")  # NVIDIA's, ModulatedDeformConv2d among them
        if (plugin := loading.engine_of(artifact).plugin) is not None:
            cure = f"build both again, with pem-export --build-plugin and {loading.rebuild_command(artifact)}"
            plugin_library.load(trt, artifact.model.parent, plugin, cure)

    def _run(self, images: NDArray[np.uint8]) -> RawOutputs:
        return self._engine.run(images)

    def _run_on_gpu(self, images: Images) -> tuple[RawOutputs, Shape]:
        array = self._engine.on_device(images)
        self._contract.require_images(array.shape, array.dtype)
        return self._engine.run(array), array.shape

    def _settings(self) -> dict[str, str | int | bool]:
        stages = self._stages
        return {"pipeline": f"host: {stages}" if isinstance(stages, BackendError) else "device"}

    def _unload(self) -> None:
        self._engine.close()


class TensorRtRtxBackend(TensorRtBackend):
    """Runs engines of TensorRT-RTX, whose kernels are compiled when first needed and kept for the next start."""

    name = "tensorrt-rtx"
    _module = "tensorrt_rtx"

    def _contexts(self, trt: TensorRt, engine: ICudaEngine, gpu: Gpu) -> Contexts:
        rtx, rtx_engine = cast("rtx_interface.TensorRt", trt), cast("rtx_interface.ICudaEngine", engine)
        return RtxContexts(rtx, rtx_engine, self.artifact, gpu)

    def _register_plugins(self, trt: TensorRt, artifact: Artifact) -> None:
        """Do nothing: TensorRT-RTX has no plugins."""


def _import(module: str) -> TensorRt:
    try:
        return cast("TensorRt", import_module(module))
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise BackendError(f"{module} is installed but cannot be imported ({reason}): install its libraries") from error
