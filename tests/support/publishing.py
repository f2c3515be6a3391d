"""Another publisher on loopback: documents at paths, their media types and headers, changed at will."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass
class Page:
    """What stands at a path."""

    body: bytes = b""
    media_type: str = "text/plain"
    headers: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


class Publisher:
    """The server, on a free port, for the length of a `with`; `posted` is everything that was POSTed to it, and answered with `taken`."""

    def __init__(self) -> None:
        """Bind the port."""
        self.pages: dict[str, Page] = {}
        self.asked: list[str] = []
        self.posted: list[tuple[str, bytes]] = []
        self.taken = 202
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.publisher = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def authority(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def url(self, path: str) -> str:
        """Where a path is read."""
        return f"http://{self.authority}{path}"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    publisher: Publisher


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """What stands there."""
        publisher = self.server.publisher
        publisher.asked.append(self.path)
        page = publisher.pages.get(self.path, Page(status=404))
        self.send_response(page.status)
        for name, value in {"content-type": page.media_type, "content-length": str(len(page.body)), **page.headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page.body)

    def do_POST(self) -> None:
        """Keep it."""
        publisher = self.server.publisher
        publisher.posted.append((self.path, self.rfile.read(int(self.headers.get("content-length", "0")))))
        page = publisher.pages.get(self.path)
        self.send_response(page.status if page else publisher.taken)
        for name, value in {**(page.headers if page else {}), "content-length": "0"}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
        """Say nothing."""
