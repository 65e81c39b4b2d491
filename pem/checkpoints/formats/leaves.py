"""Finds what the containers of a document hold, with names for messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pem_edge.pem.checkpoints.formats.inert_pickle import Value

_LONGEST_NAME = 200


def leaves(document: Value) -> Iterator[tuple[str, Value]]:
    """Yield what dictionaries, lists and tuples hold other than these, with names, from each container once.

    They come in the order of the document.
    """
    seen: set[int] = set()
    pending: list[Iterator[tuple[str, Value]]] = [iter([("", document)])]
    while pending:
        name, value = next(pending[-1], (None, None))
        if name is None:
            pending.pop()
        elif not isinstance(value, Mapping | list | tuple):
            yield name or "it", value
        elif id(value) not in seen:
            seen.add(id(value))
            pending.append(_entries(name, value))


def _entries(name: str, container: Value) -> Iterator[tuple[str, Value]]:
    """Yield names and values one by one: together, the names can take a thousand times the memory of the file."""
    items = container.items() if isinstance(container, Mapping) else enumerate(container)
    return ((_inside(name, key), each) for key, each in items)


def _inside(name: str, key: Value) -> str:
    named = isinstance(key, str | int) and len(name) < _LONGEST_NAME
    return f"{name}.{key}".removeprefix(".") if named else name
