"""``pem-eval`` of a dataset of good and bad entries: one line that names the bad one, and no score of a part of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pem_edge.runtime.cli.eval import main
from tests.runtime.helpers import coco_folder

Capture = pytest.CaptureFixture[str]


def gray_of_no_segment(folder: Path) -> None:
    Image.fromarray(np.full((64, 96), 9, np.uint16)).save(folder / "panoptic" / "2.png")


def lossy(folder: Path) -> None:
    Image.open(folder / "panoptic" / "2.png").convert("RGB").save(folder / "panoptic" / "2.png", "JPEG")


def text_in(place: str) -> Callable[[Path], object]:
    return lambda folder: (folder / place / "2.png").write_text("no image")


def other_size(folder: Path) -> None:
    coco_folder.save(folder / "images" / "2.png", np.zeros((32, 32, 3), np.uint8))


def gone(place: str) -> Callable[[Path], object]:
    return lambda folder: (folder / place / "2.png").unlink()


def named(record: str, name: str) -> Callable[[Path], object]:
    def rename(folder: Path) -> None:
        document = json.loads((folder / "panoptic.json").read_text())
        document[record][2]["file_name"] = name
        (folder / "panoptic.json").write_text(json.dumps(document))

    return rename


WHEN_READ = {
    "gray": (gray_of_no_segment, "panoptic/2.png has the value 9"),
    "JPEG": (lossy, "panoptic/2.png is a JPEG"),
    "map of text": (text_in("panoptic"), "panoptic/2.png is not a panoptic map"),
    "image of text": (text_in("images"), "images/2.png is not an image"),
    "size": (other_size, "panoptic/2.png is 64x96 and its image 32x32"),
}
AT_ONCE = {
    "image gone": (gone("images"), "the image '2.png', which is not in "),
    "map gone": (gone("panoptic"), "the map '2.png', which is not in "),
    "image outside": (named("images", "../0.png"), "the image '../0.png', which leaves the folder"),
    "map outside": (named("annotations", "/0.png"), "the map '/0.png', which is absolute"),
    "name with a line end": (named("images", "a\nb.png"), r"the image 'a\nb.png', which is not in "),
    "name without an end": (named("images", "x" * 9999), "which has a part of more than 255 bytes"),
}


@pytest.mark.parametrize("kind", [*WHEN_READ, *AT_ONCE])
def test_a_bad_entry_ends_it_in_one_line(kind: str, tiny: Path, tmp_path: Path, capsys: Capture) -> None:
    spoil, message = (WHEN_READ | AT_ONCE)[kind]
    folder = coco_folder.write(tmp_path / "mixed", 4)
    spoil(folder)
    for words in ([], ["--json"]):
        code, out, err = evaluated(capsys, tiny, folder, *words)
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert message in err


@pytest.mark.parametrize("kind", WHEN_READ)
def test_entries_beyond_the_limit_are_not_read(kind: str, tiny: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = coco_folder.write(tmp_path / "mixed", 4)
    WHEN_READ[kind][0](folder)
    code, out, _ = evaluated(capsys, tiny, folder, "--json", "--limit", "2")
    assert (code, json.loads(out)["images"], json.loads(out)["pq"]["all"]["pq"]) == (0, 2, 100.0)


@pytest.mark.parametrize("kind", AT_ONCE)
def test_names_are_checked_before_anything_is_scored(kind: str, tiny: Path, tmp_path: Path, capsys: Capture) -> None:
    folder = coco_folder.write(tmp_path / "mixed", 4)
    AT_ONCE[kind][0](folder)
    assert evaluated(capsys, tiny, folder, "--limit", "1")[0] == 1


def evaluated(capture: Capture, model: Path, folder: Path, *words: str) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = main([str(model), "--dataset", str(folder), *words])
    printed = capture.readouterr()
    return code, printed.out, printed.err
