"""EoMT's weights are the same from transformers' folders, from files of its authors, and from our own."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pem_edge import pem
from pem_edge.pem.checkpoints import Checkpoint, Description, open_checkpoint
from pem_edge.pem.checkpoints.names import eomt as names
from pem_edge.pem.eomt import EoMT
from pem_edge.pem.variants import VARIANTS
from pem_edge.pem.variants.encoder_only import EoMTVariant
from reference.huggingface import eomt
from reference.huggingface.folders import change_json
from tests.pem.checkpoints.eomt.conftest import CLASSES, QUERIES, SIDE

State = dict[str, Tensor]

LAYOUTS: dict[str, tuple[str, Callable[[State], Any]]] = {
    "the authors'": ("pytorch_model.bin", eomt.authors_file),
    "the authors' network": ("network.pth", eomt.authors_state),
    "compiled": ("compiled.bin", lambda state: eomt.authors_file(state, "network._orig_mod.")),
    "in parallel": ("parallel.pth", lambda state: {"model": eomt.authors_file(state, "module.network.")}),
    "Lightning's": (
        "epoch=11.ckpt",
        lambda state: {"state_dict": eomt.authors_file(state), "hyper_parameters": {"lr": 1e-4}, "loops": {}},
    ),
    "transformers' in a trainer": (
        "last.ckpt",
        lambda state: {"state_dict": {f"model.{name}": each for name, each in state.items()}},
    ),
}
"""Names of files, and what they hold of a model of transformers."""


def assert_same_weights(found: pem.MaskClassifier, expected: pem.MaskClassifier) -> None:
    assert found.variant == expected.variant
    ours, others = found.state_dict(), expected.state_dict()
    assert ours.keys() == others.keys()
    assert [name for name, tensor in ours.items() if not torch.equal(tensor, others[name])] == []


def copied(folder: Path, to: Path) -> Path:
    """Return a copy of ``folder`` whose weights are a hard link."""
    to.mkdir(parents=True)
    for each in folder.glob("*.json"):
        shutil.copy(each, to)
    os.link(folder / "model.safetensors", to / "model.safetensors")
    return to


def test_a_folder_opens_with_all_that_its_files_say(opened: Checkpoint) -> None:
    model, known = opened.model, opened.description
    assert isinstance(model, EoMT)
    assert (model.variant, model.num_classes, model.num_queries) == ("eomt-s", len(CLASSES), QUERIES)
    assert (len(model.backbone.blocks), len(model.decoder.layers)) == (9, 3)
    assert len(model.backbone.prefix) == 1 + 4
    assert known.labels is not None
    assert [label.name for label in known.labels] == CLASSES
    assert (known.task, known.size, known.license) == ("panoptic", (SIDE, SIDE), None)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_other_files_hold_the_same_weights(layout: str, state: State, opened: Checkpoint, tmp_path: Path) -> None:
    name, content = LAYOUTS[layout]
    torch.save(content(state), tmp_path / name)
    checkpoint = open_checkpoint(tmp_path / name, print)
    assert_same_weights(checkpoint.model, opened.model)
    assert checkpoint.description == Description(size=(SIDE, SIDE))


def test_weights_without_their_folder_are_of_the_size_of_their_positions(
    folder: Path, opened: Checkpoint, tmp_path: Path
) -> None:
    os.link(folder / "model.safetensors", tmp_path / "alone.safetensors")
    checkpoint = open_checkpoint(tmp_path / "alone.safetensors", print)
    assert_same_weights(checkpoint.model, opened.model)
    assert checkpoint.description.size == (SIDE, SIDE)


def test_a_folder_may_have_the_authors_file_alone(
    folder: Path, state: State, opened: Checkpoint, tmp_path: Path
) -> None:
    theirs = copied(folder, tmp_path / "theirs-panoptic")
    (theirs / "model.safetensors").unlink()
    torch.save(eomt.authors_file(state), theirs / "pytorch_model.bin")
    checkpoint = open_checkpoint(theirs, print)
    assert_same_weights(checkpoint.model, opened.model)
    assert checkpoint.description == opened.description


def test_a_configuration_of_another_tool_leaves_it_to_the_tensors(
    folder: Path, opened: Checkpoint, tmp_path: Path
) -> None:
    other = copied(folder, tmp_path / "other-panoptic")
    (other / "config.json").write_text(json.dumps({"lr": 1e-4, "num_attention_heads": 6}))
    assert_same_weights(open_checkpoint(other, print).model, opened.model)


@pytest.mark.parametrize(("side", "layers", "registers"), [(3, 2, 0), (7, 5, 8)])
def test_what_varies_of_a_variant_survives_saving(side: int, layers: int, registers: int, tmp_path: Path) -> None:
    usual = VARIANTS["eomt-s"]
    assert isinstance(usual, EoMTVariant)
    model = replace(usual, side=side, layers=layers, registers=registers).build(4, 6)
    pem.save(model, tmp_path / "ours.safetensors")
    again = open_checkpoint(tmp_path / "ours.safetensors", print)
    assert_same_weights(again.model, model)
    assert isinstance(again.model, EoMT)
    assert (len(again.model.decoder.layers), len(again.model.backbone.prefix)) == (layers, 1 + registers)
    assert again.model.trained_size == again.description.size == (16 * side, 16 * side)


@pytest.mark.parametrize(("blocks", "with_queries"), [(12, 3), (24, 4)])
def test_without_probabilities_as_many_blocks_have_queries_as_published(blocks: int, with_queries: int) -> None:
    state = {f"layers.{index}.norm1.weight": torch.ones(4) for index in range(blocks)}
    renamed = names.rename(state, "weights")
    expected = {f"decoder.layers.{index}.norm1.weight" for index in range(with_queries)}
    assert {name for name in renamed if name.startswith("decoder.")} == expected
    assert len(renamed) == blocks


@pytest.mark.parametrize(
    ("name", "task"), [("ade20k_eomt_large_512", "semantic"), ("roads-instance", "instance"), ("semantic", "semantic")]
)
def test_images_that_are_to_be_split_are_those_of_semantic_models(
    name: str, task: str, folder: Path, tmp_path: Path
) -> None:
    """Unless the name says another task."""
    windows = copied(folder, tmp_path / name)
    change_json(
        windows / "preprocessor_config.json", do_split_image=True, size={"shortest_edge": 512, "longest_edge": None}
    )
    said: list[str] = []
    known = open_checkpoint(windows, said.append).description
    assert (known.task, known.size) == (task, (SIDE, SIDE))
    assert not [line for line in said if line.startswith("nothing says what")]


def test_a_copy_of_a_public_model_is_what_is_published_of_it(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "coco_instance_eomt_large_640")
    change_json(copy / "preprocessor_config.json", do_split_image=True, size=None)
    known = open_checkpoint(copy, print).description
    assert (known.task, known.license, known.size) == ("instance", "MIT", (SIDE, SIDE))


def test_a_folder_called_like_a_file_of_a_zoo_is_not_that_file(folder: Path, tmp_path: Path) -> None:
    copy = copied(folder, tmp_path / "r50_proscale_3_3_3_coco.pth")
    assert open_checkpoint(copy, lambda _text: None).description.license is None


def test_the_size_of_the_positions_counts_whatever_sizes_a_file_gives(
    folder: Path, opened: Checkpoint, tmp_path: Path
) -> None:
    other = copied(folder, tmp_path / "other-panoptic")
    change_json(other / "preprocessor_config.json", size={"shortest_edge": 640, "longest_edge": 1333})
    assert open_checkpoint(other, print).description.size == opened.description.size == (SIDE, SIDE)
