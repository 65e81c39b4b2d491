"""The type of callbacks by which library code reports progress without knowing the console."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Callback that receives one progress message, for example to print it."""
