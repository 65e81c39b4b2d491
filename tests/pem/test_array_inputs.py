"""A loaded model takes NumPy's arrays and single images as it takes tensors, and refuses others in one line."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pem_edge import pem
from pem_edge.pem.model import MaskClassifier
from pem_edge.runtime.errors import InputError


@pytest.fixture(scope="module")
def model() -> MaskClassifier:
    return pem.load("demo")


IMAGES = np.random.default_rng(0).integers(0, 256, (2, 64, 96, 3), np.uint8)


@torch.no_grad()
def test_arrays_and_single_images_give_what_tensors_give(model: MaskClassifier) -> None:
    expected = model(torch.from_numpy(IMAGES))
    frozen = IMAGES.copy()
    frozen.flags.writeable = False
    for images in (IMAGES, frozen, IMAGES[::-1, ::-1][::-1, ::-1]):
        for found, wanted in zip(model(images), expected, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)
    alone = model(IMAGES[:1])
    for image in (IMAGES[0], torch.from_numpy(IMAGES[0])):
        for found, wanted in zip(model(image), alone, strict=True):
            torch.testing.assert_close(found, wanted, rtol=0, atol=0)


@torch.no_grad()
def test_copies_take_arrays_too(model: MaskClassifier) -> None:
    for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(copied(IMAGES)[0], model(IMAGES)[0])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (IMAGES / 255, "images are float64, expected uint8 RGB, .*: scale them to 0 to 255 and convert them to uint8"),
        (torch.zeros(1, 64, 64, 3), "images are torch.float32, expected uint8"),
        (IMAGES.transpose(0, 3, 1, 2), r"images have shape \(2, 3, 64, 96\), expected .*: permute\(0, 2, 3, 1\)"),
        (IMAGES[..., :1], r"images have shape \(2, 64, 96, 1\), expected .*: give RGB"),
        (IMAGES[0, :, :, 0], r"images have shape \(64, 96\)"),
        (IMAGES[:, :50, :90], "images are 50x90, expected multiples of 32: pad or resize them to 64x96"),
        (np.zeros((1, 0, 64, 3), np.uint8), "images are 0x64, expected multiples of 32: .* 32x64"),
        ([IMAGES[0]], "images are a list, expected a tensor or an array"),
        ("street.jpg", "images are a str, expected a tensor or an array"),
    ],
)
def test_other_images_are_refused_in_one_line(model: MaskClassifier, images: NDArray[np.uint8], message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        model(images)
