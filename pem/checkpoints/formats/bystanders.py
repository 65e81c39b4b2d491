"""Loads checkpoints with PyTorch's restricted loader, without what trainers save beside the weights.

mmengine saves the history of training with them, as objects of classes of its own and of numpy. They are not needed:
each becomes an inert stand-in, which ignores whatever it is made of, and nothing of them runs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

_HISTORY = "mmengine.logging.history_buffer.HistoryBuffer"
_PARTS = (
    "builtins.getattr",
    "_codecs.encode",
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    *(f"numpy.dtypes.{kind}DType" for kind in ("Float64", "Float32", "Int64", "Int32")),
)
"""What a history is made of. Pickles name functions, too: calling a stand-in gives another one."""


class _Bystander:
    """An object that trainers save beside the weights, without its content."""

    def __new__(cls, *_: object) -> _Bystander:
        return super().__new__(cls)

    def __setstate__(self, state: object) -> None:
        """Ignore ``state``."""


def load_restricted(path: Path) -> Any:  # whatever was saved
    """Return what ``torch.save`` wrote to ``path``, with tensors on the CPU and inert objects in place of histories.

    Raises:
        Exception: Whatever ``torch.load`` raises, for instance of what is neither a tensor nor such a history.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if _HISTORY not in str(error):
            raise
    with torch.serialization.safe_globals([(_Bystander, name) for name in (_HISTORY, *_PARTS)]):
        return torch.load(path, map_location="cpu", weights_only=True)
