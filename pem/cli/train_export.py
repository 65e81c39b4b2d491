"""The end of ``pem-train``: an ONNX model of the weights, exported by ``pem-export`` in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.installation import how_to_install
from pem_edge.runtime.progress import Say
from pem_edge.runtime.versioned_json import JsonObject

_NEEDED = ("onnx", "onnx_ir", "onnxruntime", "onnxscript")
"""Modules that an export needs beyond what training does."""

_MODULE = "pem_edge.export.cli.export"
"""Name of the command's module, which is not imported: exports are built on models, not models on exports."""


def export_options(weights: Path) -> Sequence[str]:
    """Return the options of ``pem-export`` for the weights of a run."""
    return ["--weights", str(weights), "--to", "onnx", "-o", str(weights.parent)]


def export(weights: Path, say: Say) -> JsonObject | None:
    """Export weights beside their file and return what ``pem-export --json`` prints; None if it is not installed.

    Raises:
        TrainingError: If the export fails; it has said why.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        say(f"no ONNX model is written, as {missing[0]} is not installed: {how_to_install('export')}")
        return None
    command = [sys.executable, "-m", _MODULE, *export_options(weights), "--overwrite", "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise TrainingError(f"{weights} is complete, but its export failed: see above, and mend what it names")
    report: JsonObject = json.loads(done.stdout)
    return report
