"""The generator of the reference data, which lies beside that data; needs numpy alone."""

from __future__ import annotations

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType

REFERENCE = Path(__file__).parents[1] / "tests" / "data" / "reference"


@cache
def synthetic() -> ModuleType:
    """Return weights, images and predictions by formula."""
    spec = importlib.util.spec_from_file_location("synthetic", REFERENCE / "synthetic.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
