"""Step 3a: the deliveries of a feed → its documents at the origin, all formats together.

lease > what is due, which pages it touches > archive pages > live document > contract > put what changed > settle > ask again
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline import building, leasing, paging
from pipeline.kit import metrics
from pipeline.ledger import archives, deliveries, documents, topics
from pipeline.ledger.deliveries import BEYOND, GONE, LIVE, PAGE, Failure, Settled
from pipeline.model.document import Document, DocumentStatus
from pipeline.model.errors import Permanent, PressrunError, Transient
from pipeline.model.run import Nudge, Run, Step
from pipeline.model.settings import Kind
from pipeline.windows import PAGES_A_RUN

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Row

    from pipeline.building import Built, Edition
    from pipeline.context import Context
    from pipeline.leasing import Lease
    from pipeline.ledger.deliveries import Due
    from pipeline.model.settings import Feed, Site
    from pipeline.paging import Work

LIMIT = 5.0
MOST = 1000
TRIES = 4  # to find out how many large articles a page takes


@dataclass(slots=True)
class Made:
    """What a run made: documents to put in this order, each with its last change; where each article stands; what was left out."""

    documents: list[tuple[Document, datetime]] = field(default_factory=list)
    live: list[Document] = field(default_factory=list)
    pages: list[archives.Page] = field(default_factory=list)
    places: dict[int, str | None] = field(default_factory=dict)  # article → its archive page, None: the live document
    left_out: dict[int, str] = field(default_factory=dict)
    broken: set[int] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    updated: datetime | None = None
    live_shown: frozenset[int] = frozenset()
    too_much: int = 0  # entries the live document had no room for
    largest: int = 0  # bytes of an archive page's largest document

    def take(self, built: Built, updated: datetime, page: str | None) -> None:
        """Add an edition."""
        self.documents += [(document, updated) for document in built.documents]
        self.places |= dict.fromkeys(built.shown, page)
        self.left_out |= built.left_out
        self.broken |= built.broken
        self.faults += [built.fault] if built.fault else []


def run(context: Context, keys: Sequence[str]) -> Run:
    """Bring these feeds up to date; a feed in somebody else's hands is passed over. The hub is nudged where somebody is to be told."""
    told: dict[str, None] = {}

    def bring(lease: Lease, site: Site, name: str) -> int:
        feed = next(f for f in site.feeds if f.name == name)
        return _close(context, lease, site, feed) if feed.closed else _bring(context, lease, site, feed, told)

    done = leasing.at_each(context, keys, Step.FEEDS, LIMIT, bring)
    return replace(done, nudges=(*done.nudges, Nudge(Step.HUB, tuple(told)))) if told else done


def _bring(context: Context, lease: Lease, site: Site, feed: Feed, told: dict[str, None]) -> int:
    """One build without the articles that stopped a worker before, then one with them. `told` gets the feed where its readers are told."""
    done, struck = _build(context, lease, site, feed, told, leave_struck=True)
    if struck:
        done += _build(context, lease, site, feed, told, leave_struck=False)[0]
    return done


def _build(context: Context, lease: Lease, site: Site, feed: Feed, told: dict[str, None], *, leave_struck: bool) -> tuple[int, bool]:
    builder = building.Builder(context, site, building.origin_base(site), lease.touch)
    rows, made = _fitting(context, lease, feed, builder, leave_struck=leave_struck)
    for article, reason in made.left_out.items():
        metrics.alerts.labels("entry left out").inc()
        context.log.error("entry left out", outlet=lease.key, article=article, outcome=reason)
    changed: list[tuple[Document, datetime]] = []
    try:
        changed += _end_strays(context, lease, builder, feed, rows)
        if made.faults:
            message = f"The feed contract is not met, the last good documents stay: {'; '.join(made.faults)}"
            raise Permanent(message)
        _reserve(context, lease, made)
        _mark(context, lease, site)
        _store(context, lease, made.documents, rows.known, changed)
    except (OSError, Transient, Permanent) as error:
        _fail(context, lease, rows.due, error, [documents.Stored(d, when, as_of=rows.work.window.as_of) for d, when in changed])
        return 0, rows.struck
    return _settle(context, lease, feed, site, rows, made, changed, told), rows.struck


def _fitting(context: Context, lease: Lease, feed: Feed, builder: building.Builder, *, leave_struck: bool) -> tuple[Rows, Made]:
    """What the run read and made. Of large articles fewer go to a page, and half of them leave at once, not one at each publish."""
    leave, bound = 0, feed.window_max_bytes
    for _ in range(TRIES):
        rows = _read(context, lease, feed, builder, leave_struck=leave_struck, leave=leave)
        made = _make(lease, feed, builder, rows)
        if not feed.page_size or not (made.too_much or made.largest > bound):
            break
        fits = len(made.live_shown) if made.too_much else feed.page_size
        size = min(feed.page_size, fits, int(feed.page_size * bound / max(made.largest, bound)))
        feed = replace(feed, page_size=max(1, size))
        leave = max(leave, made.too_much + len(made.live_shown) // 2) if made.too_much else leave
    return rows, made


def _end_strays(context: Context, lease: Lease, builder: building.Builder, feed: Feed, rows: Rows) -> list[tuple[Document, datetime]]:
    """After a change of the configuration: documents of formats and pages the feed no longer has stand no more."""
    stray = [row for row in rows.strays if not builder.makes(feed, row.path)]
    for row in stray:
        for suffix in (*TWINS, ""):
            context.origin(lease.key).delete(row.path + suffix, lease.hold.fence)
    return [(Document(row.path, row.media_type, b"", DocumentStatus.GONE), rows.now) for row in stray]


def _reserve(context: Context, lease: Lease, made: Made) -> None:
    """Say which archive pages will be put, before the first byte: whatever stops this run, the next one writes them again."""
    if made.pages:
        with context.ledger.write() as tx:
            archives.put(tx, lease.key, made.pages)
            archives.write_again(tx, lease.key, [page.name for page in made.pages])
            lease.guard(tx)


@dataclass(frozen=True, slots=True)
class Rows:
    """What a run read: what is due, what is to be made of it, what stands (path → row), the time; whether something was left for later."""

    due: tuple[Due, ...]
    work: Work
    known: Mapping[str, Row[Any]]
    now: datetime
    struck: bool
    strays: tuple[Row[Any], ...] = ()


def _read(context: Context, lease: Lease, feed: Feed, builder: building.Builder, *, leave_struck: bool, leave: int = 0) -> Rows:
    with context.ledger.read() as tx:
        due = deliveries.due(tx, lease.key, MOST)
        struck = {d.article_id for d in due if d.strikes} if leave_struck else set()
        due = tuple(d for d in due if d.article_id not in struck)
        most = 1 if lease.hold.careful else PAGES_A_RUN
        work = paging.read(tx, lease.key, feed, due, struck, leave=leave, most=most)
        builder.load(tx, feed, work.shown)
        names = [feed.name, building.INDEX, *(edition.name for _, edition in work.pages)]
        known = documents.known(tx, lease.key, [path for name in names for path in builder.paths(feed, name)])
        strays = documents.standing(tx, lease.key) if lease.hold.reshaped else []
        return Rows(due, work, known, tx.now, bool(struck), tuple(strays))


def _make(lease: Lease, feed: Feed, builder: building.Builder, rows: Rows) -> Made:
    """Everything this run is to store."""
    made = Made()
    for page, edition in rows.work.pages:
        built, updated = _page(feed, builder, edition, page.changed_at, rows)
        made.take(built, updated, page.name)
        made.largest = max([made.largest, *(document.size for document in built.documents)])
        made.pages.append(paging.changed_at(page, updated))
    live, made.updated = _live(lease, feed, builder, rows)
    made.take(live, made.updated, None)
    made.live, made.live_shown, made.too_much = live.documents, live.shown, live.too_much
    pages = [(paging.page_name(feed, page.name), page.changed_at) for page in (*made.pages[::-1], *rows.work.listed)]
    made.documents += [(document, made.updated) for document in builder.index(feed, [(feed.name, made.updated), *pages])]
    return made


def _page(feed: Feed, builder: building.Builder, edition: Edition, changed_at: datetime, rows: Rows) -> tuple[Built, datetime]:
    """An archive page, and its last change: when it was, or now where it says anything else than what stands."""
    built = builder.build(feed, edition, changed_at, rows.known, rows.now)
    told = {path: row.sha256 for path, row in rows.known.items()}
    if changed_at >= rows.now or all(told.get(document.path) == document.sha256 for document in built.documents):
        return built, changed_at
    return builder.build(feed, edition, rows.now, rows.known), rows.now


def _live(lease: Lease, feed: Feed, builder: building.Builder, rows: Rows) -> tuple[Built, datetime]:
    """The live document, and the instant it calls its last change: of the deliveries made live, or now if anything else changed it."""
    edition, due, known = rows.work.live(feed), rows.due, rows.known
    before = lease.hold.changed_at
    shown = {place.article_id for place in edition.shown}
    moved = [d.live_at for d in due if d.article_id in shown]
    updated = max([t for t in (before, *moved) if t], default=rows.now)
    built = builder.build(feed, edition, updated, known)
    if before and not moved and any(_differs(d, known) for d in built.documents):
        left = [d.live_at for d in due if d.shown]
        updated = max([before, *left]) if left else max(rows.now, before)
        built = builder.build(feed, edition, updated, known)
    return built, updated


def _differs(document: Document, known: Mapping[str, Row[Any]]) -> bool:
    row = known.get(document.path)
    return row is None or row.sha256 != document.sha256 or row.status != DocumentStatus.LIVE.value


def _mark(context: Context, lease: Lease, site: Site) -> None:
    """Say beside a site's feeds whether the servers in front must leave them to `web`.

    They name hub and self in a header of their own making, by the public address alone. Where the site has `feeds_url` or `hubs`, that
    would be wrong, and a wrong self is a topic that our hub refuses. The mark stands before a document does that they would serve.
    """
    public, backend = context.settings.server.public_url, context.origin(lease.key)
    path = f"{site.name}/{building.SUBSCRIBED}/{BY_WEB}"
    guessed = building.hub_urls(site) == (f"{public}hub",) and site.feeds_base == f"{public}{site.name}/{building.SUBSCRIBED}/"
    stands = backend.stat(path) is not None
    if guessed and stands:
        backend.delete(path, lease.hold.fence)
    elif not guessed and not stands:
        backend.put(path, b"", "text/plain", lease.hold.fence)


def _store(
    context: Context,
    lease: Lease,
    made: Sequence[tuple[Document, datetime]],
    known: Mapping[str, Row[Any]],
    changed: list[tuple[Document, datetime]],
) -> None:
    """Put what changed, and note it in `changed`; after a crash everything: nobody knows how far the run before came.

    Archive pages come before the live document: an entry leaves that one only when its page stands.
    """
    backend = context.origin(lease.key)
    for document, updated in made:
        if not lease.hold.careful and not _differs(document, known):
            continue
        # A twin beside a newer document would be a lie: it goes first, upkeep makes a new one.
        row = known.get(document.path)
        for twin in TWINS if lease.hold.careful or (row is not None and row.twins_sha) else ():
            backend.delete(document.path + twin, lease.hold.fence)
        backend.put(document.path, document.body, document.media_type, lease.hold.fence)
        changed.append((document, updated))


TWINS = (".gz", ".br")
BY_WEB = ".by-web"


def _settle(
    context: Context,
    lease: Lease,
    feed: Feed,
    site: Site,
    rows: Rows,
    made: Made,
    changed: Sequence[tuple[Document, datetime]],
    told: dict[str, None],
) -> int:
    left_out, due, work = made.left_out, rows.due, rows.work
    good = [settled for d in due if d.article_id not in left_out and (settled := _settled(feed, site, work, made, d)) is not None]
    with context.ledger.write() as tx:
        if made.pages:  # whose entries are locked here, too: all in the order of a plan
            documents.lock_deliveries(tx, lease.key, {d.article_id for d in due} | {a for a, at in made.places.items() if at})
        deliveries.settle(tx, lease.key, good)
        for page in made.pages:
            on_it = {a for a, at in made.places.items() if at == page.name} - work.waiting
            deliveries.put_on_page(tx, lease.key, page.name, _url(feed, site, page.name), on_it)
        lease.hasten(tx)
        deliveries.fail(tx, lease.key, [Failure(d, "left out", left_out[d.article_id], None) for d in due if d.article_id in left_out])
        deliveries.fail(tx, lease.key, [_lost(context, d, tx.now) for d in due if _is_lost(feed, rows, made, d)])
        deliveries.left_out(tx, lease.key, {a: left_out[a] for a in made.broken - {d.article_id for d in due}})
        deliveries.record(
            tx, lease.key, [(s.due.article_id, 0, "settled", "") for s in good if s.due.attempts or lease.hold.circuit_failures]
        )
        documents.put(tx, lease.key, [documents.Stored(d, updated, as_of=work.window.as_of) for d, updated in changed])
        archives.put(tx, lease.key, made.pages)
        archives.write_again(tx, lease.key, sorted(work.late | {at for a, at in made.places.items() if at and a in work.waiting}))
        topical = made.live if feed.folder == building.SUBSCRIBED else ()
        now_live = {site.base(feed.folder) + d.path.rpartition("/")[2]: d for d, _ in changed if d in topical}
        documents.topics(tx, lease.key, now_live, made.updated or tx.now)
        if topics.has_readers(tx, now_live):
            told[lease.key] = None
        lease.worked(tx)
        # The outlet's row comes last, as in a plan; a lost fence rolls all of this back.
        held = lease.hold.wanted_seq - work.left
        lease.guard(tx, held_seq=held, changed_at=made.updated, next_edge_at=work.window.next_edge, suspect=None, reshaped=False)
        now = tx.now
    lease.hold = replace(lease.hold, changed_at=made.updated, reshaped=False)
    _measure(lease.key, good, left_out, now)
    return len(good) + len(left_out)


def _settled(feed: Feed, site: Site, work: Work, made: Made, due: Due) -> Settled | None:
    """Where the delivery stands now; None where its page is left to the next run."""
    if due.article_id in work.waiting:
        return None
    if not due.present:
        return Settled(due, GONE, _url(feed, site), due.page)
    if due.article_id in made.places:
        page = made.places[due.article_id]
        return Settled(due, PAGE if page else LIVE, _url(feed, site, page), page)
    return None if feed.page_size else Settled(due, BEYOND, _url(feed, site))


def _is_lost(feed: Feed, rows: Rows, made: Made, due: Due) -> bool:
    """Whether it stands nowhere although nothing was left to the next run: what cannot be, and would be tried without a pause."""
    left = rows.work.left or made.too_much or due.article_id in rows.work.waiting or due.article_id in made.left_out
    return bool(feed.page_size) and due.present and due.article_id not in made.places and not left


def _lost(context: Context, due: Due, now: datetime) -> Failure:
    error = Transient("It has no place in the feed.")
    context.log.error("entry without a place", article=due.article_id)
    return Failure(due, "failed", str(error), leasing.again_at(context, Kind.FEED, due.attempts, now, error))


def _url(feed: Feed, site: Site, page: str | None = None) -> str:
    """Where readers find an article of the live document, or of an archive page: in the first format that has such a thing."""
    fmt = next(f for f in building.formats_of(feed) if f.archived or not page)
    return f"{site.base(feed.folder)}{paging.page_name(feed, page) if page else feed.name}.{fmt.extension}"


def _measure(key: str, good: Sequence[Settled], left_out: Mapping[int, str], now: datetime) -> None:
    metrics.deliveries.labels(key, "settled").inc(len(good))
    metrics.deliveries.labels(key, "failed").inc(len(left_out))
    for settled in (s for s in good if not s.due.again):
        metrics.delivery_seconds.labels(key).observe(max(0.0, (now - settled.due.wanted_at).total_seconds()))


def _fail(context: Context, lease: Lease, due: Sequence[Due], error: Exception, stored: Sequence[documents.Stored]) -> None:
    """The origin could not be written, or the documents were no good: the outlet's failure, and no article's.

    An origin that fails spends nobody's retries. Documents that break the contract are made again at the list's intervals,
    at its last once the others are spent: each time means an alert. Formats that stand are on record.
    """
    cause = error if isinstance(error, PressrunError) else Transient(f"The origin could not be written: {error}")
    metrics.alerts.labels("feed held back").inc()
    context.log.error("feed held back", outlet=lease.key, outcome=str(cause))
    delays = context.settings.retries.of(Kind.FEED)
    with context.ledger.write() as tx:
        back = leasing.back_at(lease, Kind.FEED, tx.now, cause)
        last = tx.now + timedelta(seconds=delays[-1])
        if isinstance(cause, Transient):
            failures = [Failure(d, "failed", str(cause), back, spends=False) for d in due]
        else:
            again = [leasing.again_at(context, Kind.FEED, d.attempts, tx.now, Transient(str(cause))) for d in due]
            failures = [Failure(d, "failed", str(cause), when or last) for d, when in zip(due, again, strict=True)]
        deliveries.fail(tx, lease.key, failures)
        documents.put(tx, lease.key, stored)
        # The rows carry the retry; where there are none, the next edge does.
        lease.guard(tx, held_seq=lease.hold.wanted_seq, **({} if due else {"next_edge_at": back}))
        if isinstance(cause, Transient):
            lease.failed(tx)


def _close(context: Context, lease: Lease, site: Site, feed: Feed) -> int:
    """A feed that is closed, or has another name now: none of its documents stands, and who asks for one is told 410, or where to go."""
    with context.ledger.read() as tx:
        due = deliveries.due(tx, lease.key, MOST)
        rows = documents.not_ended(tx, lease.key, MOST, moved=bool(feed.moved_to), base=f"{site.base(feed.folder)}{feed.moved_to}.")
    backend = context.origin(lease.key)
    ended = []
    try:
        for row in rows:
            for suffix in (*TWINS, ""):
                backend.delete(row.path + suffix, lease.hold.fence)
            extension = row.path.rpartition("/")[2].partition(".")[2]
            target = f"{site.base(feed.folder)}{feed.moved_to}.{extension}" if feed.moved_to else ""
            ended.append(Document(row.path, row.media_type, b"", DocumentStatus.MOVED if target else DocumentStatus.GONE, target))
    except (OSError, Transient) as error:
        _fail(context, lease, due, error, ())
        return 0
    with context.ledger.write() as tx:
        deliveries.settle(tx, lease.key, [Settled(d, GONE, "", d.page) for d in due if not d.present])
        if any(d.present for d in due):  # planned by whoever had not heard of it yet
            deliveries.empty(tx, lease.key)
        lease.hasten(tx)
        documents.put(tx, lease.key, [documents.Stored(d, tx.now) for d in ended])
        lease.worked(tx)
        held = lease.hold.wanted_seq - (len(rows) == MOST)
        lease.guard(tx, held_seq=held, changed_at=tx.now, next_edge_at=None, suspect=None, reshaped=False)
    return len(due)
