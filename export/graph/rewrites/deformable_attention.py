"""Put one node in the place of the sampling of deformable attention: that of the plugin that comes with TensorRT."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pem_edge.pem.layers.deformable_attention import (
    DeformableAttention,
    DeformableSampling,
    LevelSize,
    pixel_centers,
    pixel_sizes,
)

NVIDIA_DOMAIN, NVIDIA_OPERATOR = "nvidia", "MultiscaleDeformableAttnPlugin_TRT"
"""TensorRT's parser goes by the operator's name alone; the domain keeps checkers of ONNX from asking for a schema."""


def use_nvidia_attention(model: nn.Module) -> None:
    """Rewrite ``model`` in place; from then on it can be traced to ONNX, not run."""
    for module in model.modules():
        if isinstance(module, DeformableAttention):
            module.operator = NvidiaSampling()


class NvidiaSampling(DeformableSampling):
    """Called as `DeformableSampling`; becomes NVIDIA's node when traced.

    That takes the values as they are, places from 0 to 1 over the outer edges of a map, and weights that sum to 1.
    """

    def forward(self, values: Tensor, offsets: Tensor, scores: Tensor, sizes: Sequence[LevelSize]) -> Tensor:
        """See `DeformableSampling.forward`."""
        n, length, heads, levels, points, _ = offsets.shape
        places = (
            offsets * pixel_sizes(sizes, offsets).reshape(levels, 1, 2)
            + pixel_centers(sizes, offsets)[:, None, None, None]
        )
        weights = scores.softmax(-1).reshape(n, length, heads, levels, points)
        shapes = torch.tensor(sizes, dtype=torch.int32, device=values.device)
        lengths = shapes.prod(1, dtype=torch.int32)
        starts = lengths.cumsum(0, dtype=torch.int32) - lengths
        attended: Tensor = torch.onnx.ops.symbolic(
            f"{NVIDIA_DOMAIN}::{NVIDIA_OPERATOR}",
            (values, shapes, starts, places * 0.5 + 0.5, weights),
            dtype=values.dtype,
            shape=(n, length, heads, values.shape[3]),
        )
        return attended.flatten(2)
