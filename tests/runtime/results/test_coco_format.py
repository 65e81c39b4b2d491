"""What is written in COCO's panoptic format can be read back."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.results import coco_format
from pem_edge.runtime.results.drawing import colors
from pem_edge.runtime.results.segments import Segment


@given(arrays(np.int32, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.integers(0, (1 << 24) - 1)))
def test_ids_survive_a_png(panoptic: NDArray[np.int32]) -> None:
    file = io.BytesIO()
    Image.fromarray(coco_format.encode(panoptic)).save(file, "PNG")
    decoded = coco_format.decode(np.asarray(Image.open(file)))
    assert decoded.dtype == np.int32
    np.testing.assert_array_equal(decoded, panoptic)


def test_red_is_the_lowest_byte() -> None:
    assert coco_format.encode(np.array([[0x030201]], np.int32)).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("wrong", [-1, 1 << 24])
def test_ids_that_do_not_fit_are_refused(wrong: int) -> None:
    with pytest.raises(ValueError, match="expected 0 to 16777215"):
        coco_format.encode(np.array([[wrong]], np.int32))


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4)])
def test_only_rgb_is_decoded(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="expected RGB uint8"):
        coco_format.decode(np.zeros(shape, np.uint8))


def test_a_document_is_json_whose_ids_refer_to_each_other() -> None:
    classes = labels.load("cityscapes")
    segments = [Segment(1, 13, "car", True, 0.9, 12, (1, 2, 3, 4)), Segment(2, 0, "road", False, 0.8, 5, (0, 0, 5, 1))]
    annotations = [coco_format.annotation("street", "street.png", segments)]
    document = coco_format.document(annotations, [coco_format.image("street", "street.jpg", (20, 30))], classes)
    document = json.loads(json.dumps(document))
    (annotation,), (image,) = document["annotations"], document["images"]
    assert annotation["image_id"] == image["id"]
    assert (image["height"], image["width"]) == (20, 30)
    assert {info["category_id"] for info in annotation["segments_info"]} <= {c["id"] for c in document["categories"]}
    assert annotation["segments_info"][0] == {
        "id": 1,
        "category_id": 13,
        "area": 12,
        "bbox": [1, 2, 3, 4],
        "iscrowd": 0,
        "score": 0.9,
    }


def test_the_categories_written_are_labels_to_read(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("coco") / "panoptic.json"
    path.write_text(json.dumps(coco_format.document([], [], labels.load("ade20k"))))
    assert labels.load(str(path)) == labels.load("ade20k")


COLORED = st.lists(
    st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 1000)), max_size=60, unique_by=lambda each: each[2]
)


@given(COLORED)
def test_ids_in_files_are_unique_colors_and_never_void(given_segments: list[tuple[int, bool, int]]) -> None:
    shades = [(0, 0, 0), (0, 0, 0), (255, 255, 255), (9, 9, 9), (10, 9, 9), (255, 0, 0)]
    classes = [labels.Label(index, str(index), True, color) for index, color in enumerate(shades)]
    segments = [
        Segment(number, category, "", isthing, 1.0, 1, (0, 0, 1, 1)) for category, isthing, number in given_segments
    ]
    found = coco_format.with_color_ids(segments, classes)
    ids = [segment.id for segment in found]
    assert len(set(ids)) == len(ids)
    assert all(0 < each <= coco_format.MAX_ID for each in ids)
    assert found == coco_format.with_color_ids(segments, classes)
    assert [replace(after, id=before.id) for before, after in zip(segments, found, strict=True)] == segments


def test_ids_in_files_are_the_colors_that_are_drawn() -> None:
    classes = labels.load("cityscapes")
    segments = [
        Segment(number, category, "", classes[category].isthing, 1.0, 1, (0, 0, 1, 1))
        for number, category in enumerate([0, 13, 13, 14], 1)
    ]
    ids = np.array([segment.id for segment in coco_format.with_color_ids(segments, classes)])
    drawn = colors.of_segments(segments, classes)
    assert coco_format.encode(ids).tolist() == [list(drawn[segment.id]) for segment in segments]


def test_categories_of_coco_have_its_own_ids() -> None:
    """COCO's ids have gaps: "stop sign" is 13 and the eleventh class, "banner" is 92."""
    for name, classes in (("coco_panoptic", 133), ("coco_instance", 80)):
        ids = {category["name"]: category["id"] for category in coco_format.categories(labels.load(name))}
        assert len(ids) == classes
        assert (ids["person"], ids["stop sign"], ids["toothbrush"]) == (1, 13, 90)
    banner = Segment(7, 80, "banner", False, 1.0, 1, (0, 0, 1, 1))
    record = json.loads(json.dumps(coco_format.annotation("a", "a.png", [banner], labels.load("coco_panoptic"))))
    assert record["segments_info"][0]["category_id"] == 92
    for others in (labels.load("cityscapes"), labels.load("coco_panoptic")[:79], labels.load("coco_panoptic")[::-1]):
        assert [category["id"] for category in coco_format.categories(others)] == list(range(len(others)))


def test_ids_of_many_segments_of_one_color_are_the_nearest_that_are_free() -> None:
    segments = [Segment(index, 0, "road", False, 1.0, 1, (0, 0, 1, 1)) for index in range(1, 6001)]
    ids = [segment.id for segment in coco_format.with_color_ids(segments, labels.load("cityscapes"))]
    assert len(set(ids)) == len(segments)
    shares = np.array([[each % 256, each // 256 % 256, each // 65536] for each in ids[:27]])
    assert np.abs(shares - shares[0]).max() == 1
