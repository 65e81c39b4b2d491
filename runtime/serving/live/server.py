"""The live page's server: the page, its numbers as JSON, and its drawings as motion JPEG."""

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
HOST = "127.0.0.1"

_LOCAL = frozenset({"127.0.0.1", "localhost"})
_BOUNDARY = "drawing"
_VIEWER_GONE = 10.0  # seconds without taking anything
_FAREWELL = 1.0  # seconds at the end for the pages that are open to hear of it
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


class LivePage:
    """Serves ``board`` at ``address`` until it is closed, or its ``with`` block ends.

    Raises OutputError if ``port`` (0: any that is free) is not available on ``host``.
    """

    def __init__(self, board: Board, host: str = HOST, port: int = PORT) -> None:
        self._board = board
        self._told = Event()
        handler = partial(_Handler, board, self._told, _LOCAL if host in _LOCAL else None)
        try:
            self._server = _Server((host, port), handler)
        except OSError as error:
            used = error.errno == errno.EADDRINUSE
            reason = "is in use" if used else f"is not available ({error.strerror or error})"
            raise OutputError(f"port {port} on {host} {reason}: choose another with --live PORT") from error
        except OverflowError as error:
            raise OutputError(f"{port} is not a port: choose one from 1 to 65535 with --live PORT") from error
        self.address = f"http://{host}:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, args=(0.1,), name="pem-live", daemon=True).start()

    def close(self) -> None:
        """Tell who watches that the run has ended, then stop. May be called more than once."""
        watched = self._server.watched and self._board.status()["running"]
        self._board.end()
        if watched:
            self._told.wait(_FAREWELL)
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> LivePage:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True  # a viewer that takes nothing holds nobody up
    block_on_close = False
    watched = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore viewers that go away, and keep other errors off the run's standard error."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pem-edge", ""
    timeout = _VIEWER_GONE
    server: _Server

    def __init__(self, board: Board, told: Event, hosts: frozenset[str] | None, *arguments: object) -> None:
        self._board, self._told, self._hosts = board, told, hosts
        super().__init__(*arguments)  # type: ignore[arg-type]  # which answers

    def do_GET(self) -> None:
        if self._hosts is not None and urlsplit(f"//{self.headers.get('Host', '')}").hostname not in self._hosts:
            self.send_error(HTTPStatus.FORBIDDEN)  # a page from elsewhere, under a name that it made point here
            return
        answer = {"/": self._page, "/status.json": self._status, "/stream": self._stream}.get(urlsplit(self.path).path)
        if answer is None:
            self.send_error(HTTPStatus.NOT_FOUND)
        else:
            answer()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing: standard error is the run's."""

    def _page(self) -> None:
        page = resources.files("pem_edge.runtime.serving.live").joinpath("page.html").read_bytes()
        self._send("text/html; charset=utf-8", page)

    def _status(self) -> None:
        self.server.watched = True
        status = self._board.status()
        self._send("application/json", json.dumps(status).encode())
        if not status["running"]:
            self._told.set()

    def _stream(self) -> None:
        self._head(f"multipart/x-mixed-replace; boundary={_BOUNDARY}", close=True)
        with self._board.watching():
            self.wfile.write(f"--{_BOUNDARY}\r\n".encode())
            number = 0
            while (drawing := self._board.drawing(number)) is not None:
                number, jpeg = drawing
                head = f"Content-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
                # The boundary after a part, not before the next one, makes browsers show it at once.
                self.wfile.write(head.encode() + jpeg + f"\r\n--{_BOUNDARY}\r\n".encode())

    def _send(self, kind: str, body: bytes) -> None:
        self._head(kind, length=len(body))
        self.wfile.write(body)

    def _head(self, kind: str, length: int | None = None, close: bool = False) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", kind)
        if length is not None:
            self.send_header("Content-Length", str(length))
        if close:
            self.send_header("Connection", "close")
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        self.end_headers()
