"""Says what ran in ``pem-run``, what it wrote and where, and what to do next."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from pem_edge.runtime.cli.running.records import version_of
from pem_edge.runtime.cli.running.report import Report
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.results.saving import Written
from pem_edge.runtime.sources import Source


def before(source: Source, segmenter: Segmenter, advice: str | None) -> Iterator[str]:
    """Yield what is to be known before the first result: files that were left out, and what slows this down.

    Args:
        source: The images.
        segmenter: What runs on them.
        advice: What `Outputs.advice` returned.
    """
    if source.left_out:
        were = "was" if source.left_out == 1 else "were"
        yield f"{plural(source.left_out, 'result')} of earlier runs {were} left out: give one alone to segment it"
    chosen = "PEM_EDGE_MERGE" in os.environ
    if segmenter.manifest.target == "onnx" and postprocess.merging() == "numpy" and not chosen:
        yield "masks are merged by NumPy, which is slower: have a C compiler, and install this package again"
    if advice is not None:
        yield advice


def outcome(segmenter: Segmenter, report: Report, written: Written, folder: Path | None) -> str:
    """Return what was written and what ran."""
    if written.files and folder is not None:
        return f"wrote {_files(written, folder)} to {folder}, by {_runner(segmenter)}"
    return f"saved nothing; {plural(report.results, 'image')} went through {_runner(segmenter)}"


def _files(written: Written, folder: Path) -> str:
    """Return the names of a few files, or the number of many."""
    if written.files > len(written.first):
        return plural(written.files, "file")
    *others, last = (path.relative_to(folder).as_posix() for path in written.first)
    return f"{', '.join(others)} and {last}" if others else last


def _runner(segmenter: Segmenter) -> str:
    """Return the backend, its version, without what names its build, bfloat16 if it computes in it, and the device."""
    version = (version_of(segmenter.backend) or "").partition("-")[0]
    computed = "in bfloat16" if segmenter.bf16 else ""
    device = f"on the {segmenter.backend.device.upper()}"
    return " ".join(filter(None, (segmenter.backend.name, version, computed, device)))
