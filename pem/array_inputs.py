"""Images for a loaded model: tensors, or arrays of NumPy, checked before the model sees them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pem_edge.pem.model import MaskClassifier
from pem_edge.runtime.errors import InputError

_EXPECTED = "uint8 RGB, (N, height, width, 3) or (height, width, 3)"


def take_arrays(model: MaskClassifier) -> MaskClassifier:
    """Let a model take arrays and single images, too, and return it. Its graph stays as it is, as this runs before.

    Raises:
        InputError: The model, if images have another type, shape or size than it takes.
    """
    model.register_forward_pre_hook(_prepare)
    return model


def _prepare(model: nn.Module, arguments: tuple[object, ...]) -> tuple[Tensor] | None:
    """Return the arguments of `MaskClassifier.forward`; None to leave them as they are."""
    if len(arguments) != 1 or not isinstance(model, MaskClassifier):
        return None
    images = _to_tensor(arguments[0], next(model.parameters()).device)
    if images.ndim == 3:
        images = images[None]
    if images.ndim != 4 or images.shape[3] != 3:
        cure = "permute(0, 2, 3, 1)" if images.ndim == 4 and images.shape[1] == 3 else "give RGB"
        raise InputError(f"images have shape {tuple(images.shape)}, expected {_EXPECTED}: {cure}")
    multiple = model.multiple_of
    height, width = images.shape[1:3]
    if height % multiple or width % multiple or not height * width:
        fitting = "x".join(str(max(1, -(-side // multiple)) * multiple) for side in (height, width))
        raise InputError(
            f"images are {height}x{width}, expected multiples of {multiple}: pad or resize them to {fitting}, or run "
            "an exported model, which does that"
        )
    return (images,)


def _to_tensor(images: object, device: torch.device) -> Tensor:
    if isinstance(images, np.ndarray):
        _require_uint8(str(images.dtype), "uint8")
        return torch.tensor(np.ascontiguousarray(images), device=device)
    if isinstance(images, Tensor):
        _require_uint8(str(images.dtype), "torch.uint8")
        return images
    raise InputError(
        f"images are a {type(images).__name__}, expected a tensor or an array of {_EXPECTED}: convert them"
    )


def _require_uint8(kind: str, expected: str) -> None:
    if kind != expected:
        raise InputError(f"images are {kind}, expected {_EXPECTED}: scale them to 0 to 255 and convert them to uint8")
