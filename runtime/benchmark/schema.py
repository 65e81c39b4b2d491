"""What a benchmark reports, and what ``pem-bench --json`` prints: the one definition of both.

Times are in milliseconds, sizes in bytes, shares from 0 to 1 and PQ and mean IoU in percent. What could not be found
out is None, with the reason where there is one to give.
"""

from __future__ import annotations

import msgspec

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.versioned_json import Schema, to_json

SCHEMA_VERSION = 1


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """How long something took. ``values`` are all of them in the order measured, ``samples`` their number.

    ``cv`` is the coefficient of variation (standard deviation over mean), ``noisy`` whether it is too large to trust.
    """

    p50: float
    p90: float
    p99: float
    mean: float
    minimum: float
    samples: int
    cv: float
    noisy: bool
    values: tuple[float, ...] = ()


class Interval(msgspec.Struct, frozen=True, kw_only=True):
    """An estimate and its bootstrap confidence interval, at the ``confidence`` (0 to 1) it is given for."""

    estimate: float
    low: float
    high: float
    confidence: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A stage's time of ``model`` over that of ``baseline``: 1.1 is 10 % slower.

    ``verdict`` is "slower" or "faster" if the difference is beyond noise, else "same". Differences up to ``floor``
    (a share) never count.
    """

    model: str
    baseline: str
    stage: str
    ratio: Interval
    verdict: str
    floor: float = 0.0


class MultiStream(msgspec.Struct, frozen=True, kw_only=True):
    """``streams`` callers at once, each waiting for its result before it asks again."""

    streams: int
    fps: float
    latency: Times


class Offline(msgspec.Struct, frozen=True, kw_only=True):
    """All images there from the start: ``batch`` at a time through the model, in overlapping stages."""

    batch: int
    fps: float
    images: int


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """A camera of ``fps`` frames a second that does not wait; ``age`` is from a frame's capture to its result."""

    fps: float
    frames: int
    dropped: int
    age: Times


class Scenarios(msgspec.Struct, frozen=True, kw_only=True):
    """One image at a time, several callers, all at once (MLPerf's, https://arxiv.org/abs/1911.02549), and a camera."""

    single_stream: Times
    multi_stream: MultiStream | None = None
    offline: Offline | None = None
    camera: Camera | None = None


class ColdStart(msgspec.Struct, frozen=True, kw_only=True):
    """From the start of a process to its first result, each in processes of their own: import, load, first image."""

    imports: Times
    load: Times
    first: Times
    total: Times


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Peak memory of a process that only loads and runs the artifact."""

    host: int | None
    device: int | None = None


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the backend runs it, its time a run, and its share of all nodes' time."""

    name: str
    type: str
    milliseconds: float
    share: float


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The costliest ``layers``, the costliest first, and the time of all nodes by type."""

    layers: tuple[Layer, ...]
    by_type: dict[str, float]
    total: float


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """How close inference comes to the machine.

    ``macs`` are multiply-accumulates a run, ``reached`` those a second, ``convolution`` and ``matrix`` those a second
    that a large convolution (in the same backend and precision) and a large matrix product reach here, ``fraction`` is
    ``reached`` of ``convolution``. ``bytes_moved`` is an upper bound of memory traffic a run, ``bandwidth`` bytes a
    second measured.
    """

    macs: int
    reached: float
    convolution: float | None = None
    matrix: float | None = None
    fraction: float | None = None
    bytes_moved: int | None = None
    bandwidth: float | None = None


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """How well the artifact does on ``images`` labeled images of ``dataset``."""

    dataset: str
    images: int
    pq: float | None
    pq_things: float | None = None
    pq_stuff: float | None = None
    miou: float | None = None


class ArtifactReport(msgspec.Struct, frozen=True, kw_only=True):
    """All about one artifact. ``name`` tells it from the others of the run; ``missing`` says why something is None."""

    model: str
    name: str
    variant: str
    precision: str
    backend: str
    deform_conv: str
    height: int
    width: int
    sha256: str
    file_bytes: int
    settings: dict[str, str | int | float | bool] = {}
    stages: dict[str, Times]
    scenarios: Scenarios
    cold_start: ColdStart | None = None
    memory: Memory | None = None
    profile: Profile | None = None
    rate: Rate | None = None
    accuracy: Accuracy | None = None
    missing: dict[str, str] = {}

    @property
    def fps(self) -> float:
        """Images a second, one after another, by the mean of "total"."""
        return 1000 / self.stages["total"].mean


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """The machine that a report was measured on; what is unknown is "unknown".

    ``before`` and ``after`` hold what changes: clocks, temperatures, power, load.
    """

    system: str
    cpu: str
    cores: int
    usable_cores: int
    memory_bytes: int | None
    gpu: str
    power_mode: str
    versions: dict[str, str]
    details: dict[str, str] = {}
    before: dict[str, str] = {}
    after: dict[str, str] = {}


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run of ``pem-bench``. Comparisons are with the first artifact, from rounds in which all took turns.

    ``reference_work`` is the time of one fixed piece of work on the CPU, once a round: where two runs differ in it, the
    machine did. ``values`` of it and of the artifacts' stages are one a round, in the order of rounds.
    """

    schema_version: int = SCHEMA_VERSION
    created: str
    command: str
    images: str
    rounds: int
    machine: Machine
    artifacts: tuple[ArtifactReport, ...]
    comparisons: tuple[Comparison, ...] = ()
    reference_work: Times | None = msgspec.field(name="yardstick", default=None)

    def to_json(self) -> bytes:
        """Return the report as indented JSON."""
        return to_json(self)


def parse(data: bytes, source: str) -> Report:
    """Read a report. ``source`` names it in messages. Raises InputError."""
    return _SCHEMA.parse(data, source)


_SCHEMA = Schema(Report, SCHEMA_VERSION, "report", "pem-bench", "make it with pem-bench --json", InputError)
