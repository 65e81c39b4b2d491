"""The commands as functions, which import them only when called: Ctrl-C during the imports ends a command quietly."""

# PYTHON_ARGCOMPLETE_OK: shells that complete any Python command look for these words here.

from __future__ import annotations

import signal
from importlib import import_module


def pem_bench() -> int:
    """Run ``pem-bench`` and return its exit code."""
    return _run("runtime.cli.bench")


def pem_data() -> int:
    """Run ``pem-data`` and return its exit code."""
    return _run("runtime.cli.data")


def pem_doctor() -> int:
    """Run ``pem-doctor`` and return its exit code."""
    return _run("runtime.cli.doctor")


def pem_eval() -> int:
    """Run ``pem-eval`` and return its exit code."""
    return _run("runtime.cli.eval")


def pem_export() -> int:
    """Run ``pem-export`` and return its exit code."""
    return _run("export.cli.export")


def pem_run() -> int:
    """Run ``pem-run`` and return its exit code."""
    return _run("runtime.cli.run")


def pem_train() -> int:
    """Run ``pem-train`` and return its exit code."""
    return _run("pem.cli.train")


def _run(module: str) -> int:
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    main = import_module(f"pem_edge.{module}").main
    signal.signal(signal.SIGINT, before)
    return int(main())
