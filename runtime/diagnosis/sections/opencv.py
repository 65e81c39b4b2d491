"""OpenCV: which of several is imported, and what it can read."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from pem_edge.runtime.diagnosis import libraries
from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings
from pem_edge.runtime.installation import distributions
from pem_edge.runtime.machine import jetson

_SYSTEM_FOLDERS = ("/usr/lib/python3/dist-packages", "/usr/lib/python{version}/dist-packages")
_HEADLESS = "opencv-python-headless"


def _imported() -> Findings:
    answer = libraries.ask("cv2")
    if answer.content is None and libraries.ask("numpy").content is None:
        value = "cannot be imported, as NumPy cannot"
        return {"opencv": Finding(name="OpenCV", value=value, status="warning", cure="repair that first")}
    if answer.content is None:
        value = f"cannot be imported ({answer.failure})"
        return {"opencv": Finding(name="OpenCV", value=value, status="broken", cure=_reinstall(answer.failure or ""))}
    facts = answer.content
    value = f"{facts['version']}, imported from {Path(facts['file']).parent}"
    return {
        "opencv": Finding(name="OpenCV", value=value, status="ok"),
        "opencv_files": _can("video files and addresses", facts["videos"], "FFMPEG"),
        "opencv_cameras": _can("cameras", facts["cameras"], "V4L2"),
        "opencv_gstreamer": Finding(name="GStreamer in OpenCV", value=facts["GStreamer"].partition(" ")[0].lower()),
        "opencv_windows": Finding(name="windows of OpenCV", value=facts["GUI"].lower()),
    }


def _several() -> Findings:
    """Return a finding if several packages overwrote each other's files in the folder ``cv2``."""
    found = distributions.alike("opencv-python") | distributions.alike("opencv-contrib-python")
    if len(found) < 2:
        return {}
    value = f"{' and '.join(f'{name} {version}' for name, version in found.items())} overwrite each other's files"
    cure = f"pip uninstall -y {' '.join(found)} && pip install {_HEADLESS}"
    return {"opencv_packages": Finding(name="several OpenCV", value=value, status="warning", cure=cure)}


def _shadowed() -> Findings:
    """Return a finding if pip's OpenCV hides one of the system, which on a Jetson has GStreamer."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    folders = [Path(folder.format(version=version)) / "cv2" for folder in _SYSTEM_FOLDERS]
    system = next((folder for folder in folders if folder.exists() or folder.with_suffix(".so").exists()), None)
    answer = libraries.ask("cv2").content
    if system is None or answer is None or Path(answer["file"]).is_relative_to(system):
        return {}
    hurts = jetson.model() is not None and answer["GStreamer"].startswith("NO")
    value = f"the one in {system} is hidden by pip's" + (", which lacks JetPack's GStreamer" if hurts else "")
    found = Finding(name="OpenCV of the system", value=value)
    if hurts:
        cure = f"for GStreamer, pip uninstall -y {_HEADLESS}, in an environment made with --system-site-packages"
        found = replace(found, status="warning", cure=cure)
    return {"opencv_system": found}


def _av() -> Findings:
    if "av" not in distributions.installed():
        return {"pyav": Finding(name="PyAV", value="not installed; OpenCV reads videos without it")}
    answer = libraries.ask("av")
    if answer.content is None:
        value = f"cannot be imported ({answer.failure})"
        cure = "pip install --force-reinstall av"
        return {"pyav": Finding(name="PyAV", value=value, status="warning", cure=cure)}
    facts = answer.content
    return {"pyav": Finding(name="PyAV", value=f"{facts['version']}, codecs {facts['codecs']}", status="ok")}


def _can(what: str, by: str, needed: str) -> Finding:
    """Return whether OpenCV has the library that reads something."""
    if needed in by:
        return Finding(name=what, value=f"read by {by}", status="ok")
    return Finding(
        name=what,
        value=f"may not be read: OpenCV was built without {needed}" + (f" (it has {by})" if by else ""),
        status="warning",
        cure=f"pip install --force-reinstall {_HEADLESS}",
    )


def _reinstall(reason: str) -> str:
    """Return what helps if OpenCV cannot be imported; the others need libraries of a desktop."""
    others = [name for name in distributions.installed() if name in ("opencv-python", "opencv-contrib-python")]
    if others and any(library in reason for library in ("libGL", "libgthread", "libxcb", "libSM", "libXext")):
        return f"pip uninstall -y {' '.join(others)} && pip install --force-reinstall {_HEADLESS}"
    return f"pip install --force-reinstall {_HEADLESS}"


PROBES: Mapping[str, Probe] = {
    "opencv": _imported,
    "opencv_packages": _several,
    "opencv_system": _shadowed,
    "pyav": _av,
}
