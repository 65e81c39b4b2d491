"""The sizes that an exported graph takes: built from the options' values, and checked."""

from __future__ import annotations

from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF, InputSpec, Range
from pem_edge.runtime.errors import ExportError

DEFAULT_SIZE, DEFAULT_MIN_SIZE, DEFAULT_MAX_BATCH = (512, 1024), (128, 128), 4

Size = tuple[int, int]
"""Height and width in pixels."""


def dynamic(size: Size, batch: int, min_size: Size | None, max_size: Size | None, max_batch: int | None) -> InputSpec:
    """Return an input whose batch, height, and width may vary around ``batch`` and ``size``.

    By default, sizes range from 128x128 to twice ``size``, and batches from 1 to 4. A maximum batch of 1 fixes it.
    """
    height, width = size
    most_images = DEFAULT_MAX_BATCH if max_batch is None else max_batch
    smallest, largest = min_size or DEFAULT_MIN_SIZE, max_size or (2 * height, 2 * width)
    return InputSpec(
        height=height,
        width=width,
        batch=batch,
        dynamic_batch=None if batch == most_images == 1 else Range(1, batch, most_images),
        dynamic_height=Range(smallest[0], height, largest[0]),
        dynamic_width=Range(smallest[1], width, largest[1]),
    )


def check(spec: InputSpec) -> None:
    """Raise ExportError unless a model can take these sizes.

    Heights and widths must be multiples of 32, batches positive, and each range must contain its default.
    """
    if spec.batch < 1:
        raise ExportError(f"--batch is {spec.batch}, expected 1 or more")
    _check_size("--size", spec.height, spec.width)
    if spec.dynamic_height is not None and spec.dynamic_width is not None:
        _check_size("--min-size", spec.dynamic_height.least, spec.dynamic_width.least)
        _check_size("--max-size", spec.dynamic_height.most, spec.dynamic_width.most)
    for name, sizes in (("batch", spec.dynamic_batch), ("height", spec.dynamic_height), ("width", spec.dynamic_width)):
        if sizes is not None:
            _check_range(name, sizes)


def _check_size(option: str, height: int, width: int) -> None:
    if any(side < MULTIPLE_OF or side % MULTIPLE_OF for side in (height, width)):
        near = "x".join(str(max(MULTIPLE_OF, round(side / MULTIPLE_OF) * MULTIPLE_OF)) for side in (height, width))
        raise ExportError(f"{option} is {height}x{width}, expected multiples of {MULTIPLE_OF}: try {near}")


def _check_range(name: str, sizes: Range) -> None:
    if not sizes.least <= sizes.usual <= sizes.most:
        raise ExportError(
            f"the {name} may vary from {sizes.least} to {sizes.most}, default {sizes.usual}: expected a range that "
            "contains the default"
        )
    if sizes.least == sizes.most:
        raise ExportError(f"the {name} is always {sizes.usual}, expected a range: leave out --dynamic, or widen it")
