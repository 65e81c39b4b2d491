"""Photographs that others took run through the whole command. They come with packages that are installed."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

from pem_edge.runtime import images
from pem_edge.runtime.cli.run import main


def photographs() -> list[Path]:
    """Return the JPEG files that matplotlib brings."""
    spec = find_spec("matplotlib")
    folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path("nowhere")
    return sorted((folder / "mpl-data" / "sample_data").glob("*.jpg"))


def test_photographs_are_segmented_at_their_own_size(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if not (found := photographs()):
        pytest.skip("matplotlib's photographs are not installed")
    assert main(["demo", *map(str, found), "-o", str(tmp_path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert len(printed["images"]) == len(found)
    for photograph, record in zip(found, printed["images"], strict=True):
        height, width, _ = images.read(photograph).shape
        assert images.read(Path(record["panoptic"])).shape == (height, width, 3)
        drawing = images.read(Path(record["overlay"]))
        assert drawing.shape[0] > height, "the legend is below the picture"
        assert drawing.shape[1] == width
