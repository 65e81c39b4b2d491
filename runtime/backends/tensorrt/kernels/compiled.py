"""Compiles the kernels for a GPU with NVRTC, CUDA's runtime compiler, and caches the result on disk."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from pem_edge.runtime.backends.cuda.driver import CudaError, nvrtc
from pem_edge.runtime.errors import BackendError, OutputError
from pem_edge.runtime.files import cache_folder, write_atomically

SOURCES = Path(__file__).parent
"""The folder of the kernels' sources."""

NAMES = ("preprocess", "panoptic_merge")
"""The names of the sources, without ".cu"."""

_DIGEST_BYTES = hashlib.sha256().digest_size


def cubin(name: str, compute_capability: str) -> bytes:
    """Return the binary of a source's kernels, compiled now or cached earlier.

    Args:
        name: The source, one of `NAMES`.
        compute_capability: The compute capability of the GPU, such as "8.7".

    Raises:
        BackendError: If NVRTC is not installed or does not support that GPU.
    """
    architecture = f"sm_{compute_capability.replace('.', '')}"
    version = ".".join(map(str, nvrtc("nvrtcVersion")))
    path = cache_folder() / "kernels" / f"{name}-{architecture}-nvrtc{version}-{_source_hash(name)}.cubin"
    binary = _read_cached(path)
    if binary is None:
        binary = _compile(name, architecture)
        with (
            suppress(OutputError),
            write_atomically(path, durable=True) as file,
        ):  # a cache that cannot be written is no error
            file.write_bytes(hashlib.sha256(binary).digest() + binary)
    return binary


def _read_cached(path: Path) -> bytes | None:
    """Return the binary in a cache file, which begins with the binary's hash; None if it is missing or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, binary = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return binary if digest == hashlib.sha256(binary).digest() else None


def _compile(name: str, architecture: str) -> bytes:
    headers = {path.name.encode(): path.read_bytes() for path in _headers()}
    source = (SOURCES / f"{name}.cu").read_bytes()
    (program,) = nvrtc(
        "nvrtcCreateProgram", source, f"{name}.cu".encode(), len(headers), [*headers.values()], [*headers]
    )
    try:
        options = [f"--gpu-architecture={architecture}".encode(), b"--std=c++17"]
        try:
            nvrtc("nvrtcCompileProgram", program, len(options), options)
        except CudaError as error:
            raise BackendError(
                f"NVRTC cannot compile {name}.cu for {architecture} ({_log(program)}): {error}"
            ) from error
        binary = b" " * int(nvrtc("nvrtcGetCUBINSize", program)[0])  # the bindings write into the bytes object
        nvrtc("nvrtcGetCUBIN", program, binary)
        return binary
    finally:
        nvrtc("nvrtcDestroyProgram", program)


def _log(program: object) -> str:
    """Return the start of NVRTC's compilation log as a single line."""
    text = b" " * int(nvrtc("nvrtcGetProgramLogSize", program)[0])
    nvrtc("nvrtcGetProgramLog", program, text)
    return " ".join(text.decode(errors="replace").strip("\0 \n").split())[:300]


def _headers() -> list[Path]:
    return sorted(SOURCES.glob("*.h"))


def _source_hash(name: str) -> str:
    digest = hashlib.sha256()
    for path in (SOURCES / f"{name}.cu", *_headers()):
        content = path.read_bytes()
        digest.update(f"{path.name} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]
