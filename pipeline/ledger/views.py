"""Questions people ask of the ledger: where is this article, what is not out yet, what was refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sqlalchemy import case, func, literal, or_, select, text, union

from pipeline.kit import secrecy
from pipeline.kit.clock import rfc3339
from pipeline.ledger import subscription_views
from pipeline.ledger import tables as t
from pipeline.ledger.outlets import LONGEST_CIRCUIT
from pipeline.ledger.subscriptions import ACTIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from sqlalchemy import Row, Select

    from pipeline.ledger.engine import Tx

SETTLED_STATES = frozenset({"settled", "skipped"})
UNSETTLED_STATES = ("waiting", "pending", "posting", "retrying", "failed", "unknown", "paused")
WITHDRAWN, LEFT, PAUSED = "The article is withdrawn.", "It no longer matches the outlet's rules.", "The outlet is paused."


def _as_kept(_outlet: str, url: str) -> str:
    return url


@dataclass(frozen=True, slots=True)
class OutletStatus:
    """One outlet's line for one article. `seconds` from acceptance to held; for what left, until it was gone.

    gone  settled, and what is settled is that the outlet shows it no more: `reason` says why, `url` where that can be seen
    """

    outlet: str
    state: str
    url: str
    seconds: float | None
    attempts: int
    reason: str
    held_revision: int | None
    gone: bool = False

    def to_json(self) -> dict[str, object]:
        """The shape every `--json` prints; `gone` stands only where it is true."""
        names = ("outlet", "state", "url", "seconds", "attempts", "reason")
        return {**{name: getattr(self, name) for name in names}, **({"gone": True} if self.gone else {})}


@dataclass(frozen=True, slots=True)
class ArticleStatus:
    """One article and where it is. `state`: live, withdrawn, or waiting (for its embargo)."""

    site: str
    id: str
    headline: str
    revision: int
    state: str
    waits_until: datetime | None
    outlets: tuple[OutletStatus, ...]

    @property
    def settled(self) -> bool:
        """Whether every outlet holds what it should, and nothing waits for its time."""
        return self.state != "waiting" and self.at_rest

    @property
    def at_rest(self) -> bool:
        """Whether there is nothing to be done now: settled, or waiting for its time with the revision before it settled."""
        return (self.state == "waiting" or bool(self.outlets)) and all(o.state in SETTLED_STATES for o in self.outlets)

    def to_json(self) -> dict[str, object]:
        """The shape every `--json` prints."""
        return {
            "site": self.site,
            "id": self.id,
            "headline": self.headline,
            "revision": self.revision,
            "state": self.state,
            **({"waits_until": rfc3339(self.waits_until)} if self.waits_until else {}),
            "outlets": [o.to_json() for o in self.outlets],
        }


def find_articles(tx: Tx, text: str, site: str | None = None) -> list[int]:
    """Article row ids by CMS id, short id or identity; none for bytes of a terminal that are no text."""
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        return []
    a = t.articles.c
    # An identity ends with the CMS id, which has an index; it has none of its own.
    by_identity = select(a.id).where(a.cms_id == unquote(text.rpartition("/")[2]).replace("\0", ""), a.identity == text)
    found = union(*(query.where(a.site == site) if site else query for query in (*_by_id(text), by_identity)))
    return [row.id for row in tx.all(select(a.id).where(a.id.in_(found)).order_by(a.id).limit(50))]


def _by_id(given: str) -> tuple[Select[Any], Select[Any]]:
    """Row ids by CMS id and by short id. Two questions, each with all that is known: put as one, SQLite goes through a whole site."""
    a = t.articles.c
    return select(a.id).where(a.cms_id == given), select(a.id).where(a.short_id == given)


def newest_articles(tx: Tx, most: int = 20, before: int | None = None, site: str | None = None) -> list[int]:
    """Row ids of the articles that came last, of one site or of all."""
    a = t.articles.c
    query = select(a.id).order_by(a.id.desc()).limit(most)
    query = query.where(a.site == site) if site else query
    return [row.id for row in tx.all(query.where(a.id < before) if before else query)]


def status(tx: Tx, articles: Sequence[int], address: Callable[[str, str], str] = _as_kept) -> list[ArticleStatus]:
    """Where these articles are, in the order asked.

    `address`: (outlet, its URL when it was made) → its URL now. The ledger only knows the first; `Settings.address` knows the second.
    """
    if not articles:
        return []
    a, r, d, o = t.articles.c, t.revisions.c, t.deliveries.c, t.outlets.c
    heads = {
        row.id: row
        for row in tx.all(
            select(a.id, a.site, a.cms_id, a.live, a.newest, r.headline, r.number, r.kind, r.state, r.effective_at)
            .join(t.revisions, (r.article_id == a.id) & (r.number == a.newest))
            .where(a.id.in_(list(articles))),
        )
    }
    lines: dict[int, list[Row[Any]]] = {}
    columns = (d.article_id, d.outlet, d.state, d.url, d.wanted_at, d.held_at, d.attempts, d.reason, d.held_number, o.paused)
    asked = (
        select(*columns, d.held_present, r.kind)
        .join(t.outlets, o.key == d.outlet)
        .outerjoin(t.revisions, r.id == d.wanted)
        .where(d.article_id.in_(list(articles)))
    )
    for row in tx.all(asked.order_by(d.outlet)):
        lines.setdefault(row.article_id, []).append(row)
    left = left_alone(tx)
    made = {i: tuple(_line(row, left.get(row.outlet), address) for row in rows) for i, rows in lines.items()}
    return [_status(heads[i], made.get(i, ())) for i in articles if i in heads]


def _status(head: Row[Any], outlets: tuple[OutletStatus, ...]) -> ArticleStatus:
    waiting = head.state == "waiting"
    state = "waiting" if waiting else "withdrawn" if head.kind == "withdrawn" else "live"
    return ArticleStatus(head.site, head.cms_id, head.headline, head.number, state, head.effective_at if waiting else None, outlets)


def _line(row: Row[Any], left: LeftAlone | None, address: Callable[[str, str], str]) -> OutletStatus:
    state = "paused" if row.paused and row.state not in SETTLED_STATES else row.state
    seconds = round((row.held_at - row.wanted_at).total_seconds(), 3) if state == "settled" and row.held_at else None
    gone = state == "settled" and not row.held_present
    reason = _why_gone(row) if gone else _why(state, row.reason, left)
    return OutletStatus(row.outlet, state, address(row.outlet, row.url), seconds, row.attempts, reason, row.held_number, gone)


def _why(state: str, reason: str, left: LeftAlone | None) -> str:
    """What keeps a delivery: its own answer where it has one, else what its outlet met."""
    return left.reason if left is not None and state in {"pending", "paused"} else reason


def _why_gone(row: Row[Any]) -> str:
    return WITHDRAWN if row.kind == "withdrawn" else row.reason or LEFT


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """An outlet that gets nothing now: it is paused, or its circuit opened and nothing has worked there since.

    until  when it is tried again; None where it is being tried, and of one that is only paused
    last   what it met last there, "" where that is not known
    """

    outlet: str
    paused: bool
    failures: int
    until: datetime | None
    last: str

    @property
    def reason(self) -> str:
        """Why, in a sentence or two."""
        if self.paused:
            return PAUSED
        until = rfc3339(self.until.replace(microsecond=0)) if self.until else ""
        next_time = f"it is left alone until {until}, then tried again" if until else "it is being tried again"
        last = f" The last failure: {self.last}" if self.last else ""
        return f"The outlet failed {self.failures} times in a row; {next_time}.{last}"

    def to_json(self) -> dict[str, object]:
        """As `status --json` prints it beside the articles."""
        until = rfc3339(self.until) if self.until else None
        return {"outlet": self.outlet, "paused": self.paused, "circuit_until": until, "reason": self.reason}


def left_alone(tx: Tx) -> dict[str, LeftAlone]:
    """Outlet → why it gets nothing now, of those that get nothing."""
    o = t.outlets.c
    rows = tx.all(
        select(o.key, o.paused, o.circuit_failures, o.circuit_until).where(or_(o.paused, o.circuit_until.is_not(None))).order_by(o.key),
    )
    return {
        row.key: LeftAlone(
            outlet=row.key,
            paused=row.paused,
            failures=row.circuit_failures,
            until=_circuit_ends(row.circuit_until, tx.now),
            last="" if row.paused else _last_failure(tx, row.key),
        )
        for row in rows
    }


def _circuit_ends(until: datetime | None, now: datetime) -> datetime | None:
    """When an open circuit lets a trial through; None where it does now. One further ahead was set by a wrong clock."""
    return until if until and now < until <= now + LONGEST_CIRCUIT else None


def _last_failure(tx: Tx, outlet: str) -> str:
    a = t.attempts.c
    row = tx.first(select(a.outcome, a.answer).where(a.outlet == outlet).order_by(a.id.desc()).limit(1))
    return row.answer if row is not None and row.outcome != "settled" else ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An article whose newest revision waits for its time."""

    site: str
    id: str
    headline: str
    revision: int
    waits_until: datetime

    def to_json(self) -> dict[str, object]:
        """As `status --json` prints it beside the articles."""
        return {
            "site": self.site,
            "id": self.id,
            "headline": self.headline,
            "revision": self.revision,
            "waits_until": rfc3339(self.waits_until),
        }


def waiting(tx: Tx, most: int = 50, site: str | None = None) -> list[Waiting]:
    """What waits for its time, of one site or of all, the next one first."""
    a, r = t.articles.c, t.revisions.c
    query = select(a.site, a.cms_id, r.headline, r.number, r.effective_at).join(t.articles, a.id == r.article_id)
    query = query.where(text("revisions.state = 'waiting'"), *([a.site == site] if site else []))
    return [Waiting(*row) for row in tx.all(query.order_by(r.effective_at, a.id).limit(most))]


def completeness(tx: Tx) -> dict[str, dict[str, int]]:
    """Outlet → state → number, of every delivery that is neither settled nor skipped; an outlet that is complete is {}."""
    found: dict[str, dict[str, int]] = {row.key: {} for row in tx.all(select(t.outlets.c.key).order_by(t.outlets.c.key))}
    d = t.deliveries.c
    for row in tx.all(select(d.outlet, d.state, func.count().label("n")).where(t.UNSETTLED).group_by(d.outlet, d.state)):
        found.setdefault(row.outlet, {})[row.state] = row.n
    return found


def event(tx: Tx, event_id: str, address: Callable[[str, str], str] = _as_kept) -> Mapping[str, object] | None:
    """What became of an event: status, problems where it was refused, and where its article is (`address` as for `status`)."""
    e = t.events.c
    columns = (e.event_id, e.source, e.state, e.type, e.article_id, e.revision, e.problems, e.received_at, e.processed_at)
    row = tx.first(select(*columns).where(e.event_id == event_id))
    if row is None:
        return None
    article = status(tx, [row.article_id], address)[0].to_json() if row.article_id else None
    return {
        "event_id": row.event_id,
        "source": row.source,
        "status": "accepted" if row.state == "waiting" else row.state,
        "type": row.type,
        "received_at": rfc3339(row.received_at),
        "processed_at": rfc3339(row.processed_at) if row.processed_at else None,
        "revision": row.revision,
        "problems": row.problems or [],
        "article": article,
    }


def rejections(tx: Tx, most: int = 50) -> list[dict[str, object]]:
    """The newest refused events with their problems."""
    e = t.events.c
    rows = tx.all(
        select(e.event_id, e.source, e.type, e.received_at, e.problems)
        .where(text("events.state = 'rejected'"))
        .order_by(e.id.desc())
        .limit(most),
    )
    return [
        {"event_id": r.event_id, "source": r.source, "type": r.type, "received_at": rfc3339(r.received_at), "problems": r.problems or []}
        for r in rows
    ]


def outlet_keys(tx: Tx) -> list[str]:
    """Every outlet the ledger knows."""
    return [row.key for row in tx.all(select(t.outlets.c.key).order_by(t.outlets.c.key))]


def outlets(tx: Tx) -> list[dict[str, object]]:
    """Every outlet: what it still has to do, its circuit, whether it is paused, and why it gets nothing where it gets nothing."""
    unsettled, left = completeness(tx), left_alone(tx)
    return [
        {
            "outlet": row.key,
            "kind": row.kind,
            "unsettled": unsettled.get(row.key, {}),
            "paused": row.paused,
            "closed": row.closed,
            "circuit": "open" if _circuit_ends(row.circuit_until, tx.now) else "closed",
            "circuit_until": rfc3339(row.circuit_until) if row.circuit_until else None,
            "reason": left[row.key].reason if row.key in left else "",
            "changed_at": rfc3339(row.changed_at) if row.changed_at else None,
        }
        for row in tx.all(select(t.outlets).order_by(t.outlets.c.key))
    ]


def attempts(tx: Tx, article: int, outlet: str | None = None, most: int = 50) -> list[dict[str, object]]:
    """The newest attempts for an article: failures, posts, and the first success after a failure."""
    a = t.attempts.c
    query = select(t.attempts).where(a.article_id == article).order_by(a.id.desc()).limit(most)
    rows = tx.all(query.where(a.outlet == outlet) if outlet else query)
    return [
        {"outlet": r.outlet, "at": rfc3339(r.at), "milliseconds": r.milliseconds, "outcome": r.outcome, "answer": r.answer} for r in rows
    ]


def deliveries(tx: Tx, outlet: str | None, state: str | None, most: int = 100) -> list[dict[str, object]]:
    """Deliveries that are not settled, of one outlet or all, in one state (`UNSETTLED_STATES`) or all."""
    d, a, o = t.deliveries.c, t.articles.c, t.outlets.c
    shown = case((o.paused, literal("paused")), else_=d.state)  # as `status` shows it
    query = select(d.article_id, d.outlet, shown.label("state"), d.reason, d.attempts, d.next_attempt_at)
    query = query.join(t.outlets, o.key == d.outlet).where(text("deliveries.state NOT IN ('settled', 'skipped')"))
    query = query.where(d.outlet == outlet) if outlet else query
    query = query.where(shown == state) if state else query
    # First which, then whose: articles are looked up for those that are shown, and not all of them read.
    few = query.order_by(d.outlet, d.article_id).limit(most).subquery()
    named = select(few, a.site, a.cms_id).join(t.articles, a.id == few.c.article_id).order_by(few.c.outlet, few.c.article_id)
    left = left_alone(tx)
    return [
        {
            "outlet": r.outlet,
            "site": r.site,
            "id": r.cms_id,
            "state": r.state,
            "reason": _why(r.state, r.reason, left.get(r.outlet)),
            "attempts": r.attempts,
            "next_attempt_at": rfc3339(r.next_attempt_at) if r.next_attempt_at else None,
        }
        for r in tx.all(named)
    ]


@dataclass(frozen=True, slots=True)
class Named:
    """An article that answers to an id."""

    short_id: str
    identity: str
    cms_id: str


def named(tx: Tx, site: str, given: str, kind: str) -> tuple[Named, ...]:
    """The article of a site with that short id; else those with that CMS id, one for each id space, that outlets of a kind have."""
    a, d, o = t.articles.c, t.documents.c, t.outlets.c
    had = select(d.article_id).join(t.outlets, o.key == d.outlet).where(o.kind == kind, o.site == site, d.article_id == a.id).exists()
    rows = tx.all(
        select(a.short_id, a.identity, a.cms_id)
        .where(a.id.in_(union(*(query.where(a.site == site) for query in _by_id(given)))), had)
        .order_by(a.short_id != given, a.space)
    )
    found = tuple(Named(*row) for row in rows)
    return found[:1] if found and found[0].short_id == given else found


def shares(tx: Tx, site: str, short_id: str) -> list[Row[Any]]:
    """The share documents of an article: (outlet, status, body, sha256, changed_at)."""
    a, d, o = t.articles.c, t.documents.c, t.outlets.c
    return tx.all(
        select(d.outlet, d.status, d.body, d.sha256, d.changed_at)
        .join(t.outlets, o.key == d.outlet)
        .join(t.articles, a.id == d.article_id)
        .where(a.site == site, a.short_id == short_id, o.kind == "network", o.site == site)
        .order_by(d.outlet),
    )


def subscriptions(tx: Tx, topic: str | None, state: str | None, most: int, tried: int) -> dict[str, object]:
    """Counts by topic, kind and state, and the newest rows; of a secret only that there is one. `tried` as in `counts`."""
    rows = subscription_views.listed(tx, topic, state, most)
    return {
        "topics": subscription_views.counts(tx, tried),
        "subscriptions": [
            {
                "id": row.id,
                "kind": row.kind,
                "topic": row.topic,
                "callback": secrecy.shown(row.callback),
                "state": row.state,
                "asked": row.asked,
                "signed": bool(row.signed),
                "expires_at": rfc3339(row.expires_at) if row.expires_at else None,
                "told_at": rfc3339(row.held_at) if row.held_at else None,
                "behind": row.state == ACTIVE and row.held_seq < (row.seq or 0),
                "attempts": row.attempts,
                "next_attempt_at": rfc3339(row.retry_at) if row.retry_at else None,
                "reason": row.answer,
            }
            for row in rows
        ],
    }
