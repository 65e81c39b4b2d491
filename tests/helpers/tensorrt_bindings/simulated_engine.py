"""Simulates TensorRT's engines and execution contexts, which compute with ONNX Runtime.

As on a GPU, a run computes when the stream reaches it, with the contents that the memory has then. What TensorRT
forbids is recorded in `Machine.faults`.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from enum import IntEnum
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from reference.cuda_simulation.machine import Machine, Stream, Work
from tests.helpers.tensorrt_bindings.simulated_installation import Installation
from tests.helpers.tensorrt_bindings.simulated_rtx import ExecutionContextAllocationStrategy, IRuntimeConfig

_SCRATCH = 1000
_SIZES: dict[str, np.dtype[Any]] = {
    "UINT8": np.dtype(np.uint8),
    "FLOAT": np.dtype(np.float32),
    "HALF": np.dtype(np.float16),
}


Fault = Literal[
    "swaps two slots",
    "perturbs one output",
    "drifts at the largest size",
    "gives NaN",
    "fails above one",
    "repeats its first result",
]
"""A way in which real engines have answered wrongly though they were built without a complaint."""


class DataType(IntEnum):
    """See TensorRT."""

    FLOAT = 0
    HALF = 1
    UINT8 = 5


class ICudaEngine:
    """See TensorRT."""

    num_io_tensors = 3
    device_memory_size_v2 = _SCRATCH

    def __init__(self, trt: Installation, runtime: object, header: dict[str, Any], model: bytes) -> None:
        self.trt, self._runtime, self.header = trt, runtime, header  # as in TensorRT, the runtime outlives its engines
        self._model = model
        trt.track(self)

    @cached_property
    def session(self) -> ort.InferenceSession:
        """The ONNX Runtime session that computes the outputs."""
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        return ort.InferenceSession(self._model, options, providers=["CPUExecutionProvider"])

    def get_tensor_name(self, index: int) -> str:
        """See TensorRT."""
        return ("image", "logits", "masks")[index]

    def get_tensor_dtype(self, name: str) -> DataType:
        """See TensorRT."""
        return DataType.UINT8 if name == "image" else DataType[self.header["output"]]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """See TensorRT."""
        sizes = zip(self.header["least"], self.header["most"], strict=True)
        image = tuple(low if low == high else -1 for low, high in sizes)
        return image if name == "image" else self.shape_of(name, image)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        """See TensorRT."""
        if name != "image" or profile_index != 0:
            self.trt.machine.fault("an output, or a profile that is not there, is asked for its profile")
        return [tuple(self.header[key]) for key in ("least", "most", "most")]

    def create_execution_context(self, strategy: Any = ExecutionContextAllocationStrategy.STATIC) -> IExecutionContext:
        """See TensorRT, and TensorRT-RTX for an IRuntimeConfig."""
        return IExecutionContext(self, strategy)

    def create_runtime_config(self) -> IRuntimeConfig:
        """See TensorRT-RTX."""
        return IRuntimeConfig()

    def shape_of(self, name: str, image: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of an output for images of the shape ``image``."""
        declared = {output.name: output.shape for output in self.session.get_outputs()}[name]
        grid = tuple(size if size < 0 else size // 4 for size in image[1:3])
        sizes = (declared[2],) if name == "logits" else grid
        return (image[0], declared[1], *sizes)


class IExecutionContext:
    """See TensorRT."""

    def __init__(self, engine: ICudaEngine, strategy: Any) -> None:
        self._engine, self._machine = engine, engine.trt.machine
        self._config = strategy if isinstance(strategy, IRuntimeConfig) else None
        chosen = strategy if self._config is None else self._config.strategy
        if chosen != ExecutionContextAllocationStrategy.USER_MANAGED:
            self._machine.fault("a context allocates its own memory")
        self._addresses: dict[str, int] = {}
        self._scratch = 0
        self._first: dict[tuple[int, ...], tuple[NDArray[Any], NDArray[Any]]] = {}
        self._shape: tuple[int, ...] = engine.get_tensor_shape("image")
        self._version = 0
        self._enqueued = -1
        engine.trt.track(self)

    def set_device_memory(self, memory: int, size: int) -> None:
        """See TensorRT."""
        if memory % 256 or size < _SCRATCH or self._machine.block(memory, size) is None:
            self._machine.fault("a context gets memory that is too small, not aligned or not the GPU's")
        self._scratch = memory

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """See TensorRT."""
        header = self._engine.header
        fits = zip(header["least"], shape, header["most"], strict=True)
        if name != "image" or not all(low <= size <= high for low, size, high in fits):
            self._engine.trt.error(f"Given dimensions {shape} are outside of the profile")
            return False
        self._shape = shape
        self._version += 1
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        """See TensorRT."""
        return self._shape if name == "image" else self._engine.shape_of(name, self._shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        """See TensorRT."""
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        """See TensorRT."""
        with self._machine.exclusive():
            stream = self._machine.stream(stream_handle)
            problem = self._problem(stream)
            if problem or stream is None:
                self._engine.trt.error(problem)
                return False
            self._enqueued = self._version
            return self._machine.enqueue(stream, self._work()) == 0

    def _problem(self, stream: Stream | None) -> str:
        recording = stream is not None and stream.recorded is not None
        if recording and (not self._engine.header["recordable"] or self._enqueued != self._version):
            stream.spoiled = True  # type: ignore[union-attr]
            return "operation not permitted when stream is capturing"
        if min(self._shape) < 0 or set(self._addresses) != {"image", "logits", "masks"} or not self._scratch:
            return "shapes, addresses or memory are not set"
        return ""

    def _work(self) -> Work:
        scratch = self._machine.block(self._scratch, _SCRATCH)
        image, *outputs = (self._machine.block(self._addresses[name]) for name in ("image", "logits", "masks"))
        writes = [block for block in (scratch, *outputs) if block is not None]
        run = partial(_compute, weakref.ref(self), self._version, self._shape, dict(self._addresses), self._machine)
        if self._config is not None:
            self._config.add_kernels(self._shape)
        return Work(run, [image] if image is not None else [], writes)

    def spoil(self, arrays: dict[str, NDArray[Any]]) -> None:
        """Change the outputs of a batch as an engine with this one's fault does."""
        header, logits, masks = self._engine.header, arrays["logits"], arrays["masks"]
        fault: Fault | None = header["fault"]
        if fault == "swaps two slots" and len(masks) > 1:
            for outputs in (logits, masks):
                outputs[:2] = outputs[1::-1].copy()
        elif fault == "perturbs one output":
            masks += 0.5
        elif fault == "drifts at the largest size" and [*arrays["image"].shape[1:3]] == header["most"][1:3]:
            masks *= 1.25
        elif fault == "gives NaN":
            logits[-1] = np.nan
        elif fault == "fails above one" and len(masks) > 1:
            logits *= -1
        elif fault == "repeats its first result":
            logits[:], masks[:] = self._first.setdefault(masks.shape, (logits.copy(), masks.copy()))

    def tensors(
        self, shape: tuple[int, ...], addresses: dict[str, int], version: int
    ) -> tuple[ort.InferenceSession, dict[str, NDArray[Any]]]:
        """Return the session, and arrays over the memory of the tensors, for a run of the context."""
        if version != self._version:
            self._machine.fault("a graph runs whose context was changed since")
        self._machine.view(self._scratch, _SCRATCH)[:] = 0
        arrays = {}
        for name, address in addresses.items():
            size = shape if name == "image" else self._engine.shape_of(name, shape)
            dtype = _SIZES[self._engine.get_tensor_dtype(name).name]
            arrays[name] = self._machine.view(address, math.prod(size) * dtype.itemsize).view(dtype).reshape(size)
        return self._engine.session, arrays


def _compute(
    reference: Callable[[], IExecutionContext | None],
    version: int,
    shape: tuple[int, ...],
    addresses: dict[str, int],
    machine: Machine,
) -> None:
    context = reference()
    if context is None:
        machine.fault("a context runs after it was destroyed")
        return
    session, arrays = context.tensors(shape, addresses, version)
    arrays["logits"][:], arrays["masks"][:] = session.run(["logits", "masks"], {"image": arrays["image"]})
    context.spoil(arrays)
