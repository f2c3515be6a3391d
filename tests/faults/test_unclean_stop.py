"""The machine stopped without writing everything: what local mirrors stored shortly before is compared, a slice at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from pipeline import recovery, upkeep
from pipeline.ledger import duties
from pipeline.model.errors import Unavailable
from tests.support.mirrors import KEY, story

if TYPE_CHECKING:
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
