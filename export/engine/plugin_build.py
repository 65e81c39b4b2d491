"""Builds the TensorRT plugin: CMake, nvcc and TensorRT's headers are needed, its library and a GPU are not."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from pem_edge.runtime.backends.tensorrt.plugins.library import SOURCES, cached_path
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.files import temporary_folder, write_atomically
from pem_edge.runtime.progress import Say

HEADERS = "TENSORRT_INCLUDE_DIR"
"""Environment variable: the folder of NvInfer.h, or several with ':' between them, of which the first is taken."""

_OPTION = "--tensorrt-include"


def build(tensorrt_include: Path | None, architectures: str | None, say: Say) -> Path:
    """Build the plugin and put it where ``pem_edge.runtime.backends.tensorrt.plugins.find`` looks; returns its path.

    ``tensorrt_include`` is the folder of NvInfer.h; by default TENSORRT_INCLUDE_DIR names it, or a usual place has it.
    ``architectures`` is CMake's list of compute capabilities, such as "87" or "90;120"; by default this machine's GPU,
    or every supported one where none is found. ``say`` takes remarks on progress.
    Raises ExportError, and OutputError if the cache folder cannot be written; nothing half-built is left there.
    """
    headers = find_headers(tensorrt_include)
    version = headers_version(headers)
    say(f"building the plugin for TensorRT {version}; this takes a minute or a few")
    with temporary_folder() as folder:
        built = compile_library("deform_conv", headers, architectures, folder)
        with write_atomically(cached_path(version), durable=True) as path:
            shutil.copyfile(built, path)
    say(f"built {cached_path(version)}")
    return cached_path(version)


def compile_library(target: str, headers: Path, architectures: str | None, folder: Path) -> Path:
    """Compile one of CMakeLists.txt's targets ("deform_conv", "enqueue_harness") inside ``folder``.

    Raises ExportError where a tool is missing or the compilation fails.
    """
    cmake = _tool("cmake", None, "pip install cmake")
    nvcc = _tool("nvcc", "CUDACXX", "install CUDA's toolkit, or set CUDACXX to its nvcc")
    options = [f"-DTENSORRT_INCLUDE_DIR={headers.resolve()}", f"-DCMAKE_CUDA_COMPILER={nvcc}"]
    options += ["-DPEM_EDGE_HARNESS=ON"] if target == "enqueue_harness" else []
    options += [f"-DCMAKE_CUDA_ARCHITECTURES={architectures}"] if architectures else []
    _run([cmake, "-S", str(SOURCES), "-B", str(folder), *options])
    _run([cmake, "--build", str(folder), "--parallel", str(os.cpu_count() or 1), "--target", target])
    return folder / f"lib{target}.so"


def find_headers(given: Path | None) -> Path:
    """Return the folder of NvInfer.h. Raises ExportError where there is none."""
    for folder in [given] if given else _usual_places():
        if (folder / "NvInfer.h").is_file():
            return folder
    came = f"no NvInfer.h in {given}" if given else "no TensorRT headers found"
    raise ExportError(
        f"{came}: name the folder of NvInfer.h with {_OPTION} "
        "(package libnvinfer-headers-dev, or include/ of github.com/NVIDIA/TensorRT at your version's tag)"
    )


def headers_version(headers: Path) -> str:
    """Return TensorRT's version as "major.minor". Raises ExportError if NvInferVersion.h does not say it."""
    try:
        text = (headers / "NvInferVersion.h").read_text(errors="replace")
    except OSError as error:
        raise ExportError(
            f"cannot read {error.filename}: {error.strerror}; name a folder of whole headers with {_OPTION}"
        ) from error
    # Since 10.9 NV_TENSORRT_MAJOR is defined through TRT_MAJOR_ENTERPRISE.
    found = [
        re.search(rf"^#define (?:NV_TENSORRT_{part}|TRT_{part}_ENTERPRISE) (\d+)", text, re.MULTILINE)
        for part in ("MAJOR", "MINOR")
    ]
    if found[0] is None or found[1] is None:
        raise ExportError(
            f"{headers / 'NvInferVersion.h'} holds no version: name headers of TensorRT 10.3 or later with {_OPTION}"
        )
    return f"{found[0][1]}.{found[1][1]}"


def _usual_places() -> Iterator[Path]:
    for folder in os.environ.get(HEADERS, "").split(":"):
        if folder:
            yield Path(folder)
    root = os.environ.get("TENSORRT_ROOT")
    if root:
        yield Path(root) / "include"
    yield Path(f"/usr/include/{platform.machine()}-linux-gnu")
    yield from (Path("/usr/include"), Path("/usr/local/tensorrt/include"), Path("/opt/tensorrt/include"))


def _tool(name: str, variable: str | None, cure: str) -> str:
    chosen = os.environ.get(variable) if variable else None
    found = shutil.which(chosen or name) or shutil.which(name, path="/usr/local/cuda/bin")
    if found is None:
        raise ExportError(f"no {name} found, which builds the plugin: {cure}")
    return found


def _run(command: list[str]) -> None:
    result = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", check=False
    )
    if result.returncode != 0:
        raise ExportError(f"the plugin does not compile: {_first_error(result.stdout)}")


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for line in lines:
        if re.search(r"\berror:|\bfatal\b", line):
            return line
    for number, line in enumerate(lines):
        if line.startswith("CMake Error"):  # it says what is wrong on the lines that follow
            return " ".join(lines[number : number + 3])
    return lines[-1] if lines else "no output"
