"""The options of ``pem-run``, and the request that they make."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime import sources
from pem_edge.runtime.cli import console
from pem_edge.runtime.results.saving import KINDS
from pem_edge.runtime.serving import live
from pem_edge.runtime.sources import Source

DESCRIPTION = "``pem-run``: segment pictures, a video, a camera or a stream with an exported model."
_SAVED = ("overlay", "panoptic")

_EXAMPLES = """\
examples:
  pem-run out/pem.onnx street.jpg
  pem-run out/pem.onnx drive.mp4 --save overlay,json -o results
  pem-run out/pem.onnx 0 --live                                  the first camera, on a page at 127.0.0.1:8080
  pem-run out/pem.onnx rtsp://camera/stream --frames 1000
  ffmpeg -i drive.mkv -f rawvideo -pix_fmt rgb24 - | pem-run out/pem.onnx - --raw-size 720x1280
"""


@dataclass(frozen=True)
class PageAddress:
    """Where the live page is served: a host name or address, and a port, 0 for any free one."""

    host: str
    port: int


@dataclass(frozen=True)
class RunRequest:
    """What ``pem-run`` is to do.

    Attributes:
        model: The path of an exported model, or "demo".
        source: The images to segment.
        output: The folder of the files to save.
        kinds: The kinds of files to save, of `results.saving.KINDS`.
        overwrite: Whether to replace files of earlier runs.
        frames: The number of images to stop after; None for all.
        backend: The name of a backend; None for the fastest.
        threads: The number of CPU threads for the model; None for all.
        score_threshold: The least class probability of a segment, 0 to 1; None for the manifest's.
        overlap_threshold: The least visible share of a mask, 0 to 1; None for the manifest's.
        page: The address of the live page; None for no page.
        json: Whether JSON is printed instead of lines for people.
    """

    model: str
    source: Source
    output: Path
    kinds: tuple[str, ...]
    overwrite: bool
    frames: int | None
    backend: str | None
    threads: int | None
    score_threshold: float | None
    overlap_threshold: float | None
    page: PageAddress | None
    json: bool


def read(options: argparse.Namespace) -> RunRequest:
    """Return the request that parsed options make. Raises InputError if there is no such source."""
    page = None if options.live is None else PageAddress(options.live_host, options.live)
    unasked = _SAVED if page is None else ()
    return RunRequest(
        model=options.model,
        source=_source(options),
        output=options.output,
        kinds=unasked if options.save is None else options.save,
        overwrite=options.overwrite,
        frames=options.frames,
        backend=options.backend,
        threads=options.threads,
        score_threshold=options.score_threshold,
        overlap_threshold=options.overlap_threshold,
        page=page,
        json=options.json,
    )


def _source(options: argparse.Namespace) -> Source:
    if options.raw_size is not None:
        return sources.RawFrames(Path(options.source), options.raw_size, options.raw_format, options.timeout)
    return sources.find(options.source, timeout=options.timeout)


def parser() -> console.Parser:
    """Return the parser of ``pem-run``."""
    parser = console.Parser(prog="pem-run", description=DESCRIPTION, epilog=_EXAMPLES)
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
        help="any of overlay, panoptic (PNGs in COCO's colors) and json (panoptic.json, which tells their segments), "
        "separated by commas; default: overlay,panoptic, with --live nothing",
    )
    parser.add_argument("--frames", metavar="N", type=console.positive, help="stop after that many images")
    console.add_backend(parser)
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
        help="seconds a camera, an address or another program may give nothing, 0: forever; default: %(default)g",
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
    """Return none for 0."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value or None
