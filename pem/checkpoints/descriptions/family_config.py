"""The interface of what is read of a family's ``config.json``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NoReturn

import msgspec

from pem_edge.pem.checkpoints.names import foreign
from pem_edge.pem.model import MaskClassifier
from pem_edge.runtime.errors import CheckpointError


class FamilyConfig(msgspec.Struct):
    """The part of ``config.json`` that is of use here, and all of it that counts where no family is named.

    What the tensors do not tell has transformers' defaults.

    Attributes:
        family: The models that the configuration is of.
    """

    family: ClassVar[type[MaskClassifier]] = MaskClassifier

    id2label: dict[str, str | int] | None = None
    num_queries: int | None = None

    def settings(self, _path: Path) -> Iterator[tuple[str, object, object]]:
        """Yield what tensors do not tell: its name, its value here, and the only value that is supported.

        Raises:
            CheckpointError: If the file at ``_path`` is of a model that is not supported.
        """
        yield from ()

    def facts(self, model: MaskClassifier) -> Iterator[tuple[str, int | None, int]]:
        """Yield what the tensors tell, too: its name, what is claimed here, and what was found in ``model``."""
        yield "classes", None if self.id2label is None else len(self.id2label), model.num_classes
        yield "queries", self.num_queries, model.num_queries


def refuse(model: str, path: Path) -> NoReturn:
    """Raise CheckpointError: ``path`` is of ``model``, which is not supported."""
    raise CheckpointError(foreign.refusal(f"{path} is of", model))
