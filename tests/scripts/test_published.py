"""The published postprocessing that ours is timed against gives the same maps; differences of answers are found."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.inference import postprocess
from reference.published.panoptic import panoptic
from reference.scenes import GOLDEN, Scene, golden
from scripts.bench.beside.answers import Answer, agreement, distance
from scripts.bench.beside.cases import GROWTH, OURS, STDC1, Files
from scripts.bench.beside.certainty import CERTAIN, make_certain, narrow_masks
from scripts.bench.beside.ours import MAP
from scripts.bench.beside.page import Conditions, Outcome, text
from scripts.bench.networks.turns import Measured
from tests.runtime.helpers.random_scenes import scenes

ROOT = Path(__file__).parents[2]
SCRIPT = str(ROOT / "scripts" / "bench" / "published.py")
CASES = [(dataset, case) for dataset, cases in GOLDEN.items() for case in cases]
THRESHOLDS = st.sampled_from([0.0, 0.3, 0.5, 0.8, 0.9])


@pytest.mark.parametrize(("dataset", "case"), CASES)
def test_postprocessing_gives_the_golden_maps_in_single_precision(dataset: str, case: str) -> None:
    classes = labels.load(dataset)
    scene, expected = golden(dataset, case, len(classes))
    tensors = torch.from_numpy(scene.logits), torch.from_numpy(scene.masks)
    found = panoptic(*tensors, things=labels.things(classes), **scene.sizes)
    assert found.dtype == torch.int32
    assert np.count_nonzero(found.numpy() != expected["panoptic_seg"]) <= 2 + 2 * found.numel() // 1_000_000


@settings(max_examples=150, deadline=None)
@given(scenes(), st.sets(st.integers(0, 5)), THRESHOLDS, THRESHOLDS)
def test_postprocessing_gives_the_maps_of_the_runtime(
    scene: Scene, things: set[int], score: float, overlap: float
) -> None:
    options: dict[str, Any] = {"things": things, "score_threshold": score, "overlap_threshold": overlap, **scene.sizes}
    found = panoptic(*(torch.tensor(array).double() for array in (scene.logits, scene.masks)), **options)
    ours, _ = postprocess.panoptic(scene.logits, scene.masks, **options)
    assert np.count_nonzero(found.numpy() != ours) <= 2


def test_artifacts_run_without_pytorch_with_the_package_of_their_checkout(tmp_path: Path) -> None:
    """As processes of contestants do, which import the script and then prepare."""
    (tmp_path / "pem_edge").symlink_to(ROOT / "pem_edge")
    (tmp_path / "scripts").mkdir()
    np.save(tmp_path / "picture.npy", np.zeros((64, 64, 3), np.uint8))
    paths = (str(tmp_path), "demo", str(tmp_path / "picture.npy"), str(tmp_path / "answer.npz"))
    program = (
        f"import runpy, sys; runpy.run_path({SCRIPT!r}, run_name='__mp_main__'); "
        "import scripts.bench.beside.cases as cases, scripts.bench.beside.ours as ours; "
        f"ours.prepare(cases.OURS['ONNX Runtime'], *{paths}); "
        "import pem_edge; print(pem_edge.__file__, ours.__file__, 'torch' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    ours = ROOT / "scripts" / "bench" / "beside" / "ours.py"
    assert found.stdout.split() == [str(tmp_path / "pem_edge" / "__init__.py"), str(ours), "False"]
    assert Answer.read(tmp_path / "answer.npz").map.shape == (64, 64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--rounds", "1"], "must be a whole number from 2"),
        (["--before", "."], "is not a checkout of pem-edge"),
        (["-o", "no/such/page.md"], "cannot write no/such/page.md: No such file or directory"),
    ],
)
def test_what_is_wrong_with_the_options_is_said_before_anything_is_measured(
    arguments: list[str], message: str, tmp_path: Path
) -> None:
    found = subprocess.run(
        [sys.executable, SCRIPT, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (found.returncode, message in found.stderr.splitlines()[-1]) == (2, True)
    assert not [*tmp_path.iterdir()]


def test_artifacts_of_each_commit_have_a_folder_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from scripts.bench import published
    from scripts.bench.beside import artifacts

    written: list[tuple[Path, Files]] = []
    monkeypatch.setattr(artifacts, "write", lambda _case, files, checkout: written.append((checkout, files)))
    monkeypatch.setattr(published, "commit", lambda checkout: "new" if checkout == ROOT else "old")
    versions = published.make(STDC1, tmp_path, tmp_path / "checkout")
    assert written == [*versions.values()]
    (_, now), (checkout, before) = versions.values()
    assert (now.single.parent, before.single.parent, before.int8.parent) == (tmp_path / "new", *[tmp_path / "old"] * 2)
    assert (checkout, now.weights, now.picture) == (tmp_path / "checkout", before.weights, before.picture)


def test_the_page_leaves_out_what_was_not_measured() -> None:
    seconds = {"PyTorch": 0.4, "OpenVINO": 0.1, "OpenVINO, before": 0.2}
    measured = {name: Measured({MAP: [each] * 3}, 1 << 20) for name, each in seconds.items()}
    outcomes = dict.fromkeys(GROWTH, Outcome(measured, {}, 30, 12))
    lines = text(outcomes, Conditions(3, None, list(OURS), ["abc", "def"]), growth=True).splitlines()
    assert any(line.startswith("pem-edge abc, before: def.") for line in lines)
    assert "| OpenVINO | 100 | 4.00 (4.00 to 4.00) | 2.00 (2.00 to 2.00) | 1 |  |  |  |  |" in lines
    assert "| PyTorch | 400 |  |  | 1 |  |  |  |  |" in lines
    assert "| 256x512 | 400 |  |  | 100 | 4.00 (4.00 to 4.00) |  |  |  |  |  |  |" in lines


def test_agreement_is_of_segments_whatever_their_numbers() -> None:
    one = np.array([[0, 1, 1, 2], [0, 1, 1, 2], [0, 1, 1, 2]])
    assert agreement(one, np.array([0, 7, 3])[one]) == 1
    assert agreement(one, np.array([[0, 1, 1, 2], [0, 1, 1, 2], [0, 1, 1, 1]])) == 11 / 12
    assert agreement(one, np.zeros_like(one)) == 6 / 12  # nothing but the largest segment has a partner


def test_distances_are_the_largest_differences() -> None:
    answer = Answer(np.zeros((2, 3)), np.zeros((2, 4, 4)), np.zeros((16, 16), np.int32))
    other = answer._replace(logits=np.array([[0, -2.0, 0], [0, 0, 1]]), masks=np.full((2, 4, 4), 0.5))
    assert distance(answer, other)[:3] == (2, 0.5, 1)
    assert math.isnan(distance(answer, other).segments)
    one, two = (answer._replace(map=np.repeat(ids, 16)) for ids in ([0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]))
    assert distance(one, one) == (0, 0, 1, 1)
    assert distance(one, two)[2:] == (5 / 6, 2 / 3)


class Model(nn.Module):
    """Random queries with random masks, the inputs of a class head."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.queries, self.pixels = (torch.randn(1, *shape, generator=generator) for shape in ((100, 128), (3, 8, 16)))
        self.head, self.embed, self.features = nn.Linear(128, 20), nn.Linear(128, 128), nn.Conv2d(3, 128, 1)

    def predict_masks(self) -> torch.Tensor:
        self.head(self.queries)
        masks = torch.einsum("bqc,bchw->bqhw", self.embed(self.queries), self.features(self.pixels))
        return F.interpolate(masks, (32, 64), mode="bilinear")[0]


def test_masks_cover_what_they_are_to_cover() -> None:
    model = Model()
    narrow_masks(model.embed, model.features, model.predict_masks, 0.1)
    covered = (model.predict_masks() > 0).flatten(1).float().mean(1)
    torch.testing.assert_close(covered, torch.full((100,), 0.1), rtol=0, atol=0.002)


def test_as_many_queries_are_certain_as_are_to_be_of_classes_that_differ() -> None:
    model = Model()
    narrow_masks(model.embed, model.features, model.predict_masks, 0.1)
    make_certain(model.head, model.predict_masks)
    logits = model.head(model.queries)[0].detach().numpy()
    assert Answer(logits, np.zeros(0), np.zeros(0, np.int32)).merged() == CERTAIN
    assert (logits.argmax(1) < 19).sum() == CERTAIN
    assert len(set(logits.argmax(1))) == 20
