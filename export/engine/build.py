"""Build an engine from an ONNX artifact and prove its precision."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from pem_edge.export.engine import config, layers, network
from pem_edge.export.engine.failures import failure
from pem_edge.export.engine.layers import Report
from pem_edge.export.engine.machine import Machine
from pem_edge.export.engine.network import Parsed
from pem_edge.export.engine.progress import Progress
from pem_edge.export.engine.settings import Settings
from pem_edge.export.engine.tensorrt.interface import Builder
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.sections import FileHash
from pem_edge.runtime.backends import BACKENDS
from pem_edge.runtime.backends.tensorrt import log, plugin_library, plugins
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.files import sha256
from pem_edge.runtime.progress import Say


class Built(NamedTuple):
    """A serialized engine, what it is made of, the plugin it needs, and how long it took."""

    data: memoryview
    report: Report
    plugin: Path | None
    seconds: float


def build(machine: Machine, artifact: Artifact, settings: Settings, say: Say) -> Built:
    """Return the engine of an ONNX ``artifact``.

    Raises:
        ExportError: If the engine cannot be built, or has not the precision that the artifact claims.
    """
    require_source(machine.target.name, artifact)
    started = time.perf_counter()
    plugin = _register_plugins(machine, artifact)
    say(f"{machine.title} reads {artifact.model}")
    parsed = network.parse(machine.trt, machine.target, artifact)
    report = layers.of_network(parsed.network)
    layers.require_precision(report, artifact.manifest.precision, str(artifact.model))
    _require_fast(parsed.builder, machine, artifact)
    say(f"building an engine of {parsed.network.num_layers} layers for {_whereabouts(machine, settings)}")
    data = _serialize(machine, parsed, artifact, settings)
    if machine.gpu is not None:
        report = _ask_engine(machine, data, say) or report
        layers.require_precision(report, artifact.manifest.precision, str(artifact.model))
    return Built(data, report, plugin, time.perf_counter() - started)


def require_source(target: str, artifact: Artifact) -> None:
    """Raise ExportError if no engine for ``target`` can be built of an ONNX ``artifact``, wherever that is tried."""
    manifest = artifact.manifest
    if manifest.quantization is not None and manifest.quantization.placement != "tensorrt":
        raise ExportError(
            f"{artifact.model} is quantized for CPUs, which TensorRT refuses: export the checkpoint with --placement "
            "tensorrt"
        )
    if target == "trt-rtx" and manifest.deform_conv not in BACKENDS["tensorrt-rtx"].deform_convs:
        raise ExportError(
            f"{artifact.model} has its deformable convolutions in the form {manifest.deform_conv!r}, and TensorRT-RTX "
            "has no plugins: export the checkpoint with --deform-conv gather"
        )


def _register_plugins(machine: Machine, artifact: Artifact) -> Path | None:
    """Register what the graph needs beyond TensorRT's own layers; return our plugin's library if it is needed."""
    if artifact.manifest.deform_conv in ("native", "nvidia"):
        machine.trt.init_libnvinfer_plugins(log.logger(machine.trt), "")
    if artifact.manifest.deform_conv != "plugin":
        return None
    library = plugins.find(machine.trt.__version__)
    if library is None:
        raise ExportError(
            f"{artifact.model} needs our plugin, which is not built for {machine.title}: pem-export --build-plugin"
        )
    vouched = FileHash(library.name, sha256(library))
    plugin_library.load(machine.trt, library.parent, vouched, "pem-export --build-plugin")
    return library


def _ask_engine(machine: Machine, data: memoryview, say: Say) -> Report | None:
    """Return what the engine says of its layers, where this GPU can load it: TensorRT-RTX builds for others as well."""
    errors = log.logger(machine.trt).errors
    errors.clear()
    found = layers.of_engine(machine.trt, data)
    if errors:
        say(f"the engine cannot be asked for its layers here ({log.pop_error(machine.trt)})")
    return found


def _require_fast(builder: Builder, machine: Machine, artifact: Artifact) -> None:
    """Raise ExportError if the GPU has no fast half precision.

    Later releases of TensorRT only support GPUs that have it, and no longer say.
    """
    if artifact.manifest.precision == "fp16" and not getattr(builder, "platform_has_fast_fp16", True):
        raise ExportError(f"{machine.gpu_name} has no fast half precision: export the checkpoint with --precision fp32")


def _whereabouts(machine: Machine, settings: Settings) -> str:
    capabilities = ", ".join(machine.compute_capabilities(settings))
    return machine.gpu_name if machine.target.name == "trt" else f"compute capability {capabilities}"


def _serialize(machine: Machine, parsed: Parsed, artifact: Artifact, settings: Settings) -> memoryview:
    """Build in another thread, so that Ctrl-C is heard; it ends the build at its next step."""
    progress = Progress()
    with ThreadPoolExecutor(1) as pool:
        try:
            return pool.submit(_run_builder, machine, parsed, artifact, settings, progress).result()
        except KeyboardInterrupt:
            progress.cancel()
            raise
        finally:
            progress.close()


def _run_builder(
    machine: Machine, parsed: Parsed, artifact: Artifact, settings: Settings, progress: Progress
) -> memoryview:
    from polygraphy.backend.trt import EngineBytesFromNetwork
    from polygraphy.exception import PolygraphyException
    from polygraphy.logger import G_LOGGER

    G_LOGGER.module_severity = G_LOGGER.CRITICAL + 1  # what matters comes as an exception
    errors = log.logger(machine.trt).errors
    try:
        configured = config.create(machine, parsed, artifact.manifest.input, settings, progress.monitor(machine.trt))
        errors.clear()  # TensorRT-RTX says there that it finds no GPU for a timing cache, which it does not use
        data = memoryview(EngineBytesFromNetwork((parsed.builder, parsed.network), config=configured)())
        config.keep_times(machine, settings, configured)
        return data
    except PolygraphyException as error:
        reason = log.pop_error(machine.trt) if errors else str(error)
        raise failure(f"{machine.title} cannot build an engine of {artifact.model}", reason) from error
