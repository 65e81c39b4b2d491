"""A web page of a run as it goes: its newest drawing, its pace, and what is in sight."""

from runtime.live.board import Board
from runtime.live.server import HOST, PORT, LivePage

__all__ = ["HOST", "PORT", "Board", "LivePage"]
