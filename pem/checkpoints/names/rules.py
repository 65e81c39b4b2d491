"""Applies rules that translate published tensor names into ours."""

from __future__ import annotations

import re
from collections.abc import Iterable

import torch
from torch import Tensor

from pem_edge.runtime.errors import CheckpointError

Rules = list[tuple[re.Pattern[str], str]]
"""Patterns of names and what replaces them, applied one after another."""


_QUERIES = re.compile(r"(.*\.)q\.(weight|bias)")
"""Matches our name of a projection of queries that is stored apart from those of keys and values."""


def compiled(rules: Iterable[tuple[str, str]]) -> Rules:
    """Return ``rules``, pairs of a regular expression and its replacement, ready for `translate`."""
    return [(re.compile(pattern), replacement) for pattern, replacement in rules]


def translate(key: str, rules: Rules) -> str:
    """Return the name that ``rules`` make of ``key``, or ``key`` if none of them matches."""
    for pattern, replacement in rules:
        key = pattern.sub(replacement, key)
    return key


def join_projections(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return ``state`` with projections of queries, keys and values, ``*.q``, ``*.k`` and ``*.v``, as one, ``*.qkv``.

    What is not of one shape stays as it is.
    """
    joined = dict(state)
    for match in [match for name in state if (match := _QUERIES.fullmatch(name))]:
        names = [f"{match[1]}{part}.{match[2]}" for part in "qkv"]
        if state[names[0]].ndim and all(n in state and state[n].shape == state[names[0]].shape for n in names):
            joined[f"{match[1]}qkv.{match[2]}"] = torch.cat([joined.pop(name) for name in names])
    return joined


def collect(named: Iterable[tuple[str, str, Tensor]], source: str) -> dict[str, Tensor]:
    """Return tensors by our names.

    Args:
        named: Published name, our name and tensor; several published names may stand for one tensor.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If two published names of one tensor have different values.
    """
    renamed: dict[str, Tensor] = {}
    for key, name, tensor in named:
        if name in renamed and not torch.equal(renamed[name], tensor):
            raise CheckpointError(f"{source}: {key} is a second name of a tensor, but its values differ from the first")
        renamed[name] = tensor
    return renamed
