"""Segments a long stream of a source with faults, and watches memory, files and threads."""

from __future__ import annotations

import argparse
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import pem_edge
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.sources.frame import Footage, Frame, frame_name
from scripts.campaign.delivery import deliver
from scripts.campaign.process import resident_memory

SIZES = ((48, 96), (64, 128), (90, 60), (33, 200))
STALL = 0.05  # seconds
_MOST_GROWTH = 16_000_000
"""Bytes that memory may grow by after the first quarter: allocators keep some."""


@dataclass(frozen=True)
class Sample:
    """A count of what the process holds after a number of frames: bytes of memory, open files, threads."""

    frames: int
    memory: int
    files: int
    threads: int


class FaultySource(Footage):
    """Frames that carry their numbers, with stalls, frames that cannot be read, and sizes that change.

    Args:
        count: The number of frames.
        seed: The seed of the faults.

    Attributes:
        readable: The numbers of the frames that can be read so far.
        faults: The numbers of faults so far, by kind.
    """

    name = stem = "soak"

    def __init__(self, count: int, seed: int) -> None:
        self.length = count
        self._rng = random.Random(seed)
        self.readable: list[int] = []
        self.faults = {"stalls": 0, "corrupt frames": 0, "size changes": 0}

    def __iter__(self) -> Iterator[Frame]:
        size = SIZES[0]
        for number in range(self.length or 0):
            draw = self._rng.random()
            if draw < 0.001:
                self.faults["stalls"] += 1
                time.sleep(STALL)
            elif draw < 0.01:
                self.faults["corrupt frames"] += 1
                yield Frame(frame_name(number), _fail)
                continue
            elif draw < 0.02:
                self.faults["size changes"] += 1
                size = self._rng.choice(SIZES)
            self.readable.append(number)
            yield Frame(frame_name(number), partial(picture, number, size))


def picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Return a picture, RGB uint8 (H, W, 3), whose first pixel holds its number."""
    image = np.full((*size, 3), number % 251, np.uint8)
    image[0, 0] = number & 0xFF, number >> 8 & 0xFF, number >> 16 & 0xFF
    return image


def run(segmenter: Segmenter, count: int, seed: int, every: int, say: Callable[[str], None]) -> dict[str, object]:
    """Segment ``count`` frames and return what was found; "failed" lists what should not have been."""
    source, samples, errors = FaultySource(count, seed), [], 0

    def note(_: InputError) -> None:
        nonlocal errors
        errors += 1

    seen: list[int] = []
    started = time.monotonic()
    with segmenter.stream(source, on_error=note) as stream:
        for result in stream:
            red, green, blue = (int(value) for value in result.image[0, 0])
            seen.append(red | green << 8 | blue << 16 if result.panoptic.shape == result.image.shape[:2] else -1)
            if len(seen) % every == 0:
                samples.append(_sample(len(seen)))
                say(f"{len(seen)} frames, {samples[-1].memory / 1e6:.0f} MB")
    return {
        "date": date.today().isoformat(),
        "frames": count,
        "segmented": len(seen),
        "faults": source.faults,
        "seconds": round(time.monotonic() - started, 1),
        "samples": [asdict(sample) for sample in samples],
        "failed": list(_failures(seen, source, errors, samples)),
        "versions": {"python": platform.python_version(), "onnxruntime": version("onnxruntime")},
    }


def _failures(seen: list[int], source: FaultySource, errors: int, samples: Sequence[Sample]) -> Iterator[str]:
    if seen != source.readable:
        yield "frames were lost, changed, or out of order"
    if errors != source.faults["corrupt frames"]:
        yield f"{errors} errors were reported, of {source.faults['corrupt frames']} corrupt frames"
    early, late = samples[: len(samples) // 4 + 1], samples[len(samples) // 4 + 1 :]
    if late:
        growth = max(sample.memory for sample in late) - max(sample.memory for sample in early)
        if growth > _MOST_GROWTH:
            yield f"memory grew by {growth / 1e6:.1f} MB"
        for kind in ("files", "threads"):
            if max(getattr(sample, kind) for sample in late) > max(getattr(sample, kind) for sample in early):
                yield f"the number of {kind} grew"


def _fail() -> NDArray[np.uint8]:
    raise InputError("the frame is corrupt")


def _sample(frames: int) -> Sample:
    process = Path("/proc/self")
    return Sample(
        frames, resident_memory(), len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))
    )


def small_artifact(folder: Path) -> Path:
    """Export the demo weights at a small size, and return the model file."""
    command = [sys.executable, "-m", "pem_edge.export.cli.export", "--weights", "demo", "--size", "64x128"]
    subprocess.run([*command, "--to", "onnx", "-o", str(folder)], check=True, capture_output=True)
    return next(folder.glob("*.onnx"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; return 1 if something failed."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--frames", type=int, default=50_000, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="S")
    parser.add_argument("--model", metavar="FILE", help="default: the demo weights, exported at a small size")
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="also write the report there, as JSON")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="pem-soak-") as folder:
        model = options.model or small_artifact(Path(folder))
        with pem_edge.load(model, "onnxruntime", threads=1) as segmenter:
            every = max(1, options.frames // 50)
            report = run(segmenter, options.frames, options.seed, every, lambda line: print(line, file=sys.stderr))
    deliver(report, options.out)
    return int(bool(report["failed"]))


if __name__ == "__main__":
    sys.exit(main())
