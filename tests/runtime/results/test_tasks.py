"""What a result shows and saves follows its task, or the task that is asked for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pem_edge import runtime
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.errors import InputError
from pem_edge.runtime.results import drawing, regions, run_lengths
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.saving import KINDS, Outputs
from pem_edge.runtime.results.segments import Instance, Segment
from tests.runtime.conftest import Builder
from tests.runtime.helpers.footage import Made, image


def mask(*rows: str) -> NDArray[np.bool_]:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


@pytest.fixture
def result(tiny: Path, flag: NDArray[np.uint8]) -> Result:
    """Return the flag's: a red thing, white and blue stuff."""
    return runtime.load(tiny)(flag)


@pytest.fixture
def busy(result: Result) -> Result:
    """Return a result with three instances, of which the last is covered and the second has too low a score."""
    found = [
        Instance(0, "red", 0.9, np.arange(96)[None].repeat(64, axis=0) < 40),
        Instance(1, "green", 0.4, np.arange(96)[None].repeat(64, axis=0) > 60),
        Instance(1, "green", 0.8, np.arange(96)[None].repeat(64, axis=0) < 30),
    ]
    ranked = sorted(found, key=lambda instance: -instance.score)

    def compute(*arguments: object) -> list[Instance]:
        return [instance for instance in ranked if instance.score >= float(str(arguments[-1]))]

    return replace(result, compute_instances=compute, task="instance")


def test_the_best_instance_is_on_top_and_what_is_covered_is_no_region() -> None:
    found = [
        Instance(4, "cat", 0.9, mask("##..", "##..")),
        Instance(2, "dog", 0.8, mask(".##.", ".##.")),
        Instance(4, "cat", 0.7, mask(".#..", ".#..")),
    ]
    seen = regions.of_instances(found, (2, 4))
    assert seen.ids.tolist() == [[1, 1, 2, 0], [1, 1, 2, 0]]
    assert seen.segments == [
        Segment(1, 4, "cat", True, 0.9, 4, (0, 0, 2, 2)),
        Segment(2, 2, "dog", True, 0.8, 2, (2, 0, 1, 2)),
    ]


def test_no_instances_are_no_regions() -> None:
    seen = regions.of_instances([], (3, 2))
    assert (seen.ids.tolist(), seen.segments) == ([[0, 0]] * 3, [])


def test_a_region_of_a_semantic_map_is_all_of_a_class() -> None:
    labels = [Label(index, name, True, (0, 0, 0)) for index, name in enumerate(("sky", "road", "car"))]
    seen = regions.of_classes(np.array([[0, 0, 2], [2, 0, 2]], np.int32), labels)
    assert seen.ids.tolist() == [[1, 1, 3], [3, 1, 3]]
    assert seen.segments == [
        Segment(1, 0, "sky", False, 1.0, 3, (0, 0, 2, 2)),
        Segment(3, 2, "car", False, 1.0, 3, (0, 0, 3, 2)),
    ]


def test_an_instance_knows_its_area_and_box() -> None:
    instance = Instance(0, "cat", 0.5, mask("....", ".#..", "..#."))
    assert (instance.area, instance.bbox) == (2, (1, 1, 2, 2))
    nothing = Instance(0, "cat", 0.5, mask("..", ".."))
    assert (nothing.area, nothing.bbox) == (0, (0, 0, 0, 0))


def test_a_semantic_drawing_gives_every_pixel_the_color_of_its_class(result: Result) -> None:
    drawn = replace(result, image=np.zeros_like(result.image)).draw("semantic", labels=False, legend=False)
    colors = np.array([label.color for label in result.labels])[result.semantic]
    np.testing.assert_allclose(drawn, 0.5 * colors, atol=1)


def test_drawings_are_of_the_task_unless_another_is_asked_for(result: Result) -> None:
    result = replace(result, image=np.zeros_like(result.image))
    for task in ("panoptic", "semantic", "instance"):
        shown = result.regions(task)
        expected = drawing.draw(result.image, shown.ids, shown.segments, result.labels)
        np.testing.assert_array_equal(replace(result, task=task).draw(), expected)
        np.testing.assert_array_equal(result.draw(task), expected)
    np.testing.assert_array_equal(result.draw(), result.draw("panoptic"))
    assert result.draw("panoptic")[:64, 70:].any()
    assert not result.draw("instance")[:64, 70:].any()  # blue is stuff


def test_instances_below_the_threshold_are_neither_drawn_nor_saved(busy: Result, tmp_path: Path) -> None:
    assert [segment.score for segment in busy.regions().segments] == [0.9]
    np.testing.assert_array_equal(busy.draw(legend=False)[:, 64:], busy.image[:, 64:])
    assert [instance.score for instance in busy.instances] == [0.9, 0.8, 0.4]
    _, saved = busy.save(tmp_path)
    assert [record["score"] for record in json.loads(saved.read_bytes())] == [0.9, 0.8]
    _, saved = replace(busy, score_threshold=0.0).save(tmp_path, overwrite=True)
    assert [record["score"] for record in json.loads(saved.read_bytes())] == [0.9, 0.8, 0.4]


@pytest.mark.parametrize(("classes", "bits"), [(5, 8), (256, 8), (257, 16)])
def test_a_semantic_map_is_saved_as_class_indices(result: Result, tmp_path: Path, classes: int, bits: int) -> None:
    labels = [Label(index, str(index), False, (0, 0, 0)) for index in range(classes)]
    semantic = np.arange(64 * 96, dtype=np.int32).reshape(64, 96) % classes
    shown = replace(result, task="semantic", labels=labels, compute_semantic=lambda *_: semantic)
    overlay, saved = shown.save(tmp_path)
    assert (overlay.name, saved.name) == ("image_overlay.png", "image_semantic.png")
    with Image.open(saved) as png:
        assert png.mode == ("L" if bits == 8 else "I;16")
        np.testing.assert_array_equal(np.asarray(png), semantic)


def test_instances_are_saved_as_cocos_results(busy: Result, tmp_path: Path) -> None:
    overlay, saved = replace(busy, name="a/street.jpg").save(tmp_path)
    assert (overlay.name, saved.name) == ("street_overlay.png", "street_instances.json")
    first, _ = json.loads(saved.read_bytes())
    assert first == {
        "image_id": "street",
        "file_name": "street.jpg",
        "category_id": 0,
        "label": "red",
        "score": 0.9,
        "bbox": [0, 0, 40, 64],
        "segmentation": run_lengths.encode(busy.instances[0].mask),
    }


def test_all_kinds_of_a_video_are_saved(busy: Result, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with Outputs(KINDS, folder, Made(image)) as outputs:
        for index in range(2):
            saved = outputs.save(replace(busy, name=f"{index:06d}"))
    assert set(saved) == set(KINDS)
    records = json.loads((folder / "instances.json").read_bytes())
    assert [(record["image_id"], record["score"]) for record in records] == [
        ("000000", 0.9),
        ("000000", 0.8),
        ("000001", 0.9),
        ("000001", 0.8),
    ]
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*")) == [
        "instances.json",
        "made_overlay.mp4",
        "made_panoptic/000000.png",
        "made_panoptic/000001.png",
        "made_semantic/000000.png",
        "made_semantic/000001.png",
        "panoptic.json",
    ]


def test_pictures_without_instances_are_an_empty_list(busy: Result, tmp_path: Path) -> None:
    with Outputs(["instances"], tmp_path, Made(image)) as outputs:
        outputs.save(replace(busy, name="000000", score_threshold=1.0))
    assert json.loads((tmp_path / "instances.json").read_bytes()) == []


@pytest.mark.parametrize("task", ["panoptic", "semantic", "instance"])
def test_a_model_says_what_its_results_show(build: Builder, flag: NDArray[np.uint8], task: Task) -> None:
    with runtime.load(build(task=task)) as segmenter:
        assert (segmenter.task, segmenter(flag).task) == (task, task)
    with runtime.load(build(), task=task) as segmenter:
        result = segmenter(flag, score_threshold=0.25)
        assert (result.task, result.score_threshold) == (task, 0.25)


def test_a_model_that_was_trained_for_instances_finds_them_in_every_class(
    build: Builder, flag: NDArray[np.uint8]
) -> None:
    """Red is a thing, white and blue are called stuff."""
    found = {
        task: {instance.label for instance in runtime.load(build(task=task))(flag).confident_instances}
        for task in ("panoptic", "instance")
    }
    assert found == {"panoptic": {"red"}, "instance": {"red", "white", "blue"}}


def test_tasks_that_do_not_exist_are_refused(tiny: Path) -> None:
    with pytest.raises(InputError, match="task is 'depth', expected panoptic, semantic, instance"):
        runtime.load(tiny, task="depth")  # type: ignore[arg-type]
