"""The base class of backends, which checks the inputs and outputs of a loaded model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import RLock
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.backends import forks
from pem_edge.runtime.backends.contract import Contract, Shape
from pem_edge.runtime.backends.cuda import device_arrays
from pem_edge.runtime.backends.cuda.device_arrays import Images
from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.inference.backend import BareModel, Device
from pem_edge.runtime.inference.host_pipeline import HostPipeline
from pem_edge.runtime.inference.paired_pipeline import PairedPipeline
from pem_edge.runtime.inference.pipeline import AnyPipeline
from pem_edge.runtime.inference.profiled_nodes import Nodes

BatchOutputs = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4) of a batch."""

RawOutputs = tuple[NDArray[np.generic], NDArray[np.generic]]
"""Class logits and mask logits of a batch, in the types that the library returns."""


class Backend(ABC):
    """An artifact loaded by an inference library.

    Several threads may call a backend at the same time; each call returns arrays of its own.

    A new backend implements `_load`, `_run` and `_unload`, and gets a row in `backends.BACKENDS`. To offer more, it
    overrides `gpu`, `profile`, `open_bare`, `pipeline`, `stream_pipeline` and `_settings`.

    Args:
        artifact: The model and its manifest.
        settings: How the backend may use the machine; None for the defaults.

    Raises:
        BackendError: If the library cannot load the model or compute as asked, or the model differs from its manifest.
    """

    name: ClassVar[str]
    has_bf16: ClassVar[bool] = False

    def __init__(self, artifact: Artifact, settings: Settings | None = None) -> None:
        self.artifact = artifact
        self._contract = Contract(artifact, self.name)
        self._asked = settings or Settings()
        if self._asked.bf16 and not self.has_bf16:
            raise BackendError(f"{self.name} does not compute in bfloat16: leave bf16 out, or use openvino")
        with self._contract.wrap_errors("load"):
            self._load(artifact)
        self._closed = self._forked = False
        self._changing = RLock()  # held while anything is loaded again, or freed
        forks.watch(self)

    def __reduce__(self) -> tuple[type[Backend], tuple[Artifact, Settings]]:
        """Return what is pickled: the process that gets it loads the artifact again, from where it is."""
        self._require_open()
        return type(self), (self.artifact, self._asked)

    def __call__(self, images: Images) -> BatchOutputs:
        """Run a batch.

        Args:
            images: RGB uint8 (N, H, W, 3). Some backends also take arrays on the GPU, see `device_arrays`.

        Returns:
            Class logits (N, Q, K+1) and mask logits (N, Q, H/4, W/4), float32, in host memory.

        Raises:
            BackendError: If the library fails, or the outputs differ from the manifest's shapes.
        """
        self._require_open()
        with self._contract.wrap_errors("run"):
            run = self._run_on_gpu if device_arrays.on_gpu(images) else self._run_on_host
            try:
                outputs, shape = run(images)
            except AttributeError:
                self._require_open()  # another thread may have closed it meanwhile
                raise
        self._contract.require_outputs((outputs[0].shape, outputs[1].shape), shape)
        return outputs[0].astype(np.float32, copy=False), outputs[1].astype(np.float32, copy=False)

    @property
    def device(self) -> Device:
        """The device that the model runs on."""
        return "cpu" if self.gpu is None else "gpu"

    @property
    def gpu(self) -> str | None:
        """The name of the GPU that the model runs on; None for the CPU. A backend that uses a GPU overrides this."""
        return None

    def pipeline(self) -> AnyPipeline:
        """Return the stages from an image to its panoptic map."""
        return HostPipeline.of(self)

    def stream_pipeline(self) -> PairedPipeline | None:
        """See `inference.backend.SegmenterBackend.stream_pipeline`."""
        self._require_open()
        return None

    def profile(self, images: NDArray[np.uint8], runs: int) -> Nodes:  # noqa: ARG002
        """Time the nodes of the model, see `inference.backend.SegmenterBackend.profile`."""
        raise BackendError(f"{self.name} does not report the time of each layer: leave the profile out")

    def open_bare(self, model: bytes) -> BareModel:  # noqa: ARG002
        """Load an ONNX model without a manifest, see `inference.backend.SegmenterBackend.open_bare`."""
        raise BackendError(f"{self.name} runs no models but exported ones: leave the rates out")

    def settings(self) -> dict[str, str | int | bool]:
        """Return the settings in force, by name, for reports.

        Raises:
            BackendError: If the backend is closed.
        """
        self._require_open()
        return self._settings()

    def close(self) -> None:
        """Free the model; later calls raise BackendError. May be called more than once."""
        with self._changing:
            if not self._closed:
                self._closed = True
                self._unload()

    def on_fork(self) -> None:
        """Leave what was loaded alone, as this process was just forked from the one that loaded it.

        If the model runs on the CPU, it is loaded again when it is used. A GPU cannot be used in a forked process.
        """
        forks.keep_forever(vars(self).copy())
        self._changing = RLock()  # which another thread may have held
        self._forked = not self._closed
        if self._forked and self._stays_behind():
            self._closed = self._contract.forked = True

    @abstractmethod
    def _load(self, artifact: Artifact) -> None:
        """Load the model, and check the names of its inputs and outputs."""

    @abstractmethod
    def _run(self, images: NDArray[np.uint8]) -> RawOutputs:
        """Run a batch, uint8 (N, H, W, 3), contiguous in host memory."""

    def _run_on_host(self, images: Images) -> tuple[RawOutputs, Shape]:
        batch = np.ascontiguousarray(images)
        self._contract.require_images(batch.shape, batch.dtype)
        return self._run(batch), batch.shape

    def _run_on_gpu(self, images: Images) -> tuple[RawOutputs, Shape]:  # noqa: ARG002
        """Run a batch that is on a GPU, and return the outputs and the shape of the batch."""
        raise BackendError(f"{self.name} takes images in host memory, these are on a GPU: copy them to the host first")

    @abstractmethod
    def _unload(self) -> None:
        """Free the model; called once, while nothing is loaded again."""

    def _stays_behind(self) -> bool:
        """Return whether a forked process cannot use the model; asked there, so libraries must not be called."""
        return False

    def _settings(self) -> dict[str, str | int | bool]:
        return {}

    def _require_open(self) -> None:
        if self._forked:
            self._load_after_fork()
        if self._closed:
            raise self._contract.closed()

    def _load_after_fork(self) -> None:
        with self._changing, self._contract.wrap_errors("load"):
            if self._forked and not self._closed:
                self._load(self.artifact)
            self._forked = False
