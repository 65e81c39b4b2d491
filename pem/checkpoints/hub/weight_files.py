"""Which files hold the weights of a model in a folder as transformers writes it."""

from __future__ import annotations

from pathlib import Path

from pem_edge.pem.checkpoints.hub.source import Source
from pem_edge.pem.checkpoints.model_folder import INDEX, WHOLE, read_index
from pem_edge.runtime.errors import CheckpointError


def choose(source: Source) -> tuple[str, ...]:
    """Return the names of the files that hold the weights, all of one format. Brings the index if they are in parts.

    Raises:
        CheckpointError: If there are none, or the index is malformed or names a file that is not there.
    """
    for whole in WHOLE:
        if whole in source.files:
            return (whole,)
        if INDEX.format(whole) in source.files:
            index = source.bring(INDEX.format(whole))
            return _all_there(read_index(index, Path(whole).suffix), source)
    if not source.reachable:
        raise CheckpointError(
            f"the cache of the Hugging Face hub has no weights of {source.name} at {source.commit[:12]}: run this once "
            "with the hub in reach"
        )
    raise CheckpointError(
        f"{source.name} has no weights that can be read, expected {' or '.join(WHOLE)}, whole or in parts; it has "
        f"{source.listed()}: choose another model, or another --revision"
    )


def _all_there(parts: tuple[str, ...], source: Source) -> tuple[str, ...]:
    lacking = [part for part in parts if part not in source.files]
    if lacking and source.reachable:
        raise CheckpointError(
            f"{source.name} lacks {lacking[0]}, one of the {len(parts)} files that its index names: choose another "
            "model or --revision, or tell its owner"
        )
    if lacking:
        raise CheckpointError(
            f"the cache of the Hugging Face hub lacks {lacking[0]} of {source.name}: run this once with "
            "the hub in reach"
        )
    return parts
