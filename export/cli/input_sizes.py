"""The sizes that an exported graph takes: built from the options' values, and checked."""

from __future__ import annotations

from pem_edge.runtime.artifacts.manifest import MAX_BATCH, MULTIPLE_OF, InputSpec, Range
from pem_edge.runtime.errors import ExportError
from pem_edge.runtime.images import MAX_PIXELS

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

    Heights and widths must be multiples of 32, sizes and batches within the limits of a manifest, and each range must
    contain its default.
    """
    if not 1 <= spec.batch <= MAX_BATCH:
        raise ExportError(f"--batch is {spec.batch}, expected 1 to {MAX_BATCH}")
    if spec.dynamic_batch is not None and spec.dynamic_batch.most > MAX_BATCH:
        raise ExportError(f"--max-batch is {spec.dynamic_batch.most}, expected 1 to {MAX_BATCH}")
    _check_size("--size", spec.height, spec.width)
    if spec.dynamic_height is not None and spec.dynamic_width is not None:
        _check_size("--min-size", spec.dynamic_height.least, spec.dynamic_width.least)
        _check_size("--max-size", spec.dynamic_height.most, spec.dynamic_width.most)
    for name, sizes in (("batch", spec.dynamic_batch), ("height", spec.dynamic_height), ("width", spec.dynamic_width)):
        if sizes is not None:
            _check_range(name, sizes)


def _check_size(option: str, height: int, width: int) -> None:
    if height * width > MAX_PIXELS:
        raise ExportError(
            f"{option} is {height}x{width}, more than {MAX_PIXELS} pixels, the limit: choose a smaller {option}"
        )
    if any(side < MULTIPLE_OF or side % MULTIPLE_OF for side in (height, width)):
        near = "x".join(str(_nearest_multiple(side)) for side in (height, width))
        raise ExportError(f"{option} is {height}x{width}, expected multiples of {MULTIPLE_OF}: try {near}")


def _nearest_multiple(side: int) -> int:
    """Return the nearest multiple of 32 that `console.size` takes, which has at most six digits."""
    return min(max(round(side / MULTIPLE_OF), 1), 999_999 // MULTIPLE_OF) * MULTIPLE_OF


def _check_range(name: str, sizes: Range) -> None:
    if not sizes.least <= sizes.usual <= sizes.most:
        raise ExportError(
            f"the {name} may vary from {sizes.least} to {sizes.most}, default {sizes.usual}: expected a range that "
            "contains the default"
        )
    if sizes.least == sizes.most:
        raise ExportError(f"the {name} is always {sizes.usual}, expected a range: leave out --dynamic, or widen it")
