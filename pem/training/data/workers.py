"""The processes that prepare views: how many there are, and when they end."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading

import cv2

from pem_edge.pem.training.processes import Processes
from pem_edge.runtime.machine import usable_cpus

START = "fork"
"""The way workers start: with the open dataset of the trainer, which is neither read again nor sent to them."""

_MOST = 16
"""Maximum number of workers that are chosen; each has two batches ready, which take memory."""

_LOOKS = 1.0
"""Seconds between looks whether the trainer is still there."""


def choose_count(processes: Processes) -> int:
    """Return how many workers a process of a run gets if nobody says.

    A GPU leaves the cores to them. On a CPU the model itself takes all cores, and for so much longer that one worker is
    always ahead of it: more would only take memory, and time from the model. A single core gains nothing by a worker.
    """
    share = usable_cpus() // processes.per_machine
    return min(share, _MOST) if processes.device.type == "cuda" else min(share // 2, 1)


def initialize(_: int) -> None:
    """Make a worker use one thread, and end when the trainer says so, not when a whole process group is asked to."""
    cv2.setNumThreads(0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    threading.Thread(target=_obey_trainer, daemon=True).start()


def _obey_trainer() -> None:
    """End this process on a SIGTERM of the trainer, or soon after the trainer was killed, even while a file is read."""
    parent = multiprocessing.parent_process()
    trainer = parent.pid if parent is not None else None
    while os.getppid() == trainer:
        received = signal.sigtimedwait([signal.SIGTERM], _LOOKS)
        if received is not None and received.si_pid == trainer:
            break
    os._exit(0)
