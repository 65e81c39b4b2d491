"""Datasets by what a user types for one."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from pem_edge.runtime.datasets.coco_panoptic import CocoPanoptic
from pem_edge.runtime.datasets.dataset import Dataset
from pem_edge.runtime.errors import InputError

EXAMPLES = """\
datasets that others convert to COCO's panoptic format are read as they are:
  Cityscapes, converted by cityscapesscripts' csCreatePanopticImgs:
    --annotations gtFine/cityscapes_panoptic_val.json --panoptic gtFine/cityscapes_panoptic_val --images leftImg8bit/val
  ADE20K, converted by Mask2Former's datasets/prepare_ade20k_pan_seg.py:
    --annotations ade20k_panoptic_val.json --panoptic ade20k_panoptic_val --images images/validation
  COCO:
    --annotations annotations/panoptic_val2017.json --panoptic annotations/panoptic_val2017 --images val2017
"""
"""For the end of a command's help."""


def open_dataset(
    text: str | None = None,
    *,
    annotations: Path | None = None,
    image_folder: Path | None = None,
    panoptic_folder: Path | None = None,
) -> Dataset:
    """The dataset that ``text`` names.

    A folder in COCO's panoptic format has ``panoptic.json`` and the folders ``images`` and ``panoptic``; the keywords
    give other places for these, all three of them where there is no ``text``. ``toy:COUNT[:HxW[:SEED]]`` makes toy
    streets, 256x512 with seed 0 unless given. Raises InputError.
    """
    if text is not None and text.startswith("toy:"):
        return _toy_streets(text)
    if text is not None:
        folder = Path(text)
        if not folder.is_dir():
            raise InputError(f"{text} is no folder: give one in COCO's panoptic format, or toy:COUNT[:HxW[:SEED]]")
        annotations = annotations or folder / "panoptic.json"
        image_folder = image_folder or folder / "images"
        panoptic_folder = panoptic_folder or folder / "panoptic"
    if annotations is None or image_folder is None or panoptic_folder is None:
        raise InputError("no dataset: give --dataset, or all of --annotations, --images and --panoptic")
    return CocoPanoptic(annotations, image_folder, panoptic_folder)


def has_labels(text: str) -> bool:
    """Whether `open_dataset` takes ``text``, which may also name a folder of mere pictures."""
    return text.startswith("toy:") or (Path(text) / "panoptic.json").is_file()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `from_options` reads."""
    group = parser.add_argument_group("dataset")
    group.add_argument(
        "--dataset",
        metavar="DIR",
        help="a folder in COCO's panoptic format (panoptic.json, images/, panoptic/), or toy:COUNT[:HxW[:SEED]] for "
        "generated streets",
    )
    group.add_argument("--annotations", metavar="JSON", type=Path, help="default: DIR/panoptic.json")
    group.add_argument("--images", metavar="DIR", type=Path, help="the pictures; default: DIR/images")
    group.add_argument("--panoptic", metavar="DIR", type=Path, help="the panoptic PNGs; default: DIR/panoptic")


def from_options(options: argparse.Namespace) -> Dataset:
    """The dataset asked for on the command line. Raises InputError."""
    return open_dataset(
        options.dataset,
        annotations=options.annotations,
        image_folder=options.images,
        panoptic_folder=options.panoptic,
    )


def _toy_streets(text: str) -> Dataset:
    match = re.fullmatch(r"toy:([1-9]\d{0,8})(?::([1-9]\d{0,4})x([1-9]\d{0,4})(?::(\d{1,18}))?)?", text)
    if match is None:
        raise InputError(f"{text!r} is no dataset: expected toy:COUNT[:HxW[:SEED]], such as toy:200:256x512:7")
    from pem_edge.runtime.datasets.toy_streets import ToyStreets

    return ToyStreets(*(int(number) for number in match.groups() if number is not None))
