"""An engine as an artifact: beside it its manifest, the ONNX it was built from, and the plugin it needs."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import msgspec

from pem_edge.export.engine import trial
from pem_edge.export.engine.build import Built, build
from pem_edge.export.engine.machine import Machine
from pem_edge.export.engine.settings import Settings
from pem_edge.export.engine.trial import Candidate
from pem_edge.runtime.artifacts import artifact as artifacts
from pem_edge.runtime.artifacts import onnx_file, pairs
from pem_edge.runtime.artifacts.artifact import MAX_BYTES, Artifact
from pem_edge.runtime.artifacts.manifest import METADATA_KEY, Manifest, manifest_path, parse_manifest, read_manifest
from pem_edge.runtime.artifacts.provenance import NOT_VERIFIED
from pem_edge.runtime.artifacts.sections import Engine, FileHash
from pem_edge.runtime.errors import ArtifactError, ExportError, ManifestError
from pem_edge.runtime.files import make_folder, refuse_existing, remove, sha256, write_atomically
from pem_edge.runtime.outside.reading import read_bytes, reading
from pem_edge.runtime.progress import Say
from pem_edge.runtime.verification import source as reference

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


def export_engine(
    machine: Machine, source: Artifact, engine: Path, settings: Settings, say: Say, *, verify: bool = True
) -> EngineArtifact:
    """Build ``engine`` from ``source``, and write it, its manifest, and what it came from and needs.

    Where the GPU can run it, it is compared with ``source`` before anything is written.

    Args:
        machine: The machine that builds.
        source: The ONNX artifact.
        engine: The file to write.
        settings: How to build.
        say: Takes remarks on progress.
        verify: Whether to compare the engine with ``source``.

    Returns:
        What was written.

    Raises:
        ExportError: If the engine cannot be built, or has not the precision claimed.
        VerificationError: If it computes something else than ``source``.
        BackendError: If it cannot be run, or ``source`` cannot.
        OutputError: If a file cannot be written. After any error, nothing new is left.
    """
    make_folder(engine.parent)
    verify = verify and _runs_here(machine, settings)
    if verify:
        reference.load(source).close()  # what keeps it from being compared is told before the build
    built = build(machine, source, settings, say)
    onnx, layers = engine.with_name(f"{engine.stem}{source.model.suffix}"), engine.with_suffix(INSPECTION)
    manifest = _describe(machine, source.manifest, settings, built, FileHash(onnx.name, sha256(source.model)))
    if verify:
        verified = trial.run(Candidate(engine, built, manifest), source, say)
        manifest = msgspec.structs.replace(manifest, verified={**verified})
    say(f"writing {engine}")
    if built.plugin is not None:
        manifest = _with_plugin(manifest, _place(built.plugin, engine.parent))
    companions: dict[Path, pairs.Save] = {layers: partial(_write_inspection, built)} if settings.inspect else {}
    if not (onnx.exists() and onnx.samefile(source.model)):
        companions[onnx] = partial(_write_bytes, source.read_model())
    manifest = pairs.write(engine, partial(_write_bytes, built.data), manifest, companions)
    if not settings.inspect:
        remove([layers])  # of an earlier engine
    return EngineArtifact(machine.title, engine, manifest, onnx, layers if settings.inspect else None, built.seconds)


def _runs_here(machine: Machine, settings: Settings) -> bool:
    """Return whether there is a GPU that the engine is for; TensorRT-RTX builds for others, too."""
    return machine.gpu is not None and machine.gpu.compute_capability in machine.compute_capabilities(settings)


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
    verified = {trial.backend_name(machine.target): NOT_VERIFIED}
    return msgspec.structs.replace(manifest, engine=engine, built_by=built_by, verified=verified)


def _with_plugin(manifest: Manifest, plugin: FileHash) -> Manifest:
    assert manifest.engine is not None
    return msgspec.structs.replace(manifest, engine=msgspec.structs.replace(manifest.engine, plugin=plugin))


def _write_bytes(content: bytes | memoryview, path: Path) -> None:
    path.write_bytes(content)


def _write_inspection(built: Built, path: Path) -> None:
    path.write_text(json.dumps({"from": built.report.source, "layers": built.report.details}, indent=1))


def _place(plugin: Path, folder: Path) -> FileHash:
    """Copy ``plugin`` to ``folder``; beside another build of the same name, which engines there need, by a new name."""
    digest = sha256(plugin)
    target = folder / plugin.name
    if target.exists() and sha256(target) != digest:
        target = folder / f"{plugin.stem}-{digest[:12]}{plugin.suffix}"
    if not target.exists():
        with write_atomically(target, durable=True) as file:
            shutil.copyfile(plugin, file)
    return FileHash(target.name, digest)


def _is_inside(beside: Path, onnx: Path) -> bool:
    """Return whether ``onnx`` carries the manifest ``beside`` it, so that replacing that loses nothing."""
    try:
        inside = parse_manifest(_metadata(onnx)[METADATA_KEY].encode(), str(onnx))
        return msgspec.structs.replace(read_manifest(beside), model=None, verified=inside.verified) == inside
    except (KeyError, ManifestError):
        return False


def _metadata(onnx: Path) -> dict[str, str]:
    expected, cure = "an ONNX model", "export it again"
    with reading(onnx, ArtifactError, expected=expected, cure=cure):
        data = read_bytes(onnx, ArtifactError, limit=MAX_BYTES, expected=expected, cure=cure)
        return onnx_file.metadata(memoryview(data))
