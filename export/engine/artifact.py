"""An engine as an artifact: beside it its manifest, the ONNX it was built from, and the plugin it needs."""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec

from pem_edge.export.engine.build import Built, build
from pem_edge.export.engine.machine import Machine
from pem_edge.export.engine.settings import Settings
from pem_edge.runtime.artifacts import artifact as artifacts
from pem_edge.runtime.artifacts import onnx_file
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, Manifest, manifest_path, parse_manifest, read_manifest
from pem_edge.runtime.artifacts.sections import Engine, FileHash
from pem_edge.runtime.backends.tensorrt import plugins
from pem_edge.runtime.errors import ArtifactError, ExportError, ManifestError
from pem_edge.runtime.files import exclusively, make_folder, refuse_existing, sha256, write_atomically, write_together
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.progress import Say

INSPECTION = ".layers.json"


@dataclass(frozen=True)
class EngineArtifact:
    """A written engine: its model file, its manifest, the ONNX beside it, and the list of layers if requested."""

    title: str
    model: Path
    manifest: Manifest
    source: Path
    inspection: Path | None
    seconds: float


def read_source(path: Path) -> Artifact:
    """Return the ONNX artifact to build from.

    Raises:
        ArtifactError: If the file is not an artifact.
        ExportError: If it carries no manifest.
    """
    artifact = artifacts.read(path)
    if METADATA_KEY not in _metadata(path):
        raise ExportError(f"{path} carries no manifest, which an engine's will replace beside it: export it again")
    return artifact


def refuse_overwriting(source: Path, engine: Path) -> None:
    """Raise OutputError if building ``engine`` from ``source`` would replace what is found nowhere else."""
    refuse_existing(engine)
    beside = manifest_path(engine)
    copy = engine.with_name(f"{engine.stem}{source.suffix}")
    if copy.exists() and not copy.samefile(source):
        refuse_existing(copy)
    if beside.exists() and not _is_inside(beside, source):
        refuse_existing(beside)


def refuse_another_plugin(machine: Machine, source: Manifest, engine: Path) -> None:
    """Raise OutputError if ``engine`` would bring a build of our plugin that replaces one which engines there need."""
    library = plugins.find(machine.trt.__version__) if source.deform_conv == "plugin" else None
    if library is not None and (there := engine.with_name(library.name)).exists() and sha256(there) != sha256(library):
        refuse_existing(there)


def export_engine(machine: Machine, source: Artifact, engine: Path, settings: Settings, say: Say) -> EngineArtifact:
    """Build ``engine`` from ``source``, and write it, its manifest, and what it came from and needs.

    Args:
        machine: The machine that builds.
        source: The ONNX artifact.
        engine: The file to write.
        settings: How to build.
        say: Takes remarks on progress.

    Returns:
        What was written.

    Raises:
        ExportError: If the engine cannot be built, or has not the precision claimed.
        OutputError: If a file cannot be written. After any error, nothing new is left.
    """
    make_folder(engine.parent)
    with exclusively(manifest_path(engine), "an export"):
        built = build(machine, source, settings, say)
        say(f"writing {engine}")
        return _write(machine, source, engine, settings, built)


def _write(machine: Machine, source: Artifact, engine: Path, settings: Settings, built: Built) -> EngineArtifact:
    onnx = engine.with_name(f"{engine.stem}{source.model.suffix}")
    if built.plugin is not None:
        _copy(built.plugin, engine.with_name(built.plugin.name))
    described = _describe(machine, source.manifest, settings, built, FileHash(onnx.name, sha256(source.model)))
    manifest = msgspec.structs.replace(described, model=FileHash(engine.name, hashlib.sha256(built.data).hexdigest()))
    contents: dict[Path, bytes | memoryview] = {engine: built.data, manifest_path(engine): manifest.to_json()}
    if not (onnx.exists() and onnx.samefile(source.model)):
        contents[onnx] = source.read_model()
    if settings.inspect:
        inspection = {"from": built.report.source, "layers": built.report.details}
        contents[engine.with_suffix(INSPECTION)] = json.dumps(inspection, indent=1).encode()
    with write_together(list(contents)) as files:
        for file, content in zip(files, contents.values(), strict=True):
            file.write_bytes(content)
    listed = engine.with_suffix(INSPECTION) if settings.inspect else None
    return EngineArtifact(machine.title, engine, manifest, onnx, listed, built.seconds)


def _describe(machine: Machine, manifest: Manifest, settings: Settings, built: Built, source: FileHash) -> Manifest:
    engine = Engine(
        target=machine.target.name,
        version=machine.trt.__version__,
        gpu=machine.gpu_name,
        compute_capabilities=machine.compute_capabilities(settings),
        source=source,
        plugin=None if built.plugin is None else FileHash(built.plugin.name, sha256(built.plugin)),
        version_compatible=settings.version_compatible,
        hardware_compatible=settings.hardware_compatible,
        layers=built.report.counts(),
    )
    level = settings.optimization_level
    built_by = msgspec.structs.replace(
        manifest.built_by,
        **{machine.target.module: machine.trt.__version__},
        polygraphy=version("polygraphy"),
        gpu=machine.gpu_name,
        cuda_driver=machine.cuda_driver,
        workspace="all" if settings.workspace is None else str(settings.workspace),
        optimization_level="default" if level is None else str(level),
        layers_from=built.report.source,
    )
    return msgspec.structs.replace(manifest, engine=engine, built_by=built_by)


def _copy(source: Path, target: Path) -> None:
    if target.exists() and target.samefile(source):
        return
    with write_atomically(target) as file:
        shutil.copyfile(source, file)


def _is_inside(beside: Path, onnx: Path) -> bool:
    """Return whether ``onnx`` carries the manifest ``beside`` it, so that replacing that loses nothing."""
    try:
        inside = parse_manifest(_metadata(onnx)[METADATA_KEY].encode(), str(onnx))
        return msgspec.structs.replace(read_manifest(beside), model=None) == inside
    except (KeyError, ManifestError):
        return False


def _metadata(onnx: Path) -> dict[str, str]:
    with reading(onnx, ArtifactError, expected="an ONNX model", cure="export it again"):
        return onnx_file.metadata(memoryview(onnx.read_bytes()))
