"""The pipeline one would write first: a task for every output, each rebuilding all of what it touches, each with its own commit.

It validates, cleans, renders pages and composes shares with the project's own functions, so that the difference is how
work is arranged and not what is made. It is spared what the press run does beside that: HTTP, signatures, the durable
acceptance, the check of a feed against its contract, reading back, and every guard against lost or doubled messages.
"""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from feedgen.feed import FeedGenerator

from benchmarks.articles import FEEDS_OF, HOME, SITE, section_of
from pipeline import settings as settings_file
from pipeline.building import for_sharing
from pipeline.formats.content import contents_html, summary_of
from pipeline.model.entry import Entry
from pipeline.networks import NETWORKS, to_json
from pipeline.pages import PageFrame, article_page, page_path
from pipeline.rules import house, schema
from pipeline.rules.article import from_native, from_stored, to_stored
from pipeline.rules.identity import identity, short_id

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.model.settings import Settings, Site

FORMATS = ("rss", "atom", "json")
WINDOW = 200
"""Entries a feed shows at most: the press run's own bound, `window_max`."""

_TABLES = """
CREATE TABLE events (id INTEGER PRIMARY KEY, number INTEGER NOT NULL, body TEXT NOT NULL);
CREATE TABLE articles (id INTEGER PRIMARY KEY, number INTEGER NOT NULL, content TEXT NOT NULL, published_at TEXT NOT NULL);
CREATE TABLE in_feeds (feed TEXT, article INTEGER, PRIMARY KEY (feed, article));
CREATE TABLE outputs (article INTEGER, output TEXT, body TEXT, PRIMARY KEY (article, output));
"""


def create(folder: Path) -> None:
    """Make the database."""
    with closing(_open(folder)) as db:
        db.executescript(_TABLES)


def add_event(folder: Path, number: int, body: str) -> int:
    """Store an event as received; its row id."""
    with closing(_open(folder)) as db:
        row = db.execute("INSERT INTO events (number, body) VALUES (?, ?) RETURNING id", (number, body)).fetchone()
        return int(row[0])


def counts(folder: Path) -> tuple[int, int]:
    """(articles stored, outputs made)."""
    with closing(_open(folder)) as db:
        row = db.execute("SELECT (SELECT count(*) FROM articles), (SELECT count(*) FROM outputs)").fetchone()
        return int(row[0]), int(row[1])


def publish(folder: Path, event: int) -> tuple[int, list[tuple[str, str]]]:
    """Validate, store; the article's row id and its outputs as (feed | page | share, name). Raises ValueError for a bad event."""
    settings, site = _site(folder)
    with closing(_open(folder)) as db:
        number, body = db.execute("SELECT number, body FROM events WHERE id = ?", (event,)).fetchone()
        native = json.loads(body)
        problems = [
            *schema.problems("event.v1.json", native),
            *house.problems(native["data"], site, settings.sources[0], datetime.now(UTC)),
        ]
        if problems:
            raise ValueError(str(problems))
        made = from_native(native["data"])
        feeds = FEEDS_OF[section_of(number)]
        row = (number, json.dumps(to_stored(made)), made.published_at.isoformat())
        db.execute("BEGIN IMMEDIATE")
        article = db.execute("INSERT INTO articles (number, content, published_at) VALUES (?, ?, ?) RETURNING id", row).fetchone()[0]
        db.executemany("INSERT INTO in_feeds VALUES (?, ?)", [(name, article) for name in feeds])
        db.execute("COMMIT")
    outputs = [("feed", f"{name}.{extension}") for name in feeds for extension in FORMATS]
    outputs += [("page", mirror.name) for mirror in site.mirrors]
    return article, outputs + [("share", network.name) for network in site.networks]


def feed(folder: Path, article: int, name: str) -> None:
    """Load the feed's whole window, build the document anew, write it where it stands."""
    _, site = _site(folder)
    feed_name, _, extension = name.partition(".")
    with closing(_open(folder)) as db:
        rows = db.execute(
            "SELECT id, content FROM articles JOIN in_feeds ON article = id WHERE feed = ? ORDER BY published_at DESC, id DESC LIMIT ?",
            (feed_name, WINDOW),
        ).fetchall()
        entries = [_entry(site, row_id, content) for row_id, content in rows]
        body = _json_feed(site, entries) if extension == "json" else _xml_feed(site, entries, extension)
        (folder / name).write_bytes(body)
        _done(db, article, name)


def page(folder: Path, article: int, mirror_name: str) -> None:
    """Render the page, write it where it stands."""
    _, site = _site(folder)
    mirror = next(m for m in site.mirrors if m.name == mirror_name)
    with closing(_open(folder)) as db:
        entry = _load(db, site, article)
        frame = PageFrame(site, mirror.base_url, (), (site.home_url,), mirror.seo, site.title)
        path = folder / mirror_name / page_path(entry.article.url, entry.short_id)
        path.mkdir(parents=True, exist_ok=True)
        (path / "index.html").write_bytes(article_page(entry, frame, []))
        _done(db, article, f"page {mirror_name}")


def share(folder: Path, article: int, network_name: str) -> None:
    """Compose the payload, keep it in its row."""
    _, site = _site(folder)
    network = next(n for n in site.networks if n.name == network_name)
    with closing(_open(folder)) as db:
        entry = for_sharing(site, network, _load(db, site, article))
        made = NETWORKS[network_name].compose(entry, site, network)
        _done(db, article, f"share {network_name}", json.dumps(to_json(made), ensure_ascii=False))


def _open(folder: Path) -> sqlite3.Connection:
    db = sqlite3.connect(folder / "naive.sqlite", isolation_level=None, timeout=30)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = NORMAL")
    return db


_known: dict[str, Settings] = {}


def _site(folder: Path) -> tuple[Settings, Site]:
    """The same site as the press run's, read once a process: even a naive pipeline has its settings at hand."""
    path = folder / "pressrun.toml"
    if str(path) not in _known:
        _known[str(path)] = settings_file.load(path)
    settings = _known[str(path)]
    return settings, settings.sites[0]


def _done(db: sqlite3.Connection, article: int, output: str, body: str = "") -> None:
    db.execute("INSERT INTO outputs VALUES (?, ?, ?)", (article, output, body))


def _load(db: sqlite3.Connection, site: Site, article: int) -> Entry:
    return _entry(site, *db.execute("SELECT id, content FROM articles WHERE id = ?", (article,)).fetchone())


def _entry(site: Site, _row: int, content: str) -> Entry:
    article = from_stored(json.loads(content))
    name = identity(site.tag_host, site.tag_date, SITE, article.id)
    return Entry(name, short_id(name), 1, article.url, article, article.updated_at or article.published_at)


def _xml_feed(site: Site, entries: list[Entry], extension: str) -> bytes:
    generator = FeedGenerator()
    generator.id(HOME)
    generator.title(site.title)
    generator.link(href=HOME)
    generator.description(site.publisher)
    generator.language(site.language)
    for entry in entries:
        article, made = entry.article, generator.add_entry(order="append")
        made.id(entry.identity)
        made.title(article.headline)
        made.link(href=entry.link)
        made.author([{"name": author.name} for author in article.authors])
        made.category([{"term": tag} for tag in article.tags])
        made.published(article.published_at)
        made.updated(entry.modified_at)
        made.summary(summary_of(article))
        made.content(contents_html(entry), type="CDATA")
    made_bytes: bytes = generator.rss_str() if extension == "rss" else generator.atom_str()
    return made_bytes


def _json_feed(site: Site, entries: list[Entry]) -> bytes:
    items: list[dict[str, Any]] = [
        {
            "id": entry.identity,
            "url": entry.link,
            "title": entry.article.headline,
            "content_html": contents_html(entry),
            "summary": summary_of(entry.article),
            "date_published": entry.article.published_at.isoformat(),
            "date_modified": entry.modified_at.isoformat(),
            "authors": [{"name": author.name} for author in entry.article.authors],
            "tags": list(entry.article.tags),
        }
        for entry in entries
    ]
    return json.dumps({"version": "https://jsonfeed.org/version/1.1", "title": site.title, "items": items}).encode()
