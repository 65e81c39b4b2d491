"""Changes to files that find what readers believe: flipped bits, lies about sizes, cuts, splices, odd JSON."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

_SIZES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF, 1 << 62, (1 << 64) - 1)
_TOKENS = [
    b"null", b"true", b"-1", b"0", b"1e999", b"NaN", b"1.5", b'""', b'"\\u0000"', b"[]", b"{}", b"9" * 400,
    b'"' + b"x" * 300 + b'"', b"[" * 2000, b'"\xff"', b'"../../x"', b"999999999999",
]  # fmt: skip
_JSON_VALUE = re.compile(rb'-?\d+(\.\d+)?|"[^"\\]*"|true|false|null')
_MOST_CHANGES = 4


def mutate(seeds: Sequence[bytes], rng: random.Random) -> bytes:
    """Return one of ``seeds`` with one to four changes."""
    data = bytearray(rng.choice(seeds))
    text = data.startswith((b"{", b"["))
    kinds = _ANYWHERE + (_IN_JSON if text else _IN_BINARY)
    for _ in range(rng.randint(1, _MOST_CHANGES)):
        rng.choice(kinds)(data, rng, seeds)
    return bytes(data)


Change = Callable[[bytearray, random.Random, Sequence[bytes]], None]


def _flip(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    if data:
        data[_place(data, rng)] ^= 1 << rng.randrange(8)


def _set(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    if data:
        data[_place(data, rng)] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _cut_off(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    del data[rng.randrange(len(data) + 1) :]


def _remove(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(data) + 1)
    del data[start : start + rng.choice((1, 2, 4, 8, 64, 4096))]


def _repeat(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    start = rng.randrange(len(data) + 1)
    piece = data[start : start + rng.choice((1, 4, 16, 256))]
    data[start:start] = piece * rng.choice((1, 2, 100))


def _splice(data: bytearray, rng: random.Random, seeds: Sequence[bytes]) -> None:
    other = rng.choice(seeds)
    start = rng.randrange(len(other) + 1)
    data[rng.randrange(len(data) + 1) :] = other[start:]


def _lie(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    width = rng.choice((1, 2, 4, 8))
    value = rng.choice(_SIZES) & ((1 << (8 * width)) - 1)
    if len(data) >= width:
        start = min(_place(data, rng), len(data) - width)
        data[start : start + width] = value.to_bytes(width, rng.choice(("little", "big")))


def _replace_value(data: bytearray, rng: random.Random, _: Sequence[bytes]) -> None:
    values = list(_JSON_VALUE.finditer(data))
    if values:
        found = rng.choice(values)
        data[found.start() : found.end()] = rng.choice((*_TOKENS, rng.choice(values)[0]))


def _place(data: bytearray, rng: random.Random) -> int:
    """Return a position; half of the time near an end, where headers and indices are."""
    near = min(len(data), 256)
    return rng.choice((rng.randrange(len(data)), rng.randrange(near), len(data) - 1 - rng.randrange(near)))


_ANYWHERE: list[Change] = [_flip, _set, _cut_off, _remove, _repeat, _splice]
_IN_JSON: list[Change] = [_replace_value] * 6
_IN_BINARY: list[Change] = [_lie] * 4
