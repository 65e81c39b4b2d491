"""Sums up what was found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pem_edge.runtime.backends import BACKENDS
from pem_edge.runtime.diagnosis.schema import BackendFinding, Findings
from pem_edge.runtime.installation import how_to_install


def errors(sections: Mapping[str, Findings], backends: Mapping[str, BackendFinding]) -> tuple[str, ...]:
    """Return what must be repaired, one line each, with the cure."""
    found = _broken(sections, backends)
    if not found and not any(_is_usable(backend) for backend in backends.values()):
        return (f"no backend works here -> {how_to_install('ort')}",)
    return found


def _broken(sections: Mapping[str, Findings], backends: Mapping[str, BackendFinding]) -> tuple[str, ...]:
    return (*_broken_findings(sections), *_broken_backends(backends))


def _broken_findings(sections: Mapping[str, Findings]) -> Iterator[str]:
    for findings in sections.values():
        for finding in findings.values():
            if finding.status == "broken":
                yield f"{finding.name}: {finding.value}" + (f" -> {finding.cure}" if finding.cure else "")


def _broken_backends(backends: Mapping[str, BackendFinding]) -> Iterator[str]:
    for name, backend in backends.items():
        if backend.status == "broken":
            yield f"backend {name}: {backend.value} -> {backend.cure}"


def verdict(sections: Mapping[str, Findings], backends: Mapping[str, BackendFinding]) -> str:
    """Return a sentence that says what this machine can run, and what it cannot."""
    broken = len(_broken(sections, backends))
    repair = f"; to repair: {broken}, marked above" if broken else ""
    engines = list(_engines(backends))
    runs = [*_models(backends), *engines]
    if runs:
        return f"Ready to run {' and '.join(runs)}{'' if engines else _no_engines(backends)}{repair}."
    return f"Not ready: no backend works{repair}" + ("." if broken else f" -> {how_to_install('ort')}")


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
    reason = "no GPU can be used" if there else "neither TensorRT nor TensorRT-RTX is installed"
    return f"; engines cannot run here: {reason}"


def _is_engine(name: str) -> bool:
    return BACKENDS[name].target != "onnx"


def _is_usable(backend: BackendFinding) -> bool:
    return backend.works is True or (backend.works is None and backend.status == "ok")
