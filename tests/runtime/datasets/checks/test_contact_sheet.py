"""A contact sheet has rows and a legend, and shows the truth over pictures of any shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from pem_edge.runtime.datasets.checks import contact_sheet
from pem_edge.runtime.datasets.opening import open_dataset
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from tests.runtime.helpers import coco_folder


def test_a_sheet_has_rows_of_four_and_a_legend() -> None:
    one, five = (contact_sheet.draw(ToyStreets(5, 128, 256), range(count)) for count in (1, 5))
    assert one.shape[1] == 480
    assert five.shape[1] == 4 * 480 + 3 * 8
    assert five.shape[0] > 2 * 240
    assert five.dtype == np.uint8


def test_the_truth_is_drawn_over_the_pictures(tmp_path: Path) -> None:
    """Red, white and blue stay red, white and blue; void is shown as it is; and the legend has their colors."""
    sheet = contact_sheet.draw(open_dataset(str(coco_folder.write(tmp_path, 1))), [0])
    colors = {tuple(color) for color in sheet.reshape(-1, 3).tolist()}
    assert {(255, 0, 0), (255, 255, 255), (0, 0, 255)} <= colors


def test_pictures_of_any_shape_find_room(tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path, 2)
    for kind in ("images", "panoptic"):
        coco_folder.save(folder / kind / "0.png", np.zeros((300, 3, 3), np.uint8))
    assert contact_sheet.draw(open_dataset(str(folder)), [0, 1]).shape[1] == 2 * 480 + 8
