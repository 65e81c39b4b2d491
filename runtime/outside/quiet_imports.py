"""Keeps libraries from calling home and from leaving files, which some do unless they are told not to."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

_SWITCHES = {"ORT_DISABLE_TELEMETRY": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Environment variables that libraries read while they are imported, with the values that keep them quiet."""

_SENDERS = ("openvino_telemetry",)
"""Modules that only send telemetry, and without which the libraries that use them work."""


def leave_no_folders() -> None:
    """Keep PyTorch from making a folder for compiled code, which it does though nothing is compiled.

    This is for commands: the environment of this process changes.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", tempfile.gettempdir())


@contextmanager
def without_telemetry() -> Iterator[None]:
    """Keep libraries that are imported in the ``with`` block from sending telemetry and leaving files for it.

    What the user has set in the environment stays. Afterwards, the environment is as it was.
    """
    switches = {name: value for name, value in _SWITCHES.items() if name not in os.environ}
    senders = {name: sys.modules.get(name) for name in _SENDERS}
    os.environ.update(switches)
    sys.modules.update(dict.fromkeys(_SENDERS))  # type: ignore[arg-type]  # None: as if not installed
    try:
        yield
    finally:
        for name in switches:
            del os.environ[name]
        for name, module in senders.items():
            del sys.modules[name]
            if module is not None:
                sys.modules[name] = module
