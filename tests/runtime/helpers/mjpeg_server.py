"""A camera on the network: MJPEG over HTTP, as cheap ones send it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np

from tests.runtime.helpers.footage import image


@contextmanager
def camera(frames: int, fps: float, stalls: bool = False) -> Iterator[str]:
    """Serve so many frames, `footage.image` in turn, then hang up, or stall; give the address."""
    ended = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            with suppress(ConnectionError):  # who only wants to know what this is leaves at once
                self._send_frames()
            if stalls:
                ended.wait()

        def _send_frames(self) -> None:
            for index in range(frames):
                data = cv2.imencode(".jpg", np.ascontiguousarray(image(index)[..., ::-1]))[1].tobytes()
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(1 / fps)

        def log_message(self, *_arguments: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/camera"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
