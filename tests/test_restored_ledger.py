"""A ledger from a backup, or a new one over old folders: everything is made again, nothing stays refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conftest import article

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Newsroom


def test_fences_in_the_folders_may_be_ahead_of_the_ledger(make_newsroom: Callable[..., Newsroom]) -> None:
    """The first run is refused by the fence that stands there, the next one begins above it."""
    from dataclasses import replace

    old = make_newsroom()
    for number in range(3):
        old.send("published", article(headline=f"Headline {number}", updated_at=f"2026-11-23T07:0{number}:00Z"))
        old.drain()
    new = make_newsroom()
    site = new.context.settings.sites[0]
    mirrors = tuple(replace(m, target=str(old.context.settings.data / "mirrors" / "demo" / m.name)) for m in site.mirrors)
    new.context.settings = replace(new.context.settings, origin=old.context.settings.origin, sites=(replace(site, mirrors=mirrors),))
    new.send("published", article(headline="After the restore"))
    for _ in range(4):
        new.drain()
        new.clock.move(4)
    assert new.status().settled
    assert b"After the restore" in old.feed("all", "rss")
