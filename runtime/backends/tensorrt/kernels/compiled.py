"""The kernels compiled for a GPU by CUDA's runtime compiler, NVRTC, and kept for the next start."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from pem_edge.runtime.backends.cuda.driver import CudaError, nvrtc
from pem_edge.runtime.errors import BackendError, OutputError
from pem_edge.runtime.files import cache_folder, writing

SOURCES = Path(__file__).parent
NAMES = ("preprocess", "panoptic_merge")
_DIGEST_BYTES = hashlib.sha256().digest_size


def cubin(name: str, compute_capability: str) -> bytes:
    """Return the kernels of ``<name>.cu`` for GPUs of a compute capability such as "8.7".

    Raises BackendError where NVRTC is not installed or does not know that GPU.
    """
    architecture = f"sm_{compute_capability.replace('.', '')}"
    version = ".".join(map(str, nvrtc("nvrtcVersion")))
    path = cache_folder() / "kernels" / f"{name}-{architecture}-nvrtc{version}-{_source_hash(name)}.cubin"
    kept = _read(path)
    if kept is None:
        kept = _compile(name, architecture)
        with suppress(OutputError), writing(path) as file:  # a disk that takes nothing is no reason to fail
            file.write_bytes(hashlib.sha256(kept).digest() + kept)
    return kept


def _read(path: Path) -> bytes | None:
    """Return what was kept, behind its hash; None if there is nothing or it is damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    digest, kept = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return kept if digest == hashlib.sha256(kept).digest() else None


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
        data = b" " * int(nvrtc("nvrtcGetCUBINSize", program)[0])
        nvrtc("nvrtcGetCUBIN", program, data)
        return data
    finally:
        nvrtc("nvrtcDestroyProgram", program)


def _log(program: object) -> str:
    """Return the first line of what NVRTC has to say."""
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
