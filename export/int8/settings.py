"""The calibration settings that a user can choose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pem_edge.calibration.activations.ranges import METHOD
from pem_edge.calibration.images.calibration_set import COUNT
from pem_edge.runtime.artifacts.sections import Placement, RangeMethod
from pem_edge.runtime.errors import ExportError


@dataclass(frozen=True)
class Calibration:
    """The images to calibrate on, and how to quantize with them.

    Attributes:
        source: A folder of images, or a labeled dataset as `open_dataset` takes it.
        placement: The kind of kernels to quantize for.
        count: The number of images to use.
        method: The rule that derives the range of a tensor from its observed values.
        max_drop: The maximum loss to accept, in percentage points of PQ, or mean IoU if the model is for semantic maps,
            or agreement with single precision where there are no labels; None accepts any loss.
        cache: The file that keeps the statistics; None for a file in the user's cache folder.

    Raises:
        ExportError: If ``max_drop`` is not a number from 0 to 100.
    """

    source: str
    placement: Placement
    count: int = COUNT
    method: RangeMethod = METHOD
    max_drop: float | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.max_drop is not None and not 0 <= self.max_drop <= 100:
            raise ExportError(f"--max-pq-drop is {self.max_drop:g}, expected 0 to 100, percentage points")
