"""Calibration images: found, looked at, picked from; what is wrong with them is said in a line."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge.calibration.images.calibration_set import gather
from pem_edge.calibration.images.inspection import ImageSummary
from pem_edge.calibration.images.selection import pick
from pem_edge.runtime.artifacts.manifest import InputSpec
from pem_edge.runtime.datasets.dataset import Sample
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from pem_edge.runtime.errors import InputError
from tests.calibration.terminal import Terminal

SPEC = InputSpec(height=64, width=96)
DAMAGED = b"\x89PNG\r\n\x1a\n damaged"


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes pictures into a folder and returns it."""

    def write(*pictures: NDArray[np.uint8]) -> Path:
        for number, picture in enumerate(pictures):
            cv2.imwrite(str(tmp_path / f"{number:03d}.png"), picture[..., ::-1])
        return tmp_path

    return write


def scene(seed: int, height: int = 64, width: int = 96) -> NDArray[np.uint8]:
    return ToyStreets(1, height, width, seed)[0].image


def flat(color: tuple[int, int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Return one color, but for the least noise that makes pictures differ."""
    noise = np.random.default_rng(seed).integers(0, 2, (64, 96, 3))
    return np.asarray(np.clip(np.array(color) + noise, 0, 255), np.uint8)


def test_pictures_of_a_folder_are_fitted_as_the_runtime_fits_them(folder: Callable[..., Path]) -> None:
    pictures = [scene(1), scene(2), scene(3, height=200, width=300)]
    images = list(gather(folder(*pictures), SPEC))
    assert [(image.shape, image.dtype) for image in images] == [((1, 64, 96, 3), np.dtype(np.uint8))] * 3
    assert np.array_equal(images[0][0], pictures[0])
    assert np.array_equal(images[1][0], pictures[1])


def test_a_coco_panoptic_folder_and_toy_streets_are_datasets() -> None:
    images = gather("toy:12:64x96:3", SPEC, 6)
    assert len(images) == len(list(images)) == 6
    assert images.size == (64, 96)
    assert gather(ToyStreets(12, 64, 96, 3), SPEC, 6).digest == images.digest


def test_the_same_images_are_picked_each_time_and_others_have_another_digest() -> None:
    first, again, other = (gather(f"toy:20:64x96:{seed}", SPEC, 5) for seed in (1, 1, 2))
    assert first.digest == again.digest != other.digest
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^.* has no images or videos in it: expected files ending in .*$"):
        gather(tmp_path, SPEC)


def test_a_missing_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^.*none does not exist: give .*$"):
        gather(tmp_path / "none", SPEC)


def test_identical_images_are_one_line(folder: Callable[..., Path]) -> None:
    with pytest.raises(InputError, match=r"^all 3 images of .* are identical: give different images$"):
        gather(folder(*[scene(1)] * 3), SPEC)


def test_no_images_may_be_asked_for_less_than_one() -> None:
    with pytest.raises(InputError, match=r"^0 calibration images: ask for 1 or more"):
        gather("toy:4:64x96", SPEC, 0)


def test_damaged_pictures_of_a_folder_are_left_out_and_named(folder: Callable[..., Path]) -> None:
    path = folder(scene(1), scene(2), scene(3))
    (path / "000.png").write_bytes(DAMAGED)
    (path / "001.png").write_bytes(b"")
    images = gather(path, SPEC)
    assert len(images) == len(list(images)) == 1
    assert images.findings[0].startswith(f"left out 2 images that cannot be read, the first: {path / '000.png'} is ")


def test_a_folder_of_damaged_pictures_is_one_line(folder: Callable[..., Path]) -> None:
    (folder(scene(1)) / "000.png").write_bytes(DAMAGED)
    with pytest.raises(InputError, match=r"000\.png is"):
        gather(folder(), SPEC)


class Lost(ToyStreets):
    """Streets of which one picture is damaged."""

    def __getitem__(self, index: int) -> Sample:
        if index == 1:
            raise InputError("001.png is damaged")
        return super().__getitem__(index)


def test_a_damaged_picture_that_has_labels_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with pytest.raises(InputError, match=r"001\.png is damaged"):
        gather(Lost(3, 64, 96, 1), SPEC)
    assert "inspecting" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n"), "what comes next has a line of its own"


def test_progress_is_for_terminals(capsys: pytest.CaptureFixture[str]) -> None:
    gather("toy:2:64x96:1", SPEC)
    assert capsys.readouterr().err == ""


def test_copies_are_left_out_and_said(folder: Callable[..., Path]) -> None:
    images = gather(folder(scene(1), scene(2), scene(1), scene(3)), SPEC)
    assert len(images) == 3
    assert "1 of 4 images are copies of others and left out" in images.findings


def test_near_copies_are_said(folder: Callable[..., Path]) -> None:
    brighter = np.asarray(np.clip(scene(1).astype(int) + 2, 0, 255), np.uint8)
    images = gather(folder(scene(1), brighter, scene(5)), SPEC)
    assert len(images) == 3
    assert any(finding.startswith("1 of 3 images look nearly like another one") for finding in images.findings)


def test_few_images_are_said() -> None:
    few, enough = (gather(f"toy:{count}:64x96:1", SPEC).findings for count in (8, 40))
    assert any(finding.startswith("only 8 images") for finding in few)
    assert not any(finding.startswith("only") for finding in enough)
    assert any(finding.startswith("only 1 image: ") for finding in gather("toy:1:64x96:1", SPEC).findings)


@pytest.mark.parametrize("color", [(5, 5, 5), (250, 250, 250), (20, 20, 230)])
def test_images_of_the_wrong_domain_are_said(color: tuple[int, int, int], folder: Callable[..., Path]) -> None:
    remarks = gather(folder(*(flat(color, seed) for seed in range(3))), SPEC).findings
    assert any("mean color" in remark and "(124, 116, 104)" in remark for remark in remarks)
    assert any("little contrast" in remark for remark in remarks)


def test_streets_are_of_the_right_domain() -> None:
    remarks = gather("toy:40:64x96:1", SPEC).findings
    assert not any("color" in remark or "contrast" in remark for remark in remarks)


def test_padding_does_not_count_as_color(folder: Callable[..., Path]) -> None:
    wide = [flat((230, 230, 230), seed)[:8] for seed in range(3)]
    assert any("(23" in remark for remark in gather(folder(*wide), SPEC).findings)


def test_classes_in_no_image_are_said() -> None:
    remarks = gather("toy:1:64x96:1", SPEC).findings
    present = {segment.category_id for segment in ToyStreets(1, 64, 96, 1)[0].segments}
    missing = len(ToyStreets(1).labels) - len(present)
    assert missing > 0
    assert any(
        remark.startswith(f"{missing} of {len(ToyStreets(1).labels)} classes are in no image") for remark in remarks
    )


def looks(index: int, brightness: float = 0.0, classes: frozenset[int] | None = None) -> ImageSummary:
    return ImageSummary(index, f"{index:064x}", np.uint64(index), np.full(3, brightness), np.ones(3), classes)


def test_with_labels_rare_classes_are_picked_for() -> None:
    common = [looks(number, classes=frozenset({0, 1})) for number in range(50)]
    rare = [looks(50 + number, classes=frozenset({0, 2 + number})) for number in range(5)]
    picked = pick([*common, *rare], 8)
    counts = Counter(name for each in picked for name in each.classes or ())
    assert {2, 3, 4, 5, 6} <= counts.keys()
    assert counts[1] >= 1


def test_without_labels_dark_and_bright_are_picked_alike() -> None:
    every = [looks(number, brightness=float(number)) for number in np.random.default_rng(0).permutation(100).tolist()]
    brightness = sorted(each.brightness for each in pick(every, 10))
    assert brightness == [5, 15, 25, 35, 45, 55, 65, 75, 85, 95]


def test_all_are_picked_where_there_are_no_more() -> None:
    assert len(pick([looks(0), looks(1)], 5)) == 2
