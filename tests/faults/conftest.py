"""Rooms for the tests of faults: the running press runs, shared with the life of a story on workers, and five outlets to drain."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import Newsroom, open_newsroom
from tests.support.mirrors import remote, remote_over_each, server, tenths
from tests.support.running import running, running_postgres, running_sqlite, site_text

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["remote", "remote_over_each", "running", "running_postgres", "running_sqlite", "server", "tenths"]

FIVE_OUTLETS = 'data = "data"\n[server]\nport = 8499\n' + site_text("demo").replace("file:secret", "env:PRESSRUN_TEST_SECRET")
"""Two feeds, a mirror that takes only News, and two networks, one of which takes only World."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def five_outlets(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Newsroom]:
    """A newsroom with five outlets over each database in turn."""
    url = {"memory": "sqlite://", "sqlite": f"sqlite:///{tmp_path / 'ledger.sqlite'}"}.get(request.param)
    made = open_newsroom(tmp_path, url or request.getfixturevalue("postgres"), FIVE_OUTLETS)
    yield made
    made.context.close()


@pytest.fixture
def small_five(tmp_path: Path) -> Iterator[Newsroom]:
    """The same over SQLite in memory, for what does not depend on the database."""
    made = open_newsroom(tmp_path, "sqlite://", FIVE_OUTLETS)
    yield made
    made.context.close()
