"""Step 3a: the deliveries of a feed → its documents at the origin, all formats together.

lease > what is due, what the window shows > entries > documents > contract > put what changed > settle > ask again
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from pipeline import building, leasing
from pipeline.formats import FORMATS
from pipeline.kit import metrics
from pipeline.ledger import deliveries, documents
from pipeline.ledger.deliveries import BEYOND, GONE, LIVE, Failure, Settled
from pipeline.model.document import Document, DocumentStatus
from pipeline.model.errors import Permanent, PressrunError, Transient
from pipeline.model.run import Run, Step
from pipeline.model.settings import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from sqlalchemy import Row

    from pipeline.building import Built, Window
    from pipeline.context import Context
    from pipeline.leasing import Lease
    from pipeline.ledger.deliveries import Due
    from pipeline.model.settings import Feed, Site

LIMIT = 5.0
MOST = 1000


def run(context: Context, keys: Sequence[str]) -> Run:
    """Bring these feeds up to date; a feed in somebody else's hands is passed over."""

    def bring(lease: Lease, site: Site, name: str) -> int:
        return _bring(context, lease, site, next(f for f in site.feeds if f.name == name))

    return leasing.at_each(context, keys, Step.FEEDS, LIMIT, bring)


def _bring(context: Context, lease: Lease, site: Site, feed: Feed) -> int:
    """One build without the articles that stopped a worker before, then one with them."""
    done, struck = _build(context, lease, site, feed, leave_struck=True)
    if struck:
        done += _build(context, lease, site, feed, leave_struck=False)[0]
    return done


def _build(context: Context, lease: Lease, site: Site, feed: Feed, *, leave_struck: bool) -> tuple[int, bool]:
    builder = building.Builder(context, site, building.origin_base(site), lease.touch)
    with context.ledger.read() as tx:
        due = deliveries.due(tx, lease.key, MOST)
        struck = {d.article_id for d in due if d.strikes} if leave_struck else set()
        seen = building.window(tx, lease.key, feed, struck)
        builder.load(tx, seen.shown)
        known = documents.known(tx, lease.key, [f"{site.name}/feeds/{feed.name}.{f.extension}" for f in FORMATS.values()])
        now = tx.now
    due = tuple(d for d in due if d.article_id not in struck)
    built, updated = _rendered(lease, feed, builder, seen, due, known, now, folder=f"{site.name}/feeds/")
    for article, reason in built.left_out.items():
        metrics.alerts.labels("entry left out").inc()
        context.log.error("entry left out", outlet=lease.key, article=article, outcome=reason)
    changed: list[Document] = []
    try:
        if built.fault:
            message = f"The feed contract is not met, the last good documents stay: {built.fault}"
            raise Permanent(message)
        _store(context, lease, built.documents, known, changed)
    except (OSError, Transient, Permanent) as error:
        _fail(context, lease, due, error, [documents.Stored(d, updated, as_of=seen.as_of) for d in changed])
        return 0, bool(struck)
    _settle(context, lease, feed, site, seen, due, built, changed, updated)
    return len(due), bool(struck)


def _rendered(
    lease: Lease,
    feed: Feed,
    builder: building.Builder,
    seen: Window,
    due: Sequence[Due],
    known: Mapping[str, Row[Any]],
    now: datetime,
    folder: str,
) -> tuple[Built, datetime]:
    """The documents, and the instant they call their last change: of the deliveries made live, or now if anything else changed them."""
    before = lease.hold.changed_at
    shown = {place.article_id for place in seen.shown}
    moved = [d.live_at for d in due if d.article_id in shown]
    updated = max([t for t in (before, *moved) if t], default=now)
    built = builder.build(feed, seen, updated, folder, known)
    if before and not moved and any(_differs(d, known) for d in built.documents):
        left = [d.live_at for d in due if d.shown]
        updated = max([before, *left]) if left else max(now, before)
        built = builder.build(feed, seen, updated, folder, known)
    return built, updated


def _differs(document: Document, known: Mapping[str, Row[Any]]) -> bool:
    row = known.get(document.path)
    return row is None or row.sha256 != document.sha256 or row.status != DocumentStatus.LIVE.value


def _store(context: Context, lease: Lease, made: Sequence[Document], known: Mapping[str, Row[Any]], changed: list[Document]) -> None:
    """Put what changed, and note it in `changed`; after a crash everything: nobody knows how far the run before came."""
    backend = context.origin(lease.key)
    for document in made:
        if not lease.hold.careful and not _differs(document, known):
            continue
        # A twin beside a newer document would be a lie: it goes first, upkeep makes a new one.
        row = known.get(document.path)
        for twin in (".gz", ".br") if lease.hold.careful or (row is not None and row.twins_sha) else ():
            backend.delete(document.path + twin, lease.hold.fence)
        backend.put(document.path, document.body, document.media_type, lease.hold.fence)
        changed.append(document)


def _settle(
    context: Context,
    lease: Lease,
    feed: Feed,
    site: Site,
    seen: Window,
    due: Sequence[Due],
    built: Built,
    changed: Sequence[Document],
    updated: datetime,
) -> None:
    left_out = built.left_out
    url = f"{site.feeds_base}{feed.name}.rss"
    good = [Settled(d, _place(d, built.shown), url) for d in due if d.article_id not in left_out]
    with context.ledger.write() as tx:
        deliveries.settle(tx, lease.key, good)
        lease.hasten(tx)
        deliveries.fail(tx, lease.key, [Failure(d, "left out", left_out[d.article_id], None) for d in due if d.article_id in left_out])
        deliveries.record(
            tx, lease.key, [(s.due.article_id, 0, "settled", "") for s in good if s.due.attempts or lease.hold.circuit_failures]
        )
        documents.put(tx, lease.key, [documents.Stored(d, updated, as_of=seen.as_of) for d in changed])
        documents.topics(tx, lease.key, {site.feeds_base + d.path.rpartition("/")[2]: d for d in changed}, updated)
        lease.worked(tx)
        # The outlet's row comes last, as in a plan; a lost fence rolls all of this back.
        lease.guard(tx, held_seq=lease.hold.wanted_seq, changed_at=updated, next_edge_at=seen.next_edge, suspect=None)
        now = tx.now
    _measure(lease.key, good, left_out, now)


def _place(due: Due, shown: Collection[int]) -> str:
    if not due.present:
        return GONE
    return LIVE if due.article_id in shown else BEYOND


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
