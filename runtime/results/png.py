"""Writing pictures as PNG files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import files


def write(path: Path, image: NDArray[np.uint8], *, option: str = "-o") -> None:
    """Write an image, RGB uint8 (H, W, 3), which appears under its name when it is complete.

    Missing folders are created. ``option`` is the option of the command that names the place, for the message.

    Raises:
        OutputError: If the folder cannot be written or the disk is full.
    """
    with files.write_atomically(path, option=option) as temporary:
        temporary.write_bytes(cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1].tobytes())
