"""Compares an INT8 engine with an engine of the same graph without INT8, on a machine with a GPU that runs both.

Does not import PyTorch, as the rest of `pem_edge.export.engine`: a Jetson may lack it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import msgspec
import onnx
from onnx import helper

from pem_edge.export.engine.artifact import EngineArtifact, export_engine
from pem_edge.export.engine.machine import Machine
from pem_edge.export.engine.settings import Settings
from pem_edge.export.graph.int8_removal import remove_int8
from pem_edge.export.int8 import speed
from pem_edge.runtime import backends
from pem_edge.runtime.artifacts import artifact
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, manifest_path
from pem_edge.runtime.files import temporary_folder, write_atomically
from pem_edge.runtime.progress import Say


def measure_gain(machine: Machine, written: EngineArtifact, settings: Settings, say: Say) -> EngineArtifact:
    """Build the same engine without INT8, time both, and write the times to the manifest of the INT8 engine.

    Args:
        machine: The machine that builds and runs both engines; it must have a GPU.
        written: The INT8 engine.
        settings: The build settings of that engine.
        say: Takes remarks on progress.

    Returns:
        ``written`` with the times in its manifest.

    Raises:
        ExportError: If the engine without INT8 cannot be built.
        BackendError: If one of the two engines cannot run.
        OutputError: If the manifest cannot be written.
    """
    say("building the same engine without INT8, to time both")
    remainder = written.manifest.built_by.remainder
    assert remainder is not None
    with temporary_folder() as folder:
        source = folder / "floating.onnx"
        _write_without_int8(source, written, remainder)
        engine = source.with_suffix(".engine")
        floating = export_engine(machine, artifact.read(source), engine, settings, say, verify=False)
        with (
            closing(backends.create(None, artifact.read(floating.model))) as before,
            closing(backends.create(None, artifact.read(written.model))) as after,
        ):
            times = speed.time_backends({remainder: before, "int8": after})
    manifest = speed.add_times(written.manifest, times, machine.gpu_name)
    with write_atomically(manifest_path(written.model), durable=True) as file:
        file.write_bytes(manifest.to_json())
    return replace(written, manifest=manifest)


def _write_without_int8(path: Path, written: EngineArtifact, precision: str) -> None:
    """Write the ONNX model of an engine without INT8 to ``path``, with a manifest that states ``precision``."""
    model = remove_int8(onnx.load(written.source))
    manifest = artifact.read(written.source).manifest
    floating = {"precision": precision, "quantization": None, "model": None}
    floating_json = msgspec.structs.replace(manifest, **floating).to_json().decode()
    helper.set_model_props(model, {METADATA_KEY: floating_json})
    onnx.save(model, path)
