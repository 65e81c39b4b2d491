"""The classes of toy streets, with the names and colors Cityscapes has for them."""

from __future__ import annotations

from collections.abc import Sequence

from pem_edge.runtime.artifacts.labels import Label

_STUFF = ("road", "sidewalk", "building", "fence", "pole", "vegetation", "terrain", "sky")
_THINGS = ("traffic light", "traffic sign", "person", "rider", "car", "truck", "bus")
_COLORS = {
    "road": (128, 64, 128),
    "sidewalk": (244, 35, 232),
    "building": (70, 70, 70),
    "fence": (190, 153, 153),
    "pole": (153, 153, 153),
    "vegetation": (107, 142, 35),
    "terrain": (152, 251, 152),
    "sky": (70, 130, 180),
    "traffic light": (250, 170, 30),
    "traffic sign": (220, 220, 0),
    "person": (220, 20, 60),
    "rider": (255, 0, 0),
    "car": (0, 0, 142),
    "truck": (0, 0, 70),
    "bus": (0, 60, 100),
}

LABELS = tuple(Label(i, name, name in _THINGS, _COLORS[name]) for i, name in enumerate((*_STUFF, *_THINGS)))
"""Eight classes of stuff, then seven of things. A rider includes the bicycle, a fence may be a wall."""


def are_of_toys(labels: Sequence[Label]) -> bool:
    """Return whether these are the classes of toy streets, which no other set of labels has."""
    return [(each.name, each.isthing) for each in labels] == [(each.name, each.isthing) for each in LABELS]
