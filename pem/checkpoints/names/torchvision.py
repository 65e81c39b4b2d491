"""Translates the tensor names of torchvision's and timm's ResNets into those of our backbone."""

from __future__ import annotations

from pem_edge.pem.checkpoints.names.rules import compiled, translate

_RENAMED = compiled(
    (
        *((rf"^layer{stage}\.", f"res{stage + 1}.") for stage in range(1, 5)),
        (r"^conv1\.", "stem.conv."),
        (r"^bn1\.", "stem.bn."),
        (r"^(res\d\.\d+)\.conv(\d)\.", r"\1.conv\2.conv."),
        (r"^(res\d\.\d+)\.bn(\d)\.", r"\1.conv\2.bn."),
        (r"^(res\d\.\d+)\.downsample\.0\.", r"\1.shortcut.conv."),
        (r"^(res\d\.\d+)\.downsample\.1\.", r"\1.shortcut.bn."),
    )
)


def our_name(key: str) -> str:
    """Return our name, within the backbone, of the tensor ``key``."""
    return translate(key, _RENAMED)
