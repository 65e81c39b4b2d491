"""The page is served to whoever may see it, at their own pace, and never in the run's way."""

from __future__ import annotations

import http.client
import json
import resource
import socket
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest

from pem_edge import runtime
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.serving.live import Board, LivePage
from pem_edge.runtime.serving.live.server import MAX_VIEWERS


def get(page: LivePage, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection(urlsplit(page.address).netloc, timeout=10)
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read(), dict(response.getheaders())


def status(page: LivePage) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(get(page, "/status.json")[1])
    return found


class Viewer:
    """One who reads the stream of drawings."""

    def __init__(self, page: LivePage) -> None:
        self.socket = socket.create_connection((urlsplit(page.address).hostname, urlsplit(page.address).port), 10)
        self.socket.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.file = self.socket.makefile("rb")

    def wait_for_drawing(self) -> Any:
        """Return the next one, BGR uint8 (H, W, 3), None at the end."""
        length = 0
        while line := self.file.readline():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
            if line == b"\r\n" and length:
                return cv2.imdecode(np.frombuffer(self.file.read(length), np.uint8), cv2.IMREAD_COLOR)
        return None


def watched(board: Board, viewers: int) -> None:
    for _ in range(500):
        if board.status()["viewers"] == viewers:
            return
        time.sleep(0.01)
    raise AssertionError(board.status())


def test_the_page_asks_nobody_else(page: LivePage) -> None:
    code, body, headers = get(page, "/")
    assert code == 200
    assert b"http" not in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert get(page, "/other")[0] == get(page, "/../secret")[0] == 404


def test_status(page: LivePage, board: Board, result: runtime.Result) -> None:
    board.update(result, 3)
    found = status(page)
    assert (found["frames"], found["dropped"], found["running"]) == (1, 3, True)


def test_several_viewers_see_every_drawing_they_have_time_for(
    page: LivePage, board: Board, result: runtime.Result
) -> None:
    viewers = [Viewer(page) for _ in range(3)]
    watched(board, 3)
    for _ in range(3):
        board.update(result, 0)
        for viewer in viewers:
            assert viewer.wait_for_drawing().shape == result.image.shape
    board.end()
    assert [viewer.wait_for_drawing() for viewer in viewers] == [None] * 3


def test_viewers_who_are_slow_or_gone_hold_up_nobody(page: LivePage, board: Board, result: runtime.Result) -> None:
    slow, gone, good = Viewer(page), Viewer(page), Viewer(page)
    watched(board, 3)
    slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
    gone.socket.close()
    gone.file.close()
    start = time.perf_counter()
    for _ in range(200):
        board.update(result, 0)
    assert time.perf_counter() - start < 9, "somebody who takes nothing is given up after 10 s"
    for _ in range(20):
        board.update(result, 0)
        assert good.wait_for_drawing() is not None
    watched(board, 2)


def test_names_that_a_page_from_elsewhere_made_point_here_are_refused(page: LivePage) -> None:
    assert get(page, "/status.json", Host="evil.example")[0] == 403
    for host in ("localhost:1234", "127.0.0.1"):
        assert get(page, "/status.json", Host=host)[0] == 200


def test_open_to_others_when_asked(board: Board) -> None:
    name = socket.gethostname()
    with LivePage(board, "0.0.0.0", 0) as page:
        hosts = [
            "localhost",
            "127.0.0.1:80",
            "192.168.7.7",
            "[::1]:8080",
            name.upper(),
            f"{name.partition('.')[0]}.local",
        ]
        assert [get(page, "/status.json", Host=host)[0] for host in hosts] == [200] * len(hosts)
        for host in ("evil.example", "localhost.evil.example", "[", ""):
            assert get(page, "/status.json", Host=host)[0] == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.0.0.2", "::1"])
def test_the_address_that_was_asked_for_is_ours(host: str, board: Board) -> None:
    try:
        page = LivePage(board, host, 0)
    except OutputError:
        pytest.skip(f"this machine has no {host}")
    with page:
        assert get(page, "/status.json")[0] == 200
        assert get(page, "/status.json", Host="192.168.7.7")[0] == 403


def test_foreign_pages_can_neither_embed_nor_read_it(page: LivePage) -> None:
    for path in ("/", "/status.json"):
        headers = get(page, path)[2]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["X-Frame-Options"] == "DENY"


def test_more_viewers_than_places_are_refused_and_the_others_go_on(
    page: LivePage, board: Board, result: runtime.Result
) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = len(list(Path("/proc/self/fd").iterdir()))
    viewers = [Viewer(page) for _ in range(MAX_VIEWERS)]
    watched(board, MAX_VIEWERS)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 3 * MAX_VIEWERS, hard))
    try:
        for _ in range(200):
            late = Viewer(page)
            assert late.file.readline().startswith(b"HTTP/1.1 503 ")
            late.file.close()
            late.socket.close()
        board.update(result, 0)
        assert all(viewer.wait_for_drawing() is not None for viewer in viewers)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    for viewer in viewers[:2]:
        viewer.file.close()
        viewer.socket.close()
    for _ in range(500):  # whoever left is noticed when a drawing is sent
        board.update(result, 0)
        if board.status()["viewers"] == MAX_VIEWERS - 2:
            break
        time.sleep(0.01)
    assert get(page, "/status.json")[0] == 200


def test_a_process_without_files_left_keeps_its_page(page: LivePage) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    connection = socket.create_connection((urlsplit(page.address).hostname, urlsplit(page.address).port), 10)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(list(Path("/proc/self/fd").iterdir())) - 1, limits[1]))
    try:
        time.sleep(0.5)  # the server cannot accept anyone
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        connection.close()
    assert get(page, "/status.json")[0] == 200


def test_a_port_in_use_is_one_line(page: LivePage, board: Board) -> None:
    port = urlsplit(page.address).port
    assert port
    with pytest.raises(OutputError, match=rf"port {port} on 127\.0\.0\.1 is in use: choose another with --live PORT"):
        LivePage(board, port=port)
    with pytest.raises(OutputError, match="70000 is not a port"):
        LivePage(board, port=70000)


def test_an_address_that_is_not_of_this_machine_is_what_is_wrong(board: Board) -> None:
    with pytest.raises(
        OutputError, match=r"^192\.0\.2\.1 is not an address of this machine \(.*\): leave --live-host out"
    ):
        LivePage(board, "192.0.2.1", 0)


def test_closing_tells_who_watches_and_waits_for_nobody_else(board: Board, result: runtime.Result) -> None:
    page = LivePage(board, port=0)
    board.update(result, 0)
    heard: list[int] = []

    def poll() -> None:
        while not heard:
            if not (found := status(page))["running"]:
                heard.append(found["frames"])
            time.sleep(0.02)

    status(page)
    viewer = threading.Thread(target=poll)
    viewer.start()
    page.close()
    viewer.join(5)
    assert heard == [1]
    page.close()
    with pytest.raises(OSError, match="refused"):
        status(page)
