"""The best evaluation of a run so far, and how long ago it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import msgspec

from pem_edge.pem.training.snapshots import Snapshot
from pem_edge.pem.training.validation.scores import Scores
from pem_edge.runtime.artifacts.manifest import Task


class _State(TypedDict):
    scores: Scores | None
    waited: int


@dataclass
class Best:
    """The best evaluation so far, by the score that counts for ``task``.

    Attributes:
        task: What the model learns.
        patience: Number of evaluations in a row without a better score after which training may stop; None for any.
        scores: The best evaluation; None before the first.
        waited: Number of evaluations since.
    """

    task: Task
    patience: int | None = None
    scores: Scores | None = None
    waited: int = 0

    def state(self) -> Snapshot:
        """Return the best evaluation and what was waited since, for `restore`."""
        return {"scores": msgspec.to_builtins(self.scores), "waited": self.waited}

    def restore(self, state: Snapshot) -> None:
        """Go on from what `state` returned. Raises msgspec.ValidationError if it is damaged."""
        kept = msgspec.convert(state, _State)
        self.scores, self.waited = kept["scores"], kept["waited"]

    def add(self, scores: Scores) -> bool:
        """Add an evaluation, and return whether it is the best so far. The first of equal ones stays the best."""
        is_better = self.scores is None or _rank(scores, self.task) > _rank(self.scores, self.task)
        self.scores, self.waited = (scores, 0) if is_better else (self.scores, self.waited + 1)
        return is_better

    @property
    def exhausted(self) -> bool:
        """Whether there were as many evaluations without a better score as patience allows."""
        return self.patience is not None and self.waited >= self.patience


def _rank(scores: Scores, task: Task) -> float:
    score = scores.decisive(task)
    return -1.0 if score is None else score
