"""Error pictures say what each panel and color is, and how good the image's result is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from pem_edge import runtime
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.evaluation import error_pictures
from pem_edge.runtime.results.drawing import panels, text

HEIGHT, WIDTH = 256, 384


@pytest.fixture
def result(tiny: Path, flag: NDArray[np.uint8]) -> runtime.Result:
    """Return that of a large flag: a red thing, white and blue stuff."""
    return runtime.load(tiny)(np.repeat(np.repeat(flag, 4, axis=0), 4, axis=1))


@pytest.fixture
def sample(result: runtime.Result) -> Sample:
    """Return its truth, but that the left third is void and the right one of another class."""
    panoptic = result.panoptic.copy()
    panoptic[:, :128] = 0
    blue = panoptic[HEIGHT // 2, WIDTH - 10]
    truth = [TrueSegment(each.id, 1 if each.id == blue else each.category_id) for each in result.segments]
    return Sample("streets/a very good street.png", result.image, panoptic, truth)


def test_panels_have_titles_and_colors_a_key(result: runtime.Result, sample: Sample) -> None:
    line = round(1.6 * text.size_for((HEIGHT, WIDTH)))
    picture = error_pictures.draw(sample, result, 43.21)
    unknown = error_pictures.draw(sample, result)
    height = 2 * line + HEIGHT
    assert picture.shape[1] == 4 * WIDTH + 3 * 8
    np.testing.assert_array_equal(picture[2 * line : height, :WIDTH], sample.image)
    for left in range(0, picture.shape[1], WIDTH + 8):
        assert picture[line : 2 * line, left : left + WIDTH // 2].max() > 200, "a title"
    assert (picture[:line] != unknown[:line]).any(), "the heading has the quality"
    np.testing.assert_array_equal(picture[line:], unknown[line:])
    key = {tuple(color) for color in picture[height:].reshape(-1, 3).tolist()}
    assert {(255, 0, 0), (255, 200, 0), (0, 60, 160)} <= key, "the colors of errors"
    assert {(255, 255, 255), (0, 0, 255)} <= key, "and those of classes"


def test_a_long_name_keeps_its_end() -> None:
    assert panels.heading("street.png", "PQ 43.2") == "street.png, PQ 43.2"
    assert panels.heading("x" * 300 + "7.png") == "…" + "x" * 54 + "7.png"
