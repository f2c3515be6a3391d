"""What a PostgreSQL that is killed may forget: leases and settlings, never what was acknowledged or what readers were shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import event, text

from pipeline import validate
from pipeline.ledger import Ledger
from tests.conftest import article, open_newsroom

if TYPE_CHECKING:
    from pathlib import Path

OFF = "SET LOCAL synchronous_commit = off"


@pytest.mark.parametrize(("options", "expected"), [({"durable": True}, "on"), ({"shown": True}, "on"), ({}, "off")])
def test_a_commit_waits_for_the_disk_where_it_was_promised(postgres: str, options: dict[str, bool], expected: str) -> None:
    """And only there."""
    ledger = Ledger(postgres)
    with ledger.write(**options) as tx:
        assert tx.value(text("SHOW synchronous_commit")) == expected
    ledger.close()


def test_a_revision_is_on_the_disk_before_anybody_can_show_it(postgres: str, tmp_path: Path) -> None:
    """Of the transactions of `validate` the one that adds the revision waits; the claim before it does not."""
    room = open_newsroom(tmp_path, postgres)
    room.send("published", article())
    said: list[str] = []

    def listen(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(statement)

    engine = room.context.ledger._engine("any")
    event.listen(engine, "before_cursor_execute", listen)
    validate.run(room.context, ("newsroom",))
    event.remove(engine, "before_cursor_execute", listen)
    begun = max(n for n, one in enumerate(said) if one == "BEGIN" and any("INTO revisions" in s for s in said[n:]))
    adding = said[begun : said.index("COMMIT", begun)]
    assert any("INTO revisions" in one for one in adding)
    assert OFF not in adding
    assert OFF in said[:begun]
    room.context.close()
