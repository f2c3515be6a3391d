"""A crowd of WebSub subscribers in a process of its own: they confirm, and then are quick, slow, silent, or gone.

    with Crowd() as crowd:
        crowd.subscribe(hub, topic, {"quick": 750, "slow": 50, "silent": 100, "gone": 100})
        ...
        crowd.heard()      # every distribution that came in whole

It is no part of what is measured, so it reads HTTP by itself and as little of it as it must.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import json
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, urlencode, urlsplit

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).parents[1]
SLOW = 5.0  # seconds until the slow ones answer
SENDERS = 8
HOSTS = 20 if sys.platform == "linux" else 1  # that they are at: elsewhere loopback is one address
PATIENCE = 60.0
UPDATED = re.compile(rb"<updated>([^<]+)</updated>")
BUSY = 429


@dataclass(frozen=True, slots=True)
class Heard:
    """One distribution: who got it, when its last byte had come (seconds since the epoch), and which text it was."""

    kind: str
    number: int
    at: float
    sha256: str
    updated: str


class Crowd:
    """The process. A context manager: on the way out it is ended."""

    def __enter__(self) -> Self:
        """Start it; it is listening when this returns."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.crowd"], cwd=ROOT, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, start_new_session=True
        )
        assert self._process.stdout is not None
        self.port, self.gone = (int(word) for word in self._process.stdout.readline().split())
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    @property
    def authorities(self) -> list[str]:
        """`host:port` of its doors: those who will be gone have their own."""
        return [f"{host}:{port}" for host in _hosts() for port in (self.port, self.gone)]

    def callback(self, kind: str, number: int) -> str:
        """Where one of them is told."""
        return f"http://{_hosts()[number % HOSTS]}:{self.gone if kind == 'gone' else self.port}/{kind}/{number}"

    def starts(self, kind: str) -> list[str]:
        """What the callbacks of one kind begin with, one for each host."""
        return [self.callback(kind, number).removesuffix(str(number)) for number in range(HOSTS)]

    def subscribe(self, hub: str, topic: str, kinds: Mapping[str, int]) -> list[int]:
        """Ask the hub for each of them, once more where it is busy; every status it answered at last."""
        callbacks = [self.callback(kind, number) for kind, count in kinds.items() for number in range(count)]
        with ThreadPoolExecutor(SENDERS) as several:
            return list(several.map(lambda callback: _subscribe(hub, topic, callback), callbacks))

    def heard(self) -> list[Heard]:
        """Everything that was told, in the order it came."""
        return [Heard(*line) for line in self._ask("/_heard")]

    def verified(self) -> int:
        """How many questions were answered."""
        return int(self._ask("/_verified"))

    def requests(self) -> int:
        """How many requests there were in all."""
        return int(self._ask("/_requests"))

    def leave(self) -> None:
        """Those who will be gone are: nobody listens at their door any more."""
        self._ask("/_leave")

    def _ask(self, path: str) -> Any:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)) as connection:
            connection.request("GET", path)
            return json.loads(connection.getresponse().read())


def _hosts() -> list[str]:
    return [f"127.0.0.{number}" for number in range(1, 1 + HOSTS)]


def _subscribe(hub: str, topic: str, callback: str) -> int:
    body = urlencode({"hub.mode": "subscribe", "hub.topic": topic, "hub.callback": callback}).encode()
    ends = time.monotonic() + PATIENCE
    parts = urlsplit(hub)
    while True:
        with closing(http.client.HTTPConnection(parts.netloc, timeout=PATIENCE)) as connection:
            connection.request("POST", parts.path, body, {"content-type": "application/x-www-form-urlencoded"})
            answer = connection.getresponse()
            said = answer.read()
        if answer.status != BUSY or b"wait to be verified" not in said or time.monotonic() > ends:
            return answer.status
        time.sleep(0.05)


class _Notes:
    """What the process remembers."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, int, float, str, str]] = []
        self.verified = 0
        self.requests = 0
        self.doors: list[asyncio.Server] = []
        self.left = False


async def _serve(notes: _Notes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await _one(notes, head, reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _one(notes: _Notes, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    first, _, fields = head.partition(b"\r\n")
    method, target, _ = first.decode("latin-1").split(" ")
    length = re.search(rb"(?i)^content-length: *([0-9]+)", fields, re.MULTILINE)
    body = await reader.readexactly(int(length[1])) if length else b""
    path, _, query = target.partition("?")
    if path.startswith("/_"):
        _say(writer, json.dumps(_told(notes, path)).encode())
        return
    notes.requests += 1
    kind, number = path[1:].split("/")
    if method == "GET":
        if kind == "stranger":  # it never asked for anything
            _say(writer, b"", "404 Not Found")
            return
        notes.verified += 1
        _say(writer, parse_qs(query)["hub.challenge"][0].encode())
        return
    if kind == "gone" and notes.left:  # a connection from before
        raise ConnectionResetError
    found = UPDATED.search(body)
    notes.heard.append((kind, int(number), time.time(), hashlib.sha256(body).hexdigest(), found[1].decode() if found else ""))
    if kind == "silent":
        await asyncio.sleep(3600)
    if kind == "slow":
        await asyncio.sleep(SLOW)
    _say(writer, b"")


def _told(notes: _Notes, path: str) -> object:
    if path == "/_leave":
        for door in notes.doors:
            door.close()
        notes.left = True
    return {"/_heard": notes.heard, "/_verified": notes.verified, "/_requests": notes.requests}.get(path)


def _say(writer: asyncio.StreamWriter, body: bytes, status: str = "200 OK") -> None:
    writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)


async def _main() -> None:
    notes = _Notes()
    stay, notes.doors = await _doors(notes), await _doors(notes)
    print(*(doors[0].sockets[0].getsockname()[1] for doors in (stay, notes.doors)), flush=True)
    await asyncio.Event().wait()


async def _doors(notes: _Notes) -> list[asyncio.Server]:
    """One at each host, all of the same port."""
    port, doors = 0, []
    for host in _hosts():
        doors.append(await asyncio.start_server(partial(_serve, notes), host, port, limit=1 << 22, backlog=1024))  # reads a whole feed
        port = doors[0].sockets[0].getsockname()[1]
    return doors


if __name__ == "__main__":
    asyncio.run(_main())
