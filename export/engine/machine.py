"""Where an engine is built: which TensorRT, on which GPU."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

from pem_edge.export.engine import targets as flavours
from pem_edge.export.engine.settings import Settings, compute_capabilities, require
from pem_edge.export.engine.targets import FLAVOURS, Flavour
from pem_edge.runtime.backends.cuda.driver import Gpu, call
from pem_edge.runtime.errors import BackendError, ExportError


@dataclass(frozen=True)
class Machine:
    """TensorRT's module and the GPU, None where there is none."""

    flavour: Flavour
    trt: Any
    gpu: Gpu | None

    @property
    def title(self) -> str:
        """TensorRT by name and release."""
        return f"{self.flavour.title} {self.trt.__version__}"

    @property
    def gpu_name(self) -> str:
        """The GPU's, "none" where there is none."""
        return "none" if self.gpu is None else self.gpu.name

    def compute_capabilities(self, settings: Settings) -> tuple[str, ...]:
        """Those that an engine built here will run on."""
        if self.flavour.target == "trt-rtx":
            return compute_capabilities(settings, self.trt)
        return () if self.gpu is None else (self.gpu.compute_capability,)

    def versions(self) -> dict[str, str]:
        """What an engine built here depends on, for its manifest."""
        driver = "none" if self.gpu is None else _dotted(call("cudaDriverGetVersion"))
        return {
            self.flavour.module: self.trt.__version__,
            "polygraphy": version("polygraphy"),
            "gpu": self.gpu_name,
            "cuda_driver": driver,
        }


def prepare(target: str, settings: Settings) -> Machine:
    """This machine as one that builds for ``target``.

    Raises ExportError if that TensorRT is not installed, has no such settings, or needs a GPU and there is none.
    """
    flavour = FLAVOURS[target]
    trt = flavours.load(flavour)
    require(settings, flavour, trt)
    try:
        gpu = Gpu()
    except BackendError as error:
        if flavour.target == "trt":
            found = str(error).partition(":")[0]
            raise ExportError(
                f"TensorRT builds on the GPU that the engine is for, but {found}: export with --to onnx, and build "
                "from that artifact on the machine with the GPU; or choose --to trt-rtx"
            ) from error
        gpu = None
    return Machine(flavour, trt, gpu)


def _dotted(number: int) -> str:
    """CUDA's 13020 as "13.2"."""
    return f"{number // 1000}.{number % 1000 // 10}"
