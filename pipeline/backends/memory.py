"""Documents in the process's memory: for tests, with every promise the others make."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from pipeline.backends.contract import Stat, components
from pipeline.model.errors import FenceLost

if TYPE_CHECKING:
    from pipeline.backends.contract import Target


class Store:
    """What the memory backends of one name share: path → (bytes, media type, time), and the fences."""

    def __init__(self) -> None:
        """Begin empty."""
        self.documents: dict[str, tuple[bytes, str, int]] = {}
        self.fences: dict[str, int] = {}
        self.lock = threading.Lock()


_stores: dict[str, Store] = {}


class MemoryBackend:
    """See `contract.Backend`."""

    gone = "marker"

    def __init__(self, store: Store, fence_name: str = "") -> None:
        """Write to this store under this outlet's fence."""
        self.store = store
        self._fence_name = fence_name

    def put(self, path: str, body: bytes, media_type: str, fence: int) -> None:
        """Store the bytes. Raises FenceLost."""
        components(path)
        with self.store.lock:
            self._raise_fence(fence)
            self.store.documents[path] = (bytes(body), media_type, time.time_ns())

    def get(self, path: str) -> bytes | None:
        """The bytes, or None where nothing is stored."""
        components(path)
        found = self.store.documents.get(path)
        return found[0] if found else None

    def stat(self, path: str) -> Stat | None:
        """Size and time, or None where nothing is stored."""
        components(path)
        found = self.store.documents.get(path)
        return Stat(len(found[0]), found[2]) if found else None

    def delete(self, path: str, fence: int) -> None:
        """Remove what is stored. Raises FenceLost."""
        components(path)
        with self.store.lock:
            self._raise_fence(fence)
            self.store.documents.pop(path, None)

    def _raise_fence(self, fence: int) -> None:
        kept = self.store.fences.get(self._fence_name, 0)
        if fence < kept:
            message = f"Fence {fence} is behind {kept}: another run writes {self._fence_name or 'here'} now"
            raise FenceLost(message)
        self.store.fences[self._fence_name] = fence


def open_target(target: Target) -> MemoryBackend:
    """The backend over the store of that name, which lives as long as the process."""
    return MemoryBackend(_stores.setdefault(target.root_or_url, Store()), target.fence_name)
