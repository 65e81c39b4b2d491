"""Builds NumPy arrays from the records of pickles.

Nothing is run: NumPy's own constructors crash the process when a file calls them with the right arguments.
Arrays are built here, from a shape, a plain numeric type, and exactly as many bytes as these take.
"""

from __future__ import annotations

import codecs
import math
import re

import numpy as np
from numpy.typing import NDArray

from pem_edge.pem.checkpoints.formats.inert_pickle import Call, Name, Value

_CORES = ("numpy.core", "numpy._core")
ADMITTED = {
    Name("collections", "OrderedDict"),
    Name("_codecs", "encode"),
    Name("__builtin__", "bytes"),
    Name("builtins", "bytes"),
    Name("numpy", "ndarray"),
    Name("numpy", "dtype"),
    *(Name(f"{core}.multiarray", function) for core in _CORES for function in ("_reconstruct", "scalar")),
    *(Name(f"{core}.numeric", "_frombuffer") for core in _CORES),
}
"""Names in pickles of arrays, of NumPy 1 and 2 and protocols 2 to 5."""

_DTYPE = re.compile(r"[<>=|]?(f[248]|[iu][1248]|b1)")
MOST_DIMENSIONS = 32
LARGEST = 1 << 40
"""Limits on the dimensions of an array, and on each size; products of larger numbers take forever."""


class Arrays:
    """Turns records of calls into arrays and dictionaries.

    A pickle can refer to the same bytes any number of times. The arrays together may have no more bytes than the file.
    """

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._called: dict[int, Value] = {}
        self._interpreted: dict[int, tuple[int, Value]] = {}

    def interpret(self, value: Value, depth: int = 4) -> Value:
        """Return ``value`` with what its dictionaries and lists have of arrays built, down to ``depth``.

        The rest stays inert. Whatever the file refers to several times is built once, and stays one.
        """
        if isinstance(value, Call):
            if id(value) not in self._called:
                self._called[id(value)] = self.call(value)
            value = self._called[id(value)]
        if not isinstance(value, dict | list | tuple) or depth == 0:
            return value
        reached, built = self._interpreted.get(id(value), (0, {} if isinstance(value, dict) else []))
        if reached < depth:
            self._interpreted[id(value)] = depth, built
            if isinstance(value, dict):
                built.update({name: self.interpret(each, depth - 1) for name, each in value.items()})
            else:
                built[:] = [self.interpret(each, depth - 1) for each in value]
        return built

    def call(self, call: Call) -> Value:
        """Return the array or dictionary that ``call`` makes, or ``call`` itself. Raises ValueError."""
        match str(call.function).rpartition(".")[2], call.arguments:
            case "OrderedDict", ():
                return call.items
            case "OrderedDict", (list(pairs),):
                return {key: each for key, each in pairs if isinstance(key, str)} | call.items
            case "_reconstruct", _:
                _, shape, dtype, columns_first, data = _tuple(call.state, 5)
                return self._array(shape, dtype, data, "F" if columns_first else "C")
            case "_frombuffer", (data, dtype, shape, str(order)):
                return self._array(shape, dtype, data, order)
            case "scalar", (dtype, data):
                return self._array((), dtype, data, "C")
            case _:
                return call

    def spend(self, count: int) -> None:
        """Take the bytes of a copy from the budget. Raises ValueError if the file has fewer."""
        self._budget -= count
        if self._budget < 0:
            raise ValueError("has arrays of more bytes than the file")

    def _array(self, shape: Value, dtype: Value, data: Value, order: str) -> NDArray[np.generic]:
        kind, content = _dtype(dtype), bytes_of(data)
        if (
            not isinstance(shape, tuple)
            or len(shape) > MOST_DIMENSIONS
            or not all(isinstance(size, int) and 0 <= size < LARGEST for size in shape)
        ):
            raise ValueError("has an array without a shape")
        if math.prod(shape) * kind.itemsize != len(content):
            raise ValueError(f"has an array of shape {shape} and type {kind} in {len(content)} bytes")
        self.spend(len(content))
        array = np.frombuffer(content, kind).reshape(shape, order="F" if order == "F" else "C")
        return array.astype(kind.newbyteorder("="), order="C")


def _dtype(value: Value) -> np.dtype[np.generic]:
    """Return the plain numeric type that a call of ``numpy.dtype`` stands for."""
    if not isinstance(value, Call) or str(value.function) != "numpy.dtype" or not value.arguments:
        raise ValueError("has an array without a type")
    text, state = value.arguments[0], value.state
    if not isinstance(text, str) or not _DTYPE.fullmatch(text):
        raise ValueError("has an array of a type that is not a plain number")
    if state is None:
        return np.dtype(text)
    _, order, *details = state if isinstance(state, tuple) and len(state) >= 2 else (None, None, True)
    if order not in ("<", ">", "=", "|") or any(each not in (None, -1, 0) for each in details):
        raise ValueError("has an array of a type that is not a plain number")
    return np.dtype(text).newbyteorder(order)


def bytes_of(value: Value) -> bytes | bytearray:
    """Return what a pickle of any protocol means by bytes. Raises ValueError if it is something else."""
    match value:
        case bytes() | bytearray():
            return value
        case str():  # of Python 2, as Latin-1
            return value.encode("latin1")
        case Call(function=Name(name="encode"), arguments=(str(text), str(encoding))):
            if codecs.lookup(encoding).name != "iso8859-1":
                raise ValueError("encodes bytes other than as Latin-1")  # other codecs may decompress
            return text.encode("latin1")
        case Call(function=Name(name="bytes"), arguments=()):
            return b""
        case _:
            raise ValueError("has an array without bytes")


def _tuple(value: Value, length: int) -> tuple[Value, ...]:
    if not isinstance(value, tuple) or len(value) != length:
        raise ValueError("has an array without a state")
    return value
