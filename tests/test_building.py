"""Feeds from the ledger's rows: one rendering for every outlet, and each outlet's own links."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from lxml import etree

from pipeline import building
from pipeline.formats import FORMATS
from tests.conftest import article

if TYPE_CHECKING:
    import pytest

    from pipeline.formats import Format
    from pipeline.model.entry import Entry, FeedHead
    from tests.conftest import Newsroom

ATOM = "{http://www.w3.org/2005/Atom}"
HARD = "https://www.example.org/news/a?one=1&amp=2&quot;%22"


def links(newsroom: Newsroom, folder: str) -> dict[str, str]:
    """Format → where the only entry of the feed `all` leads."""
    read = {ext: (newsroom.context.settings.data / folder / f"all.{ext}").read_bytes() for ext in ("rss", "atom", "json")}
    (alternate,) = etree.fromstring(read["atom"]).findall(f"{ATOM}entry/{ATOM}link[@rel='alternate']")
    return {
        "rss": etree.fromstring(read["rss"]).findtext("channel/item/link") or "",
        "atom": alternate.get("href", ""),
        "json": json.loads(read["json"])["items"][0]["url"],
    }


def test_each_outlet_has_its_own_links(newsroom: Newsroom) -> None:
    """The canonical page at the origin, its own pages at each mirror, in every format, whatever stands in a URL."""
    newsroom.send("published", article(url=HARD))
    newsroom.drain()
    assert links(newsroom, "origin/demo/feeds") == dict.fromkeys(("rss", "atom", "json"), HARD)
    pages = {o.outlet.rpartition(":")[2]: o.url for o in newsroom.status().outlets if "/mirror:" in o.outlet}
    assert pages
    for mirror, page in pages.items():
        assert links(newsroom, f"mirrors/demo/{mirror}/feeds") == dict.fromkeys(("rss", "atom", "json"), page)


def test_an_entry_is_rendered_once_for_all(newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two feeds at the origin and at a mirror show it; each format writes it a single time."""
    written: Counter[str] = Counter()

    def counting(fmt: Format) -> Format:
        def entry(shown: Entry, head: FeedHead) -> bytes:
            written[fmt.name] += 1
            return fmt.entry(shown, head)

        return replace(fmt, entry=entry)

    monkeypatch.setattr(building, "FORMATS", {name: counting(fmt) for name, fmt in FORMATS.items()})
    newsroom.send("published", article())
    newsroom.drain()
    assert newsroom.feed_ids("all") == newsroom.feed_ids("world") == ["a-1"]
    assert written == dict.fromkeys(("rss", "atom", "json", "html", "sitemap", "news"), 1)
