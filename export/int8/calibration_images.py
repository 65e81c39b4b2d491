"""Opens the images that INT8 is calibrated and judged on, before the slow part of an export."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pem_edge import calibration
from pem_edge.calibration import CalibrationSet
from pem_edge.export.int8.settings import Calibration
from pem_edge.runtime import sources
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import InputSpec, Task
from pem_edge.runtime.datasets.dataset import Dataset, notes_of
from pem_edge.runtime.datasets.opening import has_labels, open_dataset
from pem_edge.runtime.datasets.tasks import for_model
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.progress import Say


@dataclass(frozen=True)
class CalibrationImages:
    """The images of one source.

    Attributes:
        settings: The source, and how to calibrate on it.
        picked: The images to calibrate on.
        labeled: All of them with their labels, as the model's classes; None where there are no labels.
    """

    settings: Calibration
    picked: CalibrationSet
    labeled: Dataset | None


def require_source(source: str) -> None:
    """Raise InputError unless ``source`` names a folder or a dataset; what is in the files is seen later."""
    if has_labels(source):
        if not Path(source).is_dir():
            open_dataset(source)
    elif Path(source).exists():
        sources.find(source)
    else:
        raise InputError(f"--calib {source} does not exist: give a folder of images, or toy:COUNT[:HxW[:SEED]]")


def open_images(
    settings: Calibration, spec: InputSpec, classes: Sequence[Label], task: Task, say: Say
) -> CalibrationImages:
    """Open the images of ``settings``.

    Args:
        settings: The source, and how many images to pick.
        spec: The input that the picked images are fitted to.
        classes: The model's classes.
        task: What the model was trained for.
        say: Takes remarks on doubtful images.

    Raises:
        InputError: If the images cannot be read, or their labels are of other classes than the model's.
    """
    dataset = open_dataset(settings.source) if has_labels(settings.source) else None
    labeled = None if dataset is None else for_model(dataset, classes, task)
    picked = calibration.gather(settings.source if dataset is None else dataset, spec, settings.count, settings.source)
    for finding in (*(() if dataset is None else notes_of(dataset)), *picked.findings):
        say(finding)
    return CalibrationImages(settings, picked, labeled)
