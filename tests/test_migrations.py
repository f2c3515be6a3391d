"""The tables as migrations make them are the tables the code knows, on both databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine

from pipeline.ledger import tables
from pipeline.ledger.upgrade import current, newest, upgrade

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_migrations_make_what_the_code_knows(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """Nothing missing, nothing over; a second upgrade changes nothing."""
    url = f"sqlite:///{tmp_path / 'x.sqlite'}" if kind == "sqlite" else request.getfixturevalue("postgres")
    assert current(url) is None
    assert upgrade(url) == upgrade(url) == newest() == current(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, tables.metadata) == []
    engine.dispose()
