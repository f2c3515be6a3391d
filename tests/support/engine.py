"""A server that takes IndexNow submissions as indexnow.org/documentation says, over real sockets, and can be told to misbehave.

    with Engine({"www.example.org": KEY}) as engine:
        ...  # POST engine.url
        engine.urls          # what it took, in order
        engine.answers = [503]

It knows nothing of Pressrun. Standard library only.
"""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MOST = 10_000
KEY = re.compile(r"[A-Za-z0-9-]{8,128}")


@dataclass(frozen=True)
class Told:
    """One submission, and what it was answered."""

    host: str
    urls: tuple[str, ...]
    location: str | None
    status: int


@dataclass
class Engine:
    """`keys`: host → the key that stands there in a file, or is looked for at `keyLocation`.

    answers  statuses given in turn before it judges by itself
    headers  of those
    bad      addresses it will not have (422)
    taken    called before it answers what it took
    """

    keys: Mapping[str, str]
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    bad: frozenset[str] = frozenset()
    taken: Callable[[], None] = lambda: None
    told: list[Told] = field(default_factory=list)

    def __enter__(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, said = engine.judge(self.path, self.headers.get("Content-Type", ""), body)
                answer = json.dumps({"message": said}).encode()
                self.send_response(status)
                for name, value in (engine.headers if status >= 300 else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the base class
                """Nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    @property
    def authority(self) -> str:
        """`host:port`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Where it is told."""
        return f"http://{self.authority}/indexnow"

    @property
    def urls(self) -> list[str]:
        """Every address it took, in order."""
        return [url for one in self.told if one.status < 300 for url in one.urls]

    def judge(self, path: str, media_type: str, body: bytes) -> tuple[int, str]:
        """(status, words) of one submission."""
        try:
            given: dict[str, Any] = json.loads(body)
            host, key, urls = given["host"], given["key"], given["urlList"]
        except (ValueError, KeyError, TypeError):
            return 400, "Invalid format"
        status, said = self._status(path, media_type, given)
        if self.answers:
            status, said = self.answers.pop(0), "as it was told to"
        self.told.append(Told(host, tuple(urls), given.get("keyLocation"), status))
        assert key
        if status < 300:
            self.taken()
        return status, said

    def _status(self, path: str, media_type: str, given: dict[str, Any]) -> tuple[int, str]:
        host, urls = given["host"], given["urlList"]
        if path != "/indexnow" or not media_type.startswith("application/json") or set(given) - {"host", "key", "keyLocation", "urlList"}:
            return 400, "Invalid format"
        if not KEY.fullmatch(given["key"]) or not 0 < len(urls) <= MOST or len(set(urls)) != len(urls):
            return 400, "Invalid format"
        if self.keys.get(host) != given["key"]:
            return 403, "Key not found"
        location = given.get("keyLocation")
        scope = location.rpartition("/")[0] + "/" if location else ""
        if any(urlsplit(url).netloc != host or not url.startswith(scope) or url in self.bad for url in urls):
            return 422, "URLs which don't belong to the host"
        return 200, ""
