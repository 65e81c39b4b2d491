"""The manifest, a JSON file that describes how to run a model file and how it was built and verified.

The manifest of ``model.onnx`` or ``model.engine`` is ``model.json``. An ``.onnx`` file also carries it in its metadata,
without the hash of the file itself, so that it works alone. If an engine and the ``.onnx`` file that it was built from
are in one folder, ``model.json`` is the engine's manifest.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import msgspec

from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.provenance import BuiltBy, Parity, Precision, Standing
from pem_edge.runtime.artifacts.sections import Engine, FileHash, Quantization, Weights, Work
from pem_edge.runtime.errors import InputError, ManifestError
from pem_edge.runtime.images import MAX_PIXELS
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import read_bytes
from pem_edge.runtime.versioned_json import Schema, to_json

SCHEMA_VERSION = 1
"""Version of the manifest's schema that this package writes, and the newest that it reads."""

MULTIPLE_OF = 32
"""Coarsest stride of the models: the height and width of the input must be multiples of it."""

PAD_VALUE = (124, 116, 104)
"""Color of the padding, RGB: the mean of ImageNet's pixels, 0 once normalized."""

MAX_BATCH, MAX_CLASSES, MAX_QUERIES = 1024, 65_536, 65_536
"""Limits on what a manifest may claim; memory is allocated for it. The limit on pixels is that of images."""

_LIMIT = 100_000_000

Task = Literal["panoptic", "semantic", "instance"]
"""What a model was trained for."""

TASKS: tuple[Task, ...] = get_args(Task)
"""All tasks."""

METADATA_KEY = "pem-edge"
"""Key of the manifest's JSON among an ONNX model's metadata."""


class Range(msgspec.Struct, frozen=True):
    """The minimum, typical and maximum size of a dynamic dimension; engines are tuned for the typical one."""

    least: int
    usual: int
    most: int

    def __contains__(self, value: int) -> bool:
        return self.least <= value <= self.most


class InputSpec(msgspec.Struct, frozen=True):
    """The input tensor ``image``: uint8, RGB, (batch, height, width, 3), with sizes in pixels.

    A static model takes exactly ``batch`` x ``height`` x ``width``. A dynamic model takes any size within the ranges
    whose height and width are multiples of ``multiple_of``. An image is scaled to fit with its aspect ratio kept, and
    padded at the bottom and right with ``pad_value``.
    """

    height: int
    width: int
    batch: int = 1
    name: str = "image"
    layout: Literal["NHWC"] = "NHWC"
    dtype: Literal["uint8"] = "uint8"
    color: Literal["RGB"] = "RGB"
    fit: Literal["pad-bottom-right"] = "pad-bottom-right"
    pad_value: tuple[int, int, int] = PAD_VALUE
    multiple_of: int = MULTIPLE_OF
    dynamic_batch: Range | None = None
    dynamic_height: Range | None = None
    dynamic_width: Range | None = None

    @property
    def dynamic(self) -> bool:
        """Whether any dimension may vary."""
        return any(sizes is not None for sizes in (self.dynamic_batch, self.dynamic_height, self.dynamic_width))

    def shapes(self) -> tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int, int]]:
        """Return the least, the usual and the largest (batch, height, width), all the same for a static model."""
        batch = self.dynamic_batch or Range(*[self.batch] * 3)
        height = self.dynamic_height or Range(*[self.height] * 3)
        width = self.dynamic_width or Range(*[self.width] * 3)
        return (
            (batch.least, height.least, width.least),
            (batch.usual, height.usual, width.usual),
            (batch.most, height.most, width.most),
        )


class Thresholds(msgspec.Struct, frozen=True):
    """The default thresholds, each 0 to 1.

    Attributes:
        score: The minimum class probability of a segment, and the minimum score of an instance.
        overlap: The minimum fraction of a mask's area that must remain visible after other masks took their pixels.
    """

    score: float = 0.8
    overlap: float = 0.8

    @staticmethod
    def usual(task: Task) -> Thresholds:
        """Return those that suit a task; of instances, which may overlap, more are shown."""
        return Thresholds(score=0.5) if task == "instance" else Thresholds()


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a manifest.

    Attributes:
        schema_version: The version of the schema.
        variant: The name of the model variant, such as "pem-stdc1".
        task: What the model was trained for.
        input: The input tensor.
        outputs: The types of the two output tensors.
        queries: The number of object queries, Q.
        classes: The classes, in the order of the class logits.
        thresholds: The default thresholds.
        precision: The precision of the model's arithmetic.
        deform_conv: The implementation of deformable convolution.
        checkpoint: The trained weights.
        model: The model file; None in the copy within the file itself.
        engine: The facts of an engine; None for ONNX.
        quantization: The facts of an INT8 model, else None.
        work: The amount of computation, if counted.
        built_by: The versions and settings of the build.
        parity: The comparison with the PyTorch model by each backend, by the backend's name.
        verified: The comparison with the ONNX model by each backend, by the backend's name, or that there was none yet.
    """

    schema_version: int = SCHEMA_VERSION
    variant: str
    task: Task = "panoptic"
    input: InputSpec
    outputs: dict[Literal["logits", "masks"], Literal["float32", "float16"]]
    queries: int
    classes: tuple[Label, ...]
    thresholds: Thresholds = Thresholds()
    precision: Precision = "fp32"
    deform_conv: Literal["native", "standard", "gather", "plugin", "nvidia"]
    checkpoint: Weights
    model: FileHash | None = None
    engine: Engine | None = None
    quantization: Quantization | None = None
    work: Work | None = None
    built_by: BuiltBy
    parity: dict[str, Parity] = {}
    verified: dict[str, Standing] = {}

    @property
    def target(self) -> Literal["onnx", "trt", "trt-rtx"]:
        """The kind of the model file."""
        return "onnx" if self.engine is None else self.engine.target

    def to_json(self) -> bytes:
        """Return the manifest as indented JSON."""
        return to_json(self)


def manifest_path(model: Path) -> Path:
    """Return the path of the manifest of ``model``."""
    return model.with_suffix(".json")


def parse_manifest(data: bytes, source: str) -> Manifest:
    """Parse a manifest's JSON.

    Args:
        data: The JSON.
        source: A name for it in messages.

    Raises:
        ManifestError: If the JSON is invalid, not a manifest, or newer than this version.
    """
    manifest = _SCHEMA.parse(data, source)
    _check(manifest, source)
    return manifest


def read_manifest(path: Path) -> Manifest:
    """Return the manifest in a file. Raises ManifestError if the file cannot be read or is no manifest."""
    cure = "export the model again"
    return parse_manifest(read_bytes(path, ManifestError, limit=_LIMIT, expected="a manifest", cure=cure), str(path))


def verify_manifest(manifest: Manifest, model: Path, found: str) -> None:
    """Raise ManifestError unless ``found``, the SHA-256 of the file ``model``, is the one in ``manifest``."""
    if manifest.model is None:
        raise ManifestError(f"the manifest of {model} has no hash of it: export the model again")
    if found != manifest.model.sha256:
        raise ManifestError(
            f"{model} has SHA-256 {found[:12]}…, its manifest vouches for {manifest.model.sha256[:12]}…: "
            "one of the two was replaced or edited; export again, or put the matching pair back"
        )


_SCHEMA = Schema(Manifest, SCHEMA_VERSION, "manifest", "pem-edge", "export the model again", ManifestError)


def _check(manifest: Manifest, source: str) -> None:
    """Raise ManifestError if values contradict each other or are out of range."""
    spec = manifest.input
    problems = [
        (min(spec.height, spec.width, spec.batch) < 1, "input sizes must be positive"),
        (spec.multiple_of < 1, "multiple_of must be positive"),
        (spec.height % max(spec.multiple_of, 1) != 0, f"height {spec.height} is not a multiple of {spec.multiple_of}"),
        (spec.width % max(spec.multiple_of, 1) != 0, f"width {spec.width} is not a multiple of {spec.multiple_of}"),
        ([label.id for label in manifest.classes] != list(range(len(manifest.classes))), "class ids must count from 0"),
        (not manifest.classes, "there are no classes"),
        (len(manifest.classes) > MAX_CLASSES, f"there are more than {MAX_CLASSES} classes"),
        (manifest.queries > MAX_QUERIES, f"there are more than {MAX_QUERIES} queries"),
        (_most(spec.batch, spec.dynamic_batch) > MAX_BATCH, f"batches have more than {MAX_BATCH} images"),
        (
            _most(spec.height, spec.dynamic_height) * _most(spec.width, spec.dynamic_width) > MAX_PIXELS,
            f"images have more than {MAX_PIXELS} pixels",
        ),
        (
            not all(0 <= value <= 255 for label in manifest.classes for value in label.color),
            "colors must be between 0 and 255",
        ),
        (not all(0 <= value <= 255 for value in spec.pad_value), "pad_value must be between 0 and 255"),
        (
            not all(0 <= value <= 1 for value in (manifest.thresholds.score, manifest.thresholds.overlap)),
            "thresholds must be between 0 and 1",
        ),
        (manifest.queries < 1, "there are no queries"),
        (set(manifest.outputs) != {"logits", "masks"}, "outputs must be logits and masks"),
        (not _is_valid(spec.dynamic_batch, 1), "dynamic_batch must be a rising range of positive sizes"),
        (not _is_valid(spec.dynamic_height, spec.multiple_of), f"dynamic_height must rise, by {spec.multiple_of}s"),
        (not _is_valid(spec.dynamic_width, spec.multiple_of), f"dynamic_width must rise, by {spec.multiple_of}s"),
    ]
    for is_wrong, reason in problems:
        if is_wrong:
            raise ManifestError(f"{source} is not a valid manifest: {reason}; export the model again")


def _most(size: int, sizes: Range | None) -> int:
    return size if sizes is None else max(size, sizes.most)


def _is_valid(sizes: Range | None, multiple: int) -> bool:
    """Return whether the sizes are in order and positive multiples of ``multiple``; no range is valid, too."""
    if sizes is None:
        return True
    in_order = 0 < sizes.least <= sizes.usual <= sizes.most
    return in_order and all(size % max(multiple, 1) == 0 for size in (sizes.least, sizes.usual, sizes.most))


def choose_task(given: Task | None, usual: Task, among: Sequence[Task] = TASKS) -> Task:
    """Return the task ``given``, or else the usual one. Raises InputError if it is not ``among`` those that can be."""
    if given is not None and not (isinstance(given, str) and given in among):  # arrays compare with each of their items
        raise InputError(f"task is {brief(given)}, expected {', '.join(among)}: give one of them, or leave it out")
    return given or usual
