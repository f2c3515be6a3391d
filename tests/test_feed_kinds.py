"""Feeds that differ: by format, by rule, sitemaps, closed ones, and those that had another name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from lxml import etree

from pipeline import recovery
from pipeline.context import register
from pipeline.feeds import BY_WEB
from pipeline.ledger import documents
from pipeline.model.errors import ConfigError
from tests.conftest import CONFIG, article, settings_in

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Newsroom

SITEMAP = "{http://www.sitemaps.org/schemas/sitemap/0.9}"
WRITTEN = ("rss", "atom", "json", "html")
FILM = {
    "videos": [{"url": "https://www.example.org/harbour.mp4", "caption": "The harbour", "thumbnail_url": "https://www.example.org/h.jpg"}]
}


def names(room: Newsroom, folder: str = "feeds") -> set[str]:
    """The documents in a folder of the origin, without what is the backend's."""
    return {path.name for path in (room.context.settings.origin / "demo" / folder).iterdir() if not path.name.startswith(".")}


def locs(room: Newsroom, name: str) -> list[str]:
    """What a sitemap, or an index of them, lists."""
    root = etree.fromstring((room.context.settings.origin / "demo/sitemaps" / name).read_bytes())
    return [found.text or "" for found in root.iter(f"{SITEMAP}loc")]


def test_a_feed_is_written_in_the_formats_it_names(make_newsroom: Callable[..., Newsroom]) -> None:
    """And in no other; at a mirror it stands in those that readers take."""
    room = make_newsroom(CONFIG + '[sites.demo.feeds.wire]\ntitle = "Wire"\nformats = ["ninjs", "rss"]\n')
    room.send("published", article())
    room.drain()
    assert {name for name in names(room) if name.startswith("wire")} == {"wire.ninjs.json", "wire.rss"}
    assert json.loads(room.feed("wire", "ninjs.json"))[0]["uri"].endswith("newsroom/a-1")
    mirror = room.context.settings.data / "mirrors/demo/one/feeds"
    assert {path.name for path in mirror.glob("wire*")} == {"wire.rss", "wire.atom", "wire.json"}
    (held,) = (o for o in room.status().outlets if o.outlet == "demo/feed:wire")
    assert held.url == "http://127.0.0.1:8499/demo/feeds/wire.ninjs.json"


def test_a_feed_bears_the_logo_of_its_site(make_newsroom: Callable[..., Newsroom]) -> None:
    """At the origin and at a mirror."""
    url = "https://www.example.org/logo.png"
    room = make_newsroom(CONFIG.replace("[sites.demo]\n", f'[sites.demo]\nlogo_url = "{url}"\n'))
    room.send("published", article())
    room.drain()
    mirror = room.context.settings.data / "mirrors/demo/one/feeds"
    at_mirror = ((mirror / "all.rss").read_bytes(), (mirror / "all.atom").read_bytes())
    for rss, atom in ((room.feed(extension="rss"), room.feed(extension="atom")), at_mirror):
        assert etree.fromstring(rss).findtext("channel/image/url") == url
        assert etree.fromstring(atom).findtext("{http://www.w3.org/2005/Atom}logo") == url


def test_hundreds_of_withdrawals_each_leave_a_tombstone(small_newsroom: Newsroom) -> None:
    """Whoever follows them loses none."""
    for number in range(130):
        small_newsroom.send("published", article(id=f"n{number}", url=f"https://www.example.org/n{number}"))
    small_newsroom.drain()
    for number in range(130):
        small_newsroom.send("withdrawn", {"id": f"n{number}"})
    small_newsroom.drain()
    gone = etree.fromstring(small_newsroom.feed(extension="atom")).findall("{http://purl.org/atompub/tombstones/1.0}deleted-entry")
    assert len(gone) == 130


def test_a_feed_of_films_takes_nothing_else(make_newsroom: Callable[..., Newsroom]) -> None:
    """An article without one is skipped, and told why; beside other formats it stands in those."""
    more = '[sites.demo.feeds.tv]\ntitle = "TV"\nformats = ["roku"]\n[sites.demo.feeds.both]\ntitle = "Both"\nformats = ["rss", "roku"]\n'
    room = make_newsroom(CONFIG + more)
    room.send("published", article())
    room.send("published", article(id="film", url="https://www.example.org/film", **FILM))
    room.drain()
    (skipped,) = (o for o in room.status().outlets if o.outlet == "demo/feed:tv")
    assert (skipped.state, skipped.reason) == ("skipped", "It has no film, and this outlet shows nothing else.")
    assert [room.feed(name, "roku.xml").count(b"<item>") for name in ("tv", "both")] == [1, 1]
    assert room.feed("both", "rss").count(b"<item>") == 2
    assert {o.state for o in room.status().outlets} == {"settled", "skipped"}


def test_sitemaps_list_what_is_published(small_newsroom: Newsroom) -> None:
    """Each article in the sitemap, which the index names; withdrawn, it is in none."""
    photograph = {"url": "https://www.example.org/h.jpg", "role": "lead", "credit": "A. Photographer", "caption": "Quiet"}
    small_newsroom.send("published", article(images=[photograph]))
    small_newsroom.drain()
    assert locs(small_newsroom, "index.xml") == ["http://127.0.0.1:8499/demo/sitemaps/sitemap.xml"]
    for name in ("sitemap.xml", "news-sitemap.xml"):
        assert locs(small_newsroom, name) == ["https://www.example.org/news/quiet-harbour.html"]
    assert (
        b"<image:loc>https://www.example.org/h.jpg</image:loc>"
        in (small_newsroom.context.settings.origin / "demo/sitemaps/sitemap.xml").read_bytes()
    )
    small_newsroom.send("withdrawn", {"id": "a-1"})
    small_newsroom.drain()
    for name in ("sitemap.xml", "news-sitemap.xml"):
        assert locs(small_newsroom, name) == []
    assert set(small_newsroom.states().values()) <= {"settled", "skipped"}


def test_the_news_sitemap_ages_by_the_clock(small_newsroom: Newsroom) -> None:
    """Two days after its publication an article leaves, though nothing was published since."""
    small_newsroom.send("published", article())
    small_newsroom.drain()
    small_newsroom.clock.move(46 * 3600)
    small_newsroom.drain()
    assert len(locs(small_newsroom, "news-sitemap.xml")) == 1
    small_newsroom.clock.move(2 * 3600)
    small_newsroom.drain()
    assert locs(small_newsroom, "news-sitemap.xml") == []
    assert len(locs(small_newsroom, "sitemap.xml")) == 1


def test_the_index_names_every_page(make_newsroom: Callable[..., Newsroom], monkeypatch: pytest.MonkeyPatch) -> None:
    """The live sitemap first, then the pages from the newest."""
    from dataclasses import replace

    from pipeline import settings as settings_file

    small = tuple(replace(feed, window=2, window_max=9, page_size=3 if feed.page_size else 0) for feed in settings_file.SITEMAPS)
    monkeypatch.setattr(settings_file, "SITEMAPS", small)
    room = make_newsroom()
    for number in range(9):
        when = f"2026-11-0{number + 1}T00:00:00Z"
        room.send("published", article(id=f"n{number}", url=f"https://www.example.org/n{number}", published_at=when))
        room.drain()
    listed = [url.rpartition("/")[2] for url in locs(room, "index.xml")]
    assert listed == ["sitemap.xml", "sitemap-2026-11-2.xml", "sitemap-2026-11-1.xml"]
    assert sorted(url for name in listed for url in locs(room, name)) == [f"https://www.example.org/n{n}" for n in range(9)]
    looked, drifts = recovery.verify_feed(room.context, "demo/feed:sitemap")
    assert (looked, drifts) == (4, ())


def test_a_site_without_sitemaps_has_none(make_newsroom: Callable[..., Newsroom]) -> None:
    """No documents, and nothing of them in any article's status."""
    room = make_newsroom(CONFIG.replace('title = "The Test Courier"', 'title = "The Test Courier"\nsitemaps = false', 1))
    room.send("published", article())
    room.drain()
    assert not (room.context.settings.origin / "demo/sitemaps").exists()
    assert not [o.outlet for o in room.status().outlets if "sitemap" in o.outlet]


def changed(room: Newsroom, folder: Path, old: str, new: str) -> None:
    """Start again with another configuration."""
    from dataclasses import replace

    settings = settings_in(folder, CONFIG.replace(old, new))
    room.context.settings = replace(settings, data=room.context.settings.data, origin=room.context.settings.origin)
    register(room.context)
    room.clock.move(4)
    room.drain()


def statuses(room: Newsroom, key: str) -> dict[str, tuple[str, str]]:
    """Path → (status, where it moved) of an outlet's documents."""
    with room.context.ledger.read() as tx:
        return {row.path.rpartition("/")[2]: (row.status, row.moved_to) for row in documents.everything(tx, key)}


def test_a_closed_feed_is_gone(newsroom: Newsroom, tmp_path: Path) -> None:
    """Its documents leave the origin, and the ledger says so of each; another start changes nothing."""
    newsroom.send("published", article())
    newsroom.drain()
    closed = '[sites.demo.feeds.world]\nclosed = true\ntitle = "World"'
    for _ in range(2):
        changed(newsroom, tmp_path, '[sites.demo.feeds.world]\ntitle = "World"', closed)
        assert not [name for name in names(newsroom) if name.startswith("world")]
        assert statuses(newsroom, "demo/feed:world") == {f"world.{ext}": ("gone", "") for ext in WRITTEN}
        assert recovery.verify_feed(newsroom.context, "demo/feed:world") == (4, ())
        assert newsroom.states()["demo/feed:world"] == "settled"
    assert newsroom.feed_ids("all") == ["a-1"]


def test_a_renamed_feed_leads_to_its_new_name(newsroom: Newsroom, tmp_path: Path) -> None:
    """Every format to the same format; nobody has to say what became of the articles."""
    newsroom.send("published", article())
    newsroom.drain()
    renamed = '[sites.demo.feeds.planet]\nformer = ["world"]\ntitle = "World"'
    changed(newsroom, tmp_path, '[sites.demo.feeds.world]\ntitle = "World"', renamed)
    target = "http://127.0.0.1:8499/demo/feeds/planet"
    assert statuses(newsroom, "demo/feed:world") == {f"world.{ext}": ("moved", f"{target}.{ext}") for ext in WRITTEN}
    assert newsroom.feed_ids("planet") == ["a-1"]


def test_a_site_with_hubs_or_an_address_of_its_own_is_left_to_the_web_process(newsroom: Newsroom, tmp_path: Path) -> None:
    """By a mark beside its feeds, which stands as long as the servers in front would name the wrong hub or self."""
    newsroom.send("published", article())
    newsroom.drain()
    mark = newsroom.context.settings.origin / "demo" / "feeds" / BY_WEB
    plain, seen = 'tag_host = "example.org"', [mark.exists()]
    for own in ('hubs = ["https://hub.example.net/"]', 'feeds_url = "https://feeds.example.org/"'):
        changed(newsroom, tmp_path, plain, f"{own}\n{plain}")
        seen.append(mark.exists())
        changed(newsroom, tmp_path, f"{own}\n{plain}", plain)
        seen.append(mark.exists())
    assert seen == [False, True, False, True, False]


def test_a_new_feed_holds_what_was_published_before(newsroom: Newsroom, tmp_path: Path) -> None:
    """As far as its rules take it; more articles than one look of upkeep plans. A network is told nothing old."""
    for number in range(120):
        section = ["News", "World"] if number % 2 else ["News", "Home"]
        when = f"2026-11-22T{number // 60:02}:{number % 60:02}:00Z"
        newsroom.send("published", article(id=f"n{number}", url=f"https://www.example.org/n{number}", section=section, published_at=when))
    newsroom.send("withdrawn", {"id": "n7"})
    newsroom.drain()
    more = '[sites.demo.feeds.home]\ntitle = "Home"\nsections = ["News/Home"]\nwindow_hours = 168\n[sites.demo.mirrors.two]\n'
    changed(newsroom, tmp_path, "[sites.demo.networks.x]", more + "[sites.demo.networks.telegram]\n[sites.demo.networks.x]")
    newsroom.drain()
    assert newsroom.feed_ids("home") == [f"n{n}" for n in range(118, -1, -2)]
    assert newsroom.page("n3", "two")[0] == 200
    assert newsroom.page("n7", "two")[0] == 0
    assert "demo/network:telegram" not in newsroom.states("n3")


def test_other_rules_reach_what_was_published_before(newsroom: Newsroom, tmp_path: Path) -> None:
    """What they take comes, what they no longer take leaves."""
    newsroom.send("published", article())
    newsroom.send("published", article(id="a-2", url="https://www.example.org/2", section=["News", "Home"]))
    newsroom.drain()
    assert newsroom.feed_ids("world") == ["a-1"]
    changed(newsroom, tmp_path, 'sections = ["News/World", "News/Russia"]', 'sections = ["News/Home"]')
    assert newsroom.feed_ids("world") == ["a-2"]
    assert newsroom.states("a-1")["demo/feed:world"] == newsroom.states("a-2")["demo/feed:world"] == "settled"


def test_a_section_may_stand_for_itself_alone(make_newsroom: Callable[..., Newsroom]) -> None:
    """And an author for everything signed by one."""
    more = """[sites.demo.feeds.news]
title = "News, and nothing below it"
sections = ["News"]
subsections = false
[sites.demo.feeds.hers]
title = "Ada Lovelace"
authors = ["Ada Lovelace"]
"""
    room = make_newsroom(CONFIG + more)
    room.send("published", article())
    room.send("published", article(id="a-2", url="https://www.example.org/2", section=["News"], authors=[{"name": "ADA LOVELACE"}]))
    room.drain()
    assert room.feed_ids("news") == room.feed_ids("hers") == ["a-2"]
    reasons = {o.outlet: o.reason for o in room.status().outlets}
    assert reasons["demo/feed:news"] == "Its section is News/World; this outlet takes News alone."
    assert reasons["demo/feed:hers"] == "None of its authors is one this outlet takes: Ada Lovelace."


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ('formats = ["rss", "nitf"]', "There is no format nitf; expected some of rss, atom, json"),
        ('formats = ["sitemap"]', "There is no format sitemap"),
        ('former = ["world"]', "world is the name of another feed, or was"),
        ('former = ["news-sitemap"]', "news-sitemap is the name of another feed, or was"),
        ("page_size = 101", "page_size"),
    ],
)
def test_what_no_feed_can_be_is_refused(tmp_path: Path, lines: str, said: str) -> None:
    """With the line, and what was expected."""
    with pytest.raises(ConfigError, match=r"pressrun\.toml:\d+") as refused:
        settings_in(tmp_path, CONFIG.replace("[sites.demo.feeds.all]\n", f"[sites.demo.feeds.all]\n{lines}\n"))
    assert said in str(refused.value)
