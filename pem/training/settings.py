"""The settings of a training run; the defaults are the published values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF
from pem_edge.runtime.errors import TrainingError


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses, in their sum and in the costs of matching.

    Attributes:
        classes: Weight of the cross-entropy of classes.
        entropy: Weight of the cross-entropy of masks.
        dice: Weight of the Dice loss of masks.
        no_object: Weight of the class "no object" within the cross-entropy of classes, where other classes have 1.
    """

    classes: float = 2.0
    entropy: float = 5.0
    dice: float = 5.0
    no_object: float = 0.1


@dataclass(frozen=True)
class TrainingSettings:
    """The settings of a training run. Two runs with the same settings on the same machine give the same weights.

    Attributes:
        steps: Number of optimizer steps.
        batch: Number of images per step, over all processes.
        size: Height and width of the crops in pixels, multiples of 32.
        learning_rate: Maximum learning rate.
        backbone_factor: Factor of the learning rate for the backbone: a pretrained one needs small changes, a new one
            as large ones as the rest.
        weight_decay: AdamW's weight decay; norms, biases and embeddings have none.
        warmup: Number of steps in which the learning rate rises to its maximum, before it falls along a cosine.
        clip: Maximum norm of the gradient. The published value is small; from scratch, 0.1 or 1 learns faster.
        scale: Minimum and maximum factor by which images are enlarged before they are cropped.
        points: Number of points at which each mask is supervised; see `pem.training.objective.points.PointPlan`.
        loss_weights: Weights of the losses.
        ema: Decay of the exponential moving average of the weights.
        seed: Seed of the weights, the order of images and the augmentations.
        precision: Precision of the forward pass: "auto" is "bf16" on a GPU and "fp32" on a CPU.
        qat: Whether convolutions compute in simulated INT8; see `pem.training.objective.qat`.
        workers: Number of processes that prepare images; None for as many as there are cores.
        log_every: Number of steps between lines of metrics.
        picture_every: Number of steps between sample images.
        checkpoint_minutes: Minutes between checkpoints.

    Raises:
        TrainingError: If a value is out of its range.
    """

    steps: int = 90_000
    batch: int = 32
    size: tuple[int, int] = (512, 1024)
    learning_rate: float = 7e-4
    backbone_factor: float = 0.1
    weight_decay: float = 0.05
    warmup: int = 10
    clip: float = 0.01
    scale: tuple[float, float] = (0.5, 2.0)
    points: int = 12_544
    loss_weights: LossWeights = LossWeights()
    ema: float = 0.9998
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    qat: bool = False
    workers: int | None = None
    log_every: int = 20
    picture_every: int = 500
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        self._expect("steps", self.steps >= 1, "1 or more")
        self._expect("batch", self.batch >= 2, "2 or more, because BatchNorm needs several images")
        self._expect("size", all(s >= MULTIPLE_OF and s % MULTIPLE_OF == 0 for s in self.size), "multiples of 32")
        self._expect("learning_rate", 0 < self.learning_rate < 10, "above 0 and below 10")
        self._expect("clip", self.clip > 0, "above 0")
        self._expect("scale", 0 < self.scale[0] <= self.scale[1] <= 100, "two factors from 0 to 100, the smaller first")
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


QAT_SETTINGS = TrainingSettings(qat=True, steps=2000, learning_rate=7e-5, precision="fp32")
"""Defaults for quantization-aware training: a short run at a tenth of the learning rate. It is in single precision
because bfloat16 rounds about as coarsely as INT8."""
