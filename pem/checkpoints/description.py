"""What a checkpoint says of itself besides its weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pem_edge.runtime.artifacts.labels import Label

Task = Literal["panoptic", "semantic", "instance"]
"""What a model was trained for."""


@dataclass(frozen=True)
class Description:
    """What a checkpoint says of itself; None where it says nothing.

    Attributes:
        labels: The classes that it was trained on.
        task: What it was trained for.
    """

    labels: tuple[Label, ...] | None = None
    task: Task | None = None
