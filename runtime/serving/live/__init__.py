"""A web page of a run as it goes: its newest drawing, its pace, and what is in sight."""

from pem_edge.runtime.serving.live.board import Board
from pem_edge.runtime.serving.live.server import HOST, PORT, LivePage

__all__ = ["HOST", "PORT", "Board", "LivePage"]
