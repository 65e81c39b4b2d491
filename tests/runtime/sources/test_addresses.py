"""What an address, a pipeline or a name with a scheme stands for: an image, a stream, or an error that says why not."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pem_edge.runtime import images, sources
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.sources.recordings import captures
from tests.runtime.helpers.footage import image, write_video
from tests.runtime.helpers.image_server import response, serving

PNG = cv2.imencode(".png", image(0)[..., ::-1])[1].tobytes()


def answer(_head: str, send: Callable[[bytes], None]) -> None:
    send(response(PNG))


@pytest.mark.parametrize("path", ["photo.png", "photo.PNG?key=secret", "snapshot", "cgi/image.cgi?user=x"])
def test_an_image_at_an_address_is_fetched(path: str) -> None:
    with serving(answer) as address:
        found = sources.find(f"{address}/{path}")
        assert isinstance(found, sources.Pictures)
        (frame,) = found
        assert frame.name == f"{address}/{path.partition('?')[0]}"
        np.testing.assert_array_equal(frame.read(), image(0))
        assert list(found.stems.values()) == [Path(path.partition("?")[0]).stem]


def test_an_image_that_is_missing_is_reported_when_it_is_read() -> None:
    with serving(lambda _head, send: send(response(b"", status="404 Not Found"))) as address:
        (frame,) = sources.find(f"{address}/photo.jpg")
        with pytest.raises(InputError, match=r"photo\.jpg does not exist there"):
            frame.read()
        with pytest.raises(InputError, match="photo gives no video: check the address"):
            sources.find(f"{address}/photo")


def test_files_by_their_address(tmp_path: Path) -> None:
    path = tmp_path / "a photo.png"
    path.write_bytes(PNG)
    assert isinstance(sources.find(path.as_uri()), sources.Pictures)
    video = write_video(tmp_path / "clip.mp4", 2)
    found = sources.find(video.as_uri())
    assert isinstance(found, sources.Video)
    assert found.length == 2
    with pytest.raises(InputError, match="none does not exist"):
        sources.find((tmp_path / "none").as_uri())


def test_the_street_that_comes_with_the_package() -> None:
    found = sources.find(images.DEMO_STREET)
    assert isinstance(found, sources.Pictures)
    (frame,) = found
    assert (frame.name, frame.read().shape, found.stems) == ("street.jpg", (512, 1024, 3), {"street.jpg": "street"})
    assert sources.find([images.DEMO_STREET]).length == 1


@pytest.mark.parametrize("address", ["ftp://host/a.mp4", "concat://a|b", "tcp://127.0.0.1:9", "data://x", "pipe://0"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(InputError, match=r":// is not an address of a video: expected rtsp, .*, rtmp, rtmps, udp"):
        sources.find(address)


@pytest.mark.parametrize("address", ["udp://@", "udp://", "rtmp://", "udp://host:0"])
def test_addresses_that_lack_something(address: str) -> None:
    with pytest.raises(InputError, match=r"is malformed, expected (udp|rtmp)://host:port/path"):
        sources.find(address)


def test_nothing_comes_from_udp_and_rtmp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(InputError, match=r"did not answer for 0\.5 s|gives no video"):
        sources.find(f"udp://@:{port}", timeout=0.5)
    with pytest.raises(InputError, match=r"rtmp://127\.0\.0\.1:9/live gives no video"):
        sources.find("rtmp://user:secret@127.0.0.1:9/live")


@pytest.mark.skipif(cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="OpenCV has GStreamer")
@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("videotestsrc ! video/x-raw,width=64", "the GStreamer pipeline"),
        ("gst:videotestsrc", "the GStreamer pipeline"),
        ("csi:0", "CSI camera 0"),
        ("csi:1:720x1280@60", "CSI camera 1"),
    ],
)
def test_pipelines_need_an_opencv_that_has_gstreamer(text: str, name: str) -> None:
    with pytest.raises(InputError, match=rf"^{name} needs OpenCV with GStreamer, which version .* was built without"):
        sources.find(text)


@pytest.mark.skipif(not cv2.videoio_registry.hasBackend(cv2.CAP_GSTREAMER), reason="OpenCV has no GStreamer")
def test_a_pipeline_gives_frames() -> None:
    found = sources.find("videotestsrc num-buffers=5 ! video/x-raw,width=64,height=48")
    assert next(iter(found)).read().shape == (48, 64, 3)


@pytest.mark.parametrize("text", ["csi:", "csi:x", "csi:0:big", "csi:0:1280", "csi:0 ! rm"])
def test_a_csi_camera_that_is_malformed(text: str) -> None:
    with pytest.raises(InputError, match="is not a CSI camera: give csi:0, or with height, width and rate csi:0:720"):
        sources.find(text)


def test_the_pipeline_of_a_csi_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    """No Jetson is at hand: what is held is the pipeline that goes to OpenCV."""
    asked: list[object] = []
    monkeypatch.setattr(cv2.videoio_registry, "hasBackend", lambda _backend: True)

    def open_capture(pipeline: str, backend: int, timeout: float | None) -> cv2.VideoCapture:
        assert timeout == sources.TIMEOUT
        asked.extend((pipeline, backend))
        return cv2.VideoCapture()

    monkeypatch.setattr(captures, "open_capture", open_capture)
    with pytest.raises(InputError, match=r"CSI camera 1 gives no video: try it with gst-launch-1\.0 nvarguscamerasrc"):
        sources.find("csi:1:720x1280@60")
    assert asked == [
        "nvarguscamerasrc sensor-id=1 ! video/x-raw(memory:NVMM),width=1280,height=720,framerate=60/1 ! nvvidconv ! "
        "video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR ! appsink max-buffers=1 sync=false",
        cv2.CAP_GSTREAMER,
    ]
