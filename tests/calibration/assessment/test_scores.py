"""What a model's quality is measured in follows what it is for: segments, classes of pixels, or instances."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from pem_edge import calibration
from pem_edge.calibration.assessment import scores
from pem_edge.runtime.artifacts.artifact import Artifact
from pem_edge.runtime.artifacts.manifest import InputSpec, Manifest, Task, Thresholds
from pem_edge.runtime.artifacts.provenance import BuiltBy
from pem_edge.runtime.artifacts.sections import Weights
from pem_edge.runtime.backends import Settings
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.errors import CalibrationError
from pem_edge.runtime.inference.segmenter import Segmenter
from tests.runtime.helpers.tiny_model import CLASSES, QUERIES, tiny_model

RED, GREEN, BLUE, NOTHING = 0, 1, 2, len(CLASSES)
SIZE = (64, 96)
QUARTER = SIZE[1] // 4


def image() -> NDArray[np.uint8]:
    """Return a quarter of red, a quarter of blue, and half of a color of no segment, to which green is the nearest."""
    pixels = np.full((*SIZE, 3), (0, 255, 204), np.uint8)
    pixels[:, :QUARTER] = 255, 0, 0
    pixels[:, QUARTER : 2 * QUARTER] = 0, 0, 255
    return pixels


def manifest(task: Task) -> Manifest:
    return Manifest(
        variant="tiny",
        task=task,
        input=InputSpec(*SIZE),
        outputs={"logits": "float32", "masks": "float32"},
        queries=QUERIES,
        classes=CLASSES,
        deform_conv="standard",
        checkpoint=Weights("none.pth", "0" * 64),
        built_by=BuiltBy(pem_edge="test"),
    )


def model(**queries: int) -> onnx.ModelProto:
    """Return the tiny model; ``red=GREEN`` makes the query of red say green, and ``every`` means all queries."""
    made = tiny_model(*SIZE, 1)
    (constant,) = [each for each in made.graph.initializer if each.name == "logits_of_queries"]
    logits = numpy_helper.to_array(constant).copy()
    for name, said in queries.items():
        chosen = slice(None) if name == "every" else RED
        logits[0, chosen] = 0
        logits[0, chosen, said] = 10
    constant.CopyFrom(numpy_helper.from_array(logits, constant.name))
    return made


class TwoHalves:
    """The image, whose red quarter is two things; edges, where masks are interpolated, are not scored."""

    labels = CLASSES

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        panoptic = np.zeros(SIZE, np.int32)
        panoptic[:32, :QUARTER], panoptic[32:, :QUARTER], panoptic[:, QUARTER : 2 * QUARTER] = 1, 2, 3
        for edge in (QUARTER, 2 * QUARTER):
            panoptic[:, edge - 4 : edge + 4] = 0
        return Sample("", image(), panoptic, [TrueSegment(1, RED), TrueSegment(2, RED), TrueSegment(3, BLUE)])


@pytest.mark.parametrize(
    ("task", "measure", "score"), [("panoptic", "PQ", 50), ("instance", "PQ", 50), ("semantic", "mean IoU", 100)]
)
def test_telling_things_apart_counts_unless_the_model_is_for_semantic_maps(
    task: Task, measure: str, score: float
) -> None:
    scored = calibration.LabeledScore(manifest(task), TwoHalves())
    assert (scored.measure, scored(model())) == (measure, score)


def test_a_wrong_class_costs_mean_iou() -> None:
    scored = calibration.LabeledScore(manifest("semantic"), TwoHalves())
    assert scored(model(red=GREEN)) == pytest.approx(100 / 3), "of red, green and blue"


def test_what_computes_pairs_as_written_scores_and_streams_as_any_backend(tmp_path: Path) -> None:
    assert calibration.LabeledScore(manifest("panoptic"), TwoHalves(), backend=None)(model()) == 50
    onnx.save(model(), tmp_path / "model.onnx")
    backend = scores._UnfusedOnnxRuntime(Artifact(tmp_path / "model.onnx", manifest("panoptic")), Settings(threads=2))
    with Segmenter(backend, Thresholds()) as segmenter:
        expected = segmenter(image()).panoptic
        found = [result.panoptic for result in segmenter.stream([image()] * 32)]
        assert isinstance(backend._half, scores._UnfusedOnnxRuntime)
    np.testing.assert_array_equal(found, [expected] * 32)


@pytest.mark.parametrize("task", get_args(Task))
def test_a_model_agrees_with_itself(task: Task) -> None:
    assert calibration.Agreement(manifest(task), model(), [image()[None]])(model()) == 100


@pytest.mark.parametrize(("task", "share"), [("panoptic", 75), ("semantic", 75), ("instance", 50)])
def test_pixels_outside_all_segments_do_not_count_for_instances(task: Task, share: float) -> None:
    agreement = calibration.Agreement(manifest(task), model(), [image()[None]])
    assert agreement(model(red=GREEN)) == share


def test_an_instance_that_is_lost_or_made_up_counts_as_changed() -> None:
    whole, without_red = model(), model(red=NOTHING)
    assert calibration.Agreement(manifest("instance"), whole, [image()[None]])(without_red) == 50
    assert calibration.Agreement(manifest("instance"), without_red, [image()[None]])(whole) == 50
    assert calibration.Agreement(manifest("instance"), whole, [image()[None]])(model(every=NOTHING)) == 0


def test_images_without_an_instance_cannot_show_what_is_lost() -> None:
    blind, images = model(every=NOTHING), [image()[None]] * 2
    with pytest.raises(CalibrationError, match=r"^the model finds no object in 2 images, .*--score-threshold$"):
        calibration.Agreement(manifest("instance"), blind, images)
    assert calibration.Agreement(manifest("semantic"), blind, images)(blind) == 100
