"""The TensorRT and the GPU that an engine is built with."""

from __future__ import annotations

import platform
from dataclasses import dataclass

from pem_edge.export.engine.settings import Settings, compute_capabilities, require, require_of_target
from pem_edge.export.engine.tensorrt import targets
from pem_edge.export.engine.tensorrt.interface import TensorRt
from pem_edge.export.engine.tensorrt.targets import TARGETS, Target
from pem_edge.runtime.backends import BACKENDS
from pem_edge.runtime.backends.cuda.driver import Gpu, call
from pem_edge.runtime.errors import BackendError, ExportError


@dataclass(frozen=True)
class Machine:
    """TensorRT's module and the GPU, None where there is none."""

    target: Target
    trt: TensorRt
    gpu: Gpu | None

    @property
    def title(self) -> str:
        """TensorRT by name and release."""
        return f"{self.target.title} {self.trt.__version__}"

    @property
    def gpu_name(self) -> str:
        """The GPU's, "none" where there is none."""
        return "none" if self.gpu is None else self.gpu.name

    def compute_capabilities(self, settings: Settings) -> tuple[str, ...]:
        """Return those that an engine built here will run on."""
        if self.target.name == "trt-rtx":
            return compute_capabilities(settings, self.trt)
        return () if self.gpu is None else (self.gpu.compute_capability,)

    @property
    def cuda_driver(self) -> str:
        """The version of CUDA that the GPU's driver is for, such as "13.2"; "none" where there is no GPU."""
        return "none" if self.gpu is None else _dotted(call("cudaDriverGetVersion"))


def prepare(name: str, settings: Settings, deform_conv: str) -> Machine:
    """Return this machine as one that builds, for the target called ``name``, an engine of a graph of that form.

    Raises ExportError if that TensorRT is not installed, has no such settings, or needs a GPU and there is none.
    """
    target = TARGETS[name]
    require_of_target(settings, target)
    instead = "" if target.name == "trt-rtx" else _rtx_instead(settings, deform_conv)
    trt = targets.load(target, instead)
    require(settings, target, trt)
    try:
        gpu = Gpu()
    except BackendError as error:
        if target.name == "trt":
            found = str(error).partition(":")[0]
            raise ExportError(
                f"TensorRT builds on the GPU that the engine is for, but {found}: export with --to onnx, and build "
                f"from that artifact on the machine with the GPU{instead}"
            ) from error
        gpu = None
    return Machine(target, trt, gpu)


def _rtx_instead(settings: Settings, deform_conv: str) -> str:
    """Return the advice to build for TensorRT-RTX, "" where it could not: it has no plugins, and is for x86-64."""
    try:
        require_of_target(settings, TARGETS["trt-rtx"])
    except ExportError:
        return ""
    fits_form = deform_conv == "auto" or deform_conv in BACKENDS["tensorrt-rtx"].deform_convs
    fits = fits_form and platform.machine() in ("x86_64", "AMD64")
    return "; for a desktop GPU, choose --to trt-rtx" if fits else ""


def _dotted(number: int) -> str:
    """Return CUDA's 13020 as "13.2"."""
    return f"{number // 1000}.{number % 1000 // 10}"
