"""``pem-eval`` scores real artifacts on real files, says what is wrong with either, and leaves nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from pem_edge import runtime
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.cli import eval as eval_command
from pem_edge.runtime.cli.eval import main
from pem_edge.runtime.datasets.dataset import Sample, TrueSegment
from pem_edge.runtime.datasets.relabeling import Relabeled
from pem_edge.runtime.datasets.toy_streets import LABELS
from pem_edge.runtime.evaluation.evaluate import VOID, Evaluation, evaluate, semantic_truth
from pem_edge.runtime.inference.segmenter import Segmenter
from pem_edge.runtime.results import coco_format
from tests.runtime.conftest import Builder
from tests.runtime.helpers import coco_folder
from tests.runtime.helpers.tiny_model import CLASSES

Capture = pytest.CaptureFixture[str]
CAPTIONS = 2 * 18
"""Height of the captions above a small picture."""
BACKENDS = [name for name in runtime.backends.available() if not name.startswith("tensorrt")]


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three striped pictures whose truth the tiny model finds."""
    return coco_folder.write(tmp_path / "dataset", 3)


def evaluated(capture: Capture, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit code, standard output and standard error."""
    code = main([str(argument) for argument in arguments])
    printed = capture.readouterr()
    return code, printed.out, printed.err


def scores(capture: Capture, *arguments: str | Path) -> dict[str, Any]:
    code, out, err = evaluated(capture, *arguments, "--json")
    assert (code, err) == (0, "")
    found: dict[str, Any] = json.loads(out)
    return found


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_the_model_gets_right_scores_100(tiny: Path, dataset: Path, capsys: Capture, backend: str) -> None:
    report = scores(capsys, tiny, "--dataset", dataset, "--backend", backend)
    perfect = {"pq": 100.0, "sq": 100.0, "rq": 100.0}
    assert report["pq"] == {"all": perfect, "things": perfect, "stuff": perfect}
    assert (report["miou"], report["images"], report["backend"]) == (100.0, 3, backend)
    assert [row["name"] for row in report["per_class"]] == ["red", "green", "blue", "white", "black"]
    assert [row["tp"] for row in report["per_class"]] == [3, 0, 0, 3, 0]  # blue is a crowd
    assert [row["iou"] for row in report["per_class"]] == [100.0, None, 100.0, 100.0, None]
    assert set(report["milliseconds"]) == {"preprocess", "inference", "postprocess"}
    assert report["worst"] == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_threads_are_those_of_the_model(
    tiny: Path, dataset: Path, capsys: Capture, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[object] = []

    def noting(segmenter: Segmenter, *arguments: Any, **options: Any) -> Evaluation:  # Any: those of `evaluate`
        used.append(segmenter.backend.settings()["threads"])
        return evaluate(segmenter, *arguments, **options)

    monkeypatch.setattr(eval_command, "evaluate", noting)
    report = scores(capsys, tiny, "--dataset", dataset, "--backend", backend, "--threads", "1")
    assert (used, report["bf16"]) == ([1], False)
    with pytest.raises(SystemExit, match="2"):
        main([str(tiny), "--dataset", str(dataset), "--threads", "0"])
    assert "'0' must be a whole number from 1 to " in capsys.readouterr().err


def test_what_it_gets_wrong_is_counted(tiny: Path, tmp_path: Path, capsys: Capture) -> None:
    """The truth calls white black, and of the 26 columns of red it calls 9 that too."""

    def relabel(document: dict[str, Any]) -> None:
        document["annotations"][0]["segments_info"] = [
            {"id": 70000, "category_id": 40},
            {"id": 300, "category_id": 1000},
            {"id": 5, "category_id": 9},
        ]

    folder = coco_folder.write(tmp_path / "wrong", 1, relabel)
    panoptic = coco_folder.stripes()[1]
    panoptic[:, 20:29] = 300
    coco_folder.save(folder / "panoptic" / "0.png", coco_format.encode(panoptic))
    report = scores(capsys, tiny, "--dataset", folder)
    rows = {row["name"]: row for row in report["per_class"]}
    red = pytest.approx(100 * 17 / 26)
    assert (rows["red"]["pq"], rows["red"]["sq"], rows["red"]["iou"]) == (red, red, red)
    assert [(rows["white"][key], rows["black"][key]) for key in ("tp", "fp", "fn")] == [(0, 0), (1, 0), (0, 1)]
    assert report["pq"]["things"] == {"pq": red, "sq": red, "rq": 100.0}
    third = pytest.approx(100 / 3)  # blue is found
    assert report["pq"]["stuff"] == {"pq": third, "sq": third, "rq": third}
    assert report["pq"]["all"]["pq"] == pytest.approx((100 * 17 / 26 + 100) / 4)
    assert report["miou"] == pytest.approx((100 * 17 / 26 + 100) / 4)


def test_the_table(tiny: Path, dataset: Path, capsys: Capture) -> None:
    code, out, err = evaluated(capsys, tiny, "--dataset", dataset)
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["PQ", "SQ", "RQ", "IoU", "TP", "FP", "FN"]
    assert lines[1].split() == ["All", "100.0", "100.0", "100.0", "100.0", "6", "0", "0"]
    assert [line.split()[0] for line in lines[1:4]] == ["All", "Things", "Stuff"]
    assert "green                         -      -      -      -      0      0      0" in lines
    assert lines[-1].startswith("3 images, median times: preprocess ")


def test_mean_iou_can_be_left_out(tiny: Path, dataset: Path, capsys: Capture) -> None:
    report = scores(capsys, tiny, "--dataset", dataset, "--no-semantic")
    assert report["miou"] is None
    assert {row["iou"] for row in report["per_class"]} == {None}
    assert report["pq"]["all"]["pq"] == 100.0


def test_a_semantic_model_is_scored_by_iou_whatever_is_called_a_thing(
    build: Builder, dataset: Path, capsys: Capture, tmp_path: Path
) -> None:
    model = build(task="semantic", classes=tuple(replace(label, isthing=False) for label in CLASSES))
    code, out, err = evaluated(capsys, model, "--dataset", dataset)
    assert (code, err) == (0, "")
    assert [line.split() for line in out.splitlines()[:2]] == [["IoU"], ["All", "100.0"]]
    image, _ = coco_folder.stripes()
    image[:, :12] = 255
    coco_folder.save(dataset / "images" / "1.png", image)
    report = scores(capsys, model, "--dataset", dataset, "--save-errors", tmp_path / "errors", "--worst", "1")
    assert (report["task"], report["pq"]["all"]["pq"]) == ("semantic", None)
    (worst,) = report["worst"]
    assert Path(worst["image"]).name == "1.png"
    assert worst["miou"] < report["miou"] < 100
    errors = np.asarray(Image.open(worst["picture"]))[CAPTIONS + 32, 3 * 104 :].astype(int)
    assert errors[4, 0] > errors[4, 1] + 100, "white where red should be"
    assert errors[20].tolist() == [errors[20, 0]] * 3, "right: gray"


def test_a_semantic_model_without_iou_has_no_score(build: Builder, dataset: Path, capsys: Capture) -> None:
    code, out, err = evaluated(capsys, build(task="semantic"), "--dataset", dataset, "--no-semantic")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "trained for semantic segmentation, which only IoU scores: leave --no-semantic out" in err


def test_a_model_for_instances_is_said_to_have_other_scores(build: Builder, dataset: Path, capsys: Capture) -> None:
    code, out, err = evaluated(capsys, build(task="instance"), "--dataset", dataset)
    assert (code, out.splitlines()[1].split()[:2]) == (0, ["All", "100.0"])
    assert err.count("\n") == 1
    assert "for average precision, give COCO's tools what pem-run --save instances writes" in err


def test_limit(tiny: Path, dataset: Path, capsys: Capture) -> None:
    assert scores(capsys, tiny, "--dataset", dataset, "--limit", "2")["images"] == 2
    assert scores(capsys, tiny, "--dataset", dataset, "--limit", "9")["images"] == 3
    _, out, _ = evaluated(capsys, tiny, "--dataset", dataset, "--limit", "1")
    assert out.splitlines()[-1].startswith("1 image, median times: ")


def test_the_worst_images_are_drawn(tiny: Path, dataset: Path, capsys: Capture, tmp_path: Path) -> None:
    image, _ = coco_folder.stripes()
    image[:, :12] = 255, 255, 255
    sample = image.copy()
    coco_folder.save(dataset / "images" / "0.png", image)
    image[:, 32:64] = 0, 255, 0
    coco_folder.save(dataset / "images" / "1.png", image)
    errors = tmp_path / "errors"
    arguments = (tiny, "--dataset", dataset, "--save-errors", errors, "--worst", "2")
    worst = scores(capsys, *arguments)["worst"]
    assert [Path(row["image"]).name for row in worst] == ["1.png", "0.png"]
    assert worst[0]["pq"] < worst[1]["pq"] < 100
    assert sorted(errors.iterdir()) == [errors / "worst_01.png", errors / "worst_02.png"]
    picture = np.asarray(Image.open(errors / "worst_02.png"))
    assert picture.shape[1] == 4 * 96 + 3 * 8
    np.testing.assert_array_equal(picture[CAPTIONS : CAPTIONS + 64, :96], sample)
    for caption in (picture[:18], *(picture[18:CAPTIONS, left : left + 96] for left in range(0, 4 * 104, 104))):
        assert caption.max() > 200
    mask = picture[CAPTIONS:, 3 * 104 :].astype(int)
    red, green, blue = mask[32, 4], mask[32, 24], mask[32, 60]
    assert red[0] > red[1] + 100, "white where red should be"
    assert green.tolist() == [green[0]] * 3, "right: gray"
    assert blue[2] > blue[0] + 50, "void"

    code, out, err = evaluated(capsys, *arguments)
    assert (code, out) == (1, "")
    assert "worst_01.png exists already: add --overwrite, or give --save-errors another folder" in err
    assert evaluated(capsys, *arguments, "--overwrite")[0] == 0


def test_toy_streets_need_no_files(build: Builder, capsys: Capture) -> None:
    model = build(classes=(*LABELS[:5],))
    code, out, err = evaluated(capsys, model, "--dataset", "toy:2:64x96:5")
    assert (code, out) == (1, "")
    assert f"the {len(LABELS)} classes of the dataset are not the 5 of the model: only the dataset has " in err


def test_the_progress_bar_is_kept_off_standard_output(tiny: Path, dataset: Path) -> None:
    done = run("-m", "pem_edge.runtime.cli.eval", str(tiny), "--dataset", str(dataset), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["images"] == 3


BAD = {
    "no dataset: give --dataset, or all of": [],
    "nowhere is not a folder": ["--dataset", "nowhere"],
    "'toy:x' is not a dataset": ["--dataset", "toy:x"],
    "cannot write /dev/null: /dev/null is not a folder; choose another place with --save-errors": [
        "--dataset",
        "DATASET",
        "--save-errors",
        "/dev/null",
    ],
    "cannot write DATASET/panoptic.json/deeper": [
        "--dataset",
        "DATASET",
        "--save-errors",
        "DATASET/panoptic.json/deeper",
    ],
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_is_one_line(message: str, tiny: Path, dataset: Path, capsys: Capture) -> None:
    arguments = [argument.replace("DATASET", str(dataset)) for argument in BAD[message]]
    code, out, err = evaluated(capsys, tiny, *arguments)
    assert (code, out, err.count("\n")) == (1 if arguments else 2, "", 1)
    assert err.startswith("pem-eval: ")
    assert message.replace("DATASET", str(dataset)) in err


def test_a_sample_that_cannot_be_read_ends_it_and_leaves_nothing(
    tiny: Path, dataset: Path, capsys: Capture, tmp_path: Path
) -> None:
    coco_folder.save(dataset / "panoptic" / "2.png", np.full((64, 96, 3), 9, np.uint8))
    code, out, err = evaluated(capsys, tiny, "--dataset", dataset, "--save-errors", tmp_path / "errors")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "panoptic/2.png has the color (9, 9, 9), id 592137" in err
    assert not (tmp_path / "errors").exists()


@pytest.mark.parametrize("value", ["0", "-1", "x", "1.5"])
def test_limits_that_are_none(value: str, tiny: Path, dataset: Path) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([str(tiny), "--dataset", str(dataset), "--limit", value])


def test_interrupted_it_prints_nothing_half_done(tiny: Path, tmp_path: Path) -> None:
    folder = coco_folder.write(tmp_path / "many", 1)
    document = json.loads((folder / "panoptic.json").read_text())
    document["images"] = [{"id": i, "file_name": "0.png"} for i in range(100_000)]
    document["annotations"] = [{**document["annotations"][0], "image_id": i} for i in range(100_000)]
    (folder / "panoptic.json").write_text(json.dumps(document))
    marker = tmp_path / "errors"
    arguments = [str(path) for path in (tiny, "--dataset", folder, "--save-errors", marker)]
    command = [sys.executable, "-m", "pem_edge.runtime.cli.eval", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not marker.exists() and running.poll() is None:
        time.sleep(0.05)
    time.sleep(1)
    os.kill(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (130, "", "pem-eval: interrupted\n")
    assert not marker.exists()


# Classes ------------------------------------------------------------------------------------------------------------


def label(index: int, name: str, isthing: bool = True) -> Label:
    return Label(index, name, isthing, (0, 0, 0))


class One:
    """One pixel of each class."""

    def __init__(self, *names: str) -> None:
        self.labels = [label(i, name) for i, name in enumerate(names)]

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        panoptic = np.arange(len(self.labels) + 1, dtype=np.int32)[None]
        image = np.zeros((*panoptic.shape, 3), np.uint8)
        return Sample(str(index), image, panoptic, [TrueSegment(i + 1, i) for i in range(len(self.labels))])


def test_classes_are_matched_by_name() -> None:
    relabeled = Relabeled(One("car", "sky", "road, route"), [label(i, n) for i, n in enumerate(("road", "car", "sky"))])
    assert [segment.category_id for segment in relabeled[0].segments] == [1, 2, 0]
    assert semantic_truth(relabeled[0]).tolist() == [[VOID, 1, 2, 0]]
    same = One("screen, door", "screen, tv")
    assert [segment.category_id for segment in Relabeled(same, same.labels[::-1])[0].segments] == [1, 0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("car", "tram"), "the 2 classes of the dataset are not the 3 of the model: only the dataset has 'tram'; "
         "only the model has 'sky', 'road'; give a dataset of the model's"),
        (("car", "sky"), "are not the 3 of the model: only the model has 'road'; give"),
        (("car", "sky", "road", *"abcdefg"), "only the dataset has 'a', 'b', 'c', 'd', 'e' and 2 more; give"),
        (("car", "sky", "road, a", "road, b"), "names occur more than once"),
    ],
)  # fmt: skip
def test_other_classes_are_named(names: tuple[str, ...], message: str) -> None:
    with pytest.raises(runtime.PemError, match=message):
        Relabeled(One(*names), [label(0, "car"), label(1, "sky"), label(2, "road")])


def test_a_thing_in_one_and_stuff_in_the_other() -> None:
    message = "'sky' is a thing in the dataset and stuff in the model"
    with pytest.raises(runtime.PemError, match=message):
        Relabeled(One("car", "sky"), [label(0, "sky", False), label(1, "car")])


def test_images_without_segments_have_no_score_and_are_not_the_worst(tiny: Path) -> None:
    class Empty(One):
        def __getitem__(self, index: int) -> Sample:
            return Sample("", np.full((64, 96, 3), 255, np.uint8), np.zeros((64, 96), np.int32), [])

    evaluation = evaluate(runtime.load(tiny), Empty(*"abcde"))
    assert evaluation.quality["all"] == {"pq": None, "sq": None, "rq": None}
    assert evaluation.worst(5) == []
    assert evaluation.iou == {"miou": None, "per_class": [None] * 5}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)


def test_an_empty_name_is_no_dataset(tiny: Path, capsys: Capture) -> None:
    code, _, err = evaluated(capsys, tiny, "--dataset", "")
    assert code == 2
    assert "the name of the dataset is empty: give a folder in COCO's panoptic format" in err
