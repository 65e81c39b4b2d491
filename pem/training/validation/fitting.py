"""Checks of images for validation against those that are trained on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from pem_edge.runtime import files
from pem_edge.runtime.datasets.dataset import Dataset, names_of
from pem_edge.runtime.datasets.relabeling import Parties, Relabeled
from pem_edge.runtime.errors import InputError, TrainingError
from pem_edge.runtime.outside.printable import brief
from pem_edge.runtime.plurals import plural

_COMPARED = 2000
"""Number of images up to which files of other names are compared by content, too."""

_CURE = "give --val images with the classes of --dataset, or a share of --dataset such as 10%"
_PARTIES = Parties("the images for validation", "those to train on", cure=_CURE, cure_names=_CURE, cure_kinds=_CURE)


def require_val_fits(train: Dataset, val: Dataset, *, kinds: bool = True) -> Relabeled:
    """Check that images for validation are labeled with the classes of those to train on.

    Args:
        train: The images to train on.
        val: The images for validation.
        kinds: Whether things must be things in both, which only semantic maps do not need.

    Returns:
        ``val`` with its classes in the order of those of ``train``.

    Raises:
        TrainingError: If there are no images for validation, or their classes are others.
    """
    if not len(val):
        raise TrainingError("there are no images for validation, at least one is needed: add some to --val")
    try:
        return Relabeled(val, train.labels, kinds=kinds, parties=_PARTIES)
    except InputError as error:
        raise TrainingError(str(error)) from error


def warnings_of_shared(train: Dataset, val: Dataset) -> list[str]:
    """Return warnings, a line each, if images to train on are among those for validation, whatever their names.

    This looks at files, as it must be quick; ``pem-data check`` also finds pictures that only look alike.
    """
    trained, names = names_of(train), names_of(val)
    if trained is None or names is None:
        if not len(train) or not np.array_equal(train[0].image, val[0].image):
            return []
        return ["the first image for validation is the first to train on: scores of images known by heart say little"]
    shared = _shared(trained, names)
    if not shared:
        return []
    example = brief(Path(shared[0]).name)
    return [
        f"of {plural(len(val), 'image')} for validation, {len(shared)} are trained on, too, such as {example}: scores "
        "of images known by heart say little"
    ]


def _shared(trained: Sequence[str], names: Sequence[str]) -> list[str]:
    """Return those of ``names`` whose file is one of ``trained``, or has the content of one if there are few."""
    known = {Path(name).resolve() for name in trained}
    contents = _Contents(known) if len(trained) + len(names) <= _COMPARED else None
    paths = ((name, Path(name).resolve()) for name in names)
    return [name for name, path in paths if path in known or (contents is not None and path in contents)]


class _Contents:
    """The contents of files, of which only those that are as long as another are read."""

    def __init__(self, paths: set[Path]) -> None:
        self._by_size: dict[int, list[Path]] = {}
        self._hashes: dict[Path, str] = {}
        for path in paths:
            with suppress(OSError):  # whoever reads the image will tell
                if path.is_file():  # no pipe, which never ends
                    self._by_size.setdefault(path.stat().st_size, []).append(path)

    def __contains__(self, path: Path) -> bool:
        with suppress(OSError):
            own = path.stat().st_size if path.is_file() else -1
            return any(self._hash(other) == self._hash(path) for other in self._by_size.get(own, ()))
        return False

    def _hash(self, path: Path) -> str:
        if path not in self._hashes:
            self._hashes[path] = files.sha256(path)
        return self._hashes[path]
