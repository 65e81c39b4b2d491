"""The live page's server: serves the page, its state as JSON, and its drawings as motion JPEG."""

from __future__ import annotations

import errno
import json
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from threading import Event, Thread
from types import TracebackType
from urllib.parse import urlsplit

from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.serving.live.board import Board

PORT = 8080
"""Default port of the page."""

HOST = "127.0.0.1"
"""Default address of the page, which only this machine can reach."""

_LOCAL_HOSTS = frozenset({"127.0.0.1", "localhost"})
_BOUNDARY = "drawing"
_VIEWER_TIMEOUT = 10.0  # seconds after which a viewer that receives nothing is disconnected
_CLOSING_TIMEOUT = 1.0  # seconds that closing waits for an open page to read that the run has ended
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class LivePage:
    """A server for the live page of a run, which serves until it is closed or its ``with`` block ends.

    Args:
        board: The state to show.
        host: The host name or address to listen on.
        port: The port to listen on; 0 for any free port.

    Attributes:
        address: The URL of the page.

    Raises:
        OutputError: If the port is not available on the host.
    """

    def __init__(self, board: Board, host: str = HOST, port: int = PORT) -> None:
        self._board = board
        self._end_read = Event()
        handler = partial(_Handler, board, self._end_read, _LOCAL_HOSTS if host in _LOCAL_HOSTS else None)
        try:
            self._server = _Server((host, port), handler)
        except OSError as error:
            in_use = error.errno == errno.EADDRINUSE
            reason = "is in use" if in_use else f"is not available ({error.strerror or error})"
            raise OutputError(f"port {port} on {host} {reason}: choose another with --live PORT") from error
        except OverflowError as error:
            raise OutputError(f"{port} is not a port: choose one from 1 to 65535 with --live PORT") from error
        self.address = f"http://{host}:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, args=(0.1,), name="pem-live", daemon=True).start()

    def close(self) -> None:
        """Let open pages read that the run has ended, then stop the server. May be called more than once."""
        watched = self._server.watched and self._board.status()["running"]
        self._board.end()
        if watched:
            self._end_read.wait(_CLOSING_TIMEOUT)
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> LivePage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    """The HTTP server. ``watched`` is whether a page has read the state."""

    daemon_threads = True  # a viewer that does not receive data must not keep the process alive
    block_on_close = False
    watched = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors such as disconnected viewers: standard error belongs to the run."""


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection.

    Args:
        board: The state to show.
        end_read: An event to set once a page has read that the run has ended.
        hosts: The host names that requests may be addressed to; None for all.
        arguments: The arguments of the base class.
    """

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pem-edge", ""
    timeout = _VIEWER_TIMEOUT
    server: _Server

    def __init__(self, board: Board, end_read: Event, hosts: frozenset[str] | None, *arguments: object) -> None:
        self._board, self._end_read, self._hosts = board, end_read, hosts
        super().__init__(*arguments)  # type: ignore[arg-type]  # answers the requests

    def do_GET(self) -> None:
        if self._hosts is not None and urlsplit(f"//{self.headers.get('Host', '')}").hostname not in self._hosts:
            self.send_error(
                HTTPStatus.FORBIDDEN
            )  # DNS rebinding: a foreign page whose host name resolves to this machine
            return
        answers = {"/": self._send_page, "/status.json": self._send_status, "/stream": self._send_drawings}
        answer = answers.get(urlsplit(self.path).path)
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            answer()

    def log_message(self, *_arguments: object) -> None:
        """Log nothing: standard error belongs to the run."""

    def _send_page(self) -> None:
        page = resources.files("pem_edge.runtime.serving.live").joinpath("page.html").read_bytes()
        self._send("text/html; charset=utf-8", page)

    def _send_status(self) -> None:
        self.server.watched = True
        status = self._board.status()
        self._send("application/json", json.dumps(status).encode())
        if not status["running"]:
            self._end_read.set()

    def _send_drawings(self) -> None:
        self._send_head(f"multipart/x-mixed-replace; boundary={_BOUNDARY}", close=True)
        with self._board.watch():
            self.wfile.write(f"--{_BOUNDARY}\r\n".encode())
            number = 0
            while (drawing := self._board.wait_for_drawing(number)) is not None:
                number, jpeg = drawing
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                # Browsers show a part only when they have received the boundary after it.
                self.wfile.write(head.encode() + jpeg + f"\r\n--{_BOUNDARY}\r\n".encode())

    def _send(self, kind: str, body: bytes) -> None:
        self._send_head(kind, length=len(body))
        self.wfile.write(body)

    def _send_head(self, kind: str, length: int | None = None, close: bool = False) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if close:
            self.send_header("Connection", "close")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
