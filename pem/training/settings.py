"""The settings of a training run; the defaults are the published values."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from pem_edge.runtime.artifacts.manifest import MULTIPLE_OF, Task
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.images import MAX_PIXELS

MAX_STEPS, MAX_BATCH, MAX_POINTS, MAX_WORKERS = 1_000_000_000, 65_536, 1_000_000, 64
MAX_SEED = 2**32 - 1

Augmentation = Literal["flip", "color", "blur", "jpeg", "copy-paste"]
"""A way of changing training images at random, beside scaling and cropping."""

AUGMENTATIONS: tuple[Augmentation, ...] = get_args(Augmentation)
"""All augmentations."""

SNAPSHOT = "checkpoint.pth"
"""Name of the file in a run's folder from which the run can be resumed."""

REPORT = "report.html"
"""Name of the page in a run's folder."""


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
        scale: Minimum and maximum factor by which images are enlarged before they are cropped, relative to the image
            as it is fitted to the model's input.
        input_size: Height and width of the model's input that the weights are meant for, multiples of 32; None if
            images are not scaled to an input, which is then of the crops' size.
        augmentations: How images are changed at random beyond that, some of `AUGMENTATIONS`; see `pem.training.data`.
        points: Number of points at which each mask is supervised; see `pem.training.objective.points.PointPlan`.
        loss_weights: Weights of the losses.
        ema: Decay of the exponential moving average of the weights.
        seed: Seed of the weights, the order of images and the augmentations.
        precision: Precision of the forward pass: "auto" is "bf16" where that is faster.
        task: What the weights learn: to tell segments, classes alone, or things alone.
        freeze: What keeps its weights.
        qat: Whether convolutions compute in simulated INT8; see `pem.training.objective.qat`.
        workers: Number of processes that prepare images; None for one on a CPU, and one for each core beside a GPU.
        log_every: Number of steps between lines of metrics.
        picture_every: Number of steps between sample images.
        checkpoint_minutes: Minutes between checkpoints.
        checkpoint_every: Number of steps between checkpoints, besides those by time; None for none.
        validate_every: Number of steps between evaluations.
        patience: Number of evaluations without gain after which the run ends; None to go on.

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
    input_size: tuple[int, int] | None = None
    augmentations: tuple[Augmentation, ...] = ("flip", "color")
    points: int = 12_544
    loss_weights: LossWeights = LossWeights()
    ema: float = 0.9998
    seed: int = 0
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    task: Task = "panoptic"
    freeze: Literal["backbone"] | None = None
    qat: bool = False
    workers: int | None = None
    log_every: int = 20
    picture_every: int = 500
    checkpoint_minutes: float = 10.0
    checkpoint_every: int | None = None
    validate_every: int = 5000
    patience: int | None = None

    def __post_init__(self) -> None:
        self._expect("steps", 1 <= self.steps <= MAX_STEPS, f"1 to {MAX_STEPS}")
        self._expect(
            "batch",
            2 <= self.batch <= MAX_BATCH,
            f"2 to {MAX_BATCH}, as BatchNorm needs several images",
        )
        for name, size in (("size", self.size), ("input_size", self.fitted_size)):
            rounded = "x".join(str(max(1, round(s / MULTIPLE_OF)) * MULTIPLE_OF) for s in size)
            fits = all(s >= MULTIPLE_OF and s % MULTIPLE_OF == 0 for s in size)
            self._expect(name, fits, f"multiples of 32: try {rounded}")
            self._expect(name, math.prod(size) <= MAX_PIXELS, f"up to {MAX_PIXELS} pixels")
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
        self._expect("validate_every", 1 <= self.validate_every <= MAX_STEPS, f"1 to {MAX_STEPS}")
        for name in ("checkpoint_every", "patience"):
            value = getattr(self, name)
            self._expect(name, value is None or 1 <= value <= MAX_STEPS, f"1 to {MAX_STEPS}")

    @property
    def fitted_size(self) -> tuple[int, int]:
        """Height and width of the model's input that images are fitted to in evaluations and exports."""
        return self.input_size or self.size

    def _expect(self, name: str, holds: bool, expected: str) -> None:
        _expect(name.replace("_", " "), written(name, getattr(self, name)), holds, expected)


def written(name: str, value: object) -> object:
    """Return a setting as a user would write it: values of several parts as text."""
    if not isinstance(value, tuple):
        return value
    return {"scale": ":", "augmentations": ","}.get(name, "x").join(map(str, value))
