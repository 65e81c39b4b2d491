"""Reproducible tests on any machine."""

from __future__ import annotations

import gc
import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# A machine that is busy with something else is no reason to fail.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# A shell starts what runs in its background with Ctrl-C ignored, and so would every process be that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--all``."""
    parser.addoption("--all", action="store_true", help="run what is exhaustive rather than different, too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is exhaustive, unless ``--all`` is given."""
    if config.getoption("--all"):
        return
    left_out = [item for item in items if item.get_closest_marker("exhaustive")]
    if left_out:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


@pytest.fixture(autouse=True, scope="module")
def earlier_objects_frozen() -> Iterator[None]:
    """Let garbage collection look at a module's own objects alone.

    Many tests collect garbage to see that theirs is gone, which takes a second where PyTorch and all tests are loaded.
    """
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def hangup_heard() -> Iterator[None]:
    """Let commands hear SIGHUP, which a test run under ``nohup`` has to ignore, and its children with it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)
