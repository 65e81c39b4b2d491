"""The sections of the check, and the packages that each needs."""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple


class Section(NamedTuple):
    """A section.

    Attributes:
        module: Its module, whose function `tasks` takes a `Bench`.
        needs: The modules that must be installed.
        on_a_gpu: Those that a dry run has stand-ins for.
    """

    module: str
    needs: tuple[str, ...]
    on_a_gpu: tuple[str, ...] = ()


_PUBLISHED = ("torchvision",)
"""The operator of the published formulation."""

SECTIONS = {
    "kernels": Section("scripts.gpu.kernel_tasks", ("torch",), _PUBLISHED),
    "networks": Section("scripts.gpu.networks.tasks", ("torch", "safetensors"), _PUBLISHED),
    "pipeline": Section("scripts.gpu.pipeline.tasks", ("torch", "safetensors"), _PUBLISHED),
    "engines": Section("scripts.gpu.engines", ("torch", "safetensors", "onnx", "onnx_ir", "onnxscript", "onnxruntime")),
    "tests": Section("scripts.gpu.gpu_tests", ("torch", "onnx", "pytest", "hypothesis")),
    "compiled": Section("scripts.gpu.networks.compiled", ("torch", "safetensors"), _PUBLISHED),
}
"""The sections by name. Last comes what takes longest."""


def obstacle(name: str, dry: bool) -> str | None:
    """Return what a section needs that is not installed, and the command that installs it; None if all is there."""
    section = SECTIONS[name]
    needed = section.needs if dry else section.needs + section.on_a_gpu
    missing = [module.replace("_", "-") for module in needed if find_spec(module) is None]
    if not missing:
        return None
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} not installed: pip install {' '.join(missing)}"
