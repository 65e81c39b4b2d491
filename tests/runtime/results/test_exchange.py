"""Results reach other programs whole: as JSON, COCO's records, supervision's detections, pickles, notebooks."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import pem_edge
from pem_edge.runtime.artifacts.manifest import TASKS, Task
from pem_edge.runtime.errors import BackendError, InputError, OutputError
from pem_edge.runtime.results import run_lengths
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Instance

ROOT = Path(__file__).parents[3]
ENTRIES = {"panoptic": "segments", "semantic": "classes", "instance": "instances"}


@pytest.fixture(scope="module")
def street() -> Result:
    with pem_edge.load("demo", "onnxruntime", threads=1) as segmenter:
        return segmenter("demo:street")


def masks(result: Result, task: Task) -> list[NDArray[np.bool_]]:
    """Return the masks of what a result shows, in its order."""
    if task == "instance":
        return [instance.mask for instance in result.confident_instances]
    if task == "semantic":
        return [result.semantic == index for index in np.unique(result.semantic)]
    return [result.panoptic == segment.id for segment in result.segments]


@pytest.mark.parametrize("task", TASKS)
def test_json_has_what_was_found_as_plain_numbers(street: Result, task: Task) -> None:
    document = json.loads(street.to_json(task, masks=True))
    assert [document[key] for key in ("name", "height", "width", "task", "time")] == [
        "street.jpg",
        512,
        1024,
        task,
        None,
    ]
    assert document["milliseconds"] == street.milliseconds
    found = document[ENTRIES[task]]
    assert [each["segmentation"] for each in found] == [run_lengths.encode(mask) for mask in masks(street, task)]
    assert [each["area"] for each in found] == [int(mask.sum()) for mask in masks(street, task)]
    assert [each["label"] for each in found] == [street.labels[each["category_id"]].name for each in found]
    without = json.loads(replace(street, task=task).to_json())
    assert without[ENTRIES[task]] == [{k: v for k, v in each.items() if k != "segmentation"} for each in found]


@pytest.mark.parametrize("form", ["regions", "draw", "to_json", "to_supervision", "to_coco"])
def test_a_task_that_there_is_not_is_refused(street: Result, form: str) -> None:
    given = {"task": "Panoptic"} | ({"image_id": 1} if form == "to_coco" else {})
    with pytest.raises(InputError, match="task is 'Panoptic', expected panoptic, semantic, instance"):
        getattr(street, form)(**given)


def test_json_of_odd_names_is_valid(street: Result) -> None:
    assert json.loads(replace(street, name="caf\udce9\n.png", time=1.5).to_json())["name"] == "caf\\udce9\n.png"


def test_records_of_several_images_make_one_list(street: Result) -> None:
    annotations = [*street.to_coco(1), *replace(street, name="").to_coco("two")]
    assert [(each["image_id"], each["file_name"]) for each in annotations] == [
        (1, "street_panoptic.png"),
        ("two", "image_panoptic.png"),
    ]
    instances = street.to_coco(7, "instance")
    assert len(instances) == len(street.confident_instances)
    assert {each["image_id"] for each in instances} == {7}
    classes = street.to_coco(7, "semantic")
    assert [each["segmentation"] for each in classes] == [
        run_lengths.encode(mask) for mask in masks(street, "semantic")
    ]


def test_panoptic_records_fit_the_map_that_is_saved(street: Result, tmp_path: Path) -> None:
    street.save(tmp_path)
    [annotation] = street.to_coco(1)
    colors = np.asarray(Image.open(tmp_path / str(annotation["file_name"]))).astype(np.int64)
    ids, areas = np.unique(colors @ [1, 256, 65536], return_counts=True)
    infos = json.loads(json.dumps(annotation["segments_info"]))
    assert {info["id"]: info["area"] for info in infos} == {i: a for i, a in zip(ids, areas, strict=True) if i}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("stuff", [False, True])
def test_detections_of_supervision(street: Result, task: Task, stuff: bool) -> None:
    supervision = pytest.importorskip("supervision")
    found = street.to_supervision(task, stuff=stuff)
    assert isinstance(found, supervision.Detections)
    kept = [
        mask
        for index, mask in enumerate(masks(street, task))
        if task != "panoptic" or stuff or street.segments[index].isthing
    ]
    np.testing.assert_array_equal(found.mask, kept)
    assert found.data["class_name"].tolist() == [street.labels[index].name for index in found.class_id]
    for (left, top, right, bottom), mask in zip(found.xyxy.astype(int), kept, strict=True):
        assert mask[top:bottom, left:right].sum() == mask.sum()
    assert (found.confidence is None) == (task == "semantic")


def test_detections_of_nothing(street: Result) -> None:
    pytest.importorskip("supervision")
    found = replace(street, segments=[]).to_supervision()
    assert (len(found), found.xyxy.shape, found.mask.shape) == (0, (0, 4), (0, 512, 1024))


def test_supervision_is_named_where_it_is_missing(street: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(OutputError, match=r"supervision cannot be imported.*: pip install supervision"):
        street.to_supervision()


def test_a_result_in_one_line(street: Result) -> None:
    shown = repr(replace(street, milliseconds={"inference": 12.4}))
    assert shown.startswith("<Result 'street.jpg', 512x1024, panoptic, ")
    assert shown.endswith("%, ..., 12 ms>")
    assert f"{len(street.segments)} segments: road " in shown
    assert "\n" not in repr(replace(street, name="a\nb"))
    assert (
        repr(replace(street, name="", segments=[], milliseconds={})) == "<Result 512x1024, panoptic, 0 segments, 0 ms>"
    )


def test_segments_and_instances_in_one_line(street: Result) -> None:
    mask = np.zeros((4, 6), np.bool_)
    mask[1:3, 2:5] = True
    assert repr(Instance(0, "car", 0.876, mask)) == "<Instance 'car', score 0.88, area 6, bbox (2, 1, 3, 2), mask 4x6>"
    segment = street.segments[0]
    assert repr(segment).startswith(f"<Segment {segment.id}: {segment.label!r}, score {segment.score:.2f}, area ")


def test_notebooks_show_a_drawing_of_limited_width(street: Result) -> None:
    shown = Image.open(BytesIO(street._repr_png_()))
    np.testing.assert_array_equal(np.asarray(shown), street.draw())
    wide = replace(street, image=np.tile(street.image, (1, 2, 1)), panoptic=np.tile(street.panoptic, (1, 2)))
    height, width = wide.draw().shape[:2]
    assert Image.open(BytesIO(wide._repr_png_())).size == (1024, round(height * 1024 / width))


READ = """
import pickle, sys
import numpy as np
found = pickle.load(sys.stdin.buffer)
np.savez(sys.stdout.buffer, found.panoptic, found.semantic, found.draw(), found.instances[0].mask)
"""


def test_results_of_streams_are_read_in_another_process() -> None:
    with pem_edge.load("demo", "onnxruntime", threads=1) as segmenter, segmenter.stream(["demo:street"]) as stream:
        [found] = stream
    read = subprocess.run(
        [sys.executable, "-c", READ], cwd=ROOT, input=pickle.dumps(found), capture_output=True, check=True
    )
    for array, expected in zip(
        np.load(BytesIO(read.stdout)).values(),
        (found.panoptic, found.semantic, found.draw(), found.instances[0].mask),
        strict=True,
    ):
        np.testing.assert_array_equal(array, expected)


def test_a_result_whose_outputs_are_lost_is_pickled_without_them(street: Result) -> None:
    def closed() -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        raise BackendError("the backend is closed: load the model again")

    seen = replace(street, outputs=closed)
    vars(seen)["semantic"] = street.semantic
    copied = pickle.loads(pickle.dumps(seen))
    np.testing.assert_array_equal(copied.panoptic, street.panoptic)
    np.testing.assert_array_equal(copied.semantic, street.semantic)
    with pytest.raises(BackendError, match="the backend is closed: load the model again"):
        copied.instances  # noqa: B018
