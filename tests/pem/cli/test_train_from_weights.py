"""``pem-train --weights``: what a run takes from a checkpoint, and what of it is in the weights that it writes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pem_edge import pem
from pem_edge.pem import checkpoints
from pem_edge.pem.checkpoints import Checkpoint, Description, Place
from pem_edge.pem.model import Normalization
from pem_edge.pem.training.snapshots import FILE_NAME
from pem_edge.pem.training.start import fit_class_head
from pem_edge.runtime.artifacts.labels import Label
from pem_edge.runtime.errors import TrainingError
from pem_edge.runtime.installation import how_to_install
from tests.helpers.boxes import LABELS
from tests.helpers.pem_train import arguments
from tests.helpers.tiny import TINY, TINY_EOMT

HEAVY = {"torch", "huggingface_hub", "transformers", "onnx"}
FEW = ["--steps", "1", "--points", "64"]
STILL = [*FEW, "--learning-rate", "1e-9"]
MEAN, STD = (10.5, 20.25, 30.125), (50.0, 60.5, 70.0)

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    """Write a model as somebody else may have trained it: with a license, few queries and another normalization."""
    torch.manual_seed(1)
    model = pem.build("pem-nano", 3, num_queries=20)
    model.normalize = Normalization(MEAN, STD)
    pem.save(model, tmp_path / "theirs.safetensors", labels=LABELS, task="semantic", spdx="CC-BY-NC-4.0")
    return tmp_path / "theirs.safetensors"


def test_weights_of_other_classes_keep_all_but_the_class_head(run: Run, tmp_path: Path) -> None:
    code, _, said = run("--weights", "demo", *STILL, variant=None)
    assert code == 0, said
    assert "the class head starts anew, for 3 classes instead of 15: all else is that of demo" in said
    before = pem.load("demo").state_dict()
    after = checkpoints.open_checkpoint(tmp_path / "out" / "pem-nano.safetensors")
    assert after.description.labels == LABELS
    weights = {name: tensor for name, tensor in after.model.named_parameters() if "class_head" not in name}
    for name, tensor in weights.items():
        torch.testing.assert_close(tensor.detach(), before[name], rtol=0, atol=1e-6)


def test_normalization_and_license_outlast_a_run_and_its_continuation(run: Run, weights: Path, tmp_path: Path) -> None:
    """The run goes on without the weights and the variant, of which its snapshot has all that is needed."""
    code, _, said = run("--weights", str(weights), *STILL, variant=None)
    assert code == 0, said
    assert "anew" not in said
    assert "not for commercial use" in said
    require_kept(tmp_path / "out")
    weights.unlink()
    for again in ([], ["--weights", str(weights), "--variant", "pem-nano"]):
        (tmp_path / "out" / "pem-nano.safetensors").unlink()
        code, _, said = run("--resume", *STILL, *again, variant=None)
        assert code == 0, said
        assert " instead of " not in said
        require_kept(tmp_path / "out")


def require_kept(out: Path) -> None:
    found = checkpoints.open_checkpoint(out / "pem-nano.safetensors")
    assert found.description == Description(LABELS, "panoptic", (64, 64), MEAN, STD, "CC-BY-NC-4.0")
    assert found.model.num_queries == 20


def test_another_run_is_not_resumed(run: Run) -> None:
    assert run(*FEW)[0] == 0
    for options, complaint in (
        (
            ["--variant", "pem-stdc1"],
            "the run to resume has the variant pem-nano instead of pem-stdc1",
        ),
        (
            ["--encoder-layers", "1,1,1"],
            "the run to resume has the encoder layers None instead of (1, 1, 1)",
        ),
        (
            ["--dataset", "toy:4"],
            "the dataset has 15 classes, the model 3",
        ),
    ):
        code, _, said = run("--resume", *FEW, *options, variant=None)
        assert (code, len(said.splitlines())) == (1, 2)
        assert said.splitlines()[1].startswith(f"pem-train: {complaint}: ")


def test_snapshots_of_earlier_versions_are_resumed_and_damaged_ones_are_one_line(run: Run, tmp_path: Path) -> None:
    assert run(*FEW)[0] == 0
    path = tmp_path / "out" / FILE_NAME
    whole = torch.load(path)
    torch.save({key: value for key, value in whole.items() if key not in ("license", "mean", "std")}, path)
    assert run(*FEW, "--resume")[0] == 0
    for key, value in (
        ("license", 1),
        ("mean", "red"),
        ("std", torch.ones(2)),
        ("settings", {}),
        ("settings", {"clip": "much"}),
        ("classes", [1, 2, 3]),
        ("step", -1),
        ("step", 10**30),
        ("step", True),
        ("settings", {"clip": -1.0}),
        ("settings", {"clip": 1.0, 7: 8}),
        ("model", {"decoder.class_head.bias": 1}),
    ):
        torch.save({**whole, key: value}, path)
        code, _, said = run(*FEW, "--resume")
        assert (code, len(said.splitlines())) == (1, 2)
        assert f"{path} is " in said


def named(*names: str) -> tuple[Label, ...]:
    return tuple(Label(index, name, True, (0, 0, index)) for index, name in enumerate(names))


@pytest.mark.parametrize(
    ("theirs", "ours", "said"),
    [
        (("wall", "sky"), ("wall", "sky"), ""),
        (("wall", "Sky, heaven"), ("Wall", "sky"), ""),
        (None, ("wall", "sky"), "has as many classes as the dataset, 2, and no names of them: taken for the same"),
        (("wall", "sky"), ("wall", "sea"), "anew, for classes of other names, such as 'sea' instead of 'sky'"),
        (("wall", "sky"), ("sky", "wall"), "anew, for classes of other names, such as 'sky' instead of 'wall'"),
        (("墙", "天"), ("天", "墙"), "anew, for classes of other names, such as '天' instead of '墙'"),
        (("wall", "sky"), ("wall", "sky", "sea"), "anew, for 3 classes instead of 2"),
        (None, ("wall", "sky", "sea"), "anew, for 3 classes instead of 2"),
    ],
)
def test_the_class_head_stays_for_the_same_classes(
    theirs: tuple[str, ...] | None, ours: tuple[str, ...], said: str
) -> None:
    known = None if theirs is None else named(*theirs)
    checkpoint = Checkpoint(TINY.build(2), Description(known), Place("their.pth", (Path("their.pth"),)), ())
    head, heard = checkpoint.model.decoder.class_head, list[str]()
    if "anew" in said:
        with pytest.raises(TrainingError, match=r"their\.pth would start anew, for .* and --qat needs a trained one"):
            fit_class_head(checkpoint, named(*ours), heard.append, must_stay=True)
    fit_class_head(checkpoint, named(*ours), heard.append, must_stay="anew" not in said)
    assert (checkpoint.model.decoder.class_head is head) == ("anew" not in said)
    assert checkpoint.model.num_classes == len(ours)
    assert len(heard) == bool(said)
    assert said in "".join(heard)


def test_the_help_imports_nothing_heavy_and_pytorch_is_named_where_it_is_missing() -> None:
    code = (
        "import contextlib, sys\n"
        "from pem_edge.pem.cli.train import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        f"print(*(sys.modules.keys() & {HEAVY!r}), file=sys.stderr)\n"
        "sys.modules['torch'] = None\n"
        "sys.exit(main(['--dataset', 'toy:4']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "--revision REV" in done.stdout
    assert done.stderr.splitlines() == [
        "",
        f"pem-train: training needs PyTorch, which is not installed: {how_to_install('train')}",
    ]


def test_only_names_on_the_hub_need_its_library(folder: Path, tmp_path: Path) -> None:
    """Where it is missing, files are read all the same: that the demo's classes do not suit is known afterwards."""
    start = arguments(folder, tmp_path / "out", *FEW, "--qat", variant=None)
    code = (
        "import sys\n"
        "sys.modules['huggingface_hub'] = None\n"
        "from pem_edge.pem.cli.train import main\n"
        f"for name in ('demo', 'somebody/model'): main([*{start}, '--weights', name])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    of_file, of_name = done.stderr.splitlines()[1::2]
    assert "the class head of demo would start anew" in of_file
    assert f"huggingface_hub is not installed: {how_to_install('hub')}" in of_name


@pytest.mark.exhaustive
def test_a_folder_of_transformers_is_a_start(run: Run, tmp_path: Path) -> None:
    from reference.huggingface import folders

    names = [label.name for label in LABELS]
    folders.write(
        folders.build("swin-tiny", names, queries=20, decoder_layers=2),
        tmp_path / "theirs",
        {"height": 64, "width": 64},
    )
    code, _, said = run("--weights", str(tmp_path / "theirs"), *FEW, variant=None)
    assert code == 0, said
    assert "anew" not in said
    found = checkpoints.open_checkpoint(tmp_path / "out" / "mask2former-swin-t.safetensors")
    assert (found.model.num_queries, len(found.model.decoder.layers)) == (20, 1)


def test_a_family_that_is_not_trained_here_is_told(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(pem.VARIANTS, TINY_EOMT.name, TINY_EOMT)
    pem.save(TINY_EOMT.build(3), tmp_path / "eomt.safetensors", task="panoptic")
    for options in (["--weights", str(tmp_path / "eomt.safetensors")], ["--variant", TINY_EOMT.name]):
        code, _, said = run(*options, *STILL, variant=None)
        assert code == 1
        assert "tiny-eomt is not trained here, as its training needs attention masks" in said.splitlines()[-1]
        assert "https://github.com/tue-mps/eomt" in said.splitlines()[-1]
