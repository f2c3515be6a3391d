"""A real web process for what no client library would send: bytes go in as they are, and what comes back is read to its end."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.cli.start import free_port
from pipeline.kit import signatures
from tests.cli.terminal import environment
from tests.conftest import CONFIG

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

KEY = b"the secret of a board, 32 bytes!"
PATIENCE = 30.0
_HTTPTOOLS = "from pipeline.web.__main__ import main; main()"
STARTS = {"httptools": _HTTPTOOLS, "h11": f"import sys; sys.modules['httptools'] = None; {_HTTPTOOLS}"}
"""With and without the extra `server`: uvicorn reads HTTP with one of two parsers, and they differ in what they let pass."""


@dataclass(frozen=True)
class Heard:
    """The first final answer on a connection; `status` is 0 where none came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_problem(self) -> bool:
        """Whether it is a problem document (RFC 9457) of its own status."""
        if self.headers.get("content-type") != "application/problem+json":
            return False
        said: dict[str, Any] = json.loads(self.body)
        return said["status"] == self.status and bool(said["detail"]) and bool(said["title"])


@dataclass(frozen=True)
class Web:
    """The process, its folder, its port."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]

    def ask(self, raw: bytes) -> Heard:
        """Send these bytes on a connection of their own; the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as line:
            with contextlib.suppress(OSError):  # it may hang up on us: what it said before is still to be read
                line.sendall(raw)
            return _answer(_received(line))

    def faults(self) -> list[dict[str, Any]]:
        """What the process told its operator as an error, or with a traceback."""
        lines = [json.loads(line) for line in (self.folder / "log").read_text().splitlines() if line]
        return [line for line in lines if line["level"] in {"error", "critical"} or "exception" in line]


def _received(line: socket.socket) -> bytes:
    got = b""
    try:
        while piece := line.recv(65536):
            got += piece
            if _whole(got):
                break
    except OSError:
        pass
    return got


def _final(got: bytes) -> bytes:
    """What was received from the final answer on: a 100 only says that the body may come."""
    return got.partition(b"\r\n\r\n")[2] if got.startswith(b"HTTP/1.1 100") else got


def _whole(got: bytes) -> bool:
    head, end, body = _final(got).partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: *([0-9]+)", head)
    return bool(end and length) and len(body) >= int(length[1] if length else 0)


def _answer(got: bytes) -> Heard:
    head, _, body = _final(got).partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    status = re.fullmatch(r"HTTP/1\.[01] ([0-9]{3}) .*", first)
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    length = int(headers.get("content-length", len(body)))
    return Heard(int(status[1]) if status else 0, headers, body[:length])


def signed(body: bytes, webhook_id: str, now: int | None = None) -> dict[str, bytes]:
    """The headers of a good webhook; a test spoils one of them."""
    stamp = int(time.time()) if now is None else now
    return {
        "host": b"127.0.0.1",
        "content-type": b"application/json",
        "content-length": str(len(body)).encode(),
        "webhook-id": webhook_id.encode(),
        "webhook-timestamp": str(stamp).encode(),
        "webhook-signature": signatures.sign(KEY, webhook_id, stamp, body).encode(),
    }


def request(headers: Mapping[str, bytes], body: bytes, *more: bytes, first: bytes = b"POST /webhooks/newsroom HTTP/1.1") -> bytes:
    """A request with exactly these header lines; `more` are further ones, as they are."""
    lines = [first, *(name.encode() + b": " + value for name, value in headers.items()), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


@contextmanager
def web_in(folder: Path, start: str) -> Iterator[Web]:
    """The web process alone: there is no broker and no worker, which no answer to a webhook waits for."""
    port = free_port(0)
    (folder / "secret").write_text(signatures.new_secret(KEY))
    text = CONFIG.replace("env:PRESSRUN_TEST_SECRET", "file:secret").replace("8499", str(port))
    (folder / "pressrun.toml").write_text(f'broker = "redis://127.0.0.1:{free_port(0)}/0"\n{text}')
    given = {**environment(), "PRESSRUN_CONFIG": str(folder / "pressrun.toml")}
    made = [sys.executable, "-c", "from pipeline.cli import main; main()", "db", "upgrade"]
    subprocess.run(made, env=given, cwd=folder, check=True, capture_output=True)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-c", STARTS[start]], env=given, cwd=folder, stderr=log)
    try:
        _listening(port, process)
        yield Web(folder, port, process)
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _listening(port: int, process: subprocess.Popen[bytes]) -> None:
    ends = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None
        assert time.monotonic() < ends
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.02)
        else:
            return
