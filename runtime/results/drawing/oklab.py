"""Oklab (https://bottosson.github.io/posts/oklab/), in which equal distances look like equal differences."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def of(colors: ArrayLike) -> NDArray[np.float64]:
    """Return sRGB colors (N, 3), 0 to 255, as lightness (0 to 1), green to red, and blue to yellow, (N, 3)."""
    channels = np.asarray(colors, np.float64).reshape(-1, 3) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    lab: NDArray[np.float64] = np.cbrt(linear @ _TO_CONES.T) @ _TO_LAB.T
    return lab
