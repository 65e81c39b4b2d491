"""The manifest: everything needed to run an artifact and to trust it.

It lies beside the model file (same stem, ``.json``). An ``.onnx`` also carries it in its metadata, less the
hash of the file it is part of, so that a lone file still works. Where an engine lies beside the ``.onnx`` that it was
built from, the ``.json`` is the engine's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import msgspec

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.provenance import BuiltBy, Parity
from pem_edge.runtime.errors import ManifestError
from pem_edge.runtime.files import sha256
from pem_edge.runtime.versioned_json import Schema, to_json

SCHEMA_VERSION = 1
MULTIPLE_OF = 32
"""Height and width of a model's input must be multiples of its coarsest stride."""

METADATA_KEY = "pem-edge"
"""Key of the manifest's JSON among an ONNX model's metadata."""


class Range(msgspec.Struct, frozen=True):
    """The sizes one dimension of a dynamic artifact takes; ``usual`` is what engines are tuned for."""

    least: int
    usual: int
    most: int

    def __contains__(self, value: int) -> bool:
        return self.least <= value <= self.most


class InputSpec(msgspec.Struct, frozen=True):
    """The tensor ``image``: uint8, RGB, (batch, height, width, 3), sizes in pixels.

    A static artifact takes exactly ``batch`` x ``height`` x ``width``; a dynamic one anything in the ranges whose
    height and width are multiples of ``multiple_of``. An image is scaled to fit, aspect kept, and padded at the
    bottom and right with ``pad_value``.
    """

    height: int
    width: int
    batch: int = 1
    name: str = "image"
    layout: Literal["NHWC"] = "NHWC"
    dtype: Literal["uint8"] = "uint8"
    color: Literal["RGB"] = "RGB"
    fit: Literal["pad-bottom-right"] = "pad-bottom-right"
    pad_value: tuple[int, int, int] = (124, 116, 104)
    multiple_of: int = MULTIPLE_OF
    dynamic_batch: Range | None = None
    dynamic_height: Range | None = None
    dynamic_width: Range | None = None

    @property
    def dynamic(self) -> bool:
        """Whether any dimension may vary."""
        return any(sizes is not None for sizes in (self.dynamic_batch, self.dynamic_height, self.dynamic_width))


class Thresholds(msgspec.Struct, frozen=True):
    """What the panoptic merge keeps, each 0 to 1: class score, and share of a mask that its query must win."""

    score: float = 0.8
    overlap: float = 0.8


class FileHash(msgspec.Struct, frozen=True):
    """A file's name and hex SHA-256."""

    file: str
    sha256: str


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """What a compiled engine was built from and will run on.

    ``target`` says which TensorRT, ``version`` which release of it. ``gpu`` is the GPU it was built on, "none" where
    there was none; ``compute_capabilities`` those it runs on, such as "8.7". ``source`` is the ONNX file beside it,
    ``plugin`` the library its deformable convolutions need, also beside it. ``layers`` counts layers by
    the type they compute in, "unknown" where that is not said: those of the engine itself where a GPU could load it,
    else those of the strongly typed network that it was built from, as ``built_by.layers_from`` says.
    """

    target: Literal["trt", "trt-rtx"]
    version: str
    gpu: str
    compute_capabilities: tuple[str, ...]
    source: FileHash
    plugin: FileHash | None = None
    version_compatible: bool = False
    hardware_compatible: str = "none"
    layers: dict[str, int] = {}


Placement = Literal["cpu", "tensorrt"]
"""Whose kernels Q/DQ are placed for."""

RangeMethod = Literal["max", "percentile", "entropy", "mse"]
"""How the range of a tensor's INT8 values follows from what calibration saw of it."""


class Quantization(msgspec.Struct, frozen=True, kw_only=True):
    """How an INT8 model came about, and what INT8 costs it.

    ``placement`` says whose kernels Q/DQ are placed for. Ranges come from ``images`` pictures of ``source`` by
    ``method``. ``layers`` are the nodes that compute in INT8, ``kept`` the blocks that were kept out of it. Shares (0
    to 1) are of the multiply-accumulates of ordinary convolutions and of all. ``agreement`` is the percentage of pixels
    that keep the class of single precision, ``pq`` (percent) that of "fp32" and "int8" on labeled images,
    ``sensitivity`` the loss with one block alone in INT8, ``milliseconds`` a run's time by precision, in ``timed_in``.
    """

    placement: Placement
    method: RangeMethod
    source: str
    images: int
    images_sha256: str
    layers: tuple[str, ...]
    kept: tuple[str, ...] = ()
    share_of_convolutions: float
    share_of_all: float
    agreement: float
    pq: dict[str, float] | None = None
    sensitivity: dict[str, float] = {}
    milliseconds: dict[str, float] = {}
    timed_in: str = "nothing"


Count = Annotated[int, msgspec.Meta(ge=0)]


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """How much one run computes and moves, counted from the graph, for ``batch`` images of ``height`` x ``width``.

    ``macs`` are multiply-accumulates by type of operator. ``parameters`` are those of the checkpoint, ``weight_bytes``
    all constants of the graph in the types it reads them in. ``activation_bytes`` are what its nodes read and write of
    each other, of the image and of the results, elementwise operations being part of what makes their input.
    """

    macs: dict[str, Count]
    parameters: Count
    weight_bytes: Count
    activation_bytes: Count
    height: int
    width: int
    batch: int

    @property
    def macs_total(self) -> int:
        """Multiply-accumulates of all operators."""
        return sum(self.macs.values())


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Everything needed to run an artifact and to trust it; ``parity`` is by the name of the backend."""

    schema_version: int = SCHEMA_VERSION
    variant: str
    task: Literal["panoptic"] = "panoptic"
    input: InputSpec
    outputs: dict[Literal["logits", "masks"], Literal["float32", "float16"]]
    queries: int
    classes: tuple[Label, ...]
    thresholds: Thresholds = Thresholds()
    precision: Literal["fp32", "fp16", "int8"] = "fp32"
    deform_conv: Literal["native", "standard", "plugin", "nvidia"]
    checkpoint: FileHash
    model: FileHash | None = None
    engine: Engine | None = None
    quantization: Quantization | None = None
    work: Work | None = None
    built_by: BuiltBy
    parity: dict[str, Parity] = {}

    @property
    def target(self) -> Literal["onnx", "trt", "trt-rtx"]:
        """What kind of model file this describes."""
        return "onnx" if self.engine is None else self.engine.target

    def to_json(self) -> bytes:
        """Return the manifest as indented JSON."""
        return to_json(self)


def path_of(model: Path) -> Path:
    """Return where the manifest of ``model`` lies."""
    return model.with_suffix(".json")


def parse(data: bytes, source: str) -> Manifest:
    """Read a manifest. ``source`` names it in messages. Raises ManifestError."""
    manifest = _SCHEMA.parse(data, source)
    _check(manifest, source)
    return manifest


def verify(manifest: Manifest, model: Path) -> None:
    """Raise ManifestError unless ``manifest`` vouches for the bytes of ``model``."""
    if manifest.model is None:
        raise ManifestError(f"the manifest of {model} has no hash of it: export the model again")
    found = sha256(model)
    if found != manifest.model.sha256:
        raise ManifestError(
            f"{model} has SHA-256 {found[:12]}…, its manifest vouches for {manifest.model.sha256[:12]}…: "
            "one of the two was replaced or edited; export again, or put the matching pair back"
        )


_SCHEMA = Schema(Manifest, SCHEMA_VERSION, "manifest", "pem-edge", "export the model again", ManifestError)


def _check(manifest: Manifest, source: str) -> None:
    spec = manifest.input
    problems = [
        (min(spec.height, spec.width, spec.batch) < 1, "input sizes must be positive"),
        (spec.multiple_of < 1, "multiple_of must be positive"),
        (spec.height % max(spec.multiple_of, 1) != 0, f"height {spec.height} is not a multiple of {spec.multiple_of}"),
        (spec.width % max(spec.multiple_of, 1) != 0, f"width {spec.width} is not a multiple of {spec.multiple_of}"),
        ([label.id for label in manifest.classes] != list(range(len(manifest.classes))), "class ids must count from 0"),
        (not manifest.classes, "there are no classes"),
        (manifest.queries < 1, "there are no queries"),
        (set(manifest.outputs) != {"logits", "masks"}, "outputs must be logits and masks"),
        (not _takes(spec.dynamic_batch, 1), "dynamic_batch must be a rising range of positive sizes"),
        (not _takes(spec.dynamic_height, spec.multiple_of), f"dynamic_height must rise, by {spec.multiple_of}s"),
        (not _takes(spec.dynamic_width, spec.multiple_of), f"dynamic_width must rise, by {spec.multiple_of}s"),
    ]
    for wrong, what in problems:
        if wrong:
            raise ManifestError(f"{source} is not a valid manifest: {what}; export the model again")


def _takes(sizes: Range | None, multiple: int) -> bool:
    """Return whether the range rises and its sizes are positive multiples."""
    if sizes is None:
        return True
    rises = 0 < sizes.least <= sizes.usual <= sizes.most
    return rises and all(size % max(multiple, 1) == 0 for size in (sizes.least, sizes.usual, sizes.most))
