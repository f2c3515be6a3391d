"""A number in a locked file that only ever grows: who comes with a lower one is too late.

A writer that was paused for longer than its lease does not know it. It finds out here, at the last moment before
its bytes become visible. The file is opened once for each process; a check costs two system calls more than a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_WAIT_SECONDS = 2.0  # the lock is held for one rename; whoever holds it longer was stopped in there
_RETRY_SECONDS = 0.001
_DIGITS = 20  # of a 64-bit integer; always written in full, so that one write replaces the other


class Stale(Exception):
    """The number is lower than one that was here before; `kept` is that one."""

    def __init__(self, kept: int) -> None:
        """Say which number stands."""
        self.kept = kept
        super().__init__(f"a fence of {kept} stands")


class Fence:
    """The fence kept in `path`. Threads of one process take turns too: `flock` alone would let them in together."""

    def __init__(self, path: str) -> None:
        """Nothing is opened before the first `held`."""
        self._path = path
        self._turn = threading.Lock()
        self._open: tuple[int, int] | None = None  # (process id, descriptor): a child's copy would share the lock

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self._path)

    @contextlib.contextmanager
    def held(self, number: int) -> Iterator[None]:
        """Hold the fence at `number` while the block runs. Raises Stale, TimeoutError, OSError."""
        turn = self._turn
        if not turn.acquire(timeout=_WAIT_SECONDS):
            # A time limit may have ended its holder between taking and keeping it: the next one finds a new turn.
            self._turn = threading.Lock()
            message = "another thread holds the fence"
            raise TimeoutError(message)
        try:
            descriptor = self._locked()
            try:
                self._compare(descriptor, number)
                yield
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
        finally:
            turn.release()

    def _locked(self) -> int:
        """The descriptor, locked, of the file that stands at the path now."""
        until = time.monotonic() + _WAIT_SECONDS
        while True:
            descriptor = self._descriptor()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > until:
                    message = "another process holds the fence"
                    raise TimeoutError(message) from None
                time.sleep(_RETRY_SECONDS)
                continue
            if os.fstat(descriptor).st_nlink:
                return descriptor
            self._forget()  # somebody cleared the folder; those who come now use a new file

    def _descriptor(self) -> int:
        if self._open is None or self._open[0] != os.getpid():
            self._forget()
            self._open = (os.getpid(), os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644))
        return self._open[1]

    def _forget(self) -> None:
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def _compare(self, descriptor: int, number: int) -> None:
        # Without digits (new, or lost with the power, as nothing here is synced) it begins anew: leases begin anew too.
        digits = os.pread(descriptor, _DIGITS, 0).strip()
        kept = int(digits) if digits.isdigit() else 0
        if number < kept:
            raise Stale(kept)
        if number > kept:
            os.pwrite(descriptor, b"%0*d" % (_DIGITS, number), 0)
