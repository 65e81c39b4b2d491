"""Reads what mmdetection and mmsegmentation save beside the weights: classes, the task, the normalization of pixels.

mmengine saves ``meta.dataset_meta`` with ``classes``, ``palette`` and, for panoptic data sets, ``thing_classes`` and
``stuff_classes``; mmdetection 2 saved ``meta.CLASSES`` and ``meta.PALETTE``. Both save the text of the configuration,
which has the numbers of things and stuff. All of it is optional and foreign: what is not as expected counts as absent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from pem_edge.pem.checkpoints.description import Description, are_deviations, are_means
from pem_edge.pem.model import MEAN, STD, Channels
from pem_edge.runtime.artifacts.labels import Label, distinct_color
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.plurals import first_few
from pem_edge.runtime.progress import Say

MOST_CLASSES = 10_000
LONGEST_NAME = 200
"""Limits on the number of classes and on the characters of a name, beyond which the names count as absent."""

_LONGEST_CONFIG = 1_000_000  # characters; theirs have a hundredth of this
_HEAD = re.compile(r"(?:^|\.)(panoptic_head|decode_head)\.query_feat\.weight$")
_COUNTS = re.compile(r"\bnum_(things|stuff)_classes\s*=\s*(\d{1,5})\b")

_LISTS = re.compile(r"\b(mean|std)['\"]?\s*[=:]\s*[\[(]([^\[\]()=]*)[\])]")
_TOLERANCE = 0.01  # of pixel values; configurations round ours
_UNLIKE = (
    (re.compile(r"\bstyle\s*=\s*['\"]caffe['\"]"), "its ResNet has its strides in 1x1 convolutions (style='caffe')"),
    (re.compile(r"\b(?:bgr_to_rgb|to_rgb)\s*=\s*False"), "its pixels are BGR (bgr_to_rgb=False)"),
)

_Foreign = Mapping[str, Any]  # whatever was saved, keys included


def describe(document: _Foreign, say: Say = lambda _text: None) -> Description:
    """Return what a checkpoint of mmdetection or mmsegmentation says of itself.

    The names say nothing of how many classes the weights have: that is for the caller to compare.

    Args:
        document: What the file holds, with ``state_dict`` and, perhaps, ``meta``.
        say: Told which numbers for the normalization of pixels cannot be used.

    Returns:
        The classes, things first as in the model's outputs, the task, and the mean and standard deviation of pixels
        where they are not ours. Without a list of things, all classes of mmdetection are things. All classes of
        mmsegmentation are stuff. Of another document, nothing.
    """
    head = _head(document)
    if head is None:
        return Description()
    meta = _mapping(document.get("meta"))
    classes = _dataset_meta(meta)
    names, palette = _names(classes.get("classes")), classes.get("palette")
    mean = _configured_channels(meta, "mean", MEAN, are_means, say)
    std = _configured_channels(meta, "std", STD, are_deviations, say)
    if head == "decode_head":
        return Description(_labels(names, 0, palette), "semantic", mean=mean, std=std)
    things = _count_things(meta, classes, names)
    return Description(_labels(names, things, palette), _task(meta, names, things), mean=mean, std=std)


def check(document: _Foreign, source: str) -> None:
    """Check that the model is none whose tensors fit ours, but whose results would be wrong.

    That is in the text of the configuration alone; without one, nothing is known.

    Args:
        document: What the file holds, with ``state_dict`` and, perhaps, ``meta``.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If the configuration says that the model is unlike ours.
    """
    text = _configuration(_mapping(document.get("meta"))) if _head(document) else ""
    for pattern, clause in _UNLIKE:
        if pattern.search(text):
            raise CheckpointError(f"{source}: {clause}, which is not supported: train one as published")


def _head(document: _Foreign) -> str | None:
    """Return the name of the head of a Mask2Former, None if ``document`` has none."""
    state = _mapping(document.get("state_dict")) or document
    found = (_HEAD.search(key) for key in state if isinstance(key, str))
    return next((match[1] for match in found if match), None)


def _dataset_meta(meta: _Foreign) -> _Foreign:
    """Return the record of the data set, with keys in lower case; release candidates of version 3 wrote capitals."""
    record = _mapping(meta.get("dataset_meta")) or meta
    return {key.lower(): value for key, value in record.items() if isinstance(key, str)}


def _count_things(meta: _Foreign, classes: _Foreign, names: tuple[str, ...] | None) -> int | None:
    """Return how many classes, the first ones, are things; None if that cannot be told.

    Lists of things and stuff are believed only if they make up the classes: a data set with classes of its own inherits
    the lists of COCO.
    """
    things, stuff = (_names(classes.get(f"{kind}_classes")) for kind in ("thing", "stuff"))
    if names is not None and (things or ()) + (stuff or ()) == names:
        return len(things or ())
    configured = _configured(meta)
    if configured and (names is None or sum(configured.values()) == len(names)):
        return configured["things"]
    has_lists = things is not None or stuff is not None
    return len(names) if names is not None and "dataset_meta" in meta and not has_lists else None


def _configured(meta: _Foreign) -> dict[str, int] | None:
    """Return the numbers of things and stuff in the text of the configuration, None if it has no single pair."""
    found = set(_COUNTS.findall(_configuration(meta)))
    counts = {kind: int(digits) for kind, digits in found}
    return counts if len(counts) == len(found) == 2 else None


def _configured_channels(
    meta: _Foreign, name: str, usual: Channels, are_usable: Callable[[Channels], bool], say: Say
) -> Channels | None:
    """Return the numbers called ``name`` in the configuration; None if there are none, or ours, or none of use."""
    listed = [text for key, text in _LISTS.findall(_configuration(meta)) if key == name]
    found = {_channels(text) for text in listed}
    only = found.pop() if len(found) == 1 else None
    if only is not None and are_usable(only):
        return None if all(abs(a - b) <= _TOLERANCE for a, b in zip(only, usual, strict=True)) else only
    if listed:
        shown = brief(first_few(dict.fromkeys(f"[{' '.join(text.split())}]" for text in listed)))
        say(
            f"took ImageNet's {name} of pixels: the configuration says {shown}, expected three numbers, the same "
            "everywhere; if theirs is another, results are worse: write it into meta.cfg"
        )
    return None


def _channels(listed: str) -> Channels | None:
    """Return the three numbers in the text of a list; None if it has something else."""
    try:
        red, green, blue = map(float, listed.strip().removesuffix(",").split(","))
    except ValueError:
        return None
    return red, green, blue


def _configuration(meta: _Foreign) -> str:
    """Return the text of the configuration, which version 2 and later ones save under different keys; "" without."""
    text = next((meta[key] for key in ("cfg", "config") if isinstance(meta.get(key), str)), "")
    return text if len(text) <= _LONGEST_CONFIG else ""


def _task(meta: _Foreign, names: tuple[str, ...] | None, things: int | None) -> Task | None:
    if things is None:
        return None
    total = sum((_configured(meta) or {}).values()) if names is None else len(names)
    return "instance" if things == total else "panoptic"


def _labels(names: tuple[str, ...] | None, things: int | None, palette: object) -> tuple[Label, ...] | None:
    """Return the classes, of which the first ``things`` are things, or all if that is not known."""
    if names is None:
        return None
    colors = palette if isinstance(palette, list | tuple) and len(palette) == len(names) else [None] * len(names)
    return tuple(
        Label(i, name, things is None or i < things, _color(color) or distinct_color(i))
        for i, (name, color) in enumerate(zip(names, colors, strict=True))
    )


def _color(value: object) -> tuple[int, int, int] | None:
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    red, green, blue = value
    return (red, green, blue) if all(type(each) is int and 0 <= each <= 255 for each in value) else None


def _names(value: object) -> tuple[str, ...] | None:
    """Return the names in a list, None if it is no list of names."""
    if not isinstance(value, list | tuple) or not 0 < len(value) <= MOST_CLASSES:
        return None
    return tuple(each.strip() for each in value) if all(map(_is_name, value)) else None


def _is_name(value: object) -> bool:
    if not isinstance(value, str) or not value.strip() or len(value) > LONGEST_NAME:
        return False
    return not any("\ud800" <= each <= "\udfff" for each in value)  # which pickles can hold, but JSON cannot


def _mapping(value: object) -> _Foreign:
    return value if isinstance(value, Mapping) else {}
