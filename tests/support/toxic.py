"""A TCP proxy that can be told to be a bad network: for what lies between us and the broker, the database or a mirror.

with ToxicProxy(("127.0.0.1", 6379)) as proxy:   # or a path, for a unix socket
    ...                                          # connect to proxy.port
    proxy.toxic = Toxic.BLACK_HOLE               # from now on, also for connections that stand
"""

from __future__ import annotations

import contextlib
import enum
import socket
import struct
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType


class Toxic(enum.Enum):
    """What the network does to every byte, in both directions, until it is told otherwise."""

    PASS = "hands everything on"
    BLACK_HOLE = "takes everything and hands nothing on; connections stand"
    RESET = "resets every connection, and each new one"
    LATENCY = "hands everything on, late"
    SLICE = "hands on a few bytes at a time"
    FORGET = "carries nothing more on connections that stand, for ever, and tells nobody; new ones pass"
    REFUSE = "closes each new connection at once; those that stand are closed too"


PIECE = 7
"""Bytes handed on at a time by SLICE: fewer than any message has, so that every message arrives torn."""

_READ = 65_536


class ToxicProxy:
    """The proxy, on a free port of 127.0.0.1, for the length of a `with`.

    latency      seconds LATENCY holds each piece back; SLICE waits a tenth of a millisecond between its pieces
    connections  how many were made so far
    """

    def __init__(self, upstream: tuple[str, int] | Path, *, latency: float = 0.05) -> None:
        """Listen at once; connections are taken within the `with`."""
        self.upstream = upstream
        self.latency = latency
        self.connections = 0
        self._toxic = Toxic.PASS
        self._changed = threading.Condition()
        self._open: set[socket.socket] = set()
        self._forgotten: set[socket.socket] = set()
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port: int = self._listener.getsockname()[1]

    @property
    def toxic(self) -> Toxic:
        """What it does now. Setting it wakes whatever a black hole held: it is handed on, as after a real one."""
        return self._toxic

    @toxic.setter
    def toxic(self, value: Toxic) -> None:
        with self._changed:
            self._toxic = value
            if value is Toxic.FORGET:
                self._forgotten |= self._open
            self._changed.notify_all()
        if value in {Toxic.RESET, Toxic.REFUSE}:
            self._cut(reset=value is Toxic.RESET)

    def __enter__(self) -> Self:
        """Begin to take connections."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Close everything."""
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._changed:
            self._changed.notify_all()
        self._cut(reset=False)

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            if self._toxic in {Toxic.RESET, Toxic.REFUSE}:
                _close(client, reset=self._toxic is Toxic.RESET)
                continue
            threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        try:
            server = self._connect()
        except OSError:
            _close(client, reset=True)
            return
        for end in (client, server):
            if end.family == socket.AF_INET:
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # a slice is a segment, not what the kernel joins
        with self._changed:
            self._open |= {client, server}
        back = threading.Thread(target=self._pump, args=(server, client), daemon=True)
        back.start()
        self._pump(client, server)
        back.join()
        for end in (client, server):
            with self._changed:
                self._open.discard(end)
                self._forgotten.discard(end)
            end.close()

    def _connect(self) -> socket.socket:
        if isinstance(self.upstream, tuple):
            return socket.create_connection(self.upstream, timeout=5)
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.upstream))
        return server

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        source.settimeout(None)
        with contextlib.suppress(OSError):
            while data := source.recv(_READ):
                self._hand_on(data, target)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    def _hand_on(self, data: bytes, target: socket.socket) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._toxic is not Toxic.BLACK_HOLE or self._closed.is_set())
            if target in self._forgotten:
                return
        if self._toxic is Toxic.LATENCY:
            self._closed.wait(self.latency)
        start = 0
        while start < len(data):
            piece = PIECE if self._toxic is Toxic.SLICE else len(data)
            target.sendall(data[start : start + piece])
            start += piece
            if piece == PIECE:
                self._closed.wait(0.0001)

    def _cut(self, *, reset: bool) -> None:
        with self._changed:
            standing, self._open = self._open, set()
        for end in standing:
            _close(end, reset=reset)


def _close(end: socket.socket, *, reset: bool) -> None:
    """Close a connection; with a reset (RST) instead of a farewell where asked: SO_LINGER of zero seconds, socket(7)."""
    with contextlib.suppress(OSError):
        if reset and end.family == socket.AF_INET:
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        end.shutdown(socket.SHUT_RDWR)
    end.close()
