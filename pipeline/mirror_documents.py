"""What a mirror shows, made from the ledger's rows: article pages, notices, redirects, its feeds, index and robots.

Nothing here is stored: `mirrors` puts it where it belongs.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pipeline import building
from pipeline.kit import metrics
from pipeline.ledger import deliveries, documents
from pipeline.ledger.documents import Stored
from pipeline.model.document import Document, DocumentStatus
from pipeline.networks import NETWORKS
from pipeline.pages import FeedLink, PageFrame, ShareLink, Told, form_of, gone_page, index_page, moved_page, page_path, robots, shell, tell

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row

    from pipeline.context import Context
    from pipeline.ledger.engine import Tx
    from pipeline.model.revision import Revision
    from pipeline.model.settings import Feed, Mirror, Site

INDEX = 50
HTML = "text/html; charset=utf-8"
TEXT = "text/plain; charset=utf-8"
MARKER = ".gone"  # beside a page that was withdrawn: who serves the folder answers 410
FOLDER = "feeds"
READERS = ("rss", "atom", "json")


@dataclass(frozen=True, slots=True)
class Change:
    """What a run changes at a mirror: articles that come (or change), articles that leave, and when they were made live."""

    added: frozenset[int]
    removed: frozenset[int]
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Shared:
    """What all articles of a mirror share, and when time alone will change it: an edge that passes meanwhile brings one run too many."""

    documents: list[Stored]
    next_edge: datetime | None


@dataclass(frozen=True, slots=True)
class _Feed:
    """One of the site's feeds at a mirror: the articles whose page stands, and what is known of its documents."""

    feed: Feed
    seen: building.Window
    known: Mapping[str, Row[Any]]

    def made_from(self, frame: PageFrame) -> tuple[object, ...]:
        """Everything its documents are made from, but the instant they call their last change."""
        return (frame, self.feed, tuple(place.revision for place in self.seen.shown), self.seen.tombstones)


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes the documents of one mirror. `touch` is told the article before each rendering; a careful run makes everything anew."""

    context: Context
    site: Site
    mirror: Mirror
    key: str
    frame: PageFrame
    touch: Callable[[int], None]
    careful: bool = False

    def live(self, revision: Revision, there: Sequence[Row[Any]]) -> list[Document]:
        """An article's page, and redirects from every other path it has here (`there`: rows of its documents)."""
        folder = page_path(building.article_of(revision).url, revision.short_id)
        target = self.mirror.base_url + folder
        page = Document(f"{folder}index.html", HTML, self._printed(self._told(revision, target)))
        former = [r.path for r in there if r.path != page.path]
        return [page, *(Document(path, HTML, moved_page(self.frame, target), DocumentStatus.MOVED, target) for path in former)]

    def gone(self, revision: Revision, there: Sequence[Row[Any]], last: Row[Any] | None) -> list[Document]:
        """The notice for every page the article has here, with the headline it was last shown with; redirects lead to it and stay.

        Where no page was made in time it stands where one would be: feeds and payloads may have led readers there.
        `last`: (headline, url, short_id) of the newest revision that was live, None where none ever was.
        """
        notice = gone_page(self.frame, last.headline if last else "", revision.live_at, revision.reason)
        paths = [r.path for r in there if r.status != DocumentStatus.MOVED.value]
        if last and not paths:
            paths = [f"{page_path(last.url, last.short_id)}index.html"]
        return [Document(path, HTML, notice, DocumentStatus.GONE) for path in paths]

    def _told(self, revision: Revision, target: str) -> Told:
        """What the page says of its article: told once for all mirrors with the same canonical address."""
        canonical = self.frame.canonical(building.article_of(revision).url, target)
        key = (self.site.name, revision.id, canonical)
        told = self.context.told.get(key)
        if told is None:
            told = tell(building.entry_of(revision, target), self.site, canonical, self._links(revision))
            self.context.told.put(key, told, sys.getsizeof(told.head) + sys.getsizeof(told.main))
        return told

    def _printed(self, told: Told) -> bytes:
        form = form_of(told)
        kept = self.context.shells.get((self.key, form))
        if kept is None or kept[0] != self.frame:
            kept = (self.frame, shell(self.frame, form))
            self.context.shells.put((self.key, form), kept)
        return kept[1].around(told)

    def _links(self, revision: Revision) -> list[ShareLink]:
        """The share block: where each network of the site takes a reader who wants to pass the article on."""
        networks = [n for n in self.site.networks if not n.closed]
        shares = [(n, building.share_of(self.context, self.site, n, revision)) for n in networks]
        return [ShareLink(n.name, NETWORKS[n.name].title, share.intent_url) for n, share in shares]

    def shared(self, change: Change) -> Shared:
        """Feeds, index and robots for what the mirror holds once the change is settled. All is read first, then rendered."""
        home = self.mirror.base_url
        base = building.Base(home, {FOLDER: f"{home}{FOLDER}/"}, "", lambda place, url: home + page_path(url, place.short_id))
        builder, shown_feeds = building.Builder(self.context, self.site, base, self.touch), feeds_of(self.site)
        with self.context.ledger.read() as tx:
            windows = [building.window(tx, building.feed_key(self.site, feed), feed, change.removed) for feed in shown_feeds]
            edge = min((window.next_edge for window in windows if window.next_edge), default=None)
            newest = [r for r in deliveries.window(tx, self.key, INDEX + len(change.removed)) if r.article_id not in change.removed]
            asked = {place.article_id for window in windows for place in window.shown} | {row.article_id for row in newest}
            here = deliveries.held_at(tx, self.key, sorted(asked)).keys() | change.added
            feeds = [self._known(tx, feed, building.only(window, here)) for feed, window in zip(shown_feeds, windows, strict=True)]
            changed = [one for one in feeds if not self._stands(one)]
            for one in changed:
                builder.load(tx, one.feed, one.seen.shown)
            shown = [row.wanted for row in newest if row.article_id in here][:INDEX]
            revisions = building.read(self.context, tx, shown)
            now = tx.now
        made = [stored for one in changed for stored in self._feed(builder, one, change, now)]
        plain = (self._index([revisions[i] for i in shown]), Document("robots.txt", TEXT, robots(self.frame)))
        return Shared([*made, *(Stored(document, change.at or now) for document in plain)], edge)

    def _known(self, tx: Tx, feed: Feed, seen: building.Window) -> _Feed:
        paths = [f"{FOLDER}/{feed.name}.{fmt.extension}" for fmt in building.formats_of(feed)]
        return _Feed(feed, seen, documents.known(tx, self.key, paths))

    def _stands(self, one: _Feed) -> bool:
        """Whether this process made it from the same places before, and nothing is known of another since."""
        made = None if self.careful else self.context.made.get((self.key, one.feed.name))
        return made is not None and made == (
            one.made_from(self.frame),
            {path: row.sha256 for path, row in one.known.items() if _is_live(row)},
        )

    def _feed(self, builder: building.Builder, one: _Feed, change: Change, now: datetime) -> list[Stored]:
        """One feed. It calls its last change that of the deliveries in it, or now if anything else changed it."""
        feed, seen, known = one.feed, one.seen, one.known
        before = max((row.changed_at for row in known.values()), default=None)
        moved = change.at is not None and (bool(change.removed) or any(s.article_id in change.added for s in seen.shown))
        updated = max([when for when in (before, change.at if moved else None) if when], default=change.at or now)
        edition = building.Edition(feed.name, seen.shown, seen.tombstones)
        built = builder.build(feed, edition, updated, known)
        if before and not moved and any(_says_otherwise(d, known.get(d.path)) for d in built.documents):
            updated = max(before, now)
            built = builder.build(feed, edition, updated, known)
        self._report(feed, built)
        if built.fault:
            return []
        if not built.left_out:
            self.context.made.put((self.key, feed.name), (one.made_from(self.frame), {d.path: d.sha256 for d in built.documents}))
        return [Stored(document, updated, as_of=seen.as_of) for document in built.documents]

    def _report(self, feed: Feed, built: building.Built) -> None:
        """What does not meet the contract stays away, and a person is told."""
        for article, reason in built.left_out.items():
            metrics.alerts.labels("entry left out").inc()
            self.context.log.error("entry left out", outlet=self.key, feed=feed.name, article=article, outcome=reason)
        if built.fault:
            metrics.alerts.labels("feed held back").inc()
            self.context.log.error("feed held back", outlet=self.key, feed=feed.name, outcome=built.fault)

    def _index(self, newest: Sequence[Revision]) -> Document:
        entries = [building.entry_of(revision, "") for revision in newest]
        linked = [building.with_link(e, self.mirror.base_url + page_path(e.article.url, e.short_id)) for e in entries]
        return Document("index.html", HTML, index_page(self.frame, linked))


def _is_live(row: Row[Any]) -> bool:
    return bool(row.status == DocumentStatus.LIVE.value)


def differs(document: Document, row: Row[Any] | None) -> bool:
    """Whether what the ledger says stands at the path is anything else."""
    return row is None or (row.sha256, row.status, row.moved_to) != (document.sha256, document.status.value, document.moved_to)


def _says_otherwise(document: Document, row: Row[Any] | None) -> bool:
    """Whether its content changed. One that is only stored again, because what stands is damaged or unsettled, did not."""
    return row is None or (row.sha256 != document.sha256 and not row.sha256.startswith(documents.MARKED))


def feeds_of(site: Site) -> list[Feed]:
    """The feeds a mirror has, always in the formats that feed readers take: their windows, for what is older stands at the origin.

    A closed one stays there without entries.
    """
    return [replace(feed, formats=READERS) for feed in site.feeds if feed.folder == FOLDER]


def frame(site: Site, mirror: Mirror) -> PageFrame:
    """What every page of a mirror says around its article."""
    feeds = [
        FeedLink(
            f"{feed.title} ({fmt.title or fmt.name})",
            f"{mirror.base_url}{FOLDER}/{feed.name}.{fmt.extension}",
            fmt.media_type.partition(";")[0],
        )
        for feed in feeds_of(site)
        if not feed.closed
        for fmt in building.formats_of(feed)
    ]
    addresses = dict.fromkeys([site.home_url, *(m.base_url for m in site.mirrors if not m.closed), *site.alternates])
    return PageFrame(site, mirror.base_url, tuple(feeds), tuple(addresses), mirror.seo, mirror.title or site.title)
