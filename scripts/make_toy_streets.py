"""Write toy streets in COCO's panoptic format: DIR/images, DIR/panoptic and DIR/panoptic.json.

Each scene is one of `ToyStreets`: the same seed gives the same scenes, another seed other ones.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from pem_edge.runtime import files
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.cli import console, shared_options
from pem_edge.runtime.cli.parser import Parser
from pem_edge.runtime.datasets.dataset import Dataset, Sample
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.results import coco_format
from pem_edge.runtime.results.segments import Segment
from pem_edge.runtime.versioned_json import JsonObject

MAP, IMAGES, DOCUMENT = "panoptic", "images", "panoptic.json"


def main() -> int:
    parser = Parser("make_toy_streets.py", "[options]", __doc__ or "")
    parser.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--images", type=_count, required=True, metavar="N", help="number of scenes")
    parser.add_argument("--size", type=shared_options.size, default=(256, 512), metavar="HxW", help="default: 256x512")
    parser.add_argument("--seed", type=_seed, default=0, help="0 and up (default: 0)")
    parser.add_argument("--format", choices=("png", "jpg"), default="png", help="of the images (default: png)")
    parser.add_argument("--workers", type=_count, default=multiprocessing.cpu_count(), help="default: one a processor")
    parser.add_argument("--overwrite", action="store_true", help="replace what is in the folder")
    return console.run(parser, _read, _make)


@dataclass(frozen=True)
class Request:
    """What to write: ``dataset`` into ``folder``, images in ``format`` ("png" or "jpg"), by ``workers`` processes."""

    dataset: ToyStreets
    folder: Path
    format: str
    workers: int
    overwrite: bool


def _read(options: argparse.Namespace) -> Request:
    height, width = options.size
    streets = ToyStreets(options.images, height, width, options.seed)
    return Request(streets, options.out, options.format, options.workers, options.overwrite)


def _make(request: Request) -> JsonObject:
    folder, dataset = request.folder, request.dataset
    for part in (DOCUMENT, IMAGES, MAP):
        if not request.overwrite:
            files.refuse_existing(folder / part)
    write(dataset, folder, request.format, request.workers)
    console.say("make_toy_streets.py", f"wrote {len(dataset)} scenes to {folder}, for --dataset {folder}")
    return {"document": str(folder / DOCUMENT), "images": len(dataset)}


def write(dataset: Dataset, folder: Path, suffix: str, workers: int) -> None:
    """Write ``dataset`` into ``folder``, its images as "png" or "jpg", by ``workers`` processes. Raises OutputError."""
    for part in (IMAGES, MAP):
        files.make_folder(folder / part)
    (folder / DOCUMENT).unlink(missing_ok=True)  # it must not describe a mixture of old and new images
    work = partial(_write, dataset, folder, suffix)
    with multiprocessing.Pool(workers, initializer=_start) as pool:
        scenes = tqdm(pool.imap(work, range(len(dataset)), chunksize=8), total=len(dataset), unit="scene")
        records = list(scenes)
    images, annotations = [record[0] for record in records], [record[1] for record in records]
    document = coco_format.document(annotations, images, dataset.labels)
    with files.write_atomically(folder / DOCUMENT) as temporary:
        temporary.write_text(json.dumps(document))


def _start() -> None:
    cv2.setNumThreads(1)


def _write(dataset: Dataset, folder: Path, suffix: str, index: int) -> tuple[JsonObject, JsonObject]:
    """Write one scene; returns its records in ``images`` and in ``annotations``."""
    sample = dataset[index]
    picture, panoptic = f"{sample.name}.{suffix}", f"{sample.name}.png"
    _save(folder / IMAGES / picture, sample.image)
    _save(folder / MAP / panoptic, coco_format.encode(sample.panoptic))
    height, width = sample.panoptic.shape
    return coco_format.image(index, picture, (height, width)), coco_format.annotation(
        index, panoptic, _segments(sample, dataset.labels)
    )


def _segments(sample: Sample, labels: Sequence[Label]) -> list[Segment]:
    """Return the sample's segments with their areas and boxes."""
    segments = []
    for segment in sample.segments:
        label, mask = labels[segment.category_id], (sample.panoptic == segment.id).astype(np.uint8)
        x, y, width, height = cv2.boundingRect(mask)
        box, area = (x, y, width, height), int(np.count_nonzero(mask))
        segments.append(Segment(segment.id, label.id, label.name, label.isthing, 1.0, area, box))
    return segments


def _save(path: Path, image: NDArray[np.uint8]) -> None:
    encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))[1]
    with files.write_atomically(path) as temporary:
        temporary.write_bytes(encoded.tobytes())


def _count(text: str) -> int:
    return _at_least(text, 1)


def _seed(text: str) -> int:
    return _at_least(text, 0)


def _at_least(text: str, least: int) -> int:
    number = int(text) if text.isdecimal() else least - 1
    if number < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return number


if __name__ == "__main__":
    sys.exit(main())
