"""Reads pickles without running anything that they name.

Unpickling calls functions and classes, and even harmless ones crash the process if they are called with the right
arguments. Here the opcodes of a pickle are followed, but what it names and what it calls become inert records, which
only say what was asked for.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, BinaryIO

Value = Any  # a tree of what the next lines list, told apart by `match`
"""Content of a pickle: numbers, text, bytes, lists, tuples and dictionaries of values, and the records below."""


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle names."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False, repr=False, slots=True)  # a text of all that is within can be endless
class Call:
    """A call that a pickle asks for, and what it would do with the result.

    Attributes:
        function: What is called, a `Name` or, rarely, the result of another call.
        arguments: The arguments.
        state: The argument of ``__setstate__``, or None.
        items: The items that would be set in the result.
        elements: The elements that would be added to the result.
    """

    function: Value
    arguments: tuple[Value, ...]
    state: Value = None
    items: dict[Value, Value] = field(default_factory=dict)
    elements: list[Value] = field(default_factory=list)


@dataclass(eq=False, repr=False, slots=True)
class Persistent:
    """An object stored outside of the pickle, such as a tensor's storage."""

    identity: Value


def read(file: BinaryIO, admit: Callable[[Name], object] = lambda _name: None) -> Value:
    """Return what the pickle at the position of ``file`` holds; the position is then behind it.

    Args:
        file: A file that never returns more bytes than it has, such as `io.BytesIO`.
        admit: Called with each name; raises an exception to refuse it.

    Raises:
        ValueError: If the pickle is damaged, or does what no checkpoint needs.
    """
    machine = _Machine(admit)
    for opcode, argument, _ in pickletools.genops(file):
        machine.follow(opcode.name, argument)
    return machine.pop()


_LITERALS = frozenset(
    """INT BININT BININT1 BININT2 LONG LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE
    SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8""".split()  # noqa: SIM905
)
"""The opcodes whose argument is a value."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_SET = Name("builtins", "set")
_EMPTY: dict[str, Callable[[], Value]] = {
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: Call(_SET, ()),
}  # fmt: skip
_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset({"PROTO", "FRAME", "STOP"})
_KEYS = (str, int, float, bytes, type(None), Name, Call, Persistent)
"""Types of keys; records are told apart by identity. Hashing nested tuples can take forever."""

GETATTR = (Name("__builtin__", "getattr"), Name("builtins", "getattr"))
"""What old pickles call for a class inside of another, and for a method: ``getattr(Outer, "Inner")``."""

_LONGEST_NAME = 1000
_LARGEST_INDEX, _LARGEST_KEY = 1 << 32, 1 << 64  # integers above can all have one hash, so that dictionaries are slow


class _Machine:
    """The stack machine that pickles are programs for."""

    def __init__(self, admit: Callable[[Name], object]) -> None:
        self._admit = admit
        self._stack: list[Value] = []
        self._marks: list[int] = []
        self._memo: dict[int, Value] = {}

    def pop(self) -> Value:
        if not self._stack or (self._marks and self._marks[-1] == len(self._stack)):
            raise ValueError("takes from an empty stack")
        return self._stack.pop()

    def follow(self, opcode: str, argument: Value) -> None:
        if opcode in _LITERALS:
            self._stack.append(argument)
        elif opcode in _CONSTANTS:
            self._stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self._stack.append(_EMPTY[opcode]())
        elif opcode in _SIZES:
            self._stack.append(tuple(self._take(_SIZES[opcode])))
        elif opcode not in _IGNORED:
            step = getattr(self, f"_{opcode.lower()}", None)
            if step is None:
                raise ValueError(f"has the opcode {opcode}, which no checkpoint needs")
            step(argument)

    def _take(self, count: int) -> list[Value]:
        return [self.pop() for _ in range(count)][::-1]

    def _take_to_mark(self) -> list[Value]:
        if not self._marks:
            raise ValueError("lacks a mark")
        start = self._marks.pop()
        taken = self._stack[start:]
        del self._stack[start:]
        return taken

    def _top(self) -> Value:
        self._stack.append(top := self.pop())
        return top

    # Steps, by the lower-case name of the opcode.

    def _mark(self, _: Value) -> None:
        self._marks.append(len(self._stack))

    def _pop(self, _: Value) -> None:
        if self._marks and self._marks[-1] == len(self._stack):
            self._marks.pop()
        else:
            self.pop()

    def _pop_mark(self, _: Value) -> None:
        self._take_to_mark()

    def _dup(self, _: Value) -> None:
        self._stack.append(self._top())

    def _tuple(self, _: Value) -> None:
        self._stack.append(tuple(self._take_to_mark()))

    def _list(self, _: Value) -> None:
        self._stack.append(self._take_to_mark())

    def _dict(self, _: Value) -> None:
        items = self._take_to_mark()
        self._stack.append({})
        self._set(items)

    def _append(self, _: Value) -> None:
        self._extend([self.pop()])

    def _appends(self, _: Value) -> None:
        self._extend(self._take_to_mark())

    def _extend(self, values: list[Value]) -> None:
        target = self._top()
        target = target.elements if isinstance(target, Call) else target
        if not isinstance(target, list):
            raise ValueError(f"appends to a {type(target).__name__}")
        target += values

    _additems = _appends

    def _setitem(self, _: Value) -> None:
        self._set(self._take(2))

    def _setitems(self, _: Value) -> None:
        self._set(self._take_to_mark())

    def _set(self, items: list[Value]) -> None:
        target = self._top()
        target = target.items if isinstance(target, Call) else target
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("sets items of what is no dictionary")
        target.update(zip(map(_key, items[::2]), items[1::2], strict=True))

    def _put(self, index: int) -> None:
        if int(index) >= _LARGEST_INDEX:
            raise ValueError("stores more than it has")
        self._memo[int(index)] = self._top()

    def _memoize(self, _: Value) -> None:
        self._memo[len(self._memo)] = self._top()

    def _get(self, index: int) -> None:
        if int(index) not in self._memo:
            raise ValueError("refers to what it has not stored")
        self._stack.append(self._memo[int(index)])

    _binput = _long_binput = _put
    _binget = _long_binget = _get

    def _global(self, name: str) -> None:
        self._name(*name.split(" ", 1))

    def _stack_global(self, _: Value) -> None:
        self._name(*self._take(2))

    def _name(self, module: Value, name: Value) -> None:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("names a function by something other than text")
        if len(module) + len(name) > _LONGEST_NAME:
            raise ValueError("has a name without end")
        found = Name(module, name)
        self._admit(found)
        self._stack.append(found)

    def _reduce(self, _: Value) -> None:
        function, arguments = self._take(2)
        if not isinstance(arguments, tuple):
            raise ValueError("calls a function without a tuple of arguments")
        if function not in GETATTR:
            self._call(function, arguments)
            return
        match arguments:
            case (Name() as owner, str(attribute)):
                self._name(owner.module, f"{owner.name}.{attribute}")
            case _:
                raise ValueError("looks up an attribute of what is no class")

    _newobj = _reduce

    def _newobj_ex(self, _: Value) -> None:
        function, arguments, named = self._take(3)
        self._call(function, (arguments, named))

    def _call(self, function: Value, arguments: tuple[Value, ...]) -> None:
        if not isinstance(function, Name | Call):
            raise ValueError(f"calls a {type(function).__name__}")
        self._stack.append(Call(function, arguments))

    def _frozenset(self, _: Value) -> None:
        self._stack.append(Call(Name("builtins", "frozenset"), (self._take_to_mark(),)))

    def _build(self, _: Value) -> None:
        state = self.pop()
        target = self._top()
        if not isinstance(target, Call):
            raise ValueError(f"sets the state of a {type(target).__name__}")
        target.state = state

    def _binpersid(self, _: Value) -> None:
        self._stack.append(Persistent(self.pop()))


def _key(value: Value) -> Value:
    """Return ``value``, or a record in place of a tuple."""
    if isinstance(value, tuple):
        return Call(Name("builtins", "tuple"), value)
    if not isinstance(value, _KEYS):
        raise ValueError(f"has a {type(value).__name__} as key")
    if isinstance(value, int) and abs(value) >= _LARGEST_KEY:
        raise ValueError("has a number without end as key")
    return value
