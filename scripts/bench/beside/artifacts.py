"""Makes what is measured: weights by formula with which some queries are certain, their artifacts, and a picture."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from pem_edge import pem
from pem_edge.pem import checkpoints
from pem_edge.pem.model import Normalization
from pem_edge.runtime.artifacts import labels
from pem_edge.runtime.datasets.toy_streets import ToyStreets
from reference import published_models
from reference.huggingface import folders
from scripts.bench.beside.cases import SWIN, Case, Files
from scripts.bench.beside.certainty import make_certain, narrow_masks

COVERED = 0.05
"""Share of the picture that each mask of transformers' model covers; those of the weights by formula vary."""


def write(case: Case, files: Files, checkout: Path) -> None:
    """Write those ``files`` that are not there yet, artifacts with the pem_edge of ``checkout``.

    INT8 is left out where the export refuses it.
    """
    files.picture.parent.mkdir(parents=True, exist_ok=True)
    if not files.picture.exists():
        np.save(files.picture, ToyStreets(1, case.height, case.width, seed=7)[0].image)
    if not files.weights.exists():
        picture = torch.from_numpy(np.load(files.picture)[None])
        (_write_transformers if case == SWIN else _write_ours)(case, files.weights, picture)
    files.single.parent.mkdir(exist_ok=True)
    if not files.single.exists() and (code := _export(case, checkout, files.weights, files.single)):
        sys.exit(code)
    if not files.int8.exists():
        with TemporaryDirectory() as folder:
            Image.fromarray(np.load(files.picture)).save(Path(folder) / "picture.png")  # speed depends on no others
            options = ("--precision", "int8", "--calib", folder, "--calib-method", "mse")
            _export(case, checkout, files.weights, files.int8, *options)


def _write_ours(case: Case, path: Path, picture: Tensor) -> None:
    """Write weights by formula, with which queries stay apart and their masks cover some of the picture."""
    with TemporaryDirectory() as folder:
        published = f"{case.variant.replace('-', '_')}_cityscapes"
        model = pem.load(published_models.write_checkpoint(published, Path(folder)))
    make_certain(model.get_submodule("decoder.class_head"), lambda: model(picture)[1][0])
    checkpoints.save(model, path)


def _write_transformers(case: Case, folder: Path, picture: Tensor) -> None:
    model = folders.build("swin-tiny", [each.name for each in labels.load("coco_panoptic")])
    _keep_apart(model)
    pixels, module = Normalization()(picture), model.model

    def predict_masks() -> Tensor:
        masks: Tensor = model(pixel_values=pixels).masks_queries_logits[0]
        return masks

    embed = module.transformer_module.decoder.mask_predictor.mask_embedder
    narrow_masks(embed, module.pixel_level_module.decoder.mask_projection, predict_masks, COVERED)
    make_certain(model.class_predictor, predict_masks)
    folders.write(model, folder, {"height": case.height, "width": case.width})


@torch.no_grad()
def _keep_apart(model: nn.Module) -> None:
    """Keep queries apart, and with them their masks: with random weights, biases and attention make all alike."""
    generator = torch.Generator().manual_seed(0)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):
            parameter.sub_(1)
        elif ".queries_" in name:
            parameter.normal_(generator=generator)
        elif ".decoder.layers." in name and "out_proj" in name:
            parameter.mul_(0.1)


def _export(case: Case, checkout: Path, weights: Path, path: Path, *options: str) -> int:
    arguments = ["--weights", weights, "--size", case.size, *options, "-o", path]
    command = [sys.executable, "-m", "pem_edge.export.cli.export", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    return subprocess.run(command, cwd=checkout, env=environment, stdout=sys.stderr, check=False).returncode
