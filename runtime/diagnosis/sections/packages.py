"""The packages that this one needs, and those that its extras bring."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from functools import partial

from pem_edge.runtime.diagnosis import libraries, onnxruntimes
from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings
from pem_edge.runtime.installation import distributions, how_to_add, how_to_install
from pem_edge.runtime.plurals import first_few

_BASE = {"numpy": ("NumPy", "numpy"), "pillow": ("Pillow", "PIL"), "tqdm": ("tqdm", "tqdm")}
"""The packages that are always needed: what they are called, and their modules. OpenCV has a section of its own."""


def _base(package: str) -> Findings:
    name, module = _BASE[package]
    answer = libraries.ask(module)
    if answer.content is None:
        value = f"cannot be imported ({answer.failure})"
        cure = f"pip install --force-reinstall {package}"
        return {package: Finding(name=name, value=value, status="broken", cure=cure)}
    version = answer.content["version"]
    for needed in distributions.requirements(None):
        if needed.name == package and not needed.is_met_by(version):
            cure = f"pip install {shlex.quote(f'{package}{needed.versions}')}"
            value = f"{version}, needed is {needed.versions}"
            return {package: Finding(name=name, value=value, status="warning", cure=cure)}
    return {package: Finding(name=name, value=version, status="ok")}


def _extras() -> Findings:
    if not distributions.extras():
        value, cure = "pem-edge is not installed as a package, only found on the path", how_to_install("ort")
        return {"extras": Finding(name="extras", value=value, status="warning", cure=cure)}
    return {f"extra_{extra.replace('-', '_')}": _extra(extra) for extra in distributions.extras()}


def _extra(extra: str) -> Finding:
    """Return which of the packages of an extra are installed, and in which version."""
    versions = distributions.installed()
    needed: dict[str, list[distributions.Requirement]] = {}
    for each in distributions.requirements(extra):  # some are listed more than once, for several systems
        needed.setdefault(each.name, []).append(each)
    there = {name: versions[name] for name in needed if name in versions}
    missing = [name for name in needed if name not in there]
    old = [name for name, version in there.items() if not any(each.is_met_by(version) for each in needed[name])]
    found = ", ".join(f"{name} {version}" for name, version in there.items())
    name = f"[{extra}]"
    if old:
        limits = ", ".join(f"{each} {needed[each][0].versions}" for each in old)
        return Finding(name=name, value=f"{found}; needed is {limits}", status="warning", cure=how_to_install(extra))
    if missing:
        lacks = f"not installed: {', '.join(missing)}" + (f"; there is {found}" if found else "")
        return Finding(name=name, value=lacks, cure=how_to_add(extra))
    return Finding(name=name, value=found, status="ok")


def _damaged() -> Findings:
    names = distributions.damaged()
    if not names:
        return {}
    cure = f"pip install --force-reinstall {' '.join(names[:3])}"
    value = f"that of {first_few(names)} cannot be read"
    return {"metadata": Finding(name="metadata of packages", value=value, status="warning", cure=cure)}


def _several() -> Findings:
    """Return a finding if several packages overwrote each other's files in the folder ``onnxruntime``."""
    found = distributions.onnxruntimes()
    if len(found) < 2:
        return {}
    packages = " and ".join(f"{name} {version}" for name, version in found.items())
    value = f"{packages} overwrite each other's files, and only one of them works"
    finding = Finding(name="several ONNX Runtimes", value=value, status="warning", cure=onnxruntimes.keep_one())
    return {"onnxruntime_packages": finding}


PROBES: Mapping[str, Probe] = {
    **{package: partial(_base, package) for package in _BASE},
    "extras": _extras,
    "onnxruntime_packages": _several,
    "metadata": _damaged,
}
