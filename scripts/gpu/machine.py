"""What the figures were measured on; what cannot be learned is "unknown"."""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version

_QUERY = (
    "name",
    "compute_cap",
    "driver_version",
    "memory.total",
    "clocks.max.sm",
    "clocks.sm",
    "power.limit",
    "mig.mode.current",
)
_PACKAGES = (
    "pem-edge",
    "torch",
    "torchvision",
    "triton",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-rtx",
    "polygraphy",
    "cuda-bindings",
    "nvidia-cuda-nvrtc",
)


def without_gpu() -> str | None:
    """Return why nothing can run here, None if something can."""
    try:
        import torch
    except ModuleNotFoundError:
        return "PyTorch is not installed: pip install torch"
    return None if torch.cuda.is_available() else "PyTorch finds no NVIDIA GPU here"


def describe() -> dict[str, str]:
    """Return the GPU, its clocks and power mode, and versions."""
    return {
        "platform": platform.platform(),
        "python": platform.python_version(),
        **_gpu(),
        "nvcc": _last_line("nvcc", "--version"),
        "nvpmodel": _last_line("nvpmodel", "-q"),
        **{package: _version(package) for package in _PACKAGES},
    }


def _gpu() -> dict[str, str]:
    values = _last_line("nvidia-smi", f"--query-gpu={','.join(_QUERY)}", "--format=csv,noheader").split(", ")
    return dict(zip(_QUERY, values, strict=True)) if len(values) == len(_QUERY) else {"name": "unknown"}


def _last_line(*command: str) -> str:
    if shutil.which(command[0]) is None:
        return "unknown"
    lines = subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip().splitlines()
    return lines[-1].strip() if lines else "unknown"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
