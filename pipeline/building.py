"""Feed documents from ledger rows: used for the origin by `feeds`, and with other links by `mirrors`.

Entry bytes are kept by (revision, format) for the life of the process, cut where the link stands: a burst renders each
entry once, and origin and mirrors differ in the link they put in.
"""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from pipeline import networks
from pipeline.formats import FORMATS, contract
from pipeline.kit import limits
from pipeline.kit.clock import EPOCH
from pipeline.ledger import deliveries, revisions
from pipeline.model.document import Document
from pipeline.model.entry import Entry, FeedHead, Rendered, Tombstone
from pipeline.model.revision import Revision
from pipeline.model.settings import Kind, outlet_key
from pipeline.pages import page_path
from pipeline.rules.article import from_stored
from pipeline.rules.identity import feed_identity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping, Sequence

    from sqlalchemy import Row

    from pipeline.context import Context
    from pipeline.formats import Format
    from pipeline.ledger.engine import Tx
    from pipeline.model.article import Article
    from pipeline.model.settings import Feed, Network, Site
    from pipeline.model.share import Share

EntryKey = tuple[str, str, int]  # site, its home URL, revision
EDGE = timedelta(minutes=5)
TOMBSTONES = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Shown:
    """One place in a window: which revision of which article, and its date."""

    article_id: int
    revision: int
    sort_at: datetime
    identity: str
    short_id: str


@dataclass(frozen=True, slots=True)
class Window:
    """What a feed shows, newest first; `next_edge` is when time alone will change it."""

    shown: tuple[Shown, ...]
    tombstones: tuple[Tombstone, ...]
    as_of: datetime
    next_edge: datetime | None


def floor_to_edge(when: datetime) -> datetime:
    """The last full five minutes."""
    return EPOCH + ((when - EPOCH) // EDGE) * EDGE


def window(tx: Tx, key: str, feed: Feed, without: Collection[int] = ()) -> Window:
    """The newest `window` entries and everything of the last `window_hours`, at most `window_max`."""
    as_of = floor_to_edge(tx.now)
    recent = as_of - timedelta(hours=feed.window_hours)
    rows = [row for row in deliveries.window(tx, key, feed.window_max + len(without)) if row.article_id not in without]
    rows = [row for index, row in enumerate(rows[: feed.window_max]) if index < feed.window or row.sort_at > recent]
    gone = deliveries.removed_since(tx, key, as_of - TOMBSTONES)
    stones = tuple(Tombstone(row.identity, row.live_at) for row in gone)
    edges = [row.sort_at + timedelta(hours=feed.window_hours) for row in rows[feed.window :]]
    edges += [stone.withdrawn_at + TOMBSTONES for stone in stones]
    shown = tuple(Shown(row.article_id, row.wanted, row.sort_at, row.identity, row.short_id) for row in rows)
    return Window(shown, stones, as_of, floor_to_edge(min(edges)) + EDGE if edges else None)


@dataclass(frozen=True, slots=True)
class Base:
    """Where a set of feeds is read: `home_url` a person opens, `feeds_url` the documents stand below, `link` of an article."""

    home_url: str
    feeds_url: str
    link: Callable[[Shown, str], str]  # (place, canonical URL) → where this outlet's reader reads it


@dataclass(slots=True)
class Built:
    """The documents of one feed, and the articles that had to be left out, each with the reason."""

    documents: list[Document] = field(default_factory=list)
    shown: frozenset[int] = frozenset()
    left_out: dict[int, str] = field(default_factory=dict)
    fault: str = ""


class Builder:
    """Builds feeds of one site at one base, reading each revision and rendering each entry at most once."""

    def __init__(self, context: Context, site: Site, base: Base, touch: Callable[[int], None]) -> None:
        """`touch` is told the article before each rendering (careful runs)."""
        self._context, self._site, self._base, self._touch = context, site, base, touch
        self._revisions: dict[int, Revision] = {}
        self._entries: dict[int, tuple[Rendered, ...]] = {}  # revision → its entry in every format, in the order of FORMATS

    def load(self, tx: Tx, shown: Sequence[Shown]) -> None:
        """Take the entries that are kept, and read the revisions of the others."""
        wanted = {place.revision for place in shown} - self._entries.keys()
        kept = self._context.entries.get_all(self._key(revision) for revision in wanted)
        self._entries.update({revision: entries for (*_, revision), entries in kept.items()})
        self._revisions.update(read(self._context, tx, wanted - self._entries.keys() - self._revisions.keys()))

    def build(self, feed: Feed, seen: Window, updated_at: datetime, folder: str, known: Mapping[str, Row[Any]]) -> Built:
        """All formats of one feed; an entry that cannot be rendered, or breaks the contract, is left out of all of them.

        What stands already (`known`, path → row with sha256) has been held against the contract before.
        """
        built = Built()
        shown = self._rendered(feed, seen.shown, built)
        for attempt in (1, 2):
            faults = self._documents(feed, seen, shown, updated_at, folder, known, built)
            guilty = {identity for identity, _ in faults if identity}
            if not faults or attempt == 2 or not guilty:  # noqa: PLR2004 - once more without the culprits, no oftener
                built.fault = "; ".join(detail for _, detail in faults)
                return built
            reasons = dict(faults)
            for place in shown:
                if place.identity in guilty:
                    built.left_out[place.article_id] = reasons[place.identity]
            shown = [place for place in shown if place.article_id not in built.left_out]
        return built

    def _key(self, revision: int) -> EntryKey:
        return (self._site.name, self._site.home_url, revision)

    def _rendered(self, feed: Feed, shown: Sequence[Shown], built: Built) -> list[Shown]:
        """Those whose entry exists in every format, within the size bound."""
        kept: list[Shown] = []
        size = 0
        for place in shown:
            try:
                entries = self._entries.get(place.revision) or self._render(feed, place)
            except Exception as error:  # noqa: BLE001 - one bad article never breaks a feed
                limits.let_pass(error)
                built.left_out[place.article_id] = f"It could not be rendered: {type(error).__name__}: {error}"
                continue
            size += max(entry.size for entry in entries)
            if size > feed.window_max_bytes and kept:
                break
            kept.append(place)
        return kept

    def _render(self, feed: Feed, place: Shown) -> tuple[Rendered, ...]:
        """The entry in every format, each read back once. Raises ValueError where its bytes are not one entry of a format."""
        self._touch(place.article_id)
        revision = self._revisions[place.revision]
        made = tuple(_rendered(fmt, self._head(feed, fmt, EPOCH, ()), revision) for fmt in FORMATS.values())
        self._entries[place.revision] = made
        self._context.entries.put(self._key(place.revision), made, sum(entry.size for entry in made))
        return made

    def _links(self, rows: Sequence[tuple[Shown, tuple[Rendered, ...]]]) -> dict[Callable[[str], bytes], list[bytes]]:
        """Where the entries lead, in every way a format quotes it."""
        links = [self._base.link(place, entries[0].url) for place, entries in rows]
        return {quoted: [quoted(link) for link in links] for quoted in {fmt.quoted for fmt in FORMATS.values()}}

    def _documents(
        self,
        feed: Feed,
        seen: Window,
        shown: Sequence[Shown],
        updated_at: datetime,
        folder: str,
        known: Mapping[str, Row[Any]],
        built: Built,
    ) -> list[tuple[str | None, str]]:
        """Make the documents and check each against the feed contract; answers (identity, fault) pairs."""
        built.documents, built.shown, faults = [], frozenset(s.article_id for s in shown), []
        expected = [contract.Expectation(s.identity, s.sort_at) for s in shown]
        latest = max([updated_at, *(s.sort_at for s in shown)])
        rows = [(place, self._entries[place.revision]) for place in shown]
        links = self._links(rows)
        for place_of, fmt in enumerate(FORMATS.values()):
            frame = fmt.frame(self._head(feed, fmt, updated_at, seen.tombstones))
            entries = [everywhere[place_of] for _, everywhere in rows]
            body = fmt.splice(frame, [entry.at(link) for entry, link in zip(entries, links[fmt.quoted], strict=True)])
            made = Document(f"{folder}{feed.name}.{fmt.extension}", fmt.media_type, body)
            built.documents.append(made)
            if (row := known.get(made.path)) is not None and row.sha256 == made.sha256:
                continue
            found = contract.check_frame(fmt, frame)
            found += contract.check_parts([e.seen for e in entries], len(body), expected, 2 * feed.window_max_bytes, latest)
            faults += [(fault.identity, f"{fmt.name}: {fault.detail}") for fault in found]
        return faults

    def _head(self, feed: Feed, fmt: Format, updated_at: datetime, tombstones: tuple[Tombstone, ...]) -> FeedHead:
        site = self._site
        return FeedHead(
            identity=feed_identity(site.tag_host, site.tag_date, site.name, feed.name),
            self_url=f"{self._base.feeds_url}{feed.name}.{fmt.extension}",
            home_url=self._base.home_url,
            title=feed.title,
            description=feed.description,
            language=site.language,
            publisher=site.publisher,
            sections_url=f"{site.home_url}sections/",
            updated_at=updated_at,
            rights=site.rights,
            tombstones=tombstones,
        )


def _rendered(fmt: Format, head: FeedHead, revision: Revision) -> Rendered:
    mark = _mark(revision)
    body = fmt.entry(entry_of(revision, mark), head)
    parts = tuple(body.split(fmt.quoted(mark)))
    return Rendered(parts, contract.read_entry(fmt, _any_frame(fmt), body), article_of(revision).url, sum(map(len, parts)))


@cache
def _any_frame(fmt: Format) -> bytes:
    """A document without entries, to read one back from: what stands around it is of no account."""
    url, text = "https://any.invalid/", "any"
    head = FeedHead(url, url, url, title=text, description=text, language="en", publisher=text, sections_url=url, updated_at=EPOCH)
    return fmt.frame(head)


def _mark(revision: Revision) -> str:
    """A link nobody has: no body can hold a hash that is made from it, so where this stands an entry's link belongs."""
    told = f"{revision.identity} {revision.number} {article_of(revision).body_html}".encode()
    return f"https://{hashlib.blake2b(told, digest_size=16).hexdigest()}.invalid/"  # RFC 2606 section 2


def read(context: Context, tx: Tx, ids: Collection[int]) -> dict[int, Revision]:
    """Revisions by row id. They never change, so those read lately are not read again."""
    found = {i: revision for i in ids if (revision := context.revisions.get(i)) is not None}
    for i, row in revisions.by_id(tx, set(ids) - found.keys()).items():
        found[i] = Revision(
            id=row.id,
            article_id=row.article_id,
            number=row.number,
            headline=row.headline,
            article=from_stored(row.content) if row.content is not None else None,
            reason=row.reason,
            modified_at=row.modified_at,
            live_at=row.live_at,
            identity=row.identity,
            short_id=row.short_id,
        )
        context.revisions.put(i, found[i], 4_000 + _size(found[i]))
    return found


def _size(revision: Revision) -> int:
    """Bytes of its text, which is nearly all of it."""
    return sys.getsizeof(revision.article.body_html) if revision.article else 0


def article_of(revision: Revision) -> Article:
    """The article of a revision that has one. Raises ValueError for a withdrawal, which shows nothing."""
    if revision.article is None:
        message = f"revision {revision.number} of {revision.identity} is a withdrawal"
        raise ValueError(message)
    return revision.article


def entry_of(revision: Revision, link: str) -> Entry:
    """A revision as one outlet shows it."""
    return Entry(revision.identity, revision.short_id, revision.number, link, article_of(revision), revision.modified_at)


def share_of(context: Context, site: Site, network: Network, revision: Revision) -> Share:
    """What a network is told of a revision. Composed once: pages link to it, and `social` stores it."""
    key = (site.name, network.name, revision.id)
    share = context.shares.get(key)
    if share is None:
        entry = entry_of(revision, article_of(revision).url)
        share = networks.NETWORKS[network.name].compose(for_sharing(site, network, entry), site, network)
        context.shares.put(key, share)
    return share


def origin_base(site: Site) -> Base:
    """The site itself: entries lead to the canonical page."""
    return Base(site.home_url, site.feeds_base, lambda _place, url: url)


def feed_key(site: Site, feed: Feed) -> str:
    """A feed's outlet key."""
    return outlet_key(site.name, Kind.FEED, feed.name)


def utc_seconds_up(when: datetime) -> datetime:
    """Rounded up to the second: what HTTP dates can say, never before the change itself."""
    whole = when.replace(microsecond=0)
    return (whole if whole == when else whole + timedelta(seconds=1)).astimezone(UTC)


def with_link(entry: Entry, link: str) -> Entry:
    """The same entry, read somewhere else."""
    return replace(entry, link=link)


def for_sharing(site: Site, network: Network, entry: Entry) -> Entry:
    """The entry with the link a share carries: the canonical page, or the mirror's that `link_to` names."""
    mirror = next((m for m in site.mirrors if m.name == network.link_to), None)
    url = entry.article.url
    return replace(entry, link=mirror.base_url + page_path(url, entry.short_id) if mirror else url)


def only(seen: Window, articles: Container[int]) -> Window:
    """The window without the articles that are not among these."""
    return replace(seen, shown=tuple(place for place in seen.shown if place.article_id in articles))
