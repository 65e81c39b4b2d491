"""A short soak finds no frame lost and nothing that grows, and it would see both."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from scripts.campaign import soak

ROOT = Path(__file__).parents[2]


def test_a_stream_with_faults_loses_no_frame() -> None:
    command = [sys.executable, "-m", "scripts.campaign.soak", "--frames", "120", "--seed", "9", "--model", "demo"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    report, faults = json.loads(done.stdout), json.loads(done.stdout)["faults"]
    assert (done.returncode, report["failed"]) == (0, []), done.stderr
    assert report["segmented"] == 120 - faults["corrupt frames"]
    assert faults["corrupt frames"] > 0
    assert faults["size changes"] > 0


def test_what_should_not_be_is_seen() -> None:
    source = soak.FaultySource(0, 0)
    source.readable = [0, 1, 2]
    flat = [soak.Sample(frames, 100, 9, 4) for frames in range(8)]
    growing = [soak.Sample(frames, frames * 10_000_000, 9 + frames, 4) for frames in range(8)]
    assert list(soak._failures([0, 1, 2], source, 0, flat)) == []
    assert list(soak._failures([0, 2, 1], source, 0, flat)) == ["frames were lost, changed, or out of order"]
    assert list(soak._failures([0, 1, 2], source, 1, flat)) == ["1 errors were reported, of 0 corrupt frames"]
    assert list(soak._failures([0, 1, 2], source, 0, growing)) == [
        "memory grew by 50.0 MB",
        "the number of files grew",
    ]
