"""Recipes by purpose, and the settings that a recipe gives for a number of images."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from pem_edge.pem.training.settings import AUGMENTATIONS, TrainingSettings

_LEAST_STEPS = 300
"""Steps below which a class head that starts anew learns little, however few the images are."""

_AVERAGED = 1 / 20
"""Part of a run over which weights are averaged; of the paper's run, as far as the published decay of 0.9998 goes."""

MOST_EVALUATIONS = 10
"""Number of evaluations in a run, unless they take too much of its time."""


@dataclass(frozen=True)
class Recipe:
    """Settings for a purpose.

    Attributes:
        purpose: What the run is for, such as "fine-tuning".
        settings: The settings for a large dataset and a machine with enough memory.
        passes: How many times a dataset is gone through at most, so that a small one takes fewer steps.
        scaled_to_crops: Whether images are scaled to the crops' size, rather than crops cut out of images of their
            own size.
    """

    purpose: str
    settings: TrainingSettings
    passes: int
    scaled_to_crops: bool

    def settings_for(
        self, images: int, batch: int, given: Mapping[str, object], evaluations: int = MOST_EVALUATIONS
    ) -> TrainingSettings:
        """Return the settings for a dataset.

        The learning rate grows with the square root of the batch, as is right for Adam (Malladi et al., "On the SDEs
        and scaling rules for adaptive gradient algorithms", NeurIPS 2022).

        Args:
            images: The number of images.
            batch: The images of a step.
            given: The settings that are not the recipe's, by name; its steps decide what else depends on them.
            evaluations: The number of evaluations in the run.
        """
        usual, asked = self.settings, given.get("steps")
        steps = asked if isinstance(asked, int) else self.steps_for(images, batch)
        scaled = replace(
            usual,
            batch=batch,
            steps=steps,
            learning_rate=usual.learning_rate * math.sqrt(batch / usual.batch),
            warmup=min(usual.warmup, steps // 10),
            ema=max(0.0, min(usual.ema, 1 - 1 / (_AVERAGED * steps))),
            validate_every=max(1, steps // evaluations),
        )
        return replace(scaled, **given)  # type: ignore[arg-type]  # they are checked by the settings themselves

    def steps_for(self, images: int, batch: int) -> int:
        """Return the number of steps of ``batch`` images that a dataset of ``images`` takes."""
        seen = min(self.settings.steps * self.settings.batch, self.passes * images)
        return max(min(_LEAST_STEPS, self.settings.steps), math.ceil(seen / batch))


FROM_SCRATCH = Recipe(
    "training from scratch", TrainingSettings(backbone_factor=1.0), passes=1000, scaled_to_crops=False
)
"""The paper's recipe for Cityscapes, which goes 970 times through its 2975 images."""

FROM_BACKBONE = replace(FROM_SCRATCH, purpose="training from a backbone", settings=TrainingSettings())

FINE_TUNING = Recipe(
    "fine-tuning",
    TrainingSettings(
        steps=20_000,
        batch=8,
        learning_rate=5e-4,
        backbone_factor=0.3,
        clip=0.1,
        warmup=100,
        augmentations=AUGMENTATIONS,
    ),
    passes=100,
    scaled_to_crops=True,
)

QAT = Recipe(
    "quantization-aware training",
    TrainingSettings(qat=True, steps=2000, learning_rate=7e-5, precision="fp32"),
    passes=1000,
    scaled_to_crops=True,
)
"""A short run at a tenth of the learning rate. It is in single precision because bfloat16 rounds about as coarsely as
INT8."""
