"""NVIDIA GPUs, as nvidia-smi tells: it comes with the driver, and asks the same library (NVML) that others ask."""

from __future__ import annotations

import os
from dataclasses import dataclass

from pem_edge.runtime.machine import readers

_FIELDS = (
    "name",
    "driver_version",
    "memory.used",
    "clocks.sm",
    "clocks.mem",
    "temperature.gpu",
    "power.draw",
    "pstate",
)
_MIB = 1 << 20


@dataclass(frozen=True)
class Gpu:
    """The state of a GPU as nvidia-smi reports it, "unknown" where it does not. ``memory_used`` is in bytes."""

    name: str
    driver: str
    memory_used: int | None
    clock: str
    memory_clock: str
    temperature: str
    power: str
    state: str


def read() -> Gpu | None:
    """Return the GPU that CUDA counts as the first, None if there is none."""
    query = ["nvidia-smi", f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits", "-i", _first()]
    return parse(readers.output(query) or "")


def parse(line: str) -> Gpu | None:
    """Parse a line of ``nvidia-smi --query-gpu=... --format=csv,noheader,nounits`` with the fields of `read`."""
    values = [value.strip() for value in line.partition("\n")[0].split(", ")]
    if len(values) != len(_FIELDS):
        return None
    name, driver, memory, clock, memory_clock, temperature, power, state = map(_known, values)
    mebibytes = readers.whole(memory)
    return Gpu(
        name=name,
        driver=driver,
        memory_used=None if mebibytes is None else mebibytes * _MIB,
        clock=_with(clock, "MHz"),
        memory_clock=_with(memory_clock, "MHz"),
        temperature=_with(temperature, "°C"),
        power=_with(power, "W"),
        state=state,
    )


def memory_used() -> int | None:
    """Return bytes of the GPU's memory that are in use by all processes, None if unknown."""
    found = read()
    return None if found is None else found.memory_used


def _first() -> str:
    """Return what nvidia-smi calls the GPU that this process sees as its first."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() or "0"


def _known(value: str) -> str:
    return readers.UNKNOWN if value.startswith("[") or value in ("", "N/A") else value


def _with(value: str, unit: str) -> str:
    return value if value == readers.UNKNOWN else f"{value} {unit}"
