"""Who is at work at a row of the hub: two processes that meet at one, between any two of their statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import select, update

from pipeline.ledger import subscription_claims as claims
from pipeline.ledger import tables as t

if TYPE_CHECKING:
    from typing import Any

    from pipeline.ledger.engine import Tx
    from pipeline.ledger.subscription_claims import Claim
    from tests.hub.conftest import HubRoom

POSTGRES = pytest.mark.parametrize("database", ["postgres"], indirect=True)


@POSTGRES
def test_who_finds_a_dead_claim_leaves_the_one_alone_that_another_took_meanwhile(room: HubRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have seen the dead one; the slower one must not free what the quicker one is at."""
    room.reader.subscribe(room.found())
    room.settle()
    ledger, take = room.newsroom.context.ledger, claims._take
    with ledger.write() as tx:
        tx.run(update(t.topics).values(seq=t.topics.c.seq + 1))
        tx.run(update(t.subscriptions).values(claimed_by="dead", claimed_until=tx.now))
    quicker: list[Claim] = []

    def take_late(tx: Tx, owner: str, *more: Any) -> list[Claim]:
        if owner == "slower":
            with ledger.write() as other:
                quicker.extend(claims.claim_struck(other, "quicker", tried=10, alone=True))
        return take(tx, owner, *more)

    monkeypatch.setattr(claims, "_take", take_late)
    with ledger.write() as tx:
        assert claims.claim_struck(tx, "slower", tried=10, alone=True) == []
    with ledger.read() as tx:
        assert tx.value(select(t.subscriptions.c.claimed_by)) == "quicker"
    assert len(quicker) == 1
