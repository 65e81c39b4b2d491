"""The command-line options that name a dataset."""

from __future__ import annotations

import argparse
from pathlib import Path

from pem_edge.runtime.datasets.opening import DatasetLocation

EXAMPLES = """\
datasets that others convert to COCO's panoptic format are read as they are:
  Cityscapes, converted by cityscapesscripts' csCreatePanopticImgs:
    --annotations gtFine/cityscapes_panoptic_val.json --panoptic gtFine/cityscapes_panoptic_val --images leftImg8bit/val
  ADE20K, converted by Mask2Former's datasets/prepare_ade20k_pan_seg.py:
    --annotations ade20k_panoptic_val.json --panoptic ade20k_panoptic_val --images images/validation
  COCO:
    --annotations annotations/panoptic_val2017.json --panoptic annotations/panoptic_val2017 --images val2017
"""
"""Text for the end of the help of commands that use these options."""


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that `read` reads."""
    group = parser.add_argument_group("dataset")
    group.add_argument(
        "--dataset",
        metavar="DIR",
        help="a folder in COCO's panoptic format (panoptic.json, images/, panoptic/), or toy:COUNT[:HxW[:SEED]] for "
        "generated streets",
    )
    group.add_argument("--annotations", metavar="JSON", type=Path, help="default: DIR/panoptic.json")
    group.add_argument("--images", metavar="DIR", type=Path, help="the images; default: DIR/images")
    group.add_argument("--panoptic", metavar="DIR", type=Path, help="the panoptic PNGs; default: DIR/panoptic")


def read(options: argparse.Namespace) -> DatasetLocation:
    """Return the location of the dataset. Raise InputError if a part of it is missing."""
    return DatasetLocation(
        options.dataset,
        annotations=options.annotations,
        images=options.images,
        panoptic=options.panoptic,
    )
