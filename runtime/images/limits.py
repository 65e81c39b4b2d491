"""The number of pixels that images may have, whatever they come from."""

from __future__ import annotations

from pem_edge.runtime.errors import InputError

MAX_PIXELS = 100_000_000
"""Default limit on the height times the width of an image."""


def require_pixels(height: float, width: float, source: object, limit: int = MAX_PIXELS) -> None:
    """Raise InputError if an image of ``source``, which is named in the message, has more than ``limit`` pixels."""
    if height * width > limit:
        raise InputError(
            f"{source} claims {height:.0f}x{width:.0f}, more than {limit} pixels, the limit: scale it down"
        )
