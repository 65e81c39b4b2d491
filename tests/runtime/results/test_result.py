"""A result's lazy parts are those of the postprocessing, at the image's size, named and computed once."""

from __future__ import annotations

import numpy as np
import pytest

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.artifacts.geometry import Geometry
from pem_edge.runtime.artifacts.manifest import Thresholds
from pem_edge.runtime.inference import postprocess
from pem_edge.runtime.results import drawing
from pem_edge.runtime.results.result import Result
from pem_edge.runtime.results.segments import Instance, Segment, add_labels
from reference.synthetic import synthetic

CITYSCAPES = labels.load("cityscapes")


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
        compute_instances=lambda logits, masks, geometry, classes: add_labels(
            postprocess.find_instances(logits, masks, geometry, labels.things(classes)), classes
        ),
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
