"""Light and haze: the color of a lit surface in a given weather at a given distance."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pem_edge.runtime.datasets.toy_streets.painting.canvas import Color

WEATHERS = {"clear": 0.36, "overcast": 0.22, "fog": 0.1, "dusk": 0.16, "rain": 0.16}
"""Probability of each weather."""


@dataclass(frozen=True)
class Light:
    """The light of one weather.

    Attributes:
        weather: A key of WEATHERS.
        sun: The unit vector that points to the sun.
        ambient: The brightness that every surface has, 0 to 1.
        direct: The brightness that the sun adds to a surface that it shines on directly, 0 to 1.
        tone: The factors of red, green and blue.
        visibility: The distance in meters at which contrast has dropped to 1 / e.
        zenith: The color of the sky at the top.
        haze: The color of the sky at the horizon and of distant objects.
        clouds: The amount of clouds, 0 to 1.
        lamps: Whether lamps are lit.
    """

    weather: str
    sun: tuple[float, float, float]
    ambient: float
    direct: float
    tone: Color
    visibility: float
    zenith: Color
    haze: Color
    clouds: float
    lamps: bool

    def sunlight(self, x: float, y: float, z: float) -> float:
        """Return how directly the sun shines on a surface with the unit normal (x, y, z), 0 to 1 (Lambert's cosine)."""
        return max(0.0, x * self.sun[0] + y * self.sun[1] + z * self.sun[2])

    def shade(self, color: Color, sunlight: float, z: float) -> Color:
        """Return the color of a surface of ``color`` at ``z`` meters, which may exceed 255. ``sunlight`` is 0 to 1."""
        clear = math.exp(-max(z, 0.0) / self.visibility)
        lit, air = clear * (self.ambient + self.direct * sunlight), 1 - clear
        (r, g, b), tone, haze = color, self.tone, self.haze
        return r * lit * tone[0] + air * haze[0], g * lit * tone[1] + air * haze[1], b * lit * tone[2] + air * haze[2]


def random_light(rng: np.random.Generator) -> Light:
    """Return the light of a random weather."""
    weather = str(rng.choice(list(WEATHERS), p=list(WEATHERS.values())))
    azimuth, elevation = rng.uniform(-math.pi, math.pi), rng.uniform(0.35, 1.2)
    sun = (math.cos(elevation) * math.sin(azimuth), math.sin(elevation), math.cos(elevation) * math.cos(azimuth))
    warmth, gray = rng.uniform(-0.06, 0.08), rng.uniform(-15, 15)
    day = (1 + warmth, 1.0, 1 - warmth)
    if weather == "clear":
        blue = (rng.uniform(50, 110), rng.uniform(120, 165), rng.uniform(205, 245))
        pale = (200 + gray, 218 + gray, 236 + gray / 2)
        return Light(weather, sun, 0.5, 0.62, day, rng.uniform(300, 900), blue, pale, rng.uniform(0, 0.7), False)
    if weather == "dusk":
        sun = (sun[0], 0.25, sun[2])
        deep = (rng.uniform(35, 70), rng.uniform(45, 80), rng.uniform(90, 130))
        glow = (rng.uniform(170, 240), rng.uniform(120, 160), rng.uniform(90, 140))
        tone = (1.02, 0.92, 1.0)
        return Light(weather, sun, rng.uniform(0.3, 0.5), 0.15, tone, 350, deep, glow, rng.uniform(0, 0.6), True)
    level = {"overcast": 205, "fog": 200, "rain": 150}[weather] + gray
    haze = (level, level + 3, level + 8)
    top = (level - 25, level - 17, level - 5)
    visibility = {"overcast": 400.0, "fog": rng.uniform(35, 80), "rain": 160.0}[weather]
    ambient = {"overcast": 0.72, "fog": 0.75, "rain": 0.55}[weather]
    return Light(weather, sun, ambient, 0.12, day, visibility, top, haze, 0.5, weather == "rain" and gray < 0)
