"""One line, with the cure, for what TensorRT says when it fails."""

from __future__ import annotations

import re

from pem_edge.runtime.errors import ExportError

_MEMORY = "give the builder more memory with --workspace or by closing other programs, or export for a smaller --size"
_CURES = (
    (r"out ?of ?memory|insufficient (memory|workspace)|cudaErrorMemoryAllocation", _MEMORY),
    (r"for Turing", "leave 7.5 out of --compute-capability, or build on the Turing GPU with --to trt"),
    (r"PemDeformConv", "build the plugin for this TensorRT, with pem-export --build-plugin"),
    (r"plugin not found|no importer registered|unsupported", "export with --deform-conv gather, or update TensorRT"),
    (
        r"could not find any implementation",
        "raise --workspace or --optimization-level, or export with --precision fp32",
    ),
    (r"cudaError|CUDA driver", "look at the GPU and its driver with nvidia-smi"),
)
_ANY = "try another --optimization-level or release of TensorRT, and report it"


def failure(action: str, reason: str) -> ExportError:
    """Return the error for ``action``, such as "TensorRT 10.3 cannot build x.engine", with ``reason`` and the cure."""
    cure = next((cure for pattern, cure in _CURES if re.search(pattern, reason, re.IGNORECASE)), _ANY)
    said = re.sub(r"^\[[^]]*\] ", "", " ".join(reason.split()))  # where in TensorRT's sources
    return ExportError(f"{action} ({said[:300]}): {cure}")
