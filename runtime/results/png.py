"""Writing pictures as PNG files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files
from pem_edge.runtime.sources.files import own_results


def write(path: Path, image: NDArray[np.uint8] | NDArray[np.uint16], *, option: str | None = "-o") -> None:
    """Write an image, which appears under its name when it is complete, with the mark of a result.

    The image is RGB uint8 (H, W, 3), or gray (H, W) of 8 or 16 bits.

    Missing folders are created. ``option`` is that of `files.write_atomically`.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image
    with files.write_atomically(path, option=option) as temporary:
        temporary.write_bytes(own_results.mark_png(cv2.imencode(".png", pixels)[1].tobytes()))
