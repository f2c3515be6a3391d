"""How fresh a GET is: a settled document is seen by the very next one, and nothing older after it, however it is kept."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from pipeline import feeds as step
from pipeline.ledger import Ledger, duties
from pipeline.model.errors import Unavailable
from pipeline.web import feeds
from pipeline.web.app import make_app
from pipeline.web.looks import Looks
from pipeline.web.stored import Stored
from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from starlette.types import ASGIApp

    from pipeline.context import Context
    from tests.conftest import Newsroom

PATH = "/demo/feeds/all.json"


@pytest.fixture
def reader(newsroom: Newsroom) -> Iterator[TestClient]:
    """A client of the app over each database, with one article out."""
    newsroom.send("published", article())
    newsroom.drain()
    with TestClient(make_app(newsroom.context, lambda _n: None), headers={"accept-encoding": "identity"}) as client:
        yield client


def looks_of(reader: TestClient) -> Looks:
    """What the app keeps."""
    kept: Looks = reader.app.state.looks  # type: ignore[attr-defined] # TestClient knows no more of it than that it is ASGI
    return kept


def headline(body: bytes) -> str:
    """Of the newest entry."""
    return str(json.loads(body)["items"][0]["title"])


def test_each_settled_build_is_seen_by_the_very_next_get(reader: TestClient, newsroom: Newsroom) -> None:
    """With the tag of the one before, and without; a poll in between changes nothing."""
    for number in range(12):
        before = reader.get(PATH)
        assert reader.get(PATH, headers={"if-none-match": before.headers["etag"]}).status_code == 304
        newsroom.send("updated", article(headline=f"Number {number}", updated_at=f"2026-11-23T07:30:{number:02}Z"))
        newsroom.drain()
        after = reader.get(PATH, headers={"if-none-match": before.headers["etag"]})
        assert (after.status_code, headline(after.content)) == (200, f"Number {number}")


class Dies(BaseException):
    """Stands for SIGKILL: nothing that comes after it runs."""


def renamed_and_not_settled(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker dies between the rename of a newer document and its settling."""
    newsroom.send("updated", article(headline="Newer", updated_at="2026-11-23T07:45:00Z"))

    def dies(*_: object) -> None:
        raise Dies

    with monkeypatch.context() as patch:
        patch.setattr(step, "_settle", dies)
        with pytest.raises(Dies):
            newsroom.drain()


def test_a_document_that_is_not_settled_is_not_served(reader: TestClient, newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had the settled one in memory goes on with it, with the same tag; the newer one comes with its row."""
    before = reader.get(PATH)
    renamed_and_not_settled(newsroom, monkeypatch)
    assert headline(newsroom.feed("all")) == "Newer"
    between = reader.get(PATH)
    assert (between.status_code, between.content, between.headers["etag"]) == (200, before.content, before.headers["etag"])
    newsroom.clock.move(10)
    newsroom.drain()
    after = reader.get(PATH, headers={"if-none-match": between.headers["etag"]})
    assert (after.status_code, headline(after.content)) == (200, "Newer")


def test_a_process_that_started_after_such_a_crash_serves_no_bytes_without_their_row(
    reader: TestClient, newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rather 503 than bytes nobody vouches for; the document is made again."""
    reader.get(PATH)
    renamed_and_not_settled(newsroom, monkeypatch)
    looks_of(reader).forget(PATH)
    answer = reader.get(PATH)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    newsroom.clock.move(10)
    newsroom.drain()
    assert headline(reader.get(PATH).content) == "Newer"


def test_the_hash_of_what_is_served_is_always_that_of_the_row(reader: TestClient, newsroom: Newsroom) -> None:
    """A file somebody wrote over, as long as before, is not served; memory knows what stood there, a fresh process does not."""
    file = newsroom.context.settings.origin / "demo/feeds/all.json"
    first = reader.get(PATH)
    file.write_bytes(first.content.replace(b"quiet", b"loud!"))
    assert reader.get(PATH).content == first.content
    assert first.headers["etag"] == f'"{hashlib.sha256(first.content).hexdigest()[:32]}"'
    looks_of(reader).forget(PATH)
    assert reader.get(PATH).status_code == 503
    newsroom.clock.move(4)
    newsroom.drain()
    mended = reader.get(PATH)
    assert (mended.content, json.loads(mended.content)["items"]) == (newsroom.feed("all"), json.loads(first.content)["items"])


def test_a_twin_that_unpacks_to_something_else_is_not_served(reader: TestClient, newsroom: Newsroom) -> None:
    """Whatever the row says of it."""
    newsroom.clock.move(4)
    newsroom.drain()
    twin = newsroom.context.settings.origin / "demo/feeds/all.json.gz"
    assert reader.get(PATH, headers={"accept-encoding": "gzip"}).headers["content-encoding"] == "gzip"
    twin.write_bytes(twin.read_bytes()[:-9])
    looks_of(reader).forget(PATH)
    answer = reader.get(PATH, headers={"accept-encoding": "gzip"})
    assert answer.status_code == 200
    assert "content-encoding" not in answer.headers
    assert answer.content == newsroom.feed("all")


def test_while_nothing_is_committed_no_row_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On SQLite in a file; after any commit exactly one look, however many ask one after the other."""
    from tests.conftest import open_newsroom

    room = open_newsroom(tmp_path, f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    room.send("published", article())
    room.drain()
    looked: list[str] = []
    look = feeds.look

    def counted(context: Context, address: str, kept: Stored | None) -> ASGIApp:
        looked.append(address)
        return look(context, address, kept)

    monkeypatch.setattr(feeds, "look", counted)
    app = make_app(room.context, lambda _n: None)
    client = TestClient(app)  # not entered: its own threads commit nothing
    assert [client.get(PATH).status_code for _ in range(5)] == [200] * 5
    assert looked == [PATH]
    with room.context.ledger.write() as tx:
        duties.take(tx, "another", "somebody")
    assert [client.get(PATH).status_code for _ in range(5)] == [200] * 5
    assert looked == [PATH] * 2
    room.context.close()


def test_a_version_follows_every_commit_and_no_reading(tmp_path: Path) -> None:
    """From another connection of this process or of another one; after closing it is asked anew."""
    here, there = (Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}") for _ in range(2))
    for ledger in (here, there):
        with ledger.write() as tx:
            tx.connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS t (a INTEGER)")
    seen = [here.version()]
    for ledger in (here, there, here):
        with ledger.write() as tx:
            tx.connection.exec_driver_sql("INSERT INTO t VALUES (1)")
        with here.read() as tx:
            tx.connection.exec_driver_sql("SELECT * FROM t")
        assert here.version() == here.version()
        seen.append(here.version())
    assert None not in seen
    assert len(set(seen)) == 4
    here.close()
    assert here.version() is not None
    here.close()
    there.close()


def test_where_it_costs_a_journey_there_is_no_version(postgres: str) -> None:
    """PostgreSQL, and a database that is one connection: every request looks."""
    for url in (postgres, "sqlite://"):
        ledger = Ledger(url)
        assert ledger.version() is None
        ledger.close()


class Slow:
    """Looks that end when they are let go; counts them."""

    def __init__(self) -> None:
        """None is under way."""
        self.began, self.go, self.count = threading.Semaphore(0), threading.Semaphore(0), 0
        self.error: Exception | None = None

    def __call__(self, _context: Context, _address: str, _kept: Stored | None) -> ASGIApp:
        """One look."""
        self.count += 1
        told = str(self.count)
        self.began.release()
        assert self.go.acquire(timeout=20)
        if self.error:
            raise self.error
        return PlainTextResponse(told)


async def asked(looks: Looks, times: int) -> list[asyncio.Task[Any]]:
    """So many requests that wait now."""
    tasks = [asyncio.create_task(looks.at(PATH)) for _ in range(times)]
    await asyncio.sleep(0)
    return tasks


async def began(slow: Slow) -> None:
    """Return once a look is under way."""
    await asyncio.get_running_loop().run_in_executor(None, slow.began.acquire)


def test_who_asks_during_a_look_waits_for_the_next(small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a look saw may be older than a later question: one look for those before it, one for all that came meanwhile."""
    slow = Slow()
    monkeypatch.setattr(feeds, "look", slow)

    async def scene() -> tuple[list[bytes], list[bytes]]:
        looks = Looks(small_newsroom.context)
        first = await asked(looks, 3)
        await began(slow)
        later = await asked(looks, 20)
        slow.go.release()
        early = [bytes((await task).body) for task in first]
        await began(slow)
        slow.go.release()
        return early, [bytes((await task).body) for task in later]

    assert asyncio.run(scene()) == ([b"1"] * 3, [b"2"] * 20)
    assert slow.count == 2


def test_what_a_look_raises_all_who_waited_hear_and_the_next_looks_again(small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for ever, and an error is not kept; nor does one who hangs up take the look with them."""
    slow = Slow()
    slow.error = Unavailable("the ledger is away")
    monkeypatch.setattr(feeds, "look", slow)

    async def scene() -> None:
        looks = Looks(small_newsroom.context)
        tasks = await asked(looks, 3)
        tasks[0].cancel()
        await began(slow)
        slow.go.release()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(found) for found in done] == [asyncio.CancelledError, Unavailable, Unavailable]
        slow.error = None
        slow.go.release()
        assert (await looks.at(PATH)).body == b"2"  # type: ignore[attr-defined] # a response

    asyncio.run(scene())


def test_a_ledger_that_is_away_is_503(reader: TestClient, newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """As everywhere else, and not what was answered before: nobody knows whether it still stands."""
    reader.get(PATH)

    def away(*_: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(newsroom.context.ledger, "version", lambda: None)
    monkeypatch.setattr(newsroom.context.ledger, "glance", away)
    answer = reader.get(PATH)
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")


def test_what_is_kept_is_bounded_by_its_bytes(reader: TestClient, newsroom: Newsroom) -> None:
    """The document asked for longest ago goes first; none is kept twice."""
    size = len(newsroom.feed("all"))
    room = Looks(newsroom.context, most_bytes=2 * size)

    async def scene() -> list[str]:
        for path in (PATH, "/demo/feeds/world.json", PATH, "/demo/feeds/all.json", "/demo/feeds/world.json", "/demo/feeds/all.rss"):
            assert isinstance(await room.at(path), Stored)
        return list(room._kept)

    assert asyncio.run(scene())[-1] == "/demo/feeds/all.rss"
    assert room._bytes == sum(len(stored.bodies[""]) for stored, _ in room._kept.values()) <= 2 * size
