"""Classes and tasks are read from what mmdetection and mmsegmentation save, and nothing from what they would not."""

from __future__ import annotations

import re
from collections import OrderedDict
from typing import Any

import pytest
import torch

from pem_edge.pem.checkpoints.description import Description
from pem_edge.pem.checkpoints.descriptions.openmmlab_meta import LONGEST_NAME, MOST_CLASSES, check, describe
from pem_edge.runtime.artifacts.labels import Label, distinct_color
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.errors import CheckpointError

CLASSES, PALETTE = ("person", "car", "sky"), [(220, 20, 60), (0, 0, 142), (70, 130, 180)]
Meta = dict[str, Any]


def document(meta: object, head: str = "panoptic_head") -> dict[str, Any]:
    return {"meta": meta, "state_dict": OrderedDict({f"{head}.query_feat.weight": torch.zeros(1, 1)})}


def labels(things: int) -> tuple[Label, ...]:
    return tuple(Label(i, CLASSES[i], i < things, PALETTE[i]) for i in range(3))


def dataset(**more: Any) -> Meta:
    return {"dataset_meta": {"classes": CLASSES, "palette": PALETTE, **more}}


def config(things: int, stuff: int) -> str:
    return f"model = dict(panoptic_head=dict(num_things_classes={things}, num_stuff_classes={stuff}))"


COCO = {"thing_classes": ["dog"], "stuff_classes": ["sea"]}
DESCRIBED: dict[str, tuple[Meta, int, Task | None]] = {
    "panoptic data": (dataset(thing_classes=CLASSES[:2], stuff_classes=CLASSES[2:]), 2, "panoptic"),
    "instances": (dataset(), 3, "instance"),
    "keys in capitals": ({"dataset_meta": {"CLASSES": list(CLASSES), "PALETTE": PALETTE}}, 3, "instance"),
    "lists of another data set": (dataset(**COCO), 3, None),
    "lists of another data set beside a config": ({**dataset(**COCO), "cfg": config(1, 2)}, 1, "panoptic"),
    "version 2": ({"CLASSES": CLASSES, "PALETTE": PALETTE, "config": config(2, 1)}, 2, "panoptic"),
    "version 2, instances": ({"CLASSES": CLASSES, "PALETTE": PALETTE, "config": config(3, 0)}, 3, "instance"),
    "version 2 without a config": ({"CLASSES": CLASSES, "PALETTE": PALETTE}, 3, None),
    "a config of other numbers": ({**dataset(**COCO), "cfg": config(80, 53)}, 3, None),
    "a config that contradicts itself": ({**dataset(**COCO), "cfg": config(1, 2) + config(2, 1)}, 3, None),
}


@pytest.mark.parametrize("case", DESCRIBED)
def test_classes_and_task_of_mmdetection(case: str) -> None:
    meta, things, task = DESCRIBED[case]
    assert describe(document(meta)) == Description(labels(things), task)


@pytest.mark.parametrize(("stuff", "task"), [(0, "instance"), (53, "panoptic")])
def test_the_task_is_known_without_names_of_classes(stuff: int, task: Task) -> None:
    assert describe(document({"cfg": config(80, stuff)})) == Description(task=task)


def test_classes_of_mmsegmentation_are_stuff() -> None:
    assert describe(document(dataset(), "decode_head")) == Description(labels(0), "semantic")


def test_names_are_stripped_and_colors_may_be_missing() -> None:
    meta = {"dataset_meta": {"classes": ["bed ", "sea"], "palette": [[1, 2, 3], [1, 2, 256]]}}
    expected = Label(0, "bed", False, (1, 2, 3)), Label(1, "sea", False, distinct_color(1))
    assert describe(document(meta, "decode_head")).labels == expected


@pytest.mark.parametrize(
    "classes",
    [
        "person",
        3,
        [],
        ["a", 3],
        ["a", ""],
        ["a", " "],
        ["a", "\ud800"],
        ["a" * (LONGEST_NAME + 1)],
        ["a"] * (MOST_CLASSES + 1),
        {"a": 1},
    ],
)
def test_what_is_no_list_of_names_counts_as_absent(classes: object) -> None:
    assert describe(document({"dataset_meta": {"classes": classes}})) == Description()


@pytest.mark.parametrize("meta", [None, 7, [], {}, {3: 4}, {"dataset_meta": 5}, {"CLASSES": None}, {"cfg": 3}])
def test_strange_records_count_as_absent(meta: object) -> None:
    assert describe(document(meta)) == Description()
    assert describe(document(meta, "decode_head")) == Description(task="semantic")


@pytest.mark.parametrize("palette", ["random", [(1, 2, 3)], [(1, 2)] * 3, [(True, 2, 3)] * 3, [(1.0, 2, 3)] * 3, 5])
def test_colors_of_strange_types_are_replaced(palette: object) -> None:
    meta = {"dataset_meta": {"classes": CLASSES, "palette": palette}}
    described = describe(document(meta)).labels
    assert described is not None
    assert [label.color for label in described] == [distinct_color(i) for i in range(3)]


@pytest.mark.parametrize(
    "other",
    [{}, {"state_dict": 3, "meta": dataset()}, {"state_dict": {3: 4}}, {"model": {}, "meta": dataset()}],
)
def test_other_documents_say_nothing(other: dict[str, Any]) -> None:
    assert describe(other) == Description()


OURS = """model = dict(
    backbone=dict(depth=50, style='pytorch'),
    data_preprocessor=dict(bgr_to_rgb=True, mean=[
        123.675,
        116.28,
        103.53,
    ], std=[
        58.395,
        57.12,
        57.375,
    ]))"""


@pytest.mark.parametrize(
    ("text", "clause"),
    [
        (OURS.replace("pytorch", "caffe"), "its ResNet has its strides in 1x1 convolutions (style='caffe')"),
        (OURS.replace("True", "False"), "its pixels are BGR (bgr_to_rgb=False)"),
    ],
)
def test_what_tensors_do_not_tell_is_found_in_the_configuration(text: str, clause: str) -> None:
    for key, head in (("cfg", "panoptic_head"), ("config", "decode_head")):
        with pytest.raises(CheckpointError, match=re.escape(f"a.pth: {clause}, which is not supported")):
            check(document({key: text}, head), "a.pth")
    check({"meta": {"cfg": text}}, "a.pth")


@pytest.mark.parametrize("meta", [None, {}, {"cfg": 3}, 5, {"cfg": OURS}, {"cfg": 1_000_001 * " " + "style='caffe'"}])
def test_nothing_is_refused_without_such_a_configuration(meta: object) -> None:
    check(document(meta), "a.pth")


HALF = (127.5, 127.5, 127.5)
ONE = (1.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("text", "mean", "std"),
    [
        (OURS, None, None),
        (2 * OURS.replace("57.12", "58"), None, (58.395, 58.0, 57.375)),
        ("mean=[127.5, 127.5, 127.5], std=[1, 1, 1]", HALF, ONE),
        ("mean=(127.5, 127.5, 127.5,), std=(1., 1., 1.)", HALF, ONE),
        ("mean=[1.275e2, 1275e-1, 127.5], std=(\n    1e+0,\n    1,\n    1.0\n)", HALF, ONE),
        ("{'mean': [127.5, 127.5, 127.5], \"std\": (1, 1, 1)}", HALF, ONE),
        ("mean=[-1, 0, 1], std=[1, 1, 1]", (-1.0, 0.0, 1.0), ONE),
        ("init_cfg=dict(std=0.02), target_stds=[0.1, 0.1], loss=dict(reduction='mean')", None, None),
    ],
)
def test_normalization_unlike_ours_is_read(text: str, mean: object, std: object) -> None:
    said: list[str] = []
    described = describe(document({"cfg": text}), said.append)
    assert (described.mean, described.std, said) == (mean, std, [])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mean=[1, 2, 3], mean=(1, 2,\n 4)", "mean of pixels: the configuration says '[1, 2, 3], [1, 2, 4]'"),
        ("mean=[1, 2]", "mean of pixels: the configuration says '[1, 2]'"),
        ("mean=[1e9, 2, 3]", "mean of pixels: the configuration says '[1e9, 2, 3]'"),
        ("mean=[..,.. 1]", "mean of pixels: the configuration says '[..,.. 1]'"),
        ("std=[0, 1, 1]", "std of pixels: the configuration says '[0, 1, 1]'"),
        ("std=(nan, 1, 1)", "std of pixels: the configuration says '[nan, 1, 1]'"),
        ("std=[" + 1000 * "1, " + "]", "std of pixels: the configuration says '[1, 1, "),
    ],
)
def test_normalization_that_cannot_be_used_is_said(text: str, shown: str) -> None:
    said: list[str] = []
    described = describe(document({"cfg": text}), said.append)
    assert (described.mean, described.std) == (None, None)
    (note,) = said
    assert note.startswith(f"took ImageNet's {shown}")
    assert "\n" not in note
    assert len(note) < 400
