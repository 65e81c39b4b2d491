"""The sizes of an image, of the model's input and of the results, all (height, width) in pixels."""

from __future__ import annotations

from dataclasses import dataclass

STRIDE = 4
"""Stride of the mask logits, in pixels of the model's input."""


@dataclass(frozen=True)
class Geometry:
    """The sizes of an image on its way through the model, (height, width) in pixels.

    Attributes:
        padded_size: The size of the model's input.
        image_size: The size of the top left part of the input that holds the image; the rest is padding.
        output_size: The size of the results.

    Raises:
        ValueError: If a size is not positive, the image is larger than the input, or the input is not a multiple of 4.
    """

    padded_size: tuple[int, int]
    image_size: tuple[int, int]
    output_size: tuple[int, int]

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            if len(size) != 2 or min(size) < 1:
                raise ValueError(f"{name} is {size}, expected a positive (height, width)")
        if any(padded % STRIDE for padded in self.padded_size):
            raise ValueError(f"padded_size is {self.padded_size}, expected multiples of {STRIDE}")
        if any(image > padded for image, padded in zip(self.image_size, self.padded_size, strict=True)):
            raise ValueError(f"image_size {self.image_size} does not fit into padded_size {self.padded_size}")

    @property
    def mask_size(self) -> tuple[int, int]:
        """The size of the mask logits."""
        return self.padded_size[0] // STRIDE, self.padded_size[1] // STRIDE
