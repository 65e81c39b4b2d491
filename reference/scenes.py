"""Predictions to postprocess, and the golden cases among them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pem_edge.runtime.artifacts.geometry import Geometry
from reference.synthetic import REFERENCE, synthetic

GOLDEN = {
    "cityscapes": ("seed0", "seed1", "seed2", "seed3"),
    "ade20k": ("seed0", "seed1"),
}


@dataclass(frozen=True)
class Scene:
    """A model's outputs for one image."""

    logits: NDArray[np.float32]
    masks: NDArray[np.float32]
    geometry: Geometry

    @property
    def sizes(self) -> dict[str, Any]:
        """The geometry as arguments."""
        return dict(vars(self.geometry))


def golden(dataset: str, case: str, num_classes: int) -> tuple[Scene, dict[str, NDArray[Any]]]:
    """Return a golden case and what the published code made of it."""
    with np.load(REFERENCE / "golden" / f"postprocess_{dataset}.npz") as file:
        expected = {key.split("/")[1]: file[key] for key in file.files if key.startswith(f"{case}/")}
    height, width = expected["mask_size"].tolist()
    image_size, output_size = (tuple(expected[key].tolist()) for key in ("image_size", "output_size"))
    logits, masks = synthetic().predictions(num_classes, height, width, seed=int(case.removeprefix("seed")))
    return Scene(logits, masks, Geometry((4 * height, 4 * width), image_size, output_size)), expected
