"""Networks of one nudge are brought together, and what stops one of them stops no other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlalchemy import event, select

from pipeline import leasing, social, validate
from pipeline.ledger import outlets, tables
from tests.conftest import article

if TYPE_CHECKING:
    import pytest

    from tests.conftest import Newsroom

NETWORKS = ("demo/network:x", "demo/network:email")


def _published(room: Newsroom, count: int = 1) -> None:
    """Articles whose plans are made, and nothing else."""
    for number in range(count):
        room.send("published", article(id=f"a-{number}", url=f"https://www.example.org/{number}"))
    validate.run(room.context, ("newsroom",))


def _rows(room: Newsroom) -> dict[str, tuple[str, int]]:
    """Network → (state, strikes) of the first article's delivery."""
    d = tables.deliveries.c
    with room.context.ledger.read() as tx:
        rows = tx.all(select(d.outlet, d.state, d.strikes).where(d.outlet.in_(NETWORKS), d.article_id == 1))
    return {row.outlet: (row.state, row.strikes) for row in rows}


def test_one_transaction_each_brings_all_networks(small_newsroom: Newsroom) -> None:
    """However many there are: taken, settled and given back in three."""
    _published(small_newsroom)
    begun: list[str] = []
    engine = small_newsroom.context.ledger._engine("write")

    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        begun.extend([statement] if statement.startswith("BEGIN IMMEDIATE") else [])

    event.listen(engine, "before_cursor_execute", listen)
    try:
        done = social.run(small_newsroom.context, NETWORKS)
    finally:
        event.remove(engine, "before_cursor_execute", listen)
    assert (done.done, done.nudges) == (2, ())
    assert len(begun) == 3
    assert set(_rows(small_newsroom).values()) == {("settled", 0)}


def test_many_articles_are_settled_in_portions(small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit holds a bounded number of rows; a run goes on until nothing is due."""
    monkeypatch.setattr(social, "ROWS", 4)
    _published(small_newsroom, 5)
    assert social.run(small_newsroom.context, NETWORKS).done == 10
    with small_newsroom.context.ledger.read() as tx:
        d = tables.deliveries.c
        assert {r.state for r in tx.all(select(d.state).where(d.outlet.in_(NETWORKS)))} == {"settled"}


def test_a_network_left_by_a_crash_is_brought_by_itself(small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is careful; the other one knows nothing of it."""
    _published(small_newsroom)
    with small_newsroom.context.ledger.write() as tx:
        hold = outlets.claim(tx, NETWORKS[0], "a host:1:1:gone:1")
        assert hold is not None
        outlets.progress(tx, hold, {"suspect": 1})
    small_newsroom.clock.move(6)
    touched: list[tuple[str, bool]] = []
    real = leasing.Lease.touch

    def noting(held: leasing.Lease, article_id: int) -> None:
        touched.append((held.key, held.hold.careful))
        real(held, article_id)

    monkeypatch.setattr(leasing.Lease, "touch", noting)
    assert social.run(small_newsroom.context, NETWORKS).done == 2
    assert touched == [(NETWORKS[1], False), (NETWORKS[0], True)]
    assert set(_rows(small_newsroom).values()) == {("settled", 0)}


def test_a_network_in_somebody_elses_hands_is_passed_over(small_newsroom: Newsroom) -> None:
    """And one that is not configured is nobody's."""
    _published(small_newsroom)
    with small_newsroom.context.ledger.write() as tx:
        assert outlets.claim(tx, NETWORKS[0], "another") is not None
    assert social.run(small_newsroom.context, (*NETWORKS, "demo/network:none", "gone/network:x")).done == 1
    assert {key: state for key, (state, _) in _rows(small_newsroom).items()} == {NETWORKS[0]: "pending", NETWORKS[1]: "settled"}


def test_a_lease_lost_meanwhile_settles_nothing_and_all_are_looked_at_again(
    small_newsroom: Newsroom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who slept through its lease writes nothing; the next run brings both."""
    _published(small_newsroom)
    real = social._settle

    def overtaken(*given: object) -> None:
        with small_newsroom.context.ledger.write() as tx:
            outlets.raise_fence(tx, NETWORKS[0], 100)
        real(*given)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(social, "_settle", overtaken)
        assert social.run(small_newsroom.context, NETWORKS).done == 0
    assert {state for state, _ in _rows(small_newsroom).values()} == {"pending"}
    small_newsroom.clock.move(6)
    social.run(small_newsroom.context, NETWORKS)
    assert {state for state, _ in _rows(small_newsroom).values()} == {"settled"}
