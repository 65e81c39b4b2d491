"""The options of a benchmark."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

SCENARIOS = ("multi-stream", "offline", "camera")
"""Scenarios that can be left out; single stream is always measured."""


@dataclass(frozen=True)
class NoiseLimits:
    """The limits of what counts as noise.

    Attributes:
        cv: The coefficient of variation above which times are flagged: at 40 rounds, their mean is then known to 2 % at
            best.
        confidence: The confidence of intervals, 0 to 1. A difference counts if its interval leaves out 1 and it is
            larger than ``floor``.
        floor: A share: two copies of one artifact in one process have differed by 3 %.
        width: The share that half of an interval may be; more rounds follow while one is wider.
        floor_of_runs: ``floor`` between two runs.
    """

    cv: float = 0.05
    confidence: float = 0.995
    floor: float = 0.05
    width: float = 0.02
    floor_of_runs: float = 0.07


@dataclass(frozen=True)
class Options:
    """The artifacts to measure, the images to use, and the time to take.

    ``images`` is a folder of pictures, None for generated streets of each artifact's size. In each of ``rounds`` rounds
    all artifacts take turns; as long as a ratio is known too badly, more follow, up to ``most_rounds`` or for
    ``most_seconds``. ``warmup`` calls come first, more until times are steady. ``threads`` (None: the backend's choice)
    is how many a CPU backend may use, and ``bf16`` whether it computes in bfloat16; ``streams`` are the callers in
    "multi-stream". Each scenario takes ``scenario_seconds``, each cold start a process of its own, ``cold_starts`` of
    them (0: none). ``dataset`` is one that `open_dataset` knows, of which ``dataset_limit`` images are scored (None:
    all). ``command`` is what the report says it was made by.
    """

    images: Path | None = None
    rounds: int = 40
    most_rounds: int = 400
    most_seconds: float = 300.0
    warmup: int = 5
    backend: str | None = None
    threads: int | None = None
    bf16: bool = False
    scenarios: tuple[str, ...] = SCENARIOS
    streams: int = 4
    camera_fps: float = 30.0
    scenario_seconds: float = 5.0
    cold_starts: int = 5
    memory: bool = True
    profile: bool = True
    rates: bool = True
    dataset: str | None = None
    dataset_limit: int | None = None
    seed: int = 0
    noise: NoiseLimits = field(default_factory=NoiseLimits)
    command: str = "pem-bench"
