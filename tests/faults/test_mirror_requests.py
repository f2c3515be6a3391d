"""A mirror that hangs, is slow or is put to too late: runs end in good order, and no late byte stays.

Mirrors by HTTP are a real server that misbehaves.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from pipeline import mirrors, validate
from pipeline.backends.http import HttpBackend
from pipeline.context import Context
from pipeline.kit.clock import SystemClock
from pipeline.ledger import Ledger, documents, tables
from pipeline.model.errors import Transient
from tests.conftest import Newsroom, article, open_newsroom
from tests.support.mirrors import KEY, TOKEN, has_work, one_by_one, outlet, pages_with, remote_config, rows, settle_for, story, validated
from tests.support.put_server import Fault, PutServer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pipeline.ledger.deliveries import Due

PATIENCE = 10.0


def test_a_page_put_too_late_does_not_outlive_its_withdrawal(
    remote_over_each: Newsroom, server: PutServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A put hangs until its lease is over; the article is withdrawn and settled meanwhile; then the put arrives."""
    room = remote_over_each
    room.send("published", article(headline="libel"))
    validated(room)
    real, late = HttpBackend.put, [True]

    def put(self: HttpBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if "quiet" in path and late:
            late.clear()
            room.clock.move(26)
            room.send("withdrawn", {"id": "a-1"})
            validated(room)
            assert mirrors.run(room.context, [KEY]).done == 1
        real(self, path, body, media_type, fence)

    monkeypatch.setattr(HttpBackend, "put", put)
    assert mirrors.run(room.context, [KEY]).nudges
    assert not late
    settle_for(room)
    assert pages_with(server, "libel") == []
    assert room.states()[KEY] == "settled"


def test_a_page_put_too_late_while_the_winner_settles_is_made_again(
    remote_over_each: Newsroom, server: PutServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The late bytes arrive after the winner read its own back and before it settles: it must not call them settled."""
    room = remote_over_each
    room.send("published", article(headline="libel"))
    room.drain()
    path = next(str(p.relative_to(server.root)) for p in server.root.rglob("quiet*/index.html"))
    old = (server.root / path).read_bytes()
    room.clock.move(5)
    room.send("withdrawn", {"id": "a-1"})
    validated(room)
    real, late = mirrors._settle, [True]

    def settle(press: mirrors._Press, taken: Sequence[Due], stored: Any, shared: Any) -> int:
        if late:
            late.clear()
            (server.root / path).write_bytes(old)
            with room.context.ledger.write() as tx:
                documents.distrust(tx, KEY, {path: taken[0].article_id}, "?1")
        return real(press, taken, stored, shared)

    monkeypatch.setattr(mirrors, "_settle", settle)
    assert mirrors.run(room.context, [KEY]).nudges
    assert not late
    settle_for(room)
    assert pages_with(server, "libel") == []
    assert room.states()[KEY] == "settled"


def real_time(room: Newsroom) -> Context:
    """The same newsroom with the machine's clock."""
    return Context(room.context.settings, Ledger(room.context.ledger.url), SystemClock())


@pytest.fixture
def hung(server: PutServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tenths: None) -> Iterator[Context]:
    """Twelve articles are due at a mirror that takes requests and never answers."""
    monkeypatch.setenv("PUT_TOKEN", TOKEN)
    room = open_newsroom(tmp_path, f"sqlite:///{tmp_path / 'ledger.sqlite'}", remote_config(server))
    for number in range(12):
        room.send("published", story(f"a-{number}"))
    context = real_time(room)
    validate.run(context, ["newsroom"])
    server.fault = Fault.TIMEOUT
    yield context
    context.ledger.close()
    room.context.close()


def test_a_mirror_that_hangs_opens_its_circuit_and_no_delivery_is_blamed(hung: Context, server: PutServer) -> None:
    """Runs end in good order: no strikes, no crash, nobody's retries used; most of the deliveries were never touched."""
    for _ in range(20):
        if outlet(hung).circuit_until is None:
            mirrors.run(hung, [KEY])
    after = outlet(hung)
    assert after.circuit_failures == hung.settings.limits.circuit_failures
    assert after.circuit_until is not None
    assert after.lease_owner is None
    assert not after.crashed
    found = rows(hung)
    assert {row.strikes for row in found.values()} == {0}
    assert {row.state for row in found.values()} == {"pending", "retrying"}
    assert {row.attempts for row in found.values()} == {0}
    assert [row.state for row in found.values()].count("retrying") <= hung.settings.limits.circuit_failures + 4
    assert not [seen for seen in server.seen if "feeds/" in seen.path]


@pytest.fixture
def unanswered(remote: Newsroom, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths that were put; none is answered, each time for all the seconds a request may take."""
    asked: list[str] = []

    def put(_self: HttpBackend, path: str, _body: bytes, _media_type: str, _fence: int) -> None:
        asked.append(path)
        remote.clock.move(mirrors.REQUEST)
        message = "no answer in time"
        raise Transient(message)

    monkeypatch.setattr(HttpBackend, "put", put)
    for number in range(12):
        remote.send("published", story(f"a-{number}"))
    validated(remote)
    return asked


def test_a_round_at_a_mirror_that_hangs_begins_nothing_late(remote: Newsroom, unanswered: list[str]) -> None:
    """Even where no circuit would stop it: after one answer waited for it is asked for robots.txt, and for no other page or feed."""
    one_by_one(remote, failures=1000)
    began = remote.clock.monotonic()
    assert mirrors.run(remote.context, [KEY]).done == 0
    assert remote.clock.monotonic() - began <= mirrors.LIMIT
    assert [path.partition("-")[0] for path in unanswered] == ["a", "robots.txt"]
    assert outlet(remote.context).lease_owner is None
    assert outlet(remote.context).circuit_failures == 1
    assert sorted(row.state for row in rows(remote.context).values()) == ["pending"] * 11 + ["retrying"]


def test_a_careful_run_at_a_mirror_that_hangs_takes_few_items(remote: Newsroom, unanswered: list[str]) -> None:
    """After a crash each item is a commit of its own; nothing succeeds, and the run stops all the same."""
    with remote.context.ledger.write() as tx:
        past = tx.now - timedelta(seconds=1)
        tx.run(tables.outlets.update().where(tables.outlets.c.key == KEY).values(lease_owner="gone", lease_until=past))
    mirrors.run(remote.context, [KEY])
    assert [path.partition("-")[0] for path in unanswered] == ["a", "robots.txt"]
    assert sorted(row.state for row in rows(remote.context).values()) == ["pending"] * 11 + ["retrying"]
    assert {row.strikes for row in rows(remote.context).values()} == {0}


def test_a_mirror_that_comes_back_gets_everything(hung: Context, server: PutServer) -> None:
    """What was not attempted and what was are delivered once the circuit is closed and the times have come."""
    mirrors.run(hung, [KEY])
    server.fault = Fault.NONE
    with hung.ledger.write() as tx:
        tx.run(tables.outlets.update().where(tables.outlets.c.key == KEY).values(circuit_until=None))
        tx.run(tables.deliveries.update().where(tables.deliveries.c.outlet == KEY).values(next_attempt_at=tx.now))
    ends = hung.clock.monotonic() + PATIENCE
    while has_work(hung, KEY) and hung.clock.monotonic() < ends:
        mirrors.run(hung, [KEY])
    assert {row.state for row in rows(hung).values()} == {"settled"}
    assert outlet(hung).circuit_failures == 0
    assert len(list(server.root.rglob("a-*/index.html"))) == 12


def test_a_slow_mirror_is_filled_in_several_rounds(remote: Newsroom, server: PutServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each request takes 7 of the 8 s it may: no round puts all, each goes on where the last one ended, nobody fails."""
    one_by_one(remote)
    for name in ("a-1", "a-2", "a-3"):
        remote.send("published", story(name))
    validated(remote)
    real_put, real_get = HttpBackend.put, HttpBackend.get

    def put(self: HttpBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        remote.clock.move(7)
        real_put(self, path, body, media_type, fence)

    def get(self: HttpBackend, path: str) -> bytes | None:
        remote.clock.move(7)
        return real_get(self, path)

    monkeypatch.setattr(HttpBackend, "put", put)
    monkeypatch.setattr(HttpBackend, "get", get)
    rounds = 0
    while has_work(remote.context, KEY):
        began = remote.clock.monotonic()
        mirrors.run(remote.context, [KEY])
        assert remote.clock.monotonic() - began <= mirrors.LIMIT
        rounds += 1
        assert rounds < 40
    found = rows(remote.context)
    assert {(row.state, row.attempts, row.strikes) for row in found.values()} == {("settled", 0, 0)}
    puts = [seen.path for seen in server.seen if seen.method == "PUT"]
    first_feed = next(number for number, path in enumerate(puts) if "feeds/" in path)
    assert any("a-1-" in path for path in puts[:first_feed])
    assert not [path for path in puts if puts.count(path) > 3]


def test_a_half_open_circuit_takes_one_failure(remote: Newsroom, server: PutServer) -> None:
    """Each time it stays open for twice as long, not for as many times as long as there are deliveries."""
    for number in range(8):
        remote.send("published", story(f"a-{number}"))
    validated(remote)
    server.fault = Fault.ERROR
    mirrors.run(remote.context, [KEY])
    assert outlet(remote.context).circuit_failures == 5
    remote.clock.move(31)
    mirrors.run(remote.context, [KEY])
    after = outlet(remote.context)
    assert after.circuit_failures == 6
    assert after.circuit_until - remote.clock.now() < timedelta(seconds=61)
