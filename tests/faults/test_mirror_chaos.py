"""Mirror chaos (FT7): eight mirrors that fail in eight ways cost the others nothing, reach nobody else, and end up right.

The same load twice: first with the broken ones paused, then with all of them. After that everybody is mended, and files
are changed behind our back.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select

from pipeline import recovery
from pipeline.ledger import outlets, tables
from tests.faults.checking import Expected, judge, pages_in
from tests.faults.conftest import LONG, scaled
from tests.faults.load import SITE, Load, story
from tests.faults.reading import MARK
from tests.support.peers import OK, Peer, answering
from tests.support.put_server import Fault, PutServer
from tests.support.running import running_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

    from tests.faults.scoreboard import Score
    from tests.support.running import Running

ARTICLES = scaled(24, 300)
PER_SECOND = 12.0
FINE = ("fine", "fine-too")
BROKEN = {
    "error": Fault.ERROR,
    "busy": Fault.BUSY,
    "timeout": Fault.TIMEOUT,
    "drip": Fault.DRIP,
    "truncate": Fault.TRUNCATE,
    "redirect": Fault.REDIRECT,
    "elsewhere": Fault.ELSEWHERE,
    "lie": Fault.LIE,
}
CIRCUITS = [name for name in BROKEN if LONG or name not in {"timeout", "drip"}]
"""Whose circuit must open. Each failure of the slow ones takes eight seconds, so only the long form waits for five of them."""

_MIRROR = """
[sites.storm.mirrors.{name}]
backend = "http"
target = "{url}"
base_url = "{url}"
"""
_LIMITS = "[limits]\ncircuit_seconds = 2\n"


@dataclass
class Chaos:
    """The room and its mirrors by name."""

    room: Running
    servers: dict[str, PutServer]
    opened: dict[str, int] = field(default_factory=dict)
    watched: threading.Event = field(default_factory=threading.Event)

    def pause(self, *, paused: bool) -> None:
        """Leave the broken mirrors alone, or let them join in."""
        with self.room.context.ledger.write() as tx:
            for name in BROKEN:
                assert outlets.pause(tx, key(name), paused=paused)

    def p99(self, since: datetime) -> float:
        """Seconds from acceptance to held, of what was accepted since then, at everything that is healthy."""
        d = tables.deliveries.c
        healthy = d.outlet.not_in([key(name) for name in BROKEN]) & (d.state == "settled") & d.held_at.is_not(None)
        with self.room.context.ledger.read() as tx:
            rows = tx.all(select(d.wanted_at, d.held_at).where(healthy, d.wanted_at >= since))
        seconds = sorted((row.held_at - row.wanted_at).total_seconds() for row in rows)
        return float(seconds[int(len(seconds) * 0.99)])

    def open_healthy(self) -> int:
        """Deliveries that are still to be made anywhere but at the broken mirrors."""
        d = tables.deliveries.c
        here = d.outlet.like(f"{SITE}/%") & d.outlet.not_in([key(name) for name in BROKEN])
        with self.room.context.ledger.read() as tx:
            return int(tx.value(select(func.count()).where(here, tables.UNSETTLED)))

    def watch(self) -> None:
        """Note of each mirror how many failures it had when its circuit was first seen open; until `watched` is set."""
        o = tables.outlets.c
        while not self.watched.wait(0.02):
            with self.room.context.ledger.read() as tx:
                rows = tx.all(select(o.name, o.circuit_failures).where(o.kind == "mirror", o.circuit_until.is_not(None)))
            for row in rows:
                self.opened.setdefault(row.name, row.circuit_failures)

    def send(self, load: Load) -> float:
        """Send it and wait until everything healthy holds it; the p99 of that."""
        since = self.room.context.ledger.now()
        load.send(per_second=PER_SECOND)
        self.room.until(lambda: not self.room.open_work(SITE).get("events") and not self.open_healthy())
        return self.p99(since)


def key(name: str) -> str:
    """A mirror's key."""
    return f"{SITE}/mirror:{name}"


@pytest.mark.fault("FT7")
@pytest.mark.timeout(500)
def test_mirror_chaos(tmp_path: Path, score: Score) -> None:
    """Healthy outlets are as fast as without the broken ones; nobody else is reached; mended mirrors hold the newest and nothing older."""
    with ExitStack() as stack:
        listener = Peer(answering(OK))
        stack.callback(listener.close)
        chaos = stack.enter_context(_chaos(tmp_path, listener))
        room = chaos.room
        load = Load(room.context.settings.server.port, story("c", 2 * ARTICLES, score.seed, room.context.clock.now()))
        half = len(load.actions) // 2
        chaos.pause(paused=True)
        alone = chaos.send(replace(load, actions=load.actions[:half]))
        chaos.pause(paused=False)
        threading.Thread(target=chaos.watch, daemon=True).start()
        beside = chaos.send(replace(load, actions=load.actions[half:]))
        score.note("p99 of the healthy, alone", alone)
        score.note("beside broken ones", beside, target=1.2 * alone)
        room.until(lambda: chaos.opened.keys() >= set(CIRCUITS))
        chaos.watched.set()
        score.note("failures until a circuit opened", max(chaos.opened.values()), "", target=5)
        score.note("requests to broken ones", sum(len(chaos.servers[name].seen) for name in BROKEN), "")
        _mend(chaos)
        _look(chaos, load, score)
        _drift(chaos, score)
        score.count("malformed", [f"{listener.connections} connections to a listener nobody allowed"] if listener.connections else [])
        judge(room, load, score)
    assert score.clean, score.problems


@contextmanager
def _chaos(folder: Path, listener: Peer) -> Iterator[Chaos]:
    """A room with all these mirrors, the broken ones broken."""
    with ExitStack() as stack:
        servers = {name: stack.enter_context(PutServer(folder / "remote" / name)) for name in (*FINE, *BROKEN)}
        for name, fault in BROKEN.items():
            servers[name].fault = fault
            servers[name].retry_after = "2"
            servers[name].elsewhere = f"http://127.0.0.1:{listener.port}/"
        more = "".join(_MIRROR.format(name=name, url=server.url) for name, server in servers.items()) + _LIMITS
        allow = [server.authority for server in servers.values()]
        yield Chaos(stack.enter_context(running_in(folder, sites=(SITE,), more=more, allow=allow)), servers)


def _mend(chaos: Chaos) -> None:
    """Everybody behaves again."""
    for server in chaos.servers.values():
        server.fault = Fault.NONE
        server.released.set()
    chaos.room.until(lambda: not chaos.room.open_work(SITE), 120)


def _look(chaos: Chaos, load: Load, score: Score) -> None:
    """Each mirror holds the newest text of everything, and never went back to an older one once it had it."""
    expected = Expected(load)
    for name, server in chaos.servers.items():
        for kind, problem in pages_in(server.root, load, expected, expected.of()):
            score.count(kind, [problem])
        score.count("malformed", [f"{name}: {path} went back to {number}" for path, number in _went_back(server)])


def _went_back(server: PutServer) -> Iterator[tuple[str, int]]:
    """Article pages that were put with an older text than they had been before."""
    newest: dict[str, int] = {}
    for path, body in list(server.kept):
        text = body.decode("utf-8", "replace")
        numbers = {int(match[2]) for match in MARK.finditer(text)} if "-name-" in path and 'http-equiv="refresh"' not in text else set()
        for number in numbers:
            if number < newest.get(path, -1):
                yield path, number
        newest[path] = max([newest.get(path, -1), *numbers])


def _drift(chaos: Chaos, score: Score) -> None:
    """A page changed, a page lost, an old feed put back: one sweep finds all three, and after the next run they are right."""
    server = chaos.servers[FINE[0]]
    pages = sorted(server.root.glob("*-name-*/index.html"))
    feed = server.root / "feeds" / "all.json"
    before = {path: path.read_bytes() for path in (pages[0], pages[1], feed)}
    pages[0].write_bytes(b"<p>changed behind our back")
    pages[1].unlink()
    feed.write_bytes(before[feed][:-20])
    began = time.monotonic()
    found = {drift.path for drift in recovery.verify(chaos.room.context, key(FINE[0]))[1]}
    names = {str(path.relative_to(server.root)) for path in before}
    score.count("lost", [f"drift was not seen: {name}" for name in names - found])
    chaos.room.until(lambda: not chaos.room.open_work(SITE))
    score.note("drift repaired after", time.monotonic() - began)
    score.count("lost", [f"drift was not repaired: {path.name}" for path, body in before.items() if path.read_bytes() != body])
    left = recovery.verify(chaos.room.context, key(FINE[0]))[1]
    score.count("stuck", [f"drift is left: {drift.path}: {drift.detail}" for drift in left])
