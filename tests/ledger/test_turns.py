"""Writers of one process take turns; a turn that was lost holds nobody up."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text

from pipeline.ledger import Ledger, engine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MANY = 200


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """A file with one table."""
    made = Ledger(f"sqlite:///{tmp_path / 'ledger.sqlite'}")
    with made.write() as tx:
        tx.run(text("CREATE TABLE t (n INTEGER)"))
    yield made
    made.close()


def count(ledger: Ledger) -> int:
    """Rows of the table."""
    with ledger.read() as tx:
        return int(tx.value(text("SELECT count(*) FROM t")))


def test_threads_of_a_process_write_one_after_the_other(ledger: Ledger) -> None:
    """Nothing is lost, and nobody is told that the ledger is locked."""

    def write() -> None:
        for _ in range(MANY // 8):
            with ledger.write() as tx:
                tx.run(text("INSERT INTO t VALUES (1)"))

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(ledger) == MANY


def test_a_turn_that_nobody_gives_back_is_made_anew(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its holder was ended between taking it and keeping it. The next writer goes without, the one after has a new one."""
    monkeypatch.setattr(engine, "_TURN", 0.05)
    lost = ledger._turns[os.getpid()]
    lost.acquire()
    with ledger.write() as tx:
        tx.run(text("INSERT INTO t VALUES (1)"))
    assert ledger._turns[os.getpid()] is not lost
    assert not ledger._turns[os.getpid()].locked()
    with ledger.write(deadline=0.01) as tx:
        tx.run(text("INSERT INTO t VALUES (1)"))
    assert count(ledger) == 2
