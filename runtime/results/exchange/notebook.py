"""Drawings as notebooks show them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDEST = 1024
"""Most columns of a picture in a notebook, which keeps it in its file."""


def preview(drawing: NDArray[np.uint8]) -> bytes:
    """Return a drawing, RGB uint8 (H, W, 3), as a PNG of at most 1024 columns."""
    height, width = drawing.shape[:2]
    if width > _WIDEST:
        size = _WIDEST, max(1, round(height * _WIDEST / width))
        drawing = cv2.resize(drawing, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
    return cv2.imencode(".png", cv2.cvtColor(drawing, cv2.COLOR_RGB2BGR))[1].tobytes()
