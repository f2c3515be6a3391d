"""The machine stopped without writing everything: what local mirrors stored shortly before is compared, a slice at a time."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from pipeline import feeds, recovery, upkeep, validate
from pipeline.backends.local import LocalBackend
from pipeline.ledger import documents, duties
from pipeline.model.errors import Unavailable
from pipeline.paging import page_of
from tests.support.mirrors import KEY, story
from tests.test_archives import KEY as KEY_OF_FEED
from tests.test_archives import TEXT, publish

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Newsroom

HOUR = 3600.0


@pytest.fixture(autouse=True)
def _first_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upkeep, "boot", lambda: "the first kernel")


def page(room: Newsroom, name: str) -> Path:
    """The file of an article's page at the local mirror."""
    return next((room.context.settings.data / "mirrors/demo/one").glob(f"{name}-*/index.html"))


def published(room: Newsroom, *names: str) -> None:
    """These articles stand everywhere, and upkeep was there a minute later."""
    for name in names:
        room.send("published", story(name))
    room.drain()
    room.clock.move(61)
    room.drain()


def compared(room: Newsroom) -> list[str]:
    """Outlets whose comparison has not ended."""
    with room.context.ledger.read() as tx:
        return [outlet for outlet, _, _ in duties.comparing(tx)]


def test_what_a_stopped_machine_tore_is_made_again_by_itself(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages, feeds and the mark of what is gone; nobody asked for them."""
    published(newsroom, "a-1", "a-2")
    newsroom.send("withdrawn", {"id": "a-2"})
    newsroom.drain()
    feed = newsroom.context.settings.data / "mirrors/demo/one/feeds/all.rss"
    files = [page(newsroom, "a-1"), feed]
    whole = [file.read_bytes() for file in files]
    for file in files:
        file.write_bytes(file.read_bytes()[:100] + b"\0" * 100)
    marker = page(newsroom, "a-2").with_name(".gone")
    marker.unlink()
    newsroom.drain()
    assert [file.read_bytes() for file in files] != whole
    monkeypatch.setattr(upkeep, "boot", lambda: "the second kernel")
    newsroom.drain()
    newsroom.clock.move(5)
    newsroom.drain()
    assert [file.read_bytes() for file in files] == whole
    assert marker.exists()
    assert compared(newsroom) == []


def test_only_what_was_stored_since_the_last_sign_of_life_is_looked_at(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """The archive is not read at every start; `pressrun verify` does that."""
    published(newsroom, "old")
    newsroom.clock.move(72 * HOUR)
    published(newsroom, "new")
    torn = [page(newsroom, "old"), page(newsroom, "new")]
    for file in torn:
        file.write_bytes(b"")
    monkeypatch.setattr(upkeep, "boot", lambda: "the second kernel")
    newsroom.drain()
    newsroom.clock.move(5)
    newsroom.drain()
    assert [bool(file.read_bytes()) for file in torn] == [False, True]


def test_where_the_folder_cannot_be_seen_nothing_is_concluded(newsroom: Newsroom) -> None:
    """It may be another machine's, or not mounted here; whoever sees it goes on."""
    published(newsroom, "a-1", "a-2")
    page(newsroom, "a-1").write_bytes(b"torn")
    there = newsroom.context.settings.data / "mirrors"
    away = there.rename(there.with_name("elsewhere"))
    recovery.check_in(newsroom.context, "the second kernel")
    upkeep.run(newsroom.context)
    assert set(newsroom.states().values()) == {"settled"}
    assert compared(newsroom) == [KEY]
    away.rename(there)
    newsroom.drain()
    newsroom.drain()  # the first one's upkeep looks for work before it compares
    assert page(newsroom, "a-1").read_bytes() != b"torn"
    assert compared(newsroom) == []


def test_a_mirror_that_is_no_folder_any_more_is_not_compared(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asking over a network, page by page, is not what a second of upkeep is for."""
    published(newsroom, "a-1")
    recovery.check_in(newsroom.context, "the second kernel")
    site = newsroom.context.settings.sites[0]
    moved = replace(site, mirrors=tuple(replace(m, backend="http", target="http://127.0.0.1:9/") for m in site.mirrors))
    newsroom.context.settings = replace(newsroom.context.settings, sites=(moved,))
    monkeypatch.setattr(type(newsroom.context), "mirror_backend", lambda *_: pytest.fail("it was asked"))
    recovery.compare(newsroom.context, newsroom.context.clock.monotonic() + 1)
    assert compared(newsroom) == []


def test_a_chore_that_fails_leaves_the_nudges(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was nudged is noted already, and would not be for 3 s more."""
    published(newsroom, "a-1")
    newsroom.send("published", story("a-2"))

    def locked(*_: object) -> None:
        message = "the ledger was locked"
        raise Unavailable(message)

    monkeypatch.setattr(recovery, "compare", locked)
    assert upkeep.run(newsroom.context).nudges


def test_a_killed_process_begins_no_comparison(newsroom: Newsroom) -> None:
    """The kernel lives, so it writes what it was given."""
    published(newsroom, "a-1")
    with newsroom.context.ledger.write() as tx:
        assert not duties.check_in(tx, "the first kernel", [KEY])
        assert duties.comparing(tx) == []


def test_a_run_compares_a_slice_and_the_next_one_goes_on(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the time of the run is over before it begins, and in whatever process the next one is."""
    published(newsroom, "a-1", "a-2", "a-3")
    page(newsroom, "a-3").write_bytes(b"")
    monkeypatch.setattr(recovery, "SLICE", 2)
    recovery.check_in(newsroom.context, "the second kernel")
    runs = 0
    while compared(newsroom):
        recovery.compare(newsroom.context, newsroom.context.clock.monotonic())
        runs += 1
        assert runs < 20
    assert runs > 3
    newsroom.drain()
    assert page(newsroom, "a-3").read_bytes()


def test_a_second_stop_during_the_comparison_begins_it_anew(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the first path on, and from as far back."""
    published(newsroom, "a-1", "a-2")
    monkeypatch.setattr(recovery, "SLICE", 1)
    recovery.check_in(newsroom.context, "the second kernel")
    with newsroom.context.ledger.read() as tx:
        begun = duties.comparing(tx)
    recovery.compare(newsroom.context, newsroom.context.clock.monotonic())
    newsroom.clock.move(HOUR)
    recovery.check_in(newsroom.context, "the third kernel")
    with newsroom.context.ledger.read() as tx:
        assert duties.comparing(tx) == begun


def test_a_mirror_that_is_no_longer_configured_is_not_waited_for(newsroom: Newsroom) -> None:
    """Its comparison ends."""
    with newsroom.context.ledger.write() as tx:
        duties.check_in(tx, "the second kernel", ["demo/mirror:dropped"])
    recovery.compare(newsroom.context, newsroom.context.clock.monotonic() + 1)
    assert compared(newsroom) == []


def test_kernels_of_long_ago_are_forgotten(newsroom: Newsroom) -> None:
    """One machine that starts every day leaves no trail of rows, and its start looks back to yesterday only."""
    for day in range(5):
        with newsroom.context.ledger.write() as tx:
            duties.check_in(tx, f"kernel of day {day}", [])
        newsroom.clock.move(30 * HOUR)
    with newsroom.context.ledger.read() as tx:
        assert [duties.kernel_seen_at(tx, f"kernel of day {day}") is not None for day in range(5)] == [False] * 4 + [True]


# --- archive pages, which are too many to be compared before the app is ready


@pytest.fixture(params=["sqlite", "postgres"])
def archive(request: pytest.FixtureRequest, make_newsroom: Callable[..., Newsroom], tmp_path: Path) -> Newsroom:
    """A newsroom whose feed has archive pages with twins, noted to be at work, over each database."""
    url = request.getfixturevalue("postgres") if request.param == "postgres" else f"sqlite:///{tmp_path / 'ledger.sqlite'}"
    room = make_newsroom(TEXT, url)
    with_pages(room)
    return room


@pytest.fixture
def small_archive(make_newsroom: Callable[..., Newsroom]) -> Newsroom:
    """The same over SQLite in memory."""
    room = make_newsroom(TEXT)
    with_pages(room)
    return room


def with_pages(room: Newsroom, first: int = 0, count: int = 16) -> None:
    """Articles that fill pages of four; their twins are packed, and upkeep was there a minute later."""
    for number in range(first, first + count):
        publish(room, number, number / 10)
    room.drain()
    packed(room)


def packed(room: Newsroom) -> None:
    """Upkeep was there for a minute, and then until every document of the feed has its twins."""
    room.clock.move(61)
    for _ in range(60):
        room.drain()
        room.clock.move(3)
        with room.context.ledger.read() as tx:
            if not documents.without_twins(tx, [KEY_OF_FEED], tx.now, tx.now, 1):
                return
    pytest.fail("nobody packs them")


def pages_in(room: Newsroom) -> dict[str, bytes]:
    """Name → bytes of everything that stands of archive pages, twins too."""
    folder = room.context.settings.origin / "demo" / "feeds"
    return {file.name: file.read_bytes() for file in folder.glob("all-2026-*")}


def restarted(room: Newsroom, monkeypatch: pytest.MonkeyPatch, kernel: str = "the second kernel") -> None:
    """The machine starts again: the app compares what it does before it is ready, then upkeep has some seconds."""
    monkeypatch.setattr(upkeep, "boot", lambda: kernel)
    recovery.check_feeds(room.context)
    for _ in range(4):
        room.drain()
        room.clock.move(5)
    packed(room)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "cut short": lambda file: file.write_bytes(file.read_bytes()[:100]),
    "full of noughts": lambda file: file.write_bytes(b"\0" * file.stat().st_size),
    "empty": lambda file: file.write_bytes(b""),
    "missing": lambda file: file.unlink(),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_an_archive_page_that_was_torn_is_written_again(archive: Newsroom, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    """In whatever format; nobody asked for it, and the other pages are not touched."""
    whole = pages_in(archive)
    folder = archive.context.settings.origin / "demo" / "feeds"
    assert {"all-2026-08-1.atom", "all-2026-08-1.atom.gz", "all-2026-08-3.json"} <= set(whole)
    times = {name: (folder / name).stat().st_mtime_ns for name in whole}
    for name in ("all-2026-08-1.atom", "all-2026-08-3.json"):
        DAMAGE[how](folder / name)
    archive.drain()
    assert pages_in(archive) != whole
    restarted(archive, monkeypatch)
    assert pages_in(archive) == whole
    untouched = [name for name in whole if "2026-08-2" in name]
    assert untouched
    assert [(folder / name).stat().st_mtime_ns for name in untouched] == [times[name] for name in untouched]
    assert compared(archive) == []


def test_a_torn_twin_of_an_archive_page_is_packed_again(small_archive: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web server in front gives it to readers as it stands."""
    whole = pages_in(small_archive)
    twin = small_archive.context.settings.origin / "demo" / "feeds" / "all-2026-08-2.rss.gz"
    twin.write_bytes(twin.read_bytes()[:50])
    restarted(small_archive, monkeypatch)
    assert pages_in(small_archive) == whole


def test_after_a_clean_stop_no_archive_page_is_read(small_archive: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor after a kill: the kernel is the same one, and wrote what it was given. A start stays short."""
    torn = small_archive.context.settings.origin / "demo" / "feeds" / "all-2026-08-1.atom"
    torn.write_bytes(b"torn")
    read: list[str] = []
    real = LocalBackend.get

    def noting(backend: LocalBackend, path: str) -> bytes | None:
        read.append(path)
        return real(backend, path)

    monkeypatch.setattr(LocalBackend, "get", noting)
    restarted(small_archive, monkeypatch, "the first kernel")
    assert [path for path in read if page_of(path)] == []
    assert compared(small_archive) == []
    assert torn.read_bytes() == b"torn"


def test_only_archive_pages_stored_since_the_last_sign_of_life_are_read(small_archive: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are; `pressrun verify` reads all of them."""
    dated_now(small_archive)
    small_archive.clock.move(72 * HOUR)
    with_pages(small_archive, 100, 4)
    folder = small_archive.context.settings.origin / "demo" / "feeds"
    newest = max(folder.glob("all-2026-08-*.atom"))
    old = folder / "all-2026-08-1.atom"
    assert newest != old
    for file in (old, newest):
        file.write_bytes(b"torn")
    restarted(small_archive, monkeypatch)
    assert (old.read_bytes() == b"torn", newest.read_bytes() == b"torn") == (True, False)


def dated_now(room: Newsroom) -> None:
    """The files of archive pages are as old as the newsroom's clock says."""
    now = room.clock.now().timestamp()
    for file in (room.context.settings.origin / "demo" / "feeds").glob("all-2026-*"):
        os.utime(file, (now, now))


def test_a_torn_twin_that_was_packed_long_after_its_page_is_found(small_archive: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a large filling twins come for many minutes."""
    dated_now(small_archive)
    small_archive.clock.move(72 * HOUR)
    small_archive.drain()
    whole = pages_in(small_archive)
    folder = small_archive.context.settings.origin / "demo" / "feeds"
    now = small_archive.clock.now().timestamp()
    for name, packed_at in (("all-2026-08-1.atom.gz", now), ("all-2026-08-2.atom.gz", now - 72 * HOUR)):
        (folder / name).write_bytes(b"torn")
        os.utime(folder / name, (packed_at, packed_at))
    restarted(small_archive, monkeypatch)
    assert {name for name, body in pages_in(small_archive).items() if body != whole[name]} == {"all-2026-08-2.atom.gz"}


def test_archive_pages_are_compared_some_at_a_time(small_archive: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when the time of the run is over before it begins: the next one goes on."""
    monkeypatch.setattr(recovery, "PAGES", 2)
    recovery.check_in(small_archive.context, "the second kernel")
    last = small_archive.context.settings.origin / "demo" / "feeds" / "all-2026-08-3.rss"
    whole = last.read_bytes()
    last.write_bytes(b"torn")
    reads: list[int] = []
    real = LocalBackend.get

    def noting(backend: LocalBackend, path: str) -> bytes | None:
        reads[-1] += path.endswith((".rss", ".atom", ".json", ".html"))
        return real(backend, path)

    with monkeypatch.context() as patch:
        patch.setattr(LocalBackend, "get", noting)
        while KEY_OF_FEED in compared(small_archive):
            reads.append(0)
            recovery.compare(small_archive.context, small_archive.context.clock.monotonic())
            assert len(reads) < 50
    assert (len(reads) > 3, max(reads)) == (True, 2)
    small_archive.drain()
    assert last.read_bytes() == whole


def test_a_page_that_is_written_while_it_is_compared_is_left_alone(small_archive: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its row is another one by the time it would be marked."""
    recovery.check_in(small_archive.context, "the second kernel")
    path = "demo/feeds/all-2026-08-1.atom"
    real = LocalBackend.get

    def corrected(backend: LocalBackend, asked: str) -> bytes | None:
        if asked != path:
            return real(backend, asked)
        monkeypatch.setattr(LocalBackend, "get", real)
        publish(small_archive, 0, 0, "corrected", headline="Put right", correction={"note": "Right.", "at": "2026-11-23T09:00:00Z"})
        drain_without_upkeep(small_archive)
        return real(backend, asked)

    monkeypatch.setattr(LocalBackend, "get", corrected)
    with capture_logs() as said:
        recovery.compare(small_archive.context, small_archive.context.clock.monotonic() + 10)
    assert [line for line in said if line["event"] == "document damaged"] == []
    assert b"Put right" in pages_in(small_archive)["all-2026-08-1.atom"]


def drain_without_upkeep(room: Newsroom) -> None:
    """What a webhook leads to."""
    validate.run(room.context, ("newsroom",))
    feeds.run(room.context, (KEY_OF_FEED,))
