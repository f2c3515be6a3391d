"""Slow loris (FT20): hundreds of sockets that drip and a body without end are closed in time, and cost the others little."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.faults.checking import judge
from tests.faults.load import SITE, Load, story
from tests.support.running import Line, running_in, signed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.scoreboard import Score

DRIPPING = 200
ASKED = 300
"""Healthy requests of each of the two looks: with and without the dripping ones."""

DRIP = 0.4
PATIENCE = 40.0
CHUNK = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
CHUNKS = 150 * 16
LIMIT = 1_048_576
WAYS = (
    b"",
    b"GET /storm/feeds/all.rss HTTP/1.1\r\nHost: x\r\nX-Drip: ",
    b"POST /webhooks/storm HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n",
    b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n10000\r\n",
)
"""How a socket begins before it drips: with nothing, in its head, in a body that is read, in one that nobody reads."""


@dataclass
class Dripping:
    """Sockets that send a byte now and then, in a thread of their own. `closed`: for each, the seconds until it was closed."""

    port: int
    closed: list[float] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Until all are closed, or patience is at an end."""
        began, open_ones = time.monotonic(), selectors.DefaultSelector()
        for number in range(DRIPPING):
            line = socket.create_connection(("127.0.0.1", self.port), 10)
            line.sendall(WAYS[number % len(WAYS)])
            line.setblocking(False)
            open_ones.register(line, selectors.EVENT_READ)
        while open_ones.get_map() and time.monotonic() < began + PATIENCE:
            for key, _ in open_ones.select(DRIP):
                self._read(open_ones, key, time.monotonic() - began)
            for key in list(open_ones.get_map().values()):
                self._drip(open_ones, key, time.monotonic() - began)
        for key in list(open_ones.get_map().values()):
            self._gone(open_ones, key)
        self.done.set()

    def _read(self, open_ones: selectors.BaseSelector, key: selectors.SelectorKey, now: float) -> None:
        assert isinstance(key.fileobj, socket.socket)
        try:
            if key.fileobj.recv(10_000):
                return
        except OSError:
            pass
        self.closed.append(now)
        self._gone(open_ones, key)

    def _drip(self, open_ones: selectors.BaseSelector, key: selectors.SelectorKey, now: float) -> None:
        assert isinstance(key.fileobj, socket.socket)
        try:
            key.fileobj.send(b"x")
        except BlockingIOError:
            return
        except OSError:
            self.closed.append(now)
            self._gone(open_ones, key)

    def _gone(self, open_ones: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        assert isinstance(key.fileobj, socket.socket)
        open_ones.unregister(key.fileobj)
        key.fileobj.close()


@pytest.mark.fault("FT20")
@pytest.mark.timeout(200)
def test_slow_loris(tmp_path: Path, score: Score) -> None:
    """The sockets drip in four ways; a body of 150 MB is refused after its first; everybody else is served meanwhile."""
    with running_in(tmp_path, sites=(SITE,)) as room:
        load = Load(room.context.settings.server.port, story("l", 40, score.seed, room.context.clock.now()))
        load.send()
        room.settle(SITE)
        web = psutil.Process(room.supervisor.children["web"].process.pid)
        calm = _p99(load)
        before = web.memory_info().rss
        drips = Dripping(load.port)
        threading.Thread(target=drips.run, daemon=True).start()
        beside = _p99(load)
        status, sent = _endless(load.port)
        peak = web.memory_info().rss
        while not drips.done.wait(0.2):
            peak = max(peak, web.memory_info().rss)
        score.note("p99 alone", calm * 1000, "ms")
        score.note("p99 beside them", beside * 1000, "ms", target=2 * calm * 1000)
        score.note("closed at the latest after", max(drips.closed, default=PATIENCE), target=10.0)
        score.note("more memory", (peak - before) / 1e6, "MB", target=10.0)
        score.note("taken of the endless body", sent / 1e6, "MB")
        score.count("stuck", [f"{DRIPPING - len(drips.closed)} dripping sockets were never closed"] if len(drips.closed) < DRIPPING else [])
        score.count("malformed", [f"a body of 150 MB was answered {status}"] if status != 413 else [])
        assert room.supervisor.children["web"].process.pid == web.pid
        judge(room, load, score)
    assert score.clean, score.problems


def _p99(load: Load) -> float:
    """Of healthy requests, one after the other: feeds, and webhooks that came before."""
    line, took = Line(load.port), []
    bodies = [(load.webhook_id(action), load.body(action)) for action in load.actions]
    for number in range(ASKED):
        began = time.monotonic()
        if number % 3:
            assert line.ask("GET", f"/{SITE}/feeds/all.rss").status == 200
        else:
            webhook_id, body = bodies[number % len(bodies)]
            assert line.ask("POST", f"/webhooks/{SITE}", body, signed(body, webhook_id)).status == 202
        took.append(time.monotonic() - began)
    line.close()
    return sorted(took)[int(ASKED * 0.99)]


def _endless(port: int) -> tuple[int, int]:
    """Send 150 MB in chunks; (the status that was answered, bytes sent until then)."""
    head = b"POST /webhooks/storm HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    sent, answer = 0, b""
    with socket.create_connection(("127.0.0.1", port), 30) as line:
        try:
            line.sendall(head)
            for _ in range(CHUNKS):
                line.sendall(CHUNK)
                sent += len(CHUNK)
        except OSError:  # closed amid the sending, which is as it should be
            pass
        try:
            while data := line.recv(10_000):
                answer += data
        except OSError:
            pass
    return int(answer.split()[1]) if answer else 0, sent
