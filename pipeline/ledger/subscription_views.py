"""Subscriptions as people look at them: counted, and listed without their secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import and_, case, func, select

from pipeline.ledger import tables as t
from pipeline.ledger.subscriptions import SUBSCRIBER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Row

    from pipeline.ledger.engine import Tx

_s = t.subscriptions.c


def counts(tx: Tx, tried: int) -> list[dict[str, object]]:
    """For each topic and kind: how many there are in each state, how many are behind, and how many of these failed before.

    tried  how many failures in a row are retried; after them only a newer text is told
    """
    topic = t.topics.c
    behind = and_(t.ACTIVE, _s.held_seq < topic.seq)
    columns = (
        func.count().label("number"),
        func.sum(_one_if(behind)).label("behind"),
        func.sum(_one_if(and_(behind, _s.attempts > 0))).label("retrying"),
        func.sum(_one_if(and_(behind, _s.attempts > tried))).label("given_up"),
    )
    joined = t.subscriptions.outerjoin(t.topics, topic.url == _s.topic)
    query = select(_s.topic, _s.kind, _s.state, *columns).select_from(joined).group_by(_s.topic, _s.kind, _s.state)
    return [dict(row._mapping) for row in tx.all(query.order_by(_s.topic, _s.kind, _s.state))]  # noqa: SLF001 - SQLAlchemy's name for it


def _one_if(condition: Any) -> Any:
    return case((condition, 1), else_=0)


def listed(tx: Tx, topic: str | None, state: str | None, most: int) -> list[Row[Any]]:
    """The newest subscriptions, without their secrets."""
    columns = (_s.id, _s.kind, _s.topic, _s.callback, _s.state, _s.asked, _s.expires_at, _s.held_at, _s.retry_at, _s.attempts, _s.answer)
    query = select(*columns, (_s.secret != "").label("signed"), t.topics.c.seq, _s.held_seq)
    query = query.select_from(t.subscriptions.outerjoin(t.topics, t.topics.c.url == _s.topic)).order_by(_s.id.desc()).limit(most)
    if topic:
        query = query.where(_s.topic == topic)
    return tx.all(query.where(_s.state == state) if state else query)


def by_state(tx: Tx) -> Mapping[str, int]:
    """State → how many subscribers."""
    rows = tx.all(select(_s.state, func.count()).where(_s.kind == SUBSCRIBER).group_by(_s.state))
    return {row[0]: row[1] for row in rows}
