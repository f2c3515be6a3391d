"""What stands at the outlets, read from their bytes, and what the ledger says of it: for whoever compares both with an oracle."""

from __future__ import annotations

import gzip
import json
import re
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import func, select, text

from pipeline import upkeep
from pipeline.ledger import tables, views
from pipeline.model.settings import Kind
from tests.faults.newsroom_order import Shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pipeline.context import Context

EXTENSIONS = ("json", "rss", "atom")
FINISHED = ("settled", "skipped")


def marks(body: bytes | str, prefix: str) -> frozenset[str]:
    """The marks of a history's texts that occur in a document."""
    content = body.decode() if isinstance(body, bytes) else body
    return frozenset(re.findall(rf"{prefix}w\d+w", content))


def _read(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b""


def _agreed(found: Iterable[frozenset[str]]) -> frozenset[str]:
    """The one thing all formats of a feed say. Fails where they say different things."""
    listed = list(found)
    assert len(set(listed)) == 1, f"the formats of one feed differ: {listed}"
    return listed[0]


def _feed(folder: Path, name: str, prefix: str) -> frozenset[str]:
    documents = {extension: _read(folder / f"{name}.{extension}") for extension in EXTENSIONS}
    ids = [item["id"] for item in json.loads(documents["json"] or b'{"items": []}')["items"]]
    assert len(ids) == len(set(ids)), ids
    for extension, body in documents.items():
        twin = folder / f"{name}.{extension}.gz"
        assert not twin.exists() or gzip.decompress(twin.read_bytes()) == body, f"{twin} is of other bytes than its document"
    return _agreed(marks(body, prefix) for body in documents.values())


def _pages(root: Path, articles: Iterable[str], prefix: str) -> frozenset[str]:
    """Marks on pages that a web server of this folder would answer with 200."""
    found: set[str] = set()
    for article in articles:
        for page in root.glob(f"{article}-*/index.html"):
            here = marks(page.read_text(), prefix)
            gone = (page.parent / ".gone").exists()
            if not gone:
                found |= here
    return frozenset(found)


def shares(context: Context, site: str, network: str, articles: Iterable[str], prefix: str) -> frozenset[str]:
    """Marks in a network's live share payloads."""
    found: set[str] = set()
    with context.ledger.read() as tx:
        for article in articles:
            rows = [row for one in views.named(tx, site, article, Kind.NETWORK) for row in views.shares(tx, site, one.short_id)]
            live = [row.body for row in rows if row.outlet == f"{site}/network:{network}" and row.status == "live"]
            found |= {mark for body in live for mark in marks(bytes(body), prefix)}
    return frozenset(found)


def look(context: Context, site: str, articles: Iterable[str], prefix: str) -> Shown:
    """What a subscriber of each outlet of a site reads of these articles."""
    articles = list(articles)
    origin = context.settings.origin / site / "feeds"
    mirror = context.settings.data / "mirrors" / site / "one"
    pages = _pages(mirror, articles, prefix)
    assert _feed(mirror / "feeds", "all", prefix) == pages, "the mirror's feed and its pages differ"
    assert marks(_read(mirror / "index.html"), prefix) == pages, "the mirror's index and its pages differ"
    return Shown(
        feed_all=_feed(origin, "all", prefix),
        feed_world=_feed(origin, "world", prefix),
        mirror=pages,
        mirror_world=_feed(mirror / "feeds", "world", prefix),
        network_all=shares(context, site, "x", articles, prefix),
        network_world=shares(context, site, "email", articles, prefix),
    )


def loose_ends(context: Context, site: str) -> list[str]:
    """What a site's ledger must not have once everything is settled (I2), each in a sentence."""
    d, o, e = tables.deliveries.c, tables.outlets.c, tables.events.c
    here = d.outlet.like(f"{site}/%")
    with context.ledger.read() as tx:
        open_rows = tx.all(select(d.outlet, d.article_id, d.state, d.reason).where(here, d.state.not_in(FINISHED)).limit(5))
        due = tx.all(select(d.outlet, d.article_id).where(here, d.next_attempt_at.is_not(None)).limit(5))
        behind = tx.all(
            select(d.outlet, d.article_id).where(here, d.state == "settled", (d.held != d.wanted) | (d.held_present != d.wanted_present))
        )
        leftover = tx.all(select(d.outlet, d.article_id).where(here, d.state == "skipped", d.held_present).limit(5))
        silent = tx.all(select(d.outlet, d.article_id).where(here, d.state == "skipped", d.reason == "").limit(5))
        outlets = tx.all(select(o.key, o.held_seq, o.wanted_seq).where(o.site == site, o.held_seq < o.wanted_seq))
        waiting = tx.value(select(func.count()).where(text("events.state = 'waiting'"), e.source.in_(_sources(context, site))))
    found = {
        "not settled": open_rows,
        "still due": due,
        "settled with something else": behind,
        "skipped and yet held": leftover,
        "skipped without a reason": silent,
        "outlets behind": outlets,
        "events waiting": [waiting] if waiting else [],
    }
    return [f"{what}: {[tuple(row) if hasattr(row, '_fields') else row for row in rows]}" for what, rows in found.items() if rows]


def temporary_files(context: Context) -> list[Path]:
    """What writers put aside and never renamed (I6)."""
    return list(context.settings.data.rglob(".tmp-*"))


def sweep(context: Context) -> None:
    """Upkeep's hourly look for temporary files, with nothing too young for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(upkeep, "LEFT_SECONDS", 0.0)
        patch.setattr(upkeep, "SWEEP_EVERY", timedelta())
        upkeep._sweep(context)


def _sources(context: Context, site: str) -> list[str]:
    return [source.name for source in context.settings.sources if source.site == site]


def held_leases(context: Context, site: str) -> list[str]:
    """Outlets of a site that somebody works at now."""
    o = tables.outlets.c
    with context.ledger.read() as tx:
        return [row.key for row in tx.all(select(o.key).where(o.site == site, o.lease_owner.is_not(None)))]
