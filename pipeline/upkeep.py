"""Step 4: whatever time alone makes necessary: retries, forgotten events, dead leases, embargoes that end, twins.

Ticked about once a second by every worker; one at a time by a lease. It nudges and never does another step's work.
"""

from __future__ import annotations

import gzip
import hashlib
import os
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import brotli

from pipeline import filling, leasing, planning, recovery
from pipeline.backends import Sweeping
from pipeline.context import boot, kernel, start_time
from pipeline.kit import metrics
from pipeline.kit.portions import portions
from pipeline.ledger import (
    articles,
    deliveries,
    documents,
    duties,
    events,
    outlets,
    subscription_claims,
    subscription_views,
    subscriptions,
    topics,
)
from pipeline.model.errors import FenceLost, PressrunError, Transient
from pipeline.model.run import Nudge, Run, Step
from pipeline.model.settings import Kind, outlet_key
from pipeline.rules import routes
from pipeline.rules.article import from_stored

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pipeline.context import Context
    from pipeline.leasing import Lease
    from pipeline.ledger.articles import Ending
    from pipeline.model.settings import Site

STILL = timedelta(seconds=2)
PAGES_STILL = timedelta(minutes=1)  # of archive pages, which few ask for: while many close, others wait for the time it takes
TAKES = 1.0  # seconds for embargoes, which people wait for
PACKS = 0.1  # seconds in which twins are begun: a feed that is packed cannot be built, and its worker may have no other pool process
FILLS = 0.2  # seconds a second for an archive of which a new outlet has nothing yet
CHORES = 0.25  # seconds for what can wait for the next second
IN_ONE_COMMIT = 16
BYTES_IN_ONE_COMMIT = 250_000
TWIN_LIMIT = 4.0
SWEEP = "sweep"
SWEEP_EVERY = timedelta(hours=1)
LEFT_SECONDS = 600.0  # no put takes that long: whoever wrote it is gone
GZIP, BROTLI = 6, 5  # measured on a 670 kB feed: 20 ms and 13 ms; brotli 11 takes 749 ms


def run(context: Context, keys: Sequence[str] = ()) -> Run:
    """One round. `keys` is not used: there is one upkeep."""
    del keys
    owner = context.me()
    if not _take_turn(context, owner):
        return Run()
    try:
        monotonic = context.clock.monotonic
        _free_the_dead(context)
        nudges = [*_embargoes(context, monotonic() + TAKES), *_forgotten(context), *_fill(context, monotonic() + FILLS)]
        nudges += [*_due(context), *_hub(context)]
        # Packing feeds that are about to change again would only take time from those who wait for them.
        made, missed = (0, ()) if nudges else _twins(context, monotonic() + PACKS)
        _keep_house(context, monotonic() + CHORES)
        return Run(tuple(dict.fromkeys([*nudges, *missed])), made)
    finally:
        with context.ledger.write() as tx:
            duties.give_back(tx, duties.UPKEEP, owner)


def _take_turn(context: Context, owner: str) -> bool:
    """Whether the round is ours; one whose process is gone is taken over at once: everything else waits for upkeep."""
    with context.ledger.read() as tx:
        before = duties.owner(tx, duties.UPKEEP)
    dead = before if before and is_dead(before) else None
    with context.ledger.write() as tx:
        taken = duties.take(tx, duties.UPKEEP, owner, dead=dead)
        seen = duties.seen_at(tx, duties.UPKEEP) if taken else None
        if seen is not None and seen > tx.now:
            deliveries.clock_was_put_back(tx)
    return taken


def _keep_house(context: Context, ends: float) -> None:
    """What can wait for the next second. It never takes the nudges with it: who was noted as told would wait 3 s more."""
    for chore in (_gauges, _sweep, _leases_end, lambda c: _compare(c, ends)):
        try:
            chore(context)
        except PressrunError as error:
            context.log.warning("upkeep put off", outcome=str(error))


def _free_the_dead(context: Context) -> None:
    """Leases of processes beside this one that are gone end now, not in five seconds."""
    with context.ledger.read() as tx:
        owners = {*outlets.lease_owners(tx), *subscription_claims.owners(tx)}
    dead = [owner for owner in sorted(owners) if is_dead(owner)]
    if dead:
        with context.ledger.write() as tx:
            outlets.free_leases(tx, dead)
            events.free_claims(tx, dead)
            subscription_claims.free(tx, dead)


def is_dead(owner: str) -> bool:
    """Whether `host:pid:start time:kernel…` names a process that could be seen from here and is gone. In doubt it lives.

    Of another kernel, another container, or where the kernel has no name (not Linux), nothing is known: that lease runs out.
    """
    _, pid, started, theirs = [*owner.split(":"), "", "", ""][:4]
    if not pid.isdigit() or not theirs or theirs != kernel():
        return False
    now = start_time(int(pid))
    if now in {"", "0"}:  # hidden from us, perhaps: `/proc` may be mounted so that only one's own processes show
        return not _exists(int(pid))
    return now != started


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _embargoes(context: Context, ends: float) -> tuple[Nudge, ...]:
    """Make live what may be seen now, and plan its deliveries in the same transaction; a portion each, as far as there is time."""
    with context.ledger.read() as tx:
        when = articles.next_embargo(tx)
        if when is None or when > tx.now:
            return ()
    sites = {site.name: site for site in context.settings.sites}
    dirty: dict[str, None] = {}
    while True:
        with context.ledger.read() as tx:
            found = articles.ending(tx, sites)
        for portion in portions(found, IN_ONE_COMMIT, BYTES_IN_ONE_COMMIT, _size):
            dirty.update(dict.fromkeys(_promote(context, sites, portion)))
            if context.clock.monotonic() >= ends:
                return planning.nudges(dirty)
        if len(found) < articles.MOST_ENDING:
            return planning.nudges(dirty)


def _size(ending: Ending) -> int:
    return len(str(ending.content.get("body_html", "")).encode())


def _promote(context: Context, sites: Mapping[str, Site], portion: Sequence[Ending]) -> tuple[str, ...]:
    """Outlets that have work now. What each should show is worked out before the transaction begins."""
    plans = {
        e.article_id: planning.lines(
            sites[e.site],
            from_stored(e.content),
            article_id=e.article_id,
            revision=e.revision,
            number=e.number,
            sort_at=e.published_at,
            wanted_at=e.effective_at,
        )
        for e in portion
    }
    with context.ledger.write(shown=True) as tx:
        lines = [line for article in sorted(articles.promote(tx, portion)) for line in plans[article]]
        return deliveries.plan(tx, lines) if lines else ()


def _fill(context: Context, ends: float) -> tuple[Nudge, ...]:
    """What new outlets, and those with other rules, should hold of what was published before."""
    try:
        return planning.nudges(filling.fill(context, ends))
    except PressrunError as error:
        context.log.warning("filling put off", outcome=str(error))
        return ()


def _forgotten(context: Context) -> tuple[Nudge, ...]:
    """Events that wait in nobody's hands: their nudge was lost, or whoever had them died.

    Those of a source that is no longer configured are kept, and counted (`_gauges`); nobody can read them until it is back.
    """
    with context.ledger.read() as tx:
        found = events.sources_with_work(tx)
    return tuple(Nudge(Step.VALIDATE, (source,)) for source in found if context.settings.source(source) is not None)


def _due(context: Context) -> tuple[Nudge, ...]:
    """Outlets with something due and nobody at work: retries, lost nudges, edges of time, circuits that may half-open."""
    with context.ledger.write() as tx:
        found = outlets.to_nudge(tx, _outlets(context))
    return tuple(Nudge(planning.STEP_OF[Kind(kind)], (key,)) for kind, key in found)


def _hub(context: Context) -> tuple[Nudge, ...]:
    """The hub, where anybody is to be asked or told something and nobody is at it: retries, lost nudges, verifications left over."""
    with context.ledger.read() as tx:
        if not (subscription_claims.is_due(tx, len(context.settings.retries.hub)) or topics.is_due(tx)):
            return ()
        seen = duties.seen_at(tx, Step.HUB)
        if seen is not None and seen <= tx.now < seen + outlets.NUDGE_PAUSE:
            return ()
    with context.ledger.write() as tx:
        duties.note_seen(tx, Step.HUB)
    return (Nudge(Step.HUB),)


def _outlets(context: Context) -> list[str]:
    """The keys of every configured outlet."""
    return [outlet_key(site.name, kind, outlet.name) for site in context.settings.sites for kind, outlet in routes.outlets(site)]


def _twins(context: Context, ends: float) -> tuple[int, tuple[Nudge, ...]]:
    """Gzip and brotli beside feeds that have been still for 2 s; (how many, feeds whose nudge may have met our lease)."""
    keys = [outlet_key(s.name, Kind.FEED, f.name) for s in context.settings.sites for f in s.feeds]
    with context.ledger.read() as tx:
        rows = documents.without_twins(tx, keys, tx.now - STILL, tx.now - PAGES_STILL, 12)
    made, missed = 0, []
    for outlet in dict.fromkeys(row.outlet for row in rows):
        if context.clock.monotonic() >= ends:
            break
        with leasing.lease(context, outlet, TWIN_LIMIT) as lease:
            made += _twins_of(context, lease, [row for row in rows if row.outlet == outlet], ends) if lease else 0
        if lease is not None and lease.left:
            missed.append(Nudge(Step.FEEDS, (outlet,)))
    return made, tuple(missed)


def _twins_of(context: Context, lease: Lease, rows: Sequence[Any], ends: float) -> int:
    """The twins of one feed: of one document, and of others as far as there is time.

    A feed left by a crash is not ours to make healthy: its own next run must be careful.
    """
    if lease.hold.careful:
        lease.broken = True
        return 0
    with context.ledger.write() as tx:
        # Said before the first byte: a half-made twin is known of, and goes before a newer document comes.
        documents.makes_twins(tx, lease.key, [row.path for row in rows])
    made = 0
    for row in rows:
        made += _twin(context, lease, row.path, row.sha256)
        if context.clock.monotonic() >= ends:
            break
    return made


def _twin(context: Context, lease: Lease, path: str, sha256: str) -> int:
    """Under the feed's own lease, so that no newer document can come between the reading and the twin."""
    backend = context.origin(lease.key)
    body = backend.get(path)
    if body is None or hashlib.sha256(body).hexdigest() != sha256:
        return 0
    try:
        for suffix, packed in ((".gz", gzip.compress(body, GZIP, mtime=0)), (".br", brotli.compress(body, quality=BROTLI))):
            backend.put(path + suffix, packed, "application/octet-stream", lease.hold.fence)
    except (FenceLost, Transient):
        return 0
    with context.ledger.write() as tx:
        documents.has_twins(tx, lease.key, path, sha256)
    return 1


def _sweep(context: Context) -> None:
    """Once an hour: temporary files that killed writers left in local folders."""
    with context.ledger.read() as tx:
        seen = duties.seen_at(tx, SWEEP)
        if seen is not None and tx.now - seen < SWEEP_EVERY:
            return
    with context.ledger.write() as tx:
        if not duties.take(tx, SWEEP, context.me()):
            return
    now = context.clock.now().timestamp()
    for site in context.settings.sites:
        backends = [context.origin(outlet_key(site.name, Kind.FEED, f.name)) for f in site.feeds[:1]]
        backends += [context.mirror_backend(outlet_key(site.name, Kind.MIRROR, m.name), m) for m in site.mirrors if m.backend == "local"]
        for backend in backends:
            if isinstance(backend, Sweeping) and (removed := backend.sweep(LEFT_SECONDS, now)):
                context.log.warning("temporary files removed", site=site.name, count=removed)
    with context.ledger.write() as tx:
        duties.give_back(tx, SWEEP, context.me())


def _leases_end(context: Context) -> None:
    """Subscriptions whose lease is over, and requests that were refused a while ago, go; some in each round."""
    with context.ledger.read() as tx:
        if not subscriptions.has_ended(tx):
            return
    with context.ledger.write() as tx:
        count = subscriptions.prune(tx)
    context.log.info("subscriptions ended", count=count)


def _compare(context: Context, ends: float) -> None:
    """After a start of the machine: what was stored shortly before it stopped. Elsewhere than on Linux nothing tells of one."""
    if name := boot():
        recovery.check_in(context, name)
    recovery.compare(context, ends)


def _gauges(context: Context) -> None:
    with context.ledger.read() as tx:
        unsettled = deliveries.unsettled_counts(tx)
        waiting = dict(events.waiting_counts(tx))
        states = subscription_views.by_state(tx)
    totals = dict.fromkeys(_outlets(context), 0)
    for outlet, _state, count in unsettled:
        totals[outlet] = totals.get(outlet, 0) + count
    metrics.set_gauge(metrics.open_deliveries, totals.items())
    metrics.set_gauge(metrics.waiting_events, {**{s.name: 0 for s in context.settings.sources}, **waiting}.items())
    metrics.set_gauge(metrics.subscriptions, {**dict.fromkeys(subscriptions.STATES, 0), **states}.items())
