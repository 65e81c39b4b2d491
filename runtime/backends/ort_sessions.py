"""Sessions of ONNX Runtime: the options that all share, and the execution providers that run them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

from pem_edge.runtime.backends.settings import Settings
from pem_edge.runtime.errors import BackendError
from pem_edge.runtime.machine import threads
from pem_edge.runtime.outside.quiet_imports import without_telemetry

with without_telemetry():
    import onnxruntime as ort

Provider = Literal["best", "cpu", "tensorrt"]
"""What runs a session: CUDA where there is a GPU and else the CPU, always the CPU, or TensorRT."""

VERSION: str = ort.__version__
CUDA, TENSORRT, _CPU = "CUDAExecutionProvider", "TensorrtExecutionProvider", "CPUExecutionProvider"
_FATAL = 4  # less severe messages would repeat on standard error what exceptions say

QDQ_OPTIMIZERS = ("QDQSelectorActionTransformer", "WeightBiasQuantization")
"""ONNX Runtime's optimizers that must not see Q/DQ pairs that were placed for TensorRT, around which values may be in
half precision: the first makes integer operators of them that have no CPU kernels, the second quantizes biases that the
graph keeps in floating point, and in half precision computes them wrongly (up to 1.32)."""

_OPTIONS: Mapping[str, dict[str, str]] = {
    # TF32 is only as precise as half precision, which is not enough for what a graph keeps in single precision.
    CUDA: {"use_tf32": "0"},
    TENSORRT: {},  # has no option for TF32
    _CPU: {},
}


def open_session(
    model: bytes | str,
    settings: Settings,
    disabled_optimizers: Sequence[str] = (),
    profile: Path | None = None,
    *,
    provider: Provider = "best",
    pack_weights: bool = True,
) -> ort.InferenceSession:
    """Open a model with the options that all sessions share.

    Args:
        model: A serialized ONNX model, or the path of its file.
        settings: How the session may use the machine.
        disabled_optimizers: Names of ONNX Runtime's optimizers that must not change the graph.
        profile: The prefix of the path of the profile that the session writes; None for no profile.
        provider: What runs the session.
        pack_weights: Whether kernels may lay out weights anew when the session opens, which makes them faster. Of those
            weights a profile does not tell.

    Raises:
        BackendError: If TensorRT is asked for and cannot be used.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = settings.threads or threads.choose().count
    options.enable_cpu_mem_arena = settings.arena
    options.enable_mem_pattern = False  # it would keep a tenth more memory and be no faster
    options.log_severity_level = _FATAL
    options.add_session_config_entry("session.force_spinning_stop", "1")  # idle threads burn no CPU between calls
    options.add_session_config_entry("session.disable_prepacking", str(int(not pack_weights)))
    if profile is not None:
        options.enable_profiling = True
        options.profile_file_prefix = str(profile)
    names = _providers(provider)
    session = ort.InferenceSession(
        model,
        options,
        providers=[(name, _OPTIONS[name]) for name in names],
        disabled_optimizers=[*disabled_optimizers],
    )
    if provider == "tensorrt" and session.get_providers()[0] != TENSORRT:
        raise BackendError(
            f"onnxruntime {VERSION} cannot use TensorRT here: install the TensorRT that it was built for, or "
            "choose the backend onnxruntime"
        )
    return session


def _providers(provider: Provider) -> list[str]:
    """Return the execution providers to try, in their order."""
    if provider == "cpu" or CUDA not in ort.get_available_providers():
        return [_CPU]
    ort.preload_dlls()  # loads CUDA and cuDNN from pip's packages
    return [TENSORRT, CUDA, _CPU] if provider == "tensorrt" else [CUDA, _CPU]
