"""Anything that a segmenter takes as an image."""

from __future__ import annotations

import os
from collections.abc import Coroutine
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from pem_edge.runtime.errors import InputError
from pem_edge.runtime.images import addresses, pillow
from pem_edge.runtime.images.arrays import from_array
from pem_edge.runtime.images.files import DEMO_STREET, MAX_BYTES, decode, locate, read
from pem_edge.runtime.outside.printable import a_type, printable
from pem_edge.runtime.outside.reading import reading


class _ConvertsToNumpy(Protocol):
    """An array of another library, such as a tensor of PyTorch on the CPU."""

    def __array__(self) -> NDArray[np.generic]: ...


class _SharesByDlpack(Protocol):
    """An array that is shared by DLPack alone."""

    def __dlpack__(self) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...


class _BinaryFile(Protocol):
    """A file that is open for reading bytes."""

    def read(self, size: int, /) -> bytes: ...


Image: TypeAlias = (
    "str | os.PathLike[str] | bytes | bytearray | _BinaryFile | PillowImage.Image | NDArray[np.uint8] | memoryview"
    " | _ConvertsToNumpy | _SharesByDlpack"
)
"""An image file, its content, a Pillow image, or an array; see `convert`."""

_EXPECTED = "an image file"
_CONTENT, _CONTENT_CURE = "the given content", "give the bytes of an image file"


def convert(image: object) -> NDArray[np.uint8]:
    """Return an image as RGB uint8 (H, W, 3).

    Example:
        >>> from pem_edge.runtime import images
        >>> images.convert("demo:street").shape
        (512, 1024, 3)

    Args:
        image: A path, see `read`, or "demo:street" for the picture that comes with the package; an address, http://,
            https:// (see `remote.fetch`) or file://; the content of an image file as bytes or bytearray, or a file that
            is open for reading bytes, from its position to its end; a Pillow image, whose first or current frame is
            taken and turned as its EXIF orientation says; or an array, see `from_array`.

    Raises:
        InputError: If it is none of these, or cannot be read.
    """
    if isinstance(image, str) and addresses.is_web(image):
        return decode(_fetch(image), addresses.shown(image), cure="give the address of an image")
    if isinstance(image, (str, os.PathLike)):
        return read(locate(image))
    if isinstance(image, PillowImage.Image):
        return pillow.to_rgb(image, "the PIL image")
    if isinstance(image, (bytes, bytearray)):
        return decode(bytes(image), _CONTENT, cure=_CONTENT_CURE)
    if hasattr(image, "read"):
        return decode(_read_open(image), name_of(image) or "the open file", cure=_CONTENT_CURE)
    return from_array(image)


def name_of(image: object) -> str:
    """Return the name of what `convert` takes: a path or an address, without what may be secret; "" for content."""
    if isinstance(image, str):
        known = {DEMO_STREET: "street.jpg"}
        if addresses.is_web(image):
            return addresses.shown(image)
        return str(addresses.to_path(image)) if addresses.is_file(image) else known.get(image, image)
    if isinstance(image, os.PathLike):
        return os.fsdecode(image)
    name = getattr(image, "name", "") if hasattr(image, "read") else ""
    return name if isinstance(name, str) else ""


def _fetch(address: str) -> bytes:
    # Imported here, because it takes a while, and most programs fetch nothing.
    from pem_edge.runtime.images import remote

    return remote.fetch(address)


def _read_open(file: _BinaryFile) -> bytes:
    name = printable(name_of(file)) or "the open file"
    content = bytearray()
    with reading(name, InputError, expected="a file open for reading bytes", cure="open it with mode 'rb'"):
        while len(content) <= MAX_BYTES and (chunk := _require_bytes(file.read(MAX_BYTES + 1 - len(content)), name)):
            content += chunk
    if not content:
        raise InputError(f"{name} has no bytes left, expected {_EXPECTED}: go back to its start with seek(0)")
    if len(content) > MAX_BYTES:
        raise InputError(f"{name} has more than the {MAX_BYTES} bytes of {_EXPECTED}: scale it down")
    return bytes(content)


def _require_bytes(chunk: object, name: str) -> bytes:
    if isinstance(chunk, bytes):
        return chunk
    if isinstance(chunk, Coroutine):
        chunk.close()
        raise InputError(f"{name} is read asynchronously, expected bytes: give what await file.read() returns")
    cure = "open it with mode 'rb'" if isinstance(chunk, str) else "give an image, or the bytes of one"
    raise InputError(f"{name} gives {a_type(chunk)} when it is read, expected bytes: {cure}")
