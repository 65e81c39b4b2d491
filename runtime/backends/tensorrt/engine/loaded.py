"""A deserialized engine that is ready to run, which checks images and serializes the calls of several threads."""

from __future__ import annotations

import math
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends.contract import Contract, Shape
from pem_edge.runtime.backends.cuda import device_arrays
from pem_edge.runtime.backends.cuda.device_arrays import DeviceArray, Images
from pem_edge.runtime.backends.cuda.driver import Gpu, call
from pem_edge.runtime.backends.tensorrt import log
from pem_edge.runtime.backends.tensorrt.engine import loading
from pem_edge.runtime.backends.tensorrt.engine.session import Contexts, Plan, Session
from pem_edge.runtime.backends.tensorrt.interface import ICudaEngine, TensorRt
from pem_edge.runtime.errors import BackendError

_DTYPES: dict[str, np.dtype[np.generic]] = {
    "UINT8": np.dtype(np.uint8),
    "HALF": np.dtype(np.float16),
    "FLOAT": np.dtype(np.float32),
}
"""NumPy's types by the names of TensorRT's `DataType`."""

_UNKNOWN_TO_CUDA = "cudaMemoryTypeUnregistered"
_ON_DEVICE = "cudaMemoryTypeDevice"


class LoadedEngine:
    """An engine on the GPU. Thread-safe: only one thread at a time uses the session.

    Args:
        artifact: The engine's file and manifest.
        contract: The checks of the artifact's inputs and outputs.
        gpu: The GPU that the engine was loaded on.
        trt: TensorRT's module.
        engine: The deserialized engine.
        contexts: Creates the engine's execution contexts.

    Raises:
        BackendError: If the engine's tensors differ from the manifest, or there is not enough memory.
    """

    def __init__(
        self, artifact: Artifact, contract: Contract, gpu: Gpu, trt: TensorRt, engine: ICudaEngine, contexts: Contexts
    ) -> None:
        self.artifact, self.gpu, self._contract = artifact, gpu, contract
        self._lock, self._left = threading.Lock(), threading.Condition()
        self._inside = 0
        self.closed = False
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        dtypes = {name: engine.get_tensor_dtype(name).name for name in names}
        contract.require_names(set(names))
        _require_dtypes(artifact, dtypes)
        self._min_shape, self._max_shape = _shape_limits(engine, artifact.manifest.input.name)
        self._session = self._start(trt, engine, contexts, {name: _DTYPES[dtypes[name]] for name in names})
        self._release = weakref.finalize(self, self._session.close)

    def run(self, images: NDArray[np.uint8] | DeviceArray) -> tuple[NDArray[np.generic], NDArray[np.generic]]:
        """Run a batch.

        Args:
            images: RGB uint8 (N, H, W, 3), contiguous, in host memory or on the GPU.

        Returns:
            Class logits and mask logits, in host memory.

        Raises:
            BackendError: If the engine does not accept the shape, cannot run, or is closed.
        """
        with self.acquire_plan(images.shape) as plan:
            logits, masks = self._session.run(plan, images)
        return logits, masks

    @contextmanager
    def wrap_errors(self) -> Iterator[None]:
        """Turn every exception of the block into a BackendError of one line.

        Raises:
            BackendError: If the engine is closed.
        """
        if self.closed:
            raise self._contract.closed()
        with self._contract.wrap_errors("run"):
            yield

    @contextmanager
    def acquire_session(self) -> Iterator[Session]:
        """Give the block the session, and make other threads wait for the block's end.

        Raises:
            BackendError: If the engine is closed.
        """
        with self._lock:
            if self.closed:  # another thread may have closed it while this one waited
                raise self._contract.closed()
            yield self._session

    @contextmanager
    def acquire_plan(self, shape: Shape) -> Iterator[Plan]:
        """Give the block the plan for images of ``shape``, and make other threads wait for the block's end.

        Raises:
            BackendError: If the engine does not accept that shape, or is closed.
        """
        self._require_accepted(shape)
        with self.acquire_session() as session:
            plan = session.plan(shape)
            self._contract.require_outputs((plan.outputs["logits"], plan.outputs["masks"]), shape)
            yield plan

    @contextmanager
    def keep_open(self) -> Iterator[None]:
        """Make `close` wait for the end of the block, in which other threads may use the session.

        Raises:
            BackendError: If the engine is closed.
        """
        with self._left:
            if self.closed:
                raise self._contract.closed()
            self._inside += 1
        try:
            yield
        finally:
            with self._left:
                self._inside -= 1
                self._left.notify_all()

    def require_image(self, shape: Shape, dtype: np.dtype[np.generic]) -> None:
        """Raise BackendError unless an image is uint8 (H, W, 3)."""
        self._contract.require_images((1, *shape), dtype)

    def locate(self, images: Images) -> DeviceArray:
        """Return the address and layout of another library's GPU array, which the session's stream will read.

        Raises:
            BackendError: If the array is not contiguous or not in memory that this GPU can access.
        """
        with self.acquire_session() as session, self.gpu.current():
            array = device_arrays.read(images, int(session.stream))
            self._require_reachable(array)
        return array

    def close(self) -> None:
        """Free everything, once the calls that have begun are over; later calls raise BackendError."""
        with self._lock:
            self.closed = True
            with self._left:
                self._left.wait_for(lambda: not self._inside)
            self._release()

    def abandon(self) -> None:
        """Free nothing, now or at the end of this process, which was forked from the one that loaded the engine."""
        self.closed = True
        self._release.detach()

    def _start(
        self, trt: TensorRt, engine: ICudaEngine, contexts: Contexts, dtypes: dict[str, np.dtype[np.generic]]
    ) -> Session:
        name = self.artifact.manifest.input.name
        shapes = {name: self._max_shape}
        shapes["logits"], shapes["masks"] = self._contract.output_shapes(self._max_shape)
        sizes = {name: math.prod(shape) * dtypes[name].itemsize for name, shape in shapes.items()}
        ordered = {name: dtypes[name] for name in shapes}
        return Session(self.gpu, contexts, engine.device_memory_size_v2, ordered, sizes, partial(log.pop_error, trt))

    def _require_accepted(self, shape: Shape) -> None:
        multiple = self.artifact.manifest.input.multiple_of
        limits = [*zip(self._min_shape, self._max_shape, strict=True)]
        inside = all(low <= size <= high for size, (low, high) in zip(shape, limits, strict=True))
        if not inside or shape[1] % multiple or shape[2] % multiple:
            ranges = [
                f"{name} {low}" if low == high else f"{name} {low} to {high}"
                for name, (low, high) in zip(("batch", "height", "width"), limits, strict=False)
            ]
            raise BackendError(
                f"{self.artifact.model} takes {', '.join(ranges)}, height and width multiples of {multiple}; these "
                f"images are {'x'.join(map(str, shape[:3]))}: resize them, or export for their size"
            )

    def _require_reachable(self, images: DeviceArray) -> None:
        attributes = call("cudaPointerGetAttributes", images.address)
        if attributes.type.name == _UNKNOWN_TO_CUDA:
            raise BackendError("images on the GPU lie where CUDA knows of no memory: have they been freed?")
        if attributes.type.name == _ON_DEVICE and attributes.device != self.gpu.device:
            raise BackendError(
                f"images are on GPU {attributes.device}, {self.artifact.model} on GPU {self.gpu.device}: "
                "copy them there first"
            )


def _require_dtypes(artifact: Artifact, dtypes: dict[str, str]) -> None:
    manifest = artifact.manifest
    expected: dict[str, str] = {manifest.input.name: manifest.input.dtype}
    expected.update((name, dtype) for name, dtype in manifest.outputs.items())
    found = {name: str(_DTYPES.get(dtype, dtype)) for name, dtype in dtypes.items()}
    if found != expected:
        raise BackendError(
            f"{artifact.model} has tensors {found}, its manifest says {expected}: "
            f"build it again, with {loading.rebuild_command(artifact)}"
        )


def _shape_limits(engine: ICudaEngine, name: str) -> tuple[Shape, Shape]:
    """Return the minimum and the maximum shape of the input ``name``."""
    shape = tuple(engine.get_tensor_shape(name))
    if min(shape) >= 0:
        return shape, shape
    minimum, _, maximum = engine.get_tensor_profile_shape(name, 0)
    return tuple(minimum), tuple(maximum)
