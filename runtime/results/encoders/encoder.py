"""The interface of encoders."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray


class Encoder(ABC):
    """Writes a video. Methods raise OSError if the file cannot be written."""

    @abstractmethod
    def write(self, image: NDArray[np.uint8], time: float) -> None:
        """Append a frame.

        Args:
            image: RGB uint8 (H, W, 3), of the video's size.
            time: When it is shown, in seconds since the first; never less than the frame's before.
        """

    @abstractmethod
    def bytes_to_finish(self) -> int:
        """Return the maximum number of bytes that `finish` may still write."""

    @abstractmethod
    def finish(self) -> None:
        """Complete the file and let go of it, which is also done if that fails."""
