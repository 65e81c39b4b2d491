"""What a training run can be told, with the published values as defaults."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF
from pem_edge.runtime.errors import TrainingError

QAT_DEFAULTS: dict[str, Any] = {  # fields of `Settings`, of several types
    "qat": True,
    "steps": 2000,
    "learning_rate": 7e-5,
    "precision": "fp32",
}
"""What quantization-aware training does otherwise: a short run at a tenth of the learning rate, in single precision,
since bfloat16 rounds about as coarsely as INT8 does."""


@dataclass(frozen=True)
class LossWeights:
    """How much each loss counts in the total and in the matcher; ``no_object`` is that class's share in its loss."""

    classes: float = 2.0
    entropy: float = 5.0
    dice: float = 5.0
    no_object: float = 0.1


@dataclass(frozen=True)
class Settings:
    """One run. Everything that decides its numbers is here: two runs of equal settings on one machine are equal.

    ``batch`` counts the images of a step over all processes, ``size`` is the crop's height and width in pixels,
    ``scale`` the range images are enlarged by. Raises TrainingError for values that cannot work.
    """

    steps: int = 90_000
    batch: int = 32
    size: tuple[int, int] = (512, 1024)
    learning_rate: float = 7e-4
    backbone_factor: float = 0.1
    """Times ``learning_rate``: a pretrained backbone needs little change, one from scratch as much as the rest."""
    weight_decay: float = 0.05
    warmup: int = 10
    """Steps over which the learning rate rises to its value, before it falls along a cosine."""
    clip: float = 0.01
    """Largest norm of the gradient; the published one is small, from scratch 0.1 or 1 learns faster."""
    scale: tuple[float, float] = (0.5, 2.0)
    points: int = 12_544
    loss_weights: LossWeights = LossWeights()
    ema: float = 0.9998
    """What the average of the weights keeps of itself each step, once it has seen enough of them."""
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    qat: bool = False
    """Whether convolutions compute in simulated INT8, see `pem.training.objective.qat`."""
    workers: int | None = None
    log_every: int = 20
    picture_every: int = 500
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        self._expect("steps", self.steps >= 1, "1 or more")
        self._expect("batch", self.batch >= 2, "2 or more, since BatchNorm compares images")
        self._expect("size", all(s >= MULTIPLE_OF and s % MULTIPLE_OF == 0 for s in self.size), "multiples of 32")
        self._expect("learning_rate", 0 < self.learning_rate < 10, "above 0")
        self._expect("clip", self.clip > 0, "above 0")
        self._expect("scale", 0 < self.scale[0] <= self.scale[1] <= 100, "two factors above 0, the smaller first")
        self._expect("points", self.points >= 4, "4 or more")
        self._expect("ema", 0 <= self.ema < 1, "0 or more and below 1")
        self._expect("seed", self.seed >= 0, "0 or more")
        self._expect("warmup", self.warmup >= 0, "0 or more")
        self._expect("workers", self.workers is None or self.workers >= 0, "0 or more")
        self._expect("log_every", self.log_every >= 1, "1 or more")
        self._expect("picture_every", self.picture_every >= 1, "1 or more")

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        if not holds:
            raise TrainingError(f"{name.replace('_', ' ')} is {getattr(self, name)}, expected {expected}")
