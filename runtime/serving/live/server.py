"""The live page's server: serves the page, its state as JSON, and its drawings as motion JPEG."""

from __future__ import annotations

import errno
import json
import socket
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from threading import BoundedSemaphore, Event, Thread
from types import TracebackType
from typing import TypeAlias
from urllib.parse import urlsplit

from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.serving.live.addresses import is_ours
from pem_edge.runtime.serving.live.board import Board

Request: TypeAlias = "socket.socket | tuple[bytes, socket.socket]"

PORT = 8080
"""Default port of the page."""

HOST = "127.0.0.1"
"""Default address of the page, which only this machine can reach."""

MAX_VIEWERS = 32
"""Maximum number of connections at a time; a browser's page takes two."""

_NO_FILES_PAUSE = 0.2  # seconds
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Type: text/plain\r\n\r\n"
    b"Too many viewers; try again later.\n"
)
_BOUNDARY = "drawing"
_VIEWER_TIMEOUT = 10.0  # seconds after which a viewer that receives nothing is disconnected
_CLOSING_TIMEOUT = 1.0  # seconds that closing waits for an open page to read that the run has ended
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'unsafe-inline'; "
    "script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def _refusal(error: OSError, host: str, port: int) -> str:
    """Return why nobody can listen on a port, and what helps."""
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        cure = f"leave --live-host out for {HOST}, or give 0.0.0.0 for all"
        return f"{host} is not an address of this machine ({error.strerror or error}): {cure}"
    reason = "is in use" if error.errno == errno.EADDRINUSE else f"is not available ({error.strerror or error})"
    return f"port {port} on {host} {reason}: choose another with --live PORT"


class LivePage:
    """A server for the live page of a run, which serves until it is closed or its ``with`` block ends.

    Args:
        board: The state to show.
        host: The host name or address to listen on.
        port: The port to listen on; 0 for any free port.

    Attributes:
        address: The URL of the page.

    Raises:
        OutputError: If the host is not this machine, or the port is not available on it.
    """

    def __init__(self, board: Board, host: str = HOST, port: int = PORT) -> None:
        self._board = board
        self._end_read = Event()
        try:
            self._server = _Server((host, port), partial(_Handler, board, self._end_read, host))
        except OSError as error:
            raise OutputError(_refusal(error, host, port)) from error
        except OverflowError as error:
            raise OutputError(f"{port} is not a port: choose one from 1 to 65535 with --live PORT") from error
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{self._server.server_address[1]}"
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
    """The HTTP server, which answers a limited number of connections at a time and refuses those beyond.

    ``watched`` is whether a page has read the state.
    """

    daemon_threads = True  # a viewer that does not receive data must not keep the process alive
    block_on_close = False
    watched = False

    def __init__(self, address: tuple[str, int], handler: partial[_Handler]) -> None:
        self._places = BoundedSemaphore(MAX_VIEWERS)
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler)

    def process_request(self, request: Request, client_address: object) -> None:
        """Answer in a thread if there is a place, or refuse at once."""
        if self._places.acquire(blocking=False):
            try:
                super().process_request(request, client_address)
            except BaseException:  # no thread was started, which would have given the place back
                self._places.release()
                raise
            return
        with suppress(OSError):
            request.setblocking(False)  # type: ignore[union-attr]  # a stream's, not a datagram's
            request.send(_FULL)  # type: ignore[union-attr]
        self.shutdown_request(request)

    def process_request_thread(self, request: Request, client_address: object) -> None:
        """Answer, then give the place back."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept a connection; wait a little if the process has no files left for it, rather than spin."""
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                time.sleep(_NO_FILES_PAUSE)
            raise

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore errors such as disconnected viewers: standard error belongs to the run."""


class _Handler(BaseHTTPRequestHandler):
    """Answers the requests of one connection.

    Args:
        board: The state to show.
        end_read: An event to set once a page has read that the run has ended.
        host: The host name or address that the server listens on.
        arguments: The arguments of the base class.
    """

    protocol_version = "HTTP/1.1"
    server_version, sys_version = "pem-edge", ""
    timeout = _VIEWER_TIMEOUT
    server: _Server

    def __init__(self, board: Board, end_read: Event, host: str, *arguments: object) -> None:
        self._board, self._end_read, self._host = board, end_read, host
        super().__init__(*arguments)  # type: ignore[arg-type]  # answers the requests

    def do_GET(self) -> None:
        if not is_ours(self.headers.get("Host", ""), self._host):
            self.send_error(HTTPStatus.FORBIDDEN, explain="Open the page by this machine's address or host name.")
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
