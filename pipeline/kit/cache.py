"""What is worth keeping between runs of one process, bounded in size."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable

MOST_BYTES = 16_000_000
MOST_ITEMS = 400

Key = TypeVar("Key")
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """The last few hundred values, the least recently used ones dropped first. Safe between threads."""

    def __init__(self, most: int = MOST_ITEMS) -> None:
        """Empty."""
        self._kept: OrderedDict[Key, Value] = OrderedDict()
        self._most = most
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Key, value: Value) -> None:
        """Keep the value."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._most:
                self._kept.popitem(last=False)


class Weighed(Generic[Key, Value]):
    """Values bounded by the sum of their sizes in bytes, the least recently used ones dropped first. Safe between threads."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Empty."""
        self._kept: OrderedDict[Key, tuple[Value, int]] = OrderedDict()
        self._most, self._size = most_bytes, 0
        self._lock = threading.Lock()

    def get(self, key: Key) -> Value | None:
        """The value, or None."""
        with self._lock:
            found = self._kept.get(key)
            if found is None:
                return None
            self._kept.move_to_end(key)
            return found[0]

    def get_all(self, keys: Iterable[Key]) -> dict[Key, Value]:
        """Those of these values that are kept, by their keys: a window asks for hundreds at once."""
        with self._lock:
            found = {key: kept[0] for key in keys if (kept := self._kept.get(key)) is not None}
            for key in found:
                self._kept.move_to_end(key)
            return found

    def put(self, key: Key, value: Value, size: int) -> None:
        """Keep the value; equal keys stand for equal values, so the first stays."""
        with self._lock:
            if key not in self._kept:
                self._kept[key] = (value, size)
                self._size += size
            while self._size > self._most:
                self._size -= self._kept.popitem(last=False)[1][1]
