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
from pipeline.model.entry import Address, Entry, FeedHead, Rendered, Seen, Tombstone
from pipeline.model.revision import Revision
from pipeline.model.settings import Kind, outlet_key
from pipeline.pages import page_path
from pipeline.rules.article import from_stored
from pipeline.rules.identity import feed_identity
from pipeline.windows import Shown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Mapping, Sequence

    from sqlalchemy import Row

    from pipeline.context import Context
    from pipeline.formats import Format
    from pipeline.ledger.engine import Tx
    from pipeline.model.article import Article
    from pipeline.model.settings import Feed, Network, Site
    from pipeline.model.share import Share

EntryKey = tuple[str, str, str, int]  # site, its home URL, format, revision
EDGE = timedelta(minutes=5)
OBJECTS = 1_500
"""Bytes around those of a kept entry (key, parts, dates, URL): not counted, short articles would fill much more than the bound."""
TOMBSTONES = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Window:
    """What a feed's live document shows, newest first; `next_edge` is when time alone will change it."""

    shown: tuple[Shown, ...]
    tombstones: tuple[Tombstone, ...]
    as_of: datetime
    next_edge: datetime | None


@dataclass(frozen=True, slots=True)
class Edition:
    """One document of a feed, in every format it has: the live one, or an archive page (RFC 5005 section 4).

    name      of the document, without its extension: `all`, or `all-2026-11-1`
    previous  name of the archive page before it; empty where there is none
    archive   whether it is an archive page
    """

    name: str
    shown: tuple[Shown, ...]
    tombstones: tuple[Tombstone, ...] = ()
    previous: str = ""
    archive: bool = False


def floor_to_edge(when: datetime) -> datetime:
    """The last full five minutes."""
    return EPOCH + ((when - EPOCH) // EDGE) * EDGE


def window(tx: Tx, key: str, feed: Feed, without: Collection[int] = ()) -> Window:
    """The newest `window` entries and everything of the last `window_hours`, at most `window_max`."""
    as_of = floor_to_edge(tx.now)
    recent = as_of - timedelta(hours=feed.window_hours)
    rows = [row for row in deliveries.window(tx, key, feed.window_max + len(without)) if row.article_id not in without]
    return showing(
        tx, key, feed, [shown_of(row) for index, row in enumerate(rows[: feed.window_max]) if index < feed.window or row.sort_at > recent]
    )


def showing(tx: Tx, key: str, feed: Feed, shown: Sequence[Shown]) -> Window:
    """The window of a live document that shows these, newest first."""
    as_of = floor_to_edge(tx.now)
    gone = deliveries.removed_since(tx, key, as_of - TOMBSTONES)
    stones = tuple(Tombstone(row.identity, row.live_at) for row in gone)
    edges = [one.sort_at + timedelta(hours=feed.window_hours) for one in shown[feed.window :]]
    edges = [edge for edge in edges if edge > as_of]  # what is older waits for others, not for the time
    edges += [stone.withdrawn_at + TOMBSTONES for stone in stones]
    return Window(tuple(shown), stones, as_of, floor_to_edge(min(edges)) + EDGE if edges else None)


def shown_of(row: Row[Any]) -> Shown:
    """A row of `deliveries.window` or `deliveries.stretch`."""
    return Shown(row.article_id, row.wanted, row.sort_at, row.identity, row.short_id)


@dataclass(frozen=True, slots=True)
class Base:
    """Where a set of feeds is read.

    home_url  a person opens
    urls      folder (feeds, sitemaps) → what its documents stand below, with a slash at the end
    root      the same in paths: a document's is `{root}{folder}/{name}.{extension}`
    link      (entry, canonical URL) → where this outlet's reader reads the article
    hub_urls  where these very documents can be subscribed to
    """

    home_url: str
    urls: Mapping[str, str]
    root: str
    link: Callable[[Shown, str], str]
    hub_urls: tuple[str, ...] = ()


@dataclass(slots=True)
class Built:
    """The documents of one edition, and the articles that had to be left out, each with the reason.

    `too_much` of its oldest entries found no room within the size bound; `broken` are those left out that no build will ever show.
    """

    documents: list[Document] = field(default_factory=list)
    shown: frozenset[int] = frozenset()
    left_out: dict[int, str] = field(default_factory=dict)
    too_much: int = 0
    broken: set[int] = field(default_factory=set)
    fault: str = ""


class Builder:
    """Builds feeds of one site at one base, reading each revision and rendering each entry at most once."""

    def __init__(self, context: Context, site: Site, base: Base, touch: Callable[[int], None]) -> None:
        """`touch` is told the article before each rendering (careful runs)."""
        self._context, self._site, self._base, self._touch = context, site, base, touch
        self._revisions: dict[int, Revision] = {}
        self._entries: dict[EntryKey, Rendered] = {}

    def load(self, tx: Tx, feed: Feed, shown: Sequence[Shown]) -> None:
        """Take the entries that are kept, and read the revisions of the others."""
        wanted = {key for place in shown for key in self._keys(feed, place.revision)} - self._entries.keys()
        self._entries.update(self._context.entries.get_all(wanted))
        missing = {revision for *_, revision in wanted - self._entries.keys()}
        self._revisions.update(read(self._context, tx, missing - self._revisions.keys()))

    def paths(self, feed: Feed, name: str) -> list[str]:
        """Where the documents of an edition stand."""
        return [self._path(fmt, name) for fmt in formats_of(feed)]

    def build(
        self, feed: Feed, edition: Edition, updated_at: datetime, known: Mapping[str, Row[Any]], latest: datetime | None = None
    ) -> Built:
        """All formats of one edition; an entry that cannot be rendered, or breaks the contract, is left out of all of them.

        No date in it may be after `latest`, else after `updated_at`.
        What stands already (`known`, path → row with sha256) has been held against the contract before.
        """
        built = Built()
        shown = self._rendered(feed, edition, built)
        for attempt in (1, 2):
            faults = self._documents(feed, edition, shown, updated_at, latest or updated_at, known, built)
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

    def index(self, feed: Feed, listed: Sequence[tuple[str, datetime]]) -> list[Document]:
        """What lists all editions (name, last change) of a feed, in the formats that know such a thing."""
        made = []
        for fmt in formats_of(feed):
            if fmt.index is not None:
                urls = [(f"{self._base.urls[fmt.folder]}{name}.{fmt.extension}", changed) for name, changed in listed]
                made.append(Document(self._path(fmt, INDEX), fmt.media_type, fmt.index(urls)))
        return made

    def makes(self, feed: Feed, path: str) -> bool:
        """Whether a feed has such a document: in one of its formats, and no archive page where it has none."""
        formats = formats_of(feed)
        own = {self._path(fmt, name) for fmt in formats for name in (feed.name, INDEX)}
        pages = [fmt for fmt in formats if fmt.archived and feed.page_size]
        return path in own or any(
            path.startswith(f"{self._base.root}{fmt.folder}/{feed.name}-") and path.endswith(f".{fmt.extension}") for fmt in pages
        )

    def _path(self, fmt: Format, name: str) -> str:
        return f"{self._base.root}{fmt.folder}/{name}.{fmt.extension}"

    def _keys(self, feed: Feed, revision: int) -> list[EntryKey]:
        return [(self._site.name, self._site.home_url, name, revision) for name in feed.formats]

    def _rendered(self, feed: Feed, edition: Edition, built: Built) -> list[Shown]:
        """Those whose entry exists in every format, within the size bound."""
        kept: list[Shown] = []
        size = 0
        for place in edition.shown:
            try:
                largest = max(self._entry(feed, key, place).size for key in self._keys(feed, place.revision))
            except Exception as error:  # noqa: BLE001 - one bad article never breaks a feed
                limits.let_pass(error)
                built.left_out[place.article_id] = f"It could not be rendered: {type(error).__name__}: {error}"
                built.broken.add(place.article_id)
                continue
            size += largest
            if size > feed.window_max_bytes and kept and not edition.archive:
                built.too_much = len(edition.shown) - len(kept) - len(built.left_out)
                break
            kept.append(place)
        return kept

    def _entry(self, feed: Feed, key: EntryKey, place: Shown) -> Rendered:
        """An entry in one format, read back once. Raises ValueError where its bytes are not one entry of it."""
        found = self._entries.get(key)
        if found is None:
            self._touch(place.article_id)
            fmt = FORMATS[key[2]]
            found = _rendered(fmt, self._head(feed, fmt, Edition("any", ()), EPOCH), self._revisions[place.revision])
            self._entries[key] = found
            self._context.entries.put(key, found, found.size + OBJECTS)
        return found

    def _documents(
        self,
        feed: Feed,
        edition: Edition,
        shown: Sequence[Shown],
        updated_at: datetime,
        latest: datetime,
        known: Mapping[str, Row[Any]],
        built: Built,
    ) -> list[tuple[str | None, str]]:
        """Make the documents and check each against the feed contract; answers (identity, fault) pairs."""
        built.documents, built.shown, faults = [], frozenset(s.article_id for s in shown), []
        latest = max([latest, *(s.sort_at for s in shown)])
        entries = self._of(feed.formats[0], shown)
        links = [self._base.link(place, entry.url) for place, entry in zip(shown, entries, strict=True)]
        expected = [contract.Expectation(place.identity, place.sort_at, link) for place, link in zip(shown, links, strict=True)]
        quoted = {write: [write(link) for link in links] for write in {fmt.quoted for fmt in formats_of(feed)}}
        for fmt in (f for f in formats_of(feed) if f.archived or not edition.archive):
            frame = fmt.frame(self._head(feed, fmt, edition, updated_at))
            every = zip(self._of(fmt.name, shown), quoted[fmt.quoted], expected, strict=True)
            rows = [row for row in every if row[0].parts]
            if rows and rows[0][0].seen.identity is None:  # an address is all it tells: two articles at one are one entry
                first: dict[str, int] = {}
                rows = [row for at, row in enumerate(rows) if first.setdefault(row[2].link, at) == at]
            rows = rows[: fmt.most]
            body = fmt.splice(frame, [entry.at(link) for entry, link, _ in rows])
            made = Document(self._path(fmt, edition.name), fmt.media_type, body)
            built.documents.append(made)
            if (row := known.get(made.path)) is not None and row.sha256 == made.sha256:
                continue
            found = contract.check_frame(fmt, frame)
            seen = [entry.seen_at(wanted.link) for entry, _, wanted in rows]
            found += contract.check_parts(seen, len(body), [wanted for *_, wanted in rows], 2 * feed.window_max_bytes, latest)
            faults += [(fault.identity, f"{fmt.name}: {fault.detail}") for fault in found]
        return faults

    def _of(self, fmt: str, shown: Sequence[Shown]) -> list[Rendered]:
        """The entries of these in one format."""
        site, home = self._site.name, self._site.home_url
        return [self._entries[site, home, fmt, place.revision] for place in shown]

    def _head(self, feed: Feed, fmt: Format, edition: Edition, updated_at: datetime) -> FeedHead:
        return head(self._site, self._base, feed, fmt, edition, updated_at)


INDEX = "index"
"""The name of the document that lists a feed's editions."""


def formats_of(feed: Feed) -> tuple[Format, ...]:
    """The formats a feed is written in."""
    return tuple(FORMATS[name] for name in feed.formats)


def head(site: Site, base: Base, feed: Feed, fmt: Format, edition: Edition, updated_at: datetime) -> FeedHead:
    """What a document says before its first entry."""
    url = base.urls[fmt.folder]
    return FeedHead(
        identity=feed_identity(site.tag_host, site.tag_date, site.name, feed.name),
        self_url=f"{url}{edition.name}.{fmt.extension}",
        home_url=base.home_url,
        title=feed.title,
        description=feed.description,
        language=site.language,
        publisher=site.publisher,
        sections_url=f"{site.home_url}sections/",
        updated_at=updated_at,
        rights=site.rights,
        hub_urls=base.hub_urls if fmt.folder == SUBSCRIBED and not edition.archive else (),
        tombstones=edition.tombstones,
        prev_archive_url=f"{url}{edition.previous}.{fmt.extension}" if edition.previous else "",
        current_url=f"{url}{feed.name}.{fmt.extension}" if edition.archive else "",
        is_archive=edition.archive,
        logo_url=site.logo_url,
        publication=site.publication,
        addresses=tuple(Address(f.name, f.title or f.name, f"{url}{feed.name}.{f.extension}", f.media_type) for f in formats_of(feed)),
    )


def _rendered(fmt: Format, told: FeedHead, revision: Revision) -> Rendered:
    """One entry; without parts where the format does not show such an article."""
    mark, url = _mark(revision), article_of(revision).url
    try:
        body = fmt.entry(entry_of(revision, mark), told)
    except contract.NoPlace:
        return Rendered((), Seen(None, None), url, 0)
    parts = tuple(body.split(fmt.quoted(mark)))
    return Rendered(parts, contract.read_entry(fmt, _any_frame(fmt), body), url, sum(map(len, parts)))


@cache
def _any_frame(fmt: Format) -> bytes:
    """A document without entries, to read one back from: what stands around it is of no account."""
    url, text = "https://any.invalid/", "any"
    return fmt.frame(FeedHead(url, url, url, text, text, "en", text, sections_url=url, updated_at=EPOCH))


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
    """The site itself: entries lead to the canonical page, and changes are told by the hubs."""
    bases = {f: site.base(f) for f in (SUBSCRIBED, "sitemaps")}
    return Base(site.home_url, bases, f"{site.name}/", lambda _place, url: url, hub_urls(site))


SUBSCRIBED = "feeds"
"""The folder of documents that can be subscribed to at a hub; sitemaps are read by who comes by himself."""


def hub_urls(site: Site) -> tuple[str, ...]:
    """The WebSub hubs that a site's own feeds name, ours first."""
    return tuple(dict.fromkeys(url for url in (site.hub_url, *site.hubs) if url))


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
