"""A Jetson: its release of L4T and JetPack, its power mode and clocks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings
from pem_edge.runtime.machine import jetson, readers

_ROOT = Path("/")


def _board(root: Path = _ROOT) -> Findings:
    release = _release(readers.text(root / "etc/nv_tegra_release") or "")
    board = jetson.model(root)
    if board is None and release is None:
        return {}
    mode, clocks = jetson.power_mode(), jetson.clocks()
    return {
        "board": Finding(name="board", value=board or "unknown", status="ok"),
        "l4t": Finding(name="L4T", value=release or "unknown: there is no /etc/nv_tegra_release"),
        "jetpack": _jetpack(),
        "power_mode": Finding(
            name="power mode",
            value=mode,
            cure=None if mode.startswith("MAXN") else "for full speed, sudo nvpmodel -m 0",
        ),
        "clocks": Finding(
            name="clocks",
            value="unknown: jetson_clocks only tells root" if clocks == readers.UNKNOWN else clocks,
            cure="for steady times, sudo jetson_clocks" if clocks == "not locked" else None,
        ),
    }


def _jetpack() -> Finding:
    version = readers.output(["dpkg-query", "--showformat=${Version}", "--show", "nvidia-jetpack"])
    if version is None:
        value = "its package nvidia-jetpack is not installed"
        cure = "for TensorRT and CUDA, sudo apt install nvidia-jetpack"
        return Finding(name="JetPack", value=value, cure=cure)
    return Finding(name="JetPack", value=version, status="ok")


def _release(text: str) -> str | None:
    """Return the release in /etc/nv_tegra_release: "36.4.3" of ``# R36 (release), REVISION: 4.3, ...``."""
    found = re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else None


PROBES: Mapping[str, Probe] = {"board": _board}
