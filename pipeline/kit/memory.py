"""Memory given back to the system once a process has rested for a moment.

A burst leaves holes all over the heap: freed, and kept by glibc for later. After 2,000 articles that was a third of what the
threads of `reach` held.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
import time

REST = 2.0
"""Seconds without work after which it is done, once: it takes some milliseconds in which nobody allocates."""


def give_back() -> bool:
    """Hand free memory back (malloc_trim(3)); False where there is no glibc to ask."""
    if not sys.platform.startswith("linux"):
        return False
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    return trim is not None and trim(0) >= 0


class Resting:
    """Calls `give_back` once, some time after the last call of `worked`. Its thread starts with the first, in each process."""

    def __init__(self, rest: float = REST) -> None:
        """Nothing runs yet."""
        self._rest = rest
        self._change = threading.Condition()
        self._last: float | None = None
        self._pid = 0
        self.times = 0

    def worked(self) -> None:
        """The process has just done something."""
        with self._change:
            self._last = time.monotonic()
            if self._pid != os.getpid():  # a fork copies this object and no thread
                self._pid = os.getpid()
                threading.Thread(target=self._keep, name="give memory back", daemon=True).start()
            self._change.notify()

    def _keep(self) -> None:
        while True:
            with self._change:
                while self._last is None:
                    self._change.wait()
                left = self._last + self._rest - time.monotonic()
                self._last = self._last if left > 0 else None
            if left > 0:
                time.sleep(left)
                continue
            give_back()
            self.times += 1
