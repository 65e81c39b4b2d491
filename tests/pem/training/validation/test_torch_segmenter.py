"""A model in memory segments and scores as the artifact does that was exported from it."""

from __future__ import annotations

import numpy as np
import pytest

import pem_edge
from pem_edge import pem
from pem_edge.pem.training.validation.scores import score
from pem_edge.pem.training.validation.torch_segmenter import TorchSegmenter, evaluating
from pem_edge.runtime.artifacts.manifest import Task
from pem_edge.runtime.datasets.toy_streets import LABELS, ToyStreets
from pem_edge.runtime.evaluation.evaluate import evaluate
from pem_edge.runtime.evaluation.table import to_record
from tests.helpers.boxes import LABELS as BOX_LABELS
from tests.helpers.boxes import Boxes
from tests.helpers.tiny import TINY

SIZE = (256, 512)


def test_the_demo_in_memory_is_the_demo_that_was_exported() -> None:
    pytest.importorskip("onnxruntime", reason="the artifact is run in ONNX Runtime")
    streets = ToyStreets(2, 200, 300)  # scaled and padded
    segmenter = TorchSegmenter(pem.load("demo"), LABELS, SIZE)
    exported = pem_edge.load("demo", backend="onnxruntime")
    for sample in (streets[0], streets[1]):
        ours, theirs = segmenter(sample.image), exported(sample.image)
        assert ours.geometry == theirs.geometry
        assert (ours.semantic == theirs.semantic).mean() > 0.999
        assert [each.category_id for each in ours.segments] == [each.category_id for each in theirs.segments]
    records = [to_record(evaluate(each, streets), LABELS) for each in (segmenter, exported)]
    for first, second in (
        [record["pq"]["all"]["pq"] for record in records],
        [record["miou"] for record in records],
    ):
        assert first == pytest.approx(second, abs=0.2)


@pytest.mark.parametrize(("task", "key"), [("panoptic", "all"), ("instance", "things"), ("semantic", None)])
def test_the_score_that_counts_is_that_of_the_task(task: Task, key: str | None) -> None:
    streets = ToyStreets(1, *SIZE)
    found = score(TorchSegmenter(pem.load("demo"), LABELS, SIZE, task), streets, 7, task)
    expected = found.record["miou"] if key is None else found.record["pq"][key]["pq"]
    assert found.decisive(task) == expected
    assert expected is not None
    assert expected > 5
    figures = found.figures()
    assert (figures["miou"] is None, figures["pq"] is None) == (task == "instance", task == "semantic")


def test_each_module_of_a_model_keeps_its_mode() -> None:
    model = TINY.build(len(BOX_LABELS)).train()
    model.backbone.eval()
    modes = [module.training for module in model.modules()]
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    TorchSegmenter(model, BOX_LABELS, (64, 64))(Boxes()[0].image)
    assert [module.training for module in model.modules()] == modes
    assert len(set(modes)) == 2
    for name, tensor in model.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), before[name].numpy(), err_msg=name)
    with pytest.raises(ZeroDivisionError), evaluating(model):
        raise ZeroDivisionError
    assert [module.training for module in model.modules()] == modes
