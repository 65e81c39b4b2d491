"""The command-line options that name a dataset."""

from __future__ import annotations

import argparse

from pem_edge.runtime.cli import shared_options
from pem_edge.runtime.datasets.opening import LAYOUTS, DatasetLocation
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.outside.printable import brief

_EXAMPLES = {
    "Cityscapes": "cityscapes:DIR",
    "ADE20K": "ade20k:DIR",
    "COCO": "coco:DIR",
    "your own pictures and label maps": "labels:DIR",
}
"""Datasets, and how to name them."""

_NO_THINGS = "none"
_WITHOUT_THINGS = [f"{prefix}:" for prefix, layout in LAYOUTS.items() if not layout.tells_things]


def examples(command: str) -> str:
    """Return ``command`` with the options for each kind of dataset, each after a comment."""
    return "\n".join(f"# {name}\n{command} --dataset {text} --split val" for name, text in _EXAMPLES.items())


def add(parser: argparse.ArgumentParser) -> None:
    """Add the options that `read` reads."""
    group = parser.add_argument_group("dataset")
    group.add_argument(
        "--dataset",
        metavar="DIR",
        help="a folder in COCO's panoptic format (panoptic.json, images/, panoptic/), "
        f"{':DIR, '.join(LAYOUTS)}:DIR for one as it is downloaded, or toy:COUNT[:HxW[:SEED]] for generated streets",
    )
    group.add_argument("--split", metavar="NAME", help="the part of it, such as train or val; default: the only one")
    group.add_argument(
        "--things",
        metavar="NAMES",
        type=_names,
        help=f"the classes that are things, such as car,person, or {_NO_THINGS}, for {' and '.join(_WITHOUT_THINGS)}; "
        "default: those with usual names of things",
    )
    group.add_argument("--annotations", metavar="JSON", type=shared_options.path, help="default: DIR/panoptic.json")
    group.add_argument("--images", metavar="DIR", type=shared_options.path, help="the images; default: DIR/images")
    group.add_argument(
        "--panoptic",
        metavar="DIR",
        type=shared_options.path,
        help="the panoptic PNGs; default: DIR/panoptic",
    )


def add_validation(group: argparse.ArgumentParser | argparse._ArgumentGroup, metavar: str, what: str) -> None:
    """Add the options that `read_validation` reads; ``what`` is the help of --val."""
    group.add_argument("--val", metavar=metavar, type=shared_options.named, help=what)
    group.add_argument("--val-split", metavar="NAME", help="the same: a split of the dataset, such as val")


def _names(text: str) -> tuple[str, ...]:
    """Return the names that a list has, none for "none"."""
    names = tuple(name.strip() for name in text.split(","))
    if "" in names:
        raise argparse.ArgumentTypeError(f"{brief(text)} has an empty name: give names such as car,person")
    return () if names == (_NO_THINGS,) else names


def read(options: argparse.Namespace) -> DatasetLocation:
    """Return the location of the dataset. Raise InputError if a part of it is missing, or does not go with it."""
    return DatasetLocation(
        options.dataset,
        annotations=options.annotations,
        images=options.images,
        panoptic=options.panoptic,
        split=options.split,
        things=options.things,
    )


def read_validation(options: argparse.Namespace, dataset: DatasetLocation) -> DatasetLocation | None:
    """Return the location of the images for validation, if they are named.

    Args:
        options: The parsed options.
        dataset: What `read` returned for them.

    Raises:
        InputError: If two places are named, or ``dataset`` has no such split.
    """
    if options.val is not None and options.val_split is not None:
        raise InputError("--val and --val-split both name images to validate on: leave out one of them")
    if options.val_split is not None:
        return dataset.of_split(options.val_split)
    return None if options.val is None else dataset.beside(options.val)
