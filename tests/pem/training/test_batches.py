"""A dataset that cannot be read ends training with the same line, whichever process reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from pem_edge.pem.training.data.batches import make_loader
from pem_edge.pem.training.processes import Processes
from pem_edge.pem.training.settings import TrainingSettings
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.errors import InputError
from tests.runtime.helpers import coco_folder

ALONE = Processes(0, 1, 1, torch.device("cpu"))


def settings(workers: int) -> TrainingSettings:
    return TrainingSettings(steps=3, batch=2, size=(64, 64), workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_bad_map_is_one_line_without_a_workers_traceback(workers: int, tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path, 4)
    Image.open(folder / "panoptic" / "1.png").save(folder / "panoptic" / "1.png", "JPEG")
    with pytest.raises(InputError) as caught:
        list(make_loader(open_dataset(str(folder)), settings(workers), ALONE, 0))
    assert str(caught.value).startswith(f"{folder}/panoptic/1.png is a JPEG")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_good_dataset_is_read_to_the_last_step(workers: int, tmp_path: Path) -> None:
    dataset = open_dataset(str(coco_folder.write(tmp_path, 4)))
    assert [tuple(batch.images.shape) for batch in make_loader(dataset, settings(workers), ALONE, 1)] == [
        (2, 64, 64, 3)
    ] * 2
