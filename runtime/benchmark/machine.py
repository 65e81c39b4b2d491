"""Describes the machine that a benchmark runs on. Nothing raises; what cannot be found out is "unknown"."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

import cv2

from pem_edge.runtime.benchmark.schema import Machine
from pem_edge.runtime.machine import cpu, gpu, jetson, readers, threads, usable_cpus

_PACKAGES = (
    "pem-edge",
    "numpy",
    "opencv-python-headless",
    "pillow",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "tensorrt-rtx",
    "cuda-bindings",
)
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def describe() -> Machine:
    """Return the machine's description, with its present state in ``before``."""
    graphics, board = gpu.read(), jetson.model()
    return Machine(
        system=platform.platform(),
        cpu=cpu.name(),
        cores=os.cpu_count() or 1,
        usable_cores=usable_cpus(),
        memory_bytes=cpu.memory_bytes(),
        gpu=_gpu_name(graphics, board),
        power_mode=jetson.power_mode() if board else readers.UNKNOWN,
        versions=_versions(graphics),
        details=_details(board),
        before=state(),
    )


def state() -> dict[str, str]:
    """Return the present state: clocks, temperatures, power, load."""
    found = {"load": cpu.load(), "CPU clocks": cpu.clocks(), "temperature": cpu.temperatures()}
    if graphics := gpu.read():
        found |= {
            "GPU clock": graphics.clock,
            "GPU memory clock": graphics.memory_clock,
            "GPU temperature": graphics.temperature,
            "GPU power": graphics.power,
            "GPU performance state": graphics.state,
        }
    return found | jetson.power_and_temperatures() if jetson.model() else found


def _gpu_name(graphics: gpu.Gpu | None, board: str | None) -> str:
    if graphics is not None and graphics.name != readers.UNKNOWN:
        return graphics.name if board is None else f"{graphics.name} ({board})"
    return board or "none found"


def _versions(graphics: gpu.Gpu | None) -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    if graphics is not None:
        found["NVIDIA driver"] = graphics.driver
    if toolkit := re.search(r"CUDA Version: ([\d.]+)", readers.output(["nvidia-smi"]) or "" if graphics else ""):
        found["CUDA of the driver"] = toolkit[1]
    return found


def _details(board: str | None) -> dict[str, str]:
    chosen = threads.choose()
    found = {
        "threads of a model": f"{chosen.count}: {chosen.reason}",
        "affinity": cpu.affinity(),
        "CPU quota": cpu.quota(),
        "governor": cpu.governor(),
        "OpenCV threads": str(cv2.getNumThreads()),
        **{name: os.environ[name] for name in _THREAD_VARIABLES if name in os.environ},
    }
    return found | {"board": board, "jetson_clocks": jetson.clocks()} if board else found
