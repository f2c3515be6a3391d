"""A connection that ends under a transaction: whichever statement meets it, the ledger says that it is away, and comes back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import event, text

from pipeline.ledger import Ledger
from pipeline.model.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def ledger(postgres: str) -> Iterator[Ledger]:
    """Over a real PostgreSQL, with one connection that was used before."""
    made = Ledger(postgres)
    made.now()
    yield made
    made.close()


@pytest.mark.parametrize("way", ["read", "write"])
@pytest.mark.parametrize("meets", ["SET lock_timeout", "BEGIN", "SELECT 1", "COMMIT"])
def test_whichever_statement_meets_it(ledger: Ledger, postgres: str, meets: str, way: str) -> None:
    """The server ends the session just before that statement, as it does when it stops or falls."""
    ended: list[int] = []

    def end(connection: Any, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith(meets) and not ended:
            ended.append(connection.connection.driver_connection.info.backend_pid)
            with psycopg.connect(postgres.replace("+psycopg", ""), autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", ended)

    event.listen(ledger._engine("any"), "before_cursor_execute", end)
    with pytest.raises(Unavailable), ledger.read() if way == "read" else ledger.write() as tx:
        tx.value(text("SELECT 1"))
    assert ended
    with ledger.write() as tx:
        assert tx.value(text("SELECT 2")) == 2
