"""``pem-run``: segment pictures, a video, a camera or a stream with an exported model."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from pem_edge.runtime import files, sources
from pem_edge.runtime.cli import console
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.inference.stream import Stream
from pem_edge.runtime.loading import load
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.saving import KINDS, Outputs
from pem_edge.runtime.serving import live
from pem_edge.runtime.sources import Source
from pem_edge.runtime.sources.frame import counted

_LABELS_SHOWN = 5
_SAVED = ("overlay", "panoptic")

_EXAMPLES = """\
examples:
  pem-run out/pem.onnx street.jpg
  pem-run out/pem.onnx drive.mp4 --save overlay,json -o results
  pem-run out/pem.onnx 0 --live                                  the first camera, on a page at 127.0.0.1:8080
  pem-run out/pem.onnx rtsp://camera/stream --frames 1000
  ffmpeg -i drive.mkv -f rawvideo -pix_fmt rgb24 - | pem-run out/pem.onnx - --raw-size 720x1280
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns its exit code."""
    return console.run(_parser(), _run, arguments)


def _parser() -> console.Parser:
    parser = console.Parser(prog="pem-run", description=__doc__, epilog=_EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="an exported model, such as out/pem.onnx, or demo")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        help="a picture, a folder of pictures, a video, a camera (0, camera:0, /dev/video0), an address (rtsp://, "
        "http://), or - for raw frames on standard input",
    )
    parser.add_argument("-o", "--output", metavar="DIR", type=Path, default=Path("out"), help="default: %(default)s")
    parser.add_argument(
        "--save",
        metavar="KINDS",
        type=_kinds,
        help="any of overlay, panoptic (PNGs in COCO's colours) and json (panoptic.json, which tells their segments), "
        "separated by commas; default: overlay,panoptic, with --live nothing",
    )
    parser.add_argument("--frames", metavar="N", type=console.positive, help="stop after that many images")
    parser.add_argument("--backend", metavar="B", help="onnxruntime or openvino; default: the fastest installed")
    parser.add_argument(
        "--threads", metavar="N", type=console.positive, help="of the CPU, to run the model; default: all"
    )
    parser.add_argument("--score-threshold", metavar="P", type=console.share, help="least class probability, 0 to 1")
    parser.add_argument(
        "--overlap-threshold", metavar="P", type=console.share, help="least visible share of a mask, 0 to 1"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files of earlier runs")
    _add_live_options(parser)
    return parser


def _add_live_options(parser: console.Parser) -> None:
    group = parser.add_argument_group("cameras, streams and other programs")
    group.add_argument(
        "--live",
        metavar="PORT",
        nargs="?",
        type=int,
        const=live.PORT,
        help="show drawings, pace and classes on a web page of this machine; default port: %(const)s, 0: any free one",
    )
    group.add_argument(
        "--live-host",
        metavar="HOST",
        default=live.HOST,
        help="0.0.0.0 lets every machine of the network see the page; default: %(default)s, only this one",
    )
    group.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=sources.TIMEOUT,
        help="seconds a camera, an address or another program may give nothing, 0: for ever; default: %(default)g",
    )
    group.add_argument(
        "--raw-size", metavar="HxW", type=console.size, help="SOURCE, a file or -, is raw frames this big"
    )
    group.add_argument(
        "--raw-format", choices=sources.FORMATS, default="rgb24", help="of raw frames; default: %(default)s"
    )


def _kinds(text: str) -> tuple[str, ...]:
    kinds = tuple(dict.fromkeys(text.split(",")))
    if not set(kinds) <= set(KINDS):
        raise argparse.ArgumentTypeError(f"{text!r} is not out of {', '.join(KINDS)}, separated by commas")
    return kinds


def _seconds(text: str) -> float | None:
    """None for 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds")
    return value or None


def _run(options: argparse.Namespace) -> dict[str, Any]:
    source = _source(options)
    kinds = options.save if options.save is not None else () if options.live is not None else _SAVED
    outputs = Outputs(kinds, options.output, source)
    if not options.overwrite:
        outputs.refuse_existing()
    segmenter = load(
        options.model,
        options.backend,
        score_threshold=options.score_threshold,
        overlap_threshold=options.overlap_threshold,
        threads=options.threads,
    )
    if kinds:
        files.make_folder(options.output)
    return _segment(options, source, segmenter, outputs)


def _source(options: argparse.Namespace) -> Source:
    if options.raw_size is not None:
        return sources.RawFrames(Path(options.source), options.raw_size, options.raw_format, options.timeout)
    return sources.find(options.source, timeout=options.timeout)


def _segment(options: argparse.Namespace, source: Source, segmenter: Segmenter, outputs: Outputs) -> dict[str, Any]:
    images: list[dict[str, Any]] = []
    errors: list[str] = []
    with ExitStack() as stack:
        stack.enter_context(segmenter)
        page = stack.enter_context(_page(options, source, segmenter))
        stack.enter_context(outputs)
        stream = stack.enter_context(segmenter.stream(source, on_error=lambda error: errors.append(str(error))))
        stack.enter_context(_summary(options, source, stream))
        total = min(source.length or options.frames, options.frames) if options.frames else source.length
        results = islice(stream, options.frames)
        for result in tqdm(results, total=total, unit="image", disable=None):
            paths = outputs.save(result)
            if page is not None:
                page.show(result, stream.dropped)
            if options.json:
                images.append(_record(result, paths))
            else:
                with tqdm.external_write_mode():
                    print(_line(result), flush=True)
    return {"images": images, "dropped": stream.dropped, "errors": errors}


@contextmanager
def _page(options: argparse.Namespace, source: Source, segmenter: Segmenter) -> Iterator[live.Board | None]:
    """Where the live page's state is kept, if there is to be one."""
    if options.live is None:
        yield None
        return
    board = live.Board(source.name, f"{Path(options.model).name} in {segmenter.backend.name}")
    with live.LivePage(board, options.live_host, options.live) as page:
        console.say("pem-run", f"live at {page.address}")
        yield board


@contextmanager
def _summary(options: argparse.Namespace, source: Source, stream: Stream) -> Iterator[None]:
    """How many of a source's frames were segmented, how fast, and how many were not; also after Ctrl-C."""
    start = time.perf_counter()
    try:
        yield
    finally:
        if not options.json and not isinstance(source, sources.Pictures):
            pace = stream.taken / (time.perf_counter() - start)
            print(f"{source.name}: {counted(stream.taken)}, {pace:.1f} a second, {stream.dropped} dropped", flush=True)


def _record(result: Result, paths: dict[str, Path]) -> dict[str, Any]:
    return {
        "image": result.name,
        "segments": [asdict(segment) for segment in result.segments],
        "overlay": _text(paths.get("overlay")),
        "panoptic": _text(paths.get("panoptic")),
        "milliseconds": {stage: round(time, 3) for stage, time in result.milliseconds.items()},
    }


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _line(result: Result) -> str:
    """A result in one line: how many segments, of which classes the largest are, and the time it took."""
    largest = sorted(result.segments, key=lambda segment: segment.area, reverse=True)
    counts = Counter(segment.label for segment in largest)
    shown = [label if count == 1 else f"{count} {label}" for label, count in counts.items()][:_LABELS_SHOWN]
    more = [f"{len(counts) - len(shown)} more"] if len(counts) > len(shown) else []
    number = f"{len(largest)} segment{'' if len(largest) == 1 else 's'}"
    classes = f" ({', '.join(shown + more)})" if shown else ""
    return f"{result.name}: {number}{classes}, {sum(result.milliseconds.values()):.1f} ms"
