"""Step 2: waiting events → revisions with their delivery plans, or rejections.

    claim < source > decide (dialect, schema, house rules, cleaning) > write (revision + plan + event, one transaction)

Deciding is outside any transaction and touches nothing; writing holds only statements whose parameters are ready.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pipeline import planning
from pipeline.dialects import dialects
from pipeline.kit import clean, metrics, strictjson
from pipeline.kit.clock import microseconds
from pipeline.kit.portions import portions
from pipeline.leasing import TAKES_WORK
from pipeline.ledger import articles, deliveries, events
from pipeline.ledger.articles import Candidate
from pipeline.ledger.events import Outcome
from pipeline.ledger.types import json_text
from pipeline.model.errors import Rejected
from pipeline.model.event import EventState, EventType, Problem
from pipeline.model.run import Nudge, Run, Step
from pipeline.rules import house, identity, schema
from pipeline.rules.article import content_sha, from_native, instant, to_stored

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pipeline.context import Context
    from pipeline.ledger.engine import Tx
    from pipeline.ledger.events import Claim, Claimed
    from pipeline.model.article import Article
    from pipeline.model.settings import Site, Source

AHEAD = timedelta(minutes=10)  # an event dated further ahead is ordered at its arrival
IN_ONE_COMMIT = 16
BYTES_IN_ONE_COMMIT = 250_000
KINDS = {
    EventType.PUBLISHED: articles.PUBLISHED,
    EventType.UPDATED: articles.UPDATED,
    EventType.CORRECTED: articles.CORRECTED,
    EventType.WITHDRAWN: articles.WITHDRAWN,
}


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to be done about one event: a revision to make, or a rejection."""

    event: Claimed
    type: str | None
    candidate: Candidate | None = None
    article: Article | None = None
    problems: tuple[Problem, ...] = ()


def run(context: Context, keys: Sequence[str]) -> Run:
    """Work through the waiting events of these sources, for at most a second of taking new ones."""
    ends = context.clock.monotonic() + TAKES_WORK
    nudged: dict[str, None] = {}
    done, again = 0, []
    for key in keys:
        source = context.settings.source(key)
        while source is not None:
            count, dirty, more = _batch(context, source, ends)
            nudged.update(dict.fromkeys(dirty))
            done += count
            if not more:  # whatever came meanwhile has a nudge of its own
                break
            if context.clock.monotonic() >= ends:
                again.append(key)
                break
    left = tuple(Nudge(Step.VALIDATE, (key,)) for key in again)
    return Run((*planning.nudges(nudged), *left), done, len(again))


def decide(source: Source, site: Site, event: Claimed, *, depth: int = 64) -> Decision:
    """What an event asks for. Pure: the same event, the same decision."""
    try:
        payload = strictjson.loads(event.body, max_depth=depth)
    except strictjson.BadJson as error:
        return Decision(event, None, problems=(Problem(error.pointer, error.detail),))
    native = dialects()[source.dialect](payload)
    kind = clean.line(native["type"])[:40] if isinstance(native, dict) and isinstance(native.get("type"), str) else None
    try:
        return _decided(source, site, event, native)
    except Rejected as error:
        return Decision(event, kind, problems=error.problems)


def _decided(source: Source, site: Site, event: Claimed, native: object) -> Decision:
    found = list(schema.problems("event.v1.json", native))
    data = native.get("data") if isinstance(native, dict) else None
    withdrawn = isinstance(native, dict) and native.get("type") == EventType.WITHDRAWN
    article = None
    if isinstance(data, dict) and not withdrawn:
        spoken = {problem.pointer for problem in found}
        article = None if found else _article(data)
        told = house.problems(data, site, source, event.received_at, article.body_html if article else None)
        found += [p for p in told if p.pointer not in spoken]
    if isinstance(native, dict) and "/timestamp" not in {p.pointer for p in found} and instant(native.get("timestamp")) is None:
        found.append(Problem("/timestamp", "This is no date of the calendar between the years 1900 and 2200."))
    if found or not isinstance(native, dict) or not isinstance(data, dict):
        raise Rejected(found[: schema.MOST_PROBLEMS])
    return Decision(event, str(native["type"]), _candidate(source, site, event, native, article), article)


def _article(data: dict[str, Any]) -> Article | None:
    """The article, or None where a date is none of the calendar: the house rules say which."""
    try:
        return from_native(data)
    except ValueError:
        return None


def _candidate(source: Source, site: Site, event: Claimed, native: dict[str, Any], article: Article | None) -> Candidate:
    data = native["data"]
    happened = instant(native["timestamp"]) or event.received_at
    happened = min(happened, event.received_at) if happened > event.received_at + AHEAD else happened
    name = identity.identity(site.tag_host, site.tag_date, source.id_space, data["id"])
    ahead = [t for t in (article.embargo_until, article.published_at) if t] if article else []
    return Candidate(
        event=event.id,
        site=site.name,
        space=source.id_space,
        cms_id=data["id"],
        identity=name,
        short_id=identity.short_id(name),
        kind=KINDS[EventType(native["type"])],
        major=_major(source, data, happened),
        order_time=microseconds(happened),
        content_sha=content_sha(article) if article else "withdrawn",
        headline=article.headline if article else "",
        content=json_text(to_stored(article)) if article else None,
        reason=clean.text(data.get("reason", "")) if article is None else "",
        received_at=event.received_at,
        effective_at=max([event.received_at, *ahead]),
        gated=any(when > event.received_at for when in ahead),
        event_at=happened,
        published_at=article.published_at if article else None,
        modified_at=article.updated_at if article else None,
    )


def _major(source: Source, data: dict[str, Any], happened: datetime) -> int | None:
    """What the source orders its revisions by, as a number; None where this event does not say."""
    if source.order_by == "timestamp":
        return microseconds(happened)
    if source.order_by == "version":
        version: int | None = data.get("version")
        return version
    updated = instant(data.get("updated_at"))
    return microseconds(updated) if updated else None


def _batch(context: Context, source: Source, ends: float) -> tuple[int, tuple[str, ...], bool]:
    """One claim's worth, as far as there is time: (events done, outlets that have work now, whether there may be more)."""
    with context.ledger.write() as tx:
        claim = events.claim(tx, source.name, context.me())
        events.finish(tx, [_spent(event) for event in claim.spent])
    for event in claim.spent:
        metrics.alerts.labels("stops its worker").inc()
        context.log.error("event rejected", event_id=event.event_id, outcome="stops its worker")
    dirty: dict[str, None] = {}
    done, more = len(claim.spent), claim.more
    for chunk in _chunks(claim, context):
        if done and context.clock.monotonic() >= ends:
            with context.ledger.write() as tx:
                events.unclaim(tx, [event.id for event in claim.events[done - len(claim.spent) :]])
            more = True
            break
        done += len(chunk)
        if claim.careful:
            _suspect(context, chunk[0])
        site = context.settings.site(source.site)
        decisions = [decide(source, site, event, depth=context.settings.limits.json_depth) for event in chunk]
        dirty.update(dict.fromkeys(_write(context, source, decisions)))
    return done, tuple(dirty), more


def _chunks(claim: Claim, context: Context) -> Iterator[Sequence[Claimed]]:
    """Events of one commit each, with their bodies; one a commit after a crash."""
    most = 1 if claim.careful else IN_ONE_COMMIT
    for portion in portions(claim.events, most, BYTES_IN_ONE_COMMIT, lambda event: event.size):
        with context.ledger.read() as tx:
            chunk = events.with_bodies(tx, portion)
        yield chunk


def _suspect(context: Context, event: Claimed) -> None:
    with context.ledger.write() as tx:
        events.suspect(tx, event.id)


def _spent(event: Claimed) -> Outcome:
    problem = Problem("", f"Processing this event stopped its worker {event.strikes} times; nothing of it was published.")
    return Outcome(event.id, EventState.REJECTED, problems=(problem,))


def _write(context: Context, source: Source, decisions: Sequence[Decision]) -> tuple[str, ...]:
    """Everything of a chunk in one transaction, in the order of article keys so that two writers never wait in a ring."""
    site = context.settings.site(source.site)
    ordered = sorted(decisions, key=lambda d: (d.candidate.cms_id if d.candidate else "", d.event.id))
    lines: dict[int, list[deliveries.Planned]] = {}
    with context.ledger.write(shown=True) as tx:
        waiting = events.still_waiting(tx, [d.event.id for d in ordered])
        outcomes = [_apply(tx, site, decision, lines) for decision in ordered if decision.event.id in waiting]
        events.finish(tx, outcomes)
        keys = deliveries.plan(tx, [line for planned in lines.values() for line in planned]) if lines else ()
    for outcome in outcomes:
        metrics.events.labels(source.name, outcome.state.value).inc()
    return keys


def _apply(tx: Tx, site: Site, decision: Decision, lines: dict[int, list[deliveries.Planned]]) -> Outcome:
    candidate = decision.candidate
    if candidate is None:
        return Outcome(decision.event.id, EventState.REJECTED, decision.type, problems=decision.problems)
    applied = articles.apply(tx, candidate)
    if applied.live is not None and applied.published_at is not None:
        lines[applied.article_id] = planning.lines(
            site,
            decision.article,
            article_id=applied.article_id,
            revision=applied.live,
            number=applied.number,
            sort_at=applied.published_at,
            wanted_at=candidate.received_at,
        )
    return Outcome(decision.event.id, applied.state, decision.type, applied.article_id, applied.number)
