"""The terminal, cameras and the environment variables that change what commands do."""

from __future__ import annotations

import locale
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from pem_edge.runtime.diagnosis import privacy
from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings
from pem_edge.runtime.machine import readers

_RELEVANT = re.compile(
    r"(CUDA|CUDNN|NVIDIA|TRT|TENSORRT|ORT|OV|OPENVINO|OPENCV|OMP|KMP|GOMP|OPENBLAS|MKL|BLIS|NUMEXPR|PEM_EDGE|HF|GST)_\w+"
    r"|LD_LIBRARY_PATH|LD_PRELOAD|PYTHONPATH|PYTHONHOME|PYTHONUTF8|PYTHONIOENCODING|XDG_CACHE_HOME|TMPDIR|MALLOC_\w+"
)
"""Names of variables that matter."""

_HARMLESS = re.compile(r"-?[\d.,:]{1,12}|(?i:true|false|on|off|yes|no|all|none|numpy|compiled|utf-8|)")
"""Values that are shown; of others, such as paths and addresses, only that there is one."""


def _text() -> Findings:
    encodings = {each.lower() for each in (locale.getpreferredencoding(False), sys.getfilesystemencoding())}
    value = f"{os.environ.get('LC_ALL') or os.environ.get('LANG') or 'none'}, {' and '.join(sorted(encodings))}"
    if all(encoding.replace("-", "") == "utf8" for encoding in encodings):
        return {"locale": Finding(name="locale", value=value, status="ok")}
    cure = "for names with accents, export LANG=C.UTF-8"
    return {"locale": Finding(name="locale", value=value, status="warning", cure=cure)}


def _display() -> Findings:
    screens = [name for name in ("WAYLAND_DISPLAY", "DISPLAY") if os.environ.get(name)]
    value = f"one ({', '.join(screens)})" if screens else "none; pem-run --live shows results on a web page"
    return {"display": Finding(name="display", value=value)}


def _cameras(root: Path = Path("/")) -> Findings:
    """Return the cameras that Linux offers, and whether this user may read them."""
    devices = readers.files(root / "dev", "video[0-9]*")
    if not devices:
        return {"cameras": Finding(name="cameras", value="none at /dev/video*")}
    names = [f"/dev/{device.name}" for device in devices]
    closed = [device for device in devices if not os.access(device, os.R_OK | os.W_OK)]
    if closed:
        value = f"{', '.join(names)}, of which this user may not open {len(closed)}"
        cure = 'sudo usermod -aG video "$USER", then log in again; in a container, docker run --device /dev/video0'
        return {"cameras": Finding(name="cameras", value=value, status="warning", cure=cure)}
    return {"cameras": Finding(name="cameras", value=", ".join(names), status="ok")}


def _variables() -> Findings:
    """Return the variables that matter: their names, and the values that are numbers or switches."""
    names = sorted(name for name in os.environ if _RELEVANT.fullmatch(name) and not privacy.is_secret(name))
    shown = [
        f"{name}={os.environ[name]}" if _HARMLESS.fullmatch(os.environ[name]) else f"{name} (set)" for name in names
    ]
    return {"variables": Finding(name="variables", value=", ".join(shown) or "none that matter are set")}


PROBES: Mapping[str, Probe] = {"locale": _text, "display": _display, "cameras": _cameras, "variables": _variables}
