"""Loads backbone weights from ImageNet classifiers: torchvision's and timm's ResNet-50, the published STDC and Swin."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from pem_edge.pem import checkpoints
from pem_edge.pem.checkpoints.names import detectron2, torchvision
from pem_edge.pem.model import PEM
from pem_edge.runtime.errors import CheckpointError
from pem_edge.runtime.progress import Say

_OPTIONAL = re.compile(r"num_batches_tracked$|^norms\.\d")
"""Matches tensors that classifiers may lack: BatchNorm's counters, and the norms of Swin's feature maps."""


def load_backbone(model: PEM, path: Path, say: Say) -> None:
    """Load the weights of the backbone of ``model``, in place.

    Args:
        model: A model of any variant.
        path: A ``.pth``, ``.tar`` or ``.safetensors`` file: a ResNet-50 of torchvision or timm, or an STDC or Swin
            Transformer as their authors published it.
        say: Told what the file has besides these weights.

    Raises:
        CheckpointError: If the file is missing or damaged, or does not fit the backbone.
    """
    state = {_our_name(key): tensor for key, tensor in checkpoints.read(path, say).items()}
    needed = model.backbone.state_dict()
    missing = [name for name in needed if name not in state and not _OPTIONAL.search(name)]
    misshapen = [name for name in needed if name in state and state[name].shape != needed[name].shape]
    if missing or misshapen:
        raise CheckpointError(
            f"{path} does not fit the backbone of {model.variant}: {len(missing)} tensors are missing"
            f"{_example(missing)}, {len(misshapen)} have another shape{_example(misshapen)}"
        )
    fitting: dict[str, Tensor] = {name: state.get(name, tensor) for name, tensor in needed.items()}
    model.backbone.load_state_dict(fitting)


def _our_name(key: str) -> str:
    key = key.removeprefix("backbone.")
    if key.startswith(("features.", "patch_embed.", "layers.")):
        return detectron2.our_name(f"backbone.{key}").removeprefix("backbone.")
    return torchvision.our_name(key)


def _example(names: list[str]) -> str:
    return f" (such as {names[0]})" if names else ""
