"""Reproducible tests on any machine."""

from __future__ import annotations

import signal

from hypothesis import HealthCheck, settings

# A machine that is busy with something else is no reason to fail.
settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("steady")

# A shell starts what runs in its background with Ctrl-C ignored, and so would every process be that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
