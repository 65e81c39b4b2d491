"""Random changes of an image's colors and sharpness, which leave its segments where they are."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

# Ranges of the color changes of SSD (Liu et al., ECCV 2016), which Mask2Former uses.
_BRIGHTNESS = 32.0
_CONTRAST = _SATURATION = (0.5, 1.5)
_HUE_DEGREES = 18.0

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_RGB_TO_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]], np.float32)

_DEGRADED = 0.3
"""Probability of a blur, and that of a compression."""

_SIGMA = (0.3, 1.5)
"""Range of the standard deviation of a blur, in pixels of the view."""

_QUALITY = (30, 95)
"""Range of JPEG's quality."""


def jitter_colors(image: NDArray[np.uint8], random: Generator) -> NDArray[np.uint8]:
    """Return ``image`` with brightness, contrast, saturation and hue changed at random, each with probability 1/2.

    All changes are linear, so they are combined into one 3x4 matrix that is applied to each pixel once.
    """
    matrix: NDArray[np.floating] = np.eye(3)
    offset: NDArray[np.floating] = np.zeros((3, 1))
    if random.random() < 0.5:
        offset += random.uniform(-_BRIGHTNESS, _BRIGHTNESS)
    if random.random() < 0.5:
        contrast = random.uniform(*_CONTRAST)
        matrix, offset = matrix * contrast, offset * contrast
    if random.random() < 0.5:
        saturation = random.uniform(*_SATURATION)
        matrix = (saturation * np.eye(3) + (1 - saturation) * _LUMA[None]) @ matrix
    if random.random() < 0.5:
        matrix = _hue_rotation(random.uniform(-_HUE_DEGREES, _HUE_DEGREES)) @ matrix
    return cv2.transform(image, np.hstack([matrix, offset])).astype(np.uint8, copy=False)


def _hue_rotation(degrees: float) -> NDArray[np.floating]:
    """Return the 3x3 matrix that rotates RGB colors around the gray axis."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rotation = np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])
    in_rgb: NDArray[np.floating] = np.linalg.inv(_RGB_TO_YIQ) @ rotation @ _RGB_TO_YIQ
    return in_rgb


def blur(image: NDArray[np.uint8], random: Generator) -> NDArray[np.uint8]:
    """Return ``image``, RGB uint8 (H, W, 3), out of focus at random: most often it is unchanged."""
    if random.random() >= _DEGRADED:
        return image
    return cv2.GaussianBlur(image, (0, 0), random.uniform(*_SIGMA)).astype(np.uint8, copy=False)


def compress(image: NDArray[np.uint8], random: Generator) -> NDArray[np.uint8]:
    """Return ``image``, RGB uint8 (H, W, 3), as a JPEG of random quality shows it: most often it is unchanged."""
    if random.random() >= _DEGRADED:
        return image
    quality = int(random.integers(_QUALITY[0], _QUALITY[1] + 1))
    jpeg = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))
    return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
