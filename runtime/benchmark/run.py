"""Measure artifacts, all of them in turns, and report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from runtime.benchmark.options import Options
from runtime.benchmark.schema import Report

__all__ = ["Options", "run"]


def run(models: Sequence[str], options: Options, say: Callable[[str], None]) -> Report:
    """Measure the artifacts ``models`` (paths, or "demo"), of which the first is the one that others are compared with.

    ``say`` is told what is being done. Artifacts that cannot be loaded or run are found out before anything is
    measured. Raises PemError.
    """
    raise NotImplementedError
