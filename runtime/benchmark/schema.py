"""The report of a benchmark, which is also what ``pem-bench --json`` prints.

Times are in milliseconds, sizes in bytes, fractions from 0 to 1, and PQ and mean IoU in percent. Unknown values are
None; where a reason is known, the report gives it.
"""

from __future__ import annotations

import msgspec

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.versioned_json import Schema, to_json

SCHEMA_VERSION = 2


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """Measured times and their summary. ``values`` are in the order measured, ``samples`` is their number.

    ``cv`` is the coefficient of variation (standard deviation over mean); ``noisy`` says that it is too large to trust.
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
    """An estimate and its bootstrap interval from ``low`` to ``high``, with a confidence level from 0 to 1."""

    estimate: float
    low: float
    high: float
    confidence: float


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A stage's time of ``model`` over that of ``baseline``: 1.1 is 10 % slower.

    ``verdict`` is "slower" or "faster" if the difference is beyond noise, else "same". Differences up to ``floor``
    (a fraction) never count.
    """

    model: str
    baseline: str
    stage: str
    ratio: Interval
    verdict: str
    floor: float = 0.0


class MultiStream(msgspec.Struct, frozen=True, kw_only=True):
    """Results of ``streams`` callers at once; each waits for its result before it sends the next image.

    ``turns`` is the ``fps`` of each of the artifact's turns.
    """

    streams: int
    fps: float
    latency: Times
    turns: tuple[float, ...] = ()


class Offline(msgspec.Struct, frozen=True, kw_only=True):
    """Results with all images available from the start: lists of ``batch`` images, or overlapping stages if it is 1.

    ``turns`` is the ``fps`` of each of the artifact's turns.
    """

    batch: int
    fps: float
    images: int
    turns: tuple[float, ...] = ()


class Camera(msgspec.Struct, frozen=True, kw_only=True):
    """Results for a camera that delivers ``fps`` frames per second; ``age`` is the time from capture to result."""

    fps: float
    frames: int
    dropped: int
    age: Times


class Scenarios(msgspec.Struct, frozen=True, kw_only=True):
    """Results by scenario: those of MLPerf Inference (https://arxiv.org/abs/1911.02549), and a camera."""

    single_stream: Times
    multi_stream: MultiStream | None = None
    offline: Offline | None = None
    camera: Camera | None = None

    @property
    def fps(self) -> float:
        """Images per second of single stream, from the mean."""
        return 1000 / self.single_stream.mean


class ColdStart(msgspec.Struct, frozen=True, kw_only=True):
    """The time from the start of a fresh process to its first result: import, load, first image, and total."""

    imports: Times
    load: Times
    first: Times
    total: Times


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Peak memory of a process that only loads the artifact and segments one image after another."""

    host: int | None
    device: int | None = None


class Layer(msgspec.Struct, frozen=True, kw_only=True):
    """A node as the backend runs it.

    Attributes:
        name: The name of the node.
        type: Its operation.
        milliseconds: Its time per run.
        share: Its fraction of all nodes' time.
        macs: Multiply-accumulates per run.
        bytes_moved: The bytes that it must read and write per run.
        limit: The least milliseconds that it can take on this machine.
        fraction: ``limit`` divided by ``milliseconds``.
        bound: What keeps it from being faster: "compute", "memory" or "overhead".
        doubt: Why ``fraction`` is above 1, if it is.
    """

    name: str
    type: str
    milliseconds: float
    share: float
    macs: int | None = None
    bytes_moved: int | None = None
    limit: float | None = None
    fraction: float | None = None
    bound: str | None = None
    doubt: str | None = None


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """The costliest layers, in descending order, and the time of all nodes by type and by what bounds them."""

    layers: tuple[Layer, ...]
    by_type: dict[str, float]
    total: float
    by_bound: dict[str, float] = {}


class Rate(msgspec.Struct, frozen=True, kw_only=True):
    """The rate of inference, and the rates that this machine can reach.

    Attributes:
        macs: Multiply-accumulates per run.
        reached: Multiply-accumulates per second during inference.
        convolution: Multiply-accumulates per second of the fastest convolution in the same backend and precision.
        matrix: Multiply-accumulates per second of the fastest matrix product in the same backend and precision.
        limit: The least milliseconds that inference can take on this machine.
        fraction: ``limit`` divided by the time of inference.
        counted: The multiply-accumulates of the nodes of the profile divided by ``macs``; None without their tensors.
        doubt: Why ``fraction`` is above 1, if it is.
        bytes_moved: An upper bound of the memory traffic per run, in bytes.
        bandwidth: The measured memory bandwidth, in bytes per second.
    """

    macs: int
    reached: float
    convolution: float | None = None
    matrix: float | None = None
    limit: float | None = None
    fraction: float | None = None
    counted: float | None = None
    doubt: str | None = None
    bytes_moved: int | None = None
    bandwidth: float | None = None


class Accuracy(msgspec.Struct, frozen=True, kw_only=True):
    """The accuracy of an artifact on ``images`` labeled images of ``dataset``, in percent."""

    dataset: str
    images: int
    pq: float | None
    pq_things: float | None = None
    pq_stuff: float | None = None
    miou: float | None = None


class ArtifactReport(msgspec.Struct, frozen=True, kw_only=True):
    """The results of one artifact.

    ``name`` is unique within the report; ``missing`` gives the reason for each field that is None.
    """

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
        """Images per second, one after another, from the mean of "total"."""
        return 1000 / self.stages["total"].mean

    @property
    def bf16(self) -> bool:
        """Tell whether the backend computed in bfloat16 what the artifact has in FP32."""
        return self.settings.get("precision") == "bf16"


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
    """A run of ``pem-bench``. Comparisons are with the first artifact; in each round, all artifacts took turns.

    ``reference_work`` is the time of a fixed piece of work on the CPU, done once per round: if it differs between two
    runs, the machine changed. Its ``values`` and those of the stages are one per round, in order.

    ``interrupted`` says that Ctrl-C came before all was measured.
    """

    schema_version: int = SCHEMA_VERSION
    created: str
    command: str
    images: str
    rounds: int
    interrupted: bool = False
    machine: Machine
    artifacts: tuple[ArtifactReport, ...]
    comparisons: tuple[Comparison, ...] = ()
    reference_work: Times | None = msgspec.field(name="yardstick", default=None)

    def to_json(self) -> bytes:
        """Return the report as indented JSON."""
        return to_json(self)


def parse(data: bytes, source: str) -> Report:
    """Read a report; ``source`` names it in messages. Raises InputError if it is damaged or too new."""
    return _SCHEMA.parse(data, source)


_SCHEMA = Schema(Report, SCHEMA_VERSION, "report", "pem-bench", "make it with pem-bench --json", InputError)
