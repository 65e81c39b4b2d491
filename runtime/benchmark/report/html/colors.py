"""One color an artifact, in light and in dark, told apart with every kind of color vision (and numbered besides)."""

from __future__ import annotations

LIGHT = ("#1f5fd0", "#d4700f", "#401993", "#8e6a85", "#aa3f11", "#8f81e8", "#6f1b0d", "#6b4862")
DARK = ("#6aa5ff", "#f0a04a", "#77fcbb", "#b07397", "#d44f13", "#6f6de8", "#f2e32f", "#b7cbf3")
"""Chosen for the largest least distance in OKLab as seen with protanopia, deuteranopia, tritanopia and none."""

_BLACK, _WHITE = "#000000", "#ffffff"


def styles() -> str:
    """Return CSS: the classes ``artifact-1`` and so on set ``--artifact`` and, for text on it, ``--on-artifact``."""
    dark = f"@media (prefers-color-scheme: dark) {{ {_rules(DARK)} }}"
    return f"{_rules(LIGHT)}\n@media not print {{ {dark} }}"


def css_class(number: int) -> str:
    """Return the class of the artifact of that number, from 1; colors start again after the last."""
    return f"artifact-{(number - 1) % len(LIGHT) + 1}"


def ink(color: str) -> str:
    """Return black or white, whichever is the more legible on ``color``."""
    return max((_BLACK, _WHITE), key=lambda text: contrast(text, color))


def contrast(first: str, second: str) -> float:
    """Return the contrast, 1 to 21, as in https://www.w3.org/TR/WCAG21/#dfn-contrast-ratio."""
    low, high = sorted((_luminance(first), _luminance(second)))
    return (high + 0.05) / (low + 0.05)


def _luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * value for weight, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _rules(colors: tuple[str, ...]) -> str:
    return " ".join(
        f".artifact-{number} {{ --artifact: {color}; --on-artifact: {ink(color)}; }}"
        for number, color in enumerate(colors, 1)
    )
