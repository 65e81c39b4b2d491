"""Measures of this process, as Linux shows them."""

from __future__ import annotations

import resource
from pathlib import Path


def address_space() -> int:
    """Return the bytes of addresses in use."""
    return _pages(0)


def resident_memory() -> int:
    """Return the bytes of memory in use."""
    return _pages(1)


def _pages(column: int) -> int:
    """Return a column of ``statm`` (proc_pid_statm(5)) in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[column]) * resource.getpagesize()
