"""GStreamer pipelines, where OpenCV has GStreamer, and with one the CSI cameras of a Jetson."""

from __future__ import annotations

import re

import cv2

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.live import Capture
from pem_edge.runtime.sources.recordings import captures

_END = "videoconvert ! video/x-raw,format=BGR ! appsink max-buffers=1 sync=false"
"""End of a pipeline that hands its frames to OpenCV."""

_CSI = re.compile(r"csi:(\d{1,2})(?::(\d{2,5})x(\d{2,5}))?(?:@(\d{1,3}))?")
_CSI_PIPELINE = (
    "nvarguscamerasrc sensor-id={sensor} ! "
    "video/x-raw(memory:NVMM),width={width},height={height},framerate={fps}/1 ! "
    "nvvidconv ! video/x-raw,format=BGRx"
)
_HEIGHT, _WIDTH, _FPS = "1080", "1920", "30"


class Pipeline(Capture):
    """A GStreamer pipeline. If it states its length, it is a recording, not live.

    Args:
        pipeline: The pipeline, such as ``v4l2src ! video/x-raw,width=1280``. Without an ``appsink`` the end that hands
            frames to OpenCV is added.
        timeout: The maximum seconds that it may yield nothing, or None for no limit.
        name: The name for messages.

    Raises:
        InputError: If OpenCV was built without GStreamer, as its wheels are, or the pipeline gives no video.
    """

    def __init__(self, pipeline: str, timeout: float | None, name: str = "the GStreamer pipeline") -> None:
        self.pipeline = pipeline if "appsink" in pipeline else f"{pipeline} ! {_END}"
        self.name, self.stem = name, re.sub(r"\W+", "_", name.removeprefix("the ").lower())
        if not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER):
            raise InputError(
                f"{name} needs OpenCV with GStreamer, which version {cv2.__version__} here was built without: use "
                "that of JetPack or of the distribution (apt install python3-opencv), in an environment with "
                "--system-site-packages and without pip's (pip uninstall opencv-python-headless), or an rtsp:// address"
            )
        super().__init__(timeout)

    def _start_capture(self) -> cv2.VideoCapture:
        return captures.open_capture(self.pipeline, cv2.CAP_GSTREAMER, timeout=self.timeout)

    def _absence_message(self) -> str:
        return f"{self.name} gives no video: try it with gst-launch-1.0 {self.pipeline.replace('appsink', 'fakesink')}"


def csi_camera(text: str, timeout: float | None) -> Pipeline:
    """Return the source of a CSI camera of a Jetson.

    Args:
        text: ``csi:0``, with a size and a rate that the camera has if need be: ``csi:0:720x1280@60``, height by width.
        timeout: The maximum seconds that it may yield nothing, or None for no limit.

    Raises:
        InputError: If ``text`` is malformed, or see `Pipeline`.
    """
    if (match := _CSI.fullmatch(text)) is None:
        raise InputError(f"{text} is not a CSI camera: give csi:0, or with height, width and rate csi:0:720x1280@60")
    sensor, height, width, fps = match.groups()
    pipeline = _CSI_PIPELINE.format(sensor=sensor, height=height or _HEIGHT, width=width or _WIDTH, fps=fps or _FPS)
    return Pipeline(pipeline, timeout, f"CSI camera {sensor}")
