"""How a backend may use the machine."""

from __future__ import annotations

from dataclasses import dataclass

from pem_edge.runtime.errors import InputError


@dataclass(frozen=True)
class Settings:
    """What is asked of a backend; one that has no such choice ignores it, see `Backend.settings`.

    ``threads`` of the CPU are for one run of the model: 1 and up, all usable ones if None. ``arena`` lets ONNX Runtime
    keep the memory of a run for the next: without it a run takes a sixth more CPU time, and between runs the process
    is about 170 MB smaller (pem-stdc1, 512x1024); its peak hardly is. Raises InputError.
    """

    threads: int | None = None
    arena: bool = True

    def __post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise InputError(f"{self.threads} threads cannot run a model: give 1 or more, or none for all of the CPU")
