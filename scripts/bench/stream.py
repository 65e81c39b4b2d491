#!/usr/bin/env python
"""How close Segmenter.stream comes to its slowest stage, and whether its memory grows: a generated video of streets.

Each round runs every stage alone, images one after another, and the stream, so that a drifting machine favors none.
Without MODEL, a pem-stdc1 with random weights is exported for it, and segments of any score are kept, so that there is
something to merge. Writes docs/results/DATE-stream.md and, beside it, the figures as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import runtime
from pem_edge.runtime import sources
from pem_edge.runtime.benchmark import machine
from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.sources import Source

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SCENES, PAN = 8, 4  # streets in the video, and by how many pixels a frame they move
WARM_UP = 5
SAMPLED = 50  # frames between two looks at the memory
SETTLED = 200  # frames after which it should not grow

Figures = dict[str, Any]


def main() -> None:
    options = parse()
    with (
        tempfile.TemporaryDirectory(prefix="pem-bench-") as folder,
        model(options.model, options.backend, options.threads, Path(folder)) as segmenter,
    ):
        video = sources.find(write_video(Path(folder) / "streets.mp4", options.video_size, options.frames))
        cv2.setNumThreads(options.cv2_threads or cv2.getNumThreads())
        figures = {
            "date": options.date,
            "model": options.model or "pem-stdc1, random weights",
            "input": [segmenter.manifest.input.height, segmenter.manifest.input.width],
            "video": [*options.video_size, options.frames],
            "backend": {"name": segmenter.backend.name, **segmenter.backend.settings()},
            "cv2_threads": cv2.getNumThreads(),
            "machine": described(),
            "rounds": [measure(segmenter, video, options.frames) for _ in range(options.rounds)],
            "memory": memory(segmenter, video, options.memory_frames),
        }
        figures["machine"]["load after"] = machine.state()["load"]
    write(options.output, figures)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", metavar="MODEL", nargs="?", help="an exported model; default: a pem-stdc1, 512x1024")
    parser.add_argument("--backend", default="onnxruntime")
    parser.add_argument("--threads", type=shared_options.positive, help="of the model; default: all")
    parser.add_argument("--cv2-threads", type=shared_options.positive, help="of OpenCV; default: its own choice")
    parser.add_argument(
        "--frames", type=shared_options.positive, default=300, help="of the video; default: %(default)s"
    )
    parser.add_argument("--video-size", type=shared_options.size, default=(512, 1024), help="default: 512x1024")
    parser.add_argument("--rounds", type=shared_options.positive, default=3, help="default: %(default)s")
    parser.add_argument("--memory-frames", type=shared_options.positive, default=3000, help="default: %(default)s")
    parser.add_argument("--date", default=str(date.today()), help="for the names of the files written")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, help="default: docs/results")
    options = parser.parse_args()
    if options.memory_frames < SETTLED:
        parser.error(f"--memory-frames {options.memory_frames} are too few to see a growth: give {SETTLED} or more")
    return options


@contextmanager
def model(path: Path | None, backend: str | None, threads: int | None, folder: Path) -> Iterator[runtime.Segmenter]:
    threshold = None
    if path is None:
        path, threshold = exported(folder), 0.0
    with runtime.load(path, backend, threads=threads, score_threshold=threshold) as segmenter:
        yield segmenter


def exported(folder: Path) -> Path:
    """Return a pem-stdc1's artifact, made by a process of its own: PyTorch's memory is not the stream's."""
    exporting = get_context("spawn").Process(target=export_random, args=(folder,))
    exporting.start()
    exporting.join()
    if exporting.exitcode:
        raise SystemExit("the export failed")
    return folder / "pem-stdc1.onnx"


def export_random(folder: Path) -> None:
    from pem_edge import pem
    from pem_edge.export.cli import export
    from pem_edge.pem.checkpoints import save
    from reference.weights import randomized

    save(randomized(pem.build("pem-stdc1", num_classes=19)), folder / "pem-stdc1.safetensors")
    sys.exit(export.main(["--weights", str(folder / "pem-stdc1.safetensors"), "--size", "512x1024", "-o", str(folder)]))


def write_video(path: Path, size: tuple[int, int], frames: int) -> Path:
    streets = ToyStreets(SCENES, *size)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, size[::-1])
    for index in range(frames):
        if (within := index % -(-frames // SCENES)) == 0:
            street = cv2.cvtColor(streets[index * SCENES // frames].image, cv2.COLOR_RGB2BGR)
        writer.write(np.roll(street, -PAN * within, axis=1))
    writer.release()
    return path


def measure(segmenter: runtime.Segmenter, video: Source, frames: int) -> dict[str, float]:
    """Return milliseconds an image: of every stage alone, of all of them one after another, and in the stream."""
    pipeline, part = segmenter._pipeline, max(2 * WARM_UP, frames // 3)
    images = [frame.read() for frame in islice(video, 2 * WARM_UP)]
    for image in images[:WARM_UP]:
        segmenter(image)
    prepared = [[pipeline.prepare(image)] for image in images]
    infer = partial(pipeline.infer, thresholds=segmenter.thresholds)
    inferred = [infer(one) for one in prepared]
    alone = {
        "decode": paced(frame.read() for frame in islice(video, part)),
        "preprocess": paced(map(pipeline.prepare, islice(cycle(images), part))),
        "inference": paced(map(infer, islice(cycle(prepared), part))),
        "postprocess": paced(map(pipeline.merge, islice(cycle(inferred), part))),
    }
    one_by_one = paced(segmenter(frame.read()) for frame in islice(video, part))
    with segmenter.stream(video) as stream:
        return {**alone, "one after another": one_by_one, "stream": paced(stream)}


def paced(work: Iterable[object]) -> float:
    """Return milliseconds from one to the next, the first ones aside; nothing is kept."""
    ends = [time.perf_counter() for _ in work]
    return 1000 * (ends[-1] - ends[WARM_UP - 1]) / (len(ends) - WARM_UP)


def memory(segmenter: runtime.Segmenter, video: Source, frames: int) -> Figures:
    """Return resident megabytes every so many frames, the video over and over, and the slope of a line through them."""
    samples: list[tuple[int, float]] = []
    with segmenter.stream(Repeated(video, frames)) as stream:
        for index, _ in enumerate(stream, 1):
            if index % SAMPLED == 0:
                samples.append((index, resident()))
    counted = [sample for sample in samples if sample[0] > min(SETTLED, frames // 2)]
    counts, sizes = np.array(counted).T
    return {
        "frames": frames,
        "mb": [round(size, 1) for _, size in samples],
        "growth_mb_per_1000_frames": round(float(np.polyfit(counts, sizes, 1)[0]) * 1000, 2),
        "least": round(float(sizes.min()), 1),
        "most": round(float(sizes.max()), 1),
    }


class Repeated(sources.Footage):
    """``source`` again and again, until ``frames`` came."""

    name = stem = "streets"

    def __init__(self, source: Source, frames: int) -> None:
        self._source, self.length = source, frames

    def __iter__(self) -> Iterator[sources.Frame]:
        return islice((frame for _ in iter(int, 1) for frame in self._source), self.length)


def resident() -> float:
    """Return megabytes of this process that are in memory, as Linux counts them."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def described() -> dict[str, str]:
    found = machine.describe()
    versions = ", ".join(f"{name} {version}" for name, version in found.versions.items())
    return {
        "cpu": f"{found.cpu}, {found.usable_cores} of {found.cores} cores",
        "system": found.system,
        "versions": versions,
        "load before": found.before["load"],
    }


def write(folder: Path, figures: Figures) -> None:
    name = f"{figures['date']}-stream"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / f"{name}.md").write_text(page(figures, f"{name}.json"))
    print(page(figures, f"{name}.json"))


def page(figures: Figures, beside: str) -> str:
    def median(key: str) -> float:
        return float(statistics.median(one[key] for one in figures["rounds"]))

    stages = ("decode", "preprocess", "inference", "postprocess")
    slowest = max(stages, key=median)
    ratios = [one["stream"] / one[slowest] for one in figures["rounds"]]
    against = [one["one after another"] / one["stream"] for one in figures["rounds"]]
    rows = [f"| {name} alone | {median(name):.1f} | {1000 / median(name):.1f} |" for name in stages]
    rows += [f"| {name} | {median(name):.1f} | {1000 / median(name):.1f} |" for name in ("one after another", "stream")]
    height, width, frames = figures["video"]
    backend = dict(figures["backend"])
    used, found = figures["memory"], figures["machine"]
    settings = ", ".join(f"{key} {value}" for key, value in backend.items() if key != "name")
    return f"""# Stream, {figures["date"]}

`python scripts/bench/stream.py`: {figures["model"]} at {"x".join(map(str, figures["input"]))} in {backend["name"]}
({settings}), OpenCV with {figures["cv2_threads"]} threads, a video of {frames} frames of {height}x{width}; medians of
{len(ratios)} rounds in which all take turns. {found["cpu"]}; {found["system"]}; {found["versions"]}; load before
{found["load before"]}, after {found["load after"]}. All figures: [{beside}]({beside}).

| | ms an image | images a second |
| --- | --- | --- |
{chr(10).join(rows)}

An image takes the stream {statistics.median(ratios):.3f} times what its slowest stage, {slowest}, takes alone
({min(ratios):.3f} to {max(ratios):.3f} in single rounds; the goal is 1.1 at most). It is
{statistics.median(against):.2f} times as fast as one after another.

Resident memory over {used["frames"]} frames: {used["least"]:.0f} to {used["most"]:.0f} MB once it had counted, a line
through it rises by {used["growth_mb_per_1000_frames"]:.2f} MB in 1000 frames.
"""


if __name__ == "__main__":
    main()
