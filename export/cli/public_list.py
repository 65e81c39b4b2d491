"""The list of public weights that ``--list`` prints: what can be named on the hub, and where else there are files."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby

import msgspec

from pem_edge.pem.public_weights import LICENSES, PublicWeights, listed
from pem_edge.runtime.plurals import plural
from pem_edge.runtime.versioned_json import JsonObject

DATASETS = {"coco": "COCO", "cityscapes": "Cityscapes", "ade20k": "ADE20K", "mapillary_vistas": "Mapillary Vistas"}
"""Names of data sets for people."""


def report() -> list[JsonObject]:
    """Return all public weights as ``--list --json`` prints them."""
    return [_entry(weights) for weights in listed()]


def lines() -> str:
    """Return the list as ``--list`` prints it, at most 100 columns wide; of files only where they are."""
    on_hub = [weights for weights in listed() if weights.on_hub]
    files = [weights for weights in listed() if not weights.on_hub]
    return "\n".join(
        [
            "public weights that --weights fetches by name, with published figures and variants:",
            *_of_hub(on_hub),
            "",
            "public weights to download, each file in --list --json:",
            *_of_zoos(files),
            "",
            "* not for commercial use",
        ]
    )


def group_title(weights: PublicWeights) -> str:
    """Return what weights are for and how they are rated, such as "COCO, panoptic (PQ)"."""
    return f"{DATASETS[weights.dataset]}, {weights.task} ({weights.metric})"


def license_title(weights: PublicWeights) -> str:
    """Return the name of the license, with a star if it does not permit commercial use."""
    found = LICENSES[weights.license]
    return found.name if found.commercial else f"{found.name}*"


def _of_hub(rows: list[PublicWeights]) -> Iterable[str]:
    width, variants = max(len(row.name) for row in rows), max(len(row.variant) for row in rows)
    titles = list(dict.fromkeys(map(group_title, rows)))
    for title, group in groupby(sorted(rows, key=lambda row: titles.index(group_title(row))), group_title):
        yield title
        for row in group:
            yield f"  {row.name:<{width}}  {row.figure:.1f}  {row.variant:<{variants}}  {license_title(row)}"


def _of_zoos(rows: list[PublicWeights]) -> Iterable[str]:
    for source, group in groupby(rows, lambda row: row.source):
        files = list(group)
        yield f"  {source}: {plural(len(files), 'file')}, {license_title(files[0])}"


def _entry(weights: PublicWeights) -> JsonObject:
    computed = {
        "metric": weights.metric,
        "labels": weights.labels,
        "on_hub": weights.on_hub,
        "commercial_use": LICENSES[weights.license].commercial,
    }
    return {**msgspec.to_builtins(weights), **computed}
