"""Rooms for the tests of faults: the running press runs, shared with the life of a story on workers, and five outlets to drain."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Newsroom, open_newsroom
from tests.faults.scoreboard import Score
from tests.support.mirrors import remote, remote_over_each, server, tenths
from tests.support.running import fresh_database, running, running_in, running_postgres, running_sqlite, site_text

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.support.running import Running

__all__ = ["remote", "remote_over_each", "running", "running_postgres", "running_sqlite", "server", "tenths"]

FIVE_OUTLETS = 'data = "data"\n[server]\nport = 8499\n' + site_text("demo").replace("file:secret", "env:PRESSRUN_TEST_SECRET")
"""Two feeds, a mirror that takes only News, and two networks, one of which takes only World."""


SEED = int(os.environ.get("PRESSRUN_FAULT_SEED", "20261126"))
LONG = bool(os.environ.get("PRESSRUN_FAULT_LONG"))
DATABASES = ("sqlite", "postgres")
_SCORE = pytest.StashKey[Score]()


def scaled(short: int, long: int) -> int:
    """How many: the short form's in CI, the long form's for `pressrun faults`; PRESSRUN_FAULT_N where it is set."""
    return int(os.environ.get("PRESSRUN_FAULT_N", long if LONG else short))


@pytest.fixture
def score(request: pytest.FixtureRequest) -> Iterator[Score]:
    """The test's line on the scoreboard: `pytest.mark.fault("FT1")` names it, the test fills it in."""
    marker = request.node.get_closest_marker("fault")
    assert marker, "a test with a score says which one it is: pytest.mark.fault"
    made = request.node.stash[_SCORE] = Score(marker.args[0], request.node.originalname.removeprefix("test_").replace("_", " "), seed=SEED)
    if "database" in request.fixturenames:
        made.database = request.getfixturevalue("database")
    began = time.monotonic()
    yield made
    made.seconds = time.monotonic() - began
    made.tell()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A score passes where its test did; where it did not, the line says why."""
    report = yield
    if (made := item.stash.get(_SCORE, None)) is not None and report.when == "call":
        made.passed = report.passed
        if call.excinfo is not None:
            made.problems.append(call.excinfo.exconly()[:2000])
    return report


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Of the scoreboard's tests only those that were asked for (PRESSRUN_FAULT_TESTS, with commas)."""
    asked = os.environ.get("PRESSRUN_FAULT_TESTS", "")
    if asked:
        names = set(asked.split(","))
        kept = [item for item in items if (mark := item.get_closest_marker("fault")) and mark.args[0] in names]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


@pytest.fixture(params=DATABASES)
def database(request: pytest.FixtureRequest) -> str:
    """Each kind of database in turn."""
    kind: str = request.param
    return kind


@pytest.fixture
def database_url(database: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """A fresh database of that kind, as configured: `sqlite` is a file in the room's own data folder."""
    if database == "sqlite":
        yield "sqlite"
        return
    with fresh_database(request.getfixturevalue("postgres_server")) as url:
        yield url


@pytest.fixture
def own_room(tmp_path: Path, database_url: str) -> Callable[..., AbstractContextManager[Running]]:
    """A way to start a room of the test's own, with the site `storm`: what is killed in it disturbs nobody else."""

    def start(**options: str) -> AbstractContextManager[Running]:
        return running_in(tmp_path, database_url, sites=("storm",), **options)

    return start


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
