"""Lists what is measured: cases, the files of each, and the contestants."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import NamedTuple


class Case(NamedTuple):
    """A variant at a size of input, which is that of the picture, too."""

    variant: str
    classes: int
    height: int
    width: int

    @property
    def size(self) -> str:
        return f"{self.height}x{self.width}"


STDC1, R50 = Case("pem-stdc1", 19, 512, 1024), Case("pem-r50", 19, 1024, 2048)
SWIN = Case("mask2former-swin-t", 133, 384, 384)
GROWTH = (STDC1._replace(height=256, width=512), STDC1, STDC1._replace(height=1024, width=2048))
ROWS = {"stdc1": (STDC1,), "r50": (R50,), "swin": (SWIN,), "growth": GROWTH}
"""Cases by what the command line calls them."""


THEIRS = "PyTorch"


class Contestant(NamedTuple):
    """One of ours: the precision of its artifact, its backend, and whether it computes in bfloat16."""

    precision: str
    backend: str
    bf16: bool = False


OURS = {
    "ONNX Runtime": Contestant("fp32", "onnxruntime"),
    "OpenVINO": Contestant("fp32", "openvino"),
    "OpenVINO, INT8": Contestant("int8", "openvino"),
    "OpenVINO, bfloat16": Contestant("fp32", "openvino", bf16=True),
    "OpenVINO, INT8 and bfloat16": Contestant("int8", "openvino", bf16=True),
}
"""Our contestants by title; bfloat16 takes part where the CPU computes in it, and was not there before."""

BEFORE = ", before"
"""The end of the titles of an older checkout's contestants."""


class Files(NamedTuple):
    """The files of a case: weights for PyTorch (for transformers a folder), artifacts, and the picture, an array."""

    weights: Path
    single: Path
    int8: Path
    picture: Path

    def artifact(self, contestant: Contestant) -> Path:
        return self.int8 if contestant.precision == "int8" else self.single

    def things(self) -> list[int]:
        """Return the classes that are things, as the artifact says."""
        classes = json.loads(self.single.with_suffix(".json").read_text())["classes"]
        return [each["id"] for each in classes if each["isthing"]]


def commit(checkout: Path) -> str:
    """Return the commit of a checkout, or "unknown" where there is no repository."""
    command = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip() or "unknown"


def files_in(folder: Path, case: Case) -> Files:
    """Return where the files of ``case`` are."""
    stem = f"{case.variant}-{case.size}"
    weights = stem if case == SWIN else f"{stem}.safetensors"
    return Files(*(folder / name for name in (weights, f"{stem}.onnx", f"{stem}-int8.onnx", f"{stem}.npy")))
