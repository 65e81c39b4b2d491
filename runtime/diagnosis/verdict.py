"""Sums up what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pem_edge.runtime.backends import BACKENDS
from pem_edge.runtime.diagnosis.schema import BackendFinding, Findings
from pem_edge.runtime.installation import how_to_install


def errors(sections: Mapping[str, Findings], backends: Mapping[str, BackendFinding]) -> tuple[str, ...]:
    """Return what must be repaired, one line each, with the cure."""
    return tuple(_errors(sections, backends))


def _errors(sections: Mapping[str, Findings], backends: Mapping[str, BackendFinding]) -> Iterator[str]:
    for findings in sections.values():
        for finding in findings.values():
            if finding.status == "broken":
                yield f"{finding.name} {finding.value}" + (f": {finding.cure}" if finding.cure else "")
    for name, backend in backends.items():
        if backend.status == "broken":
            yield f"backend {name} is {backend.value}: {backend.cure}"
    if not any(_is_usable(backend) for backend in backends.values()):
        yield f"no backend works here: {how_to_install('ort')}"


def verdict(sections: Mapping[str, Findings], backends: Mapping[str, BackendFinding]) -> str:
    """Return a sentence that says what this machine can run, and what it cannot."""
    broken = len(errors(sections, backends))
    runs = [*_models(backends), *_engines(backends)]
    able = f"Ready to run {' and '.join(runs)}" if runs else "Not ready: no backend works"
    missing = (
        "" if any(_is_engine(name) and _is_usable(each) for name, each in backends.items()) else _no_engines(backends)
    )
    repair = f"; to repair: {broken}, marked above" if broken else ""
    return f"{able}{missing}{repair}."


def _models(backends: Mapping[str, BackendFinding]) -> Iterator[str]:
    """Yield what of .onnx files works, with the fastest backend."""
    working = {name: each for name, each in backends.items() if each.works}
    if working:
        fastest = min(working, key=lambda name: working[name].milliseconds or 0.0)
        device = (working[fastest].device or "cpu").upper()
        yield f".onnx on the {device} ({fastest}{' is the fastest' if len(working) > 1 else ''})"


def _engines(backends: Mapping[str, BackendFinding]) -> Iterator[str]:
    usable = [name for name, each in backends.items() if _is_engine(name) and _is_usable(each)]
    if usable:
        yield f"engines of {' and '.join(usable)} on the GPU"


def _no_engines(backends: Mapping[str, BackendFinding]) -> str:
    there = any(_is_engine(name) and each.installed for name, each in backends.items())
    return "; engines cannot run here: " + (
        "no GPU can be used" if there else "neither TensorRT nor TensorRT-RTX is installed"
    )


def _is_engine(name: str) -> bool:
    return BACKENDS[name].target != "onnx"


def _is_usable(backend: BackendFinding) -> bool:
    return backend.works is True or (backend.works is None and backend.status == "ok")
