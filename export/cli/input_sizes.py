"""The sizes that an exported graph takes: built from the options' values, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from pem_edge.runtime.artifacts.manifest import MAX_BATCH, MULTIPLE_OF, InputSpec, Range
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.images import MAX_PIXELS

if TYPE_CHECKING:
    from pem_edge.pem import MaskClassifier

FINEST_MULTIPLE = 16
"""Divides the sizes that any model takes: it is EoMT's patch; the other models take multiples of 32 alone."""

DEFAULT_SIZE, DEFAULT_MIN_SIZE, DEFAULT_MAX_BATCH = (512, 1024), (128, 128), 4

Size = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class InputRequest:
    """The sizes that a graph shall take, in pixels and images.

    Attributes:
        size: The usual height and width; None for what the weights were trained for, or else 512x1024.
        batch: The usual number of images.
        dynamic: Whether sizes and batches may vary.
        min_size: With ``dynamic``, the smallest; None for 128x128, or the usual size where that is smaller.
        max_size: With ``dynamic``, the largest; None for twice the usual size.
        max_batch: With ``dynamic``, the largest number of images; 1 fixes it.

    Raises:
        ExportError: If a model cannot take these sizes.
    """

    size: Size | None = None
    batch: int = 1
    dynamic: bool = False
    min_size: Size | None = None
    max_size: Size | None = None
    max_batch: int = DEFAULT_MAX_BATCH

    def __post_init__(self) -> None:
        if self.size is not None or not self.dynamic:
            self.spec(None)
            return
        # Whether the ranges contain the size that the weights ask for is seen when those are read.
        for option, given in (("--min-size", self.min_size), ("--max-size", self.max_size)):
            if given is not None:
                _check_size(option, *given, FINEST_MULTIPLE)

    def spec(self, trained: Size | None, model: type[MaskClassifier] | None = None) -> InputSpec:
        """Return the input of a graph.

        Args:
            trained: The size that the weights were trained for.
            model: The family of the model; None while it is unknown, for what any model may take.

        Raises:
            ExportError: If the model cannot take these sizes.
        """
        height, width = self.size or trained or DEFAULT_SIZE
        spec = InputSpec(height=height, width=width, batch=self.batch, multiple_of=FINEST_MULTIPLE)
        if model is not None:
            spec = msgspec.structs.replace(spec, multiple_of=model.multiple_of, pad_value=model.pad_value)
        if self.dynamic:
            spec = msgspec.structs.replace(spec, dynamic_batch=self._batches())
            if model is None or model.sizes_vary:
                spec = self._with_ranges(spec)
            else:
                self._refuse_ranges(spec)
        check(spec)
        return spec

    def _batches(self) -> Range | None:
        return None if self.batch == self.max_batch == 1 else Range(1, self.batch, self.max_batch)

    def _with_ranges(self, spec: InputSpec) -> InputSpec:
        smallest = self.min_size or (min(DEFAULT_MIN_SIZE[0], spec.height), min(DEFAULT_MIN_SIZE[1], spec.width))
        largest = self.max_size or (2 * spec.height, 2 * spec.width)
        return msgspec.structs.replace(
            spec,
            dynamic_height=Range(smallest[0], spec.height, largest[0]),
            dynamic_width=Range(smallest[1], spec.width, largest[1]),
        )

    def _refuse_ranges(self, spec: InputSpec) -> None:
        """Raise ExportError if the request asks for heights and widths that vary, or if nothing would vary."""
        fixed = (
            f"the positions of this model are learned, and resampled at export to one size, {spec.height}x{spec.width}"
        )
        for option, given in (("--min-size", self.min_size), ("--max-size", self.max_size)):
            if given is not None:
                raise ExportError(f"{fixed}: leave out {option}, and export a file for each size")
        if spec.dynamic_batch is None:
            raise ExportError(f"{fixed}, and --max-batch 1 fixes the batch: leave out --dynamic")


def check(spec: InputSpec) -> None:
    """Raise ExportError unless a model can take these sizes.

    Heights and widths must be multiples of ``spec.multiple_of``, sizes and batches within the limits of a manifest, and
    each range must contain its default.
    """
    if not 1 <= spec.batch <= MAX_BATCH:
        raise ExportError(f"--batch is {spec.batch}, expected 1 to {MAX_BATCH}")
    if spec.dynamic_batch is not None and spec.dynamic_batch.most > MAX_BATCH:
        raise ExportError(f"--max-batch is {spec.dynamic_batch.most}, expected 1 to {MAX_BATCH}")
    _check_size("--size", spec.height, spec.width, spec.multiple_of)
    if spec.dynamic_height is not None and spec.dynamic_width is not None:
        _check_size("--min-size", spec.dynamic_height.least, spec.dynamic_width.least, spec.multiple_of)
        _check_size("--max-size", spec.dynamic_height.most, spec.dynamic_width.most, spec.multiple_of)
    for name, sizes in (("batch", spec.dynamic_batch), ("height", spec.dynamic_height), ("width", spec.dynamic_width)):
        if sizes is not None:
            _check_range(name, sizes)


def _check_size(option: str, height: int, width: int, multiple: int) -> None:
    if height * width > MAX_PIXELS:
        raise ExportError(
            f"{option} is {height}x{width}, more than {MAX_PIXELS} pixels, the limit: choose a smaller {option}"
        )
    if any(side < multiple or side % multiple for side in (height, width)):
        coarse = _near(height, width, MULTIPLE_OF)
        fine = f" (EoMT: of {multiple}, {_near(height, width, multiple)})" if multiple != MULTIPLE_OF else ""
        raise ExportError(f"{option} is {height}x{width}, expected multiples of {MULTIPLE_OF}: try {coarse}{fine}")


def _near(height: int, width: int, multiple: int) -> str:
    """Return the nearest size of multiples that `shared_options.size` takes, whose sides have at most six digits."""
    sides = (min(max(round(side / multiple), 1), 999_999 // multiple) * multiple for side in (height, width))
    return "x".join(map(str, sides))


def _check_range(name: str, sizes: Range) -> None:
    if not sizes.least <= sizes.usual <= sizes.most:
        raise ExportError(
            f"the {name} may vary from {sizes.least} to {sizes.most}, default {sizes.usual}: expected a range that "
            "contains the default; change --size, --min-size or --max-size"
        )
    if sizes.least == sizes.most:
        raise ExportError(f"the {name} is always {sizes.usual}, expected a range: leave out --dynamic, or widen it")
