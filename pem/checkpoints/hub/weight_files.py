"""Which files hold the weights of a model in a folder as transformers writes it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from pem_edge.pem.checkpoints.hub.source import Source
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import read_bytes

WHOLE = ("model.safetensors", "pytorch_model.bin")
"""The files that hold all weights, the one to prefer first; each may be in parts that an index names instead."""

_LARGEST_INDEX = 16 * 1024 * 1024
_MOST_PARTS = 256


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def choose(source: Source) -> tuple[str, ...]:
    """Return the names of the files that hold the weights, all of one format. Brings the index if they are in parts.

    Raises:
        CheckpointError: If there are none, or the index is malformed or names a file that is not there.
    """
    for whole in WHOLE:
        if whole in source.files:
            return (whole,)
        if index_of(whole) in source.files:
            index = source.bring(index_of(whole))
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


def index_of(whole: str) -> str:
    """Return the name of the index of the parts of ``whole``."""
    return f"{whole}.index.json"


def read_index(path: Path, suffix: str) -> tuple[str, ...]:
    """Return the names of the parts that an index names, each a file beside it that ends with ``suffix``.

    Raises:
        CheckpointError: If it cannot be read, or names none, too many, or anything but plain names of files.
    """
    expected, cure = "an index of weights in parts, as transformers writes it", "download it again"
    data = read_bytes(path, CheckpointError, limit=_LARGEST_INDEX, expected=expected, cure=cure)
    index = foreign_json.decode(data, _Index, path, CheckpointError, expected=expected, cure=cure)
    parts = tuple(sorted(set(index.weight_map.values())))
    if not 1 <= len(parts) <= _MOST_PARTS:
        raise CheckpointError(f"{path} names {len(parts)} files, expected 1 to {_MOST_PARTS}: {cure}")
    for part in parts:
        if re.fullmatch(rf"[A-Za-z0-9_][A-Za-z0-9._-]{{0,200}}{re.escape(suffix)}", part) is None:
            raise CheckpointError(f"{path} names {brief(part)}, expected a {suffix} file beside it: {cure}")
    return parts


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
