"""A queue that hands items from one thread to another, one at a time."""

from __future__ import annotations

from collections import deque
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Closed(Exception):  # noqa: N818 - not an error: it ends a thread
    """Raised to threads that use a queue after it was closed."""


class HandoffQueue(Generic[Item]):
    """A queue that holds at most one item. `put` waits while it is full, and `get` waits while it is empty.

    Attributes:
        replaced: The number of items that were replaced before they were taken.
    """

    def __init__(self) -> None:
        self._changed = Condition()
        self._items: deque[Item] = deque()
        self._closed = False
        self.replaced = 0

    def put(self, item: Item, *, replace: bool = False) -> None:
        """Put an item into the queue.

        Args:
            item: The item.
            replace: Whether to discard an item that is still in the queue, instead of waiting until it is taken.

        Raises:
            Closed: If the queue is closed, or becomes closed while waiting.
        """
        with self._changed:
            if replace and self._items:
                self._items.clear()
                self.replaced += 1
            self._changed.wait_for(lambda: self._closed or not self._items)
            self._require_open()
            self._items.append(item)
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> Item:
        """Take the item out of the queue.

        Args:
            timeout: The maximum seconds to wait; None for no limit.

        Raises:
            Closed: If the queue is closed, or becomes closed while waiting.
            TimeoutError: If there is no item in time.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._items, timeout):
                raise TimeoutError
            self._require_open()
            self._changed.notify_all()
            return self._items.popleft()

    def close(self) -> None:
        """Close the queue and discard its item. Threads that wait in `put` or `get` raise Closed."""
        with self._changed:
            self._closed = True
            self._items.clear()
            self._changed.notify_all()

    def _require_open(self) -> None:
        if self._closed:
            raise Closed
