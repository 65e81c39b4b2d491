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

_VARIANT = re.compile(r"(pytorch_)?model(\.[a-z0-9_]+)?\.(safetensors|bin)", re.IGNORECASE)
"""Matches the same with a variant of ``save_pretrained`` in between, such as ``model.fp16.safetensors``."""

INDEX = "{}.index.json"
"""Name of the index of a file that is in parts."""

MERGE = "save the model after peft's merge_and_unload"
"""The cure for a folder that has no more than an adapter, such as one of LoRA."""

_SHOWN = 6
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
        require_no_dangling(folder / whole)
        if (folder / whole).is_file():
            return (folder / whole,)
        index = folder / INDEX.format(whole)
        require_no_dangling(index)
        if index.is_file():
            return _all_there(tuple(folder / part for part in read_index(index, Path(whole).suffix)), folder)
    names = sorted(each.name for each in folder.iterdir())
    if len(variants := [name for name in names if is_whole(name)]) == 1:
        return (folder / variants[0],)
    found = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else "")
    cure = MERGE if "adapter_config.json" in names else "copy them there, or give another folder"
    raise CheckpointError(
        f"{folder} has no weights, expected {' or '.join(WHOLE)}, whole or in parts; it has {found}: {cure}"
    )


def is_whole(name: str) -> bool:
    """Return whether transformers gives this name to a file with all weights, or with all of a variant."""
    return _VARIANT.fullmatch(name) is not None


def require_no_dangling(path: Path) -> None:
    """Raise CheckpointError if ``path`` is a link that leads nowhere, as in a copy of a folder of the hub's cache."""
    if path.is_symlink() and not path.exists():
        raise CheckpointError(f"{path} is a link to a file that is not there: copy the folder with cp -rL, or fetch it")


def _all_there(parts: tuple[Path, ...], folder: Path) -> tuple[Path, ...]:
    for part in parts:
        require_no_dangling(part)
        if not part.is_file():
            raise CheckpointError(
                f"{folder} lacks {part.name}, one of the {len(parts)} parts of its weights: copy it there"
            )
    return parts


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
