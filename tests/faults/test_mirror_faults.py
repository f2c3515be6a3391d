"""A mirror that hangs, refuses or is put to too late, and pages that are torn or half way: readers and rows are not misled.

Mirrors by HTTP are a real server that misbehaves; where the tests count in seconds, every limit is cut to a tenth.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient

import pipeline.backends.http as http_backend
from pipeline import leasing, mirrors, recovery, validate
from pipeline.backends.http import HttpBackend
from pipeline.backends.local import LocalBackend
from pipeline.context import Context
from pipeline.kit.clock import SystemClock
from pipeline.ledger import Ledger, documents, tables
from pipeline.model.errors import Transient
from pipeline.web.app import make_app
from tests.conftest import CONFIG, Newsroom, article, open_newsroom
from tests.support.put_server import Fault, PutServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from pipeline.ledger.deliveries import Due
    from pipeline.model.document import Document

KEY = "demo/mirror:one"
TOKEN = "Bearer t"
TENTH = 0.1
PATIENCE = 10.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PutServer]:
    """Another domain's web server."""
    with PutServer(tmp_path / "remote", TOKEN) as made:
        yield made


def remote_config(server: PutServer) -> str:
    """The usual newsroom, its mirror at that server."""
    mirror = f'[sites.demo.mirrors.one]\nbackend = "http"\ntarget = "{server.url}"\nbase_url = "{server.url}"\ntoken = "env:PUT_TOKEN"\n'
    return CONFIG.replace("[sites.demo.mirrors.one]\n", mirror).replace("port = 8499", f'port = 8499\nallow_hosts = ["{server.authority}"]')


@pytest.fixture
def remote(server: PutServer, make_newsroom: Callable[..., Newsroom], monkeypatch: pytest.MonkeyPatch) -> Newsroom:
    """A newsroom whose mirror is put over HTTP."""
    monkeypatch.setenv("PUT_TOKEN", TOKEN)
    return make_newsroom(remote_config(server))


@pytest.fixture(params=["sqlite", "postgres"])
def remote_over_each(
    request: pytest.FixtureRequest, server: PutServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Newsroom]:
    """The same over each database."""
    monkeypatch.setenv("PUT_TOKEN", TOKEN)
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}" if request.param == "sqlite" else request.getfixturevalue("postgres")
    made = open_newsroom(tmp_path, url, remote_config(server))
    yield made
    made.context.close()


@pytest.fixture
def tenths(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every limit of a run is a tenth of itself; nothing is asked for in seconds that a slow machine must keep."""
    monkeypatch.setattr(mirrors, "LIMIT", mirrors.LIMIT * TENTH)
    monkeypatch.setattr(mirrors, "REQUEST", mirrors.REQUEST * TENTH)
    monkeypatch.setattr(http_backend, "_SECONDS", http_backend._SECONDS * TENTH)
    monkeypatch.setattr(leasing, "TAKES_WORK", leasing.TAKES_WORK * TENTH)


def story(name: str, **changes: Any) -> dict[str, Any]:
    """An article with an address of its own."""
    return article(id=name, **{"url": f"https://www.example.org/news/{name}.html", "headline": f"About {name}", **changes})


def validated(room: Newsroom) -> None:
    """Events have become revisions with their plans."""
    validate.run(room.context, ["newsroom"])


def outlet(context: Context) -> Any:
    """The mirror's row."""
    with context.ledger.read() as tx:
        return tx.first(select(tables.outlets).where(tables.outlets.c.key == KEY))


def rows(context: Context) -> dict[int, Any]:
    """Article → row of its delivery to the mirror."""
    with context.ledger.read() as tx:
        found = tx.all(select(tables.deliveries).where(tables.deliveries.c.outlet == KEY))
    return {row.article_id: row for row in found}


def pages_with(server: PutServer, words: str) -> list[str]:
    """Pages at the other domain with these words."""
    return sorted(str(path.relative_to(server.root)) for path in server.root.rglob("*.html") if words in path.read_text())


def settle_for(room: Newsroom, seconds: float = 60, times: int = 4) -> None:
    """Work, and let time pass, several times."""
    for _ in range(times):
        room.drain()
        room.clock.move(seconds)
    room.drain()


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
    """Runs end in good order: no strikes, no crash, a few attempts; the rest of the deliveries were never touched."""
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
    assert sum(row.attempts for row in found.values()) <= hung.settings.limits.circuit_failures + 4
    assert not [seen for seen in server.seen if "feeds/" in seen.path]


def one_by_one(room: Newsroom, failures: int = 5) -> None:
    """The mirror is put one document after the other, and its circuit takes so many failures."""
    settings = room.context.settings
    site = settings.sites[0]
    site = replace(site, mirrors=tuple(replace(mirror, parallel=1) for mirror in site.mirrors))
    room.context.settings = replace(settings, sites=(site,), limits=replace(settings.limits, circuit_failures=failures))


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
    """Even where no circuit would stop it: after one answer waited for there is no time to begin another page, or a feed."""
    one_by_one(remote, failures=1000)
    began = remote.clock.monotonic()
    assert mirrors.run(remote.context, [KEY]).done == 0
    assert remote.clock.monotonic() - began <= mirrors.LIMIT
    assert len(unanswered) == 1
    assert outlet(remote.context).lease_owner is None
    assert outlet(remote.context).circuit_failures == 1
    assert sorted(row.attempts for row in rows(remote.context).values()) == [0] * 11 + [1]


def test_a_careful_run_at_a_mirror_that_hangs_takes_few_items(remote: Newsroom, unanswered: list[str]) -> None:
    """After a crash each item is a commit of its own; nothing succeeds, and the run stops all the same."""
    with remote.context.ledger.write() as tx:
        past = tx.now - timedelta(seconds=1)
        tx.run(tables.outlets.update().where(tables.outlets.c.key == KEY).values(lease_owner="gone", lease_until=past))
    mirrors.run(remote.context, [KEY])
    assert len(unanswered) == 1
    assert sorted(row.attempts for row in rows(remote.context).values()) == [0] * 11 + [1]
    assert {row.strikes for row in rows(remote.context).values()} == {0}


def test_a_mirror_that_comes_back_gets_everything(hung: Context, server: PutServer) -> None:
    """What was not attempted and what was are delivered once the circuit is closed and the times have come."""
    mirrors.run(hung, [KEY])
    server.fault = Fault.NONE
    with hung.ledger.write() as tx:
        tx.run(tables.outlets.update().where(tables.outlets.c.key == KEY).values(circuit_until=None))
        tx.run(tables.deliveries.update().where(tables.deliveries.c.outlet == KEY).values(next_attempt_at=tx.now))
    ends = hung.clock.monotonic() + PATIENCE
    while leasing.has_work(hung, KEY) and hung.clock.monotonic() < ends:
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
    while leasing.has_work(remote.context, KEY):
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


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """While the list holds anything, no file can be written in a mirror."""
    real: Callable[..., None] = LocalBackend.put
    full: list[bool] = []

    def put(self: LocalBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if full and "mirrors" in str(self._root):
            message = "No space left on device"
            raise Transient(message)
        real(self, path, body, media_type, fence)

    monkeypatch.setattr(LocalBackend, "put", put)
    return full


def test_feeds_of_a_mirror_with_nothing_else_due_are_not_forgotten(small_newsroom: Newsroom, full_disk: list[bool]) -> None:
    """A torn feed is found, the disk is full for one run: it is made again by itself, and the circuit knew of the failure."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    small_newsroom.clock.move(10)
    feed = small_newsroom.context.settings.data / "mirrors/demo/one/feeds/all.rss"
    whole = feed.read_bytes()
    feed.write_bytes(b"torn")
    assert [drift.path for drift in recovery.verify(small_newsroom.context, KEY)[1]] == ["feeds/all.rss"]
    full_disk.append(True)
    small_newsroom.drain()
    assert outlet(small_newsroom.context).circuit_failures == 1
    assert outlet(small_newsroom.context).next_edge_at is not None
    full_disk.clear()
    settle_for(small_newsroom, seconds=3, times=2)
    assert feed.read_bytes() == whole
    after = outlet(small_newsroom.context)
    assert (after.circuit_failures, after.next_edge_at) == (0, None)


def test_a_full_disk_with_nothing_due_is_tried_ever_more_seldom(small_newsroom: Newsroom, full_disk: list[bool]) -> None:
    """No run follows at once on a failed one: time brings the next."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    with small_newsroom.context.ledger.write() as tx:
        documents.distrust(tx, KEY, {"feeds/all.rss": None})
    full_disk.append(True)
    run = mirrors.run(small_newsroom.context, [KEY])
    assert run.nudges == ()
    assert not leasing.has_work(small_newsroom.context, KEY)


@pytest.fixture
def visitor(small_newsroom: Newsroom) -> TestClient:
    """A reader of the local mirror; nothing runs but what a test asks for."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    small_newsroom.clock.move(10)
    return TestClient(make_app(small_newsroom.context, lambda _n: None), follow_redirects=False)


def files_of(room: Newsroom) -> tuple[Path, str]:
    """(file of the article's page, its address)."""
    page = next((room.context.settings.data / "mirrors/demo/one").glob("quiet*/index.html"))
    return page, f"/mirrors/demo/one/{page.parent.name}/"


@pytest.mark.parametrize("torn", [b"", b"<!doctype", None], ids=["empty", "cut", "missing"])
@pytest.mark.parametrize("place", ["page", "index.html", "feeds/all.atom"])
def test_a_torn_document_is_not_served_and_made_again(
    visitor: TestClient, small_newsroom: Newsroom, torn: bytes | None, place: str
) -> None:
    """After power loss a file may be empty: 503 at once and until it is whole, then the same bytes as before."""
    page, address = files_of(small_newsroom)
    root = small_newsroom.context.settings.data / "mirrors/demo/one"
    file, address = (page, address) if place == "page" else (root / place, f"/mirrors/demo/one/{place}")
    whole = visitor.get(address)
    assert whole.status_code == 200
    if torn is None:
        file.unlink()
    else:
        file.write_bytes(torn)
    answer = visitor.get(address)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    assert visitor.get(address).status_code == (503 if torn is not None else 404)
    small_newsroom.drain()
    again = visitor.get(address)
    assert (again.status_code, again.content, again.headers["etag"]) == (200, whole.content, whole.headers["etag"])


def test_torn_twins_are_packed_anew_after_a_start(visitor: TestClient, small_newsroom: Newsroom) -> None:
    """Nothing compares their bytes, so none of them is trusted after a start."""
    feed = small_newsroom.context.settings.origin / "demo/feeds/all.json"
    small_newsroom.drain()
    whole = {suffix: feed.with_name(feed.name + suffix).read_bytes() for suffix in (".gz", ".br")}
    for suffix in whole:
        feed.with_name(feed.name + suffix).write_bytes(b"")
    assert recovery.check_feeds(small_newsroom.context) == ()
    answer = visitor.get("/demo/feeds/all.json", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in answer.headers
    small_newsroom.clock.move(3)
    small_newsroom.drain()
    assert {suffix: feed.with_name(feed.name + suffix).read_bytes() for suffix in whole} == whole
    assert visitor.get("/demo/feeds/all.json", headers={"Accept-Encoding": "gzip"}).headers["content-encoding"] == "gzip"


def test_a_page_under_way_has_no_validator(visitor: TestClient, small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """A notice that is put and not settled is 410, a new text 200; neither bears the tag of what stood there before."""
    _, address = files_of(small_newsroom)
    old = visitor.get(address)
    real, seen = mirrors._settle, []

    def settle(*arguments: Any) -> int:
        seen.append(visitor.get(address, headers={"If-None-Match": old.headers["etag"]}))
        return real(*arguments)

    monkeypatch.setattr(mirrors, "_settle", settle)
    small_newsroom.send("updated", article(headline="Corrected", updated_at="2026-11-23T07:30:00Z"))
    small_newsroom.drain()
    small_newsroom.clock.move(10)
    small_newsroom.send("withdrawn", {"id": "a-1", "reason": "It was wrong"})
    small_newsroom.drain()
    corrected, withdrawn = seen
    assert corrected.status_code == 200
    assert "Corrected" in corrected.text
    assert withdrawn.status_code == 410
    for answer in seen:
        assert "etag" not in answer.headers
        assert answer.headers["cache-control"] == "no-cache"
    assert visitor.get(address).status_code == 410


def test_a_page_named_and_not_yet_put_is_still_the_old_one(
    visitor: TestClient, small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the put its bytes are those of the row, and so is its tag."""
    _, address = files_of(small_newsroom)
    old = visitor.get(address)
    real, seen = mirrors._place, []

    def place(press: Any, document: Document, kept: Any) -> None:
        if "quiet" in document.path:
            seen.append(visitor.get(address))
        real(press, document, kept)

    monkeypatch.setattr(mirrors, "_place", place)
    small_newsroom.send("updated", article(headline="Corrected", updated_at="2026-11-23T07:30:00Z"))
    small_newsroom.drain()
    assert [(answer.status_code, answer.content, answer.headers["etag"]) for answer in seen] == [(200, old.content, old.headers["etag"])]
