"""Reproducible tests on any machine."""

from __future__ import annotations

import signal

from hypothesis import settings

settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")

# A shell starts what runs in its background with Ctrl-C ignored, and so would every process be that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
