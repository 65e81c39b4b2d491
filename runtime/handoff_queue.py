"""Handing items from one thread to another, one at a time."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):  # noqa: N818 - not an error: it ends a thread
    """Nobody takes or gives any more."""


class HandoffQueue(Generic[Item]):
    """Room for one item: who gives waits until the one before it was taken, who takes waits until there is one.

    ``replaced`` counts the items that were replaced before anyone took them.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._items: deque[Item] = deque()
        self._closed = False
        self.replaced = 0

    def put(self, item: Item, *, replace: bool = False) -> None:
        """Give ``item``, in place of one that was not taken yet if ``replace``, else after it. Raises Closed."""
        with self._changed:
            if replace and self._items:
                self._items.clear()
                self.replaced += 1
            self._changed.wait_for(lambda: self._closed or not self._items)
            self._require_open()
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> Item:
        """Take the item. Raises Closed, and TimeoutError if there is none for ``timeout`` seconds."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._items, timeout):
                raise TimeoutError
            self._require_open()
            self._changed.notify_all()
            return self._items.popleft()

    def close(self) -> None:
        """Wake everyone who waits, with Closed; what was not taken is forgotten."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def _require_open(self) -> None:
        if self._closed:
            raise Closed
