"""Entry point of the ``pem-run`` command."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from pem_edge.runtime import files, sources
from pem_edge.runtime.artifacts import artifact as artifacts
from pem_edge.runtime.cli import console, output, run_options, run_records, signals
from pem_edge.runtime.cli.run_options import RunRequest
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.inference.stream import Stream
from pem_edge.runtime.loading import load
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.results.saving import DEFAULT_KINDS, Outputs
from pem_edge.runtime.serving import live
from pem_edge.runtime.sources.frame import format_count
from pem_edge.runtime.verification.verify import require, verify
from pem_edge.runtime.versioned_json import JsonObject


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code. ``arguments`` defaults to ``sys.argv[1:]``."""
    return console.run(run_options.parser(), run_options.read, _run, arguments)


def _run(request: RunRequest) -> JsonObject:
    kinds = _kinds(request)
    outputs = Outputs(kinds, request.output, request.source)
    if not request.overwrite:
        outputs.refuse_existing()
    if request.verify:
        _verify(request)
    segmenter = load(
        request.model,
        request.backend,
        score_threshold=request.score_threshold,
        overlap_threshold=request.overlap_threshold,
        threads=request.threads,
        task=request.task,
    )
    if kinds:
        files.make_folder(request.output)
    return _segment(request, segmenter, outputs)


def _kinds(request: RunRequest) -> Sequence[str]:
    """Return the kinds of files to save. The model's task is looked up before it is loaded, which may take long."""
    if request.kinds is not None:
        return request.kinds
    return DEFAULT_KINDS[request.task or artifacts.read(request.model).manifest.task]


def _verify(request: RunRequest) -> None:
    artifact = artifacts.read(request.model)
    outcome = verify(artifact, request.backend, _say)
    require(outcome, artifact)
    parity = outcome.verification.parity
    figures = f"{plural(parity.images, 'image')}, of which at least {parity.worst.agreement:.2%} of the pixels agree"
    _say(f"{artifact.model} is verified in {outcome.place}: {figures}")


def _say(text: str) -> None:
    console.say("pem-run", text)


def _segment(request: RunRequest, segmenter: Segmenter, outputs: Outputs) -> JsonObject:
    images: list[JsonObject] = []
    errors: list[str] = []
    report: JsonObject = {"images": images, "dropped": 0, "errors": errors}
    with ExitStack() as stack:
        stack.enter_context(_reporting(report))
        stack.enter_context(segmenter)
        board = stack.enter_context(_serve_page(request, segmenter))
        stack.enter_context(_finished(outputs))
        stream = stack.enter_context(segmenter.stream(request.source, on_error=lambda error: errors.append(str(error))))
        stack.callback(lambda: report.update(dropped=stream.dropped))
        stack.enter_context(_print_summary(request, stream))
        for result in tqdm(islice(stream, request.frames), total=_total(request), unit="image", disable=None):
            with signals.held():  # a frame is in all of the files and in the report, or in none
                paths = outputs.save(result)
                if request.json:
                    images.append(run_records.make_record(result, paths))
            if board is not None:
                board.update(result, stream.dropped)
            if not request.json:
                with tqdm.external_write_mode():
                    output.show(run_records.describe(result))
    return report


@contextmanager
def _reporting(report: JsonObject) -> Iterator[None]:
    """Let the report be printed even if the process is asked to end in the ``with`` block."""
    try:
        yield
    except KeyboardInterrupt as interruption:
        raise console.Interrupted(report) from interruption


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


def _total(request: RunRequest) -> int | None:
    """Return the expected number of images; None if it is unknown."""
    known = [count for count in (request.source.length, request.frames) if count]
    return min(known, default=None)


@contextmanager
def _serve_page(request: RunRequest, segmenter: Segmenter) -> Iterator[live.Board | None]:
    """Serve the live page during the ``with`` block, if requested, and yield the board that it shows."""
    if request.live_port is None:
        yield None
        return
    board = live.Board(request.source.name, f"{Path(request.model).name} in {segmenter.backend.name}")
    with live.LivePage(board, request.live_host or live.HOST, request.live_port) as page:
        _say(f"live at {page.address}")
        yield board


@contextmanager
def _print_summary(request: RunRequest, stream: Stream) -> Iterator[None]:
    """Print the numbers of segmented and dropped frames and the frame rate after the block, even if it fails."""
    start = time.perf_counter()
    try:
        yield
    finally:
        if not request.json and not isinstance(request.source, sources.Pictures):
            rate = stream.taken / (time.perf_counter() - start)
            taken = format_count(stream.taken)
            output.show(f"{request.source.name}: {taken}, {rate:.1f} per second, {stream.dropped} dropped")


if __name__ == "__main__":
    sys.exit(main())
