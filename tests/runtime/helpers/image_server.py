"""Servers of images on this machine: polite ones, and ones that send whatever bytes a test makes up."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from socketserver import BaseRequestHandler, ThreadingTCPServer

Answer = Callable[[str, Callable[[bytes], None]], None]
"""Answers a request: its head, as text, and a function that sends bytes."""


def response(body: bytes, kind: str = "image/png", status: str = "200 OK", *headers: str) -> bytes:
    """Return a whole response of HTTP."""
    lines = [f"HTTP/1.1 {status}", f"Content-Type: {kind}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


@contextmanager
def serving(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve on a free port and give the address, http:// or with ``context`` https://, without a "/" at its end.

    An answer that is still being sent fails once the reader has gone.
    """

    class Handler(BaseRequestHandler):
        def handle(self) -> None:
            connection: socket.socket = self.request
            with suppress(OSError):
                if context is not None:
                    connection = context.wrap_socket(connection, server_side=True)
                answer(connection.recv(1 << 16).decode("latin-1"), connection.sendall)

    server = ThreadingTCPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http{'s' if context else ''}://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
