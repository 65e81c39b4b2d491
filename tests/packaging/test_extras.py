"""Each extra brings all that the commands it is for import."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED = """
import re, sys
from importlib import metadata

def required(name, extras=()):
    for line in metadata.requires(name) or ():
        wanted, _, marker = line.partition(";")
        extra = re.search(r"extra == ['\\"]([\\w-]+)['\\"]", marker)
        if extra is None or extra[1] in extras:
            yield re.match(r"[\\w.-]+", wanted)[0].lower().replace("_", "-")

allowed, todo = set(), ["pem-edge", *required("pem-edge", {EXTRAS!r})]
while todo:
    name = todo.pop()
    if name not in allowed:
        allowed.add(name)
        try:
            todo += required(name)
        except metadata.PackageNotFoundError:
            pass  # for another platform

class Blocker:
    def find_spec(self, name, path=None, target=None):
        owners = {owner.lower().replace("_", "-") for owner in owned.get(name, ())}
        if owners and not owners & allowed:
            raise ModuleNotFoundError(f"{name} does not come with the extras", name=name)

owned = metadata.packages_distributions()
sys.meta_path.insert(0, Blocker())
"""


@pytest.mark.parametrize(
    ("extras", "modules"),
    [
        ((), "runtime.cli.run runtime.cli.eval runtime.cli.bench export.cli.export"),
        (("trt",), "export.engine.artifact export.engine.build export.engine.machine export.int8.engine_timing"),
        (("trt-rtx",), "export.engine.artifact export.engine.build export.engine.machine export.int8.engine_timing"),
        (("export",), "export.artifact export.int8.quantize export.parity pem.checkpoints.hub"),
        (("train",), "pem.cli.train pem.training.trainer"),
    ],
)
def test_an_extra_brings_what_its_commands_import(extras: tuple[str, ...], modules: str) -> None:
    done = imported(extras, [f"pem_edge.{module}" for module in modules.split()])
    assert done.returncode == 0, done.stderr


def test_what_no_extra_brings_is_missed() -> None:
    assert "onnx_ir does not come with the extras" in imported((), ["onnx_ir"]).stderr


def imported(extras: tuple[str, ...], modules: list[str]) -> subprocess.CompletedProcess[str]:
    """Import modules where only what the package requires with these extras can be imported."""
    program = BLOCKED.replace("{EXTRAS!r}", repr(extras)) + f"import {', '.join(modules)}\n"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
