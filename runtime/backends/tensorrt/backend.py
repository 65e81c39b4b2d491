"""TensorRT and TensorRT-RTX on NVIDIA GPUs."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from runtime.artifact import Artifact
from runtime.backends import device_arrays
from runtime.backends.base import Backend, Shape
from runtime.backends.cuda import Gpu, call
from runtime.backends.device_arrays import DeviceArray, Images
from runtime.backends.tensorrt import engine_loading, log, plugin_library
from runtime.backends.tensorrt.device_pipeline import DevicePipeline
from runtime.backends.tensorrt.device_stages import DeviceStages
from runtime.backends.tensorrt.engine_session import Contexts, Plan, Session
from runtime.backends.tensorrt.rtx_contexts import RtxContexts
from runtime.backends.tensorrt.trt_contexts import TrtContexts
from runtime.errors import BackendError
from runtime.pipeline import HostPipeline, Pipeline

_DTYPES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype(np.uint8),
    "HALF": np.dtype(np.float16),
    "FLOAT": np.dtype(np.float32),
}
_UNKNOWN_TO_CUDA = "cudaMemoryTypeUnregistered"
_ON_DEVICE = "cudaMemoryTypeDevice"


class TensorRt(Backend):
    """See `Backend`. Takes arrays on the GPU, too. Runs on the GPU that is current in the thread that loads it."""

    name = "tensorrt"
    _module: ClassVar[str] = "tensorrt"
    _place = "host"

    def _load(self, artifact: Artifact) -> None:
        trt = _import(self._module)
        engine_loading.require_version(artifact, trt.__version__)
        self._gpu = Gpu()
        engine_loading.require_gpu(artifact, self._gpu)
        self._lock = threading.Lock()
        with self._gpu.current():
            self._register_plugins(trt, artifact)
            engine = engine_loading.deserialize(trt, artifact)
            self._session = self._start(trt, engine)
        self._release = weakref.finalize(self, self._session.close)

    def _start(self, trt: Any, engine: Any) -> Session:
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self._tensors = {name: engine.get_tensor_dtype(name).name for name in names}
        self._check_names()
        self._check_dtypes()
        spec = self.artifact.manifest.input
        self._least, self._most = _limits(engine, spec.name)
        shapes = dict(zip((spec.name, "logits", "masks"), (self._most, *self._shapes(self._most)), strict=True))
        dtypes = {name: _DTYPES[self._tensors[name]] for name in shapes}
        sizes = {name: math.prod(shape) * dtypes[name].itemsize for name, shape in shapes.items()}
        contexts = self._contexts(trt, engine)
        return Session(self._gpu, contexts, engine.device_memory_size_v2, dtypes, sizes, partial(log.reason, trt))

    def _contexts(self, trt: Any, engine: Any) -> Contexts:
        return TrtContexts(trt, engine)

    def _register_plugins(self, trt: Any, artifact: Artifact) -> None:
        if artifact.manifest.deform_conv in ("native", "nvidia"):
            trt.init_libnvinfer_plugins(log.logger(trt), "")  # NVIDIA's, ModulatedDeformConv2d among them
        if (plugin := engine_loading.engine_of(artifact).plugin) is not None:
            cure = f"build both again, with pem-export --build-plugin and {engine_loading.rebuild_command(artifact)}"
            plugin_library.load(trt, artifact.model.parent, plugin, cure)

    def _run(self, images: NDArray[np.uint8] | DeviceArray) -> tuple[NDArray[Any], NDArray[Any]]:
        with self.planned(images.shape) as plan:
            logits, masks = self._session.run(plan, images)
        return logits, masks

    def _run_on_gpu(self, images: Images) -> tuple[tuple[NDArray[Any], NDArray[Any]], Shape]:
        array = self.on_device(images)
        self._require_images(array.shape, array.dtype)
        return self._run(array), array.shape

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    @contextmanager
    def working(self) -> Iterator[None]:
        """Errors of the block are BackendErrors of one line. Raises one if the backend is closed."""
        self._require_open()
        try:
            yield
        except BackendError:
            raise
        except Exception as error:
            raise self._failed("run", error) from error

    @contextmanager
    def exclusive(self) -> Iterator[Session]:
        """Within the block, the session is this thread's alone. Raises BackendError if the backend is closed."""
        with self._lock:
            self._require_open()  # another thread may have closed it while this one waited
            yield self._session

    @contextmanager
    def planned(self, shape: Shape) -> Iterator[Plan]:
        """The plan for images of ``shape``; within the block, the session is this thread's alone."""
        self._require_fitting(shape)
        with self.exclusive() as session:
            plan = session.plan(shape)
            self._require_shapes((plan.outputs["logits"], plan.outputs["masks"]), shape)
            yield plan

    def require_image(self, shape: Shape, dtype: np.dtype[Any]) -> None:
        """Raise BackendError unless it is uint8 (H, W, 3)."""
        self._require_images((1, *shape), dtype)

    def on_device(self, images: Images) -> DeviceArray:
        """Where an array of another library lies, to be read on the session's stream."""
        with self.exclusive() as session, self._gpu.current():
            array = device_arrays.read(images, session.stream)
            self._require_reachable(array)
        return array

    def pipeline(self, things: Collection[int]) -> Pipeline:
        """All stages on the GPU; where their kernels cannot be had, only the model, and `settings` say why."""
        try:
            with self.exclusive() as session:
                stages = DeviceStages(self._gpu, session, self.artifact.manifest, things)
        except BackendError as error:
            self._require_open()
            self._place = f"host: {error}"
            return HostPipeline(self, things)
        self._place = "device"
        return DevicePipeline(self, stages, things)

    def _settings(self) -> dict[str, str | int | bool]:
        return {"pipeline": self._place}

    def _unload(self) -> None:
        with self._lock:
            self._release()

    def _names(self) -> set[str]:
        return set(self._tensors)

    def _check_dtypes(self) -> None:
        manifest = self.artifact.manifest
        expected: dict[str, str] = {manifest.input.name: manifest.input.dtype}
        expected.update((name, dtype) for name, dtype in manifest.outputs.items())
        found = {name: str(_DTYPES.get(dtype, dtype)) for name, dtype in self._tensors.items()}
        if found != expected:
            raise BackendError(
                f"{self.artifact.model} has tensors {found}, its manifest says {expected}: "
                f"build it again, with {engine_loading.rebuild_command(self.artifact)}"
            )

    def _require_fitting(self, shape: Shape) -> None:
        multiple = self.artifact.manifest.input.multiple_of
        inside = all(low <= size <= high for low, size, high in zip(self._least, shape, self._most, strict=True))
        if not inside or shape[1] % multiple or shape[2] % multiple:
            ranges = [
                f"{name} {low}" if low == high else f"{name} {low} to {high}"
                for name, low, high in zip(("batch", "height", "width"), self._least, self._most, strict=False)
            ]
            raise BackendError(
                f"{self.artifact.model} takes {', '.join(ranges)}, height and width multiples of {multiple}; these "
                f"images are {'x'.join(map(str, shape[:3]))}: resize them, or export for their size"
            )

    def _require_reachable(self, images: DeviceArray) -> None:
        attributes = call("cudaPointerGetAttributes", images.address)
        if attributes.type.name == _UNKNOWN_TO_CUDA:
            raise BackendError("images on the GPU lie where CUDA knows of no memory: have they been freed?")
        if attributes.type.name == _ON_DEVICE and attributes.device != self._gpu.device:
            raise BackendError(
                f"images are on GPU {attributes.device}, {self.artifact.model} on GPU {self._gpu.device}: "
                "copy them there first"
            )


class TensorRtRtx(TensorRt):
    """See `TensorRt`. Kernels are compiled when first needed and kept for the next start."""

    name = "tensorrt-rtx"
    _module = "tensorrt_rtx"

    def _contexts(self, trt: Any, engine: Any) -> Contexts:
        return RtxContexts(trt, engine, self.artifact, self._gpu)

    def _register_plugins(self, trt: Any, artifact: Artifact) -> None:
        """It has none."""


def _import(module: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise BackendError(f"{module} is installed but cannot be imported ({reason}): install its libraries") from error


def _limits(engine: Any, name: str) -> tuple[Shape, Shape]:
    """The least and the largest shape that the engine takes."""
    shape = tuple(engine.get_tensor_shape(name))
    if min(shape) >= 0:
        return shape, shape
    least, _, most = engine.get_tensor_profile_shape(name, 0)
    return tuple(least), tuple(most)
