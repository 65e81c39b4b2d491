"""The files of a model in a folder as transformers writes it."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec

from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import read_bytes

CONFIG, PREPROCESSOR = "config.json", "preprocessor_config.json"
"""The files that describe the model, and what its images must go through."""

WHOLE = ("model.safetensors", "pytorch_model.bin")
"""The files that hold all weights, the one to prefer first; each may be in parts that an index names instead."""

INDEX = "{}.index.json"
"""Name of the index of a file that is in parts."""

_LARGEST_INDEX = 16 * 1024 * 1024
_MOST_PARTS = 256


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def weights_in(folder: Path) -> tuple[Path, ...]:
    """Return the files that hold the weights in ``folder``, all of one format.

    Raises:
        CheckpointError: If there are none, or the index is malformed or names a file that is not there.
    """
    for whole in WHOLE:
        if (folder / whole).is_file():
            return (folder / whole,)
        index = folder / INDEX.format(whole)
        if index.is_file():
            parts = tuple(folder / part for part in read_index(index, Path(whole).suffix))
            for part in parts:
                if not part.is_file():
                    raise CheckpointError(
                        f"{folder} lacks {part.name}, one of the {len(parts)} parts of its weights: copy it there"
                    )
            return parts
    raise CheckpointError(f"{folder} has no weights, expected {' or '.join(WHOLE)}, whole or in parts: copy them there")


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
