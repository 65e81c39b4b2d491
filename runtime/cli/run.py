"""Entry point of the ``pem-run`` command."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path

from tqdm import tqdm

from pem_edge.runtime import backends, images, sources
from pem_edge.runtime.artifacts import artifact as artifacts
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.cli import console, output, signals
from pem_edge.runtime.cli.running import options, reasons, summary
from pem_edge.runtime.cli.running.options import RunRequest
from pem_edge.runtime.cli.running.report import Report
from pem_edge.runtime.files.output_folder import for_outputs
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.inference.stream import Stream
from pem_edge.runtime.loading import load
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.results.saving import DEFAULT_KINDS, Outputs
from pem_edge.runtime.serving import live
from pem_edge.runtime.sources import Source
from pem_edge.runtime.sources.frame import format_count
from pem_edge.runtime.verification.differences import pixels_that_agree
from pem_edge.runtime.verification.verify import require, verify
from pem_edge.runtime.versioned_json import JsonObject

_PROGRAM = "pem-run"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` defaults to ``sys.argv[1:]``."""
    return console.run(options.parser(), options.read, _run, arguments)


def _run(request: RunRequest) -> JsonObject:
    """Check what is cheap to check, and what was typed, first."""
    artifact = artifacts.read(request.model)
    backends.choose(request.backend, artifact)
    kinds = DEFAULT_KINDS[request.task or artifact.manifest.task] if request.kinds is None else request.kinds
    source = request.source.open()
    if request.output is not None and not kinds:
        _say(f"nothing is saved to {request.output}: with --live, say what to save with --save")
    with for_outputs(request.output) if kinds else nullcontext() as folder:
        outputs = Outputs(kinds, folder or Path(), source)
        if not request.overwrite:
            outputs.refuse_existing()
        if request.verify:
            _verify(request, artifact)
        segmenter = load(
            artifact,
            request.backend,
            score_threshold=request.score_threshold,
            overlap_threshold=request.overlap_threshold,
            threads=request.threads,
            bf16=request.bf16,
            task=request.task,
        )
        with segmenter:
            report = Report(request, segmenter, source, folder)
            if report.is_text and request.source.names != (images.DEMO_STREET,):
                console.tell_of_toys(_PROGRAM, segmenter.manifest.classes)
            with _summarized(report, source, segmenter, outputs, folder):
                _segment(request, source, segmenter, outputs, report)
    return report.document


def _verify(request: RunRequest, artifact: Artifact) -> None:
    outcome = verify(artifact, request.backend, _say)
    require(outcome, artifact)
    parity = outcome.verification.parity
    figures = f"{plural(parity.images, 'image')}; {pixels_that_agree(parity.worst.agreement)}"
    _say(f"{artifact.model} is verified in {outcome.place}: {figures}")


def _say(text: str) -> None:
    console.say(_PROGRAM, text)


def _segment(request: RunRequest, source: Source, segmenter: Segmenter, outputs: Outputs, report: Report) -> None:
    with ExitStack() as stack:
        board = stack.enter_context(_serve_page(request, source, segmenter))
        stack.enter_context(_finished(outputs))
        stream = stack.enter_context(segmenter.stream(source, on_error=report.fail, frames=request.frames))
        stack.callback(lambda: report.document.update(dropped=stream.dropped))
        if report.is_text and not isinstance(source, sources.Pictures):
            stack.enter_context(_print_rate(source, stream, report))
        for result in stack.enter_context(tqdm(stream, total=_total(request, source), unit="image", disable=None)):
            with signals.held():  # a frame is in all of the files and in the report, or in none
                paths = outputs.save(result)
                report.keep(result, paths)
            if board is not None:
                board.update(result, stream.dropped)
            report.show(result, paths)


@contextmanager
def _summarized(
    report: Report, source: Source, segmenter: Segmenter, outputs: Outputs, folder: Path | None
) -> Iterator[None]:
    """Say what is to be known before and after the ``with`` block, unless JSON is printed.

    Let the report be printed even if the process is asked to end in the block.
    """
    try:
        if report.is_text:
            for line in summary.before(source, segmenter, outputs.advice()):
                _say(line)
        yield
    except KeyboardInterrupt as interruption:
        raise console.Interrupted(report.document) from interruption
    finally:
        if report.results and report.is_text:
            output.show(summary.outcome(segmenter, report, outputs.written, folder))
        elif report.results and report.is_by_line:
            output.complain(_PROGRAM, summary.outcome(segmenter, report, outputs.written, folder))
        if report.is_text and 0 < report.results == report.empty:
            output.complain(_PROGRAM, reasons.advice(report.remedies))


@contextmanager
def _finished(outputs: Outputs) -> Iterator[None]:
    """Finish the files after the ``with`` block, even if the process is asked to end then."""
    try:
        with outputs:
            try:
                yield
            finally:
                signals.hold()
    finally:
        signals.release()
    if signals.must_stop():
        raise signals.AskedToEnd


def _total(request: RunRequest, source: Source) -> int | None:
    """Return the expected number of images; None if it is unknown."""
    return min((count for count in (source.length, request.frames) if count), default=None)


@contextmanager
def _serve_page(request: RunRequest, source: Source, segmenter: Segmenter) -> Iterator[live.Board | None]:
    """Serve the live page during the ``with`` block, if requested, and yield the board that it shows."""
    if request.live_port is None:
        yield None
        return
    board = live.Board(source.name, f"{Path(request.model).name} in {segmenter.backend.name}")
    with live.LivePage(board, request.live_host or live.HOST, request.live_port) as page:
        _say(f"live at {page.address}")
        yield board


@contextmanager
def _print_rate(source: Source, stream: Stream, report: Report) -> Iterator[None]:
    """Print the numbers of segmented and dropped frames and the frame rate after the block, even if it fails."""
    start = time.perf_counter()
    try:
        yield
    finally:
        rate = stream.taken / (time.perf_counter() - start)
        failed = f", {plural(report.errors, 'error')}" if report.errors else ""
        taken = format_count(stream.taken)
        output.show(f"{source.name}: {taken}, {rate:.1f} FPS, {stream.dropped} dropped{failed}")


if __name__ == "__main__":
    sys.exit(main())
