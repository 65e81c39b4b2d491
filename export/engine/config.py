"""The builder's configuration: sizes, limits, timing cache."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from typing import cast

from pem_edge.export.engine.machine import Machine
from pem_edge.export.engine.network import Parsed
from pem_edge.export.engine.settings import HARDWARE_LEVELS, Settings
from pem_edge.export.engine.tensorrt import rtx_interface
from pem_edge.export.engine.tensorrt.interface import Builder, IBuilderConfig
from pem_edge.runtime import files
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.errors import OutputError


def create(machine: Machine, parsed: Parsed, spec: InputSpec, settings: Settings, monitor: object) -> IBuilderConfig:
    """Return an `IBuilderConfig` for a network that takes ``spec``, which reports to ``monitor``.

    TF32 stays off: its products keep no more digits than half precision's, which is what the islands are there for.
    """
    from polygraphy.backend.trt import CreateConfig, Profile

    least, usual, most = ((*shape, 3) for shape in spec.shapes())
    trt, workspace, level = machine.trt, settings.workspace, settings.hardware_compatible
    creator = CreateConfig(
        profiles=[Profile().add(spec.name, min=least, opt=usual, max=most)],
        tf32=False,
        memory_pool_limits=None if workspace is None else {trt.MemoryPoolType.WORKSPACE: workspace},
        builder_optimization_level=settings.optimization_level,
        load_timing_cache=_usable(parsed.builder, timing_cache(machine, settings)),
        version_compatible=settings.version_compatible,
        exclude_lean_runtime=settings.version_compatible,  # it is code, which our runtime would refuse to run
        hardware_compatibility_level=None
        if level == "none"
        else getattr(trt.HardwareCompatibilityLevel, HARDWARE_LEVELS[level]),
        profiling_verbosity=trt.ProfilingVerbosity.DETAILED,
        progress_monitor=monitor,
    )
    config: IBuilderConfig = creator(parsed.builder, parsed.network)
    if settings.compute_capability:
        rtx, rtx_config = cast("rtx_interface.TensorRt", trt), cast("rtx_interface.IBuilderConfig", config)
        _set_compute_capabilities(rtx, rtx_config, settings.compute_capability)
    return config


def timing_cache(machine: Machine, settings: Settings) -> Path | None:
    """Return the file with the times of kernels measured before, of one release and one GPU; None for none."""
    if machine.target.name == "trt-rtx" or machine.gpu is None or settings.timing_cache == "none":
        return None
    if isinstance(settings.timing_cache, Path):
        return settings.timing_cache
    gpu = machine.gpu
    parts = f"{machine.target.module} {machine.trt.__version__} {gpu.name} {gpu.compute_capability}"
    return files.cache_folder() / "timing" / f"{re.sub(r'[^a-zA-Z0-9.]+', '-', parts)}.cache"


def keep_times(machine: Machine, settings: Settings, config: IBuilderConfig) -> None:
    """Write the times measured by the build that ``config`` was for. Without them the next build is slower, no more."""
    path = timing_cache(machine, settings)
    if path is not None:
        with suppress(OutputError), files.write_atomically(path, durable=True) as file:
            file.write_bytes(memoryview(config.get_timing_cache().serialize()))


def _usable(builder: Builder, cache: Path | None) -> str | None:
    """Return the file's name, if it exists and TensorRT understands it."""
    if cache is None or not cache.is_file():
        return None
    understood = builder.create_builder_config().create_timing_cache(cache.read_bytes())
    return None if understood is None else str(cache)


def _set_compute_capabilities(
    trt: rtx_interface.TensorRt, config: rtx_interface.IBuilderConfig, wanted: tuple[str, ...]
) -> None:
    config.num_compute_capabilities = len(wanted)
    for index, capability in enumerate(wanted):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{capability.replace('.', '')}"), index)
