"""Parameters that are exhaustive rather than different run with ``--all`` alone."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import pytest


def mostly(values: Iterable[Any], usual: Collection[Any]) -> list[Any]:
    """Return ``values`` as parameters, all but the ``usual`` ones marked as exhaustive."""
    return [value if value in usual else _exhaustive(value) for value in values]


def _exhaustive(value: Any) -> Any:
    parts = value if isinstance(value, tuple) else (value,)
    return pytest.param(*parts, marks=pytest.mark.exhaustive)
