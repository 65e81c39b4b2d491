"""A web page that shows a run in progress: the newest drawing, the frame rate, and the classes in the image."""

from pem_edge.runtime.serving.live.board import Board
from pem_edge.runtime.serving.live.server import HOST, PORT, LivePage

__all__ = ["HOST", "PORT", "Board", "LivePage"]
