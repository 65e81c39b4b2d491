"""Assigns the nodes of a model to blocks, which are quantized or kept in floating point as a whole."""

from __future__ import annotations

import re

_PATTERNS = (
    r"backbone\.(?:features|res\d)\.\d+",
    r"backbone\.blocks\.\d+",
    r"backbone\.stages\.\d\.\d+\.attention",
    r"backbone\.stages\.\d\.\d+",
    r"backbone\.\w+",
    r"pixel_decoder\.encoder\.layers\.\d+\.\w+",
    r"pixel_decoder\.levels\.\d+\.\w+",
    r"pixel_decoder\.\w+(?:\.\d+)?",
    r"decoder\.layers\.\d+(?=\.(?:qkv|output|expand|contract|attention|norm[12])$)",
    r"decoder\.layers\.\d+\.\w+",
    r"decoder\.\w+(?:\.\d+)?",
)
"""Patterns of the names of blocks. The first one that matches the start of a node's name gives its block."""


def block_of(node: str) -> str:
    """Return the name of the block of the node called ``node``, such as ``backbone.features.3``.

    A node whose name matches none of the patterns is a block of its own.
    """
    module = node.partition("/")[0]
    found = next((match for pattern in _PATTERNS if (match := re.match(pattern, module))), None)
    return found[0] if found else node
