"""Servers of a few bytes, for what no real server would do on purpose."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pipeline.kit.http import Answer, Http

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Peer:
    """A server on loopback that hands each connection to `behave`, and keeps what it was sent first."""

    def __init__(self, behave: Callable[[socket.socket], None], family: int = socket.AF_INET) -> None:
        """Listen at once, on a free port."""
        self.listener = socket.create_server(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), family=family)
        self.port = self.listener.getsockname()[1]
        self.behave = behave
        self.requests: list[bytes] = []
        self.connections = 0
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self.behave(connection)

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


def answering(reply: bytes, seen: list[bytes] | None = None) -> Callable[[socket.socket], None]:
    """Answer every request on a connection with the same bytes."""

    def behave(connection: socket.socket) -> None:
        while data := connection.recv(65536):
            if seen is not None:
                seen.append(data)
            connection.sendall(reply)

    return behave


def dripping(head: bytes, every: float = 0.05) -> Callable[[socket.socket], None]:
    """Answer with `head` at once and then one byte after the other."""

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(every)

    return behave


def get(http: Http, url: str, *, seconds: float = 5, most: int = 1000, private: bool = False) -> Answer:
    """A GET with small limits."""
    return http.request("GET", url, deadline=seconds, max_bytes=most, allow_private=private)
