"""Where a backbone's weights start: ImageNet classifiers of torchvision, timm, and of the authors of STDC and Swin."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor

from pem_edge.pem import checkpoints
from pem_edge.pem.checkpoints.detectron2 import our_name
from pem_edge.pem.model import PEM
from pem_edge.runtime.errors import CheckpointError

_RESNET = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        *((rf"^layer{stage}\.", f"res{stage + 1}.") for stage in range(1, 5)),
        (r"^conv1\.", "stem.conv."),
        (r"^bn1\.", "stem.bn."),
        (r"^(res\d\.\d+)\.conv(\d)\.", r"\1.conv\2.conv."),
        (r"^(res\d\.\d+)\.bn(\d)\.", r"\1.conv\2.bn."),
        (r"^(res\d\.\d+)\.downsample\.0\.", r"\1.shortcut.conv."),
        (r"^(res\d\.\d+)\.downsample\.1\.", r"\1.shortcut.bn."),
    )
]

_STARTS_ANEW = re.compile(r"num_batches_tracked$|^norms\.\d")
"""What a classifier lacks: FrozenBatchNorm has no counters, and Swin no norm of each stage's map."""


def load_backbone(model: PEM, path: Path) -> None:
    """Fill the backbone of ``model`` from a ``.pth``, ``.tar`` or ``.safetensors`` file of tensors.

    It may be a ResNet-50 of torchvision or timm, an STDC or a Swin of its authors. Raises CheckpointError if it is
    damaged or does not fit.
    """
    state = {_our_name(key): tensor for key, tensor in checkpoints.read(path).items()}
    wanted = model.backbone.state_dict()
    missing = [name for name in wanted if name not in state and not _STARTS_ANEW.search(name)]
    misshapen = [name for name in wanted if name in state and state[name].shape != wanted[name].shape]
    if missing or misshapen:
        raise CheckpointError(
            f"{path} does not fit the backbone of {model.variant}: {len(missing)} tensors are missing"
            f"{_first(missing)}, {len(misshapen)} have another shape{_first(misshapen)}"
        )
    fitting: dict[str, Tensor] = {name: state.get(name, tensor) for name, tensor in wanted.items()}
    model.backbone.load_state_dict(fitting)


def _our_name(key: str) -> str:
    key = key.removeprefix("module.").removeprefix("backbone.")
    if key.startswith(("features.", "patch_embed.", "layers.")):
        return our_name(f"backbone.{key}").removeprefix("backbone.")
    for pattern, replacement in _RESNET:
        key = pattern.sub(replacement, key)
    return key


def _first(names: list[str]) -> str:
    return f" (such as {names[0]})" if names else ""
