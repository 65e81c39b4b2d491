"""Reporting progress from library code, which knows nothing of the console."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[[str], None]
"""Receives one progress message at a time, for example to print it."""
