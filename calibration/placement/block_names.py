"""Groups of a model's convolutions and linear layers, by module, that are quantized or kept together."""

from __future__ import annotations

import re

_BLOCKS = (
    r"backbone\.(?:features|res\d)\.\d+",
    r"backbone\.stages\.\d\.\d+\.attention",
    r"backbone\.stages\.\d\.\d+",
    r"backbone\.\w+",
    r"pixel_decoder\.encoder\.layers\.\d+\.\w+",
    r"pixel_decoder\.levels\.\d+\.\w+",
    r"pixel_decoder\.\w+(?:\.\d+)?",
    r"decoder\.layers\.\d+\.\w+",
    r"decoder\.\w+(?:\.\d+)?",
)
"""What a block's name looks like; the first that matches the start of a node's name."""


def block_of(node: str) -> str:
    """Return the block of the node called ``node``, such as ``backbone.features.3``.

    A node that comes from no module of the tables above is a block of its own.
    """
    module = node.partition("/")[0]
    found = next((match for pattern in _BLOCKS if (match := re.match(pattern, module))), None)
    return found[0] if found else node
