"""A result's lazy parts are those of the postprocessing, at the image's size, named and computed once."""

from __future__ import annotations

import copy
import json
import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.errors import OutputError
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.results import coco_format, drawing
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Instance, Segment, add_labels
from reference.synthetic import synthetic

CITYSCAPES = labels.load("cityscapes")


def find_instances(
    logits: NDArray[np.floating],
    masks: NDArray[np.floating],
    geometry: Geometry,
    classes: Sequence[Label],
    score_threshold: float,
) -> list[Instance]:
    things = labels.things(classes)
    found = postprocess.find_instances(logits, masks, geometry, things, score_threshold=score_threshold)
    return add_labels(found, classes)


@pytest.fixture
def result() -> Result:
    image = synthetic().image(150, 280)
    logits, masks = synthetic().predictions(19, 32, 64)
    geometry = Geometry((128, 256), (128, 239), (150, 280))
    panoptic, segments = postprocess.merge(logits, masks, geometry, labels.things(CITYSCAPES), Thresholds())
    return Result(
        image=image,
        panoptic=panoptic,
        segments=add_labels(segments, CITYSCAPES),
        milliseconds={},
        labels=CITYSCAPES,
        geometry=geometry,
        outputs=lambda: (logits, masks),
        compute_semantic=postprocess.classify_pixels,
        compute_instances=find_instances,
    )


def test_segments_and_instances_carry_their_class_names(result: Result) -> None:
    assert result.segments
    assert result.instances
    items: list[Segment | Instance] = [*result.segments, *result.instances]
    for item in items:
        assert item.label == CITYSCAPES[item.category_id].name


def test_instances_are_things_best_first(result: Result) -> None:
    scores = [instance.score for instance in result.instances]
    assert scores == sorted(scores, reverse=True)
    for instance in result.instances:
        assert CITYSCAPES[instance.category_id].isthing
        assert instance.mask.shape == (150, 280)


def test_the_semantic_map_covers_the_image_and_is_computed_once(result: Result) -> None:
    assert result.semantic.shape == (150, 280)
    assert set(np.unique(result.semantic)) <= set(range(19))
    assert result.semantic is result.semantic


def test_drawing_is_of_the_image(result: Result) -> None:
    expected = drawing.draw(result.image, result.panoptic, result.segments, CITYSCAPES)
    np.testing.assert_array_equal(result.draw(), expected)


def test_a_copy_stands_on_its_own(result: Result) -> None:
    copied = copy.deepcopy(result)
    np.testing.assert_array_equal(copied.semantic, result.semantic)
    assert not np.shares_memory(copied.outputs()[1], result.outputs()[1])


@pytest.mark.parametrize(
    ("name", "stem"),
    [("", "image"), ("a/street.jpg", "street"), ("000007", "000007"), ("caf\udce9.png", "caf%udce9"), ("\n.png", "%n")],
)
def test_it_is_saved_under_a_usable_name(result: Result, tmp_path: Path, name: str, stem: str) -> None:
    saved = replace(result, name=name).save(tmp_path / "new")
    overlay, panoptic, document = saved
    assert [path.name for path in saved] == [
        f"{stem}_{end}" for end in ("overlay.png", "panoptic.png", "panoptic.json")
    ]
    np.testing.assert_array_equal(np.asarray(Image.open(overlay)), result.draw())
    (record,) = json.loads(document.read_bytes())["annotations"]
    assert record["file_name"] == panoptic.name
    assert [info["id"] for info in record["segments_info"]] == [segment.id for segment in result.saved_segments]
    ids = coco_format.decode(np.asarray(Image.open(panoptic)))
    for before, after in zip(result.segments, result.saved_segments, strict=True):
        np.testing.assert_array_equal(ids == after.id, result.panoptic == before.id)
    np.testing.assert_array_equal(ids == 0, result.panoptic == 0)


def test_saving_replaces_nothing_unasked(result: Result, tmp_path: Path) -> None:
    result.save(tmp_path)
    with pytest.raises(OutputError, match=r"image_overlay\.png exists already"):
        result.save(tmp_path)
    result.save(tmp_path, overwrite=True)


@pytest.mark.parametrize("folder", ["file", "file/new", "loop", "a" * 256, "/proc/new", "/dev/full"])
def test_a_folder_that_cannot_be_written_is_one_line(result: Result, tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(OutputError, match="cannot write") as caught:
        result.save(tmp_path / folder)
    assert "\n" not in str(caught.value)


def test_a_full_disk_leaves_nothing(result: Result, tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.raises(OutputError, match=r"cannot write .*image_overlay\.png: File too large"):
            result.save(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []
