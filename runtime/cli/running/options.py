"""The options of ``pem-run``, and the request built from them."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from pem_edge.runtime import sources
from pem_edge.runtime.artifacts.manifest import TASKS, Task
from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.cli.parser import Parser, SomeOf
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results.saving import KINDS
from pem_edge.runtime.serving import live
from pem_edge.runtime.sources import Source

DESCRIPTION = "Segment images, a video, a camera or a stream with an exported model."

_EXAMPLES = """\
pem-run demo demo:street                                       the model and the street that come with the package
pem-run out/pem.onnx street.jpg
pem-run out/pem.onnx drive.mp4 --save overlay,json -o results
pem-run out/pem.onnx a.jpg b.jpg drive.mp4
pem-run out/pem.onnx 'photos/*.jpg' --jsonl
pem-run out/pem.onnx photos --recursive
pem-run out/pem.onnx photos --task instance --score-threshold 0  all instances, for COCO's evaluation
pem-run out/pem.onnx 0 --live                                  the first camera, on a page at 127.0.0.1:8080
pem-run out/pem.onnx rtsp://camera/stream --frames 1000
ffmpeg -i drive.mkv -f rawvideo -pix_fmt rgb24 - | pem-run out/pem.onnx - --raw-size 720x1280
"""


@dataclass(frozen=True)
class SourceRequest:
    """The images to segment, as the command line names them.

    Attributes:
        names: A path, a pattern, a camera or an address, see `sources.find`; or "-" for standard input. Or several
            paths, patterns and addresses of images.
        raw_size: The height and width of raw frames; None if the source does not consist of raw frames.
        raw_format: The format of raw frames, out of `sources.FORMATS`; None for the default.
        timeout: The seconds that a live source may give nothing; None for any time.
        recursive: Whether to take what is in folders within a folder, too.

    Raises:
        InputError: If there is a format of raw frames, but no size, or there are several sources of raw frames.
    """

    names: tuple[str, ...]
    raw_size: tuple[int, int] | None = None
    raw_format: str | None = None
    timeout: float | None = sources.TIMEOUT
    recursive: bool = False

    def __post_init__(self) -> None:
        if self.raw_format is not None and self.raw_size is None:
            raise shared_options.missing_companion(f"--raw-format {self.raw_format}", "--raw-size HxW")
        if self.raw_size is not None and len(self.names) > 1:
            raise InputError(f"--raw-size was given with {len(self.names)} sources: raw frames come from one at a time")

    def open(self) -> Source:
        """Return the source. Raise InputError if it does not exist."""
        if self.raw_size is not None:
            pixels = self.raw_format or sources.FORMATS[0]
            return sources.RawFrames(Path(self.names[0]), self.raw_size, pixels, self.timeout)
        if len(self.names) == 1:
            return sources.find(self.names[0], timeout=self.timeout, recursive=self.recursive)
        return sources.find_several(self.names, recursive=self.recursive)


@dataclass(frozen=True)
class RunRequest:
    """A request to ``pem-run``.

    Attributes:
        model: The path of an exported model, or "demo".
        source: The images to segment.
        output: The folder to save files in; None for a new one, ``runs/N``.
        task: What to show and save; None for what the model was trained for.
        kinds: The kinds of files to save, out of `results.saving.KINDS`; None for those that fit the task.
        overwrite: Whether to replace existing files.
        frames: The number of images after which to stop; None for all.
        backend: The name of a backend; None for the preferred one.
        threads: The number of CPU threads for the model; None for one per core, see `machine.threads`.
        bf16: Whether to compute in bfloat16.
        score_threshold: The minimum class probability of a segment, and the minimum score of an instance, 0 to 1; None
            for the manifest's.
        overlap_threshold: The minimum visible fraction of a mask, 0 to 1; None for the manifest's.
        live_port: The port of the live page, 0 for any free port; None for no page.
        live_host: The host name or address of the live page; None for the default.
        verify: Whether to compare the model with its ONNX model first.
        json: Whether to print one JSON object at the end instead of text.
        jsonl: Whether to print a line of JSON for each image instead of text.

    Raises:
        InputError: If there is a host for the live page, but no port, both kinds of JSON are wanted, or there is a
            folder to save nothing in.
    """

    model: str
    source: SourceRequest
    output: Path | None
    task: Task | None
    kinds: tuple[str, ...] | None
    overwrite: bool
    frames: int | None
    backend: str | None
    threads: int | None
    bf16: bool
    score_threshold: float | None
    overlap_threshold: float | None
    live_port: int | None
    live_host: str | None
    verify: bool
    json: bool
    jsonl: bool

    def __post_init__(self) -> None:
        if self.live_host is not None and self.live_port is None:
            raise shared_options.missing_companion(f"--live-host {self.live_host}", "--live")
        if self.json and self.jsonl:
            raise InputError("--json and --jsonl exclude each other: --jsonl prints a line as each image is done")
        if self.output is not None and self.kinds == () and self.live_port is None:
            raise InputError(f"-o {self.output} was given with --save none, which saves nothing: leave one of them out")


def read(options: argparse.Namespace) -> RunRequest:
    """Build the request from parsed options. Raise InputError if options conflict."""
    default_kinds = None if options.live is None else ()
    return RunRequest(
        model=options.model,
        source=SourceRequest(
            tuple(options.source), options.raw_size, options.raw_format, options.timeout, options.recursive
        ),
        output=options.output,
        task=options.task,
        kinds=default_kinds if options.save is None else options.save,
        overwrite=options.overwrite,
        frames=options.frames,
        backend=options.backend,
        threads=options.threads,
        bf16=options.bf16,
        score_threshold=options.score_threshold,
        overlap_threshold=options.overlap_threshold,
        live_port=options.live,
        live_host=options.live_host,
        verify=options.verify,
        json=options.json,
        jsonl=options.jsonl,
    )


def parser() -> Parser:
    """Return the parser of ``pem-run``."""
    parser = Parser("pem-run", "MODEL SOURCE... [options]", DESCRIPTION, _EXAMPLES)
    parser.add_argument("model", metavar="MODEL", help="an exported model, such as out/pem.onnx, or demo")
    parser.add_argument(
        "source",
        metavar="SOURCE",
        nargs="+",
        help="images, videos, folders and patterns such as 'photos/*.jpg'; or a camera (0, /dev/video0, csi:0), an "
        "address (rtsp://, http://, udp://), a GStreamer pipeline, or - for raw frames on standard input",
    )
    parser.add_argument("--recursive", action="store_true", help="also take what is in folders within a folder")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        type=shared_options.path,
        help="default: a new folder, runs/1, runs/2, ...",
    )
    parser.add_argument(
        "--save",
        metavar="KINDS",
        type=SomeOf(KINDS, none=True),
        help="any of overlay, panoptic (PNGs in COCO's format, with json), json (panoptic.json, which lists their "
        "segments), semantic (PNGs of class indices, of 8 bits up to 256 classes, else of 16) and instances "
        "(instances.json, COCO's results with masks as RLE), separated by commas, or none; default: overlay and "
        "panoptic, semantic or instances, as the task is, or nothing with --live",
    )
    parser.add_argument("--task", choices=TASKS, help="what to show and save; default: what the model was trained for")
    parser.add_argument(
        "--jsonl", action="store_true", help="print a line of JSON for each image as soon as it is done"
    )
    parser.add_argument("--frames", metavar="N", type=shared_options.positive, help="stop after that many images")
    shared_options.add_backend(parser)
    shared_options.add_threads(parser)
    shared_options.add_bf16(parser)
    parser.add_argument(
        "--score-threshold",
        metavar="P",
        type=shared_options.fraction,
        help="minimum class probability of a segment or score of an instance, 0 to 1; default: the manifest's",
    )
    parser.add_argument(
        "--overlap-threshold",
        metavar="P",
        type=shared_options.fraction,
        help="minimum visible fraction of a mask, 0 to 1",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing files")
    parser.add_argument(
        "--verify", action="store_true", help="first compare what the model computes here with its ONNX model"
    )
    _add_live_options(parser)
    return parser


def _add_live_options(parser: Parser) -> None:
    group = parser.add_argument_group("cameras, streams and other programs")
    group.add_argument(
        "--live",
        metavar="PORT",
        nargs="?",
        type=shared_options.whole(0, 65535),
        const=live.PORT,
        help="show drawings, frame rate and classes on a web page; default port: %(const)s, 0: any free port",
    )
    group.add_argument(
        "--live-host",
        metavar="HOST",
        help=f"0.0.0.0 lets every machine in the network see the page; default: {live.HOST}, only this machine",
    )
    group.add_argument(
        "--timeout",
        metavar="S",
        type=_seconds,
        default=sources.TIMEOUT,
        help="seconds that a camera, an address or another program may send nothing, 0: forever; default: %(default)g",
    )
    group.add_argument(
        "--raw-size",
        metavar="HxW",
        type=shared_options.size,
        help="SOURCE, a file or -, consists of raw frames of this size",
    )
    group.add_argument(
        "--raw-format", choices=sources.FORMATS, help=f"format of raw frames; default: {sources.FORMATS[0]}"
    )


def _seconds(text: str) -> float | None:
    """Parse a number of seconds; 0 means no limit and gives None."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= sources.MAX_TIMEOUT:
        most = f"{sources.MAX_TIMEOUT:.0f}"
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of seconds between 0 and {most}")
    return value or None
