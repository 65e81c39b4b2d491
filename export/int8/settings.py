"""What a user may ask of calibration."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pem_edge.calibration.images.calibration_set import COUNT
from pem_edge.runtime.artifacts.manifest import Placement, RangeMethod
from pem_edge.runtime.errors import ExportError


@dataclass(frozen=True)
class Calibration:
    """What to calibrate on, and how.

    Attributes:
        source: A folder of pictures, or labeled images as `open_dataset` takes them.
        placement: Whose kernels to quantize for.
        count: The number of images to use.
        method: How ranges follow from values.
        most: The largest loss that is accepted, in percentage points of PQ, or of agreement where there are no
            labels; None for any.
        cache: The file that keeps statistics; None for one in the user's cache folder.

    Raises:
        ExportError: If the largest loss is negative.
    """

    source: str
    placement: Placement
    count: int = COUNT
    method: RangeMethod = "percentile"
    most: float | None = None
    cache: Path | None = None

    def __post_init__(self) -> None:
        if self.most is not None and self.most < 0:
            raise ExportError(f"--max-pq-drop is {self.most:g}, expected 0 or more")
