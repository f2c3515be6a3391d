"""A small server that stores what is PUT to it, like a WebDAV folder, and can be told to misbehave.

    with PutServer(tmp_path, token="Bearer s3cret") as server:
        http = Http(allow=[server.authority])
        ...  # PUT, DELETE (with the token), GET, HEAD (without) below server.url
        server.fault = Fault.ERROR

Standard library only. A path that ends with a slash answers the `index.html` in that folder; beside a file `.gone`
it answers 410 with the same page.
"""

from __future__ import annotations

import enum
import hmac
import mimetypes
import shutil
import threading
import time
from dataclasses import dataclass
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType


class Fault(enum.Enum):
    """How the server misbehaves; every request until it is set back."""

    NONE = "none"
    ERROR = "500"
    BUSY = "429"  # with Retry-After, PutServer.retry_after
    REFUSE = "403"
    TIMEOUT = "takes the request and never answers"
    DRIP = "answers one byte a second"
    RESET = "closes the connection instead of answering"
    REDIRECT = "redirects to itself"
    ELSEWHERE = "redirects to PutServer.elsewhere"
    TRUNCATE = "keeps the first half of what is PUT and says 201"
    LIE = "reads back other bytes than it keeps"
    CUT = "sends less of a GET than it announced"


@dataclass(frozen=True)
class Seen:
    """One request as it arrived; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]


class PutServer:
    """The server, on a free port of 127.0.0.1, for the length of a `with`.

    root        where it keeps the files
    token       what PUT, DELETE and MKCOL must carry in `token_header`; empty: nothing
    fault       how it misbehaves just now
    need_mkcol  answer 409 to a PUT whose folder was not made before, as WebDAV servers do (RFC 4918 9.7.1)
    seen        every request, in the order they arrived
    kept        (path, bytes) of every PUT that was taken, in the order they were
    """

    def __init__(self, root: Path, token: str = "", *, token_header: str = "Authorization", need_mkcol: bool = False) -> None:
        """Bind the port; answers begin with the `with`."""
        self.root = root
        self.token = token
        self.token_header = token_header
        self.need_mkcol = need_mkcol
        self.fault = Fault.NONE
        self.retry_after = "7"
        self.elsewhere = ""
        self.seen: list[Seen] = []
        self.kept: list[tuple[str, bytes]] = []
        self.released = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.put_server = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def authority(self) -> str:
        """`host:port`, as `Http(allow=...)` takes it."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    @property
    def url(self) -> str:
        """Where documents are PUT below, and read: with a trailing slash."""
        return f"http://{self.authority}/"

    def __enter__(self) -> Self:
        """Begin to answer."""
        self.root.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop, and let go whoever waits in TIMEOUT or DRIP."""
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64
    put_server: PutServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: a client that hung up is a fault a test asked for."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Nothing: tests read `PutServer.seen`."""

    def _begin(self) -> tuple[PutServer, bytes, Path] | None:
        """Read the whole request, apply the fault and check the token; None when it is answered already."""
        ours = self._ours
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        ours.seen.append(Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if self._misbehave(ours):
            return None
        given = self.headers.get(ours.token_header, "")
        if self.command not in {"GET", "HEAD"} and not hmac.compare_digest(given.encode(), ours.token.encode() or given.encode()):
            self._answer(401, b"no valid token\n")
            return None
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if any(part in {"", ".", ".."} for part in parts) and parts != [""]:
            self._answer(400, b"no such path\n")
            return None
        return ours, body, ours.root.joinpath(*parts)

    def _misbehave(self, ours: PutServer) -> bool:
        statuses = {Fault.ERROR: 500, Fault.BUSY: 429, Fault.REFUSE: 403, Fault.REDIRECT: 302, Fault.ELSEWHERE: 307}
        if ours.fault in statuses:
            headers = {Fault.BUSY: {"Retry-After": ours.retry_after}, Fault.REDIRECT: {"Location": self.path}}
            more = {**headers, Fault.ELSEWHERE: {"Location": ours.elsewhere}}.get(ours.fault, {})
            self._answer(statuses[ours.fault], b"the fault that was asked for\n", more)
        elif ours.fault is Fault.TIMEOUT:
            ours.released.wait(60)
            self.close_connection = True
        elif ours.fault is Fault.RESET:
            self.close_connection = True
        elif ours.fault is Fault.DRIP:
            self._drip(ours)
        else:
            return False
        return True

    def _drip(self, ours: PutServer) -> None:
        self.close_connection = True
        for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"." * 1000:
            self.wfile.write(bytes((byte,)))
            if ours.released.wait(1):
                return

    def do_PUT(self) -> None:
        """Store a file, atomically: 201 when it is new, else 204."""
        if (begun := self._begin()) is None:
            return
        ours, body, path = begun
        if ours.need_mkcol and not path.parent.is_dir():
            self._answer(409, b"make the folder first\n")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        status = 204 if path.exists() else 201
        kept = body[: len(body) // 2] if ours.fault is Fault.TRUNCATE else body
        temporary = path.with_name(f".{path.name}.{threading.get_ident()}.{time.monotonic_ns()}")
        temporary.write_bytes(kept)
        temporary.replace(path)
        ours.kept.append((unquote(urlsplit(self.path).path).strip("/"), kept))
        self._answer(status)

    def do_MKCOL(self) -> None:
        """Make a folder: 201, or 405 where something is (RFC 4918 9.3.1)."""
        if (begun := self._begin()) is None:
            return
        path = begun[2]
        if path.exists() or not path.parent.is_dir():
            self._answer(405 if path.exists() else 409)
            return
        path.mkdir()
        self._answer(201)

    def do_DELETE(self) -> None:
        """Remove a file or a folder: 204, or 404."""
        if (begun := self._begin()) is None:
            return
        path = begun[2]
        if not path.exists():
            self._answer(404)
            return
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        self._answer(204)

    def do_GET(self) -> None:
        """Answer a file, the index of a folder, or 404; 410 where a `.gone` lies beside it."""
        if (begun := self._begin()) is None:
            return
        ours, _, path = begun
        if path.is_dir():
            path /= "index.html"
        if not path.is_file():
            self._answer(404, b"not here\n")
            return
        body = path.read_bytes()
        if ours.fault is Fault.LIE:
            body = bytes(reversed(body)) + b"!"
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        more = {"Content-Type": kind, "Last-Modified": formatdate(path.stat().st_mtime, usegmt=True)}
        gone = path.name != ".gone" and (path.parent / ".gone").exists()
        self._answer(410 if gone else 200, body, more, short=ours.fault is Fault.CUT)

    def do_HEAD(self) -> None:
        """As GET, without the body."""
        self.do_GET()

    @property
    def _ours(self) -> PutServer:
        assert isinstance(self.server, _Server)
        return self.server.put_server

    def _answer(self, status: int, body: bytes = b"", more: Mapping[str, str] | None = None, *, short: bool = False) -> None:
        self.send_response(status)
        for name, value in (more or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[: len(body) // 2] if short else body)
        if short:
            self.close_connection = True
