"""What came of claims, written down: told or not, verified or not, over. Only for who still holds its claim."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING

from sqlalchemy import and_, bindparam, case, delete, func, literal, select, update

from pipeline.ledger import tables as t
from pipeline.ledger import topics
from pipeline.ledger.subscription_claims import FREE, mine
from pipeline.ledger.subscriptions import ACTIVE, ASKED, REFUSED, has_place
from pipeline.ledger.types import Instant

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from sqlalchemy import ColumnElement, Executable

    from pipeline.ledger.engine import Tx
    from pipeline.ledger.subscription_claims import Claim
    from pipeline.model.settings import Hub

PAUSE = timedelta(seconds=5)

_s = t.subscriptions.c


def told(tx: Tx, rows: Iterable[tuple[Claim, int, str]]) -> None:
    """(row, milliseconds, answer) of those that took the newest text."""
    tx.each(_told(), [{**one.mine(), "seq": one.seq, "ms": ms, "said": said, "now": tx.now} for one, ms, said in rows])


@cache
def _told() -> Executable:
    values = {
        **FREE,
        "held_seq": bindparam("seq"),
        "tried_seq": bindparam("seq"),
        "held_at": bindparam("now", type_=Instant),
        "attempts": 0,
        "strikes": 0,
        "retry_at": None,
        "milliseconds": bindparam("ms"),
        "answer": bindparam("said"),
    }
    return update(t.subscriptions).where(mine()).values(values)


def failed(tx: Tx, rows: Iterable[tuple[Claim, int, str, datetime]], tried: int) -> None:
    """(row, milliseconds, answer, when again) of those that did not take it. After `tried` retries a newer text is awaited."""
    tx.each(
        _failed(),
        [
            {**one.mine(), "seq": one.seq, "ms": ms, "said": said, "retry": again, "n": min(one.attempts + 1, tried + 1), "now": tx.now}
            for one, ms, said, again in rows
        ],
    )


@cache
def _failed() -> Executable:
    values = {
        **FREE,
        "tried_seq": bindparam("seq"),
        "attempts": bindparam("n"),
        "changed_at": bindparam("now", type_=Instant),
        "strikes": 0,
        "retry_at": bindparam("retry", type_=Instant),
        "milliseconds": bindparam("ms"),
        "answer": bindparam("said"),
    }
    return update(t.subscriptions).where(mine()).values(values)


def put_back(tx: Tx, rows: Iterable[Claim]) -> None:
    """Give up the claim on rows that nothing was tried with; soon is soon enough."""
    retry = tx.now + timedelta(seconds=1)
    statement = update(t.subscriptions).where(mine()).values(**FREE, retry_at=retry, changed_at=tx.now)
    tx.each(statement, [one.mine() for one in rows])


def ended(tx: Tx, rows: Iterable[Claim]) -> None:
    """The subscription is over: its callback said so (410), or was told so. Who has subscribed anew since is asked about that."""
    for one in rows:
        anew = and_(mine(), _s.asked == "subscribe", _s.asked_seq != one.asked_seq)
        fresh = {"state": ASKED, "expires_at": None, "attempts": 0, "retry_at": None, "strikes": 0, "answer": ""}
        tx.run(update(t.subscriptions).where(anew).values(**fresh, **FREE), one.mine())
        tx.run(delete(t.subscriptions).where(mine()), one.mine())


def verified(tx: Tx, rows: Iterable[Claim], bounds: Hub) -> None:
    """What was asked for was meant: it is in force from now on, where there is a place. What was asked for since is not verified."""
    for one in sorted(rows, key=lambda one: one.topic):
        same = and_(mine(), _s.asked_seq == one.asked_seq)
        if one.asked == "unsubscribe":
            tx.run(delete(t.subscriptions).where(same), one.mine())
        elif tx.value(select(_s.state).where(same), one.mine()) == ACTIVE or has_place(tx, one.host, bounds):
            _subscribed(tx, one, same)
        else:
            refused(tx, [(one, "the hub has as many subscriptions as it takes, at that host or in all")])
        _let_go(tx, one)


def _subscribed(tx: Tx, one: Claim, same: ColumnElement[bool]) -> None:
    # Locked, and there to be locked before its first text: whoever changes the topic sees this subscription, or is seen here.
    topics.expect(tx, one.topic)
    seq = tx.value(select(t.topics.c.seq).where(t.topics.c.url == one.topic).with_for_update(read=True)) or 0
    values = {
        "state": ACTIVE,
        "secret": _s.asked_secret,
        "expires_at": tx.now + timedelta(seconds=one.asked_lease),
        "changed_at": tx.now,
        "retry_at": case((_s.held_seq < seq, literal(tx.now, Instant)), else_=_s.retry_at),
        "attempts": 0,  # it answers: whatever was given up is told after all
        "reason": "",
        "answer": "",
    }
    tx.run(update(t.subscriptions).where(same).values(**values, **_ASKED_NO_MORE), one.mine())


_ASKED_NO_MORE = {"asked": "", "asked_secret": "", "ask_at": None, "ask_attempts": 0}


def refused(tx: Tx, rows: Iterable[tuple[Claim, str]]) -> None:
    """(row, why): it was not confirmed. What was in force stays so; a new one is shown for a while.

    What was asked for meanwhile is still to be verified, a moment later: whoever asks again and again asks no callback without end.
    """
    for one, why in rows:
        same = and_(mine(), _s.asked_seq == one.asked_seq)
        state = func.replace(_s.state, ASKED, REFUSED)
        tx.run(update(t.subscriptions).where(same).values(state=state, answer=why, changed_at=tx.now, **_ASKED_NO_MORE), one.mine())
        _ask_later(tx, one, why, tx.now + PAUSE)
        _let_go(tx, one)


def ask_again(tx: Tx, rows: Iterable[tuple[Claim, str, datetime]]) -> None:
    """(row, why, when): nobody answered who could have confirmed it, or what was asked for meanwhile."""
    for one, why, when in rows:
        _ask_later(tx, one, why, when)
        _let_go(tx, one)


def _ask_later(tx: Tx, one: Claim, why: str, when: datetime) -> None:
    """What there is still to be asked."""
    left = and_(mine(), _s.asked != "")
    tx.run(update(t.subscriptions).where(left).values(ask_at=when, ask_attempts=_s.ask_attempts + 1, answer=why), one.mine())


def _let_go(tx: Tx, one: Claim) -> None:
    tx.run(update(t.subscriptions).where(mine()).values(**FREE, strikes=0), one.mine())
