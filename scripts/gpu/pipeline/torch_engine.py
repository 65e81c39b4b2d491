"""A network of PyTorch in the place of a TensorRT engine: the package's own pipeline, without TensorRT."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from pem_edge import __version__
from pem_edge.pem.variants import VARIANTS
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest
from pem_edge.runtime.artifacts.provenance import BuiltBy
from pem_edge.runtime.artifacts.sections import Weights
from pem_edge.runtime.backends.base import Backend, RawOutputs
from pem_edge.runtime.backends.contract import Contract
from pem_edge.runtime.backends.cuda.driver import Gpu
from pem_edge.runtime.backends.tensorrt.device.pipeline import DevicePipeline
from pem_edge.runtime.backends.tensorrt.device.stages import DeviceStages
from pem_edge.runtime.backends.tensorrt.engine.loaded import LoadedEngine
from pem_edge.runtime.backends.tensorrt.interface import ICudaEngine, IExecutionContext, Member, TensorRt
from pem_edge.runtime.datasets.toy_streets import LABELS
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline
from scripts.gpu.devices.device import Call, Device
from scripts.gpu.networks.forms import CLASSES, Case, Network

_NAMES = ("image", "logits", "masks")


class TorchEngine:
    """What the pipeline asks of TensorRT's engine, answered by a network; see `ICudaEngine` for the methods."""

    num_io_tensors = len(_NAMES)
    device_memory_size_v2 = 0
    records = False  # the context records its graph itself

    def __init__(self, network: Network, shapes: dict[str, tuple[int, ...]], device: Device) -> None:
        self._network, self._shapes, self._device = network, shapes, device

    def get_tensor_name(self, index: int) -> str:
        return _NAMES[index]

    def get_tensor_dtype(self, name: str) -> Member:
        return cast("Member", SimpleNamespace(name="UINT8" if name == _NAMES[0] else "FLOAT"))

    def get_tensor_shape(self, name: str) -> Sequence[int]:
        return self._shapes[name]

    def create(self) -> IExecutionContext:
        """Return a context, see `Contexts.create`."""
        return TorchContext(self._network, self._shapes, self._device)

    def handle_first_run(self) -> None:
        """Do nothing, see `Contexts.handle_first_run`."""

    def close(self) -> None:
        """Release the network, see `Contexts.close`."""
        del self._network


class TorchContext:
    """What the pipeline asks of TensorRT's execution context; see `IExecutionContext` for the methods."""

    def __init__(self, network: Network, shapes: dict[str, tuple[int, ...]], device: Device) -> None:
        self._network, self._shapes, self._device = network, shapes, device
        self._addresses: dict[str, int] = {}
        self._replay: Call | None = None

    def set_device_memory(self, memory: int, size: int) -> None: ...

    def set_input_shape(self, name: str, shape: Sequence[int]) -> bool:
        return tuple(shape) == self._shapes[name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def get_tensor_shape(self, name: str) -> Sequence[int]:
        return self._shapes[name]

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._device.on_stream(stream_handle, self._graph())
        return True

    def _graph(self) -> Call:
        if self._replay is None:
            image, *outputs = (
                self._device.at(self._addresses[name], self._shapes[name], np.uint8 if name == "image" else np.float32)
                for name in _NAMES
            )

            def run() -> None:
                with torch.inference_mode():
                    for output, found in zip(outputs, self._network(image), strict=True):
                        output.copy_(found)

            self._replay = self._device.graph(run)
        return self._replay


class TorchBackend(Backend):
    """A backend of the package that runs a network of PyTorch, with the pipeline that TensorRT's backend has."""

    name = "torch"

    def __init__(self, case: Case, network: Network, device: Device) -> None:
        self._network, self._on = network, device
        super().__init__(Artifact(Path(case.variant), _manifest(case)))

    def pipeline(self) -> AnyPipeline:
        """Return the pipeline that runs all stages on the GPU."""
        return DevicePipeline(self._engine, self._stages, on_host=HostPipeline.of(self))

    def _load(self, artifact: Artifact) -> None:
        spec, contract = artifact.manifest.input, Contract(artifact, self.name)
        image = (1, spec.height, spec.width, 3)
        shapes = dict(zip(_NAMES, (image, *contract.output_shapes(image)), strict=True))
        engine, gpu = TorchEngine(self._network, shapes, self._on), Gpu()
        tensorrt = cast("TensorRt", SimpleNamespace(__name__="torch"))
        self._engine = LoadedEngine(artifact, contract, gpu, tensorrt, cast("ICudaEngine", engine), engine)
        with self._engine.acquire_session() as session:
            self._stages = DeviceStages(gpu, session, artifact.manifest)

    def _run(self, images: NDArray[np.uint8]) -> RawOutputs:
        return self._engine.run(images)

    def _settings(self) -> dict[str, str | int | bool]:
        return {"pipeline": "device"}

    def _unload(self) -> None:
        self._engine.close()


def _manifest(case: Case) -> Manifest:
    return Manifest(
        variant=case.variant,
        input=InputSpec(*case.size),
        outputs={"logits": "float32", "masks": "float32"},
        queries=VARIANTS[case.variant].queries,
        classes=LABELS if case.weights == "demo" else labels.default(CLASSES),
        deform_conv="plugin",
        checkpoint=Weights("none", ""),
        built_by=BuiltBy(pem_edge=__version__),
    )
