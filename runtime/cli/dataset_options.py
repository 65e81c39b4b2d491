"""The command-line options that name a dataset."""

from __future__ import annotations

import argparse

from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.datasets.opening import DatasetLocation

_LAYOUTS = {
    "Cityscapes, converted by cityscapesscripts' csCreatePanopticImgs": (
        "gtFine/cityscapes_panoptic_val.json",
        "gtFine/cityscapes_panoptic_val",
        "leftImg8bit/val",
    ),
    "ADE20K, converted by Mask2Former's datasets/prepare_ade20k_pan_seg.py": (
        "ade20k_panoptic_val.json",
        "ade20k_panoptic_val",
        "images/validation",
    ),
    "COCO, as it is": ("annotations/panoptic_val2017.json", "annotations/panoptic_val2017", "val2017"),
}
"""The annotations, the maps and the images of public datasets."""


def examples(command: str) -> str:
    """Return ``command`` with the options for each public dataset, each after a comment."""
    return "\n".join(
        f"# {name}\n{command} --annotations {annotations} --panoptic {maps} --images {pictures}"
        for name, (annotations, maps, pictures) in _LAYOUTS.items()
    )


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that `read` reads."""
    group = parser.add_argument_group("dataset")
    group.add_argument(
        "--dataset",
        metavar="DIR",
        help="a folder in COCO's panoptic format (panoptic.json, images/, panoptic/), or toy:COUNT[:HxW[:SEED]] for "
        "generated streets",
    )
    group.add_argument("--annotations", metavar="JSON", type=shared_options.path, help="default: DIR/panoptic.json")
    group.add_argument("--images", metavar="DIR", type=shared_options.path, help="the images; default: DIR/images")
    group.add_argument(
        "--panoptic",
        metavar="DIR",
        type=shared_options.path,
        help="the panoptic PNGs; default: DIR/panoptic",
    )


def read(options: argparse.Namespace) -> DatasetLocation:
    """Return the location of the dataset. Raise InputError if a part of it is missing."""
    return DatasetLocation(
        options.dataset,
        annotations=options.annotations,
        images=options.images,
        panoptic=options.panoptic,
    )
