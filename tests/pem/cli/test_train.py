"""``pem-train`` as a user meets it: files, lines, exit codes, Ctrl-C, several processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
import torch

from pem_edge import pem
from pem_edge.pem import checkpoints
from pem_edge.pem.cli.train import main
from pem_edge.pem.cli.train_request import TrainRequest
from pem_edge.pem.training.snapshots import FILE_NAME
from pem_edge.runtime import files
from pem_edge.runtime.datasets.opening import DatasetLocation
from pem_edge.runtime.errors import TrainingError
from tests.helpers.boxes import LABELS
from tests.helpers.pem_train import arguments

COMMAND = [sys.executable, "-c", "import sys; from pem_edge.pem.cli.train import main; sys.exit(main())"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

Run = Callable[..., tuple[int, str, str]]


def test_a_run_leaves_weights_metrics_and_a_picture(run: Run, tmp_path: Path) -> None:
    code, printed, said = run("--json", "--half")
    assert code == 0, said
    out = tmp_path / "out"
    assert json.loads(printed) == {"weights": str(out / "pem-nano.safetensors"), "metrics": str(out / "metrics.csv")}
    lines = said.splitlines()
    assert len(lines) == 10
    assert "training from scratch: pem-nano (2.7 million parameters) on cpu" in lines[1]
    assert "6 images, 3 classes, 2 of them things, for panoptic segmentation" in lines[1]
    assert "4 steps of 2 crops of 64x64" in lines[2]
    assert "GB of memory" in lines[3]
    assert "no images to validate on" in lines[4]
    assert "the first step took" in lines[5]
    assert "step 4/4: loss" in lines[7]
    assert "images/s" in lines[7]
    assert lines[9].endswith(f"next: pem-export --weights {out / 'pem-nano.safetensors'} --to onnx -o {out}")
    assert len((out / "metrics.csv").read_text().splitlines()) == 3
    picture = cv2.imread(str(out / "pictures" / "step-000004.png"))
    assert picture is not None
    assert picture.shape[0] > 64, "captions above, a key below"
    assert picture.shape[1] == 2 * 64 + 8
    model = pem.load(out / "pem-nano.safetensors")
    assert (model.variant, model.num_classes) == ("pem-nano", 3)
    assert checkpoints.open_checkpoint(out / "pem-nano.safetensors").description.labels == LABELS
    assert (out / "pem-nano.safetensors").stat().st_size < 8_000_000


def test_a_second_run_in_a_folder_is_told(run: Run, tmp_path: Path) -> None:
    with files.claim(tmp_path / "out" / FILE_NAME):  # as a first run does
        for option in ("--overwrite", "--resume"):
            code, _, said = run(option)
            assert code == 1
            assert "another process is writing" in said.splitlines()[-1]
    assert list((tmp_path / "out").iterdir()) == []


def test_half_precision_keeps_the_weights_to_its_rounding(tmp_path: Path) -> None:
    model = pem.build("pem-nano", 3)
    model.backbone.state_dict()["features.0.bn.running_var"].fill_(1e6)  # beyond what half precision holds
    pem.save(model, tmp_path / "half.safetensors", half=True)
    loaded = pem.load(tmp_path / "half.safetensors").state_dict()
    for name, tensor in model.state_dict().items():
        torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-7)
    assert checkpoints.open_checkpoint(tmp_path / "half.safetensors").description.labels is None


def test_weights_of_an_earlier_run_are_a_start(run: Run, tmp_path: Path) -> None:
    assert run()[0] == 0
    first = (tmp_path / "out" / "pem-nano.safetensors").rename(tmp_path / "first.safetensors")
    code, _, said = run("--weights", str(first), "--overwrite", "--learning-rate", "1e-9")
    assert code == 0, said
    before, after = pem.load(first), pem.load(tmp_path / "out" / "pem-nano.safetensors")
    for old, new in zip(before.parameters(), after.parameters(), strict=True):
        torch.testing.assert_close(old, new, rtol=0, atol=1e-6)


USAGE = [
    (["--batch", "1"], "batch is 1, expected 2 to 65536"),
    (["--size", "100x64"], "expected multiples of 32"),
    (["--weights", "demo", "--encoder-layers", "1,1,1"], "--weights determine --encoder-layers"),
    (["--resume", "--overwrite"], "--resume continues the run that --overwrite deletes"),
    (["--weights", "demo", "--backbone", "resnet50.pth"], "--weights include a backbone"),
    (["--learning-rate", "nan"], "learning rate is nan, expected above 0"),
    (["--device", "gpu"], "--device is gpu, expected cpu, cuda, or one GPU of several"),
    (["--device", "mps"], "--device is mps, expected cpu"),
    (["--minutes", "5"], "--minutes determines the steps: leave out --steps, or --minutes"),
    (["--freeze", "backbone"], "--freeze keeps weights as they are, and these are random"),
    (["--patience", "2"], "--patience and --validate-every belong to --val"),
    (["--val", "0%"], "--val is '0%', expected above 0% and below 100%"),
    (["--val", "nan%"], "--val is 'nan%', expected above 0% and below 100%"),
    (["--val", "0.1"], "--val is 0.1, expected a dataset or a part of one: give 10%"),
    (["--val", "10%", "--val-split", "val"], "--val and --val-split both name images to validate on"),
]
"""Options that are refused before anything is looked at, and what is said of them."""


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        *USAGE,
        (["--dataset", "/nowhere"], "/nowhere is not a folder"),
        (["--resume"], "no training to resume"),
        (["--encoder-layers", "1,1,1"], "pem-nano has no transformer encoder"),
        (["--weights", "/nowhere.pth"], "no checkpoint at /nowhere.pth"),
        (["--weights", "demo", "--variant", "pem-r50"], "demo is pem-nano, expected pem-r50: leave out --variant, or"),
        (["--weights", "demo", "--qat"], "for 3 classes instead of 15, and --qat needs a trained one"),
        (["--weights", "demo", "--revision", "main"], "--revision is for models on the Hugging Face hub, demo is none"),
        (["--weights", "demo", "--part", "ema"], "demo has no part 'ema'"),
        (["-o", "/proc/out"], "cannot write"),
        (["--device", "cuda:999"], "--device is cuda:999, but PyTorch finds "),
    ],
)
def test_bad_input_is_one_line(run: Run, options: list[str], complaint: str) -> None:
    code, printed, said = run(*options)
    usage = (options, complaint) in USAGE
    *before, error = said.splitlines()
    assert (code, printed) == (2 if usage else 1, "")
    assert complaint in error
    assert "unexpected" not in said
    assert before == ([] if usage else ["pem-train: reading the dataset and loading PyTorch"])


def test_a_variant_that_there_is_not_is_wrong_usage(run: Run) -> None:
    code, _, said = run(variant="pem-giant")
    assert code == 2
    assert said.splitlines()[-1] == "pem-train: --variant: there is no 'pem-giant': did you mean pem-nano?"


@pytest.mark.parametrize(
    "option",
    ["--steps", "--batch", "--warmup", "--points", "--seed", "--workers", "--log-every", "--picture-every"],
)
@pytest.mark.parametrize("value", [f"{10**25}", "-1", "1.5"])
def test_numbers_beyond_all_use_are_wrong_usage(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--dataset", "toy:4", option, value])
    assert f"{option}: '{value}' must be a whole number from 0 to " in capsys.readouterr().err


def test_words_are_not_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--dataset", "toy:4", "--learning-rate", "fast"])
    assert "--learning-rate: 'fast' must be a number, such as 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"resume": True, "overwrite": True}, "--resume continues the run that --overwrite deletes"),
        ({"weights": "model.pth", "backbone": "resnet50.pth"}, "--weights include a backbone"),
        ({"weights": "model.pth", "encoder_layers": (3, 3, 3)}, "--weights determine --encoder-layers"),
        ({"revision": "main"}, "--revision belongs to --weights"),
        ({"part": "model_ema"}, "--part belongs to --weights"),
        ({"given": {"qat": True}}, "--qat needs trained weights"),
        ({"given": {"qat": True}, "backbone": "resnet50.pth"}, "--qat needs trained weights"),
        ({"given": {"freeze": "backbone"}}, "--freeze keeps weights as they are, and these are random"),
        ({"given": {"steps": 5}, "minutes": 10.0}, "--minutes determines the steps"),
        ({"minutes": 0.0}, "--minutes is 0, expected above 0"),
        ({"given": {"patience": 3}}, "--patience and --validate-every belong to --val"),
        ({"given": {"clip": 0.0}}, "clip is 0.0, expected above 0"),
        ({"device": "gpu"}, "--device is gpu, expected cpu, cuda"),
    ],
)
def test_a_request_built_in_python_refuses_contradictions(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(TrainingError, match=complaint):
        request(**fields)


@pytest.mark.parametrize("fields", [{"weights": "model.pth"}, {"resume": True}])
def test_a_request_for_qat_starts_from_weights_or_an_earlier_run(fields: dict[str, Any]) -> None:
    assert request(given={"qat": True}, **fields).given["qat"]


def request(**fields: Any) -> TrainRequest:
    others = {"variant": "pem-r50", "dataset": DatasetLocation("toy:4"), "given": {}}
    return TrainRequest(**{**others, "out": Path("out"), **fields})


def test_a_run_is_not_overwritten_unasked(run: Run) -> None:
    assert run()[0] == 0
    code, _, said = run()
    assert code == 1
    assert "add --resume to continue it, or --overwrite" in said
    assert run("--overwrite")[0] == 0


def test_what_is_not_asked_for_anew_stays_when_a_run_is_resumed(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run("--clip", "0.5", "--scale", "1:1.5", "--seed", "7", "--log-every", "1")[0] == 0
    before = torch.load(tmp_path / "out" / FILE_NAME)["settings"]
    resumed = ["--dataset", str(folder), "-o", str(tmp_path / "out"), "--resume", "--workers", "0", "--device", "cpu"]
    done = subprocess.run([*COMMAND, *resumed, "--steps", "5"], capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == 0, done.stderr
    first = done.stderr.splitlines()[1]
    assert first == "pem-train: resuming after step 4, with steps 5 instead of 4"
    assert torch.load(tmp_path / "out" / FILE_NAME)["settings"] == {**before, "steps": 5}
    done = subprocess.run([*COMMAND, *resumed, "--steps", "3"], capture_output=True, text=True, env=ENVIRONMENT)
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 2)
    assert "the run to resume has done 5 steps, more than --steps 3: ask for more" in done.stderr
    done = subprocess.run([*COMMAND, *resumed, "--seed", "0"], capture_output=True, text=True, env=ENVIRONMENT)
    assert "with seed 0 instead of 7" in done.stderr


def test_a_run_of_other_classes_is_not_resumed(run: Run, folder: Path, tmp_path: Path) -> None:
    assert run()[0] == 0
    other = tmp_path / "other"
    other.mkdir()
    document = json.loads((folder / "panoptic.json").read_text())
    document["categories"][1]["name"] = "crate"
    (other / "panoptic.json").write_text(json.dumps(document))
    places = ["--images", str(folder / "images"), "--panoptic", str(folder / "panoptic")]
    code, _, said = run("--dataset", str(other), *places, "--resume")
    assert code == 1
    assert len(said.splitlines()) == 2
    assert "the classes 3: " in said


@pytest.mark.usefixtures("hangup_heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_leaves_a_checkpoint_and_says_where(folder: Path, tmp_path: Path, number: signal.Signals) -> None:
    """The whole process group gets the signal, as from a terminal or a scheduler: workers too."""
    command = [*COMMAND, *arguments(folder, tmp_path / "out", "--steps", "100000", "--workers", "2")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT, start_new_session=True)
    assert process.stderr is not None
    assert any("step 2/100000" in line for line in process.stderr)
    os.killpg(process.pid, number)
    said = process.stderr.read()
    assert process.wait(60) == 128 + number
    assert "stopping after this step; ask again to stop at once" in said
    last = said.splitlines()[-1]
    assert "stopped after step" in last
    assert str(tmp_path / "out" / "checkpoint.pth") in last
    assert "Traceback" not in said
    assert (tmp_path / "out" / "checkpoint.pth").is_file()


@pytest.mark.parametrize("seed", ["1", "3"], ids=["the other one", "the main one"])
def test_an_image_that_one_of_two_processes_cannot_read_costs_no_step(folder: Path, tmp_path: Path, seed: str) -> None:
    """By these seeds it is in the second step of either process. The main one writes the checkpoint."""
    broken, out = tmp_path / "broken", tmp_path / "out"
    shutil.copytree(folder, broken)
    (broken / "images" / "3.png").write_bytes((folder / "images" / "3.png").read_bytes()[:200])
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [
        *launcher,
        "tests.helpers.pem_train",
        *arguments(broken, out, "--batch", "4", "--input-size", "64x64", "--seed", seed),
    ]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=False)
    assert done.returncode != 0
    assert "3.png is damaged" in done.stderr
    assert torch.load(out / FILE_NAME)["step"] == 1


def test_torchrun_shares_the_work(folder: Path, tmp_path: Path) -> None:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*launcher, "tests.helpers.pem_train", *arguments(folder, tmp_path / "out", "--batch", "4")]
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "out" / "metrics.csv").read_text().splitlines()) == 3
    assert pem.load(tmp_path / "out" / "pem-nano.safetensors").num_classes == 3
