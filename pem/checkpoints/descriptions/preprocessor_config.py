"""Reads ``preprocessor_config.json``: what size images had in training, and how their pixels are normalized."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import msgspec

from pem_edge.pem.checkpoints.description import Description, are_deviations, are_means
from pem_edge.pem.checkpoints.model_folder import PREPROCESSOR
from pem_edge.pem.model import MEAN, STD, Channels
from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.images import MAX_PIXELS
from pem_edge.runtime.outside import foreign_json
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.outside.reading import read_bytes
from pem_edge.runtime.progress import Say

_MAX_BYTES = 1_000_000
_EXPECTED, _CURE = "settings of preprocessing", "give the folder as save_pretrained wrote it"


class _Preprocessor(msgspec.Struct):
    """The part of ``preprocessor_config.json`` that is of use here; null is as good as nothing."""

    size: dict[str, float | None] | tuple[float, float] | float | None = None
    max_size: float | None = None
    image_mean: Channels | float | None = None
    image_std: Channels | float | None = None
    do_normalize: bool | None = None
    do_rescale: bool | None = None
    do_split_image: bool | None = None
    rescale_factor: Annotated[float, msgspec.Meta(gt=0)] | None = None


def describe(folder: Path, say: Say) -> Description:
    """Return the size, mean and standard deviation that the file in ``folder`` gives, nothing if there is no file.

    Only models for semantic segmentation are trained on windows of images: if images are to be split, that is the task.

    Args:
        folder: The folder.
        say: Told which size cannot be used.

    Raises:
        CheckpointError: If the file is damaged, or normalizes pixels by numbers that no model is trained with.
    """
    path = folder / PREPROCESSOR
    if not path.exists():
        return Description()
    data = read_bytes(path, CheckpointError, limit=_MAX_BYTES, expected=_EXPECTED, cure=_CURE)
    found = foreign_json.decode(data, _Preprocessor, path, CheckpointError, expected=_EXPECTED, cure=_CURE)
    size = _size(found)
    if size is None and (found.size is not None or found.max_size is not None):
        said = found.max_size if found.size is None else found.size
        say(f"left out the size {brief(said)} in {path}, expected height and width, or both edges: --size sets one")
    mean, std = _normalization(found)
    if not (are_means(mean) and are_deviations(std)):
        raise CheckpointError(
            f"{path} subtracts {brief(mean)} from pixels of 0 to 255 and divides them by {brief(std)}, expected a mean "
            f"within them, and deviations above 0: {_CURE}"
        )
    return Description(task="semantic" if found.do_split_image else None, size=size, mean=mean, std=std)


def _normalization(found: _Preprocessor) -> tuple[Channels, Channels]:
    """Return the mean and standard deviation for pixels of 0 to 255, where theirs may be for pixels of 0 to 1."""
    scale = 1.0 if found.do_rescale is False else found.rescale_factor or 1 / 255
    if found.do_normalize is False:
        return (0.0, 0.0, 0.0), _divided(1.0, scale)
    usual_mean, usual_std = _divided(MEAN, 255), _divided(STD, 255)
    mean = usual_mean if found.image_mean is None else found.image_mean
    return _divided(mean, scale), _divided(usual_std if found.image_std is None else found.image_std, scale)


def _divided(values: Channels | float, scale: float) -> Channels:
    red, green, blue = values if isinstance(values, tuple) else (values, values, values)
    return red / scale, green / scale, blue / scale


_WIDEST = 2
"""Most width in heights: a limit on the longest edge, such as 2048 beside 512, is there for rare panoramas."""


def _size(found: _Preprocessor) -> tuple[int, int] | None:
    """Return the size of images in landscape format, as multiples of 32; None if there is none, or none that can be."""
    size = found.size
    if isinstance(size, tuple):
        size = dict(zip(("height", "width"), size, strict=True))
    elif not isinstance(size, dict):
        size = {"shortest_edge": size}
    height, width = size.get("height"), size.get("width")
    if short := size.get("shortest_edge"):
        longest = size.get("longest_edge") or found.max_size or short
        height, width = min(short, longest), min(longest, _WIDEST * short)
    if height is None or width is None or min(height, width) < 1 or height * width > MAX_PIXELS:
        return None
    return math.ceil(height / MULTIPLE_OF) * MULTIPLE_OF, math.ceil(width / MULTIPLE_OF) * MULTIPLE_OF
