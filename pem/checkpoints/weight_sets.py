"""Finds the sets of weights in what training scripts save: inside dictionaries, under prefixes, beside averages."""

from __future__ import annotations

import re
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from pem_edge.pem.checkpoints.formats.inert_pickle import Value
from pem_edge.pem.checkpoints.names import foreign

_DEPTH = 4
"""Dictionaries inside of each other that are looked through."""

_DEEPEST = 6
"""Prefixes before each other that are taken off."""

_NOT_WEIGHTS = re.compile(r"optim(?!al|um)|sched|scaler|loop|hyper_?parameters|hparams|config", re.IGNORECASE)
"""Matches the keys of what training needs besides weights."""

_CALLBACKS = re.compile(r"callback", re.IGNORECASE)
"""Matches the keys of what has averages at most."""

_AVERAGE = re.compile(r"(^|[._-])(ema|avg|average|averaged|shadow|swa|teacher)([._-]|$)", re.IGNORECASE)
"""Matches the names of weights averaged over training, such as "model_ema", "ema_state" and "teacher"."""

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
"""Matches where a word begins in names such as "emaModel", "modelEMA" and "EMAModel"."""

_COUNTERS = ("n_averaged", "steps")
"""Names that PyTorch's and mmengine's averages have beside their prefix."""

_HIDDEN_AVERAGE = re.compile(r"ema_\w+")
"""Matches the names that older mmcv gives averages among the weights: ``ema_backbone_conv1_weight``."""

_TOP_NAMES = frozenset(
    {
        *("backbone", "pixel_decoder", "decoder"),  # ours
        *("sem_seg_head", "panoptic_head", "decode_head"),  # detectron2's, mmdetection's, mmsegmentation's
        *("class_predictor", "upscale_block"),  # transformers'
        *("class_head", "mask_head", "upscale"),  # those of EoMT's authors
    }
)
"""First parts of the names in a model."""

_TOP_PAIRS = {"model": ("pixel_level_module", "transformer_module"), "encoder": ("backbone",)}
"""First parts that are of a model if one of these follows: transformers' Mask2Former, EoMT of its authors."""

_BACKBONE_NAMES = frozenset({"features", "layers", "patch_embed", "stem"})


@dataclass(frozen=True)
class Part:
    """A set of weights.

    Attributes:
        name: What it is called in messages and by ``--part``: the keys that lead to it.
        tensors: Its tensors or arrays by name, without prefix.
        prefix: What was before all of these names, such as "module.".
        beside: Names of tensors that are in the same dictionary and belong to no set of weights.
        is_average: Whether the weights are averages over training.
        holds_model: Whether the names are those of a model that is more than a backbone.
    """

    name: str
    tensors: dict[str, Value]
    prefix: str
    beside: list[str]
    is_average: bool
    holds_model: bool


def find(document: Value) -> list[Part]:
    """Return the sets of weights in ``document``, each once under its shortest name."""
    parts = [part for path, tensors in _dictionaries(document) for part in _split(path, tensors)]
    return [part for part in parts if part.is_average or not _CALLBACKS.search(part.name)]


def _dictionaries(document: Value) -> Iterator[tuple[tuple[str, ...], dict[str, Value]]]:
    """Yield the tensors of each dictionary in ``document``, each once, however often the file refers to it.

    Those that are called averages come last: what has another name, too, is no average.
    """
    seen: set[int] = set()
    plain: deque[tuple[tuple[str, ...], Value]] = deque([((), document)])
    averages: deque[tuple[tuple[str, ...], Value]] = deque()
    while plain or averages:
        path, value = (plain or averages).popleft()
        if len(path) > _DEPTH or id(value) in seen or not isinstance(value, Mapping | list | tuple):
            continue
        seen.add(id(value))
        for key, each in _entries(value):
            if isinstance(each, Mapping | list | tuple) and not _NOT_WEIGHTS.search(key):
                (averages if _is_average(key) else plain).append(((*path, key), each))
        if isinstance(value, Mapping):
            tensors = {key: each for key, each in _entries(value) if isinstance(each, Tensor | np.ndarray)}
            if tensors:
                yield path, tensors


def _entries(value: Value) -> Iterator[tuple[str, Value]]:
    if isinstance(value, Mapping):
        yield from ((key, each) for key, each in value.items() if isinstance(key, str))
    else:
        yield from ((str(index), each) for index, each in enumerate(value))


def _split(path: tuple[str, ...], tensors: dict[str, Value]) -> Iterator[Part]:
    """Yield the sets of weights that have different prefixes in one dictionary."""
    roots = _roots(tensors)
    held = bool(roots)
    if not held:  # foreign models are recognized by their whole names
        foreign_names = foreign.name_of(tensors) is not None
        roots = ["" if foreign_names else _common_prefix(name for name in tensors if name not in _COUNTERS)]
    inside: dict[str, dict[str, Value]] = {root: {} for root in roots}
    beside = []
    for name, tensor in tensors.items():
        root = next((each for each in reversed(_prefixes(name)) if each in inside), None)
        if root is None or (held and _HIDDEN_AVERAGE.fullmatch(name)):
            beside.append(name)
        else:
            inside[root][name[len(root) :]] = tensor
    for root, within in inside.items():
        key = ".".join([*path, root.rstrip(".")] if len(roots) > 1 and root else path)
        average = any(map(_is_average, (*path, root))) or _COUNTERS[0] in tensors
        yield Part(key or "top", within, root, beside, average, held)


def _roots(names: Iterable[str]) -> list[str]:
    """Return the prefixes, such as "module.", that names of at least two of a model's parts follow.

    What is within a model belongs to it, unless it is called an average.
    """
    tops = defaultdict(set)
    for name in names:
        steps = name.split(".")
        for index, prefix in enumerate(_prefixes(name)):
            if top := _top(steps[index : index + 2]):
                tops[prefix].add(top)
                break
    roots = {prefix for prefix, found in tops.items() if len(found) > 1}
    return sorted(root for root in roots if not any(_is_within(root, each) for each in roots & {*_prefixes(root)}))


def _is_within(root: str, outer: str) -> bool:
    return root != outer and not _is_average(root[len(outer) :])


def _is_average(name: str) -> bool:
    return _AVERAGE.search(_HUMP.sub("_", name)) is not None


def _top(steps: list[str]) -> str | None:
    """Return which part of a model a name that begins with ``steps`` is of, None if of none."""
    first, second = (*steps, "")[:2]
    if second in _TOP_PAIRS.get(first, ()):
        return second
    return first if first in _TOP_NAMES and second else None


def _prefixes(name: str) -> list[str]:
    """Return what may be before the name in a model, the shortest first: "", "module.", "module.model."."""
    steps = name.split(".", _DEEPEST + 1)[:-1][:_DEEPEST]
    return ["".join(f"{step}." for step in steps[:count]) for count in range(len(steps) + 1)]


def _common_prefix(names: Iterable[str]) -> str:
    """Return what is before all names and is no part of a backbone."""
    common = [_prefixes(name) for name in names]
    prefix = ""
    for level in range(1, _DEEPEST + 1):
        found = {prefixes[level] if len(prefixes) > level else "" for prefixes in common}
        longer = found.pop() if len(found) == 1 else ""
        if not longer or longer[len(prefix) : -1] in _BACKBONE_NAMES | _TOP_NAMES:
            break
        prefix = longer
    return prefix
