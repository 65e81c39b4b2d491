"""Cameras and streams: their newest frame counts, and their end is an error that says what to do."""

from __future__ import annotations

import socket
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from pem_edge import runtime
from pem_edge.runtime import sources
from pem_edge.runtime.errors import InputError
from tests.runtime.helpers.footage import COLORS, write_video
from tests.runtime.helpers.mjpeg_server import camera


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing of it."""

    def log_message(self, *_arguments: object) -> None:
        return


def test_a_network_camera_that_hangs_up(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with camera(frames=30, fps=100) as address:
        source = sources.find(address, timeout=20)
        assert isinstance(source, sources.Address)
        assert (source.live, source.length, source.name) == (True, None, address)
        errors: list[InputError] = []
        with runtime.load(tiny) as segmenter, segmenter.stream(source, errors.append) as stream:
            results = list(stream)
    assert len(results) + stream.dropped == 30
    assert results[-1].name == "000029"
    assert [int(level) // 128 for level in results[-1].image[30, 30]] == [value // 128 for value in COLORS[29 % 4]]
    assert [str(error) for error in errors] == [
        f"{address} was lost after 30 frames: check it and the way to it, or give a longer timeout"
    ]
    assert capfd.readouterr() == ("", "")


def test_a_network_camera_that_stalls(tiny: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with (
        camera(frames=30, fps=100, stalls=True) as address,
        runtime.load(tiny) as segmenter,
        pytest.raises(InputError, match=f"{address} gave no image for 1 s: see whether it still runs"),
    ):
        list(segmenter.stream(address, timeout=1))
    for _ in range(300):  # OpenCV gives up, too, and says nothing
        time.sleep(0.01)
    assert capfd.readouterr() == ("", "")


def test_a_recording_at_an_address_is_taken_whole(tiny: Path, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mkv", 40)
    handler = partial(Quiet, directory=str(tmp_path))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, runtime.load(tiny) as segmenter:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        source = sources.find(f"http://127.0.0.1:{server.server_address[1]}/clip.mkv")
        with segmenter.stream(source) as stream:
            names = [result.name for result in stream]
        server.shutdown()
    assert (source.live, source.length, stream.dropped) == (False, 40, 0)
    assert names == [f"{index:06d}" for index in range(40)]


def test_nobody_at_the_address(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InputError, match=r"rtsp://127\.0\.0\.1:9/front gives no video: check the address"):
        sources.find("rtsp://user:secret@127.0.0.1:9/front?token=secret")
    assert capfd.readouterr() == ("", "")


def test_nobody_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/camera"
        with pytest.raises(InputError, match=r"did not answer for 0\.3 s"):
            sources.find(address, timeout=0.3)


def test_other_addresses() -> None:
    with pytest.raises(InputError, match=r"gopher:// is not an address of a video: expected rtsp, rtsps, http, https"):
        sources.find("gopher://host/path")


@pytest.mark.skipif(Path("/dev/video63").exists(), reason="there is a camera 63")
@pytest.mark.parametrize("source", ["camera:63", "63", 63, "/dev/video63"])
def test_cameras_that_are_not_there(
    source: str | int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="there is no camera 63, or it is in use"):
        sources.find(source)
    assert capfd.readouterr() == ("", "")


def test_a_folder_called_like_a_camera_is_a_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "0").mkdir()
    with pytest.raises(InputError, match="0 has no images or videos in it"):
        sources.find("0")


@pytest.mark.parametrize(
    "address",
    [
        "rtsp://",
        "rtsp:///path",
        "http://[",
        "http://[::1",
        "http://host:99999/",
        "http://host:-1/",
        "http://host:0/",
        "http://host:port/",
        "http://ho\nst/",
        "http://ho\0st/",
        "http://h\udce9/",
        "rtsp://user:sec/ret@host/front",
        "rtsp://user:sec#ret@host/front",
        "rtsp://user:secret@host:x/front?token=secret",
        "rtsp://user:secret@[/front?token=secret",
    ],
)
def test_malformed_addresses(address: str) -> None:
    with pytest.raises(InputError, match=r"is malformed, expected (rtsp|http)://host:port/path: check") as caught:
        sources.find(address, timeout=0.1)
    assert "ret" not in str(caught.value)
