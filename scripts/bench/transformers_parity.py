#!/usr/bin/env python
"""Compare our models with transformers' on folders of random weights: every backbone or size, module and graphs.

Names of families, ``mask2former`` and ``eomt``, choose among them. Writes a table in Markdown to standard output. Takes
some minutes; transformers must be installed.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import EomtForUniversalSegmentation, PreTrainedModel

sys.path.insert(0, str(Path(__file__).parents[2]))
from pem_edge import pem
from pem_edge.export.graph import tracing
from pem_edge.export.graph.operation_forms import Forms
from pem_edge.export.graph.rewrites import prepare
from pem_edge.runtime.artifacts.manifest import InputSpec
from reference import graph_runners
from reference.huggingface import eomt, folders
from scripts.reports.markdown import table

Outputs = tuple[NDArray[np.floating], NDArray[np.floating]]


class Case(NamedTuple):
    """A model of transformers, and the size of an image; Mask2Former's are such that windows leave a rest."""

    backbone: str
    classes: int
    queries: int
    height: int
    width: int


MASK2FORMER = (
    Case("resnet50", 133, 100, 160, 224),
    Case("resnet101", 19, 50, 160, 224),
    Case("swin-tiny", 133, 100, 160, 224),
    Case("swin-small", 150, 100, 224, 160),
    Case("swin-base", 80, 100, 160, 288),
    Case("swin-large", 133, 200, 224, 320),
)
EOMT = (
    Case("small", 133, 200, 640, 640),
    Case("small", 133, 200, 320, 480),
    Case("base", 133, 200, 640, 640),
    Case("large", 133, 200, 640, 640),
)
TRAINED = 640
"""Height and width that EoMT's positions are for; those for other sizes are resampled."""


class Family(NamedTuple):
    """A family of models, and how one of transformers' is built and written to a folder, ready for images."""

    title: str
    cases: tuple[Case, ...]
    write: Callable[[Case, Path], PreTrainedModel]
    fit: Callable[[Case, PreTrainedModel], None]


def write_mask2former(case: Case, folder: Path) -> PreTrainedModel:
    model = folders.build(case.backbone, case.classes, case.queries)
    folders.write(model, folder, {"height": case.height, "width": case.width})
    return model


def write_eomt(case: Case, folder: Path) -> PreTrainedModel:
    model = eomt.build(case.backbone, case.classes, case.queries, TRAINED)
    eomt.write(model, folder)
    return model


def fit_eomt(case: Case, model: PreTrainedModel) -> None:
    assert isinstance(model, EomtForUniversalSegmentation)
    if (case.height, case.width) != (TRAINED, TRAINED):
        eomt.resample(model, case.height, case.width)


FAMILIES = {
    "mask2former": Family("Mask2Former", MASK2FORMER, write_mask2former, lambda _case, _model: None),
    "eomt": Family("EoMT", EOMT, write_eomt, fit_eomt),
}


def main() -> None:
    chosen = [FAMILIES[name] for name in sys.argv[1:] or FAMILIES]
    packages = ", ".join(f"{name} {version(name)}" for name in ("transformers", "torch", "onnxruntime", "openvino"))
    titles = ["backbone", "classes", "queries", "size", "computed by", "class logits", "mask logits", "largest"]
    for family in chosen:
        rows = [row for case in family.cases for row in compare(family, case)]
        print(f"# {family.title} beside transformers', {date.today():%-d %B %Y}\n")
        print(
            f"`scripts/bench/transformers_parity.py`; {packages}. Random weights, every vector perturbed. Largest "
            "differences of class and mask logits from transformers' model in double precision, and the largest mask "
            "logit.\n"
        )
        print(table(titles, rows))


def compare(family: Family, case: Case) -> list[list[str]]:
    print(f"comparing {case.backbone}", file=sys.stderr)
    image = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, case.height, case.width, 3), np.uint8))
    with TemporaryDirectory() as name, torch.inference_mode():
        folder = Path(name)
        theirs = family.write(case, folder)
        ours = pem.load(folder, lambda _text: None)
        family.fit(case, theirs.double())
        found = theirs(pixel_values=ours.normalize(image).double())
        expected = found.class_queries_logits.numpy(), found.masks_queries_logits.numpy()
        del theirs, found
        computed = {"module": arrays(ours(image)), **graphs(ours, image, folder / "model.onnx")}
        computed["module in double precision"] = arrays(ours.double()(image))
    facts = [case.backbone, str(case.classes), str(case.queries), f"{case.height}x{case.width}"]
    return [[*facts, name, *differences(outputs, expected)] for name, outputs in computed.items()]


def graphs(model: pem.MaskClassifier, image: Tensor, path: Path) -> dict[str, Outputs]:
    spec = InputSpec(height=image.shape[1], width=image.shape[2])
    prepared = prepare(model, Forms(), (spec.height, spec.width))
    onnx.save(tracing.to_onnx(prepared, tracing.example_for(spec)), path)
    return {name: run(path, image.numpy()) for name, run in graph_runners.RUNNERS.items()}


def arrays(outputs: tuple[Tensor, Tensor]) -> Outputs:
    return outputs[0].numpy(), outputs[1].numpy()


def differences(outputs: Outputs, expected: Outputs) -> list[str]:
    apart = [float(np.abs(a - b).max()) for a, b in zip(outputs, expected, strict=True)]
    return [*(f"{value:.1e}" for value in apart), f"{np.abs(expected[1]).max():.0f}"]


if __name__ == "__main__":
    main()
