"""Says what was meant by a name that stands for no checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from pem_edge.pem import public_weights
from pem_edge.pem.checkpoints.formats import SUFFIXES
from pem_edge.pem.variants import VARIANTS
from pem_edge.runtime.plurals import first_few
from pem_edge.runtime.suggestions import did_you_mean_file

_OF_DEMO = "pem-nano"
"""Variant of the weights that come with the package."""


def explain(path: Path, names: Sequence[str]) -> str:
    """Return one line on a path that does not exist.

    Args:
        path: What was given in place of a checkpoint.
        names: Names that stand for checkpoints, besides paths and models on the hub.
    """
    if (name := str(path).lower()) in VARIANTS:
        return f"{name} is a variant, expected a checkpoint of one: {_weights_of(name)}"
    missing = f"no checkpoint at {path}"
    if public := public_weights.resembled(str(path)):
        return f"{missing}: did you mean {public}?"
    if meant := did_you_mean_file(path, names, SUFFIXES):
        return f"{missing}{meant}"
    variant = next(iter(get_close_matches(path.stem.lower(), VARIANTS, n=1)), None)
    advice = (
        public_weights.suggestion(str(path)) if variant is None else f"if {variant} is meant, {_weights_of(variant)}"
    )
    return (
        f"{missing}, expected a file ({', '.join(SUFFIXES)}), a folder of transformers, or the name of a model on the "
        f"Hugging Face hub: {advice}"
    )


def _weights_of(variant: str) -> str:
    """Return where there are weights of a variant."""
    if variant == _OF_DEMO:
        return "give demo, the one that comes with the package"
    rows = [row for row in public_weights.listed() if row.variant == variant]
    if fetched := [row.name for row in rows if row.on_hub]:
        return f"give {first_few(fetched)}"
    if rows:
        return f"download one of {first_few([row.name for row in rows])} (addresses: pem-export --list --json)"
    return f"no weights of it are public; pem-train --variant {variant} trains it"
