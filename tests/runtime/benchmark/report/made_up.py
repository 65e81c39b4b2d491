"""Reports of runs that never were: every field in its place, with figures from a generator of fixed seed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.benchmark.schema import (
    Accuracy,
    ArtifactReport,
    Camera,
    ColdStart,
    Comparison,
    Interval,
    Layer,
    Machine,
    Memory,
    MultiStream,
    Offline,
    Profile,
    Rate,
    Report,
    Scenarios,
    Times,
)

_STAGES = {"decode": 0.05, "preprocess": 0.08, "inference": 0.75, "postprocess": 0.12}

LONG = [f"mask-classification-transformer-with-a-very-long-name-512x1024-int8-{index}.onnx" for index in range(8)]
HOSTILE = [
    "a|b`c``*d*_e_.onnx",
    "<img src=x onerror=alert(1)>",
    "\x1b[2J\nbell\x07",
    "@someone #1 www.example.org [x](y)",
]


def times(values: NDArray[np.float64] | Sequence[float]) -> Times:
    found = np.asarray(values, np.float64)
    cv = float(found.std() / found.mean()) if found.any() else 0.0
    p50, p90, p99 = (float(value) for value in np.percentile(found, (50, 90, 99)))
    return Times(
        p50=p50,
        p90=p90,
        p99=p99,
        mean=float(found.mean()),
        minimum=float(found.min()),
        samples=len(found),
        cv=cv,
        noisy=cv > 0.1,
        values=tuple(map(float, found)),
    )


def report(count: int = 3, *, names: Sequence[str] = (), rounds: int = 40, seed: int = 0, **fields: Any) -> Report:
    """``count`` artifacts, each slower and more accurate than the one before; ``names`` are theirs."""
    rng = np.random.default_rng(seed)
    pace = 1 + 0.03 * rng.standard_normal(rounds) ** 2  # what the machine does to all of them
    labels = [*names, *(f"pem-stdc{i}-512x1024.onnx" for i in range(len(names), count))]
    artifacts = tuple(artifact(name, 20.0 * 1.4**i, pace, rng, i) for i, name in enumerate(labels))
    comparisons = tuple(
        comparison(artifacts[0], each, stage) for each in artifacts[1:] for stage in (*_STAGES, "total")
    )
    filled = Report(
        created="2026-01-02T03:04:05+00:00",
        command="pem-bench",
        images="generated streets",
        rounds=rounds,
        machine=machine(),
        artifacts=artifacts,
        comparisons=comparisons,
        reference_work=times(7 * pace),
    )
    return msgspec.structs.replace(filled, **fields)


def artifact(
    name: str, typical: float, pace: NDArray[np.float64], rng: np.random.Generator, rank: int = 0
) -> ArtifactReport:
    """Return one whose images take ``typical`` milliseconds."""
    stages = {
        stage: typical * share * pace * (1 + 0.02 * np.abs(rng.standard_normal(len(pace))))
        for stage, share in _STAGES.items()
    }
    total = sum(stages.values(), np.zeros(len(pace)))
    macs = int(1.2e9 * typical)
    return ArtifactReport(
        model=f"out/{name}",
        name=name,
        variant="pem-stdc1",
        precision="fp32" if rank % 2 == 0 else "int8",
        backend="onnxruntime",
        deform_conv="standard",
        height=512,
        width=1024,
        sha256=f"{rank:02x}" * 32,
        file_bytes=60_000_000 + rank,
        settings={"threads": 2},
        stages={stage: times(values) for stage, values in stages.items()} | {"total": times(total)},
        scenarios=Scenarios(
            single_stream=times(total),
            multi_stream=MultiStream(streams=4, fps=1100 / typical, latency=times(4 * total)),
            offline=Offline(batch=1, fps=1200 / typical, images=64),
            camera=Camera(fps=30.0, frames=150, dropped=10 * rank, age=times(1.3 * total)),
        ),
        cold_start=ColdStart(
            imports=times([300, 310, 305]),
            load=times([400, 420, 410]),
            first=times(np.array([1.5, 1.6, 1.4]) * typical),
            total=times([730, 760, 745]),
        ),
        memory=Memory(host=300_000_000 + 10_000_000 * rank),
        profile=_profile(typical * _STAGES["inference"]),
        rate=Rate(
            macs=macs,
            reached=macs / (typical * 0.75e-3),
            convolution=2.6e12,
            matrix=3.1e12,
            limit=macs / 3.1e9,
            fraction=macs / (typical * 0.75e-3) / 3.1e12,
            counted=1.0,
            bytes_moved=700_000_000,
            bandwidth=2.1e10,
        ),
        accuracy=Accuracy(
            dataset="toy:50:512x1024:7", images=50, pq=50.0 + 2 * rank, pq_things=45.0, pq_stuff=56.0, miou=60.0 + rank
        ),
        missing={"memory.device": "no GPU"},
    )


def comparison(first: ArtifactReport, second: ArtifactReport, stage: str) -> Comparison:
    ratios = np.array(second.stages[stage].values) / np.array(first.stages[stage].values)
    estimate, spread = float(np.median(ratios)), float(3 * ratios.std() / len(ratios) ** 0.5)
    verdict = "slower" if estimate - spread > 1.03 else "faster" if estimate + spread < 0.97 else "same"
    ratio = Interval(estimate=estimate, low=estimate - spread, high=estimate + spread, confidence=0.99)
    return Comparison(model=second.name, baseline=first.name, stage=stage, ratio=ratio, verdict=verdict, floor=0.03)


def machine() -> Machine:
    return Machine(
        system="Linux 6.1 x86_64",
        cpu="A CPU with a long name @ 2.90GHz",
        cores=4,
        usable_cores=2,
        memory_bytes=16 * 2**30,
        gpu="none",
        power_mode="unknown",
        versions={"pem-edge": "0.1.0", "python": "3.11.7", "onnxruntime": "1.23.2"},
        details={"governor": "performance"},
        before={"load": "0.10", "clock": "2900 MHz"},
        after={"load": "1.90", "clock": "2850 MHz"},
    )


def without(found: Report, *fields: str) -> Report:
    """Return the report with those optional fields of its artifacts unknown."""
    artifacts = tuple(msgspec.structs.replace(each, **dict.fromkeys(fields)) for each in found.artifacts)
    return msgspec.structs.replace(found, artifacts=artifacts)


def _profile(total: float) -> Profile:
    shares = np.array([0.2, 0.12, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01])
    layers = tuple(
        Layer(
            name=f"/backbone/stage{i}/block/convolution/Conv",
            type="Conv",
            milliseconds=total * share,
            share=share,
            macs=1_000_000,
            bytes_moved=2_000_000,
            limit=total * share * 0.6,
            fraction=0.6,
            bound="compute" if i % 2 else "memory",
        )
        for i, share in enumerate(map(float, shares))
    )
    return Profile(
        layers=layers,
        by_type={"Conv": 0.8 * total, "MatMul": 0.2 * total},
        total=total,
        by_bound={"compute": 0.5 * total, "memory": 0.3 * total, "overhead": 0.2 * total},
    )
