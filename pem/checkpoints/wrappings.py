"""Finds the model's tensors in what training scripts save: inside dictionaries, under prefixes, beside averages."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from pem_edge.pem.checkpoints.formats.inert_pickle import Value
from pem_edge.pem.checkpoints.names import foreign
from pem_edge.runtime.progress import Say

_DEPTH = 3
_NOT_WEIGHTS = re.compile(r"optim|sched|scaler|callback|loop|hyper_parameters|hparams|config", re.IGNORECASE)
"""Matches the keys of what training needs besides weights."""

_AVERAGE = re.compile(r"(^|[._])(ema|average|averaged|swa)([._]|$)", re.IGNORECASE)
"""Matches the names of weights averaged over training, such as "model_ema", "ema_state" and "average"."""

_TOP_NAMES = frozenset({"backbone", "pixel_decoder", "decoder", "sem_seg_head", "criterion"})
"""First parts of names in a model, ours or published."""

_BACKBONE_NAMES = frozenset({"features", "layers", "patch_embed", "stem"})


class _Part(NamedTuple):
    """Tensors in one dictionary of a file, and the keys that lead to it."""

    path: tuple[str, ...]
    tensors: dict[str, Tensor]

    @property
    def name(self) -> str:
        return ".".join(self.path)

    @property
    def is_average(self) -> bool:
        return any(_AVERAGE.search(key) for key in self.path)


def unwrap(document: Value, say: Say) -> dict[str, Tensor]:
    """Return the model's tensors by name, floating-point ones as float32.

    Args:
        document: What was saved: tensors or arrays in dictionaries.
        say: Told which of several sets of weights was taken, and which prefix was taken off the names.

    Raises:
        ValueError: If there are no tensors.
    """
    parts = list(_parts(document))
    if not parts:
        found = "no tensors" if isinstance(document, Mapping) else f"a {type(document).__name__}"
        raise ValueError(f"holds {found}, expected a dictionary of tensors by name")
    chosen = min(parts, key=lambda part: (part.is_average, -len(part.tensors), len(part.path)))
    _tell_choice(chosen, [part for part in parts if part is not chosen], say)
    return _without_prefix(chosen.tensors, say)


def _parts(document: Value) -> Iterator[_Part]:
    """Yield the parts of ``document``, each once under its shortest path, however often the file refers to it.

    Those that are called averages come last: what has another name, too, is no average.
    """
    seen: set[int] = set()
    plain: deque[tuple[tuple[str, ...], Value]] = deque([((), document)])
    averages: deque[tuple[tuple[str, ...], Value]] = deque()
    while plain or averages:
        path, value = (plain or averages).popleft()
        if not isinstance(value, Mapping) or len(path) > _DEPTH or id(value) in seen:
            continue
        seen.add(id(value))
        tensors = {key: _tensor(each) for key, each in value.items() if isinstance(key, str) and _is_tensor(each)}
        if tensors:
            yield _Part(path, tensors)
        for key, each in value.items():
            if isinstance(key, str) and not _NOT_WEIGHTS.search(key):
                (averages if _AVERAGE.search(key) else plain).append(((*path, key), each))


def _tell_choice(chosen: _Part, others: list[_Part], say: Say) -> None:
    averages = [part.name for part in others if part.is_average]
    if chosen.is_average:
        say(f"the weights are averages over training ({chosen.name}), there are no others")
    elif averages:
        say(f"took the weights {chosen.name or 'at the top'}, not their averages over training ({', '.join(averages)})")
    left = [part for part in others if not part.is_average]
    if left:
        count = sum(len(part.tensors) for part in left)
        say(f"left out {count} tensors in {', '.join(part.name or 'the top' for part in left)}")


def _without_prefix(tensors: dict[str, Tensor], say: Say) -> dict[str, Tensor]:
    """Return the tensors without what wrappers such as DataParallel put before their names."""
    taken = ""
    while (prefix := _wrapper(tensors)) is not None:
        inside = {key.removeprefix(f"{prefix}."): each for key, each in tensors.items() if key.startswith(f"{prefix}.")}
        if left := sorted({key.partition(".")[0] for key in tensors} - {prefix}):
            say(f"left out {len(tensors) - len(inside)} tensors of {', '.join(left[:3])}{', …' if left[3:] else ''}")
        taken, tensors = f"{taken}{prefix}.", inside
    if taken:
        say(f"took the prefix {taken!r} off the names of tensors")
    return tensors


def _wrapper(tensors: Mapping[str, Tensor]) -> str | None:
    """Return the first part of names that a wrapper added, None if there is none."""
    firsts = dict.fromkeys(key.partition(".")[0] for key in tensors if "." in key)
    if _TOP_NAMES & set(firsts) or foreign.name_of(tensors):
        return None
    models = [first for first in firsts if _holds_model(tensors, first)]
    if models:
        return min(models, key=lambda first: bool(_AVERAGE.search(first)))
    (only,) = firsts if len(firsts) == 1 and all("." in key for key in tensors) else (None,)
    return None if only in _BACKBONE_NAMES else only


def _holds_model(tensors: Mapping[str, Tensor], first: str, depth: int = _DEPTH) -> bool:
    """Return whether names of a model's parts follow ``first`` and at most ``depth`` - 1 further prefixes."""
    parts = (key.split(".")[1 : depth + 1] for key in tensors if key.startswith(f"{first}."))
    return any(_TOP_NAMES & set(each) for each in parts)


def _is_tensor(value: Value) -> bool:
    return isinstance(value, Tensor | np.ndarray)


def _tensor(value: Value) -> Tensor:
    tensor = value.detach() if isinstance(value, Tensor) else torch.from_numpy(value)
    return tensor.float() if tensor.is_floating_point() else tensor
