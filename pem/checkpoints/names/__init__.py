"""The names of tensors: ours, and those of the codes that models are trained with."""

from __future__ import annotations

from torch import Tensor

from pem_edge.pem.checkpoints.names import detectron2, eomt, huggingface, openmmlab


def to_ours(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    """Return the tensors of ``state`` under our names, without those that the model does not need.

    Names that are nobody's stay as they are.

    Args:
        state: Tensors by the names of any code that is known, or by ours.
        source: What to call the checkpoint in an error message.

    Raises:
        CheckpointError: If two names of one tensor have different values.
    """
    if huggingface.recognizes(state):
        return huggingface.rename(state, source)
    if eomt.recognizes(state):
        return eomt.rename(state, source)
    if openmmlab.recognizes(state):
        return openmmlab.rename(state, source)
    return detectron2.rename(state, source)
