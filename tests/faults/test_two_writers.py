"""Two at once: whoever was paused writes nothing, the older of two revisions never wins, no wake-up is lost, waiting ends."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import text

from pipeline import building, leasing, validate
from pipeline.backends.local import LocalBackend
from pipeline.kit.clock import SetClock, SystemClock
from pipeline.ledger import Ledger, engine, events, outlets
from pipeline.ledger.outlets import LEASE
from pipeline.model.errors import FenceLost, Unavailable
from pipeline.model.run import Nudge, Step
from tasks.drain import STEPS, drain
from tests.conftest import START, Newsroom, article
from tests.faults.looking import loose_ends

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.ledger.engine import Tx
    from pipeline.ledger.events import Claimed
    from pipeline.ledger.outlets import Hold

OUTLETS = {Step.FEEDS: "demo/feed:all", Step.MIRRORS: "demo/mirror:one", Step.SOCIAL: "demo/network:email"}
NARROW = {Step.FEEDS: "demo/feed:world", Step.MIRRORS: "demo/mirror:one", Step.SOCIAL: "demo/network:email"}
"""Outlets that do not take the section Culture."""

PATIENCE = 30.0
ROUNDS = 50


def later(minute: int) -> str:
    """An `updated_at` that grows with the minute."""
    return f"2026-11-23T07:{minute:02d}:00Z"


def validated(room: Newsroom) -> None:
    """Events have become revisions with their plans; no outlet has done anything yet."""
    validate.run(room.context, [room.context.settings.sources[0].name])


# The paused writer


def test_a_put_from_before_a_takeover_is_refused(five_outlets: Newsroom) -> None:
    """Whoever holds a lease that ran out and was taken by somebody else cannot change a byte any more."""
    key, context = OUTLETS[Step.FEEDS], five_outlets.context
    five_outlets.send("published", article(headline="New"))
    validated(five_outlets)
    with leasing.lease(context, key, 5.0) as old:
        assert old is not None
        five_outlets.clock.move(LEASE.total_seconds() + 1)
        STEPS[Step.FEEDS](context, (key,))
        served = five_outlets.feed("all", "rss")
        assert b"New" in served
        with pytest.raises(FenceLost):
            context.origin(key).put("demo/feeds/all.rss", b"old", "application/rss+xml", old.hold.fence)
        with pytest.raises(FenceLost), context.ledger.write() as tx:
            old.guard(tx, held_seq=99)
    assert five_outlets.feed("all", "rss") == served


@pytest.mark.parametrize("step", [Step.FEEDS, Step.MIRRORS])
def test_a_run_paused_before_its_put_writes_nothing_when_it_wakes(
    small_five: Newsroom, step: Step, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paused in the middle for longer than its lease; meanwhile the article is withdrawn everywhere, and stays so."""
    small_five.send("published", article(headline="Secret"))
    validated(small_five)
    paused, wake = threading.Event(), threading.Event()
    put = LocalBackend.put

    def pausing(self: LocalBackend, path: str, body: bytes, media_type: str, fence: int) -> None:
        if threading.current_thread() is old:
            paused.set()
            wake.wait(PATIENCE)
        put(self, path, body, media_type, fence)

    old = threading.Thread(target=STEPS[step], args=(small_five.context, (OUTLETS[step],)), daemon=True)
    monkeypatch.setattr(LocalBackend, "put", pausing)
    # What stops a process stops the thread that renews in it, too; here it would go on by the machine's clock.
    monkeypatch.setattr(leasing, "_kept_alive", lambda _held: nullcontext())
    old.start()
    assert paused.wait(PATIENCE)
    small_five.clock.move(LEASE.total_seconds() + 1)
    small_five.send("withdrawn", {"id": "a-1"})
    small_five.drain()
    before = _everything(small_five)
    wake.set()
    old.join(PATIENCE)
    assert not old.is_alive()
    assert _everything(small_five) == before
    assert not any(b"Secret" in body for path, body in before.items() if not path.endswith("index.html"))
    assert not loose_ends(small_five.context, "demo")


def _everything(room: Newsroom) -> dict[str, bytes]:
    """Every document in the data folder; notices of a page that is gone may name its headline."""
    folders = (room.context.settings.origin, room.context.settings.data / "mirrors")
    files = [p for folder in folders for p in folder.rglob("*") if p.is_file() and not p.name.startswith(".fence")]
    return {str(p): p.read_bytes() for p in files}


@pytest.mark.parametrize("end", [outlets.release, outlets.abandon])
def test_a_renewal_that_comes_late_keeps_nobody_out(five_outlets: Newsroom, end: Callable[[Tx, Hold], None]) -> None:
    """The thread that renews had read of the lease just before its run ended: the outlet stays free for the next."""
    ledger, key = five_outlets.context.ledger, OUTLETS[Step.FEEDS]
    with ledger.write() as tx:
        hold = outlets.claim(tx, key, "the first")
    assert hold is not None
    with ledger.write() as tx:
        end(tx, hold)
    with ledger.write() as tx:
        assert not outlets.renew(tx, hold)
    with ledger.write() as tx:
        assert outlets.claim(tx, key, "the second") is not None


# The older revision


def _claimed(room: Newsroom, data: dict[str, Any]) -> Claimed:
    """One event of the article, in the hands of a writer."""
    room.send("updated", data)
    with room.context.ledger.write() as tx:
        claimed = events.claim(tx, "demo", "a writer").events
        return events.with_bodies(tx, claimed)[0]


def _decision(room: Newsroom, event: Claimed) -> validate.Decision:
    settings = room.context.settings
    return validate.decide(settings.sources[0], settings.sites[0], event)


@pytest.fixture
def on_postgres(tmp_path: Path, postgres: str) -> Iterator[Newsroom]:
    """A newsroom on a real PostgreSQL, where two transactions run at once."""
    from tests.conftest import open_newsroom
    from tests.faults.conftest import FIVE_OUTLETS

    made = open_newsroom(tmp_path, postgres, FIVE_OUTLETS)
    yield made
    made.context.close()


@pytest.mark.parametrize("known", [False, True], ids=["a new article", "a known article"])
def test_of_two_revisions_written_at_once_the_older_always_loses(on_postgres: Newsroom, *, known: bool) -> None:
    """Fifty races of two connections on PostgreSQL: what is live and wanted is the newer one, fifty times."""
    source, context = on_postgres.context.settings.sources[0], on_postgres.context
    for number in range(ROUNDS):
        cms_id = f"r-{known}-{number}"
        if known:
            on_postgres.send("published", article(id=cms_id, headline="first", updated_at=later(1)))
            validated(on_postgres)
        pair = [
            _decision(on_postgres, _claimed(on_postgres, article(id=cms_id, headline=word, updated_at=later(minute))))
            for word, minute in (("older", 10), ("newer", 20))
        ]
        _together([partial(validate._write, context, source, [d]) for d in (pair if number % 2 else reversed(pair))])
        assert on_postgres.status(cms_id).headline == "newer"
        with context.ledger.read() as tx:
            wanted = tx.all(
                text(
                    "SELECT DISTINCT r.headline FROM deliveries d JOIN revisions r ON r.id = d.wanted"
                    " JOIN articles a ON a.id = d.article_id WHERE a.cms_id = :cms_id"
                ),
                {"cms_id": cms_id},
            )
        assert [row.headline for row in wanted] == ["newer"]


def test_the_older_revision_that_waits_for_the_newer_ones_commit_loses(on_postgres: Newsroom) -> None:
    """The worst order, made certain: the newer one has written and not committed when the older one comes to the row."""
    source, context = on_postgres.context.settings.sources[0], on_postgres.context
    older, newer = (
        _decision(on_postgres, _claimed(on_postgres, article(headline=word, updated_at=later(minute))))
        for word, minute in (("older", 10), ("newer", 20))
    )
    lines: dict[int, list[Any]] = {}
    with context.ledger.write() as tx:
        events.finish(tx, [validate._apply(tx, context.settings.sites[0], newer, lines)])
        late = threading.Thread(target=validate._write, args=(context, source, [older]), daemon=True)
        late.start()
        _until(lambda: _waits_for_a_lock(context.ledger))
    late.join(PATIENCE)
    assert not late.is_alive()
    assert on_postgres.status().headline == "newer"
    assert on_postgres.status().revision == 1


def _waits_for_a_lock(ledger: Ledger) -> bool:
    with ledger.read() as tx:
        return bool(tx.value(text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")))


def _together(calls: list[Callable[[], object]]) -> None:
    """Run these at once; what one raises fails the test."""
    raised: list[BaseException] = []
    start = threading.Barrier(len(calls))

    def guarded(call: Callable[[], object]) -> None:
        try:
            start.wait(PATIENCE)
            call()
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            raised.append(error)

    threads = [threading.Thread(target=guarded, args=(call,), daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert not raised, raised
    assert not any(thread.is_alive() for thread in threads)


def _until(what: Callable[[], bool]) -> None:
    """Look until it is so, for a bounded time."""
    clock = SystemClock()
    ends = clock.monotonic() + PATIENCE
    while not what():
        assert clock.monotonic() < ends
        clock.sleep(0.005)


# The wake-up


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have something happen once, after the next run has read its rows and before it settles them."""

    def arrange(happens: Callable[[], None]) -> None:
        render, left = building.entry_of, [happens]

        def rendering(*arguments: Any) -> Any:
            if left:
                left.pop()()
            return render(*arguments)

        monkeypatch.setattr(building, "entry_of", rendering)

    return arrange


@pytest.mark.parametrize("step", list(OUTLETS))
def test_what_comes_between_reading_and_settling_makes_the_run_nudge_itself(
    five_outlets: Newsroom, step: Step, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    """The nudge of the new revision met a lease and was dropped; the run asks again after its own and carries on."""
    key, context = OUTLETS[step], five_outlets.context
    five_outlets.send("published", article(headline="First", updated_at=later(1)))
    validated(five_outlets)

    def new_text() -> None:
        five_outlets.send("updated", article(headline="Second", updated_at=later(2)))
        nudges = validate.run(context, ["demo"]).nudges
        assert Nudge(step, (key,)) in [Nudge(n.step, (k,)) for n in nudges for k in n.keys]
        assert STEPS[step](context, (key,)).nudges == ()

    meanwhile(new_text)
    run = STEPS[step](context, (key,))
    assert run.nudges == (Nudge(step, (key,)),)
    assert STEPS[step](context, run.nudges[0].keys).nudges == ()
    line = next(o for o in five_outlets.status().outlets if o.outlet == key)
    assert (line.state, line.held_revision) == ("settled", 2)


@pytest.mark.parametrize("step", list(NARROW))
def test_what_was_wanted_and_not_any_more_before_a_run_settles_is_taken_away_again(
    five_outlets: Newsroom, step: Step, meanwhile: Callable[[Callable[[], None]], None]
) -> None:
    """Withdrawn and published again elsewhere while a run stores the first text: that run's copy does not stay."""
    key, context = NARROW[step], five_outlets.context
    five_outlets.send("published", article(headline="First", updated_at=later(1)))
    validated(five_outlets)

    def twice() -> None:
        five_outlets.send("withdrawn", {"id": "a-1"})
        validated(five_outlets)
        five_outlets.clock.move(1)
        five_outlets.send("published", article(headline="Second", updated_at=later(2), section=["Culture"]))
        validated(five_outlets)

    meanwhile(twice)
    run = STEPS[step](context, (key,))
    drain(context, run.nudges)
    assert not loose_ends(context, "demo")
    assert five_outlets.feed_ids("world") == []
    assert five_outlets.page()[0] in {0, 410}
    with context.ledger.read() as tx:
        assert not tx.all(text("SELECT outlet FROM deliveries WHERE held_present AND NOT wanted_present"))


# The wait for the database


def test_a_writer_gets_through_when_another_lets_go(tmp_path: Path) -> None:
    """Somebody else holds SQLite's write lock for a while: the transaction begins a moment after it is given back."""
    url = f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    ledger = Ledger(url)
    with ledger.write() as tx:
        tx.run(text("CREATE TABLE seen (n INTEGER)"))
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = threading.Event()

        def write() -> None:
            began.set()
            with ledger.write(deadline=PATIENCE) as tx:
                tx.run(text("INSERT INTO seen VALUES (1)"))

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        assert began.wait(PATIENCE)
        SystemClock().sleep(0.1)  # not needed for the verdict: so that it is in its wait in most runs
        with ledger.read() as tx:
            assert tx.value(text("SELECT count(*) FROM seen")) == 0
        other.execute("COMMIT")
        writer.join(PATIENCE)
    assert not writer.is_alive()
    with ledger.read() as tx:
        assert tx.value(text("SELECT count(*) FROM seen")) == 1
    ledger.close()


def test_a_writer_that_may_not_begin_gives_up_at_its_deadline(tmp_path: Path) -> None:
    """A lock that is never given back: Unavailable once its own seconds have passed, and nothing is left open."""
    clock = SetClock(START)
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}", clock)
    with ledger.write() as tx:
        tx.run(text("CREATE TABLE seen (n INTEGER)"))
    with closing(sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="locked"), ledger.write(deadline=1.0):
            pytest.fail("it began beside another writer")
        assert clock.monotonic() >= 1.0
        other.execute("ROLLBACK")
    with ledger.write() as tx:
        tx.run(text("INSERT INTO seen VALUES (1)"))
    ledger.close()


def test_a_lock_on_postgres_is_waited_for_no_longer_than_the_deadline(on_postgres: Newsroom) -> None:
    """A row somebody else holds: Unavailable after the transaction's own seconds, and the row is as it was."""
    ledger, key = on_postgres.context.ledger, OUTLETS[Step.FEEDS]
    with ledger.write() as first:
        assert outlets.pause(first, key, paused=True)
        with pytest.raises(Unavailable), ledger.write(deadline=0.2) as second:
            outlets.pause(second, key, paused=False)
    with ledger.read() as tx:
        assert next(row.paused for row in outlets.everyone(tx) if row.key == key)


def test_a_writer_that_stops_in_its_transaction_on_postgres_loses_it(on_postgres: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stopped or frozen, it would keep its rows from everybody for as long as it sleeps; when it wakes it is told."""
    monkeypatch.setattr(engine, "_IDLE", 0.3)
    ledger, key = on_postgres.context.ledger, OUTLETS[Step.FEEDS]
    ledger.close()  # connections are told when they are opened
    through = False
    with pytest.raises(Unavailable), ledger.write() as asleep:  # noqa: PT012 - before it sleeps, meanwhile, and when it wakes
        assert outlets.pause(asleep, key, paused=True)
        with ledger.write(deadline=PATIENCE) as other:
            through = outlets.pause(other, key, paused=False)
        outlets.pause(asleep, key, paused=True)
    assert through
    with ledger.read() as tx:
        assert next(row.paused for row in outlets.everyone(tx) if row.key == key) is False
