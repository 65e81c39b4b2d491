"""The builder's settings, and a check of which ones each TensorRT supports."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal, cast

from pem_edge.export.engine.tensorrt import rtx_interface
from pem_edge.export.engine.tensorrt.interface import TensorRt
from pem_edge.export.engine.tensorrt.targets import Target
from pem_edge.runtime.errors import ExportError

HardwareCompatibility = Literal["none", "ampere+", "same-cc"]
HARDWARE_LEVELS: dict[HardwareCompatibility, str] = {
    "none": "NONE",
    "ampere+": "AMPERE_PLUS",
    "same-cc": "SAME_COMPUTE_CAPABILITY",
}
"""Their names in TensorRT's `HardwareCompatibilityLevel`."""

DEFAULT_CACHE, NO_CACHE = "auto", "none"
_AMPERE = 80


@dataclass(frozen=True)
class Settings:
    """Settings of the builder. None leaves a choice to TensorRT.

    ``workspace`` is the most memory a layer may use while it runs, in bytes; ``timing_cache`` a file, ``auto`` (one of
    the user's, for each version and GPU) or ``none``; ``compute_capability``, such as "8.6", are TensorRT-RTX's.
    """

    workspace: int | None = None
    optimization_level: int | None = None
    timing_cache: Path | Literal["auto", "none"] = "auto"
    version_compatible: bool = False
    hardware_compatible: HardwareCompatibility = "none"
    compute_capability: tuple[str, ...] = ()
    inspect: bool = False

    def changed(self) -> list[str]:
        """Return the names of the settings that differ from the defaults."""
        return [field.name for field in fields(self) if getattr(self, field.name) != field.default]


def require_of_target(settings: Settings, target: Target) -> None:
    """Raise ExportError if no release of ``target`` has what ``settings`` ask for."""
    if target.name == "trt-rtx":
        _require_of_rtx(settings)
    elif settings.compute_capability:
        raise ExportError(
            "--compute-capability is of TensorRT-RTX, TensorRT builds for the GPU that is there: leave it out, and "
            "build on the GPU that the engine is for, or add --hardware-compatible"
        )


def require(settings: Settings, target: Target, trt: TensorRt) -> None:
    """Raise ExportError if this release of TensorRT, the module ``trt``, lacks what ``settings`` ask for."""
    if target.name == "trt-rtx":
        compute_capabilities(settings, trt)
    level = HARDWARE_LEVELS[settings.hardware_compatible]
    if not hasattr(trt.HardwareCompatibilityLevel, level):
        raise ExportError(
            f"--hardware-compatible {settings.hardware_compatible} is unknown to TensorRT {trt.__version__}: choose "
            "none or ampere+, or a newer TensorRT"
        )


def compute_capabilities(settings: Settings, trt: TensorRt) -> tuple[str, ...]:
    """Return those that a TensorRT-RTX engine is to run on: as asked for, or all from Ampere on that ``trt`` knows.

    https://docs.nvidia.com/deeplearning/tensorrt-rtx/latest/inference-library/cpu-engines.html
    """
    numbers = sorted(
        int(name[2:]) for name in dir(cast("rtx_interface.TensorRt", trt).ComputeCapability) if name.startswith("SM")
    )
    known = {f"{number // 10}.{number % 10}": number for number in numbers}
    for wanted in settings.compute_capability:
        if wanted not in known:
            raise ExportError(
                f"--compute-capability {wanted or '(empty)'} is unknown to TensorRT-RTX {trt.__version__}: choose of "
                f"{', '.join(known)}, or build on a machine with that GPU, with --to trt in its place"
            )
    return settings.compute_capability or tuple(name for name, number in known.items() if number >= _AMPERE)


def _require_of_rtx(settings: Settings) -> None:
    refused = [
        (settings.version_compatible, "--version-compatible", "its engines run on the release that built them"),
        (settings.hardware_compatible != "none", "--hardware-compatible", "use --compute-capability instead"),
        (isinstance(settings.timing_cache, Path), "--timing-cache", "it times kernels on the machine where they run"),
    ]
    for given, option, why in refused:
        if given:
            raise ExportError(f"TensorRT-RTX has no {option}, {why}: leave it out")
