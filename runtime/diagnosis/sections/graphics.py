"""NVIDIA GPUs: whether there is one, its driver, and whether the driver knows the CUDA of the packages."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from pem_edge.runtime.diagnosis import libraries
from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings, Status
from pem_edge.runtime.installation import distributions
from pem_edge.runtime.machine import jetson, readers
from pem_edge.runtime.outside import child_process

_SECONDS = 15.0
"""Time for nvidia-smi: without its persistence mode it starts each of several GPUs first."""

_QUERY = ("--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits")
_ROOT = Path("/")
_NVIDIA, _DISPLAY = "0x10de", "0x03"
_DRIVERS = {11: "450", 12: "525", 13: "580"}
"""The first driver, of Linux, that knows a major version of CUDA (NVIDIA's CUDA compatibility guide)."""

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_GET_DRIVER = "install NVIDIA's driver (on Ubuntu: sudo ubuntu-drivers install), then restart"


def _gpus(root: Path = _ROOT) -> Findings:
    try:
        ended = child_process.run(["nvidia-smi", *_QUERY], _SECONDS)
    except OSError:
        return {"gpu": _without_tool(root)}
    if ended.code is None:
        value = f"nvidia-smi did not answer within {_SECONDS:.0f} s"
        return {"gpu": Finding(name="GPU", value=value, status="warning", cure="restart the machine")}
    rows = [[part.strip() for part in line.split(", ")] for line in ended.output.splitlines()]
    if ended.code != 0 or not rows or any(len(row) != 3 for row in rows):
        said = child_process.last_line(ended.output) or child_process.last_line(ended.errors) or "nothing"
        value = f"none answers: nvidia-smi says {said[:200]!r}"
        return {"gpu": Finding(name="GPU", value=value, status="warning", cure=_no_answer(said))}
    return dict(_describe(rows))


def _describe(rows: list[list[str]]) -> Iterator[tuple[str, Finding]]:
    for index, (name, driver, memory) in enumerate(rows):
        size = f", {int(memory) / 1024:.0f} GiB" if memory.isdecimal() else ""
        yield f"gpu_{index}", Finding(name=f"GPU {index}", value=f"{name}{size}, driver {driver}", status="ok")


def _without_tool(root: Path) -> Finding:
    """Return what there is where nvidia-smi is not on the PATH, as on older Jetsons and in many containers."""
    board = jetson.model(root)
    if board is not None:
        return Finding(name="GPU", value=f"that of the {board}", status="ok")
    if readers.text(root / "proc/driver/nvidia/version"):
        value = "NVIDIA's driver is loaded, but nvidia-smi is not on the PATH"
        cure = "in a container, start it with docker run --gpus all, from NVIDIA's container toolkit"
        return Finding(name="GPU", value=value, status="warning", cure=cure)
    if _has_card(root):
        return Finding(name="GPU", value="one of NVIDIA without a driver", status="warning", cure=_GET_DRIVER)
    return Finding(name="GPU", value="none of NVIDIA; .onnx files run on the CPU")


def _has_card(root: Path) -> bool:
    """Return whether the machine has a graphics card of NVIDIA (Linux's PCI sysfs)."""
    cards = readers.files(root / "sys/bus/pci/devices", "*/vendor")
    vendors = ((readers.text(card), readers.text(card.with_name("class")) or "") for card in cards)
    return any(vendor == _NVIDIA and kind.startswith(_DISPLAY) for vendor, kind in vendors)


def _no_answer(said: str) -> str:
    if "version mismatch" in said:
        return "restart the machine: the driver was updated while it ran"
    if "No devices" in said:
        return "check that the GPU is given to this machine or container, and look at sudo dmesg"
    return _GET_DRIVER


def _cuda() -> Findings:
    """Return what CUDA itself says, if its bindings are there, and which CUDA the packages were built for."""
    found: Findings = {}
    packages = dict(_packages())
    if packages:
        value = "; ".join(
            f"CUDA {major}: {', '.join(name for name, needed in packages.items() if needed == major)}"
            for major in sorted(set(packages.values()))
        )
        found["cuda_packages"] = Finding(name="packages for CUDA", value=value)
    known = _known_cuda()
    if known is not None:
        found["cuda"] = Finding(name="CUDA of the driver", value=known, status="ok")
        found |= _too_old(known, packages)
    return found


def _too_old(known: str, packages: Mapping[str, int]) -> Findings:
    """Return a finding if the driver is older than the CUDA of a package."""
    major = int(known.partition(".")[0])
    newer = {name: needed for name, needed in packages.items() if needed > major}
    if not newer:
        return {}
    most = max(newer.values())
    value = f"it knows CUDA {known}, which is older than that of {', '.join(newer)}"
    cure = f"update it to {_DRIVERS.get(most, 'the newest')} or later, or install the packages for CUDA {major}"
    return {"driver": Finding(name="driver too old", value=value, status="broken", cure=cure)}


def _packages() -> Iterator[tuple[str, int]]:
    """Yield the installed packages that need a certain major version of CUDA, and that version."""
    for name, version in distributions.installed().items():
        major = re.search(r"-cu(\d\d)\b", name)
        if major and name.startswith(("tensorrt", "onnxruntime")):
            yield name, int(major[1])
        elif name in ("cuda-bindings", "nvidia-cuda-nvrtc") and version[:2].isdecimal():
            yield name, int(version[:2])


def _known_cuda() -> str | None:
    """Return the newest CUDA that the driver knows, such as "12.4": as CUDA says, or else nvidia-smi."""
    if "cuda-bindings" in distributions.installed() and (answer := libraries.ask("cuda").content):
        return answer["driver"]
    with suppress(OSError):
        found = re.search(r"CUDA Version: (\d+\.\d+)", child_process.run(["nvidia-smi"], _SECONDS).output)
        return found[1] if found else None
    return None


def _hidden() -> Findings:
    """Return a finding if the environment hides the GPUs."""
    if os.environ.get(_VISIBLE, "0").strip() not in ("", "-1", "none", "NoDevFiles"):
        return {}
    value = f"{_VISIBLE} is {os.environ[_VISIBLE]!r}"
    status: Status = "warning" if shutil.which("nvidia-smi") else "info"
    return {"hidden": Finding(name="GPUs are hidden", value=value, status=status, cure=f"unset {_VISIBLE}")}


PROBES: Mapping[str, Probe] = {"gpu": _gpus, "cuda": _cuda, "hidden": _hidden}
