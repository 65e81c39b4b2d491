"""Pickles made to crash, run code or fill the memory when they are loaded without care."""

from __future__ import annotations

import struct


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def data(content: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(content)) + content


def document(array: bytes) -> bytes:
    """Return a pickle of a dictionary with one entry, whose value ``array`` makes."""
    return b"\x80\x03}" + text("w") + array + b"s."


ENCODE = named("_codecs", "encode")
NDARRAY, DTYPE = named("numpy", "ndarray"), named("numpy", "dtype")
PLAIN = DTYPE + b"(" + text("f4") + b"\x89\x88tR"
RECONSTRUCT = named("numpy.core.multiarray", "_reconstruct") + b"(" + NDARRAY + b"K\x00\x85" + data(b"b") + b"tR"


def array(shape: bytes, dtype: bytes, content: bytes) -> bytes:
    """Return the pickle of an array with the state that NumPy gives it."""
    return RECONSTRUCT + b"(K\x01" + shape + dtype + b"\x89" + content + b"tb"


def dictionaries(levels: int, width: int) -> bytes:
    """Return the pickle of dictionaries in dictionaries, each of which refers ``width`` times to the next one."""
    content = b"\x80\x03N" + b"q\x00"
    for level in range(levels):
        entries = (text(str(index)) + b"h" + bytes([level]) for index in range(width))
        content += b"}(" + b"".join(entries) + b"uq" + bytes([level + 1])
    return content + b"."


OBJECTS = DTYPE + b"(" + text("O8") + b"\x89\x88tR"
HIDDEN = (  # a type that says float64, and whose state has a field of objects
    DTYPE + b"(" + text("V8") + b"\x89\x88tR(K\x03" + text("|") + b"N" + text("x") + b"\x85}"
    + text("x") + b"(" + OBJECTS + b"K\x00ts" + b"K\x08K\x01K\x10tb"
)  # fmt: skip

HOSTILE = {
    "an array of pointers": document(NDARRAY + b"(K\x01\x85" + text("O") + data(b"A" * 8) + b"tR"),
    "an array of objects": document(array(b"K\x01\x85", OBJECTS, data(b"A" * 8))),
    "a hidden field of objects": document(array(b"K\x01\x85", HIDDEN, data(b"A" * 8))),
    "gigabytes of nothing": document(NDARRAY + b"(J" + struct.pack("<i", 1 << 30) + b"\x85" + text("f8") + b"tR"),
    "more bytes than there are": document(array(b"J" + struct.pack("<i", 1 << 30) + b"\x85", PLAIN, data(b"A" * 8))),
    "a negative size": document(array(b"J" + struct.pack("<i", -1) + b"\x85", PLAIN, data(b""))),
    "a list instead of bytes": document(array(b"K\x01\x85", PLAIN, b"]")),
    "a huge memo": b"\x80\x03}r\xff\xff\xff\x7f.",
    "text of 4 GB": b"\x80\x03}X\xff\xff\xff\xff",
    "bytes of 8 GB": b"\x80\x04}\x8e" + struct.pack("<Q", 1 << 33),
    "a byte array of 8 GB": b"\x80\x05}\x96" + struct.pack("<Q", 1 << 33),
    "a frame of 8 GB": b"\x80\x04\x95" + struct.pack("<Q", 1 << 33),
    "a scalar of objects": document(named("numpy.core.multiarray", "scalar") + b"(" + OBJECTS + data(b"A" * 8) + b"tR"),
    "keys that hash forever": b"\x80\x03}" + b"(K\x01K\x01t" + b"2\x86" * 60 + b"K\x01s.",
    "brackets without end": b"\x80\x03" + b"(" * 200_000,
    "lists in lists": b"\x80\x03" + b"]" * 200_000 + b"a" * 199_999 + b".",
    "a dictionary referred to a hundred million times": dictionaries(6, 100),
    "a set": b"\x80\x04\x8f.",
    "another codec": document(array(b"K\x01\x85", PLAIN, ENCODE + text("a") + text("zip") + b"\x86R")),
    "one array a million times": b"\x80\x03}"
    + data(b"A" * 4096) + b"q\x000(" + b"".join(
        text(str(i)) + RECONSTRUCT + b"(K\x01M\x00\x04\x85" + PLAIN + b"\x89h\x00tb" for i in range(500)
    ) + b"u.",
}  # fmt: skip
