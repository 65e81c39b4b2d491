"""Reports of written artifacts: lines for people, and an object for ``--json``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from pem_edge.export.cli.next_step import after_export
from pem_edge.export.int8 import gain
from pem_edge.pem import public_weights
from pem_edge.runtime.artifacts.manifest import Manifest, manifest_path
from pem_edge.runtime.artifacts.provenance import Verification
from pem_edge.runtime.datasets.toy_streets.classes import are_of_toys
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.verification.differences import pixels_that_agree
from pem_edge.runtime.verification.verify import Outcome
from pem_edge.runtime.versioned_json import JsonObject

if TYPE_CHECKING:
    from pem_edge.export.engine.artifact import EngineArtifact

_INT8 = ("agreement", "pq", "miou", "share_of_all", "milliseconds", "timed_in")
"""Attributes of an INT8 model's quantization that are printed; the manifest has all of them."""


def report(model: Path, manifest: Manifest) -> JsonObject:
    """Return the report of an ONNX artifact, as ``--json`` prints it; "int8" only where it is in INT8."""
    found = manifest.quantization
    quantized = {} if found is None else {"int8": {key: getattr(found, key) for key in _INT8}}
    parity = msgspec.to_builtins(manifest.parity)
    return {"model": str(model), "manifest": str(manifest_path(model)), "parity": parity, **quantized}


def report_engine(written: EngineArtifact) -> JsonObject:
    """Return the report of an engine, as ``--json`` prints it."""
    found = {} if written.inspection is None else {"layers": str(written.inspection)}
    return {
        **report(written.model, written.manifest),
        "onnx": str(written.source),
        "verified": msgspec.to_builtins(written.manifest.verified),
        "engine": {**msgspec.to_builtins(written.manifest.engine), "seconds": round(written.seconds, 3)},
        **found,
    }


def of_model(output: Path, manifest: Manifest) -> str:
    """Return lines about an ONNX artifact: its files, what is proved of it, the weights' license, and what is next."""
    return "\n".join(
        [_files(output), *_parity(manifest), *_quality(manifest), *_license(manifest), after_export(output, manifest)]
    )


def of_engine(written: EngineArtifact) -> str:
    """Return lines about an engine: its files, build, and layers, and the parity of the ONNX it was built from."""
    engine = written.manifest.engine
    assert engine is not None
    layers = ", ".join(f"{count} {name}" for name, count in engine.layers.items())
    place = "without a GPU" if engine.gpu == "none" else f"on {engine.gpu}"
    lines = [
        f"{_files(written.model)}, built from {written.source}",
        f"{written.title} took {written.seconds:.1f} s {place}; the engine is for compute capability "
        f"{', '.join(engine.compute_capabilities)}",
        f"layers by type, as listed by the {written.manifest.built_by.layers_from}: {layers}",
    ]
    proved = [*_parity(written.manifest), *_quality(written.manifest), *_license(written.manifest)]
    return "\n".join([*lines, *proved, *_verified(written)])


def report_verification(model: Path, found: Outcome) -> JsonObject:
    """Return the report of a verification, as ``--json`` prints it."""
    return {"model": str(model), "verified": {found.backend: msgspec.to_builtins(found.verification)}}


def of_verification(model: Path, found: Outcome) -> str:
    """Return a line about a verification that was passed."""
    return f"{model} is verified in {found.place}, {_figures(found.verification)}"


def _files(model: Path) -> str:
    return f"{model} ({model.stat().st_size / 1e6:.1f} MB), manifest {manifest_path(model)}"


def _verified(written: EngineArtifact) -> Iterator[str]:
    for found in written.manifest.verified.values():
        if isinstance(found, str):
            following = shlex.join(["pem-export", "--verify", str(written.model)])
            yield f"the engine is {found}; next, on the machine where it will run: {following}"
        else:
            yield f"the engine is verified on {found.gpu}, {_figures(found)}"
            yield after_export(written.model, written.manifest)


def _figures(found: Verification) -> str:
    parity = found.parity
    return (
        f"against the ONNX in {found.reference}: {parity.within_tolerance} of {parity.images} images within tolerance, "
        f"at {plural(len({each.size for each in parity.each}), 'size')} and each slot of the batch; largest "
        f"difference {parity.worst.logits:.1e} in class logits, {parity.worst.masks:.1e} in mask logits; "
        f"{pixels_that_agree(parity.worst.agreement)}"
    )


def _parity(manifest: Manifest) -> Iterator[str]:
    if manifest.quantization is not None:
        yield f"before it was quantized, the ONNX gave the checkpoint's results in {' and '.join(manifest.parity)}"
        return
    for name, result in manifest.parity.items():
        yield (
            f"parity of the ONNX in {name}: {result.within_tolerance} of {result.images} images within tolerance"
            f"; median difference {result.median.logits:.1e} in class logits, {result.median.masks:.1e} in "
            f"mask logits; {pixels_that_agree(result.worst.agreement)}"
        )


def _quality(manifest: Manifest) -> Iterator[str]:
    if manifest.quantization is not None:
        yield gain.verdict(manifest)
        yield from gain.advice(manifest)


def _license(manifest: Manifest) -> Iterator[str]:
    known = public_weights.LICENSES.get(manifest.checkpoint.license or "")
    if known is None and not are_of_toys(manifest.classes):
        yield "nothing says under which license the weights are: whoever trained them knows"
    elif known is not None:
        use = "free for commercial use" if known.commercial else "not for commercial use"
        yield f"the weights are under {known.name}, {use}: {known.url}"
