"""The five requests that ``pem-export`` carries out. A request that contradicts itself cannot be constructed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pem_edge.export.cli.input_sizes import InputRequest
from pem_edge.export.engine.settings import Settings
from pem_edge.export.graph.operation_forms import (
    AttentionForm,
    DeformConvForm,
    OutputType,
    Precision,
    Target,
    UpsampleForm,
)
from pem_edge.export.int8.settings import Calibration
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.errors import ExportError


@dataclass(frozen=True)
class ListRequest:
    """List the variants.

    Attributes:
        json: Whether JSON is printed.
    """

    json: bool


@dataclass(frozen=True)
class PluginRequest:
    """Build the plugin for TensorRT.

    Attributes:
        tensorrt_include: The folder of TensorRT's headers; None to look for them.
        cuda_arch: CMake's list of compute capabilities, such as "87"; None for this machine's GPU.
        json: Whether JSON is printed.
    """

    tensorrt_include: Path | None
    cuda_arch: str | None
    json: bool


@dataclass(frozen=True)
class VerifyRequest:
    """Compare a model with its ONNX model.

    Attributes:
        model: The engine, or an ONNX artifact.
        backend: The backend to run it in; None for the preferred one.
        json: Whether JSON is printed.
    """

    model: Path
    backend: str | None
    json: bool


@dataclass(frozen=True)
class EngineRequest:
    """Build an engine from an ONNX artifact.

    Attributes:
        source: The ONNX artifact.
        to: The kind of engine.
        output: The folder, or the file, to write; None for the source's folder.
        overwrite: Whether to replace files.
        settings: How to build.
        json: Whether JSON is printed.

    Raises:
        ExportError: If the source is no ONNX artifact, or the target is no engine.
    """

    source: Path
    to: Target
    output: Path | None
    overwrite: bool
    settings: Settings
    json: bool

    def __post_init__(self) -> None:
        if not is_onnx(self.source):
            raise ExportError(f"{self.source} is not an .onnx artifact: engines are built from those")
        if self.to == "onnx":
            raise ExportError(f"{self.source} is an ONNX artifact already: choose --to trt or --to trt-rtx")


@dataclass(frozen=True)
class GraphRequest:
    """Export a checkpoint to ONNX and, for other targets, build an engine from that.

    Attributes:
        weights: The checkpoint: a file, a folder, the name of a model on the Hugging Face hub, or "demo".
        revision: A branch, tag or commit of a model on the hub; None for the newest.
        part: The name of one of several sets of weights in a file; None for the usual one.
        to: The kind of artifact.
        output: The folder, or the file, to write; None for a new folder of its own.
        overwrite: Whether to replace files.
        input: The sizes that the artifact shall take.
        labels: The name or the JSON file of labels; None for the checkpoint's.
        task: What the model was trained for; None for what is known of the checkpoint.
        precision: The precision of the artifact.
        remainder: With "int8", the precision of everything that is not in INT8; None for what suits
            ``calibration.placement``.
        outputs: The type of logits and masks.
        deform_conv: The form of deformable convolution.
        upsample: The form of upsampling.
        attention: The form of attention in Vision Transformers.
        compact: Whether to store weights in half precision where that is exact.
        calibration: What to calibrate on; given with "int8" and only then.
        score_threshold: The default minimum score of a segment; None for what suits the task.
        overlap_threshold: The default minimum visible fraction of a segment; None for what suits the task.
        settings: How to build an engine.
        json: Whether JSON is printed.

    Raises:
        ExportError: If a value is out of its range, or two of them contradict each other.
    """

    weights: str
    revision: str | None
    part: str | None
    to: Target
    output: Path | None
    overwrite: bool
    input: InputRequest
    labels: str | None
    task: Task | None
    precision: Literal["fp32", "fp16", "int8"]
    remainder: Precision | None
    outputs: OutputType
    deform_conv: DeformConvForm | Literal["auto"]
    upsample: UpsampleForm | Literal["auto"]
    attention: AttentionForm
    compact: bool
    calibration: Calibration | None
    score_threshold: float | None
    overlap_threshold: float | None
    settings: Settings
    json: bool

    @property
    def floating(self) -> Precision:
        """The precision of everything that is not in INT8."""
        if self.calibration is None:
            return "fp16" if self.precision == "fp16" else "fp32"
        return self.remainder or ("fp32" if self.calibration.placement == "cpu" else "fp16")

    @property
    def output_folder(self) -> Path | None:
        """The folder to write to; None for a new one."""
        return None if self.output is None else model_file(self.output, "", ".onnx", Path()).parent

    def __post_init__(self) -> None:
        self._check_weights()
        for name, value in (("score", self.score_threshold), ("overlap", self.overlap_threshold)):
            if value is not None and not 0 <= value <= 1:
                raise ExportError(f"--{name}-threshold is {value:g}, expected a number between 0 and 1")
        self._check_target()
        self._check_precision()

    def _check_weights(self) -> None:
        if self.weights.lower().endswith(".engine"):
            raise ExportError(f"{self.weights} is an engine already: give the .onnx beside it, to build it again")
        if is_onnx(Path(self.weights)):
            raise ExportError(f"{self.weights} is an ONNX artifact already: give the checkpoint it was exported from")

    def _check_target(self) -> None:
        if self.to == "onnx":
            if self.output is not None and self.output.suffix == ".engine":
                raise ExportError(f"-o {self.output} names an engine: add --to trt or --to trt-rtx, or end it in .onnx")
            if changed := self.settings.changed():
                option = changed[0].replace("_", "-")
                raise ExportError(f"--{option} is for engines: leave it out, or add --to trt or --to trt-rtx")
        if self.to == "trt-rtx" and self.deform_conv in ("native", "plugin"):
            raise ExportError(
                f"--deform-conv {self.deform_conv} cannot run there: trt-rtx has no plugins; choose gather, or --to trt"
            )
        if self.to != "onnx" and self.attention == "fused":
            raise ExportError(f"--attention fused cannot run there: --to {self.to} has no such operator; leave it out")

    def _check_precision(self) -> None:
        if (self.calibration is None) == (self.precision == "int8"):
            raise ExportError(
                "--precision int8 needs images to calibrate on: add --calib DIR"
                if self.calibration is None
                else "calibration is for INT8: add --precision int8, or leave out --calib"
            )
        if self.remainder is not None and self.calibration is None:
            raise ExportError("--remainder is for INT8: add --precision int8, or leave it out")
        if self.outputs == "float16" and self.floating == "fp32":
            raise ExportError("--outputs float16 would round what single precision computed: add --precision fp16")
        if self.calibration is not None and self.calibration.placement == "cpu":
            if self.floating == "fp16":
                raise ExportError("--remainder fp16 is for TensorRT, CPUs compute half as single: leave it out")
            if self.to != "onnx":
                raise ExportError(
                    f"--placement cpu quantizes for CPUs, and --to {self.to} is for GPUs: leave it out, or choose "
                    "--to onnx"
                )


Request = ListRequest | PluginRequest | VerifyRequest | EngineRequest | GraphRequest


def is_onnx(path: Path) -> bool:
    """Return whether the file's name is that of an ONNX artifact."""
    return path.suffix.lower() == ".onnx"


def model_file(output: Path | None, stem: str, suffix: str, folder: Path) -> Path:
    """Return the model file to write: ``output`` if that is a file, else ``stem`` in ``output`` or in ``folder``."""
    place = output or folder
    return place.with_suffix(suffix) if place.suffix in (".onnx", ".engine") else place / f"{stem}{suffix}"
