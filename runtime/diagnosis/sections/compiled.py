"""Looks at what is compiled for this machine: the merge, TensorRT's plugin."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from pem_edge.runtime.diagnosis import libraries
from pem_edge.runtime.diagnosis.probing import Probe
from pem_edge.runtime.diagnosis.schema import Finding, Findings
from pem_edge.runtime.machine import readers

_COMPILERS = ("cc", "gcc", "clang")


def _compiler() -> Findings:
    return {"compiler": Finding(name="C compiler", value=_version() or "none; only an installation uses it")}


def _merge() -> Findings:
    if (missing := libraries.broken_base()) is not None:
        value = f"not tried, as {missing} cannot be imported"
        return {"merge": Finding(name="merge of masks", value=value, status="warning", cure="repair that first")}
    answer = libraries.ask("merge")
    if answer.content is None:
        value = f"cannot be used ({answer.failure})"
        return {"merge": Finding(name="merge of masks", value=value, status="broken", cure="install pem-edge again")}
    if answer.content["merge"] == "compiled":
        return {"merge": Finding(name="merge of masks", value="compiled", status="ok")}
    first = "" if _version() else "install a C compiler (sudo apt install gcc), then "
    cure = f"{first}python -m pem_edge.runtime.inference.postprocess.native.build"
    value = "by NumPy, which is slower"
    return {"merge": Finding(name="merge of masks", value=value, status="warning", cure=cure)}


def _plugin() -> Findings:
    """Return whether the plugin for deformable operations is built, if there is a TensorRT to use it."""
    if libraries.ask("tensorrt").content is None:
        return {}
    answer = libraries.ask("plugin")
    if answer.content is None:
        value = f"cannot be used ({answer.failure})"
        return {"plugin": Finding(name="plugin of TensorRT", value=value, status="warning")}
    if "path" in answer.content:
        return {"plugin": Finding(name="plugin of TensorRT", value=f"built: {answer.content['path']}", status="ok")}
    tools = [tool for tool in ("nvcc", "cmake") if shutil.which(tool) is None]
    lacks = f"; it needs {' and '.join(tools)}, not found here" if tools else ""
    value = f"not built; only artifacts of --deform-conv plugin use it{lacks}"
    cure = "pem-export --build-plugin"
    return {"plugin": Finding(name="plugin of TensorRT", value=value, cure=cure)}


def _version() -> str | None:
    """Return the first line that a C compiler prints of itself, None if there is none that works."""
    for name in _COMPILERS:
        if found := readers.output([name, "--version"]):
            return found.partition("\n")[0]
    return None


PROBES: Mapping[str, Probe] = {"compiler": _compiler, "merge": _merge, "plugin": _plugin}
