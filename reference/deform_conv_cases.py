"""Deformable convolutions to try, and what they must give."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating]


@dataclass(frozen=True)
class Case:
    """One call of the plugin's operator, and of ONNX's DeformConv, of which the plugin's is made."""

    strides: tuple[int, int]
    pads: tuple[int, int, int, int]
    dilations: tuple[int, int]
    group: int
    offset_group: int
    relu: bool
    x: Array  # (N, C, H, W)
    weight: Array  # (C', C / group, kh, kw)
    raw: Array  # (N, 3 * offset_group * kh * kw, OH, OW): offsets, and then the mask's logits
    bias: Array  # (C',)

    @property
    def kernel_shape(self) -> tuple[int, int]:
        return self.weight.shape[2], self.weight.shape[3]

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        return self.x.shape[0], self.weight.shape[0], self.raw.shape[2], self.raw.shape[3]

    @property
    def offset(self) -> Array:
        """The offsets as a view, (N, 2 * offset_group * kh * kw, OH, OW): dy and dx of each tap."""
        return self.raw[:, : self.raw.shape[1] // 3 * 2]

    @property
    def logits(self) -> Array:
        """The mask's logits as a view, (N, offset_group * kh * kw, OH, OW)."""
        return self.raw[:, self.raw.shape[1] // 3 * 2 :]

    @property
    def mask(self) -> Array:
        """The modulation of each tap, from 0 to 1, in the type of ``raw``."""
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-self.logits)))

    @property
    def inputs(self) -> tuple[Array, Array, Array, Array, Array]:
        """The inputs of ONNX's DeformConv."""
        return self.x, self.weight, np.ascontiguousarray(self.offset), self.bias, self.mask

    @property
    def plugin_inputs(self) -> tuple[Array, Array, Array, Array]:
        """The inputs of the plugin's operator."""
        return self.x, pack(self.weight), self.raw, self.bias

    def astype(self, dtype: type[np.floating]) -> Case:
        """Return the same with inputs of another type."""
        return self._with(*(array.astype(dtype) for array in (self.x, self.weight, self.raw, self.bias)))

    def absolute(self) -> Case:
        """Return the same with every product positive: what it gives bounds the rounding errors."""
        return self._with(np.abs(self.x), np.abs(self.weight), self.raw, np.abs(self.bias))

    def _with(self, x: Array, weight: Array, raw: Array, bias: Array) -> Case:
        return replace(self, x=x, weight=weight, raw=raw, bias=bias)


def pack(weight: Array) -> Array:
    """Return (C', C / group, kh, kw) as the plugin reads it: [tap][input channel][output channel], padded with zeros.

    Input channels are padded to a multiple of 128, output channels to 64 or to a multiple of 128.
    """
    out_channels, channels, kh, kw = weight.shape
    columns = 64 if 0 < out_channels <= 64 else -(-out_channels // 128) * 128
    packed = np.zeros((kh * kw, -(-channels // 128) * 128, columns), weight.dtype)
    for tap, (row, column) in enumerate(np.ndindex(kh, kw)):
        packed[tap, :channels, :out_channels] = weight[:, :, row, column].T
    return packed


def make(
    rng: np.random.Generator,
    *,
    batch: int = 1,
    channels: int = 8,
    out_channels: int = 8,
    size: tuple[int, int] = (5, 6),
    kernel: tuple[int, int] = (3, 3),
    strides: tuple[int, int] = (1, 1),
    pads: tuple[int, int, int, int] = (1, 1, 1, 1),
    dilations: tuple[int, int] = (1, 1),
    group: int = 1,
    offset_group: int = 1,
    relu: bool = False,
    reach: float = 2.0,
) -> Case:
    """Return random inputs in float32; offsets of a standard deviation of ``reach`` pixels, logits of 1."""
    height, width = (
        (size[i] + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1 for i in (0, 1)
    )
    taps = kernel[0] * kernel[1] * offset_group

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    return Case(
        strides,
        pads,
        dilations,
        group,
        offset_group,
        relu,
        x=normal(batch, channels, *size),
        weight=normal(out_channels, channels // group, *kernel),
        raw=np.concatenate(
            [normal(batch, 2 * taps, height, width) * np.float32(reach), normal(batch, taps, height, width)], axis=1
        ),
        bias=normal(out_channels),
    )


def reference(case: Case) -> NDArray[np.float64]:
    """Return (N, C', OH, OW) by the definition of the standard and ReLU if asked for, in double precision."""
    case = case.astype(np.float64)
    (n, channels, _, _), (out_channels, _, kh, kw) = case.x.shape, case.weight.shape
    plane = case.output_shape[2:]
    offset = case.offset.reshape(n, case.offset_group, kh, kw, 2, *plane)
    mask = case.mask.reshape(n, case.offset_group, kh, kw, *plane)
    x = case.x.reshape(n, case.offset_group, channels // case.offset_group, *case.x.shape[2:])
    samples = np.empty((n, case.offset_group, channels // case.offset_group, kh, kw, *plane))
    for row, column in np.ndindex(kh, kw):
        rows = np.arange(plane[0])[:, None] * case.strides[0] - case.pads[0] + row * case.dilations[0]
        columns = np.arange(plane[1]) * case.strides[1] - case.pads[1] + column * case.dilations[1]
        y, x_ = rows + offset[:, :, row, column, 0], columns + offset[:, :, row, column, 1]
        samples[:, :, :, row, column] = _bilinear(x, y, x_) * mask[:, :, None, row, column]
    grouped = samples.reshape(n, case.group, channels // case.group, kh, kw, *plane)
    weight = case.weight.reshape(case.group, out_channels // case.group, channels // case.group, kh, kw)
    product = np.einsum("ngcijhw,gocij->ngohw", grouped, weight, optimize=True)
    output: NDArray[np.float64] = product.reshape(n, out_channels, *plane) + case.bias[:, None, None]
    return np.maximum(output, 0) if case.relu else output


def _bilinear(x: Array, rows: Array, columns: Array) -> Array:
    """Sample (N, G, C, H, W) at (N, G, OH, OW); outside is zero, and so is a sample that has no place."""
    top, left = np.floor(rows), np.floor(columns)
    total = np.zeros((*x.shape[:3], *rows.shape[2:]))
    for y, x_ in ((top, left), (top, left + 1), (top + 1, left), (top + 1, left + 1)):
        weight = (1 - np.abs(rows - y)) * (1 - np.abs(columns - x_))
        inside = (y >= 0) & (y < x.shape[3]) & (x_ >= 0) & (x_ < x.shape[4])
        at = np.where(inside, y, 0).astype(np.int64), np.where(inside, x_, 0).astype(np.int64)
        for n, g in np.ndindex(*x.shape[:2]):
            value = x[n, g][:, at[0][n, g], at[1][n, g]]
            total[n, g] += np.where(inside[n, g], weight[n, g] * value, 0.0)
    return total
