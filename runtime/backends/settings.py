"""Settings that say how a backend may use the machine."""

from __future__ import annotations

from dataclasses import dataclass

from pem_edge.runtime.arguments import require_flag, require_whole

MAX_THREADS = 1024
"""Limit on the threads of a backend, which starts them all; more than any CPU runs."""


@dataclass(frozen=True)
class Settings:
    """Settings requested of a backend, which ignores those that do not apply to it, but for ``bf16``.

    `Backend.settings` returns the settings in force.

    Attributes:
        threads: CPU threads for one run of the model, 1 to 1024; None for one per core, see `machine.threads`.
        arena: Whether ONNX Runtime keeps the memory of a run for the next one. Without it, a run takes a sixth more
            CPU time, and the process is about 170 MB smaller between runs (pem-stdc1, 512x1024), though its peak is
            nearly the same.
        bf16: Whether to compute in bfloat16, faster and less precise, instead of single precision. Only OpenVINO can,
            on an x86 CPU that does so itself.

    Raises:
        ArgumentError: If ``threads`` is not a whole number or out of range, or another setting is not a bool.
    """

    threads: int | None = None
    arena: bool = True
    bf16: bool = False

    def __post_init__(self) -> None:
        if self.threads is not None:
            require_whole("threads", self.threads, 1, MAX_THREADS, such_as=4, without="one per core")
        require_flag("arena", self.arena)
        require_flag("bf16", self.bf16)
