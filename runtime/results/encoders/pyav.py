"""VP9 or H.264 in an MP4 file, by PyAV: what browsers play, with each frame at its own time.

VP9 comes first: Chromium, Firefox and recent Safari play it, also builds without licensed codecs, and libvpx is under
the BSD license; x264 is under the GPL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.outside import optional_av
from pem_edge.runtime.results.encoders.encoder import Encoder

if TYPE_CHECKING:
    from av import Packet, VideoStream

_CODECS: Mapping[str, Mapping[str, str]] = {
    "libvpx-vp9": {
        "deadline": "realtime",
        "cpu-used": "8",
        "crf": "30",
        "b": "0",
        "row-mt": "1",
        "tile-columns": "2",
        "lag-in-frames": "0",
    },
    "libx264": {"preset": "veryfast", "tune": "zerolatency", "crf": "23"},
}
"""Encoders, the preferred one first, with their options. None holds back frames, so that little is left to finish."""

_TICKS = 90_000
"""Units of time per second, as in MPEG; common frame rates are whole numbers of them."""

_THREADS = 4
_FRAME_INDEX_BYTES, _BUFFER_BYTES = 64, 1 << 18
"""Size of a frame's entry in the index at the end of the file, and of what is not written yet."""

_BT_601, _LIMITED_RANGE = 6, 1
"""Numbers (ITU-T H.273, FFmpeg) of the colors that OpenCV converts to."""


def best_codec() -> str | None:
    """Return the name of the best encoder that there is, None if there is none."""
    if (av := optional_av.load()) is None:
        return None
    return next((name for name in _CODECS if name in av.codecs_available), None)


class PyAvEncoder(Encoder):
    """Writes by PyAV with ``codec``, one of `best_codec`'s; the other arguments are those of `start`."""

    def __init__(self, path: Path, codec: str, size: tuple[int, int], fps: float) -> None:
        import av

        self._frames, self._ticks = 0, -1
        self._frame_ticks = round(_TICKS / fps)
        self._file = path.open("wb")  # buffered, since that writes all or raises
        try:
            self._container = av.open(optional_av.QuietFile(self._file), "w", format="mp4")
            rate = Fraction(fps).limit_denominator(1001)
            stream = self._container.add_stream(codec, rate=rate, options=dict(_CODECS[codec]))
            assert isinstance(stream, av.VideoStream)
            self._stream = stream
            self._set_up(size)
        except BaseException:
            self._file.close()
            raise

    def write(self, image: NDArray[np.uint8], time: float) -> None:
        """See `Encoder.write`."""
        from av import VideoFrame

        frame = VideoFrame.from_ndarray(
            np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), np.uint8), format="yuv420p"
        )
        self._ticks = max(self._ticks + 1, round(time * _TICKS))
        frame.pts, frame.time_base = self._ticks, Fraction(1, _TICKS)
        self._frames += 1
        with _system_errors():
            self._mux(self._stream.encode(frame))

    def bytes_to_finish(self) -> int:
        """See `Encoder.bytes_to_finish`."""
        return _FRAME_INDEX_BYTES * self._frames + _BUFFER_BYTES

    def finish(self) -> None:
        """See `Encoder.finish`."""
        with closing(self._file), _system_errors():
            try:
                self._mux(self._stream.encode(None))
            finally:
                self._container.close()

    def _set_up(self, size: tuple[int, int]) -> None:
        codec = self._stream.codec_context
        codec.height, codec.width = size
        codec.pix_fmt, codec.colorspace, codec.color_range = "yuv420p", _BT_601, _LIMITED_RANGE
        codec.time_base = Fraction(1, _TICKS)
        codec.thread_count = _THREADS
        codec.open()

    def _mux(self, packets: Iterable[Packet[VideoStream]]) -> None:
        for packet in packets:
            packet.duration = self._frame_ticks  # counts for the last one alone
            self._container.mux(packet)


@contextmanager
def _system_errors() -> Iterator[None]:
    """Turn errors of FFmpeg into OSError."""
    from av import FFmpegError

    try:
        yield
    except FFmpegError as error:
        raise OSError(error.errno, error.strerror) from error
