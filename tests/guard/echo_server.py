"""A server that repeats, as debugging proxies and badly made gateways do, every header it was sent, in every spelling it knows.

Standard library only. It answers `status` to PUT, DELETE and MKCOL and 404 to the rest, with the echo as body and headers.
"""

from __future__ import annotations

import base64
import html
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from types import TracebackType


class EchoServer:
    """On a free port of 127.0.0.1, for the length of a `with`. `heard` are the credentials of every request."""

    def __init__(self, status: int, header: str = "Authorization") -> None:
        """Bind the port; `status` is the answer to whoever wants to store something."""
        self.status, self.header, self.turn = status, header, 0
        self.heard: list[str] = []
        ours = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
                """Nothing."""

            def answer(self) -> None:
                """The echo, in the next of its spellings."""
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                said = self.headers.get(ours.header, "")
                ours.heard.append(said)
                ours.turn += 1
                body = echoes(said)[ours.turn % len(echoes(said))].encode("latin-1", "replace")
                self.send_response(404 if self.command in {"GET", "HEAD"} else ours.status)
                self.send_header("X-Echo", said)
                self.send_header("WWW-Authenticate", f'Bearer realm="{quote(said)}"')
                self.send_header("Location", f"http://127.0.0.1:1/{quote(said)}")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = do_PUT = do_DELETE = do_MKCOL = answer  # noqa: N815  # the base class's names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def authority(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """With a slash at the end."""
        return f"http://{self.authority}/"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def echoes(said: str) -> list[str]:
    """What such a server may write of a header: as it came, without its scheme, decoded, encoded, and where an excerpt would be cut."""
    scheme, _, rest = said.partition(" ")
    inside = base64.b64decode(rest).decode("latin-1") if scheme == "Basic" else rest
    plain = [said, rest, inside, inside.partition(":")[2] or inside]
    coded = [f(text) for text in plain for f in (quote, quote_plus, html.escape, json.dumps, _base64, _hex)]
    return ["no valid token: " + text for text in (*plain, *coded)] + ["." * (300 - 20) + said]


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _hex(text: str) -> str:
    return text.encode().hex()
