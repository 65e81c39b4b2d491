"""This package, Python and the system."""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings
from pem_edge.runtime.installation import how_to_install, origin
from pem_edge.runtime.version import __version__


def _package() -> Findings:
    return {"pem_edge": Finding(name="pem-edge", value=f"{__version__}, from {origin()}", status="ok")}


def _commands() -> Findings:
    """Return a finding if the commands that a shell runs are missing, or are those of another environment."""
    command = shutil.which("pem-run")
    folders = (sysconfig.get_path("scripts"), sysconfig.get_path("scripts", f"{os.name}_user"))
    places = [*map(Path, folders), Path(sys.argv[0]).parent]
    if command is not None and Path(command).resolve().parent in [place.resolve() for place in places]:
        return {}
    there = next((place for place in places if (place / "pem-run").exists()), None)
    found = "not on the PATH" if command is None else f"that of another environment ({Path(command).parent})"
    cure = how_to_install("ort") if there is None else f"add {there} to PATH, or activate its environment"
    return {"commands": Finding(name="commands", value=f"pem-run is {found}", status="warning", cure=cure)}


def _python() -> Findings:
    virtual = sys.prefix != sys.base_prefix
    where = "in a virtual environment" if virtual else "in conda" if _in_conda() else "of the system"
    value = f"{platform.python_version()} ({platform.python_implementation()}), {where}"
    return {"python": Finding(name="Python", value=value, status="ok")}


def _system() -> Findings:
    library = " ".join(platform.libc_ver()).strip()
    distribution = _distribution()
    parts = [distribution, f"{platform.system()} {platform.release()}", platform.machine(), library]
    return {"system": Finding(name="system", value=", ".join(filter(None, parts)))}


def _container() -> Findings:
    if not any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv")):
        return {}
    return {"container": Finding(name="container", value="yes")}


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""


def _in_conda() -> bool:
    return (Path(sys.prefix) / "conda-meta").is_dir()


PROBES: Mapping[str, Probe] = {
    "pem_edge": _package,
    "commands": _commands,
    "python": _python,
    "system": _system,
    "container": _container,
}
