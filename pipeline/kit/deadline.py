"""Sockets that know when the whole request must be over.

A timeout of the standard library is one for each read, so an answer of one byte a second never ends. Here every
call on the socket gets what is left of one total, TLS included, and the socket also remembers whether anything
was sent: a request that never left may be repeated without a thought.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from _typeshed import ReadableBuffer, WriteableBuffer

_T = TypeVar("_T")

CONNECT_SECONDS = 3.0  # for one address; a SYN that got no answer in that time meets a dead or a deaf host


@dataclass
class Call:
    """One request under way in this thread: when it must be over (monotonic seconds), and whether bytes left."""

    until: float
    sent: bool = False

    def left(self) -> float:
        """Seconds left. Raises TimeoutError when there are none."""
        seconds = self.until - time.monotonic()
        if seconds <= 0:
            message = "the time for this request is over"
            raise TimeoutError(message)
        return seconds


class _Calls(threading.local):
    call: Call | None = None


_calls = _Calls()


@contextlib.contextmanager
def total(seconds: float) -> Iterator[Call]:
    """Bound everything this thread does on the sockets made here, until the block ends."""
    call = _calls.call = Call(time.monotonic() + seconds)
    try:
        yield call
    finally:
        _calls.call = None


def current() -> Call:
    """The request under way in this thread; outside of one, a request whose time is over."""
    return _calls.call or Call(0.0)


class DeadlineSocket(socket.socket):
    """A TCP socket whose every call ends when the request must."""

    def recv_into(self, buffer: WriteableBuffer, nbytes: int = 0, flags: int = 0) -> int:
        """Read; raises TimeoutError when the request's time is over."""
        self.settimeout(current().left())
        return super().recv_into(buffer, nbytes, flags)

    def sendall(self, data: ReadableBuffer, flags: int = 0) -> None:
        """Write all; raises TimeoutError when the request's time is over."""
        call = current()
        self.settimeout(call.left())
        call.sent = True
        super().sendall(data, flags)


class DeadlineTls(ssl.SSLSocket):
    """The same over TLS; the handshake happens before the request leaves, so it does not count as sent."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002  # the signature of ssl.SSLSocket
        """Shake hands; raises TimeoutError when the request's time is over."""
        self.settimeout(current().left())
        super().do_handshake(block)

    def recv_into(self, buffer: WriteableBuffer, nbytes: int | None = None, flags: int = 0) -> int:
        """Read; raises TimeoutError when the request's time is over."""
        self.settimeout(current().left())
        return super().recv_into(buffer, nbytes, flags)

    def send(self, data: ReadableBuffer, flags: int = 0) -> int:
        """Write some (`sendall` calls this); raises TimeoutError when the request's time is over."""
        call = current()
        self.settimeout(call.left())
        call.sent = True
        return super().send(data, flags)


def dial(address: str, port: int, share: int) -> DeadlineSocket:
    """Connect to a numeric address, in at most a `share`-th of the time left. Raises OSError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    made = DeadlineSocket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(min(CONNECT_SECONDS, current().left() / share))
        made.connect((address, port))
    except BaseException:
        made.close()
        raise
    return made


def within(seconds: float, work: Callable[[], _T]) -> _T:
    """Run something that knows no timeout (a name lookup) for at most so long. Raises TimeoutError, or what it raised.

    The thread of a lookup that hangs is left behind; the resolver's own timeouts end it (resolv.conf(5): 5 s, twice).
    """
    outcome: list[_T | BaseException] = []

    def run() -> None:
        try:
            outcome.append(work())
        except Exception as error:  # noqa: BLE001  # handed to the thread that waits
            outcome.append(error)

    thread = threading.Thread(target=run, name="lookup", daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        message = "no answer in time"
        raise TimeoutError(message)
    if isinstance(outcome[0], BaseException):
        raise outcome[0]
    return outcome[0]
