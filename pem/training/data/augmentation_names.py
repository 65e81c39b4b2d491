"""Reads which augmentations a user wants."""

from __future__ import annotations

import argparse

from pem_edge.pem.training.settings import AUGMENTATIONS, Augmentation
from pem_edge.runtime.suggestions import no_such

_GROUPS: dict[str, tuple[Augmentation, ...]] = {"all": AUGMENTATIONS, "none": ()}


def parse(text: str) -> tuple[Augmentation, ...]:
    """Return the augmentations that ``text`` names, in the order of `AUGMENTATIONS`, for use as an argument's type.

    Args:
        text: "all", "none", or names with commas between them, in any order.

    Raises:
        argparse.ArgumentTypeError: If it is something else.
    """
    if text in _GROUPS:
        return _GROUPS[text]
    names = [name.strip() for name in text.split(",")]
    if not all(names) or _GROUPS.keys() & names:
        raise argparse.ArgumentTypeError(f"{text!r} must be all, none, or some of {','.join(AUGMENTATIONS)}")
    for name in names:
        if name not in AUGMENTATIONS:
            raise argparse.ArgumentTypeError(no_such(name, AUGMENTATIONS))
    return tuple(each for each in AUGMENTATIONS if each in names)
