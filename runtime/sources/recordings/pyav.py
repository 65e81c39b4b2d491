"""Recordings read by PyAV, where it is installed: the time of each frame is its own, whatever the frame rate does."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime import images
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside import optional_av
from pem_edge.runtime.outside.reading import reading
from pem_edge.runtime.sources.frame import Frame, frame_name
from pem_edge.runtime.sources.recordings import captures
from pem_edge.runtime.sources.recordings.tally import Tally

if TYPE_CHECKING:
    from av import VideoFrame, VideoStream
    from av.container import InputContainer

_FORMATS = (
    "asf,av1,avi,dhav,dirac,dv,evc,flv,gxf,h261,h263,h264,hevc,ivf,lxf,m4v,matroska,mjpeg,mov,mp4,mpeg,mpegts,mpegvideo,"
    "mxf,nsv,nut,nuv,obu,ogg,rm,smjpeg,vc1,vvc,wtv,yuv4mpegpipe"
)
"""FFmpeg's names of containers and streams of video. None of them is a list of other files, nor text."""

_MAX_FAILURES = 500
"""Failed packets in a row that count as the end."""


class PyAvRecording:
    """A video file, opened by `open_recording`.

    Attributes:
        fps: The frames per second.
        length: The number of frames, or None if it is unknown.
        resources: What `close` closes.
    """

    def __init__(self, container: InputContainer, name: str) -> None:
        self._container, self._name = container, name
        self.resources = ExitStack()
        self._stream = container.streams.video[0]
        self._stream.thread_type = "AUTO"
        codec = self._stream.codec_context
        codec.options = {"max_pixels": str(images.MAX_PIXELS)}
        images.require_pixels(codec.height, codec.width, name)
        self._size = codec.height, codec.width
        rate = float(self._stream.guessed_rate or 0)
        self.fps, self.length = captures.believe(rate, self._stream.frames or round(self._seconds() * rate))

    def is_playable(self) -> bool:
        """Return whether a frame can be decoded; the recording is used up then."""
        return any(frame is not None for frame in self._decode())

    def close(self) -> None:
        """Close the file."""
        self.resources.close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame that can be decoded. Raises InputError at the end if any were missing."""
        tally = Tally(self.fps, self.length)
        damaged, start = 0, time.perf_counter()
        for decoded in self._decode():
            if decoded is None:
                damaged += 1
                continue
            with reading(self._name, InputError, expected="a video", cure="replace it, or convert it again"):
                image = self._to_image(decoded)
            spent, shown = 1000 * (time.perf_counter() - start), self._time(decoded)
            yield Frame(frame_name(tally.count), partial(images.from_array, image), spent, shown)
            tally.add(1000 * (shown or 0.0), damaged)
            damaged, start = 0, time.perf_counter()
        if loss := tally.describe_loss():
            raise InputError(f"{self._name} {loss}: replace it, or convert it again")

    def _seconds(self) -> float:
        if self._container.duration:
            return self._container.duration / 1e6
        if self._stream.duration and self._stream.time_base:
            return float(self._stream.duration * self._stream.time_base)
        return 0.0

    def _decode(self) -> Iterator[VideoFrame | None]:
        """Yield the frames, and None for each packet that cannot be decoded."""
        packets = self._container.demux(self._stream)
        failures = 0
        while failures < _MAX_FAILURES:
            try:
                if (packet := next(packets, None)) is None:
                    return
                frames = packet.decode()
            except EOFError:
                return
            except Exception:  # a demuxer given damaged bytes may raise anything
                failures += 1
                packets = self._container.demux(self._stream)
                yield None
                continue
            failures = 0 if frames else failures
            yield from frames

    def _time(self, frame: VideoFrame) -> float | None:
        """Return when the frame is shown, in seconds since the beginning."""
        if frame.pts is None or frame.time_base is None:
            return None
        return float((frame.pts - (self._stream.start_time or 0)) * frame.time_base)

    def _to_image(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return a frame upright, with square pixels and at the size of the first one."""
        height, width = captures.square(*self._size, captures.believe_aspect(*_ratio(self._stream)))
        images.require_pixels(height, width, self._name)
        image = frame.to_ndarray(format="rgb24", width=width, height=height)
        return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)), np.uint8)


def open_recording(path: Path) -> PyAvRecording | None:
    """Return the video in a file; None if PyAV is not installed, or finds none.

    FFmpeg gets the file opened and without its name, may take it for a video only, and is refused other files.

    Raises:
        InputError: If the file cannot be read, or its frames are too large.
    """
    if (av := optional_av.load()) is None:
        return None
    with ExitStack() as resources:
        with reading(path, InputError, expected="a video", cure="give another file"):
            file = resources.enter_context(path.open("rb"))
        try:
            options = {"format_whitelist": _FORMATS, "max_pixels": str(images.MAX_PIXELS)}
            container = av.open(
                optional_av.QuietFile(file), "r", options=options, metadata_errors="replace", io_open=_refuse
            )
            resources.callback(container.close)
            recording = PyAvRecording(container, str(path))
        except InputError:
            raise
        except Exception:  # FFmpeg's errors are of many types; OpenCV then tries, and says what is wrong
            return None
        recording.resources = resources.pop_all()
        return recording


def _refuse(address: str, _flags: int, _options: object) -> NoReturn:
    raise PermissionError(f"a video may not open {address}")


def _ratio(stream: VideoStream) -> tuple[int, int]:
    """Return the width and height of a pixel, zeros if they are unknown."""
    ratio = stream.sample_aspect_ratio
    return (ratio.numerator, ratio.denominator) if ratio else (0, 0)
