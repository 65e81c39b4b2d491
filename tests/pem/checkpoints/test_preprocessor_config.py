"""What ``preprocessor_config.json`` says of images is what transformers' processor does to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil

from pem_edge.pem.checkpoints.descriptions import preprocessor_config
from pem_edge.pem.model import Normalization
from pem_edge.runtime.errors import CheckpointError

SIZES: dict[str, tuple[dict[str, Any], tuple[int, int] | None]] = {
    "edges": ({"size": {"shortest_edge": 800, "longest_edge": 1333}}, (800, 1344)),
    "a shorter longest edge": ({"size": {"shortest_edge": 800, "longest_edge": 640}}, (640, 640)),
    "a long longest edge": ({"size": {"shortest_edge": 512, "longest_edge": 2048}}, (512, 1024)),
    "height and width": ({"size": {"height": 1024, "width": 500}}, (1024, 512)),
    "a list": ({"size": [384, 640]}, (384, 640)),
    "old": ({"size": 800, "max_size": 1333}, (800, 1344)),
    "one edge": ({"size": 640}, (640, 640)),
    "fractions": ({"size": {"height": 512.0, "width": 1023.5}}, (512, 1024)),
    "nothing": ({"size": None}, None),
    "negative": ({"size": {"height": -512, "width": 512}}, None),
    "both negative": ({"size": [-512, -512]}, None),
    "giant": ({"size": {"height": 10**9, "width": 10**9}}, None),
    "astronomic": ({"size": 1e300}, None),
    "nonsense": ({"size": {"depth": 3}}, None),
    "no height": ({"size": {"width": 512}}, None),
    "the longest edge alone": ({"size": {"longest_edge": 1333}}, None),
    "empty": ({"size": {}}, None),
}


@pytest.mark.parametrize("case", SIZES)
def test_sizes_are_multiples_of_32_or_left_out_with_a_remark(case: str, tmp_path: Path) -> None:
    values, size = SIZES[case]
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    said: list[str] = []
    assert preprocessor_config.describe(tmp_path, said.append).size == size
    assert len(said) == (size is None and values["size"] is not None)
    assert all(line.endswith("--size sets one") and len(line) < 400 for line in said)


FACEBOOKS = {
    "image_mean": [0.48500001430511475, 0.4560000002384186, 0.4059999883174896],
    "image_std": [0.2290000021457672, 0.2239999920129776, 0.22499999403953552],
}
"""The usual mean and deviation, rounded as in the files of public models."""

PIXELS: dict[str, dict[str, Any]] = {
    "as usual": {},
    "as facebook's": FACEBOOKS,
    "others": {"image_mean": [0.5, 0.4, 0.3], "image_std": [0.5, 0.25, 0.125]},
    "another scale": {"rescale_factor": 1 / 127.5},
    "not scaled": {"do_rescale": False, "image_mean": [123.675, 116.28, 103.53], "image_std": [58.0, 57.0, 56.0]},
    "not scaled, usual mean": {"do_rescale": False},
    "not normalized": {"do_normalize": False},
    "neither": {"do_normalize": False, "do_rescale": False},
}


@pytest.mark.parametrize("case", PIXELS)
def test_pixel_values_are_those_of_their_processor(case: str, tmp_path: Path) -> None:
    processor = Mask2FormerImageProcessorPil(size={"height": 32, "width": 64}, **PIXELS[case])
    processor.save_pretrained(tmp_path)
    known = preprocessor_config.describe(tmp_path, print)
    assert known.mean is not None
    assert known.std is not None
    image = np.random.default_rng(0).integers(0, 256, (32, 64, 3), dtype=np.uint8)
    theirs = processor(image, return_tensors="pt")["pixel_values"].float()
    ours = Normalization(known.mean, known.std)(torch.from_numpy(image)[None])
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("values", [{}, FACEBOOKS])
def test_the_usual_normalization_is_exactly_ours(values: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(values))
    known = preprocessor_config.describe(tmp_path, print)
    assert known.mean is not None
    assert known.std is not None
    found, usual = Normalization(known.mean, known.std), Normalization()
    assert torch.equal(found.mean, usual.mean)
    assert torch.equal(found.std, usual.std)


@pytest.mark.parametrize("value", [0.5, [0.5, 0.5, 0.5]])
def test_one_mean_is_that_of_all_channels(value: float | list[float], tmp_path: Path) -> None:
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": value, "do_normalize": None}))
    assert preprocessor_config.describe(tmp_path, print).mean == pytest.approx((127.5, 127.5, 127.5))


SPOILED: dict[str, tuple[str, str]] = {
    "damaged": ("{", "is damaged or not settings of preprocessing"),
    "a list": ("[1]", "Expected `object`, got `array`"),
    "four channels": ('{"image_mean": [0.5, 0.5, 0.5, 0.5]}', "Expected `array` of length 3"),
    "three edges": ('{"size": [1, 2, 3]}', "Expected `array` of length 2"),
    "words": ('{"size": "large"}', "got `str` - at `$.size`"),
    "a mean of NaN": ('{"image_mean": [NaN, 0.5, 0.5]}', "Expected `float`, got `null`"),
    "an infinite mean": ('{"image_mean": [Infinity, 0.5, 0.5]}', "Expected `float`, got `null`"),
    "an astronomic mean": ('{"image_mean": [1e39, 0.5, 0.5]}', "expected a mean within them"),
    "a deviation of 0": ('{"image_std": [0.2, 0, 0.2]}', "expected a mean within them, and deviations above 0"),
    "a negative deviation": ('{"image_std": -0.2}', "expected a mean within them, and deviations above 0"),
    "a tiny deviation": ('{"image_std": 1e-50}', "expected a mean within them, and deviations above 0"),
    "a scale of 0": ('{"rescale_factor": 0}', "at `$.rescale_factor`"),
    "a tiny scale": ('{"rescale_factor": 1e-310}', "expected a mean within them"),
    "a large file": (" " * 2_000_000, "has 2000000 bytes, more than the 1000000"),
    "a pointer": ("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n", "git lfs pull"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_what_no_model_is_trained_with_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    content, reason = SPOILED[case]
    path = tmp_path / "preprocessor_config.json"
    path.write_text(content)
    with pytest.raises(CheckpointError) as caught:
        preprocessor_config.describe(tmp_path, print)
    assert str(caught.value).startswith(str(path))
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
