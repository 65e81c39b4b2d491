"""Finds out which backends work, and why the others do not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from pem_edge.runtime import backends
from pem_edge.runtime.backends import BACKENDS, Row
from pem_edge.runtime.diagnosis import libraries, onnxruntimes
from pem_edge.runtime.diagnosis.asking import Answer
from pem_edge.runtime.diagnosis.schema import BackendFinding
from pem_edge.runtime.diagnosis.trials import demo_run
from pem_edge.runtime.installation import distributions, how_to_install

_REFERENCE = "onnxruntime"
_LEAST_CORRECT, _LEAST_AGREEMENT = 0.8, 0.95
"""Fractions of pixels below which a backend computes something else than it should."""

_FILES = {"onnx": ".onnx files", "trt": "engines of TensorRT", "trt-rtx": "engines of TensorRT-RTX"}


class _Reference(NamedTuple):
    """The first backend that works, with which the others are compared."""

    name: str
    outcome: demo_run.Outcome


def examine() -> dict[str, BackendFinding]:
    """Return what was found out about each backend, in the order of `BACKENDS`. Nothing is raised."""
    found = dict(_untried())
    names = sorted(BACKENDS.keys() - found.keys(), key=lambda name: (name != _REFERENCE, list(BACKENDS).index(name)))
    reference: _Reference | None = None
    for name in names:
        outcome = demo_run.try_backend(name)
        found[name] = _judge(BACKENDS[name], outcome, reference)
        if reference is None and found[name].works and outcome.content is not None:
            reference = _Reference(name, outcome.content)
    return {name: found[name] for name in BACKENDS}


def _untried() -> Iterator[tuple[str, BackendFinding]]:
    """Yield the backends that cannot be tried, or are not."""
    for name, row in BACKENDS.items():
        try:
            found = _obstacle(name, row)
        except Exception as error:
            reason = f"could not be found out ({type(error).__name__}: {error})"
            found = BackendFinding(status="warning", value=reason)
        if found is not None:
            yield name, found


def _obstacle(name: str, row: Row) -> BackendFinding | None:
    """Return why a backend is not tried; None if it is to be."""
    if name not in backends.available():
        what = f"for {_FILES[row.target]}" if row.library is None else "for .onnx files on GPUs, by TensorRT"
        return BackendFinding(status="info", value=f"not installed; {what}", cure=backends.how_to_add(row))
    if (missing := libraries.broken_base()) is not None:
        value = f"installed; not tried, as {missing} cannot be imported"
        return BackendFinding(status="warning", value=value, cure="repair that first", installed=True)
    answer = libraries.ask(row.needs) if row.needs in libraries.QUESTIONS else None
    if answer is not None and answer.content is None:
        value = f"installed, but cannot be imported ({answer.failure})"
        return BackendFinding(status="broken", value=value, cure=_reinstall(row), installed=True, works=False)
    version = _version(row)
    if row.library is not None:
        value, cure = (
            "installed; not tried, as it builds an engine for minutes",
            f"pem-run demo demo:street --backend {name}",
        )
        return BackendFinding(status="info", value=value, cure=cure, installed=True, version=version)
    return None if row.target == "onnx" else _engines(row, version)


def _engines(row: Row, version: str | None) -> BackendFinding:
    """Return whether engines can run here; none comes with the package, as each is for one kind of GPU."""
    if "cuda-bindings" not in distributions.installed():
        value = f"{version} is installed, but cuda-bindings is not"
        return BackendFinding(
            status="warning", value=value, cure=how_to_install(row.extra), installed=True, version=version
        )
    cuda = libraries.ask("cuda")
    if cuda.content is None:
        value = f"{version} can be imported, but {_reason(cuda.failure)}"
        return BackendFinding(status="info", value=value, installed=True, version=version)
    value = f"{version}, {cuda.content['gpu']} of compute capability {cuda.content['compute_capability']}; not tried"
    build = f"pem-export --weights demo --to {row.target} -o out"
    cure = f"to try it, {build} && pem-run out/pem-nano.engine demo:street --verify"
    return BackendFinding(status="ok", value=value, cure=cure, installed=True, version=version, device="gpu")


def _judge(row: Row, answer: Answer[demo_run.Outcome], reference: _Reference | None) -> BackendFinding:
    """Return what a run of the demo model says of a backend."""
    outcome = answer.content
    base = BackendFinding(status="broken", value="", installed=True, version=_version(row), works=False)
    if outcome is None or answer.failure is not None:
        value = f"{base.version}, failed to run the demo model: {answer.failure}"
        return replace(base, value=value, cure=_reinstall(row))
    measured = _measured(base, outcome, reference)
    differs = measured.agreement is not None and measured.agreement < _LEAST_AGREEMENT
    if differs or outcome.correct < _LEAST_CORRECT:
        value = f"{measured.value}: it computes something else"
        return replace(measured, value=value, cure="report this, with pem-doctor --json")
    return replace(measured, works=True, **_remark(row, outcome, measured.value))


def _measured(base: BackendFinding, outcome: demo_run.Outcome, reference: _Reference | None) -> BackendFinding:
    """Return ``base`` with the figures of a run, and a description of them."""
    agreement = None if reference is None else outcome.agreement(reference.outcome)
    speed = f"{outcome.milliseconds:.0f} ms per image of 256x512 on the {outcome.device.upper()}"
    right = f"{outcome.correct:.1%} of pixels right (expected: {_LEAST_CORRECT:.0%} or more)"
    like = "" if reference is None else f", {agreement:.1%} the same as {reference.name}"
    return replace(
        base,
        value=f"{base.version}, {speed}; {right}{like}",
        device=outcome.device,
        milliseconds=outcome.milliseconds,
        correct=outcome.correct,
        agreement=agreement,
    )


def _remark(row: Row, outcome: demo_run.Outcome, value: str) -> dict[str, str]:
    """Return status, value and cure of a backend that works, perhaps not as well as it could."""
    for_gpu = row.needs == "onnxruntime" and "onnxruntime-gpu" in distributions.installed()
    if for_gpu and outcome.device == "cpu" and libraries.ask("cuda").content is not None:
        overwritten = len(distributions.onnxruntimes()) > 1
        reason = "another onnxruntime overwrote it" if overwritten else "CUDA or cuDNN cannot be loaded"
        cure = onnxruntimes.keep_one() if overwritten else "pip install 'onnxruntime-gpu[cuda,cudnn]'"
        remark = f"{value}; onnxruntime-gpu does not use the GPU: {reason}"
        return {"status": "warning", "value": remark, "cure": cure}
    version = _version(row) or ""
    for needed in distributions.requirements(row.extra):
        if distributions.normalized(row.needs) == needed.name and not needed.is_met_by(version):
            remark = f"{value}; needed is {needed.versions}"
            return {"status": "warning", "value": remark, "cure": f"pip install '{needed.name}{needed.versions}'"}
    return {"status": "ok"}


def _version(row: Row) -> str | None:
    answer = libraries.ask(row.needs).content if row.needs in libraries.QUESTIONS else None
    return None if answer is None else answer["version"]


def _reinstall(row: Row) -> str:
    """Return the command that installs a library again; of several that share a folder, one instead of all."""
    builds = distributions.onnxruntimes() if row.needs == distributions.ONNXRUNTIME else {}
    if len(builds) > 1:
        return onnxruntimes.keep_one()
    names = list(builds or distributions.alike(distributions.normalized(row.needs)))
    return f"pip install --force-reinstall {names[0]}" if names else how_to_install(row.extra)


def _reason(failure: str | None) -> str:
    """Return the reason without the cure that the message has, too."""
    return (failure or "").partition(": check nvidia-smi")[0]
