"""The settings of a training run; the defaults are the published values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.images import MAX_PIXELS

MAX_STEPS, MAX_BATCH, MAX_POINTS, MAX_WORKERS = 1_000_000_000, 65_536, 1_000_000, 1024
MAX_SEED = 2**32 - 1

Augmentation = Literal["flip", "color", "blur", "jpeg", "copy-paste"]
"""A way of changing training images at random, beside scaling and cropping."""

AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
"""All augmentations."""

SNAPSHOT = "checkpoint.pth"
"""Name of the file in a run's folder from which the run can be resumed."""


def _expect(name: str, value: object, holds: bool, expected: str) -> None:
    if not holds:
        raise TrainingError(f"{name} is {value}, expected {expected}")


@dataclass(frozen=True)
class LossWeights:
    """Weights of the losses, in their sum and in the costs of matching.

    Attributes:
        classes: Weight of the cross-entropy of classes.
        entropy: Weight of the cross-entropy of masks.
        dice: Weight of the Dice loss of masks.
        no_object: Weight of the class "no object" within the cross-entropy of classes, where other classes have 1.

    Raises:
        TrainingError: If a weight is negative or not finite.
    """

    classes: float = 2.0
    entropy: float = 5.0
    dice: float = 5.0
    no_object: float = 0.1

    def __post_init__(self) -> None:
        for name, weight in asdict(self).items():
            _expect(f"loss weight {name}", weight, 0 <= weight < math.inf, "0 or more")


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
        augmentations: How images are changed at random beyond that, some of `AUGMENTATIONS`; see `pem.training.data`.
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
    augmentations: tuple[Augmentation, ...] = ("flip", "color")
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
        self._expect("steps", 1 <= self.steps <= MAX_STEPS, f"1 to {MAX_STEPS}")
        self._expect(
            "batch",
            2 <= self.batch <= MAX_BATCH,
            f"2 to {MAX_BATCH}, as BatchNorm needs several images",
        )
        self._expect(
            "size",
            all(s >= MULTIPLE_OF and s % MULTIPLE_OF == 0 for s in self.size),
            f"multiples of 32: try {'x'.join(str(max(1, round(s / MULTIPLE_OF)) * MULTIPLE_OF) for s in self.size)}",
        )
        self._expect("size", math.prod(self.size) <= MAX_PIXELS, f"up to {MAX_PIXELS} pixels")
        self._expect("learning_rate", 0 < self.learning_rate < 10, "above 0 and below 10")
        self._expect("backbone_factor", 0 <= self.backbone_factor <= 1000, "0 to 1000")
        self._expect("weight_decay", 0 <= self.weight_decay <= 100, "0 to 100")
        self._expect("clip", self.clip > 0, "above 0")
        self._expect("scale", 0 < self.scale[0] <= self.scale[1] <= 100, "two factors from 0 to 100, the smaller first")
        known = set(self.augmentations) <= set(AUGMENTATIONS)
        self._expect("augmentations", known, f"some of {', '.join(AUGMENTATIONS)}")
        self._expect("points", 4 <= self.points <= MAX_POINTS, f"4 to {MAX_POINTS}")
        self._expect("ema", 0 <= self.ema < 1, "0 or more and below 1")
        self._expect("seed", 0 <= self.seed <= MAX_SEED, f"0 to {MAX_SEED}")
        self._expect("warmup", 0 <= self.warmup <= MAX_STEPS, f"0 to {MAX_STEPS}")
        self._expect("workers", self.workers is None or 0 <= self.workers <= MAX_WORKERS, f"0 to {MAX_WORKERS}")
        self._expect("log_every", 1 <= self.log_every <= MAX_STEPS, f"1 to {MAX_STEPS}")
        self._expect("picture_every", 1 <= self.picture_every <= MAX_STEPS, f"1 to {MAX_STEPS}")
        self._expect("checkpoint_minutes", self.checkpoint_minutes >= 0, "0 or more")

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        value = getattr(self, name)
        if isinstance(value, tuple):
            value = {"size": "x", "scale": ":", "augmentations": ","}[name].join(map(str, value))
        _expect(name.replace("_", " "), value, holds, expected)


QAT_SETTINGS = TrainingSettings(qat=True, steps=2000, learning_rate=7e-5, precision="fp32")
"""Defaults for quantization-aware training: a short run at a tenth of the learning rate. It is in single precision
because bfloat16 rounds about as coarsely as INT8."""
